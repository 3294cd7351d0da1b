//! A table that is not tracked: rows are written as they come.

use crate::coordination::now;
use crate::store::{Database, Result, Statement, Value, ValueRef};

use super::outcome::{Failure, Outcome};
use super::rows::Rows;
use super::scope::Scope;

/// The rows of a table that is not tracked.
pub struct PlainRows<'a> {
    database: &'a Database,
    name: &'a str,
    insert: Statement,
    update: Statement,
    now: Value,
    pub outcome: Outcome,
}

impl<'a> PlainRows<'a> {
    /// # Errors
    /// SQLite's.
    pub fn new(database: &'a Database, name: &'a str) -> Result<Self> {
        let table = database.qualified(name);
        let prepare = |sql: String| database.connection().prepare(&sql);
        Ok(Self {
            database,
            name,
            insert: prepare(format!(
                "INSERT INTO {table} (id, data, timestamp) VALUES (?1, ?2, ?3)"
            ))?,
            update: prepare(format!(
                "UPDATE {table} SET data = ?2, timestamp = ?3 WHERE id = ?1"
            ))?,
            now: Value::Integer(now()),
            outcome: Outcome::default(),
        })
    }
}

impl Rows for PlainRows<'_> {
    fn clear(&mut self, scope: &Scope) -> Result<(), Failure> {
        let sql = format!(
            "DELETE FROM {} WHERE {} AND (id IS NULL OR id NOT IN (SELECT value FROM json_each(?{})))",
            self.database.qualified(self.name),
            scope.condition.sql,
            scope.condition.values.len() + 1
        );
        let mut values: Vec<ValueRef<'_>> =
            scope.condition.values.iter().map(Value::borrow).collect();
        values.push(scope.brought.as_str().into());
        self.outcome.deleted += self.database.connection().prepare(&sql)?.run(&values)?;
        Ok(())
    }

    fn put(&mut self, id: &Value, data: &str, timestamp: Option<&Value>) -> Result<(), Failure> {
        let timestamp = timestamp.unwrap_or(&self.now).borrow();
        let values = [id.borrow(), data.into(), timestamp];
        if self.update.run(&values)? > 0 {
            self.outcome.updated += 1;
            return Ok(());
        }
        self.insert.run(&values)?;
        self.outcome.inserted += 1;
        Ok(())
    }
}
