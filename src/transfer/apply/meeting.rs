//! A row of the server meets one that is here: which columns stay, by the entity's policy.

use serde_json::Value as Json;

use crate::capture::log::Mark;
use crate::capture::{Key, Pending, Status};
use crate::ground::quoted;
use crate::providers::instant::is_later;
use crate::providers::values::{agree, holds, same_json};
use crate::providers::wire::{Face, Slot, fallback};
use crate::store::{Value, ValueRef, same};
use crate::transfer::aside::KeptRow;
use crate::transfer::binding::Binding;
use crate::transfer::conflict::policy::Policy;
use crate::transfer::conflict::record::{Sides, pending_words, remote_json, row_json};
use crate::transfer::conflict::resolver::{Resolver, Rows, Silence, Verdict, no_object};

use super::effects::Effect;
use super::writer::Writer;

/// A row of the server and the one that is here.
pub struct Meeting<'r> {
    binding: &'r Binding,
    key: &'r Key,
    row: &'r [Slot<'r>],
    /// The row here, a value for each column that travels.
    local: Vec<Value>,
    /// What is kept aside of it.
    kept: KeptRow,
    /// What counts in columns as it is held, not as it is here.
    unseen: Vec<Option<Slot<'static>>>,
    /// The server's row with what was changed here; missing: as here.
    resolved: Vec<Slot<'r>>,
    /// The pending changes of the row here, if any.
    pending: Option<&'r Pending>,
    status: &'static str,
    changed: String,
    /// The server has the row, whatever is pending of it.
    known: bool,
}

/// The row that stays.
pub struct Chosen<'r> {
    /// The columns to write.
    pub row: Vec<Slot<'r>>,
    pub effect: Effect,
    /// A resolver has put a value into it that neither side has: that it can't be stored may be its doing.
    pub invented: bool,
}

impl<'r> Chosen<'r> {
    /// One of values that one of the sides has.
    pub fn new(row: Vec<Slot<'r>>, effect: Effect) -> Self {
        Self {
            row,
            effect,
            invented: false,
        }
    }

    /// A resolver decided that the row goes.
    pub fn is_delete(&self) -> bool {
        matches!(&self.effect, Effect::Marked(mark) if mark.status == Status::Deleted)
    }

    pub fn into_owned(self) -> Chosen<'static> {
        Chosen {
            row: self.row.into_iter().map(Slot::into_owned).collect(),
            effect: self.effect,
            invented: self.invented,
        }
    }
}

impl<'r> Meeting<'r> {
    /// The row that the writer has found, and one of the server. `known_upto`: the server knows the row, as it
    /// was sent up to this log entry.
    pub fn new(
        writer: &Writer<'_>,
        binding: &'r Binding,
        (key, kept): (&'r Key, KeptRow),
        row: &'r [Slot<'r>],
        pending: Option<&'r Pending>,
        known_upto: Option<i64>,
    ) -> Self {
        let made_since = |pending: &Pending| {
            // What was created again since it was sent changed as a whole.
            known_upto.is_some_and(|upto| pending.inserted_after(upto))
        };
        let made_since = pending.is_some_and(made_since);
        let stays = |position: usize| {
            made_since || pending.is_some_and(|pending| pending.changed(position))
        };
        let resolved = row.iter().zip(&binding.columns);
        let (status, changed) = pending_words(&binding.wire, &binding.columns, pending);
        Self {
            binding,
            key,
            row,
            local: (0..row.len())
                .map(|place| writer.value(place).to_owned())
                .collect(),
            kept,
            unseen: vec![None; row.len()],
            resolved: resolved
                .map(|(slot, position)| match stays(*position) {
                    true => Slot::Missing,
                    false => slot.clone(),
                })
                .collect(),
            pending,
            status,
            changed,
            known: known_upto.is_some(),
        }
    }

    /// A newer state of the row waits here: what was not edited here counts as it is in that. None: nothing waits.
    pub fn over(mut self, held: Option<&[Slot<'_>]>) -> Self {
        let columns = held.unwrap_or_default().iter().zip(&self.binding.columns);
        for (place, (slot, position)) in columns.enumerate() {
            let edited = self
                .pending
                .is_some_and(|pending| pending.changed(*position));
            if edited || slot.is_missing() {
                continue;
            }
            self.local[place] = slot.value().to_owned();
            self.unseen[place] = Some(slot.clone().into_owned());
            if let Some(kept) = self.kept.get_mut(place) {
                *kept = slot.kept().map(|kept| kept.json.clone());
            }
        }
        self
    }

    /// The row that was chosen, with what waited of the columns that are to stay.
    pub fn whole(&self, chosen: &Chosen<'r>) -> Vec<Slot<'r>> {
        let columns = chosen.row.iter().enumerate();
        columns
            .map(|(place, slot)| match &self.unseen[place] {
                Some(held) if slot.is_missing() => held.clone(),
                _ => slot.clone(),
            })
            .collect()
    }

    /// The columns in which the row here can be what was chosen without the rest of it: those that were edited here, and
    /// those that are pending from now on.
    pub fn part(&self, chosen: &Chosen<'r>) -> Vec<Slot<'r>> {
        let mut row = self.whole(chosen);
        for (slot, position) in row.iter_mut().zip(&self.binding.columns) {
            let marked = match &chosen.effect {
                Effect::Marked(mark) => {
                    let bit = self.binding.table.columns.bit(*position);
                    bit.is_some_and(|bit| mark.bits.contains(&bit))
                }
                _ => false,
            };
            if !marked
                && !self
                    .pending
                    .is_some_and(|pending| pending.changed(*position))
            {
                *slot = Slot::Missing;
            }
        }
        row
    }

    /// What was changed here stays, the rest is the server's.
    pub fn merged(&self) -> Chosen<'r> {
        Chosen::new(self.resolved.clone(), Effect::Stays)
    }

    /// Whether the row here is as it came.
    pub fn is_equal(&self) -> bool {
        let columns = &self.binding.wire.columns;
        let by_default = self.binding.rules.missing_is_default;
        (0..self.row.len()).all(|place| {
            let local = self.local[place].borrow();
            match &self.row[place] {
                Slot::Missing if by_default => {
                    let default = fallback(&columns[place]);
                    same(local, default.value())
                }
                Slot::Missing => true,
                slot => holds(&columns[place], local, slot),
            }
        })
    }

    /// Whether the row here is as it came, and everything came.
    pub fn is_equal_throughout(&self) -> bool {
        let is_said = |slot: &Slot<'_>| !slot.is_missing() && slot.kept().is_none();
        self.row.iter().all(is_said) && self.is_equal()
    }

    /// The rows of a conflict with a delete of the server. `stays`: the row that outlives it.
    pub fn sides_of_delete(&self, stays: Option<&Chosen<'_>>) -> Sides {
        Sides {
            resolved: stays.and_then(|chosen| self.sides(chosen).resolved),
            local: Some(self.local_json()),
            remote: None,
        }
    }

    /// It is made on the server anew, as a whole.
    fn made_anew(&self, row: Vec<Slot<'r>>) -> Chosen<'r> {
        let effect = self.marked(Status::Created, &self.binding.columns);
        Chosen::new(row, effect)
    }

    /// Whether a column of a row that a resolver gave holds what neither side has there.
    pub(super) fn invents(&self, place: usize, slot: &Slot<'_>) -> bool {
        let column = &self.binding.wire.columns[place];
        let agrees = |known: &Slot<'_>| !known.is_missing() && agree(column, slot, known);
        let is_ours = match (self.kept.get(place), slot.kept()) {
            (Some(Some(json)), Some(kept)) => same_json(json, &kept.json),
            (_, kept) => kept.is_none() && holds(column, self.local[place].borrow(), slot),
        };
        let is_known = is_ours || self.unseen[place].as_ref().is_some_and(agrees);
        !slot.is_missing() && !is_known && !agrees(&self.row[place])
    }

    /// The column for which a resolver has made up a value that it can't hold.
    fn misfit(&self, row: &[Slot<'_>]) -> Option<&str> {
        let mut places = 0..row.len();
        let is_misfit = |place: &usize| {
            let kept = row[*place].kept();
            kept.is_some_and(|kept| !kept.close) && self.invents(*place, &row[*place])
        };
        let place = places.find(is_misfit)?;
        Some(&self.binding.wire.columns[place].name)
    }

    /// The row here as JSON, with its pending changes.
    pub fn local_json(&self) -> String {
        let pending = Some((self.status, self.changed.as_str()));
        row_json(&self.binding.wire, self.key.0.borrow(), pending, |place| {
            Some(self.here(place))
        })
    }

    fn has_kept(&self, place: usize) -> bool {
        self.kept.get(place).is_some_and(Option::is_some)
    }

    /// A column of the row here, as it would be sent.
    fn here(&self, place: usize) -> Face<'_> {
        match self.kept.get(place) {
            Some(Some(json)) => Face::Json(json),
            _ => Face::Value(self.local[place].borrow()),
        }
    }

    /// The rows of a conflict that ended with `chosen`.
    pub fn sides(&self, chosen: &Chosen<'_>) -> Sides {
        let (entity, key) = (&self.binding.wire, self.key.0.borrow());
        let resolved = || {
            row_json(entity, key, None, |place| {
                Some(self.face(&chosen.row, place))
            })
        };
        Sides {
            local: Some(self.local_json()),
            remote: Some(remote_json(entity, key, self.row)),
            resolved: (!chosen.is_delete()).then(resolved),
        }
    }

    /// The value that a row which was put together has in a column.
    fn face<'v>(&'v self, row: &'v [Slot<'_>], place: usize) -> Face<'v> {
        match row[place].is_missing() {
            true => self.here(place),
            false => row[place].face(),
        }
    }

    /// Whether the row here has the later value in a column. No value on either side: it has not. What names no
    /// instant on both sides is compared as it is, and counted; what is neither text nor a number is older, and counted.
    fn is_newer(&self, column: &str, unreadable: &mut i64) -> bool {
        let columns = &self.binding.wire.columns;
        let place = columns
            .iter()
            .position(|known| known.name.eq_ignore_ascii_case(column));
        let Some(place) = place else { return false };
        let (here, there) = (said(self.here(place)), said(self.row[place].face()));
        let (Some(here), Some(there)) = (here, there) else {
            *unreadable += 1;
            return false;
        };
        let (here, there) = (here.borrow(), there.borrow());
        if here.is_null() || there.is_null() {
            return false;
        }
        let (is_later, is_read) = is_later(here, there);
        *unreadable += i64::from(!is_read);
        is_later
    }

    /// The pending changes of a row that was chosen as a whole: the columns in which it is not the server's.
    fn left_over(&self, chosen: &[Slot<'_>]) -> Effect {
        let Some(pending) = self.pending else {
            return Effect::Stays;
        };
        let created = self.status == Status::Created.as_str() && !self.known;
        let status = match created {
            true => Status::Created,
            false => Status::Updated,
        };
        let is_left = |place: &usize| {
            let column = &self.binding.wire.columns[*place];
            let (chosen, remote) = (&chosen[*place], &self.row[*place]);
            let changed = pending.changed(self.binding.columns[*place]);
            let local = self.local[*place].borrow();
            match (remote.is_missing(), chosen.is_missing()) {
                // The server has not said what it holds there; of a new row it can't hold anything.
                (true, true) => changed || (status == Status::Created && !local.is_null()),
                (true, false) => {
                    changed
                        || (status == Status::Created && !chosen.value().is_null())
                        || !holds(column, local, chosen)
                }
                // Nobody has written here what is in the column in place of a value that it can't hold.
                (false, true) if self.has_kept(*place) => false,
                (false, true) if remote.kept().is_some() => changed,
                (false, true) => !holds(column, local, remote),
                (false, false) => !agree(column, chosen, remote),
            }
        };
        let columns: Vec<usize> = (0..chosen.len())
            .filter(is_left)
            .map(|place| self.binding.columns[place])
            .collect();
        match columns.is_empty() {
            true => Effect::Settled,
            false => self.marked(status, &columns),
        }
    }

    /// What `_status` and `_changed` of a resolver's answer ask for.
    fn honoured(&self, verdict: &Verdict) -> Effect {
        let Some(status) = verdict.status.as_deref() else {
            return Effect::Stays;
        };
        let mut names = verdict.changed.clone().unwrap_or_default();
        names.sort();
        let before = self.changed.split(',').filter(|name| !name.is_empty());
        let mut before: Vec<&str> = before.collect();
        before.sort_unstable();
        if status == self.status && names == before {
            return Effect::Stays;
        }
        let status = match status {
            "created" => Status::Created,
            "updated" => Status::Updated,
            "deleted" => Status::Deleted,
            _ if self.pending.is_some() => return Effect::Settled,
            _ => return Effect::Stays,
        };
        let columns = &self.binding.columns;
        let wire = self.binding.wire.columns.iter().zip(columns);
        let named: Vec<usize> = wire
            .filter(|(column, _)| names.contains(&column.name))
            .map(|(_, position)| *position)
            .collect();
        match named.is_empty() && status == Status::Updated {
            // It is to be sent, but an update of no column would not be.
            true => self.marked(status, columns),
            false => self.marked(status, &named),
        }
    }

    /// What was decided about some columns can't be here before the rest of the row: what was edited in them is over, and
    /// doesn't wait to be sent.
    pub fn without(&self, effect: Effect, spared: &[bool]) -> Effect {
        let waits = |position: usize| match &effect {
            Effect::Settled => false,
            Effect::Marked(mark) => {
                let bit = self.binding.table.columns.bit(position);
                bit.is_some_and(|bit| mark.bits.contains(&bit))
            }
            _ => self
                .pending
                .is_some_and(|pending| pending.changed(position)),
        };
        let columns = self.binding.columns.iter().zip(spared);
        let left: Vec<usize> = columns
            .filter(|(position, is_spared)| !**is_spared && waits(**position))
            .map(|(position, _)| *position)
            .collect();
        match left.is_empty() {
            true => Effect::Settled,
            false => self.marked(Status::Updated, &left),
        }
    }

    fn marked(&self, status: Status, columns: &[usize]) -> Effect {
        Effect::Marked(Mark {
            status,
            bits: columns
                .iter()
                .filter_map(|position| self.binding.table.columns.bit(*position))
                .collect(),
            rowid: self.pending.and_then(Pending::rowid),
        })
    }
}

/// The value that the server gets of a column; none where that is neither text nor a number.
fn said(face: Face<'_>) -> Option<Value> {
    let json = match face {
        Face::Value(value) => return Some(value.to_owned()),
        Face::Json(json) => json,
    };
    match serde_json::from_str(json).ok()? {
        Json::Null => Some(Value::Null),
        Json::String(text) => Some(Value::Text(text)),
        Json::Number(number) => {
            let whole = number.as_i64().map(Value::Integer);
            whole.or_else(|| number.as_f64().map(Value::Real))
        }
        _ => None,
    }
}

/// An entity's policy at work.
pub struct Judge {
    pub policy: Policy,
    pub resolver: Option<Resolver>,
    /// A resolver that gives NULL leaves the row to the server.
    pub null_yields: bool,
    /// Pairs of values that `lastWriteWins` could not read as instants.
    pub unreadable: i64,
}

impl Judge {
    /// The row that stays, and what is then pending.
    ///
    /// # Errors
    /// A resolver's.
    pub fn choose<'r>(&mut self, meeting: &Meeting<'r>) -> Result<Chosen<'r>, Silence> {
        let here = || vec![Slot::Missing; meeting.row.len()];
        let row = match &self.policy {
            Policy::Columns => return Ok(meeting.merged()),
            Policy::ServerWins => meeting.row.to_vec(),
            Policy::ClientWins => here(),
            Policy::LastWriteWins(column) => match meeting.is_newer(column, &mut self.unreadable) {
                true => here(),
                false => meeting.row.to_vec(),
            },
            Policy::Sql2(_) | Policy::Sql4(_) => match self.ask(meeting)? {
                Some(verdict) => return Ok(self.put_together(meeting, verdict)),
                None => meeting.row.to_vec(),
            },
        };
        let effect = meeting.left_over(&row);
        Ok(Chosen::new(row, effect))
    }

    /// The row that a resolver gave.
    fn put_together<'r>(&self, meeting: &Meeting<'r>, verdict: Verdict) -> Chosen<'r> {
        let effect = match &self.policy {
            Policy::Sql4(_) => meeting.honoured(&verdict),
            _ => meeting.left_over(&verdict.row),
        };
        let mut columns = verdict.row.iter().enumerate();
        Chosen {
            invented: columns.any(|(place, slot)| meeting.invents(place, slot)),
            effect,
            row: verdict.row,
        }
    }

    /// The row that stays although the server has deleted it; none: it goes.
    ///
    /// # Errors
    /// A resolver's.
    pub fn choose_over_delete<'r>(
        &mut self,
        meeting: &Meeting<'r>,
    ) -> Result<Option<Chosen<'r>>, Silence> {
        let row = match &self.policy {
            Policy::ServerWins | Policy::LastWriteWins(_) => return Ok(None),
            Policy::Columns | Policy::ClientWins => vec![Slot::Missing; meeting.row.len()],
            Policy::Sql2(_) | Policy::Sql4(_) => match self.ask_of(meeting, None)? {
                Some(verdict) => verdict.row,
                None => return Ok(None),
            },
        };
        Ok(Some(meeting.made_anew(row)))
    }

    /// None: the server's row.
    fn ask(&mut self, meeting: &Meeting<'_>) -> Result<Option<Verdict>, Silence> {
        let (entity, key) = (&meeting.binding.wire, meeting.key.0.borrow());
        let remote = remote_json(entity, key, meeting.row);
        let Some(mut verdict) = self.ask_of(meeting, Some(&remote))? else {
            return match self.null_yields {
                true => Ok(None),
                false => Err(Silence::Failed(no_object(ValueRef::Null.type_name()))),
            };
        };
        for (slot, resolved) in verdict.row.iter_mut().zip(&meeting.resolved) {
            if slot.is_missing() {
                *slot = resolved.clone().into_owned();
            }
        }
        Ok(Some(verdict))
    }

    /// None: it gave NULL.
    fn ask_of(
        &mut self,
        meeting: &Meeting<'_>,
        remote: Option<&str>,
    ) -> Result<Option<Verdict>, Silence> {
        let (entity, key) = (&meeting.binding.wire, meeting.key.0.borrow());
        let pending = Some((meeting.status, meeting.changed.as_str()));
        let name = &meeting.binding.entity;
        let rows = Rows {
            table: name,
            local: &meeting.local_json(),
            remote,
            resolved: &row_json(entity, key, pending, |place| {
                Some(meeting.face(&meeting.resolved, place))
            }),
        };
        let verdict = match self.resolver.as_mut() {
            Some(resolver) => resolver.ask(entity, &rows)?,
            None => return Err(Silence::Failed("it was removed during the sync".into())),
        };
        let row = verdict.as_ref().map(|verdict| verdict.row.as_slice());
        match row.and_then(|row| meeting.misfit(row)) {
            Some(column) => Err(Silence::Failed(format!(
                "it gave {} a value that the column can't hold",
                quoted(column)
            ))),
            None => Ok(verdict),
        }
    }
}
