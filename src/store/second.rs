//! A connection of our own to the caller's file, for work in the background.

use std::cell::Cell;
use std::ffi::{CString, c_int, c_void};
use std::ptr::{null, null_mut};
use std::time::Duration;

use super::api::sq;
use super::connection::Connection;
use super::error::{Error, Result, guarded};
use super::session::{Opened, Session};

thread_local! {
    /// True while this thread opens a connection of ours. A program that linked us in may have made us
    /// an automatic extension, which then runs for our own connections too.
    static OPENING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the connection that is just being loaded into is one of our own.
pub(super) fn is_ours() -> bool {
    OPENING.get()
}

/// Opens a connection of ours.
pub(super) fn opening<T>(open: impl FnOnce() -> T) -> T {
    let before = OPENING.replace(true);
    let opened = open();
    OPENING.set(before);
    opened
}

/// What a second connection to a file needs; made on the caller's thread, used on another.
pub struct Door {
    path: CString,
    opened: Opened,
    /// What the caller's connection has set and the file does not keep.
    settings: String,
    flags: c_int,
}

const READ_WRITE: c_int = 2;
const CREATE: c_int = 4;

impl Door {
    /// Finds the way into the file attached as `schema`, for a connection with the settings of the caller's.
    ///
    /// # Errors
    /// The database has no file, or the host's SQLite is built without threads.
    pub fn to(parent: &Session, schema: &str) -> Result<Self> {
        let door = Self::bare(parent, schema)?;
        door.with_settings(parent)
    }

    /// Finds the way into another file, for a connection with the settings of the caller's that is used within the call.
    /// `create`: one that is not there is made.
    ///
    /// # Errors
    /// A path that is none.
    pub fn elsewhere(parent: &Session, path: &str, create: bool) -> Result<Self> {
        let path = CString::new(path).map_err(|_| Error::misuse("the file's path holds a NUL"))?;
        let door = Self {
            path,
            opened: parent.opened(),
            settings: String::new(),
            flags: READ_WRITE | if create { CREATE } else { 0 },
        };
        door.with_settings(parent)
    }

    fn with_settings(self, parent: &Session) -> Result<Self> {
        let mut door = self;
        for pragma in ["foreign_keys", "recursive_triggers", "trusted_schema"] {
            let mut ask = parent.connection().prepare(&format!("PRAGMA {pragma}"))?;
            let value = if ask.step()? { ask.integer(0) } else { 0 };
            door.settings
                .push_str(&format!("PRAGMA {pragma} = {value};"));
        }
        Ok(door)
    }

    /// The same for a connection that writes only what is ours. Runs no statement on the caller's connection.
    ///
    /// # Errors
    /// As [`Door::to`].
    pub fn bare(parent: &Session, schema: &str) -> Result<Self> {
        if !super::api::threads_allowed() {
            return Err(Error::misuse(
                "this program's SQLite is built without threads; call without \"background\"",
            ));
        }
        let Some(path) = parent.connection().file(schema) else {
            return Err(Error::misuse(
                "this database is in memory or temporary, so no second connection can open it; call without \
                 \"background\"",
            ));
        };
        let path = CString::new(path).map_err(|_| Error::misuse("the file's path holds a NUL"))?;
        Ok(Self {
            path,
            opened: parent.opened(),
            settings: String::new(),
            flags: READ_WRITE,
        })
    }

    /// Opens the file. `busy` is how long our own statements wait for a lock.
    ///
    /// # Errors
    /// SQLite's: no such file any more, no permission, an encrypted file.
    pub fn open(self, busy: Duration) -> Result<Second> {
        const FULL_MUTEX: c_int = 0x1_0000;
        let mut raw = null_mut();
        // SAFETY: the path is a C string; `raw` is ours and closed below or by `Second`.
        let code = opening(|| unsafe {
            sq!(open_v2(
                self.path.as_ptr(),
                &mut raw,
                self.flags | FULL_MUTEX,
                null()
            ))
        });
        // SAFETY: also a failed open gives a handle, for its error text, that must be closed.
        let connection = unsafe { Connection::new(raw) };
        let second = Second {
            session: Session::new(connection, self.opened, false),
            limit: None,
        };
        if code != 0 {
            return Err(connection.error(code));
        }
        let milliseconds = c_int::try_from(busy.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the connection is open.
        unsafe { sq!(busy_timeout(connection.raw(), milliseconds)) };
        connection.execute_script(&self.settings)?;
        Ok(second)
    }
}

/// Steps of SQLite's machine between two looks at the limit: about a millisecond.
const STEPS: c_int = 50_000;

/// Says whether a connection has worked for long enough.
type Limit = Box<dyn Fn() -> bool + Send>;

/// A connection of our own; closed when dropped.
pub struct Second {
    session: Session,
    /// Boxed twice: SQLite keeps the address of the inner box.
    limit: Option<Box<Limit>>,
}

impl Second {
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Interrupts statements of this connection as soon as `enough` is true. A trigger in a stranger's
    /// file may go on for ever, and no host can interrupt a connection that it doesn't know.
    pub fn interrupt_when(&mut self, enough: impl Fn() -> bool + Send + 'static) {
        self.limit = Some(Box::new(Box::new(enough)));
        self.watch();
    }

    /// Registers the limit, or takes the registration away when there is none.
    fn watch(&mut self) {
        let raw = self.session.connection().raw();
        let limit = self.limit.as_deref_mut();
        // SAFETY: the connection is open. The inner box stays where it is until the limit is taken away,
        // which `drop` does before it goes.
        unsafe {
            // A SQLite built without it has nothing that could be interrupted either.
            let Some(progress_handler) = (*super::api::table()).progress_handler else {
                return;
            };
            match limit {
                Some(limit) => {
                    let limit: *mut Limit = limit;
                    progress_handler(raw, STEPS, Some(is_over), limit.cast());
                }
                None => progress_handler(raw, 0, None, null_mut()),
            }
        }
    }
}

/// # Safety
/// `limit` is what [`Second::interrupt_when`] has registered.
unsafe extern "C" fn is_over(limit: *mut c_void) -> c_int {
    // SAFETY: the caller vouches for it.
    let limit = unsafe { &*limit.cast::<Limit>() };
    guarded(|| Ok(limit())).unwrap_or(true).into()
}

impl Drop for Second {
    fn drop(&mut self) {
        self.session.closing();
        // Statements that are still open outlive the limit, so SQLite must forget it first.
        let limit = self.limit.take();
        self.watch();
        drop(limit);
        // SAFETY: the connection was opened by `Door::open` and is closed once; statements that are
        // still open only postpone it.
        unsafe { sq!(close_v2(self.session.connection().raw())) };
    }
}
