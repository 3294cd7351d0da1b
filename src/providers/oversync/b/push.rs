//! A bundle on its way up: opening it, filling it, committing it.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::hash::{BundleHash, HashedRow, Version};
use super::rows::RowKey;
use super::terms::Terms;
use crate::ground::{SyncError, complaint};
use crate::providers::conversation::{ParcelRow, ParcelRows};
use crate::providers::oversync::wire::{in_json, key, op};
use crate::providers::sink::{Image, Sent, Sink, Verdict};
use crate::providers::wire::{ChangeKind, Slot};

/// The body that opens a bundle of so many rows. `hash`: see [`request_hash`].
pub fn opening(
    number: i64,
    rows: u64,
    initialization: Option<&str>,
    hash: Option<&str>,
) -> Vec<u8> {
    let mut body = json!({"source_bundle_id": number, "planned_row_count": rows});
    if let Some(hash) = hash {
        body["canonical_request_hash"] = hash.into();
    }
    if let Some(id) = initialization {
        body["initialization_id"] = id.into();
    }
    body.to_string().into_bytes()
}

/// The hash of a bundle as it is sent.
///
/// # Errors
/// Reading the parcel.
pub fn request_hash(terms: Terms<'_>, parcel: &dyn ParcelRows) -> io::Result<String> {
    let mut hash = BundleHash::new(terms.revision);
    parcel.in_order(&mut |entity, row| {
        hash.add(&HashedRow {
            schema: terms.tables.schema(),
            table: terms.tables.name(entity),
            key: key_json(terms, entity, row)?.as_bytes(),
            op: op(row.kind),
            version: Version::Base(row.base.unwrap_or(0)),
            payload: &terms.hashed(entity, row.content)?,
        });
        Ok(())
    })?;
    Ok(hash.finish())
}

/// What became of the request to open a bundle.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// Rows can be put in. The hash is that of the request, where the server repeats it.
    Staging(String, Option<String>),
    /// The server has a bundle of that number, see [`Committed`].
    Committed(Committed),
}

/// A bundle that the server has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Committed {
    pub bundle_seq: i64,
    pub row_count: i64,
    pub bundle_hash: String,
    /// The hash of its request. None of the earlier revision, and of what came there before the later one.
    #[serde(default)]
    pub canonical_request_hash: Option<String>,
}

impl Committed {
    /// The hash of its request, where the server says it.
    pub fn request(&self) -> Option<&str> {
        let hash = self.canonical_request_hash.as_deref();
        hash.filter(|hash| !hash.is_empty())
    }

    /// Whether it is what came of a request; where one of the two hashes is missing, it may be.
    pub fn is_of(&self, hash: Option<&str>) -> bool {
        self.request()
            .is_none_or(|theirs| hash.is_none_or(|ours| ours == theirs))
    }
}

/// Reads the answer to [`opening`].
///
/// # Errors
/// An answer that breaks the protocol.
pub fn read_opened(body: &[u8]) -> Result<Opened, SyncError> {
    #[derive(Deserialize)]
    struct Answer {
        status: String,
        push_id: Option<String>,
        canonical_request_hash: Option<String>,
    }
    let answer: Answer = parsed(body)?;
    match (answer.status.as_str(), answer.push_id) {
        ("staging", Some(id)) => Ok(Opened::Staging(id, answer.canonical_request_hash)),
        ("already_committed", _) => read_committed(body).map(Opened::Committed),
        (other, _) => Err(SyncError::protocol(
            "the answer to the opening of a bundle has a status that this version does not know; nothing was sent",
        )
        .saying(other)),
    }
}

/// Reads what a commit came to.
///
/// # Errors
/// An answer that breaks the protocol.
pub fn read_committed(body: &[u8]) -> Result<Committed, SyncError> {
    parsed(body)
}

/// How many rows the server has of a bundle that is being filled.
///
/// # Errors
/// An answer that breaks the protocol.
pub fn read_filled(body: &[u8]) -> Result<u64, SyncError> {
    #[derive(Deserialize)]
    struct Answer {
        next_expected_row_ordinal: u64,
    }
    let answer: Answer = parsed(body)?;
    Ok(answer.next_expected_row_ordinal)
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, SyncError> {
    serde_json::from_slice(body).map_err(|error| {
        SyncError::protocol(format!(
            "the answer to the upload can't be read: {}; the rows stay pending",
            complaint(&error)
        ))
    })
}

/// Writes rows of the parcel, from one on, and at most so many.
///
/// # Errors
/// Reading the parcel, writing.
pub fn write_rows(
    terms: Terms<'_>,
    (start, most): (u64, u64),
    parcel: &dyn ParcelRows,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "{{\"start_row_ordinal\":{start},\"rows\":[")?;
    let (mut place, mut comma) = (0, "");
    parcel.in_order(&mut |entity, row| {
        let is_meant = (start..start.saturating_add(most)).contains(&place);
        place += 1;
        if !is_meant {
            return Ok(());
        }
        out.write_all(std::mem::replace(&mut comma, ",").as_bytes())?;
        write_row(terms, entity, row, out)
    })?;
    write!(out, "]}}")
}

fn write_row(
    terms: Terms<'_>,
    entity: usize,
    row: &ParcelRow<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(
        out,
        r#"{{"schema":{},"table":{},"key":{},"op":"{}","base_row_version":{}"#,
        in_json(terms.tables.schema())?,
        in_json(terms.tables.name(entity))?,
        key_json(terms, entity, row)?,
        op(row.kind),
        row.base.unwrap_or(0)
    )?;
    if row.kind != ChangeKind::Deleted {
        write!(out, ",\"payload\":{}", terms.payload(entity, row.content)?)?;
    }
    write!(out, "}}")
}

/// The key of a row: an object with one member.
fn key_json(terms: Terms<'_>, entity: usize, row: &ParcelRow<'_>) -> io::Result<String> {
    let entity = terms.tables.entity(entity);
    let name = in_json(&entity.key.to_lowercase())?;
    Ok(format!("{{{name}:{}}}", key(entity, row)?))
}

/// The row that keeps a bundle from being committed.
#[derive(Deserialize)]
struct Conflict<'a> {
    table: String,
    key: RowKey,
    #[serde(default)]
    server_row_version: i64,
    #[serde(default)]
    server_row_deleted: bool,
    #[serde(borrow)]
    server_row: Option<&'a RawValue>,
}

/// Reads an answer by which a commit is refused. False when it is not about a row: nothing is told then.
///
/// # Errors
/// An answer that breaks the protocol; those of the sink.
pub fn read_conflict(
    terms: Terms<'_>,
    body: &[u8],
    sink: &mut dyn Sink,
) -> Result<bool, SyncError> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        conflict: Option<Conflict<'a>>,
    }
    let answer: Answer<'_> = serde_json::from_slice(body).unwrap_or(Answer { conflict: None });
    let Some(conflict) = answer.conflict else {
        return Ok(false);
    };
    let Some(entity) = terms.tables.place(&conflict.table) else {
        return Err(SyncError::protocol(
            "the answer has a conflict about a table of which nothing was sent; the rows stay pending",
        )
        .saying(&conflict.table));
    };
    let slots: Option<Vec<Slot<'static>>> = match conflict.server_row {
        Some(row) if !conflict.server_row_deleted => Some(terms.read(entity, row)?),
        _ => None,
    };
    let image = Image {
        entity,
        slots: slots.as_deref(),
        // It may have no such row, nor remember one.
        version: Some(conflict.server_row_version).filter(|version| *version > 0),
    };
    let id = conflict.key.text();
    sink.verdict(Sent::Row(entity, &id), Verdict::Conflict(Some(image)))?;
    sink.verdict(Sent::Rest, Verdict::Untouched)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_14_a_bundle_is_known_by_the_hash_of_its_request() {
        let committed = |hash: &str| {
            let body = format!(
                r#"{{"bundle_seq":1,"source_id":"s","source_bundle_id":1,"row_count":1,"bundle_hash":"h"{hash}}}"#
            );
            read_committed(body.as_bytes()).unwrap()
        };
        for (said, is_ours) in [
            (r#","canonical_request_hash":"ours""#, true),
            (r#","canonical_request_hash":"theirs""#, false),
            // It came before there were such hashes.
            (r#","canonical_request_hash":"""#, true),
            (r#","canonical_request_hash":null"#, true),
            ("", true),
        ] {
            assert_eq!(committed(said).is_of(Some("ours")), is_ours, "{said}");
            assert!(committed(said).is_of(None), "{said}");
        }
        let staging = r#"{"status":"staging","push_id":"p","canonical_request_hash":"ours"}"#;
        let opened = Opened::Staging("p".into(), Some("ours".into()));
        assert_eq!(read_opened(staging.as_bytes()), Ok(opened));
        let body = opening(7, 2, Some("i"), Some("ours"));
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            json!({"source_bundle_id": 7, "planned_row_count": 2, "initialization_id": "i",
                "canonical_request_hash": "ours"})
        );
    }
}
