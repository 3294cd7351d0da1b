//! Starting and stopping to track a table, and logging rows that were there before.

use chrono::Utc;

use crate::store::{Database, Error, Result, Value, quote_name};

use super::op::Op;
use super::shape::Shape;
use super::tracked::{Existing, TrackOptions, Tracked, captured_table, registration};
use super::{aside, drift, key, log, meet, triggers};

/// What [`track`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its number in `_syncTable`.
    pub id: i64,
    /// The table's own spelling.
    pub table: String,
    /// It was tracked already, and still is.
    pub already: bool,
    /// It had been dropped and created again: what the server sent before must be sent again, so the cursors
    /// of the table have to be forgotten.
    pub remade: bool,
    /// Rows that were there and are now pending.
    pub captured: i64,
}

/// Starts tracking a table. For a tracked one changes the options, or keeps them if none are given.
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
    let id = match &found {
        Some(found) => found.id,
        None => insert(database, &shape)?,
    };
    let mut outcome = Outcome {
        id,
        table: shape.name.clone(),
        already: captured_now,
        remade: false,
        captured: 0,
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
        drift::store(database, id, &shape)?;
    }
    triggers::create(database, &shape, id)?;
    if existing != Some(Existing::Skip) {
        // What the log still says about a table created again (its deletes) is older than its rows.
        let table = Tracked::open(database, &shape.name)?;
        outcome.captured = log_existing(database, &table, &[])?;
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
    aside::forget(database, id)?;
    log::keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl = ?1 AND (op <> ?2 OR pk NOT IN \
             (SELECT pk FROM (SELECT pk, sum(op = ?2) - sum(op = ?3) AS gone, max(op = ?4) AS met \
              FROM main._syncChange WHERE tbl = ?1 AND pk IS NOT NULL GROUP BY pk) \
              WHERE gone > 0 OR (met AND gone >= 0)))",
            &[
                id.into(),
                Op::Delete.code().into(),
                Op::Insert.code().into(),
                Op::Met.code().into(),
            ],
        )
    })?;
    Ok(())
}

/// Logs every row of a table as inserted, except some keys. Returns the number of rows logged. Call inside a
/// transaction.
///
/// # Errors
/// SQLite's.
pub fn log_existing(database: &Database, table: &Tracked, except: &[Value]) -> Result<i64> {
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
    // Keys that are left alone pass through the log with a code that means nothing to anybody.
    const LEFT_ALONE: i64 = 7;
    let mark = log::high_water(database)?;
    let mut insert =
        database.prepare("INSERT INTO main._syncChange (tbl, op, pk) VALUES (?1, ?2, ?3)")?;
    for key in except {
        insert.run(&[table.id.into(), LEFT_ALONE.into(), key.borrow()])?;
    }
    let sql = format!(
        "INSERT INTO {changes} (tbl, op, rid, pk) SELECT ?1, ?3, {rowid}, {logged} FROM {table} AS o \
         WHERE ({logged}) COLLATE BINARY NOT IN \
         (SELECT pk FROM {changes} WHERE seq > ?2 AND tbl = ?1 AND op = ?4 AND pk IS NOT NULL) \
         AND NOT (({logged}) IS NULL AND EXISTS \
         (SELECT 1 FROM {changes} WHERE seq > ?2 AND tbl = ?1 AND op = ?4 AND pk IS NULL))",
        changes = database.qualified("_syncChange"),
        table = database.qualified(&shape.name),
    );
    let captured = database.connection().prepare(&sql)?.run(&[
        table.id.into(),
        mark.into(),
        Op::Insert.code().into(),
        LEFT_ALONE.into(),
    ])?;
    // Nobody has seen their numbers, so these may be used again.
    database.execute(
        "DELETE FROM main._syncChange WHERE seq > ?1 AND op = ?2",
        &[mark.into(), LEFT_ALONE.into()],
    )?;
    Ok(captured)
}

/// Stops tracking a table: its triggers, its log and its registration go.
///
/// # Errors
/// SQLite's.
pub fn untrack(database: &Database, id: i64) -> Result<()> {
    triggers::drop_all(database, id)?;
    log::discard_table(database, id)?;
    aside::forget(database, id)?;
    database.execute("DELETE FROM main._syncTable WHERE id = ?1", &[id.into()])?;
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
