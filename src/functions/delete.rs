//! `sync_delete_scope(id)` and `sync_delete_status(id)`: what is no longer of interest.

use crate::coordination::{operation, scope, write};
use crate::store::{Call, Error, Result, Value, ValueRef, checked_name};

use super::action::{ActionObject, Shape, object_text};
use super::arguments::{self, MAIN};
use super::json::typed;

const SCOPE: Shape = Shape {
    action: "delete-sync-scope",
    top: &[],
    options: &["id"],
};
const STATUS: Shape = Shape {
    action: "delete-sync-status",
    top: &[],
    options: &["id"],
};

/// `SELECT sync_delete_scope('startup');` gives 1, or 0 when there is no such scope. Running work
/// goes on; status rows stay.
pub fn delete_scope(call: &Call<'_>) -> Result<Value> {
    let (schema, id) = match object_text(call) {
        Some(text) => {
            let action = ActionObject::parse(text, &SCOPE)?;
            if !action.when {
                return Ok(Value::Null);
            }
            let id = action
                .object
                .name("id")?
                .ok_or_else(|| Error::argument("options.id is missing"))?;
            (action.schema, id)
        }
        None => (MAIN.to_owned(), arguments::text(call, 0, "id")?.to_owned()),
    };
    let deleted = write(call.session(), &schema, |ground| {
        scope::delete(ground.database, &id)
    })?;
    Ok(deleted.into())
}

/// `SELECT sync_delete_status(7);` gives 1, or 0 when there is no such row. A running operation goes
/// on, and its result still counts.
pub fn delete_status(call: &Call<'_>) -> Result<Value> {
    let (schema, id) = match object_text(call) {
        Some(text) => {
            let action = ActionObject::parse(text, &STATUS)?;
            if !action.when {
                return Ok(Value::Null);
            }
            let raw = action.object.required("id")?;
            let id = if raw.get().starts_with('"') {
                decimal(&typed::<String>(raw, "id", "an integer")?)?
            } else {
                typed(raw, "id", "an integer")?
            };
            (action.schema, id)
        }
        None => (MAIN.to_owned(), status_id(call, 0)?),
    };
    let deleted = write(call.session(), &schema, |ground| {
        operation::delete_status(ground.database, id)
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
            "status id must be an integer (_syncStatus.id), not {text:?}"
        ))
    })
}
