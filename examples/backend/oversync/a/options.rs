//! What a server is started with.

use std::time::Duration;

use super::defects::Defects;
use super::tables::{Table, example};

/// How the server puts the protocol into the world; it shows in 401, 404 and 405.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// As the example server does: errors of these kinds are text.
    Example,
    /// By the bare handlers: they are JSON.
    Bare,
}

/// Settings of a server; [`Default`] is the example server on a free port.
#[derive(Clone, Debug)]
pub struct Options {
    /// 0 takes a free one.
    pub port: u16,
    /// The schema that the tables are in, such as `business`.
    pub schema: String,
    pub tables: Vec<Table>,
    /// A request with more changes is refused as a whole.
    pub max_changes: Option<usize>,
    /// A change with more bytes of payload is refused.
    pub max_payload: Option<usize>,
    /// Larger requests get 413.
    pub max_body: usize,
    pub mount: Mount,
    /// Whether there is `/admin/materialize-failures`.
    pub admin: bool,
    /// For tests that are not about tokens: whoever sends none, or one that nobody knows, is this user and device.
    pub anonymous: Option<(String, String)>,
    /// The password of every user; None: any will do.
    pub password: Option<String>,
    /// How long the tokens live that are given for it.
    pub token_seconds: i64,
    /// How long an upload waits for rows that somebody holds, before it counts as an attempt.
    pub lock_wait: Duration,
    pub defects: Defects,
    /// Keep what clients sent.
    pub log_requests: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            port: 0,
            schema: "business".to_string(),
            tables: example(),
            max_changes: None,
            max_payload: None,
            max_body: 256 << 20,
            mount: Mount::Example,
            admin: false,
            anonymous: None,
            password: None,
            token_seconds: 300,
            lock_wait: Duration::from_secs(3),
            defects: Defects::default(),
            log_requests: true,
        }
    }
}
