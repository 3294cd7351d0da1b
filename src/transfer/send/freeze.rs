//! Freezing: what is pending becomes an immutable batch in the outbox, in one transaction.

use std::collections::HashMap;

use crate::capture::reader::RowReader;
use crate::capture::sends::{changed, sends};
use crate::capture::{Key, Pending, PendingRows, Status, log};
use crate::coordination::now;
use crate::ground::quoted;
use crate::providers::conversation::{Provider, RowToSend};
use crate::providers::cutter::LARGEST_PIECE;
use crate::providers::wire::{ChangeKind, KeyType, Slot, WireId};
use crate::store::{Database, Result, Statement, Value, ValueRef, same, shown};

use super::circumstances;
use super::frozen::Frozen;
use super::kept_back::KeptBack;
use super::number;
use super::rejected::{forget_rejection, left_out, once_more, reject};
use crate::transfer::aside::{Asides, KeptRow};
use crate::transfer::binding::Binding;
use crate::transfer::conflict::record::{Kind, Recorder, Sides, remote_json};
use crate::transfer::cursor;
use crate::transfer::held::inserts;
use crate::transfer::held::keep::{self, InShort};
use crate::transfer::peer;
use crate::transfer::send::unacknowledged::Unacknowledged;
use crate::transfer::version::Versions;

/// Freezes everything that is pending for the bound tables. With nothing to send there is no push.
///
/// Call inside a transaction.
///
/// # Errors
/// SQLite's.
pub fn freeze(
    database: &Database,
    provider: &str,
    run: i64,
    kind: &dyn Provider,
    bindings: &[Binding],
    unacknowledged: &Unacknowledged,
) -> Result<Frozen> {
    let met = inserts::meet(database, provider, bindings)?;
    let conflicts = inserts::decide(database, provider, run, bindings, &met)?;
    let upto = log::high_water(database)?;
    let tracked: Vec<_> = bindings.iter().map(|binding| &binding.table).collect();
    let pending = PendingRows::read(database, &tracked, upto)?;
    database.execute(
        "INSERT INTO main._syncPush (provider, runId, state, uptoSeq, rows, createdAt) \
         VALUES (?1, ?2, 'open', ?3, 0, ?4)",
        &[provider.into(), run.into(), upto.into(), now().into()],
    )?;
    let push = database.connection().last_insert_rowid();
    let holds = keep::any(database, provider)?;
    let kept_back = match holds {
        true => KeptBack::find(database, bindings, &pending)?,
        false => KeptBack::default(),
    };
    let mut frozen = Frozen {
        push,
        upto,
        rows: 0,
        unsendable: vec![0; bindings.len()],
        conflicts,
        entries: None,
        resent: false,
        circle: false,
    };
    for (table, key) in circumstances::look(database, provider, bindings, &pending)? {
        once_more(database, provider, (table, &key.0))?;
    }
    let numbered = kind.manners().numbered;
    let first_change = match numbered {
        true => Some(peer::next_change(database, provider)?),
        false => None,
    };
    let mut known = log::RowsUpTo::new();
    let mut waits = false;
    let mut unseen = Recorder::new(database, provider, run);
    for (place, (binding, pending)) in bindings.iter().zip(&pending).enumerate() {
        if !kind.sends(&binding.wire) {
            continue;
        }
        let mut table = TableFreezer {
            database,
            provider,
            kind,
            binding,
            versions: match kind.manners().versions {
                true => Some(Versions::of(database, provider, binding.table.id)?),
                false => None,
            },
            pulled: cursor::read(database, provider, binding)?.is_some(),
            reader: RowReader::following(database, &binding.table, &binding.columns, pending)?,
            held: match holds {
                true => keep::keys(database, binding.table.id)?,
                false => HashMap::new(),
            },
            kept_back: &kept_back,
            insert: database.prepare(
                "INSERT INTO main._syncOutbox (pushId, tbl, kind, pk, content, uptoSeq, base, alone, change) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?,
            content: Vec::new(),
            asides: Asides::of(database, binding)?,
        };
        let mut rejected = left_out(database, provider, binding.table.id)?;
        let mut rows = pending.walk()?;
        while let Some(row) = rows.next(pending)? {
            let before = rejected.get(&row.key).copied();
            if before.is_some_and(|before| row.last_seq <= before.upto) {
                rejected.remove(&row.key);
                continue;
            }
            let may_have_arrived = || unacknowledged.may_have_created(binding.table.id, &row.key);
            let was_refused = before.is_some_and(|before| before.was_sent);
            let change = first_change.map(|first| first.saturating_add(frozen.rows as i64));
            let number = (push, change);
            match table.row(&row, number, was_refused, may_have_arrived)? {
                Fate::Frozen => {
                    rejected.remove(&row.key);
                    frozen.rows += 1;
                }
                Fate::FrozenUnseen => {
                    table.give_up_held(&row.key, &mut unseen)?;
                    rejected.remove(&row.key);
                    frozen.rows += 1;
                    frozen.conflicts.push(place);
                }
                Fate::Unsendable => {
                    rejected.remove(&row.key);
                    frozen.unsendable[place] += 1;
                }
                // Why is said of the row that is held.
                Fate::Undecided => drop(rejected.remove(&row.key)),
                Fate::Nothing => {}
                Fate::Waits => waits = true,
                Fate::Known => {
                    known.insert((binding.table.id, row.key.clone()), row.last_seq);
                }
            }
        }
        // What was rejected once and is not to be sent any more is settled.
        for key in rejected.into_keys() {
            forget_rejection(database, provider, binding.table.id, &key.0)?;
        }
    }
    unseen.finish()?;
    log::forget(database, &known)?;
    if frozen.rows == 0 {
        database.execute("DELETE FROM main._syncPush WHERE id = ?1", &[push.into()])?;
        // What is left in the log means nothing to the server.
        for binding in bindings.iter().filter(|_| !waits) {
            log::acknowledge(database, provider, binding.table.id, upto)?;
        }
        return Ok(frozen);
    }
    database.execute(
        "UPDATE main._syncPush SET rows = ?2 WHERE id = ?1",
        &[push.into(), (frozen.rows as i64).into()],
    )?;
    if numbered {
        number::give(database, provider, (push, frozen.rows), bindings)?;
    }
    Ok(frozen)
}

/// What is kept aside of a row that was merged with a held one: what that brings, and what was kept of the columns that
/// are as they are here.
fn kept_of(merged: &[Slot<'_>], here: &[ValueRef<'_>], kept: &KeptRow) -> KeptRow {
    let merged = merged.iter().zip(here).enumerate();
    merged
        .map(|(place, (slot, here))| match slot.kept() {
            Some(held) => Some(held.json.clone()),
            None if same(slot.value(), *here) => kept.get(place).cloned().flatten(),
            None => None,
        })
        .collect()
}

enum Fate {
    Frozen,
    /// A delete of a row of which a newer state waits here, which nobody has seen.
    FrozenUnseen,
    Unsendable,
    /// What the server has of it is held, and the resolver is yet to say what stays.
    Undecided,
    Nothing,
    /// The server doesn't have the row that is deleted here.
    Known,
    /// Which version of it the server has is yet to be pulled.
    Waits,
}

struct TableFreezer<'a> {
    database: &'a Database,
    provider: &'a str,
    kind: &'a dyn Provider,
    binding: &'a Binding,
    versions: Option<Versions>,
    /// The table was pulled, so that the versions of its rows are known.
    pulled: bool,
    reader: RowReader,
    /// Rows of which the server's state waits.
    held: HashMap<Key, InShort>,
    kept_back: &'a KeptBack,
    insert: Statement,
    content: Vec<u8>,
    asides: Asides<'a>,
}

impl TableFreezer<'_> {
    fn row(
        &mut self,
        row: &Pending,
        (push, change): (i64, Option<i64>),
        was_refused: bool,
        may_have_arrived: impl FnOnce() -> Result<bool>,
    ) -> Result<Fate> {
        let exists = self.reader.find(row)?;
        let columns = &self.binding.columns;
        let known = match &mut self.versions {
            Some(versions) => Some(versions.get(&row.key)?),
            None => None,
        };
        let version = known.flatten().map(|known| known.number);
        let met = known.flatten().is_some_and(|known| known.met);
        // Where the server counts versions, it has exactly the rows that have one.
        let is_there = known.is_none_or(|known| known.is_some_and(|known| !known.deleted));
        let is_known = known.flatten().is_some_and(|known| !known.deleted);
        let kind = match sends(row, exists, columns, may_have_arrived)? {
            Status::Created if is_known => ChangeKind::Updated,
            Status::Created => ChangeKind::Created,
            Status::Updated if is_there => ChangeKind::Updated,
            Status::Updated => ChangeKind::Created,
            Status::Deleted if is_there => ChangeKind::Deleted,
            Status::Deleted => {
                self.reader.release();
                self.asides.remove_row(&row.key)?;
                return Ok(match self.pulled {
                    true => Fate::Known,
                    false => Fate::Waits,
                });
            }
            Status::Nothing => {
                self.reader.release();
                if !exists {
                    self.asides.remove_row(&row.key)?;
                }
                return Ok(Fate::Nothing);
            }
        };
        let held = self.held.get(&row.key).copied();
        let holds_row = held.is_some_and(|held| !held.is_delete);
        if kind != ChangeKind::Deleted && held.is_some_and(|held| held.undecided) {
            self.reader.release();
            self.reject(row, kind, UNDECIDED)?;
            return Ok(Fate::Undecided);
        }
        let created = kind == ChangeKind::Created;
        let why = self.kept_back.why(self.binding.table.id, row, created);
        let why = why.or_else(
            || match self.binding.knows_what_is_sent_of(row) || created {
                true => None,
                false => Some(AWAITED),
            },
        );
        if let Some(why) = why.filter(|_| kind != ChangeKind::Deleted) {
            self.reader.release();
            self.reject(row, kind, why)?;
            return Ok(Fate::Unsendable);
        }
        let kept = match kind {
            ChangeKind::Deleted => {
                self.asides.remove_row(&row.key)?;
                Vec::new()
            }
            _ => self.asides.sent_row(&row.key, row)?,
        };
        let changed: Vec<usize> = changed(row, columns).collect();
        self.content.clear();
        let values: Vec<ValueRef<'_>> = match kind {
            ChangeKind::Deleted => Vec::new(),
            _ => (0..columns.len())
                .map(|place| self.reader.column(place))
                .collect(),
        };
        let merged = match kind {
            ChangeKind::Updated if holds_row => self.merged(row, &values)?,
            _ => None,
        };
        let (values, kept): (Vec<ValueRef<'_>>, KeptRow) = match &merged {
            Some(merged) => (
                merged.iter().map(Slot::value).collect(),
                kept_of(merged, &values, &kept),
            ),
            None => (values, kept),
        };
        let to_send = RowToSend {
            kind,
            id: row.key.0.borrow(),
            values: &values,
            changed: &changed,
            kept: &kept,
            version,
        };
        let entity = &self.binding.wire;
        let encoded = self.kind.encode(entity, &to_send, &mut self.content);
        let encoded = encoded
            .and_then(|()| carried_key(self.binding, &row.key.0))
            .and_then(|()| bearable(&self.content));
        drop(values);
        self.reader.release();
        if let Err(problem) = encoded {
            self.reject(row, kind, &problem)?;
            return Ok(Fate::Unsendable);
        }
        let content = String::from_utf8_lossy(&self.content);
        self.insert.run(&[
            push.into(),
            self.binding.table.id.into(),
            kind.as_str().into(),
            row.key.0.borrow(),
            (&content).into(),
            row.last_seq.into(),
            version.into(),
            (change.is_some() && (was_refused || met)).into(),
            change.into(),
        ])?;
        Ok(match kind == ChangeKind::Deleted && holds_row {
            true => Fate::FrozenUnseen,
            false => Fate::Frozen,
        })
    }

    /// A row that was deleted here stays deleted, as one that comes when its delete waits already. What was held of it is a
    /// conflict, and no more to be tried.
    fn give_up_held(&self, key: &Key, conflicts: &mut Recorder<'_>) -> Result<()> {
        let (database, provider, binding) = (self.database, self.provider, self.binding);
        let held = keep::content(database, provider, binding, key)?;
        let id = key.0.borrow();
        let sides = Sides {
            remote: held.map(|held| remote_json(&binding.wire, id, &held)),
            ..Sides::default()
        };
        conflicts.record(&binding.entity, id, Kind::DeletedHere, None, &sides)?;
        keep::forget(database, provider, binding.table.id, key)
    }

    /// The row as it is to be on the server, when a newer state of it waits here: what was changed here over that, so
    /// that nothing older is sent along. Once the server has it, that is what waits.
    fn merged(&self, row: &Pending, values: &[ValueRef<'_>]) -> Result<Option<Vec<Slot<'static>>>> {
        let (database, provider, binding) = (self.database, self.provider, self.binding);
        let Some(held) = keep::content(database, provider, binding, &row.key)? else {
            return Ok(None);
        };
        let columns = held.into_iter().zip(values).zip(&binding.columns);
        let merged: Vec<Slot<'static>> = columns
            .map(
                |((held, value), position)| match held.is_missing() || row.changed(*position) {
                    true => Slot::of(*value),
                    false => held,
                },
            )
            .collect();
        keep::send(database, provider, binding, &row.key, &merged)?;
        Ok(Some(merged))
    }

    fn reject(&self, row: &Pending, kind: ChangeKind, problem: &str) -> Result<()> {
        let reason = format!("can't be sent: {problem}");
        reject(
            self.database,
            self.provider,
            self.binding.table.id,
            &row.key.0,
            kind.as_str(),
            &reason,
            None,
        )?;
        circumstances::part(
            self.database,
            self.provider,
            (self.binding.table.id, &row.key.0),
        )
    }
}

/// Why a row of the server is not sent with columns of which it is not known what the server has there.
const AWAITED: &str = "columns of it are synced only now, or of another type now; a sync that pulls brings them first";

/// Why a row is not sent of which the resolver could not say what stays.
const UNDECIDED: &str = "its resolver failed; see sync_held";

/// Most bytes of one row: a longer one would be refused when it comes back, with everything that comes with it.
const LONGEST_ROW: usize = LARGEST_PIECE;

fn bearable(content: &[u8]) -> Result<(), String> {
    match content.len() < LONGEST_ROW {
        true => Ok(()),
        false => Err(format!(
            "it is {} MiB of JSON, and no device takes more than {} MiB for one row",
            content.len() >> 20,
            LONGEST_ROW >> 20
        )),
    }
}

/// Whether a key comes back as it goes; otherwise every device would refuse the row, or take it for another.
fn carried_key(binding: &Binding, key: &Value) -> Result<(), String> {
    let back = match key.borrow() {
        ValueRef::Text(text) => binding.key(text),
        ValueRef::Integer(number) => binding.wire_key(&WireId::Integer(number)),
        // The kind says what is wrong with it.
        _ => return Ok(()),
    };
    match back.is_some_and(|back| same(back.borrow(), key.borrow())) {
        true => Ok(()),
        false if binding.wire.key_type == KeyType::Integer => Err(format!(
            "its key is {}, and the keys of its table travel as whole numbers",
            quoted(&shown(key))
        )),
        false => Err("its key is a number, and the keys of its table travel as text".into()),
    }
}
