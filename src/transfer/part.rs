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

    /// The rows of the part in a table, and those among them that the reading did not name, each with whether it belongs to
    /// another part, too.
    ///
    /// # Errors
    /// SQLite's.
    pub fn left(&self, table: i64) -> Result<(i64, Vec<(Key, bool)>)> {
        let place = [self.place.into(), table.into(), self.reading.into()];
        let all = self.database.query_value(
            "SELECT count(*) FROM main._syncPart WHERE placeId = ?1 AND tbl = ?2",
            &place[..2],
        )?;
        let left = self.database.query_all(
            "SELECT pk, EXISTS (SELECT 1 FROM main._syncPart WHERE tbl = ?2 AND pk = mine.pk AND placeId <> ?1) \
             FROM main._syncPart AS mine WHERE placeId = ?1 AND tbl = ?2 AND reading < ?3",
            &place,
            |row| Ok((Key(row.column(0).to_owned()), row.integer(1) == 1)),
        )?;
        Ok((all.as_i64().unwrap_or(0), left))
    }

    /// Rows are no part of it any more.
    ///
    /// # Errors
    /// SQLite's.
    pub fn forget<'k>(&self, table: i64, keys: impl Iterator<Item = &'k Key>) -> Result<()> {
        let mut forget = self
            .database
            .prepare("DELETE FROM main._syncPart WHERE placeId = ?1 AND tbl = ?2 AND pk = ?3")?;
        for key in keys {
            forget.run(&[self.place.into(), table.into(), key.0.borrow()])?;
        }
        Ok(())
    }
}
