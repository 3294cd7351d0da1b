//! The statements that a connection keeps for the next call, and hosts that deal with statements in their own way.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, c_int};
use std::ptr::null_mut;

use rusqlite::{Connection, ffi};
use support::host::{KEPT, consistent, furnished, settled, statements};
use support::{Backend, Device, SCHEMA, World, ask, library, load};

unsafe extern "C" {
    /// Not among the bindings, but in the SQLite they come with.
    fn sqlite3_close_v2(db: *mut ffi::sqlite3) -> c_int;
}

/// A host that uses SQLite's C interface.
struct Host {
    db: *mut ffi::sqlite3,
}

impl Host {
    /// Opens the furnished file of a world and loads the library.
    fn new(world: &World) -> Self {
        drop(furnished(world));
        let path = CString::new(world.path().to_string_lossy().into_owned()).expect("path");
        let file = CString::new(library().to_string_lossy().into_owned()).expect("path");
        let mut db = null_mut();
        let entry = c"sqlite3_syncscope_init".as_ptr();
        // SAFETY: the texts are C strings; `db` is closed by whoever uses this host.
        unsafe {
            assert_eq!(ffi::sqlite3_open(path.as_ptr(), &mut db), 0);
            ffi::sqlite3_enable_load_extension(db, 1);
            let code = ffi::sqlite3_load_extension(db, file.as_ptr(), entry, null_mut());
            assert_eq!(code, 0);
        }
        Self { db }
    }

    fn prepare(&self, sql: &str) -> *mut ffi::sqlite3_stmt {
        let text = CString::new(sql).expect("no NUL");
        let mut statement = null_mut();
        // SAFETY: the connection is open, the text is a C string.
        let code = unsafe {
            ffi::sqlite3_prepare_v2(self.db, text.as_ptr(), -1, &mut statement, null_mut())
        };
        assert_eq!(code, 0, "{sql}");
        statement
    }

    /// A statement that stands on its first row.
    fn open(&self, sql: &str) -> *mut ffi::sqlite3_stmt {
        let statement = self.prepare(sql);
        // SAFETY: just prepared.
        assert_eq!(
            unsafe { ffi::sqlite3_step(statement) },
            ffi::SQLITE_ROW,
            "{sql}"
        );
        statement
    }

    /// The first column of the first row.
    fn ask(&self, sql: &str) -> String {
        let statement = self.open(sql);
        // SAFETY: the statement stands on a row; the text is copied before it is finalized.
        unsafe {
            let text = ffi::sqlite3_column_text(statement, 0);
            let text = CStr::from_ptr(text.cast()).to_string_lossy().into_owned();
            ffi::sqlite3_finalize(statement);
            text
        }
    }

    /// Some calls whose statements are kept.
    fn call(&self, round: usize) {
        self.ask(&format!(
            r#"SELECT sync_start_scope('s{round}', '["i{round}"]')"#
        ));
        let call = format!(r#"SELECT sync_entities('i{round}', 'host', '["e{round}"]')"#);
        self.ask(&call);
        let id = self.ask(&format!(
            "SELECT id FROM sync_status WHERE entity = 'e{round}'"
        ));
        assert_eq!(
            self.ask(&format!("SELECT sync_set_status({id}, 'synced')")),
            "1"
        );
        let state = self.ask(&format!(
            "SELECT state FROM sync_scope WHERE id = 's{round}'"
        ));
        assert_eq!(state, "synced");
    }

    /// The texts of all statements there are.
    fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let mut statement = null_mut();
        // SAFETY: the connection is open; SQLite owns the texts.
        unsafe {
            loop {
                statement = ffi::sqlite3_next_stmt(self.db, statement);
                if statement.is_null() {
                    return texts;
                }
                let text = CStr::from_ptr(ffi::sqlite3_sql(statement));
                texts.push(text.to_string_lossy().into_owned());
            }
        }
    }

    /// What some drivers do before they close: finalizes every statement, whoever prepared it.
    fn finalize_all(&self) -> usize {
        let mut count = 0;
        // SAFETY: the connection is open; each statement is listed until it is finalized.
        unsafe {
            loop {
                let statement = ffi::sqlite3_next_stmt(self.db, null_mut());
                if statement.is_null() {
                    return count;
                }
                ffi::sqlite3_finalize(statement);
                count += 1;
            }
        }
    }

    /// Many statements, of all sizes.
    fn prepare_own(&self) -> Vec<*mut ffi::sqlite3_stmt> {
        let sizes = (0..200).map(|number| "+ max(id) * 0 ".repeat(number % 40));
        sizes
            .enumerate()
            .map(|(number, more)| {
                self.prepare(&format!("SELECT {number} {more} FROM main._syncStatus"))
            })
            .collect()
    }

    /// Runs and finalizes them: nobody else must have.
    fn use_own(&self, own: Vec<*mut ffi::sqlite3_stmt>) {
        let texts = self.texts();
        for (number, statement) in own.into_iter().enumerate() {
            let begin = format!("SELECT {number} ");
            assert!(texts.iter().any(|text| text.starts_with(&begin)), "{begin}");
            // SAFETY: still listed, and finalized here only.
            unsafe {
                assert_eq!(ffi::sqlite3_step(statement), ffi::SQLITE_ROW);
                assert_eq!(ffi::sqlite3_column_int64(statement, 0), number as i64);
            }
            finalize(statement);
        }
    }

    fn close(&self) -> c_int {
        // SAFETY: the connection is open and not used after a close that succeeded.
        unsafe { ffi::sqlite3_close(self.db) }
    }
}

fn finalize(statement: *mut ffi::sqlite3_stmt) {
    // SAFETY: callers have prepared it and finalize it once.
    unsafe { ffi::sqlite3_finalize(statement) };
}

/// Whether this process has the file open: a connection that closes for good lets go of it.
#[cfg(target_os = "linux")]
fn is_open(world: &World) -> bool {
    let file = world.path().canonicalize().expect("the file");
    let links = std::fs::read_dir("/proc/self/fd").expect("descriptors");
    links
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .any(|path| path == file)
}

/// The statements of a connection, by text.
fn addresses(connection: &Connection) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    // SAFETY: the connection is open; SQLite owns the texts.
    unsafe {
        let mut statement = ffi::sqlite3_next_stmt(connection.handle(), null_mut());
        while !statement.is_null() {
            let text = CStr::from_ptr(ffi::sqlite3_sql(statement));
            all.insert(text.to_string_lossy().into_owned(), statement as usize);
            statement = ffi::sqlite3_next_stmt(connection.handle(), statement);
        }
    }
    all
}

#[test]
fn a_sync_finds_all_statements_of_the_one_before() {
    let backend = Backend::start(SCHEMA);
    let device = Device::new(&backend.sync_url());
    device.exec("INSERT INTO list (id, name) VALUES ('a', 'Ann')");
    device.synced();
    device.synced();
    // The push of the first sync is forgotten by the third.
    device.synced();
    let before = addresses(&device.db);
    device.synced();
    let after = addresses(&device.db);
    assert!(before.len() > 64, "{}", before.len());
    assert_eq!(after, before);
}

#[test]
fn statements_are_kept_idle_each_once_and_without_values() {
    let world = World::new(true);
    let connection = furnished(&world);
    for round in 0..3 {
        ask(
            &connection,
            &format!("SELECT sync_set_status(1, 'failed', 'needle {round}')"),
        );
        ask(
            &connection,
            r#"SELECT sync_start_scope('needle', '["needle"]')"#,
        );
        settled(&connection, true, "a call");
    }
    let kept = statements(&connection);
    assert!(!kept.is_empty());
    // SAFETY: the connection is open; the expanded text is freed.
    unsafe {
        let mut statement = ffi::sqlite3_next_stmt(connection.handle(), null_mut());
        while !statement.is_null() {
            let text = ffi::sqlite3_expanded_sql(statement);
            let shown = CStr::from_ptr(text).to_string_lossy().into_owned();
            ffi::sqlite3_free(text.cast());
            assert!(!shown.contains("needle"), "{shown}");
            statement = ffi::sqlite3_next_stmt(connection.handle(), statement);
        }
    }
    // The same statements serve the next call.
    let texts = |kept: Vec<(String, bool)>| kept.into_iter().map(|(text, _)| text);
    let before: BTreeSet<String> = texts(kept).collect();
    ask(&connection, "SELECT sync_set_status(1, 'synced')");
    let after: BTreeSet<String> = texts(statements(&connection)).collect();
    assert_eq!(before, after);
}

#[test]
fn the_number_of_statements_kept_is_bounded() {
    let world = World::new(true);
    let connection = furnished(&world);
    for number in 0..8 {
        let file = world.file(&format!("other {number}.db"));
        let attach = format!("ATTACH '{}' AS other{number}", file.display());
        connection.execute_batch(&attach).expect("attach");
        ask(&connection, &format!("SELECT sync_init('other{number}')"));
        ask(
            &connection,
            &format!("SELECT sync_heartbeat('other{number}')"),
        );
        settled(&connection, true, "an attached file");
    }
    assert_eq!(statements(&connection).len(), KEPT);
    for number in 0..8 {
        let detach = format!("DETACH other{number}");
        connection.execute_batch(&detach).expect("detach");
    }
    ask(&connection, "SELECT sync_set_status(1, 'synced')");
}

#[test]
fn a_file_attached_under_the_name_of_another_is_the_one_that_is_used() {
    let world = World::new(true);
    let connection = world.open();
    let ids = |connection: &Connection| {
        ask(connection, "SELECT sync_heartbeat('other')");
        ask(connection, "SELECT group_concat(id) FROM other._syncOwner")
    };
    for number in 0..3 {
        let file = world.file(&format!("{number}.db"));
        let attach = format!("ATTACH '{}' AS other", file.display());
        connection.execute_batch(&attach).expect("attach");
        // The same statements made both files, so their schemas have the same version, but other pages.
        for table in 0..number {
            let create = format!("CREATE TABLE other.t{table} (x)");
            connection.execute_batch(&create).expect("create");
        }
        ask(&connection, "SELECT sync_init('other')");
        assert_eq!(ids(&connection), "1");
        connection.execute_batch("DETACH other").expect("detach");
        consistent_file(&file);
    }
}

fn consistent_file(file: &std::path::Path) {
    let connection = Connection::open(file).expect("open");
    assert_eq!(ask(&connection, "PRAGMA integrity_check"), "ok");
}

#[test]
fn statements_follow_a_schema_that_changes() {
    let world = World::new(true);
    let connection = furnished(&world);
    let set = |state: &str| {
        ask(
            &connection,
            &format!("SELECT sync_set_status(1, '{state}')"),
        )
    };
    assert_eq!(set("synced"), "1");
    let other = world.plain();
    other
        .execute_batch(
            "CREATE TABLE seen (state TEXT);
             CREATE TRIGGER see AFTER UPDATE ON _syncStatus BEGIN
                 INSERT INTO seen SELECT NEW.state || ' ' || count(*) FROM sync_scope_member;
             END;",
        )
        .expect("trigger");
    // The trigger reads through the library in the middle of the library's own statement.
    assert_eq!(set("failed"), "1");
    assert_eq!(set("synced"), "1");
    let seen = |what: &str| ask(&other, &format!("SELECT {what} FROM seen"));
    assert_eq!(seen("group_concat(DISTINCT state)"), "failed 2,synced 2");
    let count = seen("count(*)");
    other
        .execute_batch("DROP TRIGGER see; VACUUM")
        .expect("vacuum");
    assert_eq!(set("failed"), "1");
    assert_eq!(seen("count(*)"), count);
    settled(&connection, true, "schema changes");
}

#[test]
fn a_statement_in_use_is_not_handed_out_again() {
    let world = World::new(true);
    let connection = furnished(&world);
    let count = ask(&connection, "SELECT count(*) FROM sync_pending");
    assert_eq!(count, "2");
    for table in [
        "sync_pending",
        "sync_help",
        "sync_status",
        "sync_scope_member",
    ] {
        let once: usize = ask(&connection, &format!("SELECT count(*) FROM {table}"))
            .parse()
            .expect("a number");
        let pairs = format!(
            "SELECT count(*), count(DISTINCT a.rowid || ' ' || b.rowid) FROM {table} AS a JOIN {table} AS b"
        );
        let square = once * once;
        assert_eq!(ask(&connection, &pairs), format!("{square}|{square}"));
        settled(&connection, true, table);
    }
}

#[test]
fn a_connection_that_only_read_can_be_closed() {
    let world = World::new(true);
    drop(furnished(&world));
    let connection = world.open();
    assert_eq!(ask(&connection, "SELECT count(*) FROM sync_scope"), "1");
    assert_eq!(ask(&connection, "SELECT sync_has_pending()"), "1");
    connection
        .close()
        .map_err(|(_, error)| error)
        .expect("close");
}

#[test]
fn without_the_close_hook_nothing_is_kept() {
    use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
    let world = World::new(true);
    drop(furnished(&world));
    let mut connection = world.plain();
    connection
        .authorizer(Some(|context: AuthContext<'_>| match context.action {
            AuthAction::Read { table_name, .. } if table_name.starts_with("syncscope_close") => {
                Authorization::Deny
            }
            _ => Authorization::Allow,
        }))
        .expect("authorizer");
    load(&connection);
    assert_eq!(ask(&connection, "SELECT sync_set_status(1, 'synced')"), "1");
    assert_eq!(ask(&connection, "SELECT count(*) FROM sync_scope"), "1");
    assert_eq!(statements(&connection), []);
    connection
        .close()
        .map_err(|(_, error)| error)
        .expect("close");
}

#[test]
fn a_host_that_finalizes_every_statement_before_it_closes() {
    for round in 0..3 {
        let world = World::new(true);
        let host = Host::new(&world);
        host.call(round);
        assert!(!host.texts().is_empty());
        // Statements of ours are open below those of the host.
        for table in ["sync_pending", "sync_scope", "sync_pending", "sync_status"] {
            host.open(&format!("SELECT * FROM {table}"));
        }
        host.call(round + 10);
        assert!(host.finalize_all() > 10);
        assert_eq!(host.close(), 0);
        consistent(&world.plain(), "finalized");
    }
}

#[test]
fn a_host_that_finalizes_every_statement_and_goes_on() {
    let world = World::new(true);
    let host = Host::new(&world);
    for round in 0..5 {
        host.call(round);
        if round % 2 == 0 {
            host.open("SELECT * FROM sync_pending");
        }
        host.finalize_all();
        assert_eq!(host.texts(), [""; 0]);
        // Statements of the host's get the memory of those that are gone.
        let own = host.prepare_own();
        host.call(round + 10);
        host.use_own(own);
    }
    assert_eq!(host.close(), 0);
    consistent(&world.plain(), "went on");
}

#[test]
fn a_host_that_finalizes_what_it_did_not_prepare_below_an_open_lens() {
    let world = World::new(true);
    let host = Host::new(&world);
    for round in 0..5 {
        let lens = host.open("SELECT * FROM sync_pending");
        host.call(round);
        // SAFETY: the connection is open; each statement is listed until it is finalized.
        unsafe {
            loop {
                let next = ffi::sqlite3_next_stmt(host.db, null_mut());
                assert!(!next.is_null());
                if next == lens {
                    break;
                }
                ffi::sqlite3_finalize(next);
            }
        }
        // Statements of the host's get the memory of those that are gone; the lens must not end them.
        let own = host.prepare_own();
        finalize(lens);
        host.use_own(own);
    }
    assert_eq!(host.close(), 0);
}

#[test]
fn a_host_whose_close_fails_finalizes_every_statement_and_closes_again() {
    for goes_on in [false, true] {
        let world = World::new(true);
        let host = Host::new(&world);
        host.call(0);
        let pending = host.open("SELECT * FROM sync_pending");
        host.open("SELECT * FROM t");
        assert_eq!(host.close(), ffi::SQLITE_BUSY);
        // What was kept is gone; what is open of ours belongs to the host's open statement.
        let open = host.texts();
        assert!(open.len() < 10, "{open:?}");
        if goes_on {
            host.call(1);
            assert_eq!(host.close(), ffi::SQLITE_BUSY);
            // SAFETY: the statement is open.
            let next = unsafe { ffi::sqlite3_step(pending) };
            assert_eq!(next, ffi::SQLITE_ROW);
            host.call(2);
        }
        host.finalize_all();
        assert_eq!(host.close(), 0);
        consistent(&world.plain(), "closed at last");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn close_v2_lets_go_of_the_file_with_the_last_statement() {
    for finalizes_all in [false, true] {
        let world = World::new(true);
        let host = Host::new(&world);
        host.call(0);
        let open = [
            host.open("SELECT * FROM sync_pending"),
            host.open("SELECT sync_heartbeat(), id FROM t"),
            host.open("SELECT * FROM sync_scope"),
        ];
        host.call(1);
        if finalizes_all {
            host.finalize_all();
        }
        // SAFETY: the connection goes with its last statement and is not used afterwards.
        assert_eq!(unsafe { sqlite3_close_v2(host.db) }, 0);
        assert_eq!(is_open(&world), !finalizes_all);
        if !finalizes_all {
            open.into_iter().for_each(finalize);
        }
        assert!(!is_open(&world), "finalizes all: {finalizes_all}");
        consistent(&world.plain(), "close_v2");
    }
}

#[test]
fn a_database_put_in_place_of_the_one_that_was_open_is_the_one_that_is_used() {
    let image = |tables: usize| {
        let connection = Connection::open_in_memory().expect("open");
        for number in 0..tables {
            let create = format!("CREATE TABLE t{number} (x)");
            connection.execute_batch(&create).expect("create");
        }
        load(&connection);
        ask(&connection, "SELECT sync_init()");
        ask(
            &connection,
            r#"SELECT sync_provider('host', '{"kind":"host"}')"#,
        );
        furnish_some(&connection);
        // The same version of the schema, whatever it took to make it.
        connection
            .execute_batch("PRAGMA schema_version = 4711")
            .expect("version");
        let mut size = 0;
        // SAFETY: the connection is open; the image is SQLite's until it is handed over below.
        let data =
            unsafe { ffi::sqlite3_serialize(connection.handle(), c"main".as_ptr(), &mut size, 0) };
        assert!(!data.is_null());
        (data, size)
    };
    let connection = Connection::open_in_memory().expect("open");
    for tables in [0, 3, 1] {
        let (data, size) = image(tables);
        const FREE_AND_GROW: u32 = 3;
        // SAFETY: SQLite takes the image over.
        let code = unsafe {
            let main = c"main".as_ptr();
            ffi::sqlite3_deserialize(connection.handle(), main, data, size, size, FREE_AND_GROW)
        };
        assert_eq!(code, 0);
        load(&connection);
        assert_eq!(
            ask(&connection, "SELECT sync_set_status(1, 'synced')"),
            "1",
            "{tables}"
        );
        assert_eq!(ask(&connection, "SELECT state FROM _syncStatus"), "synced");
        assert_eq!(ask(&connection, "PRAGMA integrity_check"), "ok");
    }
}

fn furnish_some(connection: &Connection) {
    ask(connection, r#"SELECT sync_start_scope('s', '["i"]')"#);
    ask(connection, r#"SELECT sync_entities('i', 'host', '["e"]')"#);
}
