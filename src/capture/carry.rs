//! Changes that somebody else kept a record of before we did, put into the log as if we had captured them.

use crate::store::{Database, Result, Statement, Value};

use super::Tracked;
use super::triggers::GROUP;

/// Writes such changes of one table. Deletes need no help: deleting the row logs them.
pub struct Carrier<'t> {
    table: &'t Tracked,
    insert: Statement,
}

impl<'t> Carrier<'t> {
    /// # Errors
    /// SQLite's.
    pub fn new(database: &Database, table: &'t Tracked) -> Result<Self> {
        let insert = database.prepare(
            "INSERT INTO main._syncChange (tbl, op, mask, rid, pk) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        Ok(Self { table, insert })
    }

    /// The row was inserted.
    ///
    /// # Errors
    /// SQLite's.
    pub fn inserted(&mut self, key: &Value, rowid: Option<i64>) -> Result<()> {
        self.log(1, None, key, rowid)
    }

    /// Columns of the row were updated: those at `positions`, each less than the number of columns.
    ///
    /// # Errors
    /// SQLite's.
    pub fn updated(&mut self, key: &Value, rowid: Option<i64>, positions: &[usize]) -> Result<()> {
        for group in 0..self.table.shape.columns.len().div_ceil(GROUP) {
            let mask = positions
                .iter()
                .filter(|position| **position / GROUP == group)
                .fold(0, |mask, position| mask | 1i64 << (position % GROUP));
            if mask != 0 {
                self.log(2 | (group as i64) << 3, Some(mask), key, rowid)?;
            }
        }
        Ok(())
    }

    /// The row was updated, and nobody knows where.
    ///
    /// # Errors
    /// SQLite's.
    pub fn updated_everywhere(&mut self, key: &Value, rowid: Option<i64>) -> Result<()> {
        self.log(2, Some(-1), key, rowid)
    }

    fn log(&mut self, op: i64, mask: Option<i64>, key: &Value, rowid: Option<i64>) -> Result<()> {
        self.insert.run(&[
            self.table.id.into(),
            op.into(),
            mask.into(),
            rowid.into(),
            key.borrow(),
        ])?;
        Ok(())
    }
}
