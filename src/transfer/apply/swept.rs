//! Rows edited here that go although the answer doesn't name them: a delete takes them with it, by a foreign
//! key or a trigger of the application. What was written in them is kept as a conflict.

use std::collections::HashSet;

use crate::capture::{Key, Status};
use crate::providers::wire::Slot;
use crate::store::Result;

use crate::transfer::apply::table::TableApplier;
use crate::transfer::conflict::record::{Kind, Sides};

/// The rows edited here before the first delete of an answer, as JSON.
#[derive(Default)]
pub struct Swept {
    edited: Option<Vec<(i64, Key, String)>>,
    /// Rows whose end is written down elsewhere.
    named: HashSet<(i64, Key)>,
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
        for table in tables {
            let id = table.binding.table.id;
            let rows = table.edited()?;
            edited.extend(rows.into_iter().map(|(key, row)| (id, key, row)));
        }
        self.edited = Some(edited);
        Ok(())
    }

    /// The answer itself deletes this row.
    pub fn named(&mut self, row: &(i64, Key)) {
        if !self.edited.as_ref().is_some_and(Vec::is_empty) {
            self.named.insert(row.clone());
        }
    }

    /// Writes down those that are gone.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record(&mut self, tables: &mut [TableApplier<'_>]) -> Result<()> {
        for (id, key, row) in self.edited.take().into_iter().flatten() {
            if self.named.contains(&(id, key.clone())) {
                continue;
            }
            let mut tables = tables.iter_mut();
            if let Some(table) = tables.find(|table| table.binding.table.id == id) {
                table.record_if_gone(&key, row)?;
            }
        }
        Ok(())
    }
}

impl TableApplier<'_> {
    /// The rows that are to be pushed, as JSON.
    fn edited(&mut self) -> Result<Vec<(Key, String)>> {
        let missing = vec![Slot::Missing; self.binding.columns.len()];
        let mut edited = Vec::new();
        for pending in self.pending.rows().to_vec() {
            if self.reader.find(&pending)? && self.sends(&pending, true) != Status::Nothing {
                let meeting = self.meeting(&pending.key.0, &missing, Some(&pending));
                edited.push((pending.key.clone(), self.local_json(&meeting)));
            }
            self.reader.release();
        }
        Ok(edited)
    }

    fn record_if_gone(&mut self, key: &Key, row: String) -> Result<()> {
        let exists = self.reader.find_key(&key.0)?;
        self.reader.release();
        if exists {
            return Ok(());
        }
        let sides = Sides {
            local: Some(row),
            ..Sides::default()
        };
        self.counts.conflicts += 1;
        self.conflicts.record(
            &self.binding.entity,
            key.0.borrow(),
            Kind::DeletedRemotely,
            None,
            &sides,
        )
    }
}
