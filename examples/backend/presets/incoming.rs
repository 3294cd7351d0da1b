//! A client's request, and the ways to look at it that the presets share.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::{Method, Uri};
use serde_json::{Map, Value};

use super::super::watermelon::PullCall;

/// Every name that a preset has for the cursor: one of another preset is a request gone astray.
const CURSOR_NAMES: [&str; 3] = ["last_pulled_at", "lastPulledAt", "since"];

/// A request whose query could be read.
pub struct Incoming {
    method: Method,
    query: HashMap<String, String>,
    body: Bytes,
}

impl Incoming {
    pub fn new(method: Method, uri: &Uri, body: Bytes) -> Result<Incoming, String> {
        let Query(query) = Query::try_from_uri(uri).map_err(|error| format!("query: {error}"))?;
        Ok(Incoming {
            method,
            query,
            body,
        })
    }

    pub fn is_get(&self) -> bool {
        self.method == Method::GET
    }

    pub fn must_get(&self) -> Result<(), String> {
        self.must(&Method::GET)
    }

    pub fn must_post(&self) -> Result<(), String> {
        self.must(&Method::POST)
    }

    fn must(&self, method: &Method) -> Result<(), String> {
        if self.method == method {
            return Ok(());
        }
        Err(format!("{} is not {method}", self.method))
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The value of a parameter that must be there.
    pub fn needed(&self, name: &str) -> Result<&str, String> {
        self.parameter(name)
            .ok_or_else(|| format!("the parameter {name} is missing"))
    }

    /// Refuses the cursor of another preset in the URL. `None`: any cursor is another's.
    pub fn only_cursor(&self, name: Option<&str>) -> Result<(), String> {
        let other = CURSOR_NAMES
            .into_iter()
            .find(|other| Some(*other) != name && self.query.contains_key(*other));
        refuse(other, "parameter")
    }

    /// Refuses a parameter that other presets have.
    pub fn no_parameter(&self, name: &str) -> Result<(), String> {
        refuse(self.parameter(name).map(|_| name), "parameter")
    }

    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("not JSON: {error}"))
    }

    pub fn object(&self) -> Result<Map<String, Value>, String> {
        match self.json()? {
            Value::Object(object) => Ok(object),
            _ => Err("the body is not an object".to_string()),
        }
    }

    /// What docs, camel_query and seconds have in the URL beside the cursor.
    pub fn pull_of_query(&self, cursor: i64) -> Result<PullCall, String> {
        let strategy = match self.parameter("strategy") {
            Some(text) if text.starts_with('{') => json_in("strategy", text)?,
            Some(text) => Value::from(text),
            None => Value::Null,
        };
        Ok(PullCall {
            cursor,
            tables: self.parameter("tables").and_then(names),
            migration: match self.parameter("migration") {
                None | Some("") => Value::Null,
                Some(text) => json_in("migration", text)?,
            },
            strategy,
        })
    }
}

/// What seed and rpc have in the body beside the cursor; the keys have the names of the parameters.
pub fn pull_of_body(cursor: i64, body: &Map<String, Value>) -> Result<PullCall, String> {
    let tables = match body.get("tables") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => names(text),
        Some(_) => return Err("tables: names with commas between them".to_string()),
    };
    let member = |name| body.get(name).cloned().unwrap_or_default();
    Ok(PullCall {
        cursor,
        tables,
        migration: member("migration"),
        strategy: member("strategy"),
    })
}

/// Refuses the cursor of another preset in the body.
pub fn only_cursor_in(body: &Map<String, Value>, name: Option<&str>) -> Result<(), String> {
    let other = CURSOR_NAMES
        .into_iter()
        .find(|other| Some(*other) != name && body.contains_key(*other));
    refuse(other, "key")
}

/// The value of a key that must be there.
pub fn take(body: &mut Map<String, Value>, name: &str) -> Result<Value, String> {
    body.remove(name)
        .ok_or_else(|| format!("the key {name} is missing"))
}

/// A cursor, 0 or more.
pub fn whole_number(name: &str, value: &Value) -> Result<i64, String> {
    value
        .as_i64()
        .filter(|number| *number >= 0)
        .ok_or_else(|| format!("{name}: not a whole number: {value}"))
}

/// The same, as text.
pub fn whole_text(name: &str, text: &str) -> Result<i64, String> {
    text.parse()
        .ok()
        .filter(|number: &i64| *number >= 0)
        .ok_or_else(|| format!("{name}: not a whole number: {text}"))
}

/// A cursor as text; `null`, 0 and an empty text mean everything (rule P3).
pub fn cursor_text(name: &str, text: &str) -> Result<i64, String> {
    if matches!(text, "" | "null") {
        return Ok(0);
    }
    let number: i64 = text
        .parse()
        .map_err(|_| format!("{name}: not a whole number: {text}"))?;
    Ok(number.max(0))
}

fn refuse(name: Option<&str>, what: &str) -> Result<(), String> {
    match name {
        None => Ok(()),
        Some(name) => Err(format!("the {what} {name} belongs to another preset")),
    }
}

fn names(text: &str) -> Option<Vec<String>> {
    (!text.is_empty()).then(|| text.split(',').map(str::to_string).collect())
}

fn json_in(name: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{name}: not JSON: {error}"))
}
