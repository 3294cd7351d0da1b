//! Why a sync failed: the error object of answers, statuses and runs.

use serde::Serialize;
use serde_json::{Value as Json, json};

/// What kind of thing went wrong, and so what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The backend could not be reached or did not answer in full. Try again later.
    Network,
    /// The backend does not accept who we are (401, 403). Set a new token.
    Auth,
    /// The answer can't be understood. Nothing of it was applied.
    Protocol,
    /// The backend said no, or that it is broken.
    Server,
    /// Somebody else changed what this sync was about. Sync again.
    Conflict,
    /// An application's table refused a row, or holds one that can't be sent.
    Data,
    /// Interrupted by the program or the user.
    Cancelled,
}

/// One failure. Shown as JSON `{class, code, status, message, retryable}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SyncError {
    pub class: Class,
    pub code: &'static str,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// What is wrong and what to do.
    pub message: String,
    /// Whether the same sync can succeed later without anybody changing anything.
    pub retryable: bool,
}

impl SyncError {
    pub fn network(message: impl Into<String>) -> Self {
        Self::new(Class::Network, "SYNC_ERROR_NETWORK", message, true)
    }

    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(Class::Protocol, "SYNC_ERROR_PROTOCOL", message, false)
    }

    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Class::Data, "SYNC_ERROR_CONSTRAINT", message, false)
    }

    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(Class::Cancelled, "SYNC_ERROR_CANCELLED", message, true)
    }

    /// Somebody else's sync came first.
    pub fn concurrent(message: impl Into<String>) -> Self {
        Self::new(Class::Conflict, "SYNC_ERROR_CONCURRENT", message, true)
    }

    pub fn new(
        class: Class,
        code: &'static str,
        message: impl Into<String>,
        retryable: bool,
    ) -> Self {
        Self {
            class,
            code,
            status: None,
            message: message.into(),
            retryable,
        }
    }

    /// The failure that a complete answer with a status other than 2xx is. `body` is its beginning.
    pub fn from_status(status: u16, body: &str) -> Self {
        let said = body.trim();
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(": {said}")
        };
        let (class, code, what) = match status {
            401 => (
                Class::Auth,
                "SYNC_ERROR_AUTH",
                "the backend does not know this token; set a new one with sync_secret",
            ),
            403 => (
                Class::Auth,
                "SYNC_ERROR_AUTH",
                "the backend does not allow this; check the account's rights",
            ),
            409 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend holds something else than this upload expects; sync again to pull it first",
            ),
            413 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the upload is larger than the backend takes; raise its limit",
            ),
            429 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "too many requests; sync less often",
            ),
            304 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "nothing was asked that could be \"not modified\"; keep caches away from this address",
            ),
            300..=399 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend redirects; put the final address into sync_provider",
            ),
            500..=599 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend is in trouble; try later",
            ),
            _ => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend refused the request",
            ),
        };
        let retryable = matches!(status, 408 | 409 | 425 | 429 | 500..=599);
        let mut error = Self::new(
            class,
            code,
            format!("HTTP {status}, {what}{said}"),
            retryable,
        );
        error.status = Some(status);
        error
    }

    /// The error object as JSON.
    pub fn to_json(&self) -> Json {
        json!(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_classes() {
        for (status, class, retryable) in [
            (401, Class::Auth, false),
            (403, Class::Auth, false),
            (400, Class::Server, false),
            (409, Class::Server, true),
            (429, Class::Server, true),
            (500, Class::Server, true),
        ] {
            let error = SyncError::from_status(status, "");
            assert_eq!(
                (error.class, error.retryable),
                (class, retryable),
                "{status}"
            );
        }
    }

    #[test]
    fn the_object_has_five_keys() {
        let json = SyncError::from_status(500, "boom").to_json();
        assert_eq!(json["class"], "server");
        assert_eq!(json["status"], 500);
        assert!(
            json["message"]
                .as_str()
                .is_some_and(|text| text.ends_with(": boom"))
        );
    }
}
