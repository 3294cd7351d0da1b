//! Reading arguments: what a function takes, said in its error when it gets something else.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::store::{Call, Error, Result, ValueRef};

/// A text argument that must be there and not empty.
///
/// # Errors
/// NULL, another type, empty text: `<name> <problem>`.
pub fn text<'a>(call: &'a Call<'_>, index: usize, name: &str) -> Result<&'a str> {
    match call.argument(index) {
        ValueRef::Text("") => Err(Error::argument(format!("{name} is empty"))),
        ValueRef::Text(text) => Ok(text),
        other => Err(Error::argument(format!(
            "{name} must be text, not {}",
            other.type_name()
        ))),
    }
}

/// As [`text`], but NULL or absent gives none.
///
/// # Errors
/// Another type, empty text.
pub fn optional_text<'a>(call: &'a Call<'_>, index: usize, name: &str) -> Result<Option<&'a str>> {
    if call.argument(index).is_null() {
        return Ok(None);
    }
    text(call, index, name).map(Some)
}

/// An argument that is a JSON object; NULL or absent reads as `{}`.
///
/// # Errors
/// Another type, malformed JSON, JSON that is no object.
pub fn object(call: &Call<'_>, index: usize, name: &str) -> Result<Map<String, Json>> {
    let text = match call.argument(index) {
        ValueRef::Null => return Ok(Map::new()),
        ValueRef::Text(text) => text,
        other => {
            return Err(Error::argument(format!(
                "{name} must be a JSON object, not {}",
                other.type_name()
            )));
        }
    };
    match serde_json::from_str(text) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err(Error::argument(format!("{name} must be a JSON object"))),
        Err(error) => Err(Error::argument(format!(
            "{name} is not valid JSON: {error}"
        ))),
    }
}

/// A typed reading of [`object`]; unknown keys are refused by the type (`deny_unknown_fields`).
///
/// # Errors
/// As [`object`]; a key that is unknown or has the wrong type, named.
pub fn options<T: DeserializeOwned>(call: &Call<'_>, index: usize, name: &str) -> Result<T> {
    let object = object(call, index, name)?;
    serde_json::from_value(Json::Object(object))
        .map_err(|error| Error::argument(format!("{name}: {error}")))
}
