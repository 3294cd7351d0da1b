//! What the entry points share: adopt the host's table, make the session, register everything.

use std::ffi::{c_char, c_int};
use std::sync::Arc;

use super::api::{self, sqlite3, sqlite3_api_routines};
use super::close;
use super::connection::Connection;
use super::error::{Result, guarded};
use super::function::{self, Function};
use super::second::is_ours;
use super::session::{Opened, Session, is_loaded};
use super::table::{self, Table};
use super::turn;

/// Everything a connection gets.
pub struct Contents {
    pub functions: &'static [Function],
    pub tables: &'static [Table],
    /// Gives a new session its close hooks; also for connections of our own.
    pub opened: Opened,
    /// Runs once after registration; must write nothing that is not already someone's unfinished
    /// work, and can't fail.
    pub loaded: fn(&Arc<Session>),
}

/// What a connection got.
#[derive(Default)]
struct Listed(Option<&'static Contents>);

/// Everything that was registered on the connection: what `sync_help` lists. None on a connection of our own.
pub fn contents(session: &Session) -> Option<&'static Contents> {
    session.part::<Listed>().0
}

/// Loads the library into a connection; `success` is what to return then (0, or 256 to stay in
/// memory for the life of the process).
///
/// # Safety
/// The three pointers must be those SQLite passed to the entry point.
pub unsafe fn start(
    db: *mut sqlite3,
    message: *mut *mut c_char,
    routines: *mut sqlite3_api_routines,
    success: c_int,
    contents: &'static Contents,
) -> c_int {
    if routines.is_null() {
        return 1;
    }
    let _turn = turn::begin();
    // SAFETY: the caller vouches for the pointers.
    let outcome = unsafe {
        guarded(|| {
            api::adopt(routines)?;
            register(Connection::new(db), contents)
        })
    };
    match outcome {
        Ok(()) => success,
        // SAFETY: as above; the text goes through the table the caller brought.
        Err(error) => unsafe { api::refuse(routines, message, &error.to_string()) },
    }
}

fn register(connection: Connection, contents: &'static Contents) -> Result<()> {
    // Loading again must not take anything away from work that is under way.
    if is_loaded(connection) || is_ours() {
        return Ok(());
    }
    // Counted atomically, since a host may let go of functions on another thread than it made them;
    // not shared between threads, since SQLite calls us on one at a time.
    #[allow(clippy::arc_with_non_send_sync)]
    let session = Arc::new(Session::new(connection, contents.opened, true));
    session.share(Arc::new(Listed(Some(contents))));
    for function in contents.functions {
        function::register(&session, function)?;
    }
    for table in contents.tables {
        table::register(&session, table)?;
    }
    table::register(&session, &close::TABLE)?;
    (contents.loaded)(&session);
    Ok(())
}
