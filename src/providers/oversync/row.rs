//! Rows as they travel: one JSON object with all columns and the key, names in lower case.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::ground::{Affinity, SyncError, complaint, quoted, uuid};
use crate::providers::conversation::RowToSend;
use crate::providers::fit::sanitise;
use crate::providers::values::{write_column, write_json};
use crate::providers::wire::{ChangeKind, Entity, KeyType, Slot, WireColumn, WireType};
use crate::store::{ValueRef, shown};

/// How rows travel in a generation of the protocol.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// References that are NULL can be sent.
    pub null_references: bool,
    /// Integers beyond 2^53 travel as text.
    pub large_as_text: bool,
    /// Keys are UUIDs, in the usual spelling. Otherwise any text.
    pub uuids: bool,
}

/// The first integer that has no double of its own behind it.
const LARGE: u64 = 1 << 53;

/// Writes the payload of a row; `null` for one that is deleted.
///
/// # Errors
/// A key or a value that can't be carried, in words.
pub fn write_row(
    entity: &Entity,
    row: &RowToSend<'_>,
    dialect: Dialect,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let key = key(entity, row.id, dialect)?;
    if row.kind == ChangeKind::Deleted {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    out.push(b'{');
    write_json(out, &entity.key.to_lowercase())?;
    out.push(b':');
    write_json(out, &key)?;
    for (place, (column, value)) in entity.columns.iter().zip(row.values).enumerate() {
        let is_null = matches!(value, ValueRef::Null) && row.kept(place).is_none();
        if is_null && !dialect.null_references && entity.references.contains(&place) {
            // The server closes the connection on a reference that is null. What it has not, is null there too.
            if row.kind != ChangeKind::Created && row.changed.contains(&place) {
                return Err(format!(
                    "column {} refers to another row and was emptied, which this protocol can't carry; refer to a \
                     row, or delete this one and make it anew",
                    quoted(&column.name)
                ));
            }
            continue;
        }
        out.push(b',');
        write_json(out, &column.name.to_lowercase())?;
        out.push(b':');
        write(out, column, *value, row.kept(place), dialect)?;
    }
    out.push(b'}');
    Ok(())
}

/// The key as it is written on the wire.
fn key<'k>(entity: &Entity, key: ValueRef<'k>, dialect: Dialect) -> Result<Cow<'k, str>, String> {
    let id = match (entity.key_type, key) {
        (_, ValueRef::Null) => {
            return Err(
                "its key is NULL: rows without a key can't be told apart, so they are one here, and none of \
                 them is sent; give each a key"
                    .into(),
            );
        }
        (KeyType::Uuid, ValueRef::Blob(bytes)) => {
            let id = uuid::text(bytes).map(Cow::Owned);
            return id.ok_or_else(|| {
                format!(
                    "its key {} has {} bytes, and {} has UUIDs as its keys, blobs of 16 bytes; give it such a key",
                    shown(&key.to_owned()),
                    bytes.len(),
                    quoted(&entity.name)
                )
            });
        }
        (KeyType::Uuid, _) => {
            return Err(format!(
                "its key {} is {}, and {} has UUIDs as its keys, blobs of 16 bytes; give it such a key",
                quoted(&shown(&key.to_owned())),
                key.type_name(),
                quoted(&entity.name)
            ));
        }
        (_, ValueRef::Text(id)) => id,
        (_, ValueRef::Blob(_)) => {
            return Err(format!(
                "its key {} is a blob in a column that is not declared BLOB; declare it so, or store it as text",
                shown(&key.to_owned())
            ));
        }
        _ => {
            return Err(
                "its key is no text, and this protocol has no other keys; store it as text".into(),
            );
        }
    };
    if !dialect.uuids {
        return Ok(Cow::Borrowed(id));
    }
    match uuid::canonical(id) {
        Some(usual) if usual == id => Ok(Cow::Borrowed(id)),
        Some(usual) => Err(format!(
            "its key {} comes back as {}; write UUIDs in lower case and with hyphens",
            quoted(id),
            quoted(&usual)
        )),
        None => Err(format!(
            "its key {} is no UUID, and this protocol has no others",
            quoted(id)
        )),
    }
}

fn write(
    out: &mut Vec<u8>,
    column: &WireColumn,
    value: ValueRef<'_>,
    kept: Option<&str>,
    dialect: Dialect,
) -> Result<(), String> {
    match value {
        // The server would store it, and fail with every conflict of the row from then on.
        ValueRef::Text(text) if kept.is_none() && text.contains('\0') => Err(format!(
            "column {} holds text with the character U+0000, which this protocol can't carry",
            quoted(&column.name)
        )),
        ValueRef::Integer(whole)
            if kept.is_none() && dialect.large_as_text && whole.unsigned_abs() > LARGE =>
        {
            write_json(out, &whole.to_string())
        }
        // Integers stay integers, and reals reals.
        ValueRef::Real(real)
            if kept.is_none() && real.is_finite() && column.kind == WireType::Number =>
        {
            write_json(out, &real)
        }
        _ => {
            let kind = match column.kind {
                WireType::Boolean => WireType::Number,
                kind => kind,
            };
            write_column(out, column, kind, value, kept)
        }
    }
}

/// A value for each column of an entity, from a payload.
///
/// # Errors
/// What is no JSON object.
pub fn read_row(entity: &Entity, payload: &RawValue) -> Result<Vec<Slot<'static>>, SyncError> {
    read_with(entity, payload, |column, raw| Ok(sanitise(column, raw)))
}

/// The same, with `value` to read the JSON text of one.
///
/// # Errors
/// As [`read_row`]; those of `value`.
pub fn read_with(
    entity: &Entity,
    payload: &RawValue,
    value: impl Fn(&WireColumn, &str) -> Result<Slot<'static>, SyncError>,
) -> Result<Vec<Slot<'static>>, SyncError> {
    let members: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(payload.get()).map_err(|error| {
            SyncError::protocol(format!(
                "a row of {} is no JSON object: {}; nothing of this answer was applied",
                quoted(&entity.name),
                complaint(&error)
            ))
        })?;
    let columns = entity.columns.iter();
    columns
        .map(|column| match member(&members, &column.name) {
            Some(raw) => value(column, raw.get()),
            None => Ok(Slot::Missing),
        })
        .collect()
}

/// A value of a server that rounds integers beyond 2^53: one at the end of the 64 bits comes as the number behind it.
pub fn rounded(column: &WireColumn, raw: &str) -> Slot<'static> {
    match at_the_end(column, raw) {
        Some(whole) => Slot::Integer(whole),
        None => sanitise(column, raw),
    }
}

/// The integer that is meant by a number which none of 64 bits is.
fn at_the_end(column: &WireColumn, raw: &str) -> Option<i64> {
    // Two to the power of 63.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if column.kind != WireType::Number || column.holds.affinity != Affinity::Integer {
        return None;
    }
    let number: f64 = raw.parse().ok()?;
    match raw.parse::<i64>() {
        Err(_) if number == END => Some(i64::MAX),
        Err(_) if number == -END => Some(i64::MIN),
        _ => None,
    }
}

/// A member by the name of its column, which the wire has in lower case.
fn member<'a>(members: &HashMap<Cow<'_, str>, &'a RawValue>, name: &str) -> Option<&'a RawValue> {
    let found = members.get(name);
    let found = found.or_else(|| members.get(name.to_lowercase().as_str()));
    found.copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::wire::{Uuid, UuidForm};

    const ID: &str = "65249ca5-1c88-4ee5-a754-cfc30b925eb4";

    fn entity() -> Entity {
        Entity {
            name: "Post".into(),
            key: "ID".into(),
            references: vec![5],
            columns: vec![
                WireColumn::of("Title", WireType::String, "TEXT"),
                WireColumn::of("n", WireType::Number, "INTEGER"),
                WireColumn::of("x", WireType::Number, "REAL"),
                WireColumn::of("done", WireType::Boolean, "BOOLEAN"),
                WireColumn::of("data", WireType::Base64, "BLOB"),
                WireColumn::of("author", WireType::String, "TEXT"),
            ],
            key_type: KeyType::Text,
        }
    }

    fn written(
        kind: ChangeKind,
        id: &str,
        values: &[ValueRef<'_>],
        changed: &[usize],
    ) -> Result<String, String> {
        let mut out = Vec::new();
        let row = RowToSend {
            kind,
            id: ValueRef::Text(id),
            values,
            changed,
            kept: &[],
            version: None,
        };
        let dialect = Dialect {
            null_references: false,
            large_as_text: false,
            uuids: true,
        };
        write_row(&entity(), &row, dialect, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_travel_as_the_protocol_has_them() {
        let values = [
            ValueRef::Text("a\"b"),
            ValueRef::Integer(i64::MAX),
            ValueRef::Real(1.0),
            ValueRef::Integer(1),
            ValueRef::Blob(b""),
            ValueRef::Text("u"),
        ];
        assert_eq!(
            written(ChangeKind::Updated, ID, &values, &[]).unwrap(),
            format!(
                r#"{{"id":"{ID}","title":"a\"b","n":9223372036854775807,"x":1.0,"done":1,"data":"","author":"u"}}"#
            )
        );
        assert_eq!(written(ChangeKind::Deleted, ID, &[], &[]).unwrap(), "null");
    }

    #[test]
    fn r6_a_reference_that_is_null_is_left_out() {
        let values = [ValueRef::Null; 6];
        let without =
            format!(r#"{{"id":"{ID}","title":null,"n":null,"x":null,"done":null,"data":null}}"#);
        for (kind, changed) in [(ChangeKind::Created, &[5][..]), (ChangeKind::Updated, &[0])] {
            assert_eq!(written(kind, ID, &values, changed).as_ref(), Ok(&without));
        }
        let emptied = written(ChangeKind::Updated, ID, &values, &[5]).unwrap_err();
        assert!(
            emptied.contains("column \"author\" refers to another row"),
            "{emptied}"
        );
    }

    #[test]
    fn what_can_not_be_carried_is_named() {
        let text = |text| {
            let mut values = [ValueRef::Null; 6];
            values[0] = ValueRef::Text(text);
            written(ChangeKind::Updated, ID, &values, &[])
        };
        assert!(
            text("a\0b")
                .unwrap_err()
                .contains("column \"Title\" holds text with the character")
        );
        let mut values = [ValueRef::Null; 6];
        values[2] = ValueRef::Real(f64::INFINITY);
        let infinite = written(ChangeKind::Updated, ID, &values, &[]).unwrap_err();
        assert!(infinite.contains("infinite"), "{infinite}");
        for (id, said) in [
            ("7", "is no UUID"),
            (
                "65249CA5-1C88-4EE5-A754-CFC30B925EB4",
                "write UUIDs in lower case",
            ),
        ] {
            let problem = written(ChangeKind::Deleted, id, &[], &[]).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
    }

    #[test]
    fn line_1_a_key_that_is_a_blob_is_written_as_its_uuid_and_another_is_named() {
        let entity = Entity {
            key_type: KeyType::Uuid,
            columns: Vec::new(),
            references: Vec::new(),
            ..entity()
        };
        let blob = uuid::bytes(ID).unwrap();
        for dialect in [
            Dialect {
                null_references: false,
                large_as_text: false,
                uuids: true,
            },
            Dialect {
                null_references: true,
                large_as_text: true,
                uuids: false,
            },
        ] {
            let written = |id| {
                let row = RowToSend {
                    kind: ChangeKind::Created,
                    id,
                    values: &[],
                    changed: &[],
                    kept: &[],
                    version: None,
                };
                let mut out = Vec::new();
                write_row(&entity, &row, dialect, &mut out)?;
                Ok::<_, String>(String::from_utf8(out).unwrap())
            };
            assert_eq!(
                written(ValueRef::Blob(&blob)).unwrap(),
                format!(r#"{{"id":"{ID}"}}"#)
            );
            for (id, said) in [
                (
                    ValueRef::Blob(&[1, 2]),
                    "its key X'0102' has 2 bytes, and \"Post\"",
                ),
                (
                    ValueRef::Text(ID),
                    "is text, and \"Post\" has UUIDs as its keys",
                ),
                (ValueRef::Null, "its key is NULL"),
            ] {
                let problem = written(id).unwrap_err();
                assert!(problem.contains(said), "{problem}");
            }
        }
    }

    #[test]
    fn r7_both_spellings_of_a_reference_are_read_and_the_wanted_one_is_written() {
        let blob = uuid::bytes(ID).unwrap().to_vec();
        let base64 = "ZSScpRyITuWnVM/DC5JetA==";
        for there in [UuidForm::Text, UuidForm::Bytes] {
            let spelled = match there {
                UuidForm::Text => ID,
                UuidForm::Bytes => base64,
            };
            for (here, declared, local) in [
                (UuidForm::Bytes, "BLOB", Slot::Blob(blob.clone())),
                (UuidForm::Text, "TEXT", Slot::Text(ID.into())),
            ] {
                let column = WireColumn::of("file", WireType::Uuid(Uuid { here, there }), declared);
                for came in [ID, &ID.to_uppercase(), base64] {
                    assert_eq!(sanitise(&column, &format!("\"{came}\"")), local, "{came}");
                }
                let mut out = Vec::new();
                write_column(&mut out, &column, column.kind, local.value(), None).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), format!("\"{spelled}\""));
            }
        }
        // What is no UUID is a blob or a text as any other.
        let kind = WireType::Uuid(Uuid {
            here: UuidForm::Bytes,
            there: UuidForm::Text,
        });
        let column = WireColumn::of("file", kind, "BLOB");
        assert_eq!(sanitise(&column, "\"aGk=\""), Slot::Blob(b"hi".to_vec()));
        let mut out = Vec::new();
        write_column(&mut out, &column, kind, ValueRef::Blob(b"hi"), None).unwrap();
        assert_eq!(out, b"\"aGk=\"");
        assert!(write_column(&mut out, &column, kind, ValueRef::Text(ID), None).is_err());
    }

    #[test]
    fn a3_unknown_members_are_passed_over_and_missing_ones_say_nothing() {
        let payload = format!(
            r#"{{"id":"x{ID}","n":7,"stranger":[1],"title":null,"done":true,"data":"aGk="}}"#
        );
        let payload: Box<RawValue> = serde_json::from_str(&payload).unwrap();
        assert_eq!(
            read_row(&entity(), &payload).unwrap(),
            [
                Slot::Null,
                Slot::Integer(7),
                Slot::Missing,
                Slot::Integer(1),
                Slot::Blob(b"hi".to_vec()),
                Slot::Missing,
            ]
        );
        let list: Box<RawValue> = serde_json::from_str("[]").unwrap();
        assert!(read_row(&entity(), &list).is_err());
    }

    #[test]
    fn r12_the_number_behind_the_last_integer_is_the_last_integer() {
        for (raw, whole) in [
            ("9223372036854775808", Some(i64::MAX)),
            ("-9223372036854776000", Some(i64::MIN)),
            ("9.223372036854775808e18", Some(i64::MAX)),
            ("9223372036854775807", None),
            ("-9223372036854775808", None),
            ("9223372036854780000", None),
            ("\"9223372036854775808\"", None),
        ] {
            assert_eq!(at_the_end(&entity().columns[1], raw), whole, "{raw}");
        }
        assert_eq!(
            at_the_end(&entity().columns[2], "9223372036854775808"),
            None
        );
    }
}
