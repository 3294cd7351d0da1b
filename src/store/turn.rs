//! Turns: the calls that SQLite makes into this library.
//!
//! Within a turn nobody else gets to the connection. Between two turns the host may do anything to it, also
//! finalize statements that are not its own: some hosts walk through all of them before they close.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers are never used twice, so that turns of different threads are never mistaken for one.
static LAST: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// Lasts until it is dropped; the turn around it, if this is a call within a call, goes on then.
pub(super) struct Turn {
    around: u64,
}

/// A call from SQLite begins.
pub(super) fn begin() -> Turn {
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    Turn {
        around: CURRENT.replace(number),
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        CURRENT.set(self.around);
    }
}

/// The turn this thread is in. 0 in a thread of our own, whose connections no host knows.
pub(super) fn current() -> u64 {
    CURRENT.get()
}
