//! The order in which frozen rows go up: what is referred to before what refers to it, deleted rows after all others
//! and the other way around.
//!
//! Between tables the order of the tables does, and within one that of the numbers of the rows in the outbox. Where a
//! table refers to itself, or tables to each other in a circle, the rows get new numbers, unless theirs are in order, as
//! they nearly always are; only to find new ones all rows of the circle are in memory. Rows that refer to each other in
//! a circle go up together.

use std::collections::{HashMap, HashSet};

use crate::capture::key_map::Kept;
use crate::capture::op::Op;
use crate::capture::{Key, KeyMap};
use crate::store::{Database, Result, Statement, Value, quote_name};
use crate::transfer::binding::Binding;

use super::topology::{Links, parents_first};

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
    let groups = order.groups()?;
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
    let groups = Order::of(database, 0, bindings)?.groups()?.into_iter();
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
    fn groups(&self) -> Result<Vec<Group>> {
        let links = Links::read(self.bindings.len(), |each| {
            let references = self.references.iter();
            references.for_each(|reference| each(reference.child, reference.parent, true));
            Ok(())
        })?;
        let groups = parents_first(&links).lists().into_iter();
        let groups = groups.map(|places| Group {
            circle: self.references.iter().any(|reference| {
                places.contains(&reference.child) && places.contains(&reference.parent)
            }),
            places,
        });
        Ok(groups.collect())
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
        let links = |each: Each<'_>| self.each_link(&rows, each);
        self.arrange(&self.condition(group, false), links)
    }

    /// Puts the deleted rows of a group in order. What they referred to is known where a table refers to itself. Elsewhere
    /// they go in the order of the log: with foreign keys that are judged at once, a row is deleted before one that it
    /// refers to.
    fn deleted(&self, group: &Group) -> Result<()> {
        if !group.circle {
            return Ok(());
        }
        let condition = self.condition(group, true);
        let sql = format!("SELECT id FROM main._syncOutbox WHERE {condition} ORDER BY uptoSeq, id");
        let (mut last, mut ordered) = (0, true);
        let mut rows = self.database.connection().prepare(&sql)?;
        while rows.step()? {
            ordered &= rows.integer(0) > last;
            last = rows.integer(0);
        }
        rows.reset();
        if !ordered {
            let mut numbers = Numbers::after_all(self.database)?;
            while rows.step()? {
                numbers.give(rows.integer(0))?;
            }
        }
        drop(rows);
        let deleted = Deleted::read(self.database, &condition)?;
        self.arrange(&condition, |each| deleted.each_link(self.database, each))?;
        Ok(())
    }

    /// Gives rows numbers with which each comes behind those that it is linked to, if theirs are not so and there is such
    /// an order. Those that are linked in a circle are to stay together.
    fn arrange(
        &self,
        condition: &str,
        links: impl Fn(Each<'_>) -> Result<()>,
    ) -> Result<HashSet<i64>> {
        let mut ordered = true;
        links(&mut |child, parent, _| ordered &= parent <= child)?;
        if ordered {
            return Ok(HashSet::new());
        }
        let count = format!("SELECT count(*) FROM main._syncOutbox WHERE {condition}");
        let count = self.database.query_value(&count, &[])?.as_i64();
        let mut ids =
            Vec::with_capacity(count.and_then(|count| count.try_into().ok()).unwrap_or(0));
        let sql = format!("SELECT id FROM main._syncOutbox WHERE {condition} ORDER BY id");
        let mut rows = self.database.connection().prepare(&sql)?;
        while rows.step()? {
            ids.push(rows.integer(0));
        }
        drop(rows);
        let groups = parents_first(&Links::read(ids.len(), |each| {
            links(&mut |child, parent, must| {
                let place = |id: i64| ids.binary_search(&id).ok();
                if let (Some(child), Some(parent)) = (place(child), place(parent)) {
                    each(child, parent, must);
                }
            })
        })?);
        let mut numbers = Numbers::after_all(self.database)?;
        let mut glued = HashSet::new();
        for (place, with_the_one_before) in groups.members() {
            let id = numbers.give(ids[place])?;
            if with_the_one_before {
                glued.insert(id);
            }
        }
        Ok(glued)
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

    /// The links of each row of a circle to each row that it refers to.
    fn each_link(&self, rows: &HashMap<usize, KeyMap<Sent>>, each: Each<'_>) -> Result<()> {
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
                let pair = (children.get(&key(0))?, parents.get(&key(1))?);
                if let (Some(child), Some(parent)) = pair {
                    each(child.id, parent.id, parent.created);
                }
            }
        }
        Ok(())
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

/// Takes links: the numbers of a row and of one that has to come before it, and whether it must.
type Each<'f> = &'f mut dyn FnMut(i64, i64, bool);

/// Deleted rows, by table: their numbers by key, and by what the log has of a key that was referred to.
struct Deleted {
    rows: HashMap<i64, (KeyMap<i64>, KeyMap<i64>)>,
}

impl Deleted {
    fn read(database: &Database, condition: &str) -> Result<Self> {
        let sql = format!(
            "SELECT id, tbl, pk, CAST(pk AS BLOB) FROM main._syncOutbox WHERE {condition} ORDER BY tbl, pk"
        );
        let mut rows: HashMap<i64, (KeyMap<i64>, KeyMap<i64>)> = HashMap::new();
        let mut sent = database.connection().prepare(&sql)?;
        while sent.step()? {
            let (id, table) = (sent.integer(0), rows.entry(sent.integer(1)).or_default());
            table.0.insert(Key(sent.column(2).to_owned()), id)?;
            table.1.insert(Key(sent.column(3).to_owned()), id)?;
        }
        Ok(Self { rows })
    }

    /// Each row goes before the one of its table that it referred to.
    fn each_link(&self, database: &Database, each: Each<'_>) -> Result<()> {
        let mut logged = database.prepare(&format!(
            "SELECT tbl, pk, rid FROM main._syncChange WHERE op IN ({}, {}) AND typeof(rid) = 'blob'",
            Op::Delete.code(),
            Op::REPLACED
        ))?;
        while !self.rows.is_empty() && logged.step()? {
            let Some((by_key, by_bytes)) = self.rows.get(&logged.integer(0)) else {
                continue;
            };
            let key = |column: usize| Key(logged.column(column).to_owned());
            if let (Some(leaf), Some(above)) = (by_key.get(&key(1))?, by_bytes.get(&key(2))?) {
                each(above, leaf, false);
            }
        }
        Ok(())
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
