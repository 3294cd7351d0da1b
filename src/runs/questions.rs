//! What a program asks before it syncs: is anything waiting, and how old is what is there?

use crate::capture::Tracked;
use crate::coordination::{now, run_record};
use crate::store::{Database, Result};

use crate::runs::waiting;

/// Whether `sync_pending` has a row, of all tables or of those synced with a provider. Only reads.
///
/// # Errors
/// SQLite's.
pub fn has_pending(database: &Database, provider: Option<&str>) -> Result<bool> {
    let mut tables = Tracked::logged(database)?;
    if let Some(provider) = provider {
        tables.retain(|table| table.provider.as_deref() == Some(provider));
    }
    waiting::anything(database, &tables)
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
