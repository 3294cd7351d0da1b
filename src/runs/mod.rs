//! One run: begin, go on step by step, take each answer in one transaction, finish; its record, report and log.

mod check;
mod diary;
mod finish;
pub mod gate;
mod notes;
mod patience;
mod pull;
mod push;
mod questions;
mod report;
pub mod run;
mod transport;
mod waiting;

pub use check::check;
pub use questions::{has_pending, is_stale};
pub use waiting::{Waiting, capture_existing, untrack};

use serde_json::Value as Json;

use crate::coordination::EntitiesCall;
use crate::ground::SyncError;
use crate::store::{Result, Session, require_idle};

use run::Run;

/// Runs the operations of a call with a protocol provider to their end, on the caller's connection.
/// Answers with the summary; a failed sync is an answer, not an error.
///
/// # Errors
/// Called inside a transaction or while the connection is reading; what [`Run::begin`] refuses.
pub fn run_entities(session: &Session, call: &EntitiesCall) -> Result<Json> {
    require_idle(session.connection())?;
    complete(Run::begin(session, call)?)
}

/// Drives a run that has begun to its end.
///
/// # Errors
/// As [`Run::finish`].
pub fn complete(mut run: Run<'_>) -> Result<Json> {
    // A bug in the steps must not leave the operations open.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drive(&mut run)));
    match outcome {
        Ok(outcome) => run.finish(outcome),
        Err(panic) => {
            let _ = run.finish(Err(SyncError::protocol(
                "the sync ended in a bug of syncscope",
            )));
            std::panic::resume_unwind(panic)
        }
    }
}

fn drive(run: &mut Run<'_>) -> Result<(), SyncError> {
    while let Some(due) = run.next_request()? {
        let cancel = transport::Cancel::when(|| run.is_interrupted());
        let answer = transport::send(run.session(), run.config(), due, &cancel)?;
        drop(cancel);
        run.supply(answer)?;
    }
    Ok(())
}
