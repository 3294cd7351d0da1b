//! Reading pending rows out of the log.

use std::collections::HashMap;

use crate::store::{Database, Result, Statement, Value};

use super::key::Key;
use super::log;
use super::op::{OP_BITS, Op, group_of};
use super::pending::{Entry, Pending};
use super::pending_rows::PendingRows;
use super::reader::RowReader;
use super::shape::Column;
use super::tracked::Tracked;

impl PendingRows {
    /// Reads the log up to `upto` for some tables: one scan, whatever their number. The answer has the tables' order.
    ///
    /// # Errors
    /// SQLite's; no room for temporary files, which a long log takes.
    pub fn read(database: &Database, tables: &[&Tracked], upto: i64) -> Result<Vec<Self>> {
        Self::read_after(database, tables, 0, upto)
    }

    /// The same of the entries after a number.
    ///
    /// # Errors
    /// As [`PendingRows::read`].
    pub fn read_after(
        database: &Database,
        tables: &[&Tracked],
        after: i64,
        upto: i64,
    ) -> Result<Vec<Self>> {
        if is_long(database, after, upto)? {
            return Self::read_by_key(database, tables, (after, upto), |_, _| Ok(true));
        }
        let mut all: Vec<Self> = tables.iter().map(|_| Self::default()).collect();
        let places = places(tables);
        let mut entries = database.prepare(&format!("{ENTRIES} ORDER BY seq"))?;
        entries.bind_all(&[after.into(), upto.into()])?;
        walk(entries, |table, key, entry| {
            if let Some(place) = places.get(&table) {
                all[*place].add(Key(key), entry, &tables[*place].columns);
            }
            Ok(())
        })?;
        for (table, rows) in tables.iter().zip(&mut all) {
            let mut look = Look::new(database, table)?;
            rows.rows_mut()
                .iter_mut()
                .try_for_each(|row| look.at(row))?;
        }
        Ok(all)
    }

    /// The same for a long log: SQLite puts its entries in the order of their keys, so that only one row is in memory at
    /// a time. `is_meant` says of key and number whether an entry counts; it is asked key by key.
    fn read_by_key(
        database: &Database,
        tables: &[&Tracked],
        (after, upto): (i64, i64),
        mut is_meant: impl FnMut(&Key, i64) -> Result<bool>,
    ) -> Result<Vec<Self>> {
        let many = is_long(database, after, upto)?;
        let mut all: Vec<Self> = tables.iter().map(|_| Self::default()).collect();
        let places = places(tables);
        let looks = tables.iter().map(|table| Look::new(database, table));
        let mut looks = looks.collect::<Result<Vec<_>>>()?;
        let mut current: Option<(usize, Pending)> = None;
        let mut done = |row: Option<(usize, Pending)>| -> Result<()> {
            let Some((place, mut row)) = row else {
                return Ok(());
            };
            looks[place].at(&mut row)?;
            all[place].add_row(row, many)
        };
        let ids: Vec<String> = tables.iter().map(|table| table.id.to_string()).collect();
        let mut entries = database.connection().prepare(&format!(
            "{ENTRIES} AND tbl IN ({}) ORDER BY tbl, pk, seq",
            ids.join(", ")
        ))?;
        entries.bind_all(&[after.into(), upto.into()])?;
        walk(entries, |table, key, entry| {
            let (Some(place), key) = (places.get(&table).copied(), Key(key)) else {
                return Ok(());
            };
            if !is_meant(&key, entry.seq)? {
                return Ok(());
            }
            let columns = &tables[place].columns;
            match &mut current {
                Some((at, row)) if *at == place && row.key == key => row.add(entry, columns),
                _ => done(current.replace((place, Pending::begin(key, entry, columns))))?,
            }
            Ok(())
        })?;
        done(current)?;
        Ok(all)
    }

    /// The same for some rows of one table: a scan in which SQLite passes over all others, which takes a fraction of
    /// the time, and memory for these rows alone. Keys are as they are logged, and not NULL.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read_some(
        database: &Database,
        table: &Tracked,
        upto: i64,
        keys: &[Value],
    ) -> Result<Self> {
        let mut some = Self::default();
        let numbers: Vec<String> = (4..keys.len() + 4)
            .map(|place| format!("?{place}"))
            .collect();
        let mut entries = database.prepare(&format!(
            "{ENTRIES} AND tbl = ?3 AND pk IN ({}) ORDER BY seq",
            numbers.join(", ")
        ))?;
        let mut values = vec![0.into(), upto.into(), table.id.into()];
        values.extend(keys.iter().map(Value::borrow));
        entries.bind_all(&values)?;
        walk(entries, |_, key, entry| {
            some.add(Key(key), entry, &table.columns);
            Ok(())
        })?;
        let mut look = Look::new(database, table)?;
        some.rows_mut()
            .iter_mut()
            .try_for_each(|row| look.at(row))?;
        Ok(some)
    }

    /// What was logged of some rows up to `upto`, after the number that `after` gives for each.
    ///
    /// # Errors
    /// SQLite's; no room for temporary files, which a long log takes.
    pub fn read_newer(
        database: &Database,
        table: &Tracked,
        upto: i64,
        after: impl Fn(&Key) -> Result<Option<i64>>,
    ) -> Result<Self> {
        let mut asked: Option<(Key, Option<i64>)> = None;
        let newer = Self::read_by_key(database, &[table], (0, upto), |key, seq| {
            let after = match asked.take() {
                Some((last, after)) if last == *key => after,
                _ => after(key)?,
            };
            asked = Some((key.clone(), after));
            Ok(after.is_some_and(|after| seq > after))
        })?;
        Ok(newer.into_iter().next().unwrap_or_default())
    }
}

/// The log after a number, up to another.
const ENTRIES: &str =
    "SELECT seq, tbl, op, mask, rid, pk FROM main._syncChange WHERE seq > ?1 AND seq <= ?2";

/// Entries of a log that is read into memory as a whole.
const SHORT: i64 = 150_000;

/// In debug builds one log in so many is taken for a long one, so that the tests go both ways.
const DEBUGGED: i64 = 8;

fn is_long(database: &Database, after: i64, upto: i64) -> Result<bool> {
    if cfg!(debug_assertions) && upto % DEBUGGED == 0 {
        return Ok(true);
    }
    Ok(upto.saturating_sub(after) >= SHORT && log::spans(database, upto, SHORT)?)
}

fn places(tables: &[&Tracked]) -> HashMap<i64, usize> {
    let ids = tables.iter().map(|table| table.id);
    ids.enumerate().map(|(place, id)| (id, place)).collect()
}

/// Gives each entry to `each`: the id of its table, the key, and the rest.
fn walk(mut scan: Statement, mut each: impl FnMut(i64, Value, &Entry) -> Result<()>) -> Result<()> {
    while scan.step()? {
        let code = scan.integer(2);
        let entry = Entry {
            seq: scan.integer(0),
            op: Op::of(code),
            group: group_of(code),
            replaced: code == Op::REPLACED,
            copied: code == Op::COPIED,
            mask: scan.column(3).as_i64(),
            rowid: scan.column(4).as_i64(),
        };
        each(scan.integer(1), scan.column(5).to_owned(), &entry)?;
    }
    Ok(())
}

/// Looks at the table for what the log alone does not say of a row.
struct Look<'a> {
    table: &'a Tracked,
    /// What ADD COLUMN gave to the rows that were there, of the columns that the triggers do not know; none where that
    /// is not known.
    given: Vec<Option<Value>>,
    added: Option<RowReader>,
    /// Of a table that was made again since.
    there: Option<RowReader>,
    /// The same table's entry of a number, and the next one that is not of kind "met".
    next: Option<Statement>,
}

impl<'a> Look<'a> {
    fn new(database: &Database, table: &'a Tracked) -> Result<Self> {
        let added = table.columns.added.as_slice();
        let given = added
            .iter()
            .map(|position| added_value(database, &table.shape.columns[*position]));
        let reader = |columns: &[usize]| RowReader::new(database, table, columns);
        Ok(Self {
            given: given.collect::<Result<_>>()?,
            added: (!added.is_empty()).then(|| reader(added)).transpose()?,
            there: (!table.is_captured).then(|| reader(&[])).transpose()?,
            next: (!table.is_captured)
                .then(|| database.prepare(&next_entry(database)))
                .transpose()?,
            table,
        })
    }

    fn at(&mut self, row: &mut Pending) -> Result<()> {
        self.mark_added(row)?;
        let Some(there) = &mut self.there else {
            return Ok(());
        };
        if !self.table.is_there {
            let replaced = self.was_replaced(row)?;
            row.strand(replaced);
            return Ok(());
        }
        let is_there = there.find(row)?;
        there.release();
        match is_there {
            true => row.revive_if_deleted(),
            false if self.was_replaced(row)? => {}
            false => row.lose_unless_deleted(),
        }
        Ok(())
    }

    /// Whether a row that is not in a table which was made again had been replaced by another one before. An entry "met"
    /// alone does not say so, for an insert that is ignored meets rows too; but here the next thing that happened to the
    /// table is that another row was written, and that one is there (or nobody can look, since the table is gone).
    fn was_replaced(&mut self, row: &Pending) -> Result<bool> {
        let (Some(there), Some(next)) = (&mut self.there, &mut self.next) else {
            return Ok(false);
        };
        next.bind_all(&[self.table.id.into(), row.last_seq.into()])?;
        let met = next.step()? && Op::of(next.integer(0)) == Op::Met;
        let other = match met && next.step()? && Op::of(next.integer(0)) != Op::Delete {
            true => Some(Key(next.column(1).to_owned())).filter(|other| *other != row.key),
            false => None,
        };
        next.reset();
        let Some(other) = other else {
            return Ok(false);
        };
        if !self.table.is_there {
            return Ok(true);
        }
        let is_there = there.find(&Pending::start(other))?;
        there.release();
        Ok(is_there)
    }

    /// Finds out which columns that the triggers did not know were changed by updates they did log: those that no longer
    /// hold what ADD COLUMN gave them.
    fn mark_added(&mut self, row: &mut Pending) -> Result<()> {
        let Some(reader) = self.added.as_mut().filter(|_| row.unseen) else {
            return Ok(());
        };
        if !reader.find(row)? {
            return Ok(());
        }
        for (place, position) in self.table.columns.added.iter().enumerate() {
            let as_given = self.given[place]
                .as_ref()
                .is_some_and(|given| reader.column(place) == given.borrow());
            if !as_given {
                row.mark_column(*position);
            }
        }
        reader.release();
        Ok(())
    }
}

fn next_entry(database: &Database) -> String {
    format!(
        "SELECT op, pk FROM {log} WHERE tbl = ?1 AND seq >= ?2 AND (seq = ?2 OR op & {OP_BITS} <> {met}) ORDER BY seq LIMIT 2",
        log = database.qualified("_syncChange"),
        met = Op::Met.code(),
    )
}

/// What ADD COLUMN gave to the rows that were there; none when that is not known.
fn added_value(database: &Database, column: &Column) -> Result<Option<Value>> {
    if column.default.is_none() {
        return Ok(Some(Value::Null));
    }
    let Some(default) = column.default_value() else {
        return Ok(None);
    };
    let mut value = database
        .connection()
        .prepare(&format!("SELECT {default}"))?;
    value.step()?;
    Ok(Some(value.column(0).to_owned()))
}
