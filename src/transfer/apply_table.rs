//! Applying remote rows to one table: the decision table of `apply.rs`, row by row.

use std::collections::{HashMap, HashSet};

use crate::capture::pending::RowReader;
use crate::capture::{Key, Pending, PendingRows, Status};
use crate::providers::SyncError;
use crate::providers::wire::{Announced, Slot, fallback};
use crate::store::{Database, Error, Result, Statement, Value, ValueRef, quote_name};

use super::binding::Binding;
use super::echo::{Pushed, Unknown};
use super::report::Counts;

/// Statements kept for different sets of columns. Rows of one answer mostly have one set.
const CACHED: usize = 32;

/// Applies rows to one table.
pub struct TableApplier<'a> {
    database: &'a Database,
    provider: &'a str,
    pub binding: &'a Binding,
    pending: PendingRows,
    /// Ids whose push has no known outcome: deleted here since, they are on their way.
    unacknowledged: HashSet<Key>,
    reader: RowReader,
    inserts: HashMap<Vec<bool>, (Statement, Vec<usize>)>,
    updates: HashMap<Vec<bool>, Statement>,
    delete: Statement,
    /// Rows that the server may have from a push without an answer.
    unknown: Unknown,
    /// Those of them that it does have, with other content or edited here since; and the last log entry
    /// that was sent.
    pub known: HashMap<Key, i64>,
    /// Other rows made here that it has too.
    pub there: HashSet<Key>,
    /// What was pushed lately, once somebody asked.
    pushed: Option<Pushed>,
    /// The table held no row at first: try to insert before looking.
    was_empty: bool,
    pub counts: Counts,
}

impl<'a> TableApplier<'a> {
    /// # Errors
    /// SQLite's.
    pub fn new(
        database: &'a Database,
        provider: &'a str,
        binding: &'a Binding,
        pending: PendingRows,
        unacknowledged: HashSet<Key>,
    ) -> Result<Self> {
        let shape = &binding.table.shape;
        let table = database.qualified(&shape.name);
        let key = quote_name(&binding.table.shape.keys()[0].name);
        let connection = database.connection();
        let was_empty = !connection
            .prepare(&format!("SELECT 1 FROM {table} LIMIT 1"))?
            .step()?;
        let delete = connection.prepare(&format!(
            "DELETE FROM {table} WHERE {key} = ?1 AND {key} = ?1 COLLATE BINARY"
        ))?;
        Ok(Self {
            database,
            provider,
            binding,
            pushed: None,
            unknown: Unknown::read(database, provider, binding.table.id)?,
            known: HashMap::new(),
            there: HashSet::new(),
            pending,
            unacknowledged,
            reader: RowReader::new(database, &binding.table, &binding.columns)?,
            inserts: HashMap::new(),
            updates: HashMap::new(),
            delete,
            was_empty,
            counts: Counts::default(),
        })
    }

    /// Applies one row (`settled`: this answer has spoken of it before); true when the row's log entries are settled by it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn upsert(
        &mut self,
        announced: Announced,
        key: &Value,
        row: &[Slot<'_>],
        settled: bool,
    ) -> Result<bool> {
        if settled || self.pending.is_empty() {
            self.upsert_clean(announced, key, row)?;
            return Ok(false);
        }
        let Some(pending) = self.pending.get(&Key(key.clone())).cloned() else {
            self.upsert_clean(announced, key, row)?;
            return Ok(false);
        };
        let exists = self.reader.find(&pending)?;
        match pending.status(exists) {
            Status::Created | Status::Updated => {
                if self.settles_push(key, row, &pending)? {
                    return Ok(true);
                }
                self.merge(announced, key, row, &pending)?;
                Ok(false)
            }
            Status::Deleted => self.meet_deleted(announced, key, row),
            Status::Nothing if exists => {
                self.reader.release();
                self.upsert_clean(announced, key, row)?;
                Ok(false)
            }
            // Created and deleted here; when a push of it may have arrived, the delete goes up too.
            Status::Nothing if self.unacknowledged.contains(&Key(key.clone())) => {
                let revived = self.meet_deleted(announced, key, row)?;
                if !revived {
                    // It did arrive: from now on this is an ordinary delete of a known row.
                    let sent = self.unknown.get(&Key(key.clone()));
                    let upto = sent.map_or(i64::MAX, |sent| sent.upto);
                    self.known.insert(Key(key.clone()), upto);
                }
                Ok(revived)
            }
            Status::Nothing => {
                self.insert_or_tell(key, row)?;
                Ok(true)
            }
        }
    }

    /// Empties the columns that a waiting row is about to get, where they may be empty.
    ///
    /// # Errors
    /// SQLite's.
    pub fn park(&mut self, key: &Value, row: &[Slot<'_>]) -> Result<()> {
        let pending = self.pending.get(&Key(key.clone()));
        let names: Vec<String> = (0..row.len())
            .filter(|place| {
                let position = self.binding.columns[*place];
                !row[*place].is_missing()
                    && !self.binding.table.shape.columns[position].not_null
                    && !pending.is_some_and(|pending| pending.changed(position))
            })
            .map(|place| format!("{} = NULL", self.column_name(place)))
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        let name = quote_name(&self.binding.table.shape.keys()[0].name);
        let sql = format!(
            "UPDATE {} SET {} WHERE {name} = ?1 AND {name} = ?1 COLLATE BINARY",
            self.table(),
            names.join(", ")
        );
        self.connection().prepare(&sql)?.run(&[key.borrow()])?;
        Ok(())
    }

    /// A row that nothing is pending about.
    fn upsert_clean(&mut self, announced: Announced, key: &Value, row: &[Slot<'_>]) -> Result<()> {
        let likely_new = self.was_empty || announced == Announced::Created;
        if likely_new && self.insert(key, row)? {
            self.counts.announced_wrongly += i64::from(announced == Announced::Updated);
            return Ok(());
        }
        if !self.reader.find_key(key)? {
            self.reader.release();
            self.insert_or_tell(key, row)?;
            self.counts.announced_wrongly += i64::from(announced == Announced::Updated);
            return Ok(());
        }
        let wanted: Vec<bool> = row.iter().map(|slot| !slot.is_missing()).collect();
        self.update_where_different(key, row, wanted)?;
        self.counts.announced_wrongly += i64::from(announced == Announced::Created);
        Ok(())
    }

    /// A row edited here: columns changed here stay. What was made again since it was sent changed as a
    /// whole.
    fn merge(
        &mut self,
        announced: Announced,
        key: &Value,
        row: &[Slot<'_>],
        pending: &Pending,
    ) -> Result<()> {
        let logged = Key(key.clone());
        let sent = self.known.get(&logged);
        let made_again = sent.is_some_and(|upto| pending.inserted_after(*upto));
        if sent.is_none() && pending.status(true) == Status::Created {
            self.there.insert(logged);
        }
        let wanted: Vec<bool> = row
            .iter()
            .zip(&self.binding.columns)
            .map(|(slot, position)| {
                !slot.is_missing() && !made_again && !pending.changed(*position)
            })
            .collect();
        self.update_where_different(key, row, wanted)?;
        self.counts.conflicts += 1;
        self.counts.announced_wrongly += i64::from(announced == Announced::Created);
        Ok(())
    }

    /// Whether the row shows that a push without an answer did arrive, and nothing was edited since:
    /// then it is settled. Otherwise the server knows the row now, if it was created by that push.
    fn settles_push(&mut self, key: &Value, row: &[Slot<'_>], pending: &Pending) -> Result<bool> {
        let Some(sent) = self.unknown.get(&Key(key.clone())) else {
            return Ok(false);
        };
        let settled = pending.last_seq <= sent.upto && sent.is_echoed_by(self.binding, row);
        if !settled && sent.created {
            self.known.insert(Key(key.clone()), sent.upto);
        }
        if !settled {
            return Ok(false);
        }
        let wanted: Vec<bool> = row.iter().map(|slot| !slot.is_missing()).collect();
        self.update_where_different(key, row, wanted)?;
        Ok(true)
    }

    fn meet_deleted(
        &mut self,
        announced: Announced,
        key: &Value,
        row: &[Slot<'_>],
    ) -> Result<bool> {
        self.reader.release();
        if announced != Announced::Created || self.is_echo(key, row)? {
            self.counts.conflicts += i64::from(announced != Announced::Created);
            return Ok(false);
        }
        self.insert_or_tell(key, row)?;
        self.counts.conflicts += 1;
        self.counts.announced_wrongly += 1;
        Ok(true)
    }

    /// Whether the server only sends back what was pushed before the row was deleted here.
    fn is_echo(&mut self, key: &Value, row: &[Slot<'_>]) -> Result<bool> {
        let binding = self.binding;
        let key = Key(key.clone());
        Ok(self.pushed()?.is_echo(binding, &key, row))
    }

    /// Writes the wanted columns of the row the reader stands on, if any of them differs.
    fn update_where_different(
        &mut self,
        key: &Value,
        row: &[Slot<'_>],
        wanted: Vec<bool>,
    ) -> Result<()> {
        let differs = row
            .iter()
            .enumerate()
            .any(|(place, slot)| wanted[place] && !same(self.reader.column(place), slot.value()));
        self.reader.release();
        if !differs {
            self.counts.unchanged += 1;
            return Ok(());
        }
        let mut values: Vec<ValueRef<'_>> = row
            .iter()
            .zip(&wanted)
            .filter(|(_, wanted)| **wanted)
            .map(|(slot, _)| slot.value())
            .collect();
        values.push(key.borrow());
        if !self.updates.contains_key(&wanted) {
            let statement = self.prepare_update(&wanted)?;
            forget_one_of_many(&mut self.updates);
            self.updates.insert(wanted.clone(), statement);
        }
        if let Some(update) = self.updates.get_mut(&wanted) {
            update.run(&values)?;
        }
        self.counts.updated += 1;
        Ok(())
    }

    /// Inserts a row that is not there. What comes to nothing must not do so in silence: another row
    /// may have the key by the column's collation, or a trigger of the application ignored the row.
    fn insert_or_tell(&mut self, key: &Value, row: &[Slot<'_>]) -> Result<()> {
        if self.insert(key, row)? {
            return Ok(());
        }
        let name = quote_name(&self.binding.table.shape.keys()[0].name);
        let sql = format!("SELECT 1 FROM {} WHERE {name} = ?1", self.table());
        let mut clash = self.connection().prepare(&sql)?;
        clash.bind(1, key.borrow())?;
        if clash.step()? {
            const CONSTRAINT: i32 = 19;
            return Err(Error::Sqlite {
                code: CONSTRAINT,
                text: "another row has the same key by the column's collation".into(),
            });
        }
        self.counts.ignored += 1;
        Ok(())
    }

    /// Inserts a row; false when one with this key is there already.
    fn insert(&mut self, key: &Value, row: &[Slot<'_>]) -> Result<bool> {
        let present: Vec<bool> = row.iter().map(|slot| !slot.is_missing()).collect();
        if !self.inserts.contains_key(&present) {
            let statement = self.prepare_insert(&present)?;
            forget_one_of_many(&mut self.inserts);
            self.inserts.insert(present.clone(), statement);
        }
        let Some((insert, places)) = self.inserts.get_mut(&present) else {
            return Ok(false);
        };
        let columns = &self.binding.wire.columns;
        let stand_ins: Vec<Slot<'_>> = places
            .iter()
            .filter(|place| row[**place].is_missing())
            .map(|place| fallback(columns[*place].kind, columns[*place].required))
            .collect();
        let mut stand_in = stand_ins.iter();
        let mut values = vec![key.borrow()];
        for place in places.iter() {
            let slot = &row[*place];
            let value = match slot.is_missing() {
                true => stand_in.next().map_or(ValueRef::Null, Slot::value),
                false => slot.value(),
            };
            values.push(value);
        }
        let inserted = insert.run(&values)? > 0;
        self.counts.inserted += i64::from(inserted);
        Ok(inserted)
    }

    /// The columns an INSERT names: those present, and those that are required and have no DEFAULT
    /// of their own.
    fn prepare_insert(&self, present: &[bool]) -> Result<(Statement, Vec<usize>)> {
        let shape = &self.binding.table.shape;
        let places: Vec<usize> = (0..present.len())
            .filter(|place| {
                let column = &shape.columns[self.binding.columns[*place]];
                present[*place] || (column.not_null && column.default.is_none())
            })
            .collect();
        let key = quote_name(&shape.keys()[0].name);
        let mut names = vec![key.clone()];
        names.extend(places.iter().map(|place| self.column_name(*place)));
        let marks = vec!["?"; names.len()].join(", ");
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({marks}) ON CONFLICT ({key}) DO NOTHING",
            self.table(),
            names.join(", "),
        );
        Ok((self.connection().prepare(&sql)?, places))
    }

    fn prepare_update(&self, wanted: &[bool]) -> Result<Statement> {
        let set: Vec<String> = (0..wanted.len())
            .filter(|place| wanted[*place])
            .zip(1..)
            .map(|(place, number)| format!("{} = ?{number}", self.column_name(place)))
            .collect();
        let key = quote_name(&self.binding.table.shape.keys()[0].name);
        // The first comparison finds the row by its index, the second looks at every byte.
        let sql = format!(
            "UPDATE {} SET {} WHERE {key} = ?{number} AND {key} = ?{number} COLLATE BINARY",
            self.table(),
            set.join(", "),
            number = set.len() + 1,
        );
        self.connection().prepare(&sql)
    }

    /// Deletes one row (`settled`: this answer has spoken of it before; `again`: it may say what an earlier
    /// one said). The last of its log entries that are settled by that, if there are any.
    ///
    /// # Errors
    /// SQLite's.
    pub fn remove(&mut self, key: &Value, settled: bool, again: bool) -> Result<Option<i64>> {
        let pending = self.pending.get(&Key(key.clone())).cloned();
        if let Some(pending) = pending.as_ref().filter(|_| !settled)
            && let Some(upto) = self.made_again(pending, again)?
        {
            self.counts.unchanged += 1;
            return Ok(Some(upto));
        }
        let removed = self.delete.run(&[key.borrow()])?;
        self.counts.deleted += removed;
        self.counts.conflicts += i64::from(pending.is_some() && removed > 0);
        Ok(pending.map(|_| i64::MAX))
    }

    /// Whether the server's delete says nothing about the row that is here now, since that was made after
    /// it: the delete is our own and was the last word pushed about the key, or it may be known from an
    /// earlier answer. Gives the last log entry that a push of ours covered, 0 when there is none.
    fn made_again(&mut self, pending: &Pending, again: bool) -> Result<Option<i64>> {
        let exists = self.reader.find(pending)?;
        self.reader.release();
        if !exists || !pending.inserted_after(0) {
            return Ok(None);
        }
        let upto = self.pushed()?.deleted_up_to(&Key(pending.key.clone()));
        let ours = upto.filter(|upto| pending.inserted_after(*upto));
        let known = again && pending.status(true) == Status::Created;
        Ok(ours.or(known.then_some(0)))
    }

    /// The journal, read when it is first asked for.
    fn pushed(&mut self) -> Result<&Pushed> {
        let pushed = match self.pushed.take() {
            Some(pushed) => pushed,
            None => Pushed::read(self.database, self.provider, self.binding.table.id)?,
        };
        Ok(self.pushed.insert(pushed))
    }

    /// A constraint error that names the row it is about.
    pub fn named(&self, error: Error, key: &Value) -> SyncError {
        if !error.is_constraint() {
            return error.into();
        }
        let id = match key {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        SyncError::data(format!(
            "the row {id:?} of {:?} can't be stored: {error}; nothing of this pull was applied",
            self.binding.table.shape.name
        ))
    }

    fn column_name(&self, place: usize) -> String {
        quote_name(&self.binding.table.shape.columns[self.binding.columns[place]].name)
    }

    fn table(&self) -> String {
        self.binding.qualified.clone()
    }

    fn connection(&self) -> crate::store::Connection {
        self.binding.connection
    }
}

/// Keeps the statement caches small.
fn forget_one_of_many<T>(cache: &mut HashMap<Vec<bool>, T>) {
    if cache.len() < CACHED {
        return;
    }
    if let Some(some) = cache.keys().next().cloned() {
        cache.remove(&some);
    }
}

/// Equality as SQLite's IS sees it: 1 and 1.0 are the same.
pub fn same(one: ValueRef<'_>, two: ValueRef<'_>) -> bool {
    match (one, two) {
        (ValueRef::Integer(whole), ValueRef::Real(real))
        | (ValueRef::Real(real), ValueRef::Integer(whole)) => {
            whole as f64 == real && real as i64 == whole
        }
        (one, two) => one == two,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_across_types() {
        assert!(same(ValueRef::Integer(1), ValueRef::Real(1.0)));
        assert!(!same(
            ValueRef::Integer(9_007_199_254_740_993),
            ValueRef::Real(9_007_199_254_740_992.0)
        ));
        assert!(!same(ValueRef::Integer(1), ValueRef::Text("1")));
    }
}
