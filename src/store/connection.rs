//! The caller's connection, and questions to ask it.

use std::ffi::{CStr, CString, c_int};
use std::ptr::{null, null_mut};

use sqlite_loadable::ext::sqlite3;

use super::api::sq;
use super::error::{Error, Result};

/// The state of a connection, for the rules of [`super::transaction`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// No BEGIN is open.
    pub autocommit: bool,
    /// What the connection's transaction has done so far.
    pub state: TransactionState,
}

/// `sqlite3_txn_state` over all attached files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionState {
    None,
    Read,
    Write,
}

/// A handle of the connection that loaded us. Copying it copies the handle, not the connection.
///
/// It stays valid while any of our functions, tables or statements exist on the connection:
/// `sqlite3_close` refuses, and `sqlite3_close_v2` postpones, until they are gone.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    raw: *mut sqlite3,
}

impl Connection {
    /// # Safety
    /// `raw` must be an open connection of the host whose API table is stored.
    pub(super) unsafe fn new(raw: *mut sqlite3) -> Self {
        Self { raw }
    }

    pub(super) fn raw(self) -> *mut sqlite3 {
        self.raw
    }

    /// The error SQLite holds for the last call, with its extended code.
    pub(super) fn error(self, code: c_int) -> Error {
        // SAFETY: the connection is open; the text is copied before the next call can change it.
        let (extended, text) = unsafe {
            let text = sq!(errmsg(self.raw));
            let text = if text.is_null() {
                String::from("out of memory")
            } else {
                CStr::from_ptr(text).to_string_lossy().into_owned()
            };
            (sq!(extended_errcode(self.raw)), text)
        };
        let code = if extended & 0xff == code & 0xff {
            extended
        } else {
            code
        };
        Error::Sqlite { code, text }
    }

    /// Runs a script of any number of statements, rows ignored.
    ///
    /// # Errors
    /// SQLite's, at the first statement that fails; the ones before it stay done.
    pub fn execute_script(self, sql: &str) -> Result<()> {
        let sql =
            CString::new(sql).map_err(|_| Error::argument("the SQL text holds a NUL byte"))?;
        // SAFETY: `sql` is a C string; no callback is given.
        let code = unsafe { sq!(exec(self.raw, sql.as_ptr(), None, null_mut(), null_mut())) };
        if code == 0 {
            Ok(())
        } else {
            Err(self.error(code))
        }
    }

    /// The state of the connection right now.
    pub fn standing(self) -> Standing {
        // SAFETY: the connection is open; a null schema asks for all attached files.
        let (autocommit, state) = unsafe {
            (
                sq!(get_autocommit(self.raw)),
                sq!(txn_state(self.raw, null())),
            )
        };
        let state = match state {
            2 => TransactionState::Write,
            1 => TransactionState::Read,
            _ => TransactionState::None,
        };
        Standing {
            autocommit: autocommit != 0,
            state,
        }
    }

    /// Rows changed by the last statement, triggers not counted.
    pub fn changes(self) -> i64 {
        // SAFETY: the connection is open.
        unsafe { sq!(changes64(self.raw)) }
    }

    /// Whether the open transaction has broken references that keep it from being committed. A guess: SQLite counts
    /// them, and some counts are too high.
    pub fn has_broken_references(self) -> bool {
        /// `SQLITE_DBSTATUS_DEFERRED_FKS`.
        const DEFERRED_FKS: c_int = 10;
        let (mut now, mut most) = (0, 0);
        // SAFETY: the connection is open; both places take an int.
        let code = unsafe { sq!(db_status(self.raw, DEFERRED_FKS, &mut now, &mut most, 0)) };
        code == 0 && now != 0
    }

    pub fn last_insert_rowid(self) -> i64 {
        // SAFETY: the connection is open.
        unsafe { sq!(last_insert_rowid(self.raw)) }
    }

    pub(super) fn set_last_insert_rowid(self, rowid: i64) {
        // SAFETY: the connection is open.
        unsafe { sq!(set_last_insert_rowid(self.raw, rowid)) };
    }

    /// Path of an attached file; none for `:memory:` and temporary databases.
    pub fn file(self, schema: &str) -> Option<String> {
        let schema = CString::new(schema).ok()?;
        // SAFETY: the connection is open, the name is a C string; SQLite owns the answer.
        let path = unsafe {
            let path = sq!(db_filename(self.raw, schema.as_ptr()));
            if path.is_null() {
                return None;
            }
            CStr::from_ptr(path).to_string_lossy().into_owned()
        };
        (!path.is_empty()).then_some(path)
    }

    /// Whether an attached file can't be written; none when no such file is attached.
    pub fn read_only(self, schema: &str) -> Option<bool> {
        let schema = CString::new(schema).ok()?;
        // SAFETY: as above.
        match unsafe { sq!(db_readonly(self.raw, schema.as_ptr())) } {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}
