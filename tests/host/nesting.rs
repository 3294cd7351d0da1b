//! Functions called in the middle of somebody else's statement or transaction: each row of the table
//! of what happens when a function runs its own SQL on the caller's connection.

use rusqlite::{Connection, OpenFlags};
use support::host::{LOCAL, everything, fails, failure, furnished, name_of, settled};
use support::listener::Untouched;
use support::scopes::picture;
use support::{World, ask, try_ask};

const BUSY_SNAPSHOT: i32 = 517;
const MISUSE: i32 = 21;
const READONLY: i32 = 8;

/// What another connection sees is what this one sees.
#[track_caller]
fn shared(world: &World, connection: &Connection, what: &str) {
    assert_eq!(
        everything(&world.plain()),
        everything(connection),
        "{what}: second connection"
    );
}

fn journals(test: impl Fn(&World, &Connection)) {
    for mode in ["delete", "wal"] {
        let world = World::new(true);
        let connection = furnished(&world);
        assert_eq!(
            ask(&connection, &format!("PRAGMA journal_mode = {mode}")),
            mode
        );
        test(&world, &connection);
    }
}

#[test]
fn called_alone_a_function_commits_at_once() {
    for call in LOCAL {
        journals(|world, connection| {
            ask(connection, &format!("SELECT {call}"));
            settled(connection, true, call);
            shared(world, connection, call);
        });
    }
}

#[test]
fn others_see_the_work_while_the_select_still_runs() {
    journals(|world, connection| {
        let mut statement = connection
            .prepare(r#"SELECT sync_start_scope('new', '["a"]') UNION ALL SELECT 2"#)
            .expect("prepare");
        let mut rows = statement.query([]).expect("query");
        rows.next().expect("first row").expect("a row");
        let seen = ask(
            &world.plain(),
            "SELECT state FROM _syncScope WHERE id = 'new'",
        );
        assert_eq!(seen, "syncing");
        drop(rows);
        drop(statement);
        settled(connection, true, "union");
    });
}

#[test]
fn with_a_subquery_as_argument_a_function_commits_at_once() {
    journals(|world, connection| {
        for sql in [
            r#"SELECT sync_start_scope((SELECT x FROM t), '["a"]')"#,
            "SELECT sync_track((SELECT 't' FROM t))",
            "SELECT sync_interrupt((SELECT x FROM t ORDER BY id LIMIT 1))",
            "SELECT sync_delete_scope((SELECT x FROM t))",
            "SELECT sync_init((SELECT 'main' FROM t))",
        ] {
            ask(connection, sql);
            settled(connection, true, sql);
            shared(world, connection, sql);
        }
    });
}

#[test]
fn while_another_statement_reads_a_function_commits_and_the_reader_goes_on() {
    for call in LOCAL {
        journals(|world, connection| {
            let mut reader = connection
                .prepare("SELECT id FROM t ORDER BY id")
                .expect("prepare");
            let mut rows = reader.query([]).expect("query");
            rows.next().expect("row 1").expect("row 1");
            let outcome = try_ask(connection, &format!("SELECT {call}"));
            assert!(connection.is_autocommit(), "{call}: a transaction is open");
            match outcome {
                Ok(_) => {
                    let mut more = 0;
                    while rows
                        .next()
                        .unwrap_or_else(|e| panic!("{call}: reader: {e}"))
                        .is_some()
                    {
                        more += 1;
                    }
                    assert_eq!(more, 2, "{call}");
                }
                // SQLite drops neither table nor index nor column while anything reads.
                Err(error) => {
                    let (code, text) = failure(&error);
                    assert_eq!(code & 0xff, 6, "{call}: {text}");
                    assert!(text.starts_with(&format!("{}: ", name_of(call))), "{text}");
                }
            }
            drop(rows);
            drop(reader);
            settled(connection, true, call);
            shared(world, connection, call);
        });
    }
}

#[test]
fn called_for_each_row_of_a_table_a_function_commits_each_time() {
    journals(|world, connection| {
        ask(
            connection,
            r#"SELECT x, sync_start_scope(x, '["a"]') FROM t"#,
        );
        settled(connection, true, "for each row");
        assert_eq!(ask(&world.plain(), "SELECT count(*) FROM _syncScope"), "4");

        let (code, text) = fails(
            connection,
            r#"SELECT sync_start_scope(CASE id WHEN 2 THEN '' ELSE 'row' || id END, '["a"]') FROM t"#,
        );
        assert_eq!((code, text.as_str()), (1, "sync_start_scope: id is empty"));
        settled(connection, true, "row 2 fails");
        let seen = ask(
            &world.plain(),
            "SELECT id FROM _syncScope WHERE id LIKE 'row%'",
        );
        assert_eq!(seen, "row1", "row 1 stays, row 3 is never reached");
    });
}

#[test]
fn a_stale_snapshot_is_reported_as_what_it_is() {
    for call in LOCAL {
        let world = World::new(true);
        let connection = furnished(&world);
        ask(&connection, "PRAGMA journal_mode = wal");
        let mut reader = connection
            .prepare("SELECT id FROM t ORDER BY id")
            .expect("prepare");
        let mut rows = reader.query([]).expect("query");
        rows.next().expect("row 1").expect("row 1");
        world
            .plain()
            .execute_batch("INSERT INTO t (x) VALUES ('later')")
            .expect("another writes");
        let before = everything(&world.plain());
        let (code, text) = fails(&connection, &format!("SELECT {call}"));
        assert_eq!(code, BUSY_SNAPSHOT, "{call}: {text}");
        assert!(text.starts_with(&format!("{}: ", name_of(call))), "{text}");
        assert!(connection.is_autocommit(), "{call}");
        drop(rows);
        drop(reader);
        settled(&connection, true, call);
        assert_eq!(everything(&world.plain()), before, "{call}");
        ask(&connection, &format!("SELECT {call}"));
        settled(&connection, true, "once the reader is gone");
    }
}

#[test]
fn inside_a_statement_that_writes_every_function_is_refused_and_nothing_stays_open() {
    for call in LOCAL {
        journals(|world, connection| {
            let before = everything(connection);
            for sql in [
                format!("INSERT INTO t (x) SELECT {call}"),
                format!("INSERT INTO t (x) VALUES ({call})"),
                format!("INSERT INTO t (x) VALUES ('new') RETURNING {call}"),
                format!("UPDATE t SET x = {call}"),
                format!("UPDATE t SET x = 'y' RETURNING {call}"),
                format!("DELETE FROM t WHERE {call} IS NOT NULL"),
                format!("CREATE TABLE made AS SELECT {call}"),
                format!(
                    "INSERT INTO t (id, x) VALUES (1, 'y') ON CONFLICT DO UPDATE SET x = {call}"
                ),
            ] {
                let (code, text) = fails(connection, &sql);
                assert_eq!(code, MISUSE, "{sql}: {text}");
                assert_eq!(
                    text,
                    format!(
                        "{}: cannot run inside a statement that writes; call it in a SELECT of its own",
                        name_of(call)
                    ),
                    "{sql}"
                );
                settled(connection, true, &sql);
                assert_eq!(everything(connection), before, "{sql}");
                shared(world, connection, &sql);
            }
        });
    }
}

#[test]
fn a_call_from_a_trigger_or_a_view_is_unsafe_use() {
    for call in LOCAL {
        for trusted in ["ON", "OFF"] {
            let world = World::new(true);
            let connection = furnished(&world);
            connection
                .execute_batch(&format!(
                    "CREATE TABLE u (x, y);
                     CREATE TRIGGER after_u AFTER INSERT ON u BEGIN SELECT {call}; END;
                     CREATE VIEW v AS SELECT {call} AS x;
                     PRAGMA trusted_schema = {trusted};"
                ))
                .unwrap_or_else(|error| panic!("{call}: {error}"));
            let before = everything(&connection);
            for sql in [
                "INSERT INTO u VALUES (1, 2)",
                "SELECT * FROM v",
                "CREATE TABLE made AS SELECT * FROM v",
            ] {
                let (_, text) = fails(&connection, sql);
                let name = name_of(call);
                assert!(
                    text.contains(&format!("unsafe use of {name}()")),
                    "{sql}: {text}"
                );
                settled(&connection, true, sql);
                assert_eq!(everything(&connection), before, "{sql}");
            }
        }
    }
}

#[test]
fn inside_begin_a_function_joins_and_follows_rollback() {
    for call in LOCAL {
        for begin in ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT mine"] {
            let world = World::new(true);
            let connection = furnished(&world);
            let before = everything(&connection);
            connection.execute_batch(begin).expect("begin");
            connection
                .execute_batch("INSERT INTO t (x) VALUES ('mine')")
                .expect("insert");
            ask(&connection, &format!("SELECT {call}"));
            settled(&connection, false, call);
            assert_eq!(
                everything(&world.plain()),
                before,
                "{call}: not yet committed"
            );
            connection.execute_batch("ROLLBACK").expect("rollback");
            settled(&connection, true, call);
            assert_eq!(everything(&connection), before, "{call}: rolled back");
            shared(&world, &connection, call);
        }
    }
}

#[test]
fn inside_begin_a_function_joins_and_follows_commit() {
    for call in LOCAL {
        journals(|world, connection| {
            connection
                .execute_batch("BEGIN; INSERT INTO t (x) VALUES ('mine')")
                .expect("begin");
            ask(connection, &format!("SELECT {call}"));
            settled(connection, false, call);
            connection.execute_batch("COMMIT").expect("commit");
            settled(connection, true, call);
            shared(world, connection, call);
            assert_eq!(
                ask(connection, "SELECT count(*) FROM t WHERE x = 'mine'"),
                "1"
            );
        });
    }
}

#[test]
fn inside_begin_a_savepoint_of_the_caller_undoes_the_call() {
    for call in LOCAL {
        let world = World::new(true);
        let connection = furnished(&world);
        let before = everything(&connection);
        // The caller's savepoint may even have the name of ours.
        connection
            .execute_batch("BEGIN; SAVEPOINT syncscope")
            .expect("savepoint");
        ask(&connection, &format!("SELECT {call}"));
        connection
            .execute_batch("ROLLBACK TO syncscope")
            .expect("rollback to");
        assert_eq!(everything(&connection), before, "{call}");
        connection
            .execute_batch("RELEASE syncscope; COMMIT")
            .expect("commit");
        settled(&connection, true, call);
    }
}

#[test]
fn a_refused_call_inside_begin_leaves_the_callers_work_alone() {
    let world = World::new(true);
    let connection = furnished(&world);
    connection
        .execute_batch("BEGIN; INSERT INTO t (x) VALUES ('mine')")
        .expect("begin");
    for sql in [
        "SELECT sync_start_scope('', '[]')",
        "SELECT sync_set_status('x', 'synced')",
        "SELECT sync_track('no such table')",
        "SELECT sync_alter('tracked', 'DROP TABLE t')",
        "SELECT sync_entities('i', 'nobody', '[]')",
        "SELECT sync_untrack('tracked')",
        "SELECT sync_uninstall()",
    ] {
        fails(&connection, sql);
        settled(&connection, false, sql);
        assert_eq!(ask(&connection, "SELECT count(*) FROM t"), "4", "{sql}");
    }
    connection.execute_batch("COMMIT").expect("commit");
    shared(&world, &connection, "refused calls");
}

#[test]
fn inside_begin_a_call_in_a_statement_that_writes_is_refused_and_the_callers_work_stays() {
    for call in LOCAL {
        let world = World::new(true);
        let connection = furnished(&world);
        connection
            .execute_batch("BEGIN; INSERT INTO t (x) VALUES ('mine')")
            .expect("begin");
        let before = everything(&connection);
        for sql in [
            format!("INSERT INTO t (x) SELECT {call}"),
            format!("INSERT INTO t (x) VALUES ('new') RETURNING {call}"),
            format!("UPDATE t SET x = {call}"),
        ] {
            let (code, text) = fails(&connection, &sql);
            assert_eq!(code, MISUSE, "{sql}: {text}");
            settled(&connection, false, &sql);
            assert_eq!(everything(&connection), before, "{sql}");
        }
        connection.execute_batch("COMMIT").expect("commit");
        settled(&connection, true, call);
        assert_eq!(
            ask(&world.plain(), "SELECT count(*) FROM t WHERE x = 'mine'"),
            "1"
        );
    }
}

#[test]
fn a_read_only_file_and_query_only_are_readonly_errors() {
    for call in LOCAL {
        let world = World::new(true);
        let writer = furnished(&world);
        let before = everything(&writer);
        let reader = Connection::open_with_flags(world.path(), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .expect("open");
        support::load(&reader);
        let query_only = world.open();
        query_only
            .execute_batch("PRAGMA query_only = ON")
            .expect("query_only");
        for connection in [&reader, &query_only] {
            for (begin, end) in [("", ""), ("BEGIN", "ROLLBACK")] {
                connection.execute_batch(begin).expect("begin");
                let (code, text) = fails(connection, &format!("SELECT {call}"));
                assert_eq!(code & 0xff, READONLY, "{call}: {text}");
                assert!(text.starts_with(&format!("{}: ", name_of(call))), "{text}");
                settled(connection, begin.is_empty(), call);
                connection.execute_batch(end).expect("end");
                settled(connection, true, call);
            }
            ask(connection, "SELECT count(*) FROM sync_scope");
            ask(connection, "SELECT count(*) FROM sync_pending");
        }
        assert_eq!(everything(&writer), before, "{call}");
    }
}

#[test]
fn the_hosts_last_insert_rowid_stays() {
    for call in LOCAL {
        let world = World::new(true);
        let connection = furnished(&world);
        connection
            .execute_batch("INSERT INTO t (id) VALUES (4711)")
            .expect("insert");
        for (before, after) in [("", ""), ("BEGIN", "COMMIT"), ("BEGIN", "ROLLBACK")] {
            connection.execute_batch(before).expect("begin");
            let _ = try_ask(&connection, &format!("SELECT {call}"));
            assert_eq!(connection.last_insert_rowid(), 4711, "{before} {call}");
            connection.execute_batch(after).expect("end");
        }
        let _ = try_ask(&connection, &format!("INSERT INTO t (x) SELECT {call}"));
        let kept = connection.last_insert_rowid();
        assert!(kept == 4711, "{call} refused: {kept}");
    }
}

#[test]
fn the_hosts_last_insert_rowid_stays_after_a_failed_call() {
    let world = World::new(true);
    let connection = furnished(&world);
    connection
        .execute_batch("INSERT INTO t (id) VALUES (4711)")
        .expect("insert");
    for sql in [
        "SELECT sync_untrack('tracked')",
        "SELECT sync_uninstall()",
        "SELECT sync_alter('tracked', 'DROP TABLE t')",
        "SELECT sync_track('nothing')",
    ] {
        fails(&connection, sql);
        assert_eq!(connection.last_insert_rowid(), 4711, "{sql}");
    }
}

#[test]
fn calling_a_function_twice_changes_nothing_more() {
    for call in LOCAL {
        // An operation begun again and a scope started again are a new run by definition.
        if call.starts_with("sync_start_scope") || call.starts_with("sync_entities") {
            continue;
        }
        let world = World::new(true);
        let connection = furnished(&world);
        let first = try_ask(&connection, &format!("SELECT {call}"));
        let before = everything(&connection);
        let _ = try_ask(&connection, &format!("SELECT {call}"));
        assert!(first.is_ok(), "{call}");
        assert_eq!(everything(&connection), before, "{call}");
        settled(&connection, true, call);
    }
}

#[test]
fn a_flattened_subquery_that_calls_twice_does_no_harm() {
    let world = World::new(true);
    let connection = furnished(&world);
    for call in LOCAL {
        let _ = try_ask(
            &connection,
            &format!("SELECT x FROM (SELECT {call} x) WHERE x IS NOT NULL"),
        );
        settled(&connection, true, call);
    }
    support::host::consistent(&connection, "twice");
}

#[test]
fn a_function_that_needs_the_network_is_refused_unless_nothing_is_open() {
    let nobody = Untouched::listen();
    let origin = nobody.origin();
    let world = World::new(true);
    let connection = furnished(&world);
    ask(
        &connection,
        &format!(
            r#"SELECT sync_provider('net', '{{"kind":"watermelon","url":"{origin}/sync","attempts":1}}')"#
        ),
    );
    let before = picture(&connection);
    let call = r#"sync_entities('n', 'net', '["tracked"]')"#;

    for begin in ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT x"] {
        connection.execute_batch(begin).expect("begin");
        let (code, text) = fails(&connection, &format!("SELECT {call}"));
        assert_eq!(code, MISUSE, "{text}");
        assert!(
            text.contains("open transaction; COMMIT or ROLLBACK first"),
            "{text}"
        );
        settled(&connection, false, begin);
        connection.execute_batch("ROLLBACK").expect("rollback");
    }
    for sql in [
        format!("SELECT {call} FROM t"),
        r#"SELECT sync_entities('n', (SELECT 'net' FROM t), '["tracked"]')"#.to_owned(),
    ] {
        let (code, text) = fails(&connection, &sql);
        assert_eq!(code, MISUSE, "{sql}: {text}");
        assert!(text.contains("still reading"), "{sql}: {text}");
        settled(&connection, true, &sql);
    }
    for sql in [
        format!("INSERT INTO t (x) SELECT {call}"),
        format!("CREATE TABLE made AS SELECT {call}"),
        format!("UPDATE t SET x = 'q' RETURNING {call}"),
    ] {
        let (code, text) = fails(&connection, &sql);
        assert_eq!(code, MISUSE, "{sql}: {text}");
        assert!(text.contains("statement that writes"), "{sql}: {text}");
        settled(&connection, true, &sql);
    }
    assert_eq!(picture(&connection), before);
    nobody.check();
}

#[test]
fn the_check_notices_an_open_transaction_and_a_forgotten_statement() {
    let connection = Connection::open_in_memory().expect("open");
    settled(&connection, true, "nothing done");
    let forgotten = connection.prepare("SELECT 1").expect("prepare");
    assert_eq!(
        support::host::statements(&connection),
        [("SELECT 1".to_owned(), false)]
    );
    drop(forgotten);
    connection.execute_batch("BEGIN").expect("begin");
    settled(&connection, false, "begun");
}
