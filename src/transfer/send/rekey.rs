//! Giving rows another key: the server chose one instead of ours.
//!
//! The row, what refers to it by a foreign key, what is logged of it since and what is on its way follow.
//! Nothing of it counts as an edit; how it is written, and what the application's triggers hear of it, is in `rewriter`.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::capture::tracked::registration;
use crate::capture::{Key, Tracked, aside, log};
use crate::store::{Database, Result, Value, quote_name, shown};

use super::counted;
use super::family::{Family, same_type};
use super::follow::{Followed, MetAnywhere, References, follow, follow_sent};
use super::reference::Reference;
use super::renamed::Renamed;
use super::rewriter::{Contents, Rewriter};

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

/// Rows in an order in which each finds its new key free, and parts move right before what they are parts of: else those of
/// another would be taken along. Rows that wait for each other in a circle go by a number that nobody has.
fn in_steps<'a>(database: &Database, rows: &[Renamed<'a>]) -> Result<Vec<Renamed<'a>>> {
    let mut waiting = with_parts(rows);
    let mut steps = Vec::with_capacity(rows.len());
    let mut spare = None;
    while !waiting.is_empty() {
        let taken: HashSet<(&str, Key)> = waiting
            .iter()
            .flatten()
            .map(|row| (row.shape.name.as_str(), Key(row.old.clone())))
            .collect();
        let is_free = |rows: &Vec<Renamed<'_>>| {
            let mut rows = rows.iter();
            rows.all(|row| !taken.contains(&(row.shape.name.as_str(), Key(row.new.clone()))))
        };
        let (free, mut rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_free);
        if let (true, Some(first)) = (free.is_empty(), rest.first_mut()) {
            let mut number = spare.unwrap_or(0);
            for row in rows {
                number = number.max(counted::highest(database, row.shape, row.table)?);
                number = number.max(row.new.as_i64().unwrap_or(0));
            }
            let number = number.saturating_add(1);
            spare = Some(number);
            for row in first {
                let new = same_type(&row.old, &Value::Integer(number));
                let old = std::mem::replace(&mut row.old, new.clone());
                steps.push(Renamed { new, old, ..*row });
            }
        }
        steps.extend(free.into_iter().flatten());
        waiting = rest;
    }
    Ok(steps)
}

/// Each row with its parts, which have its keys.
fn with_parts<'a>(rows: &[Renamed<'a>]) -> Vec<Vec<Renamed<'a>>> {
    let text = |key: &Value| match key {
        Value::Text(text) => text.clone(),
        other => shown(other),
    };
    let mut places = HashMap::new();
    let mut all: Vec<Vec<Renamed<'a>>> = Vec::new();
    for row in rows {
        let place = *places
            .entry((text(&row.old), text(&row.new)))
            .or_insert(all.len());
        match all.get_mut(place) {
            Some(known) => known.push(row.clone()),
            None => all.push(vec![row.clone()]),
        }
    }
    all
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
    met: &MetAnywhere<'_>,
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
            // A push that left it out may yet be settled, by a range of the log: what is kept back is not in that.
            database.execute(
                "UPDATE OR REPLACE main._syncRejected SET pk = ?3, uptoSeq = NULL WHERE tbl = ?1 AND pk IS ?2",
                &[table.into(), row.old.borrow(), row.new.borrow()],
            )?;
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
