//! Tables that change shape or name under capture, wide tables, names of every kind, attached files.

use rusqlite::Connection;
use support::capture::{elsewhere, pending, run, track, tracked};
use support::{World, ask, both, refused};

use crate::notes::NOTES;

#[test]
fn an_update_of_only_a_column_added_elsewhere_is_pending_at_once() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        elsewhere(
            world,
            "ALTER TABLE notes ADD COLUMN extra TEXT; UPDATE notes SET extra = 'x' WHERE id = 'k1'",
        );
        assert_eq!(pending(&c), r#"updated k1 ["extra"]"#);
    });
}

#[test]
fn an_update_of_only_a_column_added_elsewhere_is_pending_after_the_next_call() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        elsewhere(
            world,
            "ALTER TABLE notes ADD COLUMN extra TEXT; UPDATE notes SET extra = 'x' WHERE id = 'k1'",
        );
        track(&c, "notes", r#"{"existing":"skip"}"#);
        assert_eq!(pending(&c), r#"updated k1 ["extra"]"#);
        assert_eq!(
            ask(&c, "SELECT payload FROM sync_pending"),
            r#"{"id":"k1","title":"one","body":"b1","n":1,"extra":"x"}"#
        );
        elsewhere(
            world,
            "UPDATE notes SET extra = 'y', n = 9 WHERE id = 'k2'; UPDATE notes SET n = n, extra = extra",
        );
        assert_eq!(
            pending(&c),
            "updated k1 [\"extra\"]\nupdated k2 [\"n\",\"extra\"]"
        );
    });
}

#[test]
fn an_update_of_an_added_column_together_with_an_old_one_names_both() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        elsewhere(
            world,
            "ALTER TABLE notes ADD COLUMN extra TEXT; UPDATE notes SET extra = 'x', n = 50 WHERE id = 'k1'",
        );
        track(&c, "notes", r#"{"existing":"skip"}"#);
        let changed = ask(&c, "SELECT changed FROM sync_pending WHERE key = 'k1'");
        assert!(
            changed.contains("extra") && changed.contains("\"n\""),
            "{changed}"
        );
    });
}

#[test]
fn separate_updates_of_an_added_and_an_old_column_name_both() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        elsewhere(
            world,
            "ALTER TABLE notes ADD COLUMN extra TEXT; UPDATE notes SET n = 50 WHERE id = 'k1';
                          UPDATE notes SET extra = 'x' WHERE id = 'k1'",
        );
        track(&c, "notes", r#"{"existing":"skip"}"#);
        assert_eq!(pending(&c), r#"updated k1 ["n","extra"]"#);
    });
}

#[test]
fn rows_written_whole_after_a_column_was_added_carry_it() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        elsewhere(world, "ALTER TABLE notes ADD COLUMN extra TEXT; INSERT INTO notes VALUES ('n', 't', 'b', 1, 'e');
                          REPLACE INTO notes VALUES ('k1', 'o', 'b', 9, 'e'); DELETE FROM notes WHERE id = 'k2'");
        assert_eq!(
            pending(&c),
            "created n []\ndeleted k2\nupdated k1 [\"title\",\"body\",\"n\",\"extra\"]"
        );
        assert_eq!(
            ask(&c, "SELECT payload FROM sync_pending WHERE key = 'n'"),
            r#"{"id":"n","title":"t","body":"b","n":1,"extra":"e"}"#
        );
    });
}

#[test]
fn a_column_added_with_a_default_makes_no_row_pending() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET n = 9 WHERE id = 'k1'");
        elsewhere(
            world,
            "ALTER TABLE notes ADD COLUMN extra TEXT NOT NULL DEFAULT 'd'",
        );
        track(&c, "notes", r#"{"existing":"skip"}"#);
        assert_eq!(pending(&c), r#"updated k1 ["n"]"#);
    });
}

#[test]
fn an_update_that_changes_nothing_is_not_pending_after_a_column_was_added() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        elsewhere(
            world,
            "ALTER TABLE notes ADD COLUMN extra TEXT; UPDATE notes SET n = n, extra = extra",
        );
        track(&c, "notes", r#"{"existing":"skip"}"#);
        assert_eq!(pending(&c), "");
    });
}

#[test]
fn a_renamed_column_keeps_what_is_pending_and_goes_on_being_captured() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET title = 'x' WHERE id = 'k1'");
        elsewhere(world, "ALTER TABLE notes RENAME COLUMN title TO heading");
        assert_eq!(pending(&c), r#"updated k1 ["heading"]"#);
        elsewhere(
            world,
            "UPDATE notes SET heading = 'y' WHERE id = 'k2'; UPDATE notes SET n = n",
        );
        assert_eq!(
            pending(&c),
            "updated k1 [\"heading\"]\nupdated k2 [\"heading\"]"
        );
        track(&c, "notes", r#"{"existing":"skip"}"#);
        elsewhere(world, "UPDATE notes SET heading = 'z' WHERE id = 'k3'");
        assert_eq!(
            pending(&c),
            "updated k1 [\"heading\"]\nupdated k2 [\"heading\"]\nupdated k3 [\"heading\"]"
        );
    });
}

#[test]
fn a_renamed_key_column_keeps_what_is_pending() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(
            &c,
            "DELETE FROM notes WHERE id = 'k1'; UPDATE notes SET n = 0 WHERE id = 'k2'",
        );
        elsewhere(
            world,
            "ALTER TABLE notes RENAME COLUMN id TO \"the key\"; INSERT INTO notes VALUES ('n', 't', 'b', 1)",
        );
        assert_eq!(pending(&c), "created n []\ndeleted k1\nupdated k2 [\"n\"]");
    });
}

#[test]
fn a_chosen_column_stays_chosen_when_it_is_renamed() {
    both(|world| {
        let c = world.open();
        run(&c, NOTES);
        track(&c, "notes", r#"{"columns":["title"],"existing":"skip"}"#);
        run(
            &c,
            "ALTER TABLE notes RENAME COLUMN title TO heading; UPDATE notes SET heading = 'x' WHERE id = 'k1'",
        );
        assert_eq!(pending(&c), r#"updated k1 ["heading"]"#);
    });
}

#[test]
fn an_expression_index_survives_the_renaming_of_its_column() {
    both(|world| {
        let ddl = format!("{NOTES} CREATE UNIQUE INDEX i ON notes (lower(title))");
        let c = tracked(world, &ddl, "notes");
        elsewhere(
            world,
            "ALTER TABLE notes RENAME COLUMN title TO heading; REPLACE INTO notes VALUES ('n', 'ONE', '', 1)",
        );
        assert_eq!(pending(&c), "created n []\ndeleted k1");
    });
}

#[test]
fn a_renamed_table_goes_on_being_captured_under_its_new_name() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET n = 9 WHERE id = 'k1'");
        elsewhere(world, "ALTER TABLE notes RENAME TO \"my notes\"; DELETE FROM \"my notes\" WHERE id = 'k2';
                          REPLACE INTO \"my notes\" VALUES ('k3', 't', 'b', 0); UPDATE \"my notes\" SET n = n");
        assert_eq!(
            ask(&c, "SELECT DISTINCT \"table\" FROM sync_pending"),
            "my notes"
        );
        assert_eq!(
            pending(&c),
            "deleted k2\nupdated k1 [\"n\"]\nupdated k3 [\"title\",\"body\",\"n\"]"
        );
        assert!(track(&c, "my notes", r#"{"existing":"skip"}"#).contains("\"already\":true"));
        assert_eq!(
            pending(&c),
            "deleted k2\nupdated k1 [\"n\"]\nupdated k3 [\"title\",\"body\",\"n\"]"
        );
        assert_eq!(ask(&c, "SELECT name FROM _syncTable"), "my notes");
    });
}

#[test]
fn a_table_renamed_the_legacy_way_is_captured_from_the_next_call_on() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        elsewhere(
            world,
            "PRAGMA legacy_alter_table = ON; ALTER TABLE notes RENAME TO jots",
        );
        // Legacy renames leave the text of triggers alone, so SQLite refuses writes until then.
        assert!(
            world
                .plain()
                .execute_batch("DELETE FROM jots WHERE id = 'k2'; UPDATE jots SET id = 'x'")
                .is_err()
        );
        track(&c, "jots", r#"{"existing":"skip"}"#);
        elsewhere(
            world,
            "INSERT INTO jots VALUES ('n', 't', 'b', 0); UPDATE jots SET n = 9 WHERE id = 'k1'; DELETE FROM jots WHERE id = 'k2'",
        );
        assert_eq!(pending(&c), "created n []\ndeleted k2\nupdated k1 [\"n\"]");
    });
}

#[test]
fn two_tracked_tables_can_swap_names() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(
            &c,
            "CREATE TABLE jots (id TEXT PRIMARY KEY, v); INSERT INTO jots VALUES ('j', 1)",
        );
        track(&c, "jots", r#"{"existing":"skip"}"#);
        run(
            &c,
            "UPDATE jots SET v = 2; DELETE FROM notes WHERE id = 'k1'",
        );
        elsewhere(
            world,
            "ALTER TABLE notes RENAME TO tmp; ALTER TABLE jots RENAME TO notes; ALTER TABLE tmp RENAME TO jots",
        );
        track(&c, "notes", r#"{"existing":"skip"}"#);
        assert_eq!(
            ask(&c, "SELECT \"table\", op, key FROM sync_pending ORDER BY 1"),
            "jots|deleted|k1\nnotes|updated|j"
        );
    });
}

#[test]
fn a_new_table_under_a_renamed_ones_old_name_is_a_table_of_its_own() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        elsewhere(world, "ALTER TABLE notes RENAME TO old_notes; CREATE TABLE notes (id INTEGER PRIMARY KEY, v);
                          INSERT INTO notes VALUES (1, 1); UPDATE old_notes SET n = 9 WHERE id = 'k1'");
        assert!(track(&c, "notes", "{}").contains("\"captured\":1"));
        assert_eq!(
            ask(&c, "SELECT \"table\", op, key FROM sync_pending ORDER BY 1"),
            "notes|created|1\nold_notes|updated|k1"
        );
    });
}

#[test]
fn dropping_a_column_directly_is_refused_by_sqlite_and_loses_nothing() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET body = 'x', n = 9 WHERE id = 'k1'");
        let plain = world.plain();
        assert!(
            plain
                .execute_batch("ALTER TABLE notes DROP COLUMN body")
                .is_err()
        );
        assert_eq!(pending(&c), r#"updated k1 ["body","n"]"#);
        run(&plain, "UPDATE notes SET body = 'y' WHERE id = 'k2'");
        assert_eq!(
            pending(&c),
            "updated k1 [\"body\",\"n\"]\nupdated k2 [\"body\"]"
        );
    });
}

#[test]
fn sync_alter_drops_a_column_and_keeps_the_rest_of_what_is_pending() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET body = 'x', n = 9 WHERE id = 'k1'; UPDATE notes SET body = 'y' WHERE id = 'k2';
                 UPDATE notes SET title = 'z' WHERE id = 'k3'");
        assert_eq!(
            ask(
                &c,
                "SELECT sync_alter('notes', 'ALTER TABLE notes DROP COLUMN body')"
            ),
            "1"
        );
        assert_eq!(pending(&c), "updated k1 [\"n\"]\nupdated k3 [\"title\"]");
        elsewhere(
            world,
            "UPDATE notes SET n = 8 WHERE id = 'k2'; INSERT INTO notes VALUES ('n', 't', 1)",
        );
        assert_eq!(
            pending(&c),
            "created n []\nupdated k1 [\"n\"]\nupdated k2 [\"n\"]\nupdated k3 [\"title\"]"
        );
        assert_eq!(
            ask(&c, "SELECT payload FROM sync_pending WHERE key = 'k1'"),
            r#"{"id":"k1","title":"one","n":9}"#
        );
    });
}

#[test]
fn sync_alter_takes_a_statement_with_comments_before_it() {
    let world = World::new(false);
    let c = tracked(
        &world,
        "CREATE TABLE notes (id TEXT PRIMARY KEY, body TEXT, more TEXT)",
        "notes",
    );
    for statement in [
        "-- 0007; drop\n ALTER TABLE notes DROP COLUMN body",
        "/* 0008 */ /* -- */\n\t alter /* a */ table notes -- b\n drop column more",
    ] {
        assert_eq!(
            ask(&c, &format!("SELECT sync_alter('notes', '{statement}')")),
            "1"
        );
    }
    for statement in ["-- ALTER TABLE notes ADD x", "/* */ DROP TABLE notes"] {
        let error = refused(&c, &format!("SELECT sync_alter('notes', '{statement}')"));
        assert!(error.contains("must be one ALTER TABLE"), "{error}");
    }
}

#[test]
fn sync_alter_keeps_what_is_pending_of_a_column_it_renames() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(
            &c,
            "UPDATE notes SET body = 'x' WHERE id = 'k1'; UPDATE notes SET body = 'y', n = 0 WHERE id = 'k2'",
        );
        ask(
            &c,
            "SELECT sync_alter('notes', 'ALTER TABLE notes RENAME COLUMN body TO text')",
        );
        assert_eq!(
            pending(&c),
            "updated k1 [\"text\"]\nupdated k2 [\"text\",\"n\"]"
        );
    });
}

#[test]
fn sync_alter_adds_a_column() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET n = 0 WHERE id = 'k1'");
        ask(
            &c,
            "SELECT sync_alter('notes', 'ALTER TABLE notes ADD COLUMN extra')",
        );
        run(&c, "UPDATE notes SET extra = 'e' WHERE id = 'k2'");
        assert_eq!(pending(&c), "updated k1 [\"n\"]\nupdated k2 [\"extra\"]");
    });
}

#[test]
fn sync_alter_that_fails_changes_nothing() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET n = 0 WHERE id = 'k1'");
        for sql in [
            "ALTER TABLE notes DROP COLUMN nothing",
            "ALTER TABLE notes DROP COLUMN id",
            "ALTER TABLE notes RENAME TO other",
            "DROP TABLE notes",
            "",
            "ALTER TABLE",
        ] {
            let error = c
                .query_row("SELECT sync_alter('notes', ?1)", [sql], |_| Ok(()))
                .expect_err(sql)
                .to_string();
            assert!(error.starts_with("sync_alter:"), "{sql}: {error}");
            run(&c, "UPDATE notes SET title = title || 'x' WHERE id = 'k2'");
            assert_eq!(
                pending(&c),
                "updated k1 [\"n\"]\nupdated k2 [\"title\"]",
                "{sql}"
            );
        }
        assert!(
            refused(
                &c,
                "SELECT sync_alter('nobody', 'ALTER TABLE nobody DROP COLUMN a')"
            )
            .contains("not tracked")
        );
    });
}

#[test]
fn sync_alter_takes_one_statement_only() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    refused(
        &c,
        "SELECT sync_alter('notes', 'ALTER TABLE notes DROP COLUMN body; DROP TABLE notes')",
    );
}

#[test]
fn dropping_a_generated_column_directly_loses_nothing_that_is_pending() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a, g AS (a || '!'), b, c); INSERT INTO t (id, a, b, c) VALUES ('k', 1, 1, 1), ('l', 1, 1, 1);",
            "t",
        );
        run(&c, "UPDATE t SET c = 5 WHERE id = 'k'");
        if world
            .plain()
            .execute_batch("ALTER TABLE t DROP COLUMN g")
            .is_ok()
        {
            elsewhere(world, "UPDATE t SET b = 5 WHERE id = 'l'");
            assert_eq!(pending(&c), "updated k [\"c\"]\nupdated l [\"b\"]");
            track(&c, "t", r#"{"existing":"skip"}"#);
            assert_eq!(pending(&c), "updated k [\"c\"]\nupdated l [\"b\"]");
        }
    });
}

#[test]
fn an_added_generated_column_changes_nothing() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        elsewhere(
            world,
            "ALTER TABLE notes ADD COLUMN g AS (n + 1); UPDATE notes SET n = 9 WHERE id = 'k1'",
        );
        track(&c, "notes", r#"{"existing":"skip"}"#);
        assert_eq!(pending(&c), r#"updated k1 ["n"]"#);
    });
}

#[test]
fn a_table_that_was_dropped_is_named_in_the_error_with_what_to_do() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "DROP TABLE notes");
        assert_eq!(pending(&c), "");
        let error = refused(&c, "SELECT sync_capture_existing('notes')");
        assert!(
            error.contains("\"notes\" was dropped") && error.contains("sync_untrack"),
            "{error}"
        );
        assert_eq!(ask(&c, "SELECT sync_untrack('notes')"), "1");
        assert_eq!(ask(&c, "SELECT count(*) FROM _syncTable"), "0");
    });
}

#[test]
fn a_table_made_again_says_so_and_resumes_when_it_is_tracked_again() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "UPDATE notes SET n = 9 WHERE id = 'k1'; DELETE FROM notes WHERE id = 'k2'; DROP TABLE notes;
                 CREATE TABLE notes (id TEXT PRIMARY KEY, n INTEGER, other); INSERT INTO notes VALUES ('k1', 1, NULL), ('k9', 1, 1)");
        let error = refused(&c, "SELECT sync_capture_existing('notes')");
        assert!(
            error.contains("made again") && error.contains("sync_track"),
            "{error}"
        );
        let answer = track(&c, "notes", "{}");
        assert!(
            answer.contains("\"captured\":0") && answer.contains("columnGone"),
            "{answer}"
        );
        assert_eq!(pending(&c), "deleted k2\nupdated k1 [\"n\"]");
        run(&c, "UPDATE notes SET other = 2 WHERE id = 'k9'");
        assert_eq!(
            pending(&c),
            "deleted k2\nupdated k1 [\"n\"]\nupdated k9 [\"other\"]"
        );
    });
}

#[test]
fn a_row_created_and_deleted_before_its_table_was_made_again_sends_nothing() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "INSERT INTO notes VALUES ('n', '', '', 0); DELETE FROM notes WHERE id = 'n'; DROP TABLE notes;
                 CREATE TABLE notes (id TEXT PRIMARY KEY, n INTEGER)");
        track(&c, "notes", "{}");
        assert_eq!(pending(&c), "");
    });
}

#[test]
fn a_row_deleted_and_made_again_along_with_its_table_is_pending() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "DELETE FROM notes WHERE id = 'k2'; DROP TABLE notes; CREATE TABLE notes (id TEXT PRIMARY KEY, n INTEGER);
                 INSERT INTO notes VALUES ('k2', 7)");
        track(&c, "notes", "{}");
        assert_eq!(pending(&c), r#"updated k2 ["n"]"#);
    });
}

#[test]
fn a_row_met_before_its_table_was_made_again_is_not_said_to_be_deleted() {
    // Whether it was replaced or an insert was ignored can't be told any more without the row that came in its
    // place, and deleting a row elsewhere that was never deleted here would be worse.
    let world = &World::new(false);
    let c = tracked(
        world,
        "CREATE TABLE t (id TEXT PRIMARY KEY, u UNIQUE); INSERT INTO t VALUES ('k', 1);",
        "t",
    );
    run(&c, "REPLACE INTO t VALUES ('n', 1)");
    assert_eq!(pending(&c), "created n []\ndeleted k");
    run(&c, "DROP TABLE t; CREATE TABLE t (id TEXT PRIMARY KEY, u)");
    track(&c, "t", "{}");
    assert_eq!(pending(&c), "");
}

/// A row that another one has replaced, in a table that a migration then copies, stays deleted; one that was only met
/// and that the migration leaves out does not become deleted.
#[test]
fn m3_a_row_replaced_before_its_table_was_copied_stays_deleted() {
    let off = "SELECT sync_capture_off('t')";
    for (before, after) in [
        ("", "SELECT sync_track('t')"),
        ("", "SELECT sync_capture_on('t')"),
        (off, "SELECT sync_capture_on('t')"),
    ] {
        for (write, without, expected) in [
            (
                "REPLACE INTO t VALUES ('n', 1, 2)",
                "",
                "created n []\ndeleted k",
            ),
            (
                "UPDATE OR REPLACE t SET u = 1 WHERE id = 'l'",
                "",
                "deleted k\nupdated l [\"u\"]",
            ),
            (
                "UPDATE t SET a = 5 WHERE id = 'k'; REPLACE INTO t VALUES ('n', 1, 2)",
                "",
                "created n []\ndeleted k",
            ),
            (
                "INSERT OR IGNORE INTO t VALUES ('n', 1, 2)",
                "WHERE id <> 'k'",
                "",
            ),
            (
                "INSERT OR IGNORE INTO t VALUES ('n', 1, 2); DELETE FROM t WHERE id = 'l'",
                "WHERE id <> 'k'",
                "deleted l",
            ),
        ] {
            let world = &World::new(false);
            let ddl = "CREATE TABLE t (id TEXT PRIMARY KEY, u UNIQUE, a); INSERT INTO t VALUES ('k', 1, 1), ('l', 3, 3);";
            let c = tracked(world, ddl, "t");
            run(&c, write);
            if !before.is_empty() {
                ask(&c, before);
            }
            let copy = format!("BEGIN; CREATE TABLE new (id TEXT PRIMARY KEY, u UNIQUE, a); INSERT INTO new SELECT * FROM t {without};
                                DROP TABLE t; ALTER TABLE new RENAME TO t; COMMIT");
            run(&c, &copy);
            assert_eq!(pending(&c), expected, "{write}, before capture is back");
            ask(&c, after);
            assert_eq!(pending(&c), expected, "{write}; {before}; {after}");
        }
    }
}

#[test]
fn a_table_rebuilt_the_way_sqlite_recommends_says_so() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "DELETE FROM notes WHERE id = 'k1'");
        elsewhere(world, "BEGIN; CREATE TABLE new_notes (id TEXT PRIMARY KEY, title TEXT NOT NULL); INSERT INTO new_notes SELECT id, title FROM notes;
                          DROP TABLE notes; ALTER TABLE new_notes RENAME TO notes; COMMIT");
        assert!(refused(&c, "SELECT sync_capture_existing('notes')").contains("sync_track"));
        track(&c, "notes", "{}");
        assert_eq!(pending(&c), "deleted k1");
    });
}

/// A table of `columns` columns next to its key, with rows 'a' to 'c'.
fn wide(world: &World, columns: usize) -> Connection {
    let list: Vec<String> = (0..columns).map(|number| format!("c{number}")).collect();
    let ddl = format!(
        "CREATE TABLE w (id TEXT PRIMARY KEY, {}); INSERT INTO w (id) VALUES ('a'), ('b'), ('c');",
        list.join(", ")
    );
    tracked(world, &ddl, "w")
}

#[test]
fn changes_far_to_the_right_of_wide_tables_are_named_exactly() {
    both(|world| {
        let c = wide(world, 200);
        run(&c, "UPDATE w SET c150 = 1 WHERE id = 'a'");
        assert_eq!(pending(&c), r#"updated a ["c150"]"#);
        run(
            &c,
            "UPDATE w SET c0 = 1, c199 = 2, c61 = 3, c62 = 4 WHERE id = 'a'; UPDATE w SET c3 = NULL",
        );
        assert_eq!(pending(&c), r#"updated a ["c0","c61","c62","c150","c199"]"#);
    });
}

#[test]
fn every_column_around_the_borders_of_the_masks_is_named_exactly() {
    for columns in [60, 61, 62, 63, 64, 70, 123, 124, 125, 186] {
        let world = World::new(false);
        let c = wide(&world, columns);
        for number in (0..columns).filter(|number| number % 31 < 4 || number % 31 > 27) {
            run(
                &c,
                &format!("SAVEPOINT s; UPDATE w SET c{number} = 1 WHERE id = 'b'"),
            );
            assert_eq!(
                pending(&c),
                format!("updated b [\"c{number}\"]"),
                "of {columns}"
            );
            run(&c, "ROLLBACK TO s; RELEASE s");
        }
        run(
            &c,
            &format!(
                "INSERT INTO w (id, c{}) VALUES ('n', 1); DELETE FROM w WHERE id = 'a'; REPLACE INTO w VALUES ('c'{})",
                columns - 1,
                ", 1".repeat(columns)
            ),
        );
        assert_eq!(
            ask(
                &c,
                "SELECT op, key, json_array_length(changed) FROM sync_pending ORDER BY 2"
            ),
            format!("deleted|a|NULL\nupdated|c|{columns}\ncreated|n|0")
        );
    }
}

#[test]
fn a_table_of_1900_columns_is_captured() {
    both(|world| {
        let c = wide(world, 1899);
        run(
            &c,
            "UPDATE w SET c1898 = 1 WHERE id = 'a'; UPDATE w SET c0 = 1, c1000 = 1 WHERE id = 'b'",
        );
        assert_eq!(
            pending(&c),
            "updated a [\"c1898\"]\nupdated b [\"c0\",\"c1000\"]"
        );
    });
}

#[test]
fn a_column_dropped_from_a_wide_table_moves_the_rest_over_the_borders() {
    both(|world| {
        let c = wide(world, 130);
        run(
            &c,
            "UPDATE w SET c70 = 1 WHERE id = 'a'; UPDATE w SET c61 = 1, c129 = 1 WHERE id = 'b'; UPDATE w SET c5 = 1 WHERE id = 'c'",
        );
        ask(&c, "SELECT sync_alter('w', 'ALTER TABLE w DROP COLUMN c5')");
        assert_eq!(
            pending(&c),
            "updated a [\"c70\"]\nupdated b [\"c61\",\"c129\"]"
        );
        run(&c, "UPDATE w SET c61 = 2, c62 = 2 WHERE id = 'c'");
        assert_eq!(
            pending(&c),
            "updated a [\"c70\"]\nupdated b [\"c61\",\"c129\"]\nupdated c [\"c61\",\"c62\"]"
        );
    });
}

#[test]
fn an_update_that_spans_a_border_survives_a_dropped_column() {
    both(|world| {
        let c = wide(world, 130);
        // Places 62 and 63 are one group; without c5 they are the last of one and the first of the next.
        run(&c, "UPDATE w SET c61 = 1, c62 = 1 WHERE id = 'a'");
        ask(&c, "SELECT sync_alter('w', 'ALTER TABLE w DROP COLUMN c5')");
        let changed = ask(&c, "SELECT changed FROM sync_pending");
        assert!(
            changed.contains("\"c61\"") && changed.contains("\"c62\""),
            "{changed}"
        );
    });
}

#[test]
fn a_column_added_to_a_wide_table_elsewhere_is_captured() {
    both(|world| {
        for columns in [60, 61, 62, 130] {
            let world = World::new(ask(&world.plain(), "PRAGMA recursive_triggers") == "1");
            let c = wide(&world, columns);
            elsewhere(
                &world,
                "ALTER TABLE w ADD COLUMN extra; UPDATE w SET extra = 1 WHERE id = 'a'",
            );
            track(&c, "w", r#"{"existing":"skip"}"#);
            let changed = ask(&c, "SELECT key, changed FROM sync_pending");
            assert!(
                changed.starts_with("a|") && changed.contains("\"extra\""),
                "{columns}: {changed}"
            );
        }
    });
}

#[test]
fn only_the_column_added_to_a_wide_table_is_named() {
    let world = World::new(false);
    let c = wide(&world, 130);
    elsewhere(
        &world,
        "ALTER TABLE w ADD COLUMN extra; UPDATE w SET extra = 1 WHERE id = 'a'",
    );
    track(&c, "w", r#"{"existing":"skip"}"#);
    assert_eq!(pending(&c), r#"updated a ["extra"]"#);
}

/// Names that need quoting, or look like something else.
const NAMES: &[&str] = &[
    "a b",
    "it's",
    "say \"hi\"",
    "[x]",
    "`y`",
    "ta.ble",
    "main.t",
    "100%",
    "line\nfeed",
    "😀ß",
    "select",
    "table",
    "order",
    "{table}",
    "{name} {",
    "-- x",
    "/* x */",
    ";",
    "NEW",
    "OLD",
    "o",
    "k",
    "m",
    "tbl",
    "pk",
    "$1",
    "?1",
    ":a",
    "END;",
    "  ",
    "_x",
    "\\",
    "sync_track",
    "temp",
    "sqlite",
    "a,b",
    "(",
    "main",
    "rowid",
    "changed",
    "x'41'",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn tables_columns_and_keys_can_have_any_name() {
    let mut wrong = Vec::new();
    for name in NAMES {
        for recursive in [true, false] {
            let outcome = std::panic::catch_unwind(|| {
                let world = World::new(recursive);
                let (table, key) = (quoted(name), quoted(&format!("{name}!")));
                let ddl = format!(
                    "CREATE TABLE {table} ({key} TEXT PRIMARY KEY, {table} TEXT, u TEXT);
                     CREATE UNIQUE INDEX {index} ON {table} (lower({table}), u COLLATE NOCASE);
                     INSERT INTO {table} VALUES ('k1', 'a', 'a'), ('k2', 'b', 'b'), ('k3', 'c', 'c');",
                    index = quoted(&format!("{name}?")),
                );
                let c = tracked(&world, &ddl, name);
                run(&c, &format!("UPDATE {table} SET {table} = 'z' WHERE {key} = 'k1'; DELETE FROM {table} WHERE {key} = 'k2';
                                  REPLACE INTO {table} VALUES ('n', 'C', 'C')"));
                let json = serde_json::to_string(name).expect("a name");
                assert_eq!(
                    pending(&c),
                    format!("created n []\ndeleted k2\ndeleted k3\nupdated k1 [{json}]")
                );
                assert_eq!(
                    ask(&c, "SELECT DISTINCT \"table\" FROM sync_pending"),
                    *name
                );
                if *name == "rowid" {
                    return; // SQLite can't rename a column of this name when a trigger mentions it.
                }
                run(
                    &c,
                    &format!(
                        "ALTER TABLE {table} RENAME COLUMN {table} TO plain; UPDATE {table} SET u = 'q' WHERE {key} = 'n'"
                    ),
                );
                assert_eq!(
                    pending(&c),
                    "created n [\"u\"]\ndeleted k2\ndeleted k3\nupdated k1 [\"plain\"]"
                );
            });
            if let Err(panic) = outcome {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                wrong.push(format!("{name:?} (recursive_triggers {recursive}): {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn columns_may_take_every_name_of_the_rowid() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, rowid, oid, _rowid_, u UNIQUE);
             INSERT INTO t VALUES ('k1', 1, 1, 1, 1), ('k2', 2, 2, 2, 2), ('k3', 3, 3, 3, 3);",
            "t",
        );
        run(
            &c,
            "UPDATE t SET rowid = 9 WHERE id = 'k1'; REPLACE INTO t VALUES ('n', 1, 1, 1, 2); UPDATE t SET oid = 5, _rowid_ = 6 WHERE id = 'k3'",
        );
        assert_eq!(
            pending(&c),
            "created n []\ndeleted k2\nupdated k1 [\"rowid\"]\nupdated k3 [\"oid\",\"_rowid_\"]"
        );
    });
}

#[test]
fn an_integer_primary_key_may_have_a_name_of_the_rowid() {
    for columns in [
        "rowid INTEGER PRIMARY KEY, a, b",
        "id INTEGER PRIMARY KEY, rowid, oid",
        "oid INTEGER PRIMARY KEY, a, b",
        "_rowid_ INTEGER PRIMARY KEY, oid, a",
    ] {
        both(|world| {
            let c = tracked(
                world,
                &format!(
                    "CREATE TABLE t ({columns}); INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);"
                ),
                "t",
            );
            run(&c, "REPLACE INTO t VALUES (1, 9, 9)");
            assert_eq!(
                ask(
                    &c,
                    "SELECT op, key, json_array_length(changed) FROM sync_pending"
                ),
                "updated|1|2",
                "{columns}"
            );
        });
    }
}

#[test]
fn an_integer_primary_key_hidden_behind_every_name_of_the_rowid_works() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, rowid, oid, _rowid_); INSERT INTO t VALUES (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3);",
            "t",
        );
        run(
            &c,
            "REPLACE INTO t VALUES (1, 9, 9, 9); UPDATE OR REPLACE t SET id = 3 WHERE id = 2; UPDATE t SET rowid = 7 WHERE id = 3",
        );
        assert_eq!(
            pending(&c),
            "deleted 2\nupdated 1 [\"rowid\",\"oid\",\"_rowid_\"]\nupdated 3 [\"rowid\",\"oid\",\"_rowid_\"]"
        );
    });
}

#[test]
fn tables_of_an_attached_file_are_captured_in_that_file() {
    both(|world| {
        let other = world.file("other.db");
        let c = world.open();
        run(&c, NOTES);
        c.execute(
            "ATTACH ?1 AS \"my other\"",
            [other.to_str().expect("a path")],
        )
        .expect("attach");
        run(
            &c,
            "CREATE TABLE \"my other\".notes (id INTEGER PRIMARY KEY, v UNIQUE); INSERT INTO \"my other\".notes VALUES (1, 1), (2, 2)",
        );
        track(&c, "notes", r#"{"existing":"skip","schema":"my other"}"#);
        run(
            &c,
            "UPDATE main.notes SET n = 9; UPDATE \"my other\".notes SET v = 9 WHERE id = 1; REPLACE INTO \"my other\".notes VALUES (7, 2)",
        );
        assert_eq!(ask(&c, "SELECT count(*) FROM sync_pending"), "0");
        assert_eq!(
            ask(
                &c,
                "SELECT op, key, changed FROM sync_pending WHERE schema = 'my other' ORDER BY 1"
            ),
            "created|7|[]\ndeleted|2|NULL\nupdated|1|[\"v\"]"
        );
        // The file alone, without the extension and under another name.
        let alone = Connection::open(&other).expect("open");
        run(
            &alone,
            "INSERT INTO notes VALUES (8, 8); UPDATE notes SET v = v; ALTER TABLE notes ADD COLUMN w; UPDATE notes SET w = 1 WHERE id = 8",
        );
        drop(alone);
        assert_eq!(
            ask(
                &c,
                "SELECT count(*) FROM sync_pending WHERE schema = 'my other'"
            ),
            "4"
        );
        assert_eq!(
            ask(
                &c,
                r#"SELECT sync_alter('notes', 'ALTER TABLE "my other".notes DROP COLUMN w', '{"schema":"my other"}')"#
            ),
            "1"
        );
        assert_eq!(
            ask(
                &c,
                r#"SELECT sync_capture_existing('notes', '{"schema":"my other"}')"#
            ),
            "0"
        );
        assert_eq!(
            ask(
                &c,
                r#"SELECT sync_untrack('notes', '{"schema":"my other","discard":true}')"#
            ),
            "1"
        );
        assert_eq!(
            ask(
                &c,
                "SELECT count(*) FROM \"my other\".sqlite_master WHERE type = 'trigger' AND tbl_name = 'notes'"
            ),
            "0"
        );
    });
}
