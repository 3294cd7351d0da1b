//! What the server knows: users, their bundles and rows, open sessions. All of it is in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::answer::{Answer, Answered};
use super::bundle::{Bundle, hex};
use super::options::{Options, Revision};
use super::rows::Rows;
use super::tables::Table;
use crate::oversync::stamp;

/// The server behind its addresses.
pub struct Service {
    pub options: Options,
    /// The later revision is spoken: from the beginning, or since the server was updated.
    pub is_later: AtomicBool,
    state: Mutex<State>,
    /// Counts what streams have to look at.
    pub changed: watch::Sender<u64>,
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub struct Who {
    pub user: String,
    pub source: String,
}

/// Whether the service works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    #[default]
    Well,
    /// New requests are refused with 503.
    Closing,
    /// It is closed, or its database is out of order: everything is a 500.
    Broken,
}

#[derive(Default)]
pub struct State {
    pub users: BTreeMap<String, User>,
    pub pushes: HashMap<String, PushSession>,
    pub snapshots: HashMap<String, Snapshot>,
    pub health: Health,
    pub clock: Clock,
    /// Each push that was committed.
    pub pushed: Vec<Pushed>,
    pub pruned_errors: i64,
    pub replays: i64,
    /// Streams that were opened before the last time that all were ended are over.
    pub stream_age: u64,
    pub open_streams: usize,
    /// Later revision: so many snapshots, and pages of them, are put off.
    pub busy_builds: u32,
    pub busy_pages: u32,
    ids: u64,
}

/// Everything of one user.
#[derive(Default)]
pub struct User {
    pub scope: Scope,
    /// The newest bundle.
    pub head: i64,
    /// Bundles up to this one are gone.
    pub floor: i64,
    pub bundles: BTreeMap<i64, Bundle>,
    pub sources: BTreeMap<String, Source>,
    pub rows: Rows,
    /// What the streams are told, in order.
    pub notices: Vec<Notice>,
}

#[derive(Clone, Debug, Default)]
pub enum Scope {
    #[default]
    Uninitialized,
    Initializing(Lease),
    Initialized,
}

/// The right of one device to bring the first rows.
#[derive(Clone, Debug)]
pub struct Lease {
    pub source: String,
    pub id: String,
    pub until: DateTime<Utc>,
}

/// A device as the server knows it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Its bundle ids and what they became.
    pub committed: BTreeMap<i64, i64>,
    pub replaced_by: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Notice {
    pub seq: i64,
    pub source: String,
    pub source_bundle_id: i64,
}

pub struct PushSession {
    pub who: Who,
    pub source_bundle_id: i64,
    pub planned: i64,
    pub initialization: Option<String>,
    pub rows: Vec<StagedRow>,
    pub expires: DateTime<Utc>,
    /// Later revision: what the client says its rows hash to.
    pub request_hash: Option<String>,
}

/// A row of a push before it is committed.
#[derive(Clone, Debug)]
pub struct StagedRow {
    /// Place among the tables.
    pub table: usize,
    pub key: String,
    pub op: super::rows::Effect,
    pub base: i64,
    pub payload: Option<Map<String, Value>>,
    /// As it was sent.
    pub sent: Value,
}

pub struct Snapshot {
    pub user: String,
    pub seq: i64,
    pub rows: Vec<SnapshotRow>,
    pub expires: DateTime<Utc>,
}

#[derive(Clone, Debug)]
pub struct SnapshotRow {
    pub table: String,
    pub key: String,
    pub version: i64,
    pub payload: String,
    pub bytes: i64,
}

/// A push that was committed, as the client sent it.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub user: String,
    pub source: String,
    pub source_bundle_id: i64,
    pub bundle_seq: i64,
    /// `schema, table, key, op, base_row_version, payload`.
    pub rows: Vec<Value>,
}

/// The time, which tests can stop and move.
#[derive(Default)]
pub struct Clock {
    stopped: Option<DateTime<Utc>>,
}

impl Clock {
    pub fn now(&self) -> DateTime<Utc> {
        self.stopped.unwrap_or_else(Utc::now)
    }

    /// Stops the clock if it runs, and moves it on.
    pub fn advance(&mut self, by: Duration) {
        self.stopped = Some(self.now() + by);
    }
}

impl Service {
    pub fn new(options: Options) -> Service {
        Service {
            is_later: AtomicBool::new(options.revision == Revision::Later),
            options,
            state: Mutex::default(),
            changed: watch::channel(0).0,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets streams look.
    pub fn tell_streams(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Place of a table, by its name.
    pub fn table(&self, name: &str) -> Option<usize> {
        self.options
            .tables
            .iter()
            .position(|table| table.name == name)
    }

    /// A table by its place.
    pub fn declared(&self, table: usize) -> &Table {
        &self.options.tables[table]
    }

    /// `business.users`.
    pub fn full_name(&self, table: usize) -> String {
        format!("{}.{}", self.options.schema, self.declared(table).name)
    }
}

impl State {
    /// A new UUID.
    pub fn new_id(&mut self) -> String {
        self.ids += 1;
        let digits = hex(&format!(
            "{} {}",
            self.ids,
            Utc::now().timestamp_nanos_opt().unwrap_or(0)
        ));
        format!(
            "{}-{}-4{}-a{}-{}",
            &digits[..8],
            &digits[8..12],
            &digits[13..16],
            &digits[17..20],
            &digits[20..32]
        )
    }

    /// The user, known from now on.
    pub fn user(&mut self, name: &str, tables: usize) -> &mut User {
        self.users.entry(name.to_string()).or_insert_with(|| User {
            rows: Rows::new(tables),
            ..User::default()
        })
    }

    /// How far the server is initialised for a user.
    pub fn scope(&self, user: &str) -> Scope {
        let now = self.clock.now();
        match self.users.get(user).map(|user| &user.scope) {
            Some(Scope::Initializing(lease)) if lease.until <= now => Scope::Uninitialized,
            Some(scope) => scope.clone(),
            None => Scope::Uninitialized,
        }
    }

    /// The user, if it may be read for this device.
    pub fn readable(&self, who: &Who, options: &Options) -> Answered<&User> {
        match self.scope(&who.user) {
            Scope::Initialized => {}
            Scope::Uninitialized => return Err(uninitialized(&who.user)),
            Scope::Initializing(lease) => {
                let may = lease.source == who.source && !options.defects.initialiser_may_not_read;
                if !may {
                    return Err(initializing(&who.user, &lease));
                }
            }
        }
        let known = self.users.get(&who.user);
        known.ok_or_else(|| uninitialized(&who.user))
    }

    /// 409 if a checkpoint lies in history that is gone.
    pub fn check_floor(&mut self, user: &str, checkpoint: i64, reached: bool) -> Answered<()> {
        let floor = self.users.get(user).map_or(0, |user| user.floor);
        let is_gone = checkpoint < floor || (reached && checkpoint == floor && floor > 0);
        if !is_gone {
            return Ok(());
        }
        self.pruned_errors += 1;
        let message = format!(
            "requested checkpoint {checkpoint} is older than retained history floor {floor} for user {user}"
        );
        Err(Answer::error(409, "history_pruned", &message))
    }
}

/// 409 before anybody has connected.
pub fn uninitialized(user: &str) -> Answer {
    let message = format!("sync scope for user {user} is not initialized");
    Answer::error(409, "scope_uninitialized", &message)
}

/// 409 while somebody brings the first rows.
pub fn initializing(user: &str, lease: &Lease) -> Answer {
    let until = stamp::stored(lease.until);
    let message = format!("sync scope for user {user} is initializing until {until}");
    Answer::error(409, "scope_initializing", &message)
}

impl User {
    /// The id that the next bundle of a source must have.
    pub fn next_id(&self, source: &str) -> i64 {
        let last = self
            .sources
            .get(source)
            .and_then(|source| source.committed.last_key_value());
        last.map_or(1, |(id, _)| id + 1)
    }

    /// The bundle of a tuple, and whether it is still there.
    pub fn committed(&self, source: &str, id: i64) -> Option<(i64, Option<&Bundle>)> {
        let seq = *self.sources.get(source)?.committed.get(&id)?;
        Some((seq, self.bundles.get(&seq)))
    }

    pub fn replaced_by(&self, source: &str) -> Option<&str> {
        self.sources.get(source)?.replaced_by.as_deref()
    }
}
