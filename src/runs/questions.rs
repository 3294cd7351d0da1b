//! What a program asks before it syncs: is anything waiting, and how old is what is there?

use crate::capture::reader::RowReader;
use crate::capture::{Pending, PendingRows, Status, Tracked, log};
use crate::coordination::{now, run_record};
use crate::store::{Database, Result};

use crate::transfer::send::outbox::all_unacknowledged;

/// Entries of the log that are looked at first: one of them nearly always has the answer.
const FIRST_LOOK: i64 = 100;

/// Whether `sync_pending` has a row, of all tables or of those synced with a provider. Only reads.
///
/// # Errors
/// SQLite's.
pub fn has_pending(database: &Database, provider: Option<&str>) -> Result<bool> {
    let mut tables = Tracked::all(database)?;
    if let Some(provider) = provider {
        tables.retain(|table| table.provider.as_deref() == Some(provider));
    }
    let upto = log::high_water(database)?;
    if tables.is_empty() || upto == 0 {
        return Ok(false);
    }
    let first = database.query_value(
        "SELECT seq FROM main._syncChange ORDER BY seq LIMIT 1 OFFSET ?1",
        &[(FIRST_LOOK - 1).into()],
    )?;
    if let Some(first) = first.as_i64()
        && any_is_sent(database, &tables, first, true)?
    {
        return Ok(true);
    }
    any_is_sent(database, &tables, upto, false)
}

/// With `in_part` the log is read only in part. Later entries can't make nothing of the insert or update
/// of a row that exists, but they can of anything else.
fn any_is_sent(database: &Database, tables: &[Tracked], upto: i64, in_part: bool) -> Result<bool> {
    let tracked: Vec<&Tracked> = tables.iter().collect();
    let pending = PendingRows::read(database, &tracked, upto)?;
    let unacknowledged = match in_part {
        true => Default::default(),
        false => all_unacknowledged(database)?,
    };
    for (table, rows) in tables.iter().zip(&pending) {
        if rows.is_empty() {
            continue;
        }
        let columns = columns_beside_the_key(table);
        let mut reader = RowReader::new(database, table, &[])?;
        for row in rows.rows() {
            let exists = reader.find(row)?;
            reader.release();
            let sent = match (exists, in_part) {
                (true, _) => is_sent(row, &columns, in_part),
                (false, true) => false,
                (false, false) => {
                    row.status(false) == Status::Deleted
                        || unacknowledged.contains(&(table.id, row.key.clone()))
                }
            };
            if sent {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether an existing row would be sent.
fn is_sent(row: &Pending, columns: &[usize], in_part: bool) -> bool {
    match row.status(true) {
        // It may turn out to be an update, of which a table of nothing but a key has none.
        Status::Created => !in_part || !columns.is_empty(),
        Status::Updated => columns.iter().any(|position| row.changed(*position)),
        Status::Deleted | Status::Nothing => false,
    }
}

fn columns_beside_the_key(table: &Tracked) -> Vec<usize> {
    let mut columns = table.synced_columns();
    columns.retain(|position| table.shape.columns[*position].key_place == 0);
    columns
}

/// Whether the last successful run of a provider is longer ago than `max_age` milliseconds, or never was.
/// Only reads.
///
/// # Errors
/// SQLite's.
pub fn is_stale(database: &Database, provider: &str, max_age: u64) -> Result<bool> {
    let last = run_record::last_success(database, provider)?;
    // A run in the future shows that the clock was set back: nobody knows how old it is.
    Ok(last.is_none_or(|last| now().abs_diff(last) > max_age))
}
