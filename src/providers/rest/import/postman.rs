//! A Postman collection, v2.1, as operations.

use serde_json::{Map, Value as Json};

use super::answer::Answer;
use super::described::{Described, prefix};
use super::document::Document;
use super::fields::{Fields, fields};
use super::operation::{Body, METHODS, Operation, Parameter, Place};
use super::sample::schema_of;
use super::schema::Shape;
use super::security;
use super::text::shown;
use crate::providers::credential::is_credential;

/// Most parameters of one request.
const PARAMETERS: usize = 200;

/// # Errors
/// No such collection.
pub fn read(document: &Map<String, Json>, url: &str) -> Result<Described, String> {
    let schema = document
        .get("info")
        .and_then(|info| info.get("schema"))
        .and_then(Json::as_str);
    let items = document.get("item").and_then(Json::as_array);
    let (Some(schema), Some(items)) = (schema, items) else {
        return Err("it has no info.schema and item, so it is no Postman collection; export it as Collection v2.1".into());
    };
    if !schema.contains("/v2.1") {
        return Err(format!(
            "it is a Postman collection of another version, {}; export it as Collection v2.1",
            shown(schema)
        ));
    }
    let mut described = Described::default();
    let variables = variables(document);
    if let Some(theirs) = base(items, &variables) {
        let (before, odd) = prefix(&theirs, url);
        described.prefix = before;
        if let Some(odd) = odd {
            described.note("url", odd);
        }
    }
    add(&mut described, items, &variables);
    described.auth = security::of_postman(document, url);
    Ok(described)
}

/// The variables of the collection that have a value.
fn variables(document: &Map<String, Json>) -> Map<String, Json> {
    let list = document.get("variable").and_then(Json::as_array);
    let pairs = list
        .into_iter()
        .flatten()
        .take(1_000)
        .filter_map(|variable| {
            let name = variable.get("key")?.as_str()?;
            let value = variable
                .get("value")?
                .as_str()
                .filter(|value| !value.is_empty())?;
            Some((name.to_owned(), value.into()))
        });
    pairs.collect()
}

/// The address that stands in front of the first request: a variable such as `baseUrl`, which can have a path.
fn base(items: &[Json], variables: &Map<String, Json>) -> Option<String> {
    items.iter().find_map(|item| match item.get("item") {
        Some(Json::Array(inner)) => base(inner, variables),
        _ => {
            let raw = address(item.get("request")?)?;
            let name = raw.strip_prefix("{{")?.split("}}").next()?;
            Some(variables.get(name)?.as_str()?.to_owned())
        }
    })
}

/// The address of a request as it is written.
fn address(request: &Json) -> Option<&str> {
    let url = match request {
        Json::String(url) => return Some(url),
        _ => request.get("url")?,
    };
    url.as_str().or_else(|| url.get("raw")?.as_str())
}

/// Requests, and those in folders. A parser has limited how deep they are.
fn add(described: &mut Described, items: &[Json], variables: &Map<String, Json>) {
    for item in items {
        if let Some(Json::Array(inner)) = item.get("item") {
            add(described, inner, variables);
            continue;
        }
        let name = item.get("name").and_then(Json::as_str).unwrap_or_default();
        match operation(item, name, variables) {
            Ok((operation, notes)) => {
                for why in notes {
                    described.note(&operation.place(), why);
                }
                described.take(operation);
            }
            Err(why) => described.leave_out(shown(name).trim_matches('"').to_owned(), why),
        }
    }
}

fn operation(
    item: &Json,
    name: &str,
    variables: &Map<String, Json>,
) -> Result<(Operation, Vec<String>), String> {
    let Some(request) = item.get("request") else {
        return Err("it has no request".into());
    };
    let method = request
        .get("method")
        .and_then(Json::as_str)
        .unwrap_or("GET");
    let Some(method) = METHODS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(method))
    else {
        return Err(format!("its method is {}", shown(method)));
    };
    let Some(raw) = address(request) else {
        return Err("its request has no url".into());
    };
    let mut parameters = Vec::new();
    let path = path(raw, &mut parameters)?;
    let mut notes = Vec::new();
    query(request, raw, variables, &mut parameters, &mut notes);
    headers(request, variables, &mut parameters, &mut notes);
    parameters.truncate(PARAMETERS);
    let mut operation = Operation {
        id: String::new(),
        method,
        path,
        parameters,
        body: body(request),
        answer: Err(String::new()),
    };
    operation.id = match name.is_empty() || name.len() > 200 || name.contains('\0') {
        true => operation.place(),
        false => name.to_owned(),
    };
    operation.answer = answer(item, &operation);
    Ok((operation, notes))
}

/// The path of an address, with its variables as parameters: `:id` and `{{id}}`.
fn path(raw: &str, parameters: &mut Vec<Parameter>) -> Result<String, String> {
    let front = raw.split(['?', '#']).next().unwrap_or_default();
    let behind = match front.split_once("://") {
        Some((_, behind)) => behind.split_once('/').map_or("", |(_, path)| path),
        // A variable has the origin.
        None => front.split_once('/').map_or("", |(_, path)| path),
    };
    let mut path = String::new();
    for step in behind.split('/') {
        path.push('/');
        let variable = step
            .strip_prefix(':')
            .or_else(|| step.strip_prefix("{{")?.strip_suffix("}}"));
        match variable {
            Some(name) if name.is_empty() || name.contains(['{', '}']) => {
                return Err(format!(
                    "its address {} has a variable without a name",
                    shown(raw)
                ));
            }
            Some(name) => {
                let name = name.trim();
                path.push_str(&format!("{{{name}}}"));
                let is_known = |known: &Parameter| known.name == name;
                if !parameters.iter().any(is_known) {
                    parameters.push(Parameter::bare(name, Place::Path));
                }
            }
            None if step.contains(['{', '}']) => {
                return Err(format!(
                    "its address {} has a variable that is only a part of a step; write the function with sync_function",
                    shown(raw)
                ));
            }
            None => path.push_str(step),
        }
    }
    Ok(path)
}

/// A value as it is sent: what it always is, or what a variable has.
fn value(given: &str, variables: &Map<String, Json>, parameter: &mut Parameter) {
    match given
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
    {
        Some(name) => {
            let known = variables.get(name).filter(|_| !is_credential(name));
            parameter.is_required = known.is_some();
            parameter.default = known.cloned();
        }
        None if given.is_empty() || given.contains(['{', '}']) => {}
        None => {
            parameter.value = Some(given.to_owned());
            parameter.default = given.parse::<u64>().ok().map(Json::from);
        }
    }
}

fn query(
    request: &Json,
    raw: &str,
    variables: &Map<String, Json>,
    parameters: &mut Vec<Parameter>,
    notes: &mut Vec<String>,
) {
    let listed = request
        .get("url")
        .and_then(|url| url.get("query"))
        .and_then(Json::as_array);
    let pairs: Vec<(String, String, bool)> = match listed {
        Some(list) => list
            .iter()
            .take(PARAMETERS)
            .filter_map(|pair| {
                let text = |key: &str| pair.get(key).and_then(Json::as_str);
                let is_off = pair.get("disabled") == Some(&Json::Bool(true));
                Some((
                    text("key")?.to_owned(),
                    text("value").unwrap_or_default().to_owned(),
                    is_off,
                ))
            })
            .collect(),
        None => {
            let query = raw.split_once('?').map_or("", |(_, query)| query);
            query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .take(PARAMETERS)
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (name.to_owned(), value.to_owned(), false)
                })
                .collect()
        }
    };
    for (name, given, is_off) in pairs {
        if name.is_empty() || parameters.iter().any(|known| known.name == name) {
            continue;
        }
        let mut parameter = Parameter::bare(&name, Place::Query);
        if !is_off {
            value(&given, variables, &mut parameter);
        }
        if parameter.value.is_some() && is_credential(&name) {
            notes.push(format!(
                "the parameter {} is a credential, which no function has; see auth",
                shown(&name)
            ));
            continue;
        }
        parameters.push(parameter);
    }
}

fn headers(
    request: &Json,
    variables: &Map<String, Json>,
    parameters: &mut Vec<Parameter>,
    notes: &mut Vec<String>,
) {
    let list = request.get("header").and_then(Json::as_array);
    for header in list.into_iter().flatten().take(PARAMETERS) {
        let text = |key: &str| header.get(key).and_then(Json::as_str);
        let is_off = header.get("disabled") == Some(&Json::Bool(true));
        let (Some(name), false) = (text("key"), is_off) else {
            continue;
        };
        if is_credential(name) {
            if !name.eq_ignore_ascii_case("authorization") {
                notes.push(format!(
                    "the header {} is a credential: put it into secretHeaders of the provider, with the name given to sync_secret",
                    shown(name)
                ));
            }
            continue;
        }
        let mut parameter = Parameter::bare(name, Place::Header);
        value(text("value").unwrap_or_default(), variables, &mut parameter);
        parameters.push(parameter);
    }
}

fn body(request: &Json) -> Body {
    let Some(body) = request.get("body").filter(|body| body.is_object()) else {
        return Body::Nothing;
    };
    let mode = body.get("mode").and_then(Json::as_str).unwrap_or_default();
    let raw = body.get("raw").and_then(Json::as_str).unwrap_or_default();
    match mode {
        "raw" => match serde_json::from_str::<Json>(raw) {
            Ok(sample @ Json::Object(_)) => Body::Json(sample_fields(&sample)),
            Ok(_) => Body::Other("a list or one value".into()),
            // Variables without quotes make it no JSON.
            Err(_) => Body::Json(None),
        },
        "" => Body::Nothing,
        other => Body::Other(shown(other)),
    }
}

fn sample_fields(sample: &Json) -> Option<Fields> {
    let (schema, root) = (schema_of(sample), Map::new());
    let document = Document::new(&root);
    let shape = Shape::of(&document, &schema).ok()?;
    fields(&document, &shape)
        .ok()
        .filter(|fields| !fields.names.is_empty())
}

/// What the saved answers show.
fn answer(item: &Json, operation: &Operation) -> Result<Answer, String> {
    let saved = item.get("response").and_then(Json::as_array);
    let is_good = |answer: &&Json| {
        let code = answer.get("code").and_then(Json::as_u64);
        code.is_none_or(|code| (200..300).contains(&code))
    };
    let mut bodies = saved
        .into_iter()
        .flatten()
        .filter(is_good)
        .filter_map(|answer| {
            let text = answer.get("body")?.as_str()?;
            let sample: Json = serde_json::from_str(text).ok()?;
            Some((answer, sample))
        });
    let Some((saved, sample)) = bodies.next() else {
        return Ok(Answer::unknown());
    };
    let headers = saved.get("header").and_then(Json::as_array);
    let headers = headers
        .into_iter()
        .flatten()
        .take(100)
        .filter_map(|header| Some(header.get("key")?.as_str()?.to_ascii_lowercase()));
    let (schema, root) = (schema_of(&sample), Map::new());
    let answer = Answer::of(
        &Document::new(&root),
        &schema,
        &operation.path,
        operation.item(),
    )?;
    Ok(Answer {
        headers: headers.collect(),
        ..answer
    })
}
