//! Giving rows another key: the server chose one instead of ours.
//!
//! The row, what refers to it by a foreign key, what is logged of it since and what is on its way follow.
//! Nothing of it counts as an edit.

use std::collections::HashMap;

use crate::capture::{Key, aside, log};
use crate::store::{Database, Result, TriggersOff, Value, quote_name};
use crate::transfer::binding::Binding;

/// A row that has another key from now on.
pub struct Renamed<'a> {
    pub binding: &'a Binding,
    pub old: Value,
    pub new: Value,
}

/// Renames rows. Call inside a transaction.
///
/// # Errors
/// SQLite's; another row has the new key.
pub fn rename(database: &Database, rows: &[Renamed<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    database
        .connection()
        .execute_script("PRAGMA defer_foreign_keys = ON")?;
    // Ours would log the change, and others would see an edit that nobody made.
    let _quiet = TriggersOff::begin(database.connection());
    let start = log::high_water(database)?;
    let mut keys = HashMap::with_capacity(rows.len());
    for row in rows {
        row.write(database)?;
        keys.insert((row.binding.table.id, Key(row.old.clone())), &row.new);
    }
    // Where triggers could not be switched off.
    log::take_back_all(database, start)?;
    log::rename(database, &keys)
}

impl Renamed<'_> {
    fn write(&self, database: &Database) -> Result<()> {
        let values = [self.new.borrow(), self.old.borrow()];
        let shape = &self.binding.table.shape;
        let table = database.qualified(&shape.name);
        let key = quote_name(&shape.keys()[0].name);
        let connection = database.connection();
        let update = |table: &str, column: &str| {
            let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {column} IS ?2");
            connection.prepare(&sql)?.run(&values)
        };
        for (child, column) in self.references(database)? {
            update(&database.qualified(&child), &quote_name(&column))?;
        }
        update(&table, &key)?;
        database.execute(
            "UPDATE main._syncOutbox SET pk = ?1 WHERE pk IS ?2 AND tbl = ?3",
            &[
                self.new.borrow(),
                self.old.borrow(),
                self.binding.table.id.into(),
            ],
        )?;
        let table = self.binding.table.id;
        aside::rename_key(database, table, &self.old, &self.new)
    }

    /// Columns of any table that refer to this one's key.
    fn references(&self, database: &Database) -> Result<Vec<(String, String)>> {
        let shape = &self.binding.table.shape;
        database.query_all(
            "SELECT child.name, fk.\"from\" FROM main.sqlite_master AS child, \
               pragma_foreign_key_list(child.name, ?1) AS fk \
             WHERE child.type = 'table' AND fk.\"table\" = ?2 COLLATE NOCASE \
               AND coalesce(fk.\"to\", ?3) = ?3 COLLATE NOCASE",
            &[
                database.schema().into(),
                shape.name.as_str().into(),
                shape.keys()[0].name.as_str().into(),
            ],
            |row| Ok((row.text(0), row.text(1))),
        )
    }
}
