//! How much work something is, in steps of SQLite's machine: the same on every machine, under any load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

/// Steps are counted by the hundred.
const UNIT: i32 = 100;

/// What `done` makes SQLite do on this connection, in steps.
pub fn work_of(db: &mut Connection, done: impl FnOnce(&Connection)) -> u64 {
    let units = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&units);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    let handled = db.progress_handler(UNIT, Some(count));
    handled.expect("a progress handler");
    done(db);
    let handled = db.progress_handler(UNIT, None::<fn() -> bool>);
    handled.expect("no progress handler");
    units.load(Ordering::Relaxed) * UNIT as u64
}
