//! `sync_track`, `sync_untrack`, `sync_capture_existing`, `sync_capture_off`, `sync_capture_on`, `sync_alter`.

use serde_json::{Value as Json, json};

use crate::capture::tracked::{COLUMN_TYPES, COUNTED, TrackOptions};
use crate::capture::{advice, alter, switch, track};
use crate::coordination::write;
use crate::ground::Warning;
use crate::ground::key::{Keys, Takes, Usual, key};
use crate::runs;
use crate::store::{Call, Database, Result, Value};

use super::arguments;
use super::json::{Object, SCHEMA};

#[rustfmt::skip]
pub const TRACK: Keys = &[&[
    key("existing", Takes::OneOf(&["capture", "skip"]), Usual::Json("\"capture\""), "whether existing rows become pending", r#"{"existing":"skip"}"#),
    key("columns", Takes::List(&Takes::Text), Usual::Words("all but generated ones"), "the columns to sync; the key always is", r#"{"columns":["seats"]}"#),
    key("exclude", Takes::List(&Takes::Text), Usual::Nothing, "columns that are not synced; columns added later are", r#"{"exclude":["speed"]}"#),
    key("counted", Takes::OneOf(COUNTED), Usual::Json("\"rekey\""), "what a row created here is to one of the backend with the same number, where the key is INTEGER PRIMARY KEY: another one, and it takes a new number, or the same", r#"{"counted":"same"}"#),
    key("types", Takes::Map(&Takes::OneOf(COLUMN_TYPES)), Usual::Words("by declared type"), "column to the type its values travel as", r#"{"types":{"seats":"number"}}"#),
    key("was", Takes::Text, Usual::Nothing, "what the table was called when it was tracked, if nobody saw the rename; empty: it is a new table", r#"{"was":"planes"}"#),
], SCHEMA];

#[rustfmt::skip]
pub const UNTRACK: Keys = &[&[
    key("discard", Takes::Switch, Usual::Json("false"), "whether to discard pending changes", r#"{"discard":true}"#),
], SCHEMA];

/// The keys of functions that only need the file.
pub const PLACE: Keys = &[SCHEMA];

/// `SELECT sync_track('planes');` returns `{"table":"planes","tracked":true,…}`.
pub fn track(call: &Call<'_>) -> Result<Value> {
    let table = arguments::text(call, 0, "table")?;
    let given = Object::options(call, 1)?;
    let was: Option<String> = given.get("was")?;
    // To say what the table was is not to give it other options.
    let options = match call.argument(1).is_null() || given.is_only("was") {
        true => None,
        false => Some(track_options(&given)?),
    };
    let told = track::Told {
        options,
        was: was.as_deref(),
        columns: given.raw("columns").or(given.raw("exclude")).is_some(),
    };
    let outcome = write(call.session(), &given.schema()?, |ground| {
        let mut outcome = track::track_as(ground.database, table, told)?;
        outcome
            .warnings
            .extend(advice::of(ground.database, &outcome.table)?);
        Ok(outcome)
    })?;
    let answer = json!({
        "table": outcome.table,
        "id": outcome.id,
        "tracked": true,
        "already": outcome.already,
        "captured": outcome.captured,
        "warnings": shown(&outcome.warnings),
    });
    Ok(answer.to_string().into())
}

fn shown(warnings: &[Warning]) -> Vec<Json> {
    let warnings = warnings.iter();
    warnings
        .map(|warning| warning.to_json(&str::to_owned))
        .collect()
}

fn track_options(given: &Object) -> Result<TrackOptions> {
    Ok(TrackOptions {
        existing: given.get("existing")?,
        columns: given.names("columns")?,
        exclude: given.names("exclude")?.unwrap_or_default(),
        types: given.by_name("types")?,
        counted: given.get("counted")?,
    })
}

/// `SELECT sync_untrack('planes');` returns 1, or 0 when it was not tracked.
pub fn untrack(call: &Call<'_>) -> Result<Value> {
    let table = arguments::text(call, 0, "table")?;
    let options = Object::options(call, 1)?;
    let discard = options.flag("discard")?;
    let done = write(call.session(), &options.schema()?, |ground| {
        runs::untrack(ground.database, table, discard)
    })?;
    Ok(done.into())
}

/// `SELECT sync_capture_existing('planes');` returns the number of rows that are now pending.
pub fn capture_existing(call: &Call<'_>) -> Result<Value> {
    let table = arguments::text(call, 0, "table")?;
    let options = Object::options(call, 1)?;
    let captured = write(call.session(), &options.schema()?, |ground| {
        runs::capture_existing(ground.database, table)
    })?;
    Ok(captured.into())
}

/// `SELECT sync_capture_off('planes');` returns `{"tables":["planes"],"warnings":[]}`.
pub fn capture_off(call: &Call<'_>) -> Result<Value> {
    switched(call, switch::off)
}

/// `SELECT sync_capture_on('planes');` returns the same.
pub fn capture_on(call: &Call<'_>) -> Result<Value> {
    switched(call, switch::on)
}

fn switched(
    call: &Call<'_>,
    switch: fn(&Database, Option<&str>) -> Result<switch::Switched>,
) -> Result<Value> {
    let table = match call.argument(0).is_null() {
        true => None,
        false => Some(arguments::text(call, 0, "table")?),
    };
    let options = Object::options(call, 1)?;
    let switched = write(call.session(), &options.schema()?, |ground| {
        switch(ground.database, table)
    })?;
    let answer = json!({"tables": switched.tables, "warnings": shown(&switched.warnings)});
    Ok(answer.to_string().into())
}

/// `SELECT sync_alter('planes', 'ALTER TABLE planes DROP COLUMN speed');` returns 1.
pub fn alter(call: &Call<'_>) -> Result<Value> {
    let table = arguments::text(call, 0, "table")?;
    let sql = arguments::text(call, 1, "sql")?;
    let options = Object::options(call, 2)?;
    write(call.session(), &options.schema()?, |ground| {
        alter::alter(ground.database, table, sql)
    })?;
    Ok(1i64.into())
}
