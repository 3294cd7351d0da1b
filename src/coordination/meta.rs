//! What `_syncMeta` says of a file.

use crate::store::{Database, Result, readable_schema};

/// Whether a file holds our tables, to be read by those who write nothing. They may be an older version's.
///
/// # Errors
/// A file of a newer version; SQLite's.
pub fn installed(database: &Database) -> Result<bool> {
    Ok(readable_schema(database)?.is_some())
}

/// A whole-number setting of `_syncMeta`, or its default.
///
/// # Errors
/// SQLite's.
pub fn setting(database: &Database, key: &str, default: i64) -> Result<i64> {
    let value = database.query_value(
        "SELECT value FROM main._syncMeta WHERE key = ?1",
        &[key.into()],
    )?;
    Ok(value.as_i64().unwrap_or(default))
}
