//! `sync_status`: the operations as they are right now.
//!
//! UPDATE of state and error reports a result, DELETE deletes the row, with the meaning of the
//! functions.

use std::sync::Arc;

use crate::coordination::live::Abandoned;
use crate::coordination::result::INTERRUPTED;
use crate::coordination::{installed, now, result, write_within_statement};
use crate::store::{Access, Change, Error, Ready, Result, Rows, Session, Table, Value};

pub const TABLE: Table = Table {
    name: "sync_status",
    declaration: "CREATE TABLE x(id INTEGER, provider TEXT, entity TEXT, functionId TEXT, \
        state TEXT, timestamp INTEGER, error TEXT, parameters TEXT, instanceId TEXT, ageMs INTEGER)",
    keys: &[0],
    access: Access::DirectWrite,
    open,
    write: Some(write),
    disconnected: None,
    summary: "the operations as they are right now, with parameters and the instance that ran them last",
    example: "SELECT entity, state, error FROM sync_status;",
};

const STATE: usize = 4;
const ERROR: usize = 6;

const QUERY: &str = "SELECT status.id, status.id, status.provider, status.entity, \
    status.functionId, status.state, status.timestamp, status.error, \
    key.parameters, key.lastInstanceId, ?1 - status.timestamp \
    FROM main._syncStatus AS status \
    LEFT JOIN main._syncOperationKey AS key ON key.statusId = status.id";

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    if !installed(&database)? {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let abandoned = Abandoned::find(&database)?;
    let at = now();
    let mut sql = QUERY.to_owned();
    let mut values = vec![at.into()];
    if let Some(Some(id)) = keys.first() {
        sql.push_str(" WHERE status.id = ?2");
        values.push(id.borrow());
    }
    let rows = database.query_all(&sql, &values, |row| {
        let id = row.integer(0);
        let mut columns = row.row().split_off(1);
        if let Some(reason) = abandoned.statuses.get(&id) {
            if let Some(state) = columns.get_mut(STATE) {
                *state = "failed".into();
            }
            if let Some(error) = columns.get_mut(ERROR) {
                *error = format!("{INTERRUPTED}{reason}").into();
            }
        }
        Ok((id, columns))
    })?;
    Ok(Box::new(Ready::new(rows)))
}

fn write(session: &Arc<Session>, change: Change) -> Result<Option<i64>> {
    write_within_statement(session, |ground| match change {
        Change::Insert { .. } => Err(Error::argument(
            "an operation is begun by sync_entities, not inserted",
        )),
        Change::Update {
            rowid,
            values,
            unchanged,
        } => {
            for (column, _) in values.iter().enumerate() {
                let assigned = unchanged.get(column).is_some_and(|unchanged| !unchanged);
                if assigned && column != STATE && column != ERROR {
                    return Err(Error::argument("only state and error can be set"));
                }
            }
            let row = ground.database.query_row(
                "SELECT state, error FROM main._syncStatus WHERE id = ?1",
                &[rowid.into()],
                |row| Ok(row.row()),
            )?;
            // A column that is not assigned to arrives empty: it keeps what the row holds.
            let assigned = |column: usize, kept: usize| {
                let source = if unchanged.get(column) == Some(&false) {
                    values.get(column)
                } else {
                    row.as_ref().and_then(|row| row.get(kept))
                };
                source.and_then(Value::as_str)
            };
            let state = result::checked_state(assigned(STATE, 0).unwrap_or_default())?;
            result::report(
                ground.database,
                ground.owner,
                rowid,
                state,
                assigned(ERROR, 1),
            )?;
            Ok(Some(rowid))
        }
        Change::Delete { rowid } => {
            result::delete_status(ground.database, rowid)?;
            Ok(None)
        }
    })
}
