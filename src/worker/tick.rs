//! One look at what is due, and doing it: for the thread of the background and for programs that have a timer of
//! their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value as Json, json};

use crate::capture::{Tracked, log};
use crate::coordination::operation::Form;
use crate::coordination::{self, EntitiesCall, now, run_record};
use crate::http::{Secrets, luck};
use crate::providers::conversation::Goal;
use crate::runs;
use crate::store::{Database, Error, Result, Session, readable_schema};
use crate::transfer::pause;

use super::noticed::Noticed;
use super::schedule::{Circumstances, Due, Schedule};

/// The schema version whose schedules can be read.
pub const SINCE: i64 = 5;

/// Milliseconds until something is due; none when nothing is scheduled or can be done.
///
/// # Errors
/// SQLite's.
pub fn until_due(session: &Session, schema: &str) -> Result<Option<i64>> {
    let database = session.database(schema)?;
    if readable_schema(&database)?.is_none_or(|version| version < SINCE) {
        return Ok(None);
    }
    let at = now();
    let mut next: Option<i64> = None;
    for (_, due) in look(session, &database, schema, at)? {
        next = next.into_iter().chain(due.next()).min();
    }
    Ok(next.map(|next| next.saturating_sub(at).max(0)))
}

/// The schedules of a file, each with what is due when. Only reads.
///
/// # Errors
/// SQLite's.
pub fn schedules(
    session: &Session,
    database: &Database,
    schema: &str,
) -> Result<Vec<(Schedule, Due)>> {
    look(session, database, schema, now())
}

fn look(
    session: &Session,
    database: &Database,
    schema: &str,
    at: i64,
) -> Result<Vec<(Schedule, Due)>> {
    let noticed = session.part::<Noticed>();
    let end = log::high_water(database)?;
    let mut all = Vec::new();
    for schedule in Schedule::all(database)? {
        let provider = schedule.provider.as_str();
        let pending = runs::has_pending(database, Some(provider))?
            || has_unbound(database)? && runs::is_only(database, provider)?;
        let paused = pause::read(database, provider, true)?;
        let circumstances = Circumstances {
            pending,
            changed: noticed.look(schema, provider, end, pending, at),
            succeeded_at: run_record::last_end(database, provider)?,
            uploads_paused: paused.uploads,
            downloads_paused: paused.downloads,
            has_news: noticed.has_news(schema, provider),
            is_deaf: schedule.watch && noticed.is_deaf(schema, provider),
        };
        let secrets = session.part::<Secrets>().changes();
        // A call of the program that went well proves that it is let in again.
        let went_well = circumstances.succeeded_at > schedule.failed_at;
        let due = match noticed.is_shut_out(schema, provider, secrets) && !went_well {
            true => Due::default(),
            false => schedule.due(&circumstances),
        };
        all.push((schedule, due));
    }
    Ok(all)
}

/// Whether a table that was synced with no provider yet has something to send.
fn has_unbound(database: &Database) -> Result<bool> {
    let mut tables = Tracked::all(database)?;
    tables.retain(|table| table.provider.is_none());
    runs::anything(database, &tables)
}

/// Does what is due, one provider after the other. The answers, each as of the operation that was run.
///
/// # Errors
/// SQLite's, called inside a transaction. A sync that fails is an answer.
pub fn run_due(
    session: &Session,
    schema: &str,
    cancel: Option<&Arc<AtomicBool>>,
) -> Result<Vec<Json>> {
    let database = session.database(schema)?;
    if readable_schema(&database)?.is_none_or(|version| version < SINCE) {
        return Ok(Vec::new());
    }
    let at = now();
    let mut answers = Vec::new();
    for (schedule, due) in look(session, &database, schema, at)? {
        let Some(goal) = due.goal(at) else {
            continue;
        };
        if cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
            break;
        }
        match run(session, &database, (schema, &schedule), goal, cancel) {
            Ok(answer) => answers.push(answer),
            // Somebody else is at it: the next look shows what is left.
            Err(error) if error.is_busy() => {}
            Err(error @ (Error::Argument(_) | Error::Corrupt(_))) => {
                // Something about the call is wrong, such as a table that is gone: it waits like a failure, and says why.
                let why = error.to_string();
                record(session, schema, &schedule, goal, at, Outcome::Failed(None))?;
                answers
                    .push(json!({"provider": schedule.provider, "state": "failed", "error": why}));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

fn run(
    session: &Session,
    database: &Database,
    (schema, schedule): (&str, &Schedule),
    goal: Goal,
    cancel: Option<&Arc<AtomicBool>>,
) -> Result<Json> {
    let provider = schedule.provider.as_str();
    let is_only = runs::is_only(database, provider)?;
    let entities = runs::entities_of(database, provider, is_only)?;
    let call = EntitiesCall {
        form: Form::Operation,
        automatic: true,
        ..EntitiesCall::of(schema, provider, entities, Default::default())
    };
    let noticed = session.part::<Noticed>();
    noticed.begin(schema, provider, goal);
    let began = now();
    let answer = runs::run_until(session, &call, goal, cancel);
    let succeeded = |answer: &Json| !answer["error"]["message"].is_string();
    if !answer.as_ref().is_ok_and(succeeded) {
        noticed.again(schema, provider, goal, now());
    }
    let answer = answer?;
    let outcome = match succeeded(&answer) {
        true => Outcome::Done,
        false => Outcome::Failed(answer["error"]["retryAfter"].as_i64()),
    };
    // Who was told to stop has not failed.
    if answer["error"]["class"] == "cancelled" {
        return Ok(answer);
    }
    let is_auth = answer["error"]["class"] == "auth";
    let shut_out = is_auth.then(|| session.part::<Secrets>().changes());
    noticed.shut_out(schema, provider, shut_out);
    record(session, schema, schedule, goal, began, outcome)?;
    Ok(answer)
}

/// How a run went.
enum Outcome {
    Done,
    /// The server may have said after how many seconds to ask again.
    Failed(Option<i64>),
}

/// Writes down how it went.
fn record(
    session: &Session,
    schema: &str,
    schedule: &Schedule,
    goal: Goal,
    began: i64,
    outcome: Outcome,
) -> Result<()> {
    coordination::write(session, schema, |ground| {
        if let Outcome::Failed(asked) = outcome {
            let failures = schedule.failures.saturating_add(1);
            let at = now();
            let retry = at.saturating_add(schedule.wait_after(failures, asked, luck()));
            ground.database.execute(
                "UPDATE main._syncSchedule SET failures = ?2, failedAt = ?3, retryAt = ?4 WHERE provider = ?1",
                &[
                    schedule.provider.as_str().into(),
                    failures.into(),
                    at.into(),
                    retry.into(),
                ],
            )?;
            return Ok(());
        }
        let (up, down) = match goal {
            Goal::Upload => (true, false),
            Goal::Sync => (true, true),
            _ => (false, true),
        };
        ground.database.execute(
            "UPDATE main._syncSchedule SET failures = 0, failedAt = NULL, retryAt = NULL, \
             uploadedAt = iif(?2, ?4, uploadedAt), downloadedAt = iif(?3, ?4, downloadedAt) WHERE provider = ?1",
            &[
                schedule.provider.as_str().into(),
                up.into(),
                down.into(),
                began.into(),
            ],
        )?;
        Ok(())
    })
}
