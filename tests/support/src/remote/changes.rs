//! Servers of oversync's generation of changes: the stand-in. Its keys are UUIDs, see `ids.rs`.

use serde_json::{Map, Value, json};
use syncscope_backend::oversync::A;
use syncscope_backend::oversync::a::{Column, ColumnKind, Options, Table};
use syncscope_backend::oversync::b::{self, Filling, tables_of};
use syncscope_backend::{Kind, Moment};

use super::fault::fault;
use super::ids;
use super::server::{Asked, On, Op, Remote, Sent, Trouble, Wanted};
use crate::waiting::PATIENCE;

/// The user that all tests are, and the device.
const USER: &str = "mara";
const DEVICE: &str = "phone";

/// The schema that the tables have there.
const SCHEMA: &str = "business";

/// Why rows are not taken: a reason of the protocol, and one that may pass.
const REFUSED: &str = "fk_missing";

pub struct Changes {
    server: A,
    /// What columns hold where nothing is said, by table.
    defaults: Vec<(String, Map<String, Value>)>,
}

pub fn start(wanted: &Wanted<'_>) -> Box<dyn Remote> {
    let tables = tables_of(wanted.schema);
    let options = Options {
        schema: SCHEMA.into(),
        tables: tables.iter().map(table).collect(),
        anonymous: wanted
            .token
            .is_none()
            .then(|| (USER.to_owned(), DEVICE.to_owned())),
        ..Options::default()
    };
    let server = A::start(options).unwrap_or_else(|error| panic!("oversync a: {error}"));
    if let Some(token) = wanted.token {
        server.accept(token, USER, DEVICE);
    }
    let defaults = tables.iter().map(|table| {
        let columns = table.columns.iter().skip(1).map(|column| {
            let value = match &column.default {
                Some(Filling::Value(value)) => value.clone(),
                _ => Value::Null,
            };
            (column.name.clone(), value)
        });
        (table.name.clone(), columns.collect())
    });
    Box::new(Changes {
        defaults: defaults.collect(),
        server,
    })
}

/// A table as this generation describes it.
fn table(table: &b::Table) -> Table {
    let columns = table.columns.iter().skip(1).map(|column| Column {
        not_null: column.not_null,
        ..Column::new(
            &column.name,
            match column.kind {
                b::Kind::Uuid => ColumnKind::Uuid,
                b::Kind::Text | b::Kind::Timestamptz => ColumnKind::Text,
                b::Kind::Bytes => ColumnKind::Bytes,
                b::Kind::BigInt => ColumnKind::Integer,
                b::Kind::Double => ColumnKind::Real,
                b::Kind::Boolean => ColumnKind::Boolean,
            },
        )
    });
    Table::new(&table.name, columns)
}

/// The direction of a request; none of what is neither.
fn direction(path: &str) -> Option<On> {
    match path.split('?').next() {
        Some("/sync/download") => Some(On::Download),
        Some("/sync/upload") => Some(On::Upload),
        _ => None,
    }
}

impl Remote for Changes {
    fn origin(&self) -> String {
        self.server.url()
    }

    fn config(&self) -> Value {
        let patience = PATIENCE.as_millis() as u64;
        json!({"kind": "oversync", "generation": "a", "url": self.server.url(), "serverSchema": SCHEMA, "attempts": 1,
            // What is refused as a whole is refused: cutting it up is an affair of tests of its own.
            "splitRefused": false,
            "timeoutMs": patience, "connectTimeoutMs": patience, "busyTimeoutMs": patience})
    }

    fn spelled(&self, sql: &str) -> String {
        ids::spelled(sql)
    }

    fn shown(&self, text: String) -> String {
        ids::shortened(&text)
    }

    fn pulls_first(&self) -> bool {
        false
    }

    fn sends_first(&self) -> bool {
        true
    }

    fn batches_of(&self, rows: usize) -> Option<Value> {
        Some(json!({ "uploadLimit": rows }))
    }

    fn put(&self, table: &str, rows: &[Value]) {
        let defaults = self.defaults.iter().find(|(name, _)| name == table);
        let defaults = defaults.map(|(_, columns)| columns);
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                let row = ids::spelled_row(row);
                let id = row["id"].as_str().expect("an id");
                let known = self.server.stored(USER, table, id);
                let is_new = known.is_none_or(|known| known.payload.is_none());
                let mut whole = defaults.cloned().filter(|_| is_new).unwrap_or_default();
                whole.extend(row.as_object().expect("a row").clone());
                Value::Object(whole)
            })
            .collect();
        self.server.put(USER, table, &rows);
    }

    fn remove(&self, table: &str, ids: &[&str]) {
        let ids: Vec<String> = ids.iter().map(|id| ids::long(id)).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.server.remove(USER, table, &ids);
    }

    fn rows(&self, table: &str) -> Vec<Value> {
        let rows = self.server.rows(USER, table);
        rows.iter().map(ids::shortened_json).collect()
    }

    fn asked(&self) -> Vec<Asked> {
        let seen = self.server.requests().into_iter();
        seen.filter_map(|request| {
            Some(Asked {
                on: direction(&request.path)?,
                method: request.method,
                target: request.path,
                headers: request.headers,
            })
        })
        .collect()
    }

    fn pushed(&self) -> Vec<Vec<Sent>> {
        let uploads = self.server.uploads().into_iter();
        uploads
            .map(|changes| {
                let mut sent: Vec<Sent> = changes
                    .iter()
                    .map(|change| Sent {
                        table: change.table.clone(),
                        op: match change.op.as_str() {
                            "INSERT" => Op::Created,
                            "UPDATE" => Op::Updated,
                            _ => Op::Deleted,
                        },
                        id: ids::shortened(&change.pk),
                        changed: None,
                        values: ids::shortened_json(&change.values()),
                    })
                    .collect();
                sent.sort_by(|one, other| {
                    (&one.table, one.op, &one.id).cmp(&(&other.table, other.op, &other.id))
                });
                sent
            })
            .collect()
    }

    fn forget(&self) {
        self.server.clear_requests();
    }

    fn trouble(&self, on: On, trouble: &Trouble, times: Option<u32>) {
        let mut fault = fault(on, trouble, times);
        let rejected = fault.get_mut("rejectIds");
        if let Some(tables) = rejected.and_then(Value::as_object_mut) {
            let rows = tables.values_mut().filter_map(Value::as_array_mut);
            for row in rows.flatten() {
                let id = ids::long(row["id"].as_str().unwrap_or_default());
                *row = json!({"id": id, "reason": REFUSED});
            }
        }
        self.server.faults().add(fault);
    }

    fn behave(&self) {
        self.server.faults().clear();
    }

    fn meanwhile(&self, on: On, deed: Box<dyn FnOnce() + Send>) {
        let kind = match on {
            On::Download => Kind::Pull,
            On::Upload => Kind::Push,
        };
        self.server.moments().plan(kind, Moment::Arrived, 0, deed);
    }

    fn shown_reason(&self, _: &str) -> String {
        REFUSED.to_owned()
    }
}
