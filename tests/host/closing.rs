//! Closing, forking, leaving without closing, and a run under valgrind.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use rusqlite::{Connection, ffi};
use support::host::{consistent, furnished, settled};
use support::{World, ask, library, load};

fn closing_error(connection: Connection) -> (Connection, i32) {
    match connection.close() {
        Ok(()) => panic!("closed with a statement open"),
        Err((connection, error)) => {
            let code = support::host::failure(&error).0;
            (connection, code)
        }
    }
}

#[test]
fn a_close_that_is_busy_leaves_a_connection_that_works() {
    let world = World::new(true);
    let mut connection = furnished(&world);
    for round in 0..3 {
        let mut statement = std::ptr::null_mut();
        // SAFETY: the handle is open, the text is a C string.
        let code = unsafe {
            ffi::sqlite3_prepare_v2(
                connection.handle(),
                c"SELECT id FROM t".as_ptr(),
                -1,
                &mut statement,
                std::ptr::null_mut(),
            )
        };
        assert_eq!(code, 0);
        let (kept, code) = closing_error(connection);
        connection = kept;
        assert_eq!(code, 5, "SQLITE_BUSY");
        // SAFETY: prepared above, finalized once.
        unsafe { ffi::sqlite3_finalize(statement) };
        ask(
            &connection,
            &format!(r#"SELECT sync_start_scope('round {round}', '["r{round}"]')"#),
        );
        ask(
            &connection,
            &format!(r#"SELECT sync_entities('r{round}', 'host', '["e{round}"]')"#),
        );
        settled(&connection, true, "after a busy close");
        // Another connection does not take the new work for abandoned.
        let other = world.open();
        ask(&other, "SELECT sync_recover()");
        assert_eq!(
            ask(
                &other,
                &format!("SELECT state FROM _syncScope WHERE id = 'round {round}'")
            ),
            "syncing"
        );
        let id = ask(
            &connection,
            &format!("SELECT id FROM _syncStatus WHERE entity = 'e{round}'"),
        );
        ask(
            &connection,
            &format!("SELECT sync_set_status({id}, 'synced')"),
        );
        assert_eq!(
            ask(
                &connection,
                &format!("SELECT state FROM sync_scope WHERE id = 'round {round}'")
            ),
            "synced"
        );
    }
    connection
        .close()
        .map_err(|(_, error)| error)
        .expect("close at last");
    consistent(&world.plain(), "closed");
}

#[test]
fn work_of_a_closed_connection_is_interrupted_as_closed_by_the_next_one() {
    let world = World::new(true);
    let connection = furnished(&world);
    let other = world.open();
    assert_eq!(ask(&other, "SELECT state FROM sync_scope"), "syncing");
    connection
        .close()
        .map_err(|(_, error)| error)
        .expect("close");
    assert_eq!(
        ask(&other, "SELECT state, reason FROM sync_scope"),
        "interrupted|closed"
    );
    ask(&other, "SELECT sync_recover()");
    assert_eq!(
        ask(&other, "SELECT error FROM _syncStatus WHERE id = 1"),
        "interrupted: closed"
    );
}

#[test]
fn a_lens_left_in_the_middle_does_not_keep_the_connection_from_closing() {
    let world = World::new(true);
    let connection = furnished(&world);
    for table in [
        "sync_scope",
        "sync_status",
        "sync_scope_member",
        "sync_pending",
        "sync_help",
        "sync_help_option",
    ] {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table}"))
            .expect("prepare");
        let mut rows = statement.query([]).expect("query");
        rows.next().expect("row");
    }
    settled(&connection, true, "lenses");
    connection
        .close()
        .map_err(|(_, error)| error)
        .expect("close");
}

#[test]
fn closing_with_close_v2_and_a_statement_open_does_no_harm() {
    let world = World::new(true);
    drop(furnished(&world));
    let path = std::ffi::CString::new(world.path().to_string_lossy().into_owned()).expect("path");
    let file = std::ffi::CString::new(library().to_string_lossy().into_owned()).expect("path");
    // SAFETY: plain use of SQLite's C interface: what is opened is closed, in the order Python uses.
    unsafe {
        let mut db = std::ptr::null_mut();
        assert_eq!(ffi::sqlite3_open(path.as_ptr(), &mut db), 0);
        ffi::sqlite3_enable_load_extension(db, 1);
        assert_eq!(
            ffi::sqlite3_load_extension(
                db,
                file.as_ptr(),
                c"sqlite3_syncscope_init".as_ptr(),
                std::ptr::null_mut()
            ),
            0
        );
        let mut statement = std::ptr::null_mut();
        let sql = c"SELECT sync_heartbeat(), id FROM t";
        assert_eq!(
            ffi::sqlite3_prepare_v2(db, sql.as_ptr(), -1, &mut statement, std::ptr::null_mut()),
            0
        );
        assert_eq!(ffi::sqlite3_step(statement), ffi::SQLITE_ROW);
        let mut lens = std::ptr::null_mut();
        let sql = c"SELECT * FROM sync_pending";
        assert_eq!(
            ffi::sqlite3_prepare_v2(db, sql.as_ptr(), -1, &mut lens, std::ptr::null_mut()),
            0
        );
        assert_eq!(ffi::sqlite3_step(lens), ffi::SQLITE_ROW);
        assert_eq!(sqlite3_close_v2(db), 0);
        while ffi::sqlite3_step(lens) == ffi::SQLITE_ROW {}
        ffi::sqlite3_finalize(lens);
        // A connection that is closing runs no new SQL: the function may fail, but only that.
        ffi::sqlite3_step(statement);
        ffi::sqlite3_finalize(statement);
    }
    consistent(&world.plain(), "zombie");
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child
        .stdin
        .take()
        .expect("stdin")
        .write_all(input.as_bytes())
        .expect("write");
    child.wait_with_output().expect("wait")
}

/// On a build machine a tool must be there; elsewhere its absence skips the test.
fn missing(tool: &str, path: &str) -> bool {
    if Command::new(path).arg("--version").output().is_ok() {
        return false;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{tool} is missing; .ci/run must install it"
    );
    println!("skipped: {tool} is missing");
    true
}

unsafe extern "C" {
    /// Not among the bindings, but in the SQLite they come with.
    fn sqlite3_close_v2(db: *mut ffi::sqlite3) -> std::ffi::c_int;
}

const PYTHON: &str = "/usr/bin/python3";

fn python(world: &World, script: &str) -> Output {
    let prelude = format!(
        "import os, sqlite3, sys\n\
         def connect():\n\
         \x20   c = sqlite3.connect({path:?}, isolation_level=None, timeout=120)\n\
         \x20   c.enable_load_extension(True)\n\
         \x20   c.load_extension({library:?})\n\
         \x20   c.enable_load_extension(False)\n\
         \x20   return c\n\
         def one(c, sql):\n\
         \x20   return c.execute(sql).fetchone()[0]\n",
        path = world.path(),
        library = library().with_extension(""),
    );
    let output = run(Command::new(PYTHON).arg("-"), &(prelude + script));
    assert!(
        output.status.success(),
        "{:?}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn a_fork_of_a_process_with_a_connection_harms_neither() {
    if missing("Debian's python3", PYTHON) {
        return;
    }
    for end in [
        "os._exit(0)",
        "c.close(); os._exit(0)",
        "sys.exit(0)",
        "del c; os._exit(0)",
    ] {
        let world = World::new(true);
        drop(furnished(&world));
        python(
            &world,
            &format!(
                r#"
c = connect()
one(c, "SELECT sync_start_scope('s', '[\"q\"]')")
one(c, "SELECT sync_entities('q', 'host', '[\"e\"]')")
pid = os.fork()
if pid == 0:
    {end}
_, status = os.waitpid(pid, 0)
assert status == 0, status
assert one(c, "SELECT state FROM sync_scope WHERE id = 's'") == 'syncing'
one(c, "SELECT sync_recover()")
assert one(c, "SELECT state FROM _syncScope WHERE id = 's'") == 'syncing'
id = one(c, "SELECT id FROM _syncStatus WHERE entity = 'e'")
assert one(c, "SELECT sync_set_status(%d, 'synced')" % id) == 1
assert one(c, "PRAGMA integrity_check") == 'ok'
c.close()
"#
            ),
        );
        consistent(&world.plain(), end);
    }
}

#[test]
fn a_child_of_a_fork_that_opens_its_own_connection_is_an_owner_of_its_own() {
    if missing("Debian's python3", PYTHON) {
        return;
    }
    let world = World::new(true);
    drop(furnished(&world));
    python(
        &world,
        r#"
c = connect()
one(c, "SELECT sync_heartbeat()")
pid = os.fork()
if pid == 0:
    d = connect()
    one(d, "SELECT sync_start_scope('child', '[\"q\"]')")
    one(d, "SELECT sync_entities('q', 'host', '[\"e\"]')")
    os._exit(0)
_, status = os.waitpid(pid, 0)
assert status == 0, status
assert one(c, "SELECT state || ' ' || reason FROM sync_scope WHERE id = 'child'") == 'interrupted crashed'
one(c, "SELECT sync_recover()")
assert one(c, "SELECT state FROM _syncScope WHERE id = 'child'") == 'interrupted'
"#,
    );
    consistent(&world.plain(), "child");
}

#[test]
fn leaving_without_closing_leaves_a_sound_file() {
    if missing("Debian's python3", PYTHON) {
        return;
    }
    for end in [
        "sys.exit(0)",
        "os._exit(0)",
        "c.execute('BEGIN IMMEDIATE'); c.execute('DELETE FROM t'); os._exit(0)",
        "x = [c]; x.append(x); del c, x; sys.exit(0)",
        "cursor = c.execute('SELECT * FROM sync_pending'); cursor.fetchone(); sys.exit(0)",
    ] {
        let world = World::new(true);
        drop(furnished(&world));
        python(
            &world,
            &format!(
                "c = connect()\none(c, \"SELECT sync_start_scope('s', '[\\\"q\\\"]')\")\none(c, \"SELECT sync_entities('q', 'host', '[\\\"e\\\"]')\")\n{end}\n"
            ),
        );
        let connection = world.plain();
        consistent(&connection, end);
        assert_eq!(ask(&connection, "SELECT count(*) FROM t"), "3");
        load(&connection);
        assert_eq!(
            ask(&connection, "SELECT state FROM _syncScope WHERE id = 's'"),
            "interrupted",
            "{end}"
        );
    }
}

#[test]
fn an_interrupt_from_another_thread_leaves_no_transaction() {
    if missing("Debian's python3", PYTHON) {
        return;
    }
    let world = World::new(true);
    drop(furnished(&world));
    python(
        &world,
        r#"
import threading, time
c = connect()
stop = False
def nag():
    while not stop:
        c.interrupt()
        time.sleep(0.0003)
thread = threading.Thread(target=nag)
thread.start()
left = errors = 0
for round in range(3000):
    try:
        one(c, "SELECT sync_start_scope('s', '[\"q\"]')")
    except sqlite3.OperationalError as error:
        errors += 1
    if c.in_transaction:
        left += 1
        while c.in_transaction:
            try:
                c.execute("ROLLBACK")
            except sqlite3.OperationalError:
                pass
stop = True
thread.join()
assert left == 0, "%d of %d interrupted calls left a transaction open" % (left, errors)
"#,
    );
    consistent(&world.plain(), "nagged");
}

const SCRIPT: &str = r#"
SELECT sync_init();
SELECT sync_provider('host', '{"kind":"host"}');
CREATE TABLE p (id TEXT PRIMARY KEY NOT NULL, x, y);
INSERT INTO p VALUES ('a', 1, x'00ff'), ('b', 2, NULL);
SELECT sync_track('p');
UPDATE p SET x = 5 WHERE id = 'a';
DELETE FROM p WHERE id = 'b';
SELECT * FROM sync_pending;
SELECT sync_start_scope('s', '["i","j"]');
SELECT sync_entities('i', 'host', '["p"]');
SELECT sync_set_status(1, 'failed', 'why');
SELECT * FROM sync_scope;
SELECT * FROM sync_scope_member;
UPDATE sync_scope SET state = 'interrupted';
SELECT sync_interrupt('s', 'background');
SELECT sync_interrupt();
SELECT sync_start_scope('s', 'rubbish');
SELECT sync_alter('p', 'ALTER TABLE p DROP COLUMN y');
SELECT sync_untrack('p', '{"discard":true}');
SELECT sync_secret('token', 'value', 'https://example.com');
SELECT name FROM sync_help;
SELECT sync_debug();
SELECT sync_delete_scope('s');
SELECT sync_delete_status(1);
"#;

#[test]
fn valgrind_finds_no_error_and_no_lost_memory() {
    if missing("valgrind", "valgrind") {
        return;
    }
    let world = World::new(true);
    let script = format!(
        ".load {} sqlite3_syncscope_init\n{SCRIPT}.quit\n",
        library().display()
    );
    let output = run(
        Command::new("valgrind")
            .args([
                "--error-exitcode=99",
                "--leak-check=full",
                "--show-leak-kinds=definite",
                "--errors-for-leak-kinds=definite",
                "sqlite3",
            ])
            .arg(world.path()),
        &script,
    );
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(report.contains("ERROR SUMMARY: 0 errors"), "{report}");
    assert_ne!(output.status.code(), Some(99), "{report}");
    consistent(&world.plain(), "valgrind");
}
