//! Freezing rows once more, as they were refused one by one.

use crate::coordination::now;
use crate::store::{Database, Result};
use crate::transfer::binding::Binding;

use super::frozen::{Entries, Frozen};
use super::order;
use super::rejected::Alone;

/// Makes one push of rows that were refused alone. Call in a transaction.
///
/// # Errors
/// SQLite's.
pub fn freeze(
    database: &Database,
    (provider, run): (&str, i64),
    bindings: &[Binding],
    rows: &[Alone],
) -> Result<Frozen> {
    let upto = rows.iter().map(|row| row.upto).max().unwrap_or(0);
    database.execute(
        "INSERT INTO main._syncPush (provider, runId, state, uptoSeq, rows, createdAt) \
         VALUES (?1, ?2, 'open', ?3, ?4, ?5)",
        &[
            provider.into(),
            run.into(),
            upto.into(),
            (rows.len() as i64).into(),
            now().into(),
        ],
    )?;
    let push = database.connection().last_insert_rowid();
    for row in rows {
        database.execute(
            "INSERT INTO main._syncOutbox (pushId, tbl, kind, pk, content, uptoSeq) \
             SELECT ?1, tbl, kind, pk, content, ?5 FROM main._syncRejected \
             WHERE provider = ?2 AND tbl = ?3 AND pk IS ?4",
            &[
                push.into(),
                provider.into(),
                bindings[row.place].table.id.into(),
                row.key.0.borrow(),
                row.upto.into(),
            ],
        )?;
    }
    order::put_in_order(database, push, bindings)?;
    let mut entries: Entries = rows.iter().flat_map(|row| row.entries.clone()).collect();
    entries.sort_by_key(|range| *range.start());
    Ok(Frozen {
        push,
        upto,
        rows: rows.len() as u64,
        unsendable: vec![0; bindings.len()],
        conflicts: Vec::new(),
        entries: Some(entries),
        resent: false,
        circle: false,
    })
}
