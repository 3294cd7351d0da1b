//! Reading the JSON that users write, and what is wrong with it, in words.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::key::shown;

/// Lists and objects within each other, at most, of a JSON value that is compared, kept in a column or sent. Other readers
/// count the levels of a whole row, or of a whole answer, and take 127.
pub const DEEPEST: usize = 120;

/// Whether a JSON text has more levels than [`DEEPEST`].
pub fn is_too_deep(text: &str) -> bool {
    if text.len() <= 2 * DEEPEST {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > DEEPEST {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The members of a JSON object, in their order. `name` is what the text is called.
///
/// # Errors
/// `<name> is not valid JSON: …`, another type, a key that is given twice.
pub fn read_object(text: &str, name: &str) -> Result<Map<String, Json>, String> {
    Ok(read_members(text, name)?.into_iter().collect())
}

/// The same, with values read in another way.
///
/// # Errors
/// As [`read_object`]; what a value can't be read as.
pub fn read_members<T: DeserializeOwned>(
    text: &str,
    name: &str,
) -> Result<Vec<(String, T)>, String> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let read = parser
        .deserialize_any(Members(PhantomData))
        .and_then(|members| parser.end().map(|()| members));
    read.map_err(|error| match serde_json::from_str(text) {
        Err(error) => format!("{name} is not valid JSON: {}", syntax_problem(&error)),
        Ok(Json::Object(_)) => format!("{name}: {}", syntax_problem(&error)),
        Ok(other) => format!("{name} must be a JSON object, not {}", shown(&other)),
    })
}

/// Reads an object, each key once.
struct Members<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for Members<T> {
    type Value = Vec<(String, T)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        while let Some((key, value)) = members.next_entry::<String, T>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("{key} is given twice")));
            }
            all.push((key, value));
        }
        Ok(all)
    }
}

/// The elements of a JSON array, unread.
///
/// # Errors
/// `<name> is not valid JSON: …`, another type.
pub fn read_elements(text: &str, name: &str) -> Result<Vec<Box<RawValue>>, String> {
    if !text.trim_start().starts_with('[') {
        return Err(format!("{name} must be a JSON array"));
    }
    let read = serde_json::from_str(text);
    read.map_err(|error| format!("{name} is not valid JSON: {}", syntax_problem(&error)))
}

/// A value that was left unread.
///
/// # Errors
/// A number beyond what JSON values here can hold, a text with half a character.
pub fn read_value(raw: &RawValue, name: &str) -> Result<Json, String> {
    let read = serde_json::from_str(raw.get());
    read.map_err(|error| format!("{name}: {}", syntax_problem(&error)))
}

/// What a parser complains of, and where: `it ends too early (line 1, column 17)`.
pub fn syntax_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    let what = match what {
        _ if error.is_eof() => "it ends too early",
        "recursion limit exceeded" => "it is nested too deeply",
        "expected ident" => "expected true, false or null",
        "expected value" => "expected a value",
        "key must be a string" => "expected a key in double quotes",
        "trailing comma" => "there is nothing after a comma",
        "trailing characters" => "something follows its end",
        _ if what.starts_with("control character") => {
            "text has a line break or another control character; write it as \\n or \\u…"
        }
        other => other,
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_in_its_order_with_each_key_once() {
        let read = read_object(r#" {"b":1,"a":{"x":1,"x":2}} "#, "config").unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["b", "a"]);
        for (text, said) in [
            ("", "config is not valid JSON: it ends too early"),
            ("[1]", "config must be a JSON object, not a list"),
            ("5", "config must be a JSON object, not 5"),
            ("[1", "config is not valid JSON: it ends too early"),
            (
                "{} x",
                "config is not valid JSON: something follows its end",
            ),
            (
                r#"{"a":1,"a":1}"#,
                "config: a is given twice (line 1, column 13)",
            ),
        ] {
            let refusal = read_object(text, "config").unwrap_err();
            assert!(refusal.contains(said), "{text}: {refusal}");
        }
    }

    #[test]
    fn no_word_of_the_parser_is_left() {
        let deep = "[".repeat(1000);
        for (text, said) in [
            ("{", "it ends too early (line 1, column 1)"),
            ("{\"a\": tru", "it ends too early"),
            (
                "{a:1}",
                "expected a key in double quotes (line 1, column 2)",
            ),
            ("{\"a\":1,}", "there is nothing after a comma"),
            ("{\"a\" 1}", "expected `:`"),
            ("[1 2]", "expected `,` or `]`"),
            ("[\n1] x", "something follows its end (line 2, column 4)"),
            ("nul!", "expected true, false or null"),
            ("?", "expected a value"),
            ("\"a\nb\"", "control character"),
            (&deep, "nested too deeply"),
        ] {
            let error = serde_json::from_str::<Json>(text).unwrap_err();
            let problem = syntax_problem(&error);
            assert!(problem.contains(said), "{text}: {problem}");
        }
    }

    #[test]
    fn levels_are_counted_outside_of_texts() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        for (text, too_deep) in [
            (nested(DEEPEST), false),
            (nested(DEEPEST + 1), true),
            (format!("[{}1]", "[],".repeat(DEEPEST)), false),
            (format!("[{:?}]", nested(DEEPEST)), false),
            (format!(r#"["\\\"",{}]"#, nested(DEEPEST - 1)), false),
            (format!(r#"["\\",{}]"#, nested(DEEPEST)), true),
            ("{\"a\":".repeat(DEEPEST + 1), true),
        ] {
            assert_eq!(is_too_deep(&text), too_deep, "{text}");
        }
    }
}
