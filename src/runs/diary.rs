//! The sync log: what happened in a run, step by step, without the values of rows.
//!
//! Entries are written along with the next transaction of the run, so a killed run shows how far it came.

use std::cell::{Cell, RefCell};

use serde_json::Value as Json;

use crate::coordination::now;
use crate::store::{Database, Result};

/// Entries kept unless `_syncMeta` says otherwise.
const LIMIT: i64 = 10_000;

/// The entries of one run.
#[derive(Default)]
pub struct Diary {
    entries: RefCell<Vec<(i64, &'static str, Json)>>,
    /// How many of them are in the table.
    written: Cell<usize>,
}

impl Diary {
    /// Notes an event, to be written with the next transaction.
    pub fn note(&self, event: &'static str, detail: Json) {
        self.entries.borrow_mut().push((now(), event, detail));
    }

    /// Writes what is not written yet, in the caller's transaction. [`Diary::committed`] must follow
    /// when that is committed.
    ///
    /// # Errors
    /// SQLite's.
    pub fn write(&self, database: &Database, run: i64) -> Result<()> {
        let entries = self.entries.borrow();
        let due = entries.get(self.written.get()..).unwrap_or_default();
        if due.is_empty() {
            return Ok(());
        }
        let mut insert = database.prepare(
            "INSERT INTO main._syncLog (runId, at, event, detail) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (at, event, detail) in due {
            let detail = (!detail.is_null()).then(|| detail.to_string());
            insert.run(&[
                run.into(),
                (*at).into(),
                (*event).into(),
                detail.as_deref().into(),
            ])?;
        }
        Ok(())
    }

    /// What was written last is committed.
    pub fn committed(&self) {
        self.written.set(self.entries.borrow().len());
    }
}

/// Lets the oldest entries go when there are too many.
///
/// # Errors
/// SQLite's.
pub fn trim(database: &Database) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncLog WHERE id <= (SELECT max(id) FROM main._syncLog) \
         - coalesce((SELECT CAST(value AS INTEGER) FROM main._syncMeta WHERE key = 'logLimit'), ?1)",
        &[LIMIT.into()],
    )?;
    Ok(())
}
