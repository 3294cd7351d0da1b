//! `sync_wait(run [, timeoutMs])` and `sync_wait_current(provider [, timeoutMs])`.

use std::time::Duration;

use crate::providers::Transport;
use crate::runs;
use crate::store::{Call, Error, Result, Value};

use super::arguments::{self, MAIN};
use super::entities::provider_kind;

/// The time of a call, an hour when it names none.
fn time(call: &Call<'_>) -> Result<Duration> {
    if call.len() < 2 || call.argument(1).is_null() {
        return Ok(Duration::from_secs(3_600));
    }
    let given = arguments::integer(call, 1, "timeoutMs")?;
    let within = u64::try_from(given)
        .ok()
        .filter(|time| *time <= runs::LONGEST);
    within.map(Duration::from_millis).ok_or_else(|| {
        Error::argument(format!(
            "timeoutMs must be 0 to {}, not {given}",
            runs::LONGEST
        ))
    })
}

/// `SELECT sync_wait(7, 5000);` returns the answer of run 7, or how far it is.
pub fn wait(call: &Call<'_>) -> Result<Value> {
    let run = arguments::integer(call, 0, "run")?;
    let answer = runs::wait_for_run(call.session(), MAIN, run, time(call)?)?;
    Ok(answer.to_string().into())
}

/// `SELECT sync_wait_current('airline-api', 5000);` returns `{"current":true,"pending":0,…}`.
pub fn wait_current(call: &Call<'_>) -> Result<Value> {
    let provider = arguments::text(call, 0, "provider")?;
    let database = call.session().database(MAIN)?;
    let kind = provider_kind(&database, provider)?;
    if kind.transport == Transport::Nobody {
        return Err(Error::argument(format!(
            "provider '{provider}' is of kind {}, whose data your program moves: there is nothing to wait for",
            kind.name
        )));
    }
    let answer = runs::wait_until_current(call.session(), MAIN, provider, time(call)?)?;
    Ok(answer.to_string().into())
}
