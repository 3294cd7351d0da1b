//! The changes of an upload, as they were sent and as they are understood.

use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::options::Options;
use crate::oversync::uuid;

/// A change as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub source_change_id: i64,
    pub schema: String,
    pub table: String,
    pub op: String,
    pub pk: String,
    /// The version that it is based on.
    pub server_version: i64,
    /// JSON; None: there was no such member.
    pub payload: Option<String>,
}

impl Change {
    /// The payload's value; null if there is none.
    pub fn values(&self) -> Value {
        let text = self.payload.as_deref().unwrap_or("null");
        serde_json::from_str(text).unwrap_or(Value::Null)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Insert,
    Update,
    Delete,
}

impl Op {
    pub fn name(self) -> &'static str {
        match self {
            Op::Insert => "INSERT",
            Op::Update => "UPDATE",
            Op::Delete => "DELETE",
        }
    }
}

/// A change that is well-formed, and in a table that is registered.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: i64,
    pub table: String,
    pub op: Op,
    /// The UUID in the usual spelling.
    pub pk: String,
    pub base: i64,
    /// Empty for a delete.
    pub payload: String,
}

/// Why a change is not taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub reason: &'static str,
    pub message: Option<String>,
    pub details: Value,
}

impl Refusal {
    pub fn new(reason: &'static str, message: impl Into<String>) -> Refusal {
        let message = message.into();
        Refusal {
            reason,
            details: json!({"error": message}),
            message: Some(message),
        }
    }

    fn bad(message: impl Into<String>) -> Refusal {
        Refusal::new("bad_payload", message)
    }

    pub fn missing(parents: &[String]) -> Refusal {
        Refusal {
            reason: "fk_missing",
            message: None,
            details: json!({ "missing": parents }),
        }
    }
}

type Members = HashMap<String, Box<RawValue>>;

/// The changes of a request. None: it is not understood, or one member of one change is of another type.
/// What follows the first value is not looked at.
pub fn read(body: &str) -> Option<Vec<Change>> {
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<Members>();
    let members = values.next()?.ok()?;
    number(&members, "last_server_seq_seen")?;
    let Some(changes) = members.get("changes") else {
        return Some(Vec::new());
    };
    let changes: Option<Vec<Members>> = serde_json::from_str(changes.get()).ok()?;
    changes.iter().flatten().map(read_change).collect()
}

fn read_change(members: &Members) -> Option<Change> {
    let payload = members.get("payload");
    Some(Change {
        source_change_id: number(members, "source_change_id")?,
        schema: text(members, "schema")?,
        table: text(members, "table")?,
        op: text(members, "op")?,
        pk: text(members, "pk")?,
        server_version: number(members, "server_version")?,
        payload: payload.map(|payload| payload.get().to_string()),
    })
}

/// A member's number; 0 if there is none, or null. None: it is no whole number of 64 bits.
fn number(members: &Members, name: &str) -> Option<i64> {
    let Some(value) = members.get(name) else {
        return Some(0);
    };
    let number: Option<i64> = serde_json::from_str(value.get()).ok()?;
    Some(number.unwrap_or_default())
}

/// A member's text; empty if there is none, or null.
fn text(members: &Members, name: &str) -> Option<String> {
    let Some(value) = members.get(name) else {
        return Some(String::new());
    };
    let text: Option<String> = serde_json::from_str(value.get()).ok()?;
    Some(text.unwrap_or_default())
}

/// The table and the row that a change names, as far as it does, whatever else is wrong with it.
pub fn named(change: &Change) -> Option<(String, String)> {
    Some((normal(&change.table), uuid::parse(&change.pk)?))
}

/// The operation that a change names.
pub fn op(change: &Change) -> Option<Op> {
    match change.op.trim().to_ascii_uppercase().as_str() {
        "INSERT" => Some(Op::Insert),
        "UPDATE" => Some(Op::Update),
        "DELETE" => Some(Op::Delete),
        _ => None,
    }
}

/// Looks at a change by itself.
pub fn check(change: &Change, options: &Options) -> Result<Known, Refusal> {
    let schema = match normal(&change.schema) {
        schema if schema.is_empty() => "public".to_string(),
        schema => schema,
    };
    if !is_name(&schema) {
        let message = format!("bad_payload: invalid schema name {:?}", change.schema);
        return Err(Refusal::bad(message));
    }
    let table = normal(&change.table);
    if !is_name(&table) {
        let message = format!("bad_payload: invalid table name {:?}", change.table);
        return Err(Refusal::bad(message));
    }
    let op = op(change).ok_or_else(|| {
        let op = change.op.trim().to_ascii_uppercase();
        Refusal::bad(format!("invalid operation: {op}"))
    })?;
    let pk = uuid::parse(&change.pk).ok_or_else(|| {
        let message = format!("bad_payload: invalid UUID format: {}", change.pk);
        Refusal::bad(message)
    })?;
    let payload = check_payload(change, op, options)?;
    let is_registered = schema == options.schema && options.tables.iter().any(|t| t.name == table);
    if !is_registered {
        return Err(Refusal {
            reason: "unregistered_table",
            message: Some(format!("table not registered {schema}.{table}")),
            details: json!({"schema": schema, "table": table}),
        });
    }
    Ok(Known {
        id: change.source_change_id,
        table,
        op,
        pk,
        base: change.server_version,
        payload,
    })
}

fn check_payload(change: &Change, op: Op, options: &Options) -> Result<String, Refusal> {
    if op == Op::Delete {
        return match change.payload {
            Some(_) => Err(Refusal::bad("DELETE must not include payload")),
            None => Ok(String::new()),
        };
    }
    let Some(payload) = &change.payload else {
        let message = format!("payload required for {} operation", op.name());
        return Err(Refusal::bad(message));
    };
    if let Some(most) = options.max_payload
        && payload.len() > most
    {
        let message = format!("bad_payload: payload too large: {} > {most}", payload.len());
        return Err(Refusal::bad(message));
    }
    if super::json::members(payload).is_none() {
        return Err(Refusal::bad("invalid JSON payload"));
    }
    Ok(payload.clone())
}

fn normal(name: &str) -> String {
    name.trim().to_lowercase()
}

pub fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_letter)
}
