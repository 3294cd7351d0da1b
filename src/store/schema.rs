//! Installing and upgrading our tables and triggers, in one transaction, when first needed.

use super::database::Database;
use super::error::{Error, Result};
use super::transaction::transact;
use super::value::Value;

/// The scripts of `sql/`, in the order in which they run.
const SCRIPTS: &[&str] = &[
    include_str!("../../sql/00_meta.sql"),
    include_str!("../../sql/10_owner.sql"),
    include_str!("../../sql/20_status.sql"),
    include_str!("../../sql/25_instance.sql"),
    include_str!("../../sql/30_scope.sql"),
    include_str!("../../sql/35_interruption.sql"),
    include_str!("../../sql/40_event.sql"),
    include_str!("../../sql/50_provider.sql"),
    include_str!("../../sql/60_capture.sql"),
    include_str!("../../sql/70_outbox.sql"),
];

/// Steps from one schema version to the next: `UPGRADES[0]` leads from version 1 to 2.
const UPGRADES: &[&str] = &[];

/// The schema version of a file; none when nothing is installed.
///
/// # Errors
/// SQLite's; [`Error::Corrupt`] when the version is no number.
pub fn installed(database: &Database) -> Result<Option<i64>> {
    if !database.has_table("_syncMeta")? {
        return Ok(None);
    }
    let version = database.query_value(
        "SELECT value FROM main._syncMeta WHERE key = 'schemaVersion'",
        &[],
    )?;
    match version {
        Value::Integer(version) => Ok(Some(version)),
        other => Err(Error::Corrupt(format!(
            "_syncMeta.schemaVersion is {}, not a number; restore the file from a backup",
            other.borrow().type_name()
        ))),
    }
}

/// Refuses a file whose schema another build wrote.
///
/// # Errors
/// No tables; a file of a newer build (both versions named), or of an older one that no call has
/// upgraded yet.
pub fn require_current(database: &Database) -> Result<()> {
    let version = 1 + UPGRADES.len() as i64;
    match installed(database)? {
        Some(found) if found == version => Ok(()),
        Some(found) if found > version => Err(newer(found, version)),
        _ => Err(Error::misuse(
            "the tables of syncscope are missing or old; call sync_init() first",
        )),
    }
}

fn newer(found: i64, version: i64) -> Error {
    Error::misuse(format!(
        "this file was written by a newer syncscope (schema {found}), this one knows schema \
         {version}; load the newer one"
    ))
}

/// Makes sure the schema is there and of this build's version.
///
/// # Errors
/// A file written by a newer build (both versions named); SQLite's own (read-only, locked, full).
/// The file is then as it was.
pub fn ensure(database: &Database) -> Result<()> {
    bring(database, SCRIPTS, UPGRADES)
}

fn bring(database: &Database, scripts: &[&str], upgrades: &[&str]) -> Result<()> {
    let version = 1 + upgrades.len() as i64;
    if installed(database)? == Some(version) {
        return Ok(());
    }
    transact(database.connection(), || {
        // Looked at again now that nobody else can write.
        match installed(database)? {
            None => {
                for script in scripts {
                    database.execute_script(script)?;
                }
            }
            Some(found) if found > version => return Err(newer(found, version)),
            Some(found) if found < 1 => {
                return Err(Error::Corrupt(format!(
                    "schema version {found} never existed"
                )));
            }
            Some(found) => {
                for step in upgrades.iter().skip(found as usize - 1) {
                    database.execute_script(step)?;
                }
            }
        }
        database.execute(
            "INSERT INTO main._syncMeta (key, value) VALUES ('schemaVersion', ?1) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            &[version.into()],
        )?;
        Ok(())
    })
}
