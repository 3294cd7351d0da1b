//! Moments of a hub, and the files that know them.

use super::feed;
use super::wire::{Op, Request};
use crate::store::{Database, Result, random_token};

/// Whether the hub does not know the moment that the device remembers of it.
///
/// # Errors
/// SQLite's.
pub fn is_forked(database: &Database, request: &Request) -> Result<bool> {
    let Some((seq, mark)) = &request.known else {
        return Ok(false);
    };
    if request.op == Op::All {
        return Ok(false);
    }
    if !feed::exists(database)? {
        return Ok(true);
    }
    let there = database.query_value(
        "SELECT token FROM main._syncFeedMark WHERE seq = ?1",
        &[(*seq).into()],
    )?;
    Ok(there.as_str() != Some(mark))
}

/// The number of the last change, and its mark where it has one.
///
/// # Errors
/// SQLite's.
pub fn mark(database: &Database) -> Result<(i64, Option<String>)> {
    let last = feed::last(database)?;
    let mark = database.query_value(
        "SELECT token FROM main._syncFeedMark WHERE seq = ?1",
        &[last.into()],
    )?;
    Ok((last, mark.as_str().map(str::to_owned)))
}

/// Gives the last change a mark.
///
/// # Errors
/// SQLite's.
pub fn set_mark(database: &Database) -> Result<(i64, String)> {
    let (seq, mark) = mark(database)?;
    if let Some(mark) = mark {
        return Ok((seq, mark));
    }
    let mark = random_token();
    database.execute(
        "INSERT INTO main._syncFeedMark (seq, token) VALUES (?1, ?2)",
        &[seq.into(), (&mark).into()],
    )?;
    Ok((seq, mark))
}

/// A device of the feed: its number, and the token that it got last.
///
/// # Errors
/// SQLite's.
pub fn device(database: &Database, name: &str) -> Result<Option<(i64, String)>> {
    database.query_row(
        "SELECT id, token FROM main._syncFeedDevice WHERE device = ?1",
        &[name.into()],
        |row| Ok((row.integer(0), row.text(1))),
    )
}
