//! Values that a column can't hold, kept aside with their rows: written while rows are applied, read when rows are
//! sent or compared. As long as nobody edits the column here, its value is the one kept.

use crate::capture::aside::counts;
use crate::capture::{Key, Pending, Tracked};
use crate::ground::Warning;
use crate::providers::wire::Slot;
use crate::store::{Database, Result, Statement, ValueRef};

use super::binding::Binding;

/// The JSON kept of a row, by column. Empty when nothing is.
pub type KeptRow = Vec<Option<String>>;

/// What is kept of one table. Where nothing is, that is all that is asked.
pub struct Asides<'a> {
    database: &'a Database,
    binding: &'a Binding,
    /// Something is kept.
    any: bool,
    read: Option<Statement>,
    put: Option<Statement>,
    /// Values that came and are kept, by column.
    pub came: Vec<i64>,
}

/// A value that is kept.
struct Found {
    place: usize,
    json: String,
    /// The log's end when it came.
    seq: i64,
}

impl<'a> Asides<'a> {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &'a Database, binding: &'a Binding) -> Result<Self> {
        let any = database.query_value(
            "SELECT 1 FROM main._syncAside WHERE tbl = ?1 LIMIT 1",
            &[binding.table.id.into()],
        )?;
        Ok(Self {
            database,
            binding,
            any: any.as_i64().is_some(),
            read: None,
            put: None,
            came: Vec::new(),
        })
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        !self.any
    }

    /// What counts for a row: not what was edited here since, nor what was kept of an earlier row of its key.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of_row(&mut self, key: &Key, pending: Option<&Pending>) -> Result<KeptRow> {
        let found = self.find(key)?;
        Ok(self.by_place(found.into_iter().filter(|kept| self.counts(kept, pending))))
    }

    /// The same for a row that is about to be sent; what does not count any more is let go of.
    ///
    /// # Errors
    /// SQLite's.
    pub fn sent_row(&mut self, key: &Key, pending: &Pending) -> Result<KeptRow> {
        let found = self.find(key)?;
        let (counts, over): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|kept| self.counts(kept, Some(pending)));
        for kept in over {
            self.remove(key, kept.place)?;
        }
        Ok(self.by_place(counts.into_iter()))
    }

    fn counts(&self, kept: &Found, pending: Option<&Pending>) -> bool {
        counts(kept.seq, self.binding.columns[kept.place], pending)
    }

    fn by_place(&self, found: impl Iterator<Item = Found>) -> KeptRow {
        let mut row = KeptRow::new();
        for kept in found {
            row.resize(self.binding.columns.len(), None);
            row[kept.place] = Some(kept.json);
        }
        row
    }

    /// A row was written: what it brings that the columns can't hold is kept, what was kept of the columns that it
    /// names goes. `upto`: the log's end before. Whether anything changed.
    ///
    /// # Errors
    /// SQLite's.
    pub fn keep(&mut self, key: &Key, row: &[Slot<'_>], is_new: bool, upto: i64) -> Result<bool> {
        if !self.any && row.iter().all(|slot| slot.kept().is_none()) {
            return Ok(false);
        }
        let before = self.find(key)?;
        let mut changed = false;
        for (place, slot) in row.iter().enumerate() {
            let known = before.iter().find(|kept| kept.place == place);
            let Some(kept) = slot.kept() else {
                if known.is_some() && (is_new || !slot.is_missing()) {
                    self.remove(key, place)?;
                    changed = true;
                }
                continue;
            };
            self.came.resize(row.len(), 0);
            self.came[place] += 1;
            // What is known may be over: its column was edited since, and this takes the edit's place.
            if known.is_none_or(|known| known.json != kept.json || known.seq != upto) {
                changed |= known.is_none_or(|known| known.json != kept.json);
                self.put(key, place, &kept.json, upto)?;
            }
        }
        Ok(changed)
    }

    /// A row is gone.
    ///
    /// # Errors
    /// SQLite's.
    pub fn remove_row(&mut self, key: &Key) -> Result<()> {
        for kept in self.find(key)? {
            self.remove(key, kept.place)?;
        }
        Ok(())
    }

    fn find(&mut self, key: &Key) -> Result<Vec<Found>> {
        if !self.any {
            return Ok(Vec::new());
        }
        let read = match &mut self.read {
            Some(read) => read,
            none => none.insert(self.database.prepare(
                "SELECT col, value, seq FROM main._syncAside WHERE tbl = ?1 AND pk = ?2",
            )?),
        };
        read.bind_all(&[self.binding.table.id.into(), key.0.borrow()])?;
        let mut found = Vec::new();
        while read.step()? {
            let name = read.text(0);
            let columns = &self.binding.wire.columns;
            // A column that is not synced any more.
            let Some(place) = columns
                .iter()
                .position(|column| column.name.eq_ignore_ascii_case(&name))
            else {
                continue;
            };
            found.push(Found {
                place,
                json: read.text(1),
                seq: read.integer(2),
            });
        }
        read.reset();
        Ok(found)
    }

    /// Keeps the server's value of a column that holds another one from now on, though nobody has edited it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_one(&mut self, key: &Key, place: usize, json: &str, upto: i64) -> Result<()> {
        self.came.resize(self.binding.columns.len(), 0);
        self.came[place] += 1;
        self.put(key, place, json, upto)
    }

    fn put(&mut self, key: &Key, place: usize, json: &str, seq: i64) -> Result<()> {
        self.any = true;
        // One that no bit is of, a computed one, is never synced.
        let bit = self.binding.table.columns.bit(self.binding.columns[place]);
        let bit = bit.unwrap_or_default() as i64;
        let put = match &mut self.put {
            Some(put) => put,
            none => none.insert(self.database.prepare(
                "INSERT INTO main._syncAside (tbl, pk, col, value, seq, bit) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT (tbl, pk, col) DO UPDATE SET value = excluded.value, seq = excluded.seq",
            )?),
        };
        put.run(&[
            self.binding.table.id.into(),
            key.0.borrow(),
            self.binding.wire.columns[place].name.as_str().into(),
            json.into(),
            seq.into(),
            bit.into(),
        ])?;
        Ok(())
    }

    fn remove(&mut self, key: &Key, place: usize) -> Result<()> {
        let column: ValueRef<'_> = self.binding.wire.columns[place].name.as_str().into();
        self.database.execute(
            "DELETE FROM main._syncAside WHERE tbl = ?1 AND pk = ?2 AND col = ?3",
            &[self.binding.table.id.into(), key.0.borrow(), column],
        )?;
        Ok(())
    }
}

/// The same as [`Asides::put_one`] where there is no binding, unless something is kept of the column. Whether it was
/// kept.
///
/// # Errors
/// SQLite's.
pub fn put_beside(
    database: &Database,
    table: &Tracked,
    (key, position): (&Key, usize),
    json: &str,
    seq: i64,
) -> Result<bool> {
    let bit = table.columns.bit(position).unwrap_or_default() as i64;
    let put = database.execute(
        "INSERT INTO main._syncAside (tbl, pk, col, value, seq, bit) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (tbl, pk, col) DO NOTHING",
        &[
            table.id.into(),
            key.0.borrow(),
            table.shape.columns[position].name.as_str().into(),
            json.into(),
            seq.into(),
            bit.into(),
        ],
    )?;
    Ok(put > 0)
}

/// That values of a column are kept.
pub fn warning(entity: &str, column: &str, count: i64) -> Warning {
    let message = format!(
        "{entity}.{column}: values that the column can't hold as they are; they are kept aside, and go up again \
         unless the column is edited here (SELECT * FROM sync_aside)"
    );
    Warning::new("valuesKeptAside", message)
        .of(entity)
        .times(count)
}
