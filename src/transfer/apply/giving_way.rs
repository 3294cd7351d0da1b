//! Rows created here under a counted number that turns out to be another row's: they take a new number.
//!
//! It is above every number seen, so it is chosen when the whole answer is in. What waits of the row, and what was made
//! to refer to it here, follow; what came from the server and names the number means the server's row.

use std::cell::Cell;

use crate::capture::shared::{Counting, above};
use crate::capture::tracked::registration;
use crate::capture::{Key, Tracked, log};
use crate::ground::SyncError;
use crate::providers::wire::Holds;
use crate::store::{Error, Result, Value};
use crate::transfer::held::{Reason, Refusals};
use crate::transfer::send::family::{Family, MadeHere};
use crate::transfer::send::follow::Met;
use crate::transfer::send::order::tables_parents_first;
use crate::transfer::send::reference::meant;
use crate::transfer::send::rekey::move_away;
use crate::transfer::send::renamed::Renamed;
use crate::transfer::send::tied::tied;

use super::applier::Applier;
use super::displaced::{Comer, Comers};
use super::table::TableApplier;

impl Applier<'_> {
    /// Makes room: gives the rows that are here new numbers, and returns those that are to come. Where a row can't have
    /// another number, the one that is to come is refused.
    ///
    /// What a row refers to has moved before it is told whether it is the row that comes: a UNIQUE value with a reference
    /// in it means another row then. And a row that is a part of another moves with that, or is the row that comes.
    ///
    /// # Errors
    /// One was refused, so that the answer is to be applied without it; SQLite's.
    pub(super) fn give_way(&mut self) -> Result<Vec<Comer>, SyncError> {
        let mut comers = Vec::new();
        let mut tables = std::mem::take(&mut self.displaced.comers);
        if tables.is_empty() {
            return Ok(comers);
        }
        for place in tables_parents_first(self.database, self.bindings)? {
            let Some(rows) = tables.remove(&place) else {
                continue;
            };
            let mut group = Vec::new();
            for comer in rows.into_values() {
                if self.displaced.has_left(place, &comer.key) {
                    comers.push(comer);
                } else if self.bindings[place].counting == Counting::Shared {
                    // Where the row above turned out to be the server's, this is judged again.
                    if self.holder.refusals.has_news() {
                        continue;
                    }
                    if !self.is_strange_part(place, &comer.key)? {
                        self.tables[place].are_one(&comer.key);
                        comers.push(comer);
                    }
                } else if !self.is_met_in_place(place, &comer.key, &comer.row)? {
                    group.push(comer);
                }
            }
            group.sort_by_key(|comer| comer.key.0.as_i64());
            self.move_group(place, &group, &tables)?;
            comers.extend(group);
        }
        Ok(comers)
    }

    /// Whether a row that comes is a part of another row than the one under its key is, which was made here and keeps its
    /// key for now. It is refused then: it can come when that has gone, or has turned out to be what the server has.
    fn is_strange_part(&self, place: usize, key: &Key) -> Result<bool> {
        let (database, table) = (self.database, &self.bindings[place].table);
        let made_here = MadeHere::new(database, self.start);
        for name in above(database, &table.shape)? {
            if registration(database, &name)?.is_none() {
                continue;
            }
            let parent = match Tracked::open(database, &name) {
                Ok(parent) => parent,
                Err(error @ Error::Sqlite { .. }) => return Err(error),
                // It is not captured now: nothing of it is known.
                Err(_) => continue,
            };
            let column = parent.shape.keys()[0];
            let holds = Holds::of(&column.declared, parent.shape.strict);
            let of = Key(meant(holds.affinity, key.0.clone()));
            if made_here.has(&parent, &of)? {
                let reason = Reason::not_a_key(format!(
                    "it belongs to another row of {name} than the one of its number that was made here; sync {name}, so \
                     that this one takes another number"
                ));
                self.holder.refusals.refuse_row(table.id, key, reason);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves the rows of one table. `rest`: what comes to tables below it.
    fn move_group(
        &mut self,
        place: usize,
        group: &[Comer],
        rest: &Comers,
    ) -> Result<(), SyncError> {
        if group.is_empty() {
            return Ok(());
        }
        let (database, refusals) = (self.database, self.holder.refusals);
        let table = &self.bindings[place].table;
        let family = Family::of(database, &table.shape)?;
        let mut number = family.highest(database, table)?;
        let mut renamed = Vec::with_capacity(group.len());
        for comer in group {
            number = match number.checked_add(1) {
                Some(number) => number,
                None => return Err(no_number(group, &self.tables[place], refusals)),
            };
            let old = comer.key.0.clone();
            renamed.push(Renamed::of(table, old, Value::Integer(number)));
        }
        let tables = &self.tables;
        let met = |id: i64, key: &Key| met(tables, id, key);
        let made_here = MadeHere::new(database, self.start);
        let follows = |child: &Tracked, key: &Key| {
            Ok(met(child.id, key)?.is_none() && made_here.has(child, key)?)
        };
        let whole = family.whole(database, &renamed, &follows)?;
        let tied = tied(database, &whole.rows, &met, self.start)?;
        if !tied.is_empty() {
            let tied = tied.into_iter();
            let tied = tied.map(|(row, words)| (whole.roots[row], words));
            return Err(stay(tied.collect(), table.id, group, refusals));
        }
        let place_of = |row: &Renamed<'_>| {
            let mut tables = self.bindings.iter();
            tables.position(|binding| Some(binding.table.id) == row.table)
        };
        let places: Vec<Option<usize>> = whole.rows.iter().map(place_of).collect();
        for ((row, root), of) in whole.rows.iter().zip(&whole.roots).zip(&places) {
            let Some(of) = *of else { continue };
            let old = Key(row.old.clone());
            let comer = match of == place {
                true => Some(&group[*root]),
                false => rest.get(&of).and_then(|table| table.get(&old)),
            };
            let comer = comer.map(|comer| comer.row.as_slice());
            self.tables[of].record_rekeyed(&old, &row.new, comer)?;
        }
        for entry in log::newer(database, self.start)? {
            let mut rows = whole.rows.iter();
            let is_of =
                |row: &Renamed<'_>| row.table == Some(entry.row.0) && row.old == entry.row.1.0;
            if rows.any(is_of) && !self.displaced.held.contains_key(&entry.row) {
                // What comes refers to its number: triggers took it for the row that is to come, which it holds no more.
                refusals.disturbs(entry.row.0, entry.row.1);
            }
        }
        let tables = &self.tables;
        let met = |id: i64, key: &Key| self::met(tables, id, key);
        let at = Cell::new(None);
        for comer in group {
            refusals.displaces(table.id, &comer.key);
        }
        let rows = (whole.rows.as_slice(), &self.displaced.held);
        match move_away(database, rows, &met, self.start, &at) {
            Ok(followed) => self.followed.extend(followed),
            Err(error) => {
                let at = at.get().map(|row| whole.roots[row]);
                refuse(&error, group, at, &renamed, refusals);
                return Err(error.into());
            }
        }
        self.displaced
            .follow(database, self.bindings, &whole.rows)?;
        for (row, of) in whole.rows.into_iter().zip(places) {
            let Some(of) = of else { continue };
            let old = Key(row.old);
            self.tables[of].moved_away(&old)?;
            self.displaced.has_moved(of, old, Key(row.new));
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
        let reason = Reason::not_a_key(what.clone());
        refusals.refuse_row(table.binding.table.id, &comer.key, reason);
    }
    SyncError::data(what)
}

/// Rows that are here are tied to their numbers.
fn stay(tied: Vec<(usize, String)>, table: i64, group: &[Comer], refusals: &Refusals) -> SyncError {
    let mut said = String::new();
    for (place, what) in tied {
        said.clone_from(&what);
        let mut reason = Reason::not_a_key(what);
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
            let Some(table) = row.table else { continue };
            refusals.refuse_row(table, &comer.key, reason.clone());
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
