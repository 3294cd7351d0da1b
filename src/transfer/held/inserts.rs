//! Rows made here under the key of a row that is held. The server has that row, so what was made here is an edit of it:
//! it goes up as an update, and leaves alone what was not given a value here.
//!
//! Where keys are counted it is another row, which takes another number when the held one is tried.

use std::collections::HashMap;

use crate::capture::log::{self, Mark};
use crate::capture::reader::RowReader;
use crate::capture::sends::sends_of_there;
use crate::capture::{Key, Pending, PendingRows, Status};
use crate::providers::instant::is_later;
use crate::providers::values::holds;
use crate::providers::wire::{Face, Slot};
use crate::store::{Database, Result, quote_name};
use crate::transfer::binding::Binding;
use crate::transfer::conflict::policy::Policy;
use crate::transfer::conflict::record::{Kind, Recorder, Sides, remote_json, row_json};

use super::keep;

/// A row that was made here under the key of a held one.
pub struct Met {
    /// Index into the bindings.
    place: usize,
    key: Key,
    /// For each column that travels, whether it was given a value.
    given: Vec<bool>,
    rowid: Option<i64>,
}

/// Lets the log say of such rows what they are. Call in the transaction of whoever reads the log next, and
/// [`decide`] when that is done.
///
/// # Errors
/// SQLite's.
pub fn meet(database: &Database, provider: &str, bindings: &[Binding]) -> Result<Vec<Met>> {
    let mut met = Vec::new();
    if !keep::any(database, provider)? {
        return Ok(met);
    }
    let upto = log::high_water(database)?;
    for (place, binding) in bindings.iter().enumerate() {
        let mut held = keep::keys(database, binding.table.id)?;
        held.retain(|_, held| !held.is_delete && !held.undecided);
        if binding.is_counted() || held.is_empty() {
            continue;
        }
        for pending in PendingRows::read(database, &[&binding.table], upto)? {
            for key in held.keys() {
                if let Some(row) = pending.get(key)? {
                    met.extend(meet_row(database, provider, (place, binding), &row)?);
                }
            }
        }
    }
    Ok(met)
}

fn meet_row(
    database: &Database,
    provider: &str,
    (place, binding): (usize, &Binding),
    row: &Pending,
) -> Result<Option<Met>> {
    let mut reader = RowReader::new(database, &binding.table, &binding.columns)?;
    let exists = reader.find(row)?;
    if !exists || sends_of_there(row, &binding.columns) != Status::Created {
        return Ok(None);
    }
    let Some(held) = keep::content(database, provider, binding, &row.key)? else {
        return Ok(None);
    };
    let met = Met {
        place,
        key: row.key.clone(),
        given: given(database, binding, &row.key)?,
        rowid: row.rowid(),
    };
    let differing = differing(binding, &reader, &held);
    reader.release();
    met.mark(database, binding, |place| differing[place])?;
    Ok(Some(met))
}

/// For each column, whether the row that the reader has found holds something else there than the held one, which may
/// say nothing of it.
fn differing(binding: &Binding, reader: &RowReader, held: &[Slot<'_>]) -> Vec<bool> {
    let columns = held.iter().zip(&binding.wire.columns).enumerate();
    columns
        .map(|(place, (slot, column))| {
            slot.is_missing() || !holds(column, reader.column(place), slot)
        })
        .collect()
}

impl Met {
    /// Lets the log say that the row was changed in those of the given columns.
    fn mark(
        &self,
        database: &Database,
        binding: &Binding,
        is_changed: impl Fn(usize) -> bool,
    ) -> Result<()> {
        let places = 0..binding.columns.len();
        let changed = places.filter(|place| self.given[*place] && is_changed(*place));
        let bits = changed
            .filter_map(|place| binding.table.columns.bit(binding.columns[place]))
            .collect();
        let settled = HashMap::from([((binding.table.id, self.key.clone()), i64::MAX)]);
        log::forget(database, &settled)?;
        let mark = Mark {
            status: Status::Updated,
            bits,
            rowid: self.rowid,
        };
        log::mark(database, binding.table.id, &self.key, &mark)
    }
}

/// Decides about the rows of which the server's are still held: what those have in columns that were given other values
/// here is a conflict, and by the entity's policy one side's values stay. An expression is asked when the held
/// row is applied. Gives the indexes of their bindings.
///
/// # Errors
/// SQLite's.
pub fn decide(
    database: &Database,
    provider: &str,
    run: i64,
    bindings: &[Binding],
    met: &[Met],
) -> Result<Vec<usize>> {
    let mut decided = Vec::new();
    let mut conflicts = Recorder::new(database, provider, run);
    for met in met {
        if decide_one(
            database,
            provider,
            &bindings[met.place],
            met,
            &mut conflicts,
        )? {
            decided.push(met.place);
        }
    }
    conflicts.finish()?;
    Ok(decided)
}

fn decide_one(
    database: &Database,
    provider: &str,
    binding: &Binding,
    met: &Met,
    conflicts: &mut Recorder<'_>,
) -> Result<bool> {
    let Some(held) = keep::content(database, provider, binding, &met.key)? else {
        return Ok(false);
    };
    let mut reader = RowReader::new(database, &binding.table, &binding.columns)?;
    if !reader.find_key(&met.key.0)? {
        return Ok(false);
    }
    let differing = differing(binding, &reader, &held);
    let clashes = |place: usize| met.given[place] && differing[place] && !held[place].is_missing();
    if !(0..held.len()).any(clashes) {
        return Ok(false);
    }
    let policy = Policy::of(database, &binding.entity, &binding.rules)?;
    let server_wins = match &policy {
        Policy::ServerWins => true,
        Policy::LastWriteWins(column) => !is_newer(binding, &reader, &held, column),
        Policy::Columns | Policy::ClientWins | Policy::Sql2(_) | Policy::Sql4(_) => false,
    };
    let is_ours = |place: usize| {
        let is_said = !held[place].is_missing();
        !is_said || (met.given[place] && !server_wins)
    };
    let key = met.key.0.borrow();
    let here = |place: usize| Some(Face::Value(reader.column(place)));
    let sides = Sides {
        local: Some(row_json(&binding.wire, key, Some(("created", "")), here)),
        remote: Some(remote_json(&binding.wire, key, &held)),
        resolved: Some(row_json(&binding.wire, key, None, |place| {
            match is_ours(place) {
                true => here(place),
                false => Some(held[place].face()),
            }
        })),
    };
    let is_asked = matches!(policy, Policy::Sql2(_) | Policy::Sql4(_));
    let name = (!is_asked).then(|| policy.name());
    conflicts.record(&binding.entity, key, Kind::Edited, name, &sides)?;
    reader.release();
    if server_wins {
        met.mark(database, binding, |place| {
            differing[place] && is_ours(place)
        })?;
    }
    Ok(true)
}

/// Whether the row that the reader has found has the later value in a column.
fn is_newer(binding: &Binding, reader: &RowReader, held: &[Slot<'_>], column: &str) -> bool {
    let mut columns = binding.wire.columns.iter();
    let Some(place) = columns.position(|known| known.name.eq_ignore_ascii_case(column)) else {
        return false;
    };
    let (here, there) = (reader.column(place), held[place].value());
    !here.is_null() && !there.is_null() && is_later(here, there).0
}

/// For each column that travels, whether a row holds something else there than a row of which nothing was said.
pub(super) fn given(database: &Database, binding: &Binding, key: &Key) -> Result<Vec<bool>> {
    let columns = binding.columns.iter();
    let mut tests: Vec<String> = columns
        .map(|position| {
            let column = &binding.table.shape.columns[*position];
            let name = quote_name(&column.name);
            match column.default_expression() {
                Some(default) => format!("{name} IS NOT ({default}) AND {name} IS NOT NULL"),
                None => format!("{name} IS NOT NULL"),
            }
        })
        .collect();
    tests.push("1".into());
    let sql = format!(
        "SELECT {} FROM {} WHERE {} = ?1",
        tests.join(", "),
        binding.qualified,
        binding.key_name()
    );
    let mut read = database.connection().prepare(&sql)?;
    read.bind(1, key.0.borrow())?;
    let found = read.step()?;
    let places = 0..binding.columns.len();
    Ok(places
        .map(|place| found && read.integer(place) != 0)
        .collect())
}
