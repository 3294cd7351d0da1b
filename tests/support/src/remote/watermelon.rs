//! Servers that speak the WatermelonDB protocol: the reference backend, in two of its shapes.

use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use serde_json::{Value, json};
use syncscope_backend::{Backend, Kind, Moment, Options, Preset};

use super::fault::fault;
use super::server::{Asked, On, Op, Remote, Sent, Trouble, Wanted};
use crate::waiting::PATIENCE;

pub struct Watermelon {
    backend: Backend,
    preset: Preset,
}

/// As the protocol's documentation has it: rejected rows without a reason.
pub fn docs(wanted: &Wanted<'_>) -> Box<dyn Remote> {
    start(wanted, Preset::Docs)
}

/// Other addresses for either direction, rejected rows with their reasons.
pub fn camel_query(wanted: &Wanted<'_>) -> Box<dyn Remote> {
    start(wanted, Preset::CamelQuery)
}

fn start(wanted: &Wanted<'_>, preset: Preset) -> Box<dyn Remote> {
    let options = Options {
        schema_sql: wanted.schema.into(),
        token: wanted.token.map(str::to_owned),
        ..Options::default()
    };
    let backend = Backend::start_with(options).unwrap_or_else(|error| panic!("backend: {error}"));
    Box::new(Watermelon { backend, preset })
}

impl Remote for Watermelon {
    fn origin(&self) -> String {
        self.backend.url()
    }

    fn config(&self) -> Value {
        let patience = PATIENCE.as_millis() as u64;
        let url = match self.preset {
            Preset::CamelQuery => self.backend.url() + "/camel",
            _ => self.backend.url(),
        };
        json!({"kind": "watermelon", "preset": self.preset.name(), "url": url, "attempts": 1,
            // What is refused as a whole is refused: cutting it up is an affair of tests of its own.
            "splitRefused": false,
            "timeoutMs": patience, "connectTimeoutMs": patience, "busyTimeoutMs": patience})
    }

    fn batches_of(&self, rows: usize) -> Option<Value> {
        Some(json!({ "pushBatch": rows }))
    }

    fn put(&self, table: &str, rows: &[Value]) {
        self.backend.sql(|db| {
            for row in rows {
                put(db, table, row)?;
            }
            Ok(())
        });
    }

    fn remove(&self, table: &str, ids: &[&str]) {
        self.backend.sql(|db| {
            for id in ids {
                db.execute(&format!("DELETE FROM {table} WHERE id = ?1"), [id])?;
            }
            Ok(())
        });
    }

    fn rows(&self, table: &str) -> Vec<Value> {
        serde_json::from_str(&self.backend.dump(table)).expect("a dump is JSON")
    }

    fn asked(&self) -> Vec<Asked> {
        let seen = self.backend.requests().into_iter();
        seen.map(|request| Asked {
            on: direction(&request.method),
            method: request.method,
            target: request.path,
            headers: request.headers,
        })
        .collect()
    }

    fn pushed(&self) -> Vec<Vec<Sent>> {
        let seen = self.backend.requests();
        let uploads = seen
            .iter()
            .filter(|request| direction(&request.method) == On::Upload);
        uploads
            .map(|request| {
                let body: Value = serde_json::from_str(&request.body).expect("JSON");
                sent(match self.preset {
                    Preset::CamelQuery => &body["changes"],
                    _ => &body,
                })
            })
            .collect()
    }

    fn forget(&self) {
        self.backend.clear_requests();
    }

    fn trouble(&self, on: On, trouble: &Trouble, times: Option<u32>) {
        self.backend.faults().add(fault(on, trouble, times));
    }

    fn behave(&self) {
        self.backend.faults().clear();
    }

    fn meanwhile(&self, on: On, deed: Box<dyn FnOnce() + Send>) {
        let kind = match on {
            On::Download => Kind::Pull,
            On::Upload => Kind::Push,
        };
        self.backend.moments().plan(kind, Moment::Arrived, 0, deed);
    }

    fn shown_reason(&self, reason: &str) -> String {
        match self.preset {
            Preset::CamelQuery => reason.to_owned(),
            _ => "rejected by the backend".to_owned(),
        }
    }
}

fn direction(method: &str) -> On {
    match method {
        "GET" => On::Download,
        _ => On::Upload,
    }
}

fn put(db: &Connection, table: &str, row: &Value) -> rusqlite::Result<()> {
    let row = row.as_object().expect("a row");
    let names: Vec<&str> = row.keys().map(String::as_str).collect();
    let set: Vec<String> = names
        .iter()
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let sql = format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT (id) DO UPDATE SET {}",
        names.join(", "),
        vec!["?"; names.len()].join(", "),
        set.join(", ")
    );
    let values = row.values().map(|value| match value {
        Value::Null => Sql::Null,
        Value::Bool(value) => Sql::Integer(i64::from(*value)),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Sql::Integer(number),
            None => Sql::Real(number.as_f64().expect("a number")),
        },
        Value::String(text) => Sql::Text(text.clone()),
        other => panic!("{other} is no value of a column"),
    });
    db.prepare_cached(&sql)?
        .execute(rusqlite::params_from_iter(values))?;
    Ok(())
}

/// The changes of one upload, sorted.
fn sent(changes: &Value) -> Vec<Sent> {
    let mut all = Vec::new();
    for (table, lists) in changes.as_object().expect("an object") {
        for (op, name) in [
            (Op::Created, "created"),
            (Op::Updated, "updated"),
            (Op::Deleted, "deleted"),
        ] {
            for row in lists[name].as_array().into_iter().flatten() {
                all.push(change(table, op, row));
            }
        }
    }
    all.sort_by(|one, other| {
        (&one.table, one.op, &one.id).cmp(&(&other.table, other.op, &other.id))
    });
    all
}

fn change(table: &str, op: Op, row: &Value) -> Sent {
    let mut values = match op {
        Op::Deleted => Value::Null,
        _ => row.clone(),
    };
    let mut changed = None;
    if let Some(values) = values.as_object_mut() {
        values.remove("_status");
        let named = values.remove("_changed");
        changed = named.filter(|_| op == Op::Updated).map(|named| {
            let mut columns: Vec<String> = named
                .as_str()
                .unwrap_or_default()
                .split(',')
                .map(str::to_owned)
                .collect();
            columns.sort();
            columns
        });
    }
    let id = row.as_str().or(row["id"].as_str()).expect("an id");
    Sent {
        table: table.to_owned(),
        op,
        id: id.to_owned(),
        changed,
        values,
    }
}
