//! Driving a run to its end, with the HTTP room or another file.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::Value as Json;

use crate::coordination::EntitiesCall;
use crate::ground::{Class, SyncError};
use crate::http::{self, SecretError, Secrets};
use crate::providers::conversation::Goal;
use crate::providers::{Transport, policy};
use crate::store::{Result, Session, require_idle};

use super::run::{Input, Run, Turn};

/// Runs the operations of a call with a protocol provider to their end, on the caller's connection.
/// Answers with the summary; a failed sync is an answer, not an error.
///
/// # Errors
/// Called inside a transaction or while the connection is reading; what [`Run::begin`] refuses.
pub fn run(session: &Session, call: &EntitiesCall, goal: Goal) -> Result<Json> {
    run_until(session, call, goal, None)
}

/// The same; set to true, `cancel` ends it.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    session: &Session,
    call: &EntitiesCall,
    goal: Goal,
    cancel: Option<&Arc<AtomicBool>>,
) -> Result<Json> {
    require_idle(session.connection())?;
    let mut run = Run::begin(session, call, goal, false)?;
    if let Some(cancel) = cancel {
        run.cancel_with(Arc::clone(cancel));
    }
    complete(session, run)
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
            Turn::Send(outgoing) if run.config().kind().transport == Transport::File => {
                super::file::send(session, &mut run, &outgoing)
            }
            Turn::Send(outgoing) => {
                let secrets = session.part::<Secrets>();
                match http::prepare(&outgoing, &run.credentials(), &secrets) {
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
