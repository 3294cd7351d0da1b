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

/// What any kind remembers under these names of how it goes by at its server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Introduced {
    /// The name of this device.
    pub source: Option<String>,
    /// The name in the configuration when that was chosen.
    given: Option<String>,
    /// Which of several protocols the server speaks.
    pub generation: Option<String>,
}

impl Introduced {
    /// What a stored memory says; nothing of one that can't be read.
    pub fn read(memory: Option<&str>) -> Self {
        let memory: Json = memory
            .and_then(|memory| serde_json::from_str(memory).ok())
            .unwrap_or_default();
        let text = |name: &str| memory[name].as_str().map(str::to_owned);
        Self {
            source: text("source"),
            given: text("given"),
            generation: text("generation"),
        }
    }

    /// The name of this device, where the configuration gives it one, or none.
    pub fn device(&self, configured: Option<&str>) -> Option<String> {
        match &self.source {
            Some(source) if self.given.as_deref() == configured => Some(source.clone()),
            // Another name was configured since.
            _ => configured.map(str::to_owned),
        }
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

/// Stores how many rows one push may have from now on; none: as configured.
///
/// # Errors
/// SQLite's.
pub fn store_batch(database: &Database, provider: &str, most: Option<u64>) -> Result<()> {
    let most = most.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_this_device_is_the_one_in_use() {
        let memory = r#"{"source":"x2","given":"x","generation":"b"}"#;
        let known = Introduced::read(Some(memory));
        assert_eq!(known.generation.as_deref(), Some("b"));
        assert_eq!(known.device(Some("x")).as_deref(), Some("x2"));
        assert_eq!(known.device(Some("y")).as_deref(), Some("y"));
        let made_up = Introduced::read(Some(r#"{"source":"s","given":null}"#));
        assert_eq!(made_up.device(None).as_deref(), Some("s"));
        for memory in [
            None,
            Some("null"),
            Some("[1]"),
            Some("{"),
            Some(r#"{"source":1}"#),
        ] {
            let nothing = Introduced::read(memory);
            assert_eq!(nothing, Introduced::default(), "{memory:?}");
            assert_eq!(nothing.device(None), None);
            assert_eq!(nothing.device(Some("x")).as_deref(), Some("x"));
        }
    }
}
