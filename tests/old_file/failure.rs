//! An upgrade that fails leaves the file as it was; a newer file is refused.

use super::fixture::{newest, old_bytes, old_file, read_only, reads_as_ever, version, whole};
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use support::{ask, load, refused, try_ask};

/// After a failure: code and text are as expected, and the file is, object by object and row by row, what v0.1.0
/// wrote.
#[track_caller]
fn failed_and_as_it_was(connection: &Connection, before: &str, code: i32, said: &str) {
    let error = try_ask(connection, "SELECT sync_init()").expect_err(said);
    let found = error.sqlite_error().map(|error| error.extended_code);
    let text = error.to_string();
    assert_eq!(found, Some(code), "{text}");
    // The transaction of a read-only or locked file may not even begin.
    let named = text.contains("the file could not be upgraded from schema 1 to 6 and is unchanged");
    assert!(named || [5, 8].contains(&code), "{text}");
    assert!(text.contains(said), "{said}: {text}");
    assert!(connection.is_autocommit(), "{said}");
    assert_eq!(whole(connection), before, "{said}");
    reads_as_ever(connection, said);
}

#[test]
fn an_upgrade_that_fails_leaves_the_file_as_it_was() {
    // What stands in the way, the code and a part of the text, and what takes it out of the way.
    for (obstacle, code, said, remedy) in [
        (
            "PRAGMA query_only = ON",
            8,
            "readonly database",
            "PRAGMA query_only = OFF",
        ),
        (
            "PRAGMA max_page_count = 1",
            13,
            "database or disk is full",
            "PRAGMA max_page_count = 1000000",
        ),
        (
            "CREATE TRIGGER no BEFORE UPDATE ON _syncMeta BEGIN SELECT RAISE(ABORT, 'not today'); END",
            1811,
            "not today",
            "DROP TRIGGER no",
        ),
        (
            "CREATE TABLE _syncPeer (mine)",
            1,
            "table _syncPeer already exists",
            "DROP TABLE _syncPeer",
        ),
        (
            "CREATE TABLE _syncRunKept (mine)",
            1,
            "table _syncRunKept already exists",
            "DROP TABLE _syncRunKept",
        ),
        (
            "CREATE INDEX _syncVersion ON list (name)",
            1,
            "there is already an index named _syncVersion",
            "DROP INDEX _syncVersion",
        ),
    ] {
        let world = old_file();
        let connection = world.open();
        connection.execute_batch(obstacle).expect(obstacle);
        let before = whole(&connection);
        failed_and_as_it_was(&connection, &before, code, said);
        connection.execute_batch(remedy).expect(remedy);
        ask(&connection, "SELECT sync_init()");
        assert_eq!(version(&connection), newest(), "{obstacle}");
        reads_as_ever(&connection, remedy);
    }
}

#[test]
fn a_read_only_file_and_a_locked_one_stay_as_they_are() {
    let world = old_file();
    let connection = read_only(&world);
    let before = whole(&connection);
    failed_and_as_it_was(&connection, &before, 8, "readonly database");
    let writer = world.plain();
    let connection = world.open();
    connection
        .busy_timeout(std::time::Duration::ZERO)
        .expect("timeout");
    writer.execute_batch("BEGIN IMMEDIATE").expect("begin");
    failed_and_as_it_was(&connection, &before, 5, "database is locked");
    writer.execute_batch("ROLLBACK").expect("rollback");
    assert_eq!(std::fs::read(world.path()).expect("read"), old_bytes());
}

#[test]
fn a_host_that_forbids_a_statement_of_the_upgrade_keeps_the_old_file() {
    type Forbidden = fn(&AuthAction<'_>) -> bool;
    let forbidden: [Forbidden; 3] = [
        |action| matches!(action, AuthAction::DropTable { .. }),
        |action| matches!(action, AuthAction::CreateTable { table_name } if *table_name == "_syncVersion"),
        |action| matches!(action, AuthAction::Delete { table_name } if *table_name == "sqlite_sequence"),
    ];
    for forbidden in forbidden {
        let world = old_file();
        let mut connection = world.open();
        let before = whole(&connection);
        let guard = move |context: AuthContext<'_>| match forbidden(&context.action) {
            true => Authorization::Deny,
            false => Authorization::Allow,
        };
        connection.authorizer(Some(guard)).expect("authorizer");
        failed_and_as_it_was(&connection, &before, 23, "not authorized");
        connection
            .authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
            .expect("authorizer");
        ask(&connection, "SELECT sync_init()");
        assert_eq!(version(&connection), newest());
    }
}

#[test]
fn a_statement_that_still_reads_is_named_as_the_obstacle() {
    let world = old_file();
    let connection = world.open();
    let before = whole(&connection);
    let mut reading = connection.prepare("SELECT id FROM list").expect("prepare");
    let mut rows = reading.query([]).expect("query");
    rows.next().expect("a row");
    let text = refused(&connection, "SELECT sync_heartbeat()");
    assert!(text.contains("finish or reset the statements"), "{text}");
    drop(rows);
    drop(reading);
    assert_eq!(whole(&connection), before);
    ask(&connection, "SELECT sync_heartbeat()");
}

#[test]
fn an_interruption_at_any_moment_of_the_upgrade_leaves_the_file_as_it_was() {
    let mut interruptions = 0;
    // Each time a little later, until the upgrade is done before the interruption comes.
    for opcodes in (1..).map(|step| 40 + step * 97) {
        let world = old_file();
        let mut connection = world.plain();
        load(&connection);
        connection
            .progress_handler(opcodes, Some(|| true))
            .expect("handler");
        let outcome = try_ask(&connection, "SELECT sync_init()");
        connection
            .progress_handler(0, None::<fn() -> bool>)
            .expect("handler");
        if outcome.is_ok() {
            assert_eq!(version(&connection), newest());
            break;
        }
        interruptions += 1;
        assert_eq!(version(&connection), "1", "{opcodes}: {outcome:?}");
        drop(connection);
        let bytes = std::fs::read(world.path()).expect("read");
        assert!(bytes == old_bytes(), "{opcodes}: the file has changed");
    }
    assert!(interruptions > 5, "{interruptions}");
}

#[test]
fn a_file_of_a_newer_version_is_neither_read_nor_written_and_both_versions_are_named() {
    let world = old_file();
    let connection = world.open();
    ask(&connection, "SELECT sync_init()");
    connection
        .execute_batch("UPDATE _syncMeta SET value = value + 1 WHERE key = 'schemaVersion'")
        .expect("newer");
    let before = whole(&connection);
    let ours: i64 = newest().parse().expect("a number");
    for sql in [
        "SELECT sync_heartbeat()",
        "SELECT sync_has_pending()",
        "SELECT sync_is_stale('api', 1)",
        "SELECT * FROM sync_scope",
        "SELECT * FROM sync_scope_member",
        "SELECT * FROM sync_status",
        "SELECT * FROM sync_pending",
        "SELECT * FROM sync_conflict",
        "SELECT * FROM sync_log",
        r#"SELECT sync_entities('all', 'api', '["list"]')"#,
        "SELECT sync_check('api')",
        "DELETE FROM sync_scope",
    ] {
        let text = refused(&connection, sql);
        let named = text.contains(&format!("(schema {})", ours + 1))
            && text.contains(&format!("schema {ours};"));
        assert!(named, "{sql}: {text}");
    }
    assert_eq!(whole(&connection), before);
}
