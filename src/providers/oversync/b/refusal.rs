//! What a server with bundles says when it says no.

use serde::Deserialize;

use crate::ground::{Class, SyncError, quoted};

/// A snapshot would be larger than the server allows.
pub const TOO_LARGE: &str = "snapshot_session_limit_exceeded";

/// The body of an answer that says no.
#[derive(Debug, Default, Deserialize)]
pub struct Refusal {
    #[serde(default)]
    pub error: String,
    #[serde(default)]
    pub retry_after_seconds: Option<i64>,
    /// Bytes that a page of a snapshot must have for its first row.
    #[serde(default)]
    pub required_byte_count: Option<u64>,
}

impl Refusal {
    /// What an answer says; the word of an error of ours where the answer has none.
    pub fn read(body: &str, error: &SyncError) -> Self {
        let refusal: Self = serde_json::from_str(body).unwrap_or_default();
        match refusal.error.is_empty() {
            false => refusal,
            true => Self {
                error: error.said.clone().unwrap_or_default(),
                ..refusal
            },
        }
    }

    /// The server does not know this device, or no longer lets it bring the first rows: connecting again tells.
    pub fn wants_connect(&self) -> bool {
        matches!(
            self.error.as_str(),
            "scope_uninitialized" | "initialization_stale" | "initialization_expired"
        )
    }

    /// The numbers of this device's bundles are not what the server has: it starts over under another name.
    pub fn wants_another_name(&self) -> bool {
        matches!(
            self.error.as_str(),
            "history_pruned"
                | "source_sequence_out_of_order"
                | "source_sequence_changed"
                | "source_retired"
        )
    }

    /// What the server has to tell is no longer told by bundles.
    pub fn wants_snapshot(&self) -> bool {
        matches!(self.error.as_str(), "history_pruned" | "checkpoint_ahead")
    }
}

/// What is said of an answer that is none of the revision that the server spoke.
pub const ANOTHER: &str = "another_revision";

/// An answer that is none of the revision that the server spoke: it is to be asked again what it speaks. Of what was
/// sent nothing counts as taken.
pub fn another() -> SyncError {
    let message = "the backend speaks another revision of the protocol than before; sync again";
    let error = SyncError::new(Class::Server, "SYNC_ERROR_HTTP", message, true);
    error.of_status(409).saying(ANOTHER)
}

/// The history that was read here is not the one that the server has, and downloads are paused.
pub fn begun_anew() -> SyncError {
    SyncError::new(
        Class::Server,
        "SYNC_ERROR_HTTP",
        "the backend has begun anew: what was read of it before is not what it has now; resume downloads with \
         sync_resume, so that it can be read again, and sync",
        false,
    )
}

/// A snapshot that is larger than the server allows.
pub fn too_large(body: &str) -> SyncError {
    #[derive(Deserialize)]
    struct Limit {
        dimension: String,
        actual: i64,
        limit: i64,
    }
    let which = match serde_json::from_str::<Limit>(body) {
        Ok(limit) => format!(
            "its {} is {}, and the limit {}",
            quoted(&limit.dimension),
            limit.actual,
            limit.limit
        ),
        Err(_) => "it is above a limit".to_owned(),
    };
    SyncError::new(
        Class::Server,
        "SYNC_ERROR_HTTP",
        format!("the backend gives no snapshot of what it has: {which}; raise the limit there"),
        false,
    )
    .of_status(409)
    .saying(TOO_LARGE)
}

/// Another device brings the first rows.
pub fn waiting(seconds: Option<i64>) -> SyncError {
    let when = match seconds {
        Some(seconds) => format!("in {seconds} seconds"),
        None => "in a while".to_owned(),
    };
    SyncError::new(
        Class::Server,
        "SYNC_ERROR_HTTP",
        format!("another device is bringing the first rows to the backend; sync again {when}"),
        true,
    )
    .after(seconds.and_then(|seconds| u64::try_from(seconds).ok()))
}

/// The server knew this user, and doesn't any more.
pub fn emptied() -> SyncError {
    SyncError::new(
        Class::Server,
        "SYNC_ERROR_HTTP",
        "the backend has nothing of this user any more: it was emptied; to start over with it, call sync_provider with \
         \"reset\":true",
        false,
    )
}
