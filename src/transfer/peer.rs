//! What a kind has asked to be remembered of a provider: one row each.

use serde_json::Value as Json;

use crate::store::{Database, Error, Result};

/// The memory of a provider; null when it has none.
///
/// # Errors
/// SQLite's; [`Error::Corrupt`] for what is not JSON.
pub fn memory(database: &Database, provider: &str) -> Result<Json> {
    let stored = database.query_value(
        "SELECT memory FROM main._syncPeer WHERE provider = ?1",
        &[provider.into()],
    )?;
    match stored.as_str() {
        None => Ok(Json::Null),
        Some(text) => serde_json::from_str(text).map_err(|_| {
            Error::Corrupt(format!(
                "_syncPeer.memory of provider '{provider}' is not JSON; delete that row to pull everything again"
            ))
        }),
    }
}

/// Stores the memory of a provider. Belongs in the transaction of what it is about.
///
/// # Errors
/// SQLite's.
pub fn store(database: &Database, provider: &str, memory: &Json) -> Result<()> {
    database.execute(
        "INSERT INTO main._syncPeer (provider, memory) VALUES (?1, ?2) \
         ON CONFLICT (provider) DO UPDATE SET memory = excluded.memory",
        &[provider.into(), (&memory.to_string()).into()],
    )?;
    Ok(())
}

/// Most rows of one push, since the server has refused a larger one; none: it never did.
///
/// # Errors
/// SQLite's.
pub fn batch(database: &Database, provider: &str) -> Result<Option<u64>> {
    let batch = database.query_value(
        "SELECT batch FROM main._syncPeer WHERE provider = ?1",
        &[provider.into()],
    )?;
    let batch = batch.as_i64().and_then(|most| u64::try_from(most).ok());
    Ok(batch.filter(|most| *most > 0))
}

/// Stores how many rows one push may have from now on.
///
/// # Errors
/// SQLite's.
pub fn store_batch(database: &Database, provider: &str, most: u64) -> Result<()> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    database.execute(
        "INSERT INTO main._syncPeer (provider, memory, batch) VALUES (?1, 'null', ?2) \
         ON CONFLICT (provider) DO UPDATE SET batch = excluded.batch",
        &[provider.into(), most.into()],
    )?;
    Ok(())
}

/// Takes the next numbers of changes, `count` of them; the first.
///
/// # Errors
/// SQLite's; all numbers are used.
pub fn take_numbers(database: &Database, provider: &str, count: u64) -> Result<i64> {
    let first = next_change(database, provider)?;
    let next = i64::try_from(count)
        .ok()
        .and_then(|count| first.checked_add(count))
        .ok_or_else(|| {
            Error::argument(format!(
                "provider '{provider}' has used all numbers of changes; give it another name of this device"
            ))
        })?;
    store_next_change(database, provider, next)?;
    Ok(first)
}

/// The number of the next change.
///
/// # Errors
/// SQLite's.
pub fn next_change(database: &Database, provider: &str) -> Result<i64> {
    let next = database.query_value(
        "SELECT nextChange FROM main._syncPeer WHERE provider = ?1",
        &[provider.into()],
    )?;
    Ok(next.as_i64().unwrap_or(1))
}

/// Changes have at least this number from now on.
///
/// # Errors
/// SQLite's.
pub fn store_next_change(database: &Database, provider: &str, next: i64) -> Result<()> {
    database.execute(
        "INSERT INTO main._syncPeer (provider, memory, nextChange) VALUES (?1, 'null', ?2) \
         ON CONFLICT (provider) DO UPDATE SET nextChange = max(nextChange, excluded.nextChange)",
        &[provider.into(), next.into()],
    )?;
    Ok(())
}

/// Forgets all but the number of the next change: the server may remember those that were given.
///
/// # Errors
/// SQLite's.
pub fn forget(database: &Database, provider: &str) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncPeer WHERE provider = ?1 AND nextChange = 1",
        &[provider.into()],
    )?;
    database.execute(
        "UPDATE main._syncPeer SET memory = 'null', batch = NULL WHERE provider = ?1",
        &[provider.into()],
    )?;
    Ok(())
}

/// The provider is declared anew: pushes may be as large as that says.
///
/// # Errors
/// SQLite's.
pub fn forget_batch(database: &Database, provider: &str) -> Result<()> {
    database.execute(
        "UPDATE main._syncPeer SET batch = NULL WHERE provider = ?1 AND batch IS NOT NULL",
        &[provider.into()],
    )?;
    Ok(())
}
