//! `rpc`: two procedures. A push has no cursor, so rule U5 cannot be kept, and the caller makes all
//! rows come as `updated`.

use super::super::watermelon::{NO_CURSOR, PullCall, PushCall};
use super::incoming::{Incoming, only_cursor_in, pull_of_body, take, whole_number};

pub const PULL: &str = "POST /rpc/pull {\"last_pulled_at\":0}";
pub const PUSH: &str = "POST /rpc/push {\"changes\"}";

const CURSOR: &str = "last_pulled_at";

pub fn pull(incoming: &Incoming) -> Result<PullCall, String> {
    incoming.must_post()?;
    incoming.only_cursor(None)?;
    let mut body = incoming.object()?;
    only_cursor_in(&body, Some(CURSOR))?;
    let cursor = whole_number(CURSOR, &take(&mut body, CURSOR)?)?;
    if body.contains_key("changes") {
        return Err("the key changes belongs to a push".to_string());
    }
    pull_of_body(cursor, &body)
}

pub fn push(incoming: &Incoming) -> Result<PushCall, String> {
    incoming.must_post()?;
    incoming.only_cursor(None)?;
    let mut body = incoming.object()?;
    only_cursor_in(&body, None)?;
    Ok(PushCall {
        cursor: NO_CURSOR,
        changes: take(&mut body, "changes")?,
        zero_one: false,
    })
}
