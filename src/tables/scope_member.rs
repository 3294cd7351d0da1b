//! `sync_scope_member`: the members of scopes as they are right now.

use std::sync::Arc;

use crate::coordination::installed;
use crate::coordination::live::Abandoned;
use crate::store::{Access, Ready, Result, Rows, Session, Table, Value};

pub const TABLE: Table = Table {
    name: "sync_scope_member",
    declaration: "CREATE TABLE x(scopeId TEXT, instanceId TEXT, ordinal INTEGER, state TEXT, \
        startedAt INTEGER, finishedAt INTEGER, operations INTEGER, completed INTEGER, \
        provider TEXT, error TEXT)",
    keys: &[0, 1],
    access: Access::Innocuous,
    open,
    write: None,
    disconnected: None,
    summary: "the members of scopes as they are right now, with how many of their operations ended",
    example: "SELECT instanceId, state, completed, operations FROM sync_scope_member \
              WHERE scopeId = 'startup';",
};

/// A member shows the operations of its instance only while it follows it: what the instance ran
/// before the start of the scope does not concern the scope.
const QUERY: &str = "SELECT member.rowid, member.scopeId, member.instanceId, member.ordinal, \
    member.state, member.startedAt, member.finishedAt, \
    count(operation.id), total(operation.state <> 'syncing'), \
    CASE WHEN member.following THEN instance.provider END, \
    (SELECT error FROM main._syncOperation \
     WHERE member.following = 1 AND instanceId = member.instanceId AND state = 'failed' \
     ORDER BY ordinal, id LIMIT 1) \
    FROM main._syncScopeMember AS member \
    LEFT JOIN main._syncInstance AS instance ON instance.instanceId = member.instanceId \
    LEFT JOIN main._syncOperation AS operation \
      ON operation.instanceId = member.instanceId AND member.following = 1 \
    WHERE (?1 IS NULL OR member.scopeId = ?1) AND (?2 IS NULL OR member.instanceId = ?2) \
    GROUP BY member.rowid ORDER BY member.scopeId, member.ordinal, member.rowid";

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    if !installed(&database)? {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let abandoned = Abandoned::find(&database)?;
    let key = |index: usize| keys.get(index).cloned().flatten().unwrap_or_default();
    let (scope, instance) = (key(0), key(1));
    let rows = database.query_all(QUERY, &[scope.borrow(), instance.borrow()], |row| {
        let mut columns: Vec<Value> = row.row().split_off(1);
        if let Some(completed) = columns.get_mut(7) {
            *completed = Value::Integer(match completed {
                Value::Real(number) => *number as i64,
                _ => 0,
            });
        }
        let dead = columns
            .get(1)
            .and_then(Value::as_str)
            .is_some_and(|instance| abandoned.instances.contains_key(instance));
        if let Some(state) = columns.get_mut(3)
            && dead
            && state.as_str() == Some("syncing")
        {
            *state = "interrupted".into();
        }
        Ok((row.integer(0), columns))
    })?;
    Ok(Box::new(Ready::new(rows)))
}
