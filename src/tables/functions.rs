//! `sync_functions`: how providers are asked, where functions say so.

use std::sync::Arc;

use crate::coordination::installed;
use crate::store::{Access, Ready, Result, Rows, Session, Table, Value, readable_schema};

pub const TABLE: Table = Table {
    name: "sync_functions",
    declaration: "CREATE TABLE x(provider TEXT, id TEXT, method TEXT, path TEXT, parameters TEXT, definition TEXT, updatedAt INTEGER)",
    keys: &[0, 1],
    access: Access::Innocuous,
    open,
    write: None,
    disconnected: None,
    summary: "the functions of providers, as sync_function has declared them",
    example: "SELECT id, method, path FROM sync_functions WHERE provider = 'shop';",
};

/// The schema version that functions came with.
const SINCE: i64 = 6;

const QUERY: &str = "SELECT provider, id, upper(coalesce(definition ->> 'method', 'GET')), definition ->> 'path', \
    definition -> 'parameters', definition, updatedAt FROM main._syncFunction \
    WHERE (?1 IS NULL OR provider = ?1) AND (?2 IS NULL OR id = ?2) ORDER BY provider, id";

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    if !installed(&database)? || readable_schema(&database)?.is_none_or(|version| version < SINCE) {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let key = |index: usize| keys.get(index).cloned().flatten().unwrap_or_default();
    let (provider, id) = (key(0), key(1));
    let rows = database.query_all(
        QUERY,
        &[provider.borrow(), id.borrow()],
        |row| Ok(row.row()),
    )?;
    let numbered = rows.into_iter().zip(1..).map(|(row, number)| (number, row));
    Ok(Box::new(Ready::new(numbered.collect())))
}
