//! Keys: changed, composite, of every type, and how they come back from the log.

use support::capture::{pending, run, tracked};
use support::{World, ask, both};

/// A test of several variants, each in a world of its own, with recursive_triggers ON and OFF.
fn each<'a>(variants: &[&'a str], test: impl Fn(&World, &'a str)) {
    for variant in variants {
        both(|world| test(world, variant));
    }
}

#[test]
fn a_changed_text_key_is_a_delete_and_a_creation() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a); INSERT INTO t VALUES ('a', 1), ('b', 2);",
            "t",
        );
        run(&c, "UPDATE t SET id = 'z' WHERE id = 'a'");
        assert_eq!(pending(&c), "created z []\ndeleted a");
        run(&c, "UPDATE t SET id = 'a' WHERE id = 'z'");
        assert_eq!(pending(&c), r#"updated a ["a"]"#);
    });
}

#[test]
fn a_changed_integer_primary_key_is_a_delete_and_a_creation_under_all_its_names() {
    each(
        &[
            "id",
            "rowid",
            "_rowid_",
            "oid",
            "ROWID",
            "\"rowid\"",
            "[Oid]",
        ],
        |world, name| {
            let c = tracked(
                world,
                "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)",
                "t",
            );
            run(&c, &format!("UPDATE t SET {name} = 10 WHERE id = 1"));
            assert_eq!(pending(&c), "created 10 []\ndeleted 1", "{name}");
            // Onto another row.
            run(
                &c,
                &format!("UPDATE OR REPLACE t SET {name} = 3 WHERE id = 2"),
            );
            assert_eq!(
                pending(&c),
                "created 10 []\ndeleted 1\ndeleted 2\nupdated 3 [\"a\"]",
                "{name}"
            );
        },
    );
}

#[test]
fn keys_that_move_along_a_row_of_keys_end_as_they_should() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (2, 'x'), (3, 'y'), (4, 'z');",
            "t",
        );
        run(&c, "UPDATE t SET id = id - 1");
        assert_eq!(
            pending(&c),
            "created 1 []\ndeleted 4\nupdated 2 [\"a\"]\nupdated 3 [\"a\"]"
        );
        run(&c, "UPDATE t SET id = -id; UPDATE t SET id = 1 - id");
        assert_eq!(ask(&c, "SELECT group_concat(id) FROM t"), "2,3,4");
        assert_eq!(
            pending(&c),
            "updated 2 [\"a\"]\nupdated 3 [\"a\"]\nupdated 4 [\"a\"]"
        );
    });
}

#[test]
fn two_rows_that_swap_keys_are_both_updated() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a); INSERT INTO t VALUES ('p', 1), ('q', 2);",
            "t",
        );
        run(
            &c,
            "BEGIN; UPDATE t SET id = 'tmp' WHERE id = 'p'; UPDATE t SET id = 'p' WHERE id = 'q';
                 UPDATE t SET id = 'q' WHERE id = 'tmp'; COMMIT",
        );
        assert_eq!(pending(&c), "updated p [\"a\"]\nupdated q [\"a\"]");
    });
}

#[test]
fn a_created_row_whose_key_changes_is_created_once() {
    both(|world| {
        let c = tracked(world, "CREATE TABLE t (id TEXT PRIMARY KEY, a);", "t");
        run(&c, "INSERT INTO t VALUES ('n', 1); UPDATE t SET id = 'm'");
        assert_eq!(pending(&c), "created m []");
    });
}

#[test]
fn a_key_that_changes_only_in_case_is_another_key() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE, a); INSERT INTO t VALUES ('abc', 1), ('k', 2), ('r', 3);",
            "t",
        );
        run(&c, "UPDATE t SET id = 'ABC' WHERE id = 'abc'");
        assert_eq!(pending(&c), "created ABC []\ndeleted abc");
        run(&c, "INSERT OR REPLACE INTO t VALUES ('R', 4)");
        assert_eq!(
            pending(&c),
            "created ABC []\ncreated R []\ndeleted abc\ndeleted r"
        );
        run(&c, "UPDATE t SET a = 9 WHERE id = 'K'");
        assert_eq!(
            pending(&c),
            "created ABC []\ncreated R []\ndeleted abc\ndeleted r\nupdated k [\"a\"]"
        );
        assert_eq!(
            ask(&c, "SELECT payload FROM sync_pending WHERE key = 'ABC'"),
            r#"{"id":"ABC","a":1}"#
        );
    });
}

#[test]
fn a_changed_rowid_of_a_table_with_another_key_is_no_change() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a); INSERT INTO t VALUES ('a', 1), ('b', 2);",
            "t",
        );
        run(&c, "UPDATE t SET rowid = 77 WHERE id = 'a'");
        assert_eq!(pending(&c), "");
        run(
            &c,
            "UPDATE t SET a = 5 WHERE id = 'b'; UPDATE t SET rowid = 90 WHERE id = 'b'; UPDATE t SET rowid = 2 WHERE id = 'a'",
        );
        assert_eq!(
            ask(&c, "SELECT op, payload FROM sync_pending"),
            r#"updated|{"id":"b","a":5}"#
        );
    });
}

/// Pairs of values for a key of two columns.
const PAIRS: &[&str] = &[
    "'it''s', 'a,b'",
    "'a', 'b,c'",
    "'a,b', 'c'",
    "'t', ''",
    "'', 't'",
    "'😀ß', 'NULL'",
    "'a' || char(0) || 'b', 'x'",
    "'a' || char(0) || 'c', 'x'",
    "1, '1'",
    "'1', 1",
    "1.5, -1e300",
    "-9223372036854775808, 9223372036854775807",
    "0.1, 1e-300",
    "9e999, -9e999",
    "3.0000000000000004, 2",
    "x'', ''",
    "'', x''",
    "x'00FF27', x'2C'",
    "x'61', 'a'",
    "'X''61''', '\"'",
    "CAST(x'FF61' AS TEXT), 1",
];

#[test]
fn parts_of_a_composite_key_can_hold_anything() {
    each(&["", " WITHOUT ROWID"], |world, kind| {
        let fill = |value: &str| -> String {
            PAIRS
                .iter()
                .map(|pair| format!("INSERT INTO t VALUES ({pair}, {value});"))
                .collect()
        };
        let ddl = format!(
            "CREATE TABLE t (a, b, v, PRIMARY KEY (b, a)){kind}; {}",
            fill("0")
        );
        let c = tracked(world, &ddl, "t");
        let count = PAIRS.len();
        let summary =
            "SELECT op, changed, count(*), count(DISTINCT seq) FROM sync_pending GROUP BY 1, 2";
        run(&c, "UPDATE t SET v = 1");
        assert_eq!(ask(&c, summary), format!("updated|[\"v\"]|{count}|{count}"));
        run(&c, "DELETE FROM t");
        assert_eq!(ask(&c, summary), format!("deleted|NULL|{count}|{count}"));
        run(&c, &fill("2"));
        assert_eq!(ask(&c, summary), format!("updated|[\"v\"]|{count}|{count}"));
    });
}

#[test]
fn a_composite_key_is_shown_as_an_array_in_key_order() {
    let world = World::new(false);
    let c = tracked(&world, "CREATE TABLE t (a, b, v, PRIMARY KEY (b, a));", "t");
    run(&c, "INSERT INTO t VALUES ('it''s \"x\",', 7, 0)");
    assert_eq!(
        ask(&c, "SELECT key FROM sync_pending"),
        r#"[7,"it's \"x\","]"#
    );
}

#[test]
fn a_change_of_one_part_of_a_composite_key_is_a_delete_and_a_creation() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (a INTEGER, b TEXT, v, PRIMARY KEY (a, b)); INSERT INTO t VALUES (1, 'x', 0), (1, 'y', 0);",
            "t",
        );
        run(&c, "UPDATE t SET b = 'z' WHERE b = 'x'");
        assert_eq!(pending(&c), "created [1,\"z\"] []\ndeleted [1,\"x\"]");
        run(&c, "UPDATE OR REPLACE t SET b = 'y' WHERE b = 'z'");
        assert_eq!(pending(&c), "deleted [1,\"x\"]\nupdated [1,\"y\"] [\"v\"]");
    });
}

#[test]
fn composite_text_keys_survive_in_a_utf16_database() {
    each(&["UTF-16le", "UTF-16be"], |world, encoding| {
        let ddl = format!(
            "PRAGMA encoding = '{encoding}'; CREATE TABLE t (a TEXT, b TEXT, v, PRIMARY KEY (a, b));
             INSERT INTO t VALUES ('häß', '😀', 0), ('p', '', 0)"
        );
        let c = tracked(world, &ddl, "t");
        run(
            &c,
            "UPDATE t SET v = 1 WHERE a = 'häß'; DELETE FROM t WHERE a = 'p'; INSERT INTO t VALUES ('n', 'm', 1)",
        );
        assert_eq!(
            pending(&c),
            "created [\"n\",\"m\"] []\ndeleted [\"p\",\"\"]\nupdated [\"häß\",\"😀\"] [\"v\"]",
            "{encoding}"
        );
    });
}

#[test]
fn single_text_keys_survive_in_a_utf16_database() {
    both(|world| {
        let ddl = "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (a TEXT PRIMARY KEY, v TEXT);
                   INSERT INTO t VALUES ('häß😀', 'ü'), ('p', '')";
        let c = tracked(world, ddl, "t");
        run(
            &c,
            "UPDATE t SET v = 'ü'; UPDATE t SET v = 'Ü' WHERE a = 'häß😀'; DELETE FROM t WHERE a = 'p'",
        );
        assert_eq!(pending(&c), "deleted p\nupdated häß😀 [\"v\"]");
    });
}

#[test]
fn a_single_key_column_can_hold_anything() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id PRIMARY KEY, v);
             INSERT INTO t VALUES ('', 0), ('a' || char(0) || 'b', 0), ('a' || char(0), 0), ('a', 0), (x'61', 0), (x'', 0),
               (1, 0), ('1', 0), (1.5, 0), (9e999, 0), (-9e999, 0), (9223372036854775807, 0), (CAST(x'FFFE' AS TEXT), 0),
               ('😀''\",', 0), (zeroblob(70000), 0);",
            "t",
        );
        run(&c, "UPDATE t SET v = 1");
        assert_eq!(
            ask(
                &c,
                "SELECT op, changed, count(*) FROM sync_pending GROUP BY 1, 2"
            ),
            "updated|[\"v\"]|15"
        );
        assert_eq!(
            ask(
                &c,
                "SELECT count(*) FROM sync_pending AS p JOIN t ON t.id IS p.key AND typeof(t.id) = typeof(p.key)"
            ),
            "15"
        );
        run(&c, "DELETE FROM t");
        assert_eq!(
            ask(&c, "SELECT op, count(*) FROM sync_pending GROUP BY 1"),
            "deleted|15"
        );
    });
}

#[test]
fn blob_keys_are_captured() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id BLOB PRIMARY KEY, a); INSERT INTO t VALUES (x'00', 1), (x'0000', 2), (x'FF27', 3);",
            "t",
        );
        run(&c, "UPDATE t SET a = 9 WHERE id = x'0000'; DELETE FROM t WHERE id = x'FF27'; REPLACE INTO t VALUES (x'00', 5);
                 INSERT INTO t VALUES (x'', 1)");
        assert_eq!(
            pending(&c),
            "created x []\ndeleted xFF27\nupdated x00 [\"a\"]\nupdated x0000 [\"a\"]"
        );
    });
}

#[test]
fn real_keys_are_captured() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id REAL PRIMARY KEY, a); INSERT INTO t VALUES (1, 1), (0.1, 2), (1e300, 3), (-0.0, 4);",
            "t",
        );
        run(&c, "UPDATE t SET a = 9; DELETE FROM t WHERE id = 1e300");
        assert_eq!(
            ask(&c, "SELECT op, count(*) FROM sync_pending GROUP BY op"),
            "deleted|1\nupdated|3"
        );
        run(
            &c,
            "REPLACE INTO t VALUES ('1', 3); REPLACE INTO t VALUES (0, 3)",
        );
        assert_eq!(
            ask(&c, "SELECT op, count(*) FROM sync_pending GROUP BY op"),
            "deleted|1\nupdated|3"
        );
    });
}

#[test]
fn an_integer_key_given_as_text_or_real_is_the_same_key() {
    each(&["INTEGER", "INT", "NUMERIC"], |world, kind| {
        let c = tracked(
            world,
            &format!("CREATE TABLE t (id {kind} PRIMARY KEY, a); INSERT INTO t VALUES (7, 1)"),
            "t",
        );
        run(
            &c,
            "REPLACE INTO t VALUES ('7', 2); UPDATE t SET id = 7.0; INSERT INTO t VALUES ('8', 1)",
        );
        assert_eq!(pending(&c), "created 8 []\nupdated 7 [\"a\"]", "{kind}");
    });
}

#[test]
fn an_integer_primary_key_descending_is_not_the_rowid_and_still_works() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id INTEGER PRIMARY KEY DESC, a); INSERT INTO t VALUES (5, 1), (6, 2);",
            "t",
        );
        run(
            &c,
            "UPDATE t SET id = 9 WHERE id = 5; REPLACE INTO t VALUES (6, 3)",
        );
        assert_eq!(pending(&c), "created 9 []\ndeleted 5\nupdated 6 [\"a\"]");
    });
}

#[test]
fn autoincrement_and_negative_keys_are_captured() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a); INSERT INTO t VALUES (-1, 0), (5, 1);",
            "t",
        );
        run(
            &c,
            "INSERT INTO t (a) VALUES (2); INSERT INTO t VALUES (-7, 3)",
        );
        assert_eq!(pending(&c), "created -7 []\ncreated 6 []");
        run(&c, "DELETE FROM t WHERE id < 0");
        assert_eq!(pending(&c), "created 6 []\ndeleted -1");
    });
}

#[test]
fn an_untyped_key_that_turns_from_an_integer_into_a_real_is_pending_once() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id PRIMARY KEY, a); INSERT INTO t VALUES (1, 1);",
            "t",
        );
        run(&c, "UPDATE t SET a = 2; UPDATE t SET id = 1.0, a = 3");
        assert_eq!(
            ask(&c, "SELECT op, count(*) FROM sync_pending GROUP BY op"),
            "updated|1"
        );
    });
}

#[test]
fn a_row_with_a_null_key_is_never_said_to_be_deleted() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a); INSERT INTO t VALUES (NULL, 1), ('k', 1);",
            "t",
        );
        run(&c, "UPDATE t SET a = 2");
        assert_eq!(ask(&c, "SELECT count(*) FROM t WHERE id IS NULL"), "1");
        assert_eq!(
            ask(&c, "SELECT count(*) FROM sync_pending WHERE op = 'deleted'"),
            "0"
        );
    });
}

#[test]
fn an_edit_of_a_row_whose_composite_key_holds_a_null_is_not_lost() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (a, b, v, PRIMARY KEY (a, b)); INSERT INTO t VALUES (1, NULL, 0);",
            "t",
        );
        run(&c, "UPDATE t SET v = 5");
        assert_eq!(pending(&c), "updated [1,null] [\"v\"]");
        run(&c, "INSERT INTO t VALUES (2, NULL, 0)");
        assert_eq!(pending(&c), "created [2,null] []\nupdated [1,null] [\"v\"]");
    });
}

#[test]
fn a_new_row_with_a_null_key_is_visible_as_pending() {
    both(|world| {
        let c = tracked(world, "CREATE TABLE t (id TEXT PRIMARY KEY, a);", "t");
        run(&c, "INSERT INTO t VALUES (NULL, 1)");
        assert_eq!(ask(&c, "SELECT count(*) FROM sync_pending"), "1");
    });
}
