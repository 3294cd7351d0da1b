//! The table of runs: one row for each, for looking back. Nothing else writes it.

use super::now;
use super::owner::OwnerId;
use crate::ground::SyncError;
use crate::store::{Database, Result, ValueRef};

/// Runs kept, beside the last successful one of each provider.
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
    trim(database, run)
}

/// Forgets the oldest runs. The last success of a provider stays, however many runs of others came since:
/// [`last_success`] asks for it.
fn trim(database: &Database, newest: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncRun WHERE id <= ?1 AND id NOT IN \
         (SELECT max(id) FROM main._syncRun WHERE state = 'synced' GROUP BY provider)",
        &[newest.saturating_sub(KEPT).into()],
    )?;
    Ok(())
}

/// When the last successful run of a provider ended (milliseconds since 1970); none when none did.
///
/// # Errors
/// SQLite's.
pub fn last_success(database: &Database, provider: &str) -> Result<Option<i64>> {
    let last = database.query_value(
        "SELECT finishedAt FROM main._syncRun WHERE provider = ?1 AND state = 'synced' \
         ORDER BY id DESC LIMIT 1",
        &[provider.into()],
    )?;
    Ok(last.as_i64())
}

/// Ends the runs of a provider that dead programs left, all but `run`. Whoever calls holds the provider's
/// lease, so no other run of it can be alive.
///
/// # Errors
/// SQLite's.
pub fn close_dead(database: &Database, provider: &str, run: i64) -> Result<()> {
    cancel(
        database,
        "provider = ?3 AND id <> ?4",
        &[provider.into(), run.into()],
        "its program ended before the sync did",
    )
}

/// Ends the runs for which an owner holds a lease: it is dead, or it could not write their end down.
///
/// # Errors
/// SQLite's.
pub fn close_abandoned(database: &Database, owner: OwnerId) -> Result<()> {
    cancel(
        database,
        "id IN (SELECT runId FROM main._syncLease WHERE ownerId = ?3)",
        &[owner.into()],
        "it ended without being able to say so",
    )
}

/// Ends running runs; the condition's parameters begin at `?3`.
fn cancel(database: &Database, condition: &str, values: &[ValueRef<'_>], why: &str) -> Result<()> {
    let error = SyncError::cancelled(why).to_json().to_string();
    let mut all = vec![now().into(), error.as_str().into()];
    all.extend_from_slice(values);
    database.execute(
        &format!(
            "UPDATE main._syncRun SET state = 'failed', finishedAt = ?1, error = ?2 \
             WHERE state = 'running' AND {condition}"
        ),
        &all,
    )?;
    Ok(())
}
