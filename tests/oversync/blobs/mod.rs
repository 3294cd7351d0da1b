//! Keys that are blobs of 16 bytes, with servers of both generations: on the wire they are UUIDs.

use std::ops::Deref;

use serde_json::{Value, json};
use support::ask;
use support::backend::oversync::a::{Column, ColumnKind, Options as AOptions, Table, example};
use support::backend::oversync::b::Table as BTable;
use support::backend::oversync::b::{Column as BColumn, Kind, Limits, Options as BOptions};
use support::backend::oversync::{A, B};

use crate::client::{Device, Served, USER, id};

mod keys;
mod random;
mod references;
mod rows;

/// A server of either generation. Beside the tables of the example servers it has `notes`, whose blobs may be NULL.
enum Server {
    A(A),
    B(B),
}

impl Server {
    fn a() -> Server {
        let notes = Table::new(
            "notes",
            [
                Column::new("note", ColumnKind::Text),
                Column::new("data", ColumnKind::Bytes),
            ],
        );
        let tables = [example(), vec![notes]].concat();
        let options = AOptions {
            tables,
            ..AOptions::default()
        };
        Server::A(A::start(options).expect("a server"))
    }

    fn b() -> Server {
        let notes = BTable::new("notes", "id", Kind::Uuid)
            .with(BColumn::new("note", Kind::Text))
            .with(BColumn::new("data", Kind::Bytes));
        let mut tables = BOptions::default().tables;
        tables.push(notes);
        let options = BOptions {
            tables,
            limits: Limits {
                rows_per_push_chunk: 3,
                rows_per_committed_chunk: 2,
                rows_per_snapshot_chunk: 2,
                ..Limits::default()
            },
            ..BOptions::default()
        };
        Server::B(B::start(options).expect("a server"))
    }

    fn both() -> [Server; 2] {
        [Server::a(), Server::b()]
    }

    fn is_a(&self) -> bool {
        matches!(self, Server::A(_))
    }

    fn rows(&self, table: &str) -> Vec<Value> {
        match self {
            Server::A(server) => server.rows(USER, table),
            Server::B(server) => server.rows(USER, table),
        }
    }

    /// Number and a column of the rows that it has.
    fn has(&self, table: &str, column: &str) -> String {
        let rows = self.rows(table).into_iter();
        let lines = rows.map(|row| {
            let id = row["id"].as_str().unwrap_or_default();
            let value = match &row[column] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            format!("{}|{value}", id[24..].trim_start_matches('0'))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn put(&self, table: &str, rows: &[Value]) {
        match self {
            Server::A(server) => server.put(USER, table, rows),
            Server::B(server) => server.put(USER, table, rows),
        }
    }

    fn fault(&self, fault: Value) {
        match self {
            Server::A(server) => server.faults().add(fault),
            Server::B(server) => server.faults().add(fault),
        }
    }

    fn behave(&self) {
        match self {
            Server::A(server) => server.faults().clear(),
            Server::B(server) => server.faults().clear(),
        }
    }

    /// The answer to the next upload is lost; `done`: the server has taken it.
    fn lose(&self, done: bool) {
        // A connection that is closed makes A's client try the halves at once.
        self.fault(match (self, done) {
            (Server::A(_), true) => json!({"on": "push", "times": 1, "truncate": 20}),
            (Server::A(_), false) => json!({"on": "push", "times": 1, "status": 503}),
            (Server::B(_), _) => {
                json!({"path": "/commit", "times": 1, "drop": true, "afterCommit": done})
            }
        });
    }

    /// Table, operation, number and payload of the changes that clients have sent.
    fn sent(&self) -> Vec<(String, String, String, Value)> {
        let number = |id: &str| id[24..].trim_start_matches('0').to_owned();
        match self {
            Server::A(server) => {
                let changes = server.uploads().concat();
                let changes = changes.into_iter().map(|change| {
                    let values = change.values();
                    (change.table, change.op, number(&change.pk), values)
                });
                changes.collect()
            }
            Server::B(server) => {
                let rows = server.pushes().into_iter().flat_map(|push| push.rows);
                let rows = rows.map(|row| {
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    let key = number(&text(&row["key"]["id"]));
                    let payload = row.get("payload").cloned().unwrap_or_default();
                    (text(&row["table"]), text(&row["op"]), key, payload)
                });
                rows.collect()
            }
        }
    }
}

impl Served for Server {
    fn address(&self) -> String {
        match self {
            Server::A(server) => server.address(),
            Server::B(server) => server.address(),
        }
    }

    fn token_of(&self, device: &str) -> String {
        match self {
            Server::A(server) => server.token_of(device),
            Server::B(server) => server.token_of(device),
        }
    }

    fn generation(&self) -> &'static str {
        match self {
            Server::A(server) => server.generation(),
            Server::B(server) => server.generation(),
        }
    }
}

/// The tables of all devices, with keys and references of one type. Children stand before their parents.
const SCHEMA: &str = "
    CREATE TABLE file_reviews (id KEY PRIMARY KEY NOT NULL, review TEXT, file_id KEY REFERENCES files (id));
    CREATE TABLE posts (id KEY PRIMARY KEY NOT NULL, title TEXT, content TEXT, author_id KEY REFERENCES users);
    CREATE TABLE users (id KEY PRIMARY KEY NOT NULL, name TEXT, email TEXT);
    CREATE TABLE files (id KEY PRIMARY KEY NOT NULL, name TEXT, data BLOB) WITHOUT ROWID;
    CREATE TABLE notes (id KEY PRIMARY KEY NOT NULL, note TEXT, data BLOB) STRICT;";

const TABLES: &[&str] = &["file_reviews", "posts", "users", "files", "notes"];

/// Everything that a device holds, a row a line, whatever its keys are.
const ALL: &str = "SELECT 'users', KEY(id), name, email FROM users
    UNION ALL SELECT 'posts', KEY(id), title, KEY(author_id) FROM posts
    UNION ALL SELECT 'files', KEY(id), name, hex(data) FROM files
    UNION ALL SELECT 'file_reviews', KEY(id), review, KEY(file_id) FROM file_reviews
    UNION ALL SELECT 'notes', KEY(id), note, typeof(data) || hex(data) FROM notes ORDER BY 1, 2";

/// A device whose keys are blobs, or texts.
struct Phone {
    device: Device,
    blobs: bool,
}

impl Deref for Phone {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

/// With keys that are blobs.
fn blobs(server: &Server, name: &str) -> Phone {
    phone(server, name, true, json!({}))
}

/// With keys that are texts.
fn texts(server: &Server, name: &str) -> Phone {
    phone(server, name, false, json!({}))
}

fn phone(server: &Server, name: &str, blobs: bool, mut more: Value) -> Phone {
    // The example server of A takes these references in base64 only.
    if server.is_a() && more.get("uuidColumns").is_none() {
        more["uuidColumns"] = json!({"file_reviews": {"file_id": "base64"}});
    }
    let schema = SCHEMA.replace("KEY PRIMARY", "TYPE PRIMARY");
    let schema = schema.replace("_id KEY", "_id TYPE");
    let schema = schema.replace("TYPE", if blobs { "BLOB" } else { "TEXT" });
    let device = Device::of(server, name, (&schema, TABLES), more);
    Phone { device, blobs }
}

impl Phone {
    /// The key of a number, as SQL.
    fn key(&self, number: u32) -> String {
        match self.blobs {
            true => format!("x'{}'", id(number).replace('-', "")),
            false => format!("'{}'", id(number)),
        }
    }

    /// Runs SQL in which `#7` is the key of number 7.
    fn run(&self, sql: &str) {
        self.exec(&self.spelled(sql));
    }

    fn spelled(&self, sql: &str) -> String {
        let mut pieces = sql.split('#');
        let mut spelled = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = piece.split_at(digits);
            spelled += &self.key(number.parse().expect("a number"));
            spelled += rest;
        }
        spelled
    }

    /// Everything, keys as their last digits.
    fn all(&self) -> String {
        let mut sql = ALL.to_owned();
        for column in ["id", "author_id", "file_id"] {
            let digits = format!(
                "CASE typeof({column}) WHEN 'blob' THEN ltrim(substr(hex({column}), 21), '0') \
                 ELSE ltrim(substr({column}, 25), '0') END"
            );
            sql = sql.replace(&format!("KEY({column})"), &digits);
        }
        self.ask(&sql)
    }

    /// Table, last digits and operation of what is pending.
    fn waits(&self) -> String {
        self.ask(
            "SELECT \"table\", ltrim(substr(keyText, 25), '0'), op FROM sync_pending ORDER BY 1, 2",
        )
    }

    /// What was sent is settled, and the server has what is here.
    #[track_caller]
    fn is_equal(&self) {
        assert_eq!(self.waits(), "");
        assert_eq!(self.ask("SELECT reason FROM _syncRejected"), "");
        assert_eq!(self.ask("SELECT keyText, reason FROM sync_held"), "");
        let unknown = "SELECT count(*) FROM _syncPush WHERE state IN ('open', 'unknown')";
        assert_eq!(self.ask(unknown), "0");
        let check = self.call("sync_check", "{}");
        assert_eq!(check["state"], "equal", "{check}");
    }
}

/// Syncs devices until nothing moves, and makes sure that all have the same, in keys of their own type.
#[track_caller]
fn settle(phones: &[&Phone]) {
    for _ in 0..4 {
        phones.iter().for_each(|phone| drop(phone.sync()));
    }
    for phone in phones {
        phone.is_equal();
        assert_eq!(phone.all(), phones[0].all());
        let kind = if phone.blobs { "blob" } else { "text" };
        for table in TABLES {
            let others = format!("SELECT count(*) FROM {table} WHERE typeof(id) <> '{kind}'");
            assert_eq!(ask(&phone.db, &others), "0", "{table}");
        }
    }
}
