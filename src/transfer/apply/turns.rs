//! Rows that wait for each other's UNIQUE values: each has a turn, while the others let go of theirs.

use crate::capture::Key;
use crate::ground::SyncError;
use crate::providers::wire::Slot;
use crate::store::Result;
use crate::transfer::held::Reason;

use super::applier::Applier;
use super::deferred::Waiting;
use super::loose::Loose;
use super::out::{Quiet, unique_columns};

impl Applier<'_> {
    /// Takes rows that wait out of their tables, where nothing of the application would notice that they go and come.
    pub(super) fn lift(&mut self, waiting: &mut [Waiting]) {
        for row in waiting.iter_mut().filter(|row| row.lifted.is_none()) {
            row.lifted = self.tables[row.place].lift(&row.key);
        }
    }

    /// Tries rows that wait, each while the others are out of its way.
    ///
    /// # Errors
    /// SQLite's; a resolver's.
    pub(super) fn take_turns(&mut self, waiting: Vec<Waiting>) -> Result<(), SyncError> {
        let (lifted, waiting): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|row| row.lifted.is_some());
        for row in lifted {
            self.try_again(row)?;
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let unique = self
            .bindings
            .iter()
            .map(|binding| unique_columns(self.database, binding))
            .collect::<Result<Vec<_>>>()?;
        let numbers: Vec<usize> = waiting
            .iter()
            .map(|row| self.out.join(row, &unique[row.place]))
            .collect();
        let (database, bindings) = (self.database, self.bindings);
        let mut quiet = Quiet::begin(database)?;
        self.out
            .take_all_out(database, bindings, &self.references)?;
        for (row, number) in waiting.into_iter().zip(numbers) {
            self.out.put_in(database, bindings, number)?;
            drop(quiet);
            self.try_again(row)?;
            quiet = Quiet::begin(database)?;
            self.out
                .take_out(database, bindings, &self.references, number)?;
        }
        let left = self.out.put_all_in(database, bindings)?;
        drop(quiet);
        for left in left {
            let (place, key) = (left.place, &left.key);
            // One that still waits stays out.
            if self.deferred.has(place, key) {
                continue;
            }
            let reason = Reason::of(&left.error);
            let error = self.tables[place].named(left.error, key);
            match reason {
                Some(reason) => self.refuse_row(place, key, &left.row, reason, error)?,
                None => return Err(error),
            }
        }
        Ok(())
    }

    /// A row comes that may let go of a value: what the answer says of the references to it counts, not what their actions
    /// would make of them.
    pub(super) fn put_named_aside(
        &mut self,
        place: usize,
        key: &Key,
        row: &[Slot<'_>],
    ) -> Result<Vec<Loose>> {
        let mut loose = Vec::new();
        for reference in self.references.to(place) {
            if self.tables[place].changes(key, row, &reference.to)? {
                let _quiet = Quiet::begin(self.database)?;
                let (database, bindings) = (self.database, self.bindings);
                let named = self
                    .references
                    .let_named_go(database, bindings, reference, key)?;
                loose.extend(named);
            }
        }
        Ok(loose)
    }

    /// They refer to what they referred to.
    pub(super) fn give_back(&self, loose: Vec<Loose>) -> Result<()> {
        if loose.is_empty() || !self.is_open() {
            return Ok(());
        }
        let _quiet = Quiet::begin(self.database)?;
        let mut loose = loose.iter();
        loose.try_for_each(|loose| loose.give_back(self.database))
    }
}
