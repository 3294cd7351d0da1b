//! Beginning and ending to track a table, what is refused, and capturing rows that are there.

use support::capture::{elsewhere, pending, run, track, tracked};
use support::{World, ask, both, refused};

const NOTES: &str = "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, n INTEGER);
    INSERT INTO notes VALUES ('k1', 'one', 1), ('k2', 'two', 2);";

#[test]
fn rows_that_are_there_are_captured_unless_told_to_skip_them() {
    let world = World::new(false);
    let c = world.open();
    run(&c, NOTES);
    let answer: serde_json::Value =
        serde_json::from_str(&ask(&c, "SELECT sync_track('notes')")).expect("JSON");
    assert_eq!(answer["table"], "notes");
    assert_eq!(answer["tracked"], true);
    assert_eq!(answer["captured"], 2);
    assert_eq!(pending(&c), "created k1 []\ncreated k2 []");
    run(
        &c,
        "CREATE TABLE quiet (id TEXT PRIMARY KEY); INSERT INTO quiet VALUES ('q')",
    );
    assert!(track(&c, "quiet", r#"{"existing":"skip"}"#).contains("\"captured\":0"));
    assert_eq!(
        ask(
            &c,
            "SELECT count(*) FROM sync_pending WHERE \"table\" = 'quiet'"
        ),
        "0"
    );
}

#[test]
fn tracking_twice_is_the_same_as_once() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET n = 9 WHERE id = 'k1'");
        let triggers = ask(
            &c,
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 1",
        );
        for name in ["notes", "NOTES", "Notes"] {
            let answer = track(&c, name, "{}");
            assert!(
                answer.contains("\"already\":true") && answer.contains("\"table\":\"notes\""),
                "{answer}"
            );
        }
        assert_eq!(pending(&c), r#"updated k1 ["n"]"#);
        assert_eq!(
            ask(
                &c,
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 1"
            ),
            triggers
        );
        assert_eq!(ask(&c, "SELECT count(*) FROM _syncTable"), "1");
        run(&c, "INSERT INTO notes VALUES ('n', '', 0)");
        assert_eq!(pending(&c), "created n []\nupdated k1 [\"n\"]");
    });
}

#[test]
fn options_can_be_changed_by_tracking_again() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, "UPDATE notes SET n = 9, title = 'x' WHERE id = 'k1'");
    track(&c, "notes", r#"{"columns":["n"]}"#);
    assert_eq!(
        ask(&c, "SELECT changed, payload FROM sync_pending"),
        r#"["n"]|{"id":"k1","n":9}"#
    );
    track(&c, "notes", r#"{"columns":["title"]}"#);
    assert_eq!(
        ask(&c, "SELECT changed, payload FROM sync_pending"),
        r#"["title"]|{"id":"k1","title":"x"}"#
    );
    track(&c, "notes", "{}");
    assert_eq!(pending(&c), r#"updated k1 ["title","n"]"#);
}

#[test]
fn excluded_columns_stay_and_columns_added_later_travel() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, "UPDATE notes SET n = 9, title = 'x' WHERE id = 'k1'");
    track(&c, "notes", r#"{"exclude":["N"]}"#);
    assert_eq!(
        ask(&c, "SELECT changed, payload FROM sync_pending"),
        r#"["title"]|{"id":"k1","title":"x"}"#
    );
    run(
        &c,
        "ALTER TABLE notes RENAME COLUMN n TO count; ALTER TABLE notes ADD COLUMN m;
         UPDATE notes SET m = 1 WHERE id = 'k1'",
    );
    assert_eq!(
        ask(&c, "SELECT changed, payload FROM sync_pending"),
        r#"["title","m"]|{"id":"k1","title":"x","m":1}"#
    );
    track(
        &c,
        "notes",
        r#"{"exclude":["m","id"],"columns":["m","count"]}"#,
    );
    assert_eq!(
        ask(&c, "SELECT changed, payload FROM sync_pending"),
        r#"["count"]|{"id":"k1","count":9}"#
    );
}

#[test]
fn what_cannot_be_tracked_is_refused_with_the_reason() {
    let world = World::new(false);
    let c = world.open();
    run(&c, NOTES);
    ask(&c, "SELECT sync_init()");
    run(&c, "CREATE VIEW v AS SELECT * FROM notes; CREATE TABLE nokey (a, b); CREATE VIRTUAL TABLE f USING fts5(a);
             CREATE TABLE auto (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO auto VALUES (1); ANALYZE");
    for (table, reason) in [
        ("nothing", "no table \"nothing\""),
        ("", ""),
        ("v", "a view"),
        ("nokey", "no primary key"),
        ("f", "a virtual table"),
        ("_syncChange", "syncscope's own"),
        ("_SYNCSCOPE", "syncscope's own"),
        ("sqlite_sequence", "SQLite's own"),
        ("sqlite_stat1", "SQLite's own"),
        ("sqlite_master", ""),
        ("sqlite_schema", ""),
    ] {
        let error = c
            .query_row("SELECT sync_track(?1)", [table], |_| Ok(()))
            .expect_err(table)
            .to_string();
        assert!(
            error.starts_with("sync_track:") && error.contains(reason),
            "{table}: {error}"
        );
    }
    for (options, reason) in [
        (r#"{"colums":["n"]}"#, "colums"),
        (r#"{"columns":["n","none"]}"#, "none"),
        (r#"{"exclude":["n","none"]}"#, "none"),
        (r#"{"types":{"none":"string"}}"#, "none"),
        (r#"{"types":{"n":"integer"}}"#, "integer"),
        (r#"{"existing":"maybe"}"#, "maybe"),
        (r#"{"columns":"n"}"#, ""),
        (r#"{"schema":"nowhere"}"#, "nowhere"),
        ("[]", ""),
        ("7", ""),
        ("{", ""),
        ("", ""),
    ] {
        let error = c
            .query_row("SELECT sync_track('notes', ?1)", [options], |_| Ok(()))
            .expect_err(options)
            .to_string();
        assert!(
            error.starts_with("sync_track:") && error.contains(reason),
            "{options}: {error}"
        );
    }
    for call in [
        "sync_track(NULL)",
        "sync_track(7)",
        "sync_track(x'00')",
        "sync_track()",
        "sync_track('notes', '{}', 1)",
        "sync_track('notes', x'00')",
    ] {
        refused(&c, &format!("SELECT {call}"));
    }
    assert_eq!(ask(&c, "SELECT count(*) FROM _syncTable"), "0");
    assert_eq!(
        ask(
            &c,
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('notes', 'nokey', 'auto')"
        ),
        "0"
    );
    run(&c, "INSERT INTO notes VALUES ('n', '', 0)");
}

#[test]
fn the_shadow_tables_of_a_virtual_table_are_not_broken_by_an_attempt() {
    let world = World::new(false);
    let c = world.open();
    run(
        &c,
        "CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('x')",
    );
    let _ = c.query_row("SELECT sync_track('f_content')", [], |_| Ok(()));
    run(
        &c,
        "INSERT INTO f VALUES ('y'); UPDATE f SET a = 'z' WHERE rowid = 1; DELETE FROM f",
    );
}

#[test]
fn a_temporary_table_is_refused_and_the_table_of_that_name_untouched() {
    let world = World::new(false);
    let c = world.open();
    run(&c, "CREATE TEMP TABLE t (id TEXT PRIMARY KEY)");
    let error = refused(&c, "SELECT sync_track('t')");
    assert!(error.contains("no table"), "{error}");
    run(
        &c,
        "CREATE TABLE main.t (id TEXT PRIMARY KEY, v); INSERT INTO main.t VALUES ('m', 1)",
    );
    track(&c, "t", r#"{"existing":"skip"}"#);
    run(
        &c,
        "INSERT INTO temp.t VALUES ('temp'); UPDATE main.t SET v = 2; INSERT INTO main.t VALUES ('n', 1)",
    );
    assert_eq!(pending(&c), "created n []\nupdated m [\"v\"]");
}

#[test]
fn untracking_is_refused_while_changes_are_pending_and_discards_when_told() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET n = 9 WHERE id = 'k1'");
        let error = refused(&c, "SELECT sync_untrack('notes')");
        assert!(
            error.starts_with("sync_untrack: \"notes\"") && error.contains("discard"),
            "{error}"
        );
        run(&c, "DELETE FROM notes WHERE id = 'k2'");
        assert_eq!(pending(&c), "deleted k2\nupdated k1 [\"n\"]");
        assert_eq!(
            ask(&c, r#"SELECT sync_untrack('NOTES', '{"discard":true}')"#),
            "1"
        );
        assert_eq!(pending(&c), "");
        assert_eq!(
            ask(
                &c,
                "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'notes'"
            ),
            "0"
        );
        run(&c, "UPDATE notes SET n = 10");
        assert_eq!(pending(&c), "");
        assert_eq!(ask(&c, "SELECT sync_untrack('notes')"), "0");
        assert_eq!(ask(&c, "SELECT sync_untrack('never was')"), "0");
    });
}

#[test]
fn untracking_a_table_with_nothing_pending_succeeds() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        assert_eq!(ask(&c, "SELECT sync_untrack('notes')"), "1");
    });
}

#[test]
fn a_row_created_and_deleted_does_not_keep_a_table_tracked() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(
            &c,
            "INSERT INTO notes VALUES ('n', '', 0); DELETE FROM notes WHERE id = 'n'",
        );
        assert_eq!(pending(&c), "");
        assert_eq!(ask(&c, "SELECT sync_untrack('notes')"), "1");
    });
}

#[test]
fn an_edit_of_a_column_that_is_not_synced_does_not_keep_a_table_tracked() {
    let world = World::new(false);
    let c = world.open();
    run(&c, NOTES);
    track(&c, "notes", r#"{"columns":["title"],"existing":"skip"}"#);
    run(&c, "UPDATE notes SET n = 77");
    assert_eq!(pending(&c), "");
    assert_eq!(ask(&c, "SELECT sync_untrack('notes')"), "1");
}

#[test]
fn untracking_one_table_leaves_the_others() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    for number in 1..=11 {
        run(
            &c,
            &format!(
                "CREATE TABLE t{number} (id INTEGER PRIMARY KEY, v); INSERT INTO t{number} VALUES (1, 0)"
            ),
        );
        track(&c, &format!("t{number}"), r#"{"existing":"skip"}"#);
    }
    // Number 1 of twelve: its triggers' names begin like those of numbers 10 to 12.
    ask(&c, "SELECT sync_untrack('notes')");
    for number in 1..=11 {
        run(&c, &format!("UPDATE t{number} SET v = 1"));
    }
    assert_eq!(ask(&c, "SELECT count(*) FROM sync_pending"), "11");
}

#[test]
fn capturing_existing_rows_is_idempotent_and_leaves_pending_ones_as_they_are() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(
            &c,
            "UPDATE notes SET n = 9 WHERE id = 'k1'; INSERT INTO notes VALUES ('n', '', 0), ('d', '', 0); DELETE FROM notes WHERE id = 'd'",
        );
        assert_eq!(ask(&c, "SELECT sync_capture_existing('notes')"), "1");
        let after = "created k2 []\ncreated n []\nupdated k1 [\"n\"]";
        assert_eq!(pending(&c), after);
        assert_eq!(ask(&c, "SELECT sync_capture_existing('NOTES')"), "0");
        assert_eq!(pending(&c), after);
        let error = refused(&c, "SELECT sync_capture_existing('nobody')");
        assert!(
            error.starts_with("sync_capture_existing:") && error.contains("not tracked"),
            "{error}"
        );
    });
}

#[test]
fn capturing_existing_rows_works_for_keys_of_every_kind() {
    both(|world| {
        let c = world.open();
        run(&c, "CREATE TABLE a (x, y, PRIMARY KEY (y, x)); INSERT INTO a VALUES ('it''s', 1), (x'00', 1.5), ('a,b', 'c');
                 CREATE TABLE b (id INTEGER PRIMARY KEY, v); INSERT INTO b VALUES (-1, 0), (5, 0);
                 CREATE TABLE w (id BLOB PRIMARY KEY) WITHOUT ROWID; INSERT INTO w VALUES (x''), (x'00')");
        for (table, count) in [("a", "3"), ("b", "2"), ("w", "2")] {
            track(&c, table, r#"{"existing":"skip"}"#);
            assert_eq!(
                ask(&c, &format!("SELECT sync_capture_existing('{table}')")),
                count
            );
            assert_eq!(
                ask(&c, &format!("SELECT sync_capture_existing('{table}')")),
                "0"
            );
        }
        assert_eq!(
            ask(&c, "SELECT op, count(*) FROM sync_pending GROUP BY 1"),
            "created|7"
        );
    });
}

#[test]
fn capturing_existing_rows_tells_keys_apart_that_differ_only_in_case() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE, v); INSERT INTO t VALUES ('abc', 1), ('ABD', 1);",
            "t",
        );
        run(&c, "DELETE FROM t WHERE id = 'abc'");
        assert_eq!(
            ask(&c, r#"SELECT sync_untrack('t', '{"discard":true}')"#),
            "1"
        );
        run(&c, "INSERT INTO t VALUES ('abc', 1)");
        track(&c, "t", r#"{"existing":"skip"}"#);
        run(
            &c,
            "UPDATE t SET id = 'ABC' WHERE id = 'abc'; UPDATE t SET id = 'abc'  WHERE id = 'ABC'; DELETE FROM t WHERE id = 'abc'",
        );
        ask(&c, "SELECT sync_capture_existing('t')");
        assert_eq!(pending(&c), "created ABD []\ndeleted abc");
    });
}

#[test]
fn a_row_with_a_null_key_is_not_captured_over_and_over() {
    let world = World::new(false);
    let c = tracked(
        &world,
        "CREATE TABLE t (id TEXT PRIMARY KEY, v); INSERT INTO t VALUES (NULL, 1), ('k', 1);",
        "t",
    );
    ask(&c, "SELECT sync_capture_existing('t')");
    let count = ask(&c, "SELECT count(*) FROM _syncChange");
    ask(
        &c,
        "SELECT sync_capture_existing('t'), sync_capture_existing('t')",
    );
    assert_eq!(ask(&c, "SELECT count(*) FROM _syncChange"), count);
}

#[test]
fn sequence_numbers_are_never_used_twice() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        let mut highest = 0;
        for round in 0..5 {
            run(&c, "UPDATE notes SET n = n + 1 WHERE id = 'k1'");
            let seq: i64 = ask(&c, "SELECT max(seq) FROM sync_pending")
                .parse()
                .expect("a number");
            assert!(seq > highest, "round {round}: {seq} after {highest}");
            highest = seq;
            ask(&c, r#"SELECT sync_untrack('notes', '{"discard":true}')"#);
            if round % 2 == 0 {
                elsewhere(world, "VACUUM");
            }
            track(&c, "notes", r#"{"existing":"skip"}"#);
        }
        run(
            &c,
            "DROP TABLE notes; CREATE TABLE notes (id TEXT PRIMARY KEY, title, n INTEGER); INSERT INTO notes (id) VALUES ('x')",
        );
        ask(&c, "SELECT sync_capture_existing('notes')");
        let seq: i64 = ask(&c, "SELECT min(seq) FROM sync_pending")
            .parse()
            .expect("a number");
        assert!(seq > highest, "{seq} after {highest}");
    });
}

#[test]
fn a_table_tracked_again_after_untracking_starts_afresh() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "DELETE FROM notes WHERE id = 'k1'");
        ask(&c, r#"SELECT sync_untrack('notes', '{"discard":true}')"#);
        run(&c, "INSERT INTO notes VALUES ('k1', 'back', 1)");
        track(&c, "notes", "{}");
        assert_eq!(pending(&c), "created k1 []\ncreated k2 []");
    });
}

#[test]
fn a_table_whose_triggers_were_dropped_by_hand_is_captured_again_with_the_next_call() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    let triggers = ask(
        &c,
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'notes'",
    );
    for trigger in triggers.lines() {
        run(&c, &format!("DROP TRIGGER \"{trigger}\""));
    }
    let answer = track(&c, "notes", r#"{"existing":"skip"}"#);
    assert!(answer.contains("captureRestored"), "{answer}");
    run(&c, "UPDATE notes SET n = 9 WHERE id = 'k1'");
    assert_eq!(pending(&c), r#"updated k1 ["n"]"#);
}

#[test]
fn capture_stays_whole_when_one_of_its_triggers_is_dropped_by_hand_and_the_table_tracked_again() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    let trigger = ask(
        &c,
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'notes' AND name LIKE '%delete%'",
    );
    run(&c, &format!("DROP TRIGGER \"{trigger}\""));
    track(&c, "notes", r#"{"existing":"skip"}"#);
    run(&c, "DELETE FROM notes WHERE id = 'k1'");
    assert_eq!(pending(&c), "deleted k1");
}
