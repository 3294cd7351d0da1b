//! Starting and stopping to track a table, and logging rows that were there before.

use chrono::Utc;

use crate::store::{Database, Error, Result, Value, quote_name, untold};

use crate::ground::Warning;

use super::columns::Columns;
use super::names::quoted_list;
use super::op::{EVERY_COLUMN, Op};
use super::shape::Shape;
use super::tracked::{Existing, Registration, TrackOptions, Tracked, registration};
use super::triggers::Found;
use super::{
    aside, doubt, drift, key, log, meet, rebuilt, recognised, refilled, reshape, triggers,
};

/// What [`track`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its number in `_syncTable`.
    pub id: i64,
    /// The table's own spelling.
    pub table: String,
    /// It was tracked already, and still is.
    pub already: bool,
    /// Rows that were there and are now pending.
    pub captured: i64,
    pub warnings: Vec<Warning>,
}

/// Removes capture triggers that no registration knows, with what they have logged since.
///
/// # Errors
/// SQLite's.
pub fn drop_orphans(database: &Database) -> Result<()> {
    let tables = triggers::drop_orphans(database)?;
    if tables.is_empty() {
        return Ok(());
    }
    let logged = log::discard_unknown(database)?;
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    let message = format!(
        "capture triggers without their record in _syncTable were found on {}; they are removed, with {logged} entries of \
         the log whose tables are not known any more. Call sync_track to capture again: sync_check finds what differs, \
         sync_capture_existing sends every row",
        quoted_list(&names)
    );
    let warning = Warning::new("orphanedTriggers", message).times(tables.len() as i64);
    untold::keep(database, &warning)
}

/// Starts tracking a table. For a tracked one changes the options, or keeps them if none are given; if it has lost its
/// triggers, or capture is off, puts capture back, also without columns that are gone. Call inside a transaction.
///
/// # Errors
/// A table that can't be tracked, or was made again with another key; one that may be a tracked table under another
/// name; an option naming a column that does not exist; SQLite's.
pub fn track(database: &Database, name: &str, options: Option<TrackOptions>) -> Result<Outcome> {
    let told = Told {
        options,
        ..Told::default()
    };
    track_as(database, name, told)
}

/// What somebody says of a table to track.
#[derive(Debug, Default)]
pub struct Told<'t> {
    pub options: Option<TrackOptions>,
    /// What it was called when it was tracked; empty: it is a new one.
    pub was: Option<&'t str>,
    /// The options say which columns are synced, or which are not.
    pub columns: bool,
}

/// The same with all that can be said.
///
/// # Errors
/// As [`track`]; it was not the one that it is said to have been.
pub fn track_as(database: &Database, name: &str, told: Told<'_>) -> Result<Outcome> {
    let Told {
        options,
        was,
        columns: columns_told,
    } = told;
    drop_orphans(database)?;
    if let Some(was) = was.filter(|was| !was.is_empty()) {
        let shape = Shape::read(database, name)?;
        if let Some(known) = recognised::passed_on(database, &shape, was)? {
            let mut warnings = recognised::go_on_as(database, known, &shape, columns_told)?;
            let told = Told {
                options,
                was: None,
                columns: columns_told,
            };
            let mut outcome = track_as(database, name, told)?;
            warnings.append(&mut outcome.warnings);
            return Ok(Outcome {
                warnings,
                ..outcome
            });
        }
    }
    let was_known = match was {
        Some(was) => registration(database, was)?,
        None => None,
    };
    drift::refresh(database)?;
    drift::follow_uncaptured(database)?;
    let mut warnings = untold::take(database)?;
    let shape = Shape::read(database, name)?;
    let as_it_is = registration(database, &shape.name)?;
    let is_other = |known: &Registration| {
        let as_it_is = as_it_is.as_ref();
        as_it_is.is_none_or(|as_it_is| as_it_is.id != known.id)
    };
    if let Some(was) = was.filter(|was| !was.is_empty()) {
        // It may have been followed without being told.
        let is_told = was_known.is_none_or(|known| is_other(&known) || known.name == shape.name);
        if is_told {
            let known = recognised::told(database, &shape, was)?;
            if as_it_is.is_none_or(|as_it_is| !as_it_is.has_key_of(&shape)) {
                warnings.extend(recognised::go_on_as(database, known, &shape, columns_told)?);
            }
        }
    } else if was.is_none() && registration(database, &shape.name)?.is_none() {
        let (known, noticed) = recognised::recognise(database, &shape, columns_told)?;
        warnings.extend(noticed);
        if let Some(known) = known {
            warnings.extend(recognised::go_on_as(database, known, &shape, columns_told)?);
        }
    }
    let Some(mut found) = registration(database, &shape.name)? else {
        return start(database, &shape, options.unwrap_or_default(), warnings);
    };
    let id = found.id;
    let triggers = Found::read(database, id)?;
    let mut doubt = None;
    if found.has_key_of(&shape) {
        // By the options as they were: the new ones may say nothing of columns.
        doubt = doubt::doubt(database, &found, &shape, &triggers)?;
    }
    if let Some(doubt) = doubt.take_if(|_| !columns_told) {
        return Err(doubt);
    }
    if let Some(options) = options {
        store_options(database, id, &shape, &options)?;
        // Capture goes on with these, not with what they were.
        found.options = options;
    }
    if found.off.is_some() || triggers.table.is_none() || doubt.is_some() {
        warnings.extend(rebuilt::go_on(database, &found, columns_told)?);
    }
    Tracked::open(database, &shape.name)?;
    Ok(Outcome {
        id,
        table: shape.name,
        already: true,
        captured: 0,
        warnings,
    })
}

fn start(
    database: &Database,
    shape: &Shape,
    options: TrackOptions,
    warnings: Vec<Warning>,
) -> Result<Outcome> {
    let id = insert(database, shape)?;
    store_options(database, id, shape, &options)?;
    let registered = registration(database, &shape.name)?;
    let registered = registered
        .ok_or_else(|| Error::Corrupt(format!("_syncTable lost {}", quote_name(&shape.name))))?;
    let nothing = Found::default();
    let place = refilled::place(database, &shape.name)?;
    reshape::store(
        database,
        &Tracked::assemble(registered.clone(), shape.clone(), &nothing),
        &shape.name,
        place.as_deref(),
    )?;
    let columns = Columns::resolve(&registered.columns, None, shape);
    triggers::create(database, shape, id, &columns)?;
    let mut outcome = Outcome {
        id,
        table: shape.name.clone(),
        already: false,
        captured: 0,
        warnings,
    };
    let table = Tracked::open(database, &shape.name)?;
    if options.existing != Some(Existing::Skip) {
        outcome.captured = log_existing(database, &table, |_| Ok(()))?;
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
    for name in options.names() {
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

/// Logs every row of a table as inserted, except some keys. Returns the number of rows logged. Call inside a
/// transaction.
///
/// # Errors
/// SQLite's.
pub fn log_existing(
    database: &Database,
    table: &Tracked,
    except: impl FnOnce(&mut dyn FnMut(&Value) -> Result<()>) -> Result<()>,
) -> Result<i64> {
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
    except(&mut |key| {
        insert.run(&[table.id.into(), LEFT_ALONE.into(), key.borrow()])?;
        Ok(())
    })?;
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

/// Logs every row of a table as changed in all its columns. Call inside a transaction.
///
/// # Errors
/// SQLite's.
pub fn log_as_changed(database: &Database, table: &Tracked) -> Result<()> {
    let shape = &table.shape;
    let keys = shape.keys();
    let names: Vec<&str> = keys.iter().map(|column| column.name.as_str()).collect();
    let rowid = match shape.rowid {
        Some(rowid) if !shape.rowid_is_key => format!("o.{rowid}"),
        _ => "NULL".into(),
    };
    let sql = format!(
        "INSERT INTO {} (tbl, op, mask, rid, pk) SELECT ?1, ?2, ?3, {rowid}, {} FROM {} AS o",
        database.qualified("_syncChange"),
        key::expression("o", &names),
        database.qualified(&shape.name),
    );
    let values = [
        table.id.into(),
        Op::UPDATE.code().into(),
        EVERY_COLUMN.into(),
    ];
    database.connection().prepare(&sql)?.run(&values)?;
    Ok(())
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
