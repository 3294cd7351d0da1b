//! `sync_start_scope(id, instance_ids)`: declares a scope, or begins to track it anew.

use crate::coordination::{scope, write};
use crate::store::{Call, Error, Result, Value};

use super::action::{ActionObject, Shape, object_text};
use super::arguments::{self, MAIN};
use super::json::names;

const SHAPE: Shape = Shape {
    action: "start-sync-scope",
    top: &["instanceId"],
    options: &["instanceIds"],
};

/// `SELECT sync_start_scope('startup', '["a","b"]');` gives `syncing`.
pub fn start_scope(call: &Call<'_>) -> Result<Value> {
    if let Some(text) = object_text(call) {
        let ActionObject {
            object,
            schema,
            when,
        } = ActionObject::parse(text, &SHAPE)?;
        if !when {
            return Ok(Value::Null);
        }
        let id = object
            .name("instanceId")?
            .ok_or_else(|| Error::argument("instanceId is missing"))?;
        let instances = names(object.required("instanceIds")?.get(), "instanceIds")?;
        return start(call, &schema, &id, &instances);
    }
    let id = arguments::text(call, 0, "id")?;
    if call.len() < 2 {
        return Err(Error::argument(
            "instance_ids is missing; give a JSON array of instance ids, or one option object",
        ));
    }
    let instances = names(arguments::text(call, 1, "instance_ids")?, "instance_ids")?;
    start(call, MAIN, id, &instances)
}

fn start(call: &Call<'_>, schema: &str, id: &str, instances: &[String]) -> Result<Value> {
    let state = write(call.session(), schema, |ground| {
        scope::start(ground, id, instances)
    })?;
    Ok(state.into())
}
