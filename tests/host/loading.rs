//! Loading: what it adds, and that it touches nothing.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, OpenFlags};
use support::host::{failure, furnished, settled};
use support::{World, ask, library, load, try_ask};

const DETERMINISTIC: i64 = 0x800;
const DIRECTONLY: i64 = 0x8_0000;
const INNOCUOUS: i64 = 0x20_0000;

/// Name and number of arguments of everything that loading adds, one line per registration.
const FUNCTIONS: &[(&str, &[i64])] = &[
    ("sync_alter", &[2, 3]),
    ("sync_apply", &[2, 3]),
    ("sync_auto", &[1, 2]),
    ("sync_cancel", &[1, 2]),
    ("sync_capture_existing", &[1, 2]),
    ("sync_capture_off", &[0, 1, 2]),
    ("sync_capture_on", &[0, 1, 2]),
    ("sync_check", &[1, 2]),
    ("sync_debug", &[0]),
    ("sync_delete_scope", &[1]),
    ("sync_delete_status", &[1]),
    ("sync_detach", &[1, 2]),
    ("sync_discard", &[1, 2, 3]),
    ("sync_due", &[0, 1]),
    ("sync_download_all", &[1, 2]),
    ("sync_download_once", &[1, 2]),
    ("sync_entities", &[1, 2, 3, 4]),
    ("sync_function", &[3, 4]),
    ("sync_has_pending", &[0, 1]),
    ("sync_heartbeat", &[0, 1]),
    ("sync_hydrate", &[1, 2]),
    ("sync_import_openapi", &[2, 3]),
    ("sync_import_postman", &[2, 3]),
    ("sync_init", &[0, 1]),
    ("sync_interrupt", &[0, 1, 2]),
    ("sync_is_stale", &[2]),
    ("sync_next_request", &[0, 1]),
    ("sync_once", &[1, 2]),
    ("sync_pause", &[1, 2, 3]),
    ("sync_provider", &[2, 3]),
    ("sync_put_response", &[2, 3, 4]),
    ("sync_recover", &[0, 1]),
    ("sync_resolver", &[2, 3]),
    ("sync_resume", &[1, 2, 3]),
    ("sync_retry", &[1, 2]),
    ("sync_run_due", &[0, 1]),
    ("sync_secret", &[2, 3]),
    ("sync_set_status", &[2, 3]),
    ("sync_start_scope", &[1, 2]),
    ("sync_takeover", &[1, 2]),
    ("sync_track", &[1, 2]),
    ("sync_try_function", &[2, 3, 4]),
    ("sync_uninstall", &[0, 1]),
    ("sync_untrack", &[1, 2]),
    ("sync_upload_once", &[1, 2]),
    ("sync_wait", &[1, 2]),
    ("sync_wait_current", &[1, 2]),
    ("sync_worker_start", &[0, 1]),
    ("sync_worker_stop", &[0]),
    ("sync_version", &[0]),
];

/// The close hook is registered like a table, but is no table to read.
const MODULES: &[&str] = &[
    "sync_aside",
    "sync_conflict",
    "sync_cursor",
    "sync_functions",
    "sync_held",
    "sync_help",
    "sync_help_option",
    "sync_log",
    "sync_peer",
    "sync_pending",
    "sync_progress",
    "sync_scope",
    "sync_scope_member",
    "sync_status",
    "sync_worker",
    "syncscope_close_hook",
];

fn lines(connection: &Connection, sql: &str) -> BTreeSet<String> {
    ask(connection, sql).lines().map(str::to_owned).collect()
}

const LOADED_FUNCTIONS: &str = "SELECT name, narg, flags & 0x280800 FROM pragma_function_list";
const LOADED_MODULES: &str = "SELECT name FROM pragma_module_list";

#[test]
fn loading_adds_exactly_the_documented_functions_with_their_flags() {
    let world = World::new(true);
    let connection = world.plain();
    let before = lines(&connection, LOADED_FUNCTIONS);
    load(&connection);
    let added: BTreeSet<String> = lines(&connection, LOADED_FUNCTIONS)
        .difference(&before)
        .cloned()
        .collect();
    let mut expected = BTreeSet::new();
    for (name, counts) in FUNCTIONS {
        let flags = if *name == "sync_version" {
            DETERMINISTIC | INNOCUOUS
        } else {
            DIRECTONLY
        };
        for count in *counts {
            expected.insert(format!("{name}|{count}|{flags}"));
        }
    }
    assert_eq!(added, expected);
    let documented = lines(
        &connection,
        "SELECT name FROM sync_help WHERE kind LIKE '%function'",
    );
    assert_eq!(
        documented,
        FUNCTIONS
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect()
    );
}

#[test]
fn loading_adds_exactly_the_documented_modules() {
    let world = World::new(true);
    let connection = world.plain();
    let before = lines(&connection, LOADED_MODULES);
    load(&connection);
    let added: Vec<String> = lines(&connection, LOADED_MODULES)
        .difference(&before)
        .cloned()
        .collect();
    assert_eq!(added, MODULES);
    let documented = ask(
        &connection,
        "SELECT name FROM sync_help WHERE kind LIKE '%table' ORDER BY name",
    );
    let expected: Vec<&str> = MODULES
        .iter()
        .copied()
        .filter(|name| *name != "syncscope_close_hook")
        .collect();
    assert_eq!(documented.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_documented_number_of_arguments_is_the_registered_one() {
    let world = World::new(true);
    let connection = world.open();
    for (name, counts) in FUNCTIONS {
        let arguments = ask(
            &connection,
            &format!("SELECT arguments FROM sync_help WHERE name = '{name}'"),
        );
        let positional = arguments
            .split(", or one object")
            .next()
            .unwrap_or_default();
        let most = if positional.trim().is_empty() {
            0
        } else {
            positional.split(", ").count() as i64
        };
        assert_eq!(Some(&most), counts.last(), "{name}({arguments})");
    }
}

#[test]
fn loading_changes_no_byte_of_the_file() {
    for prepare in [
        "",
        "CREATE TABLE t (x); INSERT INTO t VALUES (1);",
        "furnished",
    ] {
        for mode in ["delete", "wal"] {
            let world = World::new(true);
            if prepare == "furnished" {
                drop(furnished(&world));
            } else {
                world.plain().execute_batch(prepare).expect("prepare");
            }
            ask(&world.plain(), &format!("PRAGMA journal_mode = {mode}"));
            // The work of a connection that closed is dead: settle it before.
            if prepare == "furnished" {
                ask(&world.open(), "SELECT sync_recover()");
            }
            let before = std::fs::read(world.path()).expect("read");
            let connection = world.open();
            settled(&connection, true, "load");
            assert_eq!(connection.total_changes(), 0);
            drop(connection);
            assert!(
                std::fs::read(world.path()).expect("read") == before,
                "{prepare} {mode}"
            );
        }
    }
}

#[test]
fn loading_creates_no_table() {
    let world = World::new(true);
    let connection = world.open();
    assert_eq!(ask(&connection, "SELECT count(*) FROM sqlite_master"), "0");
    ask(&connection, "SELECT sync_version()");
    ask(&connection, "SELECT sync_debug()");
    for table in MODULES {
        ask(&connection, &format!("SELECT * FROM {table}"));
    }
    assert_eq!(ask(&connection, "SELECT count(*) FROM sqlite_master"), "0");
    drop(connection);
    assert_eq!(std::fs::metadata(world.path()).expect("file").len(), 0);
}

#[test]
fn a_read_only_file_can_be_loaded_into_and_read() {
    let world = World::new(true);
    drop(furnished(&world));
    let before = std::fs::read(world.path()).expect("read");
    let reader =
        Connection::open_with_flags(world.path(), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("open");
    load(&reader);
    // Its work is dead, which the live table sees without being able to write.
    assert_eq!(
        ask(&reader, "SELECT id, state FROM sync_scope"),
        "old|interrupted"
    );
    assert_eq!(ask(&reader, "SELECT count(*) FROM sync_pending"), "2");
    drop(reader);
    assert!(std::fs::read(world.path()).expect("read") == before);
}

#[test]
fn a_locked_file_can_be_loaded_into() {
    for table in ["", "furnished"] {
        let world = World::new(true);
        if table == "furnished" {
            drop(furnished(&world));
        }
        let other = world.plain();
        other
            .execute_batch("CREATE TABLE IF NOT EXISTS mine (x); BEGIN EXCLUSIVE")
            .expect("exclusive");
        let connection = Connection::open(world.path()).expect("open");
        connection
            .busy_timeout(std::time::Duration::ZERO)
            .expect("timeout");
        load(&connection);
        settled(&connection, true, "load");
        let error = try_ask(&connection, "SELECT sync_init()").expect_err("busy");
        assert_eq!(failure(&error).0 & 0xff, 5);
        other.execute_batch("COMMIT").expect("commit");
        assert_eq!(ask(&connection, "SELECT sync_init()"), "1");
    }
}

#[test]
fn loading_does_not_wait_for_another_writer() {
    let world = World::new(true);
    drop(furnished(&world));
    let other = world.plain();
    other
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO t (x) VALUES ('q')")
        .expect("write lock");
    static WAITED: AtomicBool = AtomicBool::new(false);
    let mut connection = Connection::open(world.path()).expect("open");
    let asked = |_| {
        WAITED.store(true, Ordering::SeqCst);
        false
    };
    connection.busy_handler(Some(asked)).expect("busy handler");
    load(&connection);
    assert!(!WAITED.load(Ordering::SeqCst), "loading waited");
    // The handler would have been asked.
    try_ask(&connection, "SELECT sync_init()").expect_err("locked");
    assert!(WAITED.load(Ordering::SeqCst));
}

#[test]
fn a_file_that_is_no_database_can_be_loaded_into() {
    let world = World::new(true);
    std::fs::write(
        world.path(),
        "this is no database at all, not even nearly. ".repeat(100),
    )
    .expect("write");
    let connection = Connection::open(world.path()).expect("open");
    load(&connection);
    for sql in [
        "SELECT sync_init()",
        "SELECT * FROM sync_scope",
        "SELECT * FROM sync_pending",
        "SELECT sync_debug()",
    ] {
        let error = try_ask(&connection, sql)
            .err()
            .unwrap_or_else(|| panic!("{sql}: accepted"));
        assert_eq!(failure(&error).0, 26, "{sql}");
        settled(&connection, true, sql);
    }
}

#[test]
fn a_database_in_memory_can_be_loaded_into_and_used() {
    let connection = Connection::open_in_memory().expect("open");
    load(&connection);
    support::ask(
        &connection,
        r#"SELECT sync_provider('host', '{"kind":"host"}')"#,
    );
    support::host::furnish(&connection);
    support::host::consistent(&connection, "memory");
}

#[test]
fn loading_works_from_sql_inside_begin_and_inside_a_query() {
    for begin in [
        "",
        "BEGIN",
        "BEGIN IMMEDIATE",
        "BEGIN; CREATE TABLE mine (x)",
    ] {
        for sql in [
            "SELECT load_extension('{}')",
            "SELECT load_extension('{}'), x FROM (SELECT 1 AS x)",
        ] {
            let world = World::new(true);
            drop(furnished(&world));
            let before = std::fs::read(world.path()).expect("read");
            let connection = world.plain();
            // SAFETY: only the library under test is loaded.
            unsafe { connection.load_extension_enable() }.expect("enable");
            // rusqlite allows the C function only; the SQL function needs the other switch.
            // SAFETY: the handle is open.
            unsafe {
                rusqlite::ffi::sqlite3_enable_load_extension(connection.handle(), 1);
            }
            connection.execute_batch(begin).expect("begin");
            ask(
                &connection,
                &sql.replace("{}", &library().to_string_lossy()),
            );
            settled(&connection, begin.is_empty(), sql);
            assert_eq!(ask(&connection, "SELECT sync_version()"), "v0.1.0");
            if !begin.is_empty() {
                ask(&connection, "SELECT sync_init()");
                connection.execute_batch("ROLLBACK").expect("rollback");
                drop(connection);
                assert!(
                    std::fs::read(world.path()).expect("read") == before,
                    "{begin} {sql}"
                );
            }
        }
    }
}

#[test]
fn loading_twice_into_one_connection_is_harmless() {
    let world = World::new(true);
    let connection = furnished(&world);
    let functions = lines(&connection, LOADED_FUNCTIONS);
    for _ in 0..3 {
        load(&connection);
        settled(&connection, true, "load again");
    }
    assert_eq!(lines(&connection, LOADED_FUNCTIONS), functions);
    ask(&connection, "SELECT sync_set_status(1, 'synced')");
    support::host::consistent(&connection, "loaded twice");
}

#[test]
fn work_in_flight_survives_loading_again() {
    let world = World::new(true);
    let connection = furnished(&world);
    load(&connection);
    ask(&connection, "SELECT sync_heartbeat()");
    assert_eq!(
        ask(&connection, "SELECT state FROM _syncStatus WHERE id = 1"),
        "syncing"
    );
    assert_eq!(ask(&connection, "SELECT state FROM sync_scope"), "syncing");
}

#[test]
fn eight_threads_load_use_and_close_at_the_same_time() {
    let world = World::new(true);
    ask(&world.open(), "PRAGMA journal_mode = wal");
    ask(&world.open(), "SELECT sync_init()");
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let world = &world;
            threads.spawn(move || {
                for round in 0..20 {
                    let connection = world.open();
                    ask(
                        &connection,
                        &format!(r#"SELECT sync_start_scope('{thread}-{round}', '["a","b"]')"#),
                    );
                    ask(&connection, "SELECT count(*) FROM sync_scope");
                    ask(
                        &connection,
                        &format!("SELECT sync_delete_scope('{thread}-{round}')"),
                    );
                    settled(&connection, true, "thread");
                    connection
                        .close()
                        .map_err(|(_, error)| error)
                        .expect("close");
                }
            });
        }
    });
    support::host::consistent(&world.plain(), "threads");
    assert_eq!(ask(&world.open(), "SELECT count(*) FROM _syncScope"), "0");
}

#[test]
fn the_library_stays_mapped_after_the_last_connection_closed() {
    let world = World::new(true);
    drop(furnished(&world));
    if cfg!(target_os = "linux") {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let library = library();
        let name = library
            .file_name()
            .expect("name")
            .to_string_lossy()
            .into_owned();
        assert!(maps.contains(&name), "unmapped");
    }
    drop(furnished(&World::new(true)));
}

#[test]
fn a_failed_load_of_another_name_says_so_and_the_connection_lives() {
    let world = World::new(true);
    let connection = world.plain();
    // SAFETY: nothing is run of what can't be found.
    let error = unsafe {
        connection.load_extension_enable().expect("enable");
        connection
            .load_extension(library(), Some("no_such_entry"))
            .expect_err("refused")
    };
    assert!(error.to_string().contains("no_such_entry"), "{error}");
    load(&connection);
}

#[test]
fn only_the_two_entry_points_are_exported() {
    let Ok(output) = Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(library())
        .output()
    else {
        println!("skipped: nm is missing");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let names: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    // The standard library's unwinder leaves its personality visible in unstripped builds.
    let ours: Vec<&&str> = names
        .iter()
        .filter(|name| **name != "rust_eh_personality")
        .collect();
    assert_eq!(
        ours,
        [&"sqlite3_syncscope_init", &"sqlite3_syncscope_static_init"],
        "{names:?}"
    );
}
