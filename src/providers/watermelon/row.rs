//! Rows of the WatermelonDB protocol: reading them strictly, sanitising their values, writing them.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::options::Reading;
use crate::ground::SyncError;
use crate::providers::mend::mended;
use crate::providers::wire::{Entity, Slot, WireId, WireType, fallback};
use crate::store::ValueRef;

/// Reads one row object. `slots` gets a value for each column of the entity.
///
/// # Errors
/// Not an object, no id or one of a wrong type, `_status` or `_changed` in it: the whole answer is
/// refused then.
pub fn read_row<'a>(
    entity: &Entity,
    reading: Reading,
    text: &'a [u8],
    slots: &mut Vec<Slot<'a>>,
) -> Result<WireId<'a>, SyncError> {
    let id = match parse_row(entity, reading, text, slots) {
        Ok(id) => id,
        Err(error) => {
            let whole = mended(text).ok_or_else(|| refused(entity, &error))?;
            let mut read = Vec::new();
            let id = parse_row(entity, reading, &whole, &mut read)
                .map_err(|error| refused(entity, &error))?;
            slots.clear();
            slots.extend(read.into_iter().map(|slot| slot.into_owned()));
            id.map(|id| id.into_owned())
        }
    };
    id.ok_or_else(|| {
        SyncError::protocol(format!(
            "a row of {:?} has no id; nothing was applied",
            entity.name
        ))
    })
}

fn parse_row<'a>(
    entity: &Entity,
    reading: Reading,
    text: &'a [u8],
    slots: &mut Vec<Slot<'a>>,
) -> serde_json::Result<Option<WireId<'a>>> {
    slots.clear();
    slots.resize_with(entity.columns.len(), Slot::default);
    let row = RowSeed {
        entity,
        reading,
        slots,
    };
    whole(row, text)
}

/// Reads one element of a `deleted` list.
///
/// # Errors
/// It is neither text nor an integer.
pub fn read_id<'a>(entity: &Entity, text: &'a [u8]) -> Result<WireId<'a>, SyncError> {
    parse_id(text).or_else(|error| match mended(text) {
        Some(whole) => parse_id(&whole)
            .map(WireId::into_owned)
            .map_err(|error| refused(entity, &error)),
        None => Err(refused(entity, &error)),
    })
}

fn parse_id(text: &[u8]) -> serde_json::Result<WireId<'_>> {
    whole(IdSeed, text)
}

/// Reads a piece to its end: what is `8x` is not 8.
fn whole<'a, S: DeserializeSeed<'a>>(seed: S, text: &'a [u8]) -> serde_json::Result<S::Value> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let value = seed.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

fn refused(entity: &Entity, error: &serde_json::Error) -> SyncError {
    SyncError::protocol(format!(
        "a row of {:?}: {error}; nothing was applied",
        entity.name
    ))
}

struct RowSeed<'s, 'a> {
    entity: &'s Entity,
    reading: Reading,
    slots: &'s mut Vec<Slot<'a>>,
}

impl<'a> DeserializeSeed<'a> for RowSeed<'_, 'a> {
    type Value = Option<WireId<'a>>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for RowSeed<'_, 'a> {
    type Value = Option<WireId<'a>>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a row, which is an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut id = None;
        let mut expected = 0;
        while let Some(field) = map.next_key_seed(FieldSeed {
            entity: self.entity,
            expected,
        })? {
            match field {
                Field::Id => id = Some(map.next_value_seed(IdSeed)?),
                Field::Reserved(_) if self.reading.strip_meta => {
                    map.next_value::<IgnoredAny>()?;
                }
                Field::Reserved(name) => {
                    return Err(de::Error::custom(format!(
                        "it carries {name}, which only clients may"
                    )));
                }
                Field::Column(place) => {
                    let column = &self.entity.columns[place];
                    let seed = ValueSeed {
                        kind: column.kind,
                        required: column.required,
                        reading: self.reading,
                    };
                    self.slots[place] = map.next_value_seed(seed)?;
                    expected = place + 1;
                }
                Field::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(id)
    }
}

enum Field {
    Id,
    Reserved(&'static str),
    Column(usize),
    Unknown,
}

/// Finds the column a key names. Rows usually list their columns in the same order, so the one after
/// the last is tried first.
struct FieldSeed<'s> {
    entity: &'s Entity,
    expected: usize,
}

impl<'a> DeserializeSeed<'a> for FieldSeed<'_> {
    type Value = Field;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Field, D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldSeed<'_> {
    type Value = Field;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a column name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Field, E> {
        let columns = &self.entity.columns;
        if columns
            .get(self.expected)
            .is_some_and(|column| column.name == name)
        {
            return Ok(Field::Column(self.expected));
        }
        Ok(match name {
            "id" => Field::Id,
            "_status" => Field::Reserved("_status"),
            "_changed" => Field::Reserved("_changed"),
            _ => columns
                .iter()
                .position(|column| column.name == name)
                .map_or(Field::Unknown, Field::Column),
        })
    }
}

struct IdSeed;

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
struct ValueSeed {
    kind: WireType,
    required: bool,
    reading: Reading,
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
            WireType::Number | WireType::Boolean if self.reading.coerce => self.parsed(text.trim()),
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
                if self.reading.js_numbers && number.unsigned_abs() > JS_EXACT =>
            {
                Slot::Integer(number as f64 as i64)
            }
            WireType::Number | WireType::Any => Slot::Integer(number),
            WireType::Boolean if matches!(number, 0 | 1) => Slot::Integer(number),
            WireType::Boolean if self.reading.coerce => Slot::Integer(1),
            WireType::String if self.reading.coerce => Slot::Text(Cow::Owned(number.to_string())),
            _ => self.fallback(),
        }
    }

    fn real<'a>(&self, number: f64) -> Slot<'a> {
        match self.kind {
            WireType::Number | WireType::Any if number == 0.0 => Slot::Integer(0),
            WireType::Number | WireType::Any => Slot::Real(number),
            WireType::Boolean if number == 1.0 => Slot::Integer(1),
            WireType::Boolean if number == 0.0 => Slot::Integer(0),
            WireType::Boolean if self.reading.coerce => Slot::Integer(1),
            WireType::String if self.reading.coerce => Slot::Text(Cow::Owned(number.to_string())),
            _ => self.fallback(),
        }
    }

    fn truth<'a>(&self, truth: bool) -> Slot<'a> {
        match self.kind {
            WireType::Boolean | WireType::Any => Slot::Integer(truth.into()),
            WireType::Number if self.reading.coerce => Slot::Integer(truth.into()),
            WireType::String if self.reading.coerce => Slot::Text(Cow::Owned(truth.to_string())),
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
        reading: Reading::default(),
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
            "no blob, and would come back as another; correct it, or give the column the type any in sync_track",
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
    use crate::providers::wire::WireColumn;

    fn entity() -> Entity {
        let column = |name: &str, kind, required| WireColumn {
            name: name.into(),
            kind,
            required,
        };
        Entity {
            name: "t".into(),
            columns: vec![
                column("s", WireType::String, true),
                column("n", WireType::Number, false),
                column("b", WireType::Boolean, true),
            ],
            integer_key: false,
        }
    }

    fn read(text: &str) -> Result<(WireId<'_>, Vec<Slot<'_>>), SyncError> {
        read_as(Reading::default(), text)
    }

    fn read_as(reading: Reading, text: &str) -> Result<(WireId<'_>, Vec<Slot<'_>>), SyncError> {
        let mut slots = Vec::new();
        let id = read_row(&entity(), reading, text.as_bytes(), &mut slots)?;
        Ok((id, slots))
    }

    #[test]
    fn meta_columns_may_be_passed_over() {
        let reading = Reading {
            strip_meta: true,
            ..Reading::default()
        };
        let text = r#"{"_status":"synced","id":"a","_changed":{"x":[1]},"n":2}"#;
        let (id, slots) = read_as(reading, text).unwrap();
        assert_eq!(
            (id, &slots[1]),
            (WireId::Text("a".into()), &Slot::Integer(2))
        );
    }

    #[test]
    fn integers_may_lose_digits_as_in_javascript() {
        let reading = Reading {
            js_numbers: true,
            ..Reading::default()
        };
        for (sent, kept) in [
            ("9007199254740993", Slot::Integer(9_007_199_254_740_992)),
            ("-9007199254740993", Slot::Integer(-9_007_199_254_740_992)),
            ("9007199254740991", Slot::Integer(9_007_199_254_740_991)),
            (
                "18446744073709551615",
                Slot::Real(18_446_744_073_709_551_615.0),
            ),
        ] {
            let text = format!(r#"{{"id":"a","n":{sent}}}"#);
            assert_eq!(read_as(reading, &text).unwrap().1[1], kept, "{sent}");
        }
    }

    #[test]
    fn values_may_be_converted() {
        let reading = Reading {
            coerce: true,
            ..Reading::default()
        };
        for (text, s, n, b) in [
            (
                r#"{"id":"a","s":5,"n":"5","b":"true"}"#,
                "5",
                Slot::Integer(5),
                1,
            ),
            (
                r#"{"id":"a","s":1.5,"n":" -1.5 ","b":7}"#,
                "1.5",
                Slot::Real(-1.5),
                1,
            ),
            (
                r#"{"id":"a","s":true,"n":true,"b":"0"}"#,
                "true",
                Slot::Integer(1),
                0,
            ),
            (
                r#"{"id":"a","s":[1],"n":"inf","b":"yes"}"#,
                "",
                Slot::Null,
                0,
            ),
            (r#"{"id":"a","s":null,"n":"","b":0.5}"#, "", Slot::Null, 1),
        ] {
            let (_, slots) = read_as(reading, text).unwrap();
            assert_eq!(slots, [Slot::Text(s.into()), n, Slot::Integer(b)], "{text}");
        }
    }

    #[test]
    fn values_are_sanitised_not_coerced() {
        let cases = [
            (
                r#"{"id":"a","s":"x","n":-0.0,"b":true}"#,
                "x",
                Slot::Integer(0),
                1,
            ),
            (r#"{"id":"a","s":5,"n":"5","b":1}"#, "", Slot::Null, 1),
            (
                r#"{"id":"a","s":null,"n":1.5,"b":"yes"}"#,
                "",
                Slot::Real(1.5),
                0,
            ),
            (
                r#"{"id":"a","s":{"x":[1]},"n":[],"b":2}"#,
                "",
                Slot::Null,
                0,
            ),
        ];
        for (text, s, n, b) in cases {
            let (_, slots) = read(text).unwrap();
            assert_eq!(slots, [Slot::Text(s.into()), n, Slot::Integer(b)], "{text}");
        }
    }

    #[test]
    fn what_only_javascript_reads_does_not_refuse_the_row() {
        let text = r#"{"id":"\udc00","s":"\ud83dx","n":1e400,"b":-1e999}"#;
        let (id, slots) = read(text).unwrap();
        assert_eq!(id, WireId::Text("\u{fffd}".into()));
        assert_eq!(
            slots,
            [Slot::Text("\u{fffd}x".into()), Slot::Null, Slot::Integer(0)]
        );
        assert!(read(r#"{"id":1e400}"#).is_err());
        assert_eq!(
            read_id(&entity(), br#""\ud83d""#).unwrap(),
            WireId::Text("\u{fffd}".into())
        );
    }

    #[test]
    fn large_integers_stay_exact() {
        let (_, slots) = read(r#"{"id":"a","n":9007199254740993}"#).unwrap();
        assert_eq!(slots[1], Slot::Integer(9_007_199_254_740_993));
        assert!(slots[0].is_missing());
    }

    #[test]
    fn rows_that_refuse_the_whole_answer() {
        for text in [
            r#"{"s":"no id"}"#,
            r#"{"id":null}"#,
            r#"{"id":true}"#,
            r#"{"id":1.5}"#,
            r#"{"id":["a"]}"#,
            r#"{"id":"a","_status":"synced"}"#,
            r#"{"id":"a","_changed":""}"#,
            r#""text""#,
            "5",
            "{",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ids_are_text_or_integers() {
        assert_eq!(read(r#"{"id":7}"#).unwrap().0, WireId::Integer(7));
        assert_eq!(read(r#"{"id":""}"#).unwrap().0, WireId::Text("".into()));
        assert_eq!(
            read_id(&entity(), b"\"x\\u0041\"").unwrap(),
            WireId::Text("xA".into())
        );
        assert!(read_id(&entity(), b"null").is_err());
    }

    #[test]
    fn prototype_names_are_ordinary() {
        assert!(read(r#"{"id":"a","__proto__":{"s":"x"},"constructor":1}"#).is_ok());
    }

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
