//! Reading pending rows out of the log.

use std::collections::HashMap;

use crate::store::{Database, Result, Statement, Value};

use super::key::Key;
use super::op::{Op, group_of};
use super::pending::{Entry, PendingRows};
use super::reader::RowReader;
use super::shape::Column;
use super::tracked::Tracked;

impl PendingRows {
    /// Reads the log up to `upto` for some tables: one scan, whatever their number. The answer has
    /// the tables' order. Memory grows with the number of pending rows.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read(database: &Database, tables: &[&Tracked], upto: i64) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = tables.iter().map(|_| Self::default()).collect();
        let places: HashMap<i64, usize> = tables
            .iter()
            .enumerate()
            .map(|(place, table)| (table.id, place))
            .collect();
        scan(database, upto, |table, key, entry| {
            if let Some(place) = places.get(&table) {
                all[*place].add(Key(key), entry, &tables[*place].columns);
            }
        })?;
        for (table, rows) in tables.iter().zip(&mut all) {
            rows.look_at_added(database, table)?;
            rows.look_for_lost(database, table)?;
        }
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
        let numbers: Vec<String> = (3..keys.len() + 3)
            .map(|place| format!("?{place}"))
            .collect();
        let mut entries = database.prepare(&format!(
            "{ENTRIES} AND tbl = ?2 AND pk IN ({}) ORDER BY seq",
            numbers.join(", ")
        ))?;
        let mut values = vec![upto.into(), table.id.into()];
        values.extend(keys.iter().map(Value::borrow));
        entries.bind_all(&values)?;
        walk(entries, |_, key, entry| {
            some.add(Key(key), entry, &table.columns);
        })?;
        some.look_at_added(database, table)?;
        some.look_for_lost(database, table)?;
        Ok(some)
    }

    /// What was logged of some rows after the number given for each. One scan of the log up to `upto`.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read_newer(
        database: &Database,
        table: &Tracked,
        upto: i64,
        after: &HashMap<Key, i64>,
    ) -> Result<Self> {
        let mut newer = Self::default();
        scan(database, upto, |id, key, entry| {
            let key = Key(key);
            if id == table.id && after.get(&key).is_some_and(|seq| entry.seq > *seq) {
                newer.add(key, entry, &table.columns);
            }
        })?;
        newer.look_at_added(database, table)?;
        Ok(newer)
    }

    /// Finds out which columns that the triggers did not know were changed by updates they did log: those
    /// that no longer hold what ADD COLUMN gave them.
    fn look_at_added(&mut self, database: &Database, table: &Tracked) -> Result<()> {
        let added = table.columns.added.as_slice();
        if added.is_empty() || self.unseen().next().is_none() {
            return Ok(());
        }
        let mut given = Vec::with_capacity(added.len());
        for position in added {
            given.push(added_value(database, &table.shape.columns[*position])?);
        }
        let mut reader = RowReader::new(database, table, added)?;
        for row in self.unseen() {
            if !reader.find(row)? {
                continue;
            }
            for (place, position) in added.iter().enumerate() {
                let as_given = given[place]
                    .as_ref()
                    .is_some_and(|given| reader.column(place) == given.borrow());
                if !as_given {
                    row.mark_column(*position);
                }
            }
            reader.release();
        }
        Ok(())
    }

    /// Finds out which rows are not in a table that was made again since.
    fn look_for_lost(&mut self, database: &Database, table: &Tracked) -> Result<()> {
        if table.is_captured {
            return Ok(());
        }
        let mut reader = RowReader::new(database, table, &[])?;
        for row in self.rows_mut() {
            match reader.find(row)? {
                true => row.revive_if_deleted(),
                false => row.lose_unless_deleted(),
            }
            reader.release();
        }
        Ok(())
    }
}

/// The log up to a number.
const ENTRIES: &str = "SELECT seq, tbl, op, mask, rid, pk FROM main._syncChange WHERE seq <= ?1";

/// Walks the log up to `upto`: `each` gets the id of the table, the key and the entry.
fn scan(database: &Database, upto: i64, each: impl FnMut(i64, Value, &Entry)) -> Result<()> {
    let mut entries = database.prepare(&format!("{ENTRIES} ORDER BY seq"))?;
    entries.bind(1, upto.into())?;
    walk(entries, each)
}

fn walk(mut scan: Statement, mut each: impl FnMut(i64, Value, &Entry)) -> Result<()> {
    while scan.step()? {
        let code = scan.integer(2);
        let entry = Entry {
            seq: scan.integer(0),
            op: Op::of(code),
            group: group_of(code),
            mask: scan.column(3).as_i64(),
            rowid: scan.column(4).as_i64(),
        };
        each(scan.integer(1), scan.column(5).to_owned(), &entry);
    }
    Ok(())
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
