//! The table of runs: one row for each, for looking back.

use crate::coordination::now;
use crate::ground::SyncError;
use crate::store::{Database, Result};

/// Runs kept.
const KEPT: i64 = 1000;

/// Writes a new run down; its number.
///
/// # Errors
/// SQLite's.
pub fn begin(
    database: &Database,
    provider: &str,
    instance: Option<&str>,
    started: i64,
) -> Result<i64> {
    database.execute(
        "INSERT INTO main._syncRun (provider, instanceId, state, phase, startedAt) \
         VALUES (?1, ?2, 'running', 'starting', ?3)",
        &[provider.into(), instance.into(), started.into()],
    )?;
    Ok(database.connection().last_insert_rowid())
}

/// Writes down how a run ended, and forgets the oldest ones.
///
/// # Errors
/// SQLite's.
pub fn end(
    database: &Database,
    run: i64,
    phase: &str,
    finished: i64,
    summary: &str,
    error: Option<&SyncError>,
) -> Result<()> {
    let state = if error.is_some() { "failed" } else { "synced" };
    let error = error.map(|error| error.to_json().to_string());
    database.execute(
        "UPDATE main._syncRun SET state = ?2, phase = ?3, finishedAt = ?4, summary = ?5, error = ?6 \
         WHERE id = ?1",
        &[
            run.into(),
            state.into(),
            phase.into(),
            finished.into(),
            summary.into(),
            error.as_ref().into(),
        ],
    )?;
    database.execute(
        "DELETE FROM main._syncRun WHERE id <= ?1",
        &[run.saturating_sub(KEPT).into()],
    )?;
    Ok(())
}

/// Ends the runs that dead programs left. Whoever calls holds the provider's lease, so no other run of
/// it can be alive.
///
/// # Errors
/// SQLite's.
pub fn close_dead(database: &Database, provider: &str, run: i64) -> Result<()> {
    let error = SyncError::cancelled("its program ended before the sync did")
        .to_json()
        .to_string();
    database.execute(
        "UPDATE main._syncRun SET state = 'failed', finishedAt = ?3, error = ?4 \
         WHERE provider = ?1 AND state = 'running' AND id <> ?2",
        &[provider.into(), run.into(), now().into(), (&error).into()],
    )?;
    Ok(())
}
