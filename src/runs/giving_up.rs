//! Sending a refused row again, and giving up what waits of a row.

use crate::capture::reader::RowReader;
use crate::capture::tracked::registration;
use crate::capture::{Key, Status, Tracked, drift, log};
use crate::store::{Database, Error, Result, Value, ValueRef};
use crate::transfer::send::rejected::{self, Change, GivenUp, Row};
use crate::transfer::send::unacknowledged::Unacknowledged;

use super::waiting::Waiting;

/// How a row is named in a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Named {
    /// `_syncRejected.id`.
    Rejection(i64),
    Row(String, Value),
}

impl Named {
    /// The row; none when there is no such rejection.
    fn row(&self, database: &Database) -> Result<Option<Row>> {
        let (table, key) = match self {
            Self::Rejection(id) => return rejected::row(database, *id),
            Self::Row(table, key) => (table, key),
        };
        let Some(known) = registration(database, table)? else {
            return Err(Error::argument(format!(
                "table {table} is not tracked; there is nothing to give up or to send again"
            )));
        };
        if key.borrow() == ValueRef::Null {
            return Err(Error::argument("key is NULL; give the key of a row"));
        }
        Ok(Some((known.id, Key(key.clone()))))
    }
}

/// A row that was refused goes up with the next push. False when it was not.
///
/// # Errors
/// A table that is not tracked; SQLite's.
pub fn retry(database: &Database, named: &Named) -> Result<bool> {
    match named.row(database)? {
        Some(row) => rejected::retry(database, &row),
        None => Ok(false),
    }
}

/// Gives up what waits of a row; see [`rejected::discard`].
///
/// # Errors
/// A table that is not tracked, or gone; SQLite's.
pub fn discard(database: &Database, named: &Named, revert: bool) -> Result<GivenUp> {
    drift::refresh(database)?;
    let Some(row) = named.row(database)? else {
        return Ok(GivenUp::Nothing);
    };
    match change(database, &row)? {
        // There is no row to take back where there is no table.
        Some((change, is_there)) => {
            rejected::discard(database, &row, Some(change), revert && is_there)
        }
        None => rejected::discard(database, &row, None, revert),
    }
}

/// What is pending of a row, and whether its table is there.
fn change(database: &Database, (table, key): &Row) -> Result<Option<(Change, bool)>> {
    let mut tables = Tracked::logged(database)?;
    tables.retain(|known| known.id == *table);
    let unacknowledged = Unacknowledged::read(database, None)?;
    for waiting in Waiting::read(database, tables, log::high_water(database)?)? {
        let Some(pending) = waiting.pending.get(key)? else {
            continue;
        };
        let mut reader = RowReader::new(database, &waiting.table, &[])?;
        let exists = reader.find(&pending)?;
        reader.release();
        let may_have_arrived = || unacknowledged.may_have_created(*table, key);
        let status =
            crate::capture::sends::sends(&pending, exists, &waiting.columns, may_have_arrived)?;
        let shape = &waiting.table.shape;
        return Ok(match (status, shape.keys().as_slice()) {
            (Status::Nothing, _) => None,
            (status, [column]) => {
                let change = Change {
                    table: shape.name.clone(),
                    key_column: column.name.clone(),
                    made_here: status == Status::Created && !may_have_arrived()?,
                };
                Some((change, waiting.table.is_there))
            }
            _ => {
                return Err(Error::argument(format!(
                    "{} has a key of several columns; nothing of it is sent",
                    shape.name
                )));
            }
        });
    }
    Ok(None)
}
