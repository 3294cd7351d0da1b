//! The values kept aside of a table: which of them still count, and what becomes of them when the table itself changes.
//! What they are for is in `transfer/aside.rs`. A row whose key is changed takes them along by its capture trigger.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use crate::store::{Database, Result, Statement, Value, ValueRef, readable_schema};

use super::moved::renamed_in_place;
use super::names::{Renamed, new_name};
use super::op::{self, EVERY_COLUMN, Op};
use super::reader::RowReader;
use super::tracked::Tracked;
use super::{Key, Pending};

/// Whether what is kept of the column at `position` counts: the column was not edited here since, and the row is not
/// another one, made since. `seq`: the log's end when the value came.
pub fn counts(seq: i64, position: usize, pending: Option<&Pending>) -> bool {
    let Some(pending) = pending else { return true };
    // A row that got this key brought the value along.
    if pending.inserted_by(seq) {
        return !pending.marked(position);
    }
    !pending.made_after(seq) && !pending.changed(position)
}

/// Reads what is kept of the rows of one table. Where nothing is, that is all that is asked.
pub struct Kept(Option<Statement>);

/// The schema version from which on values are kept.
const WITH_ASIDE: i64 = 3;

impl Kept {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database, table: &Tracked) -> Result<Self> {
        let any = database.query_value(
            "SELECT 1 FROM main._syncAside WHERE tbl = ?1 LIMIT 1",
            &[table.id.into()],
        );
        // A file that an older build wrote, and that is only read, has no such table.
        let is_older = |version: Option<i64>| version.is_none_or(|version| version < WITH_ASIDE);
        if any.is_err() && is_older(readable_schema(database)?) {
            return Ok(Self(None));
        }
        if any? == Value::Null {
            return Ok(Self(None));
        }
        let mut read = database
            .prepare("SELECT col, value, seq FROM main._syncAside WHERE tbl = ?1 AND pk = ?2")?;
        read.bind(1, table.id.into())?;
        Ok(Self(Some(read)))
    }

    /// The JSON that counts of a row, each with the position of its column.
    ///
    /// # Errors
    /// SQLite's.
    pub fn row(
        &mut self,
        table: &Tracked,
        key: &Key,
        pending: &Pending,
    ) -> Result<Vec<(usize, String)>> {
        let Some(read) = &mut self.0 else {
            return Ok(Vec::new());
        };
        read.bind(2, key.0.borrow())?;
        let mut kept = Vec::new();
        while read.step()? {
            let column = read.text(0);
            // A column that was renamed a moment ago goes by its old name.
            let column = new_name(&table.columns.renamed, &column).unwrap_or(&column);
            let position = table.shape.position(column);
            if let Some(position) = position
                && counts(read.integer(2), position, Some(pending))
            {
                kept.push((position, read.text(1)));
            }
        }
        read.reset();
        Ok(kept)
    }
}

/// Forgets what is kept of a table.
///
/// # Errors
/// SQLite's.
pub fn forget(database: &Database, table: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncAside WHERE tbl = ?1",
        &[table.into()],
    )?;
    Ok(())
}

/// Before what is logged of a table goes: only the values of rows that were not written here stay.
///
/// # Errors
/// SQLite's.
pub fn stay(database: &Database, table: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncAside WHERE tbl = ?1 \
         AND pk IN (SELECT pk FROM main._syncChange WHERE tbl = ?1 AND pk IS NOT NULL)",
        &[table.into()],
    )?;
    Ok(())
}

/// What is kept of a table counts for rows that are logged up to a number, too.
///
/// # Errors
/// SQLite's.
pub fn stay_from(database: &Database, table: i64, seq: i64) -> Result<()> {
    database.execute(
        "UPDATE main._syncAside SET seq = ?2 WHERE tbl = ?1",
        &[table.into(), seq.into()],
    )?;
    Ok(())
}

/// Kept values that count for a row, each with the position of its column.
pub type Standing = HashSet<(Key, usize)>;

/// Follows the columns of a table. Where no trigger has (`bare`), a name may be another column's now: what is kept goes
/// by the place where the declared types show that names have moved, and only as long as the row holds what stood in
/// for it. Those that do.
///
/// # Errors
/// SQLite's.
pub(super) fn follow(
    database: &Database,
    tracked: &Tracked,
    before: &str,
    bare: bool,
) -> Result<Standing> {
    let shape = &tracked.shape;
    let columns = shape.columns.iter().filter(|column| !column.generated);
    let now: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
    let mut renamed = tracked.columns.renamed.clone();
    if bare {
        renamed.extend(renamed_in_place(before, shape));
    }
    rename_columns(database, tracked.id, &renamed, &now)?;
    match bare {
        true => give_up_strangers(database, tracked),
        false => Ok(Standing::new()),
    }
}

/// Forgets what is kept of columns in which the row holds something else than what stood in for it (the row was written
/// while nobody looked, or it is another column), or that were edited since.
fn give_up_strangers(database: &Database, tracked: &Tracked) -> Result<Standing> {
    let (mut standing, mut over) = (Standing::new(), Vec::new());
    let Some(edits) = edits(database, tracked)? else {
        return Ok(standing);
    };
    let all: Vec<usize> = (0..tracked.shape.columns.len()).collect();
    let mut reader = RowReader::new(database, tracked, &all)?;
    let mut kept =
        database.prepare("SELECT pk, col, value, bit, seq FROM main._syncAside WHERE tbl = ?1")?;
    kept.bind(1, tracked.id.into())?;
    while kept.step()? {
        let (key, column) = (Key(kept.column(0).to_owned()), kept.text(1));
        let Some(position) = tracked.shape.position(&column) else {
            continue;
        };
        // Whether a row that is gone is deleted or comes again, others decide.
        if !reader.find_key(&key.0)? {
            continue;
        }
        let (group, bit) = op::bit(usize::try_from(kept.integer(3)).unwrap_or_default());
        let came = kept.integer(4);
        let is_over = |edit: &Edit| {
            let names = edit.mask == EVERY_COLUMN || (edit.group == group && edit.mask & bit != 0);
            edit.seq > came && names
        };
        let edited = edits
            .get(&key)
            .is_some_and(|edits| edits.iter().any(is_over));
        let stands = !edited && stands_for(reader.column(position), &kept.text(2));
        reader.release();
        match stands {
            true => drop(standing.insert((key, position))),
            false => over.push((key, column)),
        }
    }
    drop(kept);
    for (key, column) in over {
        database.execute(
            "DELETE FROM main._syncAside WHERE tbl = ?1 AND pk = ?2 AND col = ?3",
            &[tracked.id.into(), key.0.borrow(), column.as_str().into()],
        )?;
    }
    Ok(standing)
}

/// An update in the log.
struct Edit {
    seq: i64,
    group: usize,
    mask: i64,
}

/// The updates that the log has of the rows of which anything is kept; none where nothing is.
fn edits(database: &Database, tracked: &Tracked) -> Result<Option<HashMap<Key, Vec<Edit>>>> {
    let keys = database.query_all(
        "SELECT DISTINCT pk FROM main._syncAside WHERE tbl = ?1",
        &[tracked.id.into()],
        |row| Ok((Key(row.column(0).to_owned()), Vec::new())),
    )?;
    if keys.is_empty() {
        return Ok(None);
    }
    let mut edits: HashMap<Key, Vec<Edit>> = keys.into_iter().collect();
    let mut log =
        database.prepare("SELECT seq, op, mask, pk FROM main._syncChange WHERE tbl = ?1")?;
    log.bind(1, tracked.id.into())?;
    while log.step()? {
        if let Op::Update { group } = Op::of(log.integer(1))
            && let Some(of_row) = edits.get_mut(&Key(log.column(3).to_owned()))
        {
            let (seq, mask) = (log.integer(0), log.integer(2));
            of_row.push(Edit { seq, group, mask });
        }
    }
    Ok(Some(edits))
}

/// Whether a column may hold this in place of a value, whatever its type and the provider's options: nothing (NULL, or what
/// a column has that must not be NULL), or the value in another form.
pub fn stands_for(local: ValueRef<'_>, json: &str) -> bool {
    // What can't be read, such as half of a surrogate pair, is of a form that nothing here can be compared with.
    let Ok(value) = serde_json::from_str::<Json>(json) else {
        return true;
    };
    let is_number = |number: f64| number_of(&value) == Some(number);
    // Of a number that it puts into a column of text SQLite writes 15 digits.
    let is_nearly =
        |number: f64| number_of(&value).is_some_and(|of| (of - number).abs() <= of.abs() * 1e-14);
    match local {
        ValueRef::Null => true,
        ValueRef::Integer(number) => number == 0 || is_number(number as f64),
        ValueRef::Real(number) => number == 0.0 || is_number(number),
        ValueRef::Text(text) => {
            text.is_empty()
                || value.as_str() == Some(text)
                || serde_json::from_str::<Json>(text)
                    .is_ok_and(|text| text.is_null() || text == value)
                || text.trim().parse().is_ok_and(is_nearly)
        }
        ValueRef::Blob([]) => true,
        ValueRef::Blob(_) | ValueRef::InvalidText(_) => value.is_string(),
    }
}

fn number_of(value: &Json) -> Option<f64> {
    match value {
        Json::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Json::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

/// Follows columns that were renamed (old and new name) or dropped. `now`: the names of the columns there are.
///
/// # Errors
/// SQLite's.
fn rename_columns(
    database: &Database,
    table: i64,
    renamed: &[Renamed],
    now: &[&str],
) -> Result<()> {
    let kept = database.query_all(
        "SELECT DISTINCT col FROM main._syncAside WHERE tbl = ?1",
        &[table.into()],
        |row| Ok(row.text(0)),
    )?;
    let new_name = |name: &str| match new_name(renamed, name) {
        Some(new) => Some(new),
        None => {
            let mut columns = now.iter().copied();
            columns.find(|column| column.eq_ignore_ascii_case(name))
        }
    };
    let moved: Vec<_> = kept
        .iter()
        .map(|name| (name, new_name(name)))
        .filter(|(name, new)| *new != Some(name.as_str()))
        .collect();
    // Two columns may have swapped their names: all step aside first. No column's name begins like that.
    let aside = |name: &str| format!("\u{1}{name}");
    for (name, new) in &moved {
        let waiting = aside(name);
        let values = [table.into(), name.as_str().into(), waiting.as_str().into()];
        match new {
            Some(_) => database.execute(
                "UPDATE main._syncAside SET col = ?3 WHERE tbl = ?1 AND col = ?2",
                &values,
            )?,
            None => database.execute(
                "DELETE FROM main._syncAside WHERE tbl = ?1 AND col = ?2",
                &values[..2],
            )?,
        };
    }
    for (name, new) in moved {
        let Some(new) = new else { continue };
        let waiting = aside(name);
        database.execute(
            "UPDATE OR REPLACE main._syncAside SET col = ?3 WHERE tbl = ?1 AND col = ?2",
            &[table.into(), waiting.as_str().into(), new.into()],
        )?;
    }
    Ok(())
}

/// Follows a row that has another key from now on.
///
/// # Errors
/// SQLite's.
pub fn rename_key(database: &Database, table: i64, old: &Value, new: &Value) -> Result<()> {
    database.execute(
        "UPDATE OR REPLACE main._syncAside SET pk = ?3 WHERE tbl = ?1 AND pk = ?2",
        &[table.into(), old.borrow(), new.borrow()],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_value_is_nothing_or_the_value_in_another_form() {
        let text = ValueRef::Text;
        for (local, json, stands) in [
            (ValueRef::Null, r#"{"k":1}"#, true),
            (text(""), r#"{"k":1}"#, true),
            (text("null"), "null", true),
            (ValueRef::Integer(0), r#""abc""#, true),
            (ValueRef::Integer(2134), r#""02134""#, true),
            (text("2134"), r#""02134""#, true),
            (text("1.23456789012346e+19"), "12345678901234567890", true),
            (text("2134.1"), "2134", false),
            (ValueRef::Real(12.5), r#""12.50""#, true),
            (ValueRef::Integer(1), "true", true),
            (text("{\"a\": 1}"), r#"{"a":1}"#, true),
            (ValueRef::Blob(b"x"), r#""eA""#, true),
            (text("\u{fffd}"), r#""\ud800""#, true),
            (ValueRef::Real(f64::INFINITY), "1e999", true),
            (text("d"), r#"{"k":1}"#, false),
            (text("d"), r#""e""#, false),
            (ValueRef::Integer(7), r#""abc""#, false),
            (ValueRef::Integer(7), "null", false),
            (ValueRef::Blob(b"x"), "1", false),
        ] {
            assert_eq!(stands_for(local, json), stands, "{local:?} {json}");
        }
    }
}
