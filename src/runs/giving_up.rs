//! Sending a refused row again, and giving up what waits of a row.

use crate::capture::reader::RowReader;
use crate::capture::tracked::registration;
use crate::capture::{Key, Status, Tracked, drift, log};
use crate::ground::uuid;
use crate::store::{Database, Error, Result, Value, ValueRef};
use crate::transfer::send::rejected::{self, Change, GivenUp, Row};
use crate::transfer::send::unacknowledged::Unacknowledged;

use super::waiting::Waiting;

/// How a row is named in a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Named {
    /// `_syncRejected.id`.
    Rejection(i64),
    /// A table and a key. A key that is a blob of 16 bytes may be named by its UUID.
    Row(String, Value),
}

impl Named {
    /// The rows that may be meant, the likeliest first; none when there is no such rejection.
    fn rows(&self, database: &Database) -> Result<Vec<Row>> {
        let (table, key) = match self {
            Self::Rejection(id) => return Ok(rejected::row(database, *id)?.into_iter().collect()),
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
        let blob = key.as_str().and_then(uuid::canonical);
        let blob = blob.as_deref().and_then(uuid::bytes);
        let blob = blob.map(|bytes| Value::Blob(bytes.into()));
        let keys = [Some(key.clone()), blob].into_iter().flatten();
        Ok(keys.map(|key| (known.id, Key(key))).collect())
    }
}

/// A row that was refused goes up with the next push. False when it was not.
///
/// # Errors
/// A table that is not tracked; SQLite's.
pub fn retry(database: &Database, named: &Named) -> Result<bool> {
    for row in named.rows(database)? {
        if rejected::retry(database, &row)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Gives up what waits of a row; see [`rejected::discard`].
///
/// # Errors
/// A table that is not tracked, or gone; SQLite's.
pub fn discard(database: &Database, named: &Named, revert: bool) -> Result<GivenUp> {
    drift::refresh(database)?;
    for row in named.rows(database)? {
        let given_up = match change(database, &row)? {
            // There is no row to take back where there is no table.
            Some((change, is_there)) => {
                rejected::discard(database, &row, Some(change), revert && is_there)
            }
            None => rejected::discard(database, &row, None, revert),
        }?;
        if given_up != GivenUp::Nothing {
            return Ok(given_up);
        }
    }
    Ok(GivenUp::Nothing)
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
