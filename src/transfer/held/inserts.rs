//! Rows made here under the key of a row that is held. The server has that row, so what was made here is an edit of it:
//! it goes up as an update, and leaves alone what was not given a value here.
//!
//! Where keys are counted it is another row, which takes another number when the held one is tried.

use std::collections::HashMap;

use crate::capture::log::{self, Mark};
use crate::capture::reader::RowReader;
use crate::capture::sends::sends;
use crate::capture::{Key, Pending, PendingRows, Status};
use crate::providers::values::holds;
use crate::providers::wire::Slot;
use crate::store::{Database, Result, quote_name};
use crate::transfer::binding::Binding;

use super::keep;

/// Lets the log say of such rows what they are. Call in the transaction of whoever reads the log next.
///
/// # Errors
/// SQLite's.
pub fn meet(database: &Database, provider: &str, bindings: &[Binding]) -> Result<()> {
    if !keep::any(database, provider)? {
        return Ok(());
    }
    let upto = log::high_water(database)?;
    for binding in bindings {
        let counted = binding.wire.integer_key && binding.table.counts_keys();
        let mut held = keep::keys(database, binding.table.id)?;
        held.retain(|_, is_delete| !*is_delete);
        if counted || held.is_empty() {
            continue;
        }
        for pending in PendingRows::read(database, &[&binding.table], upto)? {
            for row in pending
                .rows()
                .iter()
                .filter(|row| held.contains_key(&row.key))
            {
                meet_row(database, provider, binding, row)?;
            }
        }
    }
    Ok(())
}

fn meet_row(database: &Database, provider: &str, binding: &Binding, row: &Pending) -> Result<()> {
    let mut reader = RowReader::new(database, &binding.table, &binding.columns)?;
    let exists = reader.find(row)?;
    if sends(row, exists, &binding.columns, || false) != Status::Created {
        return Ok(());
    }
    let Some(held) = keep::content(database, provider, binding, &row.key)? else {
        return Ok(());
    };
    let given = given(database, binding, &row.key)?;
    let differs = |place: usize, slot: &Slot<'_>| {
        slot.is_missing() || !holds(&binding.wire.columns[place], reader.column(place), slot)
    };
    let columns = held.iter().enumerate();
    let changed = columns.filter(|(place, slot)| given[*place] && differs(*place, slot));
    let bits = changed
        .filter_map(|(place, _)| binding.table.columns.bit(binding.columns[place]))
        .collect();
    reader.release();
    let settled = HashMap::from([((binding.table.id, row.key.clone()), row.last_seq)]);
    log::forget(database, &settled)?;
    let mark = Mark {
        status: Status::Updated,
        bits,
        rowid: row.rowid(),
    };
    log::mark(database, binding.table.id, &row.key, &mark)
}

/// For each column that travels, whether a row holds something else there than a row of which nothing was said.
fn given(database: &Database, binding: &Binding, key: &Key) -> Result<Vec<bool>> {
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
