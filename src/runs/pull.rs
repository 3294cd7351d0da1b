//! The answer to a pull: rows and cursors in one transaction.

use crate::coordination::lease;
use crate::coordination::now;
use crate::ground::SyncError;
use crate::http::{HttpError, Response};
use crate::providers::PullEnd;
use crate::runs::patience::Patience;
use crate::store::Transaction;
use crate::transfer::apply::explain_foreign_key;
use crate::transfer::apply::{Applier, Setting};
use crate::transfer::counts::Counts;
use crate::transfer::cursor;
use crate::transfer::send::outbox;

use crate::runs::run::Run;

impl Run<'_> {
    pub(super) fn pulled(&mut self, answer: Result<Response, HttpError>) -> Result<(), SyncError> {
        let response = answer?;
        if !(200..300).contains(&response.status) {
            return Err(SyncError::from_status(
                response.status,
                &response.excerpt(500),
            ));
        }
        self.report.phase = "pulled";
        let connection = self.database.connection();
        let patience = Patience::new(&self.config);
        let (counts, end) = patience.sync(|| {
            let transaction = Transaction::begin(connection).map_err(SyncError::from)?;
            let applied = self.apply(&response)?;
            self.diary.write(&self.database, self.id)?;
            transaction.commit_or(|error| explain_foreign_key(connection, error))?;
            Ok(applied)
        })?;
        self.diary.committed();
        self.note_counts("applied", &counts, Some(&end.cursor));
        for (total, counts) in self.report.entities.iter_mut().zip(&counts) {
            total.add(counts);
        }
        for place in &end.entities {
            self.cursors[*place] = Some(end.cursor.clone());
        }
        self.protocol.applied(&end);
        self.pulled.extend(&end.entities);
        self.report.warn(end.warnings);
        self.report.rest = end.rest;
        self.report.phase = "applied remote changes";
        Ok(())
    }

    /// Rows and cursors in one transaction; the caller commits.
    fn apply(&mut self, response: &Response) -> Result<(Vec<Counts>, PullEnd), SyncError> {
        lease::require(&self.database, &self.call.provider, self.id)?;
        for (binding, before) in self.bindings.iter().zip(&self.cursors) {
            binding.require_unchanged(&self.database)?;
            cursor::require(&self.database, &self.call.provider, binding, before)?;
        }
        let setting = Setting {
            session: self.session,
            database: &self.database,
            provider: &self.call.provider,
            run: self.id,
            cancel: &self.cancel,
            redelivers: (0..self.bindings.len())
                .map(|place| self.protocol.redelivers(place))
                .collect(),
        };
        let mut applier = Applier::new(&setting, &self.bindings, &self.unacknowledged)?;
        let mut reader = response.body.reader();
        let mut end = self
            .protocol
            .pulled(response.status, &mut reader, &mut applier)?;
        let (counts, warnings) = applier.finish()?;
        end.warnings.extend(warnings);
        let at = now();
        for place in &end.entities {
            let binding = &self.bindings[*place];
            cursor::store(
                &self.database,
                &self.call.provider,
                &binding.entity,
                binding.table.id,
                &end.cursor,
                at,
            )?;
            if let Some(version) = end.schema_version {
                cursor::store_schema(&self.database, &self.call.provider, binding, version)?;
            }
        }
        let due: Vec<usize> = (0..self.bindings.len())
            .filter(|place| !self.pulled.contains(place))
            .collect();
        if !due.is_empty() && due.iter().all(|place| end.entities.contains(place)) {
            let tables: Vec<i64> = self.bindings.iter().map(|one| one.table.id).collect();
            outbox::count_pull(&self.database, &self.call.provider, &tables)?;
        }
        Ok((counts, end))
    }
}
