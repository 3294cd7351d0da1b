//! `sync_log`: what happened in each run, safe to send to somebody else.
//!
//! Values of rows appear in conflicts only, and masked.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::coordination::installed;
use crate::ground::mask_row;
use crate::store::{Access, Ready, Result, Rows, Session, Table, Value};

pub const TABLE: Table = Table {
    name: "sync_log",
    declaration: "CREATE TABLE x(runId INTEGER, provider TEXT, at INTEGER, event TEXT, detail TEXT)",
    keys: &[0, 1],
    access: Access::Innocuous,
    open,
    write: None,
    disconnected: None,
    summary: "what happened in each run, step by step, with values of rows masked",
    example: "SELECT at, event, detail FROM sync_log WHERE runId = 1;",
};

const EVENTS: &str = "SELECT log.runId, run.provider, log.at, log.event, log.detail \
    FROM main._syncLog AS log LEFT JOIN main._syncRun AS run ON run.id = log.runId \
    WHERE (?1 IS NULL OR log.runId = ?1) AND (?2 IS NULL OR run.provider = ?2) ORDER BY log.id";

const CONFLICTS: &str = "SELECT runId, provider, at, entity, pk, kind, policy, local, remote, resolved \
    FROM main._syncConflict \
    WHERE (?1 IS NULL OR runId = ?1) AND (?2 IS NULL OR provider = ?2) ORDER BY id";

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    if !installed(&database)? {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let key = |index: usize| keys.get(index).cloned().flatten().unwrap_or_default();
    let (run, provider) = (key(0), key(1));
    let values = [run.borrow(), provider.borrow()];
    let mut rows = database.query_all(EVENTS, &values, |row| Ok(row.row()))?;
    rows.extend(database.query_all(CONFLICTS, &values, |row| {
        let side = |index: usize| -> Json {
            let text = row.optional_text(index);
            let mut side = text
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default();
            mask_row(&mut side);
            side
        };
        let detail = json!({
            "entity": row.text(3),
            "id": match row.column(4).to_owned() {
                Value::Integer(number) => Json::from(number),
                other => Json::from(other.as_str()),
            },
            "kind": row.text(5),
            "policy": row.optional_text(6),
            "local": side(7),
            "remote": side(8),
            "resolved": side(9),
        });
        Ok(vec![
            row.integer(0).into(),
            row.text(1).into(),
            row.integer(2).into(),
            "conflict".into(),
            detail.to_string().into(),
        ])
    })?);
    rows.sort_by_key(|row| {
        let number = |index: usize| row.get(index).and_then(Value::as_i64).unwrap_or_default();
        (number(0), number(2))
    });
    let numbered = rows.into_iter().zip(1..).map(|(row, number)| (number, row));
    Ok(Box::new(Ready::new(numbered.collect())))
}
