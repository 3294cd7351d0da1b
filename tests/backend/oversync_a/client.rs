//! A device of a user, in a few words.

use serde_json::{Value, json};
use support::backend::oversync::A;

use super::answer::Answer;
use crate::recording::Request;
use crate::wire::Exchange;

/// A device of mara.
pub struct Client<'a> {
    pub server: &'a A,
    pub device: &'a str,
}

impl<'a> Client<'a> {
    pub fn new(server: &'a A, device: &'a str) -> Client<'a> {
        Client { server, device }
    }

    pub fn request(&self, method: &str, path: &str, body: &str) -> Request {
        let token = self.server.token("mara", self.device);
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: vec![("authorization".to_owned(), format!("Bearer {token}"))],
            body: body.as_bytes().to_vec(),
        }
    }

    pub fn send(&self, request: &Request) -> Answer {
        Answer::of(Exchange::send(&self.server.url(), request))
    }

    pub fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(&self.request(method, path, body))
    }

    pub fn try_upload(&self, changes: &[Value]) -> Answer {
        let body = json!({"last_server_seq_seen": 0, "changes": changes});
        self.ask("POST", "/sync/upload", &body.to_string())
    }

    /// The statuses of an upload.
    #[track_caller]
    pub fn upload(&self, changes: &[Value]) -> Vec<Value> {
        let answer = self.try_upload(changes);
        assert_eq!(answer.status, Some(200), "{answer:?}");
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        body["statuses"].as_array().expect("a list").clone()
    }

    /// What a change alone is answered: `applied 1`, `conflict 3`, `invalid fk_missing`.
    #[track_caller]
    pub fn one(&self, change: Value) -> String {
        let statuses = self.upload(&[change]);
        brief(&statuses[0])
    }

    pub fn all(&self, changes: &[Value]) -> Vec<String> {
        self.upload(changes).iter().map(brief).collect()
    }

    pub fn download(&self, query: &str) -> Value {
        let answer = self.ask("GET", &format!("/sync/download?{query}"), "");
        assert_eq!(answer.status, Some(200), "{answer:?}");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// The log after a number, also of the own changes: `4 UPDATE 2 v2` is number, operation, row and version.
    pub fn log(&self, after: i64) -> Vec<String> {
        let page = self.download(&format!("after={after}&limit=1000&include_self=true"));
        let changes = page["changes"].as_array().expect("a list");
        let line = |change: &Value| {
            let pk = change["pk"].as_str().expect("a key");
            let row = pk.rsplit('-').next().unwrap_or(pk).trim_start_matches('0');
            let op = change["op"].as_str().expect("an operation");
            format!(
                "{} {op} {row} v{}",
                change["server_id"], change["server_version"]
            )
        };
        changes.iter().map(line).collect()
    }
}

fn brief(status: &Value) -> String {
    let word = status["status"].as_str().expect("a word");
    let more = match word {
        "conflict" => status["server_row"]["server_version"].to_string(),
        "invalid" => status["invalid"]["reason"]
            .as_str()
            .expect("a reason")
            .to_owned(),
        _ => status["new_server_version"].to_string(),
    };
    format!("{word} {more}").replace(" null", "")
}

/// The id of a row.
pub fn id(row: u32) -> String {
    format!("00000000-0000-4000-8000-{row:012}")
}

pub fn user(row: u32, name: &str) -> Value {
    json!({"id": id(row), "name": name, "email": "e"})
}

pub fn post(row: u32, author: &Value) -> Value {
    json!({"id": id(row), "title": "t", "content": "c", "author_id": author})
}

/// An upsert of a row; base 0 is an insert.
pub fn upsert(change: i64, table: &str, base: i64, row: &Value) -> Value {
    let op = if base == 0 { "INSERT" } else { "UPDATE" };
    json!({"source_change_id": change, "schema": "business", "table": table, "op": op, "pk": row["id"],
        "server_version": base, "payload": row})
}

pub fn delete(change: i64, table: &str, base: i64, row: u32) -> Value {
    json!({"source_change_id": change, "schema": "business", "table": table, "op": "DELETE", "pk": id(row),
        "server_version": base})
}
