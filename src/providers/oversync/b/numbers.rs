//! Numbers that travel as text, as the later revision has them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use serde_json::value::RawValue;

use super::hash::spelled;
use super::revision::Revision;
use crate::coordination::canonical;
use crate::ground::Affinity;
use crate::providers::fit::sanitise;
use crate::providers::oversync::row::rounded;
use crate::providers::oversync::wire::in_json;
use crate::providers::wire::{Entity, Slot, WireColumn, WireType};

/// A value that came: where the column holds numbers, a text is the number that it spells.
pub fn exact(column: &WireColumn, raw: &str) -> Slot<'static> {
    let Some(meant) = meant(column, raw) else {
        return rounded(column, raw);
    };
    match sanitise(column, &meant) {
        // What the column can't hold goes up again as it came.
        Slot::Kept(mut kept) => {
            raw.clone_into(&mut kept.json);
            Slot::Kept(kept)
        }
        slot => slot,
    }
}

/// The revision in which a value travels so, where that shows: only numbers do it.
pub fn revision(column: &WireColumn, raw: &str) -> Option<Revision> {
    match (column.kind, raw.as_bytes().first()) {
        (WireType::Number | WireType::Boolean, Some(b'"')) => {
            meant(column, raw).map(|_| Revision::Later)
        }
        (WireType::Number, Some(b'-' | b'0'..=b'9')) => Some(Revision::Earlier),
        _ => None,
    }
}

/// What is meant by a value in a column of numbers, in JSON; none: itself.
fn meant(column: &WireColumn, raw: &str) -> Option<String> {
    let holds_numbers = match column.kind {
        WireType::Number | WireType::Boolean => true,
        WireType::Any => !matches!(column.holds.affinity, Affinity::Text | Affinity::None),
        _ => false,
    };
    match (raw, column.kind) {
        _ if !holds_numbers => None,
        ("\"0\"", WireType::Boolean) => Some("false".to_owned()),
        ("\"1\"", WireType::Boolean) => Some("true".to_owned()),
        (_, WireType::Boolean) => None,
        ("false", _) => Some("0".to_owned()),
        ("true", _) => Some("1".to_owned()),
        _ if raw.starts_with('"') => number(&serde_json::from_str::<Cow<'_, str>>(raw).ok()?),
        _ => None,
    }
}

/// The number that a text spells, in JSON. A plus in front, or zeros, say nothing.
fn number(text: &str) -> Option<String> {
    let (sign, size) = match text.strip_prefix('-') {
        Some(size) => ("-", size),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let is_digit = |first: char| first.is_ascii_digit();
    let digits = size.trim_start_matches('0');
    let zero = match digits.starts_with(is_digit) {
        true => "",
        false => "0",
    };
    let number = format!("{sign}{zero}{digits}");
    let read: &RawValue = serde_json::from_str(&number).ok()?;
    (size.starts_with(is_digit) && read.get() == number).then_some(number)
}

/// A frozen row as it travels: numbers as text in their one spelling, booleans as "0" and "1". `hashed`: in the spelling
/// of which the hash is made.
///
/// # Errors
/// What is no row.
pub fn payload(entity: &Entity, content: &str, hashed: bool) -> io::Result<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(content)?;
    let mut members: Vec<(String, &RawValue)> = members.into_iter().collect();
    members.sort_by_cached_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
    let mut out = String::from("{");
    for (name, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&in_json(&name)?);
        out.push(':');
        out.push_str(&value_of(entity, &name, value.get(), hashed)?);
    }
    out.push('}');
    Ok(out)
}

fn value_of<'v>(
    entity: &Entity,
    name: &str,
    raw: &'v str,
    hashed: bool,
) -> io::Result<Cow<'v, str>> {
    let is_json =
        |column: &WireColumn| column.kind == WireType::Json && column.name.to_lowercase() == name;
    Ok(match raw.as_bytes().first() {
        Some(b'-' | b'0'..=b'9' | b't' | b'f') if !entity.columns.iter().any(is_json) => {
            let number = match raw {
                "true" => "1".to_owned(),
                "false" => "0".to_owned(),
                raw => canonical::number(raw),
            };
            format!("\"{number}\"").into()
        }
        _ if hashed => match serde_json::from_str(raw) {
            Ok(json) => String::from_utf8(spelled(Revision::Later, &json))
                .map_err(io::Error::other)?
                .into(),
            // It holds what has no spelling: a number beyond every double, half a character.
            Err(_) => raw.into(),
        },
        _ => raw.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::wire::KeyType;

    /// What a column gets, and what is kept aside.
    fn fitted(kind: WireType, declared: &str, raw: &str) -> (String, Option<String>) {
        let slot = exact(&WireColumn::of("c", kind, declared), raw);
        let kept = slot.kept().map(|kept| kept.json.clone());
        (format!("{:?}", slot.value()), kept)
    }

    #[test]
    fn line_14_numbers_come_down_as_text_and_to_the_last_digit() {
        use WireType::{Any, Boolean, Number, String};
        for (kind, declared, raw, local) in [
            (
                Number,
                "INTEGER",
                r#""9007199254740993""#,
                "Integer(9007199254740993)",
            ),
            (
                Number,
                "INTEGER",
                r#""-9223372036854775808""#,
                "Integer(-9223372036854775808)",
            ),
            (
                Number,
                "INTEGER",
                r#""9223372036854775807""#,
                "Integer(9223372036854775807)",
            ),
            (Number, "INTEGER", "true", "Integer(1)"),
            (Number, "INTEGER", "42", "Integer(42)"),
            (Number, "INTEGER", r#""+1""#, "Integer(1)"),
            (Number, "INTEGER", r#""01""#, "Integer(1)"),
            (Number, "INTEGER", r#""-0""#, "Integer(0)"),
            (Number, "INTEGER", "null", "Null"),
            (Number, "REAL", r#""5e-324""#, "Real(5e-324)"),
            (Number, "REAL", r#""1""#, "Real(1.0)"),
            (Number, "REAL", r#""1.0""#, "Real(1.0)"),
            (
                Number,
                "REAL",
                r#""1.7976931348623157e+308""#,
                "Real(1.7976931348623157e308)",
            ),
            (Any, "DECIMAL(8,4)", r#""12.3000""#, "Real(12.3)"),
            (Any, "NUMERIC", r#""7""#, "Integer(7)"),
            (Any, "", r#""7""#, "Text(\"7\")"),
            (String, "TEXT", r#""12.3000""#, "Text(\"12.3000\")"),
            (Boolean, "BOOLEAN", "true", "Integer(1)"),
            (Boolean, "BOOLEAN", r#""0""#, "Integer(0)"),
        ] {
            assert_eq!(
                fitted(kind, declared, raw),
                (local.to_owned(), None),
                "{declared} <- {raw}"
            );
        }
        for (kind, declared, raw, local) in [
            (
                Number,
                "INTEGER",
                r#""9223372036854775808""#,
                "Real(9.223372036854776e18)",
            ),
            (
                Any,
                "NUMERIC",
                r#""1234567890.1234567891""#,
                "Real(1234567890.1234567)",
            ),
            (Number, "REAL", r#""NaN""#, "Null"),
            (Number, "REAL", r#""Infinity""#, "Null"),
            (Number, "REAL", r#""1e""#, "Null"),
            (Number, "REAL", r#""1.""#, "Null"),
            (Number, "REAL", r#"" 1""#, "Null"),
            (Number, "REAL", r#""""#, "Null"),
            (Boolean, "BOOLEAN", r#""2""#, "Null"),
        ] {
            let kept = Some(raw.to_owned());
            assert_eq!(
                fitted(kind, declared, raw),
                (local.to_owned(), kept),
                "{declared} <- {raw}"
            );
        }
    }

    #[test]
    fn line_14_numbers_go_up_as_text_in_their_one_spelling() {
        let entity = Entity {
            name: "t".into(),
            key: "id".into(),
            references: Vec::new(),
            columns: vec![WireColumn::of("J", WireType::Json, "JSON")],
            key_type: KeyType::Text,
        };
        let up = |content: &str, hashed| payload(&entity, content, hashed).unwrap();
        for (number, text) in [
            ("1.0", "1"),
            ("-0.0", "0"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("1e-7", "1e-7"),
            ("0.1", "0.1"),
            ("9007199254740993", "9007199254740993"),
            ("\"9007199254740993\"", "9007199254740993"),
            ("true", "1"),
            ("false", "0"),
        ] {
            let content = format!(r#"{{"id":"a","c":{number}}}"#);
            assert_eq!(up(&content, false), format!(r#"{{"c":"{text}","id":"a"}}"#));
            assert_eq!(up(&content, true), up(&content, false));
        }
        // A document is what it is; only its hash has one spelling.
        let content =
            r#"{"j": {"b":1.0, "a":9007199254740993},"\ue000":null,"\ud83d\ude00":"\u00e9<&>"}"#;
        assert_eq!(
            up(content, false),
            "{\"j\":{\"b\":1.0, \"a\":9007199254740993},\"\u{1f600}\":\"\\u00e9<&>\",\"\u{e000}\":null}"
        );
        assert_eq!(
            up(content, true),
            "{\"j\":{\"a\":9007199254740992,\"b\":1},\"\u{1f600}\":\"é<&>\",\"\u{e000}\":null}"
        );
    }
}
