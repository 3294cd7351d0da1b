//! What plain SQL does to the tables, from a connection without the extension, and what readers see.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use support::scopes::{begin, picture, report, scope, start, status};
use support::{World, ask, both, refused};

#[test]
fn line_16_a_scope_deleted_in_flight_stays_gone() {
    both(|world| {
        let (db, plain) = (world.ready(), world.plain());
        for delete in [
            "SELECT sync_delete_scope('s')",
            "DELETE FROM _syncScope WHERE id = 's'",
        ] {
            start(&db, "s", r#"["a"]"#);
            begin(&db, "a", r#"["e"]"#);
            ask(&db, delete);
            assert_eq!(status(&db, 1), "syncing|NULL");
            report(&db, 1, "synced", None);
            begin(&db, "a", r#"["e"]"#);
            plain
                .execute("UPDATE _syncStatus SET state = 'synced'", [])
                .expect("update");
            assert_eq!(ask(&plain, "SELECT count(*) FROM _syncScope"), "0");
            assert_eq!(ask(&plain, "SELECT count(*) FROM _syncScopeMember"), "0");
            assert_eq!(ask(&plain, "SELECT count(*) FROM _syncStatus"), "1");
        }
        assert_eq!(ask(&db, "SELECT sync_delete_scope('s')"), "0");
    });
}

#[test]
fn line_16_the_operation_of_a_status_deleted_in_flight_still_completes() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e"]"#);
        let before = ask(&db, "SELECT * FROM _syncScope");
        assert_eq!(ask(&db, "SELECT sync_delete_status('1')"), "1");
        assert_eq!(ask(&db, "SELECT sync_delete_status(1)"), "0");
        assert_eq!(ask(&db, "SELECT sync_delete_status(\"1\")").as_str(), "0");
        assert_eq!(ask(&db, "SELECT * FROM _syncScope"), before);
        assert_eq!(report(&db, 1, "failed", Some("no")), "1");
        assert_eq!(report(&db, 1, "synced", None), "0");
        assert_eq!(scope(&db, "s"), "failed 0/0/1/0");
        assert_eq!(ask(&db, "SELECT count(*) FROM _syncStatus"), "0");
        begin(&db, "a", r#"["e"]"#);
        assert_eq!(ask(&db, "SELECT id FROM _syncStatus"), "2");
    });
}

#[test]
fn line_16_an_interruption_or_a_new_call_releases_the_operation_of_a_deleted_status() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e"]"#);
        ask(&db, "DELETE FROM _syncStatus");
        assert_eq!(ask(&db, "SELECT sync_interrupt('s')"), "1");
        assert_eq!(scope(&db, "s"), "interrupted 0/0/0/0");
        begin(&db, "a", r#"["e"]"#);
        ask(&db, "DELETE FROM _syncStatus");
        begin(&db, "a", r#"["f"]"#);
        report(&db, 3, "synced", None);
        assert_eq!(scope(&db, "s"), "synced 0/0/0/1");
    });
}

#[test]
fn line_17_update_of_a_status_takes_any_state_to_any_other() {
    both(|world| {
        let (db, plain) = (world.ready(), world.plain());
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e"]"#);
        let states = [
            ("syncing", "syncing 0/1/0/0"),
            ("synced", "synced 0/0/0/1"),
            ("failed", "failed 0/0/1/0"),
        ];
        for (from, _) in states {
            for (to, counts) in states {
                plain
                    .execute("UPDATE _syncStatus SET state = ?1", [from])
                    .expect("from");
                plain
                    .execute("UPDATE _syncStatus SET state = ?1", [to])
                    .expect("to");
                assert_eq!(scope(&plain, "s"), counts, "{from} to {to}");
                assert_eq!(status(&plain, 1), format!("{to}|NULL"));
            }
        }
        // The time of the change, unless the writer gives one; an error only goes with failed.
        plain
            .execute(
                "UPDATE _syncStatus SET state = 'synced', timestamp = 5, error = 'x'",
                [],
            )
            .expect("update");
        assert_eq!(
            ask(&plain, "SELECT timestamp, error FROM _syncStatus"),
            "5|NULL"
        );
        plain
            .execute("UPDATE _syncStatus SET state = 'failed', error = 'one'", [])
            .expect("update");
        assert_eq!(
            ask(&plain, "SELECT timestamp > 5, error FROM _syncStatus"),
            "1|one"
        );
        plain
            .execute("UPDATE _syncStatus SET error = 'two'", [])
            .expect("update");
        assert_eq!(
            ask(
                &plain,
                "SELECT json_extract(details, '$.failures[0].error') FROM _syncScope"
            ),
            "two"
        );
    });
}

#[test]
fn line_17_the_identity_of_a_status_cannot_change() {
    both(|world| {
        let (db, plain) = (world.ready(), world.plain());
        begin(&db, "a", r#"["e"]"#);
        let before = picture(&plain);
        for sql in [
            "UPDATE _syncStatus SET id = 9",
            "UPDATE OR REPLACE _syncStatus SET provider = 'x'",
            "UPDATE OR IGNORE _syncStatus SET entity = 'x'",
            "UPDATE _syncStatus SET functionId = 'x'",
            "UPDATE _syncScope SET id = 'x' WHERE id = 's'",
        ] {
            start(&db, "s", "[]");
            assert!(refused(&plain, sql).contains("cannot change"), "{sql}");
        }
        ask(&db, "DELETE FROM _syncScope");
        assert_eq!(picture(&plain), before);
    });
}

#[test]
fn line_17_insert_of_a_status() {
    both(|world| {
        let (db, plain) = (world.ready(), world.plain());
        begin(&db, "a", r#"["e"]"#);
        let insert = |clause: &str, entity: &str| {
            format!(
                "INSERT {clause} INTO _syncStatus(provider, entity, state, error) VALUES ('host', '{entity}', 'synced', 'x')"
            )
        };
        for clause in ["", "OR REPLACE", "OR IGNORE"] {
            assert!(refused(&plain, &insert(clause, "e")).contains("have a row already"));
        }
        assert!(
            refused(
                &plain,
                "INSERT OR REPLACE INTO _syncStatus VALUES (1, 'p', 'x', NULL, 'synced', 1, NULL)"
            )
            .contains("never reused")
        );
        plain.execute(&insert("", "mine"), []).expect("insert");
        assert_eq!(status(&plain, 2), "synced|NULL");
        begin(&db, "b", r#"["mine"]"#);
        assert_eq!(status(&plain, 2), "syncing|NULL");
    });
}

#[test]
fn line_17_insert_update_and_delete_of_a_scope() {
    both(|world| {
        let (db, plain) = (world.ready(), world.plain());
        plain
            .execute(
                "INSERT INTO _syncScope(id, state, lastFailedAt) VALUES ('s', 'failed', 4)",
                [],
            )
            .expect("insert");
        assert_eq!(scope(&plain, "s"), "synced 0/0/0/0");
        assert_eq!(
            ask(
                &plain,
                "SELECT lastStartedAt > 0, lastFailedAt FROM _syncScope"
            ),
            "1|NULL"
        );
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e"]"#);
        let before = picture(&plain);
        plain
            .execute("UPDATE _syncScope SET state = 'synced', syncing = 9, details = '', timestamp = 1, lastSyncedAt = 2", [])
            .expect("no error");
        assert_eq!(picture(&plain), before);
        plain
            .execute(
                "UPDATE _syncScope SET state = 'interrupted', failed = 3",
                [],
            )
            .expect("interrupt");
        assert_eq!(scope(&plain, "s"), "interrupted 0/0/0/0");
        assert_eq!(status(&plain, 1), "failed|interrupted: unspecified");
        plain
            .execute("INSERT OR REPLACE INTO _syncScope(id) VALUES ('s')", [])
            .expect("replace");
        assert_eq!(scope(&plain, "s"), "synced 0/0/0/0");
        assert_eq!(ask(&plain, "SELECT count(*) FROM _syncScopeMember"), "0");
        plain.execute("DELETE FROM _syncScope", []).expect("delete");
        assert_eq!(ask(&plain, "SELECT count(*) FROM _syncScopeInfo"), "0");
    });
}

#[test]
fn line_17_insert_and_delete_of_members() {
    both(|world| {
        let (db, plain) = (world.ready(), world.plain());
        start(&db, "s", r#"["a"]"#);
        begin(&db, "b", r#"["e"]"#);
        plain
            .execute(
                "INSERT INTO _syncScopeMember(scopeId, instanceId) VALUES ('s', 'b')",
                [],
            )
            .expect("insert");
        assert_eq!(scope(&plain, "s"), "syncing 1/1/0/0");
        plain
            .execute("UPDATE _syncStatus SET state = 'synced'", [])
            .expect("update");
        assert_eq!(scope(&plain, "s"), "syncing 1/0/0/1");
        plain
            .execute("DELETE FROM _syncScopeMember WHERE instanceId = 'a'", [])
            .expect("delete");
        assert_eq!(scope(&plain, "s"), "synced 0/0/0/1");
        assert!(
            refused(
                &plain,
                "INSERT INTO _syncScopeMember(scopeId, instanceId) VALUES ('x', 'b')"
            )
            .contains("no such scope")
        );
    });
}

#[test]
fn line_18_the_update_hook_reports_each_change() {
    both(|world| {
        let mut db = world.ready();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        db.update_hook(Some(
            move |action: rusqlite::hooks::Action, _: &str, table: &str, _: i64| {
                if table == "_syncScope" || table == "_syncStatus" {
                    record
                        .lock()
                        .expect("lock")
                        .push(format!("{action:?} {table}"));
                }
            },
        ))
        .expect("hook");
        let reported = |sql: &str, expected: &[&str]| {
            seen.lock().expect("lock").clear();
            ask(&db, sql);
            let seen = seen.lock().expect("lock").clone();
            for change in expected {
                assert!(
                    seen.iter().any(|found| found == change),
                    "{sql}: {change} not in {seen:?}"
                );
            }
        };
        let changed = &["SQLITE_UPDATE _syncStatus", "SQLITE_UPDATE _syncScope"];
        reported(
            r#"SELECT sync_start_scope('s', '["a"]')"#,
            &["SQLITE_INSERT _syncScope"],
        );
        reported(
            r#"SELECT sync_entities('a', 'host', '["e"]')"#,
            &["SQLITE_INSERT _syncStatus", "SQLITE_UPDATE _syncScope"],
        );
        reported("SELECT sync_set_status(1, 'failed', 'no')", changed);
        reported(r#"SELECT sync_entities('a', 'host', '["e"]')"#, changed);
        reported("UPDATE _syncStatus SET state = 'synced'", changed);
        reported(
            r#"SELECT sync_start_scope('s', '["a"]')"#,
            &["SQLITE_UPDATE _syncScope"],
        );
        reported(r#"SELECT sync_entities('a', 'host', '["e"]')"#, changed);
        reported("SELECT sync_interrupt('s')", changed);
        reported(
            "SELECT sync_delete_status(1)",
            &["SQLITE_DELETE _syncStatus"],
        );
        reported(
            "SELECT sync_delete_scope('s')",
            &["SQLITE_DELETE _syncScope"],
        );
    });
}

#[test]
fn line_18_rollback_restores_everything() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a","b"]"#);
        begin(&db, "a", r#"["e","f"]"#);
        let before = picture(&db);
        ask(&db, "BEGIN");
        report(&db, 1, "synced", None);
        begin(&db, "b", r#"["e","g"]"#);
        start(&db, "t", r#"["a"]"#);
        ask(&db, "SELECT sync_interrupt('s')");
        ask(&db, "SELECT sync_delete_status(2)");
        ask(&db, "SELECT sync_delete_scope('s')");
        ask(&db, "ROLLBACK");
        assert_eq!(picture(&db), before);
    });
}

/// A reader that never sees a status and its scope disagree, while a writer flips the status.
fn consistent_reader(journal: &str) {
    let world = World::new(false);
    let db = world.ready();
    assert_eq!(
        ask(&db, &format!("PRAGMA journal_mode = {journal}")),
        journal
    );
    ask(&db, "PRAGMA synchronous = OFF");
    start(&db, "s", r#"["a"]"#);
    begin(&db, "a", r#"["e"]"#);
    let reader = world.plain();
    let done = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&done);
    let watching = std::thread::spawn(move || {
        let mut reads = 0;
        while !stop.load(Ordering::Relaxed) {
            let seen = ask(
                &reader,
                "SELECT (SELECT state FROM _syncStatus) || ' ' || (SELECT state FROM _syncScope) || ' ' || \
                 (SELECT json_extract(details, '$.instances.a.state') FROM _syncScope)",
            );
            assert!(
                ["syncing syncing syncing", "synced synced synced"].contains(&seen.as_str()),
                "{seen}"
            );
            reads += 1;
        }
        reads
    });
    for _ in 0..200 {
        report(&db, 1, "synced", None);
        begin(&db, "a", r#"["e"]"#);
    }
    done.store(true, Ordering::Relaxed);
    assert!(watching.join().expect("the reader saw a disagreement") > 0);
}

#[test]
fn line_18_a_reader_never_sees_a_disagreement_in_wal() {
    consistent_reader("wal");
}

#[test]
fn line_18_a_reader_never_sees_a_disagreement_in_a_rollback_journal() {
    consistent_reader("delete");
}

#[test]
fn triggers_and_views_of_the_file_cannot_call_the_functions() {
    let world = World::new(false);
    let db = world.ready();
    ask(&db, "CREATE VIEW v AS SELECT sync_interrupt()");
    assert!(refused(&db, "SELECT * FROM v").contains("unsafe use of sync_interrupt()"));
    ask(&db, "CREATE TABLE t(x)");
    assert!(
        refused(&db, "INSERT INTO t SELECT sync_heartbeat()")
            .contains("inside a statement that writes")
    );
    assert!(db.is_autocommit());
}

#[test]
fn the_virtual_tables_take_writes_with_the_meaning_of_the_functions() {
    both(|world| {
        let db = world.ready();
        ask(
            &db,
            r#"INSERT INTO sync_scope(id, instanceIds) VALUES ('s', '["a","b"]')"#,
        );
        assert_eq!(scope(&db, "s"), "syncing 2/0/0/0");
        begin(&db, "a", r#"["e"]"#);
        ask(
            &db,
            "UPDATE sync_status SET state = 'failed', error = 'no' WHERE entity = 'e'",
        );
        assert_eq!(scope(&db, "s"), "syncing 1/0/1/0");
        assert_eq!(
            ask(&db, "SELECT state, fraction FROM sync_scope WHERE id = 's'"),
            "syncing|0.5"
        );
        assert_eq!(
            ask(
                &db,
                "SELECT instanceId, state, error FROM sync_scope_member WHERE scopeId = 's'"
            ),
            "a|failed|no\nb|notStarted|NULL"
        );
        begin(&db, "b", r#"["f"]"#);
        ask(
            &db,
            "UPDATE sync_scope SET state = 'interrupted', reason = 'lunch' WHERE id = 's'",
        );
        assert_eq!(status(&db, 2), "failed|interrupted: lunch");
        assert!(refused(&db, "UPDATE sync_scope SET failed = 3").contains("derived"));
        assert!(
            refused(&db, "INSERT INTO sync_status(entity) VALUES ('x')").contains("sync_entities")
        );
        ask(&db, "DELETE FROM sync_status WHERE id = 2");
        ask(&db, "DELETE FROM sync_scope WHERE id = 's'");
        assert_eq!(ask(&db, "SELECT count(*) FROM _syncScope"), "0");
        assert_eq!(ask(&db, "SELECT id FROM _syncStatus"), "1");
        ask(&db, "BEGIN");
        ask(
            &db,
            r#"INSERT INTO sync_scope(id, instanceIds) VALUES ('t', '["a"]')"#,
        );
        ask(&db, "ROLLBACK");
        assert_eq!(ask(&db, "SELECT count(*) FROM _syncScope"), "0");
    });
}
