//! A table that was made again with its triggers, which a tool had saved, before its rows were copied into it: the log has
//! all of them as inserted, and those that the program made are among them.
//!
//! It shows in that the table is elsewhere in the file, and that every row of it was inserted. That a file was put together
//! anew (VACUUM) while all rows of a table were new ones looks the same. So nothing is taken for known by that alone: the
//! inserts are marked ([`Op::COPIED`]), and the table is pulled from the beginning. A row that comes as it is here was copied
//! (`transfer/apply/table.rs`); what does not come was made here. If no row was copied, the table was made anew, as one that has
//! lost its triggers (`rebuilt.rs`).

use crate::ground::{Warning, quoted};
use crate::store::{Database, Result, Value, untold};

use super::key_map::Kept;
use super::lost::{made_anew, pull_again, record_lost};
use super::op::Op;
use super::reader::RowReader;
use super::{Key, KeyMap, Tracked};

/// Where a table is in the file: another place, another table, or another file.
///
/// # Errors
/// SQLite's.
pub(super) fn place(database: &Database, table: &str) -> Result<Option<String>> {
    database.query_row(
        "SELECT rowid, rootpage FROM main.sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
        &[table.into()],
        |row| Ok(format!("{} {}", row.integer(0), row.integer(1))),
    )
}

/// Looks at a table whose triggers are there, and that is not where it was when it was seen last. Only where somebody needs
/// the table: in the middle of a migration it says nothing that its rows are not there.
///
/// # Errors
/// SQLite's; no room for temporary files.
pub(super) fn look(database: &Database, table: &Tracked) -> Result<()> {
    if !was_pulled(database, table.id)? {
        return Ok(());
    }
    let mut inserts = inserts(database, table.id)?;
    let rows = format!(
        "SELECT count(*) FROM {}",
        database.qualified(&table.shape.name)
    );
    let rows = database.query_value(&rows, &[])?.as_i64();
    if rows != Some(0) && rows != Some(inserts.found(database, table)?) {
        return Ok(());
    }
    let as_made_again = Tracked {
        is_captured: false,
        ..table.clone()
    };
    if let Some(lost) = record_lost(database, &as_made_again)? {
        untold::keep(database, &lost)?;
    }
    if rows == Some(0) {
        // With deletes that wait, somebody has emptied it.
        return match inserts.deletes {
            true => Ok(()),
            false => made_anew(database, table.id),
        };
    }
    let mut mark = database.prepare("UPDATE main._syncChange SET op = ?2 WHERE seq = ?1")?;
    let mut keys = inserts.rows.walk(None)?;
    while let Some((_, row)) = keys.next()? {
        if let Some(seq) = row.last_insert {
            mark.run(&[seq.into(), Op::COPIED.into()])?;
        }
    }
    drop(mark);
    pull_again(database, table.id)?;
    untold::keep(database, &warning(&table.shape.name))
}

fn warning(table: &str) -> Warning {
    let message = format!(
        "{} was made again with its capture triggers before its rows were copied, so that copied rows look like new ones; \
         it is pulled from the beginning, which shows what is new",
        quoted(table)
    );
    Warning::new("captureRestored", message).of(table)
}

/// Of a table that never was, every row is new.
fn was_pulled(database: &Database, table: i64) -> Result<bool> {
    let cursor = database.query_value(
        "SELECT 1 FROM main._syncCursor WHERE tableId = ?1 LIMIT 1",
        &[table.into()],
    )?;
    Ok(cursor != Value::Null)
}

/// What the log says of the inserts of a table.
struct Inserts {
    rows: KeyMap<Inserted>,
    /// Rows were deleted.
    deletes: bool,
}

impl Inserts {
    /// How many rows of the table were inserted where none of their key was, and not deleted since.
    fn found(&mut self, database: &Database, table: &Tracked) -> Result<i64> {
        let mut reader = RowReader::new(database, table, &[])?;
        let mut rows = self.rows.walk(None)?;
        let mut found = 0;
        while let Some((key, row)) = rows.next()? {
            found += i64::from(row.is_there() && reader.find_key(&key.0)?);
            reader.release();
        }
        Ok(found)
    }
}

/// The inserts of one row.
#[derive(Clone, Copy, Default)]
struct Inserted {
    /// Inserts less deletes.
    balance: i64,
    /// It was met, so that it had been there.
    met: bool,
    /// The last insert, if that was one where no row of the key was: one after a delete is none of a copy.
    last_insert: Option<i64>,
}

impl Inserted {
    fn is_there(self) -> bool {
        self.balance > 0 && !self.met
    }
}

impl Kept for Inserted {
    const VALUES: usize = 3;

    fn write(&self) -> Vec<Value> {
        let insert = self.last_insert.map_or(Value::Null, Value::Integer);
        vec![
            Value::Integer(self.balance),
            Value::Integer(self.met.into()),
            insert,
        ]
    }

    fn read(_: &Key, values: Vec<Value>) -> Option<Self> {
        let [balance, met, insert] = &values[..] else {
            return None;
        };
        Some(Self {
            balance: balance.as_i64()?,
            met: met.as_i64()? != 0,
            last_insert: insert.as_i64(),
        })
    }
}

fn inserts(database: &Database, table: i64) -> Result<Inserts> {
    let mut rows: KeyMap<Inserted> = KeyMap::default();
    let mut deletes = false;
    let mut log =
        database.prepare("SELECT seq, op, pk FROM main._syncChange WHERE tbl = ?1 ORDER BY seq")?;
    log.bind(1, table.into())?;
    while log.step()? {
        let (seq, key) = (log.integer(0), Key(log.column(2).to_owned()));
        let mut row = rows.get(&key)?.unwrap_or_default();
        match Op::of(log.integer(1)) {
            Op::Insert if !row.met => {
                row.last_insert = (row.balance >= 0).then_some(seq);
                row.balance += 1;
            }
            Op::Insert | Op::InsertThere => row.balance += 1,
            Op::Delete => {
                row.balance -= 1;
                deletes = true;
            }
            Op::Met => row.met |= row.balance <= 0,
            Op::Update { .. } => continue,
        }
        rows.insert(key, row)?;
    }
    Ok(Inserts { rows, deletes })
}
