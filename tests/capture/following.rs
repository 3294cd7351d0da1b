//! The rules of following a table through migrations, by their letter and number: rebuilt tables, capture off and on, our
//! own objects half gone, rows replaced by themselves.

use rusqlite::Connection;
use support::capture::{elsewhere, pending, run, track, tracked};
use support::{World, ask, both, every_world, refused, work_of};

use crate::notes::{EDITS, NOTES, WAITING, codes};

/// The ways in which tools rebuild a table.
const REBUILDS: &[&str] = &[
    "BEGIN; CREATE TABLE new_notes (id TEXT PRIMARY KEY, n INTEGER, body TEXT, extra TEXT, title TEXT);
     INSERT INTO new_notes (id, title, body, n) SELECT id, title, body, n FROM notes; DROP TABLE notes;
     ALTER TABLE new_notes RENAME TO notes; COMMIT",
    "BEGIN; ALTER TABLE notes RENAME TO old_notes; CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER);
     INSERT INTO notes SELECT * FROM old_notes; DROP TABLE old_notes; COMMIT",
    "PRAGMA legacy_alter_table = ON; BEGIN; ALTER TABLE notes RENAME TO old_notes;
     CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER) WITHOUT ROWID;
     INSERT INTO notes SELECT * FROM old_notes; DROP TABLE old_notes; COMMIT; PRAGMA legacy_alter_table = OFF",
];

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn m1_two_renames_in_a_row_keep_the_edit_with_its_column() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET title = 'x' WHERE id = 'k1'");
        elsewhere(
            world,
            "ALTER TABLE notes RENAME COLUMN title TO old; ALTER TABLE notes RENAME COLUMN body TO title;
             UPDATE notes SET title = 'y' WHERE id = 'k3'",
        );
        let expected = "updated k1 [\"old\"]\nupdated k3 [\"title\"]";
        assert_eq!(pending(&c), expected);
        track(&c, "notes", "{}");
        assert_eq!(pending(&c), expected);
        run(&c, "UPDATE notes SET n = 7 WHERE id = 'k3'");
        assert!(pending(&c).ends_with("updated k3 [\"title\",\"n\"]"));
    });
}

#[test]
fn m1_after_an_unseen_rename_and_a_rebuild_no_edit_is_of_another_column() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        run(
            &c,
            "UPDATE notes SET title = 'x' WHERE id = 'k1'; UPDATE notes SET n = 7 WHERE id = 'k3'",
        );
        elsewhere(
            world,
            "ALTER TABLE notes RENAME COLUMN title TO head;
             CREATE TABLE t2 (id TEXT PRIMARY KEY, n INTEGER, head TEXT, body TEXT);
             INSERT INTO t2 SELECT id, n, head, body FROM notes; DROP TABLE notes; ALTER TABLE t2 RENAME TO notes",
        );
        let expected = "updated k1 [\"head\"]\nupdated k3 [\"n\"]";
        assert_eq!(pending(&c), expected);
        let error = refused(&c, "SELECT sync_capture_existing('notes')");
        assert!(
            error.contains("\"title\"") && error.contains("sync_track"),
            "{error}"
        );
        assert_eq!(
            codes(&ask(&c, "SELECT sync_track('notes')")),
            ["captureRestored", "columnGone"]
        );
        assert_eq!(pending(&c), expected);
    });
}

#[test]
fn m3_a_column_with_edits_that_is_computed_after_a_rebuild_counts_as_gone() {
    let rebuild = |more: &str, columns: &str| {
        format!(
            "CREATE TABLE t2 (id TEXT PRIMARY KEY, body TEXT, n INTEGER{more}, title TEXT AS (body || '') STORED);
             INSERT INTO t2 (id, body, n{columns}) SELECT id, body, n{} FROM notes; DROP TABLE notes;
             ALTER TABLE t2 RENAME TO notes",
            columns.replace("raw", "title")
        )
    };
    every_world(|world| {
        for (rebuilt, expected) in [
            (rebuild("", ""), "updated k3 [\"n\"]"),
            // It may have another name now.
            (
                rebuild(", raw TEXT", ", raw"),
                "updated k1 [\"raw\"]\nupdated k3 [\"n\"]",
            ),
        ] {
            let c = tracked(
                world,
                &format!("DROP TABLE IF EXISTS notes; {NOTES}"),
                "notes",
            );
            run(
                &c,
                "UPDATE notes SET title = 'x' WHERE id = 'k1'; UPDATE notes SET n = 7 WHERE id = 'k3'",
            );
            elsewhere(world, &rebuilt);
            let error = refused(&c, "SELECT sync_capture_existing('notes')");
            assert!(
                error.contains("\"title\"") && error.contains("sync_track"),
                "{error}"
            );
            let answer = ask(&c, "SELECT sync_track('notes')");
            assert_eq!(codes(&answer), ["captureRestored", "columnGone"]);
            assert!(answer.contains("computes"), "{answer}");
            assert_eq!(pending(&c), expected);
            run(&c, "SELECT sync_untrack('notes', '{\"discard\":true}')");
        }
    });
}

#[test]
fn m3_a_column_that_is_computed_where_the_triggers_were_put_back_is_told_of() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET title = 'x' WHERE id = 'k1'");
        let triggers = ask(
            &c,
            "SELECT group_concat(sql, ';') FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'notes'",
        );
        elsewhere(
            world,
            &format!(
                "CREATE TABLE t2 (id TEXT PRIMARY KEY, body TEXT, n INTEGER, title TEXT AS (body || ''));
                 INSERT INTO t2 (id, body, n) SELECT id, body, n FROM notes; DROP TABLE notes;
                 ALTER TABLE t2 RENAME TO notes; {triggers}"
            ),
        );
        assert_eq!(
            codes(&ask(&c, "SELECT sync_track('notes')")),
            ["columnGone"]
        );
        assert_eq!(pending(&c), "");
    });
}

/// Renames that are excused by nothing: a call was there to see them.
const RENAMES: &[(&str, &str)] = &[
    (
        "ALTER TABLE notes RENAME COLUMN title TO old; ALTER TABLE notes RENAME COLUMN body TO title",
        "id, old, title, n",
    ),
    (
        "ALTER TABLE notes RENAME COLUMN title TO x; ALTER TABLE notes RENAME COLUMN body TO title; ALTER TABLE notes RENAME COLUMN x TO body",
        "id, body, title, n",
    ),
    (
        "ALTER TABLE notes RENAME COLUMN n TO m; ALTER TABLE notes RENAME COLUMN title TO n; ALTER TABLE notes RENAME COLUMN body TO title",
        "id, n, title, m",
    ),
];

#[test]
fn m1_a_rename_that_any_writing_call_saw_is_known_after_a_rebuild() {
    for call in [
        "sync_init()",
        "sync_heartbeat()",
        "sync_recover()",
        "sync_provider('local', '{\"kind\":\"host\"}')",
        "sync_untrack('another')",
        "sync_capture_off('other')",
    ] {
        for (renames, columns) in RENAMES {
            both(|world| {
                let c = tracked(world, NOTES, "notes");
                run(&c, "CREATE TABLE other (id TEXT PRIMARY KEY)");
                track(&c, "other", "{}");
                run(
                    &c,
                    "UPDATE notes SET body = 'x' WHERE id = 'k1'; SELECT sync_heartbeat()",
                );
                elsewhere(world, renames);
                // The last of the renames, where an edit is of the column that has a new name already.
                run(&c, "UPDATE notes SET title = 'y' WHERE id = 'k3'");
                ask(&c, &format!("SELECT {call}"));
                elsewhere(
                    world,
                    &format!(
                        "CREATE TABLE t2 (id TEXT PRIMARY KEY, {}); INSERT INTO t2 SELECT {columns} FROM notes; DROP TABLE notes;
                         ALTER TABLE t2 RENAME TO notes",
                        columns.trim_start_matches("id, ")
                    ),
                );
                let expected = "updated k1 [\"title\"]\nupdated k3 [\"title\"]";
                assert_eq!(pending(&c), expected, "{call} {renames}");
                ask(&c, "SELECT sync_track('notes')");
                assert_eq!(pending(&c), expected, "{call} {renames}");
            });
        }
    }
}

/// The number of a schema that was rolled back is used again.
#[test]
fn m1_a_look_inside_a_transaction_that_is_undone_is_none() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(
        &c,
        "UPDATE notes SET body = 'x' WHERE id = 'k1'; SELECT sync_init()",
    );
    run(
        &c,
        "BEGIN; CREATE TABLE a (x); CREATE TABLE b (x); SELECT sync_init(); ROLLBACK",
    );
    elsewhere(
        &world,
        "ALTER TABLE notes RENAME COLUMN title TO old; ALTER TABLE notes RENAME COLUMN body TO title",
    );
    ask(&c, "SELECT sync_init()");
    assert_eq!(
        ask(&c, "SELECT columns FROM _syncTable"),
        r#"["id","old","title","n"]"#
    );
}

/// A table that is half made must not be taken for one that was made anew.
#[test]
fn m3_calls_that_need_no_table_leave_one_that_is_bare_alone() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, EDITS);
        for step in [
            "ALTER TABLE notes RENAME TO old",
            "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER)",
            "INSERT INTO notes SELECT * FROM old",
            "DROP TABLE old",
        ] {
            elsewhere(world, step);
            ask(&c, "SELECT sync_heartbeat()");
        }
        assert_eq!(pending(&c), WAITING);
        assert_eq!(
            codes(&ask(&c, "SELECT sync_track('notes')")),
            ["captureRestored"]
        );
        assert_eq!(pending(&c), WAITING);
    });
}

/// What a program calls when it begins is not to be followed by edits that nobody sees.
#[test]
fn m3_sync_init_captures_a_table_that_was_rebuilt() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, EDITS);
        elsewhere(world, REBUILDS[0]);
        assert_eq!(ask(&c, "SELECT sync_init()"), "1");
        run(&c, "UPDATE notes SET n = 5 WHERE id = 'k3'");
        assert_eq!(pending(&c), format!("{WAITING}\nupdated k3 [\"n\"]"));
        // What should be known of it waits for an answer with room.
        let answer = ask(&c, "SELECT sync_track('notes')");
        assert_eq!(codes(&answer), ["captureRestored"]);
    });
}

/// A rename that is one step of a migration is not followed yet, nor is another table taken for the one that is gone.
#[test]
fn m3_sync_init_leaves_a_renamed_table_alone() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    for step in [
        "ALTER TABLE notes RENAME TO old",
        "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER)",
        "INSERT INTO notes SELECT * FROM old",
        "DROP TABLE old",
    ] {
        elsewhere(&world, step);
        ask(&c, "SELECT sync_init()");
    }
    assert_eq!(pending(&c), WAITING);
    run(&c, "UPDATE notes SET n = 5 WHERE id = 'k3'");
    assert_eq!(pending(&c), format!("{WAITING}\nupdated k3 [\"n\"]"));
    // Capture is off on purpose.
    run(&c, "SELECT sync_capture_off()");
    elsewhere(&world, REBUILDS[0]);
    run(
        &c,
        "SELECT sync_init(); UPDATE notes SET title = 'unseen' WHERE id = 'k3'",
    );
    assert_eq!(pending(&c), format!("{WAITING}\nupdated k3 [\"n\"]"));
}

#[test]
fn m1_to_look_costs_next_to_nothing_while_the_schema_is_as_it_was() {
    let world = World::new(false);
    let mut c = tracked(&world, NOTES, "notes");
    for number in 0..100 {
        run(
            &c,
            &format!("CREATE TABLE t{number} (id TEXT PRIMARY KEY, a, b, c)"),
        );
        track(&c, &format!("t{number}"), "{}");
    }
    let again = "SELECT sync_heartbeat()";
    run(&c, again);
    let unchanged = work_of(&mut c, |c| run(c, again));
    run(&c, "CREATE TABLE further (x)");
    let changed = work_of(&mut c, |c| run(c, again));
    assert!(unchanged * 5 < changed, "{unchanged} {changed}");
}

/// After a rename and a rebuild the edit is kept, and no text says otherwise.
#[test]
fn m1_what_is_said_of_a_missing_column_is_true() {
    for (rebuilt, kept, said) in [
        (
            "head TEXT, n INTEGER",
            "updated k1 [\"head\"]",
            "counts as an edit of \"head\"",
        ),
        ("n INTEGER", "", "is given up"),
    ] {
        let world = World::new(false);
        let c = tracked(&world, NOTES, "notes");
        run(&c, "UPDATE notes SET title = 'x' WHERE id = 'k1'");
        elsewhere(
            &world,
            &format!(
                "ALTER TABLE notes RENAME COLUMN title TO head; CREATE TABLE t2 (id TEXT PRIMARY KEY, body TEXT, {rebuilt});
                 INSERT INTO t2 (id, body, n) SELECT id, body, n FROM notes; DROP TABLE notes; ALTER TABLE t2 RENAME TO notes"
            ),
        );
        assert_eq!(pending(&c), kept);
        let error = refused(&c, "SELECT sync_capture_existing('notes')");
        assert!(error.contains(said), "{error}");
        let answer = ask(&c, "SELECT sync_track('notes')");
        let message = json(&answer)["warnings"][1]["message"].to_string();
        assert!(message.replace('\\', "").contains(said), "{message}");
        assert_eq!(pending(&c), kept);
    }
}

/// Nobody saw the renames, and the names say something else than the types: which column it was is not known.
#[test]
fn m1_an_edit_is_put_on_no_column_that_took_the_name_of_another() {
    for (renames, rebuilt, expected) in [
        (
            "ALTER TABLE t RENAME COLUMN a TO a_old; ALTER TABLE t RENAME COLUMN b TO a",
            "a_old TEXT, a INTEGER, c TEXT",
            r#"updated 1 ["a_old","a"]"#,
        ),
        (
            "ALTER TABLE t RENAME COLUMN a TO x; ALTER TABLE t RENAME COLUMN b TO a; ALTER TABLE t RENAME COLUMN x TO b",
            "\"b\" text /* the first */ NOT NULL DEFAULT '', [a] integer, c TEXT",
            r#"updated 1 ["b","a"]"#,
        ),
        (
            "ALTER TABLE t RENAME COLUMN a TO x; ALTER TABLE t RENAME COLUMN b TO a; ALTER TABLE t RENAME COLUMN x TO b",
            "b TEXT, a INTEGER, c TEXT, d INTEGER DEFAULT 5",
            r#"updated 1 ["b","a","d"]"#,
        ),
        // A table whose columns are in another order is none of the kind.
        (
            "SELECT 1",
            "b INTEGER, a TEXT, c TEXT",
            r#"updated 1 ["b"]"#,
        ),
        (
            "SELECT 1",
            "a TEXT, d INTEGER, b INTEGER, c TEXT",
            r#"updated 1 ["b"]"#,
        ),
    ] {
        every_world(|world| {
            let c = tracked(
                world,
                "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT, b INTEGER, c TEXT); INSERT INTO t VALUES ('1', 'x', 1, 'z'), ('2', 'x', 1, 'z');",
                "t",
            );
            run(
                &c,
                "UPDATE t SET b = 2 WHERE id = '1'; UPDATE t SET c = 'q' WHERE id = '2'",
            );
            elsewhere(world, renames);
            let names: String = ask(
                &c,
                "SELECT group_concat(name, ', ') FROM pragma_table_info('t')",
            );
            elsewhere(
                world,
                &format!(
                    "CREATE TABLE n (id TEXT PRIMARY KEY, {rebuilt}); INSERT INTO n ({names}) SELECT {names} FROM t; DROP TABLE t;
                     ALTER TABLE n RENAME TO t"
                ),
            );
            let expected = format!("{expected}\nupdated 2 [\"c\"]");
            assert_eq!(pending(&c), expected, "{rebuilt}");
            ask(&c, "SELECT sync_track('t')");
            assert_eq!(pending(&c), expected, "{rebuilt}");
        });
    }
}

#[test]
fn m3_a_rebuilt_table_is_the_same_table() {
    for rebuild in REBUILDS {
        every_world(|world| {
            let c = tracked(world, NOTES, "notes");
            run(&c, EDITS);
            elsewhere(world, rebuild);
            assert_eq!(pending(&c), WAITING, "{rebuild}");
            let answer = ask(&c, "SELECT sync_track('notes')");
            assert_eq!(codes(&answer), ["captureRestored"]);
            let message = json(&answer)["warnings"][0]["message"].to_string();
            for word in ["notes", "sync_check", "sync_capture_existing"] {
                assert!(message.contains(word), "{message}");
            }
            assert_eq!(pending(&c), WAITING, "{rebuild}");
            assert_eq!(codes(&ask(&c, "SELECT sync_track('notes')")), [""; 0]);
            run(&c, "UPDATE notes SET n = 5 WHERE id = 'k3'");
            assert_eq!(pending(&c), format!("{WAITING}\nupdated k3 [\"n\"]"));
        });
    }
}

#[test]
fn m3_what_a_call_without_room_for_warnings_notices_is_told_by_the_next_that_has() {
    for call in [
        "sync_capture_existing('notes')",
        "sync_alter('notes', 'ALTER TABLE notes ADD COLUMN further')",
        "sync_discard('notes', 'k1')",
        "sync_untrack('other')",
    ] {
        every_world(|world| {
            let c = tracked(world, NOTES, "notes");
            run(&c, EDITS);
            elsewhere(world, REBUILDS[0]);
            // A call that fails leaves everything as it was.
            refused(
                &c,
                "SELECT sync_alter('notes', 'ALTER TABLE notes DROP COLUMN nothing')",
            );
            let noticed = "SELECT runId, provider, event, detail ->> '$.code', detail ->> '$.entity' FROM sync_log";
            assert_eq!(ask(&c, noticed), "");
            ask(&c, &format!("SELECT {call}"));
            assert_eq!(
                ask(&c, noticed),
                "0|NULL|warning|captureRestored|notes",
                "{call}"
            );
            let answer = ask(&c, "SELECT sync_capture_on()");
            assert_eq!(codes(&answer), ["captureRestored"], "{call}");
            assert_eq!(ask(&c, noticed), "", "{call}");
            assert_eq!(codes(&ask(&c, "SELECT sync_track('notes')")), [""; 0]);
        });
    }
}

#[test]
fn m3_rows_that_are_gone_with_their_table_are_kept_as_conflicts_and_not_deleted() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, EDITS);
        run(
            &c,
            "INSERT OR IGNORE INTO notes VALUES ('k3', 'met', NULL, 0)",
        );
        elsewhere(
            world,
            "CREATE TABLE t2 (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER); INSERT INTO t2 VALUES ('other', 1, 1, 1);
             DROP TABLE notes; ALTER TABLE t2 RENAME TO notes",
        );
        assert_eq!(pending(&c), "deleted k2");
        let answer = ask(&c, "SELECT sync_track('notes')");
        assert_eq!(codes(&answer), ["captureRestored", "goneWithTable"]);
        assert_eq!(json(&answer)["warnings"][1]["count"], 2);
        assert_eq!(pending(&c), "deleted k2");
        assert_eq!(
            ask(
                &c,
                "SELECT kind, rowKey, local FROM sync_conflict ORDER BY rowKey"
            ),
            "goneWithTable|k1|{\"id\":\"k1\",\"_status\":\"updated\",\"_changed\":\"title\"}\n\
             goneWithTable|n|{\"id\":\"n\",\"_status\":\"created\",\"_changed\":\"\"}"
        );
    });
}

#[test]
fn m3_a_table_without_a_row_is_made_anew() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, EDITS);
        run(
            &c,
            "INSERT INTO _syncCursor (provider, entity, tableId, cursor, pulledAt) SELECT 'p', 'notes', id, '5', 1 FROM _syncTable",
        );
        run(
            &c,
            "DROP TABLE notes; CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER)",
        );
        assert_eq!(pending(&c), "deleted k2");
        ask(&c, "SELECT sync_track('notes')");
        assert_eq!(pending(&c), "deleted k2");
        assert_eq!(ask(&c, "SELECT count(*) FROM _syncCursor"), "0");
        assert_eq!(ask(&c, "SELECT count(*) FROM sync_conflict"), "2");
    });
}

/// As SQLite's own recipe has it: the tool's connection does not look after foreign keys.
#[test]
fn m3_a_rebuilt_parent_leaves_its_children_as_they_are() {
    every_world(|world| {
        let c = tracked(
            world,
            "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT);
             CREATE TABLE line (id TEXT PRIMARY KEY, note TEXT REFERENCES notes (id) ON DELETE CASCADE ON UPDATE CASCADE, x);
             INSERT INTO notes VALUES ('k1', 'one'), ('k2', 'two'); INSERT INTO line VALUES ('l1', 'k1', 1), ('l2', 'k2', 2)",
            "notes",
        );
        track(&c, "line", r#"{"existing":"skip"}"#);
        run(
            &c,
            "UPDATE notes SET title = 'x' WHERE id = 'k1'; UPDATE line SET x = 9 WHERE id = 'l2'; DELETE FROM line WHERE id = 'l1'",
        );
        let waiting = pending(&c);
        elsewhere(
            world,
            "PRAGMA foreign_keys = OFF; BEGIN; CREATE TABLE new_notes (id TEXT PRIMARY KEY, title TEXT, more TEXT);
             INSERT INTO new_notes (id, title) SELECT id, title FROM notes; DROP TABLE notes;
             ALTER TABLE new_notes RENAME TO notes; PRAGMA foreign_key_check; COMMIT",
        );
        assert_eq!(pending(&c), waiting);
        assert_eq!(codes(&track(&c, "line", "{}"))[0], "captureRestored");
        assert_eq!(pending(&c), waiting);
        // A cascade is captured as before.
        run(
            &c,
            "PRAGMA foreign_keys = ON; DELETE FROM notes WHERE id = 'k2'",
        );
        assert!(pending(&c).contains("deleted l2"), "{}", pending(&c));
    });
}

#[test]
fn m3_a_table_with_another_key_is_refused_with_what_to_call() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    run(
        &c,
        "DROP TABLE notes; CREATE TABLE notes (id TEXT, title TEXT PRIMARY KEY, body TEXT, n INTEGER)",
    );
    for call in ["sync_track('notes')", "sync_capture_existing('notes')"] {
        let error = refused(&c, &format!("SELECT {call}"));
        assert!(
            error.contains("another key") && error.contains("sync_untrack"),
            "{error}"
        );
    }
}

#[test]
fn m4_what_waits_is_seen_and_kept_while_there_are_no_triggers() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, EDITS);
        elsewhere(world, REBUILDS[0]);
        let before = ask(&c, "SELECT count(*) FROM sqlite_master");
        assert_eq!(ask(&c, "SELECT sync_has_pending()"), "1");
        assert_eq!(pending(&c), WAITING);
        assert_eq!(ask(&c, "SELECT count(*) FROM sqlite_master"), before);
        assert!(refused(&c, "SELECT sync_untrack('notes')").contains("not uploaded"));
        run(&c, "SELECT sync_capture_off('notes')");
        assert!(refused(&c, "SELECT sync_untrack('notes')").contains("not uploaded"));
        assert_eq!(ask(&c, "SELECT sync_has_pending()"), "1");
    });
}

#[test]
fn m5_capture_can_be_off_around_a_migration() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, EDITS);
        run(&c, "UPDATE notes SET body = 'y' WHERE id = 'k1'");
        let off = r#"{"tables":["notes"],"warnings":[]}"#;
        for _ in 0..2 {
            assert_eq!(ask(&c, "SELECT sync_capture_off()"), off);
        }
        elsewhere(world, "ALTER TABLE notes DROP COLUMN body");
        assert_eq!(pending(&c), WAITING);
        let error = refused(&c, "SELECT sync_capture_existing('notes')");
        assert!(error.contains("sync_capture_on"), "{error}");
        assert_eq!(
            codes(&ask(&c, "SELECT sync_capture_on('notes')")),
            ["columnGone"]
        );
        assert_eq!(ask(&c, "SELECT sync_capture_on()"), off);
        assert_eq!(pending(&c), WAITING);
        run(&c, "UPDATE notes SET n = 5 WHERE id = 'k3'");
        assert_eq!(pending(&c), format!("{WAITING}\nupdated k3 [\"n\"]"));
    });
}

#[test]
fn m5_capture_on_without_the_table_says_so_and_keeps_the_log() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    run(
        &c,
        "SELECT sync_capture_off('notes'); CREATE TABLE away AS SELECT * FROM notes; DROP TABLE notes",
    );
    assert_eq!(codes(&ask(&c, "SELECT sync_capture_on()")), ["tableGone"]);
    run(
        &c,
        "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER); INSERT INTO notes SELECT * FROM away",
    );
    assert_eq!(codes(&ask(&c, "SELECT sync_capture_on()")), [""; 0]);
    assert_eq!(pending(&c), WAITING);
    assert!(refused(&c, "SELECT sync_capture_on('nobody')").contains("not tracked"));
}

#[test]
fn m6_an_option_goes_along_with_its_column_and_is_refused_without_it() {
    both(|world| {
        let c = world.open();
        run(&c, NOTES);
        track(
            &c,
            "notes",
            r#"{"exclude":["title"],"types":{"n":"string"}}"#,
        );
        elsewhere(
            world,
            "ALTER TABLE notes RENAME COLUMN title TO old; ALTER TABLE notes RENAME COLUMN body TO title",
        );
        let payload = "SELECT payload FROM sync_pending WHERE key = 'k1'";
        for _ in 0..2 {
            assert_eq!(ask(&c, payload), r#"{"id":"k1","title":"b1","n":1}"#);
            ask(&c, "SELECT sync_track('notes')");
        }
        ask(
            &c,
            "SELECT sync_alter('notes', 'ALTER TABLE notes DROP COLUMN old')",
        );
        for call in ["sync_track('notes')", "sync_capture_existing('notes')"] {
            let error = refused(&c, &format!("SELECT {call}"));
            assert!(
                error.contains("\"old\"") && error.contains("sync_track"),
                "{error}"
            );
        }
        track(&c, "notes", "{}");
    });
}

#[test]
fn m6_new_options_count_when_capture_is_put_back_with_them() {
    both(|world| {
        let c = world.open();
        run(&c, NOTES);
        track(&c, "notes", r#"{"exclude":["body"]}"#);
        run(
            &c,
            "SELECT sync_capture_off('notes'); ALTER TABLE notes DROP COLUMN body",
        );
        track(&c, "notes", r#"{"exclude":["n"]}"#);
        let payload = "SELECT payload FROM sync_pending WHERE key = 'k1'";
        assert_eq!(ask(&c, payload), r#"{"id":"k1","title":"one"}"#);
    });
}

#[test]
fn m6_a_provider_s_list_goes_along_with_its_column() {
    let world = World::new(false);
    let c = world.open();
    run(&c, NOTES);
    ask(
        &c,
        r#"SELECT sync_provider('api', '{"kind":"watermelon","url":"http://localhost:1","excludeColumns":{"notes":["title"]}}')"#,
    );
    track(&c, "notes", "{}");
    run(&c, "UPDATE _syncTable SET provider = 'api'");
    elsewhere(
        &world,
        "ALTER TABLE notes RENAME COLUMN title TO old; ALTER TABLE notes RENAME COLUMN body TO title",
    );
    for _ in 0..2 {
        assert_eq!(
            ask(&c, "SELECT payload FROM sync_pending WHERE key = 'k1'"),
            r#"{"id":"k1","title":"b1","n":1}"#
        );
        ask(&c, "SELECT sync_track('notes')");
    }
    assert_eq!(
        ask(
            &c,
            "SELECT config ->> '$.excludeColumns.notes[0]' FROM _syncProvider"
        ),
        "old"
    );
}

/// Drops all tables of syncscope, or only their rows.
fn ruin(c: &Connection, how: &str) {
    let tables = ask(
        c,
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '\\_sync%' ESCAPE '\\'",
    );
    // Triggers between the tables would call each other.
    let guards = ask(
        c,
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE '\\_sync%' ESCAPE '\\'",
    );
    if how == "DELETE FROM" {
        for guard in guards.lines() {
            run(c, &format!("DROP TRIGGER \"{guard}\""));
        }
    }
    for table in tables.lines() {
        run(c, &format!("{how} {table}"));
    }
}

#[test]
fn m7_triggers_without_our_tables_go_with_the_next_call() {
    for (how, call) in [
        ("DROP TABLE", "sync_init()"),
        ("DELETE FROM", "sync_init()"),
        ("DROP TABLE", "sync_track('notes')"),
    ] {
        let world = World::new(false);
        let c = tracked(&world, NOTES, "notes");
        run(&c, EDITS);
        ruin(&world.plain(), how);
        let c2 = world.open();
        let answer = ask(&c2, &format!("SELECT {call}"));
        run(&c2, "UPDATE notes SET n = 8 WHERE id = 'k1'");
        if call != "sync_init()" {
            assert!(
                codes(&answer).contains(&"orphanedTriggers".to_owned()),
                "{answer}"
            );
        }
        track(&c2, "notes", r#"{"existing":"skip"}"#);
        run(&c2, "UPDATE notes SET n = 9 WHERE id = 'k1'");
        assert!(
            pending(&c2).contains("k1"),
            "{how} {call}: {}",
            pending(&c2)
        );
    }
}

#[test]
fn m9_what_is_no_table_of_the_application_is_refused_by_its_word() {
    let world = World::new(false);
    let c = world.open();
    run(
        &c,
        "CREATE VIRTUAL TABLE search USING fts5(a); CREATE VIEW v AS SELECT 1 AS id;
         CREATE TABLE _syncMine (id TEXT PRIMARY KEY); SELECT sync_init()",
    );
    for (table, word) in [
        ("search", "a virtual table"),
        ("search_data", "a shadow table"),
        ("search_config", "a shadow table"),
        ("v", "a view"),
        ("_syncScope", "names that begin with _sync are reserved"),
        ("_syncMine", "names that begin with _sync are reserved"),
        ("sqlite_sequence", "SQLite's own"),
    ] {
        let error = refused(&c, &format!("SELECT sync_track('{table}')"));
        assert!(error.contains(word), "{table}: {error}");
    }
}

#[test]
fn t4_a_row_replaced_by_itself_is_changed_where_its_values_are() {
    for table in [
        "CREATE TABLE t (id TEXT PRIMARY KEY, a, b INTEGER NOT NULL DEFAULT 5, u UNIQUE)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b INTEGER NOT NULL DEFAULT 5, u UNIQUE)",
        "CREATE TABLE t (id TEXT PRIMARY KEY, a, b INTEGER NOT NULL DEFAULT 5, u UNIQUE) WITHOUT ROWID",
        "CREATE TABLE t (id TEXT PRIMARY KEY REFERENCES t (id) ON DELETE CASCADE, a, b INTEGER NOT NULL DEFAULT 5, u UNIQUE)",
    ] {
        for recursive in [false, true] {
            replaced_by_itself(table, recursive);
        }
    }
}

fn replaced_by_itself(table: &str, recursive: bool) {
    let world = World::new(recursive);
    let c = tracked(
        &world,
        &format!("{table}; INSERT INTO t VALUES (1, 1, 5, 1), (2, 2, 2, 2);"),
        "t",
    );
    run(
        &c,
        "INSERT OR REPLACE INTO t VALUES (1, 1, '5', 1); REPLACE INTO t VALUES (1, 1, NULL, 1)",
    );
    assert_eq!(pending(&c), "");
    assert_eq!(ask(&c, "SELECT sync_has_pending()"), "0");
    run(&c, "INSERT OR REPLACE INTO t VALUES (1, 7, 5, 1)");
    assert_eq!(pending(&c), r#"updated 1 ["a"]"#);
    // What was only offered counts for nothing.
    run(
        &c,
        "INSERT OR IGNORE INTO t VALUES (2, 2, 2, 2); DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (2, 9, 9, 9)",
    );
    assert_eq!(
        pending(&c),
        "updated 1 [\"a\"]\nupdated 2 [\"a\",\"b\",\"u\"]"
    );
    // Evicted by another row, and made again.
    run(
        &c,
        "INSERT OR IGNORE INTO t VALUES (1, 7, 5, 1); REPLACE INTO t VALUES (3, 3, 3, 1); INSERT INTO t VALUES (1, 7, 6, 4)",
    );
    assert!(
        pending(&c).contains("updated 1 [\"a\",\"b\",\"u\"]"),
        "{}",
        pending(&c)
    );
}

#[test]
fn t4_a_delete_in_a_trigger_that_replace_fires_is_a_delete() {
    for recursive in [false, true] {
        let world = World::new(recursive);
        let c = tracked(
            &world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a, b); INSERT INTO t VALUES ('k', 1, 1);
             CREATE TABLE job (id TEXT PRIMARY KEY, a);
             CREATE TRIGGER again AFTER INSERT ON job BEGIN DELETE FROM t WHERE id = NEW.id; END;",
            "t",
        );
        run(
            &c,
            "INSERT OR IGNORE INTO t VALUES ('k', 1, 2); REPLACE INTO job VALUES ('k', 1);
             INSERT INTO t VALUES ('k', 3, 3)",
        );
        assert_eq!(pending(&c), r#"updated k ["a","b"]"#);
    }
}

#[test]
fn t4_with_recursive_triggers_no_change_is_missed() {
    let world = World::new(true);
    let c = tracked(&world, NOTES, "notes");
    run(&c, "REPLACE INTO notes VALUES ('k1', 'x', 'b1', 1)");
    assert!(pending(&c).contains("\"title\""), "{}", pending(&c));
}

#[test]
fn t4_columns_far_to_the_right_and_columns_added_elsewhere_are_seen() {
    let world = World::new(false);
    let names: Vec<String> = (0..130).map(|number| format!("c{number}")).collect();
    let ddl = format!(
        "CREATE TABLE w (id TEXT PRIMARY KEY, {}); INSERT INTO w (id) VALUES ('a');",
        names.join(", ")
    );
    let c = tracked(&world, &ddl, "w");
    run(
        &c,
        "REPLACE INTO w (id, c3, c70, c129) VALUES ('a', 1, 1, 1)",
    );
    assert_eq!(pending(&c), r#"updated a ["c3","c70","c129"]"#);
    elsewhere(
        &world,
        "ALTER TABLE w ADD COLUMN more; REPLACE INTO w (id, more) VALUES ('a', 1)",
    );
    assert!(pending(&c).contains("\"more\""));
}

#[test]
fn use_the_answer_of_sync_track_says_what_should_be_known() {
    let world = World::new(false);
    let c = world.open();
    run(
        &c,
        "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id TEXT PRIMARY KEY, a INTEGER REFERENCES a, x BLOB,
         c INTEGER REFERENCES a); CREATE INDEX i ON b (c)",
    );
    let answer = ask(&c, "SELECT sync_track('a')");
    assert_eq!(codes(&answer), ["countedKey"]);
    assert!(
        json(&answer)["warnings"][0]["message"]
            .to_string()
            .contains("rekey")
    );
    assert_eq!(json(&answer)["id"], 1);
    assert_eq!(codes(&track(&c, "a", r#"{"counted":"same"}"#)), [""; 0]);
    let answer = track(&c, "b", "{}");
    assert_eq!(codes(&answer), ["foreignKeyWithoutIndex", "typeNotCarried"]);
    assert_eq!(
        codes(&track(&c, "b", r#"{"exclude":["x"]}"#)),
        ["foreignKeyWithoutIndex"]
    );
    // A key can't be excluded.
    run(&c, "CREATE TABLE k (id BLOB PRIMARY KEY, x TEXT)");
    let answer = track(&c, "k", "{}");
    assert_eq!(codes(&answer), ["typeNotCarried"]);
    assert!(
        answer.contains("declare it TEXT") && !answer.contains("exclude"),
        "{answer}"
    );
}
