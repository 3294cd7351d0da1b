//! Capture off and on again around a migration that changes tables itself.
//!
//! While it is off nothing is captured, nothing is synced, and the log is kept. Columns are matched by name when it is
//! on again.

use chrono::Utc;

use crate::ground::{Warning, quoted};
use crate::store::{Database, Error, Result, quote_name, untold};

use super::tracked::{Registration, registration, registrations};
use super::triggers::{self, Found};
use super::{drift, rebuilt};

/// What was switched.
pub struct Switched {
    /// The tables that are as asked for now.
    pub tables: Vec<String>,
    pub warnings: Vec<Warning>,
}

/// Takes the capture triggers of one table away, or of all. Call inside a transaction.
///
/// # Errors
/// The table is not tracked; SQLite's.
pub fn off(database: &Database, table: Option<&str>) -> Result<Switched> {
    // The last look: from now on the record is all there is.
    drift::refresh(database)?;
    drift::follow_uncaptured(database)?;
    let mut switched = Switched {
        tables: Vec::new(),
        warnings: untold::take(database)?,
    };
    for registration in chosen(database, table)? {
        let followed = Found::read(database, registration.id)?.follows;
        let at = followed.unwrap_or_else(|| registration.name.clone());
        database.execute(
            "UPDATE main._syncTable SET captureOff = ?2 WHERE id = ?1 AND captureOff IS NULL",
            &[registration.id.into(), Utc::now().timestamp_millis().into()],
        )?;
        triggers::drop_all(database, registration.id)?;
        if database.has_table(&at)? {
            triggers::follow(database, registration.id, &at)?;
        }
        switched.tables.push(registration.name);
    }
    Ok(switched)
}

/// Captures again. A table that is gone is named in a warning, and what was logged of it stays. Call inside a
/// transaction.
///
/// # Errors
/// The table is not tracked, or has another key now; SQLite's.
pub fn on(database: &Database, table: Option<&str>) -> Result<Switched> {
    drift::refresh(database)?;
    drift::follow_uncaptured(database)?;
    let mut switched = Switched {
        tables: Vec::new(),
        warnings: untold::take(database)?,
    };
    for registration in chosen(database, table)? {
        let is_there = database.has_table(&registration.name)?;
        if registration.off.is_some() && is_there {
            let followed = Found::read(database, registration.id)?.follows;
            let other = followed.filter(|table| !table.eq_ignore_ascii_case(&registration.name));
            switched
                .warnings
                .extend(other.map(|other| another(&registration.name, &other)));
            // A tool may have put saved triggers back.
            triggers::drop_all(database, registration.id)?;
            switched
                .warnings
                .extend(rebuilt::go_on(database, &registration, false)?);
        }
        match is_there {
            true => switched.tables.push(registration.name),
            false => switched.warnings.push(gone(&registration.name)),
        }
    }
    Ok(switched)
}

fn gone(table: &str) -> Warning {
    let message = format!(
        "there is no table {} any more; what waited of it is kept. Make the table again and call sync_capture_on, call \
         sync_track with {{\"was\":{}}} for the table that it is now if it was renamed, or \
         call sync_untrack to forget it, which needs {{\"discard\":true}} while anything of it waits (sync_pending shows it)",
        quoted(table),
        serde_json::Value::from(table)
    );
    Warning::new("tableGone", message).of(table)
}

/// Two tables may be meant.
fn another(table: &str, other: &str) -> Warning {
    let message = format!(
        "{} was renamed to {} while capture was off, and another table {} made, which capture goes on with. If it is the \
         renamed one that is to be synced, undo the call, and call sync_track for that with {{\"was\":{}}}",
        quoted(table),
        quoted(other),
        quoted(table),
        serde_json::Value::from(table)
    );
    Warning::new("tableRecognised", message).of(table)
}

fn chosen(database: &Database, table: Option<&str>) -> Result<Vec<Registration>> {
    let Some(table) = table else {
        return registrations(database);
    };
    match registration(database, table)? {
        Some(registration) => Ok(vec![registration]),
        None => Err(Error::argument(format!(
            "{} is not tracked; call sync_track first",
            quote_name(table)
        ))),
    }
}
