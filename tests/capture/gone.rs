//! What waits of a table that is not there, or not as it was (rule M4): it is shown, and nothing throws it away in silence.

use rusqlite::Connection;
use support::capture::{elsewhere, pending, run, tracked};
use support::{World, ask, both, every_world, refused};

use crate::notes::NOTES;

/// One edit, one delete, one new row, and one that came and went.
const EDITS: &str =
    "UPDATE notes SET title = 'x' WHERE id = 'k1'; DELETE FROM notes WHERE id = 'k2';
    INSERT INTO notes VALUES ('n', 'new', NULL, 9), ('m', 'came', NULL, 9); DELETE FROM notes WHERE id = 'm'";
const WAITING: &str = "created n []\ndeleted k2\nupdated k1 [\"title\"]";

/// The ways in which a table can be away, and what says so.
const AWAY: &[(&str, &str)] = &[
    ("DROP TABLE notes", "was dropped"),
    (
        "CREATE TABLE new (uid TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER); INSERT INTO new SELECT * FROM notes;
         DROP TABLE notes; ALTER TABLE new RENAME TO notes",
        "another key",
    ),
    (
        "CREATE TABLE new (id TEXT, title TEXT, body TEXT, n INTEGER, PRIMARY KEY (id, title)); INSERT INTO new SELECT * FROM notes;
         DROP TABLE notes; ALTER TABLE new RENAME TO notes",
        "another key",
    ),
    (
        "DROP TABLE notes; CREATE VIEW notes AS SELECT 1 AS id",
        "something that can't be tracked",
    ),
];

/// All that is to be said of a table of which `WAITING` waits.
fn is_kept(c: &Connection, words: &str) {
    for _ in 0..2 {
        assert_eq!(pending(c), WAITING, "{words}");
        assert_eq!(ask(c, "SELECT sync_has_pending()"), "1", "{words}");
        assert_eq!(ask(c, "SELECT count(payload) FROM sync_pending"), "0");
        assert_eq!(
            ask(
                c,
                "SELECT op FROM sync_pending WHERE \"table\" = 'notes' AND key = 'k1'"
            ),
            "updated"
        );
        let error = refused(c, "SELECT sync_untrack('notes')");
        for word in [
            words,
            "not uploaded",
            "1 created, 1 updated, 1 deleted",
            r#"{"discard":true}"#,
        ] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

#[test]
fn m4_what_waits_of_a_table_that_is_away_is_seen_and_not_thrown_away() {
    for (how, words) in AWAY {
        every_world(|world| {
            let c = tracked(world, NOTES, "notes");
            run(&c, EDITS);
            elsewhere(world, how);
            is_kept(&c, words);
            assert_eq!(
                ask(&c, r#"SELECT sync_untrack('notes', '{"discard":true}')"#),
                "1"
            );
            assert_eq!(pending(&c), "");
            assert_eq!(ask(&c, "SELECT sync_has_pending()"), "0");
        });
    }
}

#[test]
fn m4_with_capture_off_it_is_seen_as_well() {
    for (how, words) in AWAY {
        both(|world| {
            let c = tracked(world, NOTES, "notes");
            run(&c, EDITS);
            run(&c, "SELECT sync_capture_off()");
            elsewhere(world, how);
            is_kept(&c, words);
        });
    }
}

#[test]
fn m4_a_table_that_is_back_has_what_waited() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, EDITS);
        elsewhere(
            world,
            "CREATE TABLE kept AS SELECT * FROM notes; DROP TABLE notes",
        );
        assert_eq!(pending(&c), WAITING);
        elsewhere(
            world,
            "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER); INSERT INTO notes SELECT * FROM kept",
        );
        assert_eq!(pending(&c), WAITING);
        assert_eq!(ask(&c, "SELECT count(payload) FROM sync_pending"), "2");
    });
}

#[test]
fn m4_one_of_each_kind_alone_keeps_a_dropped_table_tracked() {
    for (edit, line, amount) in [
        (
            "UPDATE notes SET n = 7 WHERE id = 'k1'",
            "updated k1 [\"n\"]",
            "1 updated",
        ),
        (
            "INSERT INTO notes (id) VALUES ('n'), ('o')",
            "created n []\ncreated o []",
            "2 created",
        ),
        (
            "DELETE FROM notes WHERE id < 'k3'",
            "deleted k1\ndeleted k2",
            "2 deleted",
        ),
        // Replaced under another key, which SQLite tells no trigger of.
        (
            "CREATE UNIQUE INDEX i ON notes (n); SELECT sync_track('notes'); REPLACE INTO notes VALUES ('r', '', '', 1)",
            "created r []\ndeleted k1",
            "1 created, 1 deleted",
        ),
        (
            "UPDATE notes SET id = 'moved' WHERE id = 'k1'",
            "created moved [\"id\"]\ndeleted k1",
            "1 created, 1 deleted",
        ),
    ] {
        let world = World::new(false);
        let c = tracked(&world, NOTES, "notes");
        run(&c, edit);
        let before = pending(&c);
        elsewhere(&world, "DROP TABLE notes");
        assert_eq!(pending(&c), before, "{edit}");
        if !edit.starts_with("UPDATE notes SET id") {
            assert_eq!(before, line);
        }
        let error = refused(&c, "SELECT sync_untrack('notes')");
        assert!(error.contains(amount), "{error}");
    }
}

#[test]
fn m4_a_table_that_is_gone_and_of_which_nothing_waits_is_forgotten() {
    for edit in [
        "SELECT 1",
        "INSERT INTO notes (id) VALUES ('m'); DELETE FROM notes WHERE id = 'm'",
        "INSERT OR IGNORE INTO notes (id) VALUES ('k1')",
        "UPDATE notes SET n = n",
    ] {
        for away in ["DROP TABLE notes", AWAY[1].0] {
            let world = World::new(false);
            let c = tracked(&world, NOTES, "notes");
            run(&c, edit);
            elsewhere(&world, away);
            assert_eq!(pending(&c), "", "{edit}");
            assert_eq!(ask(&c, "SELECT sync_has_pending()"), "0", "{edit}");
            assert_eq!(ask(&c, "SELECT sync_untrack('notes')"), "1", "{edit}");
        }
    }
}

#[test]
fn m4_keys_of_several_columns_are_shown_though_their_table_is_gone() {
    let world = World::new(false);
    let c = tracked(
        &world,
        "CREATE TABLE seat (plane TEXT, n INTEGER, who, PRIMARY KEY (plane, n)); INSERT INTO seat VALUES ('a', 1, 'x');",
        "seat",
    );
    run(&c, "UPDATE seat SET who = 'y'");
    elsewhere(&world, "DROP TABLE seat");
    assert_eq!(pending(&c), r#"updated ["a",1] ["who"]"#);
}

#[test]
fn m4_no_text_says_that_something_is_forgotten_by_a_call_that_is_refused() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    run(&c, "SELECT sync_capture_off()");
    elsewhere(&world, "DROP TABLE notes");
    let answer = ask(&c, "SELECT sync_capture_on()");
    assert!(answer.contains("tableGone"), "{answer}");
    assert!(
        answer.contains("sync_untrack") && answer.contains("discard"),
        "{answer}"
    );
    is_kept(&c, "was dropped");
}

#[test]
fn m4_a_row_of_a_table_that_is_away_can_be_given_up_alone() {
    for (away, _) in AWAY {
        for options in ["{}", r#"{"revert":false}"#] {
            let world = World::new(false);
            let c = tracked(&world, NOTES, "notes");
            run(&c, EDITS);
            elsewhere(&world, away);
            for key in ["k1", "n"] {
                let sql = format!("SELECT sync_discard('notes', '{key}', '{options}')");
                assert!(!ask(&c, &sql).contains("null"), "{away}");
            }
            assert_eq!(pending(&c), "deleted k2", "{away}");
            ask(&c, "SELECT sync_discard('notes', 'k2')");
            assert_eq!(ask(&c, "SELECT sync_untrack('notes')"), "1");
        }
    }
}
