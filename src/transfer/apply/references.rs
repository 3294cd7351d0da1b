//! Foreign keys to values that rows of an answer may bring, and whose actions follow when these change (ON UPDATE CASCADE,
//! SET NULL, SET DEFAULT). An action finds rows by the value alone. What the answer says of a reference counts, so rows that
//! it names are out of the way while the value passes on.

use std::collections::HashMap;

use crate::capture::{Key, KeyMap};
use crate::providers::wire::Slot;
use crate::store::{Database, Result};
use crate::transfer::binding::Binding;
use crate::transfer::held::foreign::{Link, links};

use super::loose::{Loose, Referring};

/// Such a foreign key.
pub struct Reference {
    pub link: Link,
    /// The table that it refers to.
    parent: usize,
    /// Which of its columns, the key left out, by their places among those that travel.
    pub to: Vec<usize>,
    /// The table that refers, and the place of its column, where the answer can be about it.
    child: Option<(usize, usize)>,
}

impl Reference {
    fn of(link: Link, bindings: &[Binding]) -> Option<Self> {
        let parent = place_named(bindings, &link.parent)?;
        let to = link.to.iter();
        let to: Vec<usize> = to
            .filter_map(|name| column(&bindings[parent], name))
            .collect();
        let child = place_named(bindings, &link.child)
            .and_then(|place| Some((place, column(&bindings[place], &link.from[0])?)));
        (!to.is_empty()).then_some(Self {
            link,
            parent,
            to,
            child,
        })
    }

    /// What refers to a row by it.
    pub fn referring(&self, database: &Database, bindings: &[Binding]) -> Referring {
        Referring::new(database, &bindings[self.parent], &self.link)
    }
}

/// All of them; none in most files.
#[derive(Default)]
pub struct References {
    all: Vec<Reference>,
    /// The rows whose references the answer names, by the place of their table.
    named: HashMap<usize, KeyMap<()>>,
}

impl References {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database, bindings: &[Binding]) -> Result<Self> {
        let links = links(database)?;
        // What refers to the reference itself gets its value back only where it follows.
        let is_followed = |link: &Link| {
            let mut others = links.iter();
            others.all(|other| {
                let mut to = other.to.iter();
                other.on_update == "CASCADE"
                    || !other.parent.eq_ignore_ascii_case(&link.child)
                    || !to.any(|to| to.eq_ignore_ascii_case(&link.from[0]))
            })
        };
        let all = links
            .iter()
            .filter(|link| link.follows() && !link.from.is_empty() && is_followed(link))
            .filter_map(|link| Reference::of(link.clone(), bindings))
            .collect();
        Ok(Self {
            all,
            named: HashMap::new(),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The columns of a table that refer.
    pub fn from(&self, place: usize) -> Vec<usize> {
        let children = self.all.iter().filter_map(|reference| reference.child);
        let children = children.filter(|(child, _)| *child == place);
        children.map(|(_, column)| column).collect()
    }

    /// The answer brings a row.
    ///
    /// # Errors
    /// SQLite's: no room for temporary files, which very many rows take.
    pub fn note(&mut self, place: usize, key: &Key, row: &[Slot<'_>]) -> Result<()> {
        let mut children = self.all.iter().filter_map(|reference| reference.child);
        if children.any(|(child, column)| child == place && !row[column].is_missing()) {
            let named = self.named.entry(place).or_default();
            named.insert(key.clone(), ())?;
        }
        Ok(())
    }

    /// Those to a table.
    pub fn to(&self, place: usize) -> impl Iterator<Item = &Reference> {
        let all = self.all.iter();
        all.filter(move |reference| reference.parent == place)
    }

    /// References of rows that the answer names let go of a row. Triggers are to be off.
    ///
    /// # Errors
    /// SQLite's.
    pub fn let_named_go(
        &self,
        database: &Database,
        bindings: &[Binding],
        reference: &Reference,
        key: &Key,
    ) -> Result<Vec<Loose>> {
        let mut loose = Vec::new();
        let Some((place, _)) = reference.child else {
            return Ok(loose);
        };
        let Some(named) = self.named.get(&place) else {
            return Ok(loose);
        };
        let child = &bindings[place];
        let referring = reference.referring(database, bindings);
        for one in referring.keys(database, &child.key_name(), key)? {
            if named.get(&one)?.is_some() {
                loose.extend(referring.let_one_go(database, key, child, &one)?);
            }
        }
        Ok(loose)
    }
}

fn place_named(bindings: &[Binding], table: &str) -> Option<usize> {
    let mut bindings = bindings.iter();
    bindings.position(|binding| binding.table.shape.name.eq_ignore_ascii_case(table))
}

fn column(binding: &Binding, name: &str) -> Option<usize> {
    let mut columns = binding.wire.columns.iter();
    columns.position(|column| column.name.eq_ignore_ascii_case(name))
}
