//! Results of operations: what a run, or whoever reports a state, makes of them.

use super::clock::now;
use super::operation::OpenOperation;
use super::owner::{OwnerId, text};
use crate::ground::quoted;
use crate::store::{Database, Error, Result, Value};

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Synced,
    /// With the error text.
    Failed(String),
}

/// Errors of this form are interruptions; the prefix is reserved.
pub const INTERRUPTED: &str = "interrupted: ";

/// Ends an operation of a run. The status stays `syncing` while another run has one open under it: it waits for its turn.
///
/// # Errors
/// SQLite's.
pub fn finish_of(database: &Database, operation: &OpenOperation, outcome: &Outcome) -> Result<()> {
    let status_id = operation.status_id;
    let others = database.query_value(
        "SELECT 1 FROM main._syncOperation WHERE statusId = ?1 AND id <> ?2 AND state = 'syncing'",
        &[status_id.into(), operation.id.into()],
    )?;
    if others == Value::Null {
        return finish(database, status_id, outcome).map(drop);
    }
    let (state, error) = match outcome {
        Outcome::Synced => ("synced", None),
        Outcome::Failed(error) if error.starts_with(INTERRUPTED) => ("interrupted", Some(error)),
        Outcome::Failed(error) => ("failed", Some(error)),
    };
    database.execute(
        "UPDATE main._syncOperation SET state = ?3, error = ?4, timestamp = ?5 \
         WHERE statusId = ?1 AND id = ?2 AND state = 'syncing'",
        &[
            status_id.into(),
            operation.id.into(),
            state.into(),
            error.into(),
            now().into(),
        ],
    )?;
    Ok(())
}

/// Ends an operation; whether anything changed.
///
/// # Errors
/// SQLite's.
pub fn finish(database: &Database, status_id: i64, outcome: &Outcome) -> Result<bool> {
    match outcome {
        Outcome::Synced => set_state(database, status_id, "synced", None),
        // Text of a server may hold a NUL character, which details could not show.
        Outcome::Failed(error) => set_state(
            database,
            status_id,
            "failed",
            Some(&error.replace('\0', "\u{fffd}")),
        ),
    }
}

/// A state that can be reported.
///
/// # Errors
/// Not one of the three states of an operation.
pub fn checked_state(state: &str) -> Result<&str> {
    if matches!(state, "syncing" | "synced" | "failed") {
        return Ok(state);
    }
    Err(Error::argument(format!(
        "state must be syncing, synced or failed, not {}",
        quoted(state)
    )))
}

/// Reports a state of an operation; whether anything changed. Work set to `syncing` belongs to
/// `owner` from then on.
///
/// # Errors
/// SQLite's: an unknown state.
pub fn report(
    database: &Database,
    owner: OwnerId,
    status_id: i64,
    state: &str,
    error: Option<&str>,
) -> Result<bool> {
    let changed = set_state(database, status_id, state, error)?;
    if state == "syncing" && changed {
        database.execute(
            "UPDATE main._syncOperation SET ownerId = ?2 \
             WHERE statusId = ?1 AND state = 'syncing' AND ownerId IS NULL",
            &[status_id.into(), owner.into()],
        )?;
    }
    Ok(changed)
}

fn set_state(
    database: &Database,
    status_id: i64,
    state: &str,
    error: Option<&str>,
) -> Result<bool> {
    let error = error.filter(|_| state == "failed");
    let row = database.query_value(
        "SELECT 1 FROM main._syncStatus WHERE id = ?1",
        &[status_id.into()],
    )?;
    if row != Value::Null {
        let changed = database.execute(
            "UPDATE main._syncStatus SET state = ?2, error = ?3 \
             WHERE id = ?1 AND (state IS NOT ?2 OR error IS NOT ?3)",
            &[status_id.into(), state.into(), text(error)],
        )?;
        return Ok(changed > 0);
    }
    // The row was deleted while the operation was open: the result still counts.
    if state == "syncing" {
        return Ok(false);
    }
    let interrupted = error.is_some_and(|error| error.starts_with(INTERRUPTED));
    let changed = database.execute(
        "UPDATE main._syncOperation SET state = ?2, error = ?3, timestamp = ?4 \
         WHERE statusId = ?1 AND state = 'syncing'",
        &[
            status_id.into(),
            (if interrupted { "interrupted" } else { state }).into(),
            text(error),
            now().into(),
        ],
    )?;
    database.execute(
        "DELETE FROM main._syncOperation \
         WHERE statusId = ?1 AND instanceId IS NULL AND state <> 'syncing'",
        &[status_id.into()],
    )?;
    Ok(changed > 0)
}

/// Deletes a status row; 1, or 0 when there is none. Running work goes on.
///
/// # Errors
/// SQLite's.
pub fn delete_status(database: &Database, status_id: i64) -> Result<i64> {
    database.execute(
        "DELETE FROM main._syncStatus WHERE id = ?1",
        &[status_id.into()],
    )
}
