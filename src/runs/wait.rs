//! Waiting: for one run to end, or until all is here and there.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::capture::{Tracked, log};
use crate::coordination::operation::Form;
use crate::coordination::{EntitiesCall, installed};
use crate::providers::conversation::Goal;
use crate::store::{Database, Error, Result, Session, require_idle};

use super::begin::{call_of, entities_of, is_only};
use super::drive::run;
use super::peers::peers;
use super::waiting;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// The longest that a program waits: a day.
pub const LONGEST: u64 = 24 * 3_600_000;

/// What is said of a number that no run has.
pub fn unknown(run: i64) -> Error {
    Error::argument(format!(
        "there is no run {run}; _syncRun lists the newest ones"
    ))
}

/// Waits until a run has ended, and returns its answer; as far as it has come, when the time is over.
///
/// # Errors
/// There is no such run; called inside a transaction; interrupted.
pub fn wait_for_run(session: &Session, schema: &str, id: i64, time: Duration) -> Result<Json> {
    require_idle(session.connection())?;
    let database = session.database(schema)?;
    let until = Instant::now() + time;
    loop {
        if !installed(&database)? {
            return Err(unknown(id));
        }
        let found = database.query_row(
            "SELECT state, phase, summary FROM main._syncRun WHERE id = ?1",
            &[id.into()],
            |row| Ok((row.text(0), row.text(1), row.optional_text(2))),
        )?;
        let Some((state, phase, summary)) = found else {
            return Err(unknown(id));
        };
        if state == "synced" || state == "failed" {
            let answer = summary.and_then(|summary| serde_json::from_str(&summary).ok());
            return Ok(answer.unwrap_or_else(|| json!({"runId": id, "state": state})));
        }
        if Instant::now() >= until {
            let answer = json!({"runId": id, "state": state, "phase": phase, "timedOut": true});
            return Ok(answer);
        }
        std::thread::sleep(LOOK);
    }
}

/// Syncs, or waits for whoever does, until everything that was pending at the call is there and everything that was
/// there is here. What is missing, when that can't be or the time is over: no request begins after that.
///
/// # Errors
/// Nothing is synced with the provider; called inside a transaction; interrupted.
pub fn wait_until_current(
    session: &Session,
    schema: &str,
    provider: &str,
    time: Duration,
) -> Result<Json> {
    require_idle(session.connection())?;
    let database = session.database(schema)?;
    let until = Instant::now() + time;
    let upto = log::high_water(&database)?;
    let entities = entities_of(&database, provider, is_only(&database, provider)?)?;
    if entities.is_empty() {
        return Err(Error::argument(format!(
            "no table is synced with provider '{provider}' yet; call sync_track, and sync it once"
        )));
    }
    let call = EntitiesCall {
        form: Form::Operation,
        ..call_of(&database, schema, provider, entities, Default::default())?
    };
    loop {
        // One that somebody else began may have asked before this call: a sync of our own surely asks after it.
        let is_over = Instant::now() >= until;
        match (!is_over).then(|| run(session, &call, Goal::Sync)) {
            Some(Ok(answer)) => return shown(&database, provider, upto, &answer),
            Some(Err(error)) if !error.is_busy() => return Err(error),
            _ => {}
        }
        if is_over {
            let none = json!({"state": "syncing", "error": null, "paused": false});
            let mut answer = shown(&database, provider, upto, &none)?;
            answer["current"] = false.into();
            answer["timedOut"] = true.into();
            return Ok(answer);
        }
        std::thread::sleep(LOOK);
    }
}

/// How things stand after a sync.
fn shown(database: &Database, provider: &str, upto: i64, answer: &Json) -> Result<Json> {
    let mut tables = Tracked::all(database)?;
    tables.retain(|table| table.provider.as_deref() == Some(provider));
    let pending = waiting::count_up_to(database, tables, upto)?
        .remove(provider)
        .unwrap_or_default();
    let peer = peers(database, Some(provider))?.pop();
    let rejected = peer.as_ref().map_or(0, |peer| peer.rejected);
    let held = peer.as_ref().map_or(0, |peer| peer.held);
    let paused = answer["paused"] == true;
    let current = answer["state"] == "synced" && pending == 0 && held == 0 && !paused;
    Ok(json!({
        "current": current,
        "pending": pending,
        "rejected": rejected,
        "held": held,
        "paused": paused,
        "state": answer["state"],
        "runId": answer["runId"],
        "error": answer["error"],
    }))
}
