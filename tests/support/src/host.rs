//! What the tests of life inside a host share: a database with a bit of everything, every function
//! that changes something in a call that works, and the check that a call left nothing behind.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::path::Path;

use rusqlite::{Connection, ffi};

use crate::database::{World, ask, try_ask};
use crate::scopes::{begin, start};

/// Every function that changes tables and needs no network, in a call that works on [`furnished`].
pub const LOCAL: &[&str] = &[
    "sync_init()",
    r#"sync_provider('other', '{"kind":"host"}')"#,
    "sync_track('t')",
    r#"sync_untrack('tracked', '{"discard":true}')"#,
    "sync_capture_existing('tracked')",
    "sync_alter('tracked', 'ALTER TABLE tracked DROP COLUMN extra')",
    r#"sync_start_scope('new', '["a","b"]')"#,
    r#"sync_entities('j', 'host', '["t"]')"#,
    "sync_set_status(1, 'synced')",
    "sync_retry('tracked', 'a')",
    "sync_discard('tracked', 'a')",
    "sync_delete_scope('old')",
    "sync_delete_status(1)",
    "sync_interrupt('old', 'why')",
    "sync_recover()",
    "sync_heartbeat()",
];

/// The name in front of a call.
pub fn name_of(call: &str) -> &str {
    call.split('(').next().unwrap_or(call)
}

/// A connection with the extension on a file with a plain table `t` of three rows, a tracked table
/// with pending changes, a running scope and an open operation (status 1).
pub fn furnished(world: &World) -> Connection {
    let connection = world.ready();
    furnish(&connection);
    connection
}

pub fn furnish(connection: &Connection) {
    connection
        .execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT, extra TEXT);
             INSERT INTO t (id, x) VALUES (1, 'one'), (2, 'two'), (3, 'three');
             CREATE TABLE tracked (id TEXT PRIMARY KEY NOT NULL, x TEXT, extra TEXT);
             INSERT INTO tracked (id, x) VALUES ('a', 'ä'), ('b', NULL);",
        )
        .expect("tables");
    ask(connection, "SELECT sync_track('tracked')");
    start(connection, "old", r#"["i","k"]"#);
    begin(connection, "i", r#"["t"]"#);
}

/// A world whose file holds a copy of `base`.
pub fn copy_of(base: &Path) -> World {
    let world = World::new(true);
    std::fs::copy(base, world.path()).expect("copy");
    world
}

/// The path of a closed, furnished database.
pub fn furnished_file() -> (World, std::path::PathBuf) {
    let world = World::new(true);
    drop(furnished(&world));
    let path = world.path();
    (world, path)
}

/// The SQL texts of all statements of a connection that are not finalized.
pub fn statements(connection: &Connection) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    // SAFETY: the handle is open for as long as `connection` is borrowed; SQLite owns the texts.
    unsafe {
        let mut statement = std::ptr::null_mut();
        loop {
            statement = ffi::sqlite3_next_stmt(connection.handle(), statement);
            if statement.is_null() {
                return found;
            }
            let text = ffi::sqlite3_sql(statement);
            let text = if text.is_null() {
                String::new()
            } else {
                CStr::from_ptr(text).to_string_lossy().into_owned()
            };
            found.push((text, ffi::sqlite3_stmt_busy(statement) != 0));
        }
    }
}

/// Statements that a connection keeps for the next call, at most.
pub const KEPT: usize = 256;

/// After a call: the transaction state is as it was, and no statement is left but those that are kept for the
/// next call, each once.
#[track_caller]
pub fn settled(connection: &Connection, autocommit: bool, what: &str) {
    assert_eq!(connection.is_autocommit(), autocommit, "{what}: autocommit");
    let left = statements(connection);
    let busy: Vec<_> = left.iter().filter(|(_, busy)| *busy).collect();
    assert!(busy.is_empty(), "{what}: busy statements: {busy:?}");
    let texts: BTreeSet<&str> = left.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts.len(), left.len(), "{what}: statements left: {left:?}");
    assert!(left.len() <= KEPT, "{what}: statements left: {left:?}");
}

/// The extended code and the text of an error SQLite reported.
#[track_caller]
pub fn failure(error: &rusqlite::Error) -> (i32, String) {
    match error {
        rusqlite::Error::SqliteFailure(error, text) => {
            (error.extended_code, text.clone().unwrap_or_default())
        }
        rusqlite::Error::SqlInputError { error, msg, .. } => (error.extended_code, msg.clone()),
        other => panic!("not an error of SQLite: {other}"),
    }
}

/// Code and text of a statement that must fail.
#[track_caller]
pub fn fails(connection: &Connection, sql: &str) -> (i32, String) {
    match try_ask(connection, sql) {
        Ok(rows) => panic!("{sql}: not refused, but {rows}"),
        Err(error) => failure(&error),
    }
}

/// Everything in the file that a function could change, to compare before and after; times and
/// leases left out, for every call renews them.
pub fn everything(connection: &Connection) -> String {
    let tables = ask(
        connection,
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('_syncOwner') \
         ORDER BY name",
    );
    let mut text = ask(
        connection,
        "SELECT type, name, sql FROM sqlite_master ORDER BY type, name",
    );
    for table in tables.lines() {
        let rows = ask(
            connection,
            &format!("SELECT * FROM \"{table}\" ORDER BY 1, 2"),
        );
        text.push_str(&format!("\n== {table}\n{rows}"));
    }
    text
}

/// What must hold in every file at every time.
#[track_caller]
pub fn consistent(connection: &Connection, what: &str) {
    assert_eq!(ask(connection, "PRAGMA integrity_check"), "ok", "{what}");
    let installed = ask(
        connection,
        "SELECT count(*) FROM sqlite_master WHERE name IN ('_syncMeta', '_syncScope', '_syncLog')",
    );
    if installed == "0" {
        let left = ask(
            connection,
            "SELECT group_concat(name) FROM sqlite_master WHERE name LIKE '\\_sync%' ESCAPE '\\'",
        );
        assert_eq!(left, "NULL", "{what}: half an installation");
        return;
    }
    for (sql, meaning) in [
        (
            "SELECT id FROM _syncScope AS s WHERE (notStarted, syncing, failed, synced) IS NOT (
               SELECT total(state = 'notStarted'), total(state = 'syncing'),
                      total(state = 'failed'), total(state = 'synced')
               FROM _syncScopeMember WHERE scopeId = s.id)",
            "counts differ from the members",
        ),
        (
            "SELECT id FROM _syncScope WHERE id NOT IN (SELECT scopeId FROM _syncScopeInfo)",
            "a scope without its info",
        ),
        (
            "SELECT scopeId FROM _syncScopeInfo WHERE hold <> 0",
            "a scope is held",
        ),
        (
            "SELECT instanceId FROM _syncInstance WHERE hold <> 0",
            "an instance is held",
        ),
        (
            "SELECT scopeId FROM _syncScopeMember WHERE scopeId NOT IN (SELECT id FROM _syncScope)",
            "a member without its scope",
        ),
        (
            "SELECT id FROM _syncStatus WHERE state = 'syncing' AND id NOT IN (
               SELECT statusId FROM _syncOperation WHERE state = 'syncing')",
            "a status in syncing that nobody works on",
        ),
        (
            "SELECT id FROM _syncScope WHERE NOT json_valid(details)",
            "details that are no JSON",
        ),
    ] {
        assert_eq!(ask(connection, sql), "", "{what}: {meaning}");
    }
}
