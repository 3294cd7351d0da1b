//! `seed`: everything in the body, names in camel case. A pull may also be `GET …/pull?since=N`.

use serde_json::{Map, Value};

use super::super::watermelon::{PullCall, PushCall};
use super::incoming::{Incoming, cursor_text, only_cursor_in, pull_of_body, take, whole_number};

pub const PULL: &str = "POST /api/sync/pull {\"lastPulledAt\":null}";
pub const PUSH: &str = "POST /api/sync/push {\"changes\",\"lastPulledAt\"}";

const CURSOR: &str = "lastPulledAt";

pub fn pull(incoming: &Incoming) -> Result<PullCall, String> {
    if incoming.is_get() {
        incoming.only_cursor(Some("since"))?;
        let cursor = cursor_text("since", incoming.needed("since")?)?;
        return incoming.pull_of_query(cursor);
    }
    incoming.only_cursor(None)?;
    let mut body = incoming.object()?;
    let cursor = cursor(&mut body)?;
    if body.contains_key("changes") {
        return Err("the key changes belongs to a push".to_string());
    }
    pull_of_body(cursor, &body)
}

/// Also the push of camel_query.
pub fn push(incoming: &Incoming) -> Result<PushCall, String> {
    incoming.must_post()?;
    incoming.only_cursor(None)?;
    let mut body = incoming.object()?;
    Ok(PushCall {
        cursor: cursor(&mut body)?,
        changes: take(&mut body, "changes")?,
        zero_one: false,
    })
}

/// `null` and 0 mean everything (rule P3).
fn cursor(body: &mut Map<String, Value>) -> Result<i64, String> {
    only_cursor_in(body, Some(CURSOR))?;
    match take(body, CURSOR)? {
        Value::Null => Ok(0),
        number => whole_number(CURSOR, &number),
    }
}
