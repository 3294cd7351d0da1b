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

/// The code of a database that was locked.
pub const BUSY: &str = "SYNC_ERROR_BUSY";

/// Why a run ends that was ended from outside.
pub const INTERRUPTED: &str = "interrupted: somebody called sync_interrupt, or set its status";

/// One failure. Shown as JSON `{class, code, status, message, retryable}`, and `retryAfter` where it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncError {
    pub class: Class,
    pub code: &'static str,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// What is wrong and what to do, in our words.
    pub message: String,
    /// What the server said, which may hold values of rows. Shown behind the message.
    pub said: Option<String>,
    /// Whether the same sync can succeed later without anybody changing anything.
    pub retryable: bool,
    /// Seconds after which the server wants to be asked again, where it says so.
    pub retry_after: Option<u64>,
    /// SQLite's result code, where the database is at fault.
    pub database: Option<i32>,
}

impl Class {
    /// The class of that name, as an error shows it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "network" => Self::Network,
            "auth" => Self::Auth,
            "protocol" => Self::Protocol,
            "server" => Self::Server,
            "conflict" => Self::Conflict,
            "data" => Self::Data,
            "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }
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

    /// Ended from outside, in the middle of it.
    pub fn interrupted() -> Self {
        Self::cancelled(INTERRUPTED)
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
            said: None,
            retryable,
            retry_after: None,
            database: None,
        }
    }

    /// The same failure, of the database, with SQLite's code.
    pub fn of_database(self, code: i32) -> Self {
        Self {
            database: Some(code),
            ..self
        }
    }

    /// A bug of ours.
    pub fn bug() -> Self {
        Self::new(
            Class::Protocol,
            "SYNC_ERROR_INTERNAL",
            "the sync hit a bug in syncscope, nothing was lost; please report it with what sync_debug() returns and the rows of sync_log for this run",
            false,
        )
    }

    /// The failure that a complete answer with a status other than 2xx is. `upload`: the request carried rows.
    /// `body` is the beginning of the answer.
    pub fn from_status(status: u16, upload: bool, body: &str) -> Self {
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
            409 if upload => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend has newer data than this upload expects; sync again to pull it first",
            ),
            409 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend refused this pull because of a conflict; sync again, and if that fails too, read its answer",
            ),
            413 if upload => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the upload is larger than the backend accepts; set pushBatch, or raise its limit",
            ),
            413 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the request of this pull is larger than the backend accepts; sync fewer entities at a time, or raise its limit",
            ),
            429 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "too many requests; sync less often",
            ),
            304 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend answered \"not modified\" to a request without a condition; keep caches away from this address",
            ),
            300..=399 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend redirects; put the final address into sync_provider",
            ),
            500..=599 => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend has a problem; try again later",
            ),
            _ => (
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend refused the request",
            ),
        };
        let retryable = matches!(status, 408 | 409 | 425 | 429 | 500..=599);
        let mut error = Self::new(class, code, format!("HTTP {status}, {what}"), retryable);
        error.status = Some(status);
        error.saying(body.trim())
    }

    /// Adds what the server said, or a part of it, as one line.
    pub fn saying(mut self, said: &str) -> Self {
        // One line, and nothing that a terminal obeys.
        let words: Vec<&str> = said
            .split(|letter: char| letter.is_control() || letter == ' ')
            .filter(|word| !word.is_empty())
            .collect();
        self.said = Some(words.join(" ")).filter(|said| !said.is_empty());
        self
    }

    /// The same failure, as an answer with that HTTP status would be.
    pub fn of_status(self, status: u16) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// The same failure, of a server that says when to ask again.
    pub fn after(self, seconds: Option<u64>) -> Self {
        Self {
            retry_after: seconds,
            ..self
        }
    }

    /// The database was locked: the same can succeed in a moment.
    pub fn is_busy(&self) -> bool {
        self.code == BUSY
    }

    /// The message and what the server said.
    pub fn text(&self) -> String {
        match &self.said {
            Some(said) => format!("{}: {said}", self.message),
            None => self.message.clone(),
        }
    }

    /// The error object as JSON.
    pub fn to_json(&self) -> Json {
        let mut json = json!({
            "class": self.class,
            "code": self.code,
            "status": self.status,
            "message": self.text(),
            "retryable": self.retryable,
        });
        if let Some(seconds) = self.retry_after {
            json["retryAfter"] = seconds.into();
        }
        json
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
            let error = SyncError::from_status(status, true, "");
            assert_eq!(
                (error.class, error.retryable),
                (class, retryable),
                "{status}"
            );
        }
    }

    #[test]
    fn the_object_says_when_to_ask_again_only_where_the_server_does() {
        let error = SyncError::from_status(503, false, "");
        assert_eq!(error.to_json().get("retryAfter"), None);
        assert_eq!(error.after(Some(7)).to_json()["retryAfter"], 7);
    }

    #[test]
    fn the_object_has_five_keys() {
        let json = SyncError::from_status(500, false, "boom").to_json();
        assert_eq!(json["class"], "server");
        assert_eq!(json["status"], 500);
        assert!(
            json["message"]
                .as_str()
                .is_some_and(|text| text.ends_with(": boom"))
        );
    }

    #[test]
    fn a_refused_pull_does_not_speak_of_an_upload() {
        for status in 300..600 {
            let pull = SyncError::from_status(status, false, "").message;
            assert!(!pull.contains("upload"), "{pull}");
        }
        assert!(
            SyncError::from_status(409, true, "")
                .message
                .contains("upload")
        );
    }
}
