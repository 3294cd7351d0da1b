//! Applying what an answer says to one table: what is known of a row, the decision, the statements.

use crate::capture::aside::stands_for;
use crate::capture::shared::Counting;
use crate::capture::{Key, KeyMap, Pending};
use crate::ground::{SyncError, Warning, quoted};
use crate::providers::conversation::Again;
use crate::providers::values::show;
use crate::providers::wire::{Face, Kept, Slot};
use crate::store::{Database, Error, Result, Value, ValueRef, shown};
use crate::transfer::aside::{self, KeptRow};
use crate::transfer::binding::Binding;
use crate::transfer::conflict::policy::Policy;
use crate::transfer::conflict::record::{Kind, Recorder, Sides, remote_json, row_json};
use crate::transfer::conflict::resolver::{self, Resolver, Silence};
use crate::transfer::counts::Counts;
use crate::transfer::held::Reason;
use crate::transfer::send::unacknowledged::Unacknowledged;

use super::decide::{Action, Case, Decision, Local, Push, Remote, Rules, Written};
use super::decide::{decide, is_announced_wrongly, is_number_used_again};
use super::deferred::Word;
use super::effects::{Effect, Effects};
use super::knowledge::Knowledge;
use super::lift::Lifted;
use super::meeting::{Chosen, Judge, Meeting};
use super::own_writes::{Applied, Found};
use super::rounded::{is_rounded, may_be_rounded};
use super::setting::Setting;
use super::unsent::Unsent;
use super::version::VersionGate;
use super::writer::{Deleted, UNIQUE, Writer};
use crate::transfer::version::Version;

/// Why a row could not be applied.
pub enum Trouble {
    Store(Error),
    /// A row created here has the key, but is another row.
    Taken,
    /// The row here was deleted, and its number given to another with this insert.
    UsedAgain(i64),
    /// Another row has a value of what was chosen, perhaps not for long.
    Clash(Error, Chosen<'static>),
    /// The resolver did not say what stays of the row: nothing was written.
    Undecided(String),
}

impl Trouble {
    /// The same as a reason to hold what came; none when it is about more than the row.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Store(error) | Self::Clash(error, _) => Reason::of(error),
            Self::Undecided(problem) => Some(Reason::undecided(problem.clone())),
            Self::Taken | Self::UsedAgain(_) => None,
        }
    }
}

impl From<Silence> for Trouble {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::Failed(problem) => Self::Undecided(problem),
            Silence::Database(error) => Self::Store(error),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// The row that the writer has found as JSON, with its pending changes.
fn local_json(
    writer: &Writer<'_>,
    binding: &Binding,
    row: (&Key, KeptRow),
    pending: &Pending,
) -> String {
    let missing = vec![Slot::Missing; binding.columns.len()];
    Meeting::new(writer, binding, row, &missing, Some(pending), None).local_json()
}

/// A table refuses what a resolver gave: nothing is decided. A value that another row has may only have to wait.
pub fn unfit(trouble: impl Into<Trouble>) -> Trouble {
    match trouble.into() {
        Trouble::Store(error) if Reason::of(&error).is_some() => {
            Trouble::Undecided(format!("what it gave can't be stored: {error}"))
        }
        trouble => trouble,
    }
}

/// Applies rows to one table.
pub struct TableApplier<'a> {
    database: &'a Database,
    pub binding: &'a Binding,
    pub(super) knowledge: Knowledge<'a>,
    pub(super) writer: Writer<'a>,
    pub(super) judge: Judge,
    conflicts: Recorder<'a>,
    versions: VersionGate<'a>,
    pub effects: Effects,
    counts: Counts,
    /// Columns of a row that can't be stored to which the resolver gave what neither side has.
    pub(super) made_up: Vec<String>,
}

impl<'a> TableApplier<'a> {
    /// # Errors
    /// SQLite's; a resolver that may not be run.
    pub fn new(
        setting: &Setting<'a>,
        binding: &'a Binding,
        again: Option<Again>,
        pending: Unsent<'a>,
        unacknowledged: &'a Unacknowledged,
        start: i64,
    ) -> Result<Self> {
        let (database, provider) = (setting.database, setting.provider);
        let policy = Policy::of(database, &binding.entity, &binding.rules)?;
        let rules = Rules {
            redelivers: again.is_some(),
            all_again: again == Some(Again::Rows),
            keep_created: binding.rules.keep_created,
            created_as_updated: binding.rules.created_as_updated,
            asks_always: policy.sees_clean_rows(),
            asks_for_deletes: binding.rules.asks_for_deletes,
            counted: binding.is_counted(),
        };
        Ok(Self {
            database,
            binding,
            knowledge: Knowledge::new(
                database,
                provider,
                binding,
                pending,
                unacknowledged,
                start,
                rules,
            )
            .with_deletes(again == Some(Again::RowsAndDeletes)),
            writer: Writer::new(database, binding, start)?,
            judge: Judge {
                resolver: Resolver::of(setting.session, database.connection(), &policy)?,
                policy,
                null_yields: binding.rules.server_wins,
                unreadable: 0,
            },
            conflicts: Recorder::new(database, provider, setting.run),
            versions: VersionGate::new(database, provider, binding.table.id),
            effects: Effects::default(),
            counts: Counts::default(),
            made_up: Vec::new(),
        })
    }

    /// Keeps what rows are to hold that are applied from now on. `following`: see [`Writer::watch`].
    pub fn watch(&mut self, following: Vec<usize>) {
        self.writer.watch(following);
    }

    /// What the row that was applied last is to hold; nothing when none was written.
    pub fn take_applied(&mut self) -> Option<Applied> {
        self.writer.take_applied()
    }

    /// Whether something is known of what the row is to hold that was applied, or was to go, last.
    pub fn has_applied(&self) -> bool {
        self.writer.has_applied()
    }

    /// Makes sure that a row is what was applied; how it is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn restore(&mut self, key: &Key, applied: &Applied) -> Result<Found> {
        Ok(match applied {
            Applied::Row { row, .. } if self.has(key)? => match self.writer.restore(key, row)? {
                true => Found::AsApplied,
                false => Found::Otherwise,
            },
            Applied::Row { .. } => Found::Gone,
            Applied::Gone if self.has(key)? => Found::Otherwise,
            Applied::Gone | Applied::Unchecked => Found::AsApplied,
        })
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What was counted since is void.
    pub fn set_counts(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// Whether a row is here that was made here, and that the server can't have.
    ///
    /// # Errors
    /// SQLite's.
    pub fn was_made_here(&mut self, key: &Key) -> Result<bool> {
        let Some(pending) = self.waiting(key)? else {
            return Ok(false);
        };
        let exists = self.writer.find(&pending)?;
        self.writer.release();
        self.knowledge.is_unsent(&pending, exists)
    }

    /// The same of a row that was sent, too: no answer came, and the server has told all it has since. It would have named
    /// this one.
    ///
    /// # Errors
    /// SQLite's.
    pub fn never_arrived(&mut self, key: &Key) -> Result<bool> {
        let Some(pending) = self.waiting(key)? else {
            return Ok(false);
        };
        let exists = self.writer.find(&pending)?;
        self.writer.release();
        let is_made = self.knowledge.is_unmet(&pending, exists)?;
        Ok(is_made && self.effects.met(key)?.is_none())
    }

    /// Whether the server has a row of which something waits and that was here before anything was applied.
    ///
    /// # Errors
    /// SQLite's.
    pub fn was_there(&self, key: &Key) -> Result<bool> {
        let pending = self.knowledge.pending(key)?;
        Ok(pending.is_some_and(|row| !row.is_made_here()))
    }

    /// Whether a row that has moved since was made here, and the server can't have it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn was_unsent(&self, key: &Key) -> Result<bool> {
        match self.knowledge.pending(key)? {
            Some(pending) => self.knowledge.is_unsent(&pending, true),
            None => Ok(false),
        }
    }

    /// Whether anything is pending of a row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_pending(&self, key: &Key) -> Result<bool> {
        Ok(self.waiting(key)?.is_some())
    }

    /// Whether a row was made here under the number of one of the server, which is another row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_taken(&mut self, key: &Key, row: &[Slot<'_>]) -> Result<bool> {
        let Some(pending) = self.waiting(key)?.filter(|_| self.knowledge.rules.counted) else {
            return Ok(false);
        };
        let exists = self.writer.find(&pending)?;
        let local = self.knowledge.local(&pending, exists)?;
        let remote = Remote::Updated;
        let case = self.knowledge.case(local, remote, &pending, row, true)?;
        self.writer.release();
        Ok(decide(&case).action == Action::Rekey)
    }

    /// Whether a row of that key is here.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_here(&mut self, key: &Key) -> Result<bool> {
        let found = self.writer.find_key(key)?;
        self.writer.release();
        Ok(found)
    }

    /// Whether a row is here and comes with another value of one of some columns.
    ///
    /// # Errors
    /// SQLite's.
    pub fn changes(&mut self, key: &Key, row: &[Slot<'_>], places: &[usize]) -> Result<bool> {
        let mut places = places.iter();
        let found = self.writer.find_key(key)?;
        let changes = found && places.any(|place| self.writer.differs_at(*place, row));
        self.writer.release();
        Ok(changes)
    }

    /// The row here as JSON, without what is pending of it; none when there is none.
    ///
    /// # Errors
    /// SQLite's.
    pub fn shown(&mut self, key: &Key) -> Result<Option<String>> {
        let found = self.writer.find_key(key)?;
        let value = |place| Some(Face::Value(self.writer.value(place)));
        let row = found.then(|| row_json(&self.binding.wire, key.0.borrow(), None, value));
        self.writer.release();
        Ok(row)
    }

    /// Whether a row made both here and there is as it is there, but for what was changed here since.
    pub fn created_yields(&self) -> bool {
        matches!(self.judge.policy, Policy::Columns | Policy::ServerWins)
    }

    /// A row that came, with integers as they are here where the server has only rounded them, and with what is here in
    /// place of values that their columns can't hold; none: it is as it came.
    ///
    /// # Errors
    /// SQLite's.
    pub fn exact<'r>(&mut self, key: &Key, row: &[Slot<'r>]) -> Result<Option<Vec<Slot<'r>>>> {
        let rounds = self.binding.rules.rounds_integers && row.iter().any(may_be_rounded);
        let awaited = &self.binding.awaited;
        let may_stay = !awaited.is_empty() || !self.writer.asides.is_empty();
        let is_beside = |slot: &Slot<'_>| slot.kept().is_some_and(|kept| !kept.close);
        let brings_such = may_stay && row.iter().any(is_beside);
        if !rounds && !brings_such {
            return Ok(None);
        }
        let pending = self.waiting(key)?;
        let known = self.writer.kept(key, pending.as_ref())?;
        // What came before, or is there in another form since the column has another type.
        let stays = |place: usize, here: ValueRef<'_>, kept: &Kept| match known.get(place) {
            Some(Some(known)) => *known == kept.json,
            _ => awaited.contains(&place) && !here.is_null() && stands_for(here, &kept.json),
        };
        let exact = self.writer.find_key(key)?.then(|| {
            let exact = |(place, slot): (usize, &Slot<'r>)| match (self.writer.value(place), slot) {
                (ValueRef::Integer(here), _) if rounds && is_rounded(here, slot) => {
                    Slot::Integer(here)
                }
                (here, Slot::Kept(kept)) if !kept.close && stays(place, here, kept) => {
                    Slot::Kept(Box::new(Kept {
                        local: Slot::of(here),
                        ..Kept::clone(kept)
                    }))
                }
                _ => slot.clone(),
            };
            row.iter().enumerate().map(exact).collect()
        });
        self.writer.release();
        Ok(exact)
    }

    /// Whether applying a row may run the application's SQL.
    pub fn asks_the_application(&self) -> bool {
        self.judge.resolver.is_some()
    }

    /// Whether a row that comes in may lead to a delete: a resolver may let it go.
    pub fn may_delete(&self) -> bool {
        self.knowledge.rules.asks_always
    }

    /// Whether a state of a row is not newer than the one that is here. Ask once for each.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_old(&mut self, key: &Key, version: Option<i64>, deleted: bool) -> Result<bool> {
        match version {
            Some(version) => {
                let is_old = self.versions.is_old(key, version, deleted)?;
                // Where nothing is pending, what the server has counts.
                Ok(is_old && (!self.versions.anew || self.is_pending(key)?))
            }
            None => Ok(false),
        }
    }

    /// What the server is known to hold of a row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn version(&mut self, key: &Key) -> Result<Option<Version>> {
        self.versions.known(key)
    }

    /// The server itself has said what it holds of a row, whatever was known.
    ///
    /// # Errors
    /// SQLite's.
    pub fn set_version(&mut self, key: &Key, version: Version) -> Result<()> {
        self.versions.set(key, version)
    }

    /// The server has no such row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn forget_version(&mut self, key: &Key) -> Result<()> {
        self.versions.forget(key)
    }

    /// What comes from now on is all that the server has, whatever versions were known.
    pub fn begins_anew(&mut self) {
        self.versions.anew = true;
    }

    /// Applies a row that was created or updated there; true when a resolver let it go. `old`: see
    /// [`TableApplier::is_old`]. `before`: what counts of the row where it was not
    /// edited here, other than what is in the table: what is held of it, or of one that was adopted what came.
    ///
    /// # Errors
    /// SQLite's; a resolver's.
    pub fn row(
        &mut self,
        remote: Remote,
        key: &Key,
        row: &[Slot<'_>],
        old: bool,
        before: Option<&[Slot<'_>]>,
    ) -> Result<bool, Trouble> {
        self.news((remote, old, false), key, row, before)
    }

    /// Applies a row that was held: what was edited here stays, since that was decided when the row came, or is newer.
    ///
    /// # Errors
    /// As [`TableApplier::row`].
    pub fn held_row(
        &mut self,
        remote: Remote,
        key: &Key,
        row: &[Slot<'_>],
    ) -> Result<bool, Trouble> {
        self.news((remote, false, true), key, row, None)
    }

    fn news(
        &mut self,
        (remote, old, held): (Remote, bool, bool),
        key: &Key,
        row: &[Slot<'_>],
        before: Option<&[Slot<'_>]>,
    ) -> Result<bool, Trouble> {
        let Some(pending) = self.waiting(key)? else {
            let case = Case {
                old,
                ..Case::clean(remote, self.knowledge.rules)
            };
            return self.clean(&case, decide(&case), key, (row, before));
        };
        let exists = self.writer.find(&pending)?;
        let pending = match exists && pending.may_be_copied() && self.is_copy(&pending, row) {
            true => {
                let known = Effect::Known(pending.last_seq);
                self.effects.note(key, known)?;
                pending.as_copied()
            }
            false => pending,
        };
        let local = self.knowledge.local(&pending, exists)?;
        let differs = exists && (self.writer.differs(row) || self.edits_kept(&pending, row));
        let case = self.knowledge.case(local, remote, &pending, row, differs)?;
        let case = Case { old, held, ..case };
        let is_own = self.binding.counting == Counting::Own;
        let made_again = pending.made_again().filter(|_| is_own);
        if let (Some(insert), true) = (made_again, is_number_used_again(&case)) {
            self.writer.release();
            return Err(Trouble::UsedAgain(insert));
        }
        let decision = decide(&case);
        if local == Local::Clean {
            self.writer.release();
            return self.clean(&case, decision, key, (row, before));
        }
        match decision.action {
            Action::Ask | Action::Merge => {
                // What has arrived there does not wait any more: the policy sees a row that nobody edited.
                let waits = decision.effect != Effect::Settled;
                let pending = waits.then_some(&pending);
                return self.meet(&case, decision, key, (row, before), pending);
            }
            Action::Store => {
                let chosen = Chosen::new(row.to_vec(), decision.effect);
                return self.write_or_clash(key, chosen);
            }
            Action::Insert => {
                self.writer.release();
                let written = self.writer.insert_new(key, row)?;
                self.count(&case, key, Action::Insert, written)?;
            }
            Action::Rekey => {
                self.writer.release();
                return Err(Trouble::Taken);
            }
            Action::Keep | Action::Delete => self.writer.release(),
        }
        if let Some(kind) = decision.conflict {
            let remote = remote_json(&self.binding.wire, key.0.borrow(), row);
            let sides = Sides {
                local: None,
                resolved: (decision.action == Action::Insert).then(|| remote.clone()),
                remote: Some(remote),
            };
            self.record(key, kind, false, &sides)?;
        }
        self.effects.note(key, decision.effect)?;
        Ok(false)
    }

    /// A row with nothing pending: inserted, or written over the one that is here.
    fn clean(
        &mut self,
        case: &Case,
        decision: Decision,
        key: &Key,
        (row, before): (&[Slot<'_>], Option<&[Slot<'_>]>),
    ) -> Result<bool, Trouble> {
        let action = decision.action;
        if action == Action::Keep {
            return Ok(false);
        }
        let likely_new = self.writer.was_empty() || case.remote == Remote::Created;
        let written = if likely_new && self.writer.insert(key, row)? {
            Written::Inserted
        } else if !self.writer.find_key(key)? {
            self.writer.release();
            self.writer.insert_new(key, row)?
        } else if action == Action::Ask {
            return self.meet(case, decision, key, (row, before), None);
        } else {
            self.writer.update(key, row)?
        };
        self.count(case, key, action, written)?;
        Ok(false)
    }

    /// A row of the server over the one that the writer has found.
    fn meet(
        &mut self,
        case: &Case,
        decision: Decision,
        key: &Key,
        (row, before): (&[Slot<'_>], Option<&[Slot<'_>]>),
        pending: Option<&Pending>,
    ) -> Result<bool, Trouble> {
        let since = match case.push {
            Push::Arrived { .. } => self.knowledge.since_sent(key)?,
            Push::Differs { .. } | Push::None => None,
        };
        let pending = since.as_ref().or(pending);
        let known_upto = match decision.effect {
            Effect::Known(upto) => Some(upto),
            _ => None,
        };
        let kept = self.writer.kept(key, pending)?;
        let meeting = Meeting::new(
            &self.writer,
            self.binding,
            (key, kept),
            row,
            pending,
            known_upto,
        )
        .over(before);
        if pending.is_some() && self.binding.rules.settles_equal && meeting.is_equal_throughout() {
            self.writer.release();
            self.counts.unchanged += 1;
            self.effects.note(key, Effect::Settled)?;
            return Ok(false);
        }
        if pending.is_none() && meeting.is_equal() {
            self.writer.release();
            let written = match self.writer.keep(key, row)? {
                true => Written::Updated,
                false => Written::Unchanged,
            };
            self.count(case, key, decision.action, written)?;
            self.effects.note(key, decision.effect)?;
            return Ok(false);
        }
        let chosen = match decision.action {
            Action::Merge => Ok(meeting.merged()),
            _ => self.judge.choose(&meeting),
        };
        let chosen = self.or_release(chosen)?;
        self.count_announcement(case, key, decision.action, Written::Updated)?;
        if let Some(kind) = decision.conflict {
            let sides = meeting.sides(&chosen);
            self.record(key, kind, true, &sides)?;
        }
        let row = meeting.whole(&chosen);
        let effect = decision.effect.and(chosen.effect);
        // What was edited here is met once more where the row is held: without the rest of it then.
        let judged_once = chosen.invented && case.local != Local::Updated;
        let written = self.write_or_clash(key, Chosen::new(row, effect));
        match judged_once {
            true => written.map_err(unfit),
            false => written,
        }
    }

    /// Lets go of the row that the writer has found, where nothing was decided about it.
    pub(super) fn or_release<T>(&mut self, outcome: Result<T, Silence>) -> Result<T, Trouble> {
        if outcome.is_err() {
            self.writer.release();
        }
        Ok(outcome?)
    }

    /// Writes the row that was chosen over the one that the writer has found; true when it was deleted.
    fn write_or_clash(&mut self, key: &Key, chosen: Chosen<'_>) -> Result<bool, Trouble> {
        match self.write(key, &chosen) {
            Err(error) if error.code() == UNIQUE => Err(Trouble::Clash(error, chosen.into_owned())),
            outcome => Ok(outcome?),
        }
    }

    fn write(&mut self, key: &Key, chosen: &Chosen<'_>) -> Result<bool> {
        let gone = match chosen.is_delete() {
            true => {
                self.writer.release();
                self.delete(key, Action::Delete)?
            }
            false => {
                let written = self.writer.update(key, &chosen.row)?;
                self.count_written(written);
                false
            }
        };
        self.effects.note(key, chosen.effect.clone())?;
        Ok(gone)
    }

    /// Applies a row that had to wait; true when it was deleted.
    ///
    /// # Errors
    /// SQLite's; a resolver's.
    pub fn again(
        &mut self,
        key: &Key,
        word: &Word,
        lifted: Option<&Lifted>,
    ) -> Result<bool, Trouble> {
        let Some(lifted) = lifted else {
            let chosen = match word {
                Word::Row(remote, row) => return self.row(*remote, key, row, false, None),
                Word::Chosen(chosen) => chosen,
            };
            if self.writer.find_key(key)? {
                return Ok(self.write(key, chosen)?);
            }
            self.writer.release();
            self.effects.note(key, chosen.effect.clone())?;
            return Ok(false);
        };
        let written = self.writer.put_back(key, lifted, word.slots())?;
        match word {
            Word::Chosen(chosen) => {
                self.count_written(written);
                self.effects.note(key, chosen.effect.clone())?;
            }
            Word::Row(remote, _) => {
                let case = Case::clean(*remote, self.knowledge.rules);
                self.count(&case, key, Action::Store, written)?;
            }
        }
        Ok(false)
    }

    /// Takes a row out of the table for a while; nothing when it is not there, or can't be. Only where nothing of
    /// the application fires.
    pub fn lift(&mut self, key: &Key) -> Option<Lifted> {
        self.writer.lift(key).ok().flatten()
    }

    /// A row that was deleted there, or goes for what was said of all; true when it was deleted here too. `old`: see
    /// [`TableApplier::is_old`].
    ///
    /// # Errors
    /// SQLite's; a resolver's.
    pub fn gone(&mut self, remote: Remote, key: &Key, old: bool) -> Result<bool, Trouble> {
        self.writer.take_applied();
        if remote == Remote::Unnamed {
            self.versions.forget_living(key)?;
        }
        let Some(pending) = self.waiting(key)? else {
            let case = Case {
                old,
                ..Case::clean(remote, self.knowledge.rules)
            };
            return Ok(self.delete(key, decide(&case).action)?);
        };
        let exists = self.writer.find(&pending)?;
        let local = self.knowledge.local(&pending, exists)?;
        let case = self.knowledge.case(local, remote, &pending, &[], false)?;
        let decision = decide(&Case { old, ..case });
        if decision.action == Action::Ask {
            return self.outlive(key, &pending);
        }
        if let Some(kind) = decision.conflict {
            let local = self.local_json(&pending)?;
            let kept = decision.action == Action::Keep;
            let sides = Sides {
                resolved: kept.then(|| local.clone()),
                local: Some(local),
                remote: None,
            };
            self.record(key, kind, false, &sides)?;
        }
        self.writer.release();
        let made_after = matches!(decision.effect, Effect::SettledUpTo(_));
        self.counts.unchanged += i64::from(made_after);
        self.effects.note(key, decision.effect)?;
        Ok(self.delete(key, decision.action)?)
    }

    /// A row that was changed here, which the writer has found, and that was deleted there: it goes, or stays and is made
    /// there anew, as the policy says. True when it went.
    fn outlive(&mut self, key: &Key, pending: &Pending) -> Result<bool, Trouble> {
        let missing = vec![Slot::Missing; self.binding.columns.len()];
        let kept = self.writer.kept(key, Some(pending))?;
        let row = (key, kept);
        let meeting = Meeting::new(
            &self.writer,
            self.binding,
            row,
            &missing,
            Some(pending),
            None,
        );
        let stays = self.judge.choose_over_delete(&meeting);
        let stays = self.or_release(stays)?;
        let sides = meeting.sides_of_delete(stays.as_ref());
        self.record(key, Kind::DeletedRemotely, true, &sides)?;
        let Some(chosen) = stays else {
            self.writer.release();
            self.effects.note(key, Effect::Settled)?;
            return Ok(self.delete(key, Action::Delete)?);
        };
        // All that is not as it was here is the resolver's.
        self.write_or_clash(key, chosen).map_err(unfit)
    }

    /// Deletes a row if that is what is to be done; whether it is gone.
    pub(super) fn delete(&mut self, key: &Key, action: Action) -> Result<bool> {
        if action != Action::Delete {
            return Ok(false);
        }
        let deleted = self.writer.delete(key)?;
        match deleted {
            Deleted::Gone => self.counts.deleted += 1,
            Deleted::Ignored => self.counts.ignored += 1,
            Deleted::Absent => {}
        }
        Ok(deleted != Deleted::Ignored)
    }

    /// Keys of the rows that meet a condition and that `is_meant` names.
    ///
    /// # Errors
    /// SQLite's.
    pub fn keys(
        &self,
        condition: &str,
        values: &[ValueRef<'_>],
        is_meant: impl Fn(ValueRef<'_>) -> bool,
    ) -> Result<Vec<Key>> {
        let sql = format!(
            "SELECT {} FROM {} WHERE ({condition})",
            self.binding.key_name(),
            self.binding.qualified
        );
        let mut scan = self.database.connection().prepare(&sql)?;
        scan.bind_all(values)?;
        let mut keys = Vec::new();
        while scan.step()? {
            if is_meant(scan.column(0)) {
                keys.push(Key(scan.column(0).to_owned()));
            }
        }
        Ok(keys)
    }

    /// How many rows meet a condition.
    ///
    /// # Errors
    /// SQLite's.
    pub fn meeting(&self, condition: &str, values: &[ValueRef<'_>]) -> Result<i64> {
        let sql = format!(
            "SELECT count(*) FROM {} WHERE ({condition})",
            self.binding.qualified
        );
        let count = self.database.query_value(&sql, values)?;
        Ok(count.as_i64().unwrap_or(0))
    }

    /// Keys of the rows that something is logged of, that are not here, and that `is_meant` names.
    ///
    /// # Errors
    /// SQLite's.
    pub fn absent(&mut self, is_meant: impl Fn(ValueRef<'_>) -> bool) -> Result<Vec<Key>> {
        let mut absent = Vec::new();
        let writer = &mut self.writer;
        self.knowledge.rows()?.each(|pending| {
            if is_meant(pending.key.0.borrow()) && !writer.find(pending)? {
                absent.push(pending.key.clone());
            }
            writer.release();
            Ok(())
        })?;
        Ok(absent)
    }

    /// The rows that wait to be sent and are here, as JSON.
    ///
    /// # Errors
    /// SQLite's.
    pub fn edited(&mut self) -> Result<KeyMap<String>> {
        let mut edited = KeyMap::default();
        let (writer, knowledge, binding) = (&mut self.writer, &self.knowledge, self.binding);
        knowledge.rows()?.each(|pending| {
            let exists = writer.find(pending)?;
            let local = knowledge.local(pending, exists)?;
            if matches!(local, Local::Created | Local::Updated) {
                let key = &pending.key;
                let kept = writer.kept(key, Some(pending))?;
                let row = local_json(writer, binding, (key, kept), pending);
                edited.insert(key.clone(), row)?;
            }
            writer.release();
            Ok(())
        })?;
        Ok(edited)
    }

    /// Whether a row is there.
    ///
    /// # Errors
    /// SQLite's.
    pub fn has(&mut self, key: &Key) -> Result<bool> {
        let exists = self.writer.find_key(key)?;
        self.writer.release();
        Ok(exists)
    }

    /// Columns of a row, each with what it held, were written by a foreign key's action, because what they referred to was
    /// deleted there. Nobody here has edited them: the server's values are kept aside, so that they go up again with the
    /// row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn emptied(&mut self, key: &Key, columns: &[(usize, Value)]) -> Result<()> {
        let pending = self.waiting(key)?;
        let pending = pending.as_ref();
        let kept = self.writer.kept(key, pending)?;
        let exists = self.writer.find_key(key)?;
        let is_made = match pending {
            Some(pending) => self.knowledge.local(pending, exists)? == Local::Created,
            None => false,
        };
        let mut values = Vec::new();
        for (position, before) in columns.iter().filter(|_| exists && !is_made) {
            let mut places = self.binding.columns.iter();
            let Some(place) = places.position(|own| own == position) else {
                continue;
            };
            let is_edited = pending.is_some_and(|pending| pending.changed(*position));
            let is_kept = kept.get(place).is_some_and(Option::is_some);
            if !is_edited && !is_kept && self.writer.value(place) != before.borrow() {
                values.push((place, before));
            }
        }
        self.writer.release();
        for (place, before) in values {
            let mut json = Vec::new();
            let kind = self.binding.wire.columns[place].kind;
            show(&mut json, kind, Face::Value(before.borrow()));
            let json = String::from_utf8_lossy(&json);
            self.writer.keep_one(key, place, &json)?;
        }
        Ok(())
    }

    /// Writes into a row what is kept aside of one of its columns, unless that was edited here; whether it was written.
    ///
    /// # Errors
    /// SQLite's.
    pub fn refill(&mut self, key: &Key, place: usize, row: &[Slot<'_>]) -> Result<bool> {
        let pending = self.waiting(key)?;
        let kept = self.writer.kept(key, pending.as_ref())?;
        let counts = kept.get(place).is_some_and(Option::is_some);
        if !counts || !self.writer.find_key(key)? {
            self.writer.release();
            return Ok(false);
        }
        Ok(self.writer.update(key, row)? == Written::Updated)
    }

    /// Records a row that was edited here and is gone now.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record_gone(&mut self, key: &Key, row: String) -> Result<()> {
        let sides = Sides {
            local: Some(row),
            ..Sides::default()
        };
        self.record(key, Kind::DeletedRemotely, false, &sides)
    }

    /// Records that a row gives its number to one of the server, which may be the one that it is a part of.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record_rekeyed(
        &mut self,
        key: &Key,
        new: &Value,
        row: Option<&[Slot<'_>]>,
    ) -> Result<()> {
        let Some(pending) = self.knowledge.pending(key)? else {
            return Ok(());
        };
        let (mut local, mut resolved) = (None, None);
        if self.writer.find(&pending)? {
            let kept = self.writer.kept(key, Some(&pending))?;
            let new = Key(new.clone());
            let shown = |key, kept| local_json(&self.writer, self.binding, (key, kept), &pending);
            local = Some(shown(key, kept.clone()));
            resolved = Some(shown(&new, kept));
        }
        self.writer.release();
        let sides = Sides {
            local,
            remote: row.map(|row| remote_json(&self.binding.wire, key.0.borrow(), row)),
            resolved,
        };
        self.record(key, Kind::Rekeyed, false, &sides)
    }

    /// A row of the server is the one that was made here under its key, which is counted.
    pub fn are_one(&mut self, key: &Key) {
        self.knowledge.are_one(key);
    }

    /// What waited of a row is another key's now.
    ///
    /// # Errors
    /// SQLite's.
    pub fn moved_away(&mut self, key: &Key) -> Result<()> {
        self.effects.note(key, Effect::Settled)
    }

    /// What became of the rows, and warnings.
    ///
    /// # Errors
    /// SQLite's.
    pub fn finish(self) -> Result<(Counts, Vec<Warning>)> {
        let mut warnings = self.counts.warnings(&self.binding.entity);
        warnings.extend(self.kept_warnings());
        warnings.extend(self.policy_warning());
        warnings.extend(self.unreadable_warning());
        self.conflicts.finish()?;
        Ok((self.counts, warnings))
    }

    /// A constraint error that names the row it is about.
    pub fn named(&self, trouble: impl Into<Trouble>, key: &Key) -> SyncError {
        let error = match trouble.into() {
            Trouble::Taken | Trouble::UsedAgain(_) => return SyncError::bug(),
            Trouble::Undecided(problem) => {
                return resolver::failed(&self.binding.entity, &shown(&key.0), &problem);
            }
            Trouble::Store(error) | Trouble::Clash(error, _) => error,
        };
        if !error.is_constraint() {
            return error.into();
        }
        SyncError::data(format!(
            "the row {} of {} can't be stored: {error}; nothing of this answer was applied",
            quoted(&shown(&key.0)),
            quoted(&self.binding.table.shape.name)
        ))
    }

    /// The pending changes of a row, unless this answer has settled it.
    pub(super) fn waiting(&self, key: &Key) -> Result<Option<Pending>> {
        if self.knowledge.is_empty() || self.effects.is_settled(key)? {
            return Ok(None);
        }
        self.knowledge.pending(key)
    }

    /// The row that the writer has found as JSON, with its pending changes.
    fn local_json(&mut self, pending: &Pending) -> Result<String> {
        let (key, binding) = (&pending.key, self.binding);
        let kept = self.writer.kept(key, Some(pending))?;
        Ok(local_json(&self.writer, binding, (key, kept), pending))
    }

    /// Whether a row comes as it is here, but for what was edited here since.
    fn is_copy(&self, pending: &Pending, row: &[Slot<'_>]) -> bool {
        let edited = |position: &usize| pending.changed(*position);
        let columns = row.iter().zip(&self.binding.columns);
        let others: Vec<Slot<'_>> = columns
            .map(|(slot, position)| match edited(position) {
                true => Slot::Missing,
                false => slot.clone(),
            })
            .collect();
        !self.writer.differs(&others)
    }

    /// Whether the server has a value that can't be here in a column that was edited here: whatever is in the
    /// column, it is not that.
    fn edits_kept(&self, pending: &Pending, row: &[Slot<'_>]) -> bool {
        let mut columns = row.iter().zip(&self.binding.columns);
        columns.any(|(slot, position)| slot.kept().is_some() && pending.changed(*position))
    }

    /// Values that came and are kept aside, by column.
    fn kept_warnings(&self) -> impl Iterator<Item = Warning> {
        let entity = &self.binding.entity;
        let came = self.writer.asides.came.iter();
        came.zip(&self.binding.wire.columns)
            .filter(|(count, _)| **count > 0)
            .map(move |(count, column)| aside::warning(entity, &column.name, *count))
    }

    /// A policy that can't do what it says.
    fn policy_warning(&self) -> Option<Warning> {
        let Policy::LastWriteWins(column) = &self.judge.policy else {
            return None;
        };
        let mut columns = self.binding.wire.columns.iter();
        let is_there = columns.any(|known| known.name.eq_ignore_ascii_case(column));
        (self.counts.conflicts > 0 && !is_there).then(|| {
            let entity = &self.binding.entity;
            let message = format!(
                "{entity}: lastWriteWins compares {}, which is not a synced column, so the server won",
                quoted(column)
            );
            Warning::new("lastWriteWinsColumn", message).of(entity)
        })
    }

    /// Times that are none.
    fn unreadable_warning(&self) -> Option<Warning> {
        let Policy::LastWriteWins(column) = &self.judge.policy else {
            return None;
        };
        let entity = &self.binding.entity;
        let message = format!(
            "{entity}: lastWriteWins compares {}, which held no time that can be read; such rows were compared as \
             text and numbers are",
            quoted(column)
        );
        let warning = Warning::new("lastWriteWinsUnreadable", message).of(entity);
        (self.judge.unreadable > 0).then(|| warning.times(self.judge.unreadable))
    }

    pub(super) fn record(
        &mut self,
        key: &Key,
        kind: Kind,
        by_policy: bool,
        sides: &Sides,
    ) -> Result<()> {
        let policy = by_policy.then(|| self.judge.policy.name());
        let (entity, key) = (&self.binding.entity, key.0.borrow());
        self.counts.conflicts += 1;
        if self.knowledge.rules.redelivers && self.conflicts.is_known(entity, key, kind, sides)? {
            return Ok(());
        }
        self.conflicts.record(entity, key, kind, policy, sides)
    }

    fn count(&mut self, case: &Case, key: &Key, action: Action, written: Written) -> Result<()> {
        self.count_announcement(case, key, action, written)?;
        self.count_written(written);
        Ok(())
    }

    /// Our own row coming back as created is no mistake of the server's.
    fn count_announcement(
        &mut self,
        case: &Case,
        key: &Key,
        action: Action,
        written: Written,
    ) -> Result<()> {
        // What comes again for the sake of a column is no news of the row.
        let wrongly =
            self.binding.awaited.is_empty() && is_announced_wrongly(case, action, written);
        if wrongly && !(case.remote == Remote::Created && self.knowledge.was_pushed(key)?) {
            self.counts.announced_wrongly += 1;
        }
        Ok(())
    }

    fn count_written(&mut self, written: Written) {
        let counter = match written {
            Written::Inserted => &mut self.counts.inserted,
            Written::Ignored | Written::IgnoredHere => &mut self.counts.ignored,
            Written::Updated => &mut self.counts.updated,
            Written::Unchanged => &mut self.counts.unchanged,
        };
        *counter += 1;
    }
}
