//! Runs an attempt on its own thread, so that the caller can give up at any moment.
//!
//! A blocked socket can't be asked to stop, and `sqlite3_interrupt` doesn't reach it. So the caller's
//! thread waits here, asks `cancelled` every [`POLL`], and then shuts the agent down, which closes its socket.
//! What can't be woken (a name lookup, a connect under way) is left behind: its thread ends by itself within
//! the connect timeout and its result goes nowhere.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;

/// How often `cancelled` is asked.
pub(super) const POLL: Duration = Duration::from_millis(50);

/// How an attempt ended.
pub(super) enum Ended<T> {
    /// With a result.
    Done(T),
    /// The caller gave up.
    Cancelled,
    /// The deadline passed.
    Late,
    /// The attempt died of a panic.
    Died,
    /// The system gave no thread.
    NotStarted(io::Error),
}

/// Runs `work` until it ends, `cancelled` says so, or the deadline passes.
/// `work` gets a flag that is set when nobody waits any more.
pub(super) fn run<T: Send + 'static>(
    agent: &Agent,
    deadline: Instant,
    cancelled: &dyn Fn() -> bool,
    work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
) -> Ended<T> {
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::sync_channel(1);
    let its_stop = stop.clone();
    let started = thread::Builder::new()
        .name("syncscope-http".into())
        .spawn(move || {
            let result = work(&its_stop);
            let _ = sender.send(result); // nobody listens any more: the result is not wanted
        });
    if let Err(error) = started {
        return Ended::NotStarted(error);
    }
    let given_up = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(POLL)) {
            Ok(result) => return Ended::Done(result),
            Err(RecvTimeoutError::Disconnected) => return Ended::Died,
            Err(RecvTimeoutError::Timeout) if cancelled() => break Ended::Cancelled,
            Err(RecvTimeoutError::Timeout) if left.is_zero() => break Ended::Late,
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    stop.store(true, Ordering::Relaxed);
    agent.clone().shutdown();
    given_up
}

/// Sleeps; `false` as soon as `cancelled` says so.
pub(super) fn sleep(pause: Duration, cancelled: &dyn Fn() -> bool) -> bool {
    let until = Instant::now() + pause;
    loop {
        if cancelled() {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(POLL));
    }
}
