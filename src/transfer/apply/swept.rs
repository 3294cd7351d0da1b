//! Rows edited here that are deleted although the answer doesn't name them: together with another, by a foreign
//! key or a trigger of the application. The edits are kept as a conflict.

use std::collections::HashSet;

use crate::capture::{Key, KeyMap};
use crate::store::Result;

use super::table::TableApplier;

/// A row that is gone.
pub struct Gone {
    /// Table and key.
    pub row: (i64, Key),
    /// The server has it: it was not made here alone.
    pub is_there: bool,
}

/// The rows edited here before the first delete of an answer, as JSON, for each table.
#[derive(Default)]
pub struct Swept {
    edited: Option<Vec<KeyMap<String>>>,
    /// Rows whose deletion is recorded elsewhere.
    named: HashSet<(usize, Key)>,
}

impl Swept {
    /// Remembers what is edited here, once.
    ///
    /// # Errors
    /// SQLite's.
    pub fn look(&mut self, tables: &mut [TableApplier<'_>]) -> Result<()> {
        if self.edited.is_some() {
            return Ok(());
        }
        let edited = tables.iter_mut().map(TableApplier::edited);
        self.edited = Some(edited.collect::<Result<_>>()?);
        Ok(())
    }

    /// The answer itself deletes this row.
    pub fn named(&mut self, place: usize, key: &Key) {
        let edited = self.edited.as_ref().and_then(|tables| tables.get(place));
        if edited.is_some_and(|rows| !rows.is_empty()) {
            self.named.insert((place, key.clone()));
        }
    }

    /// Records those that are gone, and returns them: with their table, and whether the server has them.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record(&mut self, tables: &mut [TableApplier<'_>]) -> Result<Vec<Gone>> {
        let mut gone = Vec::new();
        for (place, mut edited) in self.edited.take().into_iter().flatten().enumerate() {
            let mut rows = edited.walk(None)?;
            while let Some((key, row)) = rows.next()? {
                let is_named = self.named.contains(&(place, key.clone()));
                let table = &mut tables[place];
                if is_named || table.has(&key)? {
                    continue;
                }
                let is_there = table.was_there(&key)?;
                table.record_gone(&key, row)?;
                let row = (table.binding.table.id, key);
                gone.push(Gone { row, is_there });
            }
        }
        Ok(gone)
    }
}
