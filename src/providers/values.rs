//! Single values and ids: ids read from JSON, values written as JSON, both compared.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, Visitor};

use super::base64;
use super::wire::{Face, Slot, UuidForm, WireColumn, WireId, WireType};
use crate::coordination::canonical::canonical_text;
use crate::ground::{Affinity, DEEPEST, is_too_deep, quoted, uuid};
use crate::store::{ValueRef, same};

/// Reads a piece to its end: what is `8x` is not 8.
pub fn whole<'a, S: DeserializeSeed<'a>>(seed: S, text: &'a [u8]) -> serde_json::Result<S::Value> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let value = seed.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

/// Reads the id of a row.
pub struct IdSeed;

impl<'a> DeserializeSeed<'a> for IdSeed {
    type Value = WireId<'a>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<WireId<'a>, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for IdSeed {
    type Value = WireId<'a>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an id, which is text or an integer")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'a str) -> Result<WireId<'a>, E> {
        Ok(WireId::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<WireId<'a>, E> {
        Ok(WireId::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<WireId<'a>, E> {
        Ok(WireId::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<WireId<'a>, E> {
        match i64::try_from(number) {
            Ok(number) => Ok(WireId::Integer(number)),
            Err(_) => Ok(WireId::Text(Cow::Owned(number.to_string()))),
        }
    }
}

/// Appends a value as JSON.
///
/// # Errors
/// What JSON can't hold: text that is not UTF-8, infinite numbers, blobs in a column that is not
/// declared as one; text that is no JSON in a column of JSON. The text says which.
pub fn write_value(out: &mut Vec<u8>, kind: WireType, value: ValueRef<'_>) -> Result<(), String> {
    let value = plain_number(value);
    let number =
        |out: &mut Vec<u8>, number: i64| out.extend_from_slice(number.to_string().as_bytes());
    match (value, kind) {
        (ValueRef::Null, _) => out.extend_from_slice(b"null"),
        (ValueRef::Integer(0), WireType::Boolean) => out.extend_from_slice(b"false"),
        (ValueRef::Integer(1), WireType::Boolean) => out.extend_from_slice(b"true"),
        // SQLite stores '5' as 5 in a column of type DATE. On the wire it is text all the same: the
        // others' columns would refuse a number.
        (ValueRef::Integer(whole), WireType::String) => write_json(out, &whole.to_string())?,
        (ValueRef::Real(real), WireType::String) if real.is_finite() => {
            let mut text = Vec::new();
            write_json(&mut text, &real)?;
            write_json(out, &String::from_utf8_lossy(&text))?;
        }
        (ValueRef::Text(text), WireType::Json) => {
            if serde_json::from_str::<IgnoredAny>(text).is_err() {
                return Err(
                    "text that is no JSON; put it in double quotes, as json_quote() does, or give the column the \
                     type string in sync_track"
                        .into(),
                );
            }
            if is_too_deep(text) {
                return Err(format!(
                    "lists and objects on more than {DEEPEST} levels, which not every device can read; make it less deep"
                ));
            }
            out.extend_from_slice(text.as_bytes());
        }
        (ValueRef::Integer(whole), _) => number(out, whole),
        (ValueRef::Real(real), _) if !real.is_finite() => {
            return Err("an infinite number, which JSON can't hold".into());
        }
        (ValueRef::Real(real), _) => write_json(out, &real)?,
        (ValueRef::Text(text), WireType::Uuid(kind)) if kind.there == UuidForm::Bytes => {
            match uuid::canonical(text).as_deref().and_then(uuid::bytes) {
                Some(bytes) => write_json(out, &base64::encode(&bytes))?,
                None => write_json(out, text)?,
            }
        }
        (ValueRef::Text(text), _) => write_json(out, text)?,
        (ValueRef::InvalidText(_), _) => return Err("text that is not valid UTF-8".into()),
        (ValueRef::Blob(bytes), WireType::Uuid(kind)) if kind.there == UuidForm::Text => {
            let text = uuid::text(bytes);
            write_json(out, &text.unwrap_or_else(|| base64::encode(bytes)))?;
        }
        (ValueRef::Blob(bytes), WireType::Base64 | WireType::Uuid(_)) => {
            write_json(out, &base64::encode(bytes))?;
        }
        (ValueRef::Blob(_), WireType::Json) => {
            return Err("a blob; store JSON as text, with json() in place of jsonb()".into());
        }
        (ValueRef::Blob(_), _) => {
            return Err(
                "a blob; declare the column BLOB, or give it the type base64 in sync_track".into(),
            );
        }
    }
    Ok(())
}

/// Appends a column of a row that is to be sent: the value that is kept for it, else what it holds.
///
/// # Errors
/// A value that can't be carried, or would not come back as it was sent, in words.
pub fn write_column(
    out: &mut Vec<u8>,
    column: &WireColumn,
    kind: WireType,
    value: ValueRef<'_>,
    kept: Option<&str>,
) -> Result<(), String> {
    if let Some(json) = kept {
        out.extend_from_slice(json.as_bytes());
        return Ok(());
    }
    let problem = match misfit(column, value) {
        Some(problem) => Err(problem.to_owned()),
        None => write_value(out, kind, value),
    };
    problem.map_err(|problem| format!("column {} holds {problem}", quoted(&column.name)))
}

/// Why a value would not come back as it was sent: an answer's value of another type than the column's is
/// taken for nothing, so that the row's own echo would empty the column.
fn misfit(column: &WireColumn, value: ValueRef<'_>) -> Option<&'static str> {
    match (plain_number(value), column.kind) {
        (ValueRef::Integer(_) | ValueRef::Real(_), WireType::String)
            if column.holds.affinity == Affinity::None =>
        {
            Some(
                "a number, which would come back as text; correct it, or give the column the type any in sync_track",
            )
        }
        (ValueRef::Text(_), WireType::Number) => Some(
            "text, which would be lost in a column of numbers; correct it, or give the column the type string in \
             sync_track",
        ),
        (ValueRef::Text(_), WireType::Boolean) => {
            Some("text, which would be lost in a column of booleans; correct it to 0 or 1")
        }
        (ValueRef::Integer(0 | 1), WireType::Boolean) => None,
        (ValueRef::Integer(_) | ValueRef::Real(_), WireType::Boolean) => Some(
            "a number, which would be lost in a column of booleans; correct it to 0 or 1, or give the column the \
             type number in sync_track",
        ),
        (ValueRef::Text(_) | ValueRef::Integer(_) | ValueRef::Real(_), WireType::Base64) => Some(
            "a value other than a blob, which would come back changed; correct it, or give the column the type any in sync_track",
        ),
        (ValueRef::Text(_) | ValueRef::Integer(_) | ValueRef::Real(_), WireType::Uuid(kind))
            if kind.here == UuidForm::Bytes =>
        {
            Some("a value other than a blob, which would come back changed; correct it")
        }
        (ValueRef::Blob(_), WireType::Uuid(kind)) if kind.here == UuidForm::Text => {
            Some("a blob, which would come back as text; correct it, or declare the column BLOB")
        }
        _ => None,
    }
}

/// Appends a value as it would be sent, whatever has become of it; null where JSON can't hold it.
pub fn show(out: &mut Vec<u8>, kind: WireType, face: Face<'_>) {
    let start = out.len();
    match face {
        Face::Json(json) => out.extend_from_slice(json.as_bytes()),
        Face::Value(value) if write_value(out, kind, value).is_ok() => {}
        Face::Value(_) => {
            out.truncate(start);
            out.extend_from_slice(b"null");
        }
    }
}

/// Whether two JSON texts say the same: numbers by value, members in any order.
pub fn same_json(one: &str, two: &str) -> bool {
    if one == two {
        return true;
    }
    match (canonical_text(one), canonical_text(two)) {
        (Some(one), Some(two)) => one == two,
        _ => false,
    }
}

/// Whether a column holds what it would get of a value; of JSON, whether it says the same.
pub fn holds(column: &WireColumn, local: ValueRef<'_>, slot: &Slot<'_>) -> bool {
    let value = slot.value();
    if same(local, value) {
        return true;
    }
    if column.kind != WireType::Json {
        return false;
    }
    let json = |value| match value {
        ValueRef::Text(text) => Some(text),
        ValueRef::Null => Some("null"),
        _ => None,
    };
    matches!((json(local), json(value)), (Some(one), Some(two)) if same_json(one, two))
}

/// Whether two values that came, or were chosen, are the same to the server.
pub fn agree(column: &WireColumn, one: &Slot<'_>, two: &Slot<'_>) -> bool {
    match (one.kept(), two.kept()) {
        (Some(one), Some(two)) => same_json(&one.json, &two.json),
        (None, None) => holds(column, one.value(), two),
        _ => false,
    }
}

/// Whole numbers are written without a fraction, as JavaScript does. Its clients store every number as
/// a real where the column has no type, also 0 and 1 for a boolean.
fn plain_number(value: ValueRef<'_>) -> ValueRef<'_> {
    const EXACT: f64 = (1u64 << 53) as f64;
    match value {
        ValueRef::Real(real) if real.trunc() == real && real.abs() <= EXACT => {
            ValueRef::Integer(real as i64)
        }
        other => other,
    }
}

/// Appends anything serde can write.
///
/// # Errors
/// What JSON can't hold.
pub fn write_json<T: serde::Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), String> {
    serde_json::to_writer(out, value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_by_type() {
        let write = |kind, value| {
            let mut out = Vec::new();
            write_value(&mut out, kind, value).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(
            write(WireType::Boolean, ValueRef::Integer(1)),
            Ok("true".into())
        );
        assert_eq!(
            write(WireType::Boolean, ValueRef::Integer(2)),
            Ok("2".into())
        );
        assert_eq!(write(WireType::Number, ValueRef::Real(1.0)), Ok("1".into()));
        assert_eq!(
            write(WireType::Boolean, ValueRef::Real(1.0)),
            Ok("true".into())
        );
        assert_eq!(write(WireType::Any, ValueRef::Real(-0.0)), Ok("0".into()));
        assert_eq!(write(WireType::Any, ValueRef::Real(0.1)), Ok("0.1".into()));
        for (value, text) in [
            (ValueRef::Integer(20_240_131), "\"20240131\""),
            (ValueRef::Real(1.5), "\"1.5\""),
        ] {
            assert_eq!(write(WireType::String, value), Ok(text.into()));
        }
        assert_eq!(
            write(WireType::String, ValueRef::Text("\"\n")),
            Ok(r#""\"\n""#.into())
        );
        assert_eq!(
            write(WireType::Base64, ValueRef::Blob(b"hi")),
            Ok("\"aGk=\"".into())
        );
        assert!(write(WireType::String, ValueRef::Blob(b"hi")).is_err());
        assert!(write(WireType::Number, ValueRef::Real(f64::INFINITY)).is_err());
    }
}
