//! `sync_entities(instance_id, provider, entities [, options])`: runs the operations of an instance.

use std::collections::HashSet;

use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use crate::coordination::operation::{EntitiesCall, Form, OperationSpec, begin, instance_state};
use crate::coordination::{canonical, installed, write};
use crate::ground::key::{Key, Keys, Takes, Usual, find_key, key, unknown_key};
use crate::ground::read_elements;
use crate::providers::conversation::Goal;
use crate::providers::{Kind, Transport, kinds};
use crate::runs;
use crate::store::{Call, Database, Error, Result, Shape, Value, read_name};
use crate::transfer::document::check_settings;

use super::action::{ACTION, ActionObject, OPTIONS, action_type};
use super::arguments;
use super::json::{Object, SCHEMA, members};

/// How a protocol runs, for every call that runs one.
#[rustfmt::skip]
pub const DRIVING: &[Key] = &[
    key("background", Takes::Switch, Usual::Json("false"), "with a protocol: whether to run in its own thread and return at once; needs a file", r#"{"background":true}"#),
    key("transport", Takes::OneOf(&["http", "host"]), Usual::Json("\"http\""), "with a protocol: who sends the requests: syncscope, or your program with `sync_next_request`", r#"{"transport":"host"}"#),
    key("secrets", Takes::OneOf(&["values", "names"]), Usual::Json("\"values\""), "with transport `host`: whether secrets are filled into the headers, or `{secret:NAME}` is left there", r#"{"transport":"host","secrets":"names"}"#),
];

#[rustfmt::skip]
const BULK: &[Key] = &[
    key("turbo", Takes::Switch, Usual::Json("false"), "with a protocol: whether the first pull is a bulk load; refused when an entity was pulled before", r#"{"turbo":true}"#),
];

/// What an answer of a function may do.
#[rustfmt::skip]
const READING: &[Key] = &[
    key("force", Takes::Switch, Usual::Json("false"), "with functions: whether a reading may remove any number of rows, and reads again what has not changed", r#"{"force":true}"#),
];

const PROTOCOL: &[&[Key]] = &[DRIVING, BULK, READING];

/// What a response that the program hands over does to the tables.
#[rustfmt::skip]
const RESPONSE: &[Key] = &[
    key("forRowsWithMatchingIds", Takes::Switch, Usual::Json("false"), "with `sync_apply`: whether rows are merged by `id`, and others stay", r#"{"forRowsWithMatchingIds":true}"#),
    key("forRowsWithValues", Takes::Map(&Takes::Json), Usual::Nothing, "with `sync_apply`: the rows whose fields equal all values are removed", r#"{"forRowsWithValues":{"project":"p1"}}"#),
    key("forRowsInRange", Takes::Map(&Takes::Json), Usual::Nothing, "with `sync_apply`: the rows in the range are removed, both ends included", r#"{"forRowsInRange":{"year":{"from":1800,"to":1850}}}"#),
    key("keepTempIds", Takes::SwitchOrText, Usual::Json("false"), "with `sync_apply`: whether rows with an id that begins with `temp-` or `temp_` are never removed; text is a GLOB pattern for such ids", r#"{"keepTempIds":"tmp*"}"#),
    key("operations", Takes::List(&Takes::Json), Usual::Nothing, "with `sync_apply`: what to do with a response, in order", r#"{"operations":[{"type":"upsert-merge","records":"$.items"}]}"#),
];

const SETTINGS: Keys = &[DRIVING, BULK, READING, RESPONSE];

pub const KEYS: Keys = &[DRIVING, BULK, READING, RESPONSE, SCHEMA];

#[rustfmt::skip]
const TYPE: Key = action_type(
    &["action.sync-entities", "action-sync-entities"],
    r#"{"when":false,"type":"action.sync-entities"}"#,
);
#[rustfmt::skip]
pub static SHAPE: Shape = Shape {
    top: &[&[
        TYPE,
        key("instanceId", Takes::Text, Usual::Words("none; no scope follows"), "in one object: the instance", r#"{"instanceId":"fleet","options":{"provider":"local","entities":["planes"]}}"#),
        OPTIONS,
    ], ACTION],
    options: &[&[
        TYPE,
        key("provider", Takes::Text, Usual::Required, "in `options` of one object: the provider", r#"{"options":{"provider":"local","entities":["planes"]}}"#),
        key("entities", Takes::Json, Usual::Required, "in `options` of one object: list of the entities", r#"{"options":{"provider":"local","entities":["planes"]}}"#),
    ], DRIVING, BULK, READING, RESPONSE, ACTION],
};

/// The keys of an element of `entities` that is an object.
const ELEMENT: &[&str] = &["entity", "function", "parameters", "functionParameters"];

/// `SELECT sync_entities('reference-data', 'airline-api', '["airports","planes"]');` returns
/// `{"instanceId":"reference-data","state":"syncing","operations":[{"statusId":1,…},…]}`.
pub fn entities(call: &Call<'_>) -> Result<Value> {
    let Some(request) = read(call)? else {
        return Ok(Value::Null);
    };
    let database = call.session().database(&request.schema)?;
    let kind = provider_kind(&database, &request.provider)?;
    refuse_settings_of_others(kind, &request)?;
    let answer = match kind.transport {
        Transport::Nobody => open(call, &request)?,
        Transport::Http | Transport::File => carry_out(call, request, Goal::Sync)?,
    };
    Ok(answer.to_string().into())
}

/// Carries out a call with a protocol, by whoever is to send the requests.
pub fn carry_out(call: &Call<'_>, request: EntitiesCall, goal: Goal) -> Result<Json> {
    let in_background = request.options.get("background") == Some(&Json::Bool(true));
    if runs::host::is_wanted(&request) {
        if in_background {
            return Err(Error::argument(
                "with transport \"host\" the program sends the requests, so there is nothing to do in the \
                 background; leave background out",
            ));
        }
        return runs::host::open(call.session(), &request, goal);
    }
    if request.options.contains_key("secrets") {
        return Err(Error::argument(
            "options.secrets goes with transport \"host\"; leave it out, or add \"transport\":\"host\"",
        ));
    }
    match in_background {
        true => crate::worker::start(call.session(), request, goal),
        false => runs::run(call.session(), &request, goal),
    }
}

/// A setting that would have no effect is refused, unless it is off.
fn refuse_settings_of_others(kind: &Kind, request: &EntitiesCall) -> Result<()> {
    let own: Keys = match kind.transport {
        Transport::Nobody => &[RESPONSE],
        Transport::Http | Transport::File => PROTOCOL,
    };
    let mut given = request.options.iter();
    match given.find(|(key, value)| **value != Json::Bool(false) && find_key(own, key).is_none()) {
        None => Ok(()),
        Some((key, _)) => Err(Error::argument(format!(
            "options.{key} does not apply to a provider of kind {}; leave it out",
            kind.name
        ))),
    }
}

/// Opens the operations and leaves them to the host program, which hands each response to
/// `sync_apply`, or moves the data itself and reports with `sync_set_status`.
fn open(call: &Call<'_>, request: &EntitiesCall) -> Result<Json> {
    check_settings(call.session(), &request.options)?;
    write(call.session(), &request.schema, |ground| {
        let operations = begin(ground.database, ground.owner, request, false)?;
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
    if let Some(action) = ActionObject::of(call)? {
        return of_action(action);
    }
    let instance_id = arguments::optional_text(call, 0, "instance_id")?.map(str::to_owned);
    if call.len() < 3 {
        return Err(Error::argument(
            "takes instance_id, provider, entities [, options], or one option object",
        ));
    }
    let provider = arguments::text(call, 1, "provider")?.to_owned();
    let operations = operations(arguments::text(call, 2, "entities")?)?;
    let options = Object::options(call, 3)?;
    Ok(Some(EntitiesCall {
        schema: options.schema()?,
        instance_id,
        provider,
        operations,
        form: Form::Entities,
        automatic: false,
        options: options.settings(SETTINGS)?,
    }))
}

/// How many operations an option object names, for the fuzzers.
#[cfg(fuzzing)]
pub fn count_operations(text: &str) -> Option<usize> {
    let action = ActionObject::parse(text, &SHAPE, "sync_entities").ok()?;
    of_action(action).ok()?.map(|call| call.operations.len())
}

fn of_action(action: ActionObject) -> Result<Option<EntitiesCall>> {
    if !action.when {
        return Ok(None);
    }
    Ok(Some(EntitiesCall {
        instance_id: action.top.name("instanceId")?,
        provider: action.within.required_name("provider")?,
        operations: operations(action.within.required("entities"))?,
        form: Form::Entities,
        automatic: false,
        options: action.within.settings(SETTINGS)?,
        schema: action.schema,
    }))
}

/// The operations of a JSON array of entities; repeated ones count once, at their first position.
fn operations(text: &str) -> Result<Vec<OperationSpec>> {
    let mut operations = Vec::new();
    let mut seen = HashSet::new();
    let elements = read_elements(text, "entities").map_err(Error::Argument)?;
    for (position, element) in elements.iter().enumerate() {
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
            entity: read_name(element, label)?,
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
            "entity" => entity = Some(read_name(&value, &inner)?),
            "function" if value.get() == "null" => {}
            "function" => function_id = Some(read_name(&value, &inner)?),
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
                let level = format!("{label}.");
                let problem = unknown_key(&level, &key, ELEMENT, "sync_entities");
                return Err(Error::Argument(problem));
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

/// The declared providers.
pub fn providers(database: &Database) -> Result<Vec<String>> {
    database.query_all(
        "SELECT id FROM main._syncProvider ORDER BY id",
        &[],
        |row| Ok(row.text(0)),
    )
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
