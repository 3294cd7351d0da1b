//! Requests that wait, so that a test can do something meanwhile, however long that takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use syncscope_backend::{Backend, Kind, Moment};

use crate::waiting::{PATIENCE, wait_for};

/// A request that the backend holds. It goes on when this is dropped.
pub struct Held {
    here: Arc<AtomicBool>,
    /// What the request listens to: it goes on when this is gone.
    _go_on: Sender<()>,
}

/// The next request of this kind is held when it arrives.
pub fn hold(backend: &Backend, kind: Kind) -> Held {
    hold_at(backend, kind, Moment::Arrived, 0)
}

/// A request is held at this moment, after `skip` others of its kind.
pub fn hold_at(backend: &Backend, kind: Kind, moment: Moment, skip: u32) -> Held {
    let (held, stop) = Held::new();
    backend.moments().plan(kind, moment, skip, stop);
    held
}

impl Held {
    /// With what the request is to do when it arrives: that waits here.
    pub fn new() -> (Held, impl FnOnce() + Send + 'static) {
        let here = Arc::new(AtomicBool::new(false));
        let arrived = Arc::clone(&here);
        let (go_on, wait) = channel::<()>();
        let stop = move || {
            arrived.store(true, Ordering::SeqCst);
            let _ = wait.recv_timeout(PATIENCE);
        };
        let held = Held {
            here,
            _go_on: go_on,
        };
        (held, stop)
    }

    /// Waits until the request is there.
    pub fn wait(&self) {
        wait_for("the request", || self.here.load(Ordering::SeqCst));
    }

    /// Lets it go on.
    pub fn release(self) {}
}
