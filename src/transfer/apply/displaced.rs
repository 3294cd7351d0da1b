//! Rows created here under a counted number that turns out to be another row's: they take a new number.
//!
//! It is above every number seen, so it is chosen when the whole answer is in. What waits of the row, and what was made
//! to refer to it here, follow; what came from the server and names the number means the server's row.

use std::cell::Cell;
use std::collections::HashMap;

use crate::capture::Key;
use crate::ground::SyncError;
use crate::providers::wire::Slot;
use crate::store::{Error, Result, Value};
use crate::transfer::held::{Reason, Refusals};
use crate::transfer::send::counted::highest;
use crate::transfer::send::order::tables_parents_first;
use crate::transfer::send::rekey::{Met, Renamed, move_away, tied};

use super::applier::Applier;
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
pub struct Displaced {
    comers: HashMap<(usize, Key), Comer>,
    /// The rows that have moved, by the keys that they have now: those that they had.
    moved: HashMap<(usize, Key), Key>,
}

impl Displaced {
    /// The last word of the answer about a row counts.
    pub fn put(&mut self, comer: Comer) {
        self.comers.insert((comer.place, comer.key.clone()), comer);
    }

    pub fn forget(&mut self, place: usize, key: &Key) {
        if !self.comers.is_empty() {
            self.comers.remove(&(place, key.clone()));
        }
    }

    /// The key that a row had before it moved, if it did.
    pub fn before(&self, place: usize, key: &Key) -> Option<&Key> {
        self.moved.get(&(place, key.clone()))
    }

    /// Whether a row has moved away from a key.
    pub fn has_left(&self, place: usize, key: &Key) -> bool {
        let mut moved = self.moved.iter();
        moved.any(|((of, _), before)| *of == place && before == key)
    }
}

impl Applier<'_> {
    /// Makes room: gives the rows that are here new numbers, and returns those that are to come. Where a row can't have
    /// another number, the one that is to come is refused.
    ///
    /// What a row refers to has moved before it is told whether it is the row that comes: a UNIQUE value with a reference
    /// in it means another row then.
    ///
    /// # Errors
    /// One was refused, so that the answer is to be applied without it; SQLite's.
    pub(super) fn give_way(&mut self) -> Result<Vec<Comer>, SyncError> {
        if self.displaced.comers.is_empty() {
            return Ok(Vec::new());
        }
        let mut tables: HashMap<usize, Vec<Comer>> = HashMap::new();
        for (_, comer) in self.displaced.comers.drain() {
            tables.entry(comer.place).or_default().push(comer);
        }
        let mut comers = Vec::new();
        for place in tables_parents_first(self.database, self.bindings)? {
            let mut group = Vec::new();
            for comer in tables.remove(&place).into_iter().flatten() {
                if !self.is_met_in_place(place, &comer.key, &comer.row)? {
                    group.push(comer);
                }
            }
            group.sort_by_key(|comer| comer.key.0.as_i64());
            self.move_group(place, &group)?;
            comers.extend(group);
        }
        Ok(comers)
    }

    fn move_group(&mut self, place: usize, group: &[Comer]) -> Result<(), SyncError> {
        let (database, refusals) = (self.database, self.holder.refusals);
        let table = &mut self.tables[place];
        let mut number = highest(database, table.binding)?;
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
        let tables = &self.tables;
        let met = |id: i64, key: &Key| met(tables, id, key);
        let tied = tied(database, &renamed, &met, self.start)?;
        if !tied.is_empty() {
            let id = renamed[0].binding.table.id;
            return Err(stay(tied, id, group, refusals));
        }
        let at = Cell::new(None);
        if let Err(error) = move_away(database, &renamed, &met, self.start, &at) {
            refuse(&error, group, at.get(), &renamed, refusals);
            return Err(error.into());
        }
        for row in renamed {
            let old = Key(row.old);
            self.tables[place].moved_away(&old)?;
            self.displaced.moved.insert((place, Key(row.new)), old);
        }
        Ok(())
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
