//! Rows created here under a counted number that turns out to be another row's: they take a new number.
//!
//! It is above every number seen, so it is chosen when the whole answer is in. What waits of the row, and what was made
//! to refer to it here, follow; what came from the server and names the number means the server's row.

use std::cell::Cell;
use std::collections::HashMap;

use crate::capture::Key;
use crate::ground::SyncError;
use crate::providers::wire::Slot;
use crate::store::{Database, Error, Result, Value};
use crate::transfer::held::{Reason, Refusals};
use crate::transfer::send::rekey::{Met, Renamed, move_away, tied};

use super::decide::Remote;
use super::table::TableApplier;

/// A row of the server whose place is taken.
pub struct Comer {
    pub place: usize,
    pub key: Key,
    pub remote: Remote,
    pub row: Vec<Slot<'static>>,
}

/// The rows of an answer whose places are taken by rows created here.
#[derive(Default)]
pub struct Displaced(HashMap<(usize, Key), Comer>);

impl Displaced {
    /// The last word of the answer about a row counts.
    pub fn put(&mut self, comer: Comer) {
        self.0.insert((comer.place, comer.key.clone()), comer);
    }

    pub fn forget(&mut self, place: usize, key: &Key) {
        if !self.0.is_empty() {
            self.0.remove(&(place, key.clone()));
        }
    }

    /// Makes room: gives the rows that are here new numbers, and returns those that are to come. Where a row can't have
    /// another number, the one that is to come is refused.
    ///
    /// # Errors
    /// One was refused, so that the answer is to be applied without it; SQLite's.
    pub fn make_room(
        &mut self,
        database: &Database,
        tables: &mut [TableApplier<'_>],
        upto: i64,
        refusals: &Refusals,
    ) -> Result<Vec<Comer>, SyncError> {
        let mut comers: Vec<Comer> = self.0.drain().map(|(_, comer)| comer).collect();
        comers.sort_by_key(|comer| (comer.place, comer.key.0.as_i64()));
        for group in comers.chunk_by(|one, next| one.place == next.place) {
            let table = &mut tables[group[0].place];
            let mut number = highest(database, table)?;
            let mut renamed = Vec::with_capacity(group.len());
            for comer in group {
                number = match number.checked_add(1) {
                    Some(number) => number,
                    None => return Err(no_number(group, table, refusals)),
                };
                table.record_rekeyed(&comer.key, number, &comer.row)?;
                renamed.push(Renamed {
                    binding: table.binding,
                    old: comer.key.0.clone(),
                    new: Value::Integer(number),
                });
            }
            let met = |id: i64, key: &Key| met(tables, id, key);
            let tied = tied(database, &renamed, &met, upto)?;
            if !tied.is_empty() {
                let id = renamed[0].binding.table.id;
                return Err(stay(tied, id, group, refusals));
            }
            let at = Cell::new(None);
            if let Err(error) = move_away(database, &renamed, &met, upto, &at) {
                refuse(&error, group, at.get(), &renamed, refusals);
                return Err(error.into());
            }
            let table = &mut tables[group[0].place];
            for comer in group {
                table.moved_away(&comer.key)?;
            }
        }
        Ok(comers)
    }
}

/// No row of the table can have another number.
fn no_number(group: &[Comer], table: &TableApplier<'_>, refusals: &Refusals) -> SyncError {
    let entity = &table.binding.entity;
    let what = format!(
        "a row of {entity} that was made here has its number and needs another, and there is none above the highest; \
         delete the row with the highest number, or give the table another key"
    );
    for comer in group {
        let reason = Reason::no_other_key(what.clone());
        refusals.refuse_row(table.binding.table.id, &comer.key, reason);
    }
    SyncError::data(what)
}

/// Rows that are here are tied to their numbers.
fn stay(tied: Vec<(usize, String)>, table: i64, group: &[Comer], refusals: &Refusals) -> SyncError {
    let mut said = String::new();
    for (place, what) in tied {
        said.clone_from(&what);
        let mut reason = Reason::no_other_key(what);
        reason.clashes_with = Some(group[place].key.0.clone());
        refusals.refuse_row(table, &group[place].key, reason);
    }
    SyncError::data(said)
}

/// The row that is here stays as it is, so another can't come. `at`: which; any of them, when that can't be told.
fn refuse(
    error: &Error,
    group: &[Comer],
    at: Option<usize>,
    renamed: &[Renamed<'_>],
    refusals: &Refusals,
) {
    let Some(mut reason) = Reason::of(error) else {
        return;
    };
    reason.once_more = false;
    for (place, (comer, row)) in group.iter().zip(renamed).enumerate() {
        if at.is_none_or(|at| at == place) {
            reason.clashes_with = Some(row.old.clone());
            refusals.refuse_row(row.binding.table.id, &comer.key, reason.clone());
        }
    }
}

/// What the answer has said of a row that waits.
fn met(tables: &[TableApplier<'_>], id: i64, key: &Key) -> Result<Option<Met>> {
    let table = tables.iter().find(|table| table.binding.table.id == id);
    let Some(table) = table else { return Ok(None) };
    Ok(match table.effects.met(key)? {
        Some(true) => Some(Met::Settled),
        Some(false) if table.created_yields() => Some(Met::Yielded),
        _ => None,
    })
}

/// The highest number of a table that was ever seen here.
fn highest(database: &Database, table: &TableApplier<'_>) -> Result<i64> {
    let binding = table.binding;
    let sql = format!(
        "SELECT max({}) FROM {}",
        binding.key_name(),
        binding.qualified
    );
    let mut scan = database.connection().prepare(&sql)?;
    let stored = match scan.step()? {
        true => scan.column(0).as_i64(),
        false => None,
    };
    drop(scan);
    let id = binding.table.id;
    let known = database.query_value(
        "SELECT max(number) FROM (\
         SELECT max(pk) AS number FROM main._syncChange WHERE tbl = ?1 AND typeof(pk) = 'integer' \
         UNION ALL SELECT max(pk) FROM main._syncOutbox WHERE tbl = ?1 AND typeof(pk) = 'integer')",
        &[id.into()],
    )?;
    let counts = database.has_table("sqlite_sequence")?;
    let counted = match counts {
        true => database.query_value(
            "SELECT seq FROM main.sqlite_sequence WHERE name = ?1 COLLATE NOCASE",
            &[binding.table.shape.name.as_str().into()],
        )?,
        false => Value::Null,
    };
    let all = [stored, known.as_i64(), counted.as_i64(), Some(0)];
    Ok(all.into_iter().flatten().max().unwrap_or(0))
}
