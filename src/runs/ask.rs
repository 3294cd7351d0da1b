//! Handing out a request: its body, its place in the record.

use serde_json::json;

use crate::coordination::{lease, run_record};
use crate::ground::SyncError;
use crate::http::{Method, Outgoing, Spool, redacted};
use crate::providers::conversation::{Ask, AskBody};
use crate::store::{Database, Transaction};
use crate::transfer::peer;
use crate::transfer::send::outbox;

use super::patience::Patience;
use super::run::{Asked, Run};

impl Run {
    /// Before rows leave, it is made sure that they are still to, and before any request what it is about is in the run's row: whoever looks sees what is going on, and
    /// after a crash how far it came. What is not to leave any more is pending as before.
    pub(super) fn ask(&mut self, database: &Database, ask: Ask) -> Result<Outgoing, SyncError> {
        let parcel = ask.parcel.is_some();
        let body = match ask.body {
            AskBody::None => None,
            AskBody::Bytes(bytes) => Some(Spool::from_bytes(bytes)),
            AskBody::Parcel => Some(self.parcel_body(database)?),
            AskBody::Numbered(before, after) => Some(self.numbered(database, before, &after)?),
        };
        let url = match ask.url.starts_with("file:") {
            true => ask.url.clone(),
            false => redacted(&ask.url),
        };
        let bytes = body.as_ref().map_or(0, Spool::len);
        self.live.ask(ask.label, parcel, ask.method, &url, bytes);
        self.diary
            .note(ask.label, json!({"method": ask.method, "url": url}));
        if !ask.migration.is_null() {
            self.report.migration = ask.migration;
        }
        self.asked = Some(Asked {
            parcel: ask.parcel,
            reads: ask.reads,
            again: ask.again,
            operation: ask.operation,
            part: ask.part,
        });
        let may_store = ask.parcel.is_some_and(|parcel| parcel.may_store);
        let is_attempt = may_store && self.kind.manners().numbered && !self.parcels.attempted;
        let noted = Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(database.connection())?;
            if parcel {
                self.require_unchanged(database)?;
            }
            if let (true, Some(frozen)) = (is_attempt, &self.parcels.current) {
                outbox::count_attempt(database, frozen.push)?;
            }
            let step = self.live.step();
            run_record::progress(database, self.id, &self.live.record(step))?;
            self.diary.write(database, self.id)?;
            Ok(transaction.commit()?)
        });
        self.or_take_back(database, noted)?;
        self.parcels.attempted |= is_attempt;
        self.diary.committed();
        Ok(Outgoing {
            method: Method::parse(ask.method).unwrap_or(Method::Get),
            url: ask.url,
            headers: ask.headers,
            body,
            once: ask.once,
        })
    }

    /// A body with a new number of a change.
    fn numbered(
        &self,
        database: &Database,
        mut body: Vec<u8>,
        after: &[u8],
    ) -> Result<Spool, SyncError> {
        let number = Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(database.connection())?;
            lease::require(database, &self.call.provider, self.id)?;
            let number = peer::take_numbers(database, &self.call.provider, 1)?;
            transaction.commit()?;
            Ok(number)
        })?;
        body.extend_from_slice(number.to_string().as_bytes());
        body.extend_from_slice(after);
        Ok(Spool::from_bytes(body))
    }

    fn parcel_body(&self, database: &Database) -> Result<Spool, SyncError> {
        match (&self.talk, &self.parcels.current) {
            (Some(talk), Some(frozen)) => {
                outbox::body(database, &**talk, &self.bindings, frozen.push)
            }
            _ => Err(SyncError::bug()),
        }
    }
}
