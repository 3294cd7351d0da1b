//! Rows that break a reference of others: by a trigger of the application that writes what refers to nothing, or takes away
//! what is referred to. Nothing of such a row's own says so, and SQLite only counts. So the answer is applied once more on
//! trial, to be undone whatever comes of it, and each row is looked at as it is written.

use std::cell::{Cell, RefCell};

use crate::capture::Key;
use crate::store::{Database, Result, Value, ValueRef};

use super::reason::Reason;

/// One such attempt.
pub struct Trial {
    /// The references that are broken in the end.
    targets: Vec<Target>,
    /// Rows are looked at even if they leave no more broken than they mend.
    pub is_thorough: bool,
    /// SQLite counts from each row on what that row breaks.
    counts_anew: Cell<bool>,
    /// After these, something was broken that was not before.
    suspects: RefCell<Vec<Suspect>>,
}

/// A reference that is broken more often in the end than before.
pub struct Target {
    /// How often it is broken.
    pub sql: String,
    pub values: Vec<Value>,
    /// The reference in words.
    pub words: String,
    pub count: Cell<i64>,
}

impl Target {
    /// # Errors
    /// SQLite's.
    pub fn look(&self, database: &Database) -> Result<i64> {
        let values: Vec<ValueRef<'_>> = self.values.iter().map(Value::borrow).collect();
        let count = database.query_value(&self.sql, &values)?;
        Ok(count.as_i64().unwrap_or(0))
    }
}

/// A row of the answer, or a delete.
#[derive(Debug, Clone)]
pub struct Suspect {
    pub table: i64,
    pub key: Key,
    pub is_delete: bool,
}

impl Trial {
    pub fn new(targets: Vec<Target>, is_thorough: bool) -> Self {
        Self {
            targets,
            is_thorough,
            counts_anew: Cell::new(false),
            suspects: RefCell::default(),
        }
    }

    pub fn has_targets(&self) -> bool {
        !self.targets.is_empty()
    }

    pub fn suspects(&self) -> Vec<Suspect> {
        self.suspects.borrow().clone()
    }

    /// A row is about to be written.
    ///
    /// # Errors
    /// SQLite's.
    pub fn begin_row(&self, database: &Database) -> Result<()> {
        let connection = database.connection();
        if self.counts_anew.get() || connection.has_broken_references() {
            // This lets SQLite forget what it has counted, so it is only for an attempt that is undone.
            self.counts_anew.set(true);
            connection.execute_script(
                "PRAGMA defer_foreign_keys = OFF; PRAGMA defer_foreign_keys = ON",
            )?;
        }
        connection.execute_script("SAVEPOINT syncscope_trial")
    }

    /// It is written: why the answer can't have it; none if it can. A row that the answer can't have is undone, and with it
    /// what it broke, so that others can be told.
    ///
    /// # Errors
    /// SQLite's.
    pub fn end_row(&self, database: &Database, row: Suspect) -> Result<Option<Reason>> {
        let connection = database.connection();
        let breaks = connection.has_broken_references();
        if breaks {
            self.suspects.borrow_mut().push(row);
        }
        let mut found = None;
        for target in self.targets.iter().filter(|_| breaks || self.is_thorough) {
            if target.look(database)? > target.count.get() {
                connection.execute_script("ROLLBACK TO syncscope_trial")?;
                // What is still broken without the row is not its fault.
                let before = target.look(database)?;
                let is_its = before <= target.count.get();
                target.count.set(before);
                found = is_its.then(|| Reason::missing(target.words.clone()));
                break;
            }
        }
        connection.execute_script("RELEASE syncscope_trial")?;
        Ok(found)
    }
}
