//! Pushes of which no complete answer came, where sending them again shows what became of them: the same rows, numbers and
//! bytes, before anything else.

use std::collections::VecDeque;

use super::frozen::{Entries, Frozen};
use super::outbox;
use crate::store::{Database, Result};

/// The pushes of unknown outcome, to be sent again in the order in which they were sent first. What was frozen but never
/// left is pending as before: what is synced may be something else by now. Call in a transaction. `tables`: how many the
/// run is about.
///
/// # Errors
/// SQLite's.
pub fn take_up(
    database: &Database,
    provider: &str,
    run: i64,
    tables: usize,
) -> Result<VecDeque<Frozen>> {
    let unsent = database.query_all(
        "SELECT id FROM main._syncPush AS push WHERE provider = ?1 AND state = 'unknown' \
         AND NOT EXISTS (SELECT 1 FROM main._syncOutbox WHERE pushId = push.id AND attempts > 0)",
        &[provider.into()],
        |row| Ok(row.integer(0)),
    )?;
    for push in unsent {
        outbox::close(database, provider, push, outbox::State::Refused)?;
    }
    let pushes = database.query_all(
        "SELECT push.id, push.uptoSeq, count(*) FROM main._syncPush AS push \
         JOIN main._syncOutbox AS outbox ON outbox.pushId = push.id \
         WHERE push.provider = ?1 AND push.state = 'unknown' \
         GROUP BY push.id ORDER BY min(outbox.change)",
        &[provider.into()],
        |row| Ok((row.integer(0), row.integer(1), row.integer(2))),
    )?;
    let mut parts = VecDeque::with_capacity(pushes.len());
    for (push, upto, rows) in pushes {
        outbox::reopen(database, push, run)?;
        parts.push_back(Frozen {
            push,
            upto,
            rows: rows.unsigned_abs(),
            unsendable: vec![0; tables],
            conflicts: Vec::new(),
            entries: Some(Entries::new()),
            resent: true,
            circle: false,
        });
    }
    Ok(parts)
}
