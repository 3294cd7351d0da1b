//! Sending one change: the request of its function, and what the answer says of the row.

use std::hash::{BuildHasher, RandomState};
use std::io::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::function::{Function, Writes};
use super::options::Options;
use super::request;
use super::template::Values;
use crate::ground::{SyncError, quoted};
use crate::providers::conversation::{AboutParcel, Ask, AskBody, ParcelRow, RowToSend};
use crate::providers::fit::sanitise;
use crate::providers::values::{agree, write_column, write_json, write_value};
use crate::providers::wire::{ChangeKind, Entity, KeyType, Slot, WireType};
use crate::store::ValueRef;

/// Statuses whose answers say what became of the row: it is not there, or another state of it is.
pub const READ: &[u16] = &[404, 409, 410, 412];

/// The same of a new row that was sent before: a backend may say in many ways that it is there.
pub const READ_AGAIN: &[u16] = &[400, 404, 409, 410, 412, 422];

/// Statuses by which the backend refuses the row for good.
const REFUSALS: &[u16] = &[400, 402, 403, 405, 413, 415, 422];

/// The same of a new row that was sent before.
const REFUSALS_AGAIN: &[u16] = &[402, 403, 405, 413, 415];

/// A change that is to be sent.
#[derive(Debug, Clone)]
pub struct Change {
    pub entity: usize,
    pub kind: ChangeKind,
    pub id: String,
    /// Names this change for good, however often it is sent.
    nonce: String,
    /// All columns, by their names on the wire; empty of a deleted row.
    pub row: Map<String, Json>,
    changed: Vec<String>,
    /// It was sent before, and nobody knows whether it arrived.
    pub resent: bool,
}

/// Writes a row as [`Change::read`] reads it.
///
/// # Errors
/// A value that can't be carried, in words.
pub fn encode(entity: &Entity, row: &RowToSend<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    if matches!(row.id, ValueRef::Null) {
        return Err("its key is NULL: rows without a key can't be told apart, so none of them is sent; give each a key".into());
    }
    out.extend_from_slice(b"{\"key\":");
    let kind = match entity.key_type {
        KeyType::Integer => WireType::Number,
        _ => WireType::Any,
    };
    write_value(out, kind, row.id)?;
    out.extend_from_slice(b",\"row\":{");
    if row.kind != ChangeKind::Deleted {
        for (place, (column, value)) in entity.columns.iter().zip(row.values).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write_json(out, &column.name)?;
            out.push(b':');
            write_column(out, column, column.kind, *value, row.kept(place))?;
        }
    }
    let changed: Vec<&str> = row
        .changed
        .iter()
        .map(|place| entity.columns[*place].name.as_str())
        .collect();
    out.extend_from_slice(b"},\"changed\":");
    write_json(out, &changed)?;
    out.extend_from_slice(b",\"nonce\":");
    write_json(out, &nonce())?;
    out.write_all(b"}").map_err(|error| error.to_string())
}

impl Change {
    /// # Errors
    /// A content that was not written by [`encode`].
    pub fn read(entity: usize, row: &ParcelRow<'_>, resent: bool) -> Option<Self> {
        let content: Map<String, Json> = serde_json::from_str(row.content).ok()?;
        let names = content.get("changed").and_then(Json::as_array);
        Some(Self {
            entity,
            kind: row.kind,
            id: super::template::plain(content.get("key")?),
            nonce: content
                .get("nonce")
                .and_then(Json::as_str)
                .unwrap_or_default()
                .to_owned(),
            row: content
                .get("row")
                .and_then(Json::as_object)
                .cloned()
                .unwrap_or_default(),
            changed: names
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            resent,
        })
    }

    /// Whether a row of the backend is what was sent.
    pub fn is_same(&self, entity: &Entity, slots: &[Slot<'_>]) -> bool {
        let mut columns = entity.columns.iter().enumerate();
        let stamp = entity.stamp();
        columns.all(|(place, column)| {
            let sent = self
                .row
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(&column.name));
            let sent = sent.map(|(_, value)| sanitise(column, &value.to_string()));
            match (sent, &slots[place]) {
                _ if Some(place) == stamp => true,
                (_, Slot::Missing) | (None, _) => true,
                (Some(sent), came) => agree(column, &sent, came),
            }
        })
    }

    fn key(&self, entity: &Entity) -> Json {
        match entity.key_type {
            KeyType::Integer => self
                .id
                .parse::<i64>()
                .map_or_else(|_| self.id.as_str().into(), Json::from),
            _ => self.id.as_str().into(),
        }
    }

    /// What the places of the key and of columns stand for.
    fn name(&self, entity: &Entity, values: &mut Values) {
        for (name, value) in &self.row {
            values.insert(format!("row:{name}"), value.clone());
        }
        let key = self.key(entity);
        values.insert(format!("row:{}", entity.key), key.clone());
        values.insert("key".into(), key);
    }

    /// What the row is in a request: columns go by the names that the reading function has for them.
    fn members(&self, reading: &Function, entity: &Entity, changed: bool) -> Map<String, Json> {
        if entity.is_document() {
            let data = self
                .row
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("data"));
            let data = data.and_then(|(_, data)| serde_json::from_str(data.as_str()?).ok());
            return data.unwrap_or_default();
        }
        let mut members = Map::new();
        for (name, value) in &self.row {
            if changed && !self.changed.contains(name) {
                continue;
            }
            reading.put(name, value.clone(), &mut members);
        }
        members
    }
}

/// What no other change has.
fn nonce() -> String {
    let random = |salt: u64| RandomState::new().hash_one(salt);
    format!("{:016x}{:016x}", random(1), random(2))
}

/// The request of a change.
///
/// # Errors
/// No function for it.
pub fn ask(
    options: &Options,
    (reading, writes): (&Function, &Writes),
    entity: &Entity,
    change: &Change,
    values: &Values,
) -> Result<Ask, SyncError> {
    let function = function(options, writes, change.kind).map_err(SyncError::data)?;
    let mut values = values.clone();
    let key = change.key(entity);
    let names_itself = change.kind == ChangeKind::Created && !writes.mints;
    let mut row = change.members(reading, entity, false);
    if names_itself && !entity.is_document() {
        reading.put_key(&key, &mut row);
    }
    let changed = change.members(reading, entity, change.kind == ChangeKind::Updated);
    change.name(entity, &mut values);
    let is_patch = function.method == "PATCH";
    values.insert("row".into(), Json::Object(row.clone()));
    values.insert("changed".into(), Json::Object(changed.clone()));
    let usual = match (change.kind, &function.body) {
        (ChangeKind::Deleted, _) | (_, Some(_)) => None,
        (_, None) if is_patch => Some(changed),
        (_, None) => Some(row),
    };
    let context = (options.url.as_str(), options.headers.as_slice());
    let mut ask = built(&function, context, &values)?;
    if let Some(body) = usual {
        ask.body = AskBody::Bytes(Json::Object(body).to_string().into_bytes());
        ask.headers
            .push(("content-type".into(), "application/json".into()));
    }
    let looks = change.resent && change.kind == ChangeKind::Created;
    if let Some(header) = &writes.idempotency {
        ask.headers.push((header.clone(), change.nonce.clone()));
    }
    Ok(Ask {
        label: "write",
        parcel: Some(AboutParcel {
            may_store: true,
            refusals: match looks {
                true => REFUSALS_AGAIN,
                false => REFUSALS,
            },
            open: &[],
        }),
        reads: match looks {
            true => READ_AGAIN,
            false => READ,
        },
        // The backend would make two rows of it.
        once: change.kind == ChangeKind::Created && writes.mints && writes.idempotency.is_none(),
        ..ask
    })
}

fn built(
    function: &Function,
    context: (&str, &[(String, String)]),
    values: &Values,
) -> Result<Ask, SyncError> {
    request::build(function, context, values, &[], None)
        .map_err(|problem| SyncError::data(format!("function {}: {problem}", quoted(&function.id))))
}

/// The request of a row as the backend has it.
///
/// # Errors
/// No function for it.
pub fn ask_current(
    options: &Options,
    writes: &Writes,
    entity: &Entity,
    change: &Change,
    values: &Values,
) -> Result<Ask, SyncError> {
    let function = reads(options, writes).map_err(SyncError::data)?;
    let mut values = values.clone();
    change.name(entity, &mut values);
    let context = (options.url.as_str(), options.headers.as_slice());
    built(&function, context, &values)
}

/// The function that reads one row.
///
/// # Errors
/// There is none.
pub fn reads(options: &Options, writes: &Writes) -> Result<Arc<Function>, String> {
    named(options, "read", writes.read.as_deref().unwrap_or_default())
}

/// The function that sends a kind of change.
///
/// # Errors
/// There is none.
pub fn function(
    options: &Options,
    writes: &Writes,
    kind: ChangeKind,
) -> Result<Arc<Function>, String> {
    let word = match kind {
        ChangeKind::Created => "create",
        ChangeKind::Updated => "update",
        ChangeKind::Deleted => "delete",
    };
    let Some(id) = writes.of(kind) else {
        return Err(format!(
            "no function of writes sends this kind of change; give {word}, or take the change back"
        ));
    };
    named(options, word, id)
}

fn named(options: &Options, word: &str, id: &str) -> Result<Arc<Function>, String> {
    options.function(id).ok_or_else(|| {
        format!("writes.{word} names the function {}, which the provider has not; declare it with sync_function", quoted(id))
    })
}
