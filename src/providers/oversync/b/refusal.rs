//! What a server with bundles says when it says no.

use serde::Deserialize;

use crate::ground::{Class, SyncError};

/// The body of an answer that says no.
#[derive(Debug, Default, Deserialize)]
pub struct Refusal {
    #[serde(default)]
    pub error: String,
    #[serde(default)]
    pub retry_after_seconds: Option<i64>,
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
