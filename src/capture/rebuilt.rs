//! A table that lost its triggers: rebuilt by a migration tool, dropped and made again, or only the triggers were
//! dropped. It is the same table as long as its key and its synced columns are there; capture goes on with it, and
//! what waits stays.
//!
//! A row that waited and is not in the new table is not deleted on the server: nobody deleted it. It goes to
//! `_syncConflict`. A table without any row was made anew, so that all rows have to come again.

use crate::ground::{Warning, quoted};
use crate::store::{Database, Result};

use super::carry::Carrier;
use super::doubt::doubt;
use super::log;
use super::lost::{made_anew, record_lost};
use super::shape::Shape;
use super::tracked::{Registration, Tracked};
use super::triggers::Found;
use super::{PendingRows, reshape};

/// What the caller should know when capture was put back.
pub(super) fn warning(table: &str) -> Warning {
    let message = format!(
        "{} had lost its capture triggers, for instance in a migration; they are back, and what waited still \
         waits. What was written in between is not known: sync_check finds it, sync_capture_existing sends every row",
        quoted(table)
    );
    Warning::new("captureRestored", message).of(table)
}

/// Puts capture back, with what waits as far as it is still there.
///
/// # Errors
/// SQLite's.
pub(super) fn restore(
    database: &Database,
    registration: &Registration,
    shape: &Shape,
) -> Result<Vec<Warning>> {
    let mut warnings = vec![warning(&shape.name)];
    warnings.extend(resume(database, registration, shape)?);
    Ok(warnings)
}

/// Puts capture back because somebody asks for it, as far as the key allows. It may have been off on purpose. `told`: who
/// asks has said which columns stay here.
///
/// # Errors
/// The table is gone, or has another key; it is not known which columns stay here; SQLite's.
pub(super) fn go_on(
    database: &Database,
    registration: &Registration,
    told: bool,
) -> Result<Vec<Warning>> {
    let Some(shape) = registration.again(database)? else {
        return Err(registration.refusal(database)?);
    };
    if !told {
        require_sure(database, registration, &shape)?;
    }
    match registration.off {
        Some(_) => resume(database, registration, &shape),
        None => restore(database, registration, &shape),
    }
}

/// The same, without the words on what may have been missed.
///
/// # Errors
/// SQLite's.
pub(super) fn resume(
    database: &Database,
    registration: &Registration,
    shape: &Shape,
) -> Result<Vec<Warning>> {
    let mut warnings = Vec::new();
    let id = registration.id;
    let bare = Found::default();
    let tracked = Tracked::assemble(registration.clone(), shape.clone(), &bare);
    warnings.extend(record_lost(database, &tracked)?);
    let gone = registration.missing(shape);
    if !gone.is_empty() {
        warnings.push(reshape::column_gone(&tracked, &gone));
    }
    log_revived(database, &tracked)?;
    reshape::reshape(database, registration, shape, &bare, true)?;
    database.execute(
        "UPDATE main._syncTable SET generation = generation + 1, captureOff = NULL WHERE id = ?1",
        &[id.into()],
    )?;
    if is_empty(database, shape)? {
        made_anew(database, id)?;
    }
    Ok(warnings)
}

/// Makes sure that the columns that stay here are known by their names.
///
/// # Errors
/// They are not; SQLite's.
pub(super) fn require_sure(
    database: &Database,
    registration: &Registration,
    shape: &Shape,
) -> Result<()> {
    match doubt(database, registration, shape, &Found::default())? {
        Some(doubt) => Err(doubt),
        None => Ok(()),
    }
}

fn is_empty(database: &Database, shape: &Shape) -> Result<bool> {
    let sql = format!("SELECT 1 FROM {} LIMIT 1", database.qualified(&shape.name));
    Ok(!database.connection().prepare(&sql)?.step()?)
}

/// Logs what no trigger has: that rows which were deleted are there again.
fn log_revived(database: &Database, tracked: &Tracked) -> Result<()> {
    let upto = log::high_water(database)?;
    let pending = PendingRows::read(database, &[tracked], upto)?
        .pop()
        .unwrap_or_default();
    let mut carrier = Carrier::new(database, tracked)?;
    pending.each(|row| match row.is_revived() {
        true => carrier.inserted(&row.key.0, None),
        false => Ok(()),
    })
}
