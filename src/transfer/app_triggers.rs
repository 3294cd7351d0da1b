//! Whether the application has triggers.

use std::collections::HashSet;

use crate::store::{Database, Result, Value};

/// Whether a trigger of the application fires on deletes from a table and names one of some others, in lower case. The
/// table itself counts if it is named again after ON.
///
/// # Errors
/// SQLite's.
pub fn deletes_reach(database: &Database, table: &str, others: &HashSet<String>) -> Result<bool> {
    let own = table.to_lowercase();
    for catalog in ["main.sqlite_master", "temp.sqlite_master"] {
        let texts = database.query_all(
            &format!(
                "SELECT lower(sql) FROM {catalog} WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE \
                 AND substr(name, 1, 13) <> '_syncCapture_'"
            ),
            &[table.into()],
            |row| Ok(row.text(0)),
        )?;
        for text in texts {
            let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
            let words: Vec<&str> = text.split(|letter| !is_part(letter)).collect();
            let named = |name: &str| words.iter().filter(|word| **word == name).count();
            let reaches = |other: &String| {
                named(other) > usize::from(*other == own) || !other.chars().all(is_part)
            };
            if words.contains(&"delete") && others.iter().any(reaches) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether the application has triggers on a table, or on any.
///
/// # Errors
/// SQLite's.
pub fn has_triggers(database: &Database, table: Option<&str>) -> Result<bool> {
    for catalog in ["main.sqlite_master", "temp.sqlite_master"] {
        let found = database.query_value(
            &format!(
                "SELECT 1 FROM {catalog} WHERE type = 'trigger' \
                 AND (?1 IS NULL OR tbl_name = ?1 COLLATE NOCASE) \
                 AND substr(name, 1, 13) <> '_syncCapture_' AND substr(tbl_name, 1, 5) <> '_sync'"
            ),
            &[table.into()],
        )?;
        if found != Value::Null {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a table has temporary triggers: those can't be switched off.
///
/// # Errors
/// SQLite's.
pub fn has_temporary_triggers(database: &Database, table: &str) -> Result<bool> {
    let found = database.query_value(
        "SELECT 1 FROM temp.sqlite_master WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE",
        &[table.into()],
    )?;
    Ok(found != Value::Null)
}
