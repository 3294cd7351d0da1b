//! Applying remote changes to the application's tables: the decision table, row by row.
//!
//! | local | remote created or updated | remote deleted |
//! |---|---|---|
//! | absent | inserted | – |
//! | nothing pending | updated; not written when equal | deleted |
//! | created or updated here | columns changed here stay, the others are taken; still pending | deleted |
//! | deleted here | created: brought back; updated: stays deleted | forgotten |
//!
//! What was pushed comes back with the next pull. Such an echo never undoes what was done here since: a
//! row stays deleted, and one made again stays. The same goes for an answer that repeats what was pulled
//! before.
//!
//! Everything happens in the caller's transaction. Rows are inserted or updated, never replaced.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::capture::log::Mark;
use crate::capture::{Key, PendingRows, Status, log};
use crate::ground::SyncError;
use crate::providers::sink::{Announced, RemoteRow, Scope, Sink};
use crate::providers::wire::{Slot, WireId};
use crate::store::{Database, Result, Session, TriggersOff, Value};

use crate::transfer::apply::deferred::{Deferred, DeferredRow, Orders};
use crate::transfer::apply::side_effects;
use crate::transfer::apply::swept::Swept;
use crate::transfer::apply::table::{Settlement, TableApplier, Trouble, UNIQUE};
use crate::transfer::binding::Binding;
use crate::transfer::counts::Counts;
use crate::transfer::send::unacknowledged::Unacknowledged;

/// Rows after which entries of other rows are told from ours, where others can appear at all.
const BATCH: usize = 1000;

/// What one pull is about.
pub struct Setting<'a> {
    pub session: &'a Session,
    pub database: &'a Database,
    pub provider: &'a str,
    pub run: i64,
    /// Set when the run must end.
    pub cancel: &'a AtomicBool,
    /// For each binding, whether rows that were pulled before come again.
    pub redelivers: Vec<bool>,
}

/// Applies the changes of one pull.
pub struct Applier<'a> {
    database: &'a Database,
    tables: Vec<TableApplier<'a>>,
    /// Rows whose log entries the server has settled.
    forgotten: log::RowsUpTo,
    /// Keys about which something else is pending from now on.
    marked: HashMap<(i64, Key), Mark>,
    /// Keys applied since `mark`, when that matters.
    applied: Option<HashSet<(i64, Key)>>,
    /// Rows that others' triggers and foreign key actions have changed so far, and those of them that the
    /// answer named later after all.
    others: HashSet<(i64, Key)>,
    named_later: HashSet<(i64, Key)>,
    deferred: Deferred,
    swept: Swept,
    /// Where every entry would be taken back anyway, none is made.
    triggers_off: Option<TriggersOff>,
    /// The log's end before we wrote anything.
    start: i64,
    mark: i64,
    cancel: &'a AtomicBool,
}

impl<'a> Applier<'a> {
    /// Prepares to apply: looks at what is pending now.
    ///
    /// # Errors
    /// SQLite's.
    pub fn new(
        setting: &Setting<'a>,
        bindings: &'a [Binding],
        unacknowledged: &'a Unacknowledged,
    ) -> Result<Self> {
        let database = setting.database;
        // Applied rows may arrive in any order; references are checked at the end.
        database
            .connection()
            .execute_script("PRAGMA defer_foreign_keys = ON")?;
        let start = log::high_water(database)?;
        let tracked: Vec<_> = bindings.iter().map(|binding| &binding.table).collect();
        let pending = PendingRows::read(database, &tracked, start)?;
        let tables = bindings
            .iter()
            .zip(pending)
            .enumerate()
            .map(|(place, (binding, pending))| {
                let redelivers = setting.redelivers.get(place).copied().unwrap_or(false);
                TableApplier::new(setting, binding, redelivers, pending, unacknowledged, start)
            })
            .collect::<Result<Vec<_>>>()?;
        let applied = side_effects::possible(database, bindings)?.then(HashSet::new);
        let alone = applied.is_none() && !tables.iter().any(TableApplier::asks_the_application);
        let triggers_off = alone.then(|| TriggersOff::begin(database.connection()));
        Ok(Self {
            database,
            tables,
            forgotten: log::RowsUpTo::new(),
            marked: HashMap::new(),
            applied,
            others: HashSet::new(),
            named_later: HashSet::new(),
            deferred: Deferred::default(),
            swept: Swept::default(),
            triggers_off: triggers_off.flatten(),
            start,
            mark: start,
            cancel: setting.cancel,
        })
    }

    /// Applies what had to wait, and cleans the log of what applying has written. Call once, before the commit. Returns the counts
    /// of each binding, and warnings.
    ///
    /// # Errors
    /// SQLite's.
    pub fn finish(mut self) -> Result<(Vec<Counts>, Vec<String>), SyncError> {
        self.apply_deferred()?;
        self.swept.record(&mut self.tables)?;
        self.triggers_off = None;
        self.take_back()?;
        if !self.named_later.is_empty() {
            log::take_back(self.database, self.start, &self.named_later)?;
        }
        for table in &self.tables {
            for (key, upto) in &table.acknowledged {
                let row = (table.binding.table.id, key.clone());
                let forgotten = self.forgotten.entry(row).or_default();
                *forgotten = (*forgotten).max(*upto);
            }
        }
        for row in self.marked.keys() {
            self.forgotten.insert(row.clone(), self.start);
        }
        log::forget(self.database, &self.forgotten)?;
        let mut known = log::RowsUpTo::new();
        let mut there = log::RowsUpTo::new();
        for table in &self.tables {
            let named = |key: &Key| (table.binding.table.id, key.clone());
            let sent = table.known.iter();
            known.extend(sent.map(|(key, upto)| (named(key), *upto.min(&self.start))));
            there.extend(table.there.iter().map(|key| (named(key), self.start)));
        }
        log::mark_known(self.database, &known)?;
        log::mark_there(self.database, &there)?;
        for ((table, key), mark) in &self.marked {
            log::mark(self.database, *table, key, mark)?;
        }
        let mut counts = Vec::new();
        let mut warnings = Vec::new();
        for table in self.tables {
            warnings.extend(table.counts.warnings(&table.binding.entity));
            warnings.extend(table.policy_warning());
            counts.push(table.counts);
            table.conflicts.finish()?;
        }
        Ok((counts, warnings))
    }

    /// Tries the rows that wait again and again, as long as that gets any of them in.
    fn apply_deferred(&mut self) -> Result<(), SyncError> {
        let mut waiting = self.deferred.take();
        if waiting.is_empty() {
            return Ok(());
        }
        let bindings = self.tables.iter().map(|table| table.binding);
        let orders = Orders::of(self.database, bindings)?;
        let mut parked = false;
        loop {
            let before = waiting.len();
            for pass in 0..orders.passes() {
                orders.arrange(&mut waiting, pass);
                for row in waiting {
                    self.try_again(row)?;
                }
                waiting = self.deferred.take();
                if waiting.is_empty() {
                    return Ok(());
                }
            }
            if waiting.len() == before && parked {
                let stuck = waiting.swap_remove(0);
                return Err(stuck.error);
            }
            // A circle, such as two rows that swap their values, or a chain in no order: all let go of
            // them first.
            if waiting.len() * 2 > before && !parked {
                parked = true;
                self.park(&waiting, &orders)?;
            }
        }
    }

    fn park(&mut self, waiting: &[DeferredRow], orders: &Orders) -> Result<()> {
        for row in waiting {
            let wanted = row.wanted().iter().enumerate();
            for (place, _) in wanted.filter(|(_, slot)| !slot.is_missing()) {
                if !orders.is_unique(row.place, place) {
                    continue;
                }
                match self.tables[row.place].park(&row.key, place) {
                    // A CHECK that refuses it, say: the other columns may do.
                    Err(error) if error.is_constraint() && self.is_open() => {}
                    outcome => outcome?,
                }
            }
        }
        Ok(())
    }

    fn try_again(&mut self, row: DeferredRow) -> Result<(), SyncError> {
        let Some(decision) = row.decision else {
            return self.upsert_key(row.place, row.announced, &row.key, &row.row);
        };
        let written = self.tables[row.place].write_decided(&row.key, decision);
        self.upserted(row.place, row.announced, &row.key, &row.row, written)
    }

    fn upsert_key(
        &mut self,
        place: usize,
        announced: Announced,
        key: &Value,
        row: &[Slot<'_>],
    ) -> Result<(), SyncError> {
        let table = &mut self.tables[place];
        let settled = !self.forgotten.is_empty() && {
            let named = (table.binding.table.id, Key(key.clone()));
            self.forgotten.get(&named) == Some(&self.start)
        };
        let written = table.upsert(announced, key, row, settled);
        self.upserted(place, announced, key, row, written)
    }

    fn upserted(
        &mut self,
        place: usize,
        announced: Announced,
        key: &Value,
        row: &[Slot<'_>],
        written: Result<Settlement, Trouble>,
    ) -> Result<(), SyncError> {
        let table = &self.tables[place];
        let (error, decision) = match written {
            Ok(settlement) => {
                if settlement != Settlement::Stays {
                    self.note((table.binding.table.id, Key(key.clone())), settlement);
                }
                self.applied(place, key)?;
                return Ok(());
            }
            Err(Trouble::Clash(error, decision)) => (error, Some(decision)),
            Err(Trouble::Store(error)) if error.code() == UNIQUE && self.is_open() => (error, None),
            Err(trouble) => return Err(table.named(trouble, key)),
        };
        // The row that holds the value now may be about to change or go.
        self.deferred.put_off(DeferredRow {
            place,
            announced,
            key: key.clone(),
            row: row.iter().map(|slot| slot.clone().into_owned()).collect(),
            decision,
            error: table.named(error, key),
        })
    }

    /// A trigger may have ended the transaction (`RAISE(ROLLBACK)`): nothing must be written after that.
    fn is_open(&self) -> bool {
        !self.database.connection().standing().autocommit
    }

    fn note(&mut self, row: (i64, Key), settlement: Settlement) {
        match settlement {
            Settlement::Stays => {}
            Settlement::Settled => {
                self.marked.remove(&row);
                self.forgotten.insert(row, self.start);
            }
            Settlement::SettledUpTo(upto) => {
                self.forgotten.insert(row, upto.min(self.start));
            }
            Settlement::Marked(mark) => {
                if mark.status == Status::Deleted {
                    self.swept.named(&row);
                }
                self.marked.insert(row, mark);
            }
        }
    }

    /// Before a delete, which may take rows with it that nobody named.
    fn before_delete(&mut self, place: usize, key: &Value) -> Result<()> {
        if self.applied.is_some() {
            self.swept.look(&mut self.tables)?;
            let id = self.tables[place].binding.table.id;
            self.swept.named(&(id, Key(key.clone())));
        }
        Ok(())
    }

    fn take_back(&mut self) -> Result<()> {
        match self.applied.as_mut() {
            None => log::take_back_all(self.database, self.mark),
            Some(applied) => {
                let kept = log::take_back(self.database, self.mark, applied)?;
                self.others.extend(kept);
                applied.clear();
                self.mark = log::high_water(self.database)?;
                Ok(())
            }
        }
    }

    fn applied(&mut self, place: usize, key: &Value) -> Result<()> {
        let Some(applied) = self.applied.as_mut() else {
            return Ok(());
        };
        let named = (self.tables[place].binding.table.id, Key(key.clone()));
        if self.others.contains(&named) {
            self.named_later.insert(named.clone());
        }
        applied.insert(named);
        if applied.len() < BATCH {
            return Ok(());
        }
        self.take_back()
    }

    fn key(&self, place: usize, id: &WireId<'_>) -> Result<Value, SyncError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(SyncError::cancelled(
                "interrupted because the connection closes",
            ));
        }
        let binding = self.tables[place].binding;
        binding.wire_key(id).ok_or_else(|| {
            SyncError::protocol(format!(
                "{:?} has an integer key, but the backend sent the id {id:?}; nothing was applied",
                binding.entity
            ))
        })
    }
}

impl Sink for Applier<'_> {
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        let key = self.key(row.entity, row.id)?;
        self.deferred.forget(row.entity, &key);
        self.upsert_key(row.entity, row.announced, &key, row.slots)
    }

    fn gone(&mut self, place: usize, id: &WireId<'_>) -> Result<(), SyncError> {
        let key = self.key(place, id)?;
        self.deferred.forget(place, &key);
        let named = (self.tables[place].binding.table.id, Key(key.clone()));
        let settled = self.forgotten.get(&named) == Some(&self.start);
        self.before_delete(place, &key)?;
        let table = &mut self.tables[place];
        let settlement = table
            .remove(&key, settled)
            .map_err(|error| table.named(error, &key))?;
        self.note(named, settlement);
        self.applied(place, &key)?;
        Ok(())
    }

    fn scope(&mut self, place: usize, scope: &Scope<'_>) -> Result<(), SyncError> {
        let Scope::Retain(named) = scope;
        let table = &mut self.tables[place];
        let doomed = table.unnamed(named)?;
        let forgotten = table.unnamed_deletes(named)?;
        let id = table.binding.table.id;
        for key in doomed {
            self.deferred.forget(place, &key);
            self.before_delete(place, &key)?;
            let table = &mut self.tables[place];
            let settlement = table
                .take_away(&key)
                .map_err(|error| table.named(error, &key))?;
            self.note((id, Key(key.clone())), settlement);
            self.applied(place, &key)?;
        }
        for key in forgotten {
            self.note((id, Key(key)), Settlement::Settled);
        }
        Ok(())
    }
}
