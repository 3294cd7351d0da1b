//! Requests with places in them, `{param:year}`, that get their values when the request is made.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::ground::{percent_encode, quoted};

/// What the places of one request stand for, by their names. What is not there has no value.
pub type Values = BTreeMap<String, Json>;

/// The names that need nothing else: `param:` and `row:` come with names of their own.
const PLACES: &[&str] = &[
    "cursor", "page", "offset", "limit", "next", "key", "now", "row", "changed",
];

/// Calls `each` with the pieces of a text: as it is, or the name of a place.
fn pieces<'t>(text: &'t str, mut each: impl FnMut(Piece<'t>)) {
    let mut rest = text;
    let mut from = 0;
    while let Some(open) = rest[from..].find('{').map(|at| from + at) {
        let inside = &rest[open + 1..];
        match inside.find('}') {
            Some(close) if is_place(&inside[..close]) => {
                each(Piece::Text(&rest[..open]));
                each(Piece::Place(&inside[..close]));
                rest = &inside[close + 1..];
                from = 0;
            }
            _ => from = open + 1,
        }
    }
    each(Piece::Text(rest));
}

enum Piece<'t> {
    Text(&'t str),
    Place(&'t str),
}

/// Whether it is a place. Other braces are just braces: bodies are full of them.
fn is_place(name: &str) -> bool {
    let is_named = ["param:", "row:"]
        .iter()
        .any(|start| name.starts_with(start));
    is_named || PLACES.contains(&name)
}

/// Whether somebody meant a place.
fn looks_like_one(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    name.split(':').all(is_word) && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// Checks the places of a text.
///
/// # Errors
/// One that is not known.
pub fn check(text: &str, parameters: &[&str]) -> Result<(), String> {
    check_parameters(text, parameters)?;
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('{') {
        let name = behind.split('}').next().unwrap_or_default();
        if behind.len() > name.len() && looks_like_one(name) && !is_place(name) {
            return Err(format!(
                "has {{{name}}}; places are {{param:NAME}}, {{row:COLUMN}}, {{{}}}",
                PLACES.join("}, {")
            ));
        }
        rest = behind;
    }
    Ok(())
}

/// Makes sure that the function has the parameters that a text names.
fn check_parameters(text: &str, parameters: &[&str]) -> Result<(), String> {
    let mut stray = None;
    pieces(text, |piece| {
        if let Piece::Place(name) = piece
            && let Some(parameter) = name.strip_prefix("param:")
            && !parameters.contains(&parameter)
        {
            stray.get_or_insert(parameter);
        }
    });
    match stray {
        None => Ok(()),
        Some(parameter) => Err(format!(
            "has {{param:{parameter}}}, but parameters has no {}; add it there",
            quoted(parameter)
        )),
    }
}

/// Checks the places of all texts in a body, where braces are common.
///
/// # Errors
/// A parameter that the function does not have.
pub fn check_body(value: &Json, parameters: &[&str]) -> Result<(), String> {
    each(value, &mut |text| check_parameters(text, parameters))
}

/// Calls `with` for all texts in a JSON value.
fn each(value: &Json, with: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    match value {
        Json::String(text) => with(text),
        Json::Array(list) => list.iter().try_for_each(|one| each(one, with)),
        Json::Object(members) => members.values().try_for_each(|one| each(one, with)),
        _ => Ok(()),
    }
}

/// The same for all texts in a JSON value.
///
/// # Errors
/// As [`check`].
pub fn check_json(value: &Json, parameters: &[&str]) -> Result<(), String> {
    each(value, &mut |text| check(text, parameters))
}

/// Whether a place is in a value that `wanted` names.
fn any(value: &Json, wanted: &impl Fn(&str) -> bool) -> bool {
    match value {
        Json::String(text) => {
            let mut found = false;
            pieces(text, |piece| {
                found |= matches!(piece, Piece::Place(name) if wanted(name))
            });
            found
        }
        Json::Array(list) => list.iter().any(|one| any(one, wanted)),
        Json::Object(members) => members.values().any(|one| any(one, wanted)),
        _ => false,
    }
}

/// Whether a place of that name is in a value.
pub fn has(value: &Json, name: &str) -> bool {
    any(value, &|found| found == name)
}

/// Whether any place is in a value.
pub fn has_any(value: &Json) -> bool {
    any(value, &|_| true)
}

/// A value as it is written in an address or a header.
pub fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Fills in a text; none when one of its places has no value.
fn fill(text: &str, values: &Values, put: impl Fn(&str, &mut String)) -> Option<String> {
    let mut out = String::new();
    let mut is_whole = true;
    pieces(text, |piece| match piece {
        Piece::Text(text) => out.push_str(text),
        Piece::Place(name) => match values.get(name).filter(|value| !value.is_null()) {
            Some(value) => put(&plain(value), &mut out),
            None => is_whole = false,
        },
    });
    is_whole.then_some(out)
}

/// A part of an address, with its values percent-encoded.
///
/// # Errors
/// A place without a value.
pub fn address(text: &str, values: &Values) -> Result<String, String> {
    fill(text, values, percent_encode)
        .ok_or_else(|| format!("path {} has a place without a value", quoted(text)))
}

/// The value of a header, or of a parameter before it is encoded; none when a place in it has no value.
pub fn text(value: &Json, values: &Values) -> Option<String> {
    match value {
        Json::String(text) => fill(text, values, |value, out| out.push_str(value)),
        Json::Null => None,
        other => Some(plain(other)),
    }
}

/// A body. Members whose places have no value are left out.
pub fn body(value: &Json, values: &Values) -> Option<Json> {
    match value {
        Json::String(text) => match only_place(text) {
            Some(name) => values.get(name).filter(|value| !value.is_null()).cloned(),
            None => fill(text, values, |value, out| out.push_str(value)).map(Json::String),
        },
        Json::Array(list) => {
            let list = list.iter().filter_map(|one| body(one, values));
            Some(Json::Array(list.collect()))
        }
        Json::Object(members) => {
            let members = members
                .iter()
                .filter_map(|(name, one)| Some((name.clone(), body(one, values)?)));
            Some(Json::Object(members.collect::<Map<_, _>>()))
        }
        other => Some(other.clone()),
    }
}

/// The one place that a text consists of.
fn only_place(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    is_place(name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values() -> Values {
        Values::from([
            ("param:year".to_owned(), json!(2024)),
            ("param:q".to_owned(), json!("a/b &c")),
            ("cursor".to_owned(), Json::Null),
        ])
    }

    #[test]
    fn values_are_written_as_their_place_needs_it() {
        let address = address("/y/{param:year}/{param:q}", &values()).unwrap();
        assert_eq!(address, "/y/2024/a%2Fb%20%26c");
        assert!(super::address("/{param:z}", &values()).is_err());
        assert_eq!(text(&json!("{cursor}"), &values()), None);
        assert_eq!(
            text(&json!("x{param:year}{"), &values()).as_deref(),
            Some("x2024{")
        );
        let template = json!({"y": "{param:year}", "t": "y{param:year}", "c": "{cursor}", "n": [1, "{cursor}"]});
        assert_eq!(
            body(&template, &values()),
            Some(json!({"y": 2024, "t": "y2024", "n": [1]}))
        );
    }

    #[test]
    fn unknown_places_are_named() {
        assert!(
            check("{param:x}", &["y"])
                .unwrap_err()
                .contains("parameters has no")
        );
        assert!(check("{curser}", &[]).unwrap_err().contains("{curser}"));
        assert!(check("{}{ }{0}", &[]).is_ok());
    }
}
