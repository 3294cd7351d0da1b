//! Taking syncscope out of a file: what capture has put on tables goes, and every table of ours.

use serde_json::{Value as Json, json};

use crate::capture::tracked::registrations;
use crate::capture::{drift, triggers};
use crate::coordination::Ground;
use crate::hub::remove_feed;
use crate::store::{
    Database, Error, REFERRING, Result, Session, others_run, quote_name, remove_schema, transact,
};

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
    if others_run(database.connection()) {
        return Err(Error::Busy(
            "a statement of this connection is still reading, and tables can't be dropped meanwhile; finish or reset it"
                .into(),
        ));
    }
    refuse_referring(database)?;
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
    remove_feed(database)?;
    remove_schema(database)?;
    let tables: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    Ok(json!({"tables": tables, "discarded": lost.json()}))
}

/// Takes out the feed of a file that only others sync with; null where there is none.
///
/// # Errors
/// SQLite's.
pub fn leave_feed(database: &Database) -> Result<Option<Json>> {
    transact(database.connection(), || {
        let was_there = remove_feed(database)?;
        Ok(was_there.then(|| json!({"tables": [], "discarded": Left::default().json()})))
    })
}

/// A table of the program that refers to one of ours would refer to nothing.
fn refuse_referring(database: &Database) -> Result<()> {
    let referring = database.query_row(
        &format!(
            "SELECT m.name, f.\"table\" FROM {REFERRING} AS m JOIN pragma_foreign_key_list(m.name, ?1) AS f \
             WHERE substr(m.name, 1, 5) <> '_sync' COLLATE NOCASE \
             AND substr(f.\"table\", 1, 5) = '_sync' COLLATE NOCASE LIMIT 1"
        ),
        &[database.schema().into()],
        |row| Ok((row.text(0), row.text(1))),
    )?;
    match referring {
        None => Ok(()),
        Some((table, ours)) => Err(Error::argument(format!(
            "table {} has a foreign key to {ours}, which would be gone; drop that table, or make it again without the \
             reference",
            quote_name(&table)
        ))),
    }
}
