//! Versions of rows, where the server counts them: what comes late is old news.

use crate::capture::Key;
use crate::store::{Database, Result};
use crate::transfer::version::{Version, Versions, store};

/// Looks at the versions of the rows that come in for one table. A server that sends none costs nothing.
pub struct VersionGate<'a> {
    database: &'a Database,
    provider: &'a str,
    table: i64,
    /// Made for the first row that has a version.
    versions: Option<Versions>,
}

impl<'a> VersionGate<'a> {
    pub fn new(database: &'a Database, provider: &'a str, table: i64) -> Self {
        Self {
            database,
            provider,
            table,
            versions: None,
        }
    }

    /// Notes the version that a change has met, whatever was known.
    ///
    /// # Errors
    /// SQLite's.
    pub fn set(&mut self, key: &Key, version: i64, deleted: bool) -> Result<()> {
        let met = Version {
            number: version,
            deleted,
            met: true,
        };
        store(self.database, self.provider, (self.table, &key.0), met)
    }

    /// Whether a state of a row is not newer than the one that is known. A newer one is noted. Ask once for each
    /// state: the second time it is old.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_old(&mut self, key: &Key, version: i64, deleted: bool) -> Result<bool> {
        let (database, provider, table) = (self.database, self.provider, self.table);
        let versions = match self.versions.take() {
            Some(versions) => versions,
            None => Versions::of(database, provider, table)?,
        };
        let known = self.versions.insert(versions).get(key)?;
        if known.is_some_and(|known| version <= known.number) {
            return Ok(true);
        }
        let newer = Version {
            number: version,
            deleted,
            met: false,
        };
        store(database, provider, (table, &key.0), newer)?;
        Ok(false)
    }
}
