//! Rows edited here that are deleted although the answer doesn't name them: together with another, by a foreign
//! key or a trigger of the application. The edits are kept as a conflict.

use std::collections::HashSet;

use crate::capture::Key;
use crate::store::Result;

use super::table::TableApplier;

/// The rows edited here before the first delete of an answer, as JSON, each with the place of its table.
#[derive(Default)]
pub struct Swept {
    edited: Option<Vec<(usize, Key, String)>>,
    /// Rows whose deletion is recorded elsewhere.
    named: HashSet<(usize, Key)>,
}

impl Swept {
    /// Remembers what is edited here, once. Memory grows with the pending rows.
    ///
    /// # Errors
    /// SQLite's.
    pub fn look(&mut self, tables: &mut [TableApplier<'_>]) -> Result<()> {
        if self.edited.is_some() {
            return Ok(());
        }
        let mut edited = Vec::new();
        for (place, table) in tables.iter_mut().enumerate() {
            let rows = table.edited()?;
            edited.extend(rows.into_iter().map(|(key, row)| (place, key, row)));
        }
        self.edited = Some(edited);
        Ok(())
    }

    /// The answer itself deletes this row.
    pub fn named(&mut self, place: usize, key: &Key) {
        if self.edited.as_ref().is_some_and(|rows| !rows.is_empty()) {
            self.named.insert((place, key.clone()));
        }
    }

    /// Records those that are gone, and returns them.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record(&mut self, tables: &mut [TableApplier<'_>]) -> Result<Vec<(usize, Key)>> {
        let mut gone = Vec::new();
        for (place, key, row) in self.edited.take().into_iter().flatten() {
            let is_named = self.named.contains(&(place, key.clone()));
            if !is_named && tables[place].record_if_gone(&key, row)? {
                gone.push((place, key));
            }
        }
        Ok(gone)
    }
}
