//! A row of the server that is held meets the edits that wait here: as if it had been applied, the entity's policy decides,
//! and a conflict is recorded. So neither side is lost while nobody can see the newer one.

use crate::capture::Key;
use crate::ground::SyncError;
use crate::providers::sink::Announced;
use crate::providers::wire::Slot;
use crate::transfer::held::Reason;

use super::applier::Applier;
use super::decide::{Action, Case, Local, Remote, decide};
use super::meeting::Meeting;
use super::table::{TableApplier, Trouble, unfit};

impl Applier<'_> {
    /// Decides between a row that is to be held and what was edited here. Why that can't be decided; none: it is.
    pub(super) fn meet_unseen(
        &mut self,
        place: usize,
        key: &Key,
        announced: Announced,
        row: &[Slot<'_>],
    ) -> Result<Option<Reason>, SyncError> {
        let remote = match announced {
            Announced::Created => Remote::Created,
            Announced::Updated => Remote::Updated,
        };
        if !self.tables[place].is_pending(key)? {
            return Ok(None);
        }
        let held = self.holder.counts(place, key)?;
        let along = match self.tables[place].may_delete() {
            true => self.look_before_a_delete(place, key)?,
            false => Vec::new(),
        };
        let table = self.bindings[place].table.id;
        let refusals = self.holder.refusals;
        let is_spared = |column: Option<&str>| refusals.is_spared(table, key, column);
        let gone = match self.tables[place].unseen(remote, key, row, held.as_deref(), &is_spared) {
            Ok(gone) => gone,
            // What was decided does not fit without the rest of the row.
            Err(Trouble::Store(error)) if error.is_constraint() && self.is_open() => {
                self.tables[place].take_applied();
                return Ok(None);
            }
            Err(Trouble::Undecided(problem)) if self.is_open() => {
                self.tables[place].take_applied();
                return Ok(Some(Reason::undecided(problem)));
            }
            Err(trouble) => return Err(self.tables[place].named(trouble, key)),
        };
        let made_up = std::mem::take(&mut self.tables[place].made_up);
        if !made_up.is_empty() {
            let table = self.bindings[place].table.id;
            self.holder.refusals.decides(table, key, made_up);
        }
        if gone {
            self.went_along(along)?;
        }
        let applied = self.tables[place].take_applied();
        self.note_written(place, key, applied.filter(|_| !gone))?;
        Ok(None)
    }
}

impl TableApplier<'_> {
    /// Decides between a row that can't be stored and what was edited here. Of what was chosen, the columns are written that
    /// were edited, or are pending from now on: the others come with the row. `held`: what waits of it so far. `is_spared`:
    /// whether a column, or the whole row, can't become what was chosen. True when a resolver let the row go.
    fn unseen(
        &mut self,
        remote: Remote,
        key: &Key,
        row: &[Slot<'_>],
        held: Option<&[Slot<'_>]>,
        is_spared: &dyn Fn(Option<&str>) -> bool,
    ) -> Result<bool, Trouble> {
        self.writer.take_applied();
        self.made_up.clear();
        let Some(pending) = self.waiting(key)? else {
            return Ok(false);
        };
        let exists = self.writer.find(&pending)?;
        if !exists || self.knowledge.local(&pending, exists)? != Local::Updated {
            self.writer.release();
            return Ok(false);
        }
        let kept = self.writer.kept(key, Some(&pending))?;
        let meeting = Meeting::new(
            &self.writer,
            self.binding,
            (key, kept),
            row,
            Some(&pending),
            None,
        )
        .over(held);
        let case =
            self.knowledge
                .case(Local::Updated, remote, &pending, row, !meeting.is_equal())?;
        let decision = decide(&Case {
            held: false,
            ..case
        });
        let Some(kind) = decision.conflict.filter(|_| decision.action == Action::Ask) else {
            self.writer.release();
            return Ok(false);
        };
        let chosen = self.judge.choose(&meeting);
        let mut chosen = self.or_release(chosen)?;
        if chosen.is_delete() && is_spared(None) {
            // It can't go: what was edited stays as it is.
            chosen = meeting.merged();
        }
        let columns = chosen.row.iter().enumerate();
        let made_up = columns.filter(|(place, slot)| meeting.invents(*place, slot));
        let names = made_up.map(|(place, _)| self.binding.wire.columns[place].name.clone());
        self.made_up = names.collect();
        let sides = meeting.sides(&chosen);
        let mut part = meeting.part(&chosen);
        let mut spared = Vec::new();
        for (slot, column) in part.iter_mut().zip(&self.binding.wire.columns) {
            let is_spared = !slot.is_missing() && is_spared(Some(&column.name));
            if is_spared {
                *slot = Slot::Missing;
            }
            spared.push(is_spared);
        }
        let (gone, effect) = (chosen.is_delete(), decision.effect.and(chosen.effect));
        let effect = match spared.contains(&true) {
            true => meeting.without(effect, &spared),
            false => effect,
        };
        let written = match gone || part.iter().all(Slot::is_missing) {
            true => {
                self.writer.release();
                Ok(())
            }
            false => self.writer.update(key, &part).map(drop),
        };
        let written = match (written, chosen.invented) {
            (Err(error), true) => return Err(unfit(error)),
            (written, _) => written,
        };
        self.record(key, kind, true, &sides)?;
        self.effects.note(key, effect)?;
        written?;
        match gone {
            true => Ok(self.delete(key, Action::Delete)?),
            false => Ok(false),
        }
    }
}
