//! Rows of the WatermelonDB protocol: reading them strictly, sanitising their values, writing them.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use serde_json::value::RawValue;

use super::options::Reading;
use crate::ground::{SyncError, complaint, quoted};
use crate::providers::mend::mended;
use crate::providers::value_seed::ValueSeed;
use crate::providers::values::{IdSeed, whole};
use crate::providers::wire::{Entity, Slot, WireId};

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
            id.map(|id| match broken_id(text) {
                Some(json) => WireId::Broken(json.to_owned()),
                None => id.into_owned(),
            })
        }
    };
    id.ok_or_else(|| {
        SyncError::protocol(format!(
            "a row of {} has no id; nothing was applied",
            quoted(&entity.name)
        ))
    })
}

fn parse_row<'a>(
    entity: &Entity,
    reading: Reading,
    text: &'a [u8],
    slots: &mut Vec<Slot<'a>>,
) -> serde_json::Result<Option<WireId<'a>>> {
    let again = Cell::new(false);
    let mut parse = |again| {
        slots.clear();
        slots.resize_with(entity.columns.len(), Slot::default);
        let row = RowSeed {
            entity,
            reading,
            slots,
            again,
        };
        whole(row, text)
    };
    match parse(Some(&again)) {
        Ok(id) if !again.get() => Ok(id),
        _ => parse(None),
    }
}

/// Reads one element of a `deleted` list.
///
/// # Errors
/// It is neither text nor an integer.
pub fn read_id<'a>(entity: &Entity, text: &'a [u8]) -> Result<WireId<'a>, SyncError> {
    parse_id(text).or_else(|error| match mended(text) {
        Some(whole) => parse_id(&whole)
            .map(|_| WireId::Broken(String::from_utf8_lossy(text).into_owned()))
            .map_err(|error| refused(entity, &error)),
        None => Err(refused(entity, &error)),
    })
}

/// The JSON of a row's id, if that is text with half of a surrogate pair.
fn broken_id(row: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Row<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let row: Row<'_> = serde_json::from_slice(row).ok()?;
    let json = row.id.get();
    mended(json.as_bytes()).map(|_| json)
}

fn parse_id(text: &[u8]) -> serde_json::Result<WireId<'_>> {
    whole(IdSeed, text)
}

fn refused(entity: &Entity, error: &serde_json::Error) -> SyncError {
    SyncError::protocol(format!(
        "a row of {} can't be read, {}; nothing was applied",
        quoted(&entity.name),
        complaint(error)
    ))
}

struct RowSeed<'s, 'a> {
    entity: &'s Entity,
    reading: Reading,
    slots: &'s mut Vec<Slot<'a>>,
    /// See [`ValueSeed::again`].
    again: Option<&'s Cell<bool>>,
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
                        "it has {name}, which only clients may send"
                    )));
                }
                Field::Column(place) => {
                    let column = &self.entity.columns[place];
                    let seed = ValueSeed {
                        column,
                        leniency: self.reading.values,
                        again: self.again,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::fit::Leniency;
    use crate::providers::wire::{Holds, KeyType, WireColumn, WireType};

    fn entity() -> Entity {
        let column = |name: &str, kind, required| WireColumn {
            name: name.into(),
            kind,
            required,
            holds: Holds::default(),
        };
        Entity {
            name: "t".into(),
            columns: vec![
                column("s", WireType::String, true),
                column("n", WireType::Number, false),
                column("b", WireType::Boolean, true),
            ],
            key: "id".into(),
            references: Vec::new(),
            key_type: KeyType::Text,
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

    /// What the columns get.
    fn local(slots: Vec<Slot<'_>>) -> Vec<Slot<'static>> {
        let local = |slot| match slot {
            Slot::Kept(kept) => kept.local,
            slot => slot.into_owned(),
        };
        slots.into_iter().map(local).collect()
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
            values: Leniency {
                js_numbers: true,
                ..Leniency::default()
            },
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
            assert_eq!(local(read_as(reading, &text).unwrap().1)[1], kept, "{sent}");
        }
    }

    #[test]
    fn values_may_be_converted() {
        let reading = Reading {
            values: Leniency {
                coerce: true,
                ..Leniency::default()
            },
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
            assert_eq!(
                local(slots),
                [Slot::Text(s.into()), n, Slot::Integer(b)],
                "{text}"
            );
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
            assert_eq!(
                local(slots),
                [Slot::Text(s.into()), n, Slot::Integer(b)],
                "{text}"
            );
        }
    }

    #[test]
    fn what_only_javascript_reads_does_not_refuse_the_row() {
        let text = r#"{"id":"\udc00","s":"\ud83dx","n":1e400,"b":-1e999}"#;
        let (id, slots) = read(text).unwrap();
        assert_eq!(id, WireId::Broken(r#""\udc00""#.into()));
        assert_eq!(
            local(slots),
            [Slot::Text("\u{fffd}x".into()), Slot::Null, Slot::Integer(0)]
        );
        assert!(read(r#"{"id":1e400}"#).is_err());
        assert_eq!(
            read_id(&entity(), br#""\ud83d""#).unwrap(),
            WireId::Broken(r#""\ud83d""#.into())
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
}
