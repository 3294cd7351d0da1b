//! Which held rows have all that they refer to by now.

use std::collections::HashSet;

use crate::capture::Key;
use crate::providers::wire::{Holds, Slot};
use crate::store::{Database, Result, Value};
use crate::transfer::binding::Binding;
use crate::transfer::send::reference::meant;

use super::foreign::{Link, find, links, refers};
use super::keep::{HeldRow, What};

/// The references between held rows and the rows that are here.
pub struct Fit<'a> {
    database: &'a Database,
    bindings: &'a [Binding],
    links: Vec<Link>,
}

impl<'a> Fit<'a> {
    /// # Errors
    /// SQLite's.
    pub fn new(database: &'a Database, bindings: &'a [Binding]) -> Result<Self> {
        Ok(Self {
            database,
            bindings,
            links: links(database)?,
        })
    }

    /// The rows, not the deletes, whose parents are here or among them, or that are undecided. References of several columns are not
    /// looked at: they are judged at the end, like those of any row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn rows<'r>(&self, held: &'r [HeldRow]) -> Result<Vec<&'r HeldRow>> {
        let mut fitting: Vec<&HeldRow> = held
            .iter()
            .filter(|row| matches!(row.what, What::Row(..)))
            .collect();
        loop {
            let before = fitting.len();
            let keys: HashSet<(usize, &Key)> =
                fitting.iter().map(|row| (row.place, &row.key)).collect();
            let mut kept = Vec::with_capacity(before);
            for row in fitting {
                // What is not decided yet may be decided without what came.
                if row.undecided || self.has_parents(row, &keys)? {
                    kept.push(row);
                }
            }
            if kept.len() == before {
                return Ok(kept);
            }
            fitting = kept;
        }
    }

    fn has_parents(&self, row: &HeldRow, among: &HashSet<(usize, &Key)>) -> Result<bool> {
        let What::Row(_, slots) = &row.what else {
            return Ok(true);
        };
        let binding = &self.bindings[row.place];
        let columns = &binding.wire.columns;
        for link in self.links_of(&binding.table.shape.name) {
            let named = columns
                .iter()
                .position(|column| column.name.eq_ignore_ascii_case(&link.from[0]));
            let value = match named.map(|place| &slots[place]) {
                None | Some(Slot::Missing | Slot::Null) => continue,
                Some(slot) => slot.value().to_owned(),
            };
            if !self.is_here(link, &value)? && !self.is_among(link, value, among) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all that a row refers to is here.
    ///
    /// # Errors
    /// SQLite's.
    pub fn stands(&self, row: &HeldRow) -> Result<bool> {
        let name = &self.bindings[row.place].table.shape.name;
        let mut links = self.links.iter();
        let is_known =
            links.all(|link| link.from.len() == 1 || !link.child.eq_ignore_ascii_case(name));
        Ok(is_known && self.has_parents(row, &HashSet::new())?)
    }

    fn links_of<'l>(&'l self, child: &'l str) -> impl Iterator<Item = &'l Link> {
        let links = self.links.iter();
        links.filter(move |link| link.from.len() == 1 && link.child.eq_ignore_ascii_case(child))
    }

    fn is_here(&self, link: &Link, value: &Value) -> Result<bool> {
        let parent = self.database.qualified(&link.parent);
        let mut read = find(self.database.connection(), &parent, &link.to, "1")?;
        read.bind(1, value.borrow())?;
        read.step()
    }

    fn is_among(&self, link: &Link, value: Value, among: &HashSet<(usize, &Key)>) -> bool {
        let place = self.bindings.iter().position(|binding| {
            let shape = &binding.table.shape;
            shape.name.eq_ignore_ascii_case(&link.parent)
                && shape.keys()[0].name.eq_ignore_ascii_case(&link.to[0])
        });
        place.is_some_and(|place| {
            let shape = &self.bindings[place].table.shape;
            let holds = Holds::of(&shape.keys()[0].declared, shape.strict);
            among.contains(&(place, &Key(meant(holds.affinity, value))))
        })
    }

    /// Whether a row can go: none refers to it that its delete would leave behind.
    ///
    /// # Errors
    /// SQLite's.
    pub fn may_go(&self, place: usize, key: &Key) -> Result<bool> {
        let shape = &self.bindings[place].table.shape;
        let to_key = |link: &&Link| {
            link.restricts()
                && link.to.len() == 1
                && link.parent.eq_ignore_ascii_case(&shape.name)
                && link.to[0].eq_ignore_ascii_case(&shape.keys()[0].name)
        };
        for link in self.links.iter().filter(to_key) {
            let child = self.database.qualified(&link.child);
            let refers = refers(&link.from[0], key);
            let sql = format!("SELECT 1 FROM {child} WHERE {refers} LIMIT 1");
            let mut read = self.database.connection().prepare(&sql)?;
            read.bind(1, key.0.borrow())?;
            if read.step()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
