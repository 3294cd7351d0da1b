//! The rows of a chunk: what is wrong with them before the database is asked.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::answer::{Answer, Answered};
use super::cell::is_canonical_uuid;
use super::later;
use super::request::{member, text, whole};
use super::rows::Effect;
use super::state::{Service, StagedRow};
use super::tables::{Kind, Table};
use crate::switches::Switches;

/// The column that the server keeps for itself.
const OWNER: &str = "_sync_scope_id";

/// A row whose members have the right types.
pub struct TypedRow {
    schema: String,
    table: String,
    key: Map<String, Value>,
    op: String,
    base: i64,
    payload: Option<Value>,
    sent: Value,
}

/// The rows, if the members of each have the right types.
pub fn typed(rows: Vec<Value>) -> Option<Vec<TypedRow>> {
    rows.into_iter().map(typed_row).collect()
}

fn typed_row(sent: Value) -> Option<TypedRow> {
    let row = sent.as_object()?;
    Some(TypedRow {
        schema: text(row, "schema")?,
        table: text(row, "table")?,
        key: member(row, "key")?,
        op: text(row, "op")?,
        base: whole(row, "base_row_version")?,
        payload: row.get("payload").cloned(),
        sent,
    })
}

/// 400 for a chunk.
pub fn invalid(message: &str) -> Answer {
    Answer::error(400, "push_chunk_invalid", message)
}

/// The rows ready to be staged, or what is wrong with the first that is wrong.
pub fn checked(
    service: &Service,
    rows: &[TypedRow],
    switches: &Switches,
) -> Answered<Vec<StagedRow>> {
    if rows.is_empty() {
        return Err(invalid("rows must not be empty"));
    }
    let limit = service.options.limits.rows_per_push_chunk;
    if rows.len() as i64 > limit {
        return Err(invalid(&format!(
            "rows length {} exceeds max_rows_per_push_chunk {limit}",
            rows.len()
        )));
    }
    let mut seen = HashSet::new();
    let mut staged = Vec::with_capacity(rows.len());
    for row in rows {
        let row = checked_row(service, row)?;
        let name = &service.declared(row.table).name;
        if let Some(reason) = switches.rejection(name, &row.key) {
            return Err(invalid(reason));
        }
        if !seen.insert((row.table, row.key.clone())) {
            return Err(invalid(&format!(
                "duplicate target row in push request: {} {}",
                service.full_name(row.table),
                row.key
            )));
        }
        staged.push(row);
    }
    Ok(staged)
}

fn checked_row(service: &Service, row: &TypedRow) -> Answered<StagedRow> {
    let schema = Some(normal(&row.schema)).filter(|name| !name.is_empty());
    let schema = schema.unwrap_or_else(|| "public".to_string());
    if !is_name(&schema) {
        return Err(invalid(&format!("invalid schema name {schema:?}")));
    }
    let table = normal(&row.table);
    if !is_name(&table) {
        return Err(invalid(&format!("invalid table name {table:?}")));
    }
    let op = match row.op.trim().to_ascii_uppercase().as_str() {
        "INSERT" => Effect::Insert,
        "UPDATE" => Effect::Update,
        "DELETE" => Effect::Delete,
        other => return Err(invalid(&format!("invalid op {other:?}"))),
    };
    let known = service
        .table(&table)
        .filter(|_| schema == service.options.schema);
    let Some(place) = known else {
        return Err(invalid(&format!(
            "table {schema}.{table} is not registered"
        )));
    };
    let name = service.full_name(place);
    let key = checked_key(&name, service.declared(place), &row.key)?;
    let payload = checked_payload(service, place, &key, op, row.payload.as_ref())?;
    Ok(StagedRow {
        table: place,
        key,
        op,
        base: row.base,
        payload,
        sent: row.sent.clone(),
    })
}

fn normal(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_allowed)
}

/// Capitals pass here, and nowhere else.
fn is_column(name: &str) -> bool {
    is_name(&name.to_ascii_lowercase()) && !name.starts_with(|first: char| first.is_ascii_digit())
}

fn checked_key(name: &str, table: &Table, key: &Map<String, Value>) -> Answered<String> {
    let column = table.key();
    let Some(value) = key.get(column) else {
        return Err(invalid(&format!(
            "row key for {name} must include {column:?}"
        )));
    };
    let Some(text) = value.as_str() else {
        return Err(invalid(&format!(
            "row key {name}.{column} must be a string"
        )));
    };
    if table.columns[0].kind == Kind::Uuid && !is_canonical_uuid(text) {
        return Err(invalid(&format!(
            "row key {name}.{column} must use canonical dashed lowercase UUID text"
        )));
    }
    Ok(text.to_string())
}

fn checked_payload(
    service: &Service,
    place: usize,
    key: &str,
    op: Effect,
    payload: Option<&Value>,
) -> Answered<Option<Map<String, Value>>> {
    let name = service.full_name(place);
    let table = service.declared(place);
    let payload = match (op, payload) {
        (Effect::Delete, None) => return Ok(None),
        (Effect::Delete, Some(_)) => {
            return Err(invalid(&format!(
                "DELETE for {name} must not include payload"
            )));
        }
        (_, None) => {
            return Err(invalid(&format!(
                "{} for {name} requires payload",
                op.name()
            )));
        }
        (_, Some(Value::Object(payload))) => payload,
        (_, Some(_)) => {
            return Err(invalid(&format!(
                "payload for {name} must be a JSON object"
            )));
        }
    };
    for column in payload.keys() {
        if column == OWNER {
            return Err(invalid(&format!(
                "payload for {name} must not include hidden scope column {column:?}"
            )));
        }
        if !is_column(column) {
            return Err(invalid(&format!(
                "payload for {name} contains invalid column {column:?}"
            )));
        }
    }
    let given = payload.get(table.key());
    if given.is_some_and(|given| given.as_str() != Some(key)) {
        return Err(invalid(&format!(
            "payload key {name}.{} must match request key",
            table.key()
        )));
    }
    for column in table
        .columns
        .iter()
        .filter(|column| column.kind == Kind::Bytes)
    {
        check_blob(
            &format!("{name}.{}", column.name),
            payload.get(&column.name),
        )?;
    }
    later::check_values(service, &name, table, payload)?;
    Ok(Some(payload.clone()))
}

fn check_blob(field: &str, value: Option<&Value>) -> Answered<()> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(text)) if STANDARD.decode(text).is_ok() => Ok(()),
        Some(Value::String(_)) => Err(invalid(&format!(
            "payload binary field {field} must be valid base64"
        ))),
        Some(_) => Err(invalid(&format!(
            "payload binary field {field} must be a base64 string"
        ))),
    }
}
