//! One sync per provider at a time, over all connections and processes.

use crate::coordination::{OwnerId, now, owner};
use crate::ground::SyncError;
use crate::store::{Database, Error, Result};

/// Takes the lease of a provider, from a dead owner if need be. Call inside a transaction.
///
/// # Errors
/// [`Error::Busy`] while a live process holds it.
pub fn take(database: &Database, provider: &str, holder: OwnerId, run: i64) -> Result<()> {
    refuse_held(database, provider, holder)?;
    database.execute(
        "INSERT INTO main._syncLease (provider, ownerId, runId, acquiredAt) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (provider) DO UPDATE SET ownerId = excluded.ownerId, runId = excluded.runId, \
         acquiredAt = excluded.acquiredAt",
        &[provider.into(), holder.into(), run.into(), now().into()],
    )?;
    Ok(())
}

/// Makes sure that nobody else holds the lease of a provider.
///
/// # Errors
/// [`Error::Busy`] while a live process holds it.
pub fn refuse_held(database: &Database, provider: &str, holder: OwnerId) -> Result<()> {
    let held = database.query_row(
        "SELECT lease.ownerId, owner.processId FROM main._syncLease AS lease \
         LEFT JOIN main._syncOwner AS owner ON owner.id = lease.ownerId WHERE lease.provider = ?1",
        &[provider.into()],
        |row| Ok((row.integer(0), row.integer(1))),
    )?;
    if let Some((other, process)) = held
        && other != holder
        && !owner::is_dead(database, other)?
    {
        return Err(Error::Busy(format!(
            "provider '{provider}' is being synced by another connection (process {process}); \
                 try again when it is done"
        )));
    }
    Ok(())
}

/// Returns the lease of a run back.
///
/// # Errors
/// SQLite's.
pub fn release(database: &Database, provider: &str, run: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncLease WHERE provider = ?1 AND runId = ?2",
        &[provider.into(), run.into()],
    )?;
    Ok(())
}

/// Whether a run still holds its lease.
///
/// # Errors
/// SQLite's.
pub fn is_held(database: &Database, provider: &str, run: i64) -> Result<bool> {
    let held = database.query_value(
        "SELECT 1 FROM main._syncLease WHERE provider = ?1 AND runId = ?2",
        &[provider.into(), run.into()],
    )?;
    Ok(held.as_i64().is_some())
}

/// Makes sure that a run still holds its lease. One that lost it (its process was considered dead) must
/// not write.
///
/// # Errors
/// Another sync has it; SQLite's.
pub fn require(database: &Database, provider: &str, run: i64) -> Result<(), SyncError> {
    if is_held(database, provider, run)? {
        return Ok(());
    }
    Err(SyncError::concurrent(format!(
        "another sync of provider '{provider}' took over; sync again"
    )))
}
