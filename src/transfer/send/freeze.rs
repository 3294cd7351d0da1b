//! Freezing: what is pending becomes an immutable batch in the outbox, in one transaction.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use crate::capture::reader::RowReader;
use crate::capture::sends::{changed, sends};
use crate::capture::{Key, Pending, PendingRows, Status, log};
use crate::coordination::now;
use crate::providers::conversation::{Provider, RowToSend};
use crate::providers::wire::ChangeKind;
use crate::store::{Database, Result, Statement, Value, ValueRef};

use crate::transfer::aside::Asides;
use crate::transfer::binding::Binding;
use crate::transfer::send::unacknowledged::Unacknowledged;
use crate::transfer::version::Versions;

/// Numbers of log entries.
pub type Entries = Vec<RangeInclusive<i64>>;

/// A frozen batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Frozen {
    pub push: i64,
    /// The log was frozen up to here.
    pub upto: i64,
    pub rows: u64,
    /// Rows that can't be sent, per binding.
    pub unsendable: Vec<i64>,
    /// The log entries of its rows, when it is a part of what was frozen and others come after it.
    pub entries: Option<Entries>,
}

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
    let upto = log::high_water(database)?;
    let tracked: Vec<_> = bindings.iter().map(|binding| &binding.table).collect();
    let pending = PendingRows::read(database, &tracked, upto)?;
    database.execute(
        "INSERT INTO main._syncPush (provider, runId, state, uptoSeq, rows, createdAt) \
         VALUES (?1, ?2, 'open', ?3, 0, ?4)",
        &[provider.into(), run.into(), upto.into(), now().into()],
    )?;
    let push = database.connection().last_insert_rowid();
    let mut frozen = Frozen {
        push,
        upto,
        rows: 0,
        unsendable: vec![0; bindings.len()],
        entries: None,
    };
    for (place, (binding, pending)) in bindings.iter().zip(&pending).enumerate() {
        let mut table = TableFreezer {
            database,
            provider,
            kind,
            binding,
            versions: match kind.manners().versions {
                true => Some(Versions::of(database, provider, binding.table.id)?),
                false => None,
            },
            reader: RowReader::following(database, &binding.table, &binding.columns, pending)?,
            insert: database.prepare(
                "INSERT INTO main._syncOutbox (pushId, tbl, kind, pk, content, uptoSeq) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
            content: Vec::new(),
            asides: Asides::of(database, binding)?,
        };
        let mut rejected = rejected_keys(database, provider, binding.table.id)?;
        for row in pending.rows() {
            let may_have_arrived = || unacknowledged.may_have_created(binding.table.id, &row.key);
            match table.row(row, push, may_have_arrived)? {
                Fate::Frozen => {
                    rejected.remove(&row.key);
                    frozen.rows += 1;
                }
                Fate::Unsendable => {
                    rejected.remove(&row.key);
                    frozen.unsendable[place] += 1;
                }
                Fate::Nothing => {}
            }
        }
        // What was rejected once and is not to be sent any more is settled.
        for key in rejected {
            forget_rejection(database, provider, binding.table.id, &key.0)?;
        }
    }
    if frozen.rows == 0 {
        database.execute("DELETE FROM main._syncPush WHERE id = ?1", &[push.into()])?;
        // What is left in the log means nothing to the server.
        for binding in bindings {
            log::acknowledge(database, provider, binding.table.id, upto)?;
        }
        return Ok(frozen);
    }
    database.execute(
        "UPDATE main._syncPush SET rows = ?2 WHERE id = ?1",
        &[push.into(), (frozen.rows as i64).into()],
    )?;
    Ok(frozen)
}

fn rejected_keys(database: &Database, provider: &str, table: i64) -> Result<HashSet<Key>> {
    let keys = database.query_all(
        "SELECT pk FROM main._syncRejected WHERE provider = ?1 AND tbl = ?2",
        &[provider.into(), table.into()],
        |row| Ok(Key(row.column(0).to_owned())),
    )?;
    Ok(keys.into_iter().collect())
}

fn forget_rejection(database: &Database, provider: &str, table: i64, key: &Value) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncRejected WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        &[provider.into(), table.into(), key.borrow()],
    )?;
    Ok(())
}

enum Fate {
    Frozen,
    Unsendable,
    Nothing,
}

struct TableFreezer<'a> {
    database: &'a Database,
    provider: &'a str,
    kind: &'a dyn Provider,
    binding: &'a Binding,
    versions: Option<Versions>,
    reader: RowReader,
    insert: Statement,
    content: Vec<u8>,
    asides: Asides<'a>,
}

impl TableFreezer<'_> {
    fn row(
        &mut self,
        row: &Pending,
        push: i64,
        may_have_arrived: impl FnOnce() -> bool,
    ) -> Result<Fate> {
        let exists = self.reader.find(row)?;
        let columns = &self.binding.columns;
        let kind = match sends(row, exists, columns, may_have_arrived) {
            Status::Created => ChangeKind::Created,
            Status::Updated => ChangeKind::Updated,
            Status::Deleted => ChangeKind::Deleted,
            Status::Nothing => {
                self.reader.release();
                if !exists {
                    self.asides.remove_row(&row.key)?;
                }
                return Ok(Fate::Nothing);
            }
        };
        let version = match &mut self.versions {
            Some(versions) => versions.get(&row.key)?,
            None => None,
        };
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
        ])?;
        Ok(Fate::Frozen)
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
        )
    }
}

/// Keeps what can't be sent, or was refused, with the reason. The row stays pending.
///
/// # Errors
/// SQLite's.
pub fn reject(
    database: &Database,
    provider: &str,
    table: i64,
    key: &Value,
    kind: &str,
    reason: &str,
    content: Option<&str>,
) -> Result<()> {
    if *key == Value::Null {
        // NULLs are never equal, so the conflict clause below would not find the old row.
        forget_rejection(database, provider, table, key)?;
    }
    database.execute(
        "INSERT INTO main._syncRejected (provider, tbl, pk, kind, reason, content, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (provider, tbl, pk) DO UPDATE \
         SET kind = excluded.kind, reason = excluded.reason, content = excluded.content, \
         at = excluded.at",
        &[
            provider.into(),
            table.into(),
            key.borrow(),
            kind.into(),
            reason.into(),
            content.into(),
            now().into(),
        ],
    )?;
    Ok(())
}
