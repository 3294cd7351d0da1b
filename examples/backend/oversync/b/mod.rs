//! A stand-in for a server of oversync protocol B, "bundle v1". It answers what the recordings in
//! `tests/fixtures/oversync/b` answer, defects and all; `tests/backend/oversync_b.rs` holds it to that.
//!
//! | file | subject |
//! |---|---|
//! | `options.rs` | what a server is started with |
//! | `defects.rs` | what is wrong with it, and can be put right |
//! | `tables.rs` | tables, columns and keys; the example schema |
//! | `declared.rs` | the same from `CREATE TABLE` statements |
//! | `state.rs` | users, sessions, the clock |
//! | `rows.rs` | the rows of a user, and what a bundle does to them |
//! | `cell.rs` | one value |
//! | `spelling.rs`, `image.rs` | how JSON is spelled, and a row as JSON |
//! | `bundle.rs` | a committed bundle and its hash |
//! | `route.rs`, `http.rs` | which path means what; one request |
//! | `request.rs`, `answer.rs` | bodies and queries as they come in; what is answered |
//! | `connect.rs` | who brings the first rows |
//! | `push.rs`, `chunk.rs`, `commit.rs` | sessions, their rows, and what comes of them |
//! | `pull.rs` | bundles and their rows for those who ask |
//! | `snapshot.rs` | all rows at one moment; devices that start over |
//! | `watch.rs` | the stream of events |
//! | `describe.rs` | capabilities and health |
//! | `later.rs` | the later revision of the protocol |
//! | `another.rs` | edits of other devices and of the operator, for tests |

mod another;
mod answer;
mod bundle;
mod cell;
mod chunk;
mod commit;
mod connect;
mod declared;
mod defects;
mod describe;
mod http;
mod image;
mod later;
mod options;
mod pull;
mod push;
mod request;
mod route;
mod rows;
mod snapshot;
mod spelling;
mod state;
mod tables;
mod watch;

use std::sync::Arc;

use crate::faults::Faults;
use crate::moments::Moments;
use crate::oversync::token;
use crate::request_log::{RequestLog, SeenRequest};
use crate::running::{self, Running};

pub use declared::tables_of;
pub use defects::Defects;
pub use options::{Lifetimes, Limits, Options, Revision, Watch};
pub use state::{Health, Pushed};
pub use tables::{Column, Default as Filling, Kind, Reference, Table};

use http::App;
use state::Service;

/// A running server. It stops, and its connections break, when this is dropped.
pub struct B {
    app: Arc<App>,
    running: Running,
}

impl B {
    /// Starts the published example server. Panics if it cannot start: meant for tests.
    pub fn example() -> B {
        B::start(Options::default()).unwrap_or_else(|error| panic!("oversync b: {error}"))
    }

    /// Starts a server; when this returns, it answers.
    pub fn start(options: Options) -> Result<B, String> {
        let port = options.port;
        let app = Arc::new(App {
            log: RequestLog::new(options.log_requests),
            service: Arc::new(Service::new(options)),
            faults: Faults::default(),
            moments: Moments::default(),
        });
        let running = Running::start(http::router(Arc::clone(&app)), port)?;
        Ok(B { app, running })
    }

    /// Origin of the server, such as `http://127.0.0.1:40123`, without a trailing slash.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// Port of the server, to start a successor in the same place.
    pub fn port(&self) -> u16 {
        self.running.address().port()
    }

    /// A token for a user that lives for an hour.
    pub fn token(&self, user: &str) -> String {
        token::sign(user, None, 3600)
    }

    /// The switches that make it misbehave. It knows those that `switches.rs` lists for any answer,
    /// `rejectIds` (400 for the chunk) and `renameTables` (in pulls and snapshots).
    pub fn faults(&self) -> &Faults {
        &self.app.faults
    }

    /// What is done at certain moments of the requests to come: `Arrived`, `Committed` after a
    /// commit, `Read` after a pull or a page of a snapshot.
    pub fn moments(&self) -> &Moments {
        &self.app.moments
    }

    /// What clients sent so far, oldest first.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.app.log.all()
    }

    /// Forgets the requests and the pushes seen so far.
    pub fn forget(&self) {
        self.app.log.clear();
        self.service().lock().pushed.clear();
    }

    /// Waits for an interrupt or a termination signal, then stops.
    pub fn run_until_signal(self) -> Result<(), String> {
        running::wait_for_signal()
    }

    fn service(&self) -> &Service {
        &self.app.service
    }
}
