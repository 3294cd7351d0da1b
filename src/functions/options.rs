//! The documented option object: one JSON argument in place of several.
//!
//! ```json
//! {"type":"action.start-sync-scope","options":{"instanceIds":["a","b"]},"instanceId":"startup"}
//! ```
//! Presentation keys of an action (`title`, `icon`, `style`, `isHidden`) are read over; a key that is
//! not known is an error, for a misspelt one would otherwise silently do something else.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::store::{Call, Error, Result, ValueRef};

type Members = BTreeMap<String, Box<RawValue>>;

/// Which keys the object of an action takes beside the common ones.
pub struct Shape {
    /// Name of the action after `action.`.
    pub action: &'static str,
    pub top: &'static [&'static str],
    pub options: &'static [&'static str],
}

/// A parsed option object.
pub struct ActionObject {
    members: Members,
    /// The attached file, `main` unless given.
    pub schema: String,
    /// False: do nothing.
    pub when: bool,
}

/// The text of the option object when the call consists of one.
pub fn object_text<'a>(call: &'a Call<'_>) -> Option<&'a str> {
    if call.len() != 1 {
        return None;
    }
    call.argument(0)
        .as_str()
        .filter(|text| text.trim_start().starts_with('{'))
}

impl ActionObject {
    /// # Errors
    /// Malformed JSON, an unknown key, a `type` of another action.
    pub fn parse(text: &str, shape: &Shape) -> Result<Self> {
        let top = members(text, "the option object")?;
        let mut object = Self {
            members: Members::new(),
            schema: "main".into(),
            when: true,
        };
        for (key, value) in top {
            if key == "options" {
                for (key, value) in members(value.get(), "options")? {
                    object.take(key, value, "options.", shape.options, shape.action)?;
                }
            } else {
                object.take(key, value, "", shape.top, shape.action)?;
            }
        }
        Ok(object)
    }

    fn take(
        &mut self,
        key: String,
        value: Box<RawValue>,
        level: &str,
        known: &[&str],
        action: &str,
    ) -> Result<()> {
        match key.as_str() {
            _ if known.contains(&key.as_str()) => {
                self.members.insert(key, value);
            }
            "title" | "icon" | "style" | "isHidden" => {}
            "type" => {
                let given: String = typed(&value, "type", "text")?;
                if given != format!("action.{action}") && given != format!("action-{action}") {
                    return Err(Error::argument(format!(
                        "type is {given:?}, this function takes \"action.{action}\""
                    )));
                }
            }
            "when" => {
                let when: bool = typed(&value, "when", "true or false")?;
                self.when &= when;
            }
            "schema" => self.schema = typed(&value, "schema", "text")?,
            _ => {
                let mut known: Vec<_> = known.iter().map(|key| format!("{level}{key}")).collect();
                if level.is_empty() {
                    known.push("options".into());
                }
                return Err(Error::argument(format!(
                    "unknown key \"{level}{key}\"; known are {}",
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// The value of a key; JSON null counts as absent.
    pub fn raw(&self, key: &str) -> Option<&RawValue> {
        self.members
            .get(key)
            .map(|value| &**value)
            .filter(|value| value.get() != "null")
    }

    /// A key that must be there.
    ///
    /// # Errors
    /// It is missing.
    pub fn required(&self, key: &str) -> Result<&RawValue> {
        self.raw(key)
            .ok_or_else(|| Error::argument(format!("{key} is missing")))
    }

    /// A text that is not empty, when given.
    ///
    /// # Errors
    /// Another type, empty text, a NUL character.
    pub fn text(&self, key: &str) -> Result<Option<String>> {
        let Some(raw) = self.raw(key) else {
            return Ok(None);
        };
        let text: String = typed(raw, key, "text")?;
        checked(&text, key)?;
        Ok(Some(text))
    }

    /// What is left under the given names, as ordinary JSON.
    ///
    /// # Errors
    /// A number beyond what JSON values here can hold.
    pub fn settings(&self, keys: &[&str]) -> Result<serde_json::Map<String, serde_json::Value>> {
        let mut settings = serde_json::Map::new();
        for (key, value) in &self.members {
            if keys.contains(&key.as_str()) {
                settings.insert(key.clone(), typed(value, key, "valid")?);
            }
        }
        Ok(settings)
    }
}

/// The members of a JSON object, values unread.
///
/// # Errors
/// Malformed JSON; another type.
pub fn members(text: &str, name: &str) -> Result<Members> {
    if !text.trim_start().starts_with('{') {
        return Err(Error::argument(format!("{name} must be a JSON object")));
    }
    serde_json::from_str(text)
        .map_err(|error| Error::argument(format!("{name} is not valid JSON: {error}")))
}

/// The elements of a JSON array, unread.
///
/// # Errors
/// Malformed JSON; another type.
pub fn elements(text: &str, name: &str) -> Result<Vec<Box<RawValue>>> {
    if !text.trim_start().starts_with('[') {
        return Err(Error::argument(format!("{name} must be a JSON array")));
    }
    serde_json::from_str(text)
        .map_err(|error| Error::argument(format!("{name} is not valid JSON: {error}")))
}

/// A JSON value of a certain type.
///
/// # Errors
/// Another type.
pub fn typed<T: serde::de::DeserializeOwned>(raw: &RawValue, name: &str, must: &str) -> Result<T> {
    serde_json::from_str(raw.get())
        .map_err(|_| Error::argument(format!("{name} must be {must}, not {}", excerpt(raw.get()))))
}

/// Refuses what no name may be: empty, or holding a NUL character (which SQL text functions cut off).
///
/// # Errors
/// See above.
pub fn checked<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    if text.is_empty() {
        return Err(Error::argument(format!("{name} is empty")));
    }
    if text.contains('\0') {
        return Err(Error::argument(format!("{name} holds a NUL character")));
    }
    Ok(text)
}

/// A positional text argument under the same rule.
///
/// # Errors
/// NULL, another type, empty, a NUL character.
pub fn text_argument<'a>(call: &'a Call<'_>, index: usize, name: &str) -> Result<&'a str> {
    match call.argument(index) {
        ValueRef::Text(text) => checked(text, name),
        other => Err(Error::argument(format!(
            "{name} must be text, not {}",
            other.type_name()
        ))),
    }
}

/// As [`text_argument`]; NULL or absent gives none.
///
/// # Errors
/// As there.
pub fn optional_text_argument<'a>(
    call: &'a Call<'_>,
    index: usize,
    name: &str,
) -> Result<Option<&'a str>> {
    if call.argument(index).is_null() {
        return Ok(None);
    }
    text_argument(call, index, name).map(Some)
}

/// The schema argument of the functions that have nothing else to say.
///
/// # Errors
/// Another type than text.
pub fn schema_argument(call: &Call<'_>, index: usize) -> Result<String> {
    Ok(optional_text_argument(call, index, "schema")?
        .unwrap_or("main")
        .to_owned())
}

/// Enough of a value to recognise it in a message.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        action: "start-sync-scope",
        top: &["instanceId"],
        options: &["instanceIds"],
    };

    fn refused(text: &str) -> String {
        ActionObject::parse(text, &SHAPE)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn unknown_keys_are_named_with_their_level() {
        assert!(refused(r#"{"instanceID":"a"}"#).contains("\"instanceID\""));
        assert!(refused(r#"{"options":{"ids":[]}}"#).contains("\"options.ids\""));
        assert!(refused(r#"{"options":{"instanceId":"a"}}"#).contains("\"options.instanceId\""));
    }

    #[test]
    fn type_must_name_the_action_in_either_spelling() {
        for good in ["action.start-sync-scope", "action-start-sync-scope"] {
            assert_eq!(refused(&format!(r#"{{"type":"{good}"}}"#)), "");
        }
        assert!(refused(r#"{"type":"action.sync-entities"}"#).contains("action.sync-entities"));
        assert!(refused(r#"{"type":1}"#).contains("type must be text"));
    }

    #[test]
    fn when_at_either_level_holds_the_action_back() {
        for text in [
            r#"{"when":false}"#,
            r#"{"when":true,"options":{"when":false}}"#,
        ] {
            assert!(!ActionObject::parse(text, &SHAPE).expect("valid").when);
        }
        assert!(refused(r#"{"when":"no"}"#).contains("when must be true or false"));
    }

    #[test]
    fn malformed_json_is_said_to_be_so() {
        assert!(refused("{\"instanceId\":").contains("not valid JSON"));
        assert!(refused(r#"{"options":[]}"#).contains("options must be a JSON object"));
    }
}
