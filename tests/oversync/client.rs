//! A device of a user, and rows with short names.

use rusqlite::Connection;
use serde_json::{Value, json};
use support::backend::oversync::a::Options;
use support::backend::oversync::{A, B};
use support::database::{World, ask};
use support::waiting::PATIENCE;

/// The tables of the example server.
const SCHEMA: &str = "
    CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, name TEXT, email TEXT);
    CREATE TABLE posts (id TEXT PRIMARY KEY NOT NULL, title TEXT, content TEXT,
                        author_id TEXT REFERENCES users (id));
    CREATE TABLE files (id TEXT PRIMARY KEY NOT NULL, name TEXT, data BLOB NOT NULL DEFAULT x'');";

/// The user of all tests with one user.
pub const USER: &str = "mara";

/// A UUID for a number.
pub fn id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

pub fn server() -> A {
    A::example()
}

pub fn server_with(options: Options) -> A {
    A::start(options).expect("a server")
}

/// A server of either generation.
pub trait Served {
    fn address(&self) -> String;

    /// The token of a device of the user.
    fn token_of(&self, device: &str) -> String;

    /// What a device is told of it.
    fn generation(&self) -> &'static str;
}

impl Served for A {
    fn address(&self) -> String {
        self.url()
    }

    fn token_of(&self, device: &str) -> String {
        self.token(USER, device)
    }

    fn generation(&self) -> &'static str {
        "a"
    }
}

impl Served for B {
    fn address(&self) -> String {
        self.url()
    }

    fn token_of(&self, _: &str) -> String {
        self.token(USER)
    }

    /// A device finds out.
    fn generation(&self) -> &'static str {
        "auto"
    }
}

/// A database that syncs with the server as one device.
pub struct Device {
    pub world: World,
    pub db: Connection,
}

impl Device {
    pub fn new(server: &impl Served, name: &str) -> Device {
        Device::with(server, name, json!({}))
    }

    /// `more`: further options of `sync_provider`.
    pub fn with(server: &impl Served, name: &str, more: Value) -> Device {
        Device::of(server, name, (SCHEMA, &["users", "posts", "files"]), more)
    }

    /// A device with these tables, the names of which stand beside them.
    pub fn of(
        server: &impl Served,
        name: &str,
        (schema, tables): (&str, &[&str]),
        more: Value,
    ) -> Device {
        let world = World::new(false);
        let device = Device {
            db: world.open(),
            world,
        };
        // No test pulls the plug.
        device.ask("PRAGMA journal_mode = WAL");
        device.ask("PRAGMA synchronous = OFF");
        device.exec(schema);
        device.declare(server, name, more);
        for table in tables {
            device.ask(&format!("SELECT sync_track('{table}')"));
        }
        device
    }

    /// Declares provider `api`, with a single attempt unless `more` says otherwise.
    pub fn declare(&self, server: &impl Served, name: &str, more: Value) {
        let patience = PATIENCE.as_millis() as u64;
        let mut config = json!({"kind": "oversync", "url": server.address(), "serverSchema": "business",
            "generation": server.generation(),
            "sourceId": name, "token": "t", "attempts": 1, "backoffMs": 1, "maxBackoffMs": 5,
            "timeoutMs": patience, "connectTimeoutMs": patience, "busyTimeoutMs": patience});
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let declared = "SELECT sync_secret('t', ?1, ?2), sync_provider('api', ?3)";
        let token = server.token_of(name);
        self.db
            .query_row(
                declared,
                [token, server.address(), config.to_string()],
                |_| Ok(()),
            )
            .expect("a provider");
    }

    pub fn ask(&self, sql: &str) -> String {
        ask(&self.db, sql)
    }

    pub fn exec(&self, sql: &str) {
        self.db
            .execute_batch(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// An operation with options, as JSON; its answer.
    pub fn call(&self, function: &str, options: &str) -> Value {
        let answer: String = self
            .db
            .query_row(&format!("SELECT {function}('api', ?1)"), [options], |row| {
                row.get(0)
            })
            .unwrap_or_else(|error| panic!("{function}: {error}"));
        serde_json::from_str(&answer).expect(&answer)
    }

    /// An operation that must succeed.
    pub fn done(&self, function: &str, options: &str) -> Value {
        let answer = self.call(function, options);
        assert_eq!(answer["state"], "synced", "{answer}");
        answer
    }

    pub fn upload(&self) -> Value {
        self.done("sync_upload_once", "{}")
    }

    pub fn download(&self) -> Value {
        self.done("sync_download_all", "{}")
    }

    pub fn sync(&self) -> Value {
        self.done("sync_once", "{}")
    }

    /// An operation that must fail; its error.
    pub fn failed(&self, function: &str) -> Value {
        let answer = self.call(function, "{}");
        assert_eq!(answer["state"], "failed", "{answer}");
        answer["error"].clone()
    }

    /// `table|key|op` of what is pending, the last digits of the keys only.
    pub fn pending(&self) -> String {
        self.ask(
            r#"SELECT "table", ltrim(substr(key, 25), '0'), op FROM sync_pending ORDER BY 1, 2"#,
        )
    }

    /// Last digits, and a column of all rows.
    pub fn rows(&self, table: &str, column: &str) -> String {
        self.ask(&format!(
            "SELECT ltrim(substr(id, 25), '0'), {column} FROM {table} ORDER BY id"
        ))
    }

    /// Writes a user.
    pub fn user(&self, number: u32, name: &str) {
        self.db
            .execute(
                "INSERT INTO users (id, name) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                [id(number), name.to_owned()],
            )
            .expect("a user");
    }

    /// Writes a post of a user.
    pub fn post(&self, number: u32, title: &str, author: u32) {
        self.db
            .execute(
                "INSERT INTO posts (id, title, author_id) VALUES (?1, ?2, ?3)",
                [id(number), title.to_owned(), id(author)],
            )
            .expect("a post");
    }

    pub fn delete(&self, table: &str, number: u32) {
        let sql = format!("DELETE FROM {table} WHERE id = ?1");
        assert_eq!(self.db.execute(&sql, [id(number)]).expect("a delete"), 1);
    }

    /// The version that is known of a row.
    pub fn version(&self, number: u32) -> String {
        self.ask(&format!(
            "SELECT version, deleted FROM _syncVersion WHERE pk = '{}'",
            id(number)
        ))
    }
}

/// `[total, applied, conflict, invalid, materializeError]` of an upload.
pub fn sums(answer: &Value) -> Value {
    json!([
        answer["total"],
        answer["applied"],
        answer["conflict"],
        answer["invalid"],
        answer["materializeError"]
    ])
}

/// The version and the name of a user that the server holds.
pub fn held(server: &A, number: u32) -> Option<(i64, Option<String>)> {
    let stored = server.stored(USER, "users", &id(number))?;
    let name = stored.payload.map(|payload| match &payload["name"] {
        Value::String(name) => name.clone(),
        other => other.to_string(),
    });
    Some((stored.version, name))
}

/// The next push does not arrive.
pub fn lose_push(server: &A) {
    server
        .faults()
        .add(json!({"on": "push", "times": 1, "drop": true}));
}

/// The next push arrives, and its answer does not.
pub fn lose_answer(server: &A) {
    server
        .faults()
        .add(json!({"on": "push", "times": 1, "drop": true, "afterCommit": true}));
}
