//! The end of a run: operations, lease, answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::coordination::operation::Form;
use crate::coordination::{
    Outcome, finish_of, is_open, is_open_for, lease, now, owner, run_record,
};
use crate::ground::{Class, SyncError, masked};
use crate::providers::conversation::Goal;
use crate::store::{Database, Door, Result, Session, Transaction, untold};
use crate::transfer::held::count::Count;
use crate::transfer::held::keep;

use super::diary;
use super::patience::Patience;
use super::report::{Facts, black_out};
use super::run::Run;

/// How long a connection of our own waits for a lock to write the end of an interrupted run.
const WAIT_ELSEWHERE: Duration = Duration::from_millis(500);

/// What is recorded of the end of a run.
struct End<'e> {
    /// Epoch ms.
    finished: i64,
    summary: String,
    error: Option<&'e SyncError>,
}

impl Run {
    /// Closes the operations and the run, gives back the lease, and builds the answer.
    ///
    /// # Errors
    /// SQLite's, when even that can't be written; the next call of this connection settles it then.
    pub(super) fn finish(&mut self, session: &Session, error: Option<SyncError>) -> Result<Json> {
        // Some operations may have gone well all the same.
        let error = error.or_else(|| self.report.over.values().flatten().next().cloned());
        // A server may repeat our token in what it says.
        let error = error.map(|mut error| {
            error.message = self.redactor.clean(&error.message);
            error.said = error.said.map(|said| self.redactor.clean(&said));
            error
        });
        let database = session.database(&self.call.schema)?;
        // The end is written all the same, on a connection that the host has interrupted too.
        let _ = self.count_held(&database);
        self.tell_refused();
        let state = if error.is_some() { "failed" } else { "synced" };
        let finished = now();
        let mut answer = self.answer(state, finished, error.as_ref());
        black_out(&mut answer, &self.redactor);
        self.note_end(state, error.as_ref());
        let end = End {
            finished,
            summary: answer.to_string(),
            error: error.as_ref(),
        };
        let database = session.database(&self.call.schema)?;
        let closed = Patience::new(&self.config).retry(|| self.close(&database, &end));
        if let Err(error) = closed {
            let elsewhere = match error.is_interrupt() {
                true => self.close_elsewhere(session, &end),
                false => Err(error.clone()),
            };
            if elsewhere.is_err() {
                let operations = self.operations.iter();
                let statuses = operations.map(|operation| operation.status_id);
                owner::set_adrift(session, database.schema(), statuses);
            }
            return Err(error);
        }
        Ok(answer)
    }

    fn close(&self, database: &Database, end: &End<'_>) -> Result<()> {
        let transaction = Transaction::begin(database.connection())?;
        self.leave_out_refused(database)?;
        self.widen(database)?;
        self.close_operations(database, end.error)?;
        let at = self.live.record(None);
        run_record::end(
            database,
            self.id,
            &at,
            end.finished,
            &end.summary,
            end.error,
        )?;
        lease::release(database, &self.call.provider, self.id)?;
        self.diary.write(database, self.id)?;
        untold::told(database, self.report.untold)?;
        diary::trim(database)?;
        transaction.commit()
    }

    /// The host has interrupted its connection, on which nothing can be written until the call is over. Others must not
    /// wait for the next one: a connection of our own writes the end.
    fn close_elsewhere(&self, session: &Session, end: &End<'_>) -> Result<()> {
        let second = Door::bare(session, &self.call.schema)?.open(WAIT_ELSEWHERE)?;
        self.close(&second.session().database("main")?, end)
    }

    /// Counts the rows that are still held, and warns of them.
    fn count_held(&mut self, database: &Database) -> Result<()> {
        if self.goal == Goal::Check {
            return Ok(());
        }
        for (place, binding) in self.bindings.iter().enumerate() {
            let held = Count::of(database, &self.call.provider, binding.table.id)?;
            self.report.entities[place].held = held.all;
            self.report.warn(held.warnings(&binding.entity));
        }
        // And those of entities that the run was not about.
        let provider = self.call.provider.as_str();
        for (entity, table) in keep::elsewhere(database, provider, &self.bindings)? {
            let held = Count::of(database, provider, table)?;
            self.report.warn(held.warnings(&entity));
        }
        Ok(())
    }

    /// Warnings and the end in the log, where what a server said is masked: it may hold values of rows.
    fn note_end(&self, state: &str, error: Option<&SyncError>) {
        for warning in &self.report.warnings {
            let mut warning = warning.clone();
            warning.said = warning.said.map(|said| masked(&said));
            let clean = |text: &str| self.redactor.clean(text);
            self.diary.note("warning", warning.to_json(&clean));
        }
        let shown = error.cloned().map(|mut error| {
            error.said = error.said.map(|said| masked(&said));
            error.to_json()
        });
        self.diary
            .note("finished", json!({"state": state, "error": shown}));
    }

    pub(super) fn answer(
        &self,
        state: &'static str,
        finished: i64,
        error: Option<&SyncError>,
    ) -> Json {
        let facts = self.facts(state, finished);
        match (self.goal, self.call.form) {
            (Goal::Check, _) => self.report.comparison(&facts, error),
            (_, Form::Entities) => self.report.answer(&facts, error),
            (goal, Form::Operation) => self.report.outcome(goal, &facts, error),
        }
    }

    fn facts(&self, state: &'static str, finished: i64) -> Facts<'_> {
        Facts {
            instance: self.call.instance_id.as_deref(),
            provider: &self.call.provider,
            state,
            operations: &self.operations,
            run: self.id,
            started: self.started,
            finished: (state != "syncing").then_some(finished),
            phase: self.live.phase(),
        }
    }

    /// Ends one operation, whatever becomes of the others.
    pub(super) fn operation_is_over(
        &mut self,
        database: &Database,
        operation: usize,
        error: Option<SyncError>,
    ) -> Result<(), SyncError> {
        let error = error.map(|mut error| {
            error.message = self.redactor.clean(&error.message);
            error.said = error.said.map(|said| self.redactor.clean(&said));
            error
        });
        if let Some(open) = self.operations.get(operation) {
            let outcome = match &error {
                None => Outcome::Synced,
                Some(error) => Outcome::Failed(error.to_json().to_string()),
            };
            Patience::new(&self.config).sync(|| {
                let transaction = Transaction::begin(database.connection())?;
                lease::require(database, &self.call.provider, self.id)?;
                finish_of(database, open, &outcome)?;
                Ok(transaction.commit()?)
            })?;
        }
        self.report.over.insert(operation, error);
        if let Some(talk) = &mut self.talk {
            talk.ended(operation);
        }
        Ok(())
    }

    fn close_operations(&self, database: &Database, error: Option<&SyncError>) -> Result<()> {
        let ours = lease::is_held(database, &self.call.provider, self.id)?;
        for (place, operation) in self.operations.iter().enumerate() {
            if self.report.over.contains_key(&place) {
                continue;
            }
            // The process that took over may have opened it again.
            if !ours && !is_open_for(database, operation.status_id, self.owner)? {
                continue;
            }
            let outcome = match error {
                None => Outcome::Synced,
                Some(error) if error.class == Class::Cancelled => {
                    // What was interrupted keeps the reason it was given.
                    if !is_open(database, operation)? {
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
            finish_of(database, operation, &outcome)?;
        }
        Ok(())
    }
}
