//! A key of a JSON object that users write, declared once: what it takes, what holds without it, what it
//! is for. Reading an object, its errors, `sync_help_option` and the tables of the reference follow from it.

use serde_json::{Map, Value as Json};

use super::{nearest, quoted};

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub takes: Takes,
    pub default: Usual,
    /// One sentence.
    pub what: &'static str,
    /// An object with the key in it that can be used as it is, together with the required keys.
    pub example: &'static str,
}

/// The values that a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    Text,
    Switch,
    /// A whole number, both bounds included.
    Number(u64, u64),
    /// One of some texts.
    OneOf(&'static [&'static str]),
    /// One of some HTTP methods, in upper or lower case.
    Method(&'static [&'static str]),
    /// One of some JSON values.
    Values(&'static [&'static str]),
    SwitchOrText,
    List(&'static Takes),
    /// An object whose keys are the user's own.
    Map(&'static Takes),
    /// Any JSON; whoever uses it looks into it.
    Json,
}

/// What holds where a key is not given.
#[derive(Debug, Clone, Copy)]
pub enum Usual {
    /// It must be given.
    Required,
    Nothing,
    /// A value, as JSON.
    Json(&'static str),
    /// What depends on other things, in words.
    Words(&'static str),
}

/// A key whose parts are written in one line.
pub const fn key(
    name: &'static str,
    takes: Takes,
    default: Usual,
    what: &'static str,
    example: &'static str,
) -> Key {
    Key {
        name,
        takes,
        default,
        what,
        example,
    }
}

impl Key {
    /// Checks a value; null counts as not given, except for a switch, where it could be mistaken for false.
    ///
    /// # Errors
    /// `<label> must be …, not …`.
    pub fn check(&self, value: &Json, label: &str) -> Result<(), String> {
        if self.ignores(value) {
            return Ok(());
        }
        self.takes.check(value, label)
    }

    /// Whether a value means that the key is not given.
    pub fn ignores(&self, value: &Json) -> bool {
        let counts = match self.takes {
            Takes::Switch => true,
            Takes::Values(_) => self.takes.accepts(value),
            _ => false,
        };
        value.is_null() && !counts
    }

    /// The value that holds where the key is not given, when it depends on nothing else.
    pub fn default_value(&self) -> Option<Json> {
        match self.default {
            Usual::Json(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// The default for a reader.
    pub fn default_shown(&self) -> &'static str {
        match self.default {
            Usual::Required => "required",
            Usual::Nothing => "none",
            Usual::Json(text) | Usual::Words(text) => text,
        }
    }
}

impl Takes {
    /// Checks a value, and those in it.
    ///
    /// # Errors
    /// `<label> must be …, not …`.
    pub fn check(&self, value: &Json, label: &str) -> Result<(), String> {
        match (self, value) {
            (Self::List(of), Json::Array(list)) => list
                .iter()
                .enumerate()
                .try_for_each(|(place, value)| of.check(value, &format!("{label}[{place}]"))),
            (Self::Map(of), Json::Object(members)) => members
                .iter()
                .try_for_each(|(name, value)| of.check(value, &format!("{label}.{name}"))),
            _ if self.accepts(value) => Ok(()),
            _ => Err(format!(
                "{label} must be {}, not {}",
                self.must_be(),
                shown(value)
            )),
        }
    }

    /// Whether a value is right as far as one can see without looking into it.
    fn accepts(&self, value: &Json) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Switch => value.is_boolean(),
            Self::SwitchOrText => value.is_boolean() || value.is_string(),
            Self::Number(low, high) => value
                .as_u64()
                .is_some_and(|number| (*low..=*high).contains(&number)),
            Self::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Method(methods) => value
                .as_str()
                .is_some_and(|given| methods.iter().any(|one| one.eq_ignore_ascii_case(given))),
            Self::Values(texts) => texts.contains(&value.to_string().as_str()),
            Self::List(_) => value.is_array(),
            Self::Map(_) => value.is_object(),
            Self::Json => true,
        }
    }

    /// What kind of value it is.
    pub fn kind(&self) -> String {
        match self {
            Self::Text | Self::OneOf(_) | Self::Method(_) => "text".into(),
            Self::Switch => "true or false".into(),
            Self::Number(..) => "whole number".into(),
            Self::SwitchOrText => "true, false or text".into(),
            Self::Values(_) | Self::Json => "JSON".into(),
            Self::List(of) => format!("list of {}", of.several()),
            Self::Map(of) => format!("object of {}", of.several()),
        }
    }

    fn several(&self) -> String {
        match self {
            Self::Text | Self::OneOf(_) | Self::Method(_) => "texts".into(),
            Self::Number(..) => "whole numbers".into(),
            Self::List(of) => format!("lists of {}", of.several()),
            Self::Map(of) => format!("objects of {}", of.several()),
            _ => "values".into(),
        }
    }

    /// The values that are allowed of that kind; none when all are.
    pub fn range(&self) -> Option<String> {
        match self {
            Self::Number(low, high) if *high >= FOREVER => Some(format!("{low} or more")),
            Self::Number(low, high) => Some(format!("{low} to {high}")),
            Self::OneOf(words) | Self::Method(words) | Self::Values(words) => {
                Some(words.join(", "))
            }
            Self::List(of) | Self::Map(of) => of.range(),
            Self::Text | Self::Switch | Self::SwitchOrText | Self::Json => None,
        }
    }

    fn must_be(&self) -> String {
        match (self, self.range()) {
            (Self::Number(..), Some(range)) if range.ends_with("more") => {
                format!("a whole number, {range}")
            }
            (Self::Number(..), Some(range)) => format!("a whole number from {range}"),
            (Self::OneOf([one, two]), _) => format!("{one} or {two}"),
            (Self::OneOf(_) | Self::Method(_) | Self::Values(_), Some(range)) => {
                format!("one of {range}")
            }
            (Self::List(_), _) => format!("a {}", self.kind()),
            (Self::Map(_), _) => format!("an {}", self.kind()),
            _ => self.kind(),
        }
    }
}

/// A bound that means there is none. It is the greatest integer of SQL.
pub const FOREVER: u64 = i64::MAX as u64;

/// A value as an error names it: enough of it to recognise it.
pub fn shown(value: &Json) -> String {
    const LONGEST: usize = 40;
    match value {
        Json::Array(_) => "a list".into(),
        Json::Object(_) => "an object".into(),
        Json::String(text) if text.chars().count() > LONGEST => {
            let start: String = text.chars().take(LONGEST).collect();
            quoted(&(start + "…"))
        }
        other => other.to_string(),
    }
}

/// The complaint about a key that is not known. `level` is what comes before its name; `of` is what
/// `sync_help_option` lists the keys under.
pub fn unknown_key(level: &str, name: &str, known: &[&str], of: &str) -> String {
    const FEW: usize = 9;
    let help = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean \"{level}{meant}\"?"),
        None if known.len() <= FEW => format!("known are {}", known.join(", ")),
        None => format!("SELECT key FROM sync_help_option WHERE of = '{of}' lists those there are"),
    };
    format!("unknown key \"{level}{name}\"; {help}")
}

/// The lists of keys that an object may have.
pub type Keys = &'static [&'static [Key]];

/// The key of a name.
pub fn find_key(keys: Keys, name: &str) -> Option<&'static Key> {
    keys.iter().copied().flatten().find(|key| key.name == name)
}

/// The names of keys, in their order.
pub fn key_names(keys: Keys) -> Vec<&'static str> {
    keys.iter().copied().flatten().map(|key| key.name).collect()
}

/// Checks an object against its keys: none unknown, none missing, each value as declared. Keys that null
/// takes back are removed.
///
/// # Errors
/// The first key that is wrong. `level` and `of` as for [`unknown_key`].
pub fn check_keys(
    given: &mut Map<String, Json>,
    keys: Keys,
    level: &str,
    of: &str,
) -> Result<(), String> {
    for (name, value) in given.iter() {
        match find_key(keys, name) {
            Some(key) => key.check(value, &format!("{level}{name}"))?,
            None => return Err(unknown_key(level, name, &key_names(keys), of)),
        }
    }
    given.retain(|name, value| !find_key(keys, name).is_some_and(|key| key.ignores(value)));
    require_keys(keys, level, |name| given.contains_key(name))
}

/// # Errors
/// The first key that is required and not there.
pub fn require_keys(
    keys: Keys,
    level: &str,
    is_there: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let mut required = keys
        .iter()
        .copied()
        .flatten()
        .filter(|key| matches!(key.default, Usual::Required));
    match required.find(|key| !is_there(key.name)) {
        None => Ok(()),
        Some(key) => Err(format!(
            "{level}{} is missing; give it, as in {}",
            key.name, key.example
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const KEYS: Keys = &[&[
        key("name", Takes::Text, Usual::Required, "", r#"{"name":"a"}"#),
        key("loud", Takes::Switch, Usual::Json("false"), "", ""),
        key("count", Takes::Number(1, 9), Usual::Json("4"), "", ""),
        key("most", Takes::Number(1, FOREVER), Usual::Nothing, "", ""),
        key("unit", Takes::OneOf(&["ms", "s"]), Usual::Nothing, "", ""),
        key("way", Takes::Method(&["GET", "POST"]), Usual::Nothing, "", ""),
        key("first", Takes::Values(&["null", "0", "\"empty\""]), Usual::Json("null"), "", ""),
        key("lists", Takes::Map(&Takes::List(&Takes::Text)), Usual::Nothing, "", ""),
        key("temp", Takes::SwitchOrText, Usual::Nothing, "", ""),
        key("body", Takes::Json, Usual::Nothing, "", ""),
        key("params", Takes::Map(&Takes::Json), Usual::Nothing, "", ""),
    ]];

    fn check(text: &str) -> Result<Map<String, Json>, String> {
        let mut given = serde_json::from_str(text).expect("an object");
        check_keys(&mut given, KEYS, "options.", "f").map(|()| given)
    }

    #[test]
    fn what_is_refused_is_named_in_words() {
        for (text, said) in [
            (
                "{}",
                "options.name is missing; give it, as in {\"name\":\"a\"}",
            ),
            (r#"{"name":null}"#, "options.name is missing"),
            (r#"{"name":{}}"#, "options.name must be text, not an object"),
            (r#"{"name":["a"]}"#, "options.name must be text, not a list"),
            (
                r#"{"loud":null}"#,
                "options.loud must be true or false, not null",
            ),
            (r#"{"loud":1}"#, "options.loud must be true or false, not 1"),
            (
                r#"{"count":0}"#,
                "options.count must be a whole number from 1 to 9, not 0",
            ),
            (
                r#"{"count":1.5}"#,
                "options.count must be a whole number from 1 to 9, not 1.5",
            ),
            (
                r#"{"count":"4"}"#,
                "options.count must be a whole number from 1 to 9, not \"4\"",
            ),
            (
                r#"{"most":-1}"#,
                "options.most must be a whole number, 1 or more, not -1",
            ),
            (
                r#"{"unit":"days"}"#,
                "options.unit must be ms or s, not \"days\"",
            ),
            (
                r#"{"way":"FETCH"}"#,
                "options.way must be one of GET, POST, not \"FETCH\"",
            ),
            (
                r#"{"first":1}"#,
                "options.first must be one of null, 0, \"empty\", not 1",
            ),
            (
                r#"{"lists":["a"]}"#,
                "options.lists must be an object of lists of texts, not a list",
            ),
            (
                r#"{"lists":{"a":["b",1]}}"#,
                "options.lists.a[1] must be text, not 1",
            ),
            (
                r#"{"temp":7}"#,
                "options.temp must be true, false or text, not 7",
            ),
            (
                r#"{"nmae":"a"}"#,
                "unknown key \"options.nmae\"; did you mean \"options.name\"?",
            ),
            (
                r#"{"colour":"a"}"#,
                "unknown key \"options.colour\"; SELECT key FROM sync_help_option WHERE of = 'f'",
            ),
        ] {
            let refusal = check(text).err().unwrap_or_default();
            assert!(refusal.contains(said), "{text}: {refusal}");
        }
        let few = unknown_key("", "colour", &["schema", "discard"], "f");
        assert_eq!(few, "unknown key \"colour\"; known are schema, discard");
    }

    #[test]
    fn what_is_taken_stays_as_it_is_and_null_takes_a_key_back() {
        let text = r#"{"name":"","loud":true,"count":9,"most":9223372036854775807,"unit":"s","way":"post","first":null,"lists":{"a":[]},"temp":"x","body":[null],"params":{"a":null}}"#;
        let taken = check(text).expect("right");
        assert_eq!(Json::Object(taken).to_string(), text);
        let taken = check(r#"{"name":"a","count":null,"body":null,"temp":null}"#).expect("right");
        assert_eq!(taken.len(), 1);
    }
}
