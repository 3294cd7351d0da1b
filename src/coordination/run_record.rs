//! The table of runs: one row for each, for looking back. Nothing else writes it.

use super::clock::now;
use super::owner::{self, OwnerId};
use crate::ground::SyncError;
use crate::store::{Database, Result, ValueRef, readable_schema};

/// Runs kept, besides the last successful one of each provider.
const KEPT: i64 = 1000;

/// A run when it is recorded.
pub struct NewRun<'a> {
    pub provider: &'a str,
    pub instance: Option<&'a str>,
    /// What it is to bring about: `sync`, `check`.
    pub goal: &'a str,
    pub owner: OwnerId,
    /// Epoch ms.
    pub started: i64,
}

/// Where a run is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The last step reached.
    pub phase: &'static str,
    /// What it is doing, as JSON; none between requests.
    pub step: Option<String>,
    pub rows_up: i64,
    pub rows_down: i64,
    pub bytes_up: i64,
    pub bytes_down: i64,
    /// Rows there are to send, when that is known.
    pub rows_total: Option<i64>,
}

/// Records a new run, which waits for its turn; its number.
///
/// # Errors
/// SQLite's.
pub fn begin(database: &Database, run: &NewRun<'_>) -> Result<i64> {
    database.execute(
        "INSERT INTO main._syncRun (provider, instanceId, goal, ownerId, state, phase, startedAt) \
         VALUES (?1, ?2, ?3, ?4, 'queued', 'queued', ?5)",
        &[
            run.provider.into(),
            run.instance.into(),
            run.goal.into(),
            run.owner.into(),
            run.started.into(),
        ],
    )?;
    Ok(database.connection().last_insert_rowid())
}

/// The turn of a run has come. Whoever calls holds the provider's lease, so no other run of it can be going
/// on: those that dead programs left end now.
///
/// # Errors
/// SQLite's.
pub fn start(database: &Database, provider: &str, run: i64) -> Result<()> {
    database.execute(
        "UPDATE main._syncRun SET state = 'running', phase = 'starting' WHERE id = ?1",
        &[run.into()],
    )?;
    cancel(
        database,
        "state = 'running' AND provider = ?3 AND id <> ?4",
        &[provider.into(), run.into()],
        "its program ended before the sync did",
    )
}

/// Whether no other run of a provider goes on, and none that began to wait earlier is left. Only reads.
///
/// # Errors
/// SQLite's.
pub fn is_next(database: &Database, provider: &str, run: i64) -> Result<bool> {
    let earlier = database.query_all(
        "SELECT ownerId FROM main._syncLease WHERE provider = ?1 UNION ALL \
         SELECT ownerId FROM main._syncRun WHERE provider = ?1 AND state = 'queued' AND id < ?2",
        &[provider.into(), run.into()],
        |row| Ok(row.integer(0)),
    )?;
    for owner in earlier {
        if !owner::is_dead(database, owner)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Records where a run is.
///
/// # Errors
/// SQLite's.
pub fn progress(database: &Database, run: i64, at: &Progress) -> Result<()> {
    database.execute(
        "UPDATE main._syncRun SET phase = ?2, step = ?3, rowsUp = ?4, rowsDown = ?5, bytesUp = ?6, \
         bytesDown = ?7, rowsTotal = ?8 WHERE id = ?1",
        &[
            run.into(),
            at.phase.into(),
            at.step.as_deref().into(),
            at.rows_up.into(),
            at.rows_down.into(),
            at.bytes_up.into(),
            at.bytes_down.into(),
            at.rows_total.into(),
        ],
    )?;
    Ok(())
}

/// Asks the runs of some owners to end; they do so at their next step.
///
/// # Errors
/// SQLite's.
pub fn ask_to_end<'o>(
    database: &Database,
    owners: impl Iterator<Item = &'o OwnerId>,
    reason: &str,
) -> Result<()> {
    for owner in owners {
        database.execute(
            "UPDATE main._syncRun SET cancel = ?2 \
             WHERE ownerId = ?1 AND state IN ('queued', 'running') AND cancel IS NULL",
            &[(*owner).into(), reason.into()],
        )?;
    }
    Ok(())
}

/// Asks one run to end; it does so at its next step. Whether it goes on; none: there is no such run.
///
/// # Errors
/// SQLite's.
pub fn ask_one_to_end(database: &Database, run: i64, reason: &str) -> Result<Option<bool>> {
    let asked = database.execute(
        "UPDATE main._syncRun SET cancel = coalesce(cancel, ?2) \
         WHERE id = ?1 AND state IN ('queued', 'running')",
        &[run.into(), reason.into()],
    )?;
    if asked > 0 {
        return Ok(Some(true));
    }
    let known = database.query_value("SELECT 1 FROM main._syncRun WHERE id = ?1", &[run.into()])?;
    Ok(known.as_i64().map(|_| false))
}

/// Whether nobody has asked a run to end.
///
/// # Errors
/// SQLite's.
pub fn goes_on(database: &Database, run: i64) -> Result<bool> {
    let cancel = database.query_value(
        "SELECT cancel FROM main._syncRun WHERE id = ?1",
        &[run.into()],
    )?;
    Ok(cancel.as_str().is_none())
}

/// Records how a run ended, and forgets the oldest ones.
///
/// # Errors
/// SQLite's.
pub fn end(
    database: &Database,
    run: i64,
    at: &Progress,
    finished: i64,
    summary: &str,
    error: Option<&SyncError>,
) -> Result<()> {
    let state = if error.is_some() { "failed" } else { "synced" };
    let error = error.map(|error| error.to_json().to_string());
    progress(database, run, at)?;
    database.execute(
        "UPDATE main._syncRun SET state = ?2, finishedAt = ?3, summary = ?4, error = ?5 WHERE id = ?1",
        &[
            run.into(),
            state.into(),
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
        "DELETE FROM main._syncRun WHERE id <= ?1 AND state NOT IN ('queued', 'running') AND id NOT IN \
         (SELECT max(id) FROM main._syncRun WHERE state = 'synced' AND goal IN ('sync', 'download', 'hydrate') GROUP BY provider)",
        &[newest.saturating_sub(KEPT).into()],
    )?;
    Ok(())
}

/// Forgets the runs of a provider with their logs. None of them goes on.
///
/// # Errors
/// SQLite's.
pub fn forget(database: &Database, provider: &str) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncLog WHERE runId IN (SELECT id FROM main._syncRun WHERE provider = ?1)",
        &[provider.into()],
    )?;
    database.execute(
        "DELETE FROM main._syncRun WHERE provider = ?1",
        &[provider.into()],
    )?;
    Ok(())
}

/// When the last successful run that brought rows of a provider ended (milliseconds since 1970); none when none did.
///
/// # Errors
/// SQLite's.
pub fn last_success(database: &Database, provider: &str) -> Result<Option<i64>> {
    // A file of version 1 is only read, and has nothing but syncs.
    let syncs = match readable_schema(database)? {
        Some(1) => "",
        _ => "AND goal IN ('sync', 'download', 'hydrate')",
    };
    let last = database.query_value(
        &format!(
            "SELECT finishedAt FROM main._syncRun WHERE provider = ?1 AND state = 'synced' {syncs} \
             ORDER BY id DESC LIMIT 1"
        ),
        &[provider.into()],
    )?;
    Ok(last.as_i64())
}

/// When the last run of a provider that succeeded ended, whatever it was for; none when none did.
///
/// # Errors
/// SQLite's.
pub fn last_end(database: &Database, provider: &str) -> Result<Option<i64>> {
    let last = database.query_value(
        "SELECT max(finishedAt) FROM main._syncRun WHERE provider = ?1 AND state = 'synced' AND goal <> 'check'",
        &[provider.into()],
    )?;
    Ok(last.as_i64())
}

/// Ends the runs of an owner: it is dead, or it could not record their end.
///
/// # Errors
/// SQLite's.
pub fn close_abandoned(database: &Database, owner: OwnerId) -> Result<()> {
    cancel(
        database,
        "state IN ('queued', 'running') AND (ownerId = ?3 \
         OR id IN (SELECT runId FROM main._syncLease WHERE ownerId = ?3))",
        &[owner.into()],
        "it ended before it could record that",
    )
}

/// Ends runs; the condition's parameters begin at `?3`.
fn cancel(database: &Database, condition: &str, values: &[ValueRef<'_>], why: &str) -> Result<()> {
    let error = SyncError::cancelled(why).to_json().to_string();
    let mut all = vec![now().into(), error.as_str().into()];
    all.extend_from_slice(values);
    database.execute(
        &format!(
            "UPDATE main._syncRun SET state = 'failed', finishedAt = ?1, error = ?2 WHERE {condition}"
        ),
        &all,
    )?;
    Ok(())
}
