//! Reads the rows that pending entries are about, as they are now.

use crate::store::{Connection, Database, Result, Statement, Value, ValueRef, quote_name};

use super::key::{self, Encoding};
use super::pending::Pending;
use super::pending_rows::PendingRows;
use super::tracked::Tracked;

/// Finds rows, and stays on the one found until the next is looked for.
pub struct RowReader {
    walk: Option<Walk>,
    by_hint: Option<Statement>,
    by_key: Statement,
    key_columns: usize,
    encoding: Encoding,
    found: Found,
}

/// Which of the statements is on the row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Found {
    Walk,
    Hint,
    Key,
}

/// The entries of a table side by side with its rows, in the order of the log. To go on costs much less
/// than to look a row up.
struct Walk {
    entries: Statement,
    /// The entry it is on; the greatest number there is after the last.
    seq: i64,
}

/// Columns of a walk before those of the row: the number of the entry, the rowid.
const WALK_COLUMNS: usize = 2;

/// The walk is worth its while when at least one in so many entries of the log is the first of a row.
const WALK_SPARSENESS: i64 = 4;

impl Walk {
    /// Whether the row that entry `seq` speaks of is there. Asked for in the order of the log.
    fn reach(&mut self, seq: i64) -> Result<bool> {
        while self.seq < seq {
            self.seq = match self.entries.step()? {
                true => self.entries.integer(0),
                false => i64::MAX,
            };
        }
        Ok(self.seq == seq && self.entries.column(1) != ValueRef::Null)
    }
}

impl RowReader {
    /// Reads the given columns of a table.
    ///
    /// # Errors
    /// SQLite's.
    pub fn new(database: &Database, table: &Tracked, columns: &[usize]) -> Result<Self> {
        let connection: Connection = database.connection();
        let shape = &table.shape;
        let list = match column_names(table, columns) {
            list if list.is_empty() => "1".into(),
            list => list.join(", "),
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
                format!("{name} IS ?{number} AND {name} IS ?{number} COLLATE BINARY")
            })
            .collect();
        let rows = match table.is_there {
            true => database.qualified(&shape.name),
            false => no_rows(table),
        };
        let from = format!(
            "SELECT {list} FROM {rows} AS o WHERE {}",
            by_key.join(" AND ")
        );
        let by_hint = match shape.rowid {
            // The unary plus keeps the planner from taking the key's index.
            Some(rowid) if !shape.rowid_is_key && keys.len() == 1 => {
                let key = quote_name(&keys[0].name);
                Some(connection.prepare(&format!(
                    "SELECT {list} FROM {} AS o WHERE {rowid} = ?2 AND +{key} IS ?1 COLLATE BINARY",
                    database.qualified(&shape.name)
                ))?)
            }
            _ => None,
        };
        let by_key = connection.prepare(&from)?;
        let encoding = match keys.len() {
            1 => Encoding::Utf8,
            _ => Encoding::of(database)?,
        };
        Ok(Self {
            walk: None,
            by_hint,
            by_key,
            key_columns: keys.len(),
            encoding,
            found: Found::Key,
        })
    }

    /// The same for all rows of `pending`, which are to be looked for in their order. Until it is dropped, or
    /// has passed the last row, a statement goes on reading the table.
    ///
    /// # Errors
    /// SQLite's.
    pub fn following(
        database: &Database,
        table: &Tracked,
        columns: &[usize],
        pending: &PendingRows,
    ) -> Result<Self> {
        let mut reader = Self::new(database, table, columns)?;
        reader.walk = walk(database, table, columns, pending)?;
        Ok(reader)
    }

    /// Goes to the row; false when there is none.
    ///
    /// # Errors
    /// SQLite's; a malformed composite key in the log.
    pub fn find(&mut self, pending: &Pending) -> Result<bool> {
        if let Some(walk) = self.walk.as_mut()
            && walk.reach(pending.first_seq)?
        {
            self.found = Found::Walk;
            return Ok(true);
        }
        if let (Some(statement), Some(rowid)) = (self.by_hint.as_mut(), pending.rowid()) {
            statement.reset();
            statement.bind_all(&[pending.key.0.borrow(), rowid.into()])?;
            if statement.step()? {
                self.found = Found::Hint;
                return Ok(true);
            }
            statement.reset();
        }
        self.find_key(&pending.key.0)
    }

    /// Goes to the row with this logged key; false when there is none.
    ///
    /// # Errors
    /// As [`RowReader::find`].
    pub fn find_key(&mut self, logged: &Value) -> Result<bool> {
        self.found = Found::Key;
        self.by_key.reset();
        if self.key_columns == 1 {
            self.by_key.bind(1, logged.borrow())?;
        } else {
            for (place, value) in self.key_values(logged)?.iter().enumerate() {
                self.by_key.bind(place + 1, value.borrow())?;
            }
        }
        self.by_key.step()
    }

    /// The values of a logged key, one for each column of the key.
    ///
    /// # Errors
    /// A malformed composite key in the log.
    pub fn key_values(&self, logged: &Value) -> Result<Vec<Value>> {
        key::values(logged, self.key_columns, self.encoding)
    }

    /// Column `index` (of those asked for) of the row found.
    pub fn column(&self, index: usize) -> ValueRef<'_> {
        match (self.found, &self.walk, &self.by_hint) {
            (Found::Walk, Some(walk), _) => walk.entries.column(WALK_COLUMNS + index),
            (Found::Hint, _, Some(statement)) => statement.column(index),
            _ => self.by_key.column(index),
        }
    }

    /// Lets go of the row, so that nothing but a walk is left reading.
    pub fn release(&mut self) {
        match (self.found, self.by_hint.as_mut()) {
            (Found::Walk, _) => {}
            (Found::Hint, Some(statement)) => statement.reset(),
            _ => self.by_key.reset(),
        }
    }
}

/// In place of a table that is gone: its columns, and no row.
fn no_rows(table: &Tracked) -> String {
    let columns = table.shape.columns.iter();
    let columns: Vec<String> = columns
        .map(|column| format!("NULL AS {}", quote_name(&column.name)))
        .collect();
    format!("(SELECT {} WHERE 0)", columns.join(", "))
}

fn column_names(table: &Tracked, columns: &[usize]) -> Vec<String> {
    columns
        .iter()
        .map(|position| format!("o.{}", quote_name(&table.shape.columns[*position].name)))
        .collect()
}

/// None where rows have no rowid, or most of the log is about other tables.
fn walk(
    database: &Database,
    table: &Tracked,
    columns: &[usize],
    pending: &PendingRows,
) -> Result<Option<Walk>> {
    let shape = &table.shape;
    let (Some(rowid), [key]) = (shape.rowid, &shape.keys()[..]) else {
        return Ok(None);
    };
    let Some((first, last)) = pending.span() else {
        return Ok(None);
    };
    if last.saturating_sub(first) / WALK_SPARSENESS > pending.len() as i64 {
        return Ok(None);
    }
    let logged = match shape.rowid_is_key {
        true => "pk",
        false => "rid",
    };
    let row: Vec<String> = [format!("o.{rowid}")]
        .into_iter()
        .chain(column_names(table, columns))
        .collect();
    // The unary plus keeps the planner from taking the key's index.
    let prepared = database.connection().prepare(&format!(
        "SELECT c.seq, {} FROM {} AS c LEFT JOIN {} AS o \
         ON o.{rowid} = c.{logged} AND +o.{} IS c.pk COLLATE BINARY \
         WHERE c.seq BETWEEN ?1 AND ?2 AND c.tbl = ?3 ORDER BY c.seq",
        row.join(", "),
        database.qualified("_syncChange"),
        database.qualified(&shape.name),
        quote_name(&key.name),
    ));
    // A table may have as many columns as a statement may have, and the walk has two more.
    let Ok(mut entries) = prepared else {
        return Ok(None);
    };
    entries.bind_all(&[first.into(), last.into(), table.id.into()])?;
    Ok(Some(Walk { entries, seq: 0 }))
}
