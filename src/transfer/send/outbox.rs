//! The outbox and the journal of pushes.

use std::collections::HashMap;
use std::io;

use crate::coordination::now;
use crate::ground::{Class, SyncError};
use crate::http::{Spool, SpoolWriter};
use crate::providers::conversation::{Conversation, Manners, ParcelRow, ParcelRows};
use crate::providers::wire::ChangeKind;
use crate::store::{Database, Result, Statement, Value, ValueRef};

use super::sent_reference::still_needed;
use crate::transfer::binding::Binding;

/// How a push ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The server has it.
    Acknowledged,
    /// The server refused all of it, or it was never sent: its rows are pending as before.
    Refused,
    /// No complete answer came: the server may or may not have it.
    Unknown,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

const OUTBOX: (&str, &str) = ("_syncOutbox", "id");

/// Bytes of a push body kept in memory; more goes to a temporary file.
const BODY_MEMORY: usize = 8 << 20;

/// Marks pushes that a dead process left open: their outcome is unknown.
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

/// A push of unknown outcome is sent again.
///
/// # Errors
/// SQLite's.
pub fn reopen(database: &Database, push: i64, run: i64) -> Result<()> {
    database.execute(
        "UPDATE main._syncPush SET state = 'open', finishedAt = NULL, runId = ?2 WHERE id = ?1",
        &[push.into(), run.into()],
    )?;
    Ok(())
}

/// How often the row of a push was sent that was sent most often.
///
/// # Errors
/// SQLite's.
pub fn attempts(database: &Database, push: i64) -> Result<i64> {
    let most = database.query_value(
        "SELECT max(attempts) FROM main._syncOutbox WHERE pushId = ?1",
        &[push.into()],
    )?;
    Ok(most.as_i64().unwrap_or(0))
}

/// The rows of a push count as sent so often.
///
/// # Errors
/// SQLite's.
pub fn count_from(database: &Database, push: i64, attempts: i64) -> Result<()> {
    database.execute(
        "UPDATE main._syncOutbox SET attempts = ?2 WHERE pushId = ?1",
        &[push.into(), attempts.into()],
    )?;
    Ok(())
}

/// Whether a push has rows that are to go alone.
///
/// # Errors
/// SQLite's.
pub fn any_alone(database: &Database, push: i64) -> Result<bool> {
    let any = database.query_value(
        "SELECT 1 FROM main._syncOutbox WHERE pushId = ?1 AND alone <> 0 LIMIT 1",
        &[push.into()],
    )?;
    Ok(any.as_i64().is_some())
}

/// The first and the last row of a push in the outbox, where the numbers of its changes grow with those of its rows and next to
/// nothing else is between them: to walk through the table there is quicker than by an index.
///
/// # Errors
/// SQLite's.
pub fn span_in_order(database: &Database, push: i64) -> Result<Option<(i64, i64)>> {
    let mut span = database
        .prepare("SELECT min(id), max(id), count(*) FROM main._syncOutbox WHERE pushId = ?1")?;
    span.bind(1, push.into())?;
    span.step()?;
    let (first, last, rows) = (span.integer(0), span.integer(1), span.integer(2));
    drop(span);
    if last.saturating_sub(first) > rows.saturating_mul(2) {
        return Ok(None);
    }
    // The plus keeps SQLite from the index.
    let mut changes = database.prepare(
        "SELECT change FROM main._syncOutbox WHERE +pushId = ?1 AND id BETWEEN ?2 AND ?3 ORDER BY id",
    )?;
    changes.bind_all(&[push.into(), first.into(), last.into()])?;
    let mut before = None;
    while changes.step()? {
        let change = changes.column(0).as_i64();
        if change <= before {
            return Ok(None);
        }
        before = change;
    }
    Ok(Some((first, last)))
}

/// Notes that a push is about to leave.
///
/// # Errors
/// SQLite's.
pub fn count_attempt(database: &Database, push: i64) -> Result<()> {
    database.execute(
        "UPDATE main._syncOutbox SET attempts = attempts + 1 WHERE pushId = ?1",
        &[push.into()],
    )?;
    Ok(())
}

/// Counts a committed pull and removes journal entries that have seen enough of them: by then the server
/// has shown what it has. Only that a push may have created a row is remembered as long as the row waits: else a
/// delete of it would never be sent. A pull of other tables (`pulled`: those of this one) shows nothing. `manners`: how many
/// pulls that takes, and whether pulls show nothing of pushes without an answer.
///
/// # Errors
/// SQLite's.
pub fn count_pull(
    database: &Database,
    provider: &str,
    pulled: &[i64],
    manners: &Manners,
) -> Result<()> {
    let enough = manners.journal_pulls;
    let known = match manners.resends {
        true => "state NOT IN ('open', 'unknown')",
        false => "state <> 'open'",
    };
    let pulled: Vec<String> = pulled.iter().map(i64::to_string).collect();
    database.execute(
        &format!(
            "UPDATE main._syncPush SET pulls = pulls + 1 WHERE provider = ?1 AND {known} \
             AND NOT EXISTS (SELECT 1 FROM main._syncOutbox WHERE pushId = _syncPush.id \
              AND tbl NOT IN ({}) AND tbl IN (SELECT id FROM main._syncTable))",
            pulled.join(", ")
        ),
        &[provider.into()],
    )?;
    let going = format!(
        "pushId IN (SELECT id FROM main._syncPush WHERE provider = ?1 AND pulls >= ?2 AND {known}) \
         AND NOT (kind = 'created' AND 'unknown' = \
           (SELECT state FROM main._syncPush WHERE id = pushId) \
           AND (tbl, pk) IN (SELECT tbl, pk FROM main._syncChange WHERE pk IS NOT NULL))"
    );
    let values = [provider.into(), enough.into()];
    let needed = still_needed(database, &going, &values)?;
    if needed.is_empty() {
        // Nothing is asked of single rows: whole pushes go at once, which takes a fraction of the time.
        let whole = database.query_all(
            &format!(
                "SELECT id FROM main._syncPush WHERE provider = ?1 AND pulls >= ?2 AND {known} AND state <> 'unknown'"
            ),
            &values,
            |row| Ok(row.integer(0)),
        )?;
        for push in whole {
            remove_rows(database, push)?;
        }
    }
    let needed: Vec<String> = needed.iter().map(i64::to_string).collect();
    let gone = format!("{going} AND id NOT IN ({})", needed.join(", "));
    database.delete_each(OUTBOX, &gone, &values)?;
    database.execute(
        &format!(
            "DELETE FROM main._syncPush WHERE provider = ?1 AND pulls >= ?2 AND {known} \
         AND NOT EXISTS (SELECT 1 FROM main._syncOutbox WHERE pushId = _syncPush.id)"
        ),
        &[provider.into(), enough.into()],
    )?;
    Ok(())
}

/// Records how a push ended. The rows of a refused one need no journal: they are pending as before.
/// An acknowledged one settles what earlier pushes of unknown outcome were about.
///
/// # Errors
/// SQLite's.
pub fn close(database: &Database, provider: &str, push: i64, state: State) -> Result<()> {
    database.execute(
        "UPDATE main._syncPush SET state = ?2, finishedAt = ?3 WHERE id = ?1",
        &[push.into(), state.as_str().into(), now().into()],
    )?;
    match state {
        State::Refused => remove_rows(database, push)?,
        State::Acknowledged => settle_unknown(database, provider, push)?,
        State::Unknown => supersede_unknown(database, provider, push)?,
    }
    database.execute(
        "DELETE FROM main._syncPush WHERE provider = ?1 AND state IN ('refused', 'unknown') \
         AND NOT EXISTS (SELECT 1 FROM main._syncOutbox WHERE pushId = _syncPush.id)",
        &[provider.into()],
    )?;
    Ok(())
}

fn remove_rows(database: &Database, push: i64) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncOutbox WHERE pushId = ?1",
        &[push.into()],
    )?;
    Ok(())
}

/// Closes a push as acknowledged except for some of its rows, which the server may or may not have:
/// these become a separate push of unknown outcome.
///
/// # Errors
/// SQLite's.
pub fn close_but(database: &Database, provider: &str, push: i64, unsure: &[i64]) -> Result<()> {
    if !unsure.is_empty() {
        let rest = move_to_new_push(database, push, unsure.iter().copied())?;
        close(database, provider, rest, State::Unknown)?;
    }
    close(database, provider, push, State::Acknowledged)
}

/// Puts rows of a push into a new one like it; its number.
///
/// # Errors
/// SQLite's.
pub fn move_to_new_push(
    database: &Database,
    push: i64,
    rows: impl ExactSizeIterator<Item = i64>,
) -> Result<i64> {
    database.execute(
        "INSERT INTO main._syncPush (provider, runId, state, uptoSeq, rows, createdAt) \
         SELECT provider, runId, state, uptoSeq, ?2, createdAt FROM main._syncPush WHERE id = ?1",
        &[push.into(), (rows.len() as i64).into()],
    )?;
    let new = database.connection().last_insert_rowid();
    let mut update = database.prepare("UPDATE main._syncOutbox SET pushId = ?1 WHERE id = ?2")?;
    for row in rows {
        update.run(&[new.into(), row.into()])?;
    }
    Ok(new)
}

/// Removes a row from its push: it is pending as before, and not on its way.
///
/// # Errors
/// SQLite's.
pub fn remove(database: &Database, row: i64) -> Result<()> {
    database.execute("DELETE FROM main._syncOutbox WHERE id = ?1", &[row.into()])?;
    Ok(())
}

/// Puts what is on its way of a row under the key that it has from now on.
///
/// # Errors
/// SQLite's.
pub fn rename(database: &Database, table: i64, old: &Value, new: &Value) -> Result<()> {
    database.execute(
        "UPDATE main._syncOutbox SET pk = ?3 WHERE tbl = ?1 AND pk IS ?2 AND pushId IN \
         (SELECT id FROM main._syncPush WHERE state <> 'acknowledged')",
        &[table.into(), old.borrow(), new.borrow()],
    )?;
    Ok(())
}

/// What may have arrived of a row counts as an edit of ours no more.
///
/// # Errors
/// SQLite's.
pub fn forget_row(database: &Database, table: i64, key: &Value) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncOutbox WHERE tbl = ?1 AND pk IS ?2 AND pushId IN \
         (SELECT id FROM main._syncPush WHERE state <> 'acknowledged')",
        &[table.into(), key.borrow()],
    )?;
    Ok(())
}

/// Rows of earlier unknown pushes that were sent again are not needed any more, except that a row was created:
/// that is kept until a push that also creates it.
fn supersede_unknown(database: &Database, provider: &str, push: i64) -> Result<()> {
    database.delete_each(
        OUTBOX,
        "pushId IN (SELECT id FROM main._syncPush \
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
    database.delete_each(
        OUTBOX,
        "pushId IN (SELECT id FROM main._syncPush \
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
    talk: &dyn Conversation,
    bindings: &[Binding],
    push: i64,
) -> Result<Spool, SyncError> {
    let mut writer = SpoolWriter::new(BODY_MEMORY);
    let rows = frozen_rows(database, bindings, push);
    {
        let mut buffered = io::BufWriter::with_capacity(64 << 10, &mut writer);
        talk.write_body(&rows, &mut buffered)
            .and_then(|()| io::Write::flush(&mut buffered))
            .map_err(|error| {
                SyncError::new(
                    Class::Data,
                    "SYNC_ERROR_STORAGE",
                    format!("the upload could not be put together: {error}; free some space"),
                    true,
                )
            })?;
    }
    Ok(writer.finish())
}

/// The rows of a push.
pub fn frozen_rows<'a>(
    database: &'a Database,
    bindings: &'a [Binding],
    push: i64,
) -> FrozenRows<'a> {
    FrozenRows {
        database,
        bindings,
        push,
    }
}

/// See [`frozen_rows`].
pub struct FrozenRows<'a> {
    database: &'a Database,
    bindings: &'a [Binding],
    push: i64,
}

impl FrozenRows<'_> {
    fn open(&self, entity: usize, kind: Option<ChangeKind>) -> Result<Statement> {
        let table = self.bindings[entity].table.id;
        // With a kind, the index has the rows in this very order.
        let mut rows = self.database.prepare(match kind {
            Some(_) => {
                "SELECT coalesce(change, id), kind, content, pk, base FROM main._syncOutbox \
                 WHERE pushId = ?1 AND likely(tbl = ?2) AND kind = ?3 ORDER BY id"
            }
            None => {
                "SELECT coalesce(change, id), kind, content, pk, base FROM main._syncOutbox \
                 WHERE pushId = ?1 AND likely(tbl = ?2) ORDER BY id"
            }
        })?;
        let mut values: Vec<ValueRef<'_>> = vec![self.push.into(), table.into()];
        if let Some(kind) = kind {
            values.push(kind.as_str().into());
        }
        rows.bind_all(&values)?;
        Ok(rows)
    }
}

impl ParcelRows for FrozenRows<'_> {
    fn rows(
        &self,
        entity: usize,
        kind: Option<ChangeKind>,
        each: &mut dyn FnMut(&ParcelRow<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut rows = self.open(entity, kind).map_err(io::Error::other)?;
        while rows.step().map_err(io::Error::other)? {
            each(&parcel_row(&rows)?)?;
        }
        Ok(())
    }

    fn in_order(
        &self,
        each: &mut dyn FnMut(usize, &ParcelRow<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let places = self.bindings.iter().enumerate();
        let places: HashMap<i64, usize> = places
            .map(|(place, binding)| (binding.table.id, place))
            .collect();
        // Rows are not sorted with all that they hold where they are in order.
        let span = span_in_order(self.database, self.push).map_err(io::Error::other)?;
        let mut rows = self
            .database
            .prepare(match span {
                Some(_) => {
                    "SELECT change, kind, content, pk, base, tbl FROM main._syncOutbox \
                     WHERE +pushId = ?1 AND id BETWEEN ?2 AND ?3 ORDER BY id"
                }
                None => {
                    "SELECT change, kind, content, pk, base, tbl FROM main._syncOutbox \
                     WHERE pushId = ?1 ORDER BY change"
                }
            })
            .map_err(io::Error::other)?;
        let mut values: Vec<ValueRef<'_>> = vec![self.push.into()];
        if let Some((first, last)) = span {
            values.extend([ValueRef::Integer(first), ValueRef::Integer(last)]);
        }
        rows.bind_all(&values).map_err(io::Error::other)?;
        while rows.step().map_err(io::Error::other)? {
            let place = places.get(&rows.integer(5)).ok_or_else(|| {
                io::Error::other("a row of _syncOutbox is of a table that the sync is not about")
            })?;
            each(*place, &parcel_row(&rows)?)?;
        }
        Ok(())
    }
}

/// A row of the outbox: number, kind, content, key, base.
fn parcel_row(rows: &Statement) -> io::Result<ParcelRow<'_>> {
    let kind = rows.column(1).as_str().and_then(ChangeKind::named);
    Ok(ParcelRow {
        change: rows.integer(0),
        kind: kind.ok_or_else(|| io::Error::other("a row of _syncOutbox has no kind"))?,
        id: rows.column(3),
        base: rows.column(4).as_i64(),
        content: rows.column(2).as_str().unwrap_or_default(),
    })
}
