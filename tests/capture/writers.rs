//! Who writes: programs without the extension, other connections, foreign keys, triggers; and what they write.

use support::capture::{elsewhere, pending, run, track, tracked};
use support::{World, ask, both};

const NOTES: &str = "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, stamp INTEGER);
    INSERT INTO notes VALUES ('k1', 'one', 1), ('k2', 'two', 2), ('k3', 'three', 3);";

#[test]
fn a_program_without_the_extension_is_captured() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        elsewhere(world, "INSERT INTO notes VALUES ('n', '', 0); UPDATE notes SET title = 'x' WHERE id = 'k1';
                          DELETE FROM notes WHERE id = 'k2'; REPLACE INTO notes VALUES ('k3', '', 0)");
        assert_eq!(
            pending(&c),
            "created n []\ndeleted k2\nupdated k1 [\"title\"]\nupdated k3 [\"title\",\"stamp\"]"
        );
    });
}

#[test]
fn two_connections_see_what_each_other_committed_and_nothing_else() {
    both(|world| {
        let one = tracked(
            world,
            &format!("PRAGMA journal_mode = WAL; {NOTES}"),
            "notes",
        );
        let two = world.open();
        run(&one, "BEGIN; UPDATE notes SET title = 'x' WHERE id = 'k1'");
        assert_eq!(pending(&one), r#"updated k1 ["title"]"#);
        assert_eq!(pending(&two), "");
        run(&one, "COMMIT");
        run(
            &two,
            "UPDATE notes SET stamp = 9 WHERE id = 'k1'; DELETE FROM notes WHERE id = 'k2'",
        );
        assert_eq!(
            pending(&one),
            "deleted k2\nupdated k1 [\"title\",\"stamp\"]"
        );
        assert_eq!(pending(&one), pending(&two));
        // Tracking begun by one is obeyed by the other.
        run(&one, "CREATE TABLE u (id INTEGER PRIMARY KEY)");
        track(&two, "u", "{}");
        run(&one, "INSERT INTO u VALUES (5)");
        assert_eq!(
            ask(
                &two,
                "SELECT op, key FROM sync_pending WHERE \"table\" = 'u'"
            ),
            "created|5"
        );
    });
}

#[test]
fn vacuum_does_not_make_pending_rows_point_at_others() {
    both(|world| {
        let c = tracked(
            world,
            "CREATE TABLE t (id TEXT PRIMARY KEY, v); CREATE TABLE w (a, b, v, PRIMARY KEY (a, b));",
            "t",
        );
        track(&c, "w", r#"{"existing":"skip"}"#);
        for number in 0..50 {
            run(
                &c,
                &format!(
                    "INSERT INTO t VALUES ('k{number}', {number}); INSERT INTO w VALUES ({number}, 'x', {number})"
                ),
            );
        }
        run(
            &c,
            "DELETE FROM t WHERE v % 3 = 0; DELETE FROM w WHERE v % 3 = 0; UPDATE t SET rowid = 1000 - rowid; UPDATE w SET rowid = 1000 - rowid",
        );
        let before = ask(&c, "SELECT * FROM sync_pending ORDER BY 1, 2");
        elsewhere(world, "VACUUM");
        // VACUUM may number rows anew; be sure that every row now stands where another one stood.
        elsewhere(
            world,
            "UPDATE t SET rowid = -rowid; UPDATE t SET rowid = 1950 + rowid",
        );
        elsewhere(
            world,
            "UPDATE w SET rowid = -rowid; UPDATE w SET rowid = 1950 + rowid",
        );
        assert_eq!(ask(&c, "SELECT * FROM sync_pending ORDER BY 1, 2"), before);
        assert_eq!(
            ask(
                &c,
                "SELECT count(*) FROM sync_pending WHERE \"table\" = 't' AND payload ->> 'id' = key AND 'k' || (payload ->> 'v') = key"
            ),
            ask(&c, "SELECT count(*) FROM t")
        );
    });
}

#[test]
fn rowids_used_again_by_other_rows_do_not_mislead() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(
            &c,
            "UPDATE notes SET title = 'x' WHERE id = 'k3'; DELETE FROM notes WHERE id = 'k3'; INSERT INTO notes VALUES ('n', 'new', 0)",
        );
        assert_eq!(ask(&c, "SELECT rowid FROM notes WHERE id = 'n'"), "3");
        assert_eq!(pending(&c), "created n []\ndeleted k3");
        assert_eq!(
            ask(&c, "SELECT payload FROM sync_pending WHERE op = 'created'"),
            r#"{"id":"n","title":"new","stamp":0}"#
        );
    });
}

#[test]
fn cascading_deletes_are_captured() {
    both(|world| {
        let c = world.open();
        run(&c, "PRAGMA foreign_keys = ON;
                 CREATE TABLE a (id INTEGER PRIMARY KEY, u UNIQUE);
                 CREATE TABLE b (id TEXT PRIMARY KEY, a REFERENCES a ON DELETE CASCADE);
                 CREATE TABLE c (x, y, b REFERENCES b ON DELETE CASCADE, PRIMARY KEY (x, y)) WITHOUT ROWID;
                 INSERT INTO a VALUES (1, 'u1'), (2, 'u2'), (3, 'u3'); INSERT INTO b VALUES ('b1', 1), ('b2', 1), ('b3', 2), ('b4', 3);
                 INSERT INTO c VALUES (1, 1, 'b1'), (1, 2, 'b2'), (1, 3, 'b3'), (1, 4, 'b4')");
        for table in ["a", "b", "c"] {
            track(&c, table, r#"{"existing":"skip"}"#);
        }
        run(&c, "DELETE FROM a WHERE id = 1");
        assert_eq!(
            pending(&c),
            "deleted 1\ndeleted b1\ndeleted b2\ndeleted [1,1]\ndeleted [1,2]"
        );
        // A row evicted by REPLACE takes its children along.
        run(&c, "REPLACE INTO a VALUES (9, 'u2')");
        assert_eq!(
            pending(&c),
            "created 9 []\ndeleted 1\ndeleted 2\ndeleted b1\ndeleted b2\ndeleted b3\ndeleted [1,1]\ndeleted [1,2]\ndeleted [1,3]"
        );
        // So does one replaced by itself.
        run(&c, "REPLACE INTO a VALUES (3, 'u4')");
        assert_eq!(
            ask(
                &c,
                "SELECT op, key FROM sync_pending WHERE key IN (3, 'b4', '[1,4]') ORDER BY 1, 2"
            ),
            "deleted|[1,4]\ndeleted|b4\nupdated|3"
        );
    });
}

#[test]
fn children_set_to_null_or_default_by_a_foreign_key_are_updated() {
    both(|world| {
        let c = world.open();
        run(&c, "PRAGMA foreign_keys = ON;
                 CREATE TABLE a (id INTEGER PRIMARY KEY);
                 CREATE TABLE b (id TEXT PRIMARY KEY, n REFERENCES a ON DELETE SET NULL, d DEFAULT 9 REFERENCES a ON DELETE SET DEFAULT, v);
                 INSERT INTO a VALUES (1), (2), (9); INSERT INTO b VALUES ('b1', 1, 2, 0), ('b2', 2, 1, 0)");
        track(&c, "b", r#"{"existing":"skip"}"#);
        run(&c, "DELETE FROM a WHERE id = 1");
        assert_eq!(pending(&c), "updated b1 [\"n\"]\nupdated b2 [\"d\"]");
    });
}

#[test]
fn keys_changed_by_a_foreign_key_are_deleted_and_created() {
    both(|world| {
        let c = world.open();
        run(&c, "PRAGMA foreign_keys = ON;
                 CREATE TABLE a (id TEXT PRIMARY KEY);
                 CREATE TABLE b (a TEXT REFERENCES a ON UPDATE CASCADE, n INTEGER, v REFERENCES a ON UPDATE CASCADE, PRIMARY KEY (a, n));
                 INSERT INTO a VALUES ('x'), ('y'); INSERT INTO b VALUES ('x', 1, 'y'), ('y', 1, 'x')");
        track(&c, "a", r#"{"existing":"skip"}"#);
        track(&c, "b", r#"{"existing":"skip"}"#);
        run(&c, "UPDATE a SET id = 'z' WHERE id = 'x'");
        assert_eq!(
            pending(&c),
            "created z []\ndeleted x\ncreated [\"z\",1] []\ndeleted [\"x\",1]\nupdated [\"y\",1] [\"v\"]"
        );
    });
}

#[test]
fn a_tree_that_deletes_itself_is_captured() {
    both(|world| {
        let c = tracked(
            world,
            "PRAGMA foreign_keys = ON; CREATE TABLE t (id INTEGER PRIMARY KEY, up REFERENCES t ON DELETE CASCADE);
             INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, NULL);",
            "t",
        );
        run(&c, "DELETE FROM t WHERE id = 1");
        assert_eq!(pending(&c), "deleted 1\ndeleted 2\ndeleted 3\ndeleted 4");
    });
}

#[test]
fn a_foreign_key_that_forbids_leaves_nothing() {
    both(|world| {
        let c = world.open();
        run(&c, "PRAGMA foreign_keys = ON; CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY, a REFERENCES a);
                 INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1)");
        track(&c, "a", r#"{"existing":"skip"}"#);
        assert!(c.execute_batch("DELETE FROM a").is_err());
        assert_eq!(
            (
                pending(&c).as_str(),
                ask(&c, "SELECT count(*) FROM _syncChange WHERE tbl <> 0").as_str()
            ),
            ("", "0")
        );
    });
}

#[test]
fn triggers_of_the_application_that_write_other_tracked_tables_are_captured() {
    both(|world| {
        let c = world.open();
        run(&c, NOTES);
        run(&c, "CREATE TABLE audit (id INTEGER PRIMARY KEY, what TEXT); CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER);
                 INSERT INTO counts VALUES ('notes', 3);
                 CREATE TRIGGER early AFTER INSERT ON notes BEGIN
                   INSERT INTO audit (what) VALUES ('in ' || NEW.id); UPDATE counts SET n = n + 1 WHERE name = 'notes'; END");
        for table in ["notes", "audit", "counts"] {
            track(&c, table, r#"{"existing":"skip"}"#);
        }
        run(&c, "CREATE TRIGGER late AFTER DELETE ON notes BEGIN
                   INSERT INTO audit (what) VALUES ('out ' || OLD.id); UPDATE counts SET n = n - 1 WHERE name = 'notes'; END");
        run(
            &c,
            "INSERT INTO notes VALUES ('n', '', 0); DELETE FROM notes WHERE id = 'k1'",
        );
        assert_eq!(
            pending(&c),
            "created 1 []\ncreated 2 []\nupdated notes [\"n\"]\ncreated n []\ndeleted k1"
        );
    });
}

#[test]
fn an_insert_trigger_that_stamps_the_new_row_leaves_it_created() {
    for when in ["before", "after", "temporary"] {
        both(|world| {
            let c = world.open();
            run(&c, NOTES);
            let trigger = |temp: &str| {
                format!(
                    "CREATE {temp} TRIGGER stamp AFTER INSERT ON notes BEGIN UPDATE notes SET stamp = 77 WHERE id = NEW.id; END"
                )
            };
            if when == "before" {
                run(&c, &trigger(""));
            }
            track(&c, "notes", r#"{"existing":"skip"}"#);
            match when {
                "after" => run(&c, &trigger("")),
                "temporary" => run(&c, &trigger("TEMP")),
                _ => {}
            }
            run(&c, "INSERT INTO notes (id) VALUES ('n')");
            assert_eq!(
                pending(&c),
                r#"created n ["stamp"]"#,
                "trigger made {when} tracking"
            );
        });
    }
}

#[test]
fn an_update_trigger_that_stamps_the_row_adds_its_column() {
    for late in [false, true] {
        both(|world| {
            let c = world.open();
            run(&c, NOTES);
            let trigger = "CREATE TRIGGER stamp AFTER UPDATE OF title ON notes BEGIN UPDATE notes SET stamp = 77 WHERE id = NEW.id; END";
            if !late {
                run(&c, trigger);
            }
            track(&c, "notes", r#"{"existing":"skip"}"#);
            if late {
                run(&c, trigger);
            }
            run(&c, "UPDATE notes SET title = 'x' WHERE id = 'k1'");
            assert_eq!(pending(&c), r#"updated k1 ["title","stamp"]"#);
        });
    }
}

#[test]
fn an_update_trigger_that_stamps_a_row_under_its_new_key_leaves_it_created() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(
            &c,
            "CREATE TRIGGER stamp AFTER UPDATE ON notes WHEN NEW.stamp IS OLD.stamp
                 BEGIN UPDATE notes SET stamp = 77 WHERE id = NEW.id; END",
        );
        run(&c, "UPDATE notes SET id = 'z' WHERE id = 'k1'");
        assert_eq!(pending(&c), "created z [\"stamp\"]\ndeleted k1");
    });
}

#[test]
fn a_delete_trigger_that_puts_the_row_back_leaves_it_updated() {
    for late in [false, true] {
        both(|world| {
            let c = world.open();
            run(&c, NOTES);
            let trigger = "CREATE TRIGGER keep AFTER DELETE ON notes BEGIN INSERT INTO notes VALUES (OLD.id, 'deleted', 0); END";
            if !late {
                run(&c, trigger);
            }
            track(&c, "notes", r#"{"existing":"skip"}"#);
            if late {
                run(&c, trigger);
            }
            run(&c, "DELETE FROM notes WHERE id = 'k1'");
            assert_eq!(
                pending(&c),
                r#"updated k1 ["title","stamp"]"#,
                "trigger made after tracking: {late}"
            );
        });
    }
}

#[test]
fn an_insert_trigger_that_takes_the_row_away_again_leaves_nothing() {
    for late in [false, true] {
        both(|world| {
            let c = world.open();
            run(&c, NOTES);
            let trigger = "CREATE TRIGGER mailbox AFTER INSERT ON notes BEGIN DELETE FROM notes WHERE id = NEW.id; END";
            if !late {
                run(&c, trigger);
            }
            track(&c, "notes", r#"{"existing":"skip"}"#);
            if late {
                run(&c, trigger);
            }
            run(&c, "INSERT INTO notes VALUES ('n', '', 0)");
            assert_eq!(pending(&c), "", "trigger made after tracking: {late}");
        });
    }
}

#[test]
fn triggers_that_raise_leave_nothing() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "CREATE TRIGGER no BEFORE INSERT ON notes WHEN NEW.id = 'no' BEGIN SELECT RAISE(IGNORE); END;
                 CREATE TRIGGER never AFTER INSERT ON notes WHEN NEW.id = 'never' BEGIN SELECT RAISE(ABORT, 'never'); END;
                 CREATE TRIGGER stay BEFORE DELETE ON notes BEGIN SELECT RAISE(IGNORE); END");
        run(
            &c,
            "INSERT INTO notes VALUES ('no', '', 0); DELETE FROM notes",
        );
        assert!(
            c.execute_batch("INSERT INTO notes VALUES ('yes', '', 0), ('never', '', 0)")
                .is_err()
        );
        assert_eq!(pending(&c), "");
    });
}

#[test]
fn writes_through_a_view_are_captured() {
    both(|world| {
        let c = tracked(world, NOTES, "notes");
        run(&c, "CREATE VIEW v AS SELECT * FROM notes;
                 CREATE TRIGGER v_u INSTEAD OF UPDATE ON v BEGIN UPDATE notes SET title = NEW.title WHERE id = OLD.id; END;
                 UPDATE v SET title = 'x' WHERE id = 'k2'");
        assert_eq!(pending(&c), r#"updated k2 ["title"]"#);
    });
}

#[test]
fn a_write_never_fails_for_what_json_cannot_hold() {
    both(|world| {
        let c = tracked(world, "CREATE TABLE t (id PRIMARY KEY, v);", "t");
        run(&c, "INSERT INTO t VALUES (1, 9e999), (2, -9e999), (3, CAST(x'FFFE80' AS TEXT)), (4, 'a' || char(0) || 'b'),
                   (5, zeroblob(3000000)), (6, replace(hex(zeroblob(2000000)), '0', 'ü')), (7, 1e-320), (8, -0.0),
                   (9, CAST(x'EDA080' AS TEXT)), (CAST(x'FF' AS TEXT), 1), (9e999, 1), (zeroblob(2000000), 1)");
        run(
            &c,
            "UPDATE t SET v = CASE typeof(v) WHEN 'integer' THEN 9e999 ELSE NULL END",
        );
        run(&c, "UPDATE t SET v = CAST(x'C328' AS TEXT)");
        assert_eq!(
            ask(
                &c,
                "SELECT op, count(*), sum(json_valid(payload)) FROM sync_pending GROUP BY 1"
            ),
            "created|12|12"
        );
        run(&c, "DELETE FROM t WHERE typeof(id) <> 'integer'");
        assert_eq!(
            ask(&c, "SELECT op, count(*) FROM sync_pending GROUP BY 1"),
            "created|9"
        );
    });
}

#[test]
fn a_large_composite_key_within_sqlites_limit_can_be_written() {
    let world = World::new(false);
    let c = tracked(
        &world,
        "CREATE TABLE t (a TEXT, b BLOB, v, PRIMARY KEY (a, b));",
        "t",
    );
    run(
        &c,
        "INSERT INTO t VALUES (replace(hex(zeroblob(1000000)), '0', 'x'), zeroblob(1000000), 1); UPDATE t SET v = 2",
    );
    assert_eq!(
        ask(&c, "SELECT op, changed FROM sync_pending"),
        r#"created|["v"]"#
    );
}

#[test]
fn payloads_hold_what_the_row_holds() {
    let world = World::new(false);
    let c = tracked(&world, "CREATE TABLE t (id TEXT PRIMARY KEY, v);", "t");
    for (value, json) in [
        ("9223372036854775807", "9223372036854775807"),
        ("0.1", "0.1"),
        ("1e300", "1e300"),
        ("'tab\t\"quote\" \\ 😀'", r#""tab\t\"quote\" \\ 😀""#),
        ("'a' || char(0) || 'b'", r#""a\u0000b""#),
        ("''", r#""""#),
        ("NULL", "null"),
    ] {
        run(&c, &format!("REPLACE INTO t VALUES ('k', {value})"));
        let payload = ask(&c, "SELECT payload FROM sync_pending");
        let read: serde_json::Value = serde_json::from_str(&payload).expect("JSON");
        let expected: serde_json::Value =
            serde_json::from_str(&format!(r#"{{"id":"k","v":{json}}}"#)).expect("JSON");
        assert_eq!(read, expected, "{value}");
    }
}

#[test]
fn a_plain_program_with_strict_security_settings_can_write() {
    let world = World::new(false);
    let c = tracked(
        &world,
        "CREATE TABLE t (a TEXT, b TEXT, u TEXT, PRIMARY KEY (a, b)); CREATE UNIQUE INDEX i ON t (lower(u)); INSERT INTO t VALUES ('a', 'b', 'u');",
        "t",
    );
    let plain = world.plain();
    run(
        &plain,
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON",
    );
    plain
        .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)
        .expect("defensive");
    plain
        .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DML, false)
        .expect("no double-quoted strings");
    plain
        .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)
        .expect("no double-quoted strings");
    run(
        &plain,
        "REPLACE INTO t VALUES ('c', 'd', 'U'); UPDATE t SET u = 'w'; UPDATE t SET u = u",
    );
    assert_eq!(
        pending(&c),
        "created [\"c\",\"d\"] [\"u\"]\ndeleted [\"a\",\"b\"]"
    );
}
