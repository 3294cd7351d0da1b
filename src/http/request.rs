//! What is to be sent.

use std::fmt;

use super::secret::Secret;
use super::spool::Spool;
use super::url::redacted;

/// The methods that sync protocols use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Never has a body.
    Get,
    /// May have a body; so may those below.
    Post,
    /// Replaces.
    Put,
    /// Changes in part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The method by its name, in any case.
    pub fn parse(name: &str) -> Option<Method> {
        [
            Method::Get,
            Method::Post,
            Method::Put,
            Method::Patch,
            Method::Delete,
        ]
        .into_iter()
        .find(|m| m.as_str().eq_ignore_ascii_case(name))
    }

    /// The name as it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request's body. It is streamed, and sent again from the first byte with each attempt.
#[derive(Clone)]
pub enum Body {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// Bytes in memory or in a file, see [`SpoolWriter`](super::SpoolWriter).
    Spool(Spool),
}

impl Body {
    /// Number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Spool(spool) => spool.len(),
        }
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len())
    }
}

/// A request. `Debug` shows neither header values nor credentials nor query values.
#[derive(Clone)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// Where: http or https, without user information.
    pub url: String,
    /// Name and value; printable ASCII. `Content-Type` is the caller's business. Those that belong to the
    /// transport (`Host`, `Content-Length`, `Accept-Encoding` …) are refused.
    pub headers: Vec<(String, String)>,
    /// What to send along, if anything.
    pub body: Option<Body>,
    /// It is not sent again once it may have arrived.
    pub once: bool,
    /// Header name and secret. Each must be bound to the URL's origin, or nothing is sent at all.
    pub credentials: Vec<(String, Secret)>,
    /// Secrets that are elsewhere in it, or in the answer: blacked out in messages too.
    pub hidden: Vec<Secret>,
}

impl Request {
    /// All secrets in it.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let credentials = self.credentials.iter().map(|(_, secret)| secret);
        credentials.chain(&self.hidden)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &redacted(&self.url))
            .field("headers", &names)
            .field("body", &self.body)
            .field("credentials", &self.credentials)
            .finish()
    }
}
