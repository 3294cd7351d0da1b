//! The order in which frozen rows go up: what is referred to before what refers to it, deleted rows after all others
//! and the other way around.
//!
//! Between tables the order of the tables does. Where a table refers to itself, or tables to each other in a circle, the
//! rows themselves are put in order; nothing else is read for that. Rows that refer to each other in a circle go up
//! together.

use std::collections::HashMap;

use crate::capture::Key;
use crate::store::{Database, Result, ValueRef, quote_name};
use crate::transfer::binding::Binding;

use super::topology::{Link, parents_first};

/// One row of the outbox.
pub struct Row {
    pub id: i64,
    pub table: i64,
    pub key: Key,
    created: bool,
    /// It must not be parted from the row before it: they refer to each other.
    pub glued: bool,
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
/// SQLite's.
pub fn ordered_rows(database: &Database, push: i64, bindings: &[Binding]) -> Result<Vec<Row>> {
    let order = Order::of(database, push, bindings)?;
    let groups = order.groups();
    let mut rows = Vec::new();
    for group in &groups {
        rows.extend(order.stored(group)?);
    }
    for group in groups.iter().rev() {
        rows.extend(order.deleted(group)?);
    }
    Ok(rows)
}

/// The places of the tables, each behind those that its foreign keys refer to.
///
/// # Errors
/// SQLite's.
pub fn tables_parents_first(database: &Database, bindings: &[Binding]) -> Result<Vec<usize>> {
    let groups = Order::of(database, 0, bindings)?.groups().into_iter();
    Ok(groups.flat_map(|group| group.places).collect())
}

/// Puts the rows of circles in order in a push that goes out as a whole.
///
/// # Errors
/// SQLite's.
pub fn renumber_circles(database: &Database, push: i64, bindings: &[Binding]) -> Result<()> {
    let order = Order::of(database, push, bindings)?;
    for group in order.groups().iter().filter(|group| group.circle) {
        order.stored(group)?;
        order.deleted(group)?;
    }
    Ok(())
}

/// Gives rows numbers that grow, if theirs do not: a body names them in the order of their numbers.
fn renumbered(database: &Database, mut rows: Vec<Row>) -> Result<Vec<Row>> {
    let mut last: HashMap<i64, i64> = HashMap::new();
    let grows = rows.iter().all(|row| {
        let before = last.insert(row.table, row.id);
        before.is_none_or(|before| before < row.id)
    });
    if grows {
        return Ok(rows);
    }
    let highest = database.query_value("SELECT max(id) FROM main._syncOutbox", &[])?;
    let mut next = highest.as_i64().unwrap_or(0);
    let mut update = database.prepare("UPDATE main._syncOutbox SET id = ?2 WHERE id = ?1")?;
    for row in &mut rows {
        next += 1;
        update.run(&[row.id.into(), next.into()])?;
        row.id = next;
    }
    Ok(rows)
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

    /// The rows of a group that exist here.
    fn stored(&self, group: &Group) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for place in &group.places {
            let table = self.bindings[*place].table.id;
            rows.extend(self.rows(&format!("tbl = {table} AND kind <> 'deleted' ORDER BY id"))?);
        }
        match group.circle {
            true => renumbered(self.database, self.by_reference(group, rows)?),
            false => Ok(rows),
        }
    }

    /// The deleted rows of a group. What they referred to is known where a table refers to itself. Elsewhere they go in
    /// the order of the log: with foreign keys that are judged at once, a row is deleted before one that it refers to.
    fn deleted(&self, group: &Group) -> Result<Vec<Row>> {
        let tables = group
            .places
            .iter()
            .map(|place| self.bindings[*place].table.id);
        let tables: Vec<String> = tables.map(|id| id.to_string()).collect();
        let order = match group.circle {
            true => "uptoSeq, id",
            false => "id",
        };
        let rows = self.rows(&format!(
            "tbl IN ({}) AND kind = 'deleted' ORDER BY {order}",
            tables.join(", ")
        ))?;
        match group.circle {
            true => renumbered(self.database, self.leaves_first(rows)?),
            false => Ok(rows),
        }
    }

    /// Deleted rows, each before the one of its table that it referred to.
    fn leaves_first(&self, rows: Vec<Row>) -> Result<Vec<Row>> {
        let mut named: HashMap<(i64, Vec<u8>), usize> = HashMap::with_capacity(rows.len());
        let mut known: HashMap<(i64, &Key), usize> = HashMap::with_capacity(rows.len());
        let mut bytes = self.database.prepare("SELECT CAST(?1 AS BLOB)")?;
        for (place, row) in rows.iter().enumerate() {
            bytes.bind(1, row.key.0.borrow())?;
            if bytes.step()?
                && let ValueRef::Blob(key) = bytes.column(0)
            {
                named.insert((row.table, key.to_vec()), place);
            }
            bytes.reset();
            known.insert((row.table, &row.key), place);
        }
        let mut logged = self.database.prepare(
            "SELECT tbl, pk, rid FROM main._syncChange WHERE op = 3 AND typeof(rid) = 'blob'",
        )?;
        let mut links = Vec::new();
        while logged.step()? {
            let (table, key) = (logged.integer(0), Key(logged.column(1).to_owned()));
            let ValueRef::Blob(up) = logged.column(2) else {
                continue;
            };
            let above = named.get(&(table, up.to_vec()));
            if let (Some(leaf), Some(above)) = (known.get(&(table, &key)), above) {
                links.push(Link {
                    child: *above,
                    parent: *leaf,
                    must: false,
                });
            }
        }
        drop(known);
        let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
        let order = parents_first(rows.len(), &links).into_iter().flatten();
        Ok(order.filter_map(|place| rows[place].take()).collect())
    }

    fn rows(&self, condition: &str) -> Result<Vec<Row>> {
        self.database.query_all(
            &format!(
                "SELECT id, tbl, pk, kind = 'created' FROM main._syncOutbox \
                 WHERE pushId = ?1 AND {condition}"
            ),
            &[self.push.into()],
            |row| {
                Ok(Row {
                    id: row.integer(0),
                    table: row.integer(1),
                    key: Key(row.column(2).to_owned()),
                    created: row.integer(3) != 0,
                    glued: false,
                })
            },
        )
    }

    /// Rows of a circle, each behind those that it refers to, if there is such an order.
    fn by_reference(&self, group: &Group, rows: Vec<Row>) -> Result<Vec<Row>> {
        let places: HashMap<(i64, &Key), usize> = rows
            .iter()
            .enumerate()
            .map(|(place, row)| ((row.table, &row.key), place))
            .collect();
        let inside = |reference: &&Reference| {
            group.places.contains(&reference.child) && group.places.contains(&reference.parent)
        };
        let mut links = Vec::new();
        for reference in self.references.iter().filter(inside) {
            let child = self.bindings[reference.child].table.id;
            let parent = self.bindings[reference.parent].table.id;
            let pairs = self.pairs_sql(reference);
            let mut pairs = self.database.connection().prepare(&pairs)?;
            pairs.bind_all(&[self.push.into(), child.into()])?;
            while pairs.step()? {
                let place = |table: i64, column: usize| {
                    let key = Key(pairs.column(column).to_owned());
                    places.get(&(table, &key)).copied()
                };
                let (Some(child), Some(parent)) = (place(child, 0), place(parent, 1)) else {
                    continue;
                };
                links.push(Link {
                    child,
                    parent,
                    must: rows[parent].created,
                });
            }
        }
        drop(places);
        let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
        let mut ordered = Vec::with_capacity(rows.len());
        for group in parents_first(rows.len(), &links) {
            for (number, place) in group.into_iter().enumerate() {
                ordered.extend(rows[place].take().map(|row| Row {
                    glued: number > 0,
                    ..row
                }));
            }
        }
        Ok(ordered)
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
