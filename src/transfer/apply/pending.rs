//! Applying remote rows to rows that something is pending about: conflicts.
//!
//! A conflict is a row of the server over a row changed here. Its policy decides (`policy.rs`); every
//! decision is kept (`conflict.rs`).

use std::cmp::Ordering;

use crate::capture::log::Mark;
use crate::capture::{Key, Pending, PendingRows, Status};
use crate::providers::sink::Announced;
use crate::providers::wire::{Slot, fallback};
use crate::store::{Result, Value, ValueRef};

use crate::store::compare;
use crate::store::{same, shown};
use crate::transfer::apply::echo::Pushed;
use crate::transfer::apply::table::{Decision, Settlement, Shown, TableApplier, Trouble, UNIQUE};
use crate::transfer::conflict::policy::Policy;
use crate::transfer::conflict::record::{Kind, Sides, pending_words, remote_json, row_json};
use crate::transfer::conflict::resolver::{self, Rows, Verdict};

/// A row of the server meets one that is here.
pub(super) struct Meeting<'r> {
    key: &'r Value,
    row: &'r [Slot<'r>],
    /// The row here, a value for each column that travels.
    local: Vec<Value>,
    /// The server's row with what was changed here; missing: as here.
    resolved: Vec<Slot<'r>>,
    status: &'static str,
    changed: String,
}

impl Meeting<'_> {
    /// The value a row that was put together has in a column.
    fn value<'v>(&'v self, row: &'v [Slot<'_>], place: usize) -> ValueRef<'v> {
        match row[place].is_missing() {
            true => self.local[place].borrow(),
            false => row[place].value(),
        }
    }

    /// Whether the server's row says anything else than the row here.
    fn differs(&self) -> bool {
        let mut slots = self.row.iter().zip(&self.local);
        slots.any(|(slot, local)| !slot.is_missing() && !same(local.borrow(), slot.value()))
    }
}

impl TableApplier<'_> {
    /// A row changed here, on which the reader stands.
    pub(super) fn meet_edited(
        &mut self,
        announced: Announced,
        key: &Value,
        row: &[Slot<'_>],
        pending: &Pending,
    ) -> Result<Settlement, Trouble> {
        let newer = match self.push_shown(key, row, pending)? {
            Shown::Settled => return Ok(Settlement::Settled),
            Shown::EditedSince(newer) => Some(newer),
            Shown::No => None,
        };
        let pending = newer.as_ref().unwrap_or(pending);
        self.counts.announced_wrongly += i64::from(announced == Announced::Created);
        let sent = self.known.get(&Key(key.clone())).copied();
        if sent.is_none() && self.sends(pending, true) == Status::Created {
            self.there.insert(Key(key.clone()));
        }
        let mut meeting = self.meeting(key, row, Some(pending));
        if sent.is_some_and(|upto| pending.inserted_after(upto)) {
            // What was made again since it was sent changed as a whole.
            meeting.resolved.fill(Slot::Missing);
        }
        let conflict = meeting.differs();
        // Our own row coming back is no word of the server against the edits made since.
        let echo = conflict && !self.policy.sees_clean_rows() && self.is_echo(key, row)?;
        let policy = match echo {
            true => Policy::Columns,
            false => self.policy.clone(),
        };
        let (chosen, settlement) = self.choose(&policy, &meeting, Some(pending))?;
        if conflict && !echo {
            let entity = &self.binding.wire;
            let sides = Sides {
                local: Some(self.local_json(&meeting)),
                remote: Some(remote_json(entity, key.borrow(), row)),
                resolved: (!is_delete(&settlement)).then(|| {
                    row_json(entity, key.borrow(), None, |place| {
                        Some(meeting.value(&chosen, place))
                    })
                }),
            };
            self.counts.conflicts += 1;
            self.conflicts.record(
                &self.binding.entity,
                key.borrow(),
                Kind::Edited,
                Some(policy.name()),
                &sides,
            )?;
        }
        self.write(key, chosen, settlement)
    }

    /// A row that nobody changed here, on which the reader stands, under a policy that wants to see it.
    pub(super) fn ask_about_clean(
        &mut self,
        key: &Value,
        row: &[Slot<'_>],
    ) -> Result<Settlement, Trouble> {
        let meeting = self.meeting(key, row, None);
        // A row that lacks columns is compared as if it had their defaults, as WatermelonDB does.
        let columns = &self.binding.wire.columns;
        let equal = (0..row.len()).all(|place| {
            let local = meeting.local[place].borrow();
            match row[place].is_missing() {
                true => same(
                    local,
                    fallback(columns[place].kind, columns[place].required).value(),
                ),
                false => same(local, row[place].value()),
            }
        });
        if equal {
            self.reader.release();
            self.counts.unchanged += 1;
            return Ok(Settlement::Stays);
        }
        let policy = self.policy.clone();
        let (chosen, settlement) = self.choose(&policy, &meeting, None)?;
        self.write(key, chosen, settlement)
    }

    pub(super) fn meeting<'r>(
        &self,
        key: &'r Value,
        row: &'r [Slot<'r>],
        pending: Option<&Pending>,
    ) -> Meeting<'r> {
        let binding = self.binding;
        let local = (0..row.len())
            .map(|place| self.reader.column(place).to_owned())
            .collect();
        let resolved = row
            .iter()
            .zip(&binding.columns)
            .map(|(slot, position)| match pending {
                Some(pending) if pending.changed(*position) => Slot::Missing,
                _ => slot.clone(),
            })
            .collect();
        let (status, changed) = pending_words(&binding.wire, &binding.columns, pending);
        Meeting {
            key,
            row,
            local,
            resolved,
            status,
            changed,
        }
    }

    pub(super) fn local_json(&self, meeting: &Meeting<'_>) -> String {
        let pending = Some((meeting.status, meeting.changed.as_str()));
        row_json(&self.binding.wire, meeting.key.borrow(), pending, |place| {
            Some(meeting.local[place].borrow())
        })
    }

    /// The row that stays, and what is pending about it then.
    fn choose<'r>(
        &mut self,
        policy: &Policy,
        meeting: &Meeting<'r>,
        pending: Option<&Pending>,
    ) -> Result<(Vec<Slot<'r>>, Settlement), Trouble> {
        let as_here = || vec![Slot::Missing; meeting.row.len()];
        let chosen = match policy {
            Policy::Columns => return Ok((meeting.resolved.clone(), Settlement::Stays)),
            Policy::ServerWins => meeting.row.to_vec(),
            Policy::ClientWins => as_here(),
            Policy::LastWriteWins(column) => match self.is_newer(meeting, column) {
                true => as_here(),
                false => meeting.row.to_vec(),
            },
            Policy::Sql2(_) => self.ask(meeting)?.row,
            Policy::Sql4(_) => {
                let verdict = self.ask(meeting)?;
                let settlement = self.honoured(&verdict, meeting, pending);
                return Ok((verdict.row, settlement));
            }
        };
        let settlement = match pending {
            Some(pending) => self.left_over(meeting, &chosen, pending),
            None => Settlement::Stays,
        };
        Ok((chosen, settlement))
    }

    /// Whether the row here has the greater value in a column. No value on either side: it has not.
    fn is_newer(&self, meeting: &Meeting<'_>, column: &str) -> bool {
        let columns = &self.binding.wire.columns;
        let place = columns
            .iter()
            .position(|known| known.name.eq_ignore_ascii_case(column));
        let Some(place) = place else { return false };
        let (here, there) = (meeting.local[place].borrow(), meeting.row[place].value());
        !here.is_null() && !there.is_null() && compare(here, there) == Ordering::Greater
    }

    /// A policy that can't do what it says.
    pub fn policy_warning(&self) -> Option<String> {
        let Policy::LastWriteWins(column) = &self.policy else {
            return None;
        };
        let mut columns = self.binding.wire.columns.iter();
        let is_there = columns.any(|known| known.name.eq_ignore_ascii_case(column));
        (self.counts.conflicts > 0 && !is_there).then(|| {
            format!(
                "{}: lastWriteWins compares {column:?}, which is no synced column, so the server won",
                self.binding.entity
            )
        })
    }

    fn ask(&mut self, meeting: &Meeting<'_>) -> Result<Verdict, Trouble> {
        let local = self.local_json(meeting);
        let entity = &self.binding.wire;
        let pending = Some((meeting.status, meeting.changed.as_str()));
        let key = meeting.key.borrow();
        let rows = Rows {
            table: &self.binding.entity,
            local: &local,
            remote: &remote_json(entity, key, meeting.row),
            resolved: &row_json(entity, key, pending, |place| {
                Some(meeting.value(&meeting.resolved, place))
            }),
        };
        let answer = match self.resolver.as_mut() {
            Some(resolver) => resolver.ask(entity, &rows),
            None => Err("it was taken away".into()),
        };
        let mut verdict = answer.map_err(|problem| {
            resolver::failed(&self.binding.entity, &shown(meeting.key), &problem)
        })?;
        for (slot, resolved) in verdict.row.iter_mut().zip(&meeting.resolved) {
            if slot.is_missing() {
                *slot = resolved.clone().into_owned();
            }
        }
        Ok(verdict)
    }

    /// What is pending about a row that was chosen whole: the columns in which it is not the server's.
    fn left_over(
        &self,
        meeting: &Meeting<'_>,
        chosen: &[Slot<'_>],
        pending: &Pending,
    ) -> Settlement {
        let is_new = self.status(meeting.key, pending) == Status::Created;
        let columns: Vec<usize> = (0..chosen.len())
            .filter(|place| {
                let value = meeting.value(chosen, *place);
                match meeting.row[*place].is_missing() {
                    // The server has not said what it holds there; of a new row it can't hold anything.
                    true => {
                        pending.changed(self.binding.columns[*place])
                            || (is_new && !value.is_null())
                            || !same(value, meeting.local[*place].borrow())
                    }
                    false => !same(value, meeting.row[*place].value()),
                }
            })
            .map(|place| self.binding.columns[place])
            .collect();
        if columns.is_empty() {
            return Settlement::Settled;
        }
        marked(self.status(meeting.key, pending), columns, Some(pending))
    }

    /// What `_status` and `_changed` of a resolver's answer ask for.
    fn honoured(
        &self,
        verdict: &Verdict,
        meeting: &Meeting<'_>,
        pending: Option<&Pending>,
    ) -> Settlement {
        let Some(status) = verdict.status.as_deref() else {
            return Settlement::Stays;
        };
        let mut names = verdict.changed.clone().unwrap_or_default();
        names.sort();
        let mut before: Vec<&str> = meeting
            .changed
            .split(',')
            .filter(|name| !name.is_empty())
            .collect();
        before.sort_unstable();
        if status == meeting.status && names == before {
            return Settlement::Stays;
        }
        let status = match status {
            "created" => Status::Created,
            "updated" => Status::Updated,
            "deleted" => Status::Deleted,
            _ if pending.is_some() => return Settlement::Settled,
            _ => return Settlement::Stays,
        };
        let columns = &self.binding.columns;
        let named: Vec<usize> = self
            .binding
            .wire
            .columns
            .iter()
            .zip(columns)
            .filter(|(column, _)| names.contains(&column.name))
            .map(|(_, position)| *position)
            .collect();
        let changed = match named.is_empty() && status == Status::Updated {
            // It is to be sent, but an update of no column would not be.
            true => columns.clone(),
            false => named,
        };
        marked(status, changed, pending)
    }

    /// Created rows that the server is known to have are updates.
    fn status(&self, key: &Value, pending: &Pending) -> Status {
        match self.sends(pending, true) {
            Status::Created if !self.known.contains_key(&Key(key.clone())) => Status::Created,
            _ => Status::Updated,
        }
    }

    /// Does what was decided about a row that had to wait.
    ///
    /// # Errors
    /// SQLite's.
    pub fn write_decided(
        &mut self,
        key: &Value,
        decision: Decision,
    ) -> Result<Settlement, Trouble> {
        if !self.reader.find_key(key)? {
            self.reader.release();
            return Ok(decision.settlement);
        }
        self.write(key, decision.row, decision.settlement)
    }

    /// Writes the row that was chosen over the one on which the reader stands.
    fn write(
        &mut self,
        key: &Value,
        chosen: Vec<Slot<'_>>,
        settlement: Settlement,
    ) -> Result<Settlement, Trouble> {
        if is_delete(&settlement) {
            self.reader.release();
            self.counts.deleted += self.delete.run(&[key.borrow()])?;
            return Ok(settlement);
        }
        let wanted: Vec<bool> = chosen.iter().map(|slot| !slot.is_missing()).collect();
        match self.update_where_different(key, &chosen, wanted) {
            Ok(()) => Ok(settlement),
            Err(error) if error.code() == UNIQUE => {
                let row = chosen.into_iter().map(Slot::into_owned).collect();
                Err(Trouble::Clash(error, Decision { row, settlement }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the row shows that a push without an answer did arrive. If nothing was edited since, it is
    /// settled. Otherwise the server knows the row now, if it was created by that push.
    fn push_shown(&mut self, key: &Value, row: &[Slot<'_>], pending: &Pending) -> Result<Shown> {
        let key = Key(key.clone());
        let Some(sent) = self.sent(&key) else {
            return Ok(Shown::No);
        };
        if !self.carried.is_echoed_by(sent, self.binding, &key, row)? {
            if sent.created {
                self.known.insert(key, sent.upto);
            }
            return Ok(Shown::No);
        }
        if pending.last_seq > sent.upto {
            self.acknowledged.insert(key.clone(), sent.upto);
            let newer = self.newer()?.get(&key).cloned();
            return Ok(newer.map_or(Shown::No, Shown::EditedSince));
        }
        let wanted: Vec<bool> = row.iter().map(|slot| !slot.is_missing()).collect();
        self.update_where_different(&key.0, row, wanted)?;
        Ok(Shown::Settled)
    }

    fn newer(&mut self) -> Result<&PendingRows> {
        if self.newer.is_none() {
            let table = &self.binding.table;
            let covered = self.unacknowledged.covered(table.id);
            let newer = PendingRows::read_newer(self.database, table, self.start, &covered)?;
            self.newer = Some(newer);
        }
        Ok(self.newer.get_or_insert_with(PendingRows::default))
    }

    /// A row deleted here.
    pub(super) fn meet_deleted(
        &mut self,
        announced: Announced,
        key: &Value,
        row: &[Slot<'_>],
    ) -> Result<Settlement, Trouble> {
        self.reader.release();
        let echo = self.is_echo(key, row)?;
        // Where rows come again, one that was created before it was deleted here says nothing new.
        let old_news = echo || self.redelivers;
        let revived = announced == Announced::Created && !old_news;
        if revived {
            self.insert_or_tell(key, row)?;
            self.counts.announced_wrongly += 1;
        }
        if revived || (announced == Announced::Updated && !echo) {
            let remote = remote_json(&self.binding.wire, key.borrow(), row);
            let sides = Sides {
                local: None,
                resolved: revived.then(|| remote.clone()),
                remote: Some(remote),
            };
            self.counts.conflicts += 1;
            self.conflicts.record(
                &self.binding.entity,
                key.borrow(),
                Kind::DeletedHere,
                None,
                &sides,
            )?;
        }
        Ok(match revived {
            true => Settlement::Settled,
            false => Settlement::Stays,
        })
    }

    /// Writes down what was changed here of a row that the server deleted: it goes, unless it is `kept`.
    pub(super) fn record_deleted(
        &mut self,
        key: &Value,
        pending: &Pending,
        kept: bool,
    ) -> Result<()> {
        let edited = self.reader.find(pending)? && self.sends(pending, true) != Status::Nothing;
        if !edited {
            self.reader.release();
            return Ok(());
        }
        let width = self.binding.columns.len();
        let missing = vec![Slot::Missing; width];
        let meeting = self.meeting(key, &missing, Some(pending));
        let local = self.local_json(&meeting);
        let sides = Sides {
            resolved: kept.then(|| local.clone()),
            local: Some(local),
            remote: None,
        };
        self.reader.release();
        self.counts.conflicts += 1;
        self.conflicts.record(
            &self.binding.entity,
            key.borrow(),
            Kind::DeletedRemotely,
            None,
            &sides,
        )
    }

    /// Whether the server only sends back what was pushed before the row was changed or deleted here.
    fn is_echo(&mut self, key: &Value, row: &[Slot<'_>]) -> Result<bool> {
        let binding = self.binding;
        let key = Key(key.clone());
        Ok(self.pushed()?.is_echo(binding, &key, row))
    }

    /// The journal, read when it is first asked for.
    pub(super) fn pushed(&mut self) -> Result<&Pushed> {
        let pushed = match self.pushed.take() {
            Some(pushed) => pushed,
            None => Pushed::read(self.database, self.provider, self.binding.table.id)?,
        };
        Ok(self.pushed.insert(pushed))
    }
}

/// A resolver decided that the row goes.
fn is_delete(settlement: &Settlement) -> bool {
    matches!(settlement, Settlement::Marked(mark) if mark.status == Status::Deleted)
}

fn marked(status: Status, columns: Vec<usize>, pending: Option<&Pending>) -> Settlement {
    Settlement::Marked(Mark {
        status,
        columns,
        rowid: pending.and_then(Pending::rowid),
    })
}
