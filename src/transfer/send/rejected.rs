//! Rows that the server refused, or that can't be sent: leaving them out, sending them again, giving them up.

use std::collections::HashMap;

use crate::capture::lost::pull_again;
use crate::capture::{Key, log};
use crate::coordination::now;
use crate::store::{Database, Result, TriggersOff, Value, quote_name};
use crate::transfer::binding::Binding;
use crate::transfer::held::keep;
use crate::transfer::version;

use super::circumstances;
use super::frozen::{Entries, Frozen};
use super::outbox;
use super::referred::in_the_way;

/// A row that was refused alone, or with those that it refers to in a circle.
#[derive(Debug, Clone)]
pub struct Alone {
    /// Index into the bindings.
    pub place: usize,
    pub key: Key,
    /// The push that was refused.
    pub push: i64,
    /// The last log entry of it that was sent.
    pub upto: i64,
    /// All entries of the push that were; of a circle, with its first row.
    pub entries: Entries,
    /// Created, updated or deleted.
    pub kind: String,
    pub status: u16,
    /// The status in a word, the reason as it is kept, and what the server said.
    pub word: String,
    pub reason: String,
    pub said: Option<String>,
    /// Rows that the server had taken in this run when it refused this one.
    pub taken_before: i64,
    /// It was sent once more.
    pub last_chance: bool,
}

/// What is kept as the last log entry of a row that is to be sent once more: none is as low.
const ONCE_MORE: i64 = 0;

/// What the server said of a row that it refused.
pub struct Words {
    pub status: u16,
    pub word: String,
    pub reason: String,
    pub said: Option<String>,
}

/// Keeps the one row of a push that was refused, or all where they can't be parted, with the reason.
///
/// # Errors
/// SQLite's.
pub fn reject_alone(
    database: &Database,
    (provider, run): (&str, i64),
    bindings: &[Binding],
    frozen: &Frozen,
    words: Words,
) -> Result<Vec<Alone>> {
    let push = frozen.push;
    let last_chance = is_sent_once_more(database, provider, push)?;
    let circle = (frozen.rows > 1).then_some(push);
    let mut entries = frozen.entries.clone().unwrap_or_default();
    let mut refused = Vec::new();
    let mut rows = database.prepare(
        "SELECT tbl, pk, kind, uptoSeq, content FROM main._syncOutbox WHERE pushId = ?1 ORDER BY id",
    )?;
    rows.bind(1, push.into())?;
    while rows.step()? {
        let (table, key, kind) = (rows.integer(0), rows.column(1).to_owned(), rows.text(2));
        let content = rows.column(4);
        let content = content.as_str();
        reject(
            database,
            provider,
            table,
            &key,
            &kind,
            &words.reason,
            content,
        )?;
        database.execute(
            "UPDATE main._syncRejected SET refusedIn = coalesce(refusedIn, ?4), circle = ?5 \
             WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
            &[
                provider.into(),
                table.into(),
                key.borrow(),
                run.into(),
                circle.into(),
            ],
        )?;
        let mut bindings = bindings.iter();
        let Some(place) = bindings.position(|binding| binding.table.id == table) else {
            continue;
        };
        refused.push(Alone {
            place,
            key: Key(key),
            push,
            upto: rows.integer(3),
            entries: std::mem::take(&mut entries),
            kind,
            status: words.status,
            word: words.word.clone(),
            reason: words.reason.clone(),
            said: words.said.clone(),
            taken_before: 0,
            last_chance,
        });
    }
    Ok(refused)
}

/// Keeps what can't be sent, or was refused, with the reason. The row stays pending.
///
/// # Errors
/// SQLite's.
pub fn reject(
    database: &Database,
    provider: &str,
    table: i64,
    key: &Value,
    kind: &str,
    reason: &str,
    content: Option<&str>,
) -> Result<()> {
    if *key == Value::Null {
        // NULLs are never equal, so the conflict clause below would not find the old row.
        forget_rejection(database, provider, table, key)?;
    }
    database.execute(
        "INSERT INTO main._syncRejected (provider, tbl, pk, kind, reason, content, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (provider, tbl, pk) DO UPDATE \
         SET kind = excluded.kind, reason = excluded.reason, content = excluded.content, \
         at = excluded.at",
        &[
            provider.into(),
            table.into(),
            key.borrow(),
            kind.into(),
            reason.into(),
            content.into(),
            now().into(),
        ],
    )?;
    Ok(())
}

/// A row is not rejected any more.
///
/// # Errors
/// SQLite's.
pub fn forget_rejection(
    database: &Database,
    provider: &str,
    table: i64,
    key: &Value,
) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncRejected WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        &[provider.into(), table.into(), key.borrow()],
    )?;
    Ok(())
}

/// The server has taken other rows after it refused this one, maybe what was in its way: it is sent once more with the
/// next push. False when it was before.
///
/// # Errors
/// SQLite's.
pub fn send_once_more(
    database: &Database,
    provider: &str,
    table: i64,
    alone: &Alone,
) -> Result<bool> {
    let changed = database.execute(
        "UPDATE main._syncRejected SET uptoSeq = ?4 \
         WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3 AND uptoSeq IS NULL",
        &[
            provider.into(),
            table.into(),
            alone.key.0.borrow(),
            ONCE_MORE.into(),
        ],
    )?;
    Ok(changed > 0)
}

/// A row that was left out is sent once more with the next push.
///
/// # Errors
/// SQLite's.
pub fn once_more(database: &Database, provider: &str, (table, key): (i64, &Value)) -> Result<()> {
    leave_out_from(database, provider, table, (key, ONCE_MORE))
}

/// Whether the one row of a push is sent once more.
///
/// # Errors
/// SQLite's.
pub fn is_sent_once_more(database: &Database, provider: &str, push: i64) -> Result<bool> {
    let found = database.query_value(
        "SELECT 1 FROM main._syncOutbox AS sent JOIN main._syncRejected AS rejected \
         ON rejected.tbl = sent.tbl AND rejected.pk IS sent.pk \
         WHERE sent.pushId = ?1 AND rejected.provider = ?2 AND rejected.uptoSeq = ?3 LIMIT 1",
        &[push.into(), provider.into(), ONCE_MORE.into()],
    )?;
    Ok(found != Value::Null)
}

/// The server takes other rows: this one is left out of pushes until it is written again, or what it hangs together with
/// has changed.
///
/// # Errors
/// SQLite's.
pub fn leave_out(database: &Database, provider: &str, table: i64, alone: &Alone) -> Result<()> {
    leave_out_from(database, provider, table, (&alone.key.0, alone.upto))?;
    circumstances::note(database, provider, (table, &alone.key.0))
}

/// A row, and its last log entry that was refused: it is left out of pushes until it is written again.
///
/// # Errors
/// SQLite's.
pub fn leave_out_from(
    database: &Database,
    provider: &str,
    table: i64,
    (key, upto): (&Value, i64),
) -> Result<()> {
    database.execute(
        "UPDATE main._syncRejected SET uptoSeq = ?4 WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        &[provider.into(), table.into(), key.borrow(), upto.into()],
    )?;
    Ok(())
}

/// A row that was rejected.
#[derive(Debug, Clone, Copy)]
pub struct Rejected {
    /// The log entry up to which it is left out; 0: it is not.
    pub upto: i64,
    /// The server has refused it. Otherwise it could not be sent.
    pub was_sent: bool,
}

/// The rejected rows of a table.
///
/// # Errors
/// SQLite's.
pub fn left_out(database: &Database, provider: &str, table: i64) -> Result<HashMap<Key, Rejected>> {
    let keys = database.query_all(
        "SELECT pk, coalesce(uptoSeq, 0), content IS NOT NULL FROM main._syncRejected \
         WHERE provider = ?1 AND tbl = ?2",
        &[provider.into(), table.into()],
        |row| {
            let rejected = Rejected {
                upto: row.integer(1),
                was_sent: row.integer(2) != 0,
            };
            Ok((Key(row.column(0).to_owned()), rejected))
        },
    )?;
    Ok(keys.into_iter().collect())
}

/// A row by the number of its table, and its key.
pub type Row = (i64, Key);

/// The row of a rejection; none when there is no such.
///
/// # Errors
/// SQLite's.
pub fn row(database: &Database, rejection: i64) -> Result<Option<Row>> {
    database.query_row(
        "SELECT tbl, pk FROM main._syncRejected WHERE id = ?1",
        &[rejection.into()],
        |row| Ok((row.integer(0), Key(row.column(1).to_owned()))),
    )
}

/// A rejected row goes up with the next push, and those that it refers to in a circle with it. Whether it was rejected.
///
/// # Errors
/// SQLite's.
pub fn retry(database: &Database, (table, key): &Row) -> Result<bool> {
    let changed = database.execute(
        "UPDATE main._syncRejected SET uptoSeq = NULL WHERE (tbl = ?1 AND pk IS ?2) OR circle = \
         (SELECT circle FROM main._syncRejected WHERE tbl = ?1 AND pk IS ?2 AND circle IS NOT NULL)",
        &[(*table).into(), key.0.borrow()],
    )?;
    Ok(changed > 0)
}

/// What was given up of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    Nothing,
    /// What was to be sent. `refetch`: the next sync pulls the table from the beginning.
    Change {
        refetch: bool,
    },
    /// What was held.
    Held,
}

impl GivenUp {
    /// One word for it.
    pub fn what(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Change { .. } => Some("change"),
            Self::Held => Some("held"),
        }
    }

    pub fn refetches(self) -> bool {
        self == Self::Change { refetch: true }
    }
}

/// Gives up what is pending of a row; of one with nothing pending, what is held.
///
/// `revert`: it is to be here as the server has it. One made here goes;
/// of another the server's state comes with the next sync, from what is held or, where nothing is, with a pull from the
/// beginning.
///
/// # Errors
/// SQLite's.
pub fn discard(
    database: &Database,
    (table, key): &Row,
    pending: Option<Change>,
    revert: bool,
) -> Result<GivenUp> {
    let held = database.query_value(
        "SELECT 1 FROM main._syncHeld WHERE tbl = ?1 AND pk IS ?2 LIMIT 1",
        &[(*table).into(), key.0.borrow()],
    )?;
    let is_held = held != Value::Null;
    let Some(change) = pending else {
        if !is_held {
            return Ok(GivenUp::Nothing);
        }
        keep::forget_anywhere(database, *table, key)?;
        return Ok(GivenUp::Held);
    };
    log::forget(
        database,
        &HashMap::from([((*table, key.clone()), i64::MAX)]),
    )?;
    let row = [(*table).into(), key.0.borrow()];
    database.execute(
        "DELETE FROM main._syncRejected WHERE tbl = ?1 AND pk IS ?2",
        &row,
    )?;
    // What may have arrived all the same shows with the next pull.
    outbox::forget_row(database, *table, &key.0)?;
    match (revert, change.made_here) {
        (false, _) => {}
        (true, true) => {
            // Nobody else knows the row: its going is no news.
            let _quiet = TriggersOff::begin(database.connection());
            let start = log::high_water(database)?;
            let name = quote_name(&change.key_column);
            let sql = format!(
                "DELETE FROM {} WHERE {name} = ?1 AND {name} = ?1 COLLATE BINARY",
                database.qualified(&change.table)
            );
            let deleted = database.connection().prepare(&sql)?.run(&[key.0.borrow()]);
            deleted.map_err(|error| match error.is_constraint() {
                true => {
                    let row = (change.table.as_str(), change.key_column.as_str());
                    in_the_way(database, row, key).unwrap_or_else(|other| other)
                }
                false => error,
            })?;
            log::take_back_all(database, start)?;
        }
        (true, false) if is_held => {}
        (true, false) => {
            pull_again(database, *table)?;
            // What the server holds is no news otherwise.
            version::forget_anywhere(database, *table, &key.0)?;
        }
    }
    let refetch = revert && !change.made_here && !is_held;
    Ok(GivenUp::Change { refetch })
}

/// What is pending of a row.
#[derive(Debug, Clone)]
pub struct Change {
    pub table: String,
    pub key_column: String,
    /// The server doesn't have the row.
    pub made_here: bool,
}
