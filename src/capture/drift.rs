//! Tables change under us: renamed, given columns, dropped, made again, by programs that never heard
//! of syncscope. This brings `_syncTable` and the triggers back in step.

use crate::store::{Database, Error, Result};

use super::shape::Shape;
use super::tracked::{Registration, captured_table, registrations};
use super::triggers::{self, GROUP};

/// Looks at every tracked table and adapts. Cheap when nothing changed. Call inside a transaction.
///
/// # Errors
/// SQLite's.
pub fn refresh(database: &Database) -> Result<()> {
    for registration in registrations(database)? {
        // A table that was dropped took its triggers along; whoever needs it is told then.
        let Some(table) = captured_table(database, registration.id)? else {
            continue;
        };
        let definition = database.query_value(
            "SELECT sql FROM main.sqlite_master WHERE type = 'table' AND name = ?1",
            &[table.as_str().into()],
        )?;
        let same_name = table == registration.name;
        if same_name && definition.as_str() == Some(registration.definition.as_str()) {
            continue;
        }
        adapt(database, &registration, &table)?;
    }
    Ok(())
}

/// ADD COLUMN puts new columns at the end and RENAME keeps places, so the bits of masks that are
/// logged keep their meaning.
fn adapt(database: &Database, registration: &Registration, table: &str) -> Result<()> {
    let shape = Shape::read(database, table)?;
    let known = registration.columns.len();
    if shape.columns.len() > known {
        mark_new_columns(database, registration.id, known, shape.columns.len())?;
    }
    store(database, registration.id, &shape)?;
    triggers::drop_all(database, registration.id)?;
    triggers::create(database, &shape, registration.id)
}

/// Updates logged with mask 0 changed only columns that the triggers did not know.
fn mark_new_columns(database: &Database, id: i64, known: usize, now: usize) -> Result<()> {
    let mask: i64 = if now <= GROUP {
        (known..now).fold(0, |mask, position| mask | 1 << position)
    } else {
        -1
    };
    database.execute(
        "UPDATE main._syncChange SET mask = ?2 WHERE tbl = ?1 AND op = 2 AND mask = 0",
        &[id.into(), mask.into()],
    )?;
    Ok(())
}

/// Writes a table's present shape into its registration.
///
/// # Errors
/// SQLite's.
pub(super) fn store(database: &Database, id: i64, shape: &Shape) -> Result<()> {
    let columns = serde_json::to_string(&shape.names())
        .map_err(|error| Error::Corrupt(format!("column names: {error}")))?;
    database.execute(
        "UPDATE main._syncTable SET name = ?2, columns = ?3, definition = ?4 WHERE id = ?1",
        &[
            id.into(),
            shape.name.as_str().into(),
            columns.as_str().into(),
            shape.definition.as_str().into(),
        ],
    )?;
    Ok(())
}
