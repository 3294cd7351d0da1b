//! Making room for keys that the server gave to rows of ours: other rows may have them here.
//!
//! One that waits to be sent got its number here, and takes another. One that the server had is no more: it has given the
//! key to another row.

use std::collections::HashSet;

use crate::capture::{Key, PendingRows, log};
use crate::store::{Database, Result, Value, quote_name};
use crate::transfer::binding::Binding;

use super::family::Family;
use super::outbox;
use super::renamed::Renamed;

/// Frees the keys that rows get. Returns what else is to be renamed along with them. Call inside a transaction.
///
/// # Errors
/// SQLite's.
pub fn make<'b>(
    database: &Database,
    bindings: &'b [Binding],
    renamed: &[Renamed<'_>],
) -> Result<Vec<Renamed<'b>>> {
    let leaving: HashSet<(Option<i64>, Key)> = renamed
        .iter()
        .map(|row| (row.table, Key(row.old.clone())))
        .collect();
    let mut moved = Vec::new();
    for binding in bindings {
        let table = &binding.table;
        let rows = renamed.iter().filter(|row| row.table == Some(table.id));
        let taken: Vec<&Renamed<'_>> = rows.collect();
        if taken.is_empty() {
            continue;
        }
        let key = quote_name(&table.shape.keys()[0].name);
        let mut find = database.connection().prepare(&format!(
            "SELECT 1 FROM {} WHERE {key} IS ?1",
            binding.qualified
        ))?;
        let mut number = None;
        for row in taken {
            let there = Key(row.new.clone());
            find.bind(1, row.new.borrow())?;
            let is_there = find.step()?;
            find.reset();
            if !is_there || leaving.contains(&(row.table, there.clone())) {
                continue;
            }
            let mut pending = PendingRows::read(database, &[table], i64::MAX)?;
            let waits = match pending.first_mut() {
                Some(pending) => pending.get(&there)?.is_some(),
                None => false,
            };
            if !waits {
                remove(database, binding, &row.new)?;
                continue;
            }
            // A text that somebody else's row has is no number to count on from: that fails as it is.
            let Some(given) = row.new.as_i64() else {
                continue;
            };
            let highest = match number {
                Some(number) => number,
                None => {
                    let family = Family::of(database, &table.shape)?;
                    family.highest(database, table)?
                }
            };
            let next = highest.max(given).saturating_add(1);
            number = Some(next);
            let new = Value::Integer(next);
            outbox::rename(database, table.id, &row.new, &new)?;
            moved.push(Renamed::of(table, row.new.clone(), new));
        }
    }
    Ok(moved)
}

/// Removes a row that the server has no more. Nothing of it is an edit.
fn remove(database: &Database, binding: &Binding, key: &Value) -> Result<()> {
    let mark = log::high_water(database)?;
    let name = quote_name(&binding.table.shape.keys()[0].name);
    let sql = format!("DELETE FROM {} WHERE {name} IS ?1", binding.qualified);
    database.connection().prepare(&sql)?.run(&[key.borrow()])?;
    log::take_back_all(database, mark)
}
