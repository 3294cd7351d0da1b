//! `sync_retry` and `sync_discard`: what becomes of a row that was refused.

use serde_json::json;

use crate::coordination::write;
use crate::ground::key::{Keys, Takes, Usual, key};
use crate::runs;
use crate::runs::Named;
use crate::store::{Call, Result, Value, ValueRef};

use super::arguments::{self, MAIN};
use super::json::{Object, SCHEMA};

#[rustfmt::skip]
pub const KEYS: Keys = &[&[
    key("revert", Takes::Switch, Usual::Json("false"), "whether the row is to be as the backend has it: one that was made here goes, another comes again with the next sync", r#"{"revert":true}"#),
], SCHEMA];

/// The row that a call is about: the number of a rejection, or a table and a key. With the index of the argument
/// behind it.
fn named(call: &Call<'_>) -> Result<(Named, usize)> {
    let id = match call.argument(0) {
        ValueRef::Integer(id) => Some(id),
        // As the drivers of JavaScript bind numbers.
        ValueRef::Real(id) if id.trunc() == id => Some(id as i64),
        _ => None,
    };
    if let Some(id) = id {
        return Ok((Named::Rejection(id), 1));
    }
    let table = arguments::text(call, 0, "table")?.to_owned();
    let key = call.argument(1).to_owned();
    Ok((Named::Row(table, key), 2))
}

/// `SELECT sync_retry(1);` or `SELECT sync_retry('planes', 'a');` returns 1, or 0 when the row was not rejected.
pub fn retry(call: &Call<'_>) -> Result<Value> {
    let (row, _) = named(call)?;
    let done = write(call.session(), MAIN, |ground| {
        runs::retry(ground.database, &row)
    })?;
    Ok(done.into())
}

/// `SELECT sync_discard('planes', 'a');` returns `{"discarded":"change","refetch":false}`; discarded: `change`, `held`, or null
/// when there was nothing to give up.
pub fn discard(call: &Call<'_>) -> Result<Value> {
    let (row, next) = named(call)?;
    let options = Object::options(call, next)?;
    let revert = options.flag("revert")?;
    let schema = options.schema()?;
    let given_up = write(call.session(), &schema, |ground| {
        runs::discard(ground.database, &row, revert)
    })?;
    let answer = json!({ "discarded": given_up.what(), "refetch": given_up.refetches() });
    Ok(answer.to_string().into())
}
