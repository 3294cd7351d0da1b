//! What rows refer to can pass from one row to another: the answer deletes a row and brings another with the same UNIQUE
//! value, or with a key that is the same under the column's collation. The other has to wait until the value is free, so
//! for a moment nothing has it, and a foreign key's action would take along what does not dangle in the end. What refers
//! to the value refers to nothing meanwhile, unnoticed, and gets its reference back when the other row is in.
//!
//! Where that can't be done (a CHECK on the reference, a temporary trigger, which can't be switched off) the action does
//! its work, as for any other delete.

use std::collections::HashMap;

use crate::capture::Key;
use crate::providers::wire::Slot;
use crate::store::{Database, Result, Statement, TriggersOff, ValueRef};
use crate::transfer::app_triggers::has_temporary_triggers;
use crate::transfer::binding::Binding;
use crate::transfer::held::foreign::{Link, find, links};

use super::loose::{Loose, Referring};

/// References to values that rows which go leave to others.
#[derive(Default)]
pub struct Succession {
    links: Vec<Link>,
    /// Rows, by table and key, with the links by which others refer to a value that a row which waits is to have.
    left: HashMap<(usize, Key), Vec<usize>>,
    parked: Vec<Loose>,
}

impl Succession {
    /// `waiting`: rows that are to come when others are gone, each with its table's place.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of<'r>(
        database: &Database,
        bindings: &[Binding],
        waiting: impl Iterator<Item = (usize, &'r Key, &'r [Slot<'static>])>,
    ) -> Result<Self> {
        let mut waiting = waiting.peekable();
        let mut succession = Self::default();
        if waiting.peek().is_none() {
            return Ok(succession);
        }
        let all = links(database)?;
        let is_referred = |link: &Link| {
            let mut parents = all.iter();
            parents.any(|other| {
                let mut to = other.to.iter();
                other.parent.eq_ignore_ascii_case(&link.child)
                    && to.any(|to| to.eq_ignore_ascii_case(&link.from[0]))
            })
        };
        let acting = all.iter().filter(|link| !link.restricts());
        succession.links = acting
            // One that is referred to itself has actions of its own.
            .filter(|link| !link.from.is_empty() && !is_referred(link))
            .cloned()
            .collect();
        let mut holders: HashMap<(usize, usize), Statement> = HashMap::new();
        for (place, key, row) in waiting {
            let binding = &bindings[place];
            for (number, link) in succession.links.iter().enumerate() {
                if !link.parent.eq_ignore_ascii_case(&binding.table.shape.name) {
                    continue;
                }
                let Some(values) = values(binding, &link.to, key, row) else {
                    continue;
                };
                let holder = match holders.remove(&(place, number)) {
                    Some(holder) => holder,
                    None => {
                        let connection = database.connection();
                        find(
                            connection,
                            &binding.qualified,
                            &link.to,
                            &binding.key_name(),
                        )?
                    }
                };
                let holder = holders.entry((place, number)).or_insert(holder);
                holder.bind_all(&values)?;
                let found = holder.step()?.then(|| Key(holder.column(0).to_owned()));
                holder.reset();
                if let Some(found) = found.filter(|found| found != key) {
                    let left = succession.left.entry((place, found)).or_default();
                    left.push(number);
                }
            }
        }
        Ok(succession)
    }

    /// A row is about to go: what refers to a value that it leaves to another lets go of it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn leave(
        &mut self,
        database: &Database,
        bindings: &[Binding],
        place: usize,
        key: &Key,
    ) -> Result<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        for number in self.left.remove(&(place, key.clone())).unwrap_or_default() {
            let link = self.links[number].clone();
            if !has_temporary_triggers(database, &link.child)? {
                let _quiet = TriggersOff::begin(database.connection());
                let referring = Referring::new(database, &bindings[place], &link);
                self.parked.extend(referring.let_go(database, key)?);
            }
        }
        Ok(())
    }

    /// Whether anything waits to be given back.
    pub fn is_due(&self) -> bool {
        !self.parked.is_empty()
    }

    /// The rows that waited are in: what referred to the values does so again.
    ///
    /// # Errors
    /// SQLite's.
    pub fn give_back(&mut self, database: &Database) -> Result<()> {
        self.left.clear();
        if self.parked.is_empty() {
            return Ok(());
        }
        let _quiet = TriggersOff::begin(database.connection());
        let mut parked = self.parked.drain(..);
        parked.try_for_each(|parked| parked.give_back(database))
    }
}

/// What a row is to hold in some columns; none where one is NULL, or can't be told.
fn values<'r>(
    binding: &Binding,
    columns: &[String],
    key: &'r Key,
    row: &'r [Slot<'static>],
) -> Option<Vec<ValueRef<'r>>> {
    let shape = &binding.table.shape;
    let values = columns.iter().map(|name| {
        let position = shape.position(name)?;
        if shape.columns[position].key_place > 0 {
            return Some(key.0.borrow());
        }
        let place = binding.columns.iter().position(|own| *own == position)?;
        match &row[place] {
            Slot::Missing | Slot::Null => None,
            slot => Some(slot.value()),
        }
    });
    values.collect()
}
