//! What can go wrong between a request and its complete answer.

use std::fmt;

use super::redact::Redactor;
use crate::ground::{Class, INTERRUPTED, SyncError};

/// Which deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Looking up the host, connecting and the TLS handshake (`Policy::connect`).
    Connect,
    /// Silence: no byte moved for `Policy::idle`.
    Idle,
    /// The whole call, retries and pauses included (`Policy::total`).
    Total,
}

/// The kinds of failure. A complete HTTP answer, also 401 or 500, is not one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The URL can't be used: not http or https, credentials inside, no host. The caller's fault.
    BadUrl,
    /// A header can't be sent, or is one that this room sets itself. The caller's fault.
    BadHeader,
    /// A policy value is out of range, or the request contradicts itself. The caller's fault.
    BadOption,
    /// A credential is bound to another origin than the URL's; nothing was sent.
    Credential,
    /// The host name is unknown, or the name service did not answer.
    Dns,
    /// Nothing listens at that address.
    Refused,
    /// No route to the host, or the local network is down.
    Unreachable,
    /// The connection broke before the answer's headers were complete.
    Closed,
    /// The TLS handshake failed for a reason other than the certificate.
    Tls,
    /// The server's certificate is not trusted, expired, or for another name. Never retried by
    /// [`send`](super::send): the next attempt would meet the same certificate.
    Certificate,
    /// A deadline passed.
    Timeout(Wait),
    /// The body ended before its announced end.
    Truncated,
    /// The proxy named by the environment refused or failed.
    Proxy,
    /// The answer is larger than `Policy::max_response_bytes` (decoded), or its headers are too large.
    TooLarge,
    /// The body's encoding is not gzip, or the gzip data is corrupt.
    BadEncoding,
    /// What came is not HTTP.
    BadResponse,
    /// More than five redirects.
    TooManyRedirects,
    /// A redirect to another origin; it is not followed, so nothing is disclosed to it.
    ForeignRedirect,
    /// A redirect that can't be followed: no usable target, or it would drop the request's body.
    BadRedirect,
    /// The caller's `cancelled` said so.
    Cancelled,
    /// A temporary file could not be written or read (disk full, no temporary folder).
    Storage,
    /// The system refused a thread, or an attempt died. A fault of this program or machine.
    Internal,
    /// The host program sent the request, and reports that it got no complete answer.
    Reported,
}

/// Most characters of what the host program reports.
const LONGEST_REPORT: usize = 500;

impl Kind {
    /// The class of the error object: `network`, `auth`, `protocol`, `data` or `cancelled`.
    pub fn class(self) -> &'static str {
        match self {
            Kind::Dns
            | Kind::Refused
            | Kind::Unreachable
            | Kind::Closed
            | Kind::Tls
            | Kind::Certificate
            | Kind::Timeout(_)
            | Kind::Truncated
            | Kind::Proxy
            | Kind::Internal
            | Kind::Reported => "network",
            Kind::Credential => "auth",
            Kind::BadUrl
            | Kind::BadHeader
            | Kind::BadOption
            | Kind::TooLarge
            | Kind::BadEncoding
            | Kind::BadResponse
            | Kind::TooManyRedirects
            | Kind::ForeignRedirect
            | Kind::BadRedirect => "protocol",
            Kind::Storage => "data",
            Kind::Cancelled => "cancelled",
        }
    }

    /// The code of the error object, one for each class.
    pub fn code(self) -> &'static str {
        match self.class() {
            "network" => "SYNC_ERROR_NETWORK",
            "auth" => "SYNC_ERROR_AUTH",
            "data" => "SYNC_ERROR_STORAGE",
            "cancelled" => "SYNC_ERROR_CANCELLED",
            _ => "SYNC_ERROR_PROTOCOL",
        }
    }

    /// Whether the same sync may succeed later with nothing changed on this side.
    pub fn retryable(self) -> bool {
        self.class() == "network" || self == Kind::Storage
    }

    /// Whether the server may have taken the request all the same. Before a connection stands, it can't have.
    pub(super) fn may_have_arrived(self) -> bool {
        !matches!(
            self,
            Kind::Dns
                | Kind::Refused
                | Kind::Unreachable
                | Kind::Tls
                | Kind::Certificate
                | Kind::Timeout(Wait::Connect)
        )
    }

    /// Whether [`send`](super::send) itself tries again right away.
    pub(super) fn retried(self) -> bool {
        matches!(
            self,
            Kind::Dns
                | Kind::Refused
                | Kind::Unreachable
                | Kind::Closed
                | Kind::Tls
                | Kind::Timeout(Wait::Connect | Wait::Idle)
                | Kind::Truncated
                | Kind::Proxy
        )
    }
}

/// A request that got no complete answer. `Display` says what is wrong and what to do, and never
/// holds a secret, user information or a query value.
#[derive(Debug, Clone)]
pub struct HttpError {
    kind: Kind,
    message: String,
    attempts: u32,
}

impl HttpError {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> HttpError {
        HttpError {
            kind,
            message: message.into(),
            attempts: 0,
        }
    }

    /// What the host program reports of a request that it sent itself and that got no complete answer.
    pub fn reported(why: &str) -> HttpError {
        let why: String = why.chars().take(LONGEST_REPORT).collect();
        Self::new(
            Kind::Reported,
            format!("the program got no complete answer: {why}"),
        )
    }

    /// A request whose run was interrupted while the host program was away with it.
    pub fn interrupted() -> HttpError {
        Self::new(Kind::Cancelled, INTERRUPTED)
    }

    /// An answer beyond the limit.
    pub(super) fn too_large(answer: &str, most: u64) -> HttpError {
        Self::new(
            Kind::TooLarge,
            format!(
                "{answer} is larger than {most} bytes; ask for smaller pages or raise maxResponseBytes"
            ),
        )
    }

    /// What happened.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// See [`Kind::class`].
    pub fn class(&self) -> &'static str {
        self.kind.class()
    }

    /// See [`Kind::code`].
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// See [`Kind::retryable`].
    pub fn retryable(&self) -> bool {
        self.kind.retryable()
    }

    /// How many requests were started before giving up; 0 when none was.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn after(mut self, attempts: u32) -> HttpError {
        self.attempts = attempts;
        self
    }

    pub(super) fn cleaned(mut self, redactor: &Redactor) -> HttpError {
        self.message = redactor.clean(&self.message);
        self
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.attempts > 1 {
            write!(f, " ({} attempts)", self.attempts)?;
        }
        Ok(())
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for SyncError {
    fn from(error: HttpError) -> Self {
        let class = match error.class() {
            "auth" => Class::Auth,
            "protocol" => Class::Protocol,
            "data" => Class::Data,
            "cancelled" => Class::Cancelled,
            _ => Class::Network,
        };
        Self::new(class, error.code(), error.to_string(), error.retryable())
    }
}
