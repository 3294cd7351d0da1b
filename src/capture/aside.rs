//! The values kept aside of a table, when the table itself changes. What they are for is in `transfer/aside.rs`.

use crate::store::{Database, Result, Value};

use super::names::{Renamed, new_name};

/// Forgets what is kept of a table.
///
/// # Errors
/// SQLite's.
pub fn forget(database: &Database, table: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncAside WHERE tbl = ?1",
        &[table.into()],
    )?;
    Ok(())
}

/// Follows columns that were renamed (old and new name) or dropped. `now`: the names of the columns there are.
///
/// # Errors
/// SQLite's.
pub fn rename_columns(
    database: &Database,
    table: i64,
    renamed: &[Renamed],
    now: &[String],
) -> Result<()> {
    let kept = database.query_all(
        "SELECT DISTINCT col FROM main._syncAside WHERE tbl = ?1",
        &[table.into()],
        |row| Ok(row.text(0)),
    )?;
    let new_name = |name: &str| match new_name(renamed, name) {
        Some(new) => Some(new),
        None => {
            let mut columns = now.iter().map(String::as_str);
            columns.find(|column| column.eq_ignore_ascii_case(name))
        }
    };
    let moved: Vec<_> = kept
        .iter()
        .map(|name| (name, new_name(name)))
        .filter(|(name, new)| *new != Some(name.as_str()))
        .collect();
    // Two columns may have swapped their names: all step aside first. No column's name begins like that.
    let aside = |name: &str| format!("\u{1}{name}");
    for (name, new) in &moved {
        let waiting = aside(name);
        let values = [table.into(), name.as_str().into(), waiting.as_str().into()];
        match new {
            Some(_) => database.execute(
                "UPDATE main._syncAside SET col = ?3 WHERE tbl = ?1 AND col = ?2",
                &values,
            )?,
            None => database.execute(
                "DELETE FROM main._syncAside WHERE tbl = ?1 AND col = ?2",
                &values[..2],
            )?,
        };
    }
    for (name, new) in moved {
        let Some(new) = new else { continue };
        let waiting = aside(name);
        database.execute(
            "UPDATE OR REPLACE main._syncAside SET col = ?3 WHERE tbl = ?1 AND col = ?2",
            &[table.into(), waiting.as_str().into(), new.into()],
        )?;
    }
    Ok(())
}

/// Follows a row that has another key from now on.
///
/// # Errors
/// SQLite's.
pub fn rename_key(database: &Database, table: i64, old: &Value, new: &Value) -> Result<()> {
    database.execute(
        "UPDATE OR REPLACE main._syncAside SET pk = ?3 WHERE tbl = ?1 AND pk = ?2",
        &[table.into(), old.borrow(), new.borrow()],
    )?;
    Ok(())
}
