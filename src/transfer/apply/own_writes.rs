//! Keeping what is applied out of the log.
//!
//! Where nothing but our own triggers would fire, triggers are off and nothing is logged. Where triggers or foreign
//! key actions of the application may change rows as a side effect, they stay on, and what was logged of the rows applied
//! is taken back: the entries of other rows are edits, and stay.

use std::collections::HashSet;

use crate::capture::{Key, log};
use crate::store::{Database, Result, TriggersOff};
use crate::transfer::binding::Binding;

use super::side_effects;

/// Rows after which entries of other rows are set apart from ours, where others can appear at all.
const BATCH: usize = 1000;

/// What we write, in one transaction.
pub struct OwnWrites<'a> {
    database: &'a Database,
    /// Rows written since `mark`; none where no others can appear.
    written: Option<HashSet<(i64, Key)>>,
    /// Other rows that have changed so far, and those of them that we wrote later after all.
    others: HashSet<(i64, Key)>,
    written_later: HashSet<(i64, Key)>,
    /// Nothing of the application runs.
    alone: bool,
    triggers_off: Option<TriggersOff>,
    /// The log's end before we wrote anything.
    start: i64,
    mark: i64,
}

impl<'a> OwnWrites<'a> {
    /// `start` is the log's end. `asks`: the application's SQL runs while we write.
    ///
    /// # Errors
    /// SQLite's.
    pub fn begin(
        database: &'a Database,
        bindings: &[Binding],
        start: i64,
        asks: bool,
    ) -> Result<Self> {
        let written = side_effects::possible(database, bindings)?.then(HashSet::new);
        let alone = written.is_none() && !asks;
        let triggers_off = alone.then(|| TriggersOff::begin(database.connection()));
        Ok(Self {
            database,
            written,
            others: HashSet::new(),
            written_later: HashSet::new(),
            alone,
            triggers_off: triggers_off.flatten(),
            start,
            mark: start,
        })
    }

    /// Whether nothing of the application runs while we write.
    pub fn are_alone(&self) -> bool {
        self.alone
    }

    /// Whether rows that nobody named may change as a side effect.
    pub fn may_touch_others(&self) -> bool {
        self.written.is_some()
    }

    /// A row was written.
    ///
    /// # Errors
    /// SQLite's.
    pub fn wrote(&mut self, table: i64, key: &Key) -> Result<()> {
        let Some(written) = self.written.as_mut() else {
            return Ok(());
        };
        let row = (table, key.clone());
        if self.others.contains(&row) {
            self.written_later.insert(row.clone());
        }
        written.insert(row);
        match written.len() < BATCH {
            true => Ok(()),
            false => self.take_back(),
        }
    }

    /// All is written.
    ///
    /// # Errors
    /// SQLite's.
    pub fn finish(mut self) -> Result<()> {
        self.triggers_off = None;
        self.take_back()?;
        if !self.written_later.is_empty() {
            log::take_back(self.database, self.start, &self.written_later)?;
        }
        Ok(())
    }

    fn take_back(&mut self) -> Result<()> {
        match self.written.as_mut() {
            None => log::take_back_all(self.database, self.mark),
            Some(written) => {
                let others = log::take_back(self.database, self.mark, written)?;
                self.others.extend(others);
                written.clear();
                self.mark = log::high_water(self.database)?;
                Ok(())
            }
        }
    }
}
