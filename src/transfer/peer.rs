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
