//! Forgetting what was kept of a table's way to and from the server.

use crate::store::{Database, Result};

use super::held::keep;

/// Forgets how far a table was pulled: the next pull starts from the beginning.
///
/// # Errors
/// SQLite's.
pub fn cursors(database: &Database, table: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncCursor WHERE tableId = ?1",
        &[table.into()],
    )?;
    Ok(())
}

/// Forgets all of a table that is not tracked any more: also what was sent of it, what was refused, and what is held.
///
/// # Errors
/// SQLite's.
pub fn table(database: &Database, table: i64) -> Result<()> {
    cursors(database, table)?;
    database.execute(
        "DELETE FROM main._syncOutbox WHERE tbl = ?1",
        &[table.into()],
    )?;
    database.execute(
        "DELETE FROM main._syncRejected WHERE tbl = ?1",
        &[table.into()],
    )?;
    keep::forget_table(database, table)
}
