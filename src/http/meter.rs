//! How many bytes have gone out and come in, for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the bytes of several requests, one after the other.
#[derive(Debug, Default)]
pub struct Meter {
    sent: AtomicU64,
    received: AtomicU64,
    /// Bytes of the body of the request under way.
    body: AtomicU64,
    /// How far that body is.
    body_done: AtomicU64,
    /// Bytes of the answer under way, 0 when it does not say.
    answer: AtomicU64,
    answer_done: AtomicU64,
}

/// What a meter shows at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes of bodies sent since the beginning, repeated ones included.
    pub sent: u64,
    /// Bytes of bodies received since the beginning, as they came over the wire.
    pub received: u64,
    /// Of what is under way, the bytes behind us.
    pub done: u64,
    /// All bytes of what is under way; none when that is not known.
    pub total: Option<u64>,
}

impl Meter {
    /// A request with a body of so many bytes begins.
    pub fn begin(&self, body: u64) {
        self.body.store(body, Ordering::Relaxed);
        self.restart();
    }

    /// The request begins again from its first byte.
    pub(super) fn restart(&self) {
        for part in [&self.body_done, &self.answer, &self.answer_done] {
            part.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.body_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An answer begins that announces so many bytes.
    pub(super) fn answers(&self, bytes: u64) {
        self.answer.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.answer_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An answer of so many bytes that did not come through this room.
    pub fn given(&self, bytes: u64) {
        let body = self.body.load(Ordering::Relaxed);
        self.sent.fetch_add(body, Ordering::Relaxed);
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What it shows now.
    pub fn now(&self) -> Transfer {
        let number = |atomic: &AtomicU64| atomic.load(Ordering::Relaxed);
        let answering = number(&self.answer_done) > 0 || number(&self.answer) > 0;
        let (done, total) = match answering {
            true => (number(&self.answer_done), number(&self.answer)),
            false => (number(&self.body_done), number(&self.body)),
        };
        Transfer {
            sent: number(&self.sent),
            received: number(&self.received),
            done,
            total: (total > 0).then_some(total),
        }
    }
}
