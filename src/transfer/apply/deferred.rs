//! Rows that must wait for others of the same answer: a UNIQUE value moves from one row to another.

use std::collections::HashSet;

use crate::capture::Key;
use crate::ground::SyncError;
use crate::providers::wire::Slot;
use crate::transfer::held::Reason;

use super::decide::Remote;
use super::lift::Lifted;
use super::meeting::Chosen;

/// Most rows that wait.
const MOST: usize = 10_000;

/// A row that did not fit yet.
pub struct Waiting {
    pub place: usize,
    pub key: Key,
    pub word: Word,
    /// The row as it was here, when it was taken out to let go of its values.
    pub lifted: Option<Lifted>,
    /// What the table said; the answer when it never fits.
    pub error: SyncError,
    /// The same as a reason to hold it.
    pub reason: Option<Reason>,
}

/// What is to be written.
pub enum Word {
    /// The row as it came.
    Row(Remote, Vec<Slot<'static>>),
    /// What was decided about it. It is not decided about again: what that rested on may be gone by then.
    Chosen(Chosen<'static>),
}

impl Word {
    /// The columns that the row is to get.
    pub fn slots(&self) -> &[Slot<'static>] {
        match self {
            Self::Row(_, row) => row,
            Self::Chosen(chosen) => &chosen.row,
        }
    }
}

/// The rows that wait, in the order of the answer.
#[derive(Default)]
pub struct Deferred {
    rows: Vec<Waiting>,
    /// Which rows wait, for a quick look.
    keys: HashSet<(usize, Key)>,
}

impl Deferred {
    /// Puts a row off; gives it back when too many wait.
    pub fn put_off(&mut self, row: Waiting) -> Option<Waiting> {
        if self.rows.len() >= MOST {
            return Some(row);
        }
        self.keys.insert((row.place, row.key.clone()));
        self.rows.push(row);
        None
    }

    /// A newer word on a row makes what is pending of it void.
    pub fn forget(&mut self, place: usize, key: &Key) {
        if self.rows.is_empty() || !self.keys.remove(&(place, key.clone())) {
            return;
        }
        self.rows
            .retain(|row| row.place != place || row.key != *key);
    }

    /// The rows that wait: place, key and columns.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &Key, &[Slot<'static>])> {
        let rows = self.rows.iter();
        rows.map(|row| (row.place, &row.key, row.word.slots()))
    }

    /// Whether a row waits.
    pub fn has(&self, place: usize, key: &Key) -> bool {
        !self.keys.is_empty() && self.keys.contains(&(place, key.clone()))
    }

    /// Takes all rows that wait.
    pub fn take(&mut self) -> Vec<Waiting> {
        self.keys.clear();
        std::mem::take(&mut self.rows)
    }
}
