//! SQL expressions over a row of an answer, `:record`, as functions of providers have them.

use std::collections::HashMap;

use crate::ground::{SyncError, quoted};
use crate::store::{Connection, Session, Statement, Value, ValueRef};

use super::declared;

/// The expressions of one answer, prepared when first asked for.
pub struct Expressions<'a> {
    session: &'a Session,
    connection: Connection,
    statements: HashMap<String, Statement>,
}

impl<'a> Expressions<'a> {
    pub fn new(session: &'a Session, connection: Connection) -> Self {
        Self {
            session,
            connection,
            statements: HashMap::new(),
        }
    }

    /// What an expression gives for a row.
    ///
    /// # Errors
    /// This connection has not declared it; SQLite's.
    pub fn evaluate(&mut self, sql: &str, record: &str) -> Result<Value, SyncError> {
        let said =
            |error: crate::store::Error| error.prefixed(&format!("the expression {}", quoted(sql)));
        if !self.statements.contains_key(sql) {
            declared::require(
                self.session,
                sql,
                "call sync_function with the same definition after opening the file",
            )?;
            let statement = self
                .connection
                .prepare(&format!("SELECT ({sql})"))
                .map_err(said)?;
            self.statements.insert(sql.to_owned(), statement);
        }
        let statement = self.statements.get_mut(sql).ok_or_else(SyncError::bug)?;
        if !statement.parameters().is_empty() {
            statement.bind(1, ValueRef::Text(record)).map_err(said)?;
        }
        let value = match statement.step().map_err(said)? {
            true => statement.column(0).to_owned(),
            false => Value::Null,
        };
        statement.reset();
        Ok(value)
    }
}
