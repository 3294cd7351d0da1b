//! What clients ask for, whatever shape their requests have.

use serde_json::Value;

use super::super::schema::{Schema, Table};
use super::super::strategy::Strategy;
use super::migration::Migration;

/// A pull as it was read from a request.
#[derive(Clone, Debug, Default)]
pub struct PullCall {
    /// 0: everything.
    pub cursor: i64,
    /// `None`: all.
    pub tables: Option<Vec<String>>,
    /// See [`Migration::parse`].
    pub migration: Value,
    /// Complete sets are wanted; see [`Strategy::parse`].
    pub strategy: Value,
}

/// A push as it was read from a request.
#[derive(Clone, Debug)]
pub struct PushCall {
    /// [`NO_CURSOR`] if the client does not say what it knows.
    pub cursor: i64,
    pub changes: Value,
    /// Booleans must be 0 and 1.
    pub zero_one: bool,
}

/// Later than every change: rule U5 finds no conflict.
pub const NO_CURSOR: i64 = i64::MAX;

/// A pull whose names exist.
pub struct PullRequest {
    pub cursor: i64,
    tables: Option<Vec<String>>,
    pub migration: Migration,
    pub strategy: Option<Strategy>,
}

impl PullRequest {
    /// Refuses names that the schema does not have.
    pub fn check(call: PullCall, schema: &Schema) -> Result<PullRequest, String> {
        for name in call.tables.iter().flatten() {
            known_table(schema, name)?;
        }
        let strategy = match &call.strategy {
            Value::Null => None,
            strategy => Some(Strategy::parse(strategy)?),
        };
        Ok(PullRequest {
            cursor: call.cursor,
            tables: call.tables,
            migration: Migration::parse(&call.migration, schema)?,
            strategy,
        })
    }

    /// Whether the table is asked for.
    pub fn wants(&self, table: &Table) -> bool {
        self.tables
            .as_ref()
            .is_none_or(|tables| tables.contains(&table.name))
    }

    /// Rule P6: new tables are read from the beginning.
    pub fn cursor_for(&self, table: &Table) -> i64 {
        if self.migration.is_new(table) {
            0
        } else {
            self.cursor
        }
    }
}

/// The table, or an error that names it.
pub fn known_table<'a>(schema: &'a Schema, name: &str) -> Result<&'a Table, String> {
    schema
        .table(name)
        .ok_or_else(|| format!("unknown table {name}"))
}
