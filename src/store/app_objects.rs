//! What a program has put on our tables: its own indexes and triggers. A table that a step of the schema
//! creates again takes them along, so they are created again after it.

use super::database::{Database, quote_name};
use super::error::Result;
use super::value::Value;

/// How SQLite begins the text of an index or a trigger in `sqlite_master`; the bare name follows, whatever file the
/// statement named.
const KINDS: &[&str] = &["CREATE TRIGGER ", "CREATE INDEX ", "CREATE UNIQUE INDEX "];

/// Names and texts.
pub struct AppObjects(Vec<(String, String)>);

impl AppObjects {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database) -> Result<Self> {
        let objects = database.query_all(
            "SELECT name, sql FROM main.sqlite_master WHERE type IN ('index', 'trigger') \
             AND tbl_name LIKE '\\_sync%' ESCAPE '\\' AND name NOT LIKE '\\_sync%' ESCAPE '\\' \
             AND sql IS NOT NULL ORDER BY rowid",
            &[],
            |row| Ok((row.text(0), row.text(1))),
        )?;
        Ok(Self(objects))
    }

    /// Makes those again that are gone.
    ///
    /// # Errors
    /// SQLite's: one names a column that is gone too; a text of more than one statement.
    pub fn restore(&self, database: &Database) -> Result<()> {
        for (name, sql) in &self.0 {
            let there = database.query_value(
                "SELECT 1 FROM main.sqlite_master WHERE name = ?1 AND type IN ('index', 'trigger')",
                &[name.into()],
            )?;
            let localized = KINDS.iter().find_map(|kind| {
                let rest = sql.strip_prefix(kind)?;
                Some(format!("{kind}{}.{rest}", quote_name(database.schema())))
            });
            if let (Value::Null, Some(sql)) = (there, localized) {
                // A stranger's file may have more in that text; preparing it takes one statement only.
                database.connection().prepare(&sql)?.run(&[])?;
            }
        }
        Ok(())
    }
}
