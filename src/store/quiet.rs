//! Switching the triggers of a connection, its CHECK constraints or its foreign keys off for a while.

use std::ffi::c_int;

use super::api::sq;
use super::connection::Connection;
use super::error::Result;

/// `SQLITE_DBCONFIG_ENABLE_FKEY`.
const ENABLE_FKEY: c_int = 1002;

/// `SQLITE_DBCONFIG_ENABLE_TRIGGER`.
const ENABLE_TRIGGER: c_int = 1003;

/// While this lives, statements of the connection fire no triggers, except temporary ones (and those too before
/// SQLite 3.35).
///
/// The switch is a setting of the connection in memory: no other connection sees it, and a crash can't leave
/// it off. Nobody else gets to the connection in the meantime, since SQLite's lock on it is held while a function runs.
pub struct TriggersOff {
    connection: Connection,
}

impl TriggersOff {
    /// Switches them off; none when they are off already, or can't be.
    pub fn begin(connection: Connection) -> Option<Self> {
        let were_on = switch(connection, ENABLE_TRIGGER, -1)?;
        if !were_on || switch(connection, ENABLE_TRIGGER, 0)? {
            return None;
        }
        Some(Self { connection })
    }
}

impl Drop for TriggersOff {
    fn drop(&mut self) {
        switch(self.connection, ENABLE_TRIGGER, 1);
    }
}

/// Whether the connection enforces foreign keys.
pub fn enforces_references(connection: Connection) -> bool {
    switch(connection, ENABLE_FKEY, -1) != Some(false)
}

/// Lets references be broken until the open transaction ends.
///
/// # Errors
/// SQLite's.
pub fn defer_references(connection: Connection) -> Result<()> {
    if !enforces_references(connection) {
        return Ok(());
    }
    // SQLite takes the setting when it compiles the PRAGMA. When that runs, all statements of the connection are compiled
    // anew besides, for an INSERT compiled before would still look for its parent at once. Nobody needs that here: what
    // writes rows of the application is prepared after this, for one transaction. Another SQLite may need it run.
    drop(connection.prepare("PRAGMA defer_foreign_keys = ON")?);
    let mut asked = connection.prepare("PRAGMA defer_foreign_keys")?;
    if asked.step()? && asked.integer(0) != 0 {
        return Ok(());
    }
    drop(asked);
    connection.execute_script("PRAGMA defer_foreign_keys = ON")
}

/// Asks (-1) or sets (0, 1) one of the settings that are switches; what it is now. None where SQLite does not have it.
fn switch(connection: Connection, setting: c_int, wanted: c_int) -> Option<bool> {
    let mut now: c_int = 0;
    // SAFETY: the connection is open; these settings take an int and a place for an int.
    let code = unsafe {
        sq!(db_config(
            connection.raw(),
            setting,
            wanted,
            &mut now as *mut c_int
        ))
    };
    (code == 0).then_some(now != 0)
}

/// While this lives, CHECK constraints are not looked at.
pub struct ChecksOff {
    connection: Connection,
}

impl ChecksOff {
    /// Switches them off; none when they are off already.
    ///
    /// # Errors
    /// SQLite's.
    pub fn begin(connection: Connection) -> Result<Option<Self>> {
        let mut ask = connection.prepare("PRAGMA ignore_check_constraints")?;
        if ask.step()? && ask.integer(0) != 0 {
            return Ok(None);
        }
        drop(ask);
        connection.execute_script("PRAGMA ignore_check_constraints = ON")?;
        Ok(Some(Self { connection }))
    }
}

impl Drop for ChecksOff {
    fn drop(&mut self) {
        // Nothing can be done about it: SQLite has no memory left to prepare this.
        let _ = self
            .connection
            .execute_script("PRAGMA ignore_check_constraints = OFF");
    }
}
