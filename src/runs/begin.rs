//! How a run begins: all or nothing, in the transaction of the call.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json};

use crate::capture::{drift, track};
use crate::coordination::run_record::{self, NewRun};
use crate::coordination::{self, EntitiesCall, Ground, begin, lease, now};
use crate::ground::{SyncError, Warning};
use crate::http::Redactor;
use crate::providers::conversation::{
    Conversation, Goal, Known, KnownEntity, KnownOperation, Provider, Refusal,
};
use crate::providers::{Settings, Stored, Transport, kinds};
use crate::store::{Database, Error, Result, Session, untold};
use crate::transfer::apply::require_declared;
use crate::transfer::binding::{Binding, declared, table_of};
use crate::transfer::conflict::resolver::require_usable;
use crate::transfer::counts::Counts;
use crate::transfer::document::make_documents;
use crate::transfer::names::{require_compared, require_configured};
use crate::transfer::pause::{self, Paused};
use crate::transfer::send::outbox;
use crate::transfer::send::unacknowledged::Unacknowledged;
use crate::transfer::{cursor, functions, peer, place};

use super::diary::Diary;
use super::gate::{refuse_overlap, refuse_twice, refuse_unknown, schema_version, stored_config};
use super::host::{end_interrupted, refuse_own};
use super::patience::Patience;
use super::progress::Live;
use super::report::Report;
use super::run::{Parcels, Run};
use super::silent::Silent;
use super::waiting;

/// Options that say how pages are asked for.
const PAGING: &[&str] = &["limit", "includeSelf", "until", "windowed", "from"];

/// How often a run may begin anew, at most.
const BEGINNINGS: u32 = 3;

/// How often a run that waits for its turn looks whether it has come.
const LOOK: Duration = Duration::from_millis(50);

/// What a run works with, looked up when its turn has come.
struct Prepared {
    bindings: Vec<Binding>,
    cursors: Vec<Option<String>>,
    /// None: this sync can't run.
    talk: Result<Box<dyn Conversation>, SyncError>,
    paused: Paused,
    warnings: Vec<Warning>,
}

impl Run {
    /// Records a run and opens its operations. `queue`: it waits until the syncs of its provider that came
    /// before it are done; otherwise it takes the provider's lease at once, or is refused.
    ///
    /// # Errors
    /// The instance or the provider is being synced by somebody else, an entity is not tracked or
    /// can't be carried; SQLite's.
    pub fn begin(session: &Session, call: &EntitiesCall, goal: Goal, queue: bool) -> Result<Self> {
        end_interrupted(session, &call.schema, Some(&call.provider));
        coordination::write(session, &call.schema, |ground| {
            refuse_overlap(ground, call)?;
            // First of all: a column that was renamed takes what the configuration says of it along.
            drift::refresh(ground.database)?;
            let config = stored_config(ground.database, &call.provider)?;
            refuse_unknown(call, &config)?;
            let call = spelled(ground.database, &config, call)?;
            Self::begin_in(session, ground, &call, goal, config, queue)
        })
    }

    fn begin_in(
        session: &Session,
        ground: &Ground<'_>,
        call: &EntitiesCall,
        goal: Goal,
        config: Settings,
        queue: bool,
    ) -> Result<Self> {
        let database = ground.database;
        let kind = opened(database, &config, &call.provider)?;
        let started = now();
        // What can be refused is refused now, even if the run has to wait.
        let prepared = prepare(session, database, call, goal, &config, &*kind)?;
        let run = NewRun {
            provider: &call.provider,
            instance: call.instance_id.as_deref(),
            goal: goal.as_str(),
            owner: ground.owner,
            started,
        };
        let id = run_record::begin(database, &run)?;
        let operations = match goal {
            Goal::Check => Vec::new(),
            _ => begin(database, ground.owner, call, true)?,
        };
        let quiet = config.list("quiet");
        let mut run = Self {
            call: call.clone(),
            goal,
            id,
            started,
            owner: ground.owner,
            operations,
            report: Report {
                entities: vec![Counts::default(); prepared.bindings.len()],
                quiet: quiet.into_iter().map(str::to_owned).collect(),
                ..Report::default()
            },
            config,
            kind,
            talk: None,
            bindings: Vec::new(),
            cursors: Vec::new(),
            again: Default::default(),
            comes_again: Default::default(),
            unacknowledged: Unacknowledged::default(),
            parcels: Parcels::default(),
            asked: None,
            renewing: Default::default(),
            token: Default::default(),
            secrets_asked: 0,
            pulled: HashSet::new(),
            diary: Diary::default(),
            live: Live::begin(session, &call.schema, id),
            redactor: Redactor::default(),
            cancel: Arc::default(),
            beginnings: 0,
            beat: Instant::now(),
        };
        if !queue {
            refuse_own(session, &call.provider)?;
        }
        if !queue || run_record::is_next(database, &call.provider, id)? {
            lease::take(database, &call.provider, ground.owner, id)?;
            run.start(database, prepared)?;
        }
        Ok(run)
    }

    /// Looks whether a run that waits may begin, and begins it; how long to wait when it may not.
    pub(super) fn try_to_start(
        &mut self,
        session: &Session,
    ) -> Result<Option<Duration>, SyncError> {
        let schema = self.call.schema.clone();
        if !run_record::is_next(&session.database(&schema)?, &self.call.provider, self.id)? {
            return Ok(Some(LOOK));
        }
        let started = coordination::write(session, &schema, |ground| {
            let (database, provider) = (ground.database, self.call.provider.as_str());
            // Another process may have been faster.
            if !run_record::is_next(database, provider, self.id)? {
                return Ok(None);
            }
            lease::take(database, provider, self.owner, self.id)?;
            drift::refresh(database)?;
            let call = self.call.clone();
            let prepared = prepare(
                session,
                database,
                &call,
                self.goal,
                &self.config,
                &*self.kind,
            )?;
            self.start(database, prepared).map(Some)
        });
        match started {
            Ok(Some(())) => Ok(None),
            Ok(None) => Ok(Some(LOOK)),
            Err(error) if error.is_busy() => Ok(Some(LOOK)),
            Err(error) => Err(error.into()),
        }
    }

    /// What the conversation has found out about the server makes another provider of it.
    pub(super) fn begin_anew(&mut self, session: &Session) -> Result<(), SyncError> {
        self.beginnings += 1;
        if self.beginnings > BEGINNINGS {
            return Err(SyncError::protocol(
                "the backend says something else of itself each time it is asked: servers of several versions answer at \
                 this address; update them all",
            ));
        }
        let schema = self.call.schema.clone();
        let call = self.call.clone();
        Patience::new(&self.config.clone()).sync(|| {
            let begun = coordination::write(session, &schema, |ground| {
                let database = ground.database;
                drift::refresh(database)?;
                self.kind = opened(database, &self.config, &call.provider)?;
                let (config, kind) = (&self.config, &*self.kind);
                let prepared = prepare(session, database, &call, self.goal, config, kind)?;
                self.talk_anew(database, prepared)
            });
            Ok(begun?)
        })
    }

    fn start(&mut self, database: &Database, prepared: Prepared) -> Result<()> {
        let provider = self.call.provider.as_str();
        run_record::start(database, provider, self.id)?;
        outbox::close_abandoned(database, provider)?;
        self.unacknowledged = Unacknowledged::read(database, Some(provider))?;
        let (warnings, last) = untold::read(database)?;
        self.report.warn(warnings);
        self.report.untold = last;
        self.talk_anew(database, prepared)
    }

    fn talk_anew(&mut self, database: &Database, prepared: Prepared) -> Result<()> {
        let provider = self.call.provider.as_str();
        self.report.cursor = prepared.cursors.iter().flatten().next().cloned();
        self.report.paused = prepared.paused;
        self.report.warn(prepared.warnings);
        self.bindings = prepared.bindings;
        // While it waited, tables may have come to a provider whose runs are about all of them.
        let entities = self.bindings.len();
        self.report.entities.resize_with(entities, Counts::default);
        self.cursors = prepared.cursors;
        let grows = self.kind.manners().cursors_grow;
        for (place, binding) in self.bindings.iter().enumerate() {
            if cursor::comes_again(database, provider, binding, grows)? {
                self.again.insert(place);
            }
        }
        self.talk = Some(match prepared.talk {
            _ if self.bindings.is_empty() => Box::new(Silent::done()),
            Ok(talk) => talk,
            Err(error) => Box::new(Silent::failed(error)),
        });
        Ok(())
    }
}

/// The provider that a configuration describes, as far as its server is known.
pub(super) fn opened(
    database: &Database,
    config: &Settings,
    provider: &str,
) -> Result<Box<dyn Provider>> {
    let stored = Stored {
        memory: peer::memory(database, provider)?,
        functions: match config.kind().functions {
            Some(_) => functions::all(database, provider)?,
            None => Vec::new(),
        },
    };
    config
        .open(&stored)
        .map_err(|problem| Error::Corrupt(format!("the stored {problem}")))
}

/// The call with its entities as they are declared: one entity has one cursor, however a caller writes it.
fn spelled(database: &Database, config: &Settings, call: &EntitiesCall) -> Result<EntitiesCall> {
    let mut call = call.clone();
    for operation in &mut call.operations {
        operation.entity = declared(database, config, &operation.entity)?;
    }
    Ok(call)
}

/// Call [`drift::refresh`] first in the same transaction.
fn prepare(
    session: &Session,
    database: &Database,
    call: &EntitiesCall,
    goal: Goal,
    config: &Settings,
    kind: &dyn Provider,
) -> Result<Prepared> {
    refuse_paging(kind, &call.options)?;
    require_configured(database, config)?;
    let provider = call.provider.as_str();
    let version = schema_version(database)?;
    let mut bindings: Vec<Binding> = Vec::with_capacity(call.operations.len());
    let mut entities = Vec::with_capacity(call.operations.len());
    let named = call
        .operations
        .iter()
        .map(|operation| operation.entity.clone());
    let mut all: Vec<String> = named.collect();
    if kind.manners().functions {
        let mut seen = HashSet::new();
        all.retain(|entity| seen.insert(entity.clone()));
    }
    if kind.manners().one_cursor {
        // The cursor moves for all of them.
        let others = entities_of(database, provider, false)?;
        let others = others.into_iter().filter(|entity| !all.contains(entity));
        all.extend(others.collect::<Vec<_>>());
    }
    for entity in &all {
        if kind.manners().documents && goal != Goal::Check {
            make_documents(database, table_of(config, entity))?;
        }
        let mut binding = Binding::resolve(database, config, kind, entity)?;
        refuse_twice(&bindings, &binding)?;
        if goal != Goal::Check {
            require_usable(session, database, &binding.entity)?;
            require_compared(database, &binding)?;
            require_declared(session, database, &binding)?;
            track::bind_provider(database, &binding.table, provider)?;
            let last = cursor::last_schema(database, provider, &binding)?;
            let is_told = |column: &str| kind.tells_of(&binding.wire, column, &last, version);
            binding.awaited = cursor::awaited(database, provider, &binding, is_told)?;
        }
        entities.push(known(database, provider, goal, &binding)?);
        bindings.push(binding);
    }
    let cursors = bindings
        .iter()
        .map(|binding| cursor::read(database, provider, binding))
        .collect::<Result<Vec<_>>>()?;
    let paused = match goal {
        Goal::Check => Paused::default(),
        _ => pause::read(database, provider, call.automatic)?,
    };
    let left = under_pause(goal, paused);
    let asks = |goal: Goal| goal == Goal::Upload || (goal.sends() && kind.manners().asks_pending);
    let tables = bindings.iter().map(|binding| binding.table.clone());
    let pending =
        left.is_some_and(asks) && waiting::anything(database, &tables.collect::<Vec<_>>())?;
    let Some(goal) = left.filter(|goal| *goal != Goal::Upload || pending) else {
        return Ok(Prepared {
            bindings,
            cursors,
            talk: Ok(Box::new(Silent::done())),
            paused,
            warnings: Vec::new(),
        });
    };
    let known = Known {
        operations: match kind.manners().functions {
            true => operations(database, call, goal, &bindings, &entities)?,
            false => Vec::new(),
        },
        now: now(),
        entities,
        schema_version: version,
        memory: peer::memory(database, provider)?,
        options: call.options.clone(),
        pulls: !paused.downloads,
        pending,
    };
    let talk = match kind.begin(goal, known) {
        Ok(talk) => Ok(talk),
        Err(Refusal::Sync(error)) => Err(error),
        Err(Refusal::Call(problem)) => return Err(Error::argument(problem)),
    };
    Ok(Prepared {
        warnings: bindings
            .iter()
            .filter_map(cursor::awaited_warning)
            .collect(),
        bindings,
        cursors,
        talk,
        paused,
    })
}

/// The operations of a call. One whose entity is to come from the beginning has read nothing.
fn operations(
    database: &Database,
    call: &EntitiesCall,
    goal: Goal,
    bindings: &[Binding],
    entities: &[KnownEntity],
) -> Result<Vec<KnownOperation>> {
    let operations = call.operations.iter();
    let known = operations.map(|operation| {
        let place = bindings
            .iter()
            .position(|binding| binding.entity == operation.entity)
            .unwrap_or_default();
        if goal != Goal::Check {
            // Whatever becomes of it, it is known from now on.
            place::number(database, &call.provider, operation)?;
        }
        Ok(KnownOperation {
            entity: place,
            function: operation.function_id.clone(),
            parameters: serde_json::from_str(&operation.parameters).unwrap_or_default(),
            place: match entities[place].cursor {
                Some(_) => place::read(database, &call.provider, operation)?,
                None => None,
            },
        })
    });
    known.collect()
}

/// An option about pages is refused where the protocol has no such thing.
fn refuse_paging(kind: &dyn Provider, options: &Map<String, Json>) -> Result<()> {
    let known = kind.manners().paging;
    let mut given = options.keys().map(String::as_str);
    match given.find(|key| PAGING.contains(key) && !known.contains(key)) {
        None => Ok(()),
        Some(key) => Err(Error::argument(format!(
            "options.{key} is about pages, which this backend does not give out; leave it out"
        ))),
    }
}

/// What is left of a goal while transfer is paused; none when nothing is.
fn under_pause(goal: Goal, paused: Paused) -> Option<Goal> {
    match (goal, paused.uploads, paused.downloads) {
        (Goal::Sync, true, true) => None,
        (Goal::Sync, true, false) => Some(Goal::Hydrate),
        (Goal::Sync, false, true) => Some(Goal::Upload),
        (Goal::Upload, true, _) => None,
        (Goal::Download | Goal::Hydrate, _, true) => None,
        (goal, ..) => Some(goal),
    }
}

/// The entities of all tracked tables of a provider: those that it was synced with, and with `unbound` those that were
/// synced with none.
///
/// # Errors
/// SQLite's; a stored configuration that can't be read.
pub fn entities_of(database: &Database, provider: &str, unbound: bool) -> Result<Vec<String>> {
    let config = stored_config(database, provider)?;
    let tables = database.query_all(
        "SELECT name FROM main._syncTable WHERE provider = ?1 OR (?2 AND provider IS NULL) ORDER BY id",
        &[provider.into(), unbound.into()],
        |row| Ok(row.text(0)),
    )?;
    let entity = |table: String| {
        let mut mapped = config.texts("tableMap");
        let of = mapped.find(|(_, name)| name.eq_ignore_ascii_case(&table));
        of.map_or(table.clone(), |(entity, _)| entity.to_owned())
    };
    Ok(tables.into_iter().map(entity).collect())
}

/// A call about entities of a provider, that no scope follows. Where functions say how they are asked for, each is read as it
/// was before.
///
/// # Errors
/// SQLite's.
pub fn call_of(
    database: &Database,
    schema: &str,
    provider: &str,
    entities: Vec<String>,
    options: Map<String, Json>,
) -> Result<EntitiesCall> {
    let mut call = EntitiesCall::of(schema, provider, entities, options);
    let mut known = place::operations(database, provider)?;
    let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    known.retain(|known| {
        call.operations
            .iter()
            .any(|named| is(&named.entity, &known.entity))
    });
    call.operations
        .retain(|named| !known.iter().any(|known| is(&known.entity, &named.entity)));
    call.operations.extend(known);
    Ok(call)
}

/// Whether a provider is the only one with a protocol.
///
/// # Errors
/// SQLite's.
pub fn is_only(database: &Database, provider: &str) -> Result<bool> {
    let declared = database.query_all("SELECT id, kind FROM main._syncProvider", &[], |row| {
        Ok((row.text(0), row.text(1)))
    })?;
    let has_protocol =
        |kind: &str| kinds::find(kind).is_some_and(|kind| kind.transport != Transport::Nobody);
    let mut protocols = declared.iter().filter(|(_, kind)| has_protocol(kind));
    Ok(protocols.all(|(id, _)| id == provider))
}

/// A check begins as if nothing was ever pulled: it wants everything.
fn known(
    database: &Database,
    provider: &str,
    goal: Goal,
    binding: &Binding,
) -> Result<KnownEntity> {
    let entity = binding.wire.clone();
    Ok(match goal {
        Goal::Check => KnownEntity {
            entity,
            cursor: None,
            before: None,
            schema: Default::default(),
        },
        _ => KnownEntity {
            entity,
            cursor: cursor::read(database, provider, binding)?,
            before: cursor::before(database, provider, binding)?,
            schema: cursor::last_schema(database, provider, binding)?,
        },
    })
}
