//! `sync_start_scope(id, instance_ids)`: declares a scope, or begins to track it anew.

use crate::coordination::{scope, write};
use crate::store::{Call, Error, Result, Value};

use super::options::{ActionObject, Shape, checked, elements, object_text, text_argument, typed};

const SHAPE: Shape = Shape {
    action: "start-sync-scope",
    top: &["instanceId"],
    options: &["instanceIds"],
};

/// `SELECT sync_start_scope('startup', '["a","b"]');` gives `syncing`.
pub fn start_scope(call: &Call<'_>) -> Result<Value> {
    if let Some(text) = object_text(call) {
        let object = ActionObject::parse(text, &SHAPE)?;
        if !object.when {
            return Ok(Value::Null);
        }
        let id = object
            .text("instanceId")?
            .ok_or_else(|| Error::argument("instanceId is missing"))?;
        let instances = instance_ids(object.required("instanceIds")?.get(), "instanceIds")?;
        return start(call, &object.schema, &id, &instances);
    }
    let id = text_argument(call, 0, "id")?;
    if call.len() < 2 {
        return Err(Error::argument(
            "instance_ids is missing; give a JSON array of instance ids, or one option object",
        ));
    }
    let instances = instance_ids(text_argument(call, 1, "instance_ids")?, "instance_ids")?;
    start(call, "main", id, &instances)
}

fn start(call: &Call<'_>, schema: &str, id: &str, instances: &[String]) -> Result<Value> {
    let state = write(call.session(), schema, |ground| {
        scope::start(ground, id, instances)
    })?;
    Ok(state.into())
}

/// The ids of a JSON array of texts.
///
/// # Errors
/// Anything but an array of texts that are not empty.
pub fn instance_ids(text: &str, name: &str) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for (position, element) in elements(text, name)?.iter().enumerate() {
        let name = format!("{name}[{position}]");
        let id: String = typed(element, &name, "text")?;
        checked(&id, &name)?;
        ids.push(id);
    }
    Ok(ids)
}
