//! The statements on one table: finding a row, inserting, updating and deleting it. Nothing is decided here.

use crate::capture::reader::RowReader;
use crate::capture::{Key, Pending};
use crate::providers::values::{holds, show};
use crate::providers::wire::{Slot, fallback};
use crate::store::{Database, Error, Result, Statement, TriggersOff, Value, ValueRef, quote_name};
use crate::transfer::aside::{Asides, KeptRow};
use crate::transfer::binding::{Binding, wire_column};

use super::decide::Written;
use super::lift::{Lifted, Lifter};
use super::own_writes::{Applied, Wrote};

/// SQLite's code for a value that must be unique and is not.
pub const UNIQUE: i32 = 2067;

/// Statements of a kind, by the columns that a row holds. The rows of one answer mostly hold the same.
type ByColumns<T> = Vec<(Vec<bool>, T)>;

/// Statements kept of a kind.
const KEPT: usize = 32;

/// What came of a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    Gone,
    /// There was no such row.
    Absent,
    /// A trigger of the application ignored it (`RAISE(IGNORE)`): the row is still here.
    Ignored,
}

/// Writes the rows of one table.
pub struct Writer<'a> {
    database: &'a Database,
    binding: &'a Binding,
    reader: RowReader,
    /// With the places of the columns each names.
    inserts: ByColumns<(Statement, Vec<usize>)>,
    updates: ByColumns<Statement>,
    delete: Statement,
    lifter: Option<Lifter>,
    pub asides: Asides<'a>,
    /// The log's end before anything was written.
    start: i64,
    /// The columns that the row at hand holds.
    present: Vec<bool>,
    /// What INSERT and UPDATE begin with: a table's own ON CONFLICT clauses must not replace or skip rows.
    /// Elsewhere nothing is said, since it would count in the triggers of the application too.
    otherwise: &'static str,
    /// What was applied is kept, see [`Writer::take_applied`].
    watched: bool,
    following: Vec<usize>,
    applied: Option<Applied>,
    /// The table held no row at first: try to insert before looking.
    was_empty: bool,
}

impl<'a> Writer<'a> {
    /// # Errors
    /// SQLite's.
    pub fn new(database: &'a Database, binding: &'a Binding, start: i64) -> Result<Self> {
        let connection = database.connection();
        let (table, key) = (&binding.qualified, binding.key_name());
        let was_empty = !connection
            .prepare(&format!("SELECT 1 FROM {table} LIMIT 1"))?
            .step()?;
        let delete = connection.prepare(&format!(
            "DELETE FROM {table} WHERE {key} = ?1 AND {key} = ?1 COLLATE BINARY"
        ))?;
        let own_clause = database.query_value(
            "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE \
             AND sql LIKE '%conflict%'",
            &[binding.table.shape.name.as_str().into()],
        )?;
        Ok(Self {
            database,
            binding,
            reader: RowReader::new(database, &binding.table, &binding.columns)?,
            inserts: Vec::new(),
            updates: Vec::new(),
            delete,
            lifter: None,
            asides: Asides::of(database, binding)?,
            start,
            present: Vec::new(),
            otherwise: match own_clause {
                Value::Null => "",
                _ => " OR ABORT",
            },
            watched: false,
            following: Vec::new(),
            applied: None,
            was_empty,
        })
    }

    /// Keeps what is applied from now on. `following`: columns that a foreign key may write, where nothing is said of them.
    pub fn watch(&mut self, following: Vec<usize>) {
        self.watched = true;
        self.following = following;
    }

    /// What the row that was written last is to hold; nothing when none was.
    pub fn take_applied(&mut self) -> Option<Applied> {
        self.applied.take()
    }

    pub fn has_applied(&self) -> bool {
        self.applied.is_some()
    }

    /// Keeps what a row is to hold. Where nothing was said of a column, it is to be as it was.
    fn note(&mut self, row: &[Slot<'_>], wrote: Wrote) {
        if !self.watched {
            self.applied = Some(Applied::Unchecked);
            return;
        }
        let slots = row.iter().enumerate();
        let row = slots.map(|(place, slot)| match slot {
            Slot::Missing if wrote < Wrote::New && !self.following.contains(&place) => {
                Slot::of(self.value(place))
            }
            slot => slot.clone().into_owned(),
        });
        self.applied = Some(Applied::Row {
            row: row.collect(),
            wrote,
        });
    }

    /// Writes a row again that something else than us has changed since, without its noticing; whether it holds what
    /// was applied.
    ///
    /// # Errors
    /// SQLite's.
    pub fn restore(&mut self, key: &Key, row: &[Slot<'_>]) -> Result<bool> {
        if !self.find_key(key)? {
            self.release();
            return Ok(false);
        }
        let _quiet = TriggersOff::begin(self.database.connection());
        // Temporary triggers can't be switched off: those of columns that are right are not to fire again.
        let mut wrong = row.to_vec();
        for (place, slot) in wrong.iter_mut().enumerate() {
            if !self.differs_at(place, row) && slot.kept().is_none() {
                *slot = Slot::Missing;
            }
        }
        let outcome = self.update(key, &wrong);
        self.applied = None;
        match outcome {
            Err(error) if error.is_constraint() => return Ok(false),
            outcome => outcome?,
        };
        let is_right = self.find_key(key)? && !self.differs(row);
        self.release();
        Ok(is_right)
    }

    /// Whether every row is likely to be new.
    pub fn was_empty(&self) -> bool {
        self.was_empty
    }

    /// Goes to the row that entries of the log are about; false when there is none.
    ///
    /// # Errors
    /// SQLite's.
    pub fn find(&mut self, pending: &Pending) -> Result<bool> {
        self.reader.find(pending)
    }

    /// Goes to a row; false when there is none.
    ///
    /// # Errors
    /// SQLite's.
    pub fn find_key(&mut self, key: &Key) -> Result<bool> {
        self.reader.find_key(&key.0)
    }

    /// Column `place` of the row found, among those that travel.
    pub fn value(&self, place: usize) -> ValueRef<'_> {
        self.reader.column(place)
    }

    /// Whether an incoming row differs from the row found.
    pub fn differs(&self, row: &[Slot<'_>]) -> bool {
        let mut places = 0..row.len();
        places.any(|place| Some(place) != self.binding.stamp && self.differs_at(place, row))
    }

    /// The same for one column.
    pub fn differs_at(&self, place: usize, row: &[Slot<'_>]) -> bool {
        let column = &self.binding.wire.columns[place];
        !row[place].is_missing() && !holds(column, self.value(place), &row[place])
    }

    /// Lets go of the row found.
    pub fn release(&mut self) {
        self.reader.release();
    }

    /// Inserts a row; false when one with this key is there already.
    ///
    /// # Errors
    /// SQLite's.
    pub fn insert(&mut self, key: &Key, row: &[Slot<'_>]) -> Result<bool> {
        self.look_at(row);
        let known = match place_of(&self.inserts, &self.present) {
            Some(place) => place,
            None => {
                let insert = self.prepare_insert()?;
                keep(&mut self.inserts, &self.present, insert)
            }
        };
        let (insert, places) = &mut self.inserts[known].1;
        let columns = &self.binding.wire.columns;
        let required = places.iter().filter(|place| row[**place].is_missing());
        let fallbacks: Vec<Slot<'_>> = required.map(|place| fallback(&columns[*place])).collect();
        let mut fallbacks = fallbacks.iter();
        let mut values = Vec::with_capacity(places.len() + 1);
        values.push(key.0.borrow());
        values.extend(places.iter().map(|place| match &row[*place] {
            Slot::Missing => fallbacks.next().map_or(ValueRef::Null, Slot::value),
            slot => slot.value(),
        }));
        let inserted = insert.run(&values)? > 0;
        if inserted {
            self.note(row, Wrote::New);
            self.asides.keep(key, row, true, self.start)?;
        }
        Ok(inserted)
    }

    /// Inserts a row that is not there. What comes to nothing must not do so in silence: another row may have
    /// the key by the column's collation, or a trigger of the application ignored the row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn insert_new(&mut self, key: &Key, row: &[Slot<'_>]) -> Result<Written> {
        if self.insert(key, row)? {
            return Ok(Written::Inserted);
        }
        let name = self.binding.key_name();
        let sql = format!("SELECT 1 FROM {} WHERE {name} = ?1", self.binding.qualified);
        let mut clash = self.database.connection().prepare(&sql)?;
        clash.bind(1, key.0.borrow())?;
        if clash.step()? {
            return Err(Error::Sqlite {
                code: UNIQUE,
                text: "another row has the same key under the column's collation".into(),
            });
        }
        Ok(Written::Ignored)
    }

    /// Writes the columns that a row holds over the row found, if any of them differs, and lets go of that.
    ///
    /// # Errors
    /// SQLite's.
    pub fn update(&mut self, key: &Key, row: &[Slot<'_>]) -> Result<Written> {
        let places = 0..row.len();
        let differing: Vec<usize> = places
            .filter(|place| self.differs_at(*place, row))
            .collect();
        let differs = differing
            .iter()
            .any(|place| Some(*place) != self.binding.stamp);
        let wrote = match differs {
            true => Wrote::Over,
            false => Wrote::Nothing,
        };
        self.note(row, wrote);
        self.release();
        if !differs {
            return match self.keep(key, row)? {
                true => Ok(Written::Updated),
                false => Ok(Written::Unchanged),
            };
        }
        self.look_at(row);
        let known = match place_of(&self.updates, &self.present) {
            Some(place) => place,
            None => {
                let update = self.prepare_update()?;
                keep(&mut self.updates, &self.present, update)
            }
        };
        let held = row.iter().filter(|slot| !slot.is_missing());
        let mut values: Vec<ValueRef<'_>> = held.map(Slot::value).collect();
        values.push(key.0.borrow());
        if self.updates[known].1.run(&values)? == 0 {
            // Nothing was applied: what a trigger wrote in its place is an edit.
            self.applied = None;
            self.keep_ignored(key, row, &differing)?;
            return Ok(Written::IgnoredHere);
        }
        self.keep(key, row)?;
        Ok(Written::Updated)
    }

    /// What the server has in columns that a trigger does not let be written is kept aside, or the row would take it back
    /// there when it is sent for the edit of another column.
    fn keep_ignored(&mut self, key: &Key, row: &[Slot<'_>], differing: &[usize]) -> Result<()> {
        let mut same = row.to_vec();
        for place in differing {
            same[*place] = Slot::Missing;
        }
        self.keep(key, &same)?;
        for place in differing {
            let mut json = Vec::new();
            let kind = self.binding.wire.columns[*place].kind;
            show(&mut json, kind, row[*place].face());
            self.keep_one(key, *place, &String::from_utf8_lossy(&json))?;
        }
        Ok(())
    }

    /// Deletes a row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn delete(&mut self, key: &Key) -> Result<Deleted> {
        let deleted = self.delete.run(&[key.0.borrow()])?;
        if deleted == 0 {
            let exists = self.find_key(key)?;
            self.release();
            if exists {
                // What a trigger wrote in place of that (that the row is deleted, say) is nothing to send: the server has
                // no such row.
                self.applied = Some(Applied::Unchecked);
                return Ok(Deleted::Ignored);
            }
        }
        self.asides.remove_row(key)?;
        Ok(match deleted {
            0 => Deleted::Absent,
            _ => Deleted::Gone,
        })
    }

    /// Keeps aside what a row that is here, and needs no writing, brings and its columns can't hold; whether that
    /// is news.
    ///
    /// # Errors
    /// SQLite's.
    pub fn keep(&mut self, key: &Key, row: &[Slot<'_>]) -> Result<bool> {
        self.asides.keep(key, row, false, self.start)
    }

    /// Keeps the server's value of one column aside.
    ///
    /// # Errors
    /// SQLite's.
    pub fn keep_one(&mut self, key: &Key, place: usize, json: &str) -> Result<()> {
        self.asides.put_one(key, place, json, self.start)
    }

    /// What is kept aside of a row that is here.
    ///
    /// # Errors
    /// SQLite's.
    pub fn kept(&mut self, key: &Key, pending: Option<&Pending>) -> Result<KeptRow> {
        self.asides.of_row(key, pending)
    }

    /// Takes a row out of the table for a while; nothing when it is not there. Only where nothing of the
    /// application's fires.
    ///
    /// # Errors
    /// SQLite's: a foreign key may hold it.
    pub fn lift(&mut self, key: &Key) -> Result<Option<Lifted>> {
        let lifter = match self.lifter.take() {
            Some(lifter) => lifter,
            None => Lifter::new(self.database, self.binding)?,
        };
        let Some(lifted) = self.lifter.insert(lifter).read(key)? else {
            return Ok(None);
        };
        self.delete.run(&[key.0.borrow()])?;
        Ok(Some(lifted))
    }

    /// Puts a row back that was lifted, with what `row` holds.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_back(&mut self, key: &Key, lifted: &Lifted, row: &[Slot<'_>]) -> Result<Written> {
        let written = match self.lifter.as_mut() {
            Some(lifter) => lifter.put_back(lifted, row)?,
            None => return Ok(Written::Unchanged),
        };
        match self.keep(key, row)? {
            true => Ok(Written::Updated),
            false => Ok(written),
        }
    }

    fn look_at(&mut self, row: &[Slot<'_>]) {
        self.present.clear();
        self.present
            .extend(row.iter().map(|slot| !slot.is_missing()));
    }

    /// The columns an INSERT names: those present, and those that are required and have no DEFAULT of their own.
    fn prepare_insert(&self) -> Result<(Statement, Vec<usize>)> {
        let shape = &self.binding.table.shape;
        let is_named = |place: &usize| {
            let column = &shape.columns[self.binding.columns[*place]];
            self.present[*place] || (column.not_null && column.default.is_none())
        };
        let places: Vec<usize> = (0..self.present.len()).filter(is_named).collect();
        let key = self.binding.key_name();
        let mut names = vec![key.clone()];
        names.extend(places.iter().map(|place| self.column_name(*place)));
        let mut values = vec!["?"; names.len()];
        for (name, value) in self.unsynced() {
            names.push(name);
            values.push(value);
        }
        let sql = format!(
            "INSERT{} INTO {} ({}) VALUES ({}) ON CONFLICT ({key}) DO NOTHING",
            self.otherwise,
            self.binding.qualified,
            names.join(", "),
            values.join(", "),
        );
        Ok((self.database.connection().prepare(&sql)?, places))
    }

    /// Columns that are not synced and may not be empty, and what a new row gets there: what a synced one would get
    /// that the server leaves out.
    fn unsynced(&self) -> impl Iterator<Item = (String, &'static str)> {
        let table = &self.binding.table;
        let columns = table.shape.columns.iter().enumerate();
        columns
            .filter(|(position, column)| {
                column.not_null
                    && column.default.is_none()
                    && !column.generated
                    && column.key_place == 0
                    && !self.binding.columns.contains(position)
            })
            .map(|(position, column)| {
                let value = match fallback(&wire_column(table, position)) {
                    Slot::Text(text) if !text.is_empty() => "'null'",
                    Slot::Text(_) => "''",
                    Slot::Blob(_) => "x''",
                    _ => "0",
                };
                (quote_name(&column.name), value)
            })
    }

    fn prepare_update(&self) -> Result<Statement> {
        let set: Vec<String> = (0..self.present.len())
            .filter(|place| self.present[*place])
            .zip(1..)
            .map(|(place, number)| format!("{} = ?{number}", self.column_name(place)))
            .collect();
        // The first comparison finds the row by its index, the second looks at every byte.
        let sql = format!(
            "UPDATE{} {} SET {} WHERE {key} = ?{number} AND {key} = ?{number} COLLATE BINARY",
            self.otherwise,
            self.binding.qualified,
            set.join(", "),
            key = self.binding.key_name(),
            number = set.len() + 1,
        );
        self.database.connection().prepare(&sql)
    }

    fn column_name(&self, place: usize) -> String {
        quote_name(&self.binding.table.shape.columns[self.binding.columns[place]].name)
    }
}

fn place_of<T>(kept: &ByColumns<T>, columns: &[bool]) -> Option<usize> {
    kept.iter().position(|(known, _)| known == columns)
}

/// Keeps a statement; its place.
fn keep<T>(kept: &mut ByColumns<T>, columns: &[bool], statement: T) -> usize {
    if kept.len() == KEPT {
        kept.clear();
    }
    kept.push((columns.to_vec(), statement));
    kept.len() - 1
}
