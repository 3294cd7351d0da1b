//! Numbers of changes, where the server wants them: growing in the order in which rows are sent, and never used again
//! for anything else.

use super::order::{self, Stretch};
use super::outbox;
use crate::store::{Database, Result};
use crate::transfer::binding::Binding;
use crate::transfer::peer;

/// Takes the numbers that the rows of a push were frozen with: from [`peer::next_change`] on, in the order of the outbox. Where
/// they are sent in another one, they get them anew. Call in the transaction that froze them.
///
/// # Errors
/// SQLite's; all numbers are used.
pub fn give(
    database: &Database,
    provider: &str,
    (push, rows): (i64, u64),
    bindings: &[Binding],
) -> Result<()> {
    let first = peer::take_numbers(database, provider, rows)?;
    let stretches = order::put_in_order(database, push, bindings)?;
    match are_in_order(database, push, &stretches)? {
        true => Ok(()),
        false => number(database, first, &stretches),
    }
}

/// Whether the numbers grow in the order in which the rows are sent. They nearly always do, and to write each row once more
/// would take as long as to freeze it.
fn are_in_order(database: &Database, push: i64, stretches: &[Stretch]) -> Result<bool> {
    let mut last = 0;
    for stretch in stretches {
        let mut span = database.connection().prepare(&format!(
            "SELECT min(id), max(id) FROM main._syncOutbox WHERE {}",
            stretch.condition
        ))?;
        span.step()?;
        if let (Some(first), Some(end)) = (span.column(0).as_i64(), span.column(1).as_i64()) {
            if first <= last {
                return Ok(false);
            }
            last = end;
        }
    }
    Ok(outbox::span_in_order(database, push)?.is_some())
}

fn number(database: &Database, first: i64, stretches: &[Stretch]) -> Result<()> {
    let mut next = first;
    let mut update = database.prepare("UPDATE main._syncOutbox SET change = ?2 WHERE id = ?1")?;
    for stretch in stretches {
        // The plus makes SQLite sort them before it hands out the first, so that they can be changed meanwhile.
        let mut rows = database.connection().prepare(&format!(
            "SELECT id FROM main._syncOutbox WHERE {} ORDER BY +id",
            stretch.condition
        ))?;
        while rows.step()? {
            update.run(&[rows.integer(0).into(), next.into()])?;
            next += 1;
        }
    }
    Ok(())
}
