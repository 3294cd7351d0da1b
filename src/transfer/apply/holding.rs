//! What becomes of rows that a table refuses: the answer is applied again without them, and they are held.

use crate::capture::Key;
use crate::ground::SyncError;
use crate::providers::sink::{Announced, RemoteRow};
use crate::providers::wire::Slot;
use crate::store::{Result, ValueRef};
use crate::transfer::binding::OnClash;
use crate::transfer::held::fit::Fit;
use crate::transfer::held::refusals::Yielding;
use crate::transfer::held::{Class, HeldRow, Reason, What, clash};
use crate::transfer::send::rejected::forget_rejection;
use crate::transfer::send::tied::is_tied;

use super::applier::Applier;
use super::decide::Remote;
use super::displaced::Comer;
use super::postponed::Postponed;
use super::stray::{is_stray, not_a_key, stray_key};
use super::succession::Succession;
use super::table::Trouble;

/// What came of a row that is held.
#[derive(Debug, PartialEq, Eq)]
enum Tried {
    Done,
    /// It would break a reference of others.
    Breaks,
}

impl Applier<'_> {
    /// Why this answer can't have a row; none when it can.
    pub(super) fn refused_row(&self, place: usize, key: &Key) -> Option<Reason> {
        let refusals = self.holder.refusals;
        refusals.row(self.bindings[place].table.id, key)
    }

    /// The same for a delete.
    pub(super) fn refused_delete(&self, place: usize, key: &Key) -> Option<Reason> {
        let refusals = self.holder.refusals;
        refusals.delete(self.bindings[place].table.id, key)
    }

    /// A row that came, with the columns it leaves out as they are held; none when nothing is held of it.
    pub(super) fn completed(
        &self,
        place: usize,
        key: &Key,
        row: &[Slot<'_>],
    ) -> Result<Option<Vec<Slot<'static>>>> {
        match self.holder.has(place, key) {
            true => self.holder.completed(place, key, row).map(Some),
            false => Ok(None),
        }
    }

    /// The table refuses a row. `error` ends this attempt where nothing must be written any more.
    pub(super) fn refuse_row(
        &mut self,
        place: usize,
        key: &Key,
        row: &[Slot<'_>],
        mut reason: Reason,
        error: SyncError,
    ) -> Result<(), SyncError> {
        let refusals = self.holder.refusals;
        if !self.is_open() {
            // The application's trigger has undone everything.
            reason.once_more = false;
            refusals.refuse_row(self.bindings[place].table.id, key, reason);
            return Err(error);
        }
        if reason.class == Class::Unique {
            reason.clashes_with = clash::other(self.database, &self.bindings[place], key, row)?;
            if self.makes_room(place, key, &reason)? {
                return Ok(());
            }
        }
        refusals.refuse_row(self.bindings[place].table.id, key, reason);
        Ok(())
    }

    /// Whether the row made here that the server's clashes with is to make room, when the answer is applied again.
    fn makes_room(&mut self, place: usize, key: &Key, reason: &Reason) -> Result<bool> {
        let on_clash = self.bindings[place].on_clash;
        let Some(met) = &reason.clashes_with else {
            return Ok(false);
        };
        // Where it was before the answer, since that is where it is to make room.
        let before = self
            .displaced
            .before(place, &Key(met.clone()))
            .map(|key| key.0.clone());
        let known = Key(met.clone());
        let was_made_here = match &before {
            Some(old) => self.tables[place].was_unsent(&Key(old.clone()))?,
            None => self.tables[place].was_made_here(&known)?,
        };
        let never_arrived = self.revealed.contains(&place)
            && !self.holder.has(place, &known)
            && self.tables[place].never_arrived(&known)?;
        if on_clash == OnClash::Hold
            || !(was_made_here || never_arrived)
            || self.tables[place].is_here(key)?
            || is_tied(self.database, &self.bindings[place].table.shape, met)?
        {
            return Ok(false);
        }
        let old = before.unwrap_or_else(|| met.clone());
        Ok(self.holder.refusals.make_room(Yielding {
            table: self.bindings[place].table.id,
            displaces: old != key.0 && self.displaced.has_left(place, key),
            old,
            new: key.0.clone(),
            server_wins: on_clash == OnClash::ServerWins,
        }))
    }

    /// Whether a row made here under the counted number of one of the server is that row, by a UNIQUE value, and is to
    /// make room for it where it is, when the answer is applied again.
    pub(super) fn is_met_in_place(
        &mut self,
        place: usize,
        key: &Key,
        row: &[Slot<'_>],
    ) -> Result<bool> {
        let binding = &self.bindings[place];
        let on_clash = binding.on_clash;
        if on_clash == OnClash::Hold
            || !self.tables[place].was_made_here(key)?
            || !clash::is_same(self.database, binding, key, row)?
        {
            return Ok(false);
        }
        Ok(self.holder.refusals.make_room(Yielding {
            table: binding.table.id,
            old: key.0.clone(),
            new: key.0.clone(),
            displaces: false,
            server_wins: on_clash == OnClash::ServerWins,
        }))
    }

    /// Whether a row is that of a part which has followed the row it belongs to, and is to make room when the answer is
    /// applied again.
    pub(super) fn is_part(&self, place: usize, key: &Key) -> bool {
        let table = self.bindings[place].table.id;
        self.holder.refusals.meets_part(table, key)
    }

    /// The row here is another one since this insert, and makes room when the answer is applied again.
    pub(super) fn use_again(&self, place: usize, key: &Key, insert: i64) -> Result<(), SyncError> {
        let row = (self.bindings[place].table.id, key.clone());
        match self.holder.refusals.use_again(row, insert) {
            true => Ok(()),
            false => Err(SyncError::bug()),
        }
    }

    /// The table refuses to let a row go.
    pub(super) fn refuse_delete(
        &mut self,
        place: usize,
        key: &Key,
        reason: Option<Reason>,
        error: SyncError,
    ) -> Result<(), SyncError> {
        let Some(mut reason) = reason else {
            return Err(error);
        };
        let is_open = self.is_open();
        reason.once_more &= is_open;
        let table = self.bindings[place].table.id;
        self.holder.refusals.refuse_delete(table, key, reason);
        match is_open {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Keeps a row that this answer can't have.
    pub(super) fn hold_row(
        &mut self,
        place: usize,
        key: &Key,
        announced: Announced,
        row: &[Slot<'_>],
        reason: &Reason,
    ) -> Result<(), SyncError> {
        let base = self.tables[place].shown(key)?;
        let base = base.as_deref();
        let undecided = match reason.class {
            Class::Resolver => None,
            _ => self.meet_unseen(place, key, announced, row)?,
        };
        let reason = undecided.as_ref().unwrap_or(reason);
        self.holder
            .keep_row(place, key, announced, row, base, reason)?;
        Ok(())
    }

    /// Keeps a row whose id can't be a key here: it may be one when the table is another.
    pub(super) fn hold_stray(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        let (place, key) = (row.entity, stray_key(row.id));
        let completed = self.completed(place, &key, row.slots)?;
        let slots = completed.as_deref().unwrap_or(row.slots);
        let reason = not_a_key(&self.bindings[place], &key);
        self.holder
            .keep_row(place, &key, row.announced, slots, None, &reason)?;
        Ok(())
    }

    /// Keeps a delete that this answer can't have.
    pub(super) fn hold_delete(
        &mut self,
        place: usize,
        key: &Key,
        reason: &Reason,
    ) -> Result<(), SyncError> {
        let base = self.tables[place].shown(key)?;
        self.holder
            .keep_delete(place, key, base.as_deref(), reason)?;
        Ok(())
    }

    /// A delete was carried out, or came to nothing.
    pub(super) fn note_deleted(&mut self, place: usize, key: &Key, gone: bool) -> Result<()> {
        if gone && self.holder.notes_deletes {
            let table = self.bindings[place].table.id;
            self.holder.refusals.note_deleted(table, key);
        }
        self.let_in(place, key)
    }

    /// What is held of a row has come in, or is not needed: nothing keeps the row here from being sent.
    pub(super) fn let_in(&mut self, place: usize, key: &Key) -> Result<()> {
        if self.holder.forget(place, key)? {
            let table = self.bindings[place].table.id;
            forget_rejection(self.database, self.holder.provider, table, &key.0)?;
        }
        Ok(())
    }

    /// Nothing is held any more of the rows of a table that are meant.
    pub(super) fn forget_held(
        &mut self,
        place: usize,
        is_meant: impl Fn(ValueRef<'_>) -> bool,
    ) -> Result<(), SyncError> {
        for key in self.holder.keys_of(place) {
            if is_meant(key.0.borrow()) {
                self.holder.forget(place, &key)?;
            }
        }
        Ok(())
    }

    /// Tries the rows that are held: what they lacked may have come.
    pub(super) fn try_held(&mut self, postponed: &mut Postponed) -> Result<(), SyncError> {
        if self.holder.is_empty() {
            return Ok(());
        }
        let held = self.holder.all()?;
        self.holder.notes_deletes = true;
        self.make_room_for(&held)?;
        let fit = Fit::new(self.database, self.bindings)?;
        let mut again = Vec::new();
        for row in fit.rows(&held)? {
            if self.try_held_row(row, &fit)? == Tried::Breaks {
                again.push(row);
            }
        }
        // What came after it may be what it lacked.
        for row in again {
            self.try_held_row(row, &fit)?;
        }
        let waiting = held.iter().filter_map(|row| match &row.what {
            What::Row(_, slots) => Some((row.place, &row.key, slots.as_slice())),
            What::Delete => None,
        });
        let waiting = waiting.filter(|(place, key, _)| self.holder.has(*place, key));
        self.succession = Succession::of(self.database, self.bindings, waiting)?;
        for row in held.iter().rev().filter(|row| row.what == What::Delete) {
            let may_go = row.undecided || fit.may_go(row.place, &row.key)?;
            if may_go && !postponed.waits(row.place, &row.key)? {
                self.try_held_row(row, &fit)?;
            }
        }
        if self.succession.is_due() {
            // They were left what others refer to, so they come before these are told.
            for row in fit.rows(&held)? {
                if self.holder.has(row.place, &row.key) {
                    self.try_held_row(row, &fit)?;
                }
            }
            self.succession.give_back(self.database)?;
        }
        Ok(())
    }

    /// Rows made here under the numbers of rows that are held are other rows, and take other numbers.
    fn make_room_for(&mut self, held: &[HeldRow]) -> Result<(), SyncError> {
        for row in held {
            let What::Row(_, slots) = &row.what else {
                continue;
            };
            let refused = self.refused_row(row.place, &row.key);
            let is_refused = refused.is_some_and(|reason| !reason.once_more);
            if !is_refused && self.tables[row.place].is_taken(&row.key, slots)? {
                self.displaced.put(Comer {
                    place: row.place,
                    key: row.key.clone(),
                    remote: Remote::Updated,
                    row: slots.clone(),
                });
            }
        }
        // The held rows themselves come when they fit.
        self.give_way()?;
        Ok(())
    }

    fn try_held_row(&mut self, row: &HeldRow, fit: &Fit<'_>) -> Result<Tried, SyncError> {
        let is_delete = row.what == What::Delete;
        let mut tried = Tried::Done;
        self.watched((row.place, &row.key, is_delete), |applier| {
            applier.try_held_once(row, fit, &mut tried)
        })?;
        Ok(tried)
    }

    fn try_held_once(
        &mut self,
        row: &HeldRow,
        fit: &Fit<'_>,
        tried: &mut Tried,
    ) -> Result<(), SyncError> {
        let (place, key) = (row.place, &row.key);
        let refused = match row.what {
            What::Row(..) => self.refused_row(place, key),
            What::Delete => self.refused_delete(place, key),
        };
        if is_stray(&self.bindings[place], key) {
            return self.tried_in_vain(row, &not_a_key(&self.bindings[place], key));
        }
        if let Some(reason) = refused.filter(|reason| !reason.once_more) {
            return self.tried_in_vain(row, &reason);
        }
        if matches!(row.what, What::Row(..)) && self.is_part(place, key) {
            return Ok(());
        }
        if self.tables[place].effects.is_marked(key)? {
            // What is pending of it now is in the log only with the end of this answer.
            return Ok(());
        }
        let connection = self.database.connection();
        connection.execute_script("SAVEPOINT syncscope_held")?;
        let before = self.tables[place].counts().clone();
        // Nothing but the row itself is written, so that it can be taken back.
        let is_plain = row.what != What::Delete
            && !connection.has_broken_references()
            && !self.tables[place].may_delete()
            && !self.tables[place].is_pending(key)?;
        let mut along = Vec::new();
        let outcome = match &row.what {
            What::Row(announced, slots) => {
                let remote = match announced {
                    Announced::Created => Remote::Created,
                    Announced::Updated => Remote::Updated,
                };
                // What was edited here was decided about when the row came.
                match row.was_here && !row.undecided {
                    true => self.tables[place].held_row(remote, key, slots),
                    false => self.tables[place].row(remote, key, slots, false, None),
                }
            }
            What::Delete => {
                along = self.look_before_a_delete(place, key)?;
                self.tables[place].gone(Remote::Deleted, key, false)
            }
        };
        let trouble = match outcome {
            Ok(_) if is_plain && connection.has_broken_references() && fit.stands(row)? => {
                connection.execute_script("ROLLBACK TO syncscope_held; RELEASE syncscope_held")?;
                self.tables[place].set_counts(before);
                self.tables[place].take_applied();
                *tried = Tried::Breaks;
                return Ok(self.holder.breaks_others(row.id)?);
            }
            Ok(gone) => {
                connection.execute_script("RELEASE syncscope_held")?;
                if gone {
                    self.went_along(along)?;
                }
                if row.what == What::Delete {
                    self.note_deleted(place, key, gone)?;
                }
                let is_written = gone || self.tables[place].has_applied();
                return match is_written || row.what != What::Delete {
                    true => self.wrote(place, key, gone),
                    false => Ok(()),
                };
            }
            // The row here is to make room when the answer is applied again.
            Err(Trouble::Taken) => {
                connection.execute_script("RELEASE syncscope_held")?;
                return Ok(());
            }
            Err(Trouble::UsedAgain(insert)) => {
                connection.execute_script("RELEASE syncscope_held")?;
                return self.use_again(place, key, insert);
            }
            Err(trouble) => trouble,
        };
        let Some(mut reason) = trouble.reason() else {
            return Err(self.tables[place].named(trouble, key));
        };
        if !self.is_open() {
            let error = self.tables[place].named(trouble, key);
            return match &row.what {
                What::Row(_, slots) => self.refuse_row(place, key, slots, reason, error),
                What::Delete => self.refuse_delete(place, key, Some(reason), error),
            };
        }
        connection.execute_script("ROLLBACK TO syncscope_held; RELEASE syncscope_held")?;
        self.tables[place].set_counts(before);
        if let (Class::Unique, What::Row(_, slots)) = (reason.class, &row.what) {
            let other = clash::other(self.database, &self.bindings[place], key, slots)?;
            reason.clashes_with = other;
            if self.makes_room(place, key, &reason)? {
                return Ok(());
            }
        }
        self.tried_in_vain(row, &reason)
    }

    /// A held row can't come. What is not decided about it yet is decided now, as if it had just come.
    fn tried_in_vain(&mut self, row: &HeldRow, reason: &Reason) -> Result<(), SyncError> {
        let undecided = match &row.what {
            What::Row(announced, slots) if row.undecided && reason.class != Class::Resolver => {
                self.meet_unseen(row.place, &row.key, *announced, slots)?
            }
            _ => None,
        };
        self.holder
            .tried(row.id, undecided.as_ref().unwrap_or(reason))?;
        Ok(())
    }
}
