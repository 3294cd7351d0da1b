//! Forgetting what was kept of a table's way to and from the server.

use crate::capture::rebuilt::forget_cursors;
use crate::store::{Database, Result};

/// Forgets all of a table that is not tracked any more: also what was sent of it, and what was refused.
///
/// # Errors
/// SQLite's.
pub fn table(database: &Database, table: i64) -> Result<()> {
    forget_cursors(database, table)?;
    database.execute(
        "DELETE FROM main._syncOutbox WHERE tbl = ?1",
        &[table.into()],
    )?;
    database.execute(
        "DELETE FROM main._syncRejected WHERE tbl = ?1",
        &[table.into()],
    )?;
    Ok(())
}
