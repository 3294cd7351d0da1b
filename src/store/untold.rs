//! Warnings that nobody has been told yet: what is noticed in a call whose answer has no room for it. They are kept in
//! `_syncLog` as of run 0, and the next answer that has room takes them along: none is lost, whoever notices it.

use chrono::Utc;

use crate::ground::{WARNING_CODES, Warning, add_warning};

use super::database::Database;
use super::error::Result;

/// The run that they are of: none.
const NO_RUN: i64 = 0;

/// Keeps a warning until somebody has been told.
///
/// # Errors
/// SQLite's.
pub fn keep(database: &Database, warning: &Warning) -> Result<()> {
    let detail = warning.to_json(&str::to_owned).to_string();
    database.execute(
        "INSERT INTO main._syncLog (runId, at, event, detail) VALUES (?1, ?2, 'warning', ?3)",
        &[
            NO_RUN.into(),
            Utc::now().timestamp_millis().into(),
            detail.as_str().into(),
        ],
    )?;
    Ok(())
}

/// All that is kept, and the number of the last: see [`told`].
///
/// # Errors
/// SQLite's.
pub fn read(database: &Database) -> Result<(Vec<Warning>, i64)> {
    let mut warnings = Vec::new();
    let mut last = 0;
    let kept = database.query_all(
        "SELECT id, detail FROM main._syncLog WHERE runId = ?1 AND event = 'warning' ORDER BY id",
        &[NO_RUN.into()],
        |row| Ok((row.integer(0), row.text(1))),
    )?;
    for (id, detail) in kept {
        last = id;
        // What somebody else has written there is none of ours.
        if let Some(warning) = parse(&detail) {
            add_warning(&mut warnings, warning);
        }
    }
    Ok((warnings, last))
}

fn parse(detail: &str) -> Option<Warning> {
    let detail: serde_json::Value = serde_json::from_str(detail).ok()?;
    let mut codes = WARNING_CODES.iter();
    let code = codes.find(|code| detail["code"].as_str() == Some(code))?;
    let mut warning = Warning::new(code, detail["message"].as_str()?);
    warning.entity = detail["entity"].as_str().map(str::to_owned);
    warning.count = detail["count"].as_i64()?;
    Some(warning)
}

/// Those up to a number are told.
///
/// # Errors
/// SQLite's.
pub fn told(database: &Database, upto: i64) -> Result<()> {
    if upto == 0 {
        return Ok(());
    }
    database.execute(
        "DELETE FROM main._syncLog WHERE runId = ?1 AND event = 'warning' AND id <= ?2",
        &[NO_RUN.into(), upto.into()],
    )?;
    Ok(())
}

/// All that is kept, for an answer of the same transaction.
///
/// # Errors
/// SQLite's.
pub fn take(database: &Database) -> Result<Vec<Warning>> {
    let (warnings, last) = read(database)?;
    told(database, last)?;
    Ok(warnings)
}
