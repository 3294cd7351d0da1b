//! The versions of rows, for kinds whose server counts them.

use crate::capture::Key;
use crate::store::{Database, Result, Statement, Value};

/// Remembers what the server holds of a row; of a deleted one its tombstone.
///
/// # Errors
/// SQLite's.
pub fn store(
    database: &Database,
    provider: &str,
    (table, key): (i64, &Value),
    version: Version,
) -> Result<()> {
    database.execute(
        "INSERT INTO main._syncVersion (provider, tbl, pk, version, deleted, alone, told) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (provider, tbl, pk) DO UPDATE SET version = excluded.version, \
         deleted = excluded.deleted, alone = excluded.alone, told = excluded.told",
        &[
            provider.into(),
            table.into(),
            key.borrow(),
            version.number.into(),
            version.deleted.into(),
            version.met.into(),
            version.told.into(),
        ],
    )?;
    Ok(())
}

/// The server has no such row, or it is not known which version.
///
/// # Errors
/// SQLite's.
pub fn forget(database: &Database, provider: &str, table: i64, key: &Value) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncVersion WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        &[provider.into(), table.into(), key.borrow()],
    )?;
    Ok(())
}

/// The same for all providers: whatever a server tells of the row is news.
///
/// # Errors
/// SQLite's.
pub fn forget_anywhere(database: &Database, table: i64, key: &Value) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncVersion WHERE tbl = ?1 AND pk IS ?2",
        &[table.into(), key.borrow()],
    )?;
    Ok(())
}

/// The server has no such row; a delete that it is known to remember stays known.
///
/// # Errors
/// SQLite's.
pub fn forget_living(database: &Database, provider: &str, table: i64, key: &Value) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncVersion WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3 AND NOT deleted",
        &[provider.into(), table.into(), key.borrow()],
    )?;
    Ok(())
}

/// Reads the versions of one table's rows.
pub struct Versions {
    find: Statement,
}

/// What the server is known to hold of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub number: i64,
    /// It has the row as deleted.
    pub deleted: bool,
    /// The last change of the row has met this version: the next one goes up alone.
    pub met: bool,
    /// The server itself has said so. Otherwise it was read in what it tells of changes.
    pub told: bool,
}

impl Versions {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database, provider: &str, table: i64) -> Result<Self> {
        let mut find = database.prepare(
            "SELECT version, deleted, alone, told FROM main._syncVersion \
             WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        )?;
        find.bind_all(&[provider.into(), table.into()])?;
        Ok(Self { find })
    }

    /// The version that the server is known to hold; none of a row that it was never known to have.
    ///
    /// # Errors
    /// SQLite's.
    pub fn get(&mut self, key: &Key) -> Result<Option<Version>> {
        self.find.bind(3, key.0.borrow())?;
        let version = self.find.step()?.then(|| Version {
            number: self.find.integer(0),
            deleted: self.find.integer(1) != 0,
            met: self.find.integer(2) != 0,
            told: self.find.integer(3) != 0,
        });
        self.find.reset();
        Ok(version)
    }
}
