//! What the tests of the reference backend share: plain HTTP, and a backend with a few tasks.

pub mod shape;

use std::io::Read;

use serde_json::Value;
pub use syncscope_backend::{Backend, Options, Place, Preset};

use crate::waiting::PATIENCE;

pub const SCHEMA: &str = "
    CREATE TABLE task (
      key TEXT PRIMARY KEY NOT NULL, title TEXT NOT NULL, done BOOLEAN NOT NULL, points INTEGER,
      weight REAL, note TEXT DEFAULT 'none');
    CREATE TABLE list (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE item (
      id TEXT PRIMARY KEY, list INTEGER REFERENCES list ON DELETE CASCADE);";

/// Half a second past a full one, in a future that stamps have not reached: for tests that stop
/// the clock.
pub const NOON: i64 = 4_000_000_000_500;

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// `None` if the body broke off.
    pub body: Option<String>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        let text = self.body.as_deref().expect("a whole body");
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .into()
}

/// `None` if the connection ends without an answer.
pub fn get(url: &str) -> Option<Reply> {
    agent().get(url).call().ok().map(reply)
}

pub fn post(url: &str, body: &Value) -> Option<Reply> {
    let request = agent().post(url).header("Content-Type", "application/json");
    request.send(body.to_string()).ok().map(reply)
}

fn reply(response: ureq::http::Response<ureq::Body>) -> Reply {
    let (parts, body) = response.into_parts();
    let mut text = String::new();
    let read = body.into_reader().read_to_string(&mut text);
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_string()))
        .collect();
    Reply {
        status: parts.status.as_u16(),
        headers,
        body: read.ok().map(|_| text),
    }
}

pub fn start() -> Backend {
    Backend::start(SCHEMA)
}

/// A backend with task t1 to t3, and the cursor of a client that has seen them.
pub fn with_tasks() -> (Backend, i64) {
    let backend = start();
    backend.sql(|sql| {
        sql.execute_batch(
            "INSERT INTO task (key, title, done) VALUES ('t1', 'Dig', 0), ('t2', 'Rest', 1), ('t3', 'Sow', 0)",
        )
    });
    let cursor = timestamp(&pull(&backend, "null"));
    (backend, cursor)
}

pub fn pull_reply(backend: &Backend, cursor: impl std::fmt::Display) -> Option<Reply> {
    get(&format!("{}?last_pulled_at={cursor}", backend.sync_url()))
}

pub fn pull(backend: &Backend, cursor: impl std::fmt::Display) -> Value {
    let reply = pull_reply(backend, cursor).expect("an answer");
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    reply.json()
}

pub fn push_reply(backend: &Backend, cursor: i64, changes: &Value) -> Option<Reply> {
    let url = format!("{}?last_pulled_at={cursor}", backend.sync_url());
    post(&url, changes)
}

pub fn push(backend: &Backend, cursor: i64, changes: Value) -> (u16, Value) {
    let reply = push_reply(backend, cursor, &changes).expect("an answer");
    (reply.status, reply.json())
}

/// Adds a fault from outside.
pub fn misbehave(backend: &Backend, fault: Value) {
    let reply = post(&format!("{}/_control", backend.url()), &fault).expect("an answer");
    assert_eq!(reply.status, 200, "{:?}", reply.body);
}

pub fn timestamp(answer: &Value) -> i64 {
    answer["timestamp"].as_i64().expect("a timestamp")
}

/// Ids of a section of a table's change set.
pub fn ids(answer: &Value, table: &str, section: &str) -> Vec<String> {
    let items = answer["changes"][table][section]
        .as_array()
        .expect("a list");
    let id = |item: &Value| item.get("id").unwrap_or(item).as_str().unwrap().to_string();
    items.iter().map(id).collect()
}

pub fn count(backend: &Backend, query: &str) -> i64 {
    backend.sql(|sql| sql.query_row(query, [], |row| row.get(0)))
}

pub fn title(backend: &Backend, key: &str) -> Option<String> {
    backend.sql(|sql| {
        let mut statement = sql.prepare("SELECT title FROM task WHERE key = ?")?;
        let mut rows = statement.query([key])?;
        rows.next()?.map(|row| row.get(0)).transpose()
    })
}

pub fn answered(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Reply {
    reply(result.expect("an answer"))
}
