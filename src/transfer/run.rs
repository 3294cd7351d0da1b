//! One run: a protocol driven step by step over the caller's connection.
//!
//! The run itself does no input or output. [`Run::next_request`] hands out the request that is due,
//! [`Run::supply`] takes the answer; whoever drives it (the HTTP room here, a test, one day the host
//! program) sends it in between. No transaction or statement is open while a request is under way.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::capture::{Key, drift, track};
use crate::coordination::{
    self, EntitiesCall, Ground, Outcome, OwnerId, begin, finish, is_open, is_open_for, now, owner,
};
use crate::http::{HttpError, Redactor, Response, Spool, redacted};
use crate::providers::watermelon::Watermelon;
use crate::providers::{Class, Config, Protocol, Request, Step, SyncError};
use crate::store::{Database, Error, Result, Session, Transaction};

use super::apply::{Applier, Setting};
use super::binding::Binding;
use super::diary::{self, Diary};
use super::failure::explain_foreign_key;
use super::freeze::{self, Frozen};
use super::gate::{
    refuse_overlap, refuse_twice, refuse_unknown, schema_version, stored_config, wants_turbo,
};
use super::patience::Patience;
use super::report::{Counts, Facts, Report, black_out};
use super::resolver::require_usable;
use super::{cursor, lease, outbox, replacement, runs, settle, slices};

/// A request that is due.
pub struct Due {
    pub request: Request,
    pub body: Option<Spool>,
}

/// A sync under way.
pub struct Run<'s> {
    session: &'s Session,
    database: Database,
    call: EntitiesCall,
    config: Config,
    bindings: Vec<Binding>,
    protocol: Box<dyn Protocol>,
    /// Status row and entity of each operation.
    operations: Vec<(i64, String)>,
    /// The entities' cursors when the run began, to notice somebody else's sync.
    cursors: Vec<Option<String>>,
    unacknowledged: HashSet<(i64, Key)>,
    frozen: Option<Frozen>,
    /// Further parts of what was frozen, each pushed on its own.
    waiting: VecDeque<Frozen>,
    id: i64,
    started: i64,
    report: Report,
    over: bool,
    cancel: Arc<AtomicBool>,
    /// Blacks out the secrets sent along with the last request.
    redactor: Redactor,
    diary: Diary,
    /// Whether a pull of this run was counted for the journal.
    counted: bool,
    owner: OwnerId,
    /// When the owner's lease was last renewed.
    beat: Cell<Instant>,
}

/// Bytes of an answer to a push, which is read as a whole.
const LARGEST_PUSH_ANSWER: u64 = 16 << 20;

/// How often a run renews its owner's lease: well within the shortest lease that makes sense.
const HEARTBEAT: Duration = Duration::from_secs(15);

impl<'s> Run<'s> {
    /// Takes the provider's lease, opens the operations, and writes the run down: all or nothing.
    ///
    /// # Errors
    /// The instance or the provider is being synced by somebody else, an entity is not tracked or
    /// can't be carried; SQLite's.
    pub fn begin(session: &'s Session, call: &EntitiesCall) -> Result<Self> {
        refuse_unknown(call)?;
        coordination::write(session, &call.schema, |ground| {
            refuse_overlap(ground, call)?;
            let config = stored_config(ground.database, &call.provider)?;
            Self::begin_in(session, ground, call, config)
        })
    }

    fn begin_in(
        session: &'s Session,
        ground: &Ground<'_>,
        call: &EntitiesCall,
        config: Config,
    ) -> Result<Self> {
        let database = ground.database.clone();
        let started = now();
        drift::refresh(&database)?;
        let mut bindings = Vec::with_capacity(call.operations.len());
        for operation in &call.operations {
            let binding = Binding::resolve(&database, &config, &operation.entity)?;
            refuse_twice(&bindings, &binding)?;
            require_usable(session, &database, &binding.entity)?;
            replacement::require_declared(session, &binding)?;
            track::bind_provider(&database, &binding.table, &call.provider)?;
            bindings.push(binding);
        }
        let id = runs::begin(
            &database,
            &call.provider,
            call.instance_id.as_deref(),
            started,
        )?;
        lease::take(&database, &call.provider, ground.owner, id)?;
        runs::close_dead(&database, &call.provider, id)?;
        outbox::close_abandoned(&database, &call.provider)?;
        let operations = begin(&database, ground.owner, call)?
            .into_iter()
            .map(|operation| (operation.status_id, operation.entity))
            .collect();
        let cursors = bindings
            .iter()
            .map(|binding| cursor::read(&database, &call.provider, binding))
            .collect::<Result<Vec<_>>>()?;
        let entities = bindings
            .iter()
            .map(|binding| binding.wire.clone())
            .collect();
        let version = schema_version(&database, &config)?;
        let last_schemas = bindings
            .iter()
            .map(|binding| cursor::last_schema(&database, &call.provider, binding))
            .collect::<Result<Vec<_>>>()?;
        let mut protocol =
            Watermelon::new(&config, entities, version, cursors.clone(), last_schemas)
                .map_err(Error::Corrupt)?;
        if wants_turbo(call, &bindings, &cursors)? {
            protocol.with_turbo();
        }
        let report = Report {
            entities: vec![Counts::default(); bindings.len()],
            phase: "starting",
            ..Report::default()
        };
        Ok(Self {
            session,
            unacknowledged: outbox::unacknowledged(&database, &call.provider)?,
            database,
            call: call.clone(),
            config,
            over: bindings.is_empty(),
            bindings,
            protocol: Box::new(protocol),
            operations,
            cursors,
            frozen: None,
            waiting: VecDeque::new(),
            id,
            started,
            report,
            cancel: Arc::default(),
            redactor: Redactor::default(),
            diary: Diary::default(),
            counted: false,
            owner: ground.owner,
            beat: Cell::new(Instant::now()),
        })
    }

    /// Set to true, it ends the run at the next step, or in the middle of a request.
    pub fn cancel_with(&mut self, cancel: Arc<AtomicBool>) {
        self.cancel = cancel;
    }

    /// What is known when the run has just begun, in the shape of the final answer.
    pub fn begun(&self) -> Json {
        let facts = self.facts("syncing", self.started);
        self.report.answer(&facts, None)
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn session(&self) -> &Session {
        self.session
    }

    /// Goes on until a request is due; none when the sync is done.
    ///
    /// # Errors
    /// Whatever ends the sync.
    pub fn next_request(&mut self) -> Result<Option<Due>, SyncError> {
        while !self.over {
            if self.is_interrupted() {
                return Err(SyncError::cancelled("interrupted by sync_interrupt"));
            }
            match self.protocol.next() {
                Step::Pull(mut request) => {
                    self.report.phase = "ready to pull";
                    self.report.migration = self.protocol.told();
                    let body = request.body.take().map(Spool::from_bytes);
                    self.note_request("pull", &request);
                    return Ok(Some(Due { request, body }));
                }
                Step::Freeze => self.freeze()?,
                Step::Push(request) => {
                    let push = self
                        .frozen
                        .as_ref()
                        .map(|frozen| frozen.push)
                        .unwrap_or_default();
                    let body = outbox::body(&self.database, &*self.protocol, &self.bindings, push)?;
                    self.report.phase = "ready to push";
                    self.note_request("push", &request);
                    return Ok(Some(Due {
                        request,
                        body: Some(body),
                    }));
                }
                Step::Fail(error) => return Err(error),
                Step::Done => {
                    self.report.phase = "done";
                    self.over = true;
                }
            }
        }
        Ok(None)
    }

    /// Takes the answer to the request handed out last.
    ///
    /// # Errors
    /// Whatever ends the sync.
    pub fn supply(&mut self, answer: Result<Response, HttpError>) -> Result<(), SyncError> {
        if let Ok(response) = &answer {
            self.report.requests += response.attempts;
            self.redactor = response.redactor().clone();
        }
        let event = if self.frozen.is_some() {
            "pushed"
        } else {
            "pulled"
        };
        self.note_answer(event, &answer);
        if self.frozen.is_some() {
            self.pushed(answer)
        } else {
            self.pulled(answer)
        }
    }

    fn note_request(&self, event: &'static str, request: &Request) {
        let url = redacted(&request.url);
        self.diary
            .note(event, json!({"method": request.method, "url": url}));
    }

    /// Notes what is not nought of an entity's counts.
    fn note_counts(&self, event: &'static str, counts: &[Counts], cursor: Option<&str>) {
        let mut entities = json!({});
        for (binding, counts) in self.bindings.iter().zip(counts) {
            entities[&binding.entity] = counts.told();
        }
        let mut detail = json!({"entities": entities});
        if let Some(cursor) = cursor {
            detail["cursor"] = cursor.into();
        }
        self.diary.note(event, detail);
    }

    fn note_answer(&self, event: &'static str, answer: &Result<Response, HttpError>) {
        let detail = match answer {
            Ok(response) => json!({
                "status": response.status,
                "bytes": response.body.len(),
                "attempts": response.attempts,
            }),
            Err(error) => json!({"error": self.redactor.clean(&error.to_string())}),
        };
        self.diary.note(event, detail);
    }

    /// Whether somebody interrupted the sync, here or on another connection. Also true when the host
    /// interrupts its connection: then our statements fail.
    pub fn is_interrupted(&self) -> bool {
        if self.cancel.load(Ordering::Relaxed) {
            return true;
        }
        self.heartbeat();
        let open = self
            .operations
            .iter()
            .map(|(status, _)| is_open(&self.database, *status));
        for operation in open {
            match operation {
                Ok(false) => return true,
                Err(error) if error.code() & 0xff == 9 => return true,
                _ => {}
            }
        }
        false
    }

    /// While a run goes on, its owner lives. A database that is locked right now is told next time.
    fn heartbeat(&self) {
        if self.beat.get().elapsed() < HEARTBEAT {
            return;
        }
        self.beat.set(Instant::now());
        let _ = owner::beat(&self.database, self.owner);
    }

    fn pulled(&mut self, answer: Result<Response, HttpError>) -> Result<(), SyncError> {
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
        self.counted = true;
        self.report.warn(end.warnings);
        self.report.rest = end.rest;
        self.report.phase = "applied remote changes";
        Ok(())
    }

    /// Rows and cursors in one transaction; the caller commits.
    fn apply(
        &mut self,
        response: &Response,
    ) -> Result<(Vec<Counts>, crate::providers::PullEnd), SyncError> {
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
        if !self.counted {
            outbox::count_pull(&self.database, &self.call.provider)?;
        }
        Ok((counts, end))
    }

    fn freeze(&mut self) -> Result<(), SyncError> {
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
            let batch = self.config.push_batch;
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

    fn pushed(&mut self, answer: Result<Response, HttpError>) -> Result<(), SyncError> {
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
        if response.body.len() > LARGEST_PUSH_ANSWER {
            // It took the rows, or some of them: which, the next pull tells.
            self.close_push(frozen, "unknown")?;
            return Err(SyncError::protocol(format!(
                "the answer to the push is larger than {} MiB",
                LARGEST_PUSH_ANSWER >> 20
            )));
        }
        let mut body = Vec::new();
        let read = std::io::Read::read_to_end(&mut response.body.reader(), &mut body);
        read.map_err(|error| SyncError::network(format!("the answer was lost: {error}")))?;
        let mut answer = match self.protocol.pushed(response.status, &body) {
            Ok(answer) => answer,
            Err(error) => return self.refused(frozen, response, error),
        };
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
        for (total, counts) in self.report.entities.iter_mut().zip(&counts) {
            total.add(counts);
        }
        self.report.phase = "marked local changes as synced";
        if !self.waiting.is_empty() {
            self.take_part();
        }
        Ok(())
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
        self.unacknowledged = outbox::unacknowledged(&self.database, &self.call.provider)?;
        Ok(())
    }

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
            self.diary
                .note("warning", json!(self.redactor.clean(warning)));
        }
        let told = error.as_ref().map(SyncError::to_json);
        self.diary
            .note("finished", json!({"state": state, "error": told}));
        let closed = Patience::new(&self.config).retry(|| {
            let transaction = Transaction::begin(connection)?;
            self.close_operations(error.as_ref())?;
            runs::end(
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
            owner::set_adrift(self.session);
        }
        closed?;
        Ok(answer)
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
