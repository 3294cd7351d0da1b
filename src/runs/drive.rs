//! Driving a run with the HTTP room, to its end.

use std::time::Duration;

use serde_json::Value as Json;

use crate::coordination::EntitiesCall;
use crate::ground::{Class, SyncError};
use crate::http::{self, Credentials, Policy, SecretError, Secrets};
use crate::providers::Config;
use crate::providers::conversation::Goal;
use crate::store::{Result, Session, require_idle};

use super::run::{Input, Run, Turn};

/// Runs the operations of a call with a protocol provider to their end, on the caller's connection.
/// Answers with the summary; a failed sync is an answer, not an error.
///
/// # Errors
/// Called inside a transaction or while the connection is reading; what [`Run::begin`] refuses.
pub fn run_entities(session: &Session, call: &EntitiesCall) -> Result<Json> {
    require_idle(session.connection())?;
    complete(session, Run::begin(session, call, Goal::Sync, false)?)
}

/// Drives a run that has begun to its end.
///
/// # Errors
/// As [`Run::advance`].
pub fn complete(session: &Session, mut run: Run) -> Result<Json> {
    let mut input = Input::Go;
    loop {
        input = match run.advance(session, input)? {
            Turn::Over(answer) => return Ok(answer),
            Turn::Wait(time) => {
                std::thread::sleep(time);
                Input::Go
            }
            Turn::Send(outgoing) => {
                let secrets = session.part::<Secrets>();
                match http::prepare(&outgoing, &credentials(run.config()), &secrets) {
                    Ok(request) => Input::Answer(send(session, &mut run, &request)?),
                    Err(error) => Input::Stop(unusable(error)),
                }
            }
        }
    }
}

fn send(
    session: &Session,
    run: &mut Run,
    request: &http::Request,
) -> Result<std::result::Result<http::Response, http::HttpError>> {
    let policy = policy(run.config());
    let meter = run.live().meter.clone();
    let database = session.database(run.schema())?;
    let run = std::cell::RefCell::new(run);
    let cancelled = || run.borrow_mut().is_interrupted(&database);
    Ok(http::send_metered(request, &policy, &cancelled, &meter))
}

/// A secret that can't be sent along.
pub(super) fn unusable(error: SecretError) -> SyncError {
    SyncError::new(Class::Auth, "SYNC_ERROR_AUTH", error.to_string(), false)
}

/// The secrets that go with every request of a provider.
pub(super) fn credentials(config: &Config) -> Credentials {
    Credentials {
        token: config.token.clone(),
        headers: config.secret_headers.clone(),
    }
}

/// Checks the ranges of a provider's timeouts and limits.
///
/// # Errors
/// The key as the provider's config spells it, its value and its range.
pub fn check_policy(config: &Config) -> std::result::Result<(), String> {
    const SPELLINGS: &[(&str, &str)] = &[
        ("connect ", "connectTimeoutMs "),
        ("idle ", "timeoutMs "),
        ("total ", "totalTimeoutMs "),
        ("backoff_base ", "backoffMs "),
        ("backoff_max ", "maxBackoffMs "),
        ("retry_after_max ", "maxRetryAfterMs "),
        ("max_response_bytes ", "maxResponseBytes "),
    ];
    policy(config).check().map_err(|problem| {
        let spelled = SPELLINGS.iter().find_map(|(ours, theirs)| {
            problem
                .strip_prefix(ours)
                .map(|rest| format!("{theirs}{rest}"))
        });
        spelled.unwrap_or(problem)
    })
}

/// The provider's timeouts and limits; what it does not say stays at the default.
fn policy(config: &Config) -> Policy {
    let usual = Policy::default();
    let time = |set: Option<u64>, usual: Duration| set.map_or(usual, Duration::from_millis);
    Policy {
        connect: time(config.connect_timeout_ms, usual.connect),
        idle: time(config.timeout_ms, usual.idle),
        total: time(config.total_timeout_ms, usual.total),
        attempts: config.attempts.unwrap_or(usual.attempts),
        backoff_base: time(config.backoff_ms, usual.backoff_base),
        backoff_max: time(config.max_backoff_ms, usual.backoff_max),
        retry_after_max: time(config.max_retry_after_ms, usual.retry_after_max),
        max_response_bytes: config
            .max_response_bytes
            .unwrap_or(usual.max_response_bytes),
        spool_memory: usual.spool_memory,
    }
}
