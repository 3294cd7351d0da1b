//! The values kept aside of a table: which of them still count, and what becomes of them when the table itself changes.
//! What they are for is in `transfer/aside.rs`. A row whose key is changed takes them along by its capture trigger.

use crate::store::{Database, Result, Statement, Value, readable_schema};

use super::names::{Renamed, new_name};
use super::tracked::Tracked;
use super::{Key, Pending};

/// Whether what is kept of the column at `position` counts: the column was not edited here since, and the row is not
/// another one, made since. `seq`: the log's end when the value came.
pub fn counts(seq: i64, position: usize, pending: Option<&Pending>) -> bool {
    let Some(pending) = pending else { return true };
    // A row that got this key brought the value along.
    if pending.inserted_by(seq) {
        return !pending.marked(position);
    }
    !pending.made_after(seq) && !pending.changed(position)
}

/// Reads what is kept of the rows of one table. Where nothing is, that is all that is asked.
pub struct Kept(Option<Statement>);

/// The schema version from which on values are kept.
const WITH_ASIDE: i64 = 3;

impl Kept {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database, table: &Tracked) -> Result<Self> {
        if readable_schema(database)?.is_none_or(|version| version < WITH_ASIDE) {
            return Ok(Self(None));
        }
        let any = database.query_value(
            "SELECT 1 FROM main._syncAside WHERE tbl = ?1 LIMIT 1",
            &[table.id.into()],
        )?;
        if any == Value::Null {
            return Ok(Self(None));
        }
        let mut read = database
            .prepare("SELECT col, value, seq FROM main._syncAside WHERE tbl = ?1 AND pk = ?2")?;
        read.bind(1, table.id.into())?;
        Ok(Self(Some(read)))
    }

    /// The JSON that counts of a row, each with the position of its column.
    ///
    /// # Errors
    /// SQLite's.
    pub fn row(
        &mut self,
        table: &Tracked,
        key: &Key,
        pending: &Pending,
    ) -> Result<Vec<(usize, String)>> {
        let Some(read) = &mut self.0 else {
            return Ok(Vec::new());
        };
        read.bind(2, key.0.borrow())?;
        let mut kept = Vec::new();
        while read.step()? {
            let column = read.text(0);
            // A column that was renamed a moment ago goes by its old name.
            let column = new_name(&table.columns.renamed, &column).unwrap_or(&column);
            let position = table.shape.position(column);
            if let Some(position) = position
                && counts(read.integer(2), position, Some(pending))
            {
                kept.push((position, read.text(1)));
            }
        }
        read.reset();
        Ok(kept)
    }
}

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

/// Before what is logged of a table goes: only the values of rows that were not written here stay.
///
/// # Errors
/// SQLite's.
pub fn stay(database: &Database, table: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncAside WHERE tbl = ?1 \
         AND pk IN (SELECT pk FROM main._syncChange WHERE tbl = ?1 AND pk IS NOT NULL)",
        &[table.into()],
    )?;
    Ok(())
}

/// What is kept of a table counts for rows that are logged up to a number, too.
///
/// # Errors
/// SQLite's.
pub fn stay_from(database: &Database, table: i64, seq: i64) -> Result<()> {
    database.execute(
        "UPDATE main._syncAside SET seq = ?2 WHERE tbl = ?1",
        &[table.into(), seq.into()],
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
