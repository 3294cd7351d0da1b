//! Reading an answer's body: gunzip, count, spool.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::read::MultiGzDecoder;

use super::error::{HttpError, Kind};
use super::explain::explain;
use super::policy::Policy;
use super::spool::{Spool, SpoolWriter};
use super::url::Url;

/// How the body is encoded on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
}

impl Coding {
    /// By the `Content-Encoding` header. Only gzip was asked for; anything else can't be read.
    pub fn of(header: Option<&str>, url: &Url) -> Result<Coding, HttpError> {
        let names = header
            .unwrap_or("")
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase());
        let names: Vec<String> = names
            .filter(|name| !name.is_empty() && name != "identity")
            .collect();
        match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Ok(Coding::Plain),
            ["gzip" | "x-gzip"] => Ok(Coding::Gzip),
            _ => Err(HttpError::new(
                Kind::BadEncoding,
                format!(
                    "{url} answered with a Content-Encoding other than gzip; correct the server"
                ),
            )),
        }
    }
}

/// Reads a body to its end. On failure the beginning that did come is returned along with the reason.
pub(super) fn read(
    raw: impl Read,
    coding: Coding,
    policy: &Policy,
    stop: &AtomicBool,
    url: &Url,
) -> Result<Spool, (Spool, HttpError)> {
    let most = policy.max_response_bytes;
    // Data that doesn't shrink grows a little in gzip; beyond that it is an endless stream of nothing.
    let mut raw = Limited {
        inner: raw,
        left: most.saturating_add(most / 16).saturating_add(4096),
    };
    let mut out = SpoolWriter::new(policy.spool_memory);
    let result = match coding {
        Coding::Plain => copy(&mut raw, &mut out, policy, stop, url),
        Coding::Gzip => {
            // No body at all is not a broken gzip stream: some servers label even their empty answers.
            let mut first = [0u8];
            match raw.read(&mut first) {
                Ok(0) => Ok(()),
                Ok(_) => copy(
                    &mut MultiGzDecoder::new(first.chain(raw)),
                    &mut out,
                    policy,
                    stop,
                    url,
                ),
                Err(error) => Err(explain_body(error, url, policy)),
            }
        }
    };
    match result {
        Ok(()) => Ok(out.finish()),
        Err(error) => Err((out.finish(), error)),
    }
}

fn copy(
    from: &mut dyn Read,
    to: &mut SpoolWriter,
    policy: &Policy,
    stop: &AtomicBool,
    url: &Url,
) -> Result<(), HttpError> {
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(HttpError::new(Kind::Cancelled, "stopped"));
        }
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(explain_body(error, url, policy)),
        };
        if to.len() + n as u64 > policy.max_response_bytes {
            return Err(too_large(url, policy));
        }
        to.write_all(&buffer[..n]).map_err(|error| {
            HttpError::new(
                Kind::Storage,
                format!("the answer can't be kept in a temporary file: {error}; free space or set TMPDIR"),
            )
        })?;
    }
}

/// The error for a body, or an announced length, beyond the limit.
pub(super) fn too_large(url: &Url, policy: &Policy) -> HttpError {
    HttpError::too_large(&format!("the answer of {url}"), policy.max_response_bytes)
}

fn explain_body(error: io::Error, url: &Url, policy: &Policy) -> HttpError {
    if error.get_ref().is_some_and(|inner| inner.is::<Endless>()) {
        return too_large(url, policy);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => HttpError::new(
            Kind::Truncated,
            format!("the answer of {url} ended too early; try again"),
        ),
        // What the gunzipper says of bytes that are not gzip.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
            if error.get_ref().is_none_or(not_ureq) =>
        {
            HttpError::new(
                Kind::BadEncoding,
                format!(
                    "the answer of {url} says gzip but its data is corrupt; correct the server or the proxy between"
                ),
            )
        }
        _ => explain(ureq::Error::from(error), url, None, policy),
    }
}

fn not_ureq(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    !error.is::<ureq::Error>()
}

/// Ends a stream of raw bytes with an error once it has become too long.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::other(Endless))?;
        Ok(n)
    }
}

#[derive(Debug)]
struct Endless;

impl std::fmt::Display for Endless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("too many bytes")
    }
}

impl std::error::Error for Endless {}
