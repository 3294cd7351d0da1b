//! The functions of providers, as they are kept in the file.

use serde_json::{Map, Value as Json};

use crate::coordination::now;
use crate::store::{Database, Error, Result};

/// The functions of a provider, by their ids.
///
/// # Errors
/// SQLite's; [`Error::Corrupt`] for one that is no JSON object.
pub fn all(database: &Database, provider: &str) -> Result<Vec<(String, Map<String, Json>)>> {
    let stored = database.query_all(
        "SELECT id, definition FROM main._syncFunction WHERE provider = ?1 ORDER BY id",
        &[provider.into()],
        |row| Ok((row.text(0), row.text(1))),
    )?;
    let functions = stored.into_iter().map(|(id, definition)| {
        let read = serde_json::from_str(&definition).map_err(|_| {
            Error::Corrupt(format!(
                "_syncFunction.definition of function '{id}' is no JSON object; declare it again with sync_function"
            ))
        });
        Ok((id, read?))
    });
    functions.collect()
}

/// Keeps a function, in place of one of the same id.
///
/// # Errors
/// SQLite's.
pub fn store(database: &Database, provider: &str, id: &str, definition: &str) -> Result<()> {
    database.execute(
        "INSERT INTO main._syncFunction (provider, id, definition, updatedAt) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (provider, id) DO UPDATE SET definition = excluded.definition, updatedAt = excluded.updatedAt \
         WHERE definition <> excluded.definition",
        &[provider.into(), id.into(), definition.into(), now().into()],
    )?;
    Ok(())
}

/// The definition of a function, as it is kept.
///
/// # Errors
/// SQLite's.
pub fn definition(database: &Database, provider: &str, id: &str) -> Result<Option<String>> {
    let found = database.query_value(
        "SELECT definition FROM main._syncFunction WHERE provider = ?1 AND id = ?2",
        &[provider.into(), id.into()],
    )?;
    Ok(found.as_str().map(str::to_owned))
}

/// Removes a function; whether there was one.
///
/// # Errors
/// SQLite's.
pub fn remove(database: &Database, provider: &str, id: &str) -> Result<bool> {
    let removed = database.execute(
        "DELETE FROM main._syncFunction WHERE provider = ?1 AND id = ?2",
        &[provider.into(), id.into()],
    )?;
    Ok(removed > 0)
}
