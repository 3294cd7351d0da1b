//! Parts of a table, each read by an operation of its own: the rows that it has brought.

use crate::capture::Key;
use crate::store::{Database, Result, Statement, ValueRef};

/// The part of a table that one operation reads.
pub struct Part<'a> {
    database: &'a Database,
    /// Its number in `_syncPlace`.
    place: i64,
    /// The number of this reading.
    reading: i64,
    add: Statement,
}

impl<'a> Part<'a> {
    /// # Errors
    /// SQLite's.
    pub fn new(database: &'a Database, place: i64, reading: i64) -> Result<Self> {
        let add = database.prepare(
            "INSERT INTO main._syncPart (placeId, tbl, pk, reading) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (placeId, tbl, pk) DO UPDATE SET reading = excluded.reading",
        )?;
        Ok(Self {
            database,
            place,
            reading,
            add,
        })
    }

    /// The reading has named a row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn add(&mut self, table: i64, key: ValueRef<'_>) -> Result<()> {
        let values = [self.place.into(), table.into(), key, self.reading.into()];
        self.add.run(&values).map(drop)
    }

    /// The rows of the part in a table, and those among them that the reading did not name and that belong to no other part.
    ///
    /// # Errors
    /// SQLite's.
    pub fn left(&self, table: i64) -> Result<(i64, Vec<Key>)> {
        let place = [self.place.into(), table.into(), self.reading.into()];
        let all = self.database.query_value(
            "SELECT count(*) FROM main._syncPart WHERE placeId = ?1 AND tbl = ?2",
            &place[..2],
        )?;
        let left = self.database.query_all(
            "SELECT pk FROM main._syncPart AS mine WHERE placeId = ?1 AND tbl = ?2 AND reading < ?3 AND NOT EXISTS \
             (SELECT 1 FROM main._syncPart WHERE tbl = ?2 AND pk = mine.pk AND placeId <> ?1)",
            &place,
            |row| Ok(Key(row.column(0).to_owned())),
        )?;
        Ok((all.as_i64().unwrap_or(0), left))
    }

    /// What the reading did not name is no part of it any more.
    ///
    /// # Errors
    /// SQLite's.
    pub fn forget_left(&self, table: i64) -> Result<()> {
        self.database.execute(
            "DELETE FROM main._syncPart WHERE placeId = ?1 AND tbl = ?2 AND reading < ?3",
            &[self.place.into(), table.into(), self.reading.into()],
        )?;
        Ok(())
    }
}
