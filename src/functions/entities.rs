//! `sync_entities(instance_id, provider, entities [, options])`: runs the operations of an instance.

use std::collections::HashSet;

use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use crate::coordination::operation::{EntitiesCall, OperationSpec, begin, instance_state};
use crate::coordination::{canonical, installed, write};
use crate::providers::{Kind, Transport, kinds};
use crate::store::{Call, Database, Error, Result, Value};
use crate::transfer::document::check_settings;

use super::action::{ActionObject, Shape, object_text};
use super::arguments;
use super::json::{Object, elements, members, name};

/// What data a call replaces, and how it runs. For a `host` provider `sync_apply` follows them; the
/// protocol providers say which of them they know.
const SETTINGS: &[&str] = &[
    "background",
    "forRowsInRange",
    "forRowsWithMatchingIds",
    "forRowsWithValues",
    "keepTempIds",
    "operations",
    "turbo",
];

const SHAPE: Shape = Shape {
    action: "sync-entities",
    top: &["instanceId"],
    options: &[
        "provider",
        "entities",
        "background",
        "forRowsInRange",
        "forRowsWithMatchingIds",
        "forRowsWithValues",
        "keepTempIds",
        "operations",
        "turbo",
    ],
};

/// `SELECT sync_entities('reference-data', 'airline-api', '["airports","planes"]');` gives
/// `{"instanceId":"reference-data","state":"syncing","operations":[{"statusId":1,…},…]}`.
pub fn entities(call: &Call<'_>) -> Result<Value> {
    let Some(request) = read(call)? else {
        return Ok(Value::Null);
    };
    let database = call.session().database(&request.schema)?;
    let in_background = in_background(&request)?;
    let kind = provider_kind(&database, &request.provider)?;
    let answer = if kind.transport == Transport::Nobody {
        if in_background {
            return Err(Error::argument(format!(
                "options.background goes with a protocol, not with a provider of kind {}",
                kind.name
            )));
        }
        open(call, &request)?
    } else if in_background {
        crate::worker::start(call.session(), request)?
    } else {
        crate::runs::run_entities(call.session(), &request)?
    };
    Ok(answer.to_string().into())
}

fn in_background(request: &EntitiesCall) -> Result<bool> {
    match request.options.get("background") {
        None | Some(Json::Bool(false)) => Ok(false),
        Some(Json::Bool(true)) => Ok(true),
        Some(_) => Err(Error::argument("background must be true or false")),
    }
}

/// Opens the operations and leaves them to the host program, which hands each response to
/// `sync_apply`, or moves the data itself and reports with `sync_set_status`.
fn open(call: &Call<'_>, request: &EntitiesCall) -> Result<Json> {
    check_settings(call.session(), &request.options)?;
    write(call.session(), &request.schema, |ground| {
        let operations = begin(ground.database, ground.owner, request)?;
        let state = match &request.instance_id {
            Some(instance) => instance_state(ground.database, instance)?,
            None => None,
        };
        let fallback = if operations.is_empty() {
            "synced"
        } else {
            "syncing"
        };
        let operations: Vec<_> = operations
            .into_iter()
            .map(|operation| {
                json!({
                    "statusId": operation.status_id,
                    "entity": operation.entity,
                    "functionId": operation.function_id,
                })
            })
            .collect();
        Ok(json!({
            "instanceId": request.instance_id,
            "state": state.as_deref().unwrap_or(fallback),
            "operations": operations,
        }))
    })
}

fn read(call: &Call<'_>) -> Result<Option<EntitiesCall>> {
    if let Some(text) = object_text(call) {
        return read_object(text);
    }
    let instance_id = arguments::optional_text(call, 0, "instance_id")?.map(str::to_owned);
    if call.len() < 3 {
        return Err(Error::argument(
            "takes instance_id, provider, entities [, options], or one option object",
        ));
    }
    let provider = arguments::text(call, 1, "provider")?.to_owned();
    let operations = operations(arguments::text(call, 2, "entities")?)?;
    let options = Object::options(call, 3, &[&["schema"], SETTINGS].concat())?;
    Ok(Some(EntitiesCall {
        schema: options.schema()?,
        instance_id,
        provider,
        operations,
        options: options.settings(SETTINGS)?,
    }))
}

/// How many operations an option object names, for the fuzzers.
#[cfg(fuzzing)]
pub fn count_operations(text: &str) -> Option<usize> {
    read_object(text).ok()?.map(|call| call.operations.len())
}

fn read_object(text: &str) -> Result<Option<EntitiesCall>> {
    let ActionObject {
        object,
        schema,
        when,
    } = ActionObject::parse(text, &SHAPE)?;
    if !when {
        return Ok(None);
    }
    let provider = object
        .name("provider")?
        .ok_or_else(|| Error::argument("options.provider is missing"))?;
    let operations = operations(object.required("entities")?.get())?;
    Ok(Some(EntitiesCall {
        instance_id: object.name("instanceId")?,
        provider,
        operations,
        options: object.settings(SETTINGS)?,
        schema,
    }))
}

/// The operations of a JSON array of entities; equal ones collapse, the first position is kept.
fn operations(text: &str) -> Result<Vec<OperationSpec>> {
    let mut operations = Vec::new();
    let mut seen = HashSet::new();
    for (position, element) in elements(text, "entities")?.iter().enumerate() {
        let operation = operation(element, &format!("entities[{position}]"))
            .map_err(|error| Error::argument(error.to_string()))?;
        let key = (
            operation.entity.clone(),
            operation.function_id.clone(),
            operation.parameters.clone(),
        );
        if seen.insert(key) {
            operations.push(operation);
        }
    }
    Ok(operations)
}

fn operation(element: &RawValue, label: &str) -> Result<OperationSpec> {
    if element.get().starts_with('"') {
        return Ok(OperationSpec {
            entity: name(element, label)?,
            function_id: None,
            parameters: "{}".into(),
        });
    }
    if !element.get().starts_with('{') {
        return Err(Error::argument(format!(
            "{label} must be text or an object, not {}",
            element.get()
        )));
    }
    let mut entity = None;
    let mut function_id = None;
    let mut parameters = None;
    for (key, value) in members(element.get(), label)? {
        let inner = format!("{label}.{key}");
        match key.as_str() {
            "entity" => entity = Some(name(&value, &inner)?),
            "function" if value.get() == "null" => {}
            "function" => function_id = Some(name(&value, &inner)?),
            "parameters" | "functionParameters" => {
                if parameters.is_some() {
                    return Err(Error::argument(format!(
                        "{label} has both parameters and functionParameters; use parameters"
                    )));
                }
                let canonical =
                    canonical::parameters(Some(&value)).map_err(|error| error.prefixed(&inner))?;
                parameters = Some(canonical);
            }
            _ => {
                return Err(Error::argument(format!(
                    "unknown key \"{inner}\"; known are entity, function, parameters"
                )));
            }
        }
    }
    let entity = entity.ok_or_else(|| Error::argument(format!("{label}.entity is missing")))?;
    Ok(OperationSpec {
        entity,
        function_id,
        parameters: parameters.unwrap_or_else(|| "{}".into()),
    })
}

/// Kind of a declared provider. One that is not declared is an error naming those that are.
pub fn provider_kind(database: &Database, provider: &str) -> Result<&'static Kind> {
    let mut declared = Vec::new();
    if installed(database)? {
        let providers = database.query_all(
            "SELECT id, kind FROM main._syncProvider ORDER BY id",
            &[],
            |row| Ok((row.text(0), row.text(1))),
        )?;
        for (id, kind) in providers {
            if id == provider {
                return kinds::find(&kind).ok_or_else(|| {
                    Error::Corrupt(format!(
                        "provider '{id}' is of kind {kind}, which this version does not know ({})",
                        kinds::names()
                    ))
                });
            }
            declared.push(format!("'{id}'"));
        }
    }
    let declared = if declared.is_empty() {
        "none is".into()
    } else {
        format!("declared: {}", declared.join(", "))
    };
    Err(Error::argument(format!(
        "provider '{provider}' is not declared ({declared}); declare it with sync_provider"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        operations(text)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn the_settings_of_both_forms_are_the_same() {
        assert_eq!(&SHAPE.options[2..], SETTINGS);
    }

    #[test]
    fn equal_operations_collapse() {
        let list = operations(
            r#"["a",{"entity":"a"},{"entity":"a","parameters":null},{"entity":"a","function":"f"},
               {"entity":"a","function":"f","functionParameters":{"y":1,"x":2}},
               {"entity":"a","function":"f","parameters":{ "x":2.0, "y":1 }}]"#,
        )
        .expect("valid");
        assert_eq!(list.len(), 3);
        assert_eq!(list[2].parameters, r#"{"x":2,"y":1}"#);
    }

    #[test]
    fn wrong_elements_are_named() {
        assert!(refused("{}").contains("entities must be a JSON array"));
        assert!(refused("[1]").contains("entities[0] must be text or an object"));
        assert!(refused(r#"["a",""]"#).contains("entities[1] is empty"));
        assert!(refused(r#"[{"function":"f"}]"#).contains("entities[0].entity is missing"));
        assert!(refused(r#"[{"entity":"a","where":1}]"#).contains("entities[0].where"));
        assert!(refused(r#"[{"entity":"a","parameters":[]}]"#).contains("must be an object"));
        let both = r#"[{"entity":"a","parameters":{},"functionParameters":{}}]"#;
        assert!(refused(both).contains("both parameters and functionParameters"));
    }
}
