//! References that nobody has set here to a row made here which gets another key: they came from the server, or it has
//! been sent them.
//!
//! They stay. If the answer brings a row under the old key, they meant that one. Else they follow after all, and the server
//! has to hear where they point now.

use std::collections::{BTreeMap, HashSet};

use crate::capture::log::{self, Mark};
use crate::capture::{Key, Status, Tracked};
use crate::store::{Database, Result, Value, ValueRef, quote_name};

use super::family::same_type;
use super::follow::{meets, set_here};
use super::reference::Reference;
use super::renamed::Renamed;
use super::rewriter::Rewriter;
use super::sent_reference::{referring, sent_references};

/// Such references by one column.
pub struct Brought {
    /// The tracked table that refers.
    child: Tracked,
    /// `"schema"."table"`, quoted.
    qualified: String,
    reference: Reference,
    /// The table that is referred to, and its key's column, both quoted.
    parent: (String, String),
    rows: Vec<Row>,
}

/// A row that refers.
struct Row {
    /// As it is logged.
    logged: Value,
    /// What the column held.
    before: Value,
    keys: Vec<Value>,
    /// The key of the row that it refers to, and the one which that gets.
    old: Value,
    new: Value,
    /// The server was sent the reference, so it means the row that was made here, whatever comes under its key.
    sent: bool,
}

/// The references to rows that are about to get other keys. `upto`: the log's end.
///
/// # Errors
/// SQLite's.
pub fn brought(database: &Database, renamed: &[Renamed<'_>], upto: i64) -> Result<Vec<Brought>> {
    let mut parents: BTreeMap<&str, Vec<&Renamed<'_>>> = BTreeMap::new();
    for row in renamed {
        parents.entry(&row.shape.name).or_default().push(row);
    }
    let mut all = Vec::new();
    for renamed in parents.values() {
        let shape = renamed[0].shape;
        for reference in Reference::written_ones(database, shape)? {
            // One whose changes are not captured now goes along for good.
            let Ok(child) = Tracked::open(database, &reference.child) else {
                continue;
            };
            let rows = rows(database, renamed, (&child, &reference), upto)?;
            if rows.is_empty() {
                continue;
            }
            all.push(Brought {
                qualified: database.qualified(&child.shape.name),
                child,
                reference,
                parent: (
                    database.qualified(&shape.name),
                    quote_name(&shape.keys()[0].name),
                ),
                rows,
            });
        }
    }
    Ok(all)
}

fn rows(
    database: &Database,
    renamed: &[&Renamed<'_>],
    (child, reference): (&Tracked, &Reference),
    upto: i64,
) -> Result<Vec<Row>> {
    let shape = &child.shape;
    let Some(position) = shape.position(&reference.column) else {
        return Ok(Vec::new());
    };
    let moved = renamed
        .iter()
        .map(|row| (Key(row.old.clone()), &row.new))
        .collect();
    // A row that was made here as a part of another moves with it.
    let is_key = reference.is_key_of(shape);
    let set = set_here(
        database,
        (child, reference),
        &moved,
        (&|_| Ok(None), upto),
        &|pending| !is_key && pending.changed(position),
    )?;
    let set: HashSet<Vec<Key>> = set.into_iter().map(|(keys, _)| as_keys(keys)).collect();
    let sent = sent_references(database, (child, reference), &|key| moved.contains_key(key))?;
    let mut rows = Vec::new();
    for row in renamed {
        let found = referring(database, shape, reference, &row.old)?;
        rows.extend(found.into_iter().map(|found| Row {
            sent: sent.get(&found.logged).is_some_and(|to| to.0 == row.old),
            logged: found.logged.0,
            before: found.value,
            keys: found.keys,
            old: row.old.clone(),
            new: row.new.clone(),
        }));
    }
    rows.retain(|row| !set.contains(&as_keys(row.keys.clone())));
    Ok(rows)
}

fn as_keys(values: Vec<Value>) -> Vec<Key> {
    values.into_iter().map(Key).collect()
}

impl Brought {
    /// They are as they were, now that the row has gone and may have taken them along.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_back(&self, rewriter: &Rewriter<'_>) -> Result<()> {
        let sql = self.update("?1", "");
        let is_key = self.reference.is_key_of(&self.child.shape);
        self.rows.iter().try_for_each(|row| {
            let moved = same_type(&row.before, &row.new);
            match is_key {
                true => rewriter.run_quietly(&sql, &[row.before.borrow(), moved.borrow()]),
                false => rewriter.run_quietly(&sql, &row.values(&row.before)),
            }
        })
    }

    /// Says what has become of them, once the answer is applied.
    ///
    /// # Errors
    /// SQLite's.
    pub fn settle(&self, database: &Database) -> Result<()> {
        let (parent, key) = &self.parent;
        let find = format!("SELECT 1 FROM {parent} WHERE {key} IS ?1");
        let rewriter = Rewriter::begin(database)?;
        let number = self.child.shape.keys().len() + 2;
        let is_so = format!(" AND {} IS ?{number}", quote_name(&self.reference.column));
        let sql = self.update(&self.reference.written(1), &is_so);
        let mut followed = Vec::new();
        for row in &self.rows {
            if !row.sent && database.query_value(&find, &[row.old.borrow()])? != Value::Null {
                continue;
            }
            let mut values = row.values(&row.new);
            values.push(row.before.borrow());
            rewriter.run_quietly(&sql, &values)?;
            if database.connection().changes() > 0 {
                followed.push(Key(row.logged.clone()));
            }
        }
        // That takes out of the log what was written; what the server has to hear comes after it.
        rewriter.finish()?;
        let position = self.child.shape.position(&self.reference.column);
        let bit = position.and_then(|position| self.child.columns.bit(position));
        let mark = Mark {
            status: Status::Updated,
            bits: bit.into_iter().collect(),
            rowid: None,
        };
        followed
            .iter()
            .try_for_each(|key| log::mark(database, self.child.id, key, &mark))
    }

    /// A statement that writes the column of a row, whose key's columns are the parameters from the second on.
    fn update(&self, value: &str, and: &str) -> String {
        let names = self.child.shape.keys();
        let names: Vec<String> = names.iter().map(|key| quote_name(&key.name)).collect();
        format!(
            "UPDATE {} SET {} = {value} WHERE {}{and}",
            self.qualified,
            quote_name(&self.reference.column),
            meets(&names)
        )
    }
}

impl Row {
    /// A value and the key.
    fn values<'v>(&'v self, value: &'v Value) -> Vec<ValueRef<'v>> {
        let mut values = vec![value.borrow()];
        values.extend(self.keys.iter().map(Value::borrow));
        values
    }
}
