//! Rebuilds that give the key another type (rule M3): what waits is of the same rows, each of them one.

use support::capture::{elsewhere, pending, run, track, tracked};
use support::{World, ask, every_world};

const TEXT: &str = "id TEXT PRIMARY KEY NOT NULL, a";
const TYPES: &[&str] = &[
    "id INTEGER PRIMARY KEY, a",
    "id BIGINT PRIMARY KEY NOT NULL, a",
    "id NUMERIC PRIMARY KEY, a",
    "a, id INT NOT NULL, PRIMARY KEY (id)",
    "id VARCHAR(9) PRIMARY KEY, a",
    TEXT,
];

fn made(name: &str, columns: &str, without: bool) -> String {
    let end = if without { " WITHOUT ROWID" } else { "" };
    format!("CREATE TABLE {name} ({columns}){end};")
}

fn rebuild(columns: &str, without: bool) -> String {
    format!(
        "BEGIN; {} INSERT INTO n (id, a) SELECT id, a FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t; COMMIT",
        made("n", columns, without)
    )
}

/// What is kept of rows beside the log.
const KEPT: &str =
    "INSERT INTO _syncOutbox (pushId, tbl, pk, kind, content, uptoSeq) SELECT 1, id, '1', 'updated', '{}', 1 FROM _syncTable;
    INSERT INTO _syncVersion (provider, tbl, pk, version) SELECT 'p', id, '1', 1 FROM _syncTable;
    INSERT INTO _syncRejected (provider, tbl, pk, kind, reason, uptoSeq, at) SELECT 'p', id, '1', 'updated', 'no', 9, 1 FROM _syncTable";

fn is_text(columns: &str) -> bool {
    columns.contains("TEXT") || columns.contains("VARCHAR")
}

#[test]
fn m3_a_key_of_another_type_is_the_same_key() {
    for before in TYPES {
        for after in TYPES {
            for without in [false, true] {
                if without && (before.contains("a, id") || after.contains("a, id")) {
                    continue;
                }
                let world = World::new(false);
                let c = tracked(
                    &world,
                    &format!(
                        "{} INSERT INTO t (id, a) VALUES (1, 'x'), (2, 'x'), (30, 'x');",
                        made("t", before, without)
                    ),
                    "t",
                );
                run(
                    &c,
                    "UPDATE t SET a = 'e' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t (id, a) VALUES (7, 'n')",
                );
                let expected = "created 7 []\ndeleted 2\nupdated 1 [\"a\"]";
                elsewhere(&world, &rebuild(after, without));
                assert_eq!(pending(&c), expected, "{before} → {after}");
                ask(&c, "SELECT sync_track('t')");
                assert_eq!(pending(&c), expected, "{before} → {after}");
                // Edited again, each is still one row; made again, the deleted one is updated.
                run(
                    &c,
                    "UPDATE t SET a = 'f' WHERE id IN (1, 7); INSERT INTO t (id, a) VALUES (2, 'again')",
                );
                assert_eq!(
                    pending(&c),
                    "created 7 [\"a\"]\nupdated 1 [\"a\"]\nupdated 2 [\"a\"]",
                    "{before} → {after}"
                );
                let kind = if is_text(after) { "text" } else { "integer" };
                assert_eq!(
                    ask(
                        &c,
                        "SELECT DISTINCT typeof(pk) FROM _syncChange WHERE tbl > 0"
                    ),
                    kind,
                    "{before} → {after}"
                );
            }
        }
    }
}

#[test]
fn m3_what_is_kept_of_a_row_follows_the_type_of_its_key() {
    every_world(|world| {
        let c = tracked(
            world,
            &format!(
                "{} INSERT INTO t VALUES ('1', 'x'), ('b', 'x');",
                made("t", TEXT, false)
            ),
            "t",
        );
        run(&c, KEPT);
        run(&c, "UPDATE t SET a = 'e'; DELETE FROM t WHERE id = 'b'");
        elsewhere(world, &rebuild(TYPES[0], false));
        assert_eq!(
            ask(
                &c,
                "SELECT key, rejected FROM sync_pending WHERE op = 'updated'"
            ),
            "1|no"
        );
        ask(&c, "SELECT sync_track('t')");
        assert_eq!(
            ask(
                &c,
                "SELECT key, typeof(key), rejected FROM sync_pending ORDER BY 1"
            ),
            "1|integer|no\nb|text|NULL"
        );
        for kept in ["_syncOutbox", "_syncVersion", "_syncRejected"] {
            assert_eq!(
                ask(&c, &format!("SELECT typeof(pk), pk FROM {kept}")),
                "integer|1"
            );
        }
        elsewhere(world, &rebuild(TEXT, false));
        ask(&c, "SELECT sync_track('t')");
        for kept in ["_syncOutbox", "_syncVersion", "_syncRejected"] {
            assert_eq!(
                ask(&c, &format!("SELECT typeof(pk), pk FROM {kept}")),
                "text|1"
            );
        }
        assert_eq!(
            ask(
                &c,
                "SELECT key, typeof(key), rejected FROM sync_pending ORDER BY 1"
            ),
            "1|text|no\nb|text|NULL"
        );
    });
}

/// `007` and 7 are two rows to everybody else.
#[test]
fn m3_a_key_that_is_another_value_in_its_new_type_is_not_taken_for_it() {
    let world = World::new(false);
    let c = tracked(
        &world,
        &format!(
            "{} INSERT INTO t VALUES ('007', 'x'), ('8', 'x'), ('9223372036854775808', 'x');",
            made("t", TEXT, false)
        ),
        "t",
    );
    run(&c, "DELETE FROM t");
    elsewhere(&world, &rebuild(TYPES[0], false));
    ask(&c, "SELECT sync_track('t')");
    assert_eq!(
        ask(
            &c,
            "SELECT key, typeof(key) FROM sync_pending ORDER BY 2, 1"
        ),
        "8|integer\n007|text\n9223372036854775808|text"
    );
}

/// A tool that puts the triggers back itself.
#[test]
fn m3_a_key_of_another_type_under_triggers_put_back_is_one_row_after_the_next_call() {
    let world = World::new(false);
    let c = tracked(
        &world,
        &format!(
            "{} INSERT INTO t VALUES ('1', 'x');",
            made("t", TEXT, false)
        ),
        "t",
    );
    run(&c, "UPDATE t SET a = 'e'");
    let triggers: Vec<String> = {
        let mut read = c
            .prepare("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 't'")
            .expect("triggers");
        let rows = read.query_map([], |row| row.get(0)).expect("triggers");
        rows.map(|row| row.expect("text")).collect()
    };
    elsewhere(&world, &rebuild(TYPES[0], false));
    elsewhere(&world, &triggers.join(";"));
    run(&c, "UPDATE t SET a = 'f'; SELECT sync_init()");
    assert_eq!(pending(&c), "updated 1 [\"a\"]");
    track(&c, "t", "{}");
    assert_eq!(pending(&c), "updated 1 [\"a\"]");
}
