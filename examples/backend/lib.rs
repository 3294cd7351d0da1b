//! The reference backend: a small HTTP server that keeps any schema it is given and syncs it.
//!
//! Two uses, one crate: `cargo run --example backend` (see `main.rs`) and the tests, by [`Backend::start`].
//!
//! | file | subject |
//! |---|---|
//! | `options.rs` | what a backend is started with |
//! | `schema.rs` | the tables, keys and columns that were declared |
//! | `load.rs` | reading CSV files into them |
//! | `store.rs` | the database file, the clock, who changed what when |
//! | `value.rs` | JSON values to SQL values and back |
//! | `watermelon/` | the WatermelonDB protocol: pull and push |
//! | `presets/` | the shapes in which it is spoken |
//! | `oversync/` | stand-ins for the servers of oversync (SQLiteNow), by [`oversync::A`] |
//! | `strategy.rs` | which answers are complete sets |
//! | `running.rs` | the server itself, which serves any routes |
//! | `server.rs` | routes, the state they share |
//! | `exchange.rs` | one request of a client: its faults, then pull or push |
//! | `control.rs` | dump, edits of "another client", the fault switches from outside |
//! | `faults.rs`, `switches.rs` | when to misbehave, on request; the ways to do it |
//! | `rejections.rs` | which ids of a push are refused |
//! | `moments.rs` | what a test does while a request waits |
//! | `body.rs` | streamed answers: gzip, cut off, slow |
//! | `socket.rs` | connections that can be cut |
//! | `request_log.rs` | what clients sent, for tests to look at |

mod body;
mod control;
mod exchange;
mod faults;
mod load;
mod moments;
mod options;
pub mod oversync;
mod presets;
mod rejections;
mod request_log;
mod running;
mod schema;
mod server;
mod socket;
mod store;
mod strategy;
mod switches;
mod value;
mod watermelon;

use std::sync::Arc;

use rusqlite::Connection;

pub use faults::{Faults, Kind};
pub use moments::{Moment, Moments};
pub use options::{Options, Place};
pub use presets::Preset;
pub use request_log::SeenRequest;

use running::Running;
use server::App;

/// A running backend. It stops, and its connections break, when this is dropped.
pub struct Backend {
    app: Arc<App>,
    running: Running,
}

impl Backend {
    /// Starts a backend for these `CREATE TABLE` statements, with its data in a file that is
    /// deleted at the end. Panics if it cannot start: meant for tests.
    pub fn start(schema_sql: &str) -> Backend {
        let options = Options {
            schema_sql: schema_sql.to_string(),
            ..Options::default()
        };
        Backend::start_with(options).unwrap_or_else(|error| panic!("backend: {error}"))
    }

    /// Starts a backend; when this returns, it answers.
    pub fn start_with(options: Options) -> Result<Backend, String> {
        let app = Arc::new(App::open(&options)?);
        let running = Running::start(server::router(Arc::clone(&app)), options.port)?;
        Ok(Backend { app, running })
    }

    /// Origin of the server, such as `http://127.0.0.1:40123`, without a trailing slash.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// Where WatermelonDB clients sync: the address to give to a provider.
    pub fn sync_url(&self) -> String {
        format!("{}/sync", self.url())
    }

    /// Where clients of a preset pull.
    pub fn pull_url(&self, preset: Preset) -> String {
        self.url() + preset.pull_path()
    }

    /// Where clients of a preset push.
    pub fn push_url(&self, preset: Preset) -> String {
        self.url() + preset.push_path()
    }

    /// Port of the server, to start a successor in the same place.
    pub fn port(&self) -> u16 {
        self.running.address().port()
    }

    /// The switches that make it misbehave.
    pub fn faults(&self) -> &Faults {
        &self.app.faults
    }

    /// What is done at certain moments of the requests to come.
    pub fn moments(&self) -> &Moments {
        &self.app.moments
    }

    /// Looks at or changes the data as another client would: one transaction, with the
    /// bookkeeping kept right whatever the SQL does. Panics on an SQL error.
    ///
    /// Pushes wait while `work` runs, so it must not sync by itself.
    pub fn sql<R>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<R>) -> R {
        self.app
            .store
            .write(|connection, _stamp| work(connection))
            .unwrap_or_else(|error: rusqlite::Error| panic!("backend: {error}"))
    }

    /// All rows of a table as JSON lines sorted by id, the text that `/_dump` answers.
    pub fn dump(&self, table: &str) -> String {
        control::dump_text(&self.app.store, table)
            .unwrap_or_else(|error| panic!("backend: {error}"))
    }

    /// What clients sent so far, oldest first; requests to `/_…` are left out.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.app.log.all()
    }

    /// Forgets the requests seen so far.
    pub fn clear_requests(&self) {
        self.app.log.clear();
    }

    /// Stops the wall clock at this time (milliseconds), or lets it go on with `None`.
    /// Stamps still grow by one per write, and never go back: a time before the last stamp
    /// changes nothing.
    pub fn freeze_clock(&self, at: Option<i64>) {
        self.app.store.freeze_clock(at);
    }

    /// Waits for an interrupt or a termination signal, then stops.
    pub fn run_until_signal(self) -> Result<(), String> {
        running::wait_for_signal()
    }
}
