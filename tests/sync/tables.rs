//! Tables of every kind: names, columns, keys, references, triggers and constraints.

use serde_json::{Value, json};
use support::{Backend, Canned, Device, assert_equal, backend_rows, pushes};

#[test]
fn an_entity_may_be_kept_in_a_table_of_another_name() {
    let backend = Backend::start("CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT)");
    backend.sql(|sql| sql.execute_batch("INSERT INTO task VALUES ('a', 'A')"));
    let device = Device::configured(
        "CREATE TABLE my_tasks (id TEXT PRIMARY KEY NOT NULL, title TEXT)",
        &["my_tasks"],
        &backend.sync_url(),
        json!({"tableMap": {"task": "my_tasks"}}),
    );
    device.exec("INSERT INTO my_tasks VALUES ('b', 'B')");
    let answer = device.sync_only(&["task"]);
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_eq!(device.rows("my_tasks"), backend_rows(&backend, "task"));
    assert_eq!(
        device.ask("SELECT entity, state FROM _syncStatus"),
        "task|synced"
    );
    assert_eq!(device.pending(), "");
    backend
        .faults()
        .add(json!({"on": "push", "times": 1, "rejectIds": {"task": ["a"]}}));
    device.exec("UPDATE my_tasks SET title = 'x' WHERE id = 'a'");
    device.sync_only(&["task"]);
    assert_eq!(device.pending(), "my_tasks|a|updated|[\"title\"]");
}

#[test]
fn excluded_columns_stay_at_home() {
    let schema =
        "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, secret TEXT DEFAULT 'here')";
    let server = Canned::start();
    let device = Device::configured(
        schema,
        &["t"],
        &server.url(),
        json!({"excludeColumns": {"t": ["secret"]}}),
    );
    server.changes(json!({"t": {"created": [{"id": "r", "a": "R", "secret": "theirs"}]}}));
    device.exec("INSERT INTO t VALUES ('n', 'N', 'mine')");
    device.synced();
    assert_eq!(
        device.ask("SELECT * FROM t ORDER BY id"),
        "n|N|mine\nr|R|here"
    );
    assert!(
        !server.seen()[1].body.contains("secret"),
        "{}",
        server.seen()[1].body
    );
    // A change of such a column alone sends nothing.
    device.exec("UPDATE t SET secret = 'changed'");
    server.clear();
    server.changes(json!({"t": {"updated": [{"id": "r", "a": "R2", "secret": "theirs"}]}}));
    device.synced();
    assert_eq!(server.seen().len(), 1);
    assert_eq!(
        device.ask("SELECT * FROM t ORDER BY id"),
        "n|N|changed\nr|R2|changed"
    );
    assert_eq!(device.log(), "0");
}

#[test]
fn only_the_tracked_columns_travel() {
    let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT, c TEXT)";
    let server = Canned::start();
    let device = Device::with(schema, &[], &server.url());
    device.ask(r#"SELECT sync_track('t', '{"columns":["a","c"]}')"#);
    let device = Device {
        entities: vec!["t".into()],
        ..device
    };
    server.changes(json!({"t": {"created": [{"id": "r", "a": "1", "b": "2", "c": "3"}]}}));
    device.synced();
    assert_eq!(device.ask("SELECT * FROM t"), "r|1|NULL|3");
    device.exec("UPDATE t SET b = 'x'");
    assert_eq!(device.pending(), "");
    device.exec("UPDATE t SET b = 'y', c = 'z'");
    server.clear();
    device.synced();
    let expected = r#"{"t":{"created":[],"updated":[{"id":"r","_status":"updated","_changed":"c","a":"1","c":"z"}],"deleted":[]}}"#;
    assert_eq!(server.seen()[1].body, expected);
}

#[test]
fn integer_keys_without_rowid_strict_and_generated_columns() {
    let schema = "
        CREATE TABLE i (id INTEGER PRIMARY KEY, x TEXT);
        CREATE TABLE w (id TEXT PRIMARY KEY NOT NULL, x INTEGER) WITHOUT ROWID;
        CREATE TABLE s (id TEXT PRIMARY KEY NOT NULL, x INTEGER, y REAL, z TEXT NOT NULL DEFAULT 'z') STRICT;";
    let local = format!(
        "{schema} CREATE TABLE g (id TEXT PRIMARY KEY NOT NULL, a INTEGER, d INTEGER AS (a * 2) STORED, v AS (a + 1));"
    );
    let backend = Backend::start(&format!(
        "{schema} CREATE TABLE g (id TEXT PRIMARY KEY NOT NULL, a INTEGER);"
    ));
    backend.sql(|sql| {
        sql.execute_batch(
            "INSERT INTO i VALUES (1, 'a'), (-5, 'b'); INSERT INTO w VALUES ('a', 1);
             INSERT INTO s VALUES ('a', 1, 1.5, 'q'); INSERT INTO g VALUES ('a', 4);",
        )
    });
    let tables = ["i", "w", "s", "g"];
    let (one, two) = (
        Device::with(&local, &tables, &backend.sync_url()),
        Device::with(&local, &tables, &backend.sync_url()),
    );
    one.synced();
    one.exec(
        "INSERT INTO i (x) VALUES ('c'); UPDATE i SET x = 'B' WHERE id = -5; DELETE FROM i WHERE id = 1;
         INSERT INTO w VALUES ('b', 2); UPDATE w SET x = 9 WHERE id = 'a';
         INSERT INTO s VALUES ('b', NULL, 2, 'z'); UPDATE s SET y = -1 WHERE id = 'a';
         UPDATE g SET a = 5; INSERT INTO g (id, a) VALUES ('b', 1);",
    );
    one.synced();
    two.synced();
    for device in [&one, &two] {
        assert_equal(device, &backend, &["w", "s"]);
        assert_eq!(device.ask("SELECT * FROM i"), "-5|B\n2|c");
        assert_eq!(
            device.ask("SELECT id, a, d, v FROM g ORDER BY id"),
            "a|5|10|6\nb|1|2|2"
        );
        assert_eq!(device.pending(), "");
    }
}

#[test]
fn v3_a_strict_table_never_refuses_a_value_of_another_kind() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE s (id TEXT PRIMARY KEY NOT NULL, x INTEGER) STRICT",
        &["s"],
        &server.url(),
    );
    server.changes(json!({"s": {"created": [{"id": "ok", "x": 1}, {"id": "half", "x": 1.5}]}}));
    device.synced();
    assert_eq!(
        device.ask("SELECT id, x FROM s ORDER BY id"),
        "half|NULL\nok|1"
    );
    assert_eq!(
        device.ask("SELECT key, column, value, local FROM sync_aside"),
        "half|x|1.5|NULL"
    );
}

// ---- References ------------------------------------------------------------------------------

const FAMILY: &str = "
    CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL, parent TEXT NOT NULL REFERENCES parent (id));
    CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, boss TEXT REFERENCES parent (id), x INTEGER);";

fn family(server: &Canned, schema: &str) -> Device {
    let device = Device::with(schema, &["child", "parent"], &server.url());
    device.exec("PRAGMA foreign_keys = ON");
    device
}

#[test]
fn children_may_come_before_their_parents() {
    let server = Canned::start();
    let device = family(&server, FAMILY);
    server.changes(json!({"child": {"created": [{"id": "c", "parent": "p"}]},
        "parent": {"created": [{"id": "p", "boss": "q"}, {"id": "q", "boss": "q"}]}}));
    device.synced();
    server.changes(json!({"parent": {"deleted": ["q", "p"]}, "child": {"deleted": ["c"]}}));
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM parent"), "0");
    assert_eq!(
        (device.log(), device.ask("PRAGMA foreign_keys")),
        ("0".into(), "1".into())
    );
    assert_eq!(device.ask("PRAGMA defer_foreign_keys"), "0");
}

#[test]
fn a_row_without_its_parent_is_held_and_named() {
    let server = Canned::start();
    let device = family(&server, FAMILY);
    device.exec("INSERT INTO parent VALUES ('mine', NULL, 1)");
    server.changes(json!({"parent": {"created": [{"id": "p"}]},
        "child": {"created": [{"id": "ok", "parent": "p"}, {"id": "orphan", "parent": "nobody"}]}}));
    device.synced();
    assert_eq!(device.ask("SELECT id FROM child"), "ok");
    assert_eq!(device.ask("SELECT id FROM parent ORDER BY 1"), "mine\np");
    assert_eq!(
        device.ask("SELECT entity, key, reason, \"constraint\" FROM sync_held"),
        "child|orphan|foreignKey|child(parent) refers to parent(id) nobody, which is missing"
    );
    assert_eq!(device.pending(), "");
}

#[test]
fn a_parent_with_restrict_may_go_before_its_child() {
    let server = Canned::start();
    let schema = FAMILY.replace(
        "REFERENCES parent (id));",
        "REFERENCES parent (id) ON DELETE RESTRICT);",
    );
    let device = family(&server, &schema);
    server.changes(json!({"parent": {"created": [{"id": "p"}]}, "child": {"created": [{"id": "c", "parent": "p"}]}}));
    device.synced();
    // The order of tables has no meaning.
    server.pull(
        r#"{"changes":{"parent":{"deleted":["p"]},"child":{"deleted":["c"]}},"timestamp":9000000}"#,
    );
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM child"), "0");
}

#[test]
fn what_a_cascade_deletes_while_applying_is_pushed_if_wanted_and_the_applied_rows_are_not() {
    let server = Canned::start();
    let schema = FAMILY.replace(
        "REFERENCES parent (id));",
        "REFERENCES parent (id) ON DELETE CASCADE);",
    );
    let device = family(&server, &schema);
    device.provider(&server.url(), json!({"sendCascades": true}));
    server.changes(json!({"parent": {"created": [{"id": "p"}, {"id": "q"}]},
        "child": {"created": [{"id": "c1", "parent": "p"}, {"id": "c2", "parent": "p"}, {"id": "c3", "parent": "q"}]}}));
    device.synced();
    device.exec("INSERT INTO child VALUES ('own', 'p')");
    server.clear();
    // The backend names one of the children, too, and it does so after its parent.
    server.pull(r#"{"changes":{"parent":{"deleted":["p"]},"child":{"deleted":["c2"]}},"timestamp":9000000}"#);
    device.synced();
    assert_eq!(device.ask("SELECT id FROM child"), "c3");
    let push = server.pushed();
    assert_eq!(push.len(), 1);
    assert_eq!(
        push[0]["child"],
        json!({"created": [], "updated": [], "deleted": ["c1"]}),
        "{push:?}"
    );
    assert_eq!(push[0]["parent"]["deleted"], json!([]));
    assert_eq!((device.pending(), device.log()), ("".into(), "0".into()));
}

#[test]
fn a_cascade_and_a_delete_of_the_same_row_far_apart_in_one_answer_push_nothing() {
    let server = Canned::start();
    let schema = FAMILY.replace(
        "REFERENCES parent (id));",
        "REFERENCES parent (id) ON DELETE CASCADE);",
    );
    let device = family(&server, &schema);
    device.provider(&server.url(), json!({"sendCascades": true}));
    let many: Vec<Value> = (0..2500)
        .map(|n| json!({"id": format!("m{n:04}")}))
        .collect();
    server.changes(json!({"parent": {"created": [{"id": "p"}]}, "child": {"created": [{"id": "c", "parent": "p"}]}}));
    device.synced();
    server.pull(&format!(
        r#"{{"changes":{{"parent":{{"deleted":["p"],"created":{}}},"child":{{"deleted":["c"]}}}},"timestamp":9000000}}"#,
        Value::from(many)
    ));
    server.clear();
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM child"), "0");
    assert!(server.pushed().is_empty(), "{:?}", server.pushed());
    assert_eq!(device.log(), "0");
}

// ---- Triggers of the application -------------------------------------------------------------

#[test]
fn what_triggers_write_while_applying_is_pushed_and_the_applied_rows_are_not() {
    let server = Canned::start();
    let schema = "
        CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x INTEGER);
        CREATE TABLE total (id TEXT PRIMARY KEY NOT NULL, n INTEGER NOT NULL);
        CREATE TABLE journal (n INTEGER PRIMARY KEY, what TEXT);
        CREATE TRIGGER ti AFTER INSERT ON t BEGIN
          INSERT INTO journal (what) VALUES ('i' || NEW.id);
          INSERT INTO total VALUES ('t', 1) ON CONFLICT (id) DO UPDATE SET n = n + 1; END;
        CREATE TRIGGER tu AFTER UPDATE ON t BEGIN INSERT INTO journal (what) VALUES ('u' || NEW.id); END;
        CREATE TRIGGER td AFTER DELETE ON t BEGIN INSERT INTO journal (what) VALUES ('d' || OLD.id);
          UPDATE total SET n = n - 1; END;";
    let device = Device::with(schema, &["t", "total"], &server.url());
    let rows: Vec<Value> = (0..2500)
        .map(|n| json!({"id": format!("r{n}"), "x": n}))
        .collect();
    server.changes(json!({"t": {"created": rows}}));
    device.synced();
    assert_eq!(device.ask("SELECT * FROM total"), "t|2500");
    let push = server.pushed();
    assert_eq!(
        push[0]["t"],
        json!({"created": [], "updated": [], "deleted": []})
    );
    assert_eq!(push[0]["total"]["created"][0]["n"], 2500);
    server.clear();
    server.changes(json!({"t": {"updated": [{"id": "r1", "x": -1}], "deleted": ["r2"]}}));
    device.synced();
    let push = server.pushed();
    assert_eq!(
        push[0]["t"],
        json!({"created": [], "updated": [], "deleted": []})
    );
    assert_eq!(
        (
            &push[0]["total"]["updated"][0]["n"],
            &push[0]["total"]["updated"][0]["_changed"]
        ),
        (&json!(2499), &json!("n"))
    );
    assert_eq!(
        device.ask(
            "SELECT group_concat(what) FROM (SELECT what FROM journal ORDER BY n DESC LIMIT 2)"
        ),
        "dr2,ur1"
    );
    assert_eq!((device.pending(), device.log()), ("".into(), "0".into()));
}

#[test]
fn a_trigger_that_stamps_the_applied_row_itself_causes_no_echo() {
    let server = Canned::start();
    let schema = "
        CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x INTEGER, stamp INTEGER);
        CREATE TRIGGER ti AFTER INSERT ON t BEGIN UPDATE t SET stamp = 1 WHERE id = NEW.id; END;
        CREATE TRIGGER tu AFTER UPDATE OF x ON t BEGIN UPDATE t SET stamp = stamp + 1 WHERE id = NEW.id; END;";
    let device = Device::with(schema, &["t"], &server.url());
    for n in 0..3 {
        server.changes(json!({"t": {"updated": [{"id": "a", "x": n}]}}));
        device.synced();
    }
    assert!(server.pushed().is_empty(), "{:?}", server.pushed());
    assert_eq!(device.log(), "0");
}

#[test]
fn a_row_for_which_a_trigger_raises_is_held() {
    let server = Canned::start();
    let schema = "
        CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x INTEGER);
        CREATE TRIGGER ti BEFORE INSERT ON t WHEN NEW.x < 0 BEGIN SELECT RAISE(ABORT, 'too cold'); END;
        CREATE TRIGGER tr BEFORE INSERT ON t WHEN NEW.x > 99 BEGIN SELECT RAISE(ROLLBACK, 'too hot'); END;
        CREATE TRIGGER ts BEFORE INSERT ON t WHEN NEW.x = 50 BEGIN SELECT RAISE(IGNORE); END;";
    let device = Device::with(schema, &["t"], &server.url());
    for (x, word) in [(-1, "too cold"), (100, "too hot")] {
        server.changes(json!({"t": {"created": [{"id": "ok", "x": 1}, {"id": "bad", "x": x}]}}));
        device.synced();
        let held = device.ask("SELECT key, reason, \"constraint\" FROM sync_held");
        assert_eq!(held, format!("bad|trigger|{word}"));
        assert_eq!(device.ask("SELECT id FROM t"), "ok");
        assert!(device.db.is_autocommit(), "no transaction is left open");
    }
    server.changes(json!({"t": {"created": [{"id": "ok", "x": 1}, {"id": "ignored", "x": 50}]}}));
    let answer = device.synced();
    assert_eq!(answer["held"], 1, "{answer}");
    assert_eq!(device.ask("SELECT id FROM t"), "ok");
}

// ---- Constraints -----------------------------------------------------------------------------

#[test]
fn a_unique_or_check_violation_holds_the_row_and_no_other() {
    for (column, row) in [
        ("UNIQUE", json!({"id": "bad", "x": 1})),
        ("CHECK (x < 5)", json!({"id": "bad", "x": 7})),
    ] {
        let server = Canned::start();
        let schema =
            format!("CREATE TABLE thing (id TEXT PRIMARY KEY NOT NULL, x INTEGER {column})");
        let device = Device::with(&schema, &["thing"], &server.url());
        device.exec("INSERT INTO thing VALUES ('mine', 3)");
        server.changes(json!({"thing": {"created": [{"id": "ok", "x": 1}, row]}}));
        device.synced();
        assert_eq!(device.ask("SELECT id FROM thing ORDER BY 1"), "mine\nok");
        assert_eq!(device.ask("SELECT entity, key FROM sync_held"), "thing|bad");
        assert_eq!(device.pending(), "");
        // An update, too.
        server.changes(json!({"thing": {"created": [{"id": "bad", "x": 4}, {"id": "b", "x": 2}]}}));
        device.synced();
        let x = if column == "UNIQUE" { 2 } else { 9 };
        server.changes(json!({"thing": {"updated": [{"id": "bad", "x": x}]}}));
        device.synced();
        assert_eq!(device.ask("SELECT x FROM thing WHERE id = 'bad'"), "4");
        assert_eq!(device.ask("SELECT entity, key FROM sync_held"), "thing|bad");
    }
}

#[test]
fn a_unique_value_may_move_from_a_deleted_row_to_a_created_one() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE person (id TEXT PRIMARY KEY NOT NULL, email TEXT UNIQUE)",
        &["person"],
        &server.url(),
    );
    server.changes(json!({"person": {"created": [{"id": "old", "email": "a@b.c"}]}}));
    device.synced();
    server.changes(json!({"person": {"created": [{"id": "new", "email": "a@b.c"}], "updated": [], "deleted": ["old"]}}));
    device.synced();
    assert_eq!(device.ask("SELECT * FROM person"), "new|a@b.c");
}

#[test]
fn two_rows_may_swap_a_unique_value() {
    for (column, index) in [
        ("email TEXT UNIQUE", ""),
        ("email TEXT NOT NULL UNIQUE", ""),
        (
            "email TEXT",
            "CREATE UNIQUE INDEX i ON person (lower(email))",
        ),
        (
            "email TEXT NOT NULL",
            "CREATE UNIQUE INDEX i ON person (team, email) WHERE team = 1",
        ),
    ] {
        let server = Canned::start();
        let device = Device::with(
            &format!(
                "CREATE TABLE person (id TEXT PRIMARY KEY NOT NULL, {column}, team INTEGER NOT NULL CHECK (team >= 0)); {index}"
            ),
            &["person"],
            &server.url(),
        );
        let rows = |one: &str, other: &str| json!([{"id": "a", "email": one, "team": 1}, {"id": "b", "email": other, "team": 1}]);
        server.changes(json!({"person": {"created": rows("x", "y")}}));
        device.synced();
        server.changes(json!({"person": {"updated": rows("y", "x")}}));
        device.synced();
        assert_eq!(
            device.ask("SELECT id, email FROM person ORDER BY id"),
            "a|y\nb|x",
            "{column} {index}"
        );
    }
}

/// Each new value is held by the next row until that has moved on, and the ids have another order.
#[test]
fn thousands_of_unique_values_may_shift_along() {
    let count = 3000;
    let id = |place: u64| {
        format!(
            "{:08x}",
            (place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
        )
    };
    for step in [1, -1] {
        let server = Canned::start();
        let device = Device::with(
            "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, title TEXT UNIQUE, place INTEGER NOT NULL UNIQUE)",
            &["item"],
            &server.url(),
        );
        let rows = |step: i64| -> Value {
            let row = |place| json!({"id": id(place), "place": place as i64 + step});
            (0..count).map(row).collect()
        };
        server.changes(json!({"item": {"created": rows(0)}}));
        device.synced();
        let mut moved = rows(step);
        let moved = moved.as_array_mut().expect("rows");
        moved.sort_by_key(|row| row["id"].as_str().map(str::to_owned));
        server.changes(json!({"item": {"updated": moved}}));
        let answer = device.synced();
        assert_eq!(answer["updated"], count, "{answer}");
        assert_eq!(
            device.ask("SELECT min(place), max(place) FROM item"),
            format!("{step}|{}", count as i64 - 1 + step)
        );
    }
}

#[test]
fn a_key_may_be_spelled_anew_where_its_collation_does_not_mind() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL COLLATE NOCASE, name TEXT)",
        &["item"],
        &server.url(),
    );
    server.changes(json!({"item": {"created": [{"id": "abc", "name": "one"}]}}));
    device.synced();
    server
        .changes(json!({"item": {"created": [{"id": "ABC", "name": "two"}], "deleted": ["abc"]}}));
    device.synced();
    assert_eq!(device.ask("SELECT * FROM item"), "ABC|two");
    let changes = json!({"item": {"created": [{"id": "Abc", "name": "three"}]}});
    let answer =
        json!({"changes": changes, "timestamp": 2_000_000, "experimentalStrategy": "replacement"});
    server.pull(&answer.to_string());
    device.synced();
    assert_eq!(device.ask("SELECT * FROM item"), "Abc|three");
    assert_eq!(device.pending(), "");
}

#[test]
fn a_row_replaced_through_a_unique_constraint_here_is_deleted_there() {
    let schema = "CREATE TABLE person (id TEXT PRIMARY KEY NOT NULL, email TEXT UNIQUE)";
    let backend = Backend::start(&schema.replace(" UNIQUE", ""));
    backend.sql(|sql| sql.execute_batch("INSERT INTO person VALUES ('a', 'x'), ('b', 'y')"));
    let device = Device::with(schema, &["person"], &backend.sync_url());
    device.synced();
    device.exec("INSERT OR REPLACE INTO person VALUES ('c', 'x'); UPDATE OR REPLACE person SET email = 'x'  WHERE id = 'b'");
    device.synced();
    assert_equal(&device, &backend, &["person"]);
    assert_eq!(pushes(&backend)[0]["person"]["deleted"], json!(["a"]));
}

#[test]
fn keys_that_differ_in_case_only_are_different_rows() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x INTEGER)",
        &["t"],
        &server.url(),
    );
    server.changes(json!({"t": {"created": [{"id": "a", "x": 1}, {"id": "A", "x": 2}]}}));
    device.synced();
    device.exec("UPDATE t SET x = 5 WHERE id = 'a'");
    server.changes(json!({"t": {"deleted": ["A"]}}));
    device.synced();
    assert_eq!(device.ask("SELECT * FROM t"), "a|5");
}

#[test]
fn a_table_in_an_attached_file_syncs_as_well() {
    let backend = Backend::start("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x INTEGER)");
    backend.sql(|sql| sql.execute_batch("INSERT INTO t VALUES ('r', 1)"));
    let device = Device::with("", &[], &backend.sync_url());
    let path = device.world.file("other.db");
    device.exec(&format!("ATTACH '{}' AS other", path.display()));
    device.exec("CREATE TABLE other.t (id TEXT PRIMARY KEY NOT NULL, x INTEGER); CREATE TABLE main.t (id TEXT PRIMARY KEY NOT NULL, x INTEGER)");
    let config = json!({"kind": "watermelon", "url": backend.sync_url(), "schema": "other"});
    device.ask(&format!("SELECT sync_provider('api', '{config}')"));
    device.ask(r#"SELECT sync_track('t', '{"schema":"other"}')"#);
    device.exec("INSERT INTO other.t VALUES ('n', 2)");
    let text = device.ask(r#"SELECT sync_entities('i', 'api', '["t"]', '{"schema":"other"}')"#);
    assert!(text.contains("\"synced\""), "{text}");
    assert_eq!(device.ask("SELECT * FROM other.t ORDER BY id"), "n|2\nr|1");
    assert_eq!(device.ask("SELECT count(*) FROM main.t"), "0");
    assert_eq!(backend_rows(&backend, "t").len(), 2);
    assert_eq!(
        device.ask("SELECT entity, state FROM other._syncStatus"),
        "t|synced"
    );
    assert_eq!(
        device.ask("SELECT count(*) FROM sync_pending WHERE schema = 'other'"),
        "0"
    );
}

#[test]
fn a_database_in_memory_syncs_as_well() {
    let backend = Backend::start("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x INTEGER)");
    backend.sql(|sql| sql.execute_batch("INSERT INTO t VALUES ('r', 1)"));
    let device = Device::with("", &[], &backend.sync_url());
    let db = rusqlite::Connection::open_in_memory().unwrap();
    support::load(&db);
    let device = Device {
        db,
        entities: vec!["t".into()],
        ..device
    };
    device.exec("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x INTEGER)");
    device.provider(&backend.sync_url(), json!({}));
    device.ask("SELECT sync_track('t')");
    device.exec("INSERT INTO t VALUES ('n', 2)");
    device.synced();
    assert_equal(&device, &backend, &["t"]);
}

/// SQLite keeps '2024' as an integer in a column of type DATE. Where the user says that its values are texts, it
/// travels as one.
#[test]
fn a_text_that_sqlite_stores_as_a_number_travels_as_text_where_the_column_is_said_to_hold_texts() {
    let server = Canned::start();
    let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, day DATE)";
    let texts = r#"SELECT sync_track('t', '{"types":{"day":"string"}}')"#;
    let device = Device::with(schema, &["t"], &server.url());
    device.ask(texts);
    device.exec("INSERT INTO t VALUES ('a', '2024'), ('b', 1.5), ('c', 'soon')");
    device.synced();
    let rows = server.pushed()[0]["t"]["created"].clone();
    let days: Vec<&Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["day"])
        .collect();
    assert_eq!(days, ["2024", "1.5", "soon"]);

    let other = Device::with(schema, &["t"], &server.url());
    other.ask(texts);
    let rows: Vec<Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!({"id": row["id"], "day": row["day"]}))
        .collect();
    server.changes(json!({"t": {"created": rows}}));
    other.synced();
    let sql = "SELECT day, typeof(day) FROM t ORDER BY id";
    assert_eq!(other.ask(sql), device.ask(sql));
}

/// A row that nobody named goes with its parent, by a foreign key or a trigger: what was written in it is
/// kept, as that of a row which the server deleted itself.
#[test]
fn what_was_edited_in_a_row_that_goes_with_its_parent_is_kept_as_a_conflict() {
    let cascade = FAMILY.replace(
        "REFERENCES parent (id));",
        "REFERENCES parent (id) ON DELETE CASCADE);",
    );
    let trigger = format!(
        "{FAMILY} CREATE TRIGGER go BEFORE DELETE ON parent BEGIN DELETE FROM child WHERE parent = old.id; END;"
    );
    let answers = [
        r#"{"changes":{"parent":{"deleted":["p"]},"child":{"deleted":["named"]}},"timestamp":9000000}"#,
        r#"{"changes":{"child":{"deleted":["named"]},"parent":{"deleted":["p"]}},"timestamp":9000000}"#,
        r#"{"changes":{"parent":{"created":[{"id":"q"}]},"child":{"deleted":["named"]}},"timestamp":9000000,
            "experimentalStrategy":{"default":"incremental","override":{"parent":"replacement"}}}"#,
    ];
    for schema in [&cascade, &trigger] {
        for answer in answers {
            let server = Canned::start();
            let device = family(&server, schema);
            let child = |id: &str, parent: &str| json!({"id": id, "parent": parent});
            server.changes(json!({"parent": {"created": [{"id": "p"}, {"id": "q"}, {"id": "r"}]},
                "child": {"created": [child("clean", "p"), child("edited", "q"), child("named", "p"), child("stays", "q")]}}));
            device.synced();
            device.exec(
                "INSERT INTO child VALUES ('own', 'p');
                 UPDATE child SET parent = 'p' WHERE id = 'edited'; UPDATE child SET parent = 'r' WHERE id = 'named';
                 INSERT INTO child VALUES ('kept', 'q')",
            );
            server.clear();
            server.pull(answer);
            // In the third answer `r` goes as well, with its child.
            let answer = device.synced();
            assert_eq!(answer["conflicts"], 3, "{answer}");
            assert_eq!(
                device.ask(
                    "SELECT rowKey, kind, local ->> 'parent', local ->> '_status', remote, resolved \
                     FROM sync_conflict ORDER BY 1"
                ),
                "edited|deletedRemotely|p|updated|NULL|NULL\n\
                 named|deletedRemotely|r|updated|NULL|NULL\n\
                 own|deletedRemotely|p|created|NULL|NULL"
            );
            assert_eq!(device.ask("SELECT id FROM child ORDER BY 1"), "kept\nstays");
        }
    }
}

#[test]
fn conflict_clauses_of_a_table_neither_replace_nor_skip_rows_while_applying() {
    for clause in ["REPLACE", "IGNORE", "ROLLBACK", "FAIL", "ABORT"] {
        let server = Canned::start();
        let device = Device::with(
            &format!(
                "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE ON CONFLICT {clause}, n INTEGER)"
            ),
            &["t"],
            &server.url(),
        );
        server.changes(json!({"t": {"created": [{"id": "1", "u": "a"}, {"id": "2", "u": "b"}]}}));
        device.synced();
        let swapped = json!([{"id": "1", "u": "b"}, {"id": "2", "u": "a"}]);
        server.changes(json!({"t": {"updated": swapped}}));
        device.synced();
        let rows = "SELECT id, u FROM t ORDER BY id";
        assert_eq!(device.ask(rows), "1|b\n2|a", "{clause}");

        device.exec("INSERT INTO t (id, u) VALUES ('8', 'x'); UPDATE t SET u = 'y' WHERE id = '2'");
        for news in [
            json!({"created": [{"id": "9", "u": "x"}]}),
            json!({"updated": [{"id": "1", "u": "y"}]}),
            json!({"updated": [{"id": "1", "u": "y"}, {"id": "3", "u": "x"}]}),
        ] {
            server.changes(json!({ "t": news }));
            let answer = device.synced();
            assert_eq!(device.ask(rows), "1|b\n2|y\n8|x", "{clause} {news}");
            assert_ne!(answer["held"], 0, "{clause} {news}");
        }
    }
}

/// The transaction is over then: nothing may be written after it.
#[test]
fn a_trigger_that_rolls_back_while_rows_wait_for_their_turn_is_survived() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE CHECK (u <> ''));
         CREATE TRIGGER no BEFORE UPDATE ON t WHEN new.u = 'a' BEGIN SELECT RAISE(ROLLBACK, 'never again'); END;",
        &["t"],
        &server.url(),
    );
    server.changes(json!({"t": {"created": [{"id": "1", "u": "a"}, {"id": "2", "u": "b"}]}}));
    device.synced();
    server.changes(json!({"t": {"updated": [{"id": "1", "u": "b"}, {"id": "2", "u": "a"}, {"id": "3", "u": "c"}]}}));
    device.synced();
    assert_eq!(
        device.ask("SELECT key, reason FROM sync_held ORDER BY key"),
        "1|unique\n2|trigger"
    );
    assert_eq!(device.ask("SELECT * FROM t ORDER BY id"), "1|a\n2|b\n3|c");
    assert_eq!(device.pending(), "");
    // What was switched off for them is on again.
    let refused = device.refused("UPDATE t SET u = ''");
    assert!(refused.contains("CHECK"), "{refused}");
}
