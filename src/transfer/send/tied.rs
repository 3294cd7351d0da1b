//! Rows that can't have another key: what refers to them is computed from other columns.

use std::collections::HashMap;

use crate::capture::shape::Shape;
use crate::capture::tracked::registration;
use crate::capture::{Key, Pending, Tracked};
use crate::store::{Database, Result, Value};

use super::follow::{MetAnywhere, set_here};
use super::reference::Reference;
use super::renamed::Renamed;

/// The rows among these that can't have another key: rows made here refer to them by a generated column, which can't be
/// written. Their places, each with what refers.
///
/// # Errors
/// SQLite's.
pub fn tied(
    database: &Database,
    rows: &[Renamed<'_>],
    met: &MetAnywhere<'_>,
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
