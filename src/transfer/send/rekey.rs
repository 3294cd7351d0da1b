//! Giving rows another key: the server chose one instead of ours.
//!
//! The row, what refers to it by a foreign key, what is logged of it since and what is on its way follow.
//! Nothing of it counts as an edit; how it is written, and what the application's triggers hear of it, is in `rewriter`.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::capture::log::{self, Mark};
use crate::capture::reader::RowReader;
use crate::capture::sends::sends_of_there;
use crate::capture::shape::Shape;
use crate::capture::tracked::registration;
use crate::capture::{Key, Pending, PendingRows, Status, Tracked, aside};
use crate::store::{Database, Result, Value, quote_name};

use super::counted;
use super::family::{Family, same_type};
use super::reference::Reference;
use super::renamed::Renamed;
use super::rewriter::{Contents, Rewriter};
use super::sent_reference::{referring, sent_references};

/// What an answer has made of a row that waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// It is the server's, and nothing of it waits.
    Settled,
    /// It was made here too, and is the server's but for what was changed here since.
    Yielded,
}

/// What an answer has made of the rows of one table.
type MetOf<'a> = dyn Fn(&Key) -> Result<Option<Met>> + 'a;

/// The same of any table, given by its number.
type MetAnywhere<'a> = dyn Fn(i64, &Key) -> Result<Option<Met>> + 'a;

/// Renames rows of any tables, with all their parts and all that refers to them. Call inside a transaction.
///
/// # Errors
/// SQLite's; another row has the new key.
pub fn rename(database: &Database, rows: &[Renamed<'_>]) -> Result<()> {
    let mut tables: BTreeMap<&str, Vec<Renamed<'_>>> = BTreeMap::new();
    for row in rows {
        tables.entry(&row.shape.name).or_default().push(row.clone());
    }
    for rows in tables.values() {
        let family = Family::of(database, rows[0].shape)?;
        let whole = family.whole(database, rows, &|_, _| Ok(true))?;
        rename_whole(database, &whole.rows, |_| Ok(()))?;
    }
    Ok(())
}

/// Renames rows, their parts among them and before them, with all that refers to them. Call inside a transaction. `behind`:
/// what is to be done when they have their keys, before triggers hear of it.
///
/// # Errors
/// SQLite's; another row has the new key.
pub fn rename_whole(
    database: &Database,
    rows: &[Renamed<'_>],
    behind: impl FnOnce(&Rewriter<'_>) -> Result<()>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut rewriter = Rewriter::begin(database)?;
    rewriter.keep(rows, &Contents::new())?;
    for row in in_steps(database, rows)? {
        write(&row, database, &mut rewriter)?;
    }
    let keys = rows.iter().filter_map(Renamed::logged).collect();
    behind(&rewriter)?;
    rewriter.finish()?;
    log::rename(database, &keys)
}

/// Rows in an order in which each finds its new key free. Those that wait for each other in a circle go by a number that
/// nobody has.
fn in_steps<'a>(database: &Database, rows: &[Renamed<'a>]) -> Result<Vec<Renamed<'a>>> {
    let mut waiting = rows.to_vec();
    let mut steps = Vec::with_capacity(rows.len());
    let mut spare = None;
    while !waiting.is_empty() {
        let taken: HashSet<(&str, Key)> = waiting
            .iter()
            .map(|row| (row.shape.name.as_str(), Key(row.old.clone())))
            .collect();
        let is_free = |row: &Renamed<'_>| {
            let new = (row.shape.name.as_str(), Key(row.new.clone()));
            !taken.contains(&new)
        };
        let (free, mut rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_free);
        if let (true, Some(first)) = (free.is_empty(), rest.first_mut()) {
            let highest = match spare {
                Some(spare) => spare,
                None => counted::highest(database, first.shape, first.table)?,
            };
            let given = rows.iter().filter_map(|row| row.new.as_i64()).max();
            let number = highest.max(given.unwrap_or(0)).saturating_add(1);
            spare = Some(number);
            let old = std::mem::replace(&mut first.old, Value::Integer(number));
            steps.push(Renamed {
                new: Value::Integer(number),
                old,
                ..*first
            });
        }
        steps.extend(free);
        waiting = rest;
    }
    Ok(steps)
}

/// Gives rows other keys, because their keys are those of other rows: rows of one table and, before them, their parts.
/// Nothing was ever sent of them under the new ones. Only what was made here to refer to them follows: rows whose references
/// were set by a change up to `upto` that waits, unless the server has said what they refer to (`met`); and rows of tables
/// that are not tracked. `held`: what some of the rows held before triggers wrote into them. `at` is the place of the row that was being moved when it failed, if that can be told. Call inside
/// a transaction.
///
/// # Errors
/// SQLite's.
pub fn move_away(
    database: &Database,
    (rows, held): (&[Renamed<'_>], &Contents),
    met: &dyn Fn(i64, &Key) -> Result<Option<Met>>,
    upto: i64,
    at: &Cell<Option<usize>>,
) -> Result<Vec<Followed>> {
    let mut followed = Vec::new();
    let mut rewriter = Rewriter::begin(database)?;
    rewriter.keep(rows, held)?;
    let mut first = 0;
    for group in rows.chunk_by(|one, next| one.shape.name == next.shape.name) {
        let sent = move_group(database, &mut rewriter, (group, first), (met, upto), at)?;
        followed.extend(sent);
        first += group.len();
    }
    at.set(None);
    rewriter.finish()?;
    let keys = rows.iter().filter_map(Renamed::logged).collect();
    log::rename(database, &keys)?;
    Ok(followed)
}

/// A row that has followed after it was sent, so that the server has to hear where it points now.
pub struct Followed {
    pub table: i64,
    pub key: Key,
    /// The bit of the column.
    pub bit: usize,
}

impl Followed {
    /// What is to be pending of it.
    pub fn mark(&self) -> Mark {
        Mark {
            status: Status::Updated,
            bits: vec![self.bit],
            rowid: None,
        }
    }
}

/// The rows of one table, whose parts have moved. `first`: the place of the first one among all.
fn move_group(
    database: &Database,
    rewriter: &mut Rewriter<'_>,
    (rows, first): (&[Renamed<'_>], usize),
    (met, upto): (&MetAnywhere<'_>, i64),
    at: &Cell<Option<usize>>,
) -> Result<Vec<Followed>> {
    let mut followed = Vec::new();
    let shape = rows[0].shape;
    // What is to stay goes along meanwhile: some foreign keys refuse another key, or write into what refers to it.
    let mut stay = Vec::new();
    let keys: HashMap<Key, &Value> = rows
        .iter()
        .map(|row| (Key(row.old.clone()), &row.new))
        .collect();
    for reference in Reference::written_ones(database, shape)? {
        match registration(database, &reference.child)? {
            Some(_) => {
                let child = Tracked::open(database, &reference.child)?;
                // Where the key refers, what follows has moved.
                if !reference.is_key_of(&child.shape) {
                    rewriter.refers(&child, &reference.column);
                    let met = |key: &Key| met(child.id, key);
                    let about = |new: &Value| {
                        let place = rows.iter().position(|row| row.new == *new);
                        at.set(place.map(|place| first + place));
                    };
                    follow(
                        database,
                        rewriter,
                        (&child, &reference),
                        &keys,
                        (&met, upto),
                        &about,
                    )?;
                    followed.extend(follow_sent(
                        database,
                        rewriter,
                        (&child, &reference),
                        &keys,
                        &about,
                    )?);
                }
                for row in rows {
                    stay.extend(References::find(database, &child, &reference, row)?);
                }
            }
            None => {
                for (place, row) in rows.iter().enumerate() {
                    at.set(Some(first + place));
                    rewrite(row, database, rewriter, &reference)?;
                }
            }
        }
    }
    let about = |row: &Renamed<'_>| {
        let place = rows.iter().position(|other| other.new == row.new);
        at.set(place.map(|place| first + place));
    };
    for references in &stay {
        about(references.row);
        references.go_along(rewriter)?;
    }
    for (place, row) in rows.iter().enumerate() {
        at.set(Some(first + place));
        rewriter.rename(row)?;
        if let Some(table) = row.table {
            forget_sent(database, table, &row.old)?;
        }
    }
    for references in &stay {
        about(references.row);
        references.put_back(rewriter)?;
    }
    Ok(followed)
}

/// What was sent under a key was not about the row that leaves it.
///
/// # Errors
/// SQLite's.
pub fn forget_sent(database: &Database, table: i64, key: &Value) -> Result<()> {
    for ours in ["_syncOutbox", "_syncRejected"] {
        let sql = format!("DELETE FROM main.{ours} WHERE tbl = ?1 AND pk IS ?2");
        database.execute(&sql, &[table.into(), key.borrow()])?;
    }
    Ok(())
}

/// The rows among these that can't have another key: rows made here refer to them by a generated column, which can't be
/// written. Their places, each with what refers.
///
/// # Errors
/// SQLite's.
pub fn tied(
    database: &Database,
    rows: &[Renamed<'_>],
    met: &dyn Fn(i64, &Key) -> Result<Option<Met>>,
    upto: i64,
) -> Result<Vec<(usize, String)>> {
    let mut tied = Vec::new();
    let mut first = 0;
    for group in rows.chunk_by(|one, next| one.shape.name == next.shape.name) {
        let found = tied_of_table(database, group, met, upto)?;
        tied.extend(
            found
                .into_iter()
                .map(|(place, words)| (first + place, words)),
        );
        first += group.len();
    }
    Ok(tied)
}

fn tied_of_table(
    database: &Database,
    rows: &[Renamed<'_>],
    met: &MetAnywhere<'_>,
    upto: i64,
) -> Result<Vec<(usize, String)>> {
    let keys: HashMap<Key, &Value> = rows
        .iter()
        .map(|row| (Key(row.old.clone()), &row.new))
        .collect();
    let mut tied = Vec::new();
    for reference in Reference::all(database, rows[0].shape)? {
        if !reference.generated {
            continue;
        }
        let words = || {
            format!(
                "{}({}) refers to the row with its number that was made here, and is a generated column, which can't \
                 be written",
                reference.child, reference.column
            )
        };
        if registration(database, &reference.child)?.is_some() {
            let child = Tracked::open(database, &reference.child)?;
            let met = |key: &Key| met(child.id, key);
            // Which columns it is computed from can't be told: any change may have set it.
            let set = |_: &Pending| true;
            let found = set_here(database, (&child, &reference), &keys, (&met, upto), &set)?;
            for (_, new) in found {
                let place = rows.iter().position(|row| row.new == *new);
                tied.extend(place.map(|place| (place, words())));
            }
            continue;
        }
        for (place, row) in rows.iter().enumerate() {
            if reference.is_used(database, &row.old)? {
                tied.push((place, words()));
            }
        }
    }
    Ok(tied)
}

/// Whether anything refers to a row by a generated column, which can't follow it to another key.
///
/// # Errors
/// SQLite's.
pub fn is_tied(database: &Database, shape: &Shape, key: &Value) -> Result<bool> {
    for reference in Reference::all(database, shape)? {
        if reference.generated && reference.is_used(database, key)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Rows of a table that refer to a key.
struct References<'a> {
    table: String,
    column: String,
    row: &'a Renamed<'a>,
    /// The keys, after what refers.
    keys: Vec<Vec<Value>>,
    key_names: Vec<String>,
    /// What refers is the key itself.
    is_key: bool,
}

impl<'a> References<'a> {
    /// None when there are none.
    fn find(
        database: &Database,
        table: &Tracked,
        reference: &Reference,
        row: &'a Renamed<'a>,
    ) -> Result<Option<Self>> {
        let names = table.shape.keys();
        let key_names: Vec<String> = names.iter().map(|key| quote_name(&key.name)).collect();
        let is_key = reference.is_key_of(&table.shape);
        let (table, column) = (
            database.qualified(&table.shape.name),
            quote_name(&reference.column),
        );
        let list = key_names.join(", ");
        let means = reference.means(&row.old, 1);
        let sql = format!("SELECT {column}, {list} FROM {table} WHERE {means}");
        let mut scan = database.connection().prepare(&sql)?;
        scan.bind(1, row.old.borrow())?;
        let mut keys = Vec::new();
        while scan.step()? {
            keys.push(scan.row());
        }
        Ok((!keys.is_empty()).then_some(Self {
            table,
            column,
            row,
            keys,
            key_names,
            is_key,
        }))
    }

    /// They refer to the new key for a while.
    fn go_along(&self, rewriter: &Rewriter<'_>) -> Result<()> {
        for (before, key) in self.each() {
            self.set(rewriter, &same_type(before, &self.row.new), key)?;
        }
        Ok(())
    }

    fn put_back(&self, rewriter: &Rewriter<'_>) -> Result<()> {
        for (before, key) in self.each() {
            let moved = [same_type(before, &self.row.new)];
            self.set(rewriter, before, if self.is_key { &moved } else { key })?;
        }
        Ok(())
    }

    /// What each row held, and its key.
    fn each(&self) -> impl Iterator<Item = (&Value, &[Value])> {
        let rows = self.keys.iter();
        rows.filter_map(|row| row.split_first())
    }

    /// Nothing has become of them in the end, so nobody hears of it.
    fn set(&self, rewriter: &Rewriter<'_>, to: &Value, key: &[Value]) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET {column} = ?1 WHERE {} AND {column} IS NOT ?1",
            self.table,
            meets(&self.key_names),
            column = self.column
        );
        let mut values = vec![to.borrow()];
        values.extend(key.iter().map(Value::borrow));
        rewriter.run_quietly(&sql, &values)
    }
}

/// A condition on the columns of a key, whose values are the parameters from the second on.
pub(super) fn meets(names: &[String]) -> String {
    let names = names.iter().enumerate();
    let meets: Vec<String> = names
        .map(|(place, name)| format!("{name} IS ?{}", place + 2))
        .collect();
    meets.join(" AND ")
}

/// Lets the references of a tracked table follow that were set here.
fn follow(
    database: &Database,
    rewriter: &Rewriter<'_>,
    (child, reference): (&Tracked, &Reference),
    keys: &HashMap<Key, &Value>,
    (met, upto): (&MetOf<'_>, i64),
    about: &dyn Fn(&Value),
) -> Result<()> {
    let Some(position) = child.shape.position(&reference.column) else {
        return Ok(());
    };
    let set = |pending: &Pending| pending.changed(position);
    let found = set_here(database, (child, reference), keys, (met, upto), &set)?;
    let sql = update_of_one(database, child, reference);
    for (key, new) in found {
        let mut values = vec![new.borrow()];
        values.extend(key.iter().map(Value::borrow));
        about(new);
        rewriter.run_surely(&sql, &values)?;
    }
    Ok(())
}

/// Lets the references of a tracked table follow that the server was sent, and that nothing waits of.
fn follow_sent(
    database: &Database,
    rewriter: &Rewriter<'_>,
    (child, reference): (&Tracked, &Reference),
    keys: &HashMap<Key, &Value>,
    about: &dyn Fn(&Value),
) -> Result<Vec<Followed>> {
    let mut followed = Vec::new();
    let sent = sent_references(database, (child, reference), &|key| keys.contains_key(key))?;
    let position = child.shape.position(&reference.column);
    let bit = position.and_then(|position| child.columns.bit(position));
    let (Some(bit), false) = (bit, sent.is_empty()) else {
        return Ok(followed);
    };
    let sql = update_of_one(database, child, reference);
    for (old, new) in keys {
        for row in referring(database, &child.shape, reference, &old.0)? {
            if sent.get(&row.logged) != Some(old) {
                continue;
            }
            let mut values = vec![new.borrow()];
            values.extend(row.keys.iter().map(Value::borrow));
            about(new);
            rewriter.run_surely(&sql, &values)?;
            followed.push(Followed {
                table: child.id,
                key: row.logged,
                bit,
            });
        }
    }
    Ok(followed)
}

/// A statement that lets one row, whose key's columns are the parameters from the second on, refer to another key.
fn update_of_one(database: &Database, child: &Tracked, reference: &Reference) -> String {
    let names = child.shape.keys();
    let names: Vec<String> = names.iter().map(|key| quote_name(&key.name)).collect();
    format!(
        "UPDATE {} SET {} = {} WHERE {}",
        database.qualified(&child.shape.name),
        quote_name(&reference.column),
        reference.written(1),
        meets(&names)
    )
}

/// The rows whose references to some keys were set here, each with the key that is to be.
pub(super) fn set_here<'k>(
    database: &Database,
    (child, reference): (&Tracked, &Reference),
    keys: &HashMap<Key, &'k Value>,
    (met, upto): (&MetOf<'_>, i64),
    set: &dyn Fn(&Pending) -> bool,
) -> Result<Vec<(Vec<Value>, &'k Value)>> {
    let Some(position) = child.shape.position(&reference.column) else {
        return Ok(Vec::new());
    };
    let mut reader = RowReader::new(database, child, &[position])?;
    let mut found = Vec::new();
    let pending = PendingRows::read(database, &[child], upto)?
        .pop()
        .unwrap_or_default();
    pending.each(|pending| {
        let met = met(&pending.key)?;
        if met == Some(Met::Settled) {
            return Ok(());
        }
        let exists = reader.find(pending)?;
        let made_here = || met.is_none() && sends_of_there(pending, &[position]) == Status::Created;
        let set_here = exists && (set(pending) || made_here());
        if set_here {
            let value = reference.key(reader.column(0).to_owned());
            if let Some(new) = keys.get(&Key(value)) {
                found.push((reader.key_values(&pending.key.0)?, *new));
            }
        }
        reader.release();
        Ok(())
    })?;
    Ok(found)
}

/// Gives a row its key, with all that refers to it.
fn write(row: &Renamed<'_>, database: &Database, rewriter: &mut Rewriter<'_>) -> Result<()> {
    for reference in Reference::written_ones(database, row.shape)? {
        // Of one that is not tracked, or not captured now, nothing is logged.
        if let Ok(child) = Tracked::open(database, &reference.child) {
            if reference.is_key_of(&child.shape) {
                // Its parts have moved: what is left is no part of it, and is put back.
                let sql = rewriting(row, database, &reference);
                rewriter.run_quietly(&sql, &[row.new.borrow(), row.old.borrow()])?;
                continue;
            }
            rewriter.refers(&child, &reference.column);
        }
        rewrite(row, database, rewriter, &reference)?;
    }
    rewriter.rename(row)?;
    let Some(table) = row.table else {
        return Ok(());
    };
    database.execute(
        "UPDATE main._syncOutbox SET pk = ?1 WHERE pk IS ?2 AND tbl = ?3",
        &[row.new.borrow(), row.old.borrow(), table.into()],
    )?;
    aside::rename_key(database, table, &row.old, &row.new)
}

/// Lets all that refers to the old key refer to the new one.
fn rewrite(
    row: &Renamed<'_>,
    database: &Database,
    rewriter: &Rewriter<'_>,
    reference: &Reference,
) -> Result<()> {
    let sql = rewriting(row, database, reference);
    rewriter.run_surely(&sql, &[row.new.borrow(), row.old.borrow()])
}

fn rewriting(row: &Renamed<'_>, database: &Database, reference: &Reference) -> String {
    format!(
        "UPDATE {} SET {} = {} WHERE {}",
        database.qualified(&reference.child),
        quote_name(&reference.column),
        reference.written(1),
        reference.means(&row.old, 2)
    )
}
