//! What the requests of a server share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::change::Change;
use super::flight::Hold;
use super::options::Options;
use super::state::State;
use super::transaction::Who;
use crate::faults::{Faults, Kind};
use crate::moments::{Moment, Moments};
use crate::request_log::RequestLog;

/// Everything a request needs. Who wants both locks takes that of the state first.
pub struct Inner {
    state: Mutex<State>,
    holds: Mutex<Vec<Hold>>,
    pub next_hold: AtomicU64,
    /// The id of the next change of another device.
    pub next_change: AtomicI64,
    waiting: AtomicUsize,
    pub faults: Faults,
    pub moments: Moments,
    pub log: RequestLog,
    /// The changes of each upload that was understood.
    uploads: Mutex<Vec<Vec<Change>>>,
    /// Texts that are taken as tokens, whatever they say.
    known_tokens: Mutex<HashMap<String, Who>>,
    keeps_uploads: bool,
}

impl Inner {
    pub fn new(options: Options) -> Inner {
        let keeps = options.log_requests;
        Inner {
            state: Mutex::new(State::new(options)),
            holds: Mutex::default(),
            next_hold: AtomicU64::new(1),
            next_change: AtomicI64::new(1),
            waiting: AtomicUsize::new(0),
            faults: Faults::default(),
            moments: Moments::default(),
            log: RequestLog::new(keeps),
            uploads: Mutex::default(),
            known_tokens: Mutex::default(),
            keeps_uploads: keeps,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub fn holds(&self) -> MutexGuard<'_, Vec<Hold>> {
        lock(&self.holds)
    }

    pub fn uploads(&self) -> MutexGuard<'_, Vec<Vec<Change>>> {
        lock(&self.uploads)
    }

    pub fn known_tokens(&self) -> MutexGuard<'_, HashMap<String, Who>> {
        lock(&self.known_tokens)
    }

    pub fn keep_upload(&self, changes: &[Change]) {
        if self.keeps_uploads {
            self.uploads().push(changes.to_vec());
        }
    }

    /// Whether a test wants the next upload to be overtaken by others.
    pub fn is_to_be_overtaken(&self) -> bool {
        self.moments.is_planned(Kind::Push, Moment::Numbered)
    }

    /// Counts a request as waiting until it is dropped.
    pub fn waits(&self) -> Waits<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waits(&self.waiting)
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

pub struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
