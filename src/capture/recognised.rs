//! A tracked table under another name that no trigger has followed: it was renamed and then rebuilt, or renamed while
//! capture was off and rebuilt, in one migration. Its old name is gone, and a table that nobody tracks has its key and its
//! columns.
//!
//! Or it has its key and as many other columns as it lacks: a column was renamed too, and nobody saw that. Then nothing is
//! joined unasked, but it is said what the table may be.
//!
//! So has a table that has nothing to do with it. What decides are the rows: a text key that waits and is found in the
//! table says that it is the same; waiting rows none of which is there say that it is another one. Numbers prove
//! nothing, since every table counts from 1. In doubt nothing is joined: whoever calls `sync_track` says with `was`.

use crate::ground::{Warning, quoted};
use crate::store::{Database, Error, Result, Value, quote_name};

use super::log;
use super::moved::has_same_types;
use super::names::quoted_list;
use super::reader::RowReader;
use super::rebuilt;
use super::renamed::{Move, follow_tables};
use super::shape::Shape;
use super::tracked::{Registration, Tracked, registration, registrations};
use super::triggers::Found;
use super::{Pending, PendingRows, Status};

/// What the rows say of a table that may be one that is gone.
#[derive(Debug, PartialEq)]
enum Verdict {
    Same,
    Another,
    /// They may be either.
    Unclear,
    /// Nothing waits, so that nothing is lost either way.
    Silent,
}

/// How much a table is like one that is gone, whose key it has.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Likeness {
    /// It has all columns of it.
    Fits,
    /// It has other columns in place of some.
    Renamed,
    KeyOnly,
}

/// Finds the table that is gone and goes on as the one of `shape`, which is not tracked; none where it is a new one. With
/// what should be known of it.
///
/// # Errors
/// It may be one that is gone; SQLite's.
pub(super) fn recognise(
    database: &Database,
    shape: &Shape,
    columns_told: bool,
) -> Result<(Option<Registration>, Vec<Warning>)> {
    let (mut same, mut unclear, mut silent) = (Vec::new(), Vec::new(), Vec::new());
    for known in registrations(database)? {
        let Some(likeness) = known.likeness(database, shape)? else {
            continue;
        };
        match (verdict(database, &known, shape)?, likeness) {
            (Verdict::Same, Likeness::Fits) => same.push(known),
            (Verdict::Same, Likeness::KeyOnly) => silent.push(known),
            (Verdict::Another, _) | (_, Likeness::KeyOnly) => {}
            (Verdict::Same | Verdict::Unclear, _) => unclear.push(known),
            // As a new table it would send what this one keeps here.
            (Verdict::Silent, _) if !columns_told && known.options.keeps() => unclear.push(known),
            (Verdict::Silent, _) => silent.push(known),
        }
    }
    if same.len() > 1 || (same.is_empty() && !unclear.is_empty()) {
        same.append(&mut unclear);
        return Err(unsure(shape, &same));
    }
    let Some(known) = same.pop() else {
        return Ok((
            None,
            silent
                .iter()
                .map(|known| taken_for_new(shape, known))
                .collect(),
        ));
    };
    let warning = recognised(shape, &known);
    Ok((Some(known), vec![warning]))
}

fn names(tables: &[Registration]) -> String {
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    quoted_list(&names)
}

/// How to say that a table goes on as another one.
fn was(name: &str) -> String {
    format!("{{\"was\":{}}}", serde_json::Value::from(name))
}

fn unsure(shape: &Shape, known: &[Registration]) -> Error {
    let first = known.first().map_or("", |known| known.name.as_str());
    Error::argument(format!(
        "{} may be {} under another name, which is gone: it has its key, and its columns or others in their place. Call \
         sync_track with {} to go on with what waits of it, or with {{\"was\":\"\"}} to track another table",
        quote_name(&shape.name),
        names(known),
        was(first)
    ))
}

fn recognised(shape: &Shape, known: &Registration) -> Warning {
    let message = format!(
        "{} is taken for {}, which is gone: it has its key, its columns and the rows that wait. What waited goes on \
         under the new name. To track it as another table, undo the call, and give {{\"was\":\"\"}}",
        quoted(&shape.name),
        quoted(&known.name)
    );
    Warning::new("tableRecognised", message).of(&shape.name)
}

fn taken_for_new(shape: &Shape, known: &Registration) -> Warning {
    let message = format!(
        "{} is tracked as a new table. If it is {} under another name, which is gone, undo the call, and give {}; else call \
         sync_untrack for that one",
        quoted(&shape.name),
        quoted(&known.name),
        was(&known.name)
    );
    Warning::new("tableGone", message).of(&known.name)
}

impl Registration {
    /// How much a table is like this one, which is gone; none where it is not gone, or had another key.
    fn likeness(&self, database: &Database, shape: &Shape) -> Result<Option<Likeness>> {
        if !self.is_gone(database)? || !self.has_key_of(shape) || self.keys.is_none() {
            return Ok(None);
        }
        let names: Vec<&String> = self.columns.iter().flatten().collect();
        let is_known = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let gone = names.iter().filter(|name| shape.position(name).is_none());
        let gone = gone.count();
        let plain = shape.columns.iter().filter(|column| !column.generated);
        let new = plain.filter(|column| !is_known(&column.name)).count();
        let rest = names.len().saturating_sub(gone + shape.keys().len());
        Ok(Some(match gone {
            0 => Likeness::Fits,
            _ if gone <= new && (rest > 0 || has_same_types(&self.definition, shape)) => {
                Likeness::Renamed
            }
            _ => Likeness::KeyOnly,
        }))
    }

    fn is_gone(&self, database: &Database) -> Result<bool> {
        let found = Found::read(database, self.id)?;
        Ok(found.table.is_none() && found.follows.is_none() && !self.is_named(database)?)
    }
}

/// Rows that are looked up; they are of one table or of another, all of them.
const ENOUGH: usize = 1000;

fn verdict(database: &Database, known: &Registration, shape: &Shape) -> Result<Verdict> {
    let was = Tracked::stranded(known.clone());
    let now = Tracked::assemble(known.clone(), shape.clone(), &Found::default());
    let pending = PendingRows::read(database, &[&was], log::high_water(database)?)?
        .pop()
        .unwrap_or_default();
    let mut reader = RowReader::new(database, &now, &[])?;
    let (mut fitting, mut strange, mut quiet, mut proof) = (0, 0, 0, false);
    let mut is_here = |row: &Pending| -> Result<bool> {
        let is_here = reader.find_key(&row.key.0)?;
        reader.release();
        Ok(is_here)
    };
    let mut rows = pending.walk()?;
    let mut looked = 0;
    while let Some(row) = rows.next(&pending)? {
        if looked == ENOUGH {
            break;
        }
        looked += 1;
        if row.status(false) == Status::Nothing {
            continue;
        }
        match (row.is_stranded_there(), is_here(&row)?) {
            (true, true) => {
                fitting += 1;
                proof |= is_telling(&row.key.0);
            }
            // Deleted before: not to be there shows little.
            (false, false) => quiet += 1,
            (true, false) | (false, true) => strange += 1,
        }
    }
    Ok(match (fitting, strange, quiet) {
        (0, 0, 0) => Verdict::Silent,
        (_, 0, _) if proof => Verdict::Same,
        (0, 1.., _) => Verdict::Another,
        _ => Verdict::Unclear,
    })
}

/// Whether a logged key is one that two tables don't have by accident: no number, and no list of numbers.
fn is_telling(key: &Value) -> bool {
    match key {
        Value::Text(text) => text
            .chars()
            .any(|letter| !letter.is_ascii_digit() && !",-. ".contains(letter)),
        Value::Blob(_) | Value::InvalidText(_) => true,
        Value::Null | Value::Integer(_) | Value::Real(_) => false,
    }
}

/// Goes on with a table under another name, or under its own with a key that has another name, because somebody says so.
///
/// # Errors
/// The one that it was is not tracked, or still there; the key has another number of columns; none of the rows that wait is
/// there; SQLite's.
pub(super) fn told(database: &Database, shape: &Shape, was: &str) -> Result<Registration> {
    let (now, before) = (quote_name(&shape.name), quote_name(was));
    let Some(known) = registration(database, was)? else {
        return Err(Error::argument(format!(
            "{before}, which {now} is said to have been, is not tracked; leave \"was\" out"
        )));
    };
    let is_itself = known.name.eq_ignore_ascii_case(&shape.name);
    if !is_itself && let Some(other) = registration(database, &shape.name)? {
        return Err(Error::argument(format!(
            "{now} is tracked already, as a table of its own; call sync_untrack({}) before it goes on as {before}",
            quote_name(&other.name)
        )));
    }
    let found = Found::read(database, known.id)?;
    let is_at = |table: &Option<String>| {
        table
            .as_ref()
            .is_some_and(|table| table.eq_ignore_ascii_case(&shape.name))
    };
    let is_elsewhere = found.table.is_some() && !is_at(&found.table);
    if is_elsewhere || (!is_itself && !is_at(&found.follows) && known.is_named(database)?) {
        return Err(Error::argument(format!(
            "{before} is still there, so {now} is another table; leave \"was\" out. (If {before} is a third table, which took \
             the name, say \"was\" before any other call after the migration.)"
        )));
    }
    if known
        .keys
        .as_ref()
        .is_some_and(|keys| keys.len() != shape.keys().len())
    {
        return Err(Error::argument(format!(
            "the key of {now} has another number of columns than that of {before}, so what waits can't be found in it; \
             call sync_untrack for {before}, and leave \"was\" out"
        )));
    }
    let known = known.with_key_of(shape);
    if verdict(database, &known, shape)? == Verdict::Another {
        return Err(Error::argument(format!(
            "none of the rows that wait of {before} is in {now}, so it is another table, or has another key; leave \
             \"was\" out, or copy the rows first"
        )));
    }
    Ok(known)
}

/// The table that somebody says the one of `shape` was, where another one has its name by now: names were passed on (`a` became
/// `c`, `b` became `a`) and both were rebuilt. By its name the log would go to the other one, so this is asked before any table is
/// taken for what its name says. None where the names are no such, or the rows say otherwise.
///
/// # Errors
/// SQLite's.
pub(super) fn passed_on(
    database: &Database,
    shape: &Shape,
    was: &str,
) -> Result<Option<Registration>> {
    let Some(known) = registration(database, was)?.filter(|known| known.off.is_none()) else {
        return Ok(None);
    };
    let found = Found::read(database, known.id)?;
    let is_bare = found.table.is_none() && known.is_named(database)?;
    let is_other = !known.name.eq_ignore_ascii_case(&shape.name);
    if !is_bare || !is_other || registration(database, &shape.name)?.is_some() {
        return Ok(None);
    }
    if !known.has_key_of(shape) {
        return Ok(None);
    }
    Ok(match verdict(database, &known, shape)? {
        Verdict::Same | Verdict::Unclear => Some(known),
        Verdict::Another | Verdict::Silent => None,
    })
}

/// Gives a table that is tracked the name of one that is there, with what is said of it elsewhere, and puts capture back.
///
/// # Errors
/// Nobody has told which columns stay here, and it is not known; SQLite's.
pub(super) fn go_on_as(
    database: &Database,
    mut known: Registration,
    shape: &Shape,
    columns_told: bool,
) -> Result<Vec<Warning>> {
    if !columns_told {
        rebuilt::require_sure(database, &known, shape)?;
    }
    follow_tables(
        database,
        &[Move {
            id: known.id,
            names: (known.name.clone(), shape.name.clone()),
        }],
    )?;
    database.execute(
        "UPDATE main._syncTable SET name = ?2 WHERE id = ?1",
        &[known.id.into(), shape.name.as_str().into()],
    )?;
    known.name.clone_from(&shape.name);
    rebuilt::restore(database, &known, shape)
}
