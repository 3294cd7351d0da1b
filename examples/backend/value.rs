//! JSON values to SQL values and back.

use std::io::{self, Write};

use rusqlite::types::{Value as SqlValue, ValueRef};
use serde_json::Value;

use super::schema::{Column, KeyKind, Kind};

/// How rows look on the wire; the defaults are the right way.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowStyle {
    pub zero_one: bool,
    pub numeric_ids: bool,
    pub meta: bool,
    pub missing_ids: bool,
}

/// The id in a request, if it is one that a database can safely hold.
pub fn id_from_json(value: &Value, kind: KeyKind, any: bool) -> Option<SqlValue> {
    match (kind, value) {
        (KeyKind::Integer, Value::Number(number)) => number.as_i64().map(SqlValue::Integer),
        (KeyKind::Integer, Value::String(text)) => text.parse().ok().map(SqlValue::Integer),
        (KeyKind::Text, Value::String(text)) if any || is_safe_id(text) => {
            Some(SqlValue::Text(text.clone()))
        }
        _ => None,
    }
}

/// The id as text, as error messages and `experimentalRejectedIds` have it.
pub fn id_text(id: &SqlValue) -> String {
    match id {
        SqlValue::Integer(number) => number.to_string(),
        SqlValue::Text(text) => text.clone(),
        _ => String::new(),
    }
}

fn is_safe_id(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !text.is_empty() && text.bytes().all(is_safe)
}

/// The value to store. Content of the wrong type is repaired, never refused (rule U10).
pub fn value_from_json(value: &Value, column: &Column) -> SqlValue {
    let accepted = match (column.kind, value) {
        (Kind::Text, Value::String(text)) => Some(SqlValue::Text(text.clone())),
        (Kind::Boolean, Value::Bool(flag)) => Some(SqlValue::Integer(i64::from(*flag))),
        (Kind::Boolean, Value::Number(number)) => number
            .as_i64()
            .filter(|number| matches!(number, 0 | 1))
            .map(SqlValue::Integer),
        (Kind::Number, Value::Number(number)) => number
            .as_i64()
            .map(SqlValue::Integer)
            .or_else(|| number.as_f64().map(SqlValue::Real)),
        _ => None,
    };
    accepted.unwrap_or_else(|| empty_value(column))
}

/// What a column holds when there is nothing to put in.
pub fn empty_value(column: &Column) -> SqlValue {
    match (column.required, column.kind) {
        (false, _) => SqlValue::Null,
        (true, Kind::Text) => SqlValue::Text(String::new()),
        (true, _) => SqlValue::Integer(0),
    }
}

/// Writes a stored id.
pub fn write_id(out: &mut impl Write, id: ValueRef<'_>, style: RowStyle) -> io::Result<()> {
    match id {
        ValueRef::Integer(number) if style.numeric_ids => write!(out, "{number}"),
        ValueRef::Integer(number) => write!(out, "\"{number}\""),
        ValueRef::Text(text) if style.numeric_ids && is_whole_number(text) => out.write_all(text),
        other => write_plain(out, other),
    }
}

/// Whether a text is a number in its usual form, so that the number reads back as this text.
fn is_whole_number(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse()
        .is_ok_and(|number: i64| number.to_string() == text)
}

/// Writes a stored value of a column.
pub fn write_value(
    out: &mut impl Write,
    value: ValueRef<'_>,
    kind: Kind,
    style: RowStyle,
) -> io::Result<()> {
    match (kind, value) {
        (Kind::Boolean, ValueRef::Integer(flag)) if !style.zero_one => {
            write!(out, "{}", flag != 0)
        }
        _ => write_plain(out, value),
    }
}

fn write_plain(out: &mut impl Write, value: ValueRef<'_>) -> io::Result<()> {
    match value {
        ValueRef::Integer(number) => write!(out, "{number}"),
        // JSON has no infinity; serde_json writes the shortest text that reads back the same.
        ValueRef::Real(number) => Ok(serde_json::to_writer(out, &number)?),
        ValueRef::Text(bytes) => Ok(serde_json::to_writer(out, &String::from_utf8_lossy(bytes))?),
        ValueRef::Null | ValueRef::Blob(_) => out.write_all(b"null"),
    }
}
