//! Bodies of any size: small ones in memory, large ones in a temporary file that has no name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

/// Bytes that are complete and can be read any number of times, also by several readers at once.
/// Cloning shares them. A temporary file vanishes with the last clone, or with the process.
#[derive(Clone)]
pub struct Spool {
    held: Held,
    len: u64,
}

#[derive(Clone)]
enum Held {
    Memory(Arc<[u8]>),
    File(Arc<File>),
}

impl Spool {
    /// Bytes in memory.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Spool {
        let bytes = bytes.into();
        Spool {
            len: bytes.len() as u64,
            held: Held::Memory(bytes),
        }
    }

    /// The first `len` bytes of a file opened for reading. It must not change while in use: if it has
    /// become shorter, reading fails.
    pub fn from_file(file: File, len: u64) -> Spool {
        Spool {
            held: Held::File(Arc::new(file)),
            len,
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes, if they are in memory.
    pub fn as_slice(&self) -> Option<&[u8]> {
        match &self.held {
            Held::Memory(bytes) => Some(bytes),
            Held::File(_) => None,
        }
    }

    /// All of it as text.
    ///
    /// # Errors
    /// Reading the temporary file; bytes that are no UTF-8.
    pub fn text(&self) -> io::Result<String> {
        let mut text = String::new();
        self.reader().read_to_string(&mut text)?;
        Ok(text)
    }

    /// A reader from the first byte, independent of all others.
    pub fn reader(&self) -> SpoolReader {
        SpoolReader {
            spool: self.clone(),
            at: 0,
        }
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..wanted];
        match &self.held {
            Held::Memory(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                let mut rest = &bytes[from..];
                rest.read(buffer)
            }
            Held::File(file) => match read_file_at(file, buffer, at)? {
                0 => Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the file has become shorter",
                )),
                n => Ok(n),
            },
        }
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if self.as_slice().is_some() {
            "memory"
        } else {
            "file"
        };
        write!(f, "Spool({} bytes in {place})", self.len)
    }
}

#[cfg(unix)]
fn read_file_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn read_file_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

/// Reads a [`Spool`] from start to end; seeking is free.
#[derive(Debug)]
pub struct SpoolReader {
    spool: Spool,
    at: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.spool.read_at(self.at, buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for SpoolReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.spool.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at =
            at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))?;
        Ok(self.at)
    }
}

/// Takes bytes as they come and becomes a [`Spool`]. Errors are the temporary file's: disk full, no
/// temporary folder.
#[derive(Debug)]
pub struct SpoolWriter {
    memory: Vec<u8>,
    file: Option<File>,
    limit: usize,
    len: u64,
}

impl SpoolWriter {
    /// Keeps up to `memory` bytes in memory; with the first byte more, all go to a temporary file.
    pub fn new(memory: usize) -> SpoolWriter {
        SpoolWriter {
            memory: Vec::new(),
            file: None,
            limit: memory,
            len: 0,
        }
    }

    /// Number of bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written, to be read.
    pub fn finish(self) -> Spool {
        match self.file {
            Some(file) => Spool::from_file(file, self.len),
            None => Spool::from_bytes(self.memory),
        }
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + bytes.len() > self.limit {
            let mut file = tempfile::tempfile()?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        let n = match &mut self.file {
            Some(file) => file.write(bytes)?,
            None => {
                self.memory.extend_from_slice(bytes);
                bytes.len()
            }
        };
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // read back through the same file handle: nothing needs to reach the disk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(spool: &Spool) -> Vec<u8> {
        let mut out = Vec::new();
        spool.reader().read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn the_same_bytes_whether_in_memory_or_in_a_file() {
        let text: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for limit in [0, 1, 7, 399_999, 400_000, usize::MAX] {
            let mut writer = SpoolWriter::new(limit);
            for piece in text.chunks(777) {
                writer.write_all(piece).unwrap();
            }
            assert_eq!(writer.len(), 400_000);
            let spool = writer.finish();
            assert_eq!(spool.as_slice().is_some(), limit >= 400_000, "{limit}");
            assert_eq!(spool.len(), 400_000);
            assert!(all(&spool) == text && all(&spool.clone()) == text);
        }
        assert!(all(&SpoolWriter::new(0).finish()).is_empty());
    }

    #[test]
    fn readers_do_not_disturb_each_other() {
        let mut writer = SpoolWriter::new(0);
        writer.write_all(b"abcdef").unwrap();
        let spool = writer.finish();
        let (mut one, mut two) = (spool.reader(), spool.reader());
        let mut three = [0; 3];
        one.read_exact(&mut three).unwrap();
        assert_eq!(&three, b"abc");
        two.seek(SeekFrom::End(-2)).unwrap();
        let mut rest = String::new();
        two.read_to_string(&mut rest).unwrap();
        one.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "efdef");
        assert!(one.seek(SeekFrom::Current(-7)).is_err());
        assert_eq!(one.seek(SeekFrom::Start(99)).unwrap(), 99);
        assert_eq!(one.read(&mut three).unwrap(), 0);
    }

    #[test]
    fn a_file_that_shrank_is_an_error_not_an_end() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let error = Spool::from_file(file, 9)
            .reader()
            .read_to_end(&mut Vec::new())
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
