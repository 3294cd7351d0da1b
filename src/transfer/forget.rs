//! Forgetting what was kept of a table's way to and from the server.

use crate::capture::lost::forget_cursors;
use crate::store::{Database, Result};

use super::held::keep;
use super::peer;

/// Forgets how far a provider was pulled and what was sent to it. What waits to be sent stays.
///
/// # Errors
/// SQLite's.
pub fn provider(database: &Database, provider: &str) -> Result<()> {
    peer::forget(database, provider)?;
    database.execute(
        "DELETE FROM main._syncPart WHERE placeId IN (SELECT id FROM main._syncPlace WHERE provider = ?1)",
        &[provider.into()],
    )?;
    for table in ["_syncCursor", "_syncPlace", "_syncVersion", "_syncRejected"] {
        let sql = format!("DELETE FROM main.{table} WHERE provider = ?1");
        database.execute(&sql, &[provider.into()])?;
    }
    database.delete_each(
        ("_syncOutbox", "id"),
        "pushId IN \
         (SELECT id FROM main._syncPush WHERE provider = ?1)",
        &[provider.into()],
    )?;
    database.execute(
        "DELETE FROM main._syncPush WHERE provider = ?1",
        &[provider.into()],
    )?;
    Ok(())
}

/// Forgets all of a provider that is not to be synced with any more, its declaration too. The numbers that its changes had
/// stay taken.
///
/// # Errors
/// SQLite's.
pub fn declared(database: &Database, name: &str) -> Result<()> {
    provider(database, name)?;
    for table in ["_syncFunction", "_syncHeld", "_syncPause", "_syncSchedule"] {
        let sql = format!("DELETE FROM main.{table} WHERE provider = ?1");
        database.execute(&sql, &[name.into()])?;
    }
    database.execute(
        "UPDATE main._syncTable SET provider = NULL WHERE provider = ?1",
        &[name.into()],
    )?;
    database.execute(
        "DELETE FROM main._syncProvider WHERE id = ?1",
        &[name.into()],
    )?;
    Ok(())
}

/// Forgets the conflicts of a provider: they hold copies of rows.
///
/// # Errors
/// SQLite's.
pub fn conflicts(database: &Database, provider: &str) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncConflict WHERE provider = ?1",
        &[provider.into()],
    )?;
    Ok(())
}

/// Forgets all of a table that is not tracked any more: also what was sent of it, what was refused, and what is held.
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
    database.execute("DELETE FROM main._syncPart WHERE tbl = ?1", &[table.into()])?;
    keep::forget_table(database, table)
}
