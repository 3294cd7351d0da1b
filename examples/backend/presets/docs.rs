//! `docs`: the shape of the official pages. Cursor in the URL, the push's body is the bare changes.

use serde_json::{Map, Value, json};

use super::super::schema::Schema;
use super::super::watermelon::{Answer, PullCall, PushCall, Taken};
use super::incoming::{Incoming, cursor_text};

pub const PULL: &str = "GET /sync?last_pulled_at=null&schema_version=1&migration=null";
pub const PUSH: &str = "POST /sync?last_pulled_at=N, the body is the changes";

const CURSOR: &str = "last_pulled_at";

pub fn pull(incoming: &Incoming) -> Result<PullCall, String> {
    incoming.only_cursor(Some(CURSOR))?;
    incoming.no_parameter("schemaVersion")?;
    let cursor = match incoming.parameter(CURSOR) {
        None => 0,
        Some(text) => cursor_text(CURSOR, text)?,
    };
    incoming.pull_of_query(cursor)
}

/// The cursor must be there: without it rule U5 means nothing.
pub fn push(incoming: &Incoming, schema: &Schema) -> Result<PushCall, String> {
    incoming.only_cursor(Some(CURSOR))?;
    let cursor = cursor_text(CURSOR, incoming.needed(CURSOR)?)?;
    let changes = incoming.json()?;
    if changes.get("changes").is_some() && schema.table("changes").is_none() {
        return Err("the key changes belongs to another preset".to_string());
    }
    Ok(PushCall {
        cursor,
        changes,
        zero_one: false,
    })
}

/// Nothing, or the ids that were rejected; without reasons, for which there is no place.
pub fn answer(taken: &Taken) -> Map<String, Value> {
    let mut tables = Map::new();
    for rejected in &taken.rejected {
        let ids = tables.entry(rejected.table.as_str()).or_insert(json!([]));
        if let Value::Array(ids) = ids {
            ids.push(json!(rejected.id));
        }
    }
    let mut body = Map::new();
    if !tables.is_empty() {
        body.insert("experimentalRejectedIds".to_string(), tables.into());
    }
    body
}

/// The answer to a push as seed and rpc have it too.
pub fn pushed(taken: &Taken) -> Answer {
    Answer::ok(&answer(taken))
}
