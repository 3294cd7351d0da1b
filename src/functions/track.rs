//! `sync_track`, `sync_untrack`, `sync_capture_existing`, `sync_alter`.

use serde::Deserialize;
use serde_json::json;

use crate::capture::{alter, drift, track, tracked::TrackOptions};
use crate::store::{Call, Database, Result, Value, ensure_schema, transact};

use super::arguments;

/// The attached file a call is about, with our tables in it.
fn prepared(call: &Call<'_>, schema: Option<&str>) -> Result<Database> {
    let database = call.session().database(schema.unwrap_or("main"))?;
    ensure_schema(&database)?;
    Ok(database)
}

/// `SELECT sync_track('planes');` gives `{"table":"planes","tracked":true,…}`.
pub fn track(call: &Call<'_>) -> Result<Value> {
    let table = arguments::text(call, 0, "table")?;
    let mut options = match call.argument(1).is_null() {
        true => None,
        false => Some(arguments::options::<TrackOptions>(call, 1, "options")?),
    };
    let schema = options.as_mut().and_then(|options| options.schema.take());
    let database = prepared(call, schema.as_deref())?;
    let outcome = transact(database.connection(), || {
        track::track(&database, table, options)
    })?;
    let answer = json!({
        "table": outcome.table,
        "tracked": true,
        "already": outcome.already,
        "captured": outcome.captured,
    });
    Ok(answer.to_string().into())
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct UntrackOptions {
    discard: bool,
    schema: Option<String>,
}

/// `SELECT sync_untrack('planes');` gives 1, or 0 when it was not tracked.
pub fn untrack(call: &Call<'_>) -> Result<Value> {
    let table = arguments::text(call, 0, "table")?;
    let options: UntrackOptions = arguments::options(call, 1, "options")?;
    let database = prepared(call, options.schema.as_deref())?;
    let done = transact(database.connection(), || {
        track::untrack(&database, table, options.discard)
    })?;
    Ok(done.into())
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct SchemaOption {
    schema: Option<String>,
}

/// `SELECT sync_capture_existing('planes');` gives the number of rows that are now pending.
pub fn capture_existing(call: &Call<'_>) -> Result<Value> {
    let table = arguments::text(call, 0, "table")?;
    let options: SchemaOption = arguments::options(call, 1, "options")?;
    let database = prepared(call, options.schema.as_deref())?;
    let captured = transact(database.connection(), || {
        drift::refresh(&database)?;
        track::capture_existing(&database, table)
    })?;
    Ok(captured.into())
}

/// `SELECT sync_alter('planes', 'ALTER TABLE planes DROP COLUMN speed');` gives 1.
pub fn alter(call: &Call<'_>) -> Result<Value> {
    let table = arguments::text(call, 0, "table")?;
    let sql = arguments::text(call, 1, "sql")?;
    let options: SchemaOption = arguments::options(call, 2, "options")?;
    let database = prepared(call, options.schema.as_deref())?;
    transact(database.connection(), || {
        alter::alter(&database, table, sql)
    })?;
    Ok(1i64.into())
}
