//! One run: a protocol driven step by step over the caller's connection.
//!
//! The run itself does no input or output. [`Run::next_request`] hands out the request that is due,
//! [`Run::supply`] takes the answer; whoever drives it (the HTTP room here, a test, one day the host
//! program) sends it in between. No transaction or statement is open while a request is under way.

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::capture::{drift, track};
use crate::coordination::{self, EntitiesCall, Ground, OwnerId, begin, is_open, now, owner};
use crate::ground::SyncError;
use crate::http::{HttpError, Redactor, Response, Spool};
use crate::providers::watermelon::Watermelon;
use crate::providers::{Protocol, Request, Settings, Step};
use crate::store::{Database, Error, Result, Session};

use crate::coordination::{lease, run_record};
use crate::runs::diary::Diary;
use crate::runs::gate::{
    refuse_overlap, refuse_twice, refuse_unknown, schema_version, stored_config, wants_turbo,
};
use crate::runs::report::Report;
use crate::transfer::apply::require_declared;
use crate::transfer::binding::Binding;
use crate::transfer::conflict::resolver::require_usable;
use crate::transfer::counts::Counts;
use crate::transfer::cursor;
use crate::transfer::send::freeze::Frozen;
use crate::transfer::send::outbox;
use crate::transfer::send::unacknowledged::Unacknowledged;

/// A request that is due.
pub struct Due {
    pub request: Request,
    pub body: Option<Spool>,
}

/// A sync under way.
pub struct Run<'s> {
    pub(super) session: &'s Session,
    pub(super) database: Database,
    pub(super) call: EntitiesCall,
    pub(super) config: Settings,
    pub(super) bindings: Vec<Binding>,
    pub(super) protocol: Box<dyn Protocol>,
    /// Status row and entity of each operation.
    pub(super) operations: Vec<(i64, String)>,
    /// The entities' cursors when the run began, to notice somebody else's sync.
    pub(super) cursors: Vec<Option<String>>,
    pub(super) unacknowledged: Unacknowledged,
    pub(super) frozen: Option<Frozen>,
    /// Further parts of what was frozen, each pushed on its own.
    pub(super) waiting: VecDeque<Frozen>,
    pub(super) id: i64,
    pub(super) started: i64,
    pub(super) report: Report,
    pub(super) over: bool,
    pub(super) cancel: Arc<AtomicBool>,
    /// Blacks out the secrets sent along with the last request.
    pub(super) redactor: Redactor,
    pub(super) diary: Diary,
    /// The entities that this run has pulled. When these are all, it counts as a pull for the journal.
    pub(super) pulled: HashSet<usize>,
    pub(super) owner: OwnerId,
    /// When the owner's lease was last renewed.
    pub(super) beat: Cell<Instant>,
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
        config: Settings,
    ) -> Result<Self> {
        let database = ground.database.clone();
        let started = now();
        drift::refresh(&database)?;
        let mut bindings = Vec::with_capacity(call.operations.len());
        for operation in &call.operations {
            let binding = Binding::resolve(&database, &config, &operation.entity)?;
            refuse_twice(&bindings, &binding)?;
            require_usable(session, &database, &binding.entity)?;
            require_declared(session, &binding)?;
            track::bind_provider(&database, &binding.table, &call.provider)?;
            bindings.push(binding);
        }
        let id = run_record::begin(
            &database,
            &call.provider,
            call.instance_id.as_deref(),
            started,
        )?;
        lease::take(&database, &call.provider, ground.owner, id)?;
        run_record::close_dead(&database, &call.provider, id)?;
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
            unacknowledged: Unacknowledged::read(&database, Some(&call.provider))?,
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

    pub fn config(&self) -> &Settings {
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
}
