//! `sync_held`: rows of the server that can't be stored, or decided about, now.

use std::sync::Arc;

use crate::store::{Access, Ready, Result, Rows, Session, Table, Value, readable_schema, shown};

pub const TABLE: Table = Table {
    name: "sync_held",
    declaration: "CREATE TABLE x(id INTEGER, provider TEXT, entity TEXT, key, op TEXT, reason TEXT, \
        \"constraint\" TEXT, clashesWith, since INTEGER, tries INTEGER, payload TEXT, base TEXT, keyText TEXT)",
    keys: &[0, 2, 3],
    access: Access::Innocuous,
    open,
    write: None,
    disconnected: None,
    summary: "rows of the server that can't be stored or decided about now, with the reason; each sync tries them again",
    example: "SELECT entity, key, op, reason, \"constraint\", clashesWith, payload FROM sync_held;",
};

/// The schema version that brought the table.
const SINCE: i64 = 3;

/// Where the key is in it.
const KEY: usize = 3;

const QUERY: &str = "SELECT id, provider, entity, pk, op, reason, \"constraint\", clashesWith, since, tries, \
    content, base FROM main._syncHeld \
    WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR entity = ?2) AND (?3 IS NULL OR pk = ?3) ORDER BY id";

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    if readable_schema(&database)?.is_none_or(|version| version < SINCE) {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let key = |index: usize| keys.get(index).cloned().flatten().unwrap_or_default();
    let (id, entity, row) = (key(0), key(1), key(2));
    let rows = database.query_all(
        QUERY,
        &[id.borrow(), entity.borrow(), row.borrow()],
        |row| {
            let mut values = row.row();
            values.push(shown(&row.column(KEY).to_owned()).into());
            Ok((row.integer(0), values))
        },
    )?;
    Ok(Box::new(Ready::new(rows)))
}
