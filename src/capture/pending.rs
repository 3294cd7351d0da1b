//! Pending rows, worked out from the log.
//!
//! | first entry | row exists | other than "met" entries | status |
//! |---|---|---|---|
//! | insert | yes | – | created |
//! | insert | no | – | nothing to send |
//! | other | yes | yes | updated |
//! | other | yes | no | nothing happened |
//! | other | no | – | deleted |
//!
//! A row whose first pending entry is an insert is unknown to the server: whatever it knew before was
//! acknowledged, which empties the log of it. An insert over a known row (REPLACE, or deleted and made
//! again) counts as an update of every column.

use std::collections::HashMap;

use crate::store::{Connection, Database, Result, Statement, Value, ValueRef, quote_name};

use super::key::{self, Key};
use super::tracked::Tracked;
use super::triggers::GROUP;

/// What would be sent of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Created,
    Updated,
    Deleted,
    /// Logged, but nothing to tell the server.
    Nothing,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Nothing => "nothing",
        }
    }
}

/// The coalesced entries of one row.
#[derive(Debug, Clone)]
pub struct Pending {
    pub key: Value,
    /// The server has it, as far as we know.
    pub known: bool,
    /// It was inserted, updated or deleted, not only met.
    pub touched: bool,
    /// Every column counts as changed.
    every_column: bool,
    /// Changed columns, 62 to a group.
    groups: Vec<u64>,
    /// Where the row was when last logged.
    rowid: Option<i64>,
    pub last_seq: i64,
}

impl Pending {
    /// The status, given whether the row exists now.
    pub fn status(&self, exists: bool) -> Status {
        match (self.known, exists) {
            (false, true) => Status::Created,
            (false, false) => Status::Nothing,
            (true, false) => Status::Deleted,
            (true, true) if self.touched => Status::Updated,
            (true, true) => Status::Nothing,
        }
    }

    /// Whether the column at `position` changed. For a created row: since it was created.
    pub fn changed(&self, position: usize) -> bool {
        let bit = 1u64 << (position % GROUP);
        self.every_column
            || self
                .groups
                .get(position / GROUP)
                .is_some_and(|mask| mask & bit != 0)
    }

    fn start(key: Value, entry: &Entry) -> Self {
        Self {
            key,
            known: entry.op != Op::Insert,
            touched: false,
            every_column: false,
            groups: Vec::new(),
            rowid: None,
            last_seq: entry.seq,
        }
    }

    fn add(&mut self, entry: &Entry) {
        self.last_seq = entry.seq;
        self.rowid = entry.rowid.or(self.rowid);
        match entry.op {
            Op::Met => return,
            Op::Insert if self.known => self.every_column = true,
            Op::Update { group } => {
                // All bits set stands for "every column" (drift.rs).
                if entry.mask == -1 {
                    self.every_column = true;
                }
                if self.groups.len() <= group {
                    self.groups.resize(group + 1, 0);
                }
                self.groups[group] |= entry.mask as u64;
            }
            Op::Insert | Op::Delete => {}
        }
        self.touched = true;
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Op {
    Insert,
    Update { group: usize },
    Delete,
    Met,
}

struct Entry {
    seq: i64,
    op: Op,
    mask: i64,
    rowid: Option<i64>,
}

/// The pending rows of one table, oldest first, and by key.
#[derive(Debug, Default)]
pub struct PendingRows {
    rows: Vec<Pending>,
    places: HashMap<Key, usize>,
}

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
        let mut scan = database.prepare(
            "SELECT seq, tbl, op, mask, rid, pk FROM main._syncChange WHERE seq <= ?1 ORDER BY seq",
        )?;
        scan.bind(1, upto.into())?;
        while scan.step()? {
            let Some(place) = places.get(&scan.integer(1)) else {
                continue;
            };
            let op = scan.integer(2);
            let op = match op & 7 {
                1 => Op::Insert,
                2 => Op::Update {
                    group: (op >> 3).clamp(0, 63) as usize,
                },
                3 => Op::Delete,
                _ => Op::Met,
            };
            let entry = Entry {
                seq: scan.integer(0),
                op,
                mask: scan.integer(3),
                rowid: scan.column(4).as_i64(),
            };
            all[*place].add(scan.column(5).to_owned(), &entry);
        }
        Ok(all)
    }

    fn add(&mut self, key: Value, entry: &Entry) {
        let key = Key(key);
        if let Some(place) = self.places.get(&key) {
            self.rows[*place].add(entry);
            return;
        }
        let mut pending = Pending::start(key.0.clone(), entry);
        pending.add(entry);
        self.places.insert(key, self.rows.len());
        self.rows.push(pending);
    }

    /// The pending entries of a row, if it has any.
    pub fn get(&self, key: &Key) -> Option<&Pending> {
        self.places.get(key).map(|place| &self.rows[*place])
    }

    pub fn rows(&self) -> &[Pending] {
        &self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Reads the rows that pending entries are about, as they are now.
pub struct RowReader {
    by_hint: Option<Statement>,
    by_key: Statement,
    key_columns: usize,
    used_hint: bool,
}

impl RowReader {
    /// Reads the given columns of a table.
    ///
    /// # Errors
    /// SQLite's.
    pub fn new(database: &Database, table: &Tracked, columns: &[usize]) -> Result<Self> {
        let connection: Connection = database.connection();
        let shape = &table.shape;
        let list: Vec<String> = columns
            .iter()
            .map(|position| quote_name(&shape.columns[*position].name))
            .collect();
        let list = if list.is_empty() {
            "1".into()
        } else {
            list.join(", ")
        };
        let keys = shape.keys();
        // The first comparison finds the row by its index; the second, byte for byte, keeps a key
        // with a NOCASE collation from finding a row that is spelled differently.
        let by_key: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(place, column)| {
                let name = quote_name(&column.name);
                let number = place + 1;
                format!("{name} = ?{number} AND {name} = ?{number} COLLATE BINARY")
            })
            .collect();
        let from = format!(
            "SELECT {list} FROM {} WHERE {}",
            database.qualified(&shape.name),
            by_key.join(" AND ")
        );
        let by_hint = match shape.rowid {
            // The unary plus keeps the planner from taking the key's index.
            Some(rowid) if !shape.rowid_is_key && keys.len() == 1 => {
                let key = quote_name(&keys[0].name);
                Some(connection.prepare(&format!(
                    "SELECT {list} FROM {} WHERE {rowid} = ?2 AND +{key} = ?1 COLLATE BINARY",
                    database.qualified(&shape.name)
                ))?)
            }
            _ => None,
        };
        let by_key = connection.prepare(&from)?;
        Ok(Self {
            by_hint,
            by_key,
            key_columns: keys.len(),
            used_hint: false,
        })
    }

    /// Goes to the row; false when there is none.
    ///
    /// # Errors
    /// SQLite's; a malformed composite key in the log.
    pub fn find(&mut self, pending: &Pending) -> Result<bool> {
        if let (Some(statement), Some(rowid)) = (self.by_hint.as_mut(), pending.rowid) {
            statement.reset();
            statement.bind_all(&[pending.key.borrow(), rowid.into()])?;
            if statement.step()? {
                self.used_hint = true;
                return Ok(true);
            }
            statement.reset();
        }
        self.find_key(&pending.key)
    }

    /// Goes to the row with this logged key; false when there is none.
    ///
    /// # Errors
    /// As [`RowReader::find`].
    pub fn find_key(&mut self, logged: &Value) -> Result<bool> {
        self.used_hint = false;
        self.by_key.reset();
        if self.key_columns == 1 {
            self.by_key.bind(1, logged.borrow())?;
        } else {
            for (place, value) in key::values(logged, self.key_columns)?.iter().enumerate() {
                self.by_key.bind(place + 1, value.borrow())?;
            }
        }
        self.by_key.step()
    }

    /// Column `index` (of those asked for) of the row found.
    pub fn column(&self, index: usize) -> ValueRef<'_> {
        match (&self.by_hint, self.used_hint) {
            (Some(statement), true) => statement.column(index),
            _ => self.by_key.column(index),
        }
    }

    /// Lets go of the row, so that nothing is left reading.
    pub fn release(&mut self) {
        if let Some(statement) = self.by_hint.as_mut() {
            statement.reset();
        }
        self.by_key.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(ops: &[(Op, i64)]) -> Pending {
        let mut rows = PendingRows::default();
        for (number, (op, mask)) in ops.iter().enumerate() {
            let entry = Entry {
                seq: number as i64 + 1,
                op: *op,
                mask: *mask,
                rowid: None,
            };
            rows.add(Value::Integer(1), &entry);
        }
        rows.rows[0].clone()
    }

    const UPDATE: Op = Op::Update { group: 0 };

    #[test]
    fn statuses() {
        for (ops, exists, status) in [
            (&[(Op::Insert, 0)][..], true, Status::Created),
            (&[(Op::Insert, 0), (UPDATE, 1)], true, Status::Created),
            (&[(Op::Insert, 0), (Op::Delete, 0)], false, Status::Nothing),
            (&[(UPDATE, 1)], true, Status::Updated),
            (&[(UPDATE, 1), (Op::Delete, 0)], false, Status::Deleted),
            (&[(Op::Delete, 0), (Op::Insert, 0)], true, Status::Updated),
            (&[(Op::Met, 0)], true, Status::Nothing),
            (&[(Op::Met, 0)], false, Status::Deleted),
            (&[(Op::Met, 0), (Op::Insert, 0)], true, Status::Updated),
            (
                &[(Op::Met, 0), (Op::Insert, 0), (Op::Delete, 0)],
                false,
                Status::Deleted,
            ),
        ] {
            assert_eq!(history(ops).status(exists), status, "{ops:?}");
        }
    }

    #[test]
    fn changed_columns() {
        let created = history(&[(Op::Insert, 0), (UPDATE, 0b10)]);
        assert!(!created.changed(0) && created.changed(1));
        let again = history(&[(Op::Delete, 0), (Op::Insert, 0)]);
        assert!(again.changed(0) && again.changed(500));
        let far = history(&[(Op::Update { group: 1 }, 0b100)]);
        assert!(far.changed(GROUP + 2) && !far.changed(2));
    }
}
