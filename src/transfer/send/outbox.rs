//! The outbox and the journal of pushes.

use std::io;

use crate::coordination::now;
use crate::ground::SyncError;
use crate::http::{Spool, SpoolWriter};
use crate::providers::{Outbox, Protocol};
use crate::store::{Database, Result};

use crate::transfer::binding::Binding;

/// Pulls of its tables after which a journal entry goes: by then the server has shown what it made of the push.
const PULLS: i64 = 2;

/// Bytes of a push body kept in memory; more goes to a temporary file.
const BODY_MEMORY: usize = 8 << 20;

/// Marks pushes that a dead process left open: nobody knows what became of them.
///
/// # Errors
/// SQLite's.
pub fn close_abandoned(database: &Database, provider: &str) -> Result<()> {
    database.execute(
        "UPDATE main._syncPush SET state = 'unknown', finishedAt = ?2 \
         WHERE provider = ?1 AND state = 'open'",
        &[provider.into(), now().into()],
    )?;
    Ok(())
}

/// Counts a committed pull and removes journal entries that have seen enough of them: by then the server
/// has shown what it has. A pull of other tables (`pulled`: those of this one) shows nothing.
///
/// # Errors
/// SQLite's.
pub fn count_pull(database: &Database, provider: &str, pulled: &[i64]) -> Result<()> {
    let pulled: Vec<String> = pulled.iter().map(i64::to_string).collect();
    database.execute(
        &format!(
            "UPDATE main._syncPush SET pulls = pulls + 1 WHERE provider = ?1 AND state <> 'open' \
             AND NOT EXISTS (SELECT 1 FROM main._syncOutbox WHERE pushId = _syncPush.id \
              AND tbl NOT IN ({}) AND tbl IN (SELECT id FROM main._syncTable))",
            pulled.join(", ")
        ),
        &[provider.into()],
    )?;
    database.execute(
        "DELETE FROM main._syncOutbox WHERE pushId IN (SELECT id FROM main._syncPush \
         WHERE provider = ?1 AND pulls >= ?2 AND state <> 'open')",
        &[provider.into(), PULLS.into()],
    )?;
    database.execute(
        "DELETE FROM main._syncPush WHERE provider = ?1 AND pulls >= ?2 AND state <> 'open'",
        &[provider.into(), PULLS.into()],
    )?;
    Ok(())
}

/// Records how a push ended. The rows of a refused one need no journal: they are pending as before.
/// An acknowledged one settles what earlier pushes of unknown outcome were about.
///
/// # Errors
/// SQLite's.
pub fn close(database: &Database, provider: &str, push: i64, state: &str) -> Result<()> {
    database.execute(
        "UPDATE main._syncPush SET state = ?2, finishedAt = ?3 WHERE id = ?1",
        &[push.into(), state.into(), now().into()],
    )?;
    if state == "refused" {
        database.execute(
            "DELETE FROM main._syncOutbox WHERE pushId = ?1",
            &[push.into()],
        )?;
    }
    if state == "acknowledged" {
        settle_unknown(database, provider, push)?;
    }
    if state == "unknown" {
        supersede_unknown(database, provider, push)?;
    }
    database.execute(
        "DELETE FROM main._syncPush WHERE provider = ?1 AND state IN ('refused', 'unknown') \
         AND NOT EXISTS (SELECT 1 FROM main._syncOutbox WHERE pushId = _syncPush.id)",
        &[provider.into()],
    )?;
    Ok(())
}

/// What earlier unknown pushes held of the same rows says nothing more, except that a row was created:
/// that is needed until a push that says so again.
fn supersede_unknown(database: &Database, provider: &str, push: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncOutbox WHERE pushId IN (SELECT id FROM main._syncPush \
         WHERE provider = ?1 AND state = 'unknown' AND id < ?2) AND ( \
         (kind <> 'created' AND (tbl, pk) IN \
          (SELECT tbl, pk FROM main._syncOutbox WHERE pushId = ?2)) OR \
         (tbl, pk) IN \
          (SELECT tbl, pk FROM main._syncOutbox WHERE pushId = ?2 AND kind = 'created'))",
        &[provider.into(), push.into()],
    )?;
    Ok(())
}

/// Rows of earlier unknown pushes that this push carried again are known now.
fn settle_unknown(database: &Database, provider: &str, push: i64) -> Result<()> {
    let unknown = database.query_value(
        "SELECT 1 FROM main._syncPush WHERE provider = ?1 AND state = 'unknown' LIMIT 1",
        &[provider.into()],
    )?;
    if unknown.as_i64().is_none() {
        return Ok(());
    }
    database.execute(
        "DELETE FROM main._syncOutbox WHERE pushId IN (SELECT id FROM main._syncPush \
         WHERE provider = ?1 AND state = 'unknown') \
         AND (tbl, pk) IN (SELECT tbl, pk FROM main._syncOutbox WHERE pushId = ?2)",
        &[provider.into(), push.into()],
    )?;
    Ok(())
}

/// The body of a push, from the frozen rows.
///
/// # Errors
/// Reading the outbox, writing a temporary file.
pub fn body(
    database: &Database,
    protocol: &dyn Protocol,
    bindings: &[Binding],
    push: i64,
) -> Result<Spool, SyncError> {
    let mut writer = SpoolWriter::new(BODY_MEMORY);
    let rows = FrozenRows {
        database,
        bindings,
        push,
    };
    {
        let mut buffered = io::BufWriter::with_capacity(64 << 10, &mut writer);
        protocol
            .write_push(&rows, &mut buffered)
            .and_then(|()| io::Write::flush(&mut buffered))
            .map_err(|error| {
                SyncError::new(
                    crate::ground::Class::Data,
                    "SYNC_ERROR_STORAGE",
                    format!("the upload could not be put together: {error}; free some space"),
                    true,
                )
            })?;
    }
    Ok(writer.finish())
}

struct FrozenRows<'a> {
    database: &'a Database,
    bindings: &'a [Binding],
    push: i64,
}

impl Outbox for FrozenRows<'_> {
    fn rows(
        &self,
        entity: usize,
        kind: &str,
        each: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut rows = self
            .database
            .prepare(
                "SELECT content FROM main._syncOutbox \
                 WHERE pushId = ?1 AND tbl = ?2 AND kind = ?3 ORDER BY id",
            )
            .map_err(io::Error::other)?;
        let table = self.bindings[entity].table.id;
        rows.bind_all(&[self.push.into(), table.into(), kind.into()])
            .map_err(io::Error::other)?;
        while rows.step().map_err(io::Error::other)? {
            each(rows.column(0).as_str().unwrap_or_default())?;
        }
        Ok(())
    }
}
