//! A device as a test plays it.

use serde_json::{Value, json};
use syncscope_backend::oversync::B;
use syncscope_backend::oversync::b::{Defects, Options};

use crate::recording::Request;
use crate::wire::{Exchange, Reply};

/// A key, by its number.
pub fn id(number: u32) -> String {
    format!("c0000000-0000-4000-8000-{number:012x}")
}

/// The example server without any defect, and with whatever else is changed.
pub fn sound(change: impl FnOnce(&mut Options)) -> B {
    let mut options = Options {
        defects: Defects::none(),
        ..Options::default()
    };
    change(&mut options);
    B::start(options).expect("it starts")
}

/// A device of the user mara.
pub struct Client {
    origin: String,
    token: String,
    pub source: &'static str,
}

impl Client {
    pub fn of(server: &B, source: &'static str) -> Client {
        Client {
            origin: server.url(),
            token: server.token("mara"),
            source,
        }
    }

    /// One that has connected with nothing to bring.
    pub fn connected(server: &B, source: &'static str) -> Client {
        let client = Client::of(server, source);
        let (status, _) = client.post("/sync/connect", &json!({"has_local_pending_rows": false}));
        assert_eq!(status, 200);
        client
    }

    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Exchange {
        let headers = vec![
            (
                "authorization".to_string(),
                format!("Bearer {}", self.token),
            ),
            ("oversync-source-id".to_string(), self.source.to_string()),
        ];
        let request = Request {
            method: method.to_string(),
            path: path.to_string(),
            headers,
            body: body.map(Value::to_string).unwrap_or_default().into_bytes(),
        };
        Exchange::send(&self.origin, &request)
    }

    /// None if there is no answer.
    pub fn reply(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Reply> {
        self.send(method, path, body).finish()
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        parsed(&self.reply("GET", path, None).expect("an answer"))
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        parsed(&self.reply("POST", path, Some(body)).expect("an answer"))
    }

    /// Opens a session and fills it; its id.
    pub fn stage(&self, bundle: u32, rows: &[Value]) -> String {
        let wanted = json!({"source_bundle_id": bundle, "planned_row_count": rows.len()});
        let (status, session) = self.post("/sync/push-sessions", &wanted);
        assert_eq!(status, 200, "{session}");
        let push = session["push_id"].as_str().expect("an id").to_string();
        let chunk = json!({"start_row_ordinal": 0, "rows": rows});
        let (status, filled) = self.post(&format!("/sync/push-sessions/{push}/chunks"), &chunk);
        assert_eq!(status, 200, "{filled}");
        push
    }

    pub fn commit(&self, push: &str) -> (u16, Value) {
        self.post(&format!("/sync/push-sessions/{push}/commit"), &Value::Null)
    }

    /// A whole push that must succeed.
    pub fn push(&self, bundle: u32, rows: &[Value]) -> Value {
        let (status, committed) = self.commit(&self.stage(bundle, rows));
        assert_eq!(status, 200, "{committed}");
        committed
    }

    /// The answer to opening a session for one row.
    pub fn create(&self, bundle: u32) -> (u16, Value) {
        let wanted = json!({"source_bundle_id": bundle, "planned_row_count": 1});
        self.post("/sync/push-sessions", &wanted)
    }
}

fn parsed(reply: &Reply) -> (u16, Value) {
    (
        reply.status,
        serde_json::from_str(&reply.body).unwrap_or_default(),
    )
}

/// A new category.
pub fn category(number: u32, name: &str) -> Value {
    row(
        "categories",
        number,
        json!({"name": name, "parent_id": null}),
    )
}

/// A new row.
pub fn row(table: &str, number: u32, payload: Value) -> Value {
    json!({"schema": "business", "table": table, "key": {"id": id(number)}, "op": "INSERT",
        "base_row_version": 0, "payload": payload})
}
