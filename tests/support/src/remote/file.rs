//! Another SQLite file in the place of a server. It gets no requests: what a test wants of them does not apply, and ends it
//! for this kind, see [`Skipped`].

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Mutex;

use rusqlite::{Connection, params_from_iter};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::{Asked, On, Remote, Sent, Trouble, Wanted};
use crate::device::rows_of;
use crate::waiting::PATIENCE;

/// The end of a test that is about requests.
pub struct Skipped;

fn skip() -> ! {
    // Without a message: nothing went wrong.
    resume_unwind(Box::new(Skipped))
}

pub struct File {
    folder: TempDir,
    db: Mutex<Connection>,
}

pub fn start(wanted: &Wanted<'_>) -> Box<dyn Remote> {
    if wanted.token.is_some() {
        skip();
    }
    let folder = TempDir::new().expect("a folder");
    let db = Connection::open(folder.path().join("hub.db")).expect("open");
    db.busy_timeout(PATIENCE).expect("timeout");
    db.execute_batch("PRAGMA synchronous = OFF")
        .expect("settings");
    db.execute_batch(wanted.schema).expect("schema");
    Box::new(File {
        folder,
        db: Mutex::new(db),
    })
}

impl File {
    fn path(&self) -> PathBuf {
        self.folder.path().join("hub.db")
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn bound(value: &Value) -> rusqlite::types::Value {
    match value {
        Value::Null => rusqlite::types::Value::Null,
        Value::Bool(truth) => i64::from(*truth).into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().expect("a number").into(),
        },
        Value::String(text) => text.clone().into(),
        other => other.to_string().into(),
    }
}

impl Remote for File {
    fn origin(&self) -> String {
        skip()
    }

    fn config(&self) -> Value {
        json!({"kind": "sqlite", "file": self.path(), "busyTimeoutMs": PATIENCE.as_millis() as u64})
    }

    fn takes(&self, more: &Value) {
        let of_requests = [
            "timeoutMs",
            "totalTimeoutMs",
            "maxResponseBytes",
            "attempts",
            "token",
            "headers",
            "secretHeaders",
        ];
        if of_requests.iter().any(|key| more.get(key).is_some()) {
            skip();
        }
    }

    fn batches_of(&self, _: usize) -> Option<Value> {
        None
    }

    fn put(&self, table: &str, rows: &[Value]) {
        let db = self.db.lock().expect("lock");
        for row in rows {
            let row = row.as_object().expect("a row");
            let names: Vec<String> = row.keys().map(|name| quoted(name)).collect();
            let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
            let sets: Vec<String> = names
                .iter()
                .map(|name| format!("{name} = excluded.{name}"))
                .collect();
            let sql = format!(
                "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT (id) DO UPDATE SET {}",
                quoted(table),
                names.join(", "),
                places.join(", "),
                sets.join(", ")
            );
            db.execute(&sql, params_from_iter(row.values().map(bound)))
                .expect("a row");
        }
    }

    fn remove(&self, table: &str, ids: &[&str]) {
        let db = self.db.lock().expect("lock");
        for id in ids {
            let sql = format!("DELETE FROM {} WHERE id = ?1", quoted(table));
            db.execute(&sql, [id]).expect("a delete");
        }
    }

    fn rows(&self, table: &str) -> Vec<Value> {
        rows_of(&self.db.lock().expect("lock"), table)
    }

    fn asked(&self) -> Vec<Asked> {
        skip()
    }

    fn pushed(&self) -> Vec<Vec<Sent>> {
        skip()
    }

    fn forget(&self) {}

    fn trouble(&self, _: On, _: &Trouble, _: Option<u32>) {
        skip()
    }

    fn behave(&self) {}

    fn meanwhile(&self, _: On, _: Box<dyn FnOnce() + Send>) {
        skip()
    }

    fn shown_reason(&self, reason: &str) -> String {
        reason.to_owned()
    }
}
