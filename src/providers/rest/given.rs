//! Reading the parts of a definition.

use serde_json::{Map, Value as Json};

use super::path::Path;
use crate::ground::key::{Keys, check_keys, find_key};

/// A path, or what is wrong with the one at a key.
pub fn path_at(key: &str, text: &str) -> Result<Path, String> {
    Path::parse(text).map_err(|why| format!("{key} {why}"))
}

/// An object whose keys are checked; null members are left out.
pub fn object(level: &str, value: &Json, keys: Keys) -> Result<Map<String, Json>, String> {
    let Json::Object(members) = value else {
        return Err(format!(
            "{level} must be an object, not {}",
            crate::ground::key::shown(value)
        ));
    };
    let mut members = members.clone();
    check_keys(&mut members, keys, &format!("{level}."), "sync_function")?;
    Ok(members)
}

/// A text, or the default of its key.
pub fn text_of(given: &Map<String, Json>, keys: Keys, key: &str) -> Option<String> {
    let value = given.get(key).cloned();
    let value = value.or_else(|| find_key(keys, key)?.default_value())?;
    value.as_str().map(str::to_owned)
}
