//! Generation B: bundles.

use serde_json::{Value, json};
use support::backend::oversync::B;
use support::backend::oversync::b::{Limits, Options};

use crate::client::{Device, USER, id};

mod anew;
mod conflicts;
mod connect;
mod down;
mod kill;
mod later;
mod lost;
mod moments;
mod random;
mod rebuild;
mod recorded;
mod references;
mod refused;
mod sources;
mod up;
mod values;
mod watch;

fn server() -> B {
    B::example()
}

fn server_with(options: Options) -> B {
    B::start(options).expect("a server")
}

/// A server that gives out and takes few rows at a time.
fn small() -> B {
    server_with(Options {
        limits: Limits {
            rows_per_push_chunk: 2,
            rows_per_committed_chunk: 2,
            rows_per_snapshot_chunk: 2,
            ..Limits::default()
        },
        ..Options::default()
    })
}

/// All tables of the example server.
const TABLES: &[&str] = &[
    "users",
    "posts",
    "categories",
    "teams",
    "team_members",
    "files",
    "file_reviews",
    "typed_rows",
];

/// The same as SQL; children stand before their parents.
const SCHEMA: &str = "
    CREATE TABLE posts (id TEXT PRIMARY KEY NOT NULL, title TEXT, content TEXT,
                        author_id TEXT REFERENCES users (id), created_at TEXT, updated_at TEXT);
    CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, name TEXT, email TEXT, created_at TEXT, updated_at TEXT);
    CREATE TABLE categories (id TEXT PRIMARY KEY NOT NULL, name TEXT,
                             parent_id TEXT REFERENCES categories (id) ON DELETE CASCADE);
    CREATE TABLE team_members (id TEXT PRIMARY KEY NOT NULL, name TEXT,
                               team_id TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE);
    CREATE TABLE teams (id TEXT PRIMARY KEY NOT NULL, name TEXT,
                        captain_member_id TEXT REFERENCES team_members (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE file_reviews (id TEXT PRIMARY KEY NOT NULL, review TEXT,
                               file_id TEXT NOT NULL REFERENCES files (id) ON DELETE CASCADE);
    CREATE TABLE files (id TEXT PRIMARY KEY NOT NULL, name TEXT, data BLOB);
    CREATE TABLE typed_rows (id TEXT PRIMARY KEY NOT NULL, name TEXT, note TEXT, count_value INTEGER,
                             enabled_flag INTEGER NOT NULL DEFAULT 0, rating REAL, data BLOB, created_at TEXT);";

/// A device with all tables of the server.
fn full(server: &B, name: &str) -> Device {
    full_with(server, name, json!({}))
}

/// The same with further options of `sync_provider`.
fn full_with(server: &B, name: &str, more: Value) -> Device {
    Device::of(server, name, (SCHEMA, TABLES), more)
}

/// Method and path of what clients have sent, without what changes from run to run, one a line.
fn asked(server: &B) -> Vec<String> {
    let requests = server.requests().into_iter();
    requests
        .map(|request| {
            let path = request.path.split('?').next().unwrap_or_default();
            let path = path.split('/').map(|part| match part.len() {
                36 => "*",
                _ => part,
            });
            format!("{} {}", request.method, path.collect::<Vec<_>>().join("/"))
        })
        .collect()
}

/// How many requests of which this is the end were sent.
fn count(server: &B, end: &str) -> usize {
    let asked = asked(server);
    asked
        .iter()
        .filter(|request| request.ends_with(end))
        .count()
}

/// A user that another device has written.
fn written(number: u32, name: &str) -> Value {
    json!({"id": id(number), "name": name, "email": "e"})
}

/// Number and name of the users that the server has.
fn users(server: &B) -> Vec<String> {
    let rows = server.rows(USER, "users").into_iter();
    rows.map(|row| {
        let id = row["id"].as_str().unwrap_or_default().to_owned();
        let number = id[24..].trim_start_matches('0').to_owned();
        format!("{number} {}", row["name"].as_str().unwrap_or_default())
    })
    .collect()
}

/// Source, number and rows (the last digits of their keys) of the bundles that clients have sent.
fn bundles(server: &B) -> Vec<String> {
    let pushes = server.pushes().into_iter();
    pushes
        .map(|push| {
            let rows = push.rows.iter().map(|row| {
                let id = row["key"]["id"].as_str().unwrap_or_default();
                let number = id.get(24..).unwrap_or(id).trim_start_matches('0');
                format!(
                    "{} {number} {}",
                    row["op"].as_str().unwrap_or_default(),
                    row["base_row_version"]
                )
            });
            let rows: Vec<String> = rows.collect();
            format!("{}: {}", push.source_bundle_id, rows.join(", "))
        })
        .collect()
}

/// The next request with this in its path is answered by an error of that name.
fn refuse(server: &B, path: &str, status: u16, name: &str) {
    let mut fault = json!({"path": path, "times": 1, "status": status, "calls": name});
    about_a_push(&mut fault);
    server.faults().add(fault);
}

/// A look at the last bundle that was read is no part of a push.
fn about_a_push(fault: &mut Value) {
    if fault["path"]
        .as_str()
        .is_some_and(|path| path.starts_with("/commit"))
    {
        fault["on"] = json!("push");
    }
}

/// The next request with this in its path does not arrive; `after`: it arrives, and its answer does not.
fn lose(server: &B, path: &str, after: bool) {
    let mut fault = json!({"path": path, "times": 1, "drop": true, "afterCommit": after});
    about_a_push(&mut fault);
    server.faults().add(fault);
}

impl Device {
    /// Writes a user with all that the server's table wants.
    fn person(&self, number: u32, name: &str) {
        self.db
            .execute(
                "INSERT INTO users (id, name, email) VALUES (?1, ?2, 'e') \
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                [id(number), name.to_owned()],
            )
            .expect("a user");
    }

    /// Number and name of the users that are here.
    fn people(&self) -> String {
        self.rows("users", "name")
    }

    /// Rows that conflicts were about: kind, policy, ours, theirs, what came of it.
    fn conflicts(&self) -> String {
        self.ask(
            "SELECT kind, policy, local ->> 'name', remote ->> 'name', resolved ->> 'name' FROM sync_conflict",
        )
    }

    /// What is on its way, or was and nobody knows whether it arrived.
    fn on_its_way(&self) -> String {
        self.ask("SELECT count(*) FROM _syncPush WHERE state IN ('open', 'unknown')")
    }

    /// The number of the next bundle, and how far bundles were read.
    fn next_bundle(&self) -> String {
        self.ask("SELECT memory ->> 'nextBundle' FROM _syncPeer")
    }

    /// Nothing is pending, rejected, or of unknown outcome.
    fn assert_settled(&self) {
        assert_eq!(self.pending(), "");
        assert_eq!(self.on_its_way(), "0");
        assert_eq!(self.ask("SELECT reason FROM _syncRejected"), "");
    }
}
