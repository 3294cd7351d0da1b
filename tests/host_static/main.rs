//! The second entry point: for programs that link the library and hand it to
//! `sqlite3_auto_extension`. It acts on the whole process, hence a test program of its own.

use std::os::raw::{c_char, c_int};

use rusqlite::{Connection, ffi};
use support::host::settled;
use support::{World, ask};

type Entry = unsafe extern "C" fn(
    *mut ffi::sqlite3,
    *mut *mut c_char,
    *const ffi::sqlite3_api_routines,
) -> c_int;

fn entry() -> Entry {
    let entry = syncscope::sqlite3_syncscope_static_init as *const ();
    // SAFETY: the same C signature; only the names of the opaque structs differ.
    unsafe { std::mem::transmute::<*const (), Entry>(entry) }
}

#[test]
fn linked_in_and_registered_once_it_serves_every_connection() {
    // SAFETY: the entry point has the signature SQLite calls.
    assert_eq!(
        unsafe { ffi::sqlite3_auto_extension(Some(entry())) },
        ffi::SQLITE_OK
    );
    let world = World::new(true);
    for _ in 0..3 {
        let connection = world.plain();
        settled(&connection, true, "open");
        assert_eq!(ask(&connection, "SELECT sync_version()"), "v0.1.0");
        ask(&connection, r#"SELECT sync_start_scope('a', '["x"]')"#);
        settled(&connection, true, "use");
        connection
            .close()
            .map_err(|(_, error)| error)
            .expect("close");
    }
    let memory = Connection::open_in_memory().expect("the entry point returns OK");
    assert_eq!(ask(&memory, "SELECT sync_init()"), "1");

    // The loadable file beside it is another copy with statics of its own; both get along.
    let both = world.open();
    assert_eq!(ask(&both, "SELECT sync_version()"), "v0.1.0");
    ask(&both, "SELECT sync_heartbeat()");
    settled(&both, true, "both");
    drop(both);

    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for _ in 0..20 {
                    let connection = Connection::open_in_memory().expect("open");
                    ask(&connection, "SELECT sync_init()");
                }
            });
        }
    });
    // SAFETY: nobody opens a connection meanwhile.
    unsafe { ffi::sqlite3_reset_auto_extension() };
    let plain = world.plain();
    assert!(plain.prepare("SELECT sync_version()").is_err());
}
