//! `sync_start_scope(id, instance_ids)`: declares a scope, or restarts it.

use crate::coordination::{scope, write};
use crate::ground::key::{Key, Takes, Usual, key};
use crate::store::{Call, Error, Result, Shape, Value, read_names};

use super::action::{ACTION, ActionObject, OPTIONS, action_type};
use super::arguments::{self, MAIN};

#[rustfmt::skip]
const TYPE: Key = action_type(
    &["action.start-sync-scope", "action-start-sync-scope"],
    r#"{"when":false,"type":"action.start-sync-scope"}"#,
);
#[rustfmt::skip]
pub static SHAPE: Shape = Shape {
    top: &[&[
        TYPE,
        key("instanceId", Takes::Text, Usual::Required, "in one object: the scope's id", r#"{"instanceId":"startup","options":{"instanceIds":["flights"]}}"#),
        OPTIONS,
    ], ACTION],
    options: &[&[
        TYPE,
        key("instanceIds", Takes::List(&Takes::Text), Usual::Required, "in `options` of one object: its instances", r#"{"instanceId":"startup","options":{"instanceIds":["flights"]}}"#),
    ], ACTION],
};

/// `SELECT sync_start_scope('startup', '["a","b"]');` returns `syncing`.
pub fn start_scope(call: &Call<'_>) -> Result<Value> {
    if let Some(action) = ActionObject::of(call)? {
        if !action.when {
            return Ok(Value::Null);
        }
        let id = action.top.required_name("instanceId")?;
        let instances = action.within.names("instanceIds")?.unwrap_or_default();
        return start(call, &action.schema, &id, &instances);
    }
    let id = arguments::text(call, 0, "id")?;
    if call.len() < 2 {
        return Err(Error::argument(
            "instance_ids is missing; give a JSON array of instance ids, or one option object",
        ));
    }
    let instances = read_names(arguments::text(call, 1, "instance_ids")?, "instance_ids")?;
    start(call, MAIN, id, &instances)
}

fn start(call: &Call<'_>, schema: &str, id: &str, instances: &[String]) -> Result<Value> {
    let state = write(call.session(), schema, |ground| {
        scope::start(ground, id, instances)
    })?;
    Ok(state.into())
}
