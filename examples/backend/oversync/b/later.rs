//! What the later revision of the protocol does otherwise. Nothing here was ever compared with a
//! server of that revision; it follows its description.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value};

use super::answer::{Answer, Answered, described, query_number};
use super::bundle::{BundleRow, hash, hex};
use super::cell::Cell;
use super::chunk;
use super::image::{self, Image};
use super::request::text;
use super::spelling::{Object, array, quoted, shortest};
use super::state::{Service, Snapshot, SnapshotRow, StagedRow, State, User};
use super::tables::{Kind, Table};

pub fn is_on(service: &Service) -> bool {
    service.is_later.load(Ordering::Relaxed)
}

/// The hash that must come with a new push session.
pub fn request_hash(service: &Service, request: &Map<String, Value>) -> Answered<Option<String>> {
    if !is_on(service) {
        return Ok(None);
    }
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match text(request, "canonical_request_hash") {
        Some(hash) if hash.len() == 64 && hash.bytes().all(is_digit) => Ok(Some(hash)),
        _ => {
            let message = "canonical_request_hash must be 64 lowercase hexadecimal digits";
            Err(Answer::error(400, "push_session_invalid", message))
        }
    }
}

/// The answer with the hash of the request, where there is one.
pub fn echoed(answer: Object, hash: Option<&str>) -> Object {
    match hash {
        Some(hash) => answer.text("canonical_request_hash", hash),
        None => answer,
    }
}

/// Whether the rows hash to what was said of them.
pub fn check_hash(service: &Service, said: Option<&str>, rows: &[StagedRow]) -> Answered<()> {
    let Some(said) = said else {
        return Ok(());
    };
    let hash = hash_of_request(service, rows);
    if hash == said {
        return Ok(());
    }
    let message = format!("canonical_request_hash {said} does not match staged rows: {hash}");
    Err(Answer::error(400, "push_commit_invalid", &message))
}

fn hash_of_request(service: &Service, rows: &[StagedRow]) -> String {
    let rows = rows.iter().enumerate().map(|(ordinal, row)| {
        let table = service.declared(row.table);
        let payload = row.payload.as_ref();
        let payload = payload.map(|payload| sorted(&Value::Object(payload.clone())));
        Object::new()
            .raw("base_row_version", &quoted(&row.base.to_string()))
            .raw(
                "key",
                &format!("{{{}:{}}}", quoted(table.key()), quoted(&row.key)),
            )
            .raw("op", &quoted(row.op.name()))
            .raw("payload", payload.as_deref().unwrap_or("null"))
            .raw("row_ordinal", &quoted(&ordinal.to_string()))
            .raw("schema", &quoted(&service.options.schema))
            .raw("table", &quoted(&table.name))
            .end()
    });
    hex(&array(rows))
}

/// JSON with the members of objects in order.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut members: Vec<(&String, &Value)> = object.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let mut out = Object::new();
            for (name, value) in members {
                out = out.raw(name, &sorted(value));
            }
            out.end()
        }
        Value::Array(items) => array(items.iter().map(sorted)),
        other => other.to_string(),
    }
}

/// Keeps the hash with the bundle that the request became.
pub fn remember_hash(user: &mut User, seq: i64, hash: Option<String>) {
    if let Some(bundle) = user.bundles.get_mut(&seq) {
        bundle.request_hash = hash;
    }
}

/// Hash of the rows of a bundle; in this revision counters are texts in it, and nothing is escaped.
pub fn bundle_hash(service: &Service, rows: &[BundleRow]) -> String {
    let schema = &service.options.schema;
    if !is_on(service) {
        return hash(schema, rows);
    }
    let rows = rows.iter().enumerate().map(|(ordinal, row)| {
        let key: Value = serde_json::from_str(&row.key).unwrap_or_default();
        Object::new()
            .raw("key", &key.to_string())
            .raw("op", &quoted(row.op.name()))
            .raw("payload", row.payload.as_deref().unwrap_or("null"))
            .raw("row_ordinal", &quoted(&ordinal.to_string()))
            .raw("row_version", &quoted(&row.version.to_string()))
            .raw("schema", &quoted(schema))
            .raw("table", &quoted(&row.table))
            .end()
    });
    hex(&array(rows))
}

/// A row as it stands in bundles.
pub fn bundle_image(service: &Service, table: &Table, cells: &[Cell]) -> String {
    if !is_on(service) {
        return image::in_a_bundle(table, cells, &service.options.defects);
    }
    let names = table.columns.iter().map(|column| column.name.as_str());
    let mut members: Vec<(&str, &Cell)> = names.zip(cells).collect();
    members.sort_by_key(|(name, _)| *name);
    let mut out = Object::new();
    for (name, cell) in members {
        let value = match cell {
            Cell::Int(number) => quoted(&number.to_string()),
            Cell::Real(number) if number.is_finite() => quoted(&shortest(*number)),
            other => other.in_the_database(),
        };
        out = out.raw(name, &value);
    }
    out.end()
}

/// A row as it stands in snapshots and conflicts.
pub fn row_image(service: &Service, table: &Table, cells: &[Cell]) -> Image {
    if !is_on(service) {
        return image::in_a_snapshot(table, cells, &service.options.defects);
    }
    let json = bundle_image(service, table, cells);
    Image {
        bytes: json.len() as i64,
        json,
    }
}

/// Numbers travel as texts in their one spelling, and booleans as "0" and "1".
pub fn check_values(
    service: &Service,
    name: &str,
    table: &Table,
    payload: &Map<String, Value>,
) -> Answered<()> {
    if !is_on(service) {
        return Ok(());
    }
    for column in &table.columns {
        let Some(value) = payload.get(&column.name).filter(|value| !value.is_null()) else {
            continue;
        };
        let text = value.as_str();
        let is_canonical = match column.kind {
            Kind::BigInt => text.is_some_and(|text| is_same(text, text.parse::<i64>().ok())),
            Kind::Double => text.is_some_and(is_canonical_real),
            Kind::Boolean => matches!(text, Some("0" | "1")),
            _ => true,
        };
        if !is_canonical {
            let column = &column.name;
            return Err(chunk::invalid(&format!(
                "payload numeric field {name}.{column} must be a canonical string"
            )));
        }
    }
    Ok(())
}

fn is_same(text: &str, number: Option<i64>) -> bool {
    number.is_some_and(|number| number.to_string() == text)
}

fn is_canonical_real(text: &str) -> bool {
    let number: Option<f64> = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.is_some_and(|number| shortest(number) == text)
}

/// 409 for a cursor that nobody has reached.
pub fn check_checkpoint(service: &Service, after: i64, head: i64) -> Answered<()> {
    if !is_on(service) || after <= head {
        return Ok(());
    }
    let message = format!(
        "requested checkpoint {after} is ahead of current committed bundle sequence {head}"
    );
    Err(Answer::error(409, "checkpoint_ahead", &message))
}

/// 429 while too many snapshots are being made.
pub fn check_capacity(service: &Service, state: &mut State) -> Answered<()> {
    check_busy(service, &mut state.busy_builds, "snapshot_build_capacity")
}

/// 429 while too many pages are being read.
pub fn check_page_capacity(service: &Service, state: &mut State) -> Answered<()> {
    check_busy(service, &mut state.busy_pages, "snapshot_chunk_capacity")
}

fn check_busy(service: &Service, busy: &mut u32, error: &str) -> Answered<()> {
    if !is_on(service) || *busy == 0 {
        return Ok(());
    }
    *busy -= 1;
    Err(Answer {
        retry_after: Some(1),
        ..Answer::error(429, error, "Too many requests of this kind at once")
    })
}

/// 409 for a row that is too large for any page.
pub fn check_row_sizes(service: &Service, rows: &[SnapshotRow]) -> Answered<()> {
    let limit = service.options.limits.bytes_per_snapshot_row;
    let largest = rows.iter().map(|row| row.bytes).max().unwrap_or(0);
    if !is_on(service) || largest <= limit {
        return Ok(());
    }
    let message = format!("a snapshot row has {largest} bytes, the limit is {limit}");
    let answer = described("snapshot_session_limit_exceeded", &message)
        .text("dimension", "row_bytes")
        .number("actual", largest)
        .number("limit", limit);
    Err(Answer::json(409, answer.end()))
}

/// How many bytes of rows a page may have; None: any number.
pub fn page_bytes(service: &Service, query: &[(String, String)]) -> Answered<Option<i64>> {
    const INVALID: &str = "snapshot_chunk_invalid";
    if !is_on(service) {
        return Ok(None);
    }
    let limit = service.options.limits.bytes_per_snapshot_chunk;
    match query_number(query, "max_bytes", INVALID)? {
        Some(bytes) if bytes > 0 => Ok(Some(bytes.min(limit))),
        _ => Err(Answer::error(400, INVALID, "max_bytes must be > 0")),
    }
}

/// Where a page ends that begins at `start`, may have rows up to `end`, and so many bytes.
pub fn page_end(
    snapshot: &Snapshot,
    start: usize,
    end: usize,
    most_bytes: Option<i64>,
) -> Answered<usize> {
    let Some(most) = most_bytes else {
        return Ok(end);
    };
    let mut bytes = 0;
    for (place, row) in snapshot.rows[start..end].iter().enumerate() {
        bytes += row.bytes;
        if bytes <= most {
            continue;
        }
        if place > 0 {
            return Ok(start + place);
        }
        let message = format!("the next row needs {bytes} bytes, max_bytes is {most}");
        let answer =
            described("snapshot_chunk_too_small", &message).number("required_byte_count", bytes);
        return Err(Answer::json(400, answer.end()));
    }
    Ok(end)
}
