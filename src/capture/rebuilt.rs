//! A table that lost its triggers: rebuilt by a migration tool, dropped and made again, or only the triggers were
//! dropped. It is the same table as long as its key and its synced columns are there; capture goes on with it, and
//! what waits stays.
//!
//! A row that waited and is not in the new table is not deleted on the server: nobody deleted it. It goes to
//! `_syncConflict`. A table without any row was made anew, so that all rows have to come again.

use chrono::Utc;
use serde_json::{Map, Value as Json};

use crate::ground::{Warning, quoted};
use crate::store::{Database, Result, Value};

use super::carry::Carrier;
use super::log::{self, RowsUpTo};
use super::op::Status;
use super::reader::RowReader;
use super::shape::Shape;
use super::tracked::{Registration, Tracked};
use super::triggers::Found;
use super::{Pending, PendingRows, aside, reshape};

/// What the caller should know when capture was put back.
pub(super) fn warning(table: &str) -> Warning {
    let message = format!(
        "{} had lost its capture triggers, for instance in a migration; they are back, and what waited still \
         waits. What was written in between is not known: sync_check finds it, sync_capture_existing sends every row",
        quoted(table)
    );
    Warning::new("captureRestored", message).of(table)
}

/// Puts capture back, with what waits as far as it is still there.
///
/// # Errors
/// SQLite's.
pub(super) fn restore(
    database: &Database,
    registration: &Registration,
    shape: &Shape,
) -> Result<Vec<Warning>> {
    let mut warnings = vec![warning(&shape.name)];
    warnings.extend(resume(database, registration, shape)?);
    Ok(warnings)
}

/// Puts capture back because somebody asks for it, as far as the key allows. It may have been off on purpose.
///
/// # Errors
/// The table is gone, or has another key; SQLite's.
pub(super) fn go_on(database: &Database, registration: &Registration) -> Result<Vec<Warning>> {
    let Some(shape) = registration.again(database)? else {
        return Err(registration.refusal(database)?);
    };
    match registration.off {
        Some(_) => resume(database, registration, &shape),
        None => restore(database, registration, &shape),
    }
}

/// The same, without the words on what may have been missed.
///
/// # Errors
/// SQLite's.
pub(super) fn resume(
    database: &Database,
    registration: &Registration,
    shape: &Shape,
) -> Result<Vec<Warning>> {
    let mut warnings = Vec::new();
    let id = registration.id;
    let bare = Found::default();
    let tracked = Tracked::assemble(registration.clone(), shape.clone(), &bare);
    warnings.extend(record_lost(database, &tracked)?);
    let gone = registration.missing(shape);
    if !gone.is_empty() {
        warnings.push(reshape::column_gone(&tracked, &gone));
    }
    log_revived(database, &tracked)?;
    reshape::reshape(database, registration, shape, &bare)?;
    database.execute(
        "UPDATE main._syncTable SET generation = generation + 1, captureOff = NULL WHERE id = ?1",
        &[id.into()],
    )?;
    if is_empty(database, shape)? {
        made_anew(database, id)?;
    }
    Ok(warnings)
}

fn is_empty(database: &Database, shape: &Shape) -> Result<bool> {
    let sql = format!("SELECT 1 FROM {} LIMIT 1", database.qualified(&shape.name));
    Ok(!database.connection().prepare(&sql)?.step()?)
}

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

/// Logs what no trigger has: that rows which were deleted are there again.
fn log_revived(database: &Database, tracked: &Tracked) -> Result<()> {
    let upto = log::high_water(database)?;
    let pending = PendingRows::read(database, &[tracked], upto)?
        .pop()
        .unwrap_or_default();
    let mut carrier = Carrier::new(database, tracked)?;
    pending.each(|row| match row.is_revived() {
        true => carrier.inserted(&row.key.0, None),
        false => Ok(()),
    })
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
        _ => Json::Null,
    }
}
