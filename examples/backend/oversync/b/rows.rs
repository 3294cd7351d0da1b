//! The rows of one user, and what one bundle does to them: all or nothing, foreign keys at the end.

use std::collections::{BTreeMap, HashSet};

use super::cell::Cell;
use super::tables::Table;

/// Place of a table among the tables, and a key in it.
pub type Place = (usize, String);

/// A row or what is left of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The bundle that changed it last.
    pub version: i64,
    /// By place of the column; None: it was deleted.
    pub cells: Option<Vec<Cell>>,
}

/// Rows by table and key.
#[derive(Clone, Debug, Default)]
pub struct Rows(Vec<BTreeMap<String, Entry>>);

impl Rows {
    pub fn new(tables: usize) -> Rows {
        Rows(vec![BTreeMap::new(); tables])
    }

    pub fn entry(&self, table: usize, key: &str) -> Option<&Entry> {
        self.0.get(table)?.get(key)
    }

    /// The row, if it lives.
    pub fn cells(&self, table: usize, key: &str) -> Option<&[Cell]> {
        self.entry(table, key)?.cells.as_deref()
    }

    /// The living rows of a table, sorted by key.
    pub fn living(&self, table: usize) -> impl Iterator<Item = (&String, &Entry, &[Cell])> {
        let entries = self.0.get(table).into_iter().flatten();
        entries.filter_map(|(key, entry)| Some((key, entry, entry.cells.as_deref()?)))
    }

    fn set(&mut self, place: &Place, entry: Option<Entry>) {
        let rows = &mut self.0[place.0];
        match entry {
            Some(entry) => rows.insert(place.1.clone(), entry),
            None => rows.remove(&place.1),
        };
    }
}

/// What became of a row in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Insert,
    Update,
    Delete,
}

impl Effect {
    pub fn name(self) -> &'static str {
        match self {
            Effect::Insert => "INSERT",
            Effect::Update => "UPDATE",
            Effect::Delete => "DELETE",
        }
    }
}

/// The changes of one bundle, made one by one. Nothing stays of them unless it is finished.
pub struct Changes<'a> {
    tables: &'a [Table],
    rows: &'a mut Rows,
    /// Each place that was touched, in order, with what was there before.
    before: Vec<(Place, Option<Entry>)>,
    touched: HashSet<Place>,
    version: i64,
}

impl<'a> Changes<'a> {
    pub fn new(tables: &'a [Table], rows: &'a mut Rows, version: i64) -> Changes<'a> {
        Changes {
            tables,
            rows,
            before: Vec::new(),
            touched: HashSet::new(),
            version,
        }
    }

    /// The rows as they are now.
    pub fn rows(&self) -> &Rows {
        self.rows
    }

    /// Writes a whole row.
    pub fn put(&mut self, place: Place, cells: Vec<Cell>) {
        self.change(place, Some(cells));
    }

    /// Deletes a row, and the rows that go with it.
    pub fn delete(&mut self, place: Place) {
        if self.rows.cells(place.0, &place.1).is_none() {
            return;
        }
        self.change(place.clone(), None);
        for child in self.children(&place, true) {
            self.delete(child);
        }
    }

    fn change(&mut self, place: Place, cells: Option<Vec<Cell>>) {
        if self.touched.insert(place.clone()) {
            let before = self.rows.entry(place.0, &place.1).cloned();
            self.before.push((place.clone(), before));
        }
        let version = self.version;
        self.rows.set(&place, Some(Entry { version, cells }));
    }

    /// Living rows that refer to this one, by keys that cascade or by keys that do not.
    fn children(&self, parent: &Place, cascade: bool) -> Vec<Place> {
        let mut children = Vec::new();
        let name = &self.tables[parent.0].name;
        for (table, declared) in self.tables.iter().enumerate() {
            for (column, known) in declared.columns.iter().enumerate() {
                let refers = known.references.as_ref();
                if !refers.is_some_and(|to| to.table == *name && to.cascade == cascade) {
                    continue;
                }
                for (key, _, cells) in self.rows.living(table) {
                    if cells[column].as_key().as_ref() == Some(&parent.1) {
                        children.push((table, key.clone()));
                    }
                }
            }
        }
        children
    }

    /// Keeps the changes if each foreign key points to a row, and says what they came to.
    /// A row that came and went again is not mentioned, and nothing stays of it.
    pub fn finish(mut self) -> Option<Vec<(Place, Effect)>> {
        if !self.is_sound() {
            self.undo();
            return None;
        }
        let mut effects = Vec::new();
        for (place, before) in std::mem::take(&mut self.before) {
            let was = before.as_ref().is_some_and(|entry| entry.cells.is_some());
            let is = self.rows.cells(place.0, &place.1).is_some();
            let effect = match (was, is) {
                (false, true) => Effect::Insert,
                (true, true) => Effect::Update,
                (true, false) => Effect::Delete,
                (false, false) => {
                    self.rows.set(&place, before);
                    continue;
                }
            };
            effects.push((place, effect));
        }
        Some(effects)
    }

    /// Takes all changes back.
    pub fn undo(&mut self) {
        for (place, before) in std::mem::take(&mut self.before).into_iter().rev() {
            self.rows.set(&place, before);
        }
    }

    fn is_sound(&self) -> bool {
        self.before
            .iter()
            .all(|(place, before)| match self.rows.cells(place.0, &place.1) {
                Some(cells) => self.has_parents(place.0, cells),
                None if before.as_ref().is_some_and(|entry| entry.cells.is_some()) => {
                    self.children(place, false).is_empty()
                }
                None => true,
            })
    }

    fn has_parents(&self, table: usize, cells: &[Cell]) -> bool {
        let columns = self.tables[table].columns.iter().zip(cells);
        columns
            .filter_map(|(column, cell)| Some((column.references.as_ref()?, cell.as_key()?)))
            .all(|(to, key)| {
                let parent = self.tables.iter().position(|known| known.name == to.table);
                parent.is_some_and(|parent| self.rows.cells(parent, &key).is_some())
            })
    }
}
