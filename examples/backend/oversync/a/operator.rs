//! `/admin/materialize-failures`: what could not be projected, and another try.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::change::{Known, Op};
use super::json::compact;
use super::outcome::Outcome;
use super::state::{Failure, State};
use super::transaction::{Who, project_row};

/// The failures of a user, newest first; `null` if there are none.
pub fn list(state: &State, user: &str, query: &HashMap<String, String>) -> String {
    let asked = |name: &str, value: &str| {
        let given = query.get(name).filter(|text| !text.is_empty());
        given.is_none_or(|text| text == value)
    };
    let limit = query.get("limit").and_then(|text| text.parse().ok());
    let schema = &state.options.schema;
    let shown: Vec<String> = state
        .failures
        .iter()
        .rev()
        .filter(|(_, failure)| failure.user == user)
        .filter(|(_, failure)| asked("schema", schema) && asked("table", &failure.table))
        .take(limit.unwrap_or(usize::MAX))
        .map(|(number, failure)| line(schema, *number, failure))
        .collect();
    match shown.is_empty() {
        true => "null".to_string(),
        false => format!("[{}]", shown.join(",")),
    }
}

fn line(schema: &str, number: i64, failure: &Failure) -> String {
    let payload = match failure.payload.as_str() {
        "" => "null".to_string(),
        payload => compact(payload),
    };
    let quoted = |text: &str| Value::from(text).to_string();
    format!(
        "{{\"id\":{number},\"user_id\":{},\"schema\":{},\"table\":{},\"pk\":{},\"attempted_version\":{},\"op\":\"{}\",\
         \"payload\":{payload},\"error\":{},\"first_seen\":\"{}\",\"retry_count\":{}}}",
        quoted(&failure.user),
        quoted(schema),
        quoted(&failure.table),
        quoted(&failure.pk),
        failure.version,
        failure.op,
        quoted(&failure.error),
        failure.at,
        failure.retries
    )
}

/// The failure that a retry names: in the query, or in the body. None: none, or no number above 0.
pub fn asked_for(query: &HashMap<String, String>, body: &[u8]) -> Option<i64> {
    let number = match query.get("id") {
        Some(text) => text.parse().ok(),
        None => serde_json::from_slice::<Value>(body).ok()?["id"].as_i64(),
    };
    number.filter(|number| *number > 0)
}

/// Projects the row as it is now. None: the user has no such failure.
pub fn retry(state: &mut State, user: &str, number: i64) -> Option<String> {
    let failure = state
        .failures
        .get(&number)
        .filter(|f| f.user == user)?
        .clone();
    let key = (user.to_string(), failure.table.clone(), failure.pk.clone());
    let row = state.rows.get(&key)?.clone();
    let change = Known {
        id: 0,
        table: failure.table,
        op: if row.deleted { Op::Delete } else { Op::Update },
        pk: failure.pk,
        base: row.version,
        payload: row.payload,
    };
    let who = Who {
        user: user.to_string(),
        source: String::new(),
    };
    state.begin();
    match project_row(state, &who, &change) {
        Ok(()) => {
            state.failures.remove(&number);
            Some(Outcome::Applied(Some(row.version)).text(0))
        }
        Err(error) => {
            if let Some(failure) = state.failures.get_mut(&number) {
                failure.retries += 1;
                failure.error.clone_from(&error);
            }
            Some(Outcome::NotProjected(row.version, error).text(0))
        }
    }
}

/// `{"error","message"}`.
pub fn error_text(error: &str, message: &str) -> String {
    json!({"error": error, "message": message}).to_string()
}
