//! For demos and tests from outside: the rows as they are, edits of "another client", faults.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::body::BodyPlan;
use super::faults::Faults;
use super::server::{App, error_response, json_response};
use super::store::Store;
use super::watermelon::{self, Answer};

/// `/_control`: GET shows the faults in force; POST with an object adds one, with a list replaces all; DELETE: behave
/// well again.
pub async fn faults(State(app): State<Arc<App>>, method: Method, body: Bytes) -> Response {
    controlled(&app.faults, &method, &body)
}

/// The same for any kind of server.
pub fn controlled(faults: &Faults, method: &Method, body: &[u8]) -> Response {
    match *method {
        Method::POST => set(faults, body),
        Method::DELETE => set(faults, b"[]"),
        _ => show(faults),
    }
}

fn show(faults: &Faults) -> Response {
    json_response(StatusCode::OK, faults.to_json().to_string())
}

fn set(faults: &Faults, body: &[u8]) -> Response {
    let result = match serde_json::from_slice(body) {
        Ok(Value::Array(wanted)) => faults.try_replace(&wanted),
        Ok(fault) => faults.try_add(&fault),
        Err(error) => Err(format!("not JSON: {error}")),
    };
    match result {
        Ok(()) => show(faults),
        Err(message) => error_response(StatusCode::BAD_REQUEST, "request", &message),
    }
}

/// `POST /_edit`: `{"table","id","set":{…}}` writes a row, made if it is missing;
/// `{"table","id","delete":true}` deletes it. Like a push of a client that is up to date.
pub async fn edit(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let changes = match edit_as_changes(&body) {
        Ok(changes) => changes,
        Err(message) => return error_response(StatusCode::BAD_REQUEST, "request", &message),
    };
    let work = move || watermelon::push_own(&app.store, changes);
    let answer = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(_)) => Answer::ok(&Map::new()),
        Ok(Err(error)) => Answer::from(error),
        Err(error) => Answer::broken(&error.to_string()),
    };
    json_response(answer.status, answer.text)
}

/// `GET /_dump?table=x`: all rows, sorted by id, one a line.
pub async fn dump(
    State(app): State<Arc<App>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let Some(table) = query.get("table").cloned() else {
        return error_response(StatusCode::BAD_REQUEST, "request", "?table=NAME is missing");
    };
    if app.store.schema.table(&table).is_none() {
        let message = format!("unknown table {table}");
        return error_response(StatusCode::BAD_REQUEST, "request", &message);
    }
    watermelon::stream(&app, BodyPlan::default(), move |store, out| {
        watermelon::write_dump(store, &table, out)
    })
}

/// The same text, for tests in this process.
pub fn dump_text(store: &Store, table: &str) -> Result<String, String> {
    let mut text = Vec::new();
    watermelon::write_dump(store, table, &mut text).map_err(|error| error.to_string())?;
    String::from_utf8(text).map_err(|error| error.to_string())
}

fn edit_as_changes(body: &[u8]) -> Result<Value, String> {
    let edit: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
    let table = edit
        .get("table")
        .and_then(Value::as_str)
        .ok_or("table is missing")?;
    let id = edit.get("id").ok_or("id is missing")?;
    if edit.get("delete") == Some(&Value::Bool(true)) {
        return Ok(json!({table: {"deleted": [id]}}));
    }
    let Some(Value::Object(set)) = edit.get("set") else {
        return Err("set must be an object, or delete must be true".to_string());
    };
    let mut row = set.clone();
    row.insert("id".to_string(), id.clone());
    Ok(json!({table: {"created": [row]}}))
}
