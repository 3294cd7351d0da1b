//! Tables, arguments and the start of a scope. The numbers are the lines of "What is tested" in
//! docs/scopes.md.

use support::scopes::{begin, picture, report, scope, start, status};
use support::{World, ask, both, refused};

const MONITOR_SCOPES: &str = "SELECT id, timestamp, state, notStarted, syncing, failed, synced, \
    lastStartedAt, lastFailedAt, lastSyncedAt, details FROM [_syncScope]";
const MONITOR_STATUSES: &str =
    "SELECT id, provider, entity, functionId, state, timestamp, error FROM [_syncStatus]";

#[test]
fn line_01_select_star_gives_the_listed_columns() {
    both(|world| {
        let db = world.ready();
        let columns = |table| {
            ask(
                &db,
                &format!("SELECT group_concat(name, ' ') FROM pragma_table_info('{table}')"),
            )
        };
        assert_eq!(
            columns("_syncStatus"),
            "id provider entity functionId state timestamp error"
        );
        assert_eq!(
            columns("_syncScope"),
            "id state timestamp notStarted syncing failed synced lastStartedAt lastFailedAt \
             lastSyncedAt details"
        );
        assert_eq!(
            ask(&db, "SELECT count(*) FROM pragma_table_xinfo('_syncScope')"),
            "11"
        );
    });
}

#[test]
fn line_01_the_published_queries_run_verbatim_after_init() {
    both(|world| {
        let db = world.open();
        assert_eq!(ask(&db, "SELECT sync_init()"), "1");
        assert_eq!(ask(&db, MONITOR_SCOPES), "");
        assert_eq!(ask(&db, MONITOR_STATUSES), "");
        assert_eq!(ask(&world.plain(), MONITOR_SCOPES), "");
    });
}

#[test]
fn line_01_loading_creates_nothing() {
    both(|world| {
        let db = world.open();
        assert_eq!(ask(&db, "SELECT count(*) FROM sqlite_master"), "0");
        assert_eq!(
            std::fs::metadata(world.path())
                .map(|data| data.len())
                .unwrap_or(0),
            0
        );
    });
}

#[test]
fn line_01_a_read_only_file_loads() {
    both(|world| {
        begin(&world.ready(), "a", r#"["e"]"#);
        let db = rusqlite::Connection::open_with_flags(
            world.path(),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        )
        .expect("open");
        support::load(&db);
        assert_eq!(ask(&db, "SELECT count(*) FROM _syncStatus"), "1");
        assert!(refused(&db, "SELECT sync_recover()").contains("readonly"));
    });
}

#[test]
fn line_02_positional_and_object_forms_agree() {
    both(|world| {
        let db = world.ready();
        let pairs = [
            (
                r#"SELECT sync_start_scope('s', '["a"]')"#,
                r#"SELECT sync_start_scope('{"type":"action.start-sync-scope","title":"x","icon":"y","style":{},"isHidden":true,"instanceId":"s","options":{"instanceIds":["a"],"when":true}}')"#,
            ),
            (
                r#"SELECT sync_entities('a', 'host', '["e"]')"#,
                r#"SELECT sync_entities(' {"type":"action-sync-entities","instanceId":"a","options":{"provider":"host","entities":["e"]}}')"#,
            ),
            (
                "SELECT sync_interrupt('s', 'background')",
                r#"SELECT sync_interrupt('{"options":{"id":"s","reason":"background"}}')"#,
            ),
            (
                "SELECT sync_delete_scope('s')",
                r#"SELECT sync_delete_scope('{"options":{"id":"s"}}')"#,
            ),
            (
                "SELECT sync_delete_status(1)",
                r#"SELECT sync_delete_status('{"options":{"id":1}}')"#,
            ),
        ];
        for (positional, object) in pairs {
            ask(&db, "SAVEPOINT same");
            let first = ask(&db, positional);
            let shown = ask(&db, "SELECT id, state, syncing FROM _syncScope")
                + &ask(&db, "SELECT id, state, error FROM _syncStatus");
            ask(&db, "ROLLBACK TO same");
            assert_eq!(ask(&db, object), first, "{object}");
            let now = ask(&db, "SELECT id, state, syncing FROM _syncScope")
                + &ask(&db, "SELECT id, state, error FROM _syncStatus");
            assert_eq!(now, shown, "{object}");
            ask(&db, "RELEASE same");
        }
    });
}

#[test]
fn line_02_wrong_objects_are_errors_and_change_nothing() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e"]"#);
        let before = picture(&db);
        for (sql, problem) in [
            (
                r#"SELECT sync_start_scope('{"instanceId":"s","ids":[]}')"#,
                "\"ids\"",
            ),
            (
                r#"SELECT sync_start_scope('{"type":"action.sync-entities","instanceId":"s","options":{"instanceIds":[]}}')"#,
                "type",
            ),
            (r#"SELECT sync_start_scope('{"instanceId":')"#, "JSON"),
            (
                r#"SELECT sync_entities('{"options":{"provider":"host","entities":[],"where":1}}')"#,
                "options.where",
            ),
            (
                r#"SELECT sync_entities('{"options":{"entities":[]}}')"#,
                "provider",
            ),
            (r#"SELECT sync_delete_scope('{"id":"s"}')"#, "\"id\""),
            (
                r#"SELECT sync_delete_status('{"options":{"id":[1]}}')"#,
                "id",
            ),
            ("SELECT sync_delete_status('[1]')", "id"),
            ("SELECT sync_delete_status(1.5)", "id"),
            ("SELECT sync_delete_scope(NULL)", "id"),
            (
                r#"SELECT sync_interrupt('{"options":{"scope":"s"}}')"#,
                "options.scope",
            ),
            (
                r#"SELECT sync_entities('a', 'host', '["e"]', '{"wherever":1}')"#,
                "options.wherever",
            ),
            ("SELECT sync_entities('a', 'host', '[1]')", "entities[0]"),
            ("SELECT sync_set_status(1, 'done')", "state"),
            ("SELECT sync_set_status(1, 'synced', 'oh')", "error"),
        ] {
            let error = refused(&db, sql);
            let function = sql
                .trim_start_matches("SELECT ")
                .split('(')
                .next()
                .unwrap_or_default();
            assert!(
                error.starts_with(&format!("{function}: ")),
                "{sql}: {error}"
            );
            assert!(error.contains(problem), "{sql}: {error}");
            assert_eq!(picture(&db), before, "{sql}");
        }
    });
}

#[test]
fn line_02_when_false_gives_null_and_changes_nothing() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e"]"#);
        let before = picture(&db);
        for sql in [
            r#"SELECT sync_start_scope('{"instanceId":"s","when":false,"options":{"instanceIds":[]}}')"#,
            r#"SELECT sync_entities('{"options":{"when":false,"provider":"host","entities":["e"]}}')"#,
            r#"SELECT sync_delete_scope('{"when":false,"options":{"id":"s"}}')"#,
            r#"SELECT sync_delete_status('{"options":{"when":false,"id":1}}')"#,
            r#"SELECT sync_interrupt('{"when":false}')"#,
        ] {
            assert_eq!(ask(&db, sql), "NULL", "{sql}");
        }
        assert_eq!(picture(&db), before);
    });
}

#[test]
fn line_03_a_start_counts_every_member_as_not_started() {
    both(|world| {
        let db = world.ready();
        assert_eq!(start(&db, "s", r#"["a","b","a","c"]"#), "syncing");
        assert_eq!(scope(&db, "s"), "syncing 3/0/0/0");
        assert_eq!(
            ask(
                &db,
                "SELECT lastStartedAt = timestamp, lastFailedAt, lastSyncedAt FROM _syncScope"
            ),
            "1|NULL|NULL"
        );
        assert_eq!(
            ask(
                &db,
                "SELECT group_concat(instanceId) FROM (SELECT * FROM _syncScopeMember ORDER BY ordinal)"
            ),
            "a,b,c"
        );
        assert_eq!(start(&db, "empty", "[]"), "synced");
        assert_eq!(scope(&db, "empty"), "synced 0/0/0/0");
        assert_eq!(
            ask(
                &db,
                "SELECT lastSyncedAt = lastStartedAt FROM _syncScope WHERE id = 'empty'"
            ),
            "1"
        );
    });
}

#[test]
fn line_03_wrong_lists_are_errors() {
    both(|world| {
        let db = world.ready();
        for list in [
            "[1]",
            r#"[""]"#,
            "[null]",
            "{}",
            "a",
            r#"["a\u0000"]"#,
            "",
            r#"["a""#,
        ] {
            let sql = format!("SELECT sync_start_scope('s', '{list}')");
            assert!(
                refused(&db, &sql).starts_with("sync_start_scope: instance_ids"),
                "{list}"
            );
        }
        for sql in [
            "SELECT sync_start_scope('s', NULL)",
            "SELECT sync_start_scope(NULL, '[]')",
            "SELECT sync_start_scope('', '[]')",
            "SELECT sync_start_scope(x'00', '[]')",
            "SELECT sync_start_scope(1, '[]')",
            "SELECT sync_start_scope('s')",
        ] {
            refused(&db, sql);
        }
        assert_eq!(ask(&db, "SELECT count(*) FROM _syncScope"), "0");
    });
}

#[test]
fn line_05_all_synced_is_synced_once() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a","b"]"#);
        begin(&db, "a", r#"["e1"]"#);
        report(&db, 1, "synced", None);
        assert_eq!(scope(&db, "s"), "syncing 1/0/0/1");
        assert_eq!(ask(&db, "SELECT lastSyncedAt FROM _syncScope"), "NULL");
        begin(&db, "b", r#"["e2"]"#);
        report(&db, 2, "synced", None);
        assert_eq!(scope(&db, "s"), "synced 0/0/0/2");
        let stamped = ask(&db, "SELECT lastSyncedAt FROM _syncScope");
        assert_ne!(stamped, "NULL");
        assert_eq!(report(&db, 2, "synced", None), "0");
        std::thread::sleep(std::time::Duration::from_millis(5));
        // Derived again without a change of state: the moment of the change stays.
        ask(&db, "UPDATE _syncStatus SET timestamp = 1 WHERE id = 1");
        assert_eq!(ask(&db, "SELECT lastSyncedAt FROM _syncScope"), stamped);
    });
}

#[test]
fn line_05_an_instance_without_entities_is_synced_at_once() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        let answer = begin(&db, "a", "[]");
        assert!(answer.contains(r#""state":"synced""#) && answer.contains(r#""operations":[]"#));
        assert_eq!(scope(&db, "s"), "synced 0/0/0/1");
        assert_eq!(ask(&db, "SELECT count(*) FROM _syncStatus"), "0");
    });
}

#[test]
fn line_07_a_restart_keeps_times_and_row_and_replaces_the_list() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a","b"]"#);
        begin(&db, "a", r#"["e1"]"#);
        begin(&db, "b", r#"["e2"]"#);
        report(&db, 1, "synced", None);
        report(&db, 2, "failed", Some("no"));
        begin(&db, "b", r#"["e2"]"#);
        report(&db, 2, "synced", None);
        let kept = "SELECT rowid, lastFailedAt, lastSyncedAt FROM _syncScope WHERE id = 's'";
        let before = ask(&db, kept);
        assert!(!before.contains("NULL"));
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(start(&db, "s", r#"["b","c"]"#), "syncing");
        assert_eq!(ask(&db, kept), before);
        assert_eq!(scope(&db, "s"), "syncing 2/0/0/0");
        assert_eq!(
            ask(&db, "SELECT lastStartedAt > lastSyncedAt FROM _syncScope"),
            "1"
        );
        assert_eq!(start(&db, "s", r#"["a"]"#), "syncing");
        assert_eq!(ask(&db, kept), before);
    });
}

#[test]
fn line_08_in_flight_at_the_restart_counts_once() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a","b"]"#);
        begin(&db, "a", r#"["e1","e2"]"#);
        report(&db, 1, "synced", None);
        start(&db, "s", r#"["a","b"]"#);
        assert_eq!(scope(&db, "s"), "syncing 1/1/0/0");
        report(&db, 2, "synced", None);
        assert_eq!(scope(&db, "s"), "syncing 1/0/0/1");
    });
}

#[test]
fn line_08_a_result_of_work_ended_before_the_restart_leaves_not_started() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        begin(&db, "a", r#"["e1"]"#);
        ask(&db, "SELECT sync_interrupt('s', 'background')");
        start(&db, "s", r#"["a"]"#);
        report(&db, 1, "synced", None);
        assert_eq!(status(&db, 1), "synced|NULL");
        assert_eq!(scope(&db, "s"), "syncing 1/0/0/0");
        report(&db, 1, "failed", Some("late"));
        assert_eq!(scope(&db, "s"), "syncing 1/0/0/0");
    });
}

#[test]
fn line_20_scopes_of_two_attached_files_are_independent() {
    both(|world| {
        let db = world.ready();
        ask(
            &db,
            &format!("ATTACH '{}' AS \"other one\"", world.file("b.db").display()),
        );
        let other = |options: &str| {
            ask(
                &db,
                &format!(
                    r#"SELECT sync_start_scope('{{"schema":"other one","instanceId":"s","options":{options}}}')"#
                ),
            )
        };
        start(&db, "s", r#"["a"]"#);
        assert_eq!(other(r#"{"instanceIds":["a","b"]}"#), "syncing");
        begin(&db, "a", r#"["e"]"#);
        report(&db, 1, "synced", None);
        assert_eq!(scope(&db, "s"), "synced 0/0/0/1");
        assert_eq!(
            ask(
                &db,
                r#"SELECT state, notStarted FROM "other one"._syncScope"#
            ),
            "syncing|2"
        );
        assert_eq!(
            ask(
                &db,
                r#"SELECT sync_interrupt('{"options":{"id":"s","schema":"other one"}}')"#
            ),
            "1"
        );
        assert_eq!(scope(&db, "s"), "synced 0/0/0/1");
        assert!(
            refused(
                &db,
                r#"SELECT sync_delete_scope('{"schema":"gone","options":{"id":"s"}}')"#
            )
            .contains("gone")
        );
    });
}

#[test]
fn line_20_any_text_survives_in_details() {
    both(|world| {
        let db = world.ready();
        let all: String = (1..=0x1f)
            .chain([0x7f, 0x85, 0x2028])
            .filter_map(char::from_u32)
            .collect();
        for text in [r#"a"b\c'd"#, "line\nfeed", &all, "😀 ünï", "%s%n", "main.x"] {
            let list = serde_json::json!([text]).to_string();
            let call = |sql: &str, values: &[&str]| {
                db.query_row(sql, rusqlite::params_from_iter(values), |row| {
                    row.get::<_, rusqlite::types::Value>(0)
                })
                .unwrap_or_else(|error| panic!("{text:?}: {error}"))
            };
            call("SELECT sync_start_scope(?1, ?2)", &[text, &list]);
            call("SELECT sync_entities(?1, 'host', ?2)", &[text, &list]);
            db.execute(
                "UPDATE _syncStatus SET state = 'failed', error = ?1 WHERE entity = ?1",
                [text],
            )
            .expect("update");
            let details: String = db
                .query_row(
                    "SELECT details FROM _syncScope WHERE id = ?1",
                    [text],
                    |row| row.get(0),
                )
                .expect("details");
            let details: serde_json::Value = serde_json::from_str(&details).expect("JSON");
            assert_eq!(details["instances"][text]["error"], text);
            assert_eq!(details["instances"][text]["entities"][0]["entity"], text);
            assert_eq!(details["failures"][0]["instanceId"], text);
        }
    });
}

#[test]
fn the_tables_are_made_by_the_first_writing_call_and_undone_with_it() {
    let world = World::new(false);
    let db = world.open();
    ask(&db, "BEGIN");
    start(&db, "s", "[]");
    ask(&db, "ROLLBACK");
    assert_eq!(ask(&db, "SELECT count(*) FROM sqlite_master"), "0");
    refused(&db, "SELECT sync_start_scope('s', 'x')");
    assert_eq!(ask(&db, "SELECT count(*) FROM sqlite_master"), "0");
    assert!(
        refused(&db, "SELECT sync_entities('a', 'p', '[]')").contains("not declared (none is)")
    );
    assert_eq!(ask(&db, "SELECT count(*) FROM sqlite_master"), "0");
}

#[test]
fn a_scope_whose_row_was_replaced_without_a_trace_can_be_started_again() {
    both(|world| {
        let db = world.ready();
        start(&db, "s", r#"["a"]"#);
        db.execute_batch(
            "REPLACE INTO _syncScope (rowid, id) SELECT rowid, 'other' FROM _syncScope",
        )
        .expect("replaced");
        assert_eq!(ask(&db, "SELECT group_concat(id) FROM _syncScope"), "other");
        assert_eq!(ask(&db, "SELECT sync_recover()->>'operations'"), "0");
        assert_eq!(start(&db, "s", r#"["a","b"]"#), "syncing");
        assert_eq!(scope(&db, "s"), "syncing 2/0/0/0");
    });
}
