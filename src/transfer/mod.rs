//! Moving data: pull, apply, freeze, push, settle, whatever the protocol.

mod apply;
mod binding;
mod cursor;
mod failure;
mod freeze;
mod lease;
mod outbox;
mod report;
pub mod run;
mod settle;
mod side_effects;
mod transport;

pub use transport::policy;

use crate::coordination::EntitiesCall;
use crate::providers::{Config, SyncError};
use crate::store::{Database, Error, Result, Session, require_idle};

use run::Run;
use serde_json::Value as Json;

/// Runs the operations of a call with a protocol provider to their end, on the caller's connection.
/// Answers with the summary; a failed sync is an answer, not an error.
///
/// # Errors
/// Called inside a transaction or while the connection is reading; what [`Run::begin`] refuses.
pub fn run_entities(session: &Session, call: &EntitiesCall) -> Result<Json> {
    require_idle(session.connection())?;
    let config = stored_config(&session.database(&call.schema)?, &call.provider)?;
    let mut run = Run::begin(session, call, config)?;
    // A bug in the steps must not leave the operations open.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drive(&mut run)));
    match outcome {
        Ok(outcome) => run.finish(outcome),
        Err(panic) => {
            let _ = run.finish(Err(SyncError::protocol("the sync ended in a bug of syncscope")));
            std::panic::resume_unwind(panic)
        }
    }
}

fn stored_config(database: &Database, provider: &str) -> Result<Config> {
    let stored = database.query_value(
        "SELECT config FROM main._syncProvider WHERE id = ?1",
        &[provider.into()],
    )?;
    Config::parse(stored.as_str().unwrap_or_default()).map_err(|problem| {
        Error::Corrupt(format!("the stored {problem}; call sync_provider again"))
    })
}

fn drive(run: &mut Run<'_>) -> Result<(), SyncError> {
    while let Some(due) = run.next_request()? {
        let answer = transport::send(run, due)?;
        run.supply(answer)?;
    }
    Ok(())
}
