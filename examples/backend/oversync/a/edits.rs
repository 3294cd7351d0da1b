//! Edits of another device: sent as that device would send them, only without HTTP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::change::{Change, Op};
use super::json;
use super::outcome::Outcome;
use super::server::Inner;
use super::state::{Row, State};
use super::tables::{ColumnKind, Table};
use super::transaction::Who;
use super::upload::{Terms, apply};
use crate::oversync::uuid;

/// The name of that device.
pub const ANOTHER_DEVICE: &str = "another-device";

/// Edits that have their numbers in the log and are not there yet: they appear below the cursors of those who
/// read meanwhile.
pub struct Late {
    inner: Arc<Inner>,
    who: Who,
    changes: Vec<Change>,
    numbers: VecDeque<i64>,
}

impl Late {
    /// Their numbers.
    pub fn numbers(&self) -> Vec<i64> {
        self.numbers.iter().copied().collect()
    }

    /// Stores them. Panics if the server refuses one of them.
    pub fn publish(self) {
        send(&self.inner, &self.who, &self.changes, self.numbers);
    }
}

/// What a row becomes: the columns that are named, the others as they are.
pub fn upserts(inner: &Arc<Inner>, user: &str, table: &str, rows: &[Value]) -> Vec<Change> {
    let state = inner.state();
    let described = table_of(&state, table);
    let upsert = |row: &Value| {
        let Value::Object(columns) = row else {
            panic!("oversync: a row is an object: {row}");
        };
        let pk = columns
            .get("id")
            .and_then(Value::as_str)
            .and_then(uuid::parse);
        let pk = pk.unwrap_or_else(|| panic!("oversync: a row has a UUID as its id: {row}"));
        let known = state.rows.get(&key(user, table, &pk));
        let live = known.filter(|row| !row.deleted);
        let mut payload = live
            .and_then(|row| json::members(&row.payload))
            .unwrap_or_default();
        for (name, value) in columns {
            payload.insert(name.clone(), value.clone());
        }
        spell_references(&state, described, &mut payload);
        Change {
            op: if live.is_some() {
                Op::Update
            } else {
                Op::Insert
            }
            .name()
            .to_string(),
            payload: Some(Value::Object(payload).to_string()),
            ..change(inner, &state, table, &pk, known)
        }
    };
    rows.iter().map(upsert).collect()
}

/// The deletes of those rows that are there.
pub fn deletes(inner: &Arc<Inner>, user: &str, table: &str, ids: &[&str]) -> Vec<Change> {
    let state = inner.state();
    table_of(&state, table);
    let delete = |id: &&str| {
        let pk = uuid::parse(id).unwrap_or_else(|| panic!("oversync: no UUID: {id}"));
        let row = state.rows.get(&key(user, table, &pk))?;
        let delete = Change {
            op: Op::Delete.name().to_string(),
            ..change(inner, &state, table, &pk, Some(row))
        };
        (!row.deleted).then_some(delete)
    };
    ids.iter().filter_map(delete).collect()
}

/// Takes numbers for changes that are stored later.
pub fn late(inner: &Arc<Inner>, user: &str, changes: Vec<Change>) -> Late {
    let mut state = inner.state();
    let numbers = changes.iter().map(|_| state.number()).collect();
    drop(state);
    Late {
        inner: Arc::clone(inner),
        who: another(user),
        changes,
        numbers,
    }
}

/// Stores changes. Panics if the server refuses one of them.
pub fn store(inner: &Arc<Inner>, user: &str, changes: &[Change]) {
    send(inner, &another(user), changes, VecDeque::new());
}

fn send(inner: &Inner, who: &Who, changes: &[Change], numbers: VecDeque<i64>) {
    let mut terms = Terms {
        numbers,
        ..Terms::default()
    };
    let outcomes = apply(&mut inner.state(), who, changes, &mut terms)
        .unwrap_or_else(|fault| panic!("oversync: {changes:?}: {fault:?}"));
    for (change, outcome) in changes.iter().zip(outcomes) {
        let is_stored = matches!(outcome, Outcome::Applied(Some(_)));
        assert!(is_stored, "oversync: {change:?}: {outcome:?}");
    }
}

fn another(user: &str) -> Who {
    Who {
        user: user.to_string(),
        source: ANOTHER_DEVICE.to_string(),
    }
}

fn key(user: &str, table: &str, pk: &str) -> (String, String, String) {
    (user.to_string(), table.to_string(), pk.to_string())
}

fn change(inner: &Inner, state: &State, table: &str, pk: &str, known: Option<&Row>) -> Change {
    Change {
        source_change_id: inner.next_change.fetch_add(1, Ordering::Relaxed),
        schema: state.options.schema.clone(),
        table: table.to_string(),
        pk: pk.to_string(),
        server_version: known.map_or(0, |row| row.version),
        ..Change::default()
    }
}

fn table_of<'s>(state: &'s State, table: &str) -> &'s Table {
    let mut tables = state.options.tables.iter();
    let found = tables.find(|known| known.name == table);
    found.unwrap_or_else(|| panic!("oversync: no table {table}"))
}

/// Ids of parents as the table wants them; a null is left out where it would end the connection.
fn spell_references(state: &State, table: &Table, payload: &mut Map<String, Value>) {
    for (column, _) in table.parents() {
        let Some(value) = payload.get(&column.name) else {
            continue;
        };
        if value.is_null() && state.options.defects.null_key_closes {
            payload.shift_remove(&column.name);
            continue;
        }
        let text = value.as_str().and_then(uuid::parse);
        if let (ColumnKind::Bytes, Some(id)) = (column.kind, text) {
            let bytes = uuid::to_bytes(&id);
            payload.insert(column.name.clone(), BASE64_STANDARD.encode(bytes).into());
        }
    }
}
