//! The documented option object: one JSON argument in place of several.
//!
//! ```json
//! {"type":"action.start-sync-scope","options":{"instanceIds":["a","b"]},"instanceId":"startup"}
//! ```
//! Presentation keys of an action (`title`, `icon`, `style`, `isHidden`) are ignored; a key that is
//! not known is an error, since a misspelt one would otherwise silently do something else.

use super::arguments::MAIN;
use super::json::{Members, Object, SCHEMA, members};
use crate::ground::key::{Key, Keys, Takes, Usual, find_key, key};
use crate::store::{Call, Error, Result, Shape};

/// The key of the inner object.
#[rustfmt::skip]
pub const OPTIONS: Key =
    key("options", Takes::Json, Usual::Nothing, "in one object: the object that holds the keys described as `options`", r#"{"when":false,"options":{}}"#);

/// The key that names the action, in two spellings.
pub const fn action_type(names: &'static [&'static str], example: &'static str) -> Key {
    let what = "in one object: the name of the action, which is checked";
    key("type", Takes::OneOf(names), Usual::Nothing, what, example)
}

/// Keys that every action takes, at either level.
#[rustfmt::skip]
pub const ACTION: &[Key] = &[
    key("when", Takes::Switch, Usual::Json("true"), "in one object: with false nothing happens, and the answer is NULL", r#"{"when":false}"#),
    SCHEMA[0],
    key("title", Takes::Json, Usual::Nothing, "in one object: ignored", r#"{"when":false,"title":"Sync"}"#),
    key("icon", Takes::Json, Usual::Nothing, "in one object: ignored", r#"{"when":false,"icon":"sync"}"#),
    key("style", Takes::Json, Usual::Nothing, "in one object: ignored", r#"{"when":false,"style":{"isPrimary":true}}"#),
    key("isHidden", Takes::Json, Usual::Nothing, "in one object: ignored", r#"{"when":false,"isHidden":false}"#),
];

/// A parsed option object.
pub struct ActionObject {
    /// The keys besides `options`.
    pub top: Object,
    /// Those within it.
    pub within: Object,
    /// The attached file, `main` unless given.
    pub schema: String,
    /// False: do nothing.
    pub when: bool,
}

impl ActionObject {
    /// The object that a call consists of; none when it has arguments one by one.
    ///
    /// # Errors
    /// As [`ActionObject::parse`].
    pub fn of(call: &Call<'_>) -> Result<Option<Self>> {
        let function = call.function();
        let (1, Some(shape)) = (call.len(), function.object) else {
            return Ok(None);
        };
        let text = call.argument(0).as_str();
        match text.filter(|text| text.trim_start().starts_with('{')) {
            None => Ok(None),
            Some(text) => Self::parse(text, shape, function.name).map(Some),
        }
    }

    /// `of` is the function that the object is for.
    ///
    /// # Errors
    /// Malformed JSON, an unknown key, a value that is not as declared, a `type` of another action; a key that
    /// is missing, unless nothing is to be done.
    pub fn parse(text: &str, shape: &Shape, of: &str) -> Result<Self> {
        let top = members(text, "the option object")?;
        refuse_misplaced(&top, shape.top, shape.options, "is a key of options, as in")?;
        let top = Object::read(top, shape.top, "", of)?;
        let within = match top.raw("options") {
            None => Members::new(),
            Some(options) => members(options.get(), "options")?,
        };
        refuse_misplaced(
            &within,
            shape.options,
            shape.top,
            "is a key beside options, as in",
        )?;
        let within = Object::read(within, shape.options, "options.", of)?;
        let when = top.get("when")? != Some(false) && within.get("when")? != Some(false);
        if when {
            top.require(shape.top)?;
            within.require(shape.options)?;
        }
        let schema = top.name("schema")?.or(within.name("schema")?);
        Ok(Self {
            schema: schema.unwrap_or_else(|| MAIN.into()),
            top,
            within,
            when,
        })
    }
}

/// A key of the other level is not misspelt, but in the wrong place.
fn refuse_misplaced(members: &Members, here: Keys, other: Keys, belongs: &str) -> Result<()> {
    let strays = members.keys().filter(|name| find_key(here, name).is_none());
    match strays.filter_map(|name| find_key(other, name)).next() {
        None => Ok(()),
        Some(key) => Err(Error::Argument(format!(
            "{} {belongs} {}",
            key.name, key.example
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: &[&str] = &["action.start-sync-scope", "action-start-sync-scope"];
    const TYPE: Key = action_type(TYPES, "");
    #[rustfmt::skip]
    const SHAPE: Shape = Shape {
        top: &[&[TYPE, key("instanceId", Takes::Text, Usual::Required, "", ""), OPTIONS], ACTION],
        options: &[&[TYPE, key("instanceIds", Takes::List(&Takes::Text), Usual::Nothing, "", "")], ACTION],
    };

    fn parse(text: &str) -> Result<ActionObject> {
        ActionObject::parse(text, &SHAPE, "sync_start_scope")
    }

    fn refused(text: &str) -> String {
        parse(text)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn unknown_keys_are_named_with_their_level() {
        for (text, said) in [
            (
                r#"{"instanceID":"a"}"#,
                r#"unknown key "instanceID"; did you mean "instanceId"?"#,
            ),
            (
                r#"{"instanceIds":[]}"#,
                "instanceIds is a key of options, as in",
            ),
            (r#"{"option":{}}"#, r#"did you mean "options"?"#),
            (
                r#"{"options":{"ids":[]}}"#,
                r#"unknown key "options.ids"; known are type,"#,
            ),
            (
                r#"{"options":{"instanceId":"a"}}"#,
                "instanceId is a key beside options, as in",
            ),
        ] {
            assert!(refused(text).contains(said), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn type_must_name_the_action_in_either_spelling() {
        for good in ["action.start-sync-scope", "action-start-sync-scope"] {
            assert_eq!(
                refused(&format!(r#"{{"type":"{good}","instanceId":"a"}}"#)),
                ""
            );
        }
        let must = "type must be action.start-sync-scope or action-start-sync-scope, not ";
        assert!(refused(r#"{"type":"action.sync-entities"}"#).contains(must));
        assert!(refused(r#"{"type":1}"#).contains(must));
    }

    #[test]
    fn when_at_either_level_holds_the_action_back() {
        for text in [
            r#"{"when":false}"#,
            r#"{"when":true,"options":{"when":false}}"#,
        ] {
            assert!(!parse(text).expect("valid").when);
        }
        assert!(refused("{}").contains("instanceId is missing"));
        assert!(refused(r#"{"when":"no"}"#).contains("when must be true or false"));
    }

    #[test]
    fn malformed_json_is_said_to_be_so() {
        assert!(refused("{\"instanceId\":").contains("not valid JSON"));
        assert!(refused(r#"{"options":[]}"#).contains("options must be a JSON object"));
    }
}
