//! ALTER TABLE on a tracked table with its triggers out of the way.
//!
//! SQLite refuses to drop a column that a trigger mentions, and the capture triggers mention every
//! column. So such a statement runs between taking the triggers away and putting new ones in place, in
//! one transaction. All others run with the triggers in place: they are what follows a column that is renamed.

use crate::store::{Database, Error, Result, quote_name};

use super::shape::Shape;
use super::tracked::{Tracked, registration};
use super::triggers::{self, Found};
use super::{drift, mask, reshape};

/// Runs one `ALTER TABLE` statement. Call inside a transaction.
///
/// # Errors
/// Not tracked, not an ALTER TABLE statement, the table gone afterwards; SQLite's own.
pub fn alter(database: &Database, table: &str, sql: &str) -> Result<()> {
    if !mask::is_alter(sql) {
        return Err(Error::argument("sql must be one ALTER TABLE statement"));
    }
    drift::refresh(database)?;
    let Some(registration) = registration(database, table)? else {
        return Err(Error::argument(format!(
            "{} is not tracked; run the statement directly",
            quote_name(table)
        )));
    };
    Tracked::open(database, &registration.name)?;
    let id = registration.id;
    let before = Found::read(database, id)?;
    if mask::is_drop(sql) {
        triggers::drop_all(database, id)?;
    }
    database.connection().prepare(sql)?.run(&[])?;
    let shape = Shape::read(database, &registration.name).map_err(|_| {
        Error::argument(format!(
            "the statement took {} away; rename a tracked table with plain ALTER TABLE … RENAME TO",
            quote_name(table)
        ))
    })?;
    if shape.definition == registration.definition {
        return Err(Error::argument(format!(
            "the statement did not change {}; nothing was done",
            quote_name(table)
        )));
    }
    let after = Found::read(database, id)?;
    // Dropping a column renames none: what the triggers said is still so.
    let found = if after.table.is_some() { after } else { before };
    reshape::reshape(database, &registration, &shape, &found, true)
}
