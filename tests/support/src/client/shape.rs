//! Requests in the shape of each preset.

use serde_json::{Value, json};

use super::{Backend, NOON, Preset, Reply, agent, answered};

/// A request in the shape of a preset, without the address: a GET, or a POST if it has a body.
pub struct Shape {
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Value>,
}

impl Shape {
    pub fn get(query: Vec<(&'static str, String)>) -> Shape {
        Shape { query, body: None }
    }

    pub fn post(query: Vec<(&'static str, String)>, body: Value) -> Shape {
        Shape {
            query,
            body: Some(body),
        }
    }

    pub fn send(&self, url: &str) -> Reply {
        let query = self.query.iter().map(|(name, value)| (*name, value));
        answered(match &self.body {
            None => agent().get(url).query_pairs(query).call(),
            Some(body) => agent().post(url).query_pairs(query).send(body.to_string()),
        })
    }
}

/// The first pull of a client of a preset, as the preset's table has it.
pub fn first_pull(preset: Preset) -> Shape {
    match preset {
        Preset::Docs => Shape::get(vec![
            ("last_pulled_at", "null".to_string()),
            ("schema_version", "1".to_string()),
            ("migration", "null".to_string()),
        ]),
        Preset::Seed => Shape::post(vec![], json!({"lastPulledAt": null})),
        Preset::CamelQuery => Shape::get(vec![
            ("lastPulledAt", "0".to_string()),
            ("schemaVersion", "1".to_string()),
        ]),
        Preset::Rpc => Shape::post(vec![], json!({"last_pulled_at": 0})),
        Preset::Seconds => Shape::get(vec![
            ("schema_version", "1".to_string()),
            ("migration", "null".to_string()),
        ]),
    }
}

/// The next one.
pub fn next_pull(preset: Preset, cursor: i64) -> Shape {
    let mut shape = first_pull(preset);
    match preset {
        Preset::Docs | Preset::CamelQuery => shape.query[0].1 = cursor.to_string(),
        Preset::Seconds => shape.query.push(("last_pulled_at", cursor.to_string())),
        Preset::Seed => shape.body = Some(json!({"lastPulledAt": cursor})),
        Preset::Rpc => shape.body = Some(json!({"last_pulled_at": cursor})),
    }
    shape
}

pub fn a_push(preset: Preset, cursor: i64, changes: &Value) -> Shape {
    let in_url = || vec![("last_pulled_at", cursor.to_string())];
    match preset {
        Preset::Docs | Preset::Seconds => Shape::post(in_url(), changes.clone()),
        Preset::Seed | Preset::CamelQuery => {
            Shape::post(vec![], json!({"changes": changes, "lastPulledAt": cursor}))
        }
        Preset::Rpc => Shape::post(vec![], json!({"changes": changes})),
    }
}

pub fn pull_by(backend: &Backend, preset: Preset, shape: Shape) -> Value {
    let reply = shape.send(&backend.pull_url(preset));
    assert_eq!(reply.status, 200, "{preset:?}: {:?}", reply.body);
    reply.json()
}

pub fn push_by(backend: &Backend, preset: Preset, cursor: i64, changes: Value) -> Reply {
    a_push(preset, cursor, &changes).send(&backend.push_url(preset))
}

/// Where a preset puts rows that are new.
pub fn new_section(preset: Preset) -> &'static str {
    match preset {
        Preset::Rpc => "updated",
        _ => "created",
    }
}

/// Stops the clock so many seconds after noon: what is written now is later than what was written
/// at an earlier second, by every preset's clock.
pub fn stop_clock(backend: &Backend, seconds: i64) {
    backend.freeze_clock(Some(NOON + 1000 * seconds));
}

/// A push of all three kinds; `done` as the preset has booleans.
pub fn three_changes(preset: Preset) -> Value {
    let done = match preset {
        Preset::Seconds => json!(1),
        _ => json!(true),
    };
    json!({"task": {
        "created": [{"id": "n1", "_status": "created", "_changed": "", "title": "New", "done": done}],
        "updated": [{"id": "t2", "_status": "updated", "_changed": "title", "title": "Mine"}],
        "deleted": ["t1"]}})
}
