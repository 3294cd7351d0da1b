//! What tests do to a server beside its addresses: edits of other devices, and the operator's work.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value};

use super::B;
use super::cell::{Cell, Reading};
use super::commit::{filled, write};
use super::options::Revision;
use super::state::{Health, Notice, Pushed, Scope, Service, State};

/// The source that other edits are said to come from.
const ANOTHER: &str = "another-device";

/// What a test writes is taken as it is.
const AS_IT_IS: Reading = Reading {
    rounds: false,
    strict_booleans: false,
};

impl B {
    /// Another device of the user writes rows, in one bundle: these columns of rows that are
    /// there, or new rows. Panics if the server would refuse them.
    pub fn put(&self, user: &str, table: &str, rows: &[Value]) {
        self.put_as(ANOTHER, user, table, rows);
    }

    /// The same under the name of a certain source, or of a program beside the server.
    pub fn put_as(&self, source: &str, user: &str, table: &str, rows: &[Value]) {
        let service = self.service();
        let place = known(service, table);
        let mut state = service.lock();
        let written = write(service, &mut state, user, source, |changes, now| {
            for row in rows {
                let row = row.as_object()?;
                let key = row.get(service.declared(place).key())?.as_str()?;
                let at = (place, key.to_string());
                let old = changes.rows().cells(place, key).map(<[Cell]>::to_vec);
                let cells = filled(service, &at, old, row, AS_IT_IS, now)?;
                changes.put(at, cells);
            }
            Some(())
        });
        assert!(
            written.is_some(),
            "{table}: the server takes no such rows: {rows:?}"
        );
    }

    /// Another device of the user deletes rows, in one bundle. Panics if none of them is there, or
    /// others still refer to one.
    pub fn remove(&self, user: &str, table: &str, ids: &[&str]) {
        let service = self.service();
        let place = known(service, table);
        let mut state = service.lock();
        let written = write(service, &mut state, user, ANOTHER, |changes, _| {
            for id in ids {
                changes.delete((place, id.to_string()));
            }
            Some(())
        });
        assert!(
            written.is_some(),
            "{table}: the server cannot delete {ids:?}"
        );
    }

    /// All rows of a user, sorted by key, columns as declared. Blobs are base64, times are spelled
    /// as the server does.
    pub fn rows(&self, user: &str, table: &str) -> Vec<Value> {
        let service = self.service();
        let place = known(service, table);
        let columns = &service.declared(place).columns;
        let state = service.lock();
        let Some(user) = state.users.get(user) else {
            return Vec::new();
        };
        let living = user.rows.living(place);
        living
            .map(|(_, _, cells)| {
                let members = columns
                    .iter()
                    .zip(cells)
                    .map(|(column, cell)| (column.name.clone(), value(cell)));
                Value::Object(members.collect::<Map<String, Value>>())
            })
            .collect()
    }

    /// The pushes that were committed, oldest first.
    pub fn pushes(&self) -> Vec<Pushed> {
        self.service().lock().pushed.clone()
    }

    /// The number of a user's newest bundle.
    pub fn head(&self, user: &str) -> i64 {
        self.service()
            .lock()
            .users
            .get(user)
            .map_or(0, |user| user.head)
    }

    /// The user's bundles up to this one are gone.
    pub fn prune(&self, user: &str, floor: i64) {
        if let Some(user) = self.service().lock().users.get_mut(user) {
            user.floor = floor;
        }
    }

    /// The time of all open sessions and snapshots is up.
    pub fn expire_sessions(&self) {
        let mut state = self.service().lock();
        let State {
            pushes,
            snapshots,
            clock,
            ..
        } = &mut *state;
        let now = clock.now();
        pushes
            .values_mut()
            .for_each(|session| session.expires = now);
        snapshots
            .values_mut()
            .for_each(|snapshot| snapshot.expires = now);
    }

    /// The time of the device that initialises the server for a user is up.
    pub fn expire_lease(&self, user: &str) {
        let mut state = self.service().lock();
        let now = state.clock.now();
        let scope = state.users.get_mut(user).map(|user| &mut user.scope);
        if let Some(Scope::Initializing(lease)) = scope {
            lease.until = now;
        }
    }

    /// Stops the server's clock, if it runs, and moves it on.
    pub fn advance(&self, by: Duration) {
        self.service().lock().clock.advance(by);
    }

    /// Forgets all users, as after a restore from nothing.
    pub fn wipe(&self) {
        self.service().lock().wipe();
        self.service().tell_streams();
    }

    /// Forgets one user.
    pub fn wipe_user(&self, user: &str) {
        let mut state = self.service().lock();
        state.users.remove(user);
        state.pushes.retain(|_, session| session.who.user != user);
        state.snapshots.retain(|_, snapshot| snapshot.user != user);
    }

    /// Whether the service works.
    pub fn set_health(&self, health: Health) {
        self.service().lock().health = health;
        self.service().tell_streams();
    }

    /// Ends all open streams, as a server does that is stopped.
    pub fn end_streams(&self) {
        self.service().lock().stream_age += 1;
        self.service().tell_streams();
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> usize {
        self.service().lock().open_streams
    }

    /// Streams are told of bundles that do not exist, all in one instant.
    pub fn announce(&self, user: &str, source: &str, bundles: &[i64]) {
        if let Some(user) = self.service().lock().users.get_mut(user) {
            user.notices.extend(bundles.iter().map(|seq| Notice {
                seq: *seq,
                source: source.to_string(),
                source_bundle_id: *seq,
            }));
        }
        self.service().tell_streams();
    }

    /// The server is updated, or put back, to this revision. What it has stays as it was spelled.
    pub fn speak(&self, revision: Revision) {
        let is_later = revision == Revision::Later;
        self.service().is_later.store(is_later, Ordering::Relaxed);
    }

    /// Later revision: the next so many snapshots, and the next so many pages, are put off (429).
    pub fn busy(&self, snapshots: u32, pages: u32) {
        let mut state = self.service().lock();
        state.busy_builds = snapshots;
        state.busy_pages = pages;
    }
}

fn known(service: &Service, table: &str) -> usize {
    let place = service.table(table);
    place.unwrap_or_else(|| panic!("oversync b: no table {table}"))
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Int(number) => Value::from(*number),
        Cell::Real(number) if number.is_finite() => Value::from(*number),
        other => serde_json::from_str(&other.in_the_database()).unwrap_or_default(),
    }
}

impl State {
    /// Forgets everything but the time and what was sent.
    pub fn wipe(&mut self) {
        self.users.clear();
        self.pushes.clear();
        self.snapshots.clear();
    }
}
