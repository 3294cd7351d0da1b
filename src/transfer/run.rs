//! One run: a protocol driven step by step over the caller's connection.
//!
//! The run itself does no input or output. [`Run::next_request`] hands out the request that is due,
//! [`Run::supply`] takes the answer; whoever drives it (the HTTP room here, a test, one day the host
//! program) sends it in between. No transaction or statement is open while a request is under way.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::capture::{Key, drift, track};
use crate::coordination::{
    self, EntitiesCall, Ground, Outcome, OwnerId, begin, finish, is_open, is_open_for, now, owner,
};
use crate::http::{HttpError, Redactor, Response, Spool};
use crate::providers::watermelon::Watermelon;
use crate::providers::{Class, Config, Protocol, Request, Step, SyncError};
use crate::store::{Database, Result, Session, Transaction};

use super::apply::Applier;
use super::binding::Binding;
use super::failure::explain_foreign_key;
use super::freeze::{self, Frozen};
use super::gate::{refuse_overlap, refuse_twice, refuse_unknown, schema_version, stored_config};
use super::patience::Patience;
use super::report::{Counts, Facts, Report, black_out};
use super::{cursor, lease, outbox, runs, settle};

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
    id: i64,
    started: i64,
    report: Report,
    over: bool,
    cancel: Arc<AtomicBool>,
    /// Blacks out the secrets sent along with the last request.
    redactor: Redactor,
    /// The entities that this run has pulled. When these are all, it counts as a pull for the journal.
    pulled: HashSet<usize>,
    owner: OwnerId,
    /// When the owner's lease was last renewed.
    beat: Cell<Instant>,
}

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
        let protocol = Watermelon::new(&config, entities, version, cursors.clone());
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
            id,
            started,
            report,
            cancel: Arc::default(),
            redactor: Redactor::default(),
            pulled: HashSet::new(),
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
                Step::Pull(request) => {
                    self.report.phase = "ready to pull";
                    return Ok(Some(Due {
                        request,
                        body: None,
                    }));
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
                    return Ok(Some(Due {
                        request,
                        body: Some(body),
                    }));
                }
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
        if self.frozen.is_some() {
            self.pushed(answer)
        } else {
            self.pulled(answer)
        }
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
            transaction.commit_or(|error| explain_foreign_key(connection, error))?;
            Ok(applied)
        })?;
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
    fn apply(
        &mut self,
        response: &Response,
    ) -> Result<(Vec<Counts>, crate::providers::PullEnd), SyncError> {
        lease::require(&self.database, &self.call.provider, self.id)?;
        for (binding, before) in self.bindings.iter().zip(&self.cursors) {
            binding.require_unchanged(&self.database)?;
            cursor::require(&self.database, &self.call.provider, binding, before)?;
        }
        let mut applier = Applier::new(
            &self.database,
            &self.call.provider,
            &self.bindings,
            &self.unacknowledged,
            &self.cancel,
        )?;
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

    fn freeze(&mut self) -> Result<(), SyncError> {
        let connection = self.database.connection();
        let frozen = Patience::new(&self.config).sync(|| {
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
            transaction.commit()?;
            Ok(frozen)
        })?;
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
        self.protocol.frozen(frozen.rows);
        self.frozen = (frozen.rows > 0).then_some(frozen);
        Ok(())
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
        // A repeated request may have arrived the first time, and been refused for that.
        let outcome_unknown = status == 408 || status >= 500 || response.attempts > 1;
        self.close_push(
            &frozen,
            if outcome_unknown {
                "unknown"
            } else {
                "refused"
            },
        )?;
        let error = SyncError::from_status(status, &response.excerpt(500));
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
        let mut body = Vec::new();
        let limited = std::io::Read::take(response.body.reader(), 16 << 20);
        let read = std::io::Read::read_to_end(&mut { limited }, &mut body);
        read.map_err(|error| SyncError::network(format!("the answer was lost: {error}")))?;
        let answer = self.protocol.pushed(response.status, &body)?;
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
            transaction.commit()?;
            Ok(counts)
        })?;
        for (total, counts) in self.report.entities.iter_mut().zip(&counts) {
            total.add(counts);
        }
        self.report.phase = "marked local changes as synced";
        Ok(())
    }

    fn close_push(&mut self, frozen: &Frozen, state: &str) -> Result<(), SyncError> {
        let connection = self.database.connection();
        Patience::new(&self.config).sync(|| {
            let transaction = Transaction::begin(connection)?;
            outbox::close(&self.database, &self.call.provider, frozen.push, state)?;
            transaction.commit()?;
            Ok(())
        })?;
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
