//! A tracked table that is not there any more, or has another key: nothing can be sent of it, and what waits is still in
//! the log. It is shown as the log and the record of the table have it, until the table is back or somebody gives it up.

use crate::store::{Database, Result};

use super::shape::{Column, Shape};
use super::tracked::{Registration, Tracked, registrations};
use super::triggers::Found;

impl Tracked {
    /// All tables that anything may wait of, those that are not there too.
    ///
    /// # Errors
    /// SQLite's.
    pub fn logged(database: &Database) -> Result<Vec<Self>> {
        let registrations = registrations(database)?.into_iter();
        registrations
            .map(|registration| Self::as_logged(database, registration))
            .collect()
    }

    /// One table as [`Tracked::logged`] shows it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn as_logged(database: &Database, registration: Registration) -> Result<Self> {
        if let Some(table) = Self::seen(database, registration.clone())? {
            return Ok(table);
        }
        Ok(Self::stranded(registration))
    }

    /// A table as its record has it, whatever there is under its name.
    pub(super) fn stranded(registration: Registration) -> Self {
        let shape = remembered(&registration);
        let mut table = Self::assemble(registration, shape, &Found::default());
        table.is_there = false;
        table
    }
}

/// The shape that a table had, as far as it is recorded.
fn remembered(registration: &Registration) -> Shape {
    let columns = registration.columns.iter().flatten();
    let mut columns: Vec<Column> = columns.map(|name| column(name)).collect();
    // A file that an older version wrote does not say which columns are the key.
    let first = columns.first().map(|first| first.name.clone());
    let keys = match &registration.keys {
        Some(keys) => keys.clone(),
        None => first.into_iter().collect(),
    };
    for (name, place) in keys.iter().zip(1..) {
        let mut known = columns.iter_mut();
        match known.find(|known| known.name.eq_ignore_ascii_case(name)) {
            Some(known) => known.key_place = place,
            None => columns.push(Column {
                key_place: place,
                ..column(name)
            }),
        }
    }
    Shape {
        name: registration.name.clone(),
        columns,
        rowid: None,
        rowid_is_key: false,
        definition: registration.definition.clone(),
        strict: false,
    }
}

fn column(name: &str) -> Column {
    Column {
        name: name.to_owned(),
        declared: String::new(),
        not_null: false,
        default: None,
        key_place: 0,
        generated: false,
    }
}
