//! Failures of the database as the error object of a sync.

use super::error::Error;
use crate::ground::{BUSY, Class, SyncError};

impl From<Error> for SyncError {
    fn from(error: Error) -> Self {
        const READ_ONLY: i32 = 8;
        const INTERRUPT: i32 = 9;
        const IO: i32 = 10;
        const FULL: i32 = 13;
        // A journal that can't be made.
        const CANT_OPEN: i32 = 14;
        let code = error.code();
        if error.is_busy() {
            let text = format!("{error}; another connection holds the database, sync again");
            return Self::new(Class::Data, BUSY, text, true).of_database(code);
        }
        if error.is_constraint() {
            return Self::data(error.to_string()).of_database(code);
        }
        let fault = match code & 0xff {
            INTERRUPT => Self::cancelled("interrupted by the program"),
            READ_ONLY | IO | FULL | CANT_OPEN => Self::new(
                Class::Data,
                "SYNC_ERROR_STORAGE",
                format!(
                    "{error}; nothing was lost, free some space or give write access and sync again"
                ),
                true,
            ),
            _ => Self::new(Class::Data, "SYNC_ERROR_DATABASE", error.to_string(), false),
        };
        fault.of_database(code)
    }
}
