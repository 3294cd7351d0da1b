//! `sync_conflict`: rows that were changed on both sides, and how that was resolved.

use std::sync::Arc;

use crate::coordination::installed;
use crate::store::{Access, Ready, Result, Rows, Session, Table, Value};

pub const TABLE: Table = Table {
    name: "sync_conflict",
    declaration: "CREATE TABLE x(id INTEGER, provider TEXT, runId INTEGER, entity TEXT, rowKey, \
        kind TEXT, policy TEXT, local TEXT, remote TEXT, resolved TEXT, columns TEXT, at INTEGER)",
    keys: &[0, 3, 4],
    access: Access::Innocuous,
    open,
    write: None,
    disconnected: None,
    summary: "rows that were changed both here and by the server, and how that was settled",
    example: "SELECT entity, rowKey, kind, columns, local, remote, resolved FROM sync_conflict \
              ORDER BY id DESC;",
};

/// `columns`: those in which both sides spoke and did not say the same.
const QUERY: &str = "SELECT id, provider, runId, entity, pk, kind, policy, local, remote, resolved, \
    CASE WHEN json_valid(remote) AND json_valid(local) THEN \
    (SELECT group_concat(there.key, ',') FROM json_each(remote) AS there \
     JOIN json_each(local) AS here ON here.key = there.key \
     WHERE here.value IS NOT there.value) END, at \
    FROM main._syncConflict \
    WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR entity = ?2) AND (?3 IS NULL OR pk = ?3) \
    ORDER BY id";

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    if !installed(&database)? {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let key = |index: usize| keys.get(index).cloned().flatten().unwrap_or_default();
    let (id, entity, row) = (key(0), key(1), key(2));
    let rows = database.query_all(
        QUERY,
        &[id.borrow(), entity.borrow(), row.borrow()],
        |row| Ok((row.integer(0), row.row())),
    )?;
    Ok(Box::new(Ready::new(rows)))
}
