//! Rows edited here of tables that this call is not about: a deleted row may take them along, by a foreign key or a
//! trigger of the application. The edits are kept as a conflict, as those of the call's own tables are, and so are
//! references that it empties.

use std::collections::{BTreeMap, HashSet};

use crate::capture::reader::RowReader;
use crate::capture::sends::sends_of_there;
use crate::capture::{Key, KeyMap, PendingRows, Status, Tracked};
use crate::ground::Warning;
use crate::providers::values::show;
use crate::providers::wire::{Entity, Face, KeyType};
use crate::store::{Database, Result, Value};
use crate::transfer::aside;
use crate::transfer::binding::{Binding, travelling, wire_column, wire_columns};
use crate::transfer::conflict::record::{Kind, Recorder, Sides, pending_words, row_json};
use crate::transfer::send::unacknowledged::Unacknowledged;

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
    /// Rows that the server may have from a push without an answer.
    unacknowledged: &'a Unacknowledged,
    edited: Option<Vec<Edited>>,
    /// How many values were kept aside, by table and column.
    kept: BTreeMap<(String, String), i64>,
}

/// Those of one table.
struct Edited {
    table: Tracked,
    pending: PendingRows,
    rows: KeyMap<String>,
}

impl<'a> Bystanders<'a> {
    pub fn new(
        setting: &Setting<'a>,
        bindings: &[Binding],
        unacknowledged: &'a Unacknowledged,
        start: i64,
    ) -> Self {
        Self {
            database: setting.database,
            bound: bindings.iter().map(|binding| binding.table.id).collect(),
            start,
            conflicts: Recorder::new(setting.database, setting.provider, setting.run),
            unacknowledged,
            edited: None,
            kept: BTreeMap::new(),
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
            edited.push(Edited {
                table,
                pending,
                rows,
            });
        }
        self.edited = Some(edited);
        Ok(())
    }

    fn of(&self, table: i64) -> Option<&Edited> {
        let mut edited = self.edited.iter().flatten();
        edited.find(|edited| edited.table.id == table)
    }

    /// The name of a table.
    pub fn name(&self, table: i64) -> Option<&str> {
        self.of(table)
            .map(|edited| edited.table.shape.name.as_str())
    }

    /// Whether a row was made here, and the server can't have it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn was_made_here(&self, table: i64, key: &Key) -> Result<bool> {
        let pending = match self.of(table) {
            Some(edited) => edited.pending.get(key)?,
            None => None,
        };
        let is_made = pending.is_some_and(|row| row.is_made_here());
        Ok(is_made && !self.unacknowledged.may_have_created(table, key)?)
    }

    /// Whether a row is here.
    ///
    /// # Errors
    /// SQLite's.
    pub fn has(&self, table: i64, key: &Key) -> Result<bool> {
        match self.of(table) {
            Some(edited) => RowReader::new(self.database, &edited.table, &[])?.find_key(&key.0),
            None => Ok(false),
        }
    }

    /// Columns of a row were written by a foreign key's action: see [`super::table::TableApplier::emptied`].
    ///
    /// # Errors
    /// SQLite's.
    pub fn emptied(&mut self, table: i64, key: &Key, columns: &[(usize, Value)]) -> Result<()> {
        let mut edited = self.edited.iter().flatten();
        let Some(Edited { table, pending, .. }) = edited.find(|edited| edited.table.id == table)
        else {
            return Ok(());
        };
        let synced = travelling(table, None);
        let pending = pending.get(key)?;
        let is_made = |pending| sends_of_there(pending, &synced) == Status::Created;
        if pending.as_ref().is_some_and(is_made) {
            return Ok(());
        }
        let positions: Vec<usize> = columns.iter().map(|(position, _)| *position).collect();
        let mut reader = RowReader::new(self.database, table, &positions)?;
        if !reader.find_key(&key.0)? {
            return Ok(());
        }
        for (place, (position, before)) in columns.iter().enumerate() {
            let is_edited = pending.as_ref().is_some_and(|row| row.changed(*position));
            let is_same = reader.column(place) == before.borrow();
            if is_edited || is_same || !synced.contains(position) {
                continue;
            }
            let column = wire_column(table, *position);
            let mut json = Vec::new();
            show(&mut json, column.kind, Face::Value(before.borrow()));
            let json = String::from_utf8_lossy(&json);
            if aside::put_beside(self.database, table, (key, *position), &json, self.start)? {
                let name = (table.shape.name.clone(), column.name);
                *self.kept.entry(name).or_default() += 1;
            }
        }
        Ok(())
    }

    /// What was kept aside.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> {
        let kept = self.kept.iter();
        kept.map(|((table, column), count)| aside::warning(table, column, *count))
    }

    /// Records those that are gone, and returns them with their tables.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record(mut self) -> Result<Vec<Gone>> {
        let mut gone = Vec::new();
        for Edited {
            table,
            pending,
            mut rows,
        } in self.edited.take().into_iter().flatten()
        {
            let mut reader = RowReader::new(self.database, &table, &[])?;
            let mut rows = rows.walk(None)?;
            while let Some((key, row)) = rows.next()? {
                let exists = reader.find_key(&key.0)?;
                reader.release();
                if exists {
                    continue;
                }
                let is_there = pending.get(&key)?.is_some_and(|row| !row.is_made_here());
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
        // For showing them: what they are, nobody asks here.
        key_type: KeyType::Uuid,
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
