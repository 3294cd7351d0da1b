//! How scopes follow their operations. Every change is made once by a connection with the extension
//! and once by one without.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use support::scopes::{begin, report, scope, start, status};
use support::{ask, both, refused};

/// Runs a test four times: recursive_triggers ON and OFF, results reported by the function and by
/// plain UPDATE from a connection without the extension.
fn each(test: impl Fn(&Connection, &dyn Fn(i64, &str, Option<&str>), &Connection)) {
    both(|world| {
        let db = world.ready();
        test(
            &db,
            &|id, state, error| drop(report(&db, id, state, error)),
            &world.plain(),
        );
    });
    both(|world| {
        let (db, plain) = (world.ready(), world.plain());
        let update = |id: i64, state: &str, error: Option<&str>| {
            plain
                .execute(
                    "UPDATE _syncStatus SET state = ?2, error = ?3 WHERE id = ?1",
                    rusqlite::params![id, state, error],
                )
                .map(drop)
                .expect("update");
        };
        test(&db, &update, &world.plain());
    });
}

fn details(db: &Connection, path: &str) -> String {
    ask(
        db,
        &format!("SELECT json_extract(details, '$.{path}') FROM _syncScope WHERE id = 's'"),
    )
}

#[test]
fn line_04_a_member_completes_with_its_last_operation() {
    each(|db, set, plain| {
        start(db, "s", r#"["a","b"]"#);
        begin(db, "a", r#"["e1","e2"]"#);
        assert_eq!(scope(plain, "s"), "syncing 1/1/0/0");
        set(1, "synced", None);
        assert_eq!(scope(plain, "s"), "syncing 1/1/0/0");
        assert_eq!(details(plain, "instances.a.entities[0].state"), "synced");
        set(2, "failed", Some("HTTP 500"));
        assert_eq!(scope(plain, "s"), "syncing 1/0/1/0");
        assert_eq!(details(plain, "instances.a.error"), "HTTP 500");
        assert_eq!(details(plain, "failures[0].error"), "HTTP 500");
        assert_eq!(details(plain, "failures[0].statusId"), "2");
        begin(db, "b", r#"["e3"]"#);
        set(3, "synced", None);
        assert_eq!(scope(plain, "s"), "failed 0/0/1/1");
        assert_eq!(
            ask(
                plain,
                "SELECT lastFailedAt IS NOT NULL, lastSyncedAt FROM _syncScope"
            ),
            "1|NULL"
        );
    });
}

#[test]
fn line_06_a_failed_member_runs_again() {
    each(|db, set, plain| {
        start(db, "s", r#"["a"]"#);
        begin(db, "a", r#"["e1"]"#);
        set(1, "failed", Some("no"));
        let started = ask(plain, "SELECT lastStartedAt FROM _syncScope");
        assert_eq!(scope(plain, "s"), "failed 0/0/1/0");
        set(1, "syncing", None);
        assert_eq!(scope(plain, "s"), "syncing 0/1/0/0");
        assert_eq!(status(plain, 1), "syncing|NULL");
        set(1, "synced", None);
        assert_eq!(scope(plain, "s"), "synced 0/0/0/1");
        begin(db, "a", r#"["e1"]"#);
        assert_eq!(scope(plain, "s"), "syncing 0/1/0/0");
        set(1, "synced", None);
        assert_eq!(scope(plain, "s"), "synced 0/0/0/1");
        assert_eq!(ask(plain, "SELECT lastStartedAt FROM _syncScope"), started);
    });
}

#[test]
fn line_09_one_row_for_each_key() {
    both(|world| {
        let db = world.ready();
        let id = |entities: &str| {
            let answer = begin(&db, "a", entities);
            let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
            answer["operations"][0]["statusId"].as_i64().expect("an id")
        };
        let with = |parameters: &str| {
            id(&format!(
                r#"[{{"entity":"e","function":"f","parameters":{parameters}}}]"#
            ))
        };
        let first = with(r#"{"a":1,"b":[2]}"#);
        assert_eq!(with(r#"{ "b" : [2.0], "a" : 1e0 }"#), first);
        assert_ne!(with(r#"{"a":2,"b":[2]}"#), first);
        assert_ne!(
            with(r#"{"a":9007199254740993}"#),
            with(r#"{"a":9007199254740992}"#)
        );
        let plain = id(r#"["e"]"#);
        assert_eq!(id(r#"[{"entity":"e","parameters":{}}]"#), plain);
        assert_eq!(id(r#"[{"entity":"e","functionParameters":null}]"#), plain);
        assert_ne!(id(r#"[{"entity":"e","function":"g"}]"#), plain);
        let greatest = ask(&db, "SELECT max(id) FROM _syncStatus");
        ask(&db, "DELETE FROM _syncStatus");
        drop(world.open());
        let again = world.open();
        begin(&again, "b", r#"["e"]"#);
        assert_eq!(
            ask(
                &again,
                &format!("SELECT min(id) > {greatest} FROM _syncStatus")
            ),
            "1"
        );
    });
}

#[test]
fn line_10_a_shared_instance_moves_all_its_scopes() {
    each(|db, set, plain| {
        for id in ["s", "t", "u"] {
            start(db, id, r#"["a"]"#);
        }
        start(db, "other", r#"["b"]"#);
        begin(db, "a", r#"["e1"]"#);
        begin(db, "nowhere", r#"["e2"]"#);
        ask(db, r#"SELECT sync_entities(NULL, 'host', '["e3"]')"#);
        let untouched = ask(plain, "SELECT * FROM _syncScope WHERE id = 'other'");
        for id in ["s", "t", "u"] {
            assert_eq!(scope(plain, id), "syncing 0/1/0/0");
        }
        set(1, "failed", Some("no"));
        set(2, "synced", None);
        set(3, "failed", Some("no"));
        for id in ["s", "t", "u"] {
            assert_eq!(scope(plain, id), "failed 0/0/1/0");
        }
        assert_eq!(
            ask(plain, "SELECT * FROM _syncScope WHERE id = 'other'"),
            untouched
        );
    });
}

/// A scope with one member in each state but interrupted; operation 1 is the one in flight.
fn four_members(db: &Connection) {
    start(db, "s", r#"["idle","busy","bad","good"]"#);
    begin(db, "busy", r#"["e1"]"#);
    begin(db, "bad", r#"["e2"]"#);
    begin(db, "good", r#"["e3"]"#);
    report(db, 2, "failed", Some("no"));
    report(db, 3, "synced", None);
    assert_eq!(scope(db, "s"), "syncing 1/1/1/1");
}

#[test]
fn line_11_an_interruption_takes_what_is_in_flight() {
    both(|world| {
        let db = world.ready();
        start(&db, "done", r#"["good"]"#);
        four_members(&db);
        let done = ask(&db, "SELECT * FROM _syncScope WHERE id = 'done'");
        assert_eq!(ask(&db, "SELECT sync_interrupt('s', 'background')"), "1");
        assert_eq!(scope(&db, "s"), "interrupted 1/0/1/1");
        assert_eq!(status(&db, 1), "failed|interrupted: background");
        assert_eq!(details(&db, "interruption.reason"), "background");
        assert_eq!(details(&db, "instances.busy.state"), "interrupted");
        assert_eq!(
            details(&db, "instances.busy.entities[0].state"),
            "interrupted"
        );
        assert_eq!(
            ask(
                &db,
                "SELECT json_array_length(details, '$.failures') FROM _syncScope WHERE id = 's'"
            ),
            "1"
        );
        assert_eq!(ask(&db, "SELECT * FROM _syncScope WHERE id = 'done'"), done);
        assert_eq!(ask(&db, "SELECT sync_interrupt('s', 'background')"), "0");
        assert_eq!(ask(&db, "SELECT sync_interrupt('unknown')"), "0");
        assert_eq!(ask(&db, "SELECT sync_interrupt('done')"), "0");
        assert_eq!(
            ask(
                &db,
                "SELECT reason FROM _syncEvent WHERE kind = 'scope' AND event = 'interrupted'"
            ),
            "background"
        );
    });
}

#[test]
fn line_11_without_a_scope_all_own_work_is_interrupted() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        start(&db, "t", r#"["a","b"]"#);
        begin(&db, "a", r#"["e1"]"#);
        assert_eq!(ask(&db, "SELECT sync_interrupt()"), "2");
        assert_eq!(details(&db, "interruption.reason"), "unspecified");
        assert_eq!(scope(&db, "t"), "interrupted 1/0/0/0");
        assert_eq!(ask(&db, "SELECT sync_interrupt(NULL, 'closed')"), "0");
    });
}

#[test]
fn line_12_a_scope_leaves_interrupted_when_all_have_completed_or_by_a_start() {
    each(|db, set, plain| {
        four_members(db);
        ask(db, "SELECT sync_interrupt('s', 'background')");
        begin(db, "idle", r#"["e4"]"#);
        assert_eq!(scope(plain, "s"), "interrupted 0/1/1/1");
        set(4, "synced", None);
        assert_eq!(scope(plain, "s"), "interrupted 0/0/1/2");
        set(1, "synced", None); // late
        assert_eq!(scope(plain, "s"), "failed 0/0/1/3");
        assert_eq!(details(plain, "interruption"), "NULL");
        begin(db, "bad", r#"["e2"]"#);
        ask(db, "SELECT sync_interrupt('s', 'background')");
        assert_eq!(scope(plain, "s"), "interrupted 0/0/0/3");
        assert_eq!(start(db, "s", r#"["idle"]"#), "syncing");
        assert_eq!(details(plain, "interruption"), "NULL");
    });
}

#[test]
fn line_13_the_reserved_prefix_interrupts() {
    each(|db, set, plain| {
        start(db, "s", r#"["a","b"]"#);
        begin(db, "a", r#"["e1"]"#);
        set(1, "failed", Some("interrupted: battery"));
        assert_eq!(scope(plain, "s"), "interrupted 1/0/0/0");
        assert_eq!(details(plain, "interruption.reason"), "battery");
        set(1, "failed", Some("HTTP 500"));
        assert_eq!(scope(plain, "s"), "interrupted 1/0/1/0");
        begin(db, "b", r#"["e2"]"#);
        set(2, "failed", Some("interrupted by me"));
        assert_eq!(scope(plain, "s"), "failed 0/0/2/0");
        assert!(refused(plain, "UPDATE _syncStatus SET state = 'done'").contains("CHECK"));
        assert_eq!(scope(plain, "s"), "failed 0/0/2/0");
    });
}

#[test]
fn line_21_the_overlap_guard_in_all_five_cases() {
    both(|world| {
        let db = world.ready();
        let guard = || {
            ask(
                &db,
                "SELECT NOT EXISTS(SELECT 1 FROM sync_scope WHERE id = 's' AND state = 'syncing')",
            )
        };
        assert_eq!(guard(), "1");
        start(&db, "s", r#"["a"]"#);
        assert_eq!(guard(), "0");
        begin(&db, "a", r#"["e"]"#);
        ask(&db, "SELECT sync_interrupt('s')");
        assert_eq!(guard(), "1");
        report(&db, 1, "failed", Some("no"));
        assert_eq!(guard(), "1");
        report(&db, 1, "synced", None);
        assert_eq!(guard(), "1");
    });
}

#[test]
fn line_24_a_host_provider_leaves_operations_open_and_an_undeclared_one_is_refused() {
    both(|world| {
        let db = world.ready();
        begin(&db, "a", r#"["e"]"#);
        assert_eq!(status(&db, 1), "syncing|NULL");
        let error = refused(
            &db,
            r#"SELECT sync_entities('a', 'DATA_PROVIDER_REST', '["e"]')"#,
        );
        assert!(
            error.contains("'DATA_PROVIDER_REST' is not declared (declared: 'host')"),
            "{error}"
        );
    });
}

#[test]
fn a_second_call_of_an_instance_in_flight_adds_to_it() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e1","e2"]"#);
        report(&db, 1, "synced", None);
        begin(&db, "a", r#"["e2","e3"]"#);
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(entity) FROM (SELECT entity FROM _syncOperation ORDER BY entity)"
            ),
            "e2,e3"
        );
        report(&db, 2, "synced", None);
        assert_eq!(scope(&db, "s"), "syncing 0/1/0/0");
        report(&db, 3, "synced", None);
        assert_eq!(scope(&db, "s"), "synced 0/0/0/1");
    });
}

#[test]
fn an_operation_shared_by_instances_completes_in_all_of_them() {
    each(|db, set, plain| {
        start(db, "s", r#"["a","b"]"#);
        begin(db, "a", r#"["e1"]"#);
        begin(db, "b", r#"["e1"]"#);
        assert_eq!(ask(plain, "SELECT count(*) FROM _syncStatus"), "1");
        set(1, "synced", None);
        assert_eq!(scope(plain, "s"), "synced 0/0/0/2");
    });
}

/// Steps of SQLite's machine that a status change takes.
fn work(db: &mut Connection, set: impl Fn(&Connection)) -> u64 {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    db.progress_handler(10, Some(count)).expect("a handler");
    set(db);
    db.progress_handler(10, None::<fn() -> bool>)
        .expect("no handler");
    steps.load(Ordering::Relaxed)
}

#[test]
fn a_status_change_costs_the_same_however_many_other_scopes_there_are() {
    both(|world| {
        let mut db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e1","e2","e3"]"#);
        let by_function =
            |id: i64| move |db: &Connection| drop(report(db, id, "failed", Some("HTTP 500")));
        let by_sql = |db: &Connection| {
            let sql = "UPDATE _syncStatus SET state = 'failed', error = 'HTTP 500' WHERE id = 3";
            db.execute(sql, []).map(drop).expect("update");
        };
        let alone = work(&mut db, by_function(1));
        assert!(alone > 10, "{alone}");
        db.execute_batch("BEGIN").unwrap();
        for number in 0..300 {
            start(&db, &format!("other {number}"), r#"["b","c"]"#);
        }
        db.execute_batch("COMMIT").unwrap();
        let others = "SELECT count(*) FROM _syncScope WHERE state = 'syncing'";
        assert_eq!(ask(&db, others), "301");
        let among_others = work(&mut db, by_function(2));
        assert!(
            among_others <= alone + alone / 5,
            "{alone} steps alone, {among_others} among 300 others"
        );
        let by_plain_sql = work(&mut db, by_sql);
        assert!(
            by_plain_sql <= alone,
            "{by_plain_sql} steps in plain SQL, {alone} by function"
        );
        assert_eq!(scope(&db, "s"), "failed 0/0/1/0");
    });
}

#[test]
fn a_result_does_not_reach_an_instance_that_was_interrupted_before() {
    for (state, error) in [("synced", None), ("failed", Some("HTTP 500"))] {
        each(|db, set, plain| {
            start(db, "t", r#"["b"]"#);
            begin(db, "a", r#"["e"]"#);
            begin(db, "b", r#"["e"]"#);
            // As recovery does to the operation of a dead owner.
            plain
                .execute_batch(
                    "UPDATE _syncOperation SET state = 'interrupted', error = 'interrupted: crashed' \
                     WHERE instanceId = 'b'",
                )
                .expect("interrupted");
            assert_eq!(status(plain, 1), "syncing|NULL");
            set(1, state, error);
            let operations = "SELECT group_concat(instanceId || ' ' || state, ', ') FROM \
                              (SELECT * FROM _syncOperation ORDER BY instanceId)";
            assert_eq!(ask(plain, operations), format!("a {state}, b interrupted"));
            assert_eq!(scope(plain, "t"), "interrupted 0/0/0/0");
        });
    }
}

#[test]
fn operations_of_nobody_do_not_pile_up() {
    each(|db, set, plain| {
        begin(db, "a", r#"["e"]"#);
        set(1, "synced", None);
        for _ in 0..5 {
            begin(db, "a", "[]");
            set(1, "syncing", None);
            set(1, "synced", None);
        }
        assert_eq!(ask(plain, "SELECT count(*) FROM _syncOperation"), "1");
        assert_eq!(status(plain, 1), "synced|NULL");
    });
}

#[test]
fn times_written_by_triggers_are_not_early() {
    let clock = || {
        let since = std::time::UNIX_EPOCH.elapsed().expect("a clock");
        since.as_millis() as i64
    };
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e"]"#);
        let plain = world.plain();
        plain
            .execute_batch("PRAGMA synchronous = OFF")
            .expect("off");
        let mut update = plain
            .prepare("UPDATE _syncStatus SET state = ?1")
            .expect("prepared");
        // Many, for the trigger has to come in the same millisecond.
        for number in 0..300 {
            let before = clock();
            let state = ["synced", "syncing"][number % 2];
            update.execute([state]).expect("updated");
            let after = clock();
            for table in ["_syncStatus", "_syncScope", "_syncOperation"] {
                let time: i64 = ask(&plain, &format!("SELECT timestamp FROM {table}"))
                    .parse()
                    .expect("a number");
                assert!((before..=after).contains(&time), "{table}: {before} {time}");
            }
        }
    });
}
