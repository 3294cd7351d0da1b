//! Single values and ids: read as JSON and fitted to a column's type, written as JSON.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::wire::{Slot, WireId, WireType, fallback};
use crate::store::ValueRef;

/// How far the values of an answer may be from what their column holds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Leniency {
    /// Integers beyond 2^53 lose digits, as in JavaScript.
    pub js_numbers: bool,
    /// Values of another type are converted where that makes sense.
    pub coerce: bool,
}

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

/// Sanitises one value: what does not fit the column's type is replaced, and only converted when that was
/// asked for.
pub struct ValueSeed {
    pub kind: WireType,
    pub required: bool,
    pub leniency: Leniency,
}

/// Beyond it JavaScript has no place for every integer.
const JS_EXACT: u64 = 1 << 53;

impl ValueSeed {
    fn fallback<'a>(&self) -> Slot<'a> {
        fallback(self.kind, self.required)
    }

    fn text<'a>(&self, text: Cow<'a, str>) -> Slot<'a> {
        match self.kind {
            WireType::String | WireType::Any => Slot::Text(text),
            WireType::Base64 => BASE64
                .decode(&*text)
                .map_or_else(|_| self.fallback(), Slot::Blob),
            WireType::Number | WireType::Boolean if self.leniency.coerce => {
                self.parsed(text.trim())
            }
            WireType::Number | WireType::Boolean => self.fallback(),
        }
    }

    /// A number or boolean that was sent as text.
    fn parsed<'a>(&self, text: &str) -> Slot<'a> {
        let number = match text {
            "true" => Some(Slot::Integer(1)),
            "false" => Some(Slot::Integer(0)),
            _ => text.parse().ok().map(|whole| self.integer(whole)),
        };
        let number = number.or_else(|| {
            let real: f64 = text.parse().ok()?;
            real.is_finite().then(|| self.real(real))
        });
        number.unwrap_or_else(|| self.fallback())
    }

    fn integer<'a>(&self, number: i64) -> Slot<'a> {
        match self.kind {
            WireType::Number | WireType::Any
                if self.leniency.js_numbers && number.unsigned_abs() > JS_EXACT =>
            {
                Slot::Integer(number as f64 as i64)
            }
            WireType::Number | WireType::Any => Slot::Integer(number),
            WireType::Boolean if matches!(number, 0 | 1) => Slot::Integer(number),
            WireType::Boolean if self.leniency.coerce => Slot::Integer(1),
            WireType::String if self.leniency.coerce => Slot::Text(Cow::Owned(number.to_string())),
            _ => self.fallback(),
        }
    }

    fn real<'a>(&self, number: f64) -> Slot<'a> {
        match self.kind {
            WireType::Number | WireType::Any if number == 0.0 => Slot::Integer(0),
            WireType::Number | WireType::Any => Slot::Real(number),
            WireType::Boolean if number == 1.0 => Slot::Integer(1),
            WireType::Boolean if number == 0.0 => Slot::Integer(0),
            WireType::Boolean if self.leniency.coerce => Slot::Integer(1),
            WireType::String if self.leniency.coerce => Slot::Text(Cow::Owned(number.to_string())),
            _ => self.fallback(),
        }
    }

    fn truth<'a>(&self, truth: bool) -> Slot<'a> {
        match self.kind {
            WireType::Boolean | WireType::Any => Slot::Integer(truth.into()),
            WireType::Number if self.leniency.coerce => Slot::Integer(truth.into()),
            WireType::String if self.leniency.coerce => Slot::Text(Cow::Owned(truth.to_string())),
            _ => self.fallback(),
        }
    }
}

impl<'a> DeserializeSeed<'a> for ValueSeed {
    type Value = Slot<'a>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Slot<'a>, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ValueSeed {
    type Value = Slot<'a>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'a str) -> Result<Slot<'a>, E> {
        Ok(self.text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Slot<'a>, E> {
        Ok(self.text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Slot<'a>, E> {
        Ok(self.integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Slot<'a>, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => self.visit_f64(number as f64),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Slot<'a>, E> {
        Ok(self.real(number))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Slot<'a>, E> {
        Ok(self.truth(truth))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Slot<'a>, E> {
        Ok(self.fallback())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Slot<'a>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.fallback())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Slot<'a>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.fallback())
    }
}

/// Sanitises the JSON text of one value.
pub fn sanitise(kind: WireType, required: bool, text: &str) -> Slot<'static> {
    let seed = ValueSeed {
        kind,
        required,
        leniency: Leniency::default(),
    };
    whole(seed, text.as_bytes()).map_or_else(|_| fallback(kind, required), Slot::into_owned)
}

/// Appends a value as JSON.
///
/// # Errors
/// What JSON can't hold: text that is not UTF-8, infinite numbers, blobs in a column that is not
/// declared as one. The text says which.
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
        (ValueRef::Integer(whole), _) => number(out, whole),
        (ValueRef::Real(real), _) if !real.is_finite() => {
            return Err("an infinite number, which JSON can't hold".into());
        }
        (ValueRef::Real(real), _) => write_json(out, &real)?,
        (ValueRef::Text(text), _) => write_json(out, text)?,
        (ValueRef::InvalidText(_), _) => return Err("text that is not valid UTF-8".into()),
        (ValueRef::Blob(bytes), WireType::Base64) => write_json(out, &BASE64.encode(bytes))?,
        (ValueRef::Blob(_), _) => {
            return Err(
                "a blob; declare the column BLOB, or give it the type base64 in sync_track".into(),
            );
        }
    }
    Ok(())
}

/// Why a value would not come back as it was sent: an answer's value of another type than the column's is
/// taken for nothing, so that the row's own echo would empty the column.
pub fn misfit(kind: WireType, value: ValueRef<'_>) -> Option<&'static str> {
    match (plain_number(value), kind) {
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
        _ => None,
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
