//! Settling: what the server said about the rows that were sent, recorded in one transaction.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::capture::{Key, log};
use crate::ground::{SyncError, Warning, quoted};
use crate::providers::conversation::Manners;
use crate::providers::sink::{Sent, Verdict};
use crate::providers::wire::{ChangeKind, WireId};
use crate::store::{Database, Result, Value};

use super::fate::{Fate, Met, MetRow, Refusal};
use super::frozen::{Entries, Frozen};
use super::rejected::{leave_out_from, reject};
use super::renamed::Renamed;
use super::{outbox, rekey, room};
use crate::transfer::binding::Binding;
use crate::transfer::counts::Counts;
use crate::transfer::held::keep;
use crate::transfer::peer;
use crate::transfer::same_row::is_same_row;
use crate::transfer::version::{self, Version, Versions};

/// How many numbers of changes are left out, at least, when some turn out to be used.
const NUMBERS_LEFT_OUT: i64 = 1000;

/// Beyond it numbers of changes are not believed.
const HIGHEST_NUMBER: i64 = 1 << 60;

/// The reason of a refusal that the server gives none for.
const NO_REASON: &str = "rejected by the backend";

/// A row of the outbox.
struct SentRow {
    /// Its number in the outbox.
    id: i64,
    /// The number of the change.
    change: i64,
    place: usize,
    key: Value,
    kind: String,
    /// Last log entry of the row that was sent.
    upto: i64,
    /// The version that it is based on.
    base: i64,
    /// It was sent before this answer's request.
    repeated: bool,
}

impl SentRow {
    fn is_delete(&self) -> bool {
        self.kind == ChangeKind::Deleted.as_str()
    }
}

/// What the verdicts on a parcel came to.
#[derive(Debug, Default)]
pub struct Settled {
    /// Of each binding.
    pub counts: Vec<Counts>,
    pub warnings: Vec<Warning>,
    /// Rows that the server has in place of those that were sent, to be applied now.
    pub met: Vec<MetRow>,
    /// Rows that are to be sent once more at once, each alone and as a new change.
    pub again: Vec<Frozen>,
    /// What the server said of the first row that it did not take.
    pub said: Option<String>,
    pub acknowledged: Acknowledged,
}

/// Rows that an answer has settled, by table and key.
#[derive(Debug, Default)]
pub struct Acknowledged {
    pub rows: HashSet<(i64, Key)>,
    /// What is still logged of them comes behind this entry of the log.
    pub upto: i64,
}

/// Gathers the verdicts on one parcel and records what they come to.
pub struct Settler<'a> {
    database: &'a Database,
    provider: &'a str,
    bindings: &'a [Binding],
    frozen: &'a Frozen,
    manners: &'a Manners,
    /// Blacks out in a reason what must not be kept.
    clean: &'a dyn Fn(&str) -> String,
    /// The request was sent again after an attempt that may have arrived.
    repeated: bool,
    by_change: HashMap<i64, Fate>,
    by_id: Vec<HashMap<String, Fate>>,
    rest: Option<Fate>,
    /// Rows that the server may or may not have, for each binding.
    doubted: Vec<i64>,
    settled: Settled,
    /// Rows that the server has, with the last log entry that it has of each.
    taken: log::RowsUpTo,
    /// Rows that have another key from now on.
    renamed: Vec<Renamed<'a>>,
}

impl<'a> Settler<'a> {
    pub fn new(
        database: &'a Database,
        provider: &'a str,
        bindings: &'a [Binding],
        frozen: &'a Frozen,
        manners: &'a Manners,
        clean: &'a dyn Fn(&str) -> String,
    ) -> Self {
        Self {
            database,
            provider,
            bindings,
            frozen,
            manners,
            clean,
            repeated: false,
            by_change: HashMap::new(),
            by_id: vec![HashMap::new(); bindings.len()],
            rest: None,
            doubted: vec![0; bindings.len()],
            settled: Settled {
                counts: vec![Counts::default(); bindings.len()],
                ..Settled::default()
            },
            taken: log::RowsUpTo::new(),
            renamed: Vec::new(),
        }
    }

    /// `repeated`: the request was sent again after an attempt that may have arrived. Then only a yes says what the
    /// server has: a no may be about the second attempt alone, just because the first one arrived.
    pub fn of_repeated(self, repeated: bool) -> Self {
        Self { repeated, ..self }
    }

    /// Takes note of a verdict. The last one about a row counts.
    ///
    /// # Errors
    /// An unknown entity; a second verdict on a change.
    pub fn verdict(&mut self, sent: Sent<'_>, verdict: Verdict<'_>) -> Result<(), SyncError> {
        let fate = match Fate::of(verdict) {
            // Where a push is sent again as it was, the first attempt has the same answer, unless it still goes on.
            Fate::Refused(refusal)
                if self.repeated && !(self.manners.resends && refusal.for_good) =>
            {
                Fate::Unsure
            }
            Fate::Conflict(_) if self.repeated && !self.manners.resends => Fate::Unsure,
            fate => fate,
        };
        match sent {
            Sent::Change(change) => {
                if self.by_change.insert(change, fate).is_some() {
                    return Err(SyncError::protocol(format!(
                        "the answer says twice what became of change {change}; all rows stay pending"
                    )));
                }
            }
            Sent::Row(place, id) => {
                let ids = self.by_id.get_mut(place).ok_or_else(|| {
                    SyncError::protocol("the answer names a table that was not sent")
                })?;
                ids.insert(id.to_owned(), fate);
            }
            Sent::Rest => self.rest = Some(fate),
        }
        Ok(())
    }

    /// Takes out of the log what the server has, keeps what it did not accept, with the reason, and closes the
    /// push. Call inside a transaction.
    ///
    /// # Errors
    /// Rows without a verdict, verdicts on changes that were not sent; SQLite's.
    pub fn finish(mut self) -> Result<Settled, SyncError> {
        forget_old_rejections(self.database, self.provider, self.frozen.push)?;
        self.count_sent()?;
        if self.all_plain()? {
            self.acknowledge_all()?;
        } else {
            self.settle_each()?;
        }
        self.refuse_strangers()?;
        let doubts = self.doubts();
        self.settled.warnings.extend(doubts);
        Ok(self.settled)
    }

    /// An id that was not sent may be meant for a row that is written differently here: to take that row for one that
    /// the server has would lose it.
    fn refuse_strangers(&self) -> Result<(), SyncError> {
        if !self.by_change.is_empty() {
            return Err(SyncError::protocol(format!(
                "the answer names {} changes that were not sent; all rows stay pending",
                self.by_change.len()
            )));
        }
        for (binding, ids) in self.bindings.iter().zip(&self.by_id) {
            let mut ids: Vec<&String> = ids.keys().collect();
            ids.sort_unstable();
            for id in ids {
                self.refuse_stranger(binding, id)?;
            }
        }
        Ok(())
    }

    /// A row that was rejected before, by the part of the push before this one, say, may be named again.
    fn refuse_stranger(&self, binding: &Binding, id: &str) -> Result<(), SyncError> {
        let rejected = self.database.query_value(
            "SELECT 1 FROM main._syncRejected \
             WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3 AND content IS NOT NULL",
            &[
                self.provider.into(),
                binding.table.id.into(),
                binding.key(id).unwrap_or_default().borrow(),
            ],
        )?;
        if rejected != Value::Null {
            return Ok(());
        }
        Err(SyncError::protocol(format!(
            "the answer to the push names a row of {} that was not sent, so nobody knows what became of \
             the rows that were; the next pull shows it",
            quoted(&binding.wire.name)
        ))
        .saying(id))
    }

    /// Rows that the server rejected in an answer that does not say what it made of them.
    fn doubts(&self) -> Vec<Warning> {
        let doubts = self.bindings.iter().zip(&self.doubted);
        let doubts = doubts.filter(|(_, count)| self.repeated && **count > 0);
        doubts
            .map(|(binding, count)| {
                let entity = &binding.wire.name;
                let message = format!(
                    "{}: rows rejected in the answer to a push that was sent twice, the first time without \
                     an answer; the next pull shows whether they arrived then",
                    quoted(entity)
                );
                Warning::new("rejectedAfterRepeat", message)
                    .of(entity)
                    .times(*count)
            })
            .collect()
    }

    /// Whether the server accepted all that it did not refuse, which is settled by a range of the log.
    fn all_plain(&self) -> Result<bool> {
        if !self.covers_a_range() || !self.rest.as_ref().is_some_and(Fate::is_plain) {
            return Ok(false);
        }
        let refused = |fate: &Fate| matches!(fate, Fate::Refused(_));
        let mut named = self
            .by_change
            .values()
            .chain(self.by_id.iter().flat_map(HashMap::values))
            .peekable();
        // Where a push is sent again as it was, a no to a later attempt says nothing of the first.
        let is_first =
            named.peek().is_none() || !self.manners.resends || self.is_first_attempt()?;
        Ok(is_first && named.all(refused))
    }

    /// Whether the parcel covers all that the log says up to its end, and a plain yes says that the server has a row as it
    /// was sent.
    fn covers_a_range(&self) -> bool {
        // What is sent again may leave out what was logged since; where versions are counted, a yes names one.
        let is_whole = !self.frozen.resent && !self.manners.versions;
        !self.manners.resends || (is_whole && !self.manners.one_by_one)
    }

    fn is_first_attempt(&self) -> Result<bool> {
        Ok(!self.repeated && outbox::attempts(self.database, self.frozen.push)? <= 1)
    }

    /// Counts all rows as pushed; those that were not are taken off again.
    fn count_sent(&mut self) -> Result<()> {
        for (binding, counts) in self.bindings.iter().zip(&mut self.settled.counts) {
            let sent = self.database.query_value(
                "SELECT count(*) FROM main._syncOutbox WHERE pushId = ?1 AND tbl = ?2",
                &[self.frozen.push.into(), binding.table.id.into()],
            )?;
            counts.pushed = sent.as_i64().unwrap_or(0);
        }
        Ok(())
    }

    /// Linear in the number of rows: the log is acknowledged by range.
    fn acknowledge_all(&mut self) -> Result<()> {
        for place in 0..self.bindings.len() {
            if self.by_id[place].is_empty() && self.by_change.is_empty() {
                continue;
            }
            let is_named = |row: &SentRow| {
                let id = self.id_of(row);
                self.by_change.contains_key(&row.change)
                    || id.is_some_and(|id| self.by_id[place].contains_key(&id))
            };
            for row in self.rows(place, is_named)? {
                if let Some(Fate::Refused(refusal)) = self.named(&row) {
                    self.refuse(&row, &refusal)?;
                }
            }
        }
        keep::all_taken(self.database, self.provider, self.frozen.push)?;
        match &self.frozen.entries {
            Some(entries) => log::acknowledge_entries(self.database, self.provider, entries)?,
            None => {
                for binding in self.bindings {
                    let (table, upto) = (binding.table.id, self.frozen.upto);
                    log::acknowledge(self.database, self.provider, table, upto)?;
                }
            }
        }
        outbox::close(
            self.database,
            self.provider,
            self.frozen.push,
            outbox::State::Acknowledged,
        )
    }

    /// Every row by its own verdict.
    fn settle_each(&mut self) -> Result<(), SyncError> {
        let mut unsure = Vec::new();
        let mut swallowed = Vec::new();
        let mut silent = 0;
        for place in 0..self.bindings.len() {
            for row in self.rows(place, |_| true)? {
                match self.named(&row).or_else(|| self.rest.clone()) {
                    Some(Fate::Taken { version, .. }) if self.is_swallowed(&row, version) => {
                        swallowed.push(row);
                    }
                    // What is pending of it now was decided against what came later, and stays so.
                    Some(Fate::Taken { version, .. }) if self.is_overtaken(&row, version)? => {
                        outbox::remove(self.database, row.id)?;
                    }
                    Some(Fate::Taken {
                        version,
                        new_id,
                        image,
                    }) => {
                        let key = self.take(&row, version, new_id)?;
                        self.settled.met.extend(image.map(|image| MetRow {
                            place,
                            key: Key(key),
                            slots: image.slots,
                            version: image.version,
                            taken: true,
                        }));
                    }
                    Some(Fate::Refused(refusal)) if self.may_go_on(&row, &refusal) => {
                        self.doubt(&row, &mut unsure);
                    }
                    Some(Fate::Refused(refusal)) => self.refuse(&row, &refusal)?,
                    Some(Fate::Conflict(met)) => self.meet(row, met)?,
                    Some(Fate::Untouched) => {
                        self.settled.counts[place].pushed -= 1;
                        outbox::remove(self.database, row.id)?;
                    }
                    Some(Fate::Unsure) => self.doubt(&row, &mut unsure),
                    None => silent += 1,
                }
            }
        }
        if silent > 0 {
            return Err(SyncError::protocol(format!(
                "the answer does not mention {silent} of the rows that were sent; all stay pending"
            )));
        }
        log::forget(self.database, &self.taken)?;
        let moved = room::make(self.database, self.bindings, &self.renamed)?;
        self.renamed.extend(moved);
        rekey::rename(self.database, &self.renamed)?;
        // Of rows that were frozen at another time more may be logged, and so may be under another key.
        if !self.frozen.resent && self.renamed.is_empty() {
            self.settled.acknowledged = Acknowledged {
                rows: std::mem::take(&mut self.taken).into_keys().collect(),
                upto: self.frozen.upto,
            };
        }
        self.send_again(&swallowed)?;
        let push = self.frozen.push;
        outbox::close_but(self.database, self.provider, push, &unsure)?;
        Ok(())
    }

    /// What the answer says of a row by its number or its key; that is said only once.
    fn named(&mut self, row: &SentRow) -> Option<Fate> {
        let by_change = self.by_change.remove(&row.change);
        let id = self.id_of(row);
        let by_id = id.and_then(|id| self.by_id[row.place].remove(&id));
        by_change.or(by_id)
    }

    /// A row as the server names it.
    fn id_of(&self, row: &SentRow) -> Option<String> {
        let entity = &self.bindings[row.place].wire;
        entity.id_of(row.key.borrow()).map(Cow::into_owned)
    }

    /// The rows of the push that are `wanted`.
    fn rows(&self, place: usize, wanted: impl Fn(&SentRow) -> bool) -> Result<Vec<SentRow>> {
        let mut sent = self.database.prepare(
            "SELECT id, pk, kind, uptoSeq, coalesce(change, id), coalesce(base, 0), attempts \
             FROM main._syncOutbox WHERE pushId = ?1 AND tbl = ?2",
        )?;
        let table = self.bindings[place].table.id;
        sent.bind_all(&[self.frozen.push.into(), table.into()])?;
        let mut rows = Vec::new();
        while sent.step()? {
            let row = SentRow {
                id: sent.integer(0),
                place,
                key: sent.column(1).to_owned(),
                kind: sent.text(2),
                upto: sent.integer(3),
                change: sent.integer(4),
                base: sent.integer(5),
                repeated: self.repeated || sent.integer(6) > 1,
            };
            if wanted(&row) {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// The server has a row. Returns the key that it has from now on.
    fn take(
        &mut self,
        row: &SentRow,
        counted: Option<i64>,
        new_id: Option<WireId<'static>>,
    ) -> Result<Value, SyncError> {
        let binding = &self.bindings[row.place];
        let table = binding.table.id;
        let sent = Key(row.key.clone());
        if row.kind == "updated" {
            keep::taken(self.database, self.provider, table, &sent)?;
        }
        self.taken.insert((table, sent), row.upto);
        let mut key = row.key.clone();
        if let Some(id) = new_id {
            let new = binding.wire_key(&id).ok_or_else(|| {
                SyncError::protocol(format!(
                    "the server gave a row of {} an id that its key can't hold; all rows stay pending",
                    quoted(&binding.entity)
                ))
            })?;
            if new != key {
                let old = std::mem::replace(&mut key, new.clone());
                self.renamed.push(Renamed::of(&binding.table, old, new));
            }
        }
        let deleted = row.is_delete();
        match counted {
            Some(counted) => {
                let version = Version {
                    number: counted,
                    deleted,
                    met: false,
                    told: true,
                };
                version::store(self.database, self.provider, (table, &key), version)?;
            }
            // The server never had it.
            None if deleted && self.manners.versions => {
                version::forget(self.database, self.provider, table, &key)?;
            }
            None => {}
        }
        Ok(key)
    }

    /// Whether something newer of the row has come since it was sent: that is what the server holds now.
    fn is_overtaken(&self, row: &SentRow, version: Option<i64>) -> Result<bool> {
        let Some(version) = version else {
            return Ok(false);
        };
        let table = self.bindings[row.place].table.id;
        let mut versions = Versions::of(self.database, self.provider, table)?;
        let known = versions.get(&Key(row.key.clone()))?;
        Ok(known.is_some_and(|known| known.number > version && known.number != row.base))
    }

    /// Whether an answer that takes a row only says that its number was seen before: the content may have been dropped.
    fn is_swallowed(&self, row: &SentRow, version: Option<i64>) -> bool {
        let is_versioned = self.manners.resends && self.manners.versions;
        // That a row is gone which was never there needs no version.
        let has_version = !row.is_delete() || (row.base > 0 && row.repeated);
        is_versioned && version.is_none() && has_version
    }

    /// Whether a refusal may be about a second attempt alone, while the first one goes on.
    fn may_go_on(&self, row: &SentRow, refusal: &Refusal) -> bool {
        self.manners.resends && row.repeated && !refusal.for_good
    }

    /// The server may or may not have the row.
    fn doubt(&mut self, row: &SentRow, unsure: &mut Vec<i64>) {
        self.settled.counts[row.place].pushed -= 1;
        self.doubted[row.place] += 1;
        unsure.push(row.id);
    }

    /// Sends rows once more, each alone and under a new number: that shows what the server has.
    fn send_again(&mut self, rows: &[SentRow]) -> Result<(), SyncError> {
        // What was never sent before and is known all the same: somebody has used our numbers, after a new installation
        // of the program, say. Far beyond them nobody has.
        let used = rows
            .iter()
            .filter(|row| !row.repeated)
            .map(|row| row.change);
        if let Some(last) = used.max() {
            let next = last
                .checked_mul(2)
                .and_then(|next| next.checked_add(NUMBERS_LEFT_OUT));
            let next = next.filter(|next| *next < HIGHEST_NUMBER).ok_or_else(|| {
                SyncError::protocol(
                    "the server takes changes without saying which version they made; all rows stay pending",
                )
            })?;
            peer::store_next_change(self.database, self.provider, next)?;
            let message = "the server knew numbers of changes that were new here; give every device a name of its own";
            let warning = Warning::new("changeNumbersUsed", message);
            self.settled.warnings.push(warning.times(rows.len() as i64));
        }
        for row in rows {
            self.settled.counts[row.place].pushed -= 1;
            let change = peer::take_numbers(self.database, self.provider, 1)?;
            let push =
                outbox::move_to_new_push(self.database, self.frozen.push, [row.id].into_iter())?;
            self.database.execute(
                "UPDATE main._syncOutbox SET change = ?2, attempts = 0 WHERE id = ?1",
                &[row.id.into(), change.into()],
            )?;
            self.settled.again.push(Frozen {
                push,
                rows: 1,
                entries: Some(Entries::new()),
                circle: false,
                ..self.frozen.clone()
            });
        }
        Ok(())
    }

    /// The server has another state of the row. One that is equal to what was sent is what was sent.
    fn meet(&mut self, row: SentRow, met: Option<Met>) -> Result<(), SyncError> {
        if let Some(met) = &met {
            if met.entity != row.place {
                return Err(SyncError::protocol(format!(
                    "the answer puts change {} into another table; all rows stay pending",
                    row.change
                )));
            }
            if self.is_as_sent(&row, met)? {
                return self.take(&row, met.version, None).map(drop);
            }
        }
        self.settled.counts[row.place].pushed -= 1;
        self.settled.counts[row.place].met += 1;
        outbox::remove(self.database, row.id)?;
        self.settled.met.extend(met.map(|met| MetRow {
            place: row.place,
            key: Key(row.key),
            slots: met.slots,
            version: met.version,
            taken: false,
        }));
        Ok(())
    }

    fn is_as_sent(&self, row: &SentRow, met: &Met) -> Result<bool> {
        let slots = match (row.is_delete(), &met.slots) {
            (true, None) => return Ok(true),
            (false, Some(slots)) => slots,
            _ => return Ok(false),
        };
        let content = self.content(row)?;
        let binding = &self.bindings[row.place];
        let is_same = |content: &str| is_same_row(content, binding, slots, &[], false);
        Ok(content.as_str().is_some_and(is_same))
    }

    fn content(&self, row: &SentRow) -> Result<Value> {
        self.database.query_value(
            "SELECT content FROM main._syncOutbox WHERE id = ?1",
            &[row.id.into()],
        )
    }

    /// The row stays pending, and is not on its way either.
    fn refuse(&mut self, row: &SentRow, refusal: &Refusal) -> Result<()> {
        let content = self.content(row)?;
        let clean = |text: &Option<String>| text.as_deref().map(self.clean);
        let (reason, message) = (clean(&refusal.reason), clean(&refusal.message));
        let shown = match (&reason, &message) {
            (Some(reason), Some(message)) => format!("{reason}: {message}"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => NO_REASON.to_owned(),
        };
        let table = self.bindings[row.place].table.id;
        reject(
            self.database,
            self.provider,
            table,
            &row.key,
            &row.kind,
            &shown,
            content.as_str(),
        )?;
        if refusal.for_good {
            leave_out_from(self.database, self.provider, table, (&row.key, row.upto))?;
        }
        outbox::remove(self.database, row.id)?;
        let counts = &mut self.settled.counts[row.place];
        counts.pushed -= 1;
        match refusal.unprojected {
            true => counts.unprojected(),
            false => counts.refuse(reason.as_deref().unwrap_or(&shown)),
        }
        if let Some(message) = message {
            self.settled.said.get_or_insert(message);
        }
        Ok(())
    }
}

/// Rows that are sent again have a new fate.
fn forget_old_rejections(database: &Database, provider: &str, push: i64) -> Result<()> {
    let any = database.query_value(
        "SELECT 1 FROM main._syncRejected WHERE provider = ?1 LIMIT 1",
        &[provider.into()],
    )?;
    if any == Value::Null {
        return Ok(());
    }
    database.execute(
        "DELETE FROM main._syncRejected WHERE provider = ?1 \
         AND (tbl, pk) IN (SELECT tbl, pk FROM main._syncOutbox WHERE pushId = ?2)",
        &[provider.into(), push.into()],
    )?;
    Ok(())
}
