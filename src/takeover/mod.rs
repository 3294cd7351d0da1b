//! Taking over a database file of a WatermelonDB app, with what its client has not pushed yet.
//!
//! | in the file | taken over as |
//! |---|---|
//! | `local_storage`: `__watermelon_last_pulled_at` | the cursor of every entity, as it is |
//! | `_status` `synced` | nothing is pending |
//! | `created`, `updated`, with the columns in `_changed` | pending, with those columns as the mask |
//! | `deleted` (the client keeps such rows) | the row goes, its delete is pending |
//!
//! Afterwards every `_status` is `synced`, so that nobody can push the same changes again.

mod native;
mod rows;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::capture::shape::Shape;
use crate::capture::tracked::ColumnType;
use crate::capture::{Tracked, drift, track};
use crate::coordination::now;
use crate::ground::quoted;
use crate::providers::{Settings, Stored, watermelon};
use crate::store::{Database, Error, Result, quote_name};

use crate::runs::gate::stored_config;
use crate::transfer::binding::Binding;
use crate::transfer::cursor;
use native::{Pulled, shapes};
use rows::Taken;

/// What [`take_over`] is asked for.
pub struct Takeover {
    pub provider: String,
    /// The tables; none for all that have the client's columns.
    pub tables: Option<Vec<String>>,
    /// How values travel, by table and column. The file's columns have no types.
    pub types: BTreeMap<String, BTreeMap<String, ColumnType>>,
}

/// Takes the tables over for a declared provider. Call inside a transaction.
///
/// # Errors
/// The provider was synced or was given a takeover before; no such tables, or tracked ones; a state
/// that the client doesn't know; SQLite's.
pub fn take_over(database: &Database, request: &Takeover) -> Result<Json> {
    let provider = &request.provider;
    let config = stored_config(database, provider)?;
    refuse_other_kind(&config, provider)?;
    refuse_known(database, provider)?;
    drift::refresh(database)?;
    let shapes = shapes(database, request.tables.as_deref())?;
    let pulled = Pulled::read(database)?;
    let types = types(request, &shapes)?;

    let mut taken = Vec::with_capacity(shapes.len());
    for (shape, types) in shapes.iter().zip(types) {
        taken.push(Taken::begin(database, shape, types)?);
    }
    // Once all tables are tracked: a trigger of the program may delete in others as well.
    let mut deleted = Vec::with_capacity(taken.len());
    for table in &taken {
        deleted.push(table.delete_tombstones(database)?);
    }
    let at = now();
    let mut reports = Vec::with_capacity(taken.len());
    for (table, deleted) in taken.iter().zip(deleted) {
        reports.push(table.report(database, deleted)?);
        let binding = bind(database, &config, &table.tracked)?;
        track::bind_provider(database, &binding.table, provider)?;
        if let Some(cursor) = &pulled.at {
            cursor::store(database, provider, &binding, cursor, at, true)?;
            if let Some(version) = pulled.schema_version {
                cursor::store_schema(database, provider, &binding, version)?;
            }
        }
    }
    Ok(json!({
        "provider": provider,
        "cursor": pulled.at,
        "schemaVersion": pulled.schema_version,
        "tables": reports,
    }))
}

fn refuse_other_kind(settings: &Settings, provider: &str) -> Result<()> {
    let (given, wanted) = (settings.kind().name, watermelon::KIND.name);
    if given == wanted {
        return Ok(());
    }
    Err(Error::argument(format!(
        "provider '{provider}' is of kind {given}; a WatermelonDB file can only be taken over by one of kind {wanted}"
    )))
}

/// A cursor says that the provider's changes are ours already, or that others are.
fn refuse_known(database: &Database, provider: &str) -> Result<()> {
    let known = database.query_row(
        "SELECT entity FROM main._syncCursor WHERE provider = ?1 LIMIT 1",
        &[provider.into()],
        |row| Ok(row.text(0)),
    )?;
    match known {
        None => Ok(()),
        Some(entity) => Err(Error::argument(format!(
            "provider '{provider}' has been synced or has taken over tables already (entity \
             {} has a cursor); take all tables over in one call, with a provider of their own",
            quoted(&entity)
        ))),
    }
}

/// The types given for each table.
fn types(request: &Takeover, shapes: &[Shape]) -> Result<Vec<BTreeMap<String, ColumnType>>> {
    for name in request.types.keys() {
        if !shapes
            .iter()
            .any(|shape| shape.name.eq_ignore_ascii_case(name))
        {
            return Err(Error::argument(format!(
                "types name the table {}, which is not taken over",
                quote_name(name)
            )));
        }
    }
    let of = |shape: &Shape| {
        let given = request.types.iter();
        given
            .filter(|(name, _)| name.eq_ignore_ascii_case(&shape.name))
            .flat_map(|(_, types)| types.clone())
            .collect()
    };
    Ok(shapes.iter().map(of).collect())
}

/// The entity that a table keeps, by the provider's configuration.
fn bind(database: &Database, settings: &Settings, table: &Tracked) -> Result<Binding> {
    let name = &table.shape.name;
    let mapped = settings
        .texts("tableMap")
        .find(|(_, mapped)| mapped.eq_ignore_ascii_case(name));
    let entity = mapped.map_or(name.as_str(), |(entity, _)| entity);
    let kind = settings.open(&Stored::default()).map_err(Error::argument)?;
    let binding = Binding::resolve(database, settings, &*kind, entity)?;
    if binding.table.id != table.id {
        return Err(Error::argument(format!(
            "tableMap keeps the entity {} in {}; give {} an entity of its own",
            quoted(entity),
            quote_name(&binding.table.shape.name),
            quote_name(name)
        )));
    }
    Ok(binding)
}
