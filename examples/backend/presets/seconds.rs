//! `seconds`: as `docs`, by a clock of seconds, with booleans as 0 and 1; a push is answered with
//! 204 if there is nothing to say.

use super::super::schema::Schema;
use super::super::watermelon::{Answer, PullCall, PushCall, Taken};
use super::docs;
use super::incoming::Incoming;

pub const PULL: &str = "GET /seconds/sync, then ?last_pulled_at=SECONDS";
pub const PUSH: &str = "POST /seconds/sync?last_pulled_at=SECONDS, the body is the changes";

/// Milliseconds are later than this since 1973, seconds not before the year 5138.
const TOO_LATE: i64 = 100_000_000_000;

pub fn pull(incoming: &Incoming) -> Result<PullCall, String> {
    let call = docs::pull(incoming)?;
    check(incoming, call.cursor)?;
    Ok(call)
}

pub fn push(incoming: &Incoming, schema: &Schema) -> Result<PushCall, String> {
    let call = docs::push(incoming, schema)?;
    check(incoming, call.cursor)?;
    Ok(PushCall {
        zero_one: true,
        ..call
    })
}

pub fn pushed(taken: &Taken) -> Answer {
    if taken.rejected.is_empty() {
        return Answer::empty();
    }
    docs::pushed(taken)
}

fn check(incoming: &Incoming, cursor: i64) -> Result<(), String> {
    if cursor == 0 && incoming.parameter("last_pulled_at").is_some() {
        return Err("last_pulled_at: seconds, and left out at first".to_string());
    }
    if cursor > TOO_LATE {
        return Err(format!("last_pulled_at: not seconds: {cursor}"));
    }
    Ok(())
}
