//! Starting, interrupting and deleting scopes.

use std::collections::BTreeSet;

use super::Ground;
use super::interruption;
use super::recovery::Judged;
use super::run_record;
use crate::store::{Database, Result, Value};

/// Starts a scope, first or again, and returns its state. The list of members is replaced; the row
/// stays the same one. The scope is held in the meantime, so that no state on the way is ever seen.
///
/// # Errors
/// SQLite's.
pub fn start(ground: &Ground<'_>, id: &str, instances: &[String]) -> Result<String> {
    let database = ground.database;
    let known =
        database.query_value("SELECT 1 FROM main._syncScope WHERE id = ?1", &[id.into()])?;
    if known == Value::Null {
        // What a row of this id left behind that went without its trigger, as OR REPLACE makes it.
        database.execute(
            "DELETE FROM main._syncScopeInfo WHERE scopeId = ?1",
            &[id.into()],
        )?;
        database.execute(
            "INSERT INTO main._syncScopeInfo (scopeId, ownerId, hold, starting) \
             VALUES (?1, ?2, 1, 1)",
            &[id.into(), ground.owner.into()],
        )?;
        database.execute("INSERT INTO main._syncScope (id) VALUES (?1)", &[id.into()])?;
    } else {
        database.execute(
            "UPDATE main._syncScopeInfo SET ownerId = ?2, hold = 1, starting = 1, \
             interrupted = 0, reason = NULL, interruptedAt = NULL WHERE scopeId = ?1",
            &[id.into(), ground.owner.into()],
        )?;
    }
    database.execute(
        "DELETE FROM main._syncScopeMember WHERE scopeId = ?1",
        &[id.into()],
    )?;
    let mut member = database.prepare(
        "INSERT INTO main._syncScopeMember (scopeId, instanceId, ordinal) VALUES (?1, ?2, ?3)",
    )?;
    let mut seen = BTreeSet::new();
    for (ordinal, instance) in instances.iter().enumerate() {
        if seen.insert(instance) {
            member.run(&[id.into(), instance.into(), (ordinal as i64).into()])?;
        }
    }
    database.execute(
        "UPDATE main._syncScopeInfo SET hold = 0, revision = revision + 1 WHERE scopeId = ?1",
        &[id.into()],
    )?;
    Ok(state(database, id)?.unwrap_or_default())
}

/// State of a scope; none when there is no such scope.
///
/// # Errors
/// SQLite's.
pub fn state(database: &Database, id: &str) -> Result<Option<String>> {
    database.query_row(
        "SELECT state FROM main._syncScope WHERE id = ?1",
        &[id.into()],
        |row| Ok(row.text(0)),
    )
}

/// Deletes a scope with its members; 1, or 0 when there is none.
///
/// # Errors
/// SQLite's.
pub fn delete(database: &Database, id: &str) -> Result<i64> {
    database.execute("DELETE FROM main._syncScope WHERE id = ?1", &[id.into()])
}

/// Interrupts one scope, whoever owns it: when it is `syncing`, or `interrupted` with members in
/// flight. Returns the number of scopes interrupted, those sharing its running operations included.
///
/// # Errors
/// SQLite's.
pub fn interrupt(database: &Database, id: &str, reason: &str) -> Result<i64> {
    let touched = database.query_all(
        "SELECT scope.id FROM main._syncScope AS scope \
         WHERE scope.id = ?1 AND (scope.state = 'syncing' OR (scope.state = 'interrupted' AND EXISTS ( \
           SELECT 1 FROM main._syncScopeMember WHERE scopeId = ?1 AND state = 'syncing'))) \
         UNION \
         SELECT other.scopeId FROM main._syncScopeMember AS member \
         JOIN main._syncOperation AS open \
           ON open.instanceId = member.instanceId AND open.state = 'syncing' \
         JOIN main._syncOperation AS shared \
           ON shared.statusId = open.statusId AND shared.state = 'syncing' \
         JOIN main._syncScopeMember AS other ON other.instanceId = shared.instanceId \
         WHERE member.scopeId = ?1",
        &[id.into()],
        |row| Ok(row.text(0)),
    )?;
    if touched.is_empty() {
        return Ok(0);
    }
    database.execute(
        "UPDATE main._syncScopeInfo SET interruptReason = ?2 WHERE scopeId = ?1",
        &[id.into(), reason.into()],
    )?;
    Ok(touched.len() as i64)
}

/// Interrupts all work of this process, of dead owners and without one. Returns the number of scopes
/// interrupted, those settled by the recovery before it included.
///
/// # Errors
/// SQLite's.
pub fn interrupt_own(ground: &Ground<'_>, reason: &str) -> Result<i64> {
    let judged = Judged::new(ground.database)?;
    let work = judged.of_this_process(ground.database, reason)?;
    run_record::ask_to_end(ground.database, judged.own(), reason)?;
    let mut scopes = interruption::interrupt(ground.database, &work)?;
    scopes.extend(ground.recovered.scopes.iter().cloned());
    Ok(scopes.len() as i64)
}
