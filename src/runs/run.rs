//! One run, as a value that owns no connection: [`Run::advance`] takes what has happened and hands out what
//! is due. Whoever drives it (the HTTP room, the host program, a test) sends the request in between. No
//! transaction or statement is open while a request is under way.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json};

use crate::coordination::canonical::canonical_text;
use crate::coordination::operation::OperationSpec;
use crate::coordination::{EntitiesCall, OpenOperation, OwnerId, is_open, owner, run_record};
use crate::ground::SyncError;
use crate::http::{HttpError, Outgoing, Redactor, Response};
use crate::providers::Settings;
use crate::providers::conversation::{AboutParcel, Again, Conversation, Goal, Provider, Step};
use crate::store::{Database, Result, Session};
use crate::transfer::binding::Binding;
use crate::transfer::place;
use crate::transfer::send::frozen::Frozen;
use crate::transfer::send::rejected::Alone;
use crate::transfer::send::unacknowledged::Unacknowledged;

use super::diary::Diary;
use super::groups::Together;
use super::patience::Patience;
use super::progress::Live;
use super::query;
use super::renewing::{Heard, Renewing, Token};
use super::report::Report;

/// What has happened since a run was advanced last.
pub enum Input {
    /// Nothing in particular: continue.
    Go,
    /// The outcome of the request that was handed out.
    Answer(Result<Response, HttpError>),
    /// The request that was handed out can't be sent at all.
    Stop(SyncError),
}

/// What a run wants next.
pub enum Turn {
    /// Send this and come back with the answer.
    Send(Outgoing),
    /// Come back after that time.
    Wait(Duration),
    /// It has ended; this is its answer.
    Over(Json),
}

/// The request that a run has handed out.
pub(super) struct Asked {
    /// What it has to do with the frozen rows.
    pub parcel: Option<AboutParcel>,
    /// Statuses besides 2xx whose answer is read.
    pub reads: &'static [u16],
    /// Entities of which may come what came before.
    pub again: Vec<(usize, Again)>,
    /// The operation that it is for.
    pub operation: Option<usize>,
    /// See [`Ask::part`](crate::providers::conversation::Ask::part).
    pub part: Option<i64>,
}

/// How a push that was refused is cut up.
#[derive(Default)]
pub(super) struct Splitting {
    /// The conversation has left the rest of the push to it.
    pub begun: bool,
    /// The requests that are left for it; none before the first cut.
    pub budget: Option<u64>,
    /// Rows that were refused alone.
    pub alone: Vec<Alone>,
    /// The server has refused a push as too large.
    pub too_large: bool,
    /// Trying some of those once more together.
    pub together: Together,
}

/// The frozen parts of a run that are not settled.
#[derive(Default)]
pub(super) struct Parcels {
    /// The one that goes out now.
    pub current: Option<Frozen>,
    /// An attempt at it is noted: the server may have it from now on.
    pub attempted: bool,
    /// Each goes out on its own, later.
    pub waiting: VecDeque<Frozen>,
    /// How often rows went out again of which nobody knew whether they arrived.
    pub resent: u32,
    /// Most rows of one, when this run began to send; none: as configured.
    pub batch: Option<u64>,
    /// The conversation knows the row of the part.
    pub is_met: bool,
    /// What is known of a push that was refused.
    pub splitting: Splitting,
}

/// A sync under way.
pub struct Run {
    pub(super) call: EntitiesCall,
    pub(super) goal: Goal,
    /// Its number in `_syncRun`.
    pub(super) id: i64,
    /// Epoch ms.
    pub(super) started: i64,
    pub(super) owner: OwnerId,
    /// Status row and entity of each operation; none when the run opened none.
    pub(super) operations: Vec<OpenOperation>,
    pub(super) config: Settings,
    pub(super) kind: Box<dyn Provider>,
    /// None until the run's turn has come.
    pub(super) talk: Option<Box<dyn Conversation>>,
    pub(super) bindings: Vec<Binding>,
    /// The entities' cursors when the run began, to notice somebody else's sync.
    pub(super) cursors: Vec<Option<String>>,
    /// Entities of which rows come that came before: they are pulled from the beginning, or their cursor went back.
    pub(super) again: HashSet<usize>,
    /// Tables that are to be pulled from the beginning by the next run.
    pub(super) comes_again: HashSet<i64>,
    /// Rows created by a push of which nobody knows whether it arrived.
    pub(super) unacknowledged: Unacknowledged,
    pub(super) parcels: Parcels,
    pub(super) asked: Option<Asked>,
    /// Getting a new token.
    pub(super) renewing: Renewing,
    pub(super) token: Token,
    /// The state of the secrets with which the last request was made, see [`Secrets::changes`](crate::http::Secrets::changes).
    pub(super) secrets_asked: u64,
    /// The entities that this run has pulled. When these are all, it counts as a pull for the journal.
    pub(super) pulled: HashSet<usize>,
    pub(super) report: Report,
    pub(super) diary: Diary,
    pub(super) live: Arc<Live>,
    /// Blacks out the secrets sent along with the last request.
    pub(super) redactor: Redactor,
    pub(super) cancel: Arc<AtomicBool>,
    /// How often it has begun anew with what it found out about the server.
    pub(super) beginnings: u32,
    /// When the owner's lease was last renewed.
    pub(super) beat: Instant,
}

/// How often a run renews its owner's lease: well within the shortest lease that makes sense.
const HEARTBEAT: Duration = Duration::from_secs(15);

impl Run {
    /// Its number in `_syncRun`.
    pub fn id(&self) -> i64 {
        self.id
    }

    pub fn provider(&self) -> &str {
        &self.call.provider
    }

    /// The attached file that it is about.
    pub fn schema(&self) -> &str {
        &self.call.schema
    }

    pub fn config(&self) -> &Settings {
        &self.config
    }

    /// What is seen of it while it goes on.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Set to true, it ends the run at the next step, or in the middle of a request.
    pub fn cancel_with(&mut self, cancel: Arc<AtomicBool>) {
        self.cancel = cancel;
    }

    /// What is known when the run has just begun, in the shape of the final answer.
    pub fn begun(&self) -> Json {
        self.answer("syncing", self.started, None)
    }

    /// Takes what has happened and goes on until something is due.
    ///
    /// `session` is the connection that the run began on, or another one to the same file.
    ///
    /// # Errors
    /// SQLite's, when not even the end of the run can be written; the next call of this connection settles it
    /// then. Whatever else ends the sync is in its answer.
    pub fn advance(&mut self, session: &Session, input: Input) -> Result<Turn> {
        // A bug in the steps must not leave the operations open.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.go_on(session, input)));
        match outcome {
            Ok(Ok(Some(turn))) => Ok(turn),
            Ok(Ok(None)) => self.finish(session, None).map(Turn::Over),
            Ok(Err(error)) => self.finish(session, Some(error)).map(Turn::Over),
            Err(panic) => {
                let _ = self.finish(session, Some(SyncError::bug()));
                resume_unwind(panic)
            }
        }
    }

    /// None when the sync is done.
    fn go_on(&mut self, session: &Session, input: Input) -> Result<Option<Turn>, SyncError> {
        let database = session.database(&self.call.schema)?;
        match input {
            Input::Go => {}
            Input::Answer(answer) => {
                let heard = self.hear_of_the_token(session, answer);
                match self.or_take_back(&database, heard)? {
                    Heard::Plain(answer) => self.take(session, &database, answer)?,
                    Heard::Wait(time) => return Ok(Some(Turn::Wait(time))),
                    Heard::Ask(outgoing) => return Ok(Some(Turn::Send(outgoing))),
                    Heard::Again => {}
                }
            }
            Input::Stop(error) => {
                self.take_back(&database)?;
                return Err(error);
            }
        }
        loop {
            if self.is_interrupted(&database) {
                return Err(SyncError::interrupted());
            }
            let Some(talk) = &self.talk else {
                if let Some(wait) = self.try_to_start(session)? {
                    return Ok(Some(Turn::Wait(wait)));
                }
                continue;
            };
            let _ = talk;
            self.meet_row(&database)?;
            let Some(talk) = &self.talk else { continue };
            match talk.due() {
                Step::Ask(ask) => {
                    let waits = self.wait_for_the_token(session);
                    if let Some(turn) = self.or_take_back(&database, waits)? {
                        return Ok(Some(turn));
                    }
                    self.note_the_token(session);
                    return self.ask(&database, ask).map(Turn::Send).map(Some);
                }
                Step::Freeze => self.freeze(&database)?,
                Step::Over(operation, error) => {
                    self.operation_is_over(&database, operation, error)?
                }
                Step::Skip(operation) => {
                    self.report.left_out.insert(operation);
                    self.operation_is_over(&database, operation, None)?;
                }
                Step::Query(question) => {
                    let patience = Patience::new(&self.config);
                    let found = patience.sync(|| query::answer(session, &database, &question));
                    if let Some(error) = found.as_ref().err().filter(|error| error.is_busy()) {
                        return Err(error.clone());
                    }
                    if let Some(talk) = &mut self.talk {
                        talk.found(found.as_deref());
                    }
                }
                Step::Branch(operation, parameters) => {
                    self.branch(&database, operation, parameters)?
                }
                Step::BeginAnew => self.begin_anew(session)?,
                Step::Fail(error) => return Err(error),
                Step::Done => {
                    self.live.reach("done");
                    return Ok(None);
                }
            }
        }
    }

    /// Carries out an operation once with each of these parameters. These have no status of their own.
    fn branch(
        &mut self,
        database: &Database,
        operation: usize,
        parameters: Vec<Map<String, Json>>,
    ) -> Result<(), SyncError> {
        let of = self
            .call
            .operations
            .get(operation)
            .ok_or_else(SyncError::bug)?;
        let specs: Vec<OperationSpec> = parameters
            .into_iter()
            .map(|parameters| OperationSpec {
                parameters: canonical_text(&Json::Object(parameters).to_string())
                    .unwrap_or_default(),
                ..of.clone()
            })
            .collect();
        let provider = &self.call.provider;
        let places = specs.iter().map(|spec| match self.goal {
            Goal::Check => Ok(None),
            _ => place::read(database, provider, spec),
        });
        let places = places.collect::<Result<Vec<_>>>()?;
        for _ in &specs {
            self.report.branches.push(operation);
        }
        self.call.operations.extend(specs);
        if let Some(talk) = &mut self.talk {
            talk.branched(&places);
        }
        Ok(())
    }

    /// Whether somebody interrupted the sync, here or on another connection. Also true when the host
    /// interrupts its connection: then our statements fail.
    pub fn is_interrupted(&mut self, database: &Database) -> bool {
        if self.cancel.load(Ordering::Relaxed) {
            return true;
        }
        // While a run goes on, its owner lives. A database that is locked right now hears it next time.
        if self.beat.elapsed() >= HEARTBEAT {
            self.beat = Instant::now();
            let _ = owner::beat(database, self.owner);
        }
        let mut goes_on = vec![run_record::goes_on(database, self.id)];
        let operations = self.operations.iter().enumerate();
        let open = operations.filter(|(place, _)| !self.report.over.contains_key(place));
        goes_on.extend(open.map(|(_, operation)| is_open(database, operation)));
        goes_on.into_iter().any(|goes_on| match goes_on {
            Ok(goes_on) => !goes_on,
            Err(error) => error.is_interrupt(),
        })
    }
}
