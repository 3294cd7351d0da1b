//! `sync_progress`: the runs that wait or go on, with how far they are.
//!
//! A run of this process is shown as it is now, also in the middle of a long transaction; one of another
//! process, or one whose process died, as it was when it last wrote its row.

use std::sync::Arc;

use crate::runs::progress::{Numbers, here};
use crate::store::{
    Access, Ready, Result, Rows, Session, Statement, Table, Value, readable_schema,
};

pub const TABLE: Table = Table {
    name: "sync_progress",
    declaration: "CREATE TABLE x(run INTEGER, provider TEXT, instance TEXT, goal TEXT, state TEXT, \
        phase TEXT, step TEXT, rowsUp INTEGER, rowsDown INTEGER, rowsTotal INTEGER, bytesUp INTEGER, \
        bytesDown INTEGER, total INTEGER, fraction REAL, rate REAL, secondsLeft REAL, startedAt INTEGER)",
    keys: &[0, 1],
    access: Access::Innocuous,
    open,
    write: None,
    disconnected: None,
    summary: "the runs that are queued or running: step, rows and bytes so far, fraction, rate, seconds left",
    example: "SELECT run, step, rowsDown, fraction, secondsLeft FROM sync_progress;",
};

const OPEN_RUNS: &str = "SELECT id, provider, instanceId, goal, state, phase, step, rowsUp, rowsDown, \
    rowsTotal, bytesUp, bytesDown, startedAt FROM main._syncRun \
    WHERE state IN ('queued', 'running') AND (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR provider = ?2) \
    ORDER BY id";

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    // What a version before it wrote says nothing of how far a run is, and its first writing call changes that.
    if readable_schema(&database)?.is_none_or(|version| version < 2) {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let key = |index: usize| keys.get(index).cloned().flatten().unwrap_or_default();
    let (run, provider) = (key(0), key(1));
    let live = here(session, "main");
    let rows = database.query_all(OPEN_RUNS, &[run.borrow(), provider.borrow()], |row| {
        let id = row.integer(0);
        Ok(match live.iter().find(|live| live.run == id) {
            Some(live) => {
                let step = live.step().map(|step| step.to_string());
                shown(row, live.phase(), step, &live.numbers())
            }
            None => {
                let numbers = Numbers {
                    rows_up: row.integer(7),
                    rows_down: row.integer(8),
                    bytes_up: row.integer(10),
                    bytes_down: row.integer(11),
                    ..Numbers::default()
                };
                shown(row, &row.text(5), row.optional_text(6), &numbers)
            }
        })
    })?;
    let numbered = rows.into_iter().zip(1..).map(|(row, number)| (number, row));
    Ok(Box::new(Ready::new(numbered.collect())))
}

fn shown(row: &Statement, phase: &str, step: Option<String>, numbers: &Numbers) -> Vec<Value> {
    let same = |index: usize| row.column(index).to_owned();
    let real = |number: Option<f64>| number.map_or(Value::Null, Value::Real);
    vec![
        same(0),
        same(1),
        same(2),
        same(3),
        same(4),
        phase.into(),
        step.map_or(Value::Null, Value::Text),
        numbers.rows_up.into(),
        numbers.rows_down.into(),
        same(9),
        numbers.bytes_up.into(),
        numbers.bytes_down.into(),
        numbers.total.map_or(Value::Null, Value::Integer),
        real(numbers.fraction),
        real(numbers.rate),
        real(numbers.seconds_left),
        same(12),
    ]
}
