//! Waiting for a locked database.

use std::time::{Duration, Instant};

use crate::ground::SyncError;
use crate::providers::{Settings, busy_timeout};
use crate::store::Result;

/// Patience in the middle of a run, where giving up would waste what the network
/// brought. The caller's transaction is not open, so waiting blocks nobody.
pub struct Patience {
    until: Instant,
}

impl Patience {
    /// Starts the clock.
    pub fn new(settings: &Settings) -> Self {
        Self {
            until: Instant::now() + busy_timeout(settings),
        }
    }

    /// Tries again while the error says that the database is locked.
    ///
    /// # Errors
    /// The last one.
    pub fn retry<T>(&self, mut body: impl FnMut() -> Result<T>) -> Result<T> {
        loop {
            match body() {
                Err(error) if error.is_busy() && Instant::now() < self.until => pause(),
                outcome => return outcome,
            }
        }
    }

    /// The same for steps of a sync.
    ///
    /// # Errors
    /// The last one.
    pub fn sync<T>(&self, mut body: impl FnMut() -> Result<T, SyncError>) -> Result<T, SyncError> {
        loop {
            match body() {
                Err(error) if error.is_busy() && Instant::now() < self.until => {
                    pause();
                }
                outcome => return outcome,
            }
        }
    }
}

/// A moment, before a locked database is tried again.
pub(super) fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
