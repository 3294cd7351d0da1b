//! `sync_track`, `sync_untrack`, `sync_capture_existing`, `sync_alter`.

use serde::Deserialize;
use serde_json::json;

use crate::capture::{alter, drift, track, tracked::TrackOptions};
use crate::coordination::write;
use crate::store::{Call, Result, Value};

use super::arguments;

/// The attached file a call is about, unless it says otherwise.
const MAIN: &str = "main";

/// `SELECT sync_track('planes');` gives `{"table":"planes","tracked":true,…}`.
pub fn track(call: &Call<'_>) -> Result<Value> {
    let table = arguments::text(call, 0, "table")?;
    let mut options = match call.argument(1).is_null() {
        true => None,
        false => Some(arguments::options::<TrackOptions>(call, 1, "options")?),
    };
    let schema = options.as_mut().and_then(|options| options.schema.take());
    let outcome = write(
        call.session(),
        schema.as_deref().unwrap_or(MAIN),
        |ground| track::track(ground.database, table, options),
    )?;
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
    let schema = options.schema.as_deref().unwrap_or(MAIN);
    let done = write(call.session(), schema, |ground| {
        track::untrack(ground.database, table, options.discard)
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
    let schema = options.schema.as_deref().unwrap_or(MAIN);
    let captured = write(call.session(), schema, |ground| {
        drift::refresh(ground.database)?;
        track::capture_existing(ground.database, table)
    })?;
    Ok(captured.into())
}

/// `SELECT sync_alter('planes', 'ALTER TABLE planes DROP COLUMN speed');` gives 1.
pub fn alter(call: &Call<'_>) -> Result<Value> {
    let table = arguments::text(call, 0, "table")?;
    let sql = arguments::text(call, 1, "sql")?;
    let options: SchemaOption = arguments::options(call, 2, "options")?;
    let schema = options.schema.as_deref().unwrap_or(MAIN);
    write(call.session(), schema, |ground| {
        alter::alter(ground.database, table, sql)
    })?;
    Ok(1i64.into())
}
