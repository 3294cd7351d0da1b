//! What was written and removed, and by whom.

use std::collections::{BTreeMap, BTreeSet};

use super::actor::Life;
use super::carried::Carried;

/// Number of a device.
pub type Who = usize;

/// When a row was deleted: what the device had pulled of its table.
#[derive(Debug, Clone)]
pub struct Deleted {
    pub cursor: i64,
}

#[derive(Default)]
pub struct Ledger {
    /// Every mark that a program wrote on a device, and where it was written.
    pub written: BTreeMap<String, Who>,
    /// Those that the program itself has overwritten or deleted since, device by device.
    pub removed: [BTreeSet<String>; 2],
    pub deleted: [BTreeMap<Life, Deleted>; 2],
    /// Rows that came to a key by a change of key, and may come back to it.
    pub moved: BTreeSet<Life>,
    /// Old marks that count as written again.
    pub again: BTreeSet<String>,
}

impl Ledger {
    /// A transaction was committed on a device.
    pub fn edited(&mut self, who: Who, carried: &Carried) {
        let Carried {
            before,
            after,
            cursors,
        } = carried;
        for mark in after.marks.difference(&before.marks) {
            self.written.entry(mark.clone()).or_insert(who);
            self.removed[who].remove(mark);
        }
        self.removed[who].extend(before.marks.difference(&after.marks).cloned());
        for life in after.lives.difference(&before.lives) {
            if before.marks.contains(&life.2) {
                self.moved.insert(life.clone());
            }
            for deleted in &mut self.deleted {
                deleted.remove(life);
            }
        }
        let still = |life: &Life| {
            after
                .lives
                .iter()
                .any(|other| other.0 == life.0 && other.1 == life.1)
        };
        // A row that replaces another under its key is that row with other values.
        for life in before
            .lives
            .difference(&after.lives)
            .filter(|life| !still(life))
        {
            let cursor = cursors.get(life.0).copied().unwrap_or(0);
            self.deleted[who].insert(life.clone(), Deleted { cursor });
        }
    }
}
