//! Deletes that wait for further answers of the same run. Those may bring rows that move away from a parent which goes
//! now: until they are in, its delete is held, so that neither a foreign key's own action nor a trigger of the application
//! takes anything along that only moves.

use std::collections::HashSet;

use crate::capture::Key;
use crate::store::{Database, Result, Statement, quote_name};
use crate::transfer::app_triggers::deletes_reach;
use crate::transfer::binding::Binding;
use crate::transfer::held::Reason;
use crate::transfer::held::foreign::{Link, links};

/// The references whose actions would reach a table of which more is to come.
pub struct Postponed {
    /// Each with the place of the table that it refers to.
    reaching: Vec<(usize, Statement)>,
    /// Places of the tables of which a delete sets off a trigger that names such a table.
    triggers: Vec<usize>,
}

impl Postponed {
    /// `due`: places of the entities of which this run is yet to get answers.
    ///
    /// # Errors
    /// SQLite's.
    pub fn new(database: &Database, bindings: &[Binding], due: &[usize]) -> Result<Self> {
        let mut postponed = Self {
            reaching: Vec::new(),
            triggers: Vec::new(),
        };
        if due.is_empty() {
            return Ok(postponed);
        }
        let due: HashSet<String> = due.iter().map(|place| named(&bindings[*place])).collect();
        let mut acting = links(database)?;
        acting.retain(|link| !link.restricts());
        for link in reaching(&acting, &due) {
            let mut places = bindings.iter();
            let parent = link.parent.to_lowercase();
            if let Some(place) = places.position(|binding| named(binding) == parent) {
                let refers = refers(database, &bindings[place], link)?;
                postponed.reaching.push((place, refers));
            }
        }
        for (place, binding) in bindings.iter().enumerate() {
            if deletes_reach(database, &binding.table.shape.name, &due)? {
                postponed.triggers.push(place);
            }
        }
        Ok(postponed)
    }

    /// Whether the delete of a row is to wait.
    ///
    /// # Errors
    /// SQLite's.
    pub fn waits(&mut self, place: usize, key: &Key) -> Result<bool> {
        if self.triggers.contains(&place) {
            return Ok(true);
        }
        for (_, refers) in self.reaching.iter_mut().filter(|(of, _)| *of == place) {
            refers.bind(1, key.0.borrow())?;
            let found = refers.step()?;
            refers.reset();
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Why it waits.
    pub fn reason() -> Reason {
        Reason::missing(
            "rows that may have moved could go with it; it goes when the rest of the sync is in"
                .into(),
        )
    }
}

fn named(binding: &Binding) -> String {
    binding.table.shape.name.to_lowercase()
}

/// The references by which a delete reaches rows of these tables, one after the other.
fn reaching<'l>(acting: &'l [Link], due: &HashSet<String>) -> Vec<&'l Link> {
    let mut from: HashSet<String> = HashSet::new();
    let mut found: Vec<&Link> = Vec::new();
    loop {
        let before = found.len();
        for link in acting {
            let child = link.child.to_lowercase();
            let goes_on = link.on_delete == "CASCADE" && from.contains(&child);
            let is_known = found.iter().any(|known| std::ptr::eq(*known, link));
            if !is_known && (due.contains(&child) || goes_on) {
                from.insert(link.parent.to_lowercase());
                found.push(link);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Whether any row refers to one of the parent's.
fn refers(database: &Database, parent: &Binding, link: &Link) -> Result<Statement> {
    let columns = link.from.iter().zip(&link.to);
    let met: Vec<String> = columns
        // By the collation of the parent's column, as the foreign key.
        .map(|(from, to)| format!("p.{} = c.{}", quote_name(to), quote_name(from)))
        .collect();
    let key = parent.key_name();
    database.connection().prepare(&format!(
        "SELECT 1 FROM {} AS p JOIN {} AS c ON {} WHERE p.{key} = ?1 AND p.{key} = ?1 COLLATE BINARY LIMIT 1",
        parent.qualified,
        database.qualified(&link.child),
        met.join(" AND ")
    ))
}
