//! Applies what an answer says to the application's tables, row by row, in the caller's transaction. Rows are
//! inserted or updated, never replaced.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::capture::{Key, log};
use crate::ground::{Class as Fault, SyncError, Warning, quoted};
use crate::providers::sink::{
    Announced, Image, KnownVersion, RemoteRow, SHRINK, Scope, Sink, Sweep,
};
use crate::providers::wire::{Slot, WireId};
use crate::store::{Database, Result, Value, ValueRef, defer_references};
use crate::transfer::binding::Binding;
use crate::transfer::counts::Counts;
use crate::transfer::held::foreign::links;
use crate::transfer::held::{Class, Holder, Reason};
use crate::transfer::meant::{Condition, Fields};
use crate::transfer::part::Part;
use crate::transfer::send::fate::MetRow;
use crate::transfer::send::follow::Followed;
use crate::transfer::send::frozen::Frozen;
use crate::transfer::send::settle::Acknowledged;
use crate::transfer::send::unacknowledged::Unacknowledged;
use crate::transfer::version::Version;

use super::actions::Affected;
use super::along::{self, Along};
use super::bystanders::Bystanders;
use super::decide::Remote;
use super::deferred::{Deferred, Waiting, Word};
use super::displaced::{Comer, Displaced};
use super::doomed::{Doomed, DoomedRow};
use super::effects;
use super::meeting::Chosen;
use super::out::Out;
use super::own_writes::{Applied, Found, OwnWrites};
use super::postponed::Postponed;
use super::references::References;
use super::scope::is_named;
use super::setting::Setting;
use super::stray::stray_key;
use super::succession::Succession;
use super::swept::Swept;
use super::table::{TableApplier, Trouble};
use super::unsent::Unsent;

/// Applies the changes of one answer: first all rows that were created or updated, then all deletes, so that a foreign
/// key's own action meets only what really lost its parent.
pub struct Applier<'a> {
    pub(super) database: &'a Database,
    pub(super) bindings: &'a [Binding],
    pub(super) tables: Vec<TableApplier<'a>>,
    own: OwnWrites<'a>,
    pub(super) deferred: Deferred,
    /// Rows that wait for each other.
    pub(super) out: Out,
    pub(super) references: References,
    /// The deletes of the answer.
    doomed: Doomed,
    /// Where refused rows are held.
    pub(super) holder: Holder<'a>,
    swept: Swept,
    bystanders: Bystanders<'a>,
    along: Along,
    pub(super) succession: Succession,
    pub(super) displaced: Displaced,
    /// Tables of which the server has told all that it has.
    pub(super) revealed: HashSet<usize>,
    /// Rows that were sent, and refer to something else since.
    pub(super) followed: Vec<Followed>,
    /// Rows that went with deleted ones.
    taken: HashSet<(i64, Key)>,
    /// The part of a table that is read.
    pub(super) part: Option<Part<'a>>,
    /// The log's end before we wrote anything.
    pub(super) start: i64,
    cancel: &'a AtomicBool,
}

impl<'a> Applier<'a> {
    /// Prepares to apply: looks at what is pending now. `unacknowledged`: rows that the server may have
    /// from a push without an answer. `acknowledged`: those that the same answer has settled.
    ///
    /// # Errors
    /// SQLite's.
    pub fn new(
        setting: &Setting<'a>,
        bindings: &'a [Binding],
        unacknowledged: &'a Unacknowledged,
        acknowledged: Acknowledged,
    ) -> Result<Self> {
        let database = setting.database;
        // Applied rows may arrive in any order; references are checked at the end.
        defer_references(database.connection())?;
        // The delete is about the server's row, and what was made since is another.
        log::forget(database, &setting.refusals.used_again())?;
        let start = log::high_water(database)?;
        let pending = Unsent::read(database, bindings, acknowledged, start)?;
        let tables = bindings
            .iter()
            .zip(pending)
            .enumerate()
            .map(|(place, (binding, pending))| {
                let again = setting.again.get(place).copied().flatten();
                TableApplier::new(setting, binding, again, pending, unacknowledged, start)
            })
            .collect::<Result<Vec<_>>>()?;
        let asks = tables.iter().any(TableApplier::asks_the_application);
        let own = OwnWrites::begin(database, bindings, start, asks, setting.bytes)?;
        let references = match own.others_may_follow() {
            true => References::of(database, bindings)?,
            false => References::default(),
        };
        let mut tables = tables;
        if own.are_watched() || !references.is_empty() {
            for (place, table) in tables.iter_mut().enumerate() {
                table.watch(references.from(place));
            }
        }
        Ok(Self {
            database,
            bindings,
            tables,
            own,
            deferred: Deferred::default(),
            out: Out::default(),
            references,
            doomed: Doomed::default(),
            holder: Holder::new(database, setting.provider, bindings, setting.refusals)?,
            swept: Swept::default(),
            bystanders: Bystanders::new(setting, bindings, unacknowledged, start),
            along: Along::default(),
            succession: Succession::default(),
            displaced: Displaced::remembering(database, bindings, setting.refusals)?,
            revealed: HashSet::new(),
            followed: Vec::new(),
            taken: HashSet::new(),
            part: match setting.part {
                Some((place, reading)) => Some(Part::new(database, place, reading)?),
                None => None,
            },
            start,
            cancel: setting.cancel,
        })
    }

    /// All answers of the run about these tables are in, with this one: a row that was sent, and that none of them names,
    /// has not arrived.
    pub fn reveal(&mut self, places: &HashSet<usize>) {
        self.revealed.clone_from(places);
    }

    /// Applies what had to wait, and brings the log up to date. Call once, before the commit. `due`: entities of which
    /// this run is yet to get answers.
    ///
    /// # Errors
    /// SQLite's.
    pub fn finish(mut self, due: &[usize]) -> Result<Came, SyncError> {
        for comer in self.give_way()? {
            self.watched((comer.place, &comer.key, false), |applier| {
                applier.upsert(comer.place, comer.remote, &comer.key, &comer.row, false)
            })?;
        }
        let mut postponed = Postponed::new(self.database, self.bindings, due)?;
        if !self.doomed.is_empty() {
            // A row that moves away from a parent which is about to go must have moved by then.
            self.apply_deferred(false)?;
            let waiting = self.deferred.rows();
            self.succession = Succession::of(self.database, self.bindings, waiting)?;
            self.carry_out_deletes(&mut postponed)?;
        }
        self.apply_deferred(true)?;
        self.succession.give_back(self.database)?;
        self.try_held(&mut postponed)?;
        let refilled = self.refill()?;
        let mut warnings: Vec<Warning> = self.bystanders.warnings().collect();
        let lost = self.lost_along(&mut warnings)?;
        let mut gone = self.swept.record(&mut self.tables)?;
        gone.extend(self.bystanders.record()?);
        let mut taken: HashSet<(i64, Key)> = std::mem::take(&mut self.taken);
        if self.own.alone_with_cascades() {
            taken.extend(gone.iter().map(|gone| gone.row.clone()));
        }
        let tables = &mut self.tables;
        let restored = &mut |table, key: &Key, row: &Applied| restore(tables, table, key, row);
        let (swept, lost_to_triggers) = self.own.finish(restored)?;
        taken.extend(swept);
        // The server was not told of the edit by which the row went along, and may well keep it.
        gone.retain(|gone| gone.is_there && taken.contains(&gone.row));
        let mut comes_again: HashSet<i64> = gone.into_iter().map(|gone| gone.row.0).collect();
        comes_again.extend(lost);
        comes_again.extend(refilled);
        // They are gone, but nothing of that is to be sent.
        let taken = taken.into_iter().map(|row| (row, self.start));
        log::forget(self.database, &taken.collect())?;
        let tables = self.tables.iter_mut();
        let effects: HashMap<_, _> = tables
            .map(|table| (table.binding.table.id, std::mem::take(&mut table.effects)))
            .collect();
        effects::write(self.database, self.start, effects)?;
        for row in &self.followed {
            log::mark(self.database, row.table, &row.key, &row.mark())?;
        }
        let mut all = Vec::new();
        for table in self.tables {
            let binding = table.binding;
            let lost = lost_to_triggers.get(&binding.table.id);
            warnings.extend(lost.map(|count| lost_to_trigger(&binding.entity, *count)));
            let (counts, warned) = table.finish()?;
            all.push(counts);
            warnings.extend(warned);
        }
        Ok(Came {
            counts: all,
            warnings,
            comes_again,
            ..Came::default()
        })
    }

    /// Tries the rows that wait again and again, as long as that gets any of them in. `last`: those that are left
    /// fit nowhere.
    fn apply_deferred(&mut self, last: bool) -> Result<(), SyncError> {
        let mut waiting = self.deferred.take();
        let mut in_turns = !self.out.is_empty();
        while !waiting.is_empty() {
            let before = waiting.len();
            match in_turns {
                true => self.take_turns(waiting)?,
                false => {
                    for row in waiting {
                        self.try_again(row)?;
                    }
                }
            }
            waiting = self.deferred.take();
            if waiting.len() == before && in_turns {
                return waiting.into_iter().try_for_each(|row| match last {
                    true => self.fits_nowhere(row),
                    false => self.put_off(row),
                });
            }
            // A circle, such as two rows that swap their values, or a long chain.
            if waiting.len() * 2 > before && !in_turns {
                in_turns = true;
                if self.own.are_alone() {
                    self.lift(&mut waiting);
                }
            }
        }
        Ok(())
    }

    /// A row that clashes with another which stays.
    fn fits_nowhere(&mut self, row: Waiting) -> Result<(), SyncError> {
        let Some(reason) = row.reason else {
            return Err(row.error);
        };
        self.refuse_row(row.place, &row.key, row.word.slots(), reason, row.error)
    }

    /// Puts a row off; one too many is tried at the end, with the rows that are held.
    fn put_off(&mut self, row: Waiting) -> Result<(), SyncError> {
        match self.deferred.put_off(row) {
            None => Ok(()),
            Some(row) => self.fits_nowhere(row),
        }
    }

    pub(super) fn upsert(
        &mut self,
        place: usize,
        remote: Remote,
        key: &Key,
        row: &[Slot<'_>],
        old: bool,
    ) -> Result<(), SyncError> {
        let along = match self.tables[place].may_delete() {
            true => self.look_before_a_delete(place, key)?,
            false => Vec::new(),
        };
        if self.is_part(place, key) {
            return Ok(());
        }
        let held = self.holder.counts(place, key)?;
        let table = self.bindings[place].table.id;
        let before = match self.holder.refusals.adopts(table, key) {
            true => Some(row),
            false => held.as_deref(),
        };
        let named = self.put_named_aside(place, key, row)?;
        let outcome = self.tables[place].row(remote, key, row, old, before);
        self.give_back(named)?;
        let trouble = match outcome {
            Ok(gone) => {
                if gone {
                    self.went_along(along)?;
                }
                return self.wrote(place, key, gone);
            }
            Err(Trouble::Taken) => {
                self.displaced.put(Comer {
                    place,
                    key: key.clone(),
                    remote,
                    row: row.iter().map(|slot| slot.clone().into_owned()).collect(),
                });
                return Ok(());
            }
            Err(Trouble::UsedAgain(insert)) => return self.use_again(place, key, insert),
            Err(trouble) => trouble,
        };
        let (error, chosen, reason) = self.clash(place, key, trouble)?;
        if !reason.waits {
            return self.refuse_row(place, key, row, reason.why, error);
        }
        let owned = || row.iter().map(|slot| slot.clone().into_owned()).collect();
        self.put_off(Waiting {
            place,
            key: key.clone(),
            word: chosen.map_or_else(|| Word::Row(remote, owned()), Word::Chosen),
            lifted: None,
            error,
            reason: Some(reason.why),
        })
    }

    pub(super) fn try_again(&mut self, row: Waiting) -> Result<(), SyncError> {
        let (place, key) = (row.place, row.key.clone());
        self.watched((place, &key, false), |applier| applier.try_once_more(row))
    }

    fn try_once_more(&mut self, row: Waiting) -> Result<(), SyncError> {
        let named = self.put_named_aside(row.place, &row.key, row.word.slots())?;
        let table = &mut self.tables[row.place];
        let outcome = table.again(&row.key, &row.word, row.lifted.as_ref());
        self.give_back(named)?;
        let trouble = match outcome {
            Ok(gone) => return self.wrote(row.place, &row.key, gone),
            Err(trouble) => trouble,
        };
        let (error, chosen, reason) = self.clash(row.place, &row.key, trouble)?;
        let word = chosen.map_or(row.word, Word::Chosen);
        let row = Waiting {
            word,
            error,
            reason: Some(reason.why),
            ..row
        };
        match reason.waits {
            true => self.put_off(row),
            false => self.fits_nowhere(row),
        }
    }

    /// What comes of a row that the table refuses. One that clashes with another is put off: that may be about to change
    /// or go. Gives the error to end with if it never fits, what was decided about the row, and the reason.
    fn clash(
        &self,
        place: usize,
        key: &Key,
        trouble: Trouble,
    ) -> Result<(SyncError, Option<Chosen<'static>>, Refused), SyncError> {
        let table = &self.tables[place];
        let why = trouble.reason();
        let (trouble, chosen) = match trouble {
            Trouble::Clash(error, chosen) => (Trouble::Store(error), Some(chosen)),
            trouble => (trouble, None),
        };
        let error = table.named(trouble, key);
        let Some(why) = why else { return Err(error) };
        let waits = why.class == Class::Unique && self.is_open();
        Ok((error, chosen, Refused { waits, why }))
    }

    /// A trigger may have ended the transaction (`RAISE(ROLLBACK)`): nothing must be written after that.
    pub(super) fn is_open(&self) -> bool {
        !self.database.connection().standing().autocommit
    }

    /// A delete may also delete, or change, rows that nobody named: which, of those that the server may have.
    pub(super) fn look_before_a_delete(
        &mut self,
        place: usize,
        key: &Key,
    ) -> Result<Vec<Affected>> {
        if !self.own.may_touch_others() {
            return Ok(Vec::new());
        }
        self.bystanders.look()?;
        self.swept.look(&mut self.tables)?;
        let (database, bindings) = (self.database, self.bindings);
        self.succession.leave(database, bindings, place, key)?;
        let affected = self.own.foresee(self.bindings[place].table.id, key)?;
        let mut known = Vec::with_capacity(affected.len());
        for one in affected {
            let (table, key) = &one.row;
            let is_ours = match self.place_of(*table) {
                Some(place) => self.tables[place].was_made_here(key)?,
                None => self.bystanders.was_made_here(*table, key)?,
            };
            if !is_ours {
                known.push(one);
            }
        }
        Ok(known)
    }

    /// A row was deleted, and with it these.
    pub(super) fn went_along(&mut self, affected: Vec<Affected>) -> Result<()> {
        for Affected { row, columns } in affected {
            let (table, key) = row;
            match (columns, self.place_of(table)) {
                (None, _) => self.along.went(table, key)?,
                (Some(columns), Some(place)) => self.tables[place].emptied(&key, &columns)?,
                (Some(columns), None) => self.bystanders.emptied(table, &key, &columns)?,
            }
        }
        Ok(())
    }

    fn place_of(&self, table: i64) -> Option<usize> {
        let mut bindings = self.bindings.iter();
        bindings.position(|binding| binding.table.id == table)
    }

    /// The tables that have lost rows which the server may have still, since only a foreign key has deleted them.
    fn lost_along(&mut self, warnings: &mut Vec<Warning>) -> Result<Vec<i64>> {
        let mut along = std::mem::take(&mut self.along);
        let lost = along.lost(|table, key| {
            let Some(place) = self.place_of(table) else {
                return Ok(!self.bystanders.has(table, key)?);
            };
            let is_lost = !self.holder.has(place, key) && !self.tables[place].has(key)?;
            if is_lost {
                // It comes again with the version that it had.
                self.tables[place].forget_version(key)?;
            }
            Ok(is_lost)
        })?;
        for (table, count) in &lost {
            let entity = match self.place_of(*table) {
                Some(place) => Some(self.bindings[place].entity.as_str()),
                None => self.bystanders.name(*table),
            };
            warnings.extend(entity.map(|entity| along::warning(entity, *count)));
        }
        Ok(lost.into_iter().map(|(table, _)| table).collect())
    }

    /// Carries out the deletes of the answer, children before their parents.
    fn carry_out_deletes(&mut self, postponed: &mut Postponed) -> Result<(), SyncError> {
        self.holder.notes_deletes = !links(self.database)?.is_empty();
        let doomed = std::mem::take(&mut self.doomed);
        for row in doomed.children_first(self.database, self.bindings)? {
            let reason = match self.is_postponed(&row, postponed)? {
                true => Some(Postponed::reason()),
                false => self.refused_delete(row.place, &row.key),
            };
            match (row.old, reason) {
                (false, Some(reason)) => self.hold_delete(row.place, &row.key, &reason)?,
                _ => self.watched((row.place, &row.key, true), |applier| {
                    applier.take_away(row.place, row.remote, &row.key, row.old)
                })?,
            }
        }
        Ok(())
    }

    /// Whether a delete waits for further answers. What is pending of a row that was not named keeps it for good.
    fn is_postponed(&mut self, row: &DoomedRow, postponed: &mut Postponed) -> Result<bool> {
        let table = &self.tables[row.place];
        let may_go = row.remote == Remote::Deleted || !table.is_pending(&row.key)?;
        Ok(!row.old && may_go && postponed.waits(row.place, &row.key)?)
    }

    /// Deletes a row.
    pub(super) fn take_away(
        &mut self,
        place: usize,
        remote: Remote,
        key: &Key,
        old: bool,
    ) -> Result<(), SyncError> {
        if !old {
            self.deferred.forget(place, key);
            self.displaced.forget(place, key);
        }
        let along = self.look_before_a_delete(place, key)?;
        let table = &mut self.tables[place];
        let gone = match table.gone(remote, key, old) {
            Ok(gone) => gone,
            Err(trouble) => {
                let reason = trouble.reason();
                let error = table.named(trouble, key);
                return self.refuse_delete(place, key, reason, error);
            }
        };
        if gone {
            self.went_along(along)?;
        }
        if !old {
            self.along.named(self.bindings[place].table.id, key)?;
            self.note_deleted(place, key, gone)?;
        }
        match self.tables[place].has_applied() || gone {
            true => self.wrote(place, key, gone),
            // What others have changed of it as a side effect is an edit.
            false => Ok(()),
        }
    }

    pub(super) fn wrote(&mut self, place: usize, key: &Key, gone: bool) -> Result<(), SyncError> {
        let applied = self.tables[place].take_applied();
        let applied = match gone {
            true => Some(Applied::Gone),
            false => applied,
        };
        if gone {
            self.swept.named(place, key);
        }
        self.let_in(place, key)?;
        self.note_written(place, key, applied)
    }

    /// Notes what a row is to hold now.
    pub(super) fn note_written(
        &mut self,
        place: usize,
        key: &Key,
        applied: Option<Applied>,
    ) -> Result<(), SyncError> {
        // A row that was left alone: what others change of it as a side effect is an edit.
        let Some(applied) = applied else {
            return Ok(());
        };
        let table = self.tables[place].binding.table.id;
        if self.own.wrote(table, key, applied) && self.out.is_empty() {
            let tables = &mut self.tables;
            let taken = self
                .own
                .take_back(&mut |table, key, row| restore(tables, table, key, row))?;
            self.taken.extend(taken);
        }
        Ok(())
    }

    /// The key that an id stands for; none when it can't be one here.
    pub(super) fn key(&self, place: usize, id: &WireId<'_>) -> Result<Option<Key>, SyncError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(SyncError::cancelled(
                "interrupted because the connection closes",
            ));
        }
        Ok(self.bindings[place].wire_key(id).map(Key))
    }

    /// All rows there are were named: others go, and so do deletes that wait. Whether a condition was true of a row
    /// that is deleted is not known any more, so with one its delete stays.
    fn retain(&mut self, place: usize, named: &dyn Fn(&str) -> bool) -> Result<(), SyncError> {
        let entity = &self.bindings[place].wire;
        let others = |key: ValueRef<'_>| !is_named(entity, key, named);
        let table = &mut self.tables[place];
        let condition = table.binding.replacement_where.as_deref();
        let mut doomed = table.keys(condition.unwrap_or("1"), &[], others)?;
        if condition.is_none() {
            doomed.extend(table.absent(others)?);
        }
        for key in doomed {
            self.doom(place, key, Remote::Unnamed, false);
        }
        self.forget_held(place, others)
    }

    /// Rows that a reading did not name go, unless that are suspiciously many.
    fn sweep(&mut self, place: usize, sweep: &Sweep<'_>) -> Result<(), SyncError> {
        let binding = &self.bindings[place];
        let entity = &binding.wire;
        let others = |key: ValueRef<'_>| !is_named(entity, key, sweep.named);
        let table = &mut self.tables[place];
        let fields = match entity.is_document() {
            true => Fields::Document,
            false => Fields::Columns,
        };
        let meant = Condition::of(sweep.meant, fields, &binding.wire.key);
        let values: Vec<ValueRef<'_>> = meant.values.iter().map(Value::borrow).collect();
        let mut left = Vec::new();
        let (all, doomed) = match &self.part {
            Some(part) if sweep.is_part => {
                let all;
                (all, left) = part.left(binding.table.id)?;
                if !meant.is_all() {
                    let there = table.keys(&meant.sql, &values, |_| true)?;
                    let there: HashSet<Key> = there.into_iter().collect();
                    left.retain(|(key, _)| there.contains(key));
                }
                left.retain(|(key, _)| others(key.0.borrow()));
                let alone = left.iter().filter(|(_, shared)| !shared);
                (all, alone.map(|(key, _)| key.clone()).collect())
            }
            _ => (
                table.meeting(&meant.sql, &values)?,
                table.keys(&meant.sql, &values, others)?,
            ),
        };
        let mut going = Vec::with_capacity(doomed.len());
        let mut waiting = 0;
        for key in doomed {
            match table.is_pending(&key)? {
                true => waiting += 1,
                false => going.push(key),
            }
        }
        // What waits stays, and is no sign that the answer was whole.
        refuse_to_shrink(&binding.entity, all - waiting, going.len(), sweep.most)?;
        for key in going {
            self.doom(place, key, Remote::Cleared, false);
        }
        match &self.part {
            Some(part) if sweep.is_part => {
                Ok(part.forget(binding.table.id, left.iter().map(|(key, _)| key))?)
            }
            _ if meant.is_all() => self.forget_held(place, others),
            _ => Ok(()),
        }
    }

    /// Rows that go, unless the answer goes on to bring them: to take those away and add them again would take along
    /// what refers to them.
    fn clear(&mut self, place: usize, condition: &str, values: &[Value]) -> Result<(), SyncError> {
        let values: Vec<ValueRef<'_>> = values.iter().map(Value::borrow).collect();
        // A held row counts as applied: the condition is about what is held of it.
        let holder = &self.holder;
        let is_meant =
            |key: ValueRef<'_>| holder.is_empty() || !holder.has(place, &Key(key.to_owned()));
        let mut doomed = self.tables[place].keys(condition, &values, is_meant)?;
        doomed.extend(holder.meeting(place, condition, &values)?);
        for key in doomed {
            self.doom(place, key, Remote::Cleared, false);
        }
        Ok(())
    }

    /// A delete of the answer.
    fn doom(&mut self, place: usize, key: Key, remote: Remote, old: bool) {
        self.doomed.add(DoomedRow {
            place,
            key,
            remote,
            old,
        });
    }
}

/// Fewer rows than that may go whatever their share is.
const FEW: i64 = 20;

/// An answer that is empty for another reason must not empty a table.
fn refuse_to_shrink(
    entity: &str,
    all: i64,
    going: usize,
    most: Option<u64>,
) -> Result<(), SyncError> {
    let Some(most) = most else { return Ok(()) };
    let going = i64::try_from(going).unwrap_or(i64::MAX);
    let share = i128::from(going) * 100;
    let is_much = all >= FEW && share > i128::from(all) * i128::from(most);
    let is_all = going == all && going > 0;
    if !is_much && !is_all {
        return Ok(());
    }
    let message = format!(
        "{}: {going} of {all} rows are not in the answer any more, and were not removed: an answer that is empty or cut would \
         empty the table. If they are gone for good, sync once with {{\"force\":true}}, or say so in the function's \
         guard (maxDeletePercent, allowEmpty)",
        quoted(entity)
    );
    Err(SyncError::new(Fault::Data, SHRINK, message, false))
}

/// What came of an answer.
#[derive(Debug, Default)]
pub struct Came {
    /// Of each binding.
    pub counts: Vec<Counts>,
    pub warnings: Vec<Warning>,
    /// Tables that are to be pulled from the beginning: they lost rows that the server may have.
    pub comes_again: HashSet<i64>,
    /// Rows that are to be sent once more at once, each alone.
    pub again: Vec<Frozen>,
    /// What the server said of the first row that it did not take.
    pub said: Option<String>,
}

/// A row that its table refuses.
struct Refused {
    /// It may fit when the rest of the answer is in.
    waits: bool,
    why: Reason,
}

/// That rows of an entity came and are gone.
fn lost_to_trigger(entity: &str, count: i64) -> Warning {
    let message = format!(
        "{entity}: a trigger of the application deleted rows that had just come from the backend, or gave them other \
         keys; that counts as an edit made here, so they are deleted on the backend too; if it should not be so, let \
         the trigger spare these rows"
    );
    Warning::new("deletedByTrigger", message)
        .of(entity)
        .times(count)
}

/// Makes sure that a row holds what was applied.
fn restore(
    tables: &mut [TableApplier<'_>],
    table: i64,
    key: &Key,
    applied: &Applied,
) -> Result<Found> {
    let mut bound = tables.iter_mut();
    match bound.find(|bound| bound.binding.table.id == table) {
        Some(bound) => bound.restore(key, applied),
        None => Ok(Found::Otherwise),
    }
}

impl Applier<'_> {
    /// Applies what the server has in place of a row that was sent: it counts, whatever version was known. What it made
    /// of one that it took counts unless the row was changed here since.
    ///
    /// # Errors
    /// As [`Sink::row`].
    pub fn met(&mut self, row: &MetRow) -> Result<(), SyncError> {
        let deleted = row.slots.is_none();
        let table = &mut self.tables[row.place];
        match row.version {
            Some(number) => {
                let version = Version {
                    number,
                    deleted,
                    met: !row.taken && table.binding.rules.conflicts_alone,
                    told: true,
                };
                table.set_version(&row.key, version)?;
            }
            // It has no such row, and remembers none.
            None if deleted => table.forget_version(&row.key)?,
            None => {}
        }
        if row.taken && table.is_pending(&row.key)? {
            return Ok(());
        }
        match &row.slots {
            Some(slots) => self.newer_row(row.place, &row.key, Announced::Updated, slots),
            None => {
                self.newer_delete(row.place, row.key.clone());
                Ok(())
            }
        }
    }

    /// A row that is not old news.
    pub(super) fn newer_row(
        &mut self,
        place: usize,
        key: &Key,
        announced: Announced,
        slots: &[Slot<'_>],
    ) -> Result<(), SyncError> {
        let remote = match announced {
            Announced::Created => Remote::Created,
            Announced::Updated => Remote::Updated,
        };
        self.deferred.forget(place, key);
        self.doomed.forget(place, key);
        let exact = self.tables[place].exact(key, slots)?;
        let slots = exact.as_deref().unwrap_or(slots);
        let completed = self.completed(place, key, slots)?;
        let slots = completed.as_deref().unwrap_or(slots);
        self.references.note(place, key, slots)?;
        self.watched((place, key, false), |applier| {
            match applier.refused_row(place, key) {
                Some(reason) => applier.hold_row(place, key, announced, slots, &reason),
                None => applier.upsert(place, remote, key, slots, false),
            }
        })
    }

    /// A delete that is not old news.
    pub(super) fn newer_delete(&mut self, place: usize, key: Key) {
        self.deferred.forget(place, &key);
        self.displaced.forget(place, &key);
        self.doom(place, key, Remote::Deleted, false);
    }
}

impl Sink for Applier<'_> {
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        let Some(key) = self.key(row.entity, row.id)? else {
            return self.hold_stray(row);
        };
        if let Some(part) = &mut self.part {
            part.add(self.bindings[row.entity].table.id, key.0.borrow())?;
        }
        let old = self.tables[row.entity].is_old(&key, row.version, false)?;
        let remote = match row.announced {
            Announced::Created => Remote::Created,
            Announced::Updated => Remote::Updated,
        };
        if old {
            // What is held of it is what is known: it is tried again anyway.
            return match self.holder.has(row.entity, &key) {
                true => Ok(()),
                false => self.upsert(row.entity, remote, &key, row.slots, old),
            };
        }
        self.newer_row(row.entity, &key, row.announced, row.slots)
    }

    fn gone(
        &mut self,
        place: usize,
        id: &WireId<'_>,
        version: Option<i64>,
    ) -> Result<(), SyncError> {
        let Some(key) = self.key(place, id)? else {
            self.holder.forget(place, &stray_key(id))?;
            return Ok(());
        };
        let old = self.tables[place].is_old(&key, version, true)?;
        match old {
            true if self.holder.has(place, &key) => {}
            true => self.doom(place, key, Remote::Deleted, old),
            false => self.newer_delete(place, key),
        }
        Ok(())
    }

    fn known(&mut self, place: usize, id: &WireId<'_>) -> Result<Option<KnownVersion>, SyncError> {
        self.known_version(place, id)
    }

    fn told(&mut self, id: &WireId<'_>, image: &Image<'_>) -> Result<(), SyncError> {
        self.take_word(id, image)
    }

    fn scope(&mut self, place: usize, scope: &Scope<'_>) -> Result<(), SyncError> {
        match scope {
            Scope::Retain(named) => self.retain(place, named),
            Scope::Named(named) => {
                let entity = &self.bindings[place].wire;
                for key in self.holder.meeting(place, "1", &[])? {
                    if !is_named(entity, key.0.borrow(), named) {
                        self.holder.forget(place, &key)?;
                    }
                }
                Ok(())
            }
            Scope::Sweep(sweep) => self.sweep(place, sweep),
            Scope::Anew => {
                self.tables[place].begins_anew();
                Ok(())
            }
            Scope::Wipe => {
                self.forget_held(place, |_| true)?;
                self.clear(place, "1", &[])
            }
            Scope::Where(condition, values) => self.clear(place, condition, values),
        }
    }
}
