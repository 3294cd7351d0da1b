//! Freezing, the answer to a push, and settling.

use std::collections::HashMap;

use serde_json::json;

use crate::coordination::lease;
use crate::ground::{Class, SyncError};
use crate::http::{HttpError, Response};
use crate::providers::PushAnswer;
use crate::runs::patience::Patience;
use crate::store::Transaction;
use crate::transfer::counts::Counts;
use crate::transfer::send::freeze::{self, Frozen};
use crate::transfer::send::outbox;
use crate::transfer::send::settle;
use crate::transfer::send::slices;
use crate::transfer::send::unacknowledged::Unacknowledged;

use crate::runs::run::Run;

/// Bytes of an answer to a push, which is read as a whole.
const LARGEST_PUSH_ANSWER: u64 = 16 << 20;

impl Run<'_> {
    pub(super) fn freeze(&mut self) -> Result<(), SyncError> {
        let connection = self.database.connection();
        let (frozen, parts) = Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(connection)?;
            lease::require(&self.database, &self.call.provider, self.id)?;
            for binding in &self.bindings {
                binding.require_unchanged(&self.database)?;
            }
            let frozen = freeze::freeze(
                &self.database,
                &self.call.provider,
                self.id,
                &*self.protocol,
                &self.bindings,
                &self.unacknowledged,
            )?;
            let batch = self.config.number("pushBatch");
            let parts = slices::cut(&self.database, &frozen, &self.bindings, batch)?;
            self.diary.write(&self.database, self.id)?;
            transaction.commit()?;
            Ok((frozen, parts))
        })?;
        self.diary.committed();
        let unsendable: i64 = frozen.unsendable.iter().copied().sum();
        self.diary.note(
            "frozen",
            json!({"rows": frozen.rows, "unsendable": unsendable, "pushes": parts.len()}),
        );
        for (place, unsendable) in frozen.unsendable.iter().enumerate() {
            if *unsendable == 0 {
                continue;
            }
            self.report.entities[place].rejected += unsendable;
            self.report.warn([format!(
                "{}: {unsendable} rows can't be sent; see _syncRejected",
                self.bindings[place].entity
            )]);
        }
        self.report.phase = "fetched local changes";
        self.waiting = parts;
        self.take_part();
        Ok(())
    }

    /// Goes on with the next part of what was frozen, if there is one.
    fn take_part(&mut self) {
        self.frozen = self.waiting.pop_front();
        let rows = self.frozen.as_ref().map_or(0, |part| part.rows);
        self.protocol.frozen(rows);
    }

    pub(super) fn pushed(&mut self, answer: Result<Response, HttpError>) -> Result<(), SyncError> {
        let Some(frozen) = self.frozen.take() else {
            return Ok(());
        };
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                // Whether it arrived, the next pull will tell.
                self.close_push(&frozen, "unknown")?;
                return Err(error.into());
            }
        };
        let status = response.status;
        if (200..300).contains(&status) {
            return self.settle(&frozen, &response);
        }
        let error = SyncError::from_status(status, &response.excerpt(500));
        self.refused(&frozen, &response, error)
    }

    /// A complete answer that says no.
    fn refused(
        &mut self,
        frozen: &Frozen,
        response: &Response,
        error: SyncError,
    ) -> Result<(), SyncError> {
        let status = response.status;
        // A repeated request may have arrived the first time, and been refused for that.
        let outcome_unknown = status == 408 || status >= 500 || response.attempts > 1;
        self.close_push(
            frozen,
            if outcome_unknown {
                "unknown"
            } else {
                "refused"
            },
        )?;
        // What the HTTP room has repeated already is not repeated again.
        let repeated = matches!(status, 408 | 425 | 429 | 500..);
        if !repeated && self.protocol.push_refused(status) {
            self.report
                .warn([format!("{}; pulled and pushed once more", error.message)]);
            return Ok(());
        }
        Err(error)
    }

    fn settle(&mut self, frozen: &Frozen, response: &Response) -> Result<(), SyncError> {
        self.report.phase = "pushed";
        let mut answer = match self.read_answer(response) {
            Ok(answer) => answer,
            Err(error) if matches!(error.class, Class::Protocol | Class::Network) => {
                // It took the rows, or some of them: which, the next pull tells.
                self.close_push(frozen, "unknown")?;
                return Err(error);
            }
            Err(error) => return self.refused(frozen, response, error),
        };
        self.report.warn(std::mem::take(&mut answer.warnings));
        // A server may repeat our token in what it says.
        let reasons = answer.rejected.iter_mut().flat_map(HashMap::values_mut);
        for reason in reasons.flatten() {
            *reason = self.redactor.clean(reason);
        }
        let connection = self.database.connection();
        let counts = Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(connection)?;
            lease::require(&self.database, &self.call.provider, self.id)?;
            let counts = settle::settle(
                &self.database,
                &self.call.provider,
                &self.bindings,
                frozen,
                &answer,
            )?;
            self.diary.write(&self.database, self.id)?;
            transaction.commit()?;
            Ok(counts)
        })?;
        self.diary.committed();
        self.note_counts("settled", &counts, None);
        self.warn_of_unknown_rejections(&answer, &counts);
        for (total, counts) in self.report.entities.iter_mut().zip(&counts) {
            total.add(counts);
        }
        self.report.phase = "marked local changes as synced";
        if !self.waiting.is_empty() {
            self.take_part();
        }
        Ok(())
    }

    fn read_answer(&mut self, response: &Response) -> Result<PushAnswer, SyncError> {
        if response.body.len() > LARGEST_PUSH_ANSWER {
            return Err(SyncError::protocol(format!(
                "the answer to the push is larger than {} MiB",
                LARGEST_PUSH_ANSWER >> 20
            )));
        }
        let mut body = Vec::new();
        let read = std::io::Read::read_to_end(&mut response.body.reader(), &mut body);
        read.map_err(|error| SyncError::network(format!("the answer was lost: {error}")))?;
        self.protocol.pushed(response.status, &body)
    }

    /// Ids that the push did not hold are passed over, as the protocol has it, but not in silence: they may be
    /// meant for rows that are written differently here.
    fn warn_of_unknown_rejections(&mut self, answer: &PushAnswer, counts: &[Counts]) {
        for (place, (ids, counts)) in answer.rejected.iter().zip(counts).enumerate() {
            let unknown = ids.len() as i64 - counts.rejected;
            if unknown > 0 {
                let entity = &self.bindings[place].wire.name;
                let text = format!(
                    "the backend rejected {unknown} ids of {entity:?} that were not pushed"
                );
                self.report.warn([text]);
            }
        }
    }

    fn close_push(&mut self, frozen: &Frozen, state: &'static str) -> Result<(), SyncError> {
        let connection = self.database.connection();
        self.diary.note(state, json!({"rows": frozen.rows}));
        Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(connection)?;
            outbox::close(&self.database, &self.call.provider, frozen.push, state)?;
            for part in &self.waiting {
                // Never sent: pending as before.
                outbox::close(&self.database, &self.call.provider, part.push, "refused")?;
            }
            self.diary.write(&self.database, self.id)?;
            transaction.commit()?;
            Ok(())
        })?;
        self.diary.committed();
        self.waiting.clear();
        self.unacknowledged = Unacknowledged::read(&self.database, Some(&self.call.provider))?;
        Ok(())
    }
}
