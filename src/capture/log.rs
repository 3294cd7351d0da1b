//! The change log as a queue: its end, acknowledging its front, taking back its tail.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use crate::store::{Database, Result, Value};

use super::key::Key;
use super::op::{Op, Status, updates};

/// What is to be pending about a row from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Created, updated or deleted.
    pub status: Status,
    /// Bits of the changed columns.
    pub bits: Vec<usize>,
    /// Where the row is.
    pub rowid: Option<i64>,
}

/// Appends entries that say of a row what `mark` says. The row must have no others.
///
/// # Errors
/// SQLite's.
pub fn mark(database: &Database, table: i64, key: &Key, mark: &Mark) -> Result<()> {
    let mut append = database.prepare(
        "INSERT INTO main._syncChange (tbl, op, mask, rid, pk) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut append = |op: Op, mask: Option<i64>| {
        append.run(&[
            table.into(),
            op.code().into(),
            mask.into(),
            mark.rowid.into(),
            key.0.borrow(),
        ])
    };
    match mark.status {
        // The server has the row too: it was met there.
        Status::Created => append(Op::InsertThere, None)?,
        Status::Deleted => return append(Op::Delete, None).map(drop),
        Status::Updated | Status::Nothing => 0,
    };
    for (op, mask) in updates(mark.bits.iter().copied()) {
        append(op, Some(mask))?;
    }
    Ok(())
}

/// The newest sequence number; 0 when nothing was ever logged.
///
/// # Errors
/// SQLite's.
pub fn high_water(database: &Database) -> Result<i64> {
    let newest = database.query_value("SELECT max(seq) FROM main._syncChange", &[])?;
    Ok(newest.as_i64().unwrap_or(0))
}

/// Whether the log up to `upto` has room for `entries` numbers; those that are gone are counted too.
///
/// # Errors
/// SQLite's.
pub fn spans(database: &Database, upto: i64, entries: i64) -> Result<bool> {
    let first = database.query_value("SELECT min(seq) FROM main._syncChange", &[])?;
    // A broken file may have numbers as far apart as they get.
    Ok(first
        .as_i64()
        .is_some_and(|first| upto.saturating_sub(first) >= entries))
}

/// Removes what the server has: entries of table `table` up to `upto`, except of rows that
/// `_syncRejected` holds for this provider.
///
/// By range, never by key: an edit made since the freeze has a higher number and stays.
///
/// # Errors
/// SQLite's.
pub fn acknowledge(database: &Database, provider: &str, table: i64, upto: i64) -> Result<i64> {
    let rejected = database.query_value(
        "SELECT 1 FROM main._syncRejected WHERE provider = ?1 AND tbl = ?2 LIMIT 1",
        &[provider.into(), table.into()],
    )?;
    keeping_the_high_water(database, || match rejected {
        Value::Null => database.execute(
            "DELETE FROM main._syncChange WHERE seq <= ?1 AND tbl = ?2",
            &[upto.into(), table.into()],
        ),
        _ => database.delete_each(
            ("_syncChange", "seq"),
            "seq <= ?1 AND tbl = ?2 AND CASE WHEN pk IS NULL \
             THEN NOT EXISTS (SELECT 1 FROM main._syncRejected \
             WHERE provider = ?3 AND tbl = ?2 AND pk IS NULL) \
             ELSE pk NOT IN (SELECT pk FROM main._syncRejected \
             WHERE provider = ?3 AND tbl = ?2 AND pk IS NOT NULL) END",
            &[upto.into(), table.into(), provider.into()],
        ),
    })
}

/// Removes some entries that the server has, given as ranges of numbers, except of rows that
/// `_syncRejected` holds for this provider.
///
/// # Errors
/// SQLite's.
pub fn acknowledge_entries(
    database: &Database,
    provider: &str,
    ranges: &[RangeInclusive<i64>],
) -> Result<()> {
    let before = high_water(database)?;
    let rejected = database.query_value(
        "SELECT 1 FROM main._syncRejected WHERE provider = ?1 LIMIT 1",
        &[provider.into()],
    )?;
    const RANGE: &str = "DELETE FROM main._syncChange WHERE seq BETWEEN ?1 AND ?2";
    let mut delete = match rejected {
        Value::Null => database.prepare(RANGE)?,
        _ => database.prepare(&format!(
            "{RANGE} AND NOT EXISTS \
             (SELECT 1 FROM main._syncRejected AS rejected WHERE rejected.provider = ?3 \
             AND rejected.tbl = _syncChange.tbl AND rejected.pk IS _syncChange.pk)"
        ))?,
    };
    for range in ranges {
        let values = [
            (*range.start()).into(),
            (*range.end()).into(),
            provider.into(),
        ];
        delete.run(match rejected {
            Value::Null => &values[..2],
            _ => &values,
        })?;
    }
    // Old placeholders stay until the whole front is acknowledged: looking for them reads all of the log.
    keep_high_water(database, before)
}

/// What happens to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Stays,
    /// The server has settled it.
    Goes,
    /// If it is an insert, it says from now on that the row was there before ("met"): the server knows the row.
    Met,
    /// If it is an insert, it is one of a row that the server has too, made by somebody else.
    There,
}

/// Entries that are looked at together.
const BATCH: i64 = 10_000;

/// Goes through the entries up to `upto` and does with each what `fate` says of its number, and of the row: table
/// and key.
///
/// # Errors
/// SQLite's; those of `fate`.
pub fn rewrite(
    database: &Database,
    upto: i64,
    fate: impl Fn(i64, &(i64, Key)) -> Result<Fate>,
) -> Result<()> {
    let mut scan = database.prepare(
        "SELECT seq, tbl, op, pk FROM main._syncChange WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut update = database.prepare("UPDATE main._syncChange SET op = ?2 WHERE seq = ?1")?;
    let mut delete = database.prepare("DELETE FROM main._syncChange WHERE seq = ?1")?;
    let mut removed = false;
    let before = high_water(database)?;
    let mut last = 0;
    loop {
        let (mut gone, mut changed, start) = (Vec::new(), Vec::new(), last);
        scan.bind_all(&[start.into(), upto.into(), BATCH.into()])?;
        while scan.step()? {
            let (seq, op) = (scan.integer(0), Op::of(scan.integer(2)));
            last = seq;
            // An old placeholder; looking for all of them would read all of the log.
            if scan.integer(1) == 0 && seq < before {
                gone.push(seq);
                continue;
            }
            let inserts = matches!(op, Op::Insert | Op::InsertThere);
            match fate(seq, &(scan.integer(1), Key(scan.column(3).to_owned())))? {
                Fate::Goes => gone.push(seq),
                Fate::Met if inserts => changed.push((seq, Op::Met)),
                Fate::There if inserts => changed.push((seq, Op::InsertThere)),
                Fate::Stays | Fate::Met | Fate::There => {}
            }
        }
        scan.reset();
        for (seq, op) in changed {
            update.run(&[seq.into(), op.code().into()])?;
        }
        for seq in &gone {
            delete.run(&[(*seq).into()])?;
        }
        removed |= !gone.is_empty();
        if last == start {
            break;
        }
    }
    match removed {
        true => keep_high_water(database, before),
        false => Ok(()),
    }
}

/// Rows by table and key, each with the last of its entries that is meant.
pub type RowsUpTo = HashMap<(i64, Key), i64>;

/// Removes the entries of the given rows: the server has settled them.
///
/// # Errors
/// SQLite's.
pub fn forget(database: &Database, rows: &RowsUpTo) -> Result<()> {
    let Some(last) = rows.values().max() else {
        return Ok(());
    };
    rewrite(database, *last, |seq, row| match rows.get(row) {
        Some(upto) if seq <= *upto => Ok(Fate::Goes),
        _ => Ok(Fate::Stays),
    })
}

/// Puts the entries of rows under the keys that they have from now on.
///
/// # Errors
/// SQLite's.
pub fn rename(database: &Database, keys: &HashMap<(i64, Key), &Value>) -> Result<()> {
    let mut update = database.prepare("UPDATE main._syncChange SET pk = ?2 WHERE seq = ?1")?;
    let mut scan = database.prepare("SELECT seq, tbl, pk FROM main._syncChange WHERE tbl <> 0")?;
    let mut renamed = Vec::new();
    while scan.step()? {
        let row = (scan.integer(1), Key(scan.column(2).to_owned()));
        renamed.extend(keys.get(&row).map(|new| (scan.integer(0), *new)));
    }
    drop(scan);
    for (seq, new) in renamed {
        update.run(&[seq.into(), new.borrow()])?;
    }
    Ok(())
}

/// One entry.
pub struct Entry {
    pub seq: i64,
    /// Table and key.
    pub row: (i64, Key),
    pub op: Op,
    /// Columns, of an update.
    pub mask: i64,
}

/// The entries after `mark`.
///
/// # Errors
/// SQLite's.
pub fn newer(database: &Database, mark: i64) -> Result<Vec<Entry>> {
    database.query_all(
        "SELECT seq, tbl, pk, op, mask FROM main._syncChange WHERE seq > ?1 AND tbl <> 0",
        &[mark.into()],
        |row| {
            Ok(Entry {
                seq: row.integer(0),
                row: (row.integer(1), Key(row.column(2).to_owned())),
                op: Op::of(row.integer(3)),
                mask: row.integer(4),
            })
        },
    )
}

/// Removes entries by their numbers: applying remote rows has caused them. Those of other rows (an application's
/// trigger) stay.
///
/// # Errors
/// SQLite's.
pub fn remove(database: &Database, entries: &[i64]) -> Result<()> {
    keeping_the_high_water(database, || {
        let mut delete = database.prepare("DELETE FROM main._syncChange WHERE seq = ?1")?;
        for seq in entries {
            delete.run(&[(*seq).into()])?;
        }
        Ok(())
    })
}

/// Turns inserts, by their numbers, into rows met: the server has them.
///
/// # Errors
/// SQLite's.
pub fn meet(database: &Database, inserts: &[i64]) -> Result<()> {
    if inserts.is_empty() {
        return Ok(());
    }
    let mut update = database.prepare("UPDATE main._syncChange SET op = ?2 WHERE seq = ?1")?;
    for seq in inserts {
        update.run(&[(*seq).into(), Op::Met.code().into()])?;
    }
    Ok(())
}

/// Removes all entries after `mark`: nothing but the applied rows can have been touched.
///
/// # Errors
/// SQLite's.
pub fn take_back_all(database: &Database, mark: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncChange WHERE seq > ?1",
        &[mark.into()],
    )?;
    Ok(())
}

/// Removes all entries of a table.
///
/// # Errors
/// SQLite's.
pub fn discard_table(database: &Database, table: i64) -> Result<i64> {
    keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl = ?1",
            &[table.into()],
        )
    })
}

/// Removes all entries of tables that are not tracked. How many.
///
/// # Errors
/// SQLite's.
pub fn discard_unknown(database: &Database) -> Result<i64> {
    keeping_the_high_water(database, || {
        database.execute(
            "DELETE FROM main._syncChange WHERE tbl <> 0 AND tbl NOT IN (SELECT id FROM main._syncTable)",
            &[],
        )
    })
}

/// Sequence numbers must never be used twice: a placeholder keeps the newest one when the entry that
/// bore it goes. (SQLite numbers the next row after the highest that exists.)
pub(super) fn keeping_the_high_water<T>(
    database: &Database,
    remove: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let before = high_water(database)?;
    let outcome = remove()?;
    tidy_high_water(database, before)?;
    Ok(outcome)
}

/// Keeps the newest number, and no older placeholder.
fn tidy_high_water(database: &Database, before: i64) -> Result<()> {
    keep_high_water(database, before)?;
    database.execute(
        "DELETE FROM main._syncChange WHERE tbl = 0 AND seq < ?1",
        &[before.into()],
    )?;
    Ok(())
}

fn keep_high_water(database: &Database, before: i64) -> Result<()> {
    if high_water(database)? < before {
        database.execute(
            "INSERT INTO main._syncChange (seq, tbl, op) VALUES (?1, 0, 0)",
            &[before.into()],
        )?;
    }
    Ok(())
}
