//! Changes that somebody else kept a record of before we did, put into the log as if we had captured them.

use crate::store::{Database, Result, Statement, Value};

use super::Tracked;
use super::op::{EVERY_COLUMN, Op, updates};

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
        self.log(Op::Insert, None, key, rowid)
    }

    /// Columns of the row were updated: those at `positions`, each less than the number of columns.
    ///
    /// # Errors
    /// SQLite's.
    pub fn updated(&mut self, key: &Value, rowid: Option<i64>, positions: &[usize]) -> Result<()> {
        let table = self.table;
        let bits = positions
            .iter()
            .filter_map(|position| table.columns.bit(*position));
        for (op, mask) in updates(bits) {
            self.log(op, Some(mask), key, rowid)?;
        }
        Ok(())
    }

    /// The row was updated, and nobody knows where.
    ///
    /// # Errors
    /// SQLite's.
    pub fn updated_everywhere(&mut self, key: &Value, rowid: Option<i64>) -> Result<()> {
        self.log(Op::UPDATE, Some(EVERY_COLUMN), key, rowid)
    }

    fn log(&mut self, op: Op, mask: Option<i64>, key: &Value, rowid: Option<i64>) -> Result<()> {
        self.insert.run(&[
            self.table.id.into(),
            op.code().into(),
            mask.into(),
            rowid.into(),
            key.borrow(),
        ])?;
        Ok(())
    }
}
