//! Where the answers of a run go: rows to the applier, verdicts to the settler.

use std::collections::HashSet;

use crate::capture::Key;
use crate::ground::SyncError;
use crate::hub::{Carry, Named, Stamp};
use crate::providers::sink::{Image, KnownVersion, RemoteRow, Scope, Sent, Sink, Verdict};
use crate::providers::wire::WireId;
use crate::store::{Result, Value};

use super::apply::{Applier, Came, Setting};
use super::binding::Binding;
use super::counts::Counts;
use super::expression::Expressions;
use super::held;
use super::send::family::MadeHere;
use super::send::settle::{Acknowledged, Settler};
use super::send::unacknowledged::Unacknowledged;

/// Takes one answer, in the caller's transaction.
pub struct Intake<'a> {
    setting: &'a Setting<'a>,
    bindings: &'a [Binding],
    unacknowledged: &'a Unacknowledged,
    settler: Option<Settler<'a>>,
    /// Made for the first row: most answers to a push have none.
    applier: Option<Applier<'a>>,
    /// Tables of which the server has told all that it has.
    revealed: HashSet<usize>,
    outcome: Came,
    made_here: MadeHere<'a>,
    expressions: Expressions<'a>,
    /// Where this file is one that others sync with: when its rows got what they hold. None until the first is said.
    carry: Option<Option<Carry>>,
}

impl<'a> Intake<'a> {
    /// `settler`: for the answer to rows that were sent.
    pub fn new(
        setting: &'a Setting<'a>,
        bindings: &'a [Binding],
        unacknowledged: &'a Unacknowledged,
        settler: Option<Settler<'a>>,
    ) -> Self {
        Self {
            setting,
            bindings,
            unacknowledged,
            settler,
            applier: None,
            revealed: HashSet::new(),
            made_here: MadeHere::new(setting.database, i64::MAX),
            expressions: Expressions::new(setting.session, setting.database.connection()),
            outcome: Came {
                counts: vec![Counts::default(); bindings.len()],
                ..Came::default()
            },
            carry: None,
        }
    }

    /// The applier. What was sent is settled first: the log then holds what the rows really meet.
    fn applier(&mut self) -> Result<&mut Applier<'a>, SyncError> {
        self.settle()?;
        let applier = match self.applier.take() {
            Some(applier) => applier,
            None => self.begin(Acknowledged::default())?,
        };
        Ok(self.applier.insert(applier))
    }

    fn begin(&self, acknowledged: Acknowledged) -> Result<Applier<'a>> {
        Applier::new(
            self.setting,
            self.bindings,
            self.unacknowledged,
            acknowledged,
        )
    }

    fn settle(&mut self) -> Result<(), SyncError> {
        let Some(settler) = self.settler.take() else {
            return Ok(());
        };
        let settled = settler.finish()?;
        for (total, counts) in self.outcome.counts.iter_mut().zip(&settled.counts) {
            total.add(counts);
        }
        self.outcome.warnings.extend(settled.warnings);
        self.outcome.again = settled.again;
        self.outcome.said = settled.said;
        // What the server has in place of what was sent meets the row like one that was pulled.
        if settled.met.is_empty() {
            return Ok(());
        }
        let applier = self.begin(settled.acknowledged)?;
        let applier = self.applier.insert(applier);
        settled.met.iter().try_for_each(|row| applier.met(row))
    }

    /// The frozen rows are still on their way: nothing is settled. Call in place of [`Intake::finish`].
    ///
    /// # Errors
    /// As [`Intake::finish`].
    pub fn leave_unsettled(mut self) -> Result<Came, SyncError> {
        self.settler = None;
        self.finish(&[])
    }

    /// See [`Applier::reveal`].
    pub fn revealing(mut self, places: HashSet<usize>) -> Self {
        self.revealed = places;
        self
    }

    /// Applies and settles what had to wait. Call once, before the commit. `due`: entities of which this run is yet to
    /// get answers.
    ///
    /// # Errors
    /// SQLite's; an answer that leaves out rows that were sent.
    pub fn finish(mut self, due: &[usize]) -> Result<Came, SyncError> {
        self.settle()?;
        // Rows that are held may fit by now, whatever this answer was about.
        if self.applier.is_none() && held::keep::any(self.setting.database, self.setting.provider)?
        {
            self.applier()?;
        }
        let mut outcome = self.outcome;
        let Some(mut applier) = self.applier else {
            return Ok(outcome);
        };
        applier.reveal(&self.revealed);
        let applied = applier.finish(due)?;
        for (total, counts) in outcome.counts.iter_mut().zip(&applied.counts) {
            total.add(counts);
        }
        outcome.warnings.extend(applied.warnings);
        outcome.comes_again = applied.comes_again;
        if let Some(Some(carry)) = self.carry {
            carry.finish(self.setting.database)?;
        }
        Ok(outcome)
    }
}

impl Sink for Intake<'_> {
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        self.applier()?.row(row)
    }

    fn gone(
        &mut self,
        entity: usize,
        id: &WireId<'_>,
        version: Option<i64>,
    ) -> Result<(), SyncError> {
        self.applier()?.gone(entity, id, version)
    }

    fn scope(&mut self, entity: usize, scope: &Scope<'_>) -> Result<(), SyncError> {
        self.applier()?.scope(entity, scope)
    }

    fn known(&mut self, entity: usize, id: &WireId<'_>) -> Result<Option<KnownVersion>, SyncError> {
        self.applier()?.known(entity, id)
    }

    fn told(&mut self, id: &WireId<'_>, image: &Image<'_>) -> Result<(), SyncError> {
        self.applier()?.told(id, image)
    }

    fn is_here(&mut self, entity: usize, id: &WireId<'_>) -> Result<bool, SyncError> {
        let binding = &self.bindings[entity];
        let Some(key) = binding.wire_key(id) else {
            return Ok(false);
        };
        let sql = format!(
            "SELECT 1 FROM {} WHERE {} IS ?1",
            binding.qualified,
            binding.key_name()
        );
        if self.setting.database.query_value(&sql, &[key.borrow()])? == Value::Null {
            return Ok(false);
        }
        let made_here = self.made_here.has(&binding.table, &Key(key))?;
        Ok(!made_here)
    }

    fn evaluate(&mut self, sql: &str, record: &str) -> Result<Value, SyncError> {
        self.expressions.evaluate(sql, record)
    }

    fn stamped(
        &mut self,
        entity: usize,
        id: &WireId<'_>,
        stamp: &Stamp,
    ) -> Result<Vec<String>, SyncError> {
        if self.carry.is_none() {
            let tables = self.bindings.iter().map(|binding| Named {
                name: binding.table.shape.name.clone(),
                qualified: binding.qualified.clone(),
                key: binding.key_name(),
            });
            self.carry = Some(Carry::begin(self.setting.database, tables)?);
        }
        if let Some(Some(carry)) = &mut self.carry
            && let Some(key) = self
                .bindings
                .get(entity)
                .and_then(|binding| binding.wire_key(id))
        {
            return Ok(carry.note(self.setting.database, entity, key, stamp)?);
        }
        Ok(Vec::new())
    }

    fn verdict(&mut self, sent: Sent<'_>, verdict: Verdict<'_>) -> Result<(), SyncError> {
        match self.settler.as_mut() {
            Some(settler) => settler.verdict(sent, verdict),
            None => self.applier()?.verdict(sent, verdict),
        }
    }
}
