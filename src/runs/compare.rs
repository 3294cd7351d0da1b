//! Comparing an answer with what is here, row by row. What is pending here is not held against the row: columns
//! changed here, rows created and rows deleted here.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use serde_json::{Value as Json, json};

use crate::capture::reader::RowReader;
use crate::capture::sends::{sends, sends_of_there};
use crate::capture::{Key, PendingRows, Status, log};
use crate::ground::SyncError;
use crate::providers::sink::{RemoteRow, Scope, Sink};
use crate::providers::values::{holds, same_json, write_value};
use crate::providers::wire::{Slot, WireColumn, WireId};
use crate::store::{Database, Result, Session, Value, ValueRef, quote_name, same, shown};
use crate::transfer::aside::Asides;
use crate::transfer::binding::Binding;
use crate::transfer::expression::Expressions;
use crate::transfer::held::keep::{self, InShort};
use crate::transfer::send::unacknowledged::Unacknowledged;

/// Ids shown of each kind of difference.
const SHOWN: usize = 20;

/// What a comparison has found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub differs: bool,
    /// One object for each entity.
    pub entities: Vec<Json>,
}

/// Compares what comes in.
pub struct Comparer<'a> {
    tables: Vec<Comparison<'a>>,
    expressions: Expressions<'a>,
    unacknowledged: Unacknowledged,
    hasher: RandomState,
}

struct Comparison<'a> {
    binding: &'a Binding,
    pending: PendingRows,
    reader: RowReader,
    asides: Asides<'a>,
    /// Fingerprints of the ids that the server has.
    seen: HashSet<u64>,
    remote: i64,
    local: i64,
    equal: i64,
    missing: Differences,
    excess: Differences,
    differing: Differences,
    /// Rows of which the server's state waits, each with whether it is deleted there.
    held: HashMap<Key, InShort>,
    waiting: Differences,
}

/// Differences of one kind: all are counted, some shown.
#[derive(Default)]
struct Differences {
    count: i64,
    shown: Vec<Json>,
}

impl Differences {
    fn add(&mut self, what: impl FnOnce() -> Json) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(what());
        }
    }
}

impl<'a> Comparer<'a> {
    /// # Errors
    /// SQLite's.
    pub fn new(
        session: &'a Session,
        database: &'a Database,
        bindings: &'a [Binding],
    ) -> Result<Self> {
        let tracked: Vec<_> = bindings.iter().map(|binding| &binding.table).collect();
        let pending = PendingRows::read(database, &tracked, log::high_water(database)?)?;
        let tables = bindings
            .iter()
            .zip(pending)
            .map(|(binding, pending)| {
                Ok(Comparison {
                    reader: RowReader::new(database, &binding.table, &binding.columns)?,
                    asides: Asides::of(database, binding)?,
                    binding,
                    pending,
                    seen: HashSet::new(),
                    remote: 0,
                    local: 0,
                    equal: 0,
                    held: keep::keys(database, binding.table.id)?,
                    waiting: Differences::default(),
                    missing: Differences::default(),
                    excess: Differences::default(),
                    differing: Differences::default(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            tables,
            expressions: Expressions::new(session, database.connection()),
            unacknowledged: Unacknowledged::read(database, None)?,
            hasher: RandomState::new(),
        })
    }

    /// Looks for rows that did not come in.
    ///
    /// # Errors
    /// SQLite's.
    pub fn finish(mut self, database: &Database) -> Result<Found> {
        for table in &mut self.tables {
            table.look_for_excess(database, &self.hasher)?;
        }
        Ok(Found {
            differs: self.tables.iter().any(Comparison::differs),
            entities: self.tables.iter().map(Comparison::shown).collect(),
        })
    }
}

impl Sink for Comparer<'_> {
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        let table = &mut self.tables[row.entity];
        let Some(key) = table.binding.wire_key(row.id) else {
            table.remote += 1;
            let id = row.id.to_string();
            let held = table.held.contains_key(&Key(Value::Text(id.clone())));
            match held {
                true => table.waiting.add(|| id.into()),
                false => table.missing.add(|| id.into()),
            }
            return Ok(());
        };
        table
            .seen
            .insert(self.hasher.hash_one(shown(&key).as_bytes()));
        table.row(&key, row.slots, &self.unacknowledged)?;
        Ok(())
    }

    /// A full pull should name no deleted rows; those it names are not there.
    fn gone(&mut self, _: usize, _: &WireId<'_>, _: Option<i64>) -> Result<(), SyncError> {
        Ok(())
    }

    fn scope(&mut self, _: usize, _: &Scope<'_>) -> Result<(), SyncError> {
        Ok(())
    }

    fn evaluate(&mut self, sql: &str, record: &str) -> Result<Value, SyncError> {
        self.expressions.evaluate(sql, record)
    }
}

/// Whether a column has the value that the server has: what is kept aside for it counts in place of what it holds.
fn is_here(column: &WireColumn, kept: Option<&str>, local: ValueRef<'_>, slot: &Slot<'_>) -> bool {
    match (kept, slot.kept()) {
        (Some(kept), Some(came)) => same_json(kept, &came.json),
        // The column could not hold it when it came, and could now.
        (Some(kept), None) => {
            let mut came = Vec::new();
            let written = write_value(&mut came, column.kind, slot.value());
            written.is_ok() && same_json(kept, &String::from_utf8_lossy(&came))
        }
        (None, Some(came)) => came.close && same(local, slot.value()),
        (None, None) => holds(column, local, slot),
    }
}

impl Comparison<'_> {
    fn row(
        &mut self,
        key: &Value,
        row: &[Slot<'_>],
        unacknowledged: &Unacknowledged,
    ) -> Result<()> {
        self.remote += 1;
        let key_of = Key(key.clone());
        let pending = self.pending.get(&key_of)?;
        let pending = pending.as_ref();
        let held = self.held.get(&key_of).is_some_and(|held| !held.is_delete);
        if !self.reader.find_key(key)? {
            self.reader.release();
            let may_have_arrived =
                || unacknowledged.may_have_created(self.binding.table.id, &key_of);
            let status = match pending {
                Some(row) => sends(row, false, &self.binding.columns, may_have_arrived)?,
                None => Status::Nothing,
            };
            let deleted = status == Status::Deleted;
            match (deleted, held) {
                (true, _) => {}
                (false, true) => self.waiting.add(|| shown(key).into()),
                (false, false) => self.missing.add(|| shown(key).into()),
            }
            return Ok(());
        }
        let kept = self.asides.of_row(&key_of, pending)?;
        let columns: Vec<&str> = row
            .iter()
            .enumerate()
            .filter(|(place, slot)| {
                let position = self.binding.columns[*place];
                !slot.is_missing()
                    && Some(*place) != self.binding.stamp
                    && !pending.is_some_and(|pending| pending.changed(position))
                    && !is_here(
                        &self.binding.wire.columns[*place],
                        kept.get(*place).and_then(Option::as_deref),
                        self.reader.column(*place),
                        slot,
                    )
            })
            .map(|(place, _)| self.binding.wire.columns[place].name.as_str())
            .collect();
        match (columns.is_empty(), held) {
            (true, _) => self.equal += 1,
            (false, true) => self.waiting.add(|| shown(key).into()),
            (false, false) => self
                .differing
                .add(|| json!({"id": shown(key), "columns": columns})),
        }
        self.reader.release();
        Ok(())
    }

    fn look_for_excess(&mut self, database: &Database, hasher: &RandomState) -> Result<()> {
        let key = quote_name(&self.binding.table.shape.keys()[0].name);
        let sql = format!("SELECT {key} FROM {}", self.binding.qualified);
        let mut scan = database.connection().prepare(&sql)?;
        while scan.step()? {
            self.local += 1;
            let key = scan.column(0).to_owned();
            if self.seen.contains(&hasher.hash_one(shown(&key).as_bytes())) {
                continue;
            }
            let key = Key(key);
            let pending = self.pending.get(&key)?;
            let created = pending
                .is_some_and(|row| sends_of_there(&row, &self.binding.columns) == Status::Created);
            let held = self.held.get(&key).is_some_and(|held| held.is_delete);
            match (created, held) {
                (true, _) => {}
                (false, true) => self.waiting.add(|| shown(&key.0).into()),
                (false, false) => self.excess.add(|| shown(&key.0).into()),
            }
        }
        Ok(())
    }

    fn differs(&self) -> bool {
        self.missing.count + self.excess.count + self.differing.count > 0
    }

    fn shown(&self) -> Json {
        json!({
            "entity": self.binding.entity,
            "remote": self.remote,
            "local": self.local,
            "equal": self.equal,
            "missing": self.missing.count,
            "excess": self.excess.count,
            "differing": self.differing.count,
            "missingIds": self.missing.shown,
            "excessIds": self.excess.shown,
            "differingRows": self.differing.shown,
            "held": self.waiting.count,
            "heldIds": self.waiting.shown,
        })
    }
}
