//! The documented option object: one JSON argument in place of several.
//!
//! ```json
//! {"type":"action.start-sync-scope","options":{"instanceIds":["a","b"]},"instanceId":"startup"}
//! ```
//! Presentation keys of an action (`title`, `icon`, `style`, `isHidden`) are read over; a key that is
//! not known is an error, for a misspelt one would otherwise silently do something else.

use serde_json::value::RawValue;

use super::json::{Members, Object, members, typed};
use crate::store::{Call, Error, Result};

/// Which keys the object of an action takes beside the common ones.
pub struct Shape {
    /// Name of the action after `action.`.
    pub action: &'static str,
    pub top: &'static [&'static str],
    pub options: &'static [&'static str],
}

/// A parsed option object.
pub struct ActionObject {
    /// The keys of the action, of both levels.
    pub object: Object,
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
        let mut taken = Taken {
            members: Members::new(),
            when: true,
        };
        for (key, value) in members(text, "the option object")? {
            if key == "options" {
                for (key, value) in members(value.get(), "options")? {
                    taken.take(key, value, "options.", shape.options, shape.action)?;
                }
            } else {
                taken.take(key, value, "", shape.top, shape.action)?;
            }
        }
        let object = Object::new("", taken.members);
        Ok(Self {
            schema: object.schema()?,
            object,
            when: taken.when,
        })
    }
}

/// What was read so far.
struct Taken {
    members: Members,
    when: bool,
}

impl Taken {
    fn take(
        &mut self,
        key: String,
        value: Box<RawValue>,
        level: &str,
        known: &[&str],
        action: &str,
    ) -> Result<()> {
        match key.as_str() {
            name if name == "schema" || known.contains(&name) => {
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
