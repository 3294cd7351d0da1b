//! Settling: what the server said about the rows that were sent, recorded in one transaction.

use std::collections::HashMap;

use crate::capture::{Key, log};
use crate::ground::{SyncError, Warning, quoted};
use crate::providers::sink::{Sent, Verdict};
use crate::providers::wire::WireId;
use crate::store::{Database, Result, Value, ValueRef};

use super::freeze::Frozen;
use super::rejected::reject;
use super::{outbox, rekey};
use crate::transfer::binding::Binding;
use crate::transfer::counts::Counts;
use crate::transfer::held::keep;
use crate::transfer::version;

/// A verdict that outlives the answer's text.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    Taken {
        version: Option<i64>,
        new_id: Option<WireId<'static>>,
    },
    Refused(Option<String>),
    Conflict,
    Unsure,
}

impl Fate {
    fn of(verdict: Verdict<'_>) -> Self {
        match verdict {
            Verdict::Taken { version, new_id } => Self::Taken {
                version,
                new_id: new_id.map(|id| id.clone().into_owned()),
            },
            Verdict::Refused(reason) => Self::Refused(reason.map(str::to_owned)),
            Verdict::Conflict => Self::Conflict,
            Verdict::Unsure => Self::Unsure,
        }
    }

    /// The server has the row as it was sent, and that is all there is to write down.
    fn is_plain(&self) -> bool {
        let plain = Self::Taken {
            version: None,
            new_id: None,
        };
        *self == plain
    }
}

/// The reason of a refusal that the server gives none for.
const NO_REASON: &str = "rejected by the backend";

/// A row of the outbox.
struct SentRow {
    /// Its number, which is that of the change.
    id: i64,
    place: usize,
    key: Value,
    kind: String,
    /// Last log entry of the row that was sent.
    upto: i64,
}

/// Gathers the verdicts on one parcel and records what they come to.
pub struct Settler<'a> {
    database: &'a Database,
    provider: &'a str,
    bindings: &'a [Binding],
    frozen: &'a Frozen,
    /// Blacks out in a reason what must not be kept.
    clean: &'a dyn Fn(&str) -> String,
    /// The request was sent again after an attempt that may have arrived.
    repeated: bool,
    by_change: HashMap<i64, Fate>,
    by_id: Vec<HashMap<String, Fate>>,
    rest: Option<Fate>,
    /// Rows that the server may or may not have, for each binding.
    doubted: Vec<i64>,
    counts: Vec<Counts>,
    /// Rows that the server has, with the last log entry that it has of each.
    taken: log::RowsUpTo,
    /// Rows that have another key from now on.
    renamed: Vec<rekey::Renamed<'a>>,
}

impl<'a> Settler<'a> {
    pub fn new(
        database: &'a Database,
        provider: &'a str,
        bindings: &'a [Binding],
        frozen: &'a Frozen,
        clean: &'a dyn Fn(&str) -> String,
    ) -> Self {
        Self {
            database,
            provider,
            bindings,
            frozen,
            clean,
            repeated: false,
            by_change: HashMap::new(),
            by_id: vec![HashMap::new(); bindings.len()],
            rest: None,
            doubted: vec![0; bindings.len()],
            counts: vec![Counts::default(); bindings.len()],
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
    /// An unknown entity.
    pub fn verdict(&mut self, sent: Sent<'_>, verdict: Verdict<'_>) -> Result<(), SyncError> {
        let fate = match Fate::of(verdict) {
            Fate::Refused(_) | Fate::Conflict if self.repeated => Fate::Unsure,
            fate => fate,
        };
        match sent {
            Sent::Change(change) => {
                self.by_change.insert(change, fate);
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
    pub fn finish(mut self) -> Result<(Vec<Counts>, Vec<Warning>), SyncError> {
        forget_old_rejections(self.database, self.provider, self.frozen.push)?;
        self.count_sent()?;
        if self.all_plain() {
            self.acknowledge_all()?;
        } else {
            self.settle_each()?;
        }
        self.refuse_strangers()?;
        let warnings = self.doubts();
        Ok((self.counts, warnings))
    }

    /// An id that was not sent may be meant for a row that is written differently here: to take that row for one that
    /// the server has would lose it.
    fn refuse_strangers(&self) -> Result<(), SyncError> {
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
    fn all_plain(&self) -> bool {
        let refused = |fate: &Fate| matches!(fate, Fate::Refused(_));
        self.rest.as_ref().is_some_and(Fate::is_plain)
            && self.by_change.is_empty()
            && self.by_id.iter().flat_map(HashMap::values).all(refused)
    }

    /// Counts all rows as pushed; those that were not are taken off again.
    fn count_sent(&mut self) -> Result<()> {
        for (binding, counts) in self.bindings.iter().zip(&mut self.counts) {
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
            if self.by_id[place].is_empty() {
                continue;
            }
            let is_named = |row: &SentRow, ids: &HashMap<String, Fate>| {
                wire_id(&row.key).is_some_and(|id| ids.contains_key(&id))
            };
            let named = self.rows(place, |row| is_named(row, &self.by_id[place]))?;
            for row in named {
                let fate = wire_id(&row.key).and_then(|id| self.by_id[place].remove(&id));
                if let Some(Fate::Refused(reason)) = fate {
                    self.refuse(&row, reason.as_deref())?;
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
        let mut silent = 0;
        for place in 0..self.bindings.len() {
            for row in self.rows(place, |_| true)? {
                let named = self.by_change.remove(&row.id);
                let by_id = wire_id(&row.key).and_then(|id| self.by_id[place].remove(&id));
                match named.or(by_id).or_else(|| self.rest.clone()) {
                    Some(Fate::Taken { version, new_id }) => self.take(&row, version, new_id)?,
                    Some(Fate::Refused(reason)) => self.refuse(&row, reason.as_deref())?,
                    Some(Fate::Conflict) => {
                        self.counts[place].pushed -= 1;
                        self.counts[place].met += 1;
                        outbox::remove(self.database, row.id)?;
                    }
                    Some(Fate::Unsure) => {
                        self.counts[place].pushed -= 1;
                        self.doubted[place] += 1;
                        unsure.push(row.id);
                    }
                    None => silent += 1,
                }
            }
        }
        if silent > 0 {
            return Err(SyncError::protocol(format!(
                "the answer does not mention {silent} of the rows that were sent; all stay pending"
            )));
        }
        if !self.by_change.is_empty() {
            return Err(SyncError::protocol(format!(
                "the answer names {} changes that were not sent; all rows stay pending",
                self.by_change.len()
            )));
        }
        log::forget(self.database, &self.taken)?;
        rekey::rename(self.database, &self.renamed, |_| Ok(()))?;
        let push = self.frozen.push;
        outbox::close_but(self.database, self.provider, push, &unsure)?;
        Ok(())
    }

    /// The rows of the push that are `wanted`.
    fn rows(&self, place: usize, wanted: impl Fn(&SentRow) -> bool) -> Result<Vec<SentRow>> {
        let mut sent = self.database.prepare(
            "SELECT id, pk, kind, uptoSeq FROM main._syncOutbox WHERE pushId = ?1 AND tbl = ?2",
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
            };
            if wanted(&row) {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    fn take(
        &mut self,
        row: &SentRow,
        counted: Option<i64>,
        new_id: Option<WireId<'static>>,
    ) -> Result<(), SyncError> {
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
                self.renamed.push(rekey::Renamed {
                    binding,
                    old: std::mem::replace(&mut key, new.clone()),
                    new,
                });
            }
        }
        if let Some(counted) = counted {
            let deleted = row.kind == "deleted";
            version::store(self.database, self.provider, table, &key, counted, deleted)?;
        }
        Ok(())
    }

    /// The row stays pending, and is not on its way either.
    fn refuse(&mut self, row: &SentRow, reason: Option<&str>) -> Result<()> {
        let content = self.database.query_value(
            "SELECT content FROM main._syncOutbox WHERE id = ?1",
            &[row.id.into()],
        )?;
        let reason = reason.map(self.clean);
        reject(
            self.database,
            self.provider,
            self.bindings[row.place].table.id,
            &row.key,
            &row.kind,
            reason.as_deref().unwrap_or(NO_REASON),
            content.as_str(),
        )?;
        outbox::remove(self.database, row.id)?;
        self.counts[row.place].pushed -= 1;
        self.counts[row.place].refuse(reason.as_deref().unwrap_or(NO_REASON));
        Ok(())
    }
}

/// A key as the server names it.
fn wire_id(key: &Value) -> Option<String> {
    match key.borrow() {
        ValueRef::Text(id) => Some(id.to_owned()),
        ValueRef::Integer(id) => Some(id.to_string()),
        _ => None,
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
