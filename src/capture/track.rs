//! Beginning and ending to track a table, and logging rows that were there before.

use chrono::Utc;

use crate::store::{Database, Error, Result, Value, quote_name};

use super::shape::Shape;
use super::tracked::{Existing, Registration, TrackOptions, Tracked, captured_table, registration};
use super::{drift, key, log, triggers};

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
        outcome.captured = capture_existing(database, &shape.name)?;
    }
    Ok(outcome)
}

fn insert(database: &Database, shape: &Shape) -> Result<i64> {
    let columns = serde_json::to_string(&shape.names())
        .map_err(|error| Error::Corrupt(format!("column names: {error}")))?;
    database.execute(
        "INSERT INTO main._syncTable (name, columns, definition, options, trackedAt) \
         VALUES (?1, ?2, ?3, '{}', ?4)",
        &[
            shape.name.as_str().into(),
            columns.as_str().into(),
            shape.definition.as_str().into(),
            Utc::now().timestamp_millis().into(),
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
    let named = options.columns.iter().flatten().chain(options.types.keys());
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

/// The old table's rows are gone, and with them what was pending about them, except that they were
/// deleted.
fn keep_only_deletes(database: &Database, id: i64) -> Result<()> {
    log::keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl = ?1 AND seq NOT IN \
             (SELECT seq FROM (SELECT max(seq) AS seq, op FROM main._syncChange \
              WHERE tbl = ?1 GROUP BY pk) WHERE op = 3)",
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
    let insert = format!(
        "INSERT INTO {changes} (tbl, op, rid, pk) SELECT ?1, 1, {rowid}, {logged} FROM {table} AS o \
         WHERE ({logged}) NOT IN (SELECT pk FROM {changes} WHERE tbl = ?1 AND pk IS NOT NULL)",
        changes = database.qualified("_syncChange"),
        table = database.qualified(&shape.name),
    );
    database
        .connection()
        .prepare(&insert)?
        .run(&[table.id.into()])
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
    let pending = log::count(database, id)?;
    let gone = captured_table(database, id)?.is_none();
    if pending > 0 && !discard && !gone {
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
