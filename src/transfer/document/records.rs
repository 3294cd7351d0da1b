//! The records of a response, one by one, with their JSON text as the server wrote it.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::ground::syntax_problem;
use crate::store::{Value, ValueRef};

use super::outcome::Failure;
use super::settings::PrimaryKey;

type Members<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// A list of records.
pub struct Records<'a> {
    list: Vec<&'a RawValue>,
    primary_key: Option<&'a PrimaryKey>,
    time_stamp: Option<&'a str>,
}

/// One record: a row to be.
pub struct Record<'a> {
    /// None: the record has no `id`.
    pub id: Option<Value>,
    pub json: &'a str,
    /// None: now.
    pub timestamp: Option<Value>,
    /// From 1, for messages.
    pub position: usize,
}

impl<'a> Records<'a> {
    /// The records of a whole response: an array's elements, or one object.
    ///
    /// # Errors
    /// Not JSON, or something other than an array or object.
    pub fn of_response(text: &'a str) -> Result<Self, Failure> {
        let text = text.trim_start_matches([' ', '\t', '\r', '\n']);
        let broken = |error: serde_json::Error| {
            Failure::response(format!(
                "the response is not valid JSON: {}; nothing was applied",
                syntax_problem(&error)
            ))
        };
        let list = match text.as_bytes().first() {
            Some(b'[') => serde_json::from_str(text).map_err(broken)?,
            _ => vec![serde_json::from_str::<&RawValue>(text).map_err(broken)?],
        };
        if !text.starts_with(['[', '{']) {
            return Err(Failure::response(format!(
                "the response is {}, not an array or an object; nothing was applied",
                excerpt(text)
            )));
        }
        Ok(Self {
            list,
            primary_key: None,
            time_stamp: None,
        })
    }

    /// Where the records' ids and timestamps stand.
    pub fn keyed(
        mut self,
        primary_key: Option<&'a PrimaryKey>,
        time_stamp: Option<&'a str>,
    ) -> Self {
        self.primary_key = primary_key;
        self.time_stamp = time_stamp;
        self
    }

    /// Each record, or what is wrong with it.
    pub fn iter(&self) -> impl Iterator<Item = Result<Record<'a>, Failure>> + '_ {
        self.list
            .iter()
            .enumerate()
            .map(|(place, raw)| self.record(raw, place + 1))
    }

    /// The ids of all records, as a JSON list.
    ///
    /// # Errors
    /// What is wrong with a record.
    pub fn ids(&self) -> Result<String, Failure> {
        let mut ids = Vec::with_capacity(self.list.len());
        for record in self.iter() {
            ids.extend(match record?.id {
                Some(Value::Text(text)) => Some(Json::from(text)),
                Some(Value::Integer(number)) => Some(Json::from(number)),
                Some(Value::Real(number)) => Some(Json::from(number)),
                _ => None,
            });
        }
        Ok(Json::from(ids).to_string())
    }

    fn record(&self, raw: &'a RawValue, position: usize) -> Result<Record<'a>, Failure> {
        let members = members(raw);
        let said = |problem: String| Failure::response(format!("record {position}: {problem}"));
        let id = match self.primary_key {
            None => match members.as_ref().and_then(|members| members.get("id")) {
                None => None,
                Some(id) => Some(key(id).map_err(|problem| said(format!("id {problem}")))?),
            },
            Some(PrimaryKey::Field(field)) => Some(field_key(raw, field).map_err(said)?),
            Some(PrimaryKey::Fields(fields)) => {
                let parts = fields
                    .iter()
                    .map(|field| Ok(as_text(&field_key(raw, field)?)))
                    .collect::<Result<Vec<_>, String>>()
                    .map_err(said)?;
                Some(Value::Text(parts.join("-")))
            }
        };
        let timestamp = match self.time_stamp {
            None => None,
            Some(field) => Some(field_key(raw, field).map_err(said)?),
        };
        Ok(Record {
            id,
            json: raw.get(),
            timestamp,
            position,
        })
    }
}

/// The members of an object; none when it is something else. Of a name that is there twice, the last.
fn members(raw: &RawValue) -> Option<Members<'_>> {
    #[derive(serde::Deserialize)]
    struct Borrowed<'a>(#[serde(borrow)] Members<'a>);
    serde_json::from_str::<Borrowed<'_>>(raw.get())
        .ok()
        .map(|Borrowed(members)| members)
}

/// A field by its name, or by a path (`$.customer.id`).
fn field_key(raw: &RawValue, field: &str) -> Result<Value, String> {
    let names: Vec<&str> = match field.strip_prefix("$.") {
        Some(path) => path.split('.').collect(),
        None => vec![field],
    };
    let mut found = raw;
    for name in names {
        found = members(found)
            .and_then(|members| members.get(name).copied())
            .ok_or_else(|| format!("has no field {field}"))?;
    }
    key(found).map_err(|problem| format!("{field} {problem}"))
}

/// A JSON text or number as a key. An integer of more than 64 bits is its digits as text, for as a real it
/// would be the same as others.
fn key(raw: &RawValue) -> Result<Value, String> {
    let text = raw.get();
    if text.starts_with('"') {
        return serde_json::from_str(text)
            .map(Value::Text)
            .map_err(|error| error.to_string());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(Value::Integer(number));
    }
    if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-')) {
        return Ok(Value::Text(text.to_owned()));
    }
    match text.parse::<f64>() {
        Ok(number) if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            Ok(Value::Real(number))
        }
        _ => Err(format!("is {}, not text or a number", excerpt(text))),
    }
}

fn as_text(value: &Value) -> String {
    match value.borrow() {
        ValueRef::Text(text) => text.to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        _ => String::new(),
    }
}

/// The top-level members of `over` put over those of `under`; either may be any JSON, then `over` wins.
pub fn merged(under: &str, over: &str) -> String {
    let parse = |text: &str| {
        serde_json::from_str::<std::collections::BTreeMap<String, Box<RawValue>>>(text).ok()
    };
    let (Some(mut members), Some(new)) = (parse(under), parse(over)) else {
        return over.to_owned();
    };
    members.extend(new);
    serde_json::to_string(&members).unwrap_or_else(|_| over.to_owned())
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<Option<Value>> {
        let records = Records::of_response(text).ok().expect("a list");
        records
            .iter()
            .map(|record| record.ok().expect("a record").id)
            .collect()
    }

    #[test]
    fn arrays_and_objects() {
        assert_eq!(ids(" []"), []);
        assert_eq!(ids(r#"{"id":"a"}"#), [Some(Value::Text("a".into()))]);
        assert_eq!(
            ids(r#"[{"id":9007199254740993},{"x":1},5]"#),
            [Some(Value::Integer(9_007_199_254_740_993)), None, None]
        );
        assert_eq!(
            ids(r#"[{"id":18446744073709551615},{"id":-18446744073709551615}]"#),
            [
                Some(Value::Text("18446744073709551615".into())),
                Some(Value::Text("-18446744073709551615".into()))
            ]
        );
    }

    #[test]
    fn what_is_no_list_of_records() {
        for text in ["", "null", "5", "\"x\"", "[1", "[1]x", "{}{}", "nonsense"] {
            assert!(Records::of_response(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_of_several_fields() {
        let key = PrimaryKey::Fields(vec!["$.a.b".into(), "n".into()]);
        let records = Records::of_response(r#"{"a":{"b":"x"},"n":7}"#)
            .ok()
            .expect("valid");
        let record = records.keyed(Some(&key), Some("n"));
        let record = record.iter().next().and_then(Result::ok).expect("one");
        assert_eq!(record.id, Some(Value::Text("x-7".into())));
        assert_eq!(record.timestamp, Some(Value::Integer(7)));
    }

    #[test]
    fn merging_keeps_numbers_exact() {
        assert_eq!(
            merged(
                r#"{"a":1.10,"b":{"x":1}}"#,
                r#"{"b":{"y":null},"c":12345678901234567890123}"#
            ),
            r#"{"a":1.10,"b":{"y":null},"c":12345678901234567890123}"#
        );
        assert_eq!(merged("broken", r#"{"a":1}"#), r#"{"a":1}"#);
    }
}
