//! Rows that other rows push aside: REPLACE, IGNORE, UPSERT, and every kind of unique index.

use rusqlite::Connection;
use support::capture::{pending, run, track, tracked};
use support::{World, ask, both};

const PEOPLE: &str = "CREATE TABLE p (id TEXT PRIMARY KEY, mail TEXT UNIQUE, n INTEGER);
    INSERT INTO p VALUES ('a', 'a@x', 1), ('b', 'b@x', 2), ('c', 'c@x', 3), ('d', NULL, 4);";

/// Writes to PEOPLE, and what must be pending then.
fn people(sql: &str, expected: &str) {
    both(|world| {
        let c = tracked(world, PEOPLE, "p");
        run(&c, sql);
        assert_eq!(pending(&c), expected, "{sql}");
    });
}

#[test]
fn replace_on_the_key_of_a_known_row_is_an_update() {
    people(
        "INSERT OR REPLACE INTO p VALUES ('a', 'y@x', 7)",
        r#"updated a ["mail","n"]"#,
    );
    people(
        "REPLACE INTO p VALUES ('a', 'z@x', 9), ('n', 'n@x', 1)",
        "created n []\nupdated a [\"mail\",\"n\"]",
    );
}

#[test]
fn replace_on_the_key_of_a_created_row_leaves_it_created() {
    people(
        "INSERT INTO p VALUES ('n', 'n@x', 1); REPLACE INTO p VALUES ('n', 'n@x', 1)",
        "created n []",
    );
    people(
        "INSERT INTO p VALUES ('n', 'n@x', 1); REPLACE INTO p VALUES ('n', 'm@x', 2); DELETE FROM p WHERE id = 'n'",
        "",
    );
}

#[test]
fn replace_that_evicts_a_known_row_through_a_unique_column_deletes_it() {
    people(
        "REPLACE INTO p VALUES ('n', 'b@x', 9)",
        "created n []\ndeleted b",
    );
}

#[test]
fn replace_can_evict_one_row_by_key_and_another_by_index() {
    people(
        "REPLACE INTO p VALUES ('a', 'b@x', 9)",
        "deleted b\nupdated a [\"mail\",\"n\"]",
    );
}

#[test]
fn replace_that_evicts_a_created_row_leaves_no_trace_of_it() {
    people(
        "INSERT INTO p VALUES ('n', 'n@x', 1); REPLACE INTO p VALUES ('m', 'n@x', 2)",
        "created m []",
    );
}

#[test]
fn replace_that_evicts_an_edited_row_deletes_it() {
    people(
        "UPDATE p SET n = 7 WHERE id = 'b'; REPLACE INTO p VALUES ('m', 'b@x', 2)",
        "created m []\ndeleted b",
    );
}

#[test]
fn an_evicted_row_that_comes_back_is_updated() {
    people(
        "REPLACE INTO p VALUES ('n', 'b@x', 9); INSERT INTO p VALUES ('b', 'other', 1)",
        "created n []\nupdated b [\"mail\",\"n\"]",
    );
}

#[test]
fn null_in_a_unique_column_evicts_nobody() {
    people("REPLACE INTO p VALUES ('n', NULL, 9)", "created n []");
}

#[test]
fn rows_of_one_statement_that_evict_each_other_leave_the_last() {
    people(
        "REPLACE INTO p VALUES ('n1', 'b@x', 1), ('n2', 'b@x', 2), ('n3', 'b@x', 3)",
        "created n3 []\ndeleted b",
    );
    people(
        "UPDATE OR REPLACE p SET mail = 'one' WHERE id < 'd'",
        "deleted a\ndeleted b\nupdated c [\"mail\"]",
    );
}

#[test]
fn update_or_replace_evicts_and_updates() {
    people(
        "UPDATE OR REPLACE p SET mail = 'b@x' WHERE id = 'a'",
        "deleted b\nupdated a [\"mail\"]",
    );
    people(
        "UPDATE OR REPLACE p SET id = 'c' WHERE id = 'a'",
        "deleted a\nupdated c [\"mail\",\"n\"]",
    );
    people(
        "UPDATE OR REPLACE p SET id = 'c', mail = 'b@x' WHERE id = 'a'",
        "deleted a\ndeleted b\nupdated c [\"mail\",\"n\"]",
    );
}

#[test]
fn update_or_ignore_that_is_ignored_leaves_nothing_pending() {
    people(
        "UPDATE OR IGNORE p SET mail = 'b@x' WHERE id = 'a'; UPDATE OR IGNORE p SET id = 'b' WHERE id = 'a'",
        "",
    );
}

#[test]
fn insert_or_ignore_that_is_ignored_leaves_nothing_pending() {
    people(
        "INSERT OR IGNORE INTO p VALUES ('a', 'new', 1), ('n', 'b@x', 1), ('m', 'm@x', 1)",
        "created m []",
    );
    people(
        "INSERT INTO p VALUES ('m', 'm@x', 1); INSERT OR IGNORE INTO p VALUES ('m', 'zzz', 1)",
        "created m []",
    );
}

#[test]
fn an_ignored_insert_leaves_the_row_open_to_capture_and_the_table_to_untracking() {
    both(|world| {
        let c = tracked(world, PEOPLE, "p");
        run(&c, "INSERT OR IGNORE INTO p VALUES ('a', 'new', 1)");
        assert_eq!(ask(&c, "SELECT sync_capture_existing('p')"), "4");
        assert_eq!(
            ask(&c, "SELECT count(*) FROM sync_pending WHERE key = 'a'"),
            "1"
        );
    });
    both(|world| {
        let c = tracked(world, PEOPLE, "p");
        run(&c, "INSERT OR IGNORE INTO p VALUES ('a', 'new', 1)");
        assert_eq!(pending(&c), "");
        assert_eq!(ask(&c, "SELECT sync_untrack('p')"), "1");
    });
}

#[test]
fn upsert_do_nothing_leaves_nothing_pending() {
    people(
        "INSERT INTO p VALUES ('a', 'q@x', 1) ON CONFLICT DO NOTHING",
        "",
    );
    people(
        "INSERT INTO p VALUES ('n', 'b@x', 1) ON CONFLICT (mail) DO NOTHING",
        "",
    );
}

#[test]
fn upsert_do_update_is_an_update_of_what_it_changed() {
    people(
        "INSERT INTO p VALUES ('a', 'ignored', 50), ('n', 'n@x', 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n",
        "created n []\nupdated a [\"n\"]",
    );
    people(
        "INSERT INTO p VALUES ('z', 'b@x', 50) ON CONFLICT (mail) DO UPDATE SET n = 77",
        "updated b [\"n\"]",
    );
    people(
        "INSERT INTO p VALUES ('c', 'x', 1) ON CONFLICT (id) DO UPDATE SET id = 'cc'",
        "created cc []\ndeleted c",
    );
    people(
        "INSERT INTO p VALUES ('n', 'y', 1); INSERT INTO p VALUES ('n', 'x', 1) ON CONFLICT (id) DO UPDATE SET n = 5",
        "created n [\"n\"]",
    );
}

#[test]
fn upsert_that_changes_nothing_leaves_nothing_pending() {
    people(
        "INSERT INTO p VALUES ('a', 'x', 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n",
        "",
    );
    people(
        "INSERT INTO p VALUES ('a', 'x', 9) ON CONFLICT (id) DO UPDATE SET n = excluded.n WHERE false",
        "",
    );
}

#[test]
fn insert_or_replace_with_an_upsert_clause_evicts_through_the_other_index() {
    people(
        "INSERT OR REPLACE INTO p VALUES ('n', 'b@x', 1) ON CONFLICT (id) DO NOTHING",
        "created n []\ndeleted b",
    );
}

#[test]
fn replace_fed_by_a_query_over_the_same_table_is_captured() {
    people(
        "REPLACE INTO p SELECT id || id, mail, n FROM p WHERE mail IS NOT NULL",
        "created aa []\ncreated bb []\ncreated cc []\ndeleted a\ndeleted b\ndeleted c",
    );
}

/// Every kind of unique index: what makes it, and values of (x, y, z) of a row and of one that meets it.
const INDEXES: &[(&str, &str, &str, &str)] = &[
    (
        "plain",
        "CREATE UNIQUE INDEX i ON t (x)",
        "'p', 1, 1",
        "'p', 2, 2",
    ),
    (
        "composite",
        "CREATE UNIQUE INDEX i ON t (x, y)",
        "'p', 1, 1",
        "'p', 1, 2",
    ),
    (
        "partial",
        "CREATE UNIQUE INDEX i ON t (x) WHERE y > 0",
        "'p', 1, 1",
        "'p', 2, 2",
    ),
    (
        "expression",
        "CREATE UNIQUE INDEX i ON t (lower(x))",
        "'p', 1, 1",
        "'P', 2, 2",
    ),
    (
        "expression and column",
        "CREATE UNIQUE INDEX i ON t (y + z, x DESC)",
        "'p', 1, 3",
        "'p', 2, 2",
    ),
    (
        "NOCASE index",
        "CREATE UNIQUE INDEX i ON t (x COLLATE NOCASE)",
        "'p', 1, 1",
        "'P', 2, 2",
    ),
    (
        "RTRIM index",
        "CREATE UNIQUE INDEX i ON t (x COLLATE RTRIM)",
        "'p', 1, 1",
        "'p  ', 2, 2",
    ),
    (
        "descending",
        "CREATE UNIQUE INDEX i ON t (x DESC, y)",
        "'p', 1, 1",
        "'p', 1, 2",
    ),
    (
        "descending expression",
        "CREATE UNIQUE INDEX i ON t (abs(y) DESC)",
        "'p', 1, 1",
        "'q', -1, 2",
    ),
    (
        "collated expression",
        "CREATE UNIQUE INDEX i ON t ((x || y) COLLATE NOCASE)",
        "'p', 1, 1",
        "'P', 1, 2",
    ),
    (
        "expression of quoted names",
        "CREATE UNIQUE INDEX i ON t (lower(\"x\") , [y], `z`)",
        "'p', 1, 1",
        "'P', 1, 1",
    ),
    (
        "expression with commas in text",
        "CREATE UNIQUE INDEX i ON t (replace(x, '),(', ''), y)",
        "'p', 1, 1",
        "'p),(', 1, 2",
    ),
    (
        "expression that is a list test",
        "CREATE UNIQUE INDEX i ON t (CASE WHEN y IN (1, 2) THEN 'one' ELSE x END)",
        "'p', 1, 1",
        "'q', 2, 2",
    ),
    (
        "json",
        "CREATE UNIQUE INDEX i ON t (x ->> '$.k') WHERE json_valid(x)",
        "'{\"k\":5}', 1, 1",
        "'{\"k\":5,\"l\":1}', 2, 2",
    ),
];

/// Unique indexes whose text is laid out in ways that SQLite accepts.
const LAID_OUT: &[(&str, &str, &str, &str)] = &[
    (
        "descending without a space",
        "CREATE UNIQUE INDEX i ON t (abs(y)DESC)",
        "'p', 1, 1",
        "'q', -1, 2",
    ),
    (
        "descending on a new line",
        "CREATE UNIQUE INDEX i ON t (abs(y)\n\tDESC\n)",
        "'p', 1, 1",
        "'q', -1, 2",
    ),
    (
        "expression with a comment",
        "CREATE UNIQUE INDEX i ON t (lower(x) /* first, (of all */, y)",
        "'p', 1, 1",
        "'P', 1, 2",
    ),
    (
        "expression with a line comment",
        "CREATE UNIQUE INDEX i ON t (lower(x) -- it's, (so\n, y)",
        "'p', 1, 1",
        "'P', 1, 2",
    ),
];

/// Runs a check over every index with recursive_triggers ON and OFF, and tells all that went wrong.
fn each_index(
    indexes: &[(&str, &str, &str, &str)],
    check: impl Fn(&Connection, &str) + std::panic::RefUnwindSafe,
) {
    let mut wrong = Vec::new();
    for (name, index, first, second) in indexes {
        for recursive in [true, false] {
            let outcome = std::panic::catch_unwind(|| {
                let world = World::new(recursive);
                let ddl = format!(
                    "CREATE TABLE t (id TEXT PRIMARY KEY, x TEXT, y INTEGER, z INTEGER); {index};
                     INSERT INTO t VALUES ('k', {first}), ('far', '{{\"k\":\"far\"}}', 100, 100),
                       ('free', '{{\"k\":\"free\"}}', 50, 7);"
                );
                check(&tracked(&world, &ddl, "t"), second);
            });
            if let Err(panic) = outcome {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                wrong.push(format!("{name} (recursive_triggers {recursive}): {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn replaced(c: &Connection, second: &str) {
    run(
        c,
        &format!("INSERT OR REPLACE INTO t VALUES ('n', {second})"),
    );
    assert_eq!(
        ask(c, "SELECT count(*) FROM t WHERE id = 'k'"),
        "0",
        "SQLite itself evicts"
    );
    assert_eq!(pending(c), "created n []\ndeleted k");
}

fn updated_or_replaced(c: &Connection, second: &str) {
    run(
        c,
        &format!("UPDATE OR REPLACE t SET (x, y, z) = ({second}) WHERE id = 'far'"),
    );
    assert_eq!(
        ask(c, "SELECT count(*) FROM t WHERE id = 'k'"),
        "0",
        "SQLite itself evicts"
    );
    assert_eq!(pending(c), "deleted k\nupdated far [\"x\",\"y\",\"z\"]");
}

fn written_as_ever(c: &Connection, _second: &str) {
    run(
        c,
        "INSERT INTO t VALUES ('n', '{\"k\":\"nnn\"}', 70, 70); UPDATE t SET z = z + 1000 WHERE id = 'far';
         DELETE FROM t WHERE id = 'free'",
    );
    assert_eq!(
        pending(c),
        "created n []\ndeleted free\nupdated far [\"z\"]"
    );
}

#[test]
fn replace_evicts_through_every_kind_of_unique_index() {
    each_index(INDEXES, replaced);
}

#[test]
fn update_or_replace_evicts_through_every_kind_of_unique_index() {
    each_index(INDEXES, updated_or_replaced);
}

#[test]
fn ordinary_writes_go_through_with_every_kind_of_unique_index() {
    each_index(INDEXES, written_as_ever);
}

#[test]
fn replace_evicts_however_the_index_is_laid_out() {
    each_index(LAID_OUT, replaced);
    each_index(LAID_OUT, updated_or_replaced);
}

#[test]
fn ordinary_writes_go_through_however_an_index_is_laid_out() {
    each_index(LAID_OUT, written_as_ever);
}

#[test]
fn a_partial_index_evicts_only_rows_inside_it() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, x, y); CREATE UNIQUE INDEX i ON t (x) WHERE y > 0;
             INSERT INTO t VALUES ('in', 1, 1), ('out', 1, 0);",
            "t",
        );
        run(&c, "REPLACE INTO t VALUES ('n', 1, 0)");
        assert_eq!(pending(&c), "created n []");
        run(&c, "REPLACE INTO t VALUES ('m', 1, 5)");
        assert_eq!(pending(&c), "created m []\ncreated n []\ndeleted in");
        // Steps into the index by a column that is not indexed.
        run(&c, "UPDATE OR REPLACE t SET y = 9 WHERE id = 'out'");
        assert_eq!(pending(&c), "created n []\ndeleted in\nupdated out [\"y\"]");
    });
}

#[test]
fn a_known_row_evicted_by_one_that_steps_into_a_partial_index_is_deleted() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, x, y); CREATE UNIQUE INDEX i ON t (x) WHERE y > 0;
             INSERT INTO t VALUES ('in', 1, 1), ('out', 1, 0);",
            "t",
        );
        run(&c, "UPDATE OR REPLACE t SET y = 9 WHERE id = 'out'");
        assert_eq!(ask(&c, "SELECT group_concat(id) FROM t"), "out");
        assert_eq!(pending(&c), "deleted in\nupdated out [\"y\"]");
    });
}

#[test]
fn unique_generated_columns_evict_too() {
    for kind in ["VIRTUAL", "STORED"] {
        both(|world| {
            let ddl = format!(
                "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT, b TEXT, g TEXT AS (a || '-' || b) {kind} UNIQUE, v);
                 INSERT INTO t (id, a, b, v) VALUES ('k1', 'p', 'q', 1), ('k2', 'r', 'q', 2), ('k3', 'p', 's', 3)"
            );
            let c = tracked(world, &ddl, "t");
            run(
                &c,
                "INSERT OR REPLACE INTO t (id, a, b) VALUES ('n', 'p', 's')",
            );
            assert_eq!(pending(&c), "created n []\ndeleted k3", "{kind}");
            run(&c, "UPDATE OR REPLACE t SET a = 'p' WHERE id = 'k2'");
            assert_eq!(
                ask(
                    &c,
                    "SELECT group_concat(id) FROM (SELECT id FROM t ORDER BY id)"
                ),
                "k2,n"
            );
            assert_eq!(
                pending(&c),
                "created n []\ndeleted k1\ndeleted k3\nupdated k2 [\"a\"]",
                "{kind}"
            );
        });
    }
}

#[test]
fn constraints_declared_on_conflict_replace_evict_in_plain_statements() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY ON CONFLICT REPLACE, u TEXT UNIQUE ON CONFLICT REPLACE, v);
             INSERT INTO t VALUES ('a', 'ua', 1), ('b', 'ub', 2), ('c', 'uc', 3), ('d', 'ud', 4), ('e', 'ue', 5);",
            "t",
        );
        run(&c, "INSERT INTO t VALUES ('a', 'new', 9)");
        run(&c, "INSERT INTO t VALUES ('n', 'ub', 1)");
        run(&c, "UPDATE t SET u = 'uc' WHERE id = 'd'");
        assert_eq!(
            pending(&c),
            "created n []\ndeleted b\ndeleted c\nupdated a [\"u\",\"v\"]\nupdated d [\"u\"]"
        );
    });
}

#[test]
fn a_default_that_insert_or_replace_puts_in_place_of_null_evicts_too() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, u TEXT NOT NULL DEFAULT 'x' UNIQUE);
             INSERT INTO t VALUES ('a', 'x'), ('b', 'y');",
            "t",
        );
        run(&c, "INSERT OR REPLACE INTO t VALUES ('n', NULL)");
        assert_eq!(ask(&c, "SELECT id, u FROM t ORDER BY id"), "b|y\nn|x");
        assert_eq!(pending(&c), "created n []\ndeleted a");
    });
}

#[test]
fn a_default_that_update_or_replace_puts_in_place_of_null_evicts_too() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, u TEXT NOT NULL DEFAULT 'x' UNIQUE);
             INSERT INTO t VALUES ('a', 'x'), ('b', 'y');",
            "t",
        );
        run(&c, "UPDATE OR REPLACE t SET u = NULL WHERE id = 'b'");
        assert_eq!(ask(&c, "SELECT id, u FROM t ORDER BY id"), "b|x");
        assert_eq!(pending(&c), "deleted a\nupdated b [\"u\"]");
    });
}

#[test]
fn a_default_that_replace_puts_in_place_of_a_null_key_meets_the_row_of_that_key() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT NOT NULL DEFAULT 'k' PRIMARY KEY, v); INSERT INTO t VALUES ('k', 1);",
            "t",
        );
        run(&c, "INSERT OR REPLACE INTO t VALUES (NULL, 2)");
        assert_eq!(ask(&c, "SELECT id, v FROM t"), "k|2");
        assert_eq!(pending(&c), r#"updated k ["v"]"#);
    });
}

#[test]
fn replace_in_a_without_rowid_table_evicts_through_its_unique_columns() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (a INTEGER, b TEXT, u TEXT UNIQUE, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
             INSERT INTO t VALUES (1, 'x', 'u1', 0), (2, 'x', 'u2', 0), (3, 'x', 'u3', 0);",
            "t",
        );
        run(&c, "REPLACE INTO t VALUES (1, 'x', 'u2', 5)");
        assert_eq!(
            pending(&c),
            "deleted [2,\"x\"]\nupdated [1,\"x\"] [\"u\",\"v\"]"
        );
        run(&c, "UPDATE OR REPLACE t SET u = 'u3' WHERE a = 1");
        assert_eq!(
            pending(&c),
            "deleted [2,\"x\"]\ndeleted [3,\"x\"]\nupdated [1,\"x\"] [\"u\",\"v\"]"
        );
    });
}

#[test]
fn replace_on_an_integer_primary_key_evicts_by_key_and_by_index() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v);
             INSERT INTO t VALUES (-1, 'm', 0), (1, 'a', 0), (2, 'b', 0);",
            "t",
        );
        run(&c, "REPLACE INTO t (u) VALUES ('b')");
        assert_eq!(pending(&c), "created 3 []\ndeleted 2");
        run(&c, "REPLACE INTO t (rowid, u) VALUES (1, 'q')");
        assert_eq!(
            pending(&c),
            "created 3 []\ndeleted 2\nupdated 1 [\"u\",\"v\"]"
        );
    });
}

#[test]
fn a_unique_index_made_after_tracking_began_is_seen_by_the_next_sync_track() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, x, y); INSERT INTO t VALUES ('k', 1, 1), ('j', 2, 2);",
            "t",
        );
        run(&c, "CREATE UNIQUE INDEX later ON t (x)");
        track(&c, "t", r#"{"existing":"skip"}"#);
        run(&c, "REPLACE INTO t VALUES ('n', 1, 5)");
        assert_eq!(pending(&c), "created n []\ndeleted k");
    });
}

#[test]
fn a_unique_index_dropped_after_tracking_began_evicts_nobody() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, x, y); CREATE UNIQUE INDEX i ON t (lower(x)); INSERT INTO t VALUES ('k', 'a', 1);",
            "t",
        );
        run(&c, "DROP INDEX i; REPLACE INTO t VALUES ('n', 'A', 5)");
        assert_eq!(pending(&c), "created n []");
    });
}

#[test]
fn replace_evicts_by_the_rowid_too() {
    people(
        "INSERT OR REPLACE INTO p (rowid, id) VALUES (1, 'new')",
        "created new []\ndeleted a",
    );
    people(
        "REPLACE INTO p (_rowid_, id) VALUES (1, 'a')",
        "updated a [\"mail\",\"n\"]",
    );
    people(
        "UPDATE OR REPLACE p SET oid = 1 WHERE id = 'b'",
        "deleted a",
    );
    people(
        "UPDATE p SET rowid = 100 WHERE id = 'b'; INSERT INTO p (rowid, id) VALUES (-1, 'x'), (-7, 'y')",
        "created x []\ncreated y []",
    );
}
