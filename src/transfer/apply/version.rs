//! Versions of rows, where the server counts them: what comes late is old news.

use crate::capture::Key;
use crate::store::{Database, Result};
use crate::transfer::version::{Version, Versions, forget, forget_living, store};

/// Looks at the versions of the rows that come in for one table. A server that sends none costs nothing.
pub struct VersionGate<'a> {
    database: &'a Database,
    provider: &'a str,
    table: i64,
    /// A version other than the known one is news: the server tells all that it has.
    pub anew: bool,
    /// Made for the first row that has a version.
    versions: Option<Versions>,
}

impl<'a> VersionGate<'a> {
    pub fn new(database: &'a Database, provider: &'a str, table: i64) -> Self {
        Self {
            database,
            provider,
            table,
            anew: false,
            versions: None,
        }
    }

    /// Notes a version, whatever was known.
    ///
    /// # Errors
    /// SQLite's.
    pub fn set(&mut self, key: &Key, version: Version) -> Result<()> {
        store(self.database, self.provider, (self.table, &key.0), version)
    }

    /// What the server is known to hold of a row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn known(&mut self, key: &Key) -> Result<Option<Version>> {
        let versions = match self.versions.take() {
            Some(versions) => versions,
            None => Versions::of(self.database, self.provider, self.table)?,
        };
        self.versions.insert(versions).get(key)
    }

    /// The server has no such row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn forget(&mut self, key: &Key) -> Result<()> {
        forget(self.database, self.provider, self.table, &key.0)
    }

    /// The server has told all that it has, and not this row: it is not what was known of it. A delete that is known stays so.
    ///
    /// # Errors
    /// SQLite's.
    pub fn forget_living(&mut self, key: &Key) -> Result<()> {
        match self.anew {
            true => forget_living(self.database, self.provider, self.table, &key.0),
            false => Ok(()),
        }
    }

    /// Whether a state of a row is not newer than the one that is known. A newer one is noted. Ask once for each
    /// state: the second time it is old.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_old(&mut self, key: &Key, version: i64, deleted: bool) -> Result<bool> {
        let known = self.known(key)?;
        let is_old = |known: Version| match self.anew {
            true => version == known.number && deleted == known.deleted,
            false => version <= known.number,
        };
        if known.is_some_and(is_old) {
            return Ok(true);
        }
        let newer = Version {
            number: version,
            deleted,
            met: false,
            told: false,
        };
        self.set(key, newer)?;
        Ok(false)
    }
}
