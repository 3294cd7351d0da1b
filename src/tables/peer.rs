//! `sync_peer`: how things stand with each provider.

use std::collections::HashMap;
use std::sync::Arc;

use crate::runs::peers;
use crate::store::{Access, Ready, Result, Rows, Session, Table, Value, readable_schema};
use crate::worker::tick;

pub const TABLE: Table = Table {
    name: "sync_peer",
    declaration: "CREATE TABLE x(provider TEXT, kind TEXT, state TEXT, pending INTEGER, inFlight INTEGER, \
        rejected INTEGER, held INTEGER, conflicts INTEGER, paused TEXT, lastSuccessAt INTEGER, \
        lastErrorAt INTEGER, lastError TEXT, cursor TEXT, deviceId TEXT, generation TEXT, nextDueAt INTEGER)",
    keys: &[0],
    access: Access::Innocuous,
    open,
    write: None,
    disconnected: None,
    summary: "the providers: state in a word, what waits, is refused, held or paused, last success and error",
    example: "SELECT provider, state, pending, rejected, held, lastSuccessAt FROM sync_peer;",
};

/// The schema version that brought pauses.
const SINCE: i64 = 4;

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    // The first call that writes brings an older file up to date.
    if readable_schema(&database)?.is_none_or(|version| version < SINCE) {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let provider = keys.first().cloned().flatten();
    let peers = peers(
        &database,
        provider.as_ref().and_then(|provider| provider.as_str()),
    )?;
    let due: HashMap<String, i64> = tick::schedules(session, &database, "main")?
        .into_iter()
        .filter_map(|(schedule, due)| Some((schedule.provider, due.next()?)))
        .collect();
    let rows = peers.into_iter().zip(1..).map(|(peer, number)| {
        let next = due.get(&peer.provider).copied();
        let mut row = peer.row();
        row.push(next.map_or(Value::Null, Value::Integer));
        (number, row)
    });
    Ok(Box::new(Ready::new(rows.collect())))
}
