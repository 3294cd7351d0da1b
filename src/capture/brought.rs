//! The record of the columns that pulls have brought (`_syncCursor.brought`) follows the columns of a table.

use serde_json::{Map, Value as Json};

use crate::store::{Database, Result};

use super::names::new_name;
use super::tracked::{Registration, Tracked};

/// A column that was renamed is the same one; one that is gone is forgotten, so that another of its name is a new one.
///
/// # Errors
/// SQLite's.
pub(super) fn follow(
    database: &Database,
    registration: &Registration,
    tracked: &Tracked,
) -> Result<()> {
    let renamed = &tracked.columns.renamed;
    let is_gone = |name: &str| {
        let bits = registration.columns.iter().zip(&tracked.columns.names);
        let of_name = |old: &Option<String>| old.as_deref() == Some(name);
        bits.into_iter()
            .any(|(old, new)| of_name(old) && new.is_none())
    };
    let recorded = database.query_all(
        "SELECT rowid, brought FROM main._syncCursor WHERE tableId = ?1 AND brought IS NOT NULL",
        &[tracked.id.into()],
        |row| Ok((row.integer(0), row.text(1))),
    )?;
    for (row, brought) in recorded {
        let Ok(columns) = serde_json::from_str::<Map<String, Json>>(&brought) else {
            continue;
        };
        let columns = columns.into_iter().filter(|(name, _)| !is_gone(name));
        let followed: Map<String, Json> = columns
            .map(|(name, kept)| match new_name(renamed, &name) {
                Some(new) => (new.to_owned(), kept),
                None => (name, kept),
            })
            .collect();
        let followed = Json::Object(followed).to_string();
        if followed != brought {
            database.execute(
                "UPDATE main._syncCursor SET brought = ?2 WHERE rowid = ?1",
                &[row.into(), followed.as_str().into()],
            )?;
        }
    }
    Ok(())
}
