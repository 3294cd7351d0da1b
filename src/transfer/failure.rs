//! Failures of the rooms below as the error object of a sync.

use crate::http::HttpError;
use crate::providers::{Class, SyncError};
use crate::store::{Connection, Error, quote_name};

use super::apply_table::shown;

impl From<Error> for SyncError {
    fn from(error: Error) -> Self {
        const READ_ONLY: i32 = 8;
        const INTERRUPT: i32 = 9;
        const IO: i32 = 10;
        const FULL: i32 = 13;
        // A journal that can't be made.
        const CANT_OPEN: i32 = 14;
        if error.is_busy() {
            let text = format!("{error}; another connection holds the database, sync again");
            return Self::new(Class::Data, "SYNC_ERROR_BUSY", text, true);
        }
        if error.is_constraint() {
            return Self::data(error.to_string());
        }
        match error.code() & 0xff {
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
        }
    }
}

impl From<HttpError> for SyncError {
    fn from(error: HttpError) -> Self {
        let class = match error.class() {
            "auth" => Class::Auth,
            "protocol" => Class::Protocol,
            "data" => Class::Data,
            "cancelled" => Class::Cancelled,
            _ => Class::Network,
        };
        Self::new(class, error.code(), error.to_string(), error.retryable())
    }
}

/// Names a row whose reference is broken, while the transaction is still open.
pub fn explain_foreign_key(connection: Connection, error: Error) -> Error {
    if !error.is_constraint() {
        return error;
    }
    let broken = (|| {
        let mut check = connection.prepare("PRAGMA foreign_key_check")?;
        if !check.step()? {
            return Ok(None);
        }
        let (table, parent) = (check.text(0), check.text(2));
        let row = match check.column(1).as_i64() {
            Some(rowid) => {
                key_of(connection, &table, rowid).unwrap_or_else(|| format!(" (rowid {rowid})"))
            }
            None => String::new(),
        };
        Ok::<_, Error>(Some((table, row, parent)))
    })();
    let Ok(Some((table, row, parent))) = broken else {
        return error;
    };
    Error::Sqlite {
        code: error.code(),
        text: format!(
            "{error}: a row of {table:?}{row} refers to a row that is missing from {parent:?}; \
             nothing of this pull was applied; if the row was made here, delete it or let it refer to another"
        ),
    }
}

/// The key of a row in words, when it is one column.
fn key_of(connection: Connection, table: &str, rowid: i64) -> Option<String> {
    let mut keys = connection
        .prepare("SELECT max(name) FROM pragma_table_info(?1) WHERE pk > 0 HAVING count(*) = 1")
        .ok()?;
    keys.bind(1, table.into()).ok()?;
    let key = keys.step().ok()?.then(|| keys.optional_text(0))??;
    let sql = format!(
        "SELECT {} FROM {} WHERE rowid = ?1",
        quote_name(&key),
        quote_name(table)
    );
    let mut row = connection.prepare(&sql).ok()?;
    row.bind(1, rowid.into()).ok()?;
    let value = row.step().ok()?.then(|| row.column(0).to_owned())?;
    Some(format!(" ({key} {:?})", shown(&value)))
}
