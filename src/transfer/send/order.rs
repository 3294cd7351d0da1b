//! The order in which frozen rows go up: what is referred to before what refers to it, deleted rows after all others
//! and the other way around.
//!
//! Between tables the order of the tables does, and within one that of the numbers of the rows in the outbox. Where a
//! table refers to itself, or tables to each other in a circle, the rows get new numbers, unless theirs are in order, as
//! they nearly always are; only to find new ones all rows of the circle are in memory. Rows that refer to each other in
//! a circle go up together.

use std::collections::{HashMap, HashSet};

use crate::capture::key_map::Kept;
use crate::capture::{Key, KeyMap};
use crate::store::{Database, Result, Statement, Value, quote_name};
use crate::transfer::binding::Binding;

use super::topology::{Link, parents_first};

/// Rows of the outbox that go up one after the other, in the order of their numbers.
pub struct Stretch {
    /// Its rows, as a condition on `_syncOutbox`.
    pub condition: String,
    /// Rows that must not be parted from the one before: they refer to each other.
    pub glued: HashSet<i64>,
}

/// Tables that must be put in order row by row, or one that need not.
struct Group {
    places: Vec<usize>,
    /// Its tables refer to each other, or the table to itself.
    circle: bool,
}

/// A foreign key between two bound tables.
struct Reference {
    child: usize,
    parent: usize,
    /// Columns of the child, each with the one of the parent that it refers to; none: its key.
    columns: Vec<(String, Option<String>)>,
}

/// All rows of a push in the order in which they are sent.
///
/// # Errors
/// SQLite's; no room for temporary files.
pub fn put_in_order(database: &Database, push: i64, bindings: &[Binding]) -> Result<Vec<Stretch>> {
    let order = Order::of(database, push, bindings)?;
    let groups = order.groups();
    let mut stretches = Vec::new();
    for group in &groups {
        stretches.push(Stretch {
            glued: order.stored(group)?,
            condition: order.condition(group, false),
        });
    }
    for group in groups.iter().rev() {
        order.deleted(group)?;
        stretches.push(Stretch {
            glued: HashSet::new(),
            condition: order.condition(group, true),
        });
    }
    Ok(stretches)
}

/// The places of the tables, each behind those that its foreign keys refer to.
///
/// # Errors
/// SQLite's.
pub fn tables_parents_first(database: &Database, bindings: &[Binding]) -> Result<Vec<usize>> {
    let groups = Order::of(database, 0, bindings)?.groups().into_iter();
    Ok(groups.flat_map(|group| group.places).collect())
}

struct Order<'a> {
    database: &'a Database,
    push: i64,
    bindings: &'a [Binding],
    references: Vec<Reference>,
}

impl<'a> Order<'a> {
    fn of(database: &'a Database, push: i64, bindings: &'a [Binding]) -> Result<Self> {
        Ok(Self {
            database,
            push,
            bindings,
            references: references(database, bindings)?,
        })
    }

    /// The tables, each behind those that its foreign keys refer to.
    fn groups(&self) -> Vec<Group> {
        let links: Vec<Link> = self
            .references
            .iter()
            .map(|reference| Link {
                child: reference.child,
                parent: reference.parent,
                must: true,
            })
            .collect();
        let groups = parents_first(self.bindings.len(), &links).into_iter();
        groups
            .map(|places| Group {
                circle: self.references.iter().any(|reference| {
                    places.contains(&reference.child) && places.contains(&reference.parent)
                }),
                places,
            })
            .collect()
    }

    /// The rows of a group that are deleted, or those that are not.
    fn condition(&self, group: &Group, deleted: bool) -> String {
        let tables = group.places.iter();
        let tables: Vec<String> = tables
            .map(|place| self.bindings[*place].table.id.to_string())
            .collect();
        let kind = if deleted { "=" } else { "<>" };
        format!(
            "pushId = {} AND tbl IN ({}) AND kind {kind} 'deleted'",
            self.push,
            tables.join(", ")
        )
    }

    /// Puts the rows of a group in order that exist here; those that must not be parted from the one before.
    fn stored(&self, group: &Group) -> Result<HashSet<i64>> {
        if !group.circle {
            return Ok(HashSet::new());
        }
        let rows = self.rows(group)?;
        let mut ordered = true;
        self.each_link(&rows, |child, parent| ordered &= parent.id <= child.id)?;
        match ordered {
            true => Ok(HashSet::new()),
            false => self.by_reference(group, &rows),
        }
    }

    /// Puts the deleted rows of a group in order. What they referred to is not known any more, but with foreign keys a row
    /// that refers to another is deleted before that: the log has them in this order.
    fn deleted(&self, group: &Group) -> Result<()> {
        if !group.circle {
            return Ok(());
        }
        let sql = format!(
            "SELECT id FROM main._syncOutbox WHERE {} ORDER BY uptoSeq, id",
            self.condition(group, true)
        );
        let (mut last, mut ordered) = (0, true);
        let mut rows = self.database.connection().prepare(&sql)?;
        while rows.step()? {
            ordered &= rows.integer(0) > last;
            last = rows.integer(0);
        }
        if ordered {
            return Ok(());
        }
        rows.reset();
        let mut numbers = Numbers::after_all(self.database)?;
        while rows.step()? {
            numbers.give(rows.integer(0))?;
        }
        Ok(())
    }

    /// The rows of a group that exist here, by the places of their tables and by key.
    fn rows(&self, group: &Group) -> Result<HashMap<usize, KeyMap<Sent>>> {
        let mut all = HashMap::new();
        let mut rows = self.database.prepare(
            "SELECT id, pk, kind = 'created' FROM main._syncOutbox \
             WHERE pushId = ?1 AND tbl = ?2 AND kind <> 'deleted' ORDER BY pk",
        )?;
        for place in &group.places {
            let table: &mut KeyMap<Sent> = all.entry(*place).or_default();
            rows.bind_all(&[self.push.into(), self.bindings[*place].table.id.into()])?;
            while rows.step()? {
                let sent = Sent {
                    id: rows.integer(0),
                    created: rows.integer(2) != 0,
                };
                table.insert(Key(rows.column(1).to_owned()), sent)?;
            }
            rows.reset();
        }
        Ok(all)
    }

    /// Gives each row of a circle with each row that it refers to.
    fn each_link(
        &self,
        rows: &HashMap<usize, KeyMap<Sent>>,
        mut each: impl FnMut(&Sent, &Sent),
    ) -> Result<()> {
        for reference in &self.references {
            let tables = (rows.get(&reference.child), rows.get(&reference.parent));
            let (Some(children), Some(parents)) = tables else {
                continue;
            };
            let child = self.bindings[reference.child].table.id;
            let pairs = self.pairs_sql(reference);
            let mut pairs = self.database.connection().prepare(&pairs)?;
            pairs.bind_all(&[self.push.into(), child.into()])?;
            while pairs.step()? {
                let key = |column: usize| Key(pairs.column(column).to_owned());
                if let (Some(child), Some(parent)) = (children.get(&key(0))?, parents.get(&key(1))?)
                {
                    each(&child, &parent);
                }
            }
        }
        Ok(())
    }

    /// Gives rows of a circle numbers with which each comes behind those that it refers to, if there is such an order.
    fn by_reference(
        &self,
        group: &Group,
        rows: &HashMap<usize, KeyMap<Sent>>,
    ) -> Result<HashSet<i64>> {
        let sql = format!(
            "SELECT id FROM main._syncOutbox WHERE {} ORDER BY id",
            self.condition(group, false)
        );
        let ids = self
            .database
            .query_all(&sql, &[], |row| Ok(row.integer(0)))?;
        let mut links = Vec::new();
        self.each_link(rows, |child, parent| {
            let place = |id: i64| ids.binary_search(&id).ok();
            if let (Some(from), Some(to)) = (place(child.id), place(parent.id)) {
                links.push(Link {
                    child: from,
                    parent: to,
                    must: parent.created,
                });
            }
        })?;
        let mut numbers = Numbers::after_all(self.database)?;
        let mut glued = HashSet::new();
        for circle in parents_first(ids.len(), &links) {
            for (number, place) in circle.into_iter().enumerate() {
                let id = numbers.give(ids[place])?;
                if number > 0 {
                    glued.insert(id);
                }
            }
        }
        Ok(glued)
    }

    /// Pairs of keys: of a row of the push, and of the row here that it refers to.
    fn pairs_sql(&self, reference: &Reference) -> String {
        let (child, parent) = (
            &self.bindings[reference.child],
            &self.bindings[reference.parent],
        );
        let meets: Vec<String> = reference
            .columns
            .iter()
            .map(|(from, to)| {
                let to = to.as_deref().map_or_else(|| parent.key_name(), quote_name);
                format!("above.{to} = row.{}", quote_name(from))
            })
            .collect();
        let key = child.key_name();
        format!(
            "SELECT sent.pk, above.{} FROM {} AS sent \
             JOIN {} AS row ON row.{key} = sent.pk AND row.{key} = sent.pk COLLATE BINARY \
             JOIN {} AS above ON {} \
             WHERE sent.pushId = ?1 AND sent.tbl = ?2 AND sent.kind <> 'deleted'",
            parent.key_name(),
            self.database.qualified("_syncOutbox"),
            child.qualified,
            parent.qualified,
            meets.join(" AND "),
        )
    }
}

/// New numbers in the outbox.
struct Numbers {
    last: i64,
    update: Statement,
}

impl Numbers {
    fn after_all(database: &Database) -> Result<Self> {
        let last = database.query_value("SELECT max(id) FROM main._syncOutbox", &[])?;
        Ok(Self {
            last: last.as_i64().unwrap_or(0),
            update: database.prepare("UPDATE main._syncOutbox SET id = ?2 WHERE id = ?1")?,
        })
    }

    /// Gives a row the next number, and returns it.
    fn give(&mut self, id: i64) -> Result<i64> {
        self.last += 1;
        self.update.run(&[id.into(), self.last.into()])?;
        Ok(self.last)
    }
}

/// A row of the outbox.
#[derive(Clone)]
struct Sent {
    id: i64,
    created: bool,
}

impl Kept for Sent {
    const VALUES: usize = 2;

    fn write(&self) -> Vec<Value> {
        vec![Value::Integer(self.id), Value::Integer(self.created.into())]
    }

    fn read(_: &Key, values: Vec<Value>) -> Option<Self> {
        let [id, created] = &values[..] else {
            return None;
        };
        Some(Self {
            id: id.as_i64()?,
            created: created.as_i64()? != 0,
        })
    }
}

/// The foreign keys between bound tables.
fn references(database: &Database, bindings: &[Binding]) -> Result<Vec<Reference>> {
    let mut all = Vec::new();
    for (child, binding) in bindings.iter().enumerate() {
        let columns = database.query_all(
            "SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list(?1, ?2) \
             ORDER BY id, seq",
            &[
                binding.table.shape.name.as_str().into(),
                database.schema().into(),
            ],
            |row| {
                let to = row.column(3).as_str().map(str::to_owned);
                Ok((row.integer(0), row.text(1), (row.text(2), to)))
            },
        )?;
        for key in columns.chunk_by(|one, next| one.0 == next.0) {
            let parent = bindings
                .iter()
                .position(|other| other.table.shape.name.eq_ignore_ascii_case(&key[0].1));
            let Some(parent) = parent else { continue };
            all.push(Reference {
                child,
                parent,
                columns: key.iter().map(|(_, _, pair)| pair.clone()).collect(),
            });
        }
    }
    Ok(all)
}
