//! Rows edited here of tables that this call is not about: a deleted row may take them along, by a foreign key or a
//! trigger of the application. The edits are kept as a conflict, as those of the call's own tables are.

use std::collections::HashSet;

use crate::capture::reader::RowReader;
use crate::capture::sends::sends_of_there;
use crate::capture::{KeyMap, PendingRows, Status, Tracked};
use crate::providers::wire::{Entity, Face};
use crate::store::{Database, Result};
use crate::transfer::binding::{Binding, travelling, wire_columns};
use crate::transfer::conflict::record::{
    Kind, Recorder, Sides, pending_words, row_json, was_updated,
};

use super::setting::Setting;
use super::swept::Gone;

/// Such rows before the first delete of an answer.
pub struct Bystanders<'a> {
    database: &'a Database,
    /// Tables of the call.
    bound: HashSet<i64>,
    /// The log's end before anything was applied.
    start: i64,
    conflicts: Recorder<'a>,
    edited: Option<Vec<Edited>>,
}

/// Those of one table.
struct Edited {
    table: Tracked,
    rows: KeyMap<String>,
}

impl<'a> Bystanders<'a> {
    pub fn new(setting: &Setting<'a>, bindings: &[Binding], start: i64) -> Self {
        Self {
            database: setting.database,
            bound: bindings.iter().map(|binding| binding.table.id).collect(),
            start,
            conflicts: Recorder::new(setting.database, setting.provider, setting.run),
            edited: None,
        }
    }

    /// Remembers what is edited here, once.
    ///
    /// # Errors
    /// SQLite's.
    pub fn look(&mut self) -> Result<()> {
        if self.edited.is_some() {
            return Ok(());
        }
        let mut tables = Tracked::all(self.database)?;
        tables.retain(|table| !self.bound.contains(&table.id));
        let pending = PendingRows::read(
            self.database,
            &tables.iter().collect::<Vec<_>>(),
            self.start,
        )?;
        let mut edited = Vec::new();
        for (table, pending) in tables.into_iter().zip(pending) {
            let rows = edited_rows(self.database, &table, &pending)?;
            edited.push(Edited { table, rows });
        }
        self.edited = Some(edited);
        Ok(())
    }

    /// Records those that are gone, and returns them with their tables.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record(mut self) -> Result<Vec<Gone>> {
        let mut gone = Vec::new();
        for Edited { table, mut rows } in self.edited.take().into_iter().flatten() {
            let mut reader = RowReader::new(self.database, &table, &[])?;
            let mut rows = rows.walk(None)?;
            while let Some((key, row)) = rows.next()? {
                let exists = reader.find_key(&key.0)?;
                reader.release();
                if exists {
                    continue;
                }
                let is_there = was_updated(&row);
                let sides = Sides {
                    local: Some(row),
                    ..Sides::default()
                };
                let (entity, kind) = (&table.shape.name, Kind::DeletedRemotely);
                self.conflicts
                    .record(entity, key.0.borrow(), kind, None, &sides)?;
                let row = (table.id, key);
                gone.push(Gone { row, is_there });
            }
        }
        self.conflicts.finish()?;
        Ok(gone)
    }
}

fn edited_rows(
    database: &Database,
    table: &Tracked,
    pending: &PendingRows,
) -> Result<KeyMap<String>> {
    let mut edited = KeyMap::default();
    if pending.is_empty() {
        return Ok(edited);
    }
    let columns = travelling(table, None);
    let entity = Entity {
        name: table.shape.name.clone(),
        columns: wire_columns(table, &columns),
        key: String::new(),
        references: Vec::new(),
        integer_key: false,
    };
    let mut reader = RowReader::new(database, table, &columns)?;
    pending.each(|row| {
        let exists = reader.find(row)?;
        if exists && sends_of_there(row, &columns) != Status::Nothing {
            let (status, changed) = pending_words(&entity, &columns, Some(row));
            let words = Some((status, changed.as_str()));
            let face = |place| Some(Face::Value(reader.column(place)));
            let shown = row_json(&entity, row.key.0.borrow(), words, face);
            edited.insert(row.key.clone(), shown)?;
        }
        reader.release();
        Ok(())
    })?;
    Ok(edited)
}
