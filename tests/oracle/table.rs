//! The decision table as cases: every status and mask, met by everything a pull can say of a row.

use serde_json::{Map, Value, json};

use super::case::{Case, Column, Edit, Kind, Op, Step, Sync, Table};

const COLUMNS: [&str; 3] = ["name", "n", "ok"];

fn thing() -> Table {
    let column = |name: &str, kind, optional, declared: &str| Column {
        name: name.into(),
        kind,
        optional,
        declared: declared.into(),
        default: Value::Null,
    };
    Table {
        name: "thing".into(),
        integer_key: false,
        columns: vec![
            column("name", Kind::String, false, "TEXT"),
            column("n", Kind::Number, true, "INTEGER"),
            column("ok", Kind::Boolean, false, "BOOLEAN"),
            column("note", Kind::String, true, "TEXT"),
        ],
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Local {
    Absent,
    Synced,
    Created,
    Updated,
    Deleted,
}

/// The columns of a mask.
fn masked(mask: usize) -> Vec<&'static str> {
    (0..COLUMNS.len())
        .filter(|place| mask & 1 << place != 0)
        .map(|place| COLUMNS[place])
        .collect()
}

fn local_value(column: &str) -> Value {
    match column {
        "name" => "mine".into(),
        "n" => 1.into(),
        _ => true.into(),
    }
}

fn edit(op: Op, columns: &[(&str, Value)]) -> Edit {
    Edit {
        table: "thing".into(),
        op,
        id: "x".into(),
        set: columns
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect(),
    }
}

/// What brings the row into a status, the first sync included.
fn arrange(local: Local, mask: usize) -> Vec<Step> {
    let known = matches!(local, Local::Synced | Local::Updated | Local::Deleted);
    let row = json!({"id": "x", "name": "old", "n": 0, "ok": false, "note": "kept"});
    let rows = if known { vec![row] } else { Vec::new() };
    let first = json!({"thing": {"created": rows, "updated": [], "deleted": []}});
    let mut edits = Vec::new();
    if local == Local::Created {
        let old = [
            ("name", "old".into()),
            ("n", 0.into()),
            ("ok", false.into()),
            ("note", "kept".into()),
        ];
        edits.push(edit(Op::Create, &old));
    }
    let changed = masked(mask)
        .into_iter()
        .map(|name| (name, local_value(name)));
    if mask != 0 {
        edits.push(edit(Op::Update, &changed.collect::<Vec<_>>()));
    }
    if local == Local::Deleted {
        edits.push(edit(Op::Delete, &[]));
    }
    vec![Step::Sync(Sync::bringing(first, 10)), Step::Edit(edits)]
}

/// Remote rows: whole, with columns missing, as the row was at first, with values that don't fit.
fn remote_rows() -> Vec<(&'static str, Value)> {
    vec![
        (
            "whole",
            json!({"id": "x", "name": "R", "n": 2, "ok": false, "note": null}),
        ),
        ("partial", json!({"id": "x", "n": 2})),
        (
            "same",
            json!({"id": "x", "name": "old", "n": 0, "ok": false, "note": "kept"}),
        ),
        (
            "unfit",
            json!({"id": "x", "name": 5, "n": "5", "ok": "yes", "zzz": 1}),
        ),
    ]
}

/// Every cell.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let masks = 1usize << COLUMNS.len();
    let mut locals = vec![
        (Local::Absent, 0),
        (Local::Synced, 0),
        (Local::Deleted, 0),
        (Local::Deleted, 1),
    ];
    locals.extend((0..masks).map(|mask| (Local::Created, mask)));
    locals.extend((1..masks).map(|mask| (Local::Updated, mask)));
    for (local, mask) in locals {
        let mut say = |what: &str, kind: &str, list: Vec<Value>| {
            let mut set = Map::new();
            for name in ["created", "updated", "deleted"] {
                let list = if name == kind {
                    list.clone()
                } else {
                    Vec::new()
                };
                set.insert(name.into(), list.into());
            }
            let mut steps = arrange(local, mask);
            steps.push(Step::Sync(Sync::bringing(json!({ "thing": set }), 20)));
            cases.push(Case {
                name: format!(
                    "decision table: {local:?} {:?}, {kind} {what}",
                    masked(mask)
                ),
                tables: vec![thing()],
                schema_version: 1,
                send_created_as_updated: false,
                resolver: None,
                replacement_where: Vec::new(),
                steps,
            });
        };
        for (what, row) in remote_rows() {
            say(what, "created", vec![row.clone()]);
            say(what, "updated", vec![row]);
        }
        say("", "deleted", vec!["x".into()]);
        say("", "not sent", Vec::new());
    }
    cases
}
