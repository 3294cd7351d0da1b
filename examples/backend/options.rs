//! What a backend is started with.

use std::path::PathBuf;

/// Where the data lives.
#[derive(Clone, Debug, Default)]
pub enum Place {
    /// A private file in the temporary folder, deleted when the backend stops. (Not RAM: a pull
    /// reads a snapshot while others write, which needs SQLite's write-ahead log.)
    #[default]
    Temporary,
    /// This file; if it has data, the data is kept.
    File(PathBuf),
}

/// Settings of a backend. [`Default`] is an empty schema on a free port.
#[derive(Clone, Debug)]
pub struct Options {
    /// `CREATE TABLE` statements, and whatever else the tables need.
    pub schema_sql: String,
    /// CSV files with a header line, by table; a table that has rows is not loaded again.
    pub csv: Vec<(String, PathBuf)>,
    /// The CSV text that means NULL.
    pub null_text: String,
    pub place: Place,
    /// 0 takes a free one.
    pub port: u16,
    /// If set, requests without `Authorization: Bearer TOKEN` get 401.
    pub token: Option<String>,
    /// Larger request bodies get 413.
    pub max_body: usize,
    /// Keep what clients sent, for [`super::Backend::requests`].
    pub log_requests: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            schema_sql: String::new(),
            csv: Vec::new(),
            null_text: "NA".to_string(),
            place: Place::Temporary,
            port: 0,
            token: None,
            max_body: 256 << 20,
            log_requests: true,
        }
    }
}
