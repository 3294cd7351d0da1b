//! What a server of protocol B is started with.

use std::time::Duration;

use super::defects::Defects;
use super::tables::{Table, business};

/// Which revision of the protocol is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revision {
    /// The one that was recorded.
    #[default]
    Recorded,
    /// The one that came after it: request hashes, numbers as texts, limits in bytes.
    Later,
}

/// How much at a time. Announced in the capabilities.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Rows of a bundle.
    pub rows_per_bundle: Option<i64>,
    /// Bundles of one pull.
    pub bundles_per_pull: i64,
    /// Rows of a chunk of a push.
    pub rows_per_push_chunk: i64,
    /// Rows of a page of committed rows.
    pub rows_per_committed_chunk: i64,
    /// Rows of a page of a snapshot.
    pub rows_per_snapshot_chunk: i64,
    /// Rows of a whole snapshot.
    pub rows_per_snapshot: Option<i64>,
    /// Later revision: bytes of the rows of a page of a snapshot.
    pub bytes_per_snapshot_chunk: i64,
    /// Later revision: bytes of one row of a snapshot.
    pub bytes_per_snapshot_row: i64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            rows_per_bundle: None,
            bundles_per_pull: 5000,
            rows_per_push_chunk: 5000,
            rows_per_committed_chunk: 5000,
            rows_per_snapshot_chunk: 5000,
            rows_per_snapshot: None,
            bytes_per_snapshot_chunk: 8 << 20,
            bytes_per_snapshot_row: 8 << 20,
        }
    }
}

/// How long things last.
#[derive(Clone, Debug)]
pub struct Lifetimes {
    pub push_session: Duration,
    pub snapshot: Duration,
    /// How long one device has to initialise the server for its user.
    pub lease: Duration,
}

impl Default for Lifetimes {
    fn default() -> Lifetimes {
        let quarter = Duration::from_secs(900);
        Lifetimes {
            push_session: quarter,
            snapshot: quarter,
            lease: quarter,
        }
    }
}

/// The stream that tells devices of new bundles.
#[derive(Clone, Debug)]
pub struct Watch {
    pub is_on: bool,
    /// Time between two heartbeats.
    pub heartbeat: Duration,
    /// Sources whose name begins like this may not watch.
    pub refused: Option<String>,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            is_on: true,
            heartbeat: Duration::from_secs(25),
            refused: None,
        }
    }
}

/// Settings of a server. The default is the published example server on a free port.
#[derive(Clone, Debug)]
pub struct Options {
    pub schema: String,
    pub tables: Vec<Table>,
    pub app_name: String,
    pub limits: Limits,
    pub lifetimes: Lifetimes,
    /// So many of the newest bundles of a user are kept; None keeps all.
    pub retained_bundles: Option<i64>,
    pub watch: Watch,
    /// Wrong methods are answered in JSON, not in text.
    pub json_405: bool,
    pub defects: Defects,
    /// At the beginning, see [`super::B::speak`].
    pub revision: Revision,
    /// Tokens that stand for a user without being signed: token, user.
    pub tokens: Vec<(String, String)>,
    /// For tests that are not about tokens: whoever sends none, or one that nobody knows, is this user.
    pub anonymous: Option<String>,
    /// 0 takes a free one.
    pub port: u16,
    /// Larger request bodies get 413.
    pub max_body: usize,
    /// Keep what clients sent, for [`super::B::requests`].
    pub log_requests: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            schema: "business".to_string(),
            tables: business(),
            app_name: "syncscope-stand-in".to_string(),
            limits: Limits::default(),
            lifetimes: Lifetimes::default(),
            retained_bundles: None,
            watch: Watch::default(),
            json_405: false,
            defects: Defects::default(),
            revision: Revision::default(),
            tokens: Vec::new(),
            anonymous: None,
            port: 0,
            max_body: 256 << 20,
            log_requests: true,
        }
    }
}
