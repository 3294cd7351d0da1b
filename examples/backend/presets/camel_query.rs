//! `camel_query`: the pull's cursor in the URL, the push's in the body, names in camel case; the
//! answer to a push lists what was rejected, with reasons.

use serde_json::{Map, Value, json};

use super::super::watermelon::{Answer, PullCall, PushCall, Taken};
use super::incoming::{Incoming, whole_text};
use super::seed;

pub const PULL: &str = "GET /camel/pull?lastPulledAt=0&schemaVersion=1";
pub const PUSH: &str = "POST /camel/push {\"changes\",\"lastPulledAt\"}";

pub fn pull(incoming: &Incoming) -> Result<PullCall, String> {
    incoming.must_get()?;
    incoming.only_cursor(Some("lastPulledAt"))?;
    incoming.no_parameter("schema_version")?;
    let cursor = whole_text("lastPulledAt", incoming.needed("lastPulledAt")?)?;
    whole_text("schemaVersion", incoming.needed("schemaVersion")?)?;
    incoming.pull_of_query(cursor)
}

pub fn push(incoming: &Incoming) -> Result<PushCall, String> {
    seed::push(incoming)
}

pub fn pushed(taken: &Taken) -> Answer {
    let rejected: Vec<Value> = taken
        .rejected
        .iter()
        .map(|row| json!({"table": row.table, "id": row.id, "reason": row.reason}))
        .collect();
    Answer::ok(&Map::from_iter([
        ("accepted".to_string(), json!(taken.accepted)),
        ("rejected".to_string(), json!(rejected)),
        ("timestamp".to_string(), json!(taken.timestamp)),
    ]))
}
