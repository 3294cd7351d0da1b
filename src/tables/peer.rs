//! `sync_peer`: how things stand with each provider.

use std::sync::Arc;

use crate::runs::peers;
use crate::store::{Access, Ready, Result, Rows, Session, Table, Value, readable_schema};

pub const TABLE: Table = Table {
    name: "sync_peer",
    declaration: "CREATE TABLE x(provider TEXT, kind TEXT, state TEXT, pending INTEGER, inFlight INTEGER, \
        rejected INTEGER, held INTEGER, conflicts INTEGER, paused TEXT, lastSuccessAt INTEGER, \
        lastErrorAt INTEGER, lastError TEXT, cursor TEXT)",
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
    let rows = peers.into_iter().zip(1..);
    Ok(Box::new(Ready::new(
        rows.map(|(peer, number)| (number, peer.row())).collect(),
    )))
}
