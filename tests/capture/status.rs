//! What `sync_pending` says after ordinary writes: created, updated, deleted, and which columns.

use rusqlite::Connection;
use support::capture::{pending, run, tracked};
use support::{World, ask, both, refused, try_ask};

fn notes(world: &World) -> Connection {
    tracked(
        world,
        "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, body TEXT, n INTEGER);
         INSERT INTO notes VALUES ('k1', 'one', 'b1', 1), ('k2', 'two', 'b2', 2), ('k3', 'three', NULL, 3);",
        "notes",
    )
}

fn fails(connection: &Connection, sql: &str) {
    assert!(
        connection.execute_batch(sql).is_err(),
        "{sql}: did not fail"
    );
}

fn logged(connection: &Connection) -> String {
    ask(
        connection,
        "SELECT count(*) FROM _syncChange WHERE tbl <> 0",
    )
}

#[test]
fn a_new_row_is_created_and_lists_no_changed_column() {
    both(|world| {
        let c = notes(world);
        run(&c, "INSERT INTO notes VALUES ('n1', 'new', NULL, 9)");
        assert_eq!(pending(&c), "created n1 []");
        let payload = ask(&c, "SELECT payload FROM sync_pending");
        assert_eq!(payload, r#"{"id":"n1","title":"new","body":null,"n":9}"#);
    });
}

#[test]
fn an_edited_row_is_updated_with_exactly_the_changed_columns() {
    both(|world| {
        let c = notes(world);
        run(
            &c,
            "UPDATE notes SET title = 'x', body = body, n = 1 WHERE id = 'k1'",
        );
        assert_eq!(pending(&c), r#"updated k1 ["title"]"#);
        run(&c, "UPDATE notes SET n = 5 WHERE id = 'k1'");
        assert_eq!(pending(&c), r#"updated k1 ["title","n"]"#);
    });
}

#[test]
fn a_deleted_row_is_deleted_and_has_no_payload() {
    both(|world| {
        let c = notes(world);
        run(&c, "DELETE FROM notes WHERE id = 'k2'");
        assert_eq!(
            ask(&c, "SELECT op, key, changed, payload FROM sync_pending"),
            "deleted|k2|NULL|NULL"
        );
    });
}

#[test]
fn an_edited_and_then_deleted_row_is_deleted() {
    both(|world| {
        let c = notes(world);
        run(
            &c,
            "UPDATE notes SET title = 'x' WHERE id = 'k1'; DELETE FROM notes WHERE id = 'k1'",
        );
        assert_eq!(pending(&c), "deleted k1");
    });
}

#[test]
fn deleting_every_row_at_once_is_seen_row_by_row() {
    both(|world| {
        let c = notes(world);
        run(&c, "DELETE FROM notes");
        assert_eq!(pending(&c), "deleted k1\ndeleted k2\ndeleted k3");
    });
}

#[test]
fn going_there_and_back_again_stays_pending() {
    both(|world| {
        let c = notes(world);
        run(
            &c,
            "UPDATE notes SET title = 'B' WHERE id = 'k1'; UPDATE notes SET title = 'one' WHERE id = 'k1'",
        );
        assert_eq!(pending(&c), r#"updated k1 ["title"]"#);
    });
}

#[test]
fn a_created_row_stays_created_when_edited() {
    both(|world| {
        let c = notes(world);
        run(
            &c,
            "INSERT INTO notes VALUES ('n1', 'new', NULL, 9); UPDATE notes SET n = 10 WHERE id = 'n1'",
        );
        assert_eq!(pending(&c), r#"created n1 ["n"]"#);
    });
}

#[test]
fn a_row_created_and_then_deleted_sends_nothing() {
    both(|world| {
        let c = notes(world);
        run(&c, "INSERT INTO notes VALUES ('n1', 'new', NULL, 9); UPDATE notes SET n = 1 WHERE id = 'n1';
                 DELETE FROM notes WHERE id = 'n1'");
        assert_eq!(pending(&c), "");
    });
}

#[test]
fn a_row_created_deleted_and_created_again_is_created() {
    both(|world| {
        let c = notes(world);
        run(
            &c,
            "INSERT INTO notes VALUES ('n1', 'new', NULL, 9); DELETE FROM notes WHERE id = 'n1';
                 INSERT INTO notes VALUES ('n1', 'newer', NULL, 9)",
        );
        assert_eq!(pending(&c), "created n1 []");
    });
}

#[test]
fn a_row_deleted_and_inserted_again_is_updated_with_every_column() {
    both(|world| {
        let c = notes(world);
        run(
            &c,
            "DELETE FROM notes WHERE id = 'k1'; INSERT INTO notes VALUES ('k1', 'one', 'b1', 1)",
        );
        assert_eq!(pending(&c), r#"updated k1 ["title","body","n"]"#);
        run(&c, "DELETE FROM notes WHERE id = 'k1'");
        assert_eq!(pending(&c), "deleted k1");
        run(&c, "INSERT INTO notes VALUES ('k1', 'again', NULL, NULL)");
        assert_eq!(pending(&c), r#"updated k1 ["title","body","n"]"#);
    });
}

#[test]
fn one_statement_over_many_rows_is_seen_row_by_row() {
    both(|world| {
        let c = notes(world);
        run(&c, "UPDATE notes SET n = max(n, 2)");
        assert_eq!(pending(&c), r#"updated k1 ["n"]"#);
        run(
            &c,
            "UPDATE notes SET title = s.t FROM (SELECT 'k2' AS k, 'T' AS t) AS s WHERE id = s.k",
        );
        assert_eq!(pending(&c), "updated k1 [\"n\"]\nupdated k2 [\"title\"]");
    });
}

#[test]
fn an_update_that_changes_nothing_logs_nothing() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, i INTEGER, r REAL, s TEXT, b BLOB, a);
             INSERT INTO t VALUES ('k', 1, 1.5, 's', x'00FF', NULL);",
            "t",
        );
        for sql in [
            "UPDATE t SET i = 1, r = 1.5, s = 's', b = x'00FF', a = NULL",
            "UPDATE t SET i = '1'",
            "UPDATE t SET id = 'k'",
            "UPDATE t SET id = id, i = i",
            "UPDATE t SET i = 7 WHERE id = 'nobody'",
        ] {
            run(&c, sql);
            assert_eq!(
                (pending(&c).as_str(), logged(&c).as_str()),
                ("", "0"),
                "{sql}"
            );
        }
    });
}

#[test]
fn null_is_told_from_a_value_both_ways() {
    both(|world| {
        let c = notes(world);
        run(
            &c,
            "UPDATE notes SET body = '' WHERE id = 'k3'; UPDATE notes SET body = NULL WHERE id = 'k1'",
        );
        assert_eq!(pending(&c), "updated k1 [\"body\"]\nupdated k3 [\"body\"]");
    });
}

#[test]
fn a_change_of_case_or_trailing_blanks_counts_under_every_collation() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT COLLATE NOCASE, b TEXT COLLATE RTRIM);
             INSERT INTO t VALUES ('k', 'abc', 'abc');",
            "t",
        );
        run(&c, "UPDATE t SET a = 'ABC'");
        assert_eq!(pending(&c), r#"updated k ["a"]"#);
        run(&c, "UPDATE t SET b = 'abc  '");
        assert_eq!(pending(&c), r#"updated k ["a","b"]"#);
        assert_eq!(
            ask(&c, "SELECT payload FROM sync_pending"),
            r#"{"id":"k","a":"ABC","b":"abc  "}"#
        );
    });
}

#[test]
fn a_change_of_type_alone_counts() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a, b); INSERT INTO t VALUES ('k', 1, 'x');",
            "t",
        );
        run(&c, "UPDATE t SET a = '1'");
        assert_eq!(pending(&c), r#"updated k ["a"]"#);
        run(&c, "UPDATE t SET b = x'78'");
        assert_eq!(pending(&c), r#"updated k ["a","b"]"#);
    });
}

#[test]
fn text_that_differs_only_after_a_nul_counts() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT); INSERT INTO t VALUES ('k', 'a' || char(0) || 'b');",
            "t",
        );
        run(&c, "UPDATE t SET a = 'a' || char(0) || 'c'");
        assert_eq!(pending(&c), r#"updated k ["a"]"#);
    });
}

#[test]
fn a_failed_statement_leaves_nothing() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, u TEXT UNIQUE, n INTEGER NOT NULL CHECK (n < 100));
             INSERT INTO t VALUES ('k1', 'u1', 1), ('k2', 'u2', 2);",
            "t",
        );
        for sql in [
            "INSERT INTO t VALUES ('k1', 'x', 1)",
            "INSERT INTO t VALUES ('n1', 'x', 1), ('n2', 'u1', 1)",
            "INSERT INTO t VALUES ('n1', 'x', 1), ('n2', 'y', 100)",
            "INSERT INTO t VALUES ('n1', 'x', NULL)",
            "UPDATE t SET u = 'same'",
            "UPDATE t SET n = n + 98",
            "UPDATE t SET id = 'k2' WHERE id = 'k1'",
            "INSERT OR ROLLBACK INTO t VALUES ('k1', 'x', 1)",
        ] {
            fails(&c, sql);
            assert_eq!(
                (pending(&c).as_str(), logged(&c).as_str()),
                ("", "0"),
                "{sql}"
            );
        }
        run(&c, "BEGIN; INSERT INTO t VALUES ('n1', 'x', 1)");
        fails(&c, "INSERT INTO t VALUES ('n2', 'x', 1)");
        run(&c, "COMMIT");
        assert_eq!(pending(&c), "created n1 []");
    });
}

#[test]
fn or_fail_keeps_the_rows_before_the_failure_and_nothing_of_the_one_that_failed() {
    both(|world| {
        let c = notes(world);
        fails(
            &c,
            "INSERT OR FAIL INTO notes VALUES ('n1', 'a', NULL, 1), ('k1', 'b', NULL, 1), ('n2', 'c', NULL, 1)",
        );
        assert_eq!(pending(&c), "created n1 []");
    });
}

#[test]
fn a_rolled_back_transaction_leaves_nothing() {
    both(|world| {
        let c = notes(world);
        run(&c, "BEGIN; INSERT INTO notes VALUES ('n1', 'a', NULL, 1); UPDATE notes SET n = 7;
                 DELETE FROM notes WHERE id = 'k1'; INSERT OR REPLACE INTO notes VALUES ('k2', 'r', NULL, 1)");
        assert_eq!(
            pending(&c),
            "created n1 [\"n\"]\ndeleted k1\nupdated k2 [\"title\",\"body\",\"n\"]\nupdated k3 [\"n\"]"
        );
        run(&c, "ROLLBACK");
        assert_eq!((pending(&c).as_str(), logged(&c).as_str()), ("", "0"));
        run(&c, "BEGIN; DELETE FROM notes WHERE id = 'k1'");
        fails(
            &c,
            "INSERT OR ROLLBACK INTO notes VALUES ('k2', 'x', NULL, 1)",
        );
        assert_eq!((pending(&c).as_str(), logged(&c).as_str()), ("", "0"));
    });
}

#[test]
fn savepoints_keep_what_was_released_and_drop_what_was_rolled_back() {
    both(|world| {
        let c = notes(world);
        run(&c, "SAVEPOINT a; UPDATE notes SET n = 9 WHERE id = 'k1';
                 SAVEPOINT b; UPDATE notes SET title = 'x' WHERE id = 'k1'; DELETE FROM notes WHERE id = 'k2';
                 ROLLBACK TO b; INSERT INTO notes VALUES ('n1', 'a', NULL, 1); RELEASE b; RELEASE a");
        assert_eq!(pending(&c), "created n1 []\nupdated k1 [\"n\"]");
    });
}

#[test]
fn tracking_inside_a_transaction_that_is_rolled_back_never_happened() {
    both(|world| {
        let c = world.open();
        run(
            &c,
            "CREATE TABLE t (id TEXT PRIMARY KEY); INSERT INTO t VALUES ('a')",
        );
        ask(&c, "SELECT sync_init()");
        run(&c, "BEGIN");
        ask(&c, "SELECT sync_track('t')");
        assert_eq!(pending(&c), "created a []");
        run(&c, "ROLLBACK");
        run(&c, "INSERT INTO t VALUES ('b')");
        assert_eq!((pending(&c).as_str(), logged(&c).as_str()), ("", "0"));
        assert_eq!(
            ask(
                &c,
                "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 't'"
            ),
            "0"
        );
    });
}

#[test]
fn generated_columns_are_neither_changed_nor_in_the_payload() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, v AS (a || '!') VIRTUAL, a TEXT,
               s INTEGER GENERATED ALWAYS AS (length(a)) STORED, b TEXT);
             INSERT INTO t (id, a, b) VALUES ('k1', 'x', 'y'), ('k2', 'x', 'y');",
            "t",
        );
        run(
            &c,
            "UPDATE t SET a = 'long' WHERE id = 'k1'; INSERT INTO t (id, a) VALUES ('n1', 'q');
                 DELETE FROM t WHERE id = 'k2'; INSERT INTO t (id, a) VALUES ('k2', 'w')",
        );
        assert_eq!(
            pending(&c),
            "created n1 []\nupdated k1 [\"a\"]\nupdated k2 [\"a\",\"b\"]"
        );
        assert_eq!(
            ask(&c, "SELECT payload FROM sync_pending WHERE key = 'k1'"),
            r#"{"id":"k1","a":"long","b":"y"}"#
        );
    });
}

#[test]
fn strict_tables_are_captured() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a ANY, t TEXT, b BLOB) STRICT;
             INSERT INTO t VALUES (1, 1, 't', x'01'), (2, '2', NULL, NULL);",
            "t",
        );
        run(
            &c,
            "UPDATE t SET a = '1' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t (a) VALUES (1.5)",
        );
        assert_eq!(
            pending(&c),
            "updated 1 [\"a\"]\nupdated 2 [\"a\",\"t\",\"b\"]"
        );
        fails(&c, "INSERT INTO t (t) VALUES (x'00')");
    });
}

#[test]
fn without_rowid_tables_are_captured() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a, b) WITHOUT ROWID;
             INSERT INTO t VALUES ('k1', 1, 1), ('k2', 2, 2), ('k3', 3, 3);",
            "t",
        );
        run(
            &c,
            "UPDATE t SET b = 9 WHERE id = 'k1'; DELETE FROM t WHERE id = 'k2';
                 REPLACE INTO t VALUES ('k3', 4, 4); INSERT INTO t VALUES ('n', 1, 1)",
        );
        assert_eq!(
            pending(&c),
            "created n []\ndeleted k2\nupdated k1 [\"b\"]\nupdated k3 [\"a\",\"b\"]"
        );
    });
}

#[test]
fn only_the_chosen_columns_are_pending() {
    both(|world| {
        let c = world.open();
        run(
            &c,
            "CREATE TABLE t (id TEXT PRIMARY KEY, a, b); INSERT INTO t VALUES ('k', 1, 1)",
        );
        ask(
            &c,
            r#"SELECT sync_track('t', '{"columns":["A"],"existing":"skip"}')"#,
        );
        run(&c, "UPDATE t SET b = 2");
        assert_eq!(pending(&c), "");
        run(&c, "UPDATE t SET a = 2");
        assert_eq!(
            ask(&c, "SELECT changed, payload FROM sync_pending"),
            r#"["a"]|{"id":"k","a":2}"#
        );
        // Choosing more columns later brings to light what was captured all along.
        ask(&c, r#"SELECT sync_track('t', '{"existing":"skip"}')"#);
        assert_eq!(pending(&c), r#"updated k ["a","b"]"#);
    });
}

#[test]
fn the_application_sees_its_own_rowid_change_count_and_returned_rows() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (41, 1);",
            "t",
        );
        assert_eq!(
            ask(&c, "INSERT INTO t (a) VALUES (2) RETURNING id, a"),
            "42|2"
        );
        assert_eq!(ask(&c, "SELECT last_insert_rowid(), changes()"), "42|1");
        assert_eq!(ask(&c, "UPDATE t SET a = 5 RETURNING id"), "41\n42");
        assert_eq!(ask(&c, "SELECT last_insert_rowid(), changes()"), "42|2");
        assert_eq!(ask(&c, "DELETE FROM t RETURNING id"), "41\n42");
        assert_eq!(pending(&c), "deleted 41");
    });
}

#[test]
fn sequence_numbers_tell_the_order_of_the_last_changes() {
    let world = World::new(false);
    let c = notes(&world);
    run(
        &c,
        "UPDATE notes SET n = 9 WHERE id = 'k2'; UPDATE notes SET n = 9 WHERE id = 'k1';
             UPDATE notes SET n = 10 WHERE id = 'k2'",
    );
    assert_eq!(
        ask(&c, "SELECT key FROM sync_pending ORDER BY seq"),
        "k1\nk2"
    );
}

#[test]
fn pending_rows_can_be_asked_for_by_table() {
    let world = World::new(false);
    let c = notes(&world);
    run(
        &c,
        "CREATE TABLE other (id TEXT PRIMARY KEY); INSERT INTO other VALUES ('o')",
    );
    ask(&c, "SELECT sync_track('other')");
    run(&c, "UPDATE notes SET n = 9");
    assert_eq!(
        ask(
            &c,
            "SELECT \"table\", key FROM sync_pending WHERE \"table\" = 'other'"
        ),
        "other|o"
    );
    assert_eq!(
        ask(
            &c,
            "SELECT count(*) FROM sync_pending WHERE \"table\" IN ('notes', 'other')"
        ),
        "4"
    );
    assert_eq!(
        ask(
            &c,
            "SELECT count(*) FROM sync_pending WHERE \"table\" = 'none'"
        ),
        "0"
    );
    assert_eq!(
        ask(&c, "SELECT op FROM sync_pending WHERE key = 'k2'"),
        "updated"
    );
}

#[test]
fn sync_pending_is_read_only_and_empty_before_anything_is_installed() {
    let world = World::new(false);
    let c = world.open();
    assert_eq!(ask(&c, "SELECT count(*) FROM sync_pending"), "0");
    assert_eq!(ask(&c, "SELECT count(*) FROM sqlite_master"), "0");
    refused(&c, "DELETE FROM sync_pending");
    refused(&c, "INSERT INTO sync_pending (key) VALUES (1)");
    assert!(try_ask(&c, "SELECT * FROM sync_pending WHERE schema = 'nowhere'").is_err());
}

#[test]
fn a_column_asked_for_alone_is_what_it_is_among_all() {
    both(|world| {
        let c = notes(world);
        run(
            &c,
            "INSERT INTO notes VALUES ('n1', 'new', NULL, 9); UPDATE notes SET n = 5 WHERE id = 'k1';
             DELETE FROM notes WHERE id = 'k2'",
        );
        let columns = "\"table\" key op changed payload seq schema";
        let columns: Vec<&str> = columns.split(' ').collect();
        let all = ask(
            &c,
            &format!(
                "SELECT {} FROM sync_pending ORDER BY seq",
                columns.join(", ")
            ),
        );
        let all: Vec<Vec<&str>> = all.lines().map(|line| line.split('|').collect()).collect();
        for (place, column) in columns.iter().enumerate() {
            let alone = ask(
                &c,
                &format!("SELECT {column} FROM sync_pending ORDER BY seq"),
            );
            let among: Vec<&str> = all.iter().map(|line| line[place]).collect();
            assert_eq!(alone.split('\n').collect::<Vec<_>>(), among, "{column}");
        }
        assert_eq!(all.len(), 3);
        assert_eq!(
            ask(&c, "SELECT key FROM sync_pending WHERE op = 'deleted'"),
            "k2"
        );
    });
}

#[test]
fn rows_are_found_wherever_they_went_since_they_were_logged() {
    both(|world| {
        let c = notes(world);
        run(
            &c,
            "CREATE TABLE other (id INTEGER PRIMARY KEY, note TEXT);
             SELECT sync_track('other');
             INSERT INTO notes (id, title) VALUES ('a', '1'), ('b', '2'), ('c', '3'), ('d', '4');
             -- Another rowid, another row at its old one, another key at the same, gone.
             REPLACE INTO notes (id, title) VALUES ('a', '1 again');
             UPDATE notes SET rowid = 100 WHERE id = 'b';
             INSERT INTO notes (rowid, id, title) SELECT 5, 'e', '5';
             UPDATE notes SET id = 'f' WHERE id = 'c';
             DELETE FROM notes WHERE id = 'd';",
        );
        let all = "SELECT group_concat(key || '=' || (payload->>'title'), ' ') FROM \
                   (SELECT * FROM sync_pending WHERE \"table\" = 'notes' ORDER BY key)";
        assert_eq!(ask(&c, all), "a=1 again b=2 e=5 f=3");
        // A few entries among very many of another table.
        run(
            &c,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
             INSERT INTO other SELECT i, 'note ' || i FROM n;
             UPDATE notes SET title = title || '!' WHERE id > 'a' AND id < 'k';
             INSERT INTO notes (id, title) VALUES ('g', '7');",
        );
        assert_eq!(ask(&c, all), "a=1 again b=2! e=5! f=3! g=7");
        assert_eq!(
            ask(
                &c,
                "SELECT count(*) || ' ' || sum(payload->>'note' = 'note ' || key) \
                 FROM sync_pending WHERE \"table\" = 'other'"
            ),
            "200 200"
        );
    });
}

#[test]
fn rows_may_be_written_while_what_is_pending_is_read() {
    both(|world| {
        let c = notes(world);
        run(
            &c,
            "INSERT INTO notes (id, title) VALUES ('a', '1'), ('b', '2'), ('c', '3')",
        );
        let mut read = c
            .prepare("SELECT key, payload->>'title' FROM sync_pending")
            .unwrap();
        let mut rows = read.query([]).unwrap();
        let mut seen = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let key: String = row.get(0).unwrap();
            let title: Option<String> = row.get(1).unwrap();
            run(
                &c,
                &format!(
                    "UPDATE notes SET title = 'seen' WHERE id = '{key}'; DELETE FROM notes WHERE id = 'c'"
                ),
            );
            seen.push((key, title));
        }
        drop(rows);
        let one = |key: &str, title: &str| (key.to_owned(), Some(title.to_owned()));
        assert_eq!(seen, [one("a", "1"), one("b", "2")]);
        assert_eq!(pending(&c), "created a [\"title\"]\ncreated b [\"title\"]");
        run(&c, "DROP TABLE notes");
    });
}

#[test]
fn a_table_of_as_many_columns_as_there_may_be_is_read() {
    both(|world| {
        let columns: Vec<String> = (0..1999).map(|number| format!("c{number}")).collect();
        let table = format!(
            "CREATE TABLE wide (id TEXT PRIMARY KEY, {})",
            columns.join(", ")
        );
        let c = tracked(world, &table, "wide");
        run(&c, "INSERT INTO wide (id, c0, c1998) VALUES ('a', 1, 2)");
        assert_eq!(
            ask(
                &c,
                "SELECT payload->>'c0', payload->>'c1998' FROM sync_pending"
            ),
            "1|2"
        );
    });
}
