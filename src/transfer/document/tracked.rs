//! A tracked table: rows are applied like those of any server.
//!
//! Nothing of it is captured. A row edited here meets the server's by the entity's policy, and a conflict is
//! recorded; one deleted here stays deleted. Rows that go before others come leave behind what waits to be sent.
//! A merged record is the server's word on the whole row: the members it doesn't name are as they are here.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

use crate::capture::Tracked;
use crate::capture::lost::pull_again;
use crate::capture::shared::Counting;
use crate::capture::tracked::registration;
use crate::coordination::now;
use crate::ground::SyncError;
use crate::providers::conversation::ApplyRules;
use crate::providers::sink::{self, Announced, RemoteRow, Sink};
use crate::providers::wire::{Entity, Slot, WireId};
use crate::store::{Database, Result, Statement, Value, quote_name};
use crate::transfer::apply::{Applier, Setting};
use crate::transfer::binding::{Binding, OnClash, key_type, travelling, wire_columns};
use crate::transfer::held::documents::{HeldDocuments, held_key};
use crate::transfer::held::{inserts, keep};
use crate::transfer::send::settle::Acknowledged;
use crate::transfer::send::unacknowledged::Unacknowledged;

use super::outcome::{Failure, Job, Outcome};
use super::rows::{Rows, Word};
use super::scope::Scope;

/// The table of that name, if it is tracked and captured.
///
/// # Errors
/// SQLite's.
pub fn table(database: &Database, name: &str) -> Result<Option<Tracked>> {
    match registration(database, name)? {
        Some(registration) if database.has_table(&registration.name)? => {
            Tracked::open(database, name).map(Some)
        }
        // One that was dropped is made again by whoever writes rows.
        _ => Ok(None),
    }
}

/// Binds an entity to a tracked table.
///
/// # Errors
/// Its key is not `id`, or of a type that can't be carried.
pub fn bind(database: &Database, entity: &str, table: Tracked) -> Result<Binding, Failure> {
    let is_key = |column: &&crate::capture::shape::Column| {
        column.key_place > 0 && !column.name.eq_ignore_ascii_case("id")
    };
    if let Some(key) = table.shape.columns.iter().find(is_key) {
        return Err(SyncError::data(format!(
            "{} is tracked by its key {}, but the rows of a response are matched by id; make id its \
             PRIMARY KEY, or call sync_untrack",
            quote_name(&table.shape.name),
            quote_name(&key.name)
        ))
        .into());
    }
    let synced = travelling(&table, None);
    let columns = table.shape.columns.iter().enumerate();
    let columns: Vec<usize> = columns
        .filter(|(position, column)| is_document(&column.name) || synced.contains(position))
        .map(|(position, _)| position)
        .collect();
    let key_type = key_type(&table, false)?;
    let wire = Entity {
        name: entity.to_owned(),
        columns: wire_columns(&table, &columns),
        key: table.shape.keys()[0].name.clone(),
        references: Vec::new(),
        key_type,
    };
    Ok(Binding {
        entity: entity.to_owned(),
        columns,
        awaited: Vec::new(),
        wire,
        rules: ApplyRules {
            // A response doesn't say which rows are new.
            created_as_updated: true,
            echo_ignore: vec!["timestamp".into()],
            ..ApplyRules::default()
        },
        replacement_where: None,
        stamp: None,
        on_clash: OnClash::Hold,
        counting: Counting::of(database, &table)?,
        qualified: database.qualified(&table.shape.name),
        table,
    })
}

fn is_document(column: &str) -> bool {
    let columns = ["data", "timestamp"];
    columns.iter().any(|name| name.eq_ignore_ascii_case(column))
}

/// Applies rows to a tracked table.
///
/// # Errors
/// As [`bind`]; those of `body`; SQLite's.
pub fn write(
    job: &Job<'_>,
    entity: &str,
    table: Tracked,
    body: impl FnOnce(&mut dyn Rows) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let bindings = [bind(job.database, entity, table)?];
    apply(job, &bindings, |applier| {
        body(&mut TrackedRows::new(job, &bindings[0], applier)?)
    })
}

/// Applies what `body` says to the bound table.
///
/// # Errors
/// Those of `body`; SQLite's.
pub fn apply(
    job: &Job<'_>,
    bindings: &[Binding; 1],
    body: impl FnOnce(&mut dyn Sink) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    // A program that moves the data itself has no pushes of ours.
    let (unacknowledged, cancel) = (Unacknowledged::default(), AtomicBool::new(false));
    let setting = Setting {
        session: job.session,
        database: job.database,
        provider: job.provider,
        run: 0,
        bytes: 0,
        cancel: &cancel,
        again: Vec::new(),
        part: None,
        refusals: job.attempt.refusals,
    };
    let bindings = with_held(job, bindings)?;
    job.attempt.binds(&bindings);
    let met = inserts::meet(job.database, job.provider, &bindings)?;
    let mut applier = Applier::new(
        &setting,
        &bindings,
        &unacknowledged,
        Acknowledged::default(),
    )?;
    body(&mut applier)?;
    let came = applier.finish(&[])?;
    for table in &came.comes_again {
        pull_again(job.database, *table)?;
    }
    let decided = inserts::decide(job.database, job.provider, 0, &bindings, &met)?;
    let mut outcome = Outcome {
        conflicts: decided.len().try_into().unwrap_or(i64::MAX),
        warnings: came.warnings,
        ..Outcome::default()
    };
    for counts in came.counts {
        outcome.deleted += counts.deleted;
        outcome.inserted += counts.inserted;
        outcome.updated += counts.updated;
        outcome.conflicts += counts.conflicts;
    }
    Ok(outcome)
}

/// The table, and others of which rows are held: they may lack only what comes now.
fn with_held(job: &Job<'_>, bindings: &[Binding; 1]) -> Result<Vec<Binding>, Failure> {
    let mut all = bindings.to_vec();
    for (entity, id) in keep::elsewhere(job.database, job.provider, bindings)? {
        let Some(other) = table(job.database, &entity)?.filter(|other| other.id == id) else {
            continue;
        };
        // One whose key can't be carried any more stays held.
        all.extend(bind(job.database, &entity, other).ok());
    }
    Ok(all)
}

struct TrackedRows<'a> {
    database: &'a Database,
    binding: &'a Binding,
    sink: &'a mut dyn Sink,
    find: Statement,
    held: HeldDocuments,
    now: Value,
}

impl<'a> TrackedRows<'a> {
    fn new(job: &Job<'a>, binding: &'a Binding, sink: &'a mut dyn Sink) -> Result<Self> {
        let database = job.database;
        let find = format!(
            "SELECT 1 FROM {} WHERE id = ?1 AND data = ?2",
            binding.qualified
        );
        Ok(Self {
            database,
            binding,
            sink,
            find: database.connection().prepare(&find)?,
            held: HeldDocuments::of(database, job.provider, binding)?,
            now: Value::Integer(now()),
        })
    }

    /// Whether the row is here as it comes.
    fn is_here(&mut self, id: &Value, data: &str) -> Result<bool> {
        self.find.bind_all(&[id.borrow(), data.into()])?;
        let found = self.find.step()?;
        self.find.reset();
        Ok(found)
    }
}

impl Rows for TrackedRows<'_> {
    fn word(&mut self, id: &Value) -> Result<Word, Failure> {
        let key = held_key(self.binding, &wire_id(self.database, id)?);
        Ok(match self.held.find(&key)? {
            None => Word::Here,
            Some(None) => Word::Gone,
            Some(Some(data)) => Word::Held(data),
        })
    }

    fn clear(&mut self, scope: &Scope) -> Result<(), Failure> {
        let condition = &scope.condition;
        let scope = match condition.is_all() {
            true => sink::Scope::Wipe,
            false => sink::Scope::Where(&condition.sql, &condition.values),
        };
        Ok(self.sink.scope(0, &scope)?)
    }

    fn put(&mut self, id: &Value, data: &str, timestamp: Option<&Value>) -> Result<(), Failure> {
        let now;
        let timestamp = match timestamp {
            Some(timestamp) => slot(timestamp),
            // When a row came the last time is not news.
            None if self.is_here(id, data)? => Slot::Missing,
            None => {
                now = self.now.clone();
                slot(&now)
            }
        };
        let columns = self.binding.wire.columns.iter();
        let slots: Vec<Slot<'_>> = columns
            .map(|column| match column.name.to_ascii_lowercase().as_str() {
                "data" => Slot::Text(Cow::Borrowed(data)),
                "timestamp" => timestamp.clone(),
                _ => Slot::Missing,
            })
            .collect();
        let id = wire_id(self.database, id)?;
        Ok(self.sink.row(&RemoteRow {
            entity: 0,
            announced: Announced::Updated,
            id: &id,
            slots: &slots,
            version: None,
        })?)
    }
}

/// An id as it would travel. Of a real number the text that SQLite makes of it.
///
/// # Errors
/// SQLite's.
pub fn wire_id<'v>(database: &Database, id: &'v Value) -> Result<WireId<'v>> {
    Ok(match id {
        Value::Integer(number) => WireId::Integer(*number),
        Value::Text(text) => WireId::Text(Cow::Borrowed(text)),
        other => {
            let text = database.query_value("SELECT CAST(?1 AS TEXT)", &[other.borrow()])?;
            WireId::Text(Cow::Owned(text.as_str().unwrap_or_default().to_owned()))
        }
    })
}

fn slot(value: &Value) -> Slot<'_> {
    match value {
        Value::Integer(number) => Slot::Integer(*number),
        Value::Real(number) => Slot::Real(*number),
        Value::Text(text) => Slot::Text(Cow::Borrowed(text)),
        _ => Slot::Null,
    }
}
