//! The deletes of an answer, which are carried out when all its rows are in.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::capture::Key;
use crate::store::{Database, Result, quote_name};
use crate::transfer::binding::Binding;
use crate::transfer::send::order::tables_parents_first;

use super::decide::Remote;

/// A row that goes.
pub struct DoomedRow {
    pub place: usize,
    pub key: Key,
    pub remote: Remote,
    /// Its version is not above the one that is here.
    pub old: bool,
}

/// The rows that go, in the order of the answer.
#[derive(Default)]
pub struct Doomed {
    rows: Vec<Option<DoomedRow>>,
    /// Where the newest word on a row is, by the hash of its table and key: a second copy of the keys would be most of
    /// the memory.
    places: HashMap<u64, usize>,
    hasher: RandomState,
}

impl Doomed {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn add(&mut self, row: DoomedRow) {
        if !row.old {
            let hash = self.hasher.hash_one((row.place, &row.key));
            self.places.insert(hash, self.rows.len());
        }
        self.rows.push(Some(row));
    }

    /// The answer goes on to say that the row is there again.
    pub fn forget(&mut self, place: usize, key: &Key) {
        if self.places.is_empty() {
            return;
        }
        let hash = self.hasher.hash_one((place, key));
        let Some(number) = self.places.get(&hash).copied() else {
            return;
        };
        if let Some(row) = &self.rows[number]
            && (row.place, &row.key) == (place, key)
        {
            self.rows[number] = None;
            self.places.remove(&hash);
        }
    }

    /// The rows, those that refer to others before these: the tables by their foreign keys, the rows of one table by
    /// their depth.
    ///
    /// # Errors
    /// SQLite's.
    pub fn children_first(
        self,
        database: &Database,
        bindings: &[Binding],
    ) -> Result<Vec<DoomedRow>> {
        let mut of_table: Vec<Vec<DoomedRow>> = bindings.iter().map(|_| Vec::new()).collect();
        for row in self.rows.into_iter().flatten() {
            of_table[row.place].push(row);
        }
        let mut all = Vec::new();
        for place in tables_parents_first(database, bindings)?.into_iter().rev() {
            let mut rows = std::mem::take(&mut of_table[place]);
            if rows.len() > 1 {
                deepest_first(database, &bindings[place], &mut rows)?;
            }
            all.extend(rows);
        }
        Ok(all)
    }
}

/// Orders the rows of a table that refers to itself.
fn deepest_first(database: &Database, binding: &Binding, rows: &mut [DoomedRow]) -> Result<()> {
    let shape = &binding.table.shape;
    let key = &shape.keys()[0].name;
    let columns = database.query_all(
        "SELECT \"from\" FROM pragma_foreign_key_list(?1, ?2) \
         WHERE \"table\" = ?1 COLLATE NOCASE AND coalesce(\"to\", ?3) = ?3 COLLATE NOCASE",
        &[
            shape.name.as_str().into(),
            database.schema().into(),
            key.as_str().into(),
        ],
        |row| Ok(row.text(0)),
    )?;
    let Some(column) = columns.first() else {
        return Ok(());
    };
    let name = binding.key_name();
    let mut read = database.connection().prepare(&format!(
        "SELECT {} FROM {} WHERE {name} = ?1",
        quote_name(column),
        binding.qualified
    ))?;
    let mut parents = HashMap::with_capacity(rows.len());
    for row in rows.iter() {
        read.bind(1, row.key.0.borrow())?;
        if read.step()? {
            parents.insert(row.key.clone(), Key(read.column(0).to_owned()));
        }
        read.reset();
    }
    rows.sort_by_cached_key(|row| std::cmp::Reverse(depth(&row.key, &parents)));
    Ok(())
}

/// How many of the rows are above this one. A circle has an end too.
fn depth(key: &Key, parents: &HashMap<Key, Key>) -> usize {
    let mut depth = 0;
    let mut next = parents.get(key);
    while let Some(parent) = next.filter(|_| depth <= parents.len()) {
        depth += 1;
        next = parents.get(parent);
    }
    depth
}
