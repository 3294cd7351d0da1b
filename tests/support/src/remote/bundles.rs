//! Servers of oversync's generation of bundles: the stand-in.

use serde_json::{Value, json};
use syncscope_backend::oversync::B;
use syncscope_backend::oversync::b::{Options, Revision, tables_of};
use syncscope_backend::{Kind, Moment};

use super::fault::fault;
use super::server::{Asked, On, Op, Remote, Sent, Trouble, Wanted};
use crate::waiting::PATIENCE;

/// The user that all tests are.
const USER: &str = "mara";

/// The schema that the tables have there.
const SCHEMA: &str = "business";

pub struct Bundles(B);

pub fn start(wanted: &Wanted<'_>) -> Box<dyn Remote> {
    start_speaking(wanted, Revision::Recorded)
}

/// A server of the later revision.
pub fn start_later(wanted: &Wanted<'_>) -> Box<dyn Remote> {
    start_speaking(wanted, Revision::Later)
}

fn start_speaking(wanted: &Wanted<'_>, revision: Revision) -> Box<dyn Remote> {
    let tokens = wanted
        .token
        .map(|token| (token.to_owned(), USER.to_owned()));
    let options = Options {
        schema: SCHEMA.into(),
        revision,
        tables: tables_of(wanted.schema),
        anonymous: wanted.token.is_none().then(|| USER.to_owned()),
        tokens: tokens.into_iter().collect(),
        ..Options::default()
    };
    let server = B::start(options).unwrap_or_else(|error| panic!("oversync b: {error}"));
    Box::new(Bundles(server))
}

/// The direction of a request; none of what is neither.
fn direction(path: &str) -> Option<On> {
    let is = |part: &str| path.contains(part);
    match () {
        () if is("/sync/pull") || is("/sync/snapshot-sessions") => Some(On::Download),
        () if path.ends_with("rows?max_rows=1") => None,
        () if is("/sync/push-sessions") || is("/sync/committed-bundles") => Some(On::Upload),
        () => None,
    }
}

impl Remote for Bundles {
    fn origin(&self) -> String {
        self.0.url()
    }

    fn config(&self) -> Value {
        let patience = PATIENCE.as_millis() as u64;
        json!({"kind": "oversync", "url": self.0.url(), "serverSchema": SCHEMA, "attempts": 1,
            "timeoutMs": patience, "connectTimeoutMs": patience, "busyTimeoutMs": patience})
    }

    fn sends_in_one_request(&self) -> bool {
        false
    }

    fn pulls_first(&self) -> bool {
        false
    }

    fn batches_of(&self, rows: usize) -> Option<Value> {
        Some(json!({ "bundleRows": rows }))
    }

    fn put(&self, table: &str, rows: &[Value]) {
        self.0.put(USER, table, rows);
    }

    fn remove(&self, table: &str, ids: &[&str]) {
        self.0.remove(USER, table, ids);
    }

    fn rows(&self, table: &str) -> Vec<Value> {
        self.0.rows(USER, table)
    }

    fn asked(&self) -> Vec<Asked> {
        let seen = self.0.requests().into_iter();
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
        let seen = self.0.requests();
        let filled = seen
            .iter()
            .filter(|request| request.path.ends_with("/chunks"));
        filled
            .map(|request| {
                let body: Value = serde_json::from_str(&request.body).expect("JSON");
                let rows = body["rows"].as_array().expect("rows");
                let mut sent: Vec<Sent> = rows.iter().map(change).collect();
                sent.sort_by(|one, other| {
                    (&one.table, one.op, &one.id).cmp(&(&other.table, other.op, &other.id))
                });
                sent
            })
            .collect()
    }

    fn forget(&self) {
        self.0.forget();
    }

    fn trouble(&self, on: On, trouble: &Trouble, times: Option<u32>) {
        let mut fault = fault(on, trouble, times);
        // What has been done is lost with the answer to the commit: two requests come before it.
        if matches!((on, trouble), (On::Upload, Trouble::Lost { done: true })) {
            fault["skip"] = json!(2);
        }
        self.0.faults().add(fault);
    }

    fn behave(&self) {
        self.0.faults().clear();
    }

    fn meanwhile(&self, on: On, deed: Box<dyn FnOnce() + Send>) {
        let kind = match on {
            On::Download => Kind::Pull,
            On::Upload => Kind::Push,
        };
        self.0.moments().plan(kind, Moment::Arrived, 0, deed);
    }

    fn shown_reason(&self, reason: &str) -> String {
        format!(r#"HTTP 400: {{"error":"push_chunk_invalid","message":"{reason}"}}"#)
    }
}

fn change(row: &Value) -> Sent {
    let op = match row["op"].as_str() {
        Some("INSERT") => Op::Created,
        Some("UPDATE") => Op::Updated,
        _ => Op::Deleted,
    };
    Sent {
        table: row["table"].as_str().expect("a table").to_owned(),
        op,
        id: row["key"]["id"].as_str().expect("an id").to_owned(),
        changed: None,
        values: row.get("payload").cloned().unwrap_or_default(),
    }
}
