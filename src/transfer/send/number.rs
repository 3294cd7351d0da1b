//! Numbers of changes, where the server wants them: growing in the order in which rows are sent, and never used again
//! for anything else.

use super::order;
use crate::store::{Database, Result};
use crate::transfer::binding::Binding;
use crate::transfer::peer;

/// Numbers the rows of a push. Call in the transaction that froze them.
///
/// # Errors
/// SQLite's; all numbers are used.
pub fn give(
    database: &Database,
    provider: &str,
    (push, rows): (i64, u64),
    bindings: &[Binding],
) -> Result<()> {
    let mut next = peer::take_numbers(database, provider, rows)?;
    let mut update = database.prepare("UPDATE main._syncOutbox SET change = ?2 WHERE id = ?1")?;
    for stretch in order::put_in_order(database, push, bindings)? {
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
