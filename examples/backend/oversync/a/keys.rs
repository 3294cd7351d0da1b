//! Foreign keys: looked at before a change is taken, and once more when all are.

use std::collections::HashSet;

use serde_json::Value;

use super::change::{Change, Known, Op, Refusal, named, op};
use super::json;
use super::outcome::Fault;
use super::state::{Breakdown, State};
use crate::oversync::uuid;

/// The rows that a request says it brings: whether it really does is not asked.
pub fn brought(changes: &[Change]) -> HashSet<(String, String)> {
    let named_by = |wanted: fn(Op) -> bool| {
        let fits = move |change: &&Change| op(change).is_some_and(wanted);
        changes.iter().filter(fits).filter_map(named)
    };
    let mut brought: HashSet<_> = named_by(|op| op != Op::Delete).collect();
    for deleted in named_by(|op| op == Op::Delete) {
        brought.remove(&deleted);
    }
    brought
}

/// Whether the parents of an upsert are there or come along.
pub fn check(
    state: &State,
    user: &str,
    brought: &HashSet<(String, String)>,
    change: &Known,
) -> Result<Option<Refusal>, Fault> {
    let schema = &state.options.schema;
    let table = state.options.tables.iter().find(|t| t.name == change.table);
    let (Some(table), Some(members)) = (table, json::members(&change.payload)) else {
        return Ok(None);
    };
    let bad = || {
        let message = format!("bad payload for {schema}.{} pk={}", change.table, change.pk);
        Refusal::new("bad_payload", message)
    };
    let mut missing = Vec::new();
    for (column, parent) in table.parents() {
        let text = match members.get(&column.name) {
            None => continue,
            Some(Value::String(text)) => text,
            Some(_) if state.options.defects.null_key_closes => return Err(Fault::Closed),
            Some(Value::Null) => continue,
            Some(_) => return Ok(Some(bad())),
        };
        let Some(key) = uuid::parse_reference(text) else {
            return Ok(Some(bad()));
        };
        if brought.contains(&(parent.to_string(), key.clone())) {
            continue;
        }
        if state.breakdown == Breakdown::Table(parent.to_string()) {
            return Err(Fault::Failed);
        }
        if state.projected(parent, &(state.owner(user), key)).is_none() {
            missing.push(format!("{schema}.{parent}:{text}"));
        }
    }
    Ok((!missing.is_empty()).then(|| Refusal::missing(&missing)))
}

/// A foreign key that leads nowhere now.
pub struct Broken {
    /// The row that this request wrote or deleted.
    pub table: String,
    pub pk: String,
    /// The parent that is not there.
    pub parent: String,
}

/// The foreign keys that the projected rows of this request break.
pub fn broken(state: &State) -> Vec<Broken> {
    let schema = &state.options.schema;
    let touched = state.touched();
    let mut broken = Vec::new();
    for (name, key) in &touched {
        let Some(table) = state.options.tables.iter().find(|t| t.name == *name) else {
            continue;
        };
        let Some(row) = state.projected(name, key) else {
            continue;
        };
        for (column, parent) in table.parents() {
            let Some(id) = row.get(&column.name).and_then(Value::as_str) else {
                continue;
            };
            let parent_key = (key.0.clone(), id.to_string());
            if state.projected(parent, &parent_key).is_none() {
                broken.push(Broken {
                    table: name.clone(),
                    pk: key.1.clone(),
                    parent: format!("{schema}.{parent}:{id}"),
                });
            }
        }
    }
    let deleted: HashSet<_> = touched
        .iter()
        .filter(|(table, key)| state.projected(table, key).is_none())
        .collect();
    for child in &state.options.tables {
        for (column, parent) in child.parents() {
            if deleted.iter().all(|(table, _)| table != parent) {
                continue;
            }
            for ((owner, _), row) in state.projected.get(&child.name).into_iter().flatten() {
                let Some(id) = row.get(&column.name).and_then(Value::as_str) else {
                    continue;
                };
                let key = (parent.to_string(), (owner.clone(), id.to_string()));
                if deleted.contains(&key) {
                    broken.push(Broken {
                        table: parent.to_string(),
                        pk: id.to_string(),
                        parent: format!("{schema}.{parent}:{id}"),
                    });
                }
            }
        }
    }
    broken
}
