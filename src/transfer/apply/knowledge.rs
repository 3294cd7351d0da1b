//! What is known of the rows of a table: what waits to be sent, and what was pushed of that lately.

use std::collections::HashSet;

use crate::capture::sends::sends;
use crate::capture::{Key, KeyMap, Pending, PendingRows, Status};
use crate::providers::wire::Slot;
use crate::store::{Database, Result};
use crate::transfer::binding::Binding;
use crate::transfer::send::unacknowledged::{Sent, Unacknowledged};

use super::decide::{Case, Local, Push, Remote, Rules};
use super::journal::Journal;
use super::unsent::Unsent;

/// What is known of one table. The journal is read when a row that waits is met.
pub struct Knowledge<'a> {
    database: &'a Database,
    provider: &'a str,
    binding: &'a Binding,
    pending: Unsent<'a>,
    /// Rows that the server may have from a push without an answer.
    unacknowledged: &'a Unacknowledged,
    journal: Option<Journal>,
    /// The rows that were pushed lately.
    pushed: Option<KeyMap<()>>,
    /// What was logged since of the rows of unknown outcome. Read when somebody asks.
    newer: Option<PendingRows>,
    /// The log's end before anything was applied.
    start: i64,
    pub rules: Rules,
    /// Deletes come that came before.
    deletes_again: bool,
    /// Rows whose keys are counted, and that are the ones of the server all the same.
    one: HashSet<Key>,
}

impl<'a> Knowledge<'a> {
    pub fn new(
        database: &'a Database,
        provider: &'a str,
        binding: &'a Binding,
        pending: Unsent<'a>,
        unacknowledged: &'a Unacknowledged,
        start: i64,
        rules: Rules,
    ) -> Self {
        Self {
            database,
            provider,
            binding,
            pending,
            unacknowledged,
            journal: None,
            pushed: None,
            newer: None,
            start,
            rules,
            deletes_again: false,
            one: HashSet::new(),
        }
    }

    /// `again`: deletes come that came before.
    pub fn with_deletes(self, again: bool) -> Self {
        Self {
            deletes_again: again,
            ..self
        }
    }

    /// A row of the server is the one that was made here under its key, which is counted.
    pub fn are_one(&mut self, key: &Key) {
        self.one.insert(key.clone());
    }

    /// Whether it is known that nothing is pending in the whole table.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// What is logged of a row, if anything is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn pending(&self, key: &Key) -> Result<Option<Pending>> {
        self.pending.get(key)
    }

    /// All rows of the table that something is logged of.
    ///
    /// # Errors
    /// SQLite's.
    pub fn rows(&self) -> Result<&PendingRows> {
        self.pending.all()
    }

    /// What is here of a row that something is logged of.
    ///
    /// # Errors
    /// SQLite's.
    pub fn local(&self, pending: &Pending, exists: bool) -> Result<Local> {
        let table = self.binding.table.id;
        let may_have_arrived = || self.unacknowledged.may_have_created(table, &pending.key);
        let columns = &self.binding.columns;
        Ok(match sends(pending, exists, columns, may_have_arrived)? {
            Status::Created => Local::Created,
            Status::Updated => Local::Updated,
            Status::Deleted if may_have_arrived()? => Local::Withdrawn,
            Status::Deleted => Local::Deleted,
            Status::Nothing if exists => Local::Clean,
            Status::Nothing => Local::Undone,
        })
    }

    /// Whether a row was created here, and no answer has named it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_unmet(&self, pending: &Pending, exists: bool) -> Result<bool> {
        Ok(!pending.is_met() && self.local(pending, exists)? == Local::Created)
    }

    /// The same of a row that was never sent either: the server can't have it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_unsent(&self, pending: &Pending, exists: bool) -> Result<bool> {
        Ok(self.is_unmet(pending, exists)? && self.sent(&pending.key)?.is_none())
    }

    /// All that matters about a row that something is logged of. `row` is what came, if a row did; `differs`:
    /// it differs from the row here.
    ///
    /// # Errors
    /// SQLite's.
    pub fn case(
        &mut self,
        local: Local,
        remote: Remote,
        pending: &Pending,
        row: &[Slot<'_>],
        differs: bool,
    ) -> Result<Case> {
        let mut case = Case::clean(remote, self.rules);
        case.rules.counted &= self.one.is_empty() || !self.one.contains(&pending.key);
        case.local = local;
        case.differs = differs;
        let edited = matches!(local, Local::Created | Local::Updated);
        match remote {
            Remote::Created | Remote::Updated if !matches!(local, Local::Clean | Local::Undone) => {
                let (binding, sent) = (self.binding, self.sent(&pending.key)?);
                let journal = self.journal()?;
                case.echo = journal.is_echo(&pending.key, binding, row)?;
                case.push = match sent {
                    Some(sent) if journal.has_arrived(&sent, &pending.key, binding, row)? => {
                        Push::Arrived {
                            upto: sent.upto,
                            edited_since: pending.last_seq > sent.upto,
                        }
                    }
                    sent => differing(sent),
                };
            }
            Remote::Deleted if edited => {
                case.push = differing(self.sent(&pending.key)?);
                case.made_after = self.made_after(local, pending)?;
            }
            _ => {}
        }
        Ok(case)
    }

    /// Whether the server's delete says nothing about the row that is here now, since that was made after it: the
    /// delete is our own and was the last word pushed about the key, or it may be known from an earlier answer.
    /// Returns the last log entry that a push of ours covered, 0 when there is none.
    fn made_after(&mut self, local: Local, pending: &Pending) -> Result<Option<i64>> {
        if !pending.inserted_after(0) {
            return Ok(None);
        }
        let upto = self.journal()?.get(&pending.key)?.deleted_up_to;
        let ours = upto.filter(|upto| pending.inserted_after(*upto));
        let known = self.deletes_again && local == Local::Created && !pending.is_met();
        Ok(ours.or(known.then_some(0)))
    }

    /// The row as a push without an answer carried it.
    fn sent(&self, key: &Key) -> Result<Option<Sent>> {
        self.unacknowledged.get(self.binding.table.id, key)
    }

    /// Whether a row was pushed lately. Read when somebody asks.
    ///
    /// # Errors
    /// SQLite's.
    pub fn was_pushed(&mut self, key: &Key) -> Result<bool> {
        let pushed = match self.pushed.take() {
            Some(pushed) => pushed,
            None => pushed_rows(self.database, self.provider, self.binding.table.id)?,
        };
        Ok(self.pushed.insert(pushed).get(key)?.is_some())
    }

    fn journal(&mut self) -> Result<&mut Journal> {
        let journal = match self.journal.take() {
            Some(journal) => journal,
            None => {
                let table = self.binding.table.id;
                Journal::read(self.database, self.provider, table, self.pending.all()?)?
            }
        };
        Ok(self.journal.insert(journal))
    }

    /// What was logged of a row since it was sent by a push of unknown outcome.
    ///
    /// # Errors
    /// SQLite's.
    pub fn since_sent(&mut self, key: &Key) -> Result<Option<Pending>> {
        let newer = match self.newer.take() {
            Some(newer) => newer,
            None => {
                let table = &self.binding.table;
                PendingRows::read_newer(self.database, table, self.start, |key| {
                    let sent = self.unacknowledged.get(table.id, key)?;
                    Ok(sent.map(|sent| sent.upto))
                })?
            }
        };
        self.newer.insert(newer).get(key)
    }
}

fn pushed_rows(database: &Database, provider: &str, table: i64) -> Result<KeyMap<()>> {
    let mut rows = database.prepare(
        "SELECT outbox.pk FROM main._syncPush AS push JOIN main._syncOutbox AS outbox ON outbox.pushId = push.id \
         WHERE push.provider = ?1 AND push.state <> 'refused' AND outbox.tbl = ?2 AND outbox.kind <> 'deleted' \
         ORDER BY outbox.pk",
    )?;
    rows.bind_all(&[provider.into(), table.into()])?;
    let mut pushed = KeyMap::default();
    while rows.step()? {
        pushed.insert(Key(rows.column(0).to_owned()), ())?;
    }
    Ok(pushed)
}

/// A push of unknown outcome that the answer does not show to have arrived.
fn differing(sent: Option<Sent>) -> Push {
    match sent {
        Some(sent) => Push::Differs {
            created: sent.created,
            upto: sent.upto,
        },
        None => Push::None,
    }
}
