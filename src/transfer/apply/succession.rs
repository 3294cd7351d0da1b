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
use crate::store::{Database, Result, Statement, TriggersOff, Value, ValueRef, quote_name};
use crate::transfer::app_triggers::has_temporary_triggers;
use crate::transfer::binding::Binding;
use crate::transfer::held::foreign::{Link, find, links};

/// References to values that rows which go leave to others.
#[derive(Default)]
pub struct Succession {
    links: Vec<Link>,
    /// Rows, by table and key, with the links by which others refer to a value that a row which waits is to have.
    left: HashMap<(usize, Key), Vec<usize>>,
    parked: Vec<Parked>,
}

/// References that are out of the way.
struct Parked {
    table: String,
    column: String,
    /// What they were, to the byte.
    value: Value,
    /// What they are meanwhile.
    meanwhile: Value,
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
                self.park(database, &bindings[place], &link, key)?;
            }
        }
        Ok(())
    }

    fn park(
        &mut self,
        database: &Database,
        parent: &Binding,
        link: &Link,
        key: &Key,
    ) -> Result<()> {
        let connection = database.connection();
        let _quiet = TriggersOff::begin(connection);
        let child = database.qualified(&link.child);
        let column = quote_name(&link.from[0]);
        let met = link.to.iter().zip(&link.from);
        // As SQLite compares them: by affinity and collation of the parent's column alone.
        let met: Vec<String> = met
            .map(|(to, from)| format!("p.{} = +c.{}", quote_name(to), quote_name(from)))
            .collect();
        let name = parent.key_name();
        let refers = format!(
            "EXISTS (SELECT 1 FROM {} AS p WHERE p.{name} = ?1 AND p.{name} = ?1 COLLATE BINARY AND {})",
            parent.qualified,
            met.join(" AND ")
        );
        let mut next = connection.prepare(&format!(
            "SELECT c.{column} FROM {child} AS c WHERE {refers} LIMIT 1"
        ))?;
        let sql = format!(
            "UPDATE OR ABORT {child} AS c SET {column} = ?3 WHERE c.{column} IS ?2 COLLATE BINARY AND {refers}"
        );
        loop {
            next.bind(1, key.0.borrow())?;
            let value = next.step()?.then(|| next.column(0).to_owned());
            next.reset();
            let Some(value) = value else { return Ok(()) };
            let unlike = match value {
                Value::Integer(_) | Value::Real(_) => "SELECT -abs(random() >> 1)",
                Value::Blob(_) => "SELECT randomblob(16)",
                _ => "SELECT hex(randomblob(16))",
            };
            let meanwhile = database.query_value(unlike, &[])?;
            let values = [key.0.borrow(), value.borrow(), meanwhile.borrow()];
            match connection
                .prepare(&sql)
                .and_then(|mut park| park.run(&values))
            {
                // A column that is computed can't be written, one with a CHECK perhaps not so.
                Err(error) if error.is_constraint() || error.code() == 1 => return Ok(()),
                Ok(0) => return Ok(()),
                outcome => outcome?,
            };
            self.parked.push(Parked {
                table: child.clone(),
                column: column.clone(),
                value,
                meanwhile,
            });
        }
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
        let connection = database.connection();
        let _quiet = TriggersOff::begin(connection);
        for parked in self.parked.drain(..) {
            let (table, column) = (&parked.table, &parked.column);
            let sql = format!("UPDATE OR ABORT {table} SET {column} = ?1 WHERE {column} IS ?2");
            let mut back = connection.prepare(&sql)?;
            back.run(&[parked.value.borrow(), parked.meanwhile.borrow()])?;
        }
        Ok(())
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
