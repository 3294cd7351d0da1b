//! What of a provider's transfer is paused, kept in the file.

use crate::coordination::now;
use crate::store::{Database, Result};

/// What is paused at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paused {
    pub uploads: bool,
    pub downloads: bool,
}

/// One of the two directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Uploads,
    Downloads,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::Downloads => "downloads",
        }
    }
}

/// What is paused for a call, or with `automatic` for work that nobody called for.
///
/// # Errors
/// SQLite's.
pub fn read(database: &Database, provider: &str, automatic: bool) -> Result<Paused> {
    let mut paused = Paused::default();
    let found = database.query_all(
        "SELECT what FROM main._syncPause WHERE provider = ?1 AND (until IS NULL OR until > ?2) \
         AND (?3 OR automaticOnly = 0)",
        &[provider.into(), now().into(), automatic.into()],
        |row| Ok(row.text(0)),
    )?;
    for what in found {
        match what.as_str() {
            "uploads" => paused.uploads = true,
            _ => paused.downloads = true,
        }
    }
    Ok(paused)
}

/// Pauses one direction, in place of what was said of it before. `until`: epoch ms; none: until it is resumed.
/// `automatic_only`: calls of the program go on.
///
/// # Errors
/// SQLite's.
pub fn pause(
    database: &Database,
    provider: &str,
    direction: Direction,
    until: Option<i64>,
    automatic_only: bool,
) -> Result<()> {
    database.execute(
        "INSERT OR REPLACE INTO main._syncPause (provider, what, since, until, automaticOnly) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        &[
            provider.into(),
            direction.as_str().into(),
            now().into(),
            until.into(),
            automatic_only.into(),
        ],
    )?;
    Ok(())
}

/// Resumes one direction.
///
/// # Errors
/// SQLite's.
pub fn resume(database: &Database, provider: &str, direction: Direction) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncPause WHERE provider = ?1 AND what = ?2",
        &[provider.into(), direction.as_str().into()],
    )?;
    Ok(())
}
