//! Rows of the server whose numbers are taken by rows created here, and where those have gone.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::capture::Key;
use crate::providers::wire::Slot;
use crate::store::{Database, Result, Value};
use crate::transfer::binding::Binding;
use crate::transfer::held::Refusals;
use crate::transfer::send::reference::Reference;
use crate::transfer::send::renamed::Renamed;
use crate::transfer::send::rewriter::{Contents, content, refer_to};

use super::decide::Remote;

/// A row of the server whose place is taken.
pub struct Comer {
    pub place: usize,
    pub key: Key,
    pub remote: Remote,
    pub row: Vec<Slot<'static>>,
}

/// The rows of an answer whose places are taken by rows created here.
#[derive(Default)]
pub struct Displaced {
    pub comers: Comers,
    /// The rows that have moved, by the keys that they have now: those that they had.
    moved: HashMap<(usize, Key), Key>,
    /// What rows held before the answer that triggers write into before they move.
    pub held: Contents,
    /// The keys that they had.
    left: HashSet<(usize, Key)>,
}

/// By the places of their tables.
pub type Comers = BTreeMap<usize, HashMap<Key, Comer>>;

impl Displaced {
    /// Notes what rows hold that turned out to be written into by triggers when the answer was applied before.
    ///
    /// # Errors
    /// SQLite's.
    pub fn remembering(
        database: &Database,
        bindings: &[Binding],
        refusals: &Refusals,
    ) -> Result<Self> {
        let mut displaced = Self::default();
        for (table, key) in refusals.disturbed() {
            let mut bindings = bindings.iter();
            if let Some(binding) = bindings.find(|binding| binding.table.id == table) {
                let held = content(database, &binding.table.shape, &key.0)?;
                displaced.held.extend(held.map(|held| ((table, key), held)));
            }
        }
        Ok(displaced)
    }

    /// Rows have moved, and what was made here to refer to them has followed: so does what is remembered of it, which is to
    /// move yet and will be put back.
    ///
    /// # Errors
    /// SQLite's.
    pub fn follow(
        &mut self,
        database: &Database,
        bindings: &[Binding],
        rows: &[Renamed<'_>],
    ) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        for rows in rows.chunk_by(|one, next| one.shape.name == next.shape.name) {
            let keys: HashMap<Key, &Value> = rows
                .iter()
                .map(|row| (Key(row.old.clone()), &row.new))
                .collect();
            for reference in Reference::written_ones(database, rows[0].shape)? {
                for binding in bindings {
                    let (id, shape) = (binding.table.id, &binding.table.shape);
                    if !shape.name.eq_ignore_ascii_case(&reference.child) {
                        continue;
                    }
                    let held = self.held.iter_mut();
                    held.filter(|((table, _), _)| *table == id)
                        .for_each(|(_, values)| refer_to(values, shape, &reference, &keys));
                }
            }
        }
        Ok(())
    }

    /// The last word of the answer about a row counts.
    pub fn put(&mut self, comer: Comer) {
        let table = self.comers.entry(comer.place).or_default();
        table.insert(comer.key.clone(), comer);
    }

    pub fn forget(&mut self, place: usize, key: &Key) {
        if let Some(table) = self.comers.get_mut(&place) {
            table.remove(key);
        }
    }

    /// A row has moved.
    pub fn has_moved(&mut self, place: usize, old: Key, new: Key) {
        self.left.insert((place, old.clone()));
        self.moved.insert((place, new), old);
    }

    /// The key that a row had before it moved, if it did.
    pub fn before(&self, place: usize, key: &Key) -> Option<&Key> {
        self.moved.get(&(place, key.clone()))
    }

    /// Whether a row has moved away from a key.
    pub fn has_left(&self, place: usize, key: &Key) -> bool {
        self.left.contains(&(place, key.clone()))
    }
}
