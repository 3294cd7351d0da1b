//! One attached file of a connection: where our tables live.
//!
//! SQL in this project is written for `main` and can be pasted into the shell as it stands. When a
//! call names another attached file, the prefix `main.` is exchanged for that file's quoted name.

use std::borrow::Cow;

use super::connection::Connection;
use super::error::{Error, Result};
use super::statement::Statement;
use super::value::{Value, ValueRef};

/// A connection together with the attached file that a call is about.
#[derive(Debug, Clone)]
pub struct Database {
    connection: Connection,
    schema: String,
}

impl Database {
    /// The file attached as `schema` (`main` unless the caller said otherwise).
    ///
    /// # Errors
    /// No file is attached under that name.
    pub fn open(connection: Connection, schema: &str) -> Result<Self> {
        if connection.read_only(schema).is_none() {
            return Err(Error::argument(format!(
                "schema {} is not attached; ATTACH it first or leave it out",
                quote_name(schema)
            )));
        }
        Ok(Self {
            connection,
            schema: schema.into(),
        })
    }

    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Name of the attached file as the caller gave it.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// `"schema"."name"`, quoted, for statements over the application's tables.
    pub fn qualified(&self, name: &str) -> String {
        format!("{}.{}", quote_name(&self.schema), quote_name(name))
    }

    fn localized<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        if self.schema == "main" {
            return Cow::Borrowed(sql);
        }
        Cow::Owned(sql.replace("main.", &format!("{}.", quote_name(&self.schema))))
    }

    /// Prepares one of our own statements (with the prefix `main.`). Statements that name an
    /// application's table must go through [`Connection::prepare`] with [`Database::qualified`].
    ///
    /// # Errors
    /// SQLite's.
    pub fn prepare(&self, sql: &str) -> Result<Statement> {
        self.connection.prepare(&self.localized(sql))
    }

    /// Runs a script of our own (schema files).
    ///
    /// # Errors
    /// SQLite's.
    pub fn execute_script(&self, sql: &str) -> Result<()> {
        self.connection.execute_script(&self.localized(sql))
    }

    /// Runs one statement and returns the rows it changed.
    ///
    /// # Errors
    /// SQLite's.
    pub fn execute(&self, sql: &str, values: &[ValueRef<'_>]) -> Result<i64> {
        self.prepare(sql)?.run(values)
    }

    /// The first row of a query, through `read`.
    ///
    /// # Errors
    /// SQLite's, and those of `read`.
    pub fn query_row<T>(
        &self,
        sql: &str,
        values: &[ValueRef<'_>],
        read: impl FnOnce(&Statement) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.prepare(sql)?;
        statement.bind_all(values)?;
        if !statement.step()? {
            return Ok(None);
        }
        read(&statement).map(Some)
    }

    /// All rows of a query, each through `read`.
    ///
    /// # Errors
    /// SQLite's, and those of `read`.
    pub fn query_all<T>(
        &self,
        sql: &str,
        values: &[ValueRef<'_>],
        mut read: impl FnMut(&Statement) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.prepare(sql)?;
        statement.bind_all(values)?;
        let mut rows = Vec::new();
        while statement.step()? {
            rows.push(read(&statement)?);
        }
        Ok(rows)
    }

    /// First column of the first row; [`Value::Null`] when there is none.
    ///
    /// # Errors
    /// SQLite's.
    pub fn query_value(&self, sql: &str, values: &[ValueRef<'_>]) -> Result<Value> {
        let value = self.query_row(sql, values, |row| Ok(row.column(0).to_owned()))?;
        Ok(value.unwrap_or_default())
    }

    /// Whether a table, of ours or of the application, exists in this file.
    ///
    /// # Errors
    /// SQLite's: a file that is no database, a locked one.
    pub fn has_table(&self, name: &str) -> Result<bool> {
        let found = self.query_value(
            "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
            &[name.into()],
        )?;
        Ok(found != Value::Null)
    }
}

/// `name` as an SQL identifier: in double quotes, quotes doubled.
pub fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(quote_name("a\"b"), "\"a\"\"b\"");
    }
}
