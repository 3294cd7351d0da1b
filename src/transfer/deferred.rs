//! Rows that must wait for others of the same answer: a UNIQUE value moves from one row to another.

use std::collections::HashSet;

use crate::capture::Key;
use crate::providers::SyncError;
use crate::providers::wire::{Announced, Slot};
use crate::store::Value;

/// Most rows that wait; an answer in which more clash is wrong in another way.
const MOST: usize = 10_000;

/// A row that did not fit yet.
pub struct DeferredRow {
    pub place: usize,
    pub announced: Announced,
    pub key: Value,
    pub row: Vec<Slot<'static>>,
    /// What the table said; the answer when it never fits.
    pub error: SyncError,
}

/// The rows that wait, in the order of the answer.
#[derive(Default)]
pub struct Deferred {
    rows: Vec<DeferredRow>,
    /// Which rows wait, for a quick look.
    keys: HashSet<(usize, Key)>,
}

impl Deferred {
    /// Puts a row off.
    ///
    /// # Errors
    /// The row's own error when too many wait.
    pub fn put_off(&mut self, row: DeferredRow) -> Result<(), SyncError> {
        if self.rows.len() >= MOST {
            return Err(row.error);
        }
        self.keys.insert((row.place, Key(row.key.clone())));
        self.rows.push(row);
        Ok(())
    }

    /// A newer word on a row makes what waits of it void.
    pub fn forget(&mut self, place: usize, key: &Value) {
        if self.rows.is_empty() {
            return;
        }
        let key = Key(key.clone());
        if !self.keys.remove(&(place, key.clone())) {
            return;
        }
        self.rows
            .retain(|row| row.place != place || Key(row.key.clone()) != key);
    }

    /// Takes all rows that wait.
    pub fn take(&mut self) -> Vec<DeferredRow> {
        self.keys.clear();
        std::mem::take(&mut self.rows)
    }
}
