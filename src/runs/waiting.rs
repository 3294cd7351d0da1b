//! What waits to be sent, table by table, as the next sync will find it: `sync_pending` shows it,
//! `sync_has_pending` says whether there is any, and `sync_untrack` refuses to drop it.

use std::collections::HashMap;
use std::fmt;

use crate::capture::reader::RowReader;
use crate::capture::sends::sends;
use crate::capture::tracked::registration;
use crate::capture::{Pending, PendingRows, Status, Tracked, aside, drift, log, track};
use crate::store::{Database, Error, Result, Value, quote_name};

use crate::runs::gate::stored_config;
use crate::transfer::binding::travelling;
use crate::transfer::forget;
use crate::transfer::send::unacknowledged::Unacknowledged;

/// Entries of the log that are looked at first: one of them nearly always has the answer.
const FIRST_LOOK: i64 = 100;

/// Entries of the log that a look at the oldest rows takes.
const PEEK: i64 = 16;

/// A log with fewer entries is read as a whole.
const SHORT_LOG: i64 = 20_000;

/// The rows of a table that are in the log.
pub struct Waiting {
    pub table: Tracked,
    /// Positions of the columns that are synced, the key left out.
    pub columns: Vec<usize>,
    pub pending: PendingRows,
}

impl Waiting {
    /// Reads the log up to `upto` for some tables; tables that are not in it are left out.
    ///
    /// # Errors
    /// SQLite's.
    pub fn read(database: &Database, tables: Vec<Tracked>, upto: i64) -> Result<Vec<Self>> {
        let tracked: Vec<&Tracked> = tables.iter().collect();
        let pending = PendingRows::read(database, &tracked, upto)?;
        let logged = tables.into_iter().zip(pending);
        logged
            .filter(|(_, pending)| !pending.is_empty())
            .map(|(table, pending)| {
                Ok(Self {
                    columns: synced(database, &table)?,
                    table,
                    pending,
                })
            })
            .collect()
    }

    /// One row of a table, or what is logged of it. The key is as it is logged, and not NULL.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of_key(database: &Database, table: Tracked, upto: i64, key: Value) -> Result<Self> {
        Self::of_keys(database, table, upto, &[key])
    }

    /// The oldest rows of the table that was written first of some, for somebody who may want no more. None where it is
    /// as quick to read all.
    ///
    /// # Errors
    /// SQLite's.
    pub fn peek(database: &Database, tables: &[Tracked], upto: i64) -> Result<Option<Self>> {
        if !log::spans(database, upto, SHORT_LOG)? {
            return Ok(None);
        }
        let ids: Vec<String> = tables.iter().map(|table| table.id.to_string()).collect();
        let first = database.query_value(
            &format!(
                "SELECT tbl FROM main._syncChange WHERE seq <= ?1 AND tbl IN ({}) ORDER BY seq LIMIT 1",
                ids.join(", ")
            ),
            &[upto.into()],
        )?;
        let Some(table) = tables.iter().find(|table| Some(table.id) == first.as_i64()) else {
            return Ok(None);
        };
        let mut keys = database.query_all(
            "SELECT DISTINCT pk FROM (SELECT pk FROM main._syncChange \
             WHERE seq <= ?1 AND tbl = ?2 ORDER BY seq LIMIT ?3)",
            &[upto.into(), table.id.into(), PEEK.into()],
            |row| Ok(row.column(0).to_owned()),
        )?;
        keys.retain(|key| *key != Value::Null);
        Self::of_keys(database, table.clone(), upto, &keys).map(Some)
    }

    fn of_keys(database: &Database, table: Tracked, upto: i64, keys: &[Value]) -> Result<Self> {
        Ok(Self {
            columns: synced(database, &table)?,
            pending: PendingRows::read_some(database, &table, upto, keys)?,
            table,
        })
    }

    /// How many rows would be sent.
    ///
    /// # Errors
    /// SQLite's.
    pub fn count(&self, database: &Database, unacknowledged: &Unacknowledged) -> Result<i64> {
        let mut count = 0;
        self.find(database, unacknowledged, |_, _, status| {
            count += i64::from(status != Status::Nothing);
            Ok(false)
        })?;
        Ok(count)
    }

    /// Goes through the rows until one is `wanted`: by whether it exists, and what would be sent of it.
    /// Whether one was.
    fn find(
        &self,
        database: &Database,
        unacknowledged: &Unacknowledged,
        mut wanted: impl FnMut(&Pending, bool, Status) -> Result<bool>,
    ) -> Result<bool> {
        let mut reader = RowReader::new(database, &self.table, &[])?;
        let mut rows = self.pending.walk()?;
        while let Some(row) = rows.next(&self.pending)? {
            let exists = reader.find(&row)?;
            reader.release();
            let status = sends(&row, exists, &self.columns, || {
                unacknowledged.may_have_created(self.table.id, &row.key)
            })?;
            if wanted(&row, exists, status)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The columns of a table that are synced, as far as is known before a sync begins. A configuration that
/// can't be read leaves none out; a sync with it fails before it sends anything.
fn synced(database: &Database, table: &Tracked) -> Result<Vec<usize>> {
    let Some(provider) = &table.provider else {
        return Ok(travelling(table, None));
    };
    match stored_config(database, provider) {
        Ok(config) => Ok(travelling(table, Some(&config))),
        Err(Error::Corrupt(_)) => Ok(travelling(table, None)),
        Err(error) => Err(error),
    }
}

/// How many rows some tables have to send to each provider, by what was logged up to a number.
///
/// # Errors
/// SQLite's.
pub fn count_up_to(
    database: &Database,
    tables: Vec<Tracked>,
    upto: i64,
) -> Result<HashMap<String, i64>> {
    let mut counts = HashMap::new();
    for (table, count) in count_each(database, tables, upto)? {
        if let Some(provider) = table.provider {
            *counts.entry(provider).or_default() += count;
        }
    }
    Ok(counts)
}

/// How many rows each of some tables has to send, by what was logged up to a number. Tables of which nothing is logged
/// are left out.
///
/// # Errors
/// SQLite's.
pub fn count_each(
    database: &Database,
    tables: Vec<Tracked>,
    upto: i64,
) -> Result<Vec<(Tracked, i64)>> {
    if tables.is_empty() || upto == 0 {
        return Ok(Vec::new());
    }
    let unacknowledged = Unacknowledged::read(database, None)?;
    let waiting = Waiting::read(database, tables, upto)?.into_iter();
    let counted = waiting.map(|waiting| {
        let count = waiting.count(database, &unacknowledged)?;
        Ok((waiting.table, count))
    });
    counted.collect()
}

/// Whether some tables have anything to send.
///
/// # Errors
/// SQLite's.
pub fn anything(database: &Database, tables: &[Tracked]) -> Result<bool> {
    let upto = log::high_water(database)?;
    if tables.is_empty() || upto == 0 {
        return Ok(false);
    }
    let first = database.query_value(
        "SELECT seq FROM main._syncChange ORDER BY seq LIMIT 1 OFFSET ?1",
        &[(FIRST_LOOK - 1).into()],
    )?;
    if let Some(first) = first.as_i64() {
        let nothing_known = Unacknowledged::default();
        for table in Waiting::read(database, tables.to_vec(), first)? {
            // Later entries can't make nothing of the insert or update of a row that exists, but they can of
            // anything else; and an insert may turn out to be an update, of which a table of nothing but a
            // key has none.
            let is_certain = |_: &Pending, exists: bool, status: Status| {
                Ok(exists && status != Status::Nothing && !table.columns.is_empty())
            };
            if table.find(database, &nothing_known, is_certain)? {
                return Ok(true);
            }
        }
    }
    let unacknowledged = Unacknowledged::read(database, None)?;
    for table in Waiting::read(database, tables.to_vec(), upto)? {
        let is_sent = |_: &Pending, _: bool, status: Status| Ok(status != Status::Nothing);
        if table.find(database, &unacknowledged, is_sent)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many rows of a table wait, by what would be sent of them.
struct Amount {
    created: i64,
    updated: i64,
    deleted: i64,
}

impl Amount {
    fn of(database: &Database, table: Tracked) -> Result<Self> {
        let unacknowledged = Unacknowledged::read(database, None)?;
        let mut amount = Self {
            created: 0,
            updated: 0,
            deleted: 0,
        };
        for waiting in Waiting::read(database, vec![table], log::high_water(database)?)? {
            waiting.find(database, &unacknowledged, |_, _, status| {
                match status {
                    Status::Created => amount.created += 1,
                    Status::Updated => amount.updated += 1,
                    Status::Deleted => amount.deleted += 1,
                    Status::Nothing => {}
                }
                Ok(false)
            })?;
        }
        Ok(amount)
    }

    fn is_nothing(&self) -> bool {
        self.created + self.updated + self.deleted == 0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.created, "created"),
            (self.updated, "updated"),
            (self.deleted, "deleted"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = counts
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        formatter.write_str(&words.join(", "))
    }
}

/// Stops tracking a table. Returns false when it was not tracked. Call inside a transaction.
///
/// # Errors
/// Changes would be lost and `discard` is false; SQLite's.
pub fn untrack(database: &Database, name: &str, discard: bool) -> Result<bool> {
    drift::refresh(database)?;
    drift::follow_uncaptured(database)?;
    let Some(registration) = registration(database, name)? else {
        return Ok(false);
    };
    let (id, name) = (registration.id, registration.name.clone());
    // Nothing can be sent of a table that is gone, or has another key; what waits of it would be lost all the same.
    if !discard {
        let refusal = registration.refusal(database)?;
        let table = Tracked::as_logged(database, registration)?;
        let waiting = Amount::of(database, table.clone())?;
        if !waiting.is_nothing() {
            return Err(Error::argument(match table.is_there {
                true => format!(
                    "{} has changes that were not uploaded ({waiting}); sync first, or pass {{\"discard\":true}} to \
                     discard them",
                    quote_name(&name)
                ),
                false => format!(
                    "changes of {} were not uploaded and would be lost ({waiting}): {refusal}",
                    quote_name(&name)
                ),
            }));
        }
    }
    track::untrack(database, id)?;
    forget::table(database, id)?;
    Ok(true)
}

/// Logs all rows of a table as inserted, in place of whatever was logged of it: no server knows any of them. How many there
/// are. Call inside a transaction.
///
/// # Errors
/// Not tracked; SQLite's.
pub fn start_over(database: &Database, name: &str) -> Result<i64> {
    let table = Tracked::open(database, name)?;
    aside::stay(database, table.id)?;
    log::discard_table(database, table.id)?;
    let rows = track::log_existing(database, &table, |_| Ok(()))?;
    aside::stay_from(database, table.id, log::high_water(database)?)?;
    Ok(rows)
}

/// Logs rows that would not be sent as inserted, so that they will be. Calling it again before the next
/// sync changes nothing. Returns the number of rows logged. Call inside a transaction.
///
/// # Errors
/// Not tracked; SQLite's.
pub fn capture_existing(database: &Database, name: &str) -> Result<i64> {
    drift::refresh(database)?;
    let table = Tracked::open(database, name)?;
    let waiting = Waiting::read(database, vec![table.clone()], log::high_water(database)?)?;
    track::log_existing(database, &table, |leave_alone| {
        for logged in waiting {
            logged.find(
                database,
                &Unacknowledged::default(),
                |row, exists, status| {
                    if exists && status != Status::Nothing {
                        leave_alone(&row.key.0)?;
                    }
                    Ok(false)
                },
            )?;
        }
        Ok(())
    })
}
