//! Triggers of the application.

use super::database::Database;
use super::error::Result;
use super::value::Value;

/// Whether the application has triggers on a table, or on any.
///
/// # Errors
/// SQLite's.
pub fn has_app_triggers(database: &Database, table: Option<&str>) -> Result<bool> {
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
