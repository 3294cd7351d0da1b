//! What goes with a table that is made again: rows that waited and are not in it, and how far it was pulled.

use chrono::Utc;
use serde_json::{Map, Value as Json};

use crate::ground::{Warning, quoted, uuid};
use crate::store::{Database, Result, Value};

use super::log::{self, RowsUpTo};
use super::op::Status;
use super::reader::RowReader;
use super::tracked::Tracked;
use super::{Pending, PendingRows, aside};

/// Everything has to come again: forgets how far the table was pulled, and which versions its rows had.
///
/// # Errors
/// SQLite's.
pub(super) fn made_anew(database: &Database, id: i64) -> Result<()> {
    forget_cursors(database, id)?;
    aside::forget(database, id)?;
    database.execute(
        "DELETE FROM main._syncVersion WHERE tbl = ?1 AND pk NOT IN \
         (SELECT pk FROM main._syncChange WHERE tbl = ?1 AND pk IS NOT NULL)",
        &[id.into()],
    )?;
    Ok(())
}

/// Forgets how far a table was pulled: the next pull starts from the beginning.
///
/// # Errors
/// SQLite's.
pub fn forget_cursors(database: &Database, table: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncCursor WHERE tableId = ?1",
        &[table.into()],
    )?;
    Ok(())
}

/// A table whose rows stay is pulled from the beginning: the next pull starts there, and another one brings what was
/// deleted since the cursor, of which an answer from the beginning says nothing.
///
/// # Errors
/// SQLite's.
pub fn pull_again(database: &Database, table: i64) -> Result<()> {
    database.execute(
        "UPDATE main._syncCursor SET again = 1 WHERE tableId = ?1",
        &[table.into()],
    )?;
    Ok(())
}

/// Takes out of the log what was logged of rows that are not there any more, unless they were deleted, and keeps a
/// record of those that waited. What is to be known of these.
///
/// # Errors
/// SQLite's.
pub(super) fn record_lost(database: &Database, tracked: &Tracked) -> Result<Option<Warning>> {
    let upto = log::high_water(database)?;
    let pending = PendingRows::read(database, &[tracked], upto)?
        .pop()
        .unwrap_or_default();
    let reader = RowReader::new(database, tracked, &[])?;
    let mut recorded = 0;
    let mut forgotten = RowsUpTo::new();
    pending.each(|row| {
        if !row.is_lost() {
            return Ok(());
        }
        let status = row.lost_status();
        if status != Status::Nothing {
            record(database, tracked, row, &reader, status)?;
            recorded += 1;
        }
        database.execute(
            "DELETE FROM main._syncRejected WHERE tbl = ?1 AND pk IS ?2",
            &[tracked.id.into(), row.key.0.borrow()],
        )?;
        forgotten.insert((tracked.id, row.key.clone()), upto);
        Ok(())
    })?;
    log::forget(database, &forgotten)?;
    let table = tracked.shape.name.as_str();
    let message = format!(
        "rows of {} that waited are not in the table that was made again; they are in sync_conflict as \
         goneWithTable, and are not deleted on the server",
        quoted(table)
    );
    let warning = Warning::new("goneWithTable", message).of(table);
    Ok((recorded > 0).then(|| warning.times(recorded)))
}

fn record(
    database: &Database,
    tracked: &Tracked,
    row: &Pending,
    reader: &RowReader,
    status: Status,
) -> Result<()> {
    let key = &row.key.0;
    // What was last sent or refused of it is all that is known of its values.
    let content = database.query_value(
        "SELECT content FROM (SELECT content, 1 AS place, id FROM main._syncRejected WHERE tbl = ?1 AND pk IS ?2 \
         UNION ALL SELECT content, 2, id FROM main._syncOutbox WHERE tbl = ?1 AND pk IS ?2) \
         WHERE content IS NOT NULL ORDER BY place, id DESC LIMIT 1",
        &[tracked.id.into(), key.borrow()],
    )?;
    let mut local: Map<String, Json> = content
        .as_str()
        .and_then(|content| serde_json::from_str(content).ok())
        .unwrap_or_default();
    let shape = &tracked.shape;
    let names: Vec<&str> = shape
        .columns
        .iter()
        .enumerate()
        .filter(|(position, _)| row.marked(*position))
        .map(|(_, column)| column.name.as_str())
        .collect();
    for (column, value) in shape.keys().iter().zip(reader.key_values(key)?) {
        let name = match shape.keys().len() {
            1 => "id",
            _ => column.name.as_str(),
        };
        local.insert(name.to_owned(), json(&value));
    }
    local.insert("_status".into(), status.as_str().into());
    local.insert("_changed".into(), names.join(",").into());
    database.execute(
        "INSERT INTO main._syncConflict (provider, runId, entity, pk, kind, local, at) \
         VALUES (?1, 0, ?2, ?3, 'goneWithTable', ?4, ?5)",
        &[
            tracked.provider.as_deref().unwrap_or_default().into(),
            shape.name.as_str().into(),
            key.borrow(),
            Json::from(local).to_string().as_str().into(),
            Utc::now().timestamp_millis().into(),
        ],
    )?;
    Ok(())
}

fn json(value: &Value) -> Json {
    match value {
        Value::Integer(number) => (*number).into(),
        Value::Real(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Blob(bytes) => uuid::text(bytes).map_or(Json::Null, Json::from),
        _ => Json::Null,
    }
}
