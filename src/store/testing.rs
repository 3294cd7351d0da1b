//! A database in memory for the unit tests of all rooms, over the SQLite that the tests are linked with.

use std::ffi::{c_char, c_int};
use std::sync::Once;

use super::api::{adopt, sqlite3, sqlite3_api_routines};
use super::connection::Connection;
use super::database::Database;
use super::session::Session;

/// A session on its own database. The connection closes last.
pub struct Memory {
    pub session: Session,
    pub database: Database,
    _connection: rusqlite::Connection,
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.session.closing();
    }
}

/// Opens a database in memory.
pub fn in_memory() -> Memory {
    static ADOPTED: Once = Once::new();
    ADOPTED.call_once(adopt_linked);
    let opened = rusqlite::Connection::open_in_memory().expect("opens");
    // SAFETY: the handle lives as long as `opened`, which is dropped last.
    let connection = unsafe { Connection::new(opened.handle().cast()) };
    let session = Session::new(connection, |_| {}, false);
    Memory {
        database: session.database("main").expect("a file"),
        session,
        _connection: opened,
    }
}

/// Stores the API table of the linked SQLite, which it hands out to extensions only.
fn adopt_linked() {
    type Entry = unsafe extern "C" fn(
        *mut rusqlite::ffi::sqlite3,
        *mut *mut c_char,
        *const rusqlite::ffi::sqlite3_api_routines,
    ) -> c_int;
    unsafe extern "C" fn probe(
        _: *mut sqlite3,
        _: *mut *mut c_char,
        routines: *mut sqlite3_api_routines,
    ) -> c_int {
        // SAFETY: SQLite's own pointer.
        c_int::from(unsafe { adopt(routines) }.is_err())
    }
    // SAFETY: the same C signature; only the names of the opaque structs differ.
    let entry = unsafe { std::mem::transmute::<*const (), Entry>(probe as *const ()) };
    // SAFETY: the entry has the signature SQLite calls.
    unsafe { rusqlite::ffi::sqlite3_auto_extension(Some(entry)) };
    let opened = rusqlite::Connection::open_in_memory();
    // SAFETY: a connection opened in the meantime has stored the same table.
    unsafe { rusqlite::ffi::sqlite3_reset_auto_extension() };
    assert!(opened.is_ok(), "the linked SQLite is taken");
}
