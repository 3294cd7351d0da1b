//! The name that a table had when it was seen last, for one that was rebuilt after a rename.
//!
//! A rename is not followed before somebody needs the table: in the middle of a migration it may be the old table that goes
//! away under that name. But whoever looks records the definition, and that has the name. Once the table has lost its triggers,
//! it goes on under the name where that is left: there is none of the old name, or it is another tracked table by now.

use crate::store::{Database, Result};

use super::moved::table_name;
use super::renamed::Move;
use super::tracked::{Registration, registrations};
use super::triggers::Found;

/// The other names that tables without triggers go on under. `moving`: tables that get other names at the same time.
///
/// # Errors
/// SQLite's.
pub(super) fn moves(
    database: &Database,
    bare: &[Registration],
    moving: &[Move],
) -> Result<Vec<Move>> {
    let mut moves: Vec<Move> = Vec::new();
    for registration in bare {
        let seen = table_name(&registration.definition);
        let Some(name) = seen.filter(|seen| !is(seen, &registration.name)) else {
            continue;
        };
        let id = registration.id;
        let seen_as = Registration {
            name,
            ..registration.clone()
        };
        if let Some(shape) = seen_as.again(database)? {
            let names = (registration.name.clone(), shape.name);
            moves.push(Move { id, names });
        }
    }
    if moves.is_empty() {
        return Ok(moves);
    }
    let triggers = Found::all(database)?;
    let is_captured = |name: &str| {
        let mut tables = triggers.values().filter_map(|found| found.table.as_deref());
        tables.any(|table| is(table, name))
    };
    let known = registrations(database)?;
    // One that stays keeps its name, so that another one may have to stay too.
    while let Some(stays) = place_of_one(&moves, |one| {
        let (old, new) = (one.names.0.as_str(), one.names.1.as_str());
        let gets = |name: &str| {
            moves
                .iter()
                .filter(|other| is(&other.names.1, name))
                .count()
        };
        let is_going = |id: i64| moving.iter().chain(&moves).any(|going| going.id == id);
        let mut others = known.iter().filter(|other| is(&other.name, new));
        let is_left = is_captured(old) || gets(old) > 0 || !database.has_table(old)?;
        let is_free = !is_captured(new) && gets(new) == 1 && others.all(|other| is_going(other.id));
        Ok(!(is_left && is_free))
    })? {
        moves.remove(stays);
    }
    Ok(moves)
}

/// The place of the first one of which something is so.
fn place_of_one(moves: &[Move], is_so: impl Fn(&Move) -> Result<bool>) -> Result<Option<usize>> {
    for (place, moved) in moves.iter().enumerate() {
        if is_so(moved)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn is(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}
