//! A connection of our own to the caller's file, for work in the background.

use std::cell::Cell;
use std::ffi::{CString, c_int};
use std::ptr::{null, null_mut};
use std::time::Duration;

use super::api::sq;
use super::connection::Connection;
use super::entry::Contents;
use super::error::{Error, Result};
use super::session::Session;

thread_local! {
    /// True while this thread opens a connection of ours. A program that linked us in may have made us
    /// an automatic extension, which then runs for our own connections too.
    static OPENING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the connection that is just being loaded into is one of our own.
pub(super) fn is_ours() -> bool {
    OPENING.get()
}

/// What a second connection to a file needs; made on the caller's thread, used on another.
pub struct Door {
    path: CString,
    contents: &'static Contents,
    /// What the caller's connection has set and the file does not keep.
    settings: String,
}

impl Door {
    /// Finds the way into the file attached as `schema`.
    ///
    /// # Errors
    /// The database has no file, or the host's SQLite is built without threads.
    pub fn to(parent: &Session, schema: &str) -> Result<Self> {
        if !super::api::threads_allowed() {
            return Err(Error::misuse(
                "this program's SQLite is built without threads; call without \"background\"",
            ));
        }
        let Some(path) = parent.connection().file(schema) else {
            return Err(Error::misuse(
                "this database is in memory or temporary, so nobody else can open it; call without \
                 \"background\"",
            ));
        };
        let path = CString::new(path).map_err(|_| Error::misuse("the file's path holds a NUL"))?;
        let mut settings = String::new();
        for pragma in ["foreign_keys", "recursive_triggers"] {
            let mut ask = parent.connection().prepare(&format!("PRAGMA {pragma}"))?;
            let value = if ask.step()? { ask.integer(0) } else { 0 };
            settings.push_str(&format!("PRAGMA {pragma} = {value};"));
        }
        Ok(Self {
            path,
            contents: parent.contents(),
            settings,
        })
    }

    /// Opens the file. `busy` is how long our own statements wait for a lock.
    ///
    /// # Errors
    /// SQLite's: no such file any more, no permission, an encrypted file.
    pub fn open(self, busy: Duration) -> Result<Second> {
        const READ_WRITE: c_int = 2;
        const FULL_MUTEX: c_int = 0x1_0000;
        let mut raw = null_mut();
        // SAFETY: the path is a C string; `raw` is ours and closed below or by `Second`.
        let code = unsafe {
            OPENING.set(true);
            let code = sq!(open_v2(
                self.path.as_ptr(),
                &mut raw,
                READ_WRITE | FULL_MUTEX,
                null()
            ));
            OPENING.set(false);
            code
        };
        // SAFETY: also a failed open gives a handle, for its error text, that must be closed.
        let connection = unsafe { Connection::new(raw) };
        let second = Second {
            session: Session::new(connection, self.contents, false),
        };
        if code != 0 {
            return Err(connection.error(code));
        }
        (self.contents.opened)(&second.session);
        let milliseconds = c_int::try_from(busy.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the connection is open.
        unsafe { sq!(busy_timeout(connection.raw(), milliseconds)) };
        connection.execute_script(&self.settings)?;
        Ok(second)
    }
}

/// A connection of our own; closed when dropped.
pub struct Second {
    session: Session,
}

impl Second {
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.session.closing();
        // SAFETY: the connection was opened by `Door::open` and is closed once; statements that are
        // still open only postpone it.
        unsafe { sq!(close_v2(self.session.connection().raw())) };
    }
}
