//! `sync_worker`: what is done in the background, and when next.

use std::sync::Arc;

use crate::store::{Access, Ready, Result, Rows, Session, Table, Value, readable_schema};
use crate::worker::{keeper, tick};

pub const TABLE: Table = Table {
    name: "sync_worker",
    declaration: "CREATE TABLE x(provider TEXT, running INTEGER, here INTEGER, nextUploadAt INTEGER, \
        nextDownloadAt INTEGER, every INTEGER, downloadEvery INTEGER, debounce INTEGER, failures INTEGER, \
        retryAt INTEGER, watch TEXT)",
    keys: &[0],
    access: Access::Innocuous,
    open,
    write: None,
    disconnected: None,
    summary: "the schedules: whether a thread carries them out, and what is due when",
    example: "SELECT provider, running, nextUploadAt, nextDownloadAt, failures FROM sync_worker;",
};

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    if readable_schema(&database)?.is_none_or(|version| version < tick::SINCE) {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let wanted = keys.first().cloned().flatten();
    let running = keeper::is_served(&database)?;
    let here = keeper::is_running(session, "main");
    let number = |number: Option<i64>| number.map_or(Value::Null, Value::Integer);
    let mut rows = Vec::new();
    for (schedule, due) in tick::schedules(session, &database, "main")? {
        let watch = match (schedule.watch, here, running) {
            (false, ..) => None,
            (true, true, _) => keeper::listening(session, "main", &schedule.provider).or(Some(
                "waiting for the thread of another connection".to_owned(),
            )),
            (true, false, true) => Some("by the thread of another connection".to_owned()),
            (true, false, false) => Some("no thread; call sync_worker_start".to_owned()),
        };
        let name = Value::Text(schedule.provider);
        if wanted.as_ref().is_some_and(|wanted| *wanted != name) {
            continue;
        }
        rows.push((
            rows.len() as i64 + 1,
            vec![
                name,
                running.into(),
                here.into(),
                number(due.upload),
                number(due.download),
                number(schedule.upload_every),
                number(schedule.download_every),
                number(schedule.debounce),
                schedule.failures.into(),
                number(schedule.retry_at),
                watch.map_or(Value::Null, Value::Text),
            ],
        ));
    }
    Ok(Box::new(Ready::new(rows)))
}
