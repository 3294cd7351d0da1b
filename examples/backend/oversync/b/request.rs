//! Reading the body of a request as the server does: the first JSON value counts, a member that is
//! missing or null is empty, and one of the wrong type refuses the request.

use serde_json::{Map, Value};

/// The first JSON value of a body, if it is an object; null counts as an empty one.
pub fn object(body: &[u8]) -> Option<Map<String, Value>> {
    match first(body)? {
        Value::Object(object) => Some(object),
        Value::Null => Some(Map::new()),
        _ => None,
    }
}

fn first(body: &[u8]) -> Option<Value> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    values.next()?.ok()
}

/// Whether a body is empty or a sequence of JSON values.
pub fn is_json(body: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    values.all(|value| value.is_ok())
}

/// A whole number; 0 if it is missing.
pub fn whole(object: &Map<String, Value>, name: &str) -> Option<i64> {
    match object.get(name) {
        None | Some(Value::Null) => Some(0),
        Some(value) => value.as_i64(),
    }
}

/// A text; empty if it is missing.
pub fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    match object.get(name) {
        None | Some(Value::Null) => Some(String::new()),
        Some(value) => value.as_str().map(str::to_string),
    }
}

/// A list; empty if it is missing.
pub fn list(object: &Map<String, Value>, name: &str) -> Option<Vec<Value>> {
    match object.get(name) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(value) => value.as_array().cloned(),
    }
}

/// An object; empty if it is missing.
pub fn member(object: &Map<String, Value>, name: &str) -> Option<Map<String, Value>> {
    match object.get(name) {
        None | Some(Value::Null) => Some(Map::new()),
        Some(value) => value.as_object().cloned(),
    }
}
