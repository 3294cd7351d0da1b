//! The changes of a device, as they come in a request.

use std::io::{self, Read};

use super::table::Table;
use super::wire::{Mark, read_columns, read_number, read_text, read_value};
use crate::ground::quoted;
use crate::store::{Value, ValueRef};

/// One change.
pub struct Change {
    pub kind: Mark,
    /// The place of its table in the request.
    pub place: usize,
    pub number: i64,
    pub key: Value,
    content: String,
}

impl Change {
    /// The next one; none at the end.
    ///
    /// # Errors
    /// Reading; what is no change.
    pub fn read(input: &mut dyn Read) -> io::Result<Option<Self>> {
        let kind = Mark::read(input)?;
        if kind == Mark::End {
            return Ok(None);
        }
        Ok(Some(Self {
            kind,
            place: usize::try_from(read_number(input)?).unwrap_or(usize::MAX),
            number: read_number(input)?,
            key: read_value(input)?.unwrap_or_default(),
            content: read_text(input)?,
        }))
    }

    /// Bytes that it takes in memory, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.content.len()
    }

    /// What it brings, or why the row is refused.
    ///
    /// # Errors
    /// A column that the table does not have, or not any more; what can't be read.
    pub fn columns(&self, table: &Table) -> Result<Columns, String> {
        let named = read_columns(&self.content)
            .ok_or("what was kept of it to be sent can't be read; write the row again")?;
        let mut columns = Columns::default();
        for (name, value) in named {
            let mut known = table.columns.iter();
            let place = known.position(|known| known.eq_ignore_ascii_case(name));
            let place = place.ok_or_else(|| {
                format!(
                    "column {} is no longer synced; write the row again",
                    quoted(name)
                )
            })?;
            columns.push(place, value);
        }
        Ok(columns)
    }
}

/// Columns with their values.
#[derive(Default)]
pub struct Columns {
    /// Their places in the table.
    pub places: Vec<usize>,
    pub values: Vec<Value>,
}

impl Columns {
    pub fn push(&mut self, place: usize, value: Value) {
        self.places.push(place);
        self.values.push(value);
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// A key, and the values behind it: what the statements of a row take.
    pub fn behind<'v>(&'v self, key: &'v Value) -> Vec<ValueRef<'v>> {
        let values = self.values.iter();
        std::iter::once(key)
            .chain(values)
            .map(Value::borrow)
            .collect()
    }
}

/// Hashes what is left of a message: 64 bits are enough to know a push again, whose numbers are in it.
///
/// # Errors
/// Reading.
pub fn fingerprint(input: &mut dyn Read) -> io::Result<String> {
    const WORD: usize = 8;
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut length: u64 = 0;
    let mut buffer = Vec::with_capacity(64 << 10);
    loop {
        buffer.clear();
        // Whole buffers, so that the words are the same however they arrive.
        let most = u64::try_from(buffer.capacity()).unwrap_or(0);
        let read = input.take(most).read_to_end(&mut buffer)?;
        if read == 0 {
            return Ok(format!("{hash:016x}-{length}"));
        }
        length += read as u64;
        for part in buffer.chunks(WORD) {
            let mut word = [0; WORD];
            word[..part.len()].copy_from_slice(part);
            hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
            hash ^= hash >> 29;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time.
    struct Slow<'b>(&'b [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let some = buffer.len().min(7);
            self.0.read(&mut buffer[..some])
        }
    }

    #[test]
    fn a_message_is_known_again_however_it_is_read() {
        let bytes: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
        let whole = fingerprint(&mut bytes.as_slice()).unwrap();
        assert_eq!(fingerprint(&mut Slow(&bytes)).unwrap(), whole);
        for place in [0, 7, 8, 65_535, 65_536, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[place] ^= 128;
            assert_ne!(
                fingerprint(&mut other.as_slice()).unwrap(),
                whole,
                "{place}"
            );
        }
        assert_ne!(fingerprint(&mut &bytes[..199_999]).unwrap(), whole);
    }
}
