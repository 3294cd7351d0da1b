//! Taking rows out of a table for a while, so that others get the UNIQUE values they hold.

use crate::capture::Key;
use crate::providers::values::holds;
use crate::providers::wire::{Slot, WireColumn};
use crate::store::{Database, Result, Statement, Value, ValueRef, quote_name};
use crate::transfer::binding::Binding;

use super::decide::Written;

/// A whole row, while it is not in its table.
pub struct Lifted(Vec<Value>);

/// Reads whole rows and puts them back.
pub struct Lifter {
    read: Statement,
    insert: Statement,
    /// For each column that travels, its place in a row.
    places: Vec<Option<usize>>,
    columns: Vec<WireColumn>,
}

impl Lifter {
    /// # Errors
    /// SQLite's.
    pub fn new(database: &Database, binding: &Binding) -> Result<Self> {
        let shape = &binding.table.shape;
        let columns = shape.columns.iter().enumerate();
        let stored: Vec<usize> = columns
            .filter(|(_, column)| !column.generated)
            .map(|(position, _)| position)
            .collect();
        // The row is to be found where it was.
        let rowid = shape.rowid.filter(|_| !shape.rowid_is_key);
        let mut names: Vec<String> = rowid.map(str::to_owned).into_iter().collect();
        names.extend(
            stored
                .iter()
                .map(|position| quote_name(&shape.columns[*position].name)),
        );
        let (table, list) = (&binding.qualified, names.join(", "));
        let key = binding.key_name();
        let connection = database.connection();
        let place = |position: &usize| {
            let place = stored.iter().position(|stored| stored == position)?;
            Some(place + usize::from(rowid.is_some()))
        };
        Ok(Self {
            read: connection.prepare(&format!(
                "SELECT {list} FROM {table} WHERE {key} = ?1 AND {key} = ?1 COLLATE BINARY"
            ))?,
            insert: connection.prepare(&format!(
                "INSERT OR ABORT INTO {table} ({list}) VALUES ({})",
                vec!["?"; names.len()].join(", ")
            ))?,
            places: binding.columns.iter().map(place).collect(),
            columns: binding.wire.columns.clone(),
        })
    }

    /// The row of a key; nothing when there is none.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read(&mut self, key: &Key) -> Result<Option<Lifted>> {
        self.read.bind(1, key.0.borrow())?;
        let row = self.read.step()?.then(|| Lifted(self.read.row()));
        self.read.reset();
        Ok(row)
    }

    /// Puts a row back, with the values that `row` holds.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_back(&mut self, lifted: &Lifted, row: &[Slot<'_>]) -> Result<Written> {
        let mut values: Vec<ValueRef<'_>> = lifted.0.iter().map(Value::borrow).collect();
        let mut written = Written::Unchanged;
        for ((slot, place), column) in row.iter().zip(&self.places).zip(&self.columns) {
            let Some(place) = place.filter(|_| !slot.is_missing()) else {
                continue;
            };
            if !holds(column, values[place], slot) {
                written = Written::Updated;
            }
            values[place] = slot.value();
        }
        self.insert.run(&values)?;
        Ok(written)
    }
}
