//! Keeping what is applied out of the log.
//!
//! Where nothing but our own triggers would fire, the few rows of a short answer are logged, and all that is taken back; for
//! a long one triggers are off, and nothing is logged. Where triggers of the application may change rows as a side effect, they stay on, and what was logged of the rows applied is taken back,
//! once they are what was applied: the entries of other rows are edits, and stay. What a deleted row took along by a
//! foreign key is no edit of this device either, unless the provider says so.

use std::collections::{HashMap, HashSet};

use crate::capture::Key;
use crate::capture::log::{self, Entry};
use crate::capture::op::Op;
use crate::providers::wire::Slot;
use crate::store::{Database, Result, TriggersOff};
use crate::transfer::binding::Binding;

use super::actions::{Actions, Affected, Foreseen};
use super::side_effects::SideEffects;

/// Rows, and bytes of what they should be, after which entries of other rows are set apart from ours, where others can
/// appear at all.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;

/// Length of an answer from which on triggers are off, and rows after which they are where it was shorter or is not known,
/// if nothing but ours would fire. Each switch has SQLite compile all statements of the connection anew, which takes as long
/// as logging about so many rows, and longer where many tables are synced.
const LONG: u64 = 32 << 10;
const MANY: usize = 200;

/// What became of a row of an answer.
pub enum Applied {
    /// It is to hold these values.
    Row {
        row: Vec<Slot<'static>>,
        wrote: Wrote,
    },
    Gone,
    /// It is right as it is.
    Unchecked,
}

/// What we did to a row, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrote {
    /// It was so before.
    Nothing,
    Over,
    New,
}

/// How a row is found that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    AsApplied,
    Otherwise,
    Gone,
}

impl Applied {
    fn bytes(&self) -> usize {
        let Self::Row { row, .. } = self else {
            return 0;
        };
        let size = |slot: &Slot<'_>| match slot {
            Slot::Text(text) => text.len(),
            Slot::Blob(bytes) => bytes.len(),
            _ => 8,
        };
        row.iter().map(size).sum()
    }
}

/// Makes sure that a row holds what was applied, and says how it is.
pub type Restore<'f> = &'f mut dyn FnMut(i64, &Key, &Applied) -> Result<Found>;

type Row = (i64, Key);

/// What we write, in one transaction.
pub struct OwnWrites<'a> {
    database: &'a Database,
    /// Rows written since `mark`; none where no others can appear in the log.
    written: Option<HashMap<Row, Applied>>,
    bytes: usize,
    /// Other rows that have changed so far.
    others: HashSet<Row>,
    /// Nothing of the application runs.
    alone: bool,
    /// How many rows have been written with triggers on, if `alone`.
    logged: usize,
    effects: SideEffects,
    /// What deletes take along that is not to be sent. Read when the first row is deleted.
    actions: Option<Actions>,
    /// The rows that are to go along, where triggers may delete others.
    foreseen: Foreseen,
    /// How many rows were brought, and are gone now, by table.
    gone: HashMap<i64, i64>,
    send_cascades: bool,
    triggers_off: Option<TriggersOff>,
    /// The log's end before we wrote anything.
    start: i64,
    mark: i64,
}

impl<'a> OwnWrites<'a> {
    /// `start` is the log's end. `asks`: the application's SQL runs while we write. `bytes`: about how much there is to write,
    /// as far as that is known.
    ///
    /// # Errors
    /// SQLite's.
    pub fn begin(
        database: &'a Database,
        bindings: &[Binding],
        start: i64,
        asks: bool,
        bytes: u64,
    ) -> Result<Self> {
        let effects = SideEffects::of(database, bindings)?;
        let send_cascades = bindings.iter().any(|binding| binding.rules.send_cascades);
        // What a delete takes along needs no log if it isn't sent.
        let logged = effects.triggers || effects.updates || (effects.deletes && send_cascades);
        let written = logged.then(HashMap::new);
        let alone = written.is_none() && !asks;
        let is_quiet = alone && bytes >= LONG;
        let triggers_off = is_quiet.then(|| TriggersOff::begin(database.connection()));
        Ok(Self {
            database,
            written,
            bytes: 0,
            others: HashSet::new(),
            alone,
            logged: 0,
            effects,
            actions: None,
            foreseen: Foreseen::new(),
            gone: HashMap::new(),
            send_cascades,
            triggers_off: triggers_off.flatten(),
            start,
            mark: start,
        })
    }

    /// Whether nothing of the application runs while we write.
    pub fn are_alone(&self) -> bool {
        self.alone && !self.effects.deletes
    }

    /// Whether a foreign key may write rows when what they refer to changes.
    pub fn others_may_follow(&self) -> bool {
        self.effects.updates
    }

    /// Whether rows that nobody named may change as a side effect.
    pub fn may_touch_others(&self) -> bool {
        self.written.is_some() || self.effects.deletes
    }

    /// Whether what deleted rows take along is neither logged nor sent.
    pub fn alone_with_cascades(&self) -> bool {
        self.written.is_none() && self.effects.deletes
    }

    /// Whether it must be known what applied rows are to hold.
    pub fn are_watched(&self) -> bool {
        self.effects.triggers
    }

    /// A row was written. True when it is time to [take back](OwnWrites::take_back).
    pub fn wrote(&mut self, table: i64, key: &Key, applied: Applied) -> bool {
        let Some(written) = self.written.as_mut() else {
            self.logged += 1;
            if self.logged == MANY + 1 && self.alone && self.triggers_off.is_none() {
                self.triggers_off = TriggersOff::begin(self.database.connection());
            }
            return false;
        };
        self.bytes += applied.bytes();
        let row = (table, key.clone());
        let changed = match written.get(&row) {
            Some(Applied::Row { wrote, .. }) => *wrote,
            _ => Wrote::Nothing,
        };
        let applied = match applied {
            Applied::Row { row, wrote } => Applied::Row {
                row,
                wrote: wrote.max(changed),
            },
            other => other,
        };
        written.insert(row, applied);
        written.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    /// A row is about to be deleted: what foreign keys are to do to others, and is not to be sent.
    ///
    /// # Errors
    /// SQLite's.
    pub fn foresee(&mut self, table: i64, key: &Key) -> Result<Vec<Affected>> {
        if !self.effects.deletes || self.send_cascades {
            return Ok(Vec::new());
        }
        let affected = self.actions()?.foresee(table, key)?;
        if self.effects.triggers {
            let rows = affected.iter().map(|affected| affected.row.clone());
            self.foreseen.extend(rows);
        }
        Ok(affected)
    }

    fn actions(&mut self) -> Result<&mut Actions> {
        let actions = match self.actions.take() {
            Some(actions) => actions,
            None => Actions::read(self.database)?,
        };
        Ok(self.actions.insert(actions))
    }

    /// Takes back what was logged of the rows written since the last time. Returns rows that went with deleted ones.
    ///
    /// # Errors
    /// SQLite's.
    pub fn take_back(&mut self, restore: Restore<'_>) -> Result<HashSet<Row>> {
        self.bytes = 0;
        let Some(written) = self.written.as_mut() else {
            log::take_back_all(self.database, self.mark)?;
            return Ok(HashSet::new());
        };
        let written = std::mem::take(written);
        let entries = log::newer(self.database, self.mark)?;
        let mut counts: HashMap<&Row, usize> = HashMap::new();
        for entry in &entries {
            *counts.entry(&entry.row).or_default() += 1;
        }
        // Rows that are not what was applied: what was logged of them is an edit.
        let (mut edited, mut gone) = (HashSet::new(), Vec::new());
        for (row, count) in &counts {
            let Some(applied) = written.get(*row) else {
                continue;
            };
            let touched = match applied {
                Applied::Row { wrote, .. } => *count > usize::from(*wrote > Wrote::Nothing),
                Applied::Gone => *count > 1,
                Applied::Unchecked => false,
            };
            if !touched {
                continue;
            }
            let found = restore(row.0, &row.1, applied)?;
            if found == Found::AsApplied {
                continue;
            }
            if found == Found::Gone {
                gone.push((*row).clone());
            }
            edited.insert((*row).clone());
        }
        let is_ours =
            |entry: &&Entry| written.contains_key(&entry.row) && !edited.contains(&entry.row);
        let mut ours: Vec<i64> = entries
            .iter()
            .filter(is_ours)
            .map(|entry| entry.seq)
            .collect();
        let others: Vec<&Entry> = entries.iter().filter(|entry| !is_ours(entry)).collect();
        let deleted = written
            .iter()
            .filter(|(_, applied)| matches!(applied, Applied::Gone));
        let deleted: HashSet<i64> = deleted.map(|(row, _)| row.0).collect();
        let mut swept = HashSet::new();
        if self.effects.deletes && !self.send_cascades && !deleted.is_empty() {
            let foreseen = std::mem::take(&mut self.foreseen);
            let foreseen = self.effects.triggers.then_some(&foreseen);
            let taken = self.actions()?.taken_along(&deleted, &others, foreseen)?;
            ours.extend(taken.entries);
            swept.extend(taken.gone);
        }
        // What we did to a row is no edit of it: the server has the row that we have brought, and not the one that we have
        // taken away.
        let mut met = Vec::new();
        for entry in &entries {
            if !edited.contains(&entry.row) {
                continue;
            }
            match (written.get(&entry.row), entry.op) {
                (Some(Applied::Row { wrote, .. }), Op::Insert) if *wrote == Wrote::New => {
                    match swept.contains(&entry.row) {
                        true => ours.push(entry.seq),
                        false => met.push(entry.seq),
                    }
                }
                (Some(Applied::Gone), Op::Delete) => ours.push(entry.seq),
                _ => continue,
            }
            // Only the first is ours.
            edited.remove(&entry.row);
        }
        log::meet(self.database, &met)?;
        // Where actions are sent, nobody can tell who deleted a row.
        gone.retain(|row| !swept.contains(row) && !self.send_cascades);
        for (table, _) in gone {
            *self.gone.entry(table).or_default() += 1;
        }
        let kept: HashSet<i64> = ours.iter().copied().collect();
        // What others had changed of a row before we wrote it.
        let overwritten: Vec<Row> = written
            .keys()
            .filter(|row| self.others.contains(*row))
            .cloned()
            .collect();
        if !overwritten.is_empty() {
            for row in &overwritten {
                self.others.remove(row);
            }
            let before = log::newer(self.database, self.start)?;
            let before = before
                .iter()
                .filter(|entry| entry.seq <= self.mark && overwritten.contains(&entry.row));
            ours.extend(before.map(|entry| entry.seq));
        }
        self.others.extend(
            others
                .iter()
                .filter(|entry| !kept.contains(&entry.seq))
                .map(|entry| entry.row.clone()),
        );
        log::remove(self.database, &ours)?;
        self.mark = log::high_water(self.database)?;
        Ok(swept)
    }

    /// All is written; as [`OwnWrites::take_back`], and how many rows were brought and are gone now, by table.
    ///
    /// # Errors
    /// SQLite's.
    pub fn finish(mut self, restore: Restore<'_>) -> Result<(HashSet<Row>, HashMap<i64, i64>)> {
        self.triggers_off = None;
        let taken = self.take_back(restore)?;
        Ok((taken, self.gone))
    }
}
