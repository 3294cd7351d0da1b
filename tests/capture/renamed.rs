//! Tables under another name that no trigger has followed (rules M1, M3, M5): renamed and rebuilt in one migration, renamed
//! while capture was off. They go on where the rows prove which table it is; two that are different are never joined.

use rusqlite::Connection;
use support::capture::{elsewhere, pending, run, track, tracked};
use support::{World, ask, both, every_world, refused};

use crate::notes::{EDITS, NOTES, WAITING, codes};

/// What tools do to rename a table and change it in one migration.
const MIGRATIONS: &[&str] = &[
    "BEGIN; ALTER TABLE notes RENAME TO place;
     CREATE TABLE new (id TEXT PRIMARY KEY NOT NULL, title TEXT, body TEXT, n INTEGER, extra INTEGER);
     INSERT INTO new (id, title, body, n) SELECT id, title, body, n FROM place; DROP TABLE place; ALTER TABLE new RENAME TO place;
     COMMIT",
    "BEGIN; CREATE TABLE new (n INTEGER, id TEXT PRIMARY KEY, body TEXT, title TEXT) WITHOUT ROWID;
     INSERT INTO new (id, title, body, n) SELECT id, title, body, n FROM notes; DROP TABLE notes; ALTER TABLE new RENAME TO notes;
     ALTER TABLE notes RENAME TO place; COMMIT",
    "BEGIN; CREATE TABLE place (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER); INSERT INTO place SELECT * FROM notes;
     DROP TABLE notes; COMMIT",
];

fn cursor(c: &Connection) {
    run(
        c,
        "INSERT INTO _syncCursor (provider, entity, tableId, cursor, pulledAt) SELECT 'p', name, id, '5', 1 FROM _syncTable",
    );
}

/// Nothing was lost, nothing is new, and `place` is captured.
fn goes_on(c: &Connection) {
    assert_eq!(pending(c), WAITING);
    assert_eq!(
        ask(c, "SELECT DISTINCT \"table\" FROM sync_pending"),
        "place"
    );
    run(c, "UPDATE place SET n = 5 WHERE id = 'k3'");
    assert_eq!(pending(c), format!("{WAITING}\nupdated k3 [\"n\"]"));
    assert_eq!(ask(c, "SELECT name FROM _syncTable"), "place");
}

#[test]
fn m3_a_table_renamed_and_rebuilt_in_one_migration_goes_on_when_it_is_tracked() {
    for migration in MIGRATIONS {
        every_world(|world| {
            let c = tracked(world, NOTES, "notes");
            run(&c, EDITS);
            cursor(&c);
            elsewhere(world, migration);
            assert_eq!(pending(&c), WAITING, "{migration}");
            let answer = ask(&c, "SELECT sync_track('place')");
            assert_eq!(
                codes(&answer),
                ["tableRecognised", "captureRestored"],
                "{answer}"
            );
            assert!(answer.contains("\"already\":true"), "{answer}");
            goes_on(&c);
            assert_eq!(codes(&ask(&c, "SELECT sync_track('place')")), [""; 0]);
            assert_eq!(ask(&c, "SELECT cursor FROM _syncCursor"), "5");
        });
    }
}

#[test]
fn m3_somebody_who_knows_says_what_the_table_was() {
    for migration in MIGRATIONS {
        let world = World::new(false);
        let c = tracked(&world, NOTES, "notes");
        run(&c, EDITS);
        elsewhere(&world, migration);
        for call in ["sync_capture_existing('notes')", "sync_untrack('notes')"] {
            let error = refused(&c, &format!("SELECT {call}"));
            assert!(error.contains(r#"{"was":"notes"}"#), "{error}");
        }
        let answer = ask(&c, "SELECT sync_capture_on()");
        assert!(
            answer.contains("tableGone") && answer.contains("was"),
            "{answer}"
        );
        let answer = track(&c, "place", r#"{"was":"notes"}"#);
        assert_eq!(codes(&answer), ["captureRestored"]);
        goes_on(&c);
        let error = refused(&c, r#"SELECT sync_track('place', '{"was":"notes"}')"#);
        assert!(error.contains("not tracked"), "{error}");
    }
}

#[test]
fn m3_to_say_what_a_table_was_leaves_its_options_as_they_are() {
    let world = World::new(false);
    let c = world.open();
    run(&c, NOTES);
    track(&c, "notes", r#"{"existing":"skip","exclude":["body"]}"#);
    run(&c, EDITS);
    elsewhere(&world, MIGRATIONS[0]);
    track(&c, "place", r#"{"was":"notes"}"#);
    let payload = "SELECT payload FROM sync_pending WHERE key = 'n'";
    assert!(!ask(&c, payload).contains("body"));
    assert!(refused(&c, r#"SELECT sync_track('place', '{"was":1}')"#).contains("options.was"));
}

#[test]
fn m3_two_tables_that_are_different_are_not_joined() {
    // Another table that has the same columns, with other rows, or with none.
    for rows in ["('z1', 1, 1, 1), ('z2', 2, 2, 2)", "('k2', 1, 1, 1)"] {
        both(|world| {
            let c = tracked(world, NOTES, "notes");
            run(&c, EDITS);
            elsewhere(
                world,
                &format!(
                    "DROP TABLE notes; CREATE TABLE place (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER);
                     INSERT INTO place VALUES {rows}"
                ),
            );
            let answer = ask(&c, "SELECT sync_track('place')");
            assert!(answer.contains("\"already\":false"), "{answer}");
            let of_notes = "SELECT count(*) FROM sync_pending WHERE \"table\" = 'notes'";
            assert_eq!(ask(&c, of_notes), "3");
            let error = refused(&c, r#"SELECT sync_track('place', '{"was":"notes"}')"#);
            assert!(error.contains("tracked already"), "{error}");
        });
    }
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    elsewhere(
        &world,
        "DROP TABLE notes; CREATE TABLE place (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER)",
    );
    let error = refused(&c, r#"SELECT sync_track('place', '{"was":"notes"}')"#);
    assert!(error.contains("none of the rows"), "{error}");
    ask(&c, "SELECT sync_track('place')");
    // One that lacks a column is none either.
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    elsewhere(
        &world,
        "CREATE TABLE place (id TEXT PRIMARY KEY, title TEXT); INSERT INTO place SELECT id, title FROM notes; DROP TABLE notes",
    );
    assert!(ask(&c, "SELECT sync_track('place')").contains("\"already\":false"));
}

/// `notes` became `place` and another tracked table became `notes`, both rebuilt: the names say something else.
#[test]
fn m3_tables_whose_names_were_passed_on_go_on_when_somebody_says() {
    for keys in ["'k1'", "1"] {
        every_world(|world| {
            let c = world.open();
            for table in ["notes", "tasks"] {
                run(
                    &c,
                    &format!(
                        "CREATE TABLE {table} (id PRIMARY KEY, title TEXT); INSERT INTO {table} VALUES ({keys}, '{table}')"
                    ),
                );
                track(&c, table, r#"{"existing":"skip"}"#);
            }
            run(
                &c,
                "UPDATE notes SET title = 'x'; INSERT INTO tasks VALUES ('only here', 'y')",
            );
            elsewhere(
                world,
                "BEGIN; CREATE TABLE place (id PRIMARY KEY, title TEXT); INSERT INTO place SELECT * FROM notes; DROP TABLE notes;
                 CREATE TABLE new (id PRIMARY KEY, title TEXT); INSERT INTO new SELECT * FROM tasks; DROP TABLE tasks;
                 ALTER TABLE new RENAME TO notes; COMMIT",
            );
            let answer = track(&c, "place", r#"{"was":"notes"}"#);
            assert_eq!(codes(&answer), ["captureRestored"]);
            let answer = track(&c, "notes", r#"{"was":"tasks"}"#);
            assert_eq!(codes(&answer), ["captureRestored"]);
            let waiting = "SELECT \"table\", key, op FROM sync_pending ORDER BY 1";
            let key = keys.trim_matches('\'');
            assert_eq!(
                ask(&c, waiting),
                format!("notes|only here|created\nplace|{key}|updated")
            );
            assert_eq!(ask(&c, "SELECT count(*) FROM sync_conflict"), "0");
            run(
                &c,
                "DELETE FROM notes WHERE id = 'only here'; UPDATE place SET title = 'z'",
            );
            assert_eq!(ask(&c, waiting), format!("place|{key}|updated"));
        });
    }
}

/// Who is the one that has the name by now is known no more once it is captured.
#[test]
fn m3_that_names_were_passed_on_is_to_be_said_first() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    elsewhere(
        &world,
        "CREATE TABLE place (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER); INSERT INTO place SELECT * FROM notes;
         DROP TABLE notes; CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER);
         INSERT INTO notes VALUES ('other', 'o', 'o', 1)",
    );
    ask(&c, "SELECT sync_init()");
    let error = refused(&c, r#"SELECT sync_track('place', '{"was":"notes"}')"#);
    assert!(
        error.contains("before any other call after the migration"),
        "{error}"
    );
}

/// Every table counts from 1.
#[test]
fn m3_in_doubt_nothing_is_joined_and_nothing_captured_anew() {
    let world = World::new(false);
    let c = tracked(
        &world,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 1), (2, 2);",
        "t",
    );
    run(&c, "UPDATE t SET a = 7 WHERE id = 1");
    elsewhere(
        &world,
        "ALTER TABLE t RENAME TO u; CREATE TABLE n (id INTEGER PRIMARY KEY, a); INSERT INTO n SELECT * FROM u; DROP TABLE u;
         ALTER TABLE n RENAME TO u",
    );
    for options in ["{}", r#"{"existing":"skip"}"#] {
        let error = refused(&c, &format!("SELECT sync_track('u', '{options}')"));
        for word in ["\"t\"", r#"{"was":"t"}"#, r#"{"was":""}"#] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
    run(&c, "SAVEPOINT s");
    track(&c, "u", r#"{"was":"t"}"#);
    assert_eq!(pending(&c), "updated 1 [\"a\"]");
    run(&c, "ROLLBACK TO s; RELEASE s");
    track(&c, "u", r#"{"was":"","existing":"skip"}"#);
    assert_eq!(
        ask(&c, "SELECT \"table\", op, key FROM sync_pending"),
        "t|updated|1"
    );
}

#[test]
fn m3_only_deletes_that_wait_prove_nothing() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, "DELETE FROM notes WHERE id = 'k2'");
    elsewhere(&world, MIGRATIONS[0]);
    assert!(refused(&c, "SELECT sync_track('place')").contains("was"));
    track(&c, "place", r#"{"was":"notes"}"#);
    assert_eq!(pending(&c), "deleted k2");
}

#[test]
fn m3_where_nothing_waits_a_new_table_is_new_and_the_answer_says_what_it_may_be() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    elsewhere(&world, MIGRATIONS[0]);
    let answer = track(&c, "place", r#"{"existing":"skip"}"#);
    assert_eq!(codes(&answer), ["tableGone"]);
    assert!(answer.contains("\"already\":false"), "{answer}");
}

#[test]
fn m3_of_two_tables_that_may_be_meant_neither_is_taken() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    run(
        &c,
        "CREATE TABLE more (id TEXT PRIMARY KEY, title TEXT); INSERT INTO more VALUES ('k1', 1); SELECT sync_track('more');",
    );
    elsewhere(&world, &format!("DROP TABLE more; {}", MIGRATIONS[0]));
    let error = refused(&c, "SELECT sync_track('place')");
    assert!(
        error.contains("\"notes\"") && error.contains("\"more\""),
        "{error}"
    );
    track(&c, "place", r#"{"was":"notes"}"#);
    assert_eq!(
        ask(
            &c,
            "SELECT count(*) FROM sync_pending WHERE \"table\" = 'place'"
        ),
        "3"
    );
}

#[test]
fn m3_a_key_that_a_rebuild_gave_another_name_is_the_same_when_somebody_says_so() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, EDITS);
        elsewhere(
            world,
            "CREATE TABLE new (uid TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER); INSERT INTO new SELECT * FROM notes;
             DROP TABLE notes; ALTER TABLE new RENAME TO notes",
        );
        let error = refused(&c, "SELECT sync_track('notes')");
        assert!(error.contains(r#"{"was":"notes"}"#), "{error}");
        let answer = track(&c, "notes", r#"{"was":"notes"}"#);
        assert_eq!(codes(&answer), ["captureRestored"]);
        assert_eq!(pending(&c), WAITING);
        track(&c, "notes", r#"{"was":"notes"}"#);
        run(&c, "UPDATE notes SET n = 5 WHERE uid = 'k3'");
        assert_eq!(pending(&c), format!("{WAITING}\nupdated k3 [\"n\"]"));
    });
    // Another column is another key.
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    elsewhere(
        &world,
        "CREATE TABLE new (id TEXT, title TEXT PRIMARY KEY, body TEXT, n INTEGER); INSERT INTO new SELECT * FROM notes;
         DROP TABLE notes; ALTER TABLE new RENAME TO notes",
    );
    let error = refused(&c, r#"SELECT sync_track('notes', '{"was":"notes"}')"#);
    assert!(error.contains("another key"), "{error}");
}

#[test]
fn m5_a_table_renamed_while_capture_is_off_goes_on() {
    for legacy in ["OFF", "ON"] {
        for on in [
            "sync_capture_on()",
            "sync_capture_on('place')",
            "sync_track('place')",
        ] {
            every_world(|world| {
                let c = tracked(world, NOTES, "notes");
                run(&c, EDITS);
                cursor(&c);
                run(&c, "SELECT sync_capture_off()");
                elsewhere(
                    world,
                    &format!(
                        "PRAGMA legacy_alter_table = {legacy}; ALTER TABLE notes RENAME TO halfway; ALTER TABLE halfway RENAME TO place"
                    ),
                );
                assert_eq!(pending(&c), WAITING);
                assert_eq!(ask(&c, "SELECT count(payload) FROM sync_pending"), "2");
                assert!(refused(&c, "SELECT sync_untrack('place')").contains("not uploaded"));
                run(&c, "SELECT sync_capture_off()");
                assert_eq!(codes(&ask(&c, &format!("SELECT {on}"))), [""; 0], "{on}");
                goes_on(&c);
                assert_eq!(ask(&c, "SELECT cursor FROM _syncCursor"), "5");
                let triggers = "SELECT count(*) FROM sqlite_master WHERE name LIKE '%follow%'";
                assert_eq!(ask(&c, triggers), "0");
            });
        }
    }
}

#[test]
fn m5_two_tables_may_swap_their_names_while_capture_is_off() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(
            &c,
            "CREATE TABLE other (id TEXT PRIMARY KEY, z); INSERT INTO other VALUES ('o', 1)",
        );
        track(&c, "other", r#"{"existing":"skip"}"#);
        run(&c, EDITS);
        run(&c, "UPDATE other SET z = 2; SELECT sync_capture_off()");
        elsewhere(
            world,
            "ALTER TABLE notes RENAME TO x; ALTER TABLE other RENAME TO notes; ALTER TABLE x RENAME TO other",
        );
        assert_eq!(codes(&ask(&c, "SELECT sync_capture_on()")), [""; 0]);
        assert_eq!(
            ask(&c, "SELECT \"table\", key FROM sync_pending ORDER BY 1, 2"),
            "notes|o\nother|k1\nother|k2\nother|n"
        );
    });
}

#[test]
fn m5_any_column_can_be_dropped_and_any_rebuild_done_while_capture_is_off() {
    for migration in [
        "ALTER TABLE notes DROP COLUMN body; ALTER TABLE notes RENAME COLUMN n TO m; ALTER TABLE notes RENAME COLUMN m TO n",
        "ALTER TABLE notes RENAME TO old; CREATE TABLE notes (id TEXT PRIMARY KEY, n INTEGER, title TEXT);
         INSERT INTO notes SELECT id, n, title FROM old; DROP TABLE old",
        "CREATE TABLE new (id TEXT PRIMARY KEY, n INTEGER, title TEXT); INSERT INTO new SELECT id, n, title FROM notes;
         DROP TABLE notes; ALTER TABLE new RENAME TO notes",
    ] {
        both(|world| {
            let c = tracked(world, NOTES, "notes");
            run(&c, EDITS);
            run(&c, "SELECT sync_capture_off()");
            elsewhere(world, migration);
            assert_eq!(pending(&c), WAITING, "{migration}");
            assert_eq!(codes(&ask(&c, "SELECT sync_capture_on()")), ["columnGone"]);
            assert_eq!(pending(&c), WAITING, "{migration}");
        });
    }
}

/// What a migration makes anew and fills is the table, and a copy that it leaves is none. The answer says so.
#[test]
fn m5_a_copy_left_from_a_rebuild_while_capture_is_off_is_not_the_table() {
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    run(&c, "SELECT sync_capture_off()");
    elsewhere(
        &world,
        "ALTER TABLE notes RENAME TO backup; CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER);
         INSERT INTO notes SELECT * FROM backup",
    );
    run(&c, "SAVEPOINT s");
    assert_eq!(
        codes(&ask(&c, "SELECT sync_capture_on()")),
        ["tableRecognised"]
    );
    assert_eq!(
        ask(&c, "SELECT DISTINCT \"table\" FROM sync_pending"),
        "notes"
    );
    assert_eq!(pending(&c), WAITING);
    run(&c, "ROLLBACK TO s; RELEASE s");
    track(&c, "backup", r#"{"was":"notes"}"#);
    assert_eq!(
        ask(&c, "SELECT DISTINCT \"table\" FROM sync_pending"),
        "backup"
    );
    assert_eq!(pending(&c), WAITING);
}

/// A rebuild of `place` by which nothing but its triggers is lost.
const REBUILD: &str = "CREATE TABLE new (id TEXT PRIMARY KEY, head TEXT, text TEXT, n INTEGER); INSERT INTO new SELECT * FROM place;
    DROP TABLE place; ALTER TABLE new RENAME TO place";

/// What is known of the old name is what was looked at between the steps.
#[test]
fn m1_a_table_renamed_then_its_columns_then_rebuilt_goes_on_where_every_step_was_seen() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        ask(
            &c,
            r#"SELECT sync_provider('p', '{"kind":"watermelon","url":"http://localhost:1","excludeColumns":{"notes":["body"]}}')"#,
        );
        ask(
            &c,
            "SELECT sync_resolver('notes', 'lastWriteWins', 'title')",
        );
        run(&c, EDITS);
        cursor(&c);
        for step in [
            "ALTER TABLE notes RENAME TO place",
            "ALTER TABLE place RENAME COLUMN title TO head",
            "UPDATE place SET n = 4 WHERE id = 'k1'",
            "ALTER TABLE place RENAME COLUMN body TO text",
            REBUILD,
        ] {
            elsewhere(world, step);
            ask(&c, "SELECT sync_init()");
        }
        assert_eq!(
            pending(&c),
            "created n []\ndeleted k2\nupdated k1 [\"head\",\"n\"]"
        );
        let said = "SELECT name, definition LIKE '%\"place\"%' FROM _syncTable";
        assert_eq!(ask(&c, said), "place|1");
        assert_eq!(ask(&c, "SELECT entity, cursor FROM _syncCursor"), "place|5");
        assert_eq!(
            ask(&c, "SELECT config ->> 'excludeColumns' FROM _syncProvider"),
            r#"{"place":["text"]}"#
        );
        assert_eq!(
            ask(&c, "SELECT entity, argument FROM _syncResolver"),
            "place|head"
        );
        let answer = track(&c, "place", "{}");
        assert!(answer.contains("\"already\":true"), "{answer}");
        assert_eq!(codes(&answer), ["captureRestored"]);
        run(&c, "UPDATE place SET text = 'x' WHERE id = 'k3'");
        assert!(pending(&c).ends_with("updated k3 [\"text\"]"));
    });
}

/// Whoever says so all the same is not refused.
#[test]
fn m3_what_a_table_was_may_be_said_though_it_is_known() {
    for rebuild in ["SELECT 1", REBUILD] {
        let world = World::new(false);
        let c = tracked(&world, NOTES, "notes");
        run(&c, EDITS);
        elsewhere(&world, "ALTER TABLE notes RENAME TO place");
        ask(&c, "SELECT sync_provider('p', '{\"kind\":\"host\"}')");
        elsewhere(
            &world,
            &rebuild
                .replace("head", "title")
                .replace("text TEXT", "body TEXT"),
        );
        let answer = track(&c, "place", r#"{"was":"notes"}"#);
        assert!(answer.contains("\"already\":true"), "{answer}");
        goes_on(&c);
    }
}

/// The old table has another name for a while.
#[test]
fn m3_a_look_in_the_middle_of_a_rebuild_does_not_take_the_old_table_for_the_one_that_stays() {
    every_world(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, EDITS);
        cursor(&c);
        for step in [
            "ALTER TABLE notes RENAME TO old",
            "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER)",
            "INSERT INTO notes SELECT * FROM old",
            "DROP TABLE old",
        ] {
            elsewhere(world, step);
            ask(&c, "SELECT sync_init()");
            assert_eq!(ask(&c, "SELECT name FROM _syncTable"), "notes", "{step}");
        }
        assert_eq!(pending(&c), WAITING);
        let known = "SELECT entity, cursor FROM _syncCursor";
        assert_eq!(ask(&c, known), "notes|5");
        run(&c, "UPDATE notes SET n = 5 WHERE id = 'k3'");
        assert_eq!(pending(&c), format!("{WAITING}\nupdated k3 [\"n\"]"));
    });
}

/// Two tables pass their names on, and both are rebuilt: who looked knows which is which.
#[test]
fn m1_names_of_tables_that_were_passed_on_are_known_where_every_step_was_seen() {
    const REBUILT: &str = "CREATE TABLE new (id TEXT PRIMARY KEY, title TEXT); INSERT INTO new SELECT * FROM {}; DROP TABLE {};
        ALTER TABLE new RENAME TO {}";
    for (steps, names) in [
        (
            ["notes RENAME TO place", "tasks RENAME TO notes", ""],
            ["place", "notes"],
        ),
        (
            [
                "notes RENAME TO t",
                "tasks RENAME TO notes",
                "t RENAME TO tasks",
            ],
            ["tasks", "notes"],
        ),
    ] {
        for rebuilt in [&names[..], &names[..1], &names[1..]] {
            every_world(|world| {
                let c = world.open();
                for table in ["notes", "tasks"] {
                    run(
                        &c,
                        &format!(
                            "CREATE TABLE {table} (id TEXT PRIMARY KEY, title TEXT); INSERT INTO {table} VALUES ('1', '{table}')"
                        ),
                    );
                    track(&c, table, r#"{"existing":"skip"}"#);
                }
                ask(
                    &c,
                    r#"SELECT sync_provider('p', '{"kind":"watermelon","url":"http://localhost:1","onClash":{"notes":"adopt"}}')"#,
                );
                run(
                    &c,
                    "UPDATE notes SET title = 'x'; INSERT INTO tasks VALUES ('only here', 'y')",
                );
                let steps = steps.iter().filter(|step| !step.is_empty());
                let steps = steps.map(|step| format!("ALTER TABLE {step}"));
                let rebuilds = rebuilt.iter().map(|name| REBUILT.replace("{}", name));
                for step in steps.chain(rebuilds) {
                    elsewhere(world, &step);
                    ask(&c, "SELECT sync_init()");
                }
                ask(&c, "SELECT sync_capture_on()");
                let mut expected = [
                    format!("{}|1|updated", names[0]),
                    format!("{}|only here|created", names[1]),
                ];
                expected.sort();
                assert_eq!(
                    ask(&c, "SELECT \"table\", key, op FROM sync_pending ORDER BY 1"),
                    expected.join("\n"),
                    "{rebuilt:?}"
                );
                assert_eq!(ask(&c, "SELECT count(*) FROM sync_conflict"), "0");
                assert_eq!(
                    ask(&c, "SELECT config ->> 'onClash' FROM _syncProvider"),
                    format!("{{\"{}\":\"adopt\"}}", names[0])
                );
                for name in names {
                    let answer = ask(&c, &format!("SELECT sync_track('{name}')"));
                    assert!(answer.contains("\"already\":true"), "{answer}");
                }
            });
        }
    }
}

/// A rename of the table, one of a column and a rebuild of which nobody saw anything.
#[test]
fn m3_a_table_some_columns_of_which_have_other_names_is_not_taken_for_a_new_one_in_silence() {
    let migration = format!(
        "ALTER TABLE notes RENAME TO place; ALTER TABLE place RENAME COLUMN title TO head; \
         ALTER TABLE place RENAME COLUMN body TO text; {REBUILD}"
    );
    let all = migration.replace("n INTEGER", "number INTEGER");
    for migration in [&migration, &all] {
        for (edits, waiting) in [
            (
                EDITS,
                "created n []\ndeleted k2\nupdated k1 [\"head\",\"text\"]",
            ),
            ("DELETE FROM notes WHERE id = 'k2'", "deleted k2"),
        ] {
            both(|world| {
                let c = tracked(world, NOTES, "notes");
                run(&c, edits);
                elsewhere(world, migration);
                let error = refused(&c, "SELECT sync_track('place')");
                assert!(error.contains(r#"{"was":"notes"}"#), "{error}");
                let answer = track(&c, "place", r#"{"was":"notes"}"#);
                assert_eq!(codes(&answer), ["captureRestored", "columnGone"]);
                let waits = pending(&c).replace(",\"number\"", "");
                assert_eq!(waits, waiting);
            });
        }
        let world = World::new(false);
        let c = tracked(&world, NOTES, "notes");
        elsewhere(&world, migration);
        let answer = track(&c, "place", r#"{"existing":"skip"}"#);
        assert_eq!(codes(&answer), ["tableGone"]);
    }
    // Numbers, and one column.
    let world = World::new(false);
    let ddl =
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 1), (2, 2);";
    let c = tracked(&world, ddl, "t");
    run(&c, "UPDATE t SET a = 7 WHERE id = 1");
    elsewhere(
        &world,
        "CREATE TABLE u (id INTEGER PRIMARY KEY, b TEXT); INSERT INTO u SELECT * FROM t; DROP TABLE t",
    );
    assert!(refused(&c, "SELECT sync_track('u')").contains(r#"{"was":"t"}"#));
    // It has fewer columns, but the rows that wait.
    let world = World::new(false);
    let c = tracked(&world, NOTES, "notes");
    run(&c, EDITS);
    elsewhere(
        &world,
        "CREATE TABLE place (id TEXT PRIMARY KEY, title TEXT); INSERT INTO place SELECT id, title FROM notes; DROP TABLE notes",
    );
    assert_eq!(codes(&track(&c, "place", "{}")), ["tableGone"]);
    // It counts its rows as well, and that is all.
    let world = World::new(false);
    let c = tracked(&world, ddl, "t");
    run(&c, "UPDATE t SET a = 7 WHERE id = 1");
    elsewhere(
        &world,
        "DROP TABLE t; CREATE TABLE u (id INTEGER PRIMARY KEY, b REAL, c); INSERT INTO u VALUES (1, 1, 1)",
    );
    assert!(!track(&c, "u", "{}").contains("tableGone"));
}
