//! `sync_cursor`: how far each entity was pulled, and how far each operation has read where functions say how.
//!
//! UPDATE of `cursor` moves it, for the next sync; DELETE has the entity, or the operation, read from the beginning.

use std::sync::Arc;

use crate::coordination::{installed, now, write_within_statement};
use crate::store::{
    Access, Change, Error, Ready, Result, Rows, Session, Table, Value, readable_schema,
};

pub const TABLE: Table = Table {
    name: "sync_cursor",
    declaration: "CREATE TABLE x(provider TEXT, entity TEXT, function TEXT, parameters TEXT, cursor TEXT, updatedAt INTEGER)",
    keys: &[0, 1],
    access: Access::DirectWrite,
    open,
    write: Some(write),
    disconnected: None,
    summary: "where the next pull of each entity starts, and of each operation where functions say how it is read; can be set, and deleted",
    example: "SELECT entity, function, cursor FROM sync_cursor WHERE provider = 'shop';",
};

/// The schema version that operations have places of their own since.
const SINCE: i64 = 6;

/// Entities whose operations have places of their own are listed by these. Rows of `_syncPlace` have odd numbers.
const QUERY: &str = "SELECT 2 * rowid, provider, entity, NULL, NULL, cursor, pulledAt FROM main._syncCursor AS known";
const WITH_PLACES: &str = " WHERE NOT EXISTS (SELECT 1 FROM main._syncPlace AS place \
    WHERE place.provider = known.provider AND place.entity = known.entity COLLATE NOCASE) \
    UNION ALL SELECT 2 * id + 1, provider, entity, nullif(functionId, ''), parameters, cursor, updatedAt FROM main._syncPlace";

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    if !installed(&database)? {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let mut sql = format!("SELECT * FROM ({QUERY}");
    if readable_schema(&database)?.is_some_and(|version| version >= SINCE) {
        sql.push_str(WITH_PLACES);
    }
    sql.push_str(") WHERE (?1 IS NULL OR provider = ?1) AND (?2 IS NULL OR entity = ?2) ORDER BY provider, entity, 1");
    let key = |index: usize| keys.get(index).cloned().flatten().unwrap_or_default();
    let (provider, entity) = (key(0), key(1));
    let rows = database.query_all(&sql, &[provider.borrow(), entity.borrow()], |row| {
        Ok((row.integer(0), row.row().split_off(1)))
    })?;
    Ok(Box::new(Ready::new(rows)))
}

const CURSOR: usize = 4;

fn write(session: &Arc<Session>, change: Change) -> Result<Option<i64>> {
    write_within_statement(session, |ground| {
        let database = ground.database;
        match change {
            Change::Insert { .. } => Err(Error::argument(
                "a cursor comes with the first sync of its entity; it can be set then",
            )),
            Change::Update {
                rowid,
                values,
                unchanged,
            } => {
                let mut assigned =
                    (0..values.len()).filter(|column| unchanged.get(*column) == Some(&false));
                if assigned.any(|column| column != CURSOR) {
                    return Err(Error::argument("only cursor can be set"));
                }
                let cursor = values.get(CURSOR).cloned().unwrap_or_default();
                match rowid % 2 {
                    0 if cursor.as_str().is_none() => {
                        return Err(Error::argument(
                            "cursor must be text; delete the row to pull from the beginning",
                        ));
                    }
                    0 => database.execute(
                        "UPDATE main._syncCursor SET cursor = ?2 WHERE rowid = ?1",
                        &[(rowid / 2).into(), cursor.borrow()],
                    )?,
                    _ => database.execute(
                        "UPDATE main._syncPlace SET cursor = ?2, updatedAt = ?3 WHERE id = ?1",
                        &[(rowid / 2).into(), cursor.borrow(), now().into()],
                    )?,
                };
                Ok(Some(rowid))
            }
            Change::Delete { rowid } => {
                let id = rowid / 2;
                match rowid % 2 {
                    0 => database.execute("DELETE FROM main._syncCursor WHERE rowid = ?1", &[id.into()])?,
                    _ => database.execute(
                        "UPDATE main._syncPlace SET cursor = NULL, memory = json_object('reading', memory ->> 'reading'), updatedAt = ?2 WHERE id = ?1",
                        &[id.into(), now().into()],
                    )?,
                };
                Ok(None)
            }
        }
    })
}
