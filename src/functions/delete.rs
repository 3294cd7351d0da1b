//! `sync_delete_scope(id)` and `sync_delete_status(id)`: deleting scopes and statuses.

use serde_json::Value as Json;

use crate::coordination::{result, scope, write};
use crate::ground::key::{Key, Takes, Usual, key, shown};
use crate::ground::quoted;
use crate::store::{Call, Error, Result, Shape, Value, ValueRef, checked_name};

use super::action::{ACTION, ActionObject, OPTIONS, action_type};
use super::arguments::{self, MAIN};

#[rustfmt::skip]
const SCOPE_TYPE: Key = action_type(
    &["action.delete-sync-scope", "action-delete-sync-scope"],
    r#"{"when":false,"type":"action.delete-sync-scope"}"#,
);
#[rustfmt::skip]
pub static SCOPE: Shape = Shape {
    top: &[&[SCOPE_TYPE, OPTIONS], ACTION],
    options: &[&[
        SCOPE_TYPE,
        key("id", Takes::Text, Usual::Required, "in `options` of one object: the scope", r#"{"options":{"id":"startup"}}"#),
    ], ACTION],
};

#[rustfmt::skip]
const STATUS_TYPE: Key = action_type(
    &["action.delete-sync-status", "action-delete-sync-status"],
    r#"{"when":false,"type":"action.delete-sync-status"}"#,
);
#[rustfmt::skip]
pub static STATUS: Shape = Shape {
    top: &[&[STATUS_TYPE, OPTIONS], ACTION],
    options: &[&[
        STATUS_TYPE,
        key("id", Takes::Json, Usual::Required, "in `options` of one object: `_syncStatus.id`, an integer or its decimal text", r#"{"options":{"id":1}}"#),
    ], ACTION],
};

/// `SELECT sync_delete_scope('startup');` returns 1, or 0 when there is no such scope. Running work
/// goes on; status rows stay.
pub fn delete_scope(call: &Call<'_>) -> Result<Value> {
    let (schema, id) = match ActionObject::of(call)? {
        Some(action) if !action.when => return Ok(Value::Null),
        Some(action) => {
            let id = action.within.required_name("id")?;
            (action.schema, id)
        }
        None => (MAIN.to_owned(), arguments::text(call, 0, "id")?.to_owned()),
    };
    let deleted = write(call.session(), &schema, |ground| {
        scope::delete(ground.database, &id)
    })?;
    Ok(deleted.into())
}

/// `SELECT sync_delete_status(7);` returns 1, or 0 when there is no such row. A running operation goes
/// on, and its result still counts.
pub fn delete_status(call: &Call<'_>) -> Result<Value> {
    let (schema, id) = match ActionObject::of(call)? {
        Some(action) if !action.when => return Ok(Value::Null),
        Some(action) => {
            let id = match action.within.get::<Json>("id")?.unwrap_or_default() {
                Json::String(text) => decimal(&text)?,
                other => other.as_i64().ok_or_else(|| {
                    let given = shown(&other);
                    Error::argument(format!("options.id must be an integer, not {given}"))
                })?,
            };
            (action.schema, id)
        }
        None => (MAIN.to_owned(), status_id(call, 0)?),
    };
    let deleted = write(call.session(), &schema, |ground| {
        result::delete_status(ground.database, id)
    })?;
    Ok(deleted.into())
}

/// A status id: an integer, or its decimal text.
///
/// # Errors
/// Anything else.
pub fn status_id(call: &Call<'_>, index: usize) -> Result<i64> {
    match call.argument(index) {
        ValueRef::Text(text) => decimal(text),
        _ => arguments::integer(call, index, "status id"),
    }
}

fn decimal(text: &str) -> Result<i64> {
    checked_name(text, "status id")?;
    text.parse().map_err(|_| {
        Error::argument(format!(
            "status id must be an integer (_syncStatus.id), not {}",
            quoted(text)
        ))
    })
}
