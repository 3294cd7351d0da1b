//! After the upgrade everything that waited in the file goes on.

use super::fixture::{backend, newest, old_file, redirect, same_rows, version};
use serde_json::json;
use support::{ask, backend_rows, refused, rows_of, sync_on, wait_for};

/// A push of unknown outcome, and a sync that a killed process left in the middle of its push. Whether the
/// backend has got them or not, everything is there once afterwards.
#[test]
fn pushes_of_unknown_outcome_are_settled_whether_the_backend_has_them_or_not() {
    for moment in ["before", "after"] {
        let world = old_file();
        let backend = backend(moment);
        if moment == "after" {
            backend.sql(|db| {
                db.execute_batch(
                    "UPDATE counter SET amount = 9.25 WHERE id = 1; DELETE FROM counter WHERE id = 2;
                     INSERT INTO counter VALUES (77, 'new', NULL);",
                )
            });
        }
        redirect(&world, &backend);
        let db = world.open();
        // A backend that has a row refuses to create it again.
        backend.faults().add(json!({"on": "push", "noU2": true}));
        let all = ["list", "task", "wide"];
        let answer = sync_on(&db, "all", &all);
        assert_eq!(answer["state"], "synced", "{moment}: {answer}");
        assert_eq!(answer["runId"], 9, "{moment}");
        assert_eq!(version(&db), newest());
        // What the push of then may have brought, and what was done since.
        let tasks = "SELECT id, title, done, note FROM task WHERE id IN ('t-1', 't-new', 't-old', 't-sent', 't-undone')";
        let now = "t-1|Dig deep|1|NULL\nt-new|made|0|NULL\nt-sent|made|0|after the push";
        assert_eq!(ask(&db, tasks), now, "{moment}");
        let there = backend.sql(|db| Ok(ask(db, tasks)));
        assert_eq!(there, now, "{moment}");
        // Rejected then, taken now; what can't be sent waits until it is corrected.
        let pending =
            r#"SELECT "table", key FROM sync_pending WHERE "table" IN ('list', 'task', 'wide')"#;
        assert_eq!(ask(&db, pending), "task|t-odd", "{moment}");
        assert_eq!(
            ask(&db, "SELECT pk FROM _syncRejected"),
            "t-odd",
            "{moment}"
        );
        ask(&db, "UPDATE task SET n = 5 WHERE id = 't-odd'");
        for _ in 0..3 {
            let answer = sync_on(&db, "all", &all);
            assert_eq!(answer["state"], "synced", "{moment}: {answer}");
        }
        assert_eq!(ask(&db, pending), "", "{moment}");
        for table in all {
            assert_eq!(
                rows_of(&db, table),
                backend_rows(&backend, table),
                "{moment}: {table}"
            );
        }
        let left = "SELECT count(*) FROM _syncPush WHERE provider = 'api'";
        assert_eq!(ask(&db, left), "0", "{moment}: the journal");

        let answer = ask(
            &db,
            r#"SELECT sync_entities('counters', 'queue', '["counter"]') ->> 'state'"#,
        );
        assert_eq!(answer, "synced", "{moment}");
        same_rows(
            &db,
            &backend,
            "counter",
            "counter",
            &["id", "label", "amount"],
        );
        assert_eq!(
            ask(&db, "SELECT count(*) FROM counter WHERE id = 77"),
            "1",
            "{moment}"
        );
    }
}

#[test]
fn a_sync_in_the_background_may_be_the_first_that_writes() {
    let world = old_file();
    ask(&world.plain(), "PRAGMA journal_mode = wal");
    let backend = backend("before");
    redirect(&world, &backend);
    let db = world.open();
    let call = r#"SELECT sync_entities('counters', 'queue', '["counter"]', '{"background":true}') ->> 'state'"#;
    assert_eq!(ask(&db, call), "syncing");
    wait_for("the end of the sync", || {
        ask(&db, "SELECT state FROM _syncRun WHERE id = 9") == "synced"
    });
    assert_eq!(version(&db), newest());
    same_rows(
        &db,
        &backend,
        "counter",
        "counter",
        &["id", "label", "amount"],
    );
}

#[test]
fn configurations_of_then_are_understood() {
    let world = old_file();
    let backend = backend("after");
    redirect(&world, &backend);
    let db = world.open();
    // Many keys, a table of another name, a column that stays here, pushes of two rows.
    let call = r#"SELECT sync_entities('labels', 'many', '["label"]')"#;
    let answer = ask(&db, &format!("{call} ->> 'state'"));
    assert_eq!(
        answer,
        "synced",
        "{}",
        ask(&db, "SELECT error FROM _syncRun ORDER BY id DESC LIMIT 1")
    );
    same_rows(&db, &backend, "tag", "label", &["id", "color"]);
    assert_eq!(
        ask(&db, "SELECT here FROM tag WHERE id = 'g-2'"),
        "only here"
    );
    // A preset, a policy in SQL that each connection must declare, a column renamed while changes waited.
    backend.sql(|db| {
        db.execute_batch(
            "INSERT INTO memo VALUES ('m-1', 'old text', 'calm'), ('m-2', 'old text', 'calm')",
        )
    });
    let call = r#"SELECT sync_entities('memos', 'preset', '["memo"]')"#;
    let text = refused(&db, call);
    assert!(text.contains("sync_resolver"), "{text}");
    ask(
        &db,
        "SELECT sync_resolver('memo', 'sql2', argument) FROM _syncResolver WHERE entity = 'memo'",
    );
    let answer = ask(&db, call);
    assert!(answer.contains(r#""state":"synced""#), "{answer}");
    same_rows(&db, &backend, "memo", "memo", &["id", "body", "mood"]);
    // Secrets by name, a condition in SQL that this connection did not declare.
    let text = refused(&db, r#"SELECT sync_entities('x', 'guarded', '["photo"]')"#);
    assert!(!text.contains("config"), "{text}");
    // A key of another kind, which v0.1.0 took without a word.
    let answer = ask(
        &db,
        r#"SELECT sync_entities('x', 'stray', '["anything"]') ->> 'state'"#,
    );
    assert_eq!(answer, "syncing");
}

#[test]
fn the_open_scope_is_recovered_and_can_be_started_again() {
    let world = old_file();
    let connection = world.open();
    let state = |id: &str| {
        ask(
            &connection,
            &format!(
                "SELECT state, details -> 'interruption' ->> 'reason' FROM _syncScope WHERE id = '{id}'"
            ),
        )
    };
    assert_eq!(state("startup"), "syncing|NULL");
    let recovered = ask(&connection, "SELECT sync_recover()");
    // Two operations of the program, one of the other program's sync.
    assert_eq!(recovered, r#"{"operations":3,"scopes":["startup"]}"#);
    assert!(
        ["interrupted|crashed", "interrupted|expired"].contains(&state("startup").as_str()),
        "{}",
        state("startup")
    );
    assert_eq!(state("stopped"), "interrupted|background");
    assert_eq!(state("done"), "synced|NULL");
    ask(
        &connection,
        r#"SELECT sync_start_scope('startup', '["crew"]')"#,
    );
    ask(
        &connection,
        r#"SELECT sync_entities('crew', 'local', '["crew"]')"#,
    );
    assert_eq!(
        ask(&connection, "SELECT sync_set_status(10, 'synced')"),
        "1"
    );
    assert_eq!(state("startup"), "synced|NULL");
}

#[test]
fn tables_of_documents_and_conflicts_go_on() {
    let world = old_file();
    let backend = backend("before");
    redirect(&world, &backend);
    let db = world.open();
    let books = r#"[{"entity":"local/books","function":"list-books","parameters":{"author":"Austen","page":1}}]"#;
    let options = r#"{"operations":[{"type":"find-replace","find":"temp-1","replace":"$.id"},{"type":"upsert-merge"}]}"#;
    let call = format!(
        "SELECT sync_entities('books', 'local', '{books}', '{options}') ->> '$.operations[0].statusId'"
    );
    assert_eq!(ask(&db, &call), "6", "the same parameters, the same status");
    ask(&db, r#"SELECT sync_apply(6, '{"id":"p","year":1817}')"#);
    let found = ask(
        &db,
        r#"SELECT id, data ->> 'title', data ->> 'year' FROM "local/books" ORDER BY id"#,
    );
    assert_eq!(found, "a|Emma|NULL\np|Persuasion|1817");
    // A conflict more: its number follows, its policy is the one declared then.
    backend.sql(|db| {
        db.execute_batch("UPDATE task SET title = 'theirs', updated_at = 40 WHERE id = 't-1'")
    });
    sync_on(&db, "all", &["list", "task", "wide"]);
    let conflict = "SELECT id, runId, rowKey, kind, policy, resolved ->> 'title' FROM sync_conflict WHERE id > 4";
    assert_eq!(ask(&db, conflict), "5|9|t-1|edited|lastWriteWins|theirs");
    let events = ask(&db, "SELECT DISTINCT event FROM sync_log WHERE runId = 9");
    assert!(
        events.contains("conflict") && events.contains("settled"),
        "{events}"
    );
}
