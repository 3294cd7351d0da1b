//! Giving rows another key: the server chose one instead of ours.
//!
//! The row, what refers to it by a foreign key, what is logged of it since and what is on its way follow.
//! Nothing of it counts as an edit.

use std::collections::HashMap;

use crate::capture::reader::RowReader;
use crate::capture::sends::sends;
use crate::capture::tracked::registration;
use crate::capture::{Key, PendingRows, Status, Tracked, aside, log};
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

/// Gives rows of one table other keys, because their keys are those of other rows. Nothing was ever sent of them under
/// the new ones. Only what was made here to refer to them follows: rows whose references were set by a change up to `upto`
/// that waits, and rows of tables that are not tracked. Call inside a transaction.
///
/// # Errors
/// SQLite's.
pub fn move_away(database: &Database, rows: &[Renamed<'_>], upto: i64) -> Result<()> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    database
        .connection()
        .execute_script("PRAGMA defer_foreign_keys = ON")?;
    let _quiet = TriggersOff::begin(database.connection());
    let start = log::high_water(database)?;
    let table = first.binding.table.id;
    // An action on the update of a key takes along what is to stay: it is put back.
    let mut stay = Vec::new();
    let keys: HashMap<(i64, Key), &Value> = rows
        .iter()
        .map(|row| ((table, Key(row.old.clone())), &row.new))
        .collect();
    for (child, column) in first.references(database)? {
        match registration(database, &child)? {
            Some(_) => {
                let child = Tracked::open(database, &child)?;
                follow(database, &child, &column, &keys, table, upto)?;
                for row in rows {
                    stay.extend(References::find(database, &child, &column, &row.old)?);
                }
            }
            None => {
                let (child, column) = (database.qualified(&child), quote_name(&column));
                let sql = format!("UPDATE {child} SET {column} = ?1 WHERE {column} IS ?2");
                let mut update = database.connection().prepare(&sql)?;
                for row in rows {
                    update.run(&[row.new.borrow(), row.old.borrow()])?;
                }
            }
        }
    }
    let key = first.binding.key_name();
    let sql = format!(
        "UPDATE {} SET {key} = ?1 WHERE {key} IS ?2",
        first.binding.qualified
    );
    let mut update = database.connection().prepare(&sql)?;
    for row in rows {
        update.run(&[row.new.borrow(), row.old.borrow()])?;
        for ours in ["_syncOutbox", "_syncRejected"] {
            let sql = format!("DELETE FROM main.{ours} WHERE tbl = ?1 AND pk IS ?2");
            database.execute(&sql, &[table.into(), row.old.borrow()])?;
        }
    }
    for references in &stay {
        references.put_back(database)?;
    }
    log::take_back_all(database, start)?;
    log::rename(database, &keys)
}

/// Rows of a table that refer to a key.
struct References<'a> {
    table: String,
    column: String,
    to: &'a Value,
    keys: Vec<Vec<Value>>,
    key_names: Vec<String>,
}

impl<'a> References<'a> {
    /// None when there are none.
    fn find(
        database: &Database,
        table: &Tracked,
        column: &str,
        to: &'a Value,
    ) -> Result<Option<Self>> {
        let names = table.shape.keys();
        let key_names: Vec<String> = names.iter().map(|key| quote_name(&key.name)).collect();
        let (table, column) = (database.qualified(&table.shape.name), quote_name(column));
        let list = key_names.join(", ");
        let sql = format!("SELECT {list} FROM {table} WHERE {column} IS ?1");
        let mut scan = database.connection().prepare(&sql)?;
        scan.bind(1, to.borrow())?;
        let mut keys = Vec::new();
        while scan.step()? {
            keys.push(scan.row());
        }
        Ok((!keys.is_empty()).then_some(Self {
            table,
            column,
            to,
            keys,
            key_names,
        }))
    }

    fn put_back(&self, database: &Database) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET {column} = ?1 WHERE {} AND {column} IS NOT ?1",
            self.table,
            meets(&self.key_names),
            column = self.column
        );
        let mut update = database.connection().prepare(&sql)?;
        for key in &self.keys {
            let mut values = vec![self.to.borrow()];
            values.extend(key.iter().map(Value::borrow));
            update.run(&values)?;
        }
        Ok(())
    }
}

/// A condition on the columns of a key, whose values are the parameters from the second on.
fn meets(names: &[String]) -> String {
    let names = names.iter().enumerate();
    let meets: Vec<String> = names
        .map(|(place, name)| format!("{name} IS ?{}", place + 2))
        .collect();
    meets.join(" AND ")
}

/// Lets the references of a tracked table follow that were set here.
fn follow(
    database: &Database,
    child: &Tracked,
    column: &str,
    keys: &HashMap<(i64, Key), &Value>,
    parent: i64,
    upto: i64,
) -> Result<()> {
    let Some(position) = child.shape.position(column) else {
        return Ok(());
    };
    let mut reader = RowReader::new(database, child, &[position])?;
    let mut found = Vec::new();
    for pending in PendingRows::read(database, &[child], upto)?
        .iter()
        .flat_map(PendingRows::rows)
    {
        let exists = reader.find(pending)?;
        let set_here = exists
            && (pending.changed(position)
                || sends(pending, true, &[position], || false) == Status::Created);
        if set_here {
            let value = reader.column(0).to_owned();
            if let Some(new) = keys.get(&(parent, Key(value))) {
                found.push((reader.key_values(&pending.key.0)?, *new));
            }
        }
        reader.release();
    }
    let names = child.shape.keys();
    let names: Vec<String> = names.iter().map(|key| quote_name(&key.name)).collect();
    let sql = format!(
        "UPDATE {} SET {} = ?1 WHERE {}",
        database.qualified(&child.shape.name),
        quote_name(column),
        meets(&names)
    );
    let mut update = database.connection().prepare(&sql)?;
    for (key, new) in found {
        let mut values = vec![new.borrow()];
        values.extend(key.iter().map(Value::borrow));
        update.run(&values)?;
    }
    Ok(())
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
