//! An OpenAPI document, 3.x, as operations.

use serde_json::{Map, Value as Json};

use super::answer::Answer;
use super::described::{Described, prefix};
use super::document::Document;
use super::fields::fields;
use super::operation::{Body, METHODS, Operation, Parameter, Place};
use super::schema::{Kind, Shape};
use super::security;
use super::text::shown;

/// Most parameters of one operation.
const PARAMETERS: usize = 200;

/// # Errors
/// No such document.
pub fn read(document: &Map<String, Json>, url: &str) -> Result<Described, String> {
    if document.contains_key("swagger") {
        return Err(
            "it is Swagger 2.0; convert it to OpenAPI 3, for example with swagger2openapi".into(),
        );
    }
    let version = document.get("openapi").and_then(Json::as_str);
    match version {
        Some(version) if version.starts_with("3.") => {}
        Some(version) => {
            return Err(format!("it is OpenAPI {}; 3.x is needed", shown(version)));
        }
        None => {
            return Err("it has no \"openapi\":\"3.…\", so it is no OpenAPI document".into());
        }
    }
    let Some(paths) = document.get("paths").and_then(Json::as_object) else {
        return Err("it has no object \"paths\", so there is nothing to make functions of".into());
    };
    let mut described = Described::default();
    let source = Document::new(document);
    if let Some(theirs) = server(document) {
        let (before, odd) = prefix(&theirs, url);
        described.prefix = before;
        if let Some(odd) = odd {
            described.note("servers", odd);
        }
    }
    for (path, item) in paths {
        if path.starts_with("x-") {
            continue;
        }
        match source.resolve(item) {
            Ok(item) => read_path(&source, &mut described, path, item),
            Err(why) => described.leave_out(shown_path(path), why),
        }
    }
    described.auth = security::of_openapi(&source, document, url);
    Ok(described)
}

/// The address of the API, by the document.
fn server(document: &Map<String, Json>) -> Option<String> {
    let server = document.get("servers")?.as_array()?.first()?;
    let mut url = server.get("url")?.as_str()?.to_owned();
    let variables = server.get("variables").and_then(Json::as_object);
    for (name, variable) in variables.into_iter().flatten().take(20) {
        if let Some(value) = variable.get("default").and_then(Json::as_str)
            && value.len() < 1_000
        {
            url = url.replacen(&format!("{{{name}}}"), value, 5);
        }
    }
    Some(url)
}

fn shown_path(path: &str) -> String {
    shown(path).trim_matches('"').to_owned()
}

fn read_path<'d>(source: &Document<'d>, described: &mut Described, path: &str, item: &'d Json) {
    let Some(members) = item.as_object() else {
        described.leave_out(shown_path(path), "it is no object; correct the document");
        return;
    };
    for (name, operation) in members {
        let Some(method) = METHODS
            .iter()
            .find(|method| method.eq_ignore_ascii_case(name))
        else {
            continue;
        };
        let place = format!("{method} {}", shown_path(path));
        if !operation.is_object() {
            described.leave_out(place, "it is no object; correct the document");
            continue;
        }
        match read_operation(source, path, method, operation, item.get("parameters")) {
            Ok(operation) => described.take(operation),
            Err(why) => described.leave_out(place, why),
        }
    }
}

fn read_operation<'d>(
    source: &Document<'d>,
    path: &str,
    method: &'static str,
    given: &'d Json,
    shared: Option<&'d Json>,
) -> Result<Operation, String> {
    let id = given
        .get("operationId")
        .and_then(Json::as_str)
        .filter(|id| !id.is_empty() && id.len() <= 200 && !id.contains('\0'));
    let mut operation = Operation {
        id: id.map_or_else(|| format!("{method} {path}"), str::to_owned),
        method,
        path: path.to_owned(),
        parameters: parameters(source, [given.get("parameters"), shared])?,
        body: body(source, given)?,
        answer: Err(String::new()),
    };
    for name in operation
        .in_path()
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>()
    {
        let is_known = |known: &&Parameter| known.place == Place::Path && known.name == name;
        if !operation.parameters.iter().any(|known| is_known(&known)) {
            operation
                .parameters
                .push(Parameter::bare(&name, Place::Path));
        }
    }
    operation.answer = answer(source, &operation, given);
    Ok(operation)
}

/// Those of an operation, and those of its path that it does not have itself.
fn parameters<'d>(
    source: &Document<'d>,
    lists: [Option<&'d Json>; 2],
) -> Result<Vec<Parameter>, String> {
    let mut parameters: Vec<Parameter> = Vec::new();
    let all = lists
        .into_iter()
        .flatten()
        .filter_map(Json::as_array)
        .flatten();
    for given in all.take(PARAMETERS) {
        let given = source.resolve(given)?;
        let text = |key: &str| given.get(key).and_then(Json::as_str);
        let place = match text("in") {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") => Place::Header,
            Some("cookie") => Place::Cookie,
            _ => return Err("one of its parameters has no in, which says where it goes".into()),
        };
        let Some(name) = text("name").filter(|name| !name.is_empty()) else {
            return Err("one of its parameters has no name".into());
        };
        let is_known = |known: &Parameter| known.name == name && known.place == place;
        if parameters.iter().any(is_known) {
            continue;
        }
        let shape = match given.get("schema") {
            Some(schema) => Shape::of(source, schema)?,
            None => Shape::default(),
        };
        parameters.push(Parameter {
            is_required: place == Place::Path || given.get("required") == Some(&Json::Bool(true)),
            kind: match shape.kind {
                Some(Kind::Text) => Some("text"),
                Some(Kind::Number) => Some("number"),
                Some(Kind::Flag) => Some("boolean"),
                _ => None,
            },
            is_list: matches!(shape.kind, Some(Kind::List | Kind::Object)),
            default: shape.default.cloned(),
            minimum: shape.minimum,
            maximum: shape.maximum,
            ..Parameter::bare(name, place)
        });
    }
    Ok(parameters)
}

fn body<'d>(source: &Document<'d>, operation: &'d Json) -> Result<Body, String> {
    let Some(body) = operation.get("requestBody") else {
        return Ok(Body::Nothing);
    };
    let body = source.resolve(body)?;
    let Some(content) = body.get("content").and_then(Json::as_object) else {
        return Ok(Body::Json(None));
    };
    let Some((_, media)) = content.iter().find(|(kind, _)| is_json(kind)) else {
        let kind = content.keys().next().map_or("", String::as_str);
        return Ok(Body::Other(shown(kind)));
    };
    let Some(schema) = media.get("schema") else {
        return Ok(Body::Json(None));
    };
    let shape = Shape::of(source, schema)?;
    Ok(match shape.kind {
        Some(Kind::Object) => {
            let fields = fields(source, &shape)?;
            Body::Json((!fields.names.is_empty()).then_some(fields))
        }
        None => Body::Json(None),
        Some(_) => Body::Other("a list or one value".into()),
    })
}

/// Whether a media type is JSON of one value.
fn is_json(kind: &str) -> bool {
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    kind == "*/*" || kind == "application/*" || kind.ends_with("/json") || kind.ends_with("+json")
}

/// The formats of rows that are no JSON.
fn format(kind: &str) -> Option<&'static str> {
    match kind.split(';').next().unwrap_or_default().trim() {
        "text/csv" => Some("csv"),
        "application/x-ndjson" | "application/jsonl" | "application/x-jsonlines" => Some("ndjson"),
        _ => None,
    }
}

/// What is known of the good answer.
fn answer<'d>(
    source: &Document<'d>,
    operation: &Operation,
    given: &'d Json,
) -> Result<Answer, String> {
    let responses = given.get("responses").and_then(Json::as_object);
    let Some(responses) = responses.filter(|responses| !responses.is_empty()) else {
        return Ok(Answer::unknown());
    };
    let good = ["200", "201", "2XX", "2xx", "default"];
    let good = good.iter().find_map(|status| responses.get(*status));
    let any = || {
        let mut all = responses.iter();
        all.find(|(status, _)| status.starts_with('2'))
            .map(|(_, response)| response)
    };
    let Some(response) = good.or_else(any) else {
        return Err("it says of no answer that it is a good one".into());
    };
    let response = source.resolve(response)?;
    let headers = response.get("headers").and_then(Json::as_object);
    let headers: Vec<String> = headers
        .into_iter()
        .flatten()
        .take(100)
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    let Some(content) = response.get("content").and_then(Json::as_object) else {
        return Err("its answer has no content".into());
    };
    if let Some((_, media)) = content.iter().find(|(kind, _)| is_json(kind)) {
        let answer = match media.get("schema") {
            Some(schema) => Answer::of(source, schema, &operation.path, operation.item())?,
            None => Answer::unknown(),
        };
        return Ok(Answer { headers, ..answer });
    }
    if let Some(format) = content.keys().find_map(|kind| format(kind)) {
        return Ok(Answer {
            is_list: true,
            format: Some(format),
            headers,
            ..Answer::unknown()
        });
    }
    let kind = content.keys().next().map_or("", String::as_str);
    match content.is_empty() {
        true => Err("its answer has no content".into()),
        false => Err(format!("its answer is {}, which has no rows", shown(kind))),
    }
}
