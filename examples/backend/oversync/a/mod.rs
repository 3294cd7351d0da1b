//! Protocol A: devices send changes of rows and read a log of them.
//!
//! | file | subject |
//! |---|---|
//! | `options.rs` | what a server is started with |
//! | `tables.rs` | the tables it is told about, those of the example server |
//! | `defects.rs` | what is wrong with the real server, to be turned off one by one |
//! | `server.rs` | what the requests share |
//! | `http.rs` | requests and answers |
//! | `change.rs` | the changes of an upload, each looked at by itself |
//! | `upload.rs` | what becomes of them |
//! | `transaction.rs` | taking them, together or one by one |
//! | `keys.rs` | foreign keys |
//! | `outcome.rs` | what became of a change, and how it is said |
//! | `flight.rs` | uploads that wait, and are overtaken |
//! | `download.rs` | a page of the log |
//! | `project.rs` | from a payload to a row of a business table |
//! | `operator.rs` | what could not be projected |
//! | `state.rs` | all that the server knows |
//! | `edits.rs` | edits of another device |
//! | `json.rs` | spellings |

mod change;
mod defects;
mod download;
mod edits;
mod flight;
mod http;
mod json;
mod keys;
mod operator;
mod options;
mod outcome;
mod project;
mod server;
mod state;
mod tables;
mod transaction;
mod upload;

use std::sync::Arc;

use serde_json::Value;

pub use change::Change;
pub use defects::Defects;
pub use edits::{ANOTHER_DEVICE, Late};
pub use flight::{Held, Holder};
pub use options::{Mount, Options};
pub use state::Breakdown;
pub use tables::{Column, ColumnKind, Table, example};

use super::token;
use crate::faults::Faults;
use crate::moments::Moments;
use crate::request_log::SeenRequest;
use crate::running::{Running, wait_for_signal};
use server::Inner;
use transaction::Who;

/// A running server of protocol A. It stops, and its connections break, when this is dropped.
pub struct A {
    inner: Arc<Inner>,
    running: Running,
}

/// A row as the server holds it for a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub version: i64,
    /// None: it is deleted.
    pub payload: Option<Value>,
}

impl A {
    /// The example server, on a free port. Panics if it cannot start: meant for tests.
    pub fn example() -> A {
        A::start(Options::default()).unwrap_or_else(|error| panic!("oversync: {error}"))
    }

    /// Starts a server; when this returns, it answers.
    pub fn start(options: Options) -> Result<A, String> {
        let port = options.port;
        let inner = Arc::new(Inner::new(options));
        let running = Running::start(http::router(Arc::clone(&inner)), port)?;
        Ok(A { inner, running })
    }

    /// Origin of the server, such as `http://127.0.0.1:40123`, without a trailing slash.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// Port of the server, to start a successor in the same place.
    pub fn port(&self) -> u16 {
        self.running.address().port()
    }

    /// A token of a device, good for an hour.
    pub fn token(&self, user: &str, device: &str) -> String {
        token::sign(user, Some(device), 3600)
    }

    /// From now on this text is a token of that device.
    pub fn accept(&self, token: &str, user: &str, device: &str) {
        let who = Who {
            user: user.to_string(),
            source: device.to_string(),
        };
        self.inner.known_tokens().insert(token.to_string(), who);
    }

    /// Changes settings of the running server; port, log and size of requests stay.
    pub fn set(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.inner.state().options);
    }

    /// The switches that make it misbehave: `"on": "push"` is an upload, `"on": "pull"` a download.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// What is done at certain moments of the requests to come.
    pub fn moments(&self) -> &Moments {
        &self.inner.moments
    }

    /// What clients sent so far, oldest first.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.inner.log.all()
    }

    /// The changes of each upload so far that was understood, oldest first.
    pub fn uploads(&self) -> Vec<Vec<Change>> {
        self.inner.uploads().clone()
    }

    /// Forgets the requests and uploads seen so far.
    pub fn clear_requests(&self) {
        self.inner.log.clear();
        self.inner.uploads().clear();
    }

    // ---- another device of a user

    /// Another device writes rows, in one request: these columns of rows that are there, or new rows. Panics
    /// if the server refuses one. A foreign key that is null is left out, as the server can not take it.
    pub fn put(&self, user: &str, table: &str, rows: &[Value]) {
        let changes = edits::upserts(&self.inner, user, table, rows);
        edits::store(&self.inner, user, &changes);
    }

    /// Another device deletes rows, in one request; those that are not there are left out.
    pub fn remove(&self, user: &str, table: &str, ids: &[&str]) {
        let changes = edits::deletes(&self.inner, user, table, ids);
        edits::store(&self.inner, user, &changes);
    }

    /// Another device writes rows, slowly: they have their numbers now and are there when they are published.
    pub fn put_late(&self, user: &str, table: &str, rows: &[Value]) -> Late {
        let changes = edits::upserts(&self.inner, user, table, rows);
        edits::late(&self.inner, user, changes)
    }

    // ---- looking

    /// The rows of a user as they are projected, sorted by id: every column, ids of parents as UUIDs, bytes in
    /// base64. A row that could not be projected is as it was projected last, or is missing.
    pub fn rows(&self, user: &str, table: &str) -> Vec<Value> {
        let state = self.inner.state();
        let owner = state.owner(user);
        let is_of_user = |pk: &str| {
            let key = (user.to_string(), table.to_string(), pk.to_string());
            state.rows.get(&key).is_some_and(|row| !row.deleted)
        };
        let rows = state.projected.get(table).into_iter().flatten();
        rows.filter(|((of, pk), _)| *of == owner && is_of_user(pk))
            .map(|(_, row)| Value::Object(row.clone()))
            .collect()
    }

    /// A row as the server holds it for a user; None: it has never been there.
    pub fn stored(&self, user: &str, table: &str, id: &str) -> Option<Stored> {
        let key = (user.to_string(), table.to_string(), id.to_string());
        let state = self.inner.state();
        let row = state.rows.get(&key)?;
        Some(Stored {
            version: row.version,
            payload: json::members(&row.payload).map(Value::Object),
        })
    }

    // ---- trouble in the server's house

    /// Something is out of order in the database, until further notice.
    pub fn break_down(&self, breakdown: Breakdown) {
        self.inner.state().breakdown = breakdown;
    }

    /// Somebody holds rows or a table, until the holder ends it.
    pub fn hold(&self, held: Held) -> Holder {
        flight::hold(&self.inner, held)
    }

    /// How many uploads wait for what somebody holds.
    pub fn waiting(&self) -> usize {
        self.inner.waiting()
    }

    /// Waits for an interrupt or a termination signal, then stops.
    pub fn run_until_signal(self) -> Result<(), String> {
        wait_for_signal()
    }
}
