//! What the threads and their connections may take.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long our own connection waits for a lock before a statement is busy.
pub const BUSY: Duration = Duration::from_secs(5);

/// How long a thread that was asked to end has to record that. A statement that goes on for longer is
/// interrupted: a trigger in a stranger's file must not keep a connection from closing.
const GRACE: Duration = Duration::from_secs(2);

/// Says whether a thread was asked to end some time ago, and still has not.
pub fn overdue(cancel: Arc<AtomicBool>) -> impl Fn() -> bool + Send + 'static {
    let asked: Cell<Option<Instant>> = Cell::new(None);
    move || {
        if !cancel.load(Ordering::Relaxed) {
            return false;
        }
        let since = asked.get().unwrap_or_else(Instant::now);
        asked.set(Some(since));
        since.elapsed() > GRACE
    }
}
