//! The end of a run: operations, lease, answer.

use std::sync::atomic::Ordering;

use serde_json::{Value as Json, json};

use crate::coordination::{Outcome, finish, is_open, is_open_for, now, owner};
use crate::coordination::{lease, run_record};
use crate::ground::mask_message;
use crate::ground::{Class, SyncError};
use crate::runs::diary;
use crate::runs::patience::Patience;
use crate::runs::report::{Facts, black_out};
use crate::store::{Result, Transaction};

use crate::runs::run::Run;

impl Run<'_> {
    /// Closes the operations and the run, gives the lease back, and makes the answer.
    ///
    /// # Errors
    /// SQLite's, when even that can't be written; the next call of this connection settles it then.
    pub fn finish(self, outcome: Result<(), SyncError>) -> Result<Json> {
        let error = outcome.err().map(|mut error| {
            error.message = self.redactor.clean(&error.message);
            error
        });
        let state = if error.is_some() { "failed" } else { "synced" };
        let finished = now();
        let facts = self.facts(state, finished);
        // A server may repeat our token in what it says.
        let mut answer = self.report.answer(&facts, error.as_ref());
        black_out(&mut answer, &self.redactor);
        let summary = answer.to_string();
        let connection = self.database.connection();
        for warning in &self.report.warnings {
            let mut warning = self.redactor.clean(warning);
            if warning.starts_with("HTTP ") {
                warning = mask_message(&warning);
            }
            self.diary.note("warning", json!(warning));
        }
        let told = error.clone().map(|mut error| {
            if matches!(error.class, Class::Server | Class::Auth | Class::Protocol) {
                error.message = mask_message(&error.message);
            }
            error.to_json()
        });
        self.diary
            .note("finished", json!({"state": state, "error": told}));
        let closed = Patience::new(&self.config).retry(|| {
            let transaction = Transaction::begin(connection)?;
            self.close_operations(error.as_ref())?;
            run_record::end(
                &self.database,
                self.id,
                self.report.phase,
                finished,
                &summary,
                error.as_ref(),
            )?;
            lease::release(&self.database, &self.call.provider, self.id)?;
            self.diary.write(&self.database, self.id)?;
            diary::trim(&self.database)?;
            transaction.commit()
        });
        if closed.is_err() {
            let statuses = self.operations.iter().map(|(status, _)| *status);
            owner::set_adrift(self.session, self.database.schema(), statuses);
        }
        closed?;
        Ok(answer)
    }

    pub(super) fn facts(&self, state: &'static str, finished: i64) -> Facts<'_> {
        Facts {
            instance: self.call.instance_id.as_deref(),
            provider: &self.call.provider,
            state,
            operations: &self.operations,
            run: self.id,
            started: self.started,
            finished: (state != "syncing").then_some(finished),
        }
    }

    fn close_operations(&self, error: Option<&SyncError>) -> Result<()> {
        let ours = lease::is_held(&self.database, &self.call.provider, self.id)?;
        for (status, _) in &self.operations {
            // Whoever took over may have opened it anew.
            if !ours && !is_open_for(&self.database, *status, self.owner)? {
                continue;
            }
            let outcome = match error {
                None => Outcome::Synced,
                Some(error) if error.class == Class::Cancelled => {
                    // What was interrupted keeps the reason it was given.
                    if !is_open(&self.database, *status)? {
                        continue;
                    }
                    let reason = match self.cancel.load(Ordering::Relaxed) {
                        true => "closed",
                        false => "cancelled",
                    };
                    Outcome::Failed(format!("interrupted: {reason}"))
                }
                Some(error) => Outcome::Failed(error.to_json().to_string()),
            };
            finish(&self.database, *status, &outcome)?;
        }
        Ok(())
    }
}
