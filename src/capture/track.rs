//! Beginning and ending to track a table, and logging rows that were there before.

use chrono::Utc;

use crate::store::{Database, Error, Result, Value, quote_name};

use super::reader::RowReader;
use super::shape::Shape;
use super::tracked::{Existing, Registration, TrackOptions, Tracked, captured_table, registration};
use super::{PendingRows, Status, drift, key, log, meet, triggers};

/// What [`track`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The table's own spelling.
    pub table: String,
    /// It was tracked already, and still is.
    pub already: bool,
    /// It had been dropped and made again: what the server sent before must be sent again.
    pub remade: bool,
    /// Rows that were there and are now pending.
    pub captured: i64,
}

/// Begins to track a table; again with other options, changes them (without options, keeps them).
/// Call inside a transaction.
///
/// # Errors
/// A table that can't be tracked, an option naming a column that does not exist; SQLite's.
pub fn track(database: &Database, name: &str, options: Option<TrackOptions>) -> Result<Outcome> {
    drift::refresh(database)?;
    let shape = Shape::read(database, name)?;
    let found = registration(database, &shape.name)?;
    let captured_now = match &found {
        Some(found) => captured_table(database, found.id)?.is_some(),
        None => false,
    };
    let mut outcome = Outcome {
        table: shape.name.clone(),
        already: captured_now,
        remade: false,
        captured: 0,
    };
    let id = match &found {
        Some(found) => found.id,
        None => insert(database, &shape)?,
    };
    let existing = options.as_ref().and_then(|options| options.existing);
    if let Some(options) = options {
        store_options(database, id, &shape, &options)?;
    }
    if captured_now {
        return Ok(outcome);
    }
    if found.is_some() {
        outcome.remade = true;
        keep_only_deletes(database, id)?;
        forget_cursors(database, id)?;
        drift::store(database, id, &shape)?;
    }
    triggers::create(database, &shape, id)?;
    if existing != Some(Existing::Skip) {
        // What the log still says about a table made again (its deletes) is older than its rows.
        outcome.captured = match outcome.remade {
            true => log_existing(database, &Tracked::open(database, &shape.name)?, &[])?,
            false => capture_existing(database, &shape.name)?,
        };
    }
    Ok(outcome)
}

fn insert(database: &Database, shape: &Shape) -> Result<i64> {
    let columns = serde_json::to_string(&shape.names())
        .map_err(|error| Error::Corrupt(format!("column names: {error}")))?;
    database.execute(
        "INSERT INTO main._syncTable (name, columns, definition, indexes, options, trackedAt) \
         VALUES (?1, ?2, ?3, ?5, '{}', ?4)",
        &[
            shape.name.as_str().into(),
            columns.as_str().into(),
            shape.definition.as_str().into(),
            Utc::now().timestamp_millis().into(),
            meet::signature(database, &shape.name)?.as_str().into(),
        ],
    )?;
    Ok(database.connection().last_insert_rowid())
}

fn store_options(
    database: &Database,
    id: i64,
    shape: &Shape,
    options: &TrackOptions,
) -> Result<()> {
    check_columns(shape, options)?;
    let stored = serde_json::to_string(options)
        .map_err(|error| Error::argument(format!("options: {error}")))?;
    database.execute(
        "UPDATE main._syncTable SET options = ?2 WHERE id = ?1 AND options <> ?2",
        &[id.into(), stored.as_str().into()],
    )?;
    Ok(())
}

fn check_columns(shape: &Shape, options: &TrackOptions) -> Result<()> {
    let named = options.columns.iter().flatten();
    let named = named.chain(&options.exclude).chain(options.types.keys());
    for name in named {
        if shape.position(name).is_none() {
            return Err(Error::argument(format!(
                "options name the column {}, which {} does not have",
                quote_name(name),
                quote_name(&shape.name)
            )));
        }
    }
    Ok(())
}

/// The old table's rows are gone, and with them what was pending about them, except that rows the
/// server knows were deleted.
fn keep_only_deletes(database: &Database, id: i64) -> Result<()> {
    log::keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl = ?1 AND (op <> 3 OR pk NOT IN \
             (SELECT pk FROM (SELECT pk, sum(op = 3) - sum(op = 1) AS gone, max(op = 4) AS met \
              FROM main._syncChange WHERE tbl = ?1 AND pk IS NOT NULL GROUP BY pk) \
              WHERE gone > 0 OR (met AND gone >= 0)))",
            &[id.into()],
        )
    })?;
    Ok(())
}

/// Logs rows that nothing is pending about as inserted, so that they are uploaded. Calling it again
/// before the next sync changes nothing. Returns the number of rows logged.
///
/// # Errors
/// Not tracked; SQLite's.
pub fn capture_existing(database: &Database, name: &str) -> Result<i64> {
    let table = Tracked::open(database, name)?;
    let pending = pending_of(database, &table)?;
    let mut reader = RowReader::new(database, &table, &[])?;
    let mut left_alone = Vec::new();
    for row in pending.rows() {
        let exists = reader.find(row)?;
        reader.release();
        if exists && row.status(true) != Status::Nothing {
            left_alone.push(&row.key.0);
        }
    }
    log_existing(database, &table, &left_alone)
}

/// Logs every row of a table as inserted, except some keys.
fn log_existing(database: &Database, table: &Tracked, except: &[&Value]) -> Result<i64> {
    let shape = &table.shape;
    let names: Vec<&str> = shape
        .keys()
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let rowid = match shape.rowid {
        Some(rowid) if !shape.rowid_is_key => format!("o.{rowid}"),
        _ => "NULL".into(),
    };
    let logged = key::expression("o", &names);
    // Keys that are left alone pass through a temporary mark: op 7 means nothing to anybody.
    let mark = log::high_water(database)?;
    let mut insert =
        database.prepare("INSERT INTO main._syncChange (tbl, op, pk) VALUES (?1, 7, ?2)")?;
    for key in except {
        insert.run(&[table.id.into(), key.borrow()])?;
    }
    let sql = format!(
        "INSERT INTO {changes} (tbl, op, rid, pk) SELECT ?1, 1, {rowid}, {logged} FROM {table} AS o \
         WHERE ({logged}) COLLATE BINARY NOT IN \
         (SELECT pk FROM {changes} WHERE seq > ?2 AND tbl = ?1 AND op = 7 AND pk IS NOT NULL) \
         AND NOT (({logged}) IS NULL AND EXISTS \
         (SELECT 1 FROM {changes} WHERE seq > ?2 AND tbl = ?1 AND op = 7 AND pk IS NULL))",
        changes = database.qualified("_syncChange"),
        table = database.qualified(&shape.name),
    );
    let captured = database
        .connection()
        .prepare(&sql)?
        .run(&[table.id.into(), mark.into()])?;
    // Nobody has seen their numbers, so these may be used again.
    database.execute(
        "DELETE FROM main._syncChange WHERE seq > ?1 AND op = 7",
        &[mark.into()],
    )?;
    Ok(captured)
}

fn pending_of(database: &Database, table: &Tracked) -> Result<PendingRows> {
    let upto = log::high_water(database)?;
    Ok(PendingRows::read(database, &[table], upto)?
        .pop()
        .unwrap_or_default())
}

/// Whether a sync would send anything of a table.
fn has_something_to_send(database: &Database, table: &Tracked) -> Result<bool> {
    let columns = table.synced_columns();
    let pending = pending_of(database, table)?;
    let mut reader = RowReader::new(database, table, &[])?;
    for row in pending.rows() {
        let exists = reader.find(row)?;
        reader.release();
        let sends = match row.status(exists) {
            Status::Nothing => false,
            Status::Updated => columns.iter().any(|position| row.changed(*position)),
            Status::Created | Status::Deleted => true,
        };
        if sends {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Ends to track a table. Returns false when it was not tracked.
///
/// # Errors
/// Changes are pending and `discard` is false.
pub fn untrack(database: &Database, name: &str, discard: bool) -> Result<bool> {
    drift::refresh(database)?;
    let Some(Registration { id, name, .. }) = registration(database, name)? else {
        return Ok(false);
    };
    let gone = captured_table(database, id)?.is_none();
    if !discard && !gone && has_something_to_send(database, &Tracked::open(database, &name)?)? {
        return Err(Error::argument(format!(
            "{} has changes that were not uploaded; sync first, or pass {{\"discard\":true}} to give \
             them up",
            quote_name(&name)
        )));
    }
    triggers::drop_all(database, id)?;
    log::discard_table(database, id)?;
    forget_cursors(database, id)?;
    database.execute("DELETE FROM main._syncOutbox WHERE tbl = ?1", &[id.into()])?;
    database.execute(
        "DELETE FROM main._syncRejected WHERE tbl = ?1",
        &[id.into()],
    )?;
    database.execute("DELETE FROM main._syncTable WHERE id = ?1", &[id.into()])?;
    Ok(true)
}

/// The next pull of a table starts from the beginning.
fn forget_cursors(database: &Database, id: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncCursor WHERE tableId = ?1",
        &[id.into()],
    )?;
    Ok(())
}

/// Binds a table to the provider that its changes go to. A second provider would miss what the first
/// has taken out of the log.
///
/// # Errors
/// It is bound to another one.
pub fn bind_provider(database: &Database, table: &Tracked, provider: &str) -> Result<()> {
    if let Some(bound) = table.provider.as_deref().filter(|bound| *bound != provider) {
        return Err(Error::argument(format!(
            "{} is synced with provider {}; call sync_untrack and sync_track to sync it with {}",
            quote_name(&table.shape.name),
            quote_name(bound),
            quote_name(provider)
        )));
    }
    database.execute(
        "UPDATE main._syncTable SET provider = ?2 WHERE id = ?1 AND provider IS NULL",
        &[table.id.into(), Value::from(provider).borrow()],
    )?;
    Ok(())
}
