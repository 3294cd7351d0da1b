//! One attached file of a connection: where our tables live.
//!
//! SQL in this project is written for `main` and can be pasted into the shell as it is. When a
//! call names another attached file, the prefix `main.` is exchanged for that file's quoted name.

use std::borrow::Cow;
use std::sync::Arc;

use super::connection::Connection;
use super::error::{Error, Result};
use super::kept::Kept;
use super::statement::Statement;
use super::value::{Value, ValueRef};

/// The tables of the file that may have foreign keys, as what stands after FROM: to ask all tables for theirs takes SQLite a
/// statement for each, and most files have dozens without any, ours among them.
pub const REFERRING: &str = "(SELECT name FROM main.sqlite_master WHERE type = 'table' AND instr(upper(sql), 'REFERENCES'))";

/// A connection together with the attached file that a call is about.
#[derive(Clone)]
pub struct Database {
    connection: Connection,
    schema: String,
    kept: Arc<Kept>,
}

impl Database {
    /// The file attached as `schema` (`main` unless the caller said otherwise).
    ///
    /// # Errors
    /// No file is attached under that name.
    pub(super) fn open(connection: Connection, schema: &str, kept: &Arc<Kept>) -> Result<Self> {
        if connection.read_only(schema).is_none() {
            return Err(Error::argument(format!(
                "schema {} is not attached; ATTACH it first or leave it out",
                quote_name(schema)
            )));
        }
        Ok(Self {
            connection,
            schema: schema.into(),
            kept: Arc::clone(kept),
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
        Cow::Owned(with_schema(sql, &quote_name(&self.schema)))
    }

    /// Prepares one of our own statements (with the prefix `main.`), which is kept for the next call. Statements
    /// that name an application's table must go through [`Connection::prepare`] with [`Database::qualified`].
    ///
    /// # Errors
    /// SQLite's.
    pub fn prepare(&self, sql: &str) -> Result<Statement> {
        Statement::kept(self.connection, &self.kept, &self.localized(sql))
    }

    /// Runs a script of our own (schema files).
    ///
    /// # Errors
    /// SQLite's.
    pub fn execute_script(&self, sql: &str) -> Result<()> {
        self.connection.execute_script(&self.localized(sql))
    }

    /// Deletes the rows of one of our tables that meet a condition, and says how many they were. A DELETE whose condition
    /// holds a question would gather all of them in memory first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn delete_each(
        &self,
        (table, key): (&str, &str),
        condition: &str,
        values: &[ValueRef<'_>],
    ) -> Result<i64> {
        // The plus makes SQLite sort them, in a file if need be, before the first is deleted.
        let sql = format!("SELECT {key} FROM main.{table} WHERE {condition} ORDER BY +{key}");
        let mut rows = self.prepare(&sql)?;
        rows.bind_all(values)?;
        let mut delete = self.prepare(&format!("DELETE FROM main.{table} WHERE {key} = ?1"))?;
        let mut count = 0;
        while rows.step()? {
            count += delete.run(&[rows.integer(0).into()])?;
        }
        Ok(count)
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
    /// SQLite's: a file that is not a database, a locked one.
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

/// The statement with `schema` in place of each `main` before a dot. Literals, quoted names and
/// comments stay as they are.
fn with_schema(sql: &str, schema: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 64);
    let mut rest = sql;
    while let Some(letter) = rest.chars().next() {
        let length = match letter {
            '\'' | '"' | '`' => end_of(&rest[1..], &rest[..1]) + 1,
            '[' => end_of(rest, "]"),
            '-' if rest.starts_with("--") => end_of(rest, "\n"),
            '/' if rest.starts_with("/*") => end_of(rest, "*/"),
            _ if is_word(letter) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            _ => letter.len_utf8(),
        };
        let (part, further) = rest.split_at(length);
        let names_main = part == "main" && further.starts_with('.');
        out.push_str(if names_main { schema } else { part });
        rest = further;
    }
    out
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

/// Bytes up to and with `end`, or all of them. A doubled quote ends a literal and begins the next, which makes no
/// difference here.
fn end_of(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |place| place + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_schema_are_exchanged() {
        for (sql, expected) in [
            ("SELECT * FROM main.t", "SELECT * FROM \"x\".t"),
            ("main.a,main.b", "\"x\".a,\"x\".b"),
            ("SELECT 'main.t', main.t.a", "SELECT 'main.t', \"x\".t.a"),
            (
                "SELECT 'it''s main.t', main.a",
                "SELECT 'it''s main.t', \"x\".a",
            ),
            ("'main.é' || main.é", "'main.é' || \"x\".é"),
            (
                "\"main.t\" `main.t` [main.t]",
                "\"main.t\" `main.t` [main.t]",
            ),
            (
                "domain.a main_.b éxmain.c main",
                "domain.a main_.b éxmain.c main",
            ),
            (
                "-- main.t\nmain.t -- main.t",
                "-- main.t\n\"x\".t -- main.t",
            ),
            (
                "/* main.t */main.t/* main.t",
                "/* main.t */\"x\".t/* main.t",
            ),
            ("a - main.b / main.c", "a - \"x\".b / \"x\".c"),
            ("SELECT 'main.", "SELECT 'main."),
        ] {
            assert_eq!(with_schema(sql, "\"x\""), expected, "{sql}");
        }
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quote_name("a\"b"), "\"a\"\"b\"");
    }
}
