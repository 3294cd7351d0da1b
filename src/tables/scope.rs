//! `sync_scope`: the scopes as they are right now.
//!
//! `_syncScope` says what was last written; this table also sees that a scope's owner died without
//! notice, and computes how far a scope has come. INSERT starts a scope, UPDATE to
//! `interrupted` interrupts it, DELETE deletes it, with the meaning of the functions.

use std::sync::Arc;

use crate::coordination::live::Abandoned;
use crate::coordination::{installed, now, scope, write_within_statement};
use crate::store::{
    Access, Change, Database, Error, Ready, Result, Rows, Session, Table, Value, ValueRef,
    checked_name, name_of, read_names,
};

pub const TABLE: Table = Table {
    name: "sync_scope",
    declaration: "CREATE TABLE x(id TEXT, state TEXT, timestamp INTEGER, \
        notStarted INTEGER, syncing INTEGER, failed INTEGER, synced INTEGER, \
        lastStartedAt INTEGER, lastFailedAt INTEGER, lastSyncedAt INTEGER, details TEXT, \
        members INTEGER, fraction REAL, elapsedMs INTEGER, etaMs INTEGER, reason TEXT, \
        processId INTEGER, instanceIds TEXT HIDDEN)",
    keys: &[ID],
    access: Access::DirectWrite,
    open,
    write: Some(write),
    disconnected: None,
    summary: "the scopes as they are right now, with progress and remaining time",
    example: "SELECT id, state, fraction, etaMs FROM sync_scope;",
};

const ID: i32 = 0;
const STATE: usize = 1;
const REASON: usize = 15;
const INSTANCE_IDS: usize = 17;

const QUERY: &str = "SELECT scope.rowid, scope.id, scope.state, scope.timestamp, \
    scope.notStarted, scope.syncing, scope.failed, scope.synced, \
    scope.lastStartedAt, scope.lastFailedAt, scope.lastSyncedAt, scope.details, \
    info.members, info.reason, owner.processId \
    FROM main._syncScope AS scope \
    JOIN main._syncScopeInfo AS info ON info.scopeId = scope.id \
    LEFT JOIN main._syncOwner AS owner ON owner.id = info.ownerId";

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    if !installed(&database)? {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let abandoned = Abandoned::find(&database)?;
    let at = now();
    let mut sql = QUERY.to_owned();
    let mut values = Vec::new();
    if let Some(Some(id)) = keys.first() {
        sql.push_str(" WHERE scope.id = ?1");
        values.push(id.borrow());
    }
    let mut rows = database.query_all(&sql, &values, |row| Ok((row.integer(0), row.row())))?;
    for (_, row) in &mut rows {
        *row = live(&database, std::mem::take(row), &abandoned, at)?;
    }
    Ok(Box::new(Ready::new(rows)))
}

/// One row of [`QUERY`] as the declared columns, with what is known of dead owners.
fn live(
    database: &Database,
    row: Vec<Value>,
    abandoned: &Abandoned,
    at: i64,
) -> Result<Vec<Value>> {
    let integer = |index: usize| row.get(index).and_then(Value::as_i64);
    let text = |index: usize| row.get(index).and_then(Value::as_str).unwrap_or_default();
    let id = text(1).to_owned();
    let mut state = text(2).to_owned();
    let mut reason = row.get(13).cloned().unwrap_or_default();
    let mut syncing = integer(5).unwrap_or_default();
    if let Some(why) = abandoned.scopes.get(&id) {
        if state == "syncing" || state == "interrupted" {
            state = "interrupted".into();
            reason = why.as_str().into();
        }
        syncing -= dead_members(database, &id, abandoned)?;
    }
    let members = integer(12).unwrap_or_default();
    let completed = integer(6).unwrap_or_default() + integer(7).unwrap_or_default();
    let fraction = if members == 0 {
        1.0
    } else {
        completed as f64 / members as f64
    };
    let ended = if state == "syncing" {
        at
    } else {
        integer(3).unwrap_or(at)
    };
    let elapsed = integer(8).map(|started| ended.saturating_sub(started).max(0));
    let eta = match elapsed {
        Some(elapsed) if state == "syncing" && completed > 0 => {
            Some(elapsed / completed * (members - completed))
        }
        _ => None,
    };
    let mut columns: Vec<Value> = row.get(1..12).unwrap_or_default().to_vec();
    if let Some(slot) = columns.get_mut(STATE) {
        *slot = state.into();
    }
    if let Some(slot) = columns.get_mut(4) {
        *slot = Value::Integer(syncing);
    }
    columns.extend([
        Value::Integer(members),
        Value::Real(fraction),
        elapsed.map_or(Value::Null, Value::Integer),
        eta.map_or(Value::Null, Value::Integer),
        reason,
        row.get(14).cloned().unwrap_or_default(),
    ]);
    Ok(columns)
}

fn dead_members(database: &Database, scope: &str, abandoned: &Abandoned) -> Result<i64> {
    let members = database.query_all(
        "SELECT instanceId FROM main._syncScopeMember WHERE scopeId = ?1 AND state = 'syncing'",
        &[scope.into()],
        |row| Ok(row.text(0)),
    )?;
    Ok(members
        .iter()
        .filter(|member| abandoned.instances.contains_key(*member))
        .count() as i64)
}

fn write(session: &Arc<Session>, change: Change) -> Result<Option<i64>> {
    write_within_statement(session, |ground| match change {
        Change::Insert { values } => {
            let id = text(&values, ID as usize, "id")?;
            let instances = match values.get(INSTANCE_IDS) {
                None | Some(Value::Null) => Vec::new(),
                Some(_) => read_names(text(&values, INSTANCE_IDS, "instanceIds")?, "instanceIds")?,
            };
            scope::start(ground, id, &instances)?;
            rowid(ground.database, id)
        }
        Change::Update {
            rowid,
            values,
            unchanged,
        } => {
            let id = id_of(ground.database, rowid)?;
            update(ground.database, &id, &values, &unchanged)?;
            Ok(Some(rowid))
        }
        Change::Delete { rowid } => {
            scope::delete(ground.database, &id_of(ground.database, rowid)?)?;
            Ok(None)
        }
    })
}

/// The only update that means something: to the state `interrupted`, with a reason.
fn update(database: &Database, id: &str, values: &[Value], unchanged: &[bool]) -> Result<()> {
    for (column, _) in values.iter().enumerate() {
        let assigned = unchanged.get(column).is_some_and(|unchanged| !unchanged);
        if assigned && column != STATE && column != REASON {
            return Err(Error::argument(
                "only state and reason can be set, state only to 'interrupted'; \
                 the other columns are derived",
            ));
        }
    }
    if text(values, STATE, "state")? != "interrupted" {
        return Err(Error::argument(
            "state can only be set to 'interrupted'; call sync_start_scope to start",
        ));
    }
    let given = unchanged.get(REASON).is_some_and(|unchanged| !unchanged);
    let reason = match values.get(REASON) {
        Some(Value::Text(reason)) if given => checked_name(reason, "reason")?,
        _ => "unspecified",
    };
    scope::interrupt(database, id, reason)?;
    Ok(())
}

fn text<'a>(values: &'a [Value], column: usize, name: &str) -> Result<&'a str> {
    let value = values.get(column).map_or(ValueRef::Null, Value::borrow);
    name_of(value, name)
}

fn rowid(database: &Database, id: &str) -> Result<Option<i64>> {
    let rowid = database.query_value(
        "SELECT rowid FROM main._syncScope WHERE id = ?1",
        &[id.into()],
    )?;
    Ok(rowid.as_i64())
}

fn id_of(database: &Database, rowid: i64) -> Result<String> {
    let id = database.query_row(
        "SELECT id FROM main._syncScope WHERE rowid = ?1",
        &[rowid.into()],
        |row| Ok(row.text(0)),
    )?;
    id.ok_or_else(|| Error::argument("the scope no longer exists"))
}
