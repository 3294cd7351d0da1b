//! Interruption of given operations and scopes.
//!
//! One scope is interrupted by a trigger (`sql/35_interruption.sql`), so that plain SQL can do it;
//! here the work of an owner is, and only that: an operation that a living owner runs too stays open.

use std::collections::BTreeSet;

use super::clock::now;
use crate::store::{Database, Result};

/// Work to interrupt, each with its reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// `_syncOperation.id`, `statusId`, reason.
    pub operations: Vec<(i64, i64, String)>,
    /// Scope, reason.
    pub scopes: Vec<(String, String)>,
}

impl Work {
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.scopes.is_empty()
    }
}

/// Interrupts the work. Instances and scopes are held in the meantime and derived once at the end.
/// Returns the scopes that are interrupted now.
///
/// # Errors
/// SQLite's.
pub fn interrupt(database: &Database, work: &Work) -> Result<BTreeSet<String>> {
    if work.is_empty() {
        return Ok(BTreeSet::new());
    }
    let at = now();
    let mut hold_instance = database.prepare(
        "UPDATE main._syncInstance SET hold = 1 \
         WHERE instanceId = (SELECT instanceId FROM main._syncOperation WHERE id = ?1)",
    )?;
    for (operation, _, _) in &work.operations {
        hold_instance.run(&[(*operation).into()])?;
    }
    database.execute(
        "UPDATE main._syncScopeInfo SET hold = 1 WHERE scopeId IN ( \
           SELECT member.scopeId FROM main._syncInstance AS instance \
           JOIN main._syncScopeMember AS member ON member.instanceId = instance.instanceId \
           WHERE instance.hold <> 0)",
        &[],
    )?;
    for (scope, reason) in &work.scopes {
        database.execute(
            "UPDATE main._syncScopeInfo \
             SET hold = 1, interrupted = 1, reason = ?2, interruptedAt = ?3 WHERE scopeId = ?1",
            &[scope.into(), reason.into(), at.into()],
        )?;
    }

    // First through the status row, which reaches the last of its operations; one that another operation
    // keeps open stays as it is. An operation closed before its row would leave the row's change to the
    // instance that ran it last. The triggers of an operation set the interruption of every scope that
    // follows its instance.
    let mut operation_row = database.prepare(
        "UPDATE main._syncOperation \
         SET state = 'interrupted', error = 'interrupted: ' || ?2, timestamp = ?3 \
         WHERE id = ?1 AND state = 'syncing'",
    )?;
    let mut status_row = database.prepare(
        "UPDATE main._syncStatus \
         SET state = 'failed', error = 'interrupted: ' || ?2, timestamp = ?3 \
         WHERE id = ?1 AND state = 'syncing' AND NOT EXISTS ( \
           SELECT 1 FROM main._syncOperation \
           WHERE statusId = ?1 AND state = 'syncing' AND id <> ?4)",
    )?;
    for (operation, status, reason) in &work.operations {
        status_row.run(&[
            (*status).into(),
            reason.into(),
            at.into(),
            (*operation).into(),
        ])?;
        operation_row.run(&[(*operation).into(), reason.into(), at.into()])?;
    }

    let scopes = database.query_all(
        "SELECT scopeId FROM main._syncScopeInfo WHERE hold <> 0 ORDER BY scopeId",
        &[],
        |row| Ok(row.text(0)),
    )?;
    database.execute(
        "UPDATE main._syncInstance SET hold = 0, revision = revision + 1 WHERE hold <> 0",
        &[],
    )?;
    database.execute(
        "UPDATE main._syncScopeInfo SET hold = 0, revision = revision + 1 WHERE hold <> 0",
        &[],
    )?;
    Ok(scopes.into_iter().collect())
}
