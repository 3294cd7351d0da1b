//! Taking syncscope out of a file: what capture has put on tables goes, and every table of ours.

use serde_json::{Value as Json, json};

use crate::capture::tracked::registrations;
use crate::capture::{drift, triggers};
use crate::coordination::Ground;
use crate::store::{Error, Result, Session, remove_schema};

use super::detach::refuse_busy;
use super::left::{Left, unsettled};

/// Removes all that is ours, in the caller's transaction. `force`: what is not settled is given up.
///
/// # Errors
/// Something would be lost and is not given up; a sync goes on; SQLite's.
pub fn uninstall(session: &Session, ground: &Ground<'_>, force: bool) -> Result<Json> {
    let database = ground.database;
    let providers = database.query_all("SELECT id FROM main._syncProvider", &[], |row| {
        Ok(row.text(0))
    })?;
    for provider in &providers {
        refuse_busy(session, ground, provider)?;
    }
    drift::refresh(database)?;
    drift::follow_uncaptured(database)?;
    let tables = registrations(database)?;
    let left = Left::of(database, None, &tables)?;
    let lost = Left::sum(&left);
    if lost != Left::default() && !force {
        let named = unsettled(tables.iter().zip(&left));
        return Err(Error::argument(format!(
            "rows are not settled: {named}. Sync, and settle what is left (sync_pending, _syncRejected and sync_held show \
             it), or pass {{\"force\":true}} to give it up"
        )));
    }
    triggers::drop_every(database)?;
    remove_schema(database)?;
    let tables: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    Ok(json!({"tables": tables, "discarded": lost.json()}))
}
