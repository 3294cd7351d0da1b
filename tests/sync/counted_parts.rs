//! Tables that share the key of another: a row below is a part of the one above, and has its number.

use serde_json::{Value, json};
use support::{Canned, Device, everywhere};

use super::pull;

/// Rows of both devices on all levels.
fn ours(device: &Device, tables: &[&str]) {
    for table in tables {
        device.exec(&format!("INSERT INTO {table} VALUES (1, 'mine')"));
    }
}

fn theirs(key: &Value, tables: &[&str]) -> Value {
    let created = tables.iter().map(|table| {
        let id = match *table {
            "a" => json!(1),
            _ => key.clone(),
        };
        (
            (*table).to_owned(),
            json!({"created": [{"id": id, "x": "theirs"}]}),
        )
    });
    Value::Object(created.collect())
}

/// The rows of a push of one kind.
fn sent(server: &Canned, table: &str, kind: &str) -> Vec<Value> {
    let pushes = server.pushed();
    let rows = pushes.iter().flat_map(|push| push[table][kind].as_array());
    rows.flatten().cloned().collect()
}

#[test]
fn t3_all_parts_of_a_row_take_its_number() {
    everywhere(|settings| {
        let trigger = "CREATE TRIGGER noise AFTER UPDATE ON b BEGIN SELECT 1; END;";
        for (action, more) in [
            ("", ""),
            ("ON UPDATE CASCADE", ""),
            ("ON UPDATE RESTRICT ON DELETE CASCADE", trigger),
            ("", trigger),
        ] {
            for tables in [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"]] {
                let server = Canned::start();
                let ddl = format!(
                    "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT);
                     CREATE TABLE b (id INTEGER PRIMARY KEY REFERENCES a (id) {action}, x TEXT);
                     CREATE TABLE c (id INTEGER PRIMARY KEY REFERENCES b (id) {action}, x TEXT);
                     CREATE TABLE local (id INTEGER PRIMARY KEY REFERENCES b (id) {action}, x TEXT);
                     CREATE TABLE line (id TEXT PRIMARY KEY NOT NULL, c INTEGER REFERENCES c (id) {action});{more}"
                );
                let all = ["line", tables[0], tables[1], tables[2]];
                let device =
                    Device::configured(&ddl, &all, &server.url(), json!({"idAs": "number"}));
                let context = format!("{action} {more} {tables:?} {settings}");
                ours(&device, &["a", "b", "c", "local"]);
                device.exec(
                    "INSERT INTO c SELECT 7, 'seven' WHERE 0; INSERT INTO line VALUES ('l', 1)",
                );
                pull(&server, theirs(&json!(1), &["a", "b", "c"]));
                device.synced();
                for table in tables {
                    let rows = device.ask(&format!("SELECT id, x FROM {table} ORDER BY id"));
                    assert_eq!(rows, "1|theirs\n2|mine", "{table} {context}");
                    let row = json!({"id": 2, "x": "mine", "_status": "created", "_changed": ""});
                    assert_eq!(sent(&server, table, "created"), [row], "{table} {context}");
                    let others = [
                        sent(&server, table, "updated"),
                        sent(&server, table, "deleted"),
                    ];
                    assert_eq!(
                        others,
                        [Vec::<Value>::new(), Vec::new()],
                        "{table} {context}"
                    );
                }
                assert_eq!(device.ask("SELECT id FROM local"), "2", "{context}");
                assert_eq!(device.ask("SELECT c FROM line"), "2", "{context}");
                assert_eq!(
                    (device.pending(), device.log()),
                    (String::new(), "0".into()),
                    "{context}"
                );
                assert_eq!(
                    device.ask("SELECT entity, rowKey, kind, resolved ->> 'id' FROM sync_conflict ORDER BY entity"),
                    "a|1|rekeyed|2\nb|1|rekeyed|2\nc|1|rekeyed|2",
                    "{context}"
                );
                assert_eq!(device.ask("PRAGMA foreign_key_check"), "", "{context}");
            }
        }
    });
}

/// The server has no such part of its own row.
#[test]
fn t3_a_part_follows_also_where_nothing_comes_in_its_place() {
    everywhere(|settings| {
        for tables in [["a", "b"], ["b", "a"]] {
            for only in [false, true] {
                let server = Canned::start();
                let ddl = "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT);
                    CREATE TABLE b (id INTEGER PRIMARY KEY REFERENCES a (id), x TEXT)";
                let device =
                    Device::configured(ddl, &tables, &server.url(), json!({"idAs": "number"}));
                let context = format!("{tables:?} {only} {settings}");
                ours(&device, &["a", "b"]);
                device.exec("INSERT INTO a VALUES (9, 'nine'); INSERT INTO b VALUES (9, 'nine')");
                pull(&server, theirs(&json!(1), &["a"]));
                if only {
                    device.sync_only(&["a"]);
                    server.reset();
                }
                device.synced();
                assert_eq!(
                    device.ask("SELECT id, x FROM b ORDER BY id"),
                    "9|nine\n10|mine",
                    "{context}"
                );
                let ids: Vec<Value> = sent(&server, "b", "created")
                    .iter()
                    .map(|row| row["id"].clone())
                    .collect();
                assert_eq!(ids.len(), 2, "{context} {ids:?}");
                assert!(
                    ids.contains(&json!(9)) && ids.contains(&json!(10)),
                    "{context} {ids:?}"
                );
                assert_eq!(device.pending(), "", "{context}");
            }
        }
    });
}

/// The key of the part is no alias of the rowid.
#[test]
fn t3_only_parts_that_were_made_here_follow() {
    everywhere(|settings| {
        for (declared, key) in [
            (
                "id INT PRIMARY KEY NOT NULL REFERENCES a (id), x TEXT)",
                json!(1),
            ),
            (
                "id INTEGER PRIMARY KEY NOT NULL REFERENCES a (id), x TEXT) WITHOUT ROWID",
                json!(1),
            ),
            (
                "id TEXT PRIMARY KEY NOT NULL REFERENCES a (id), x TEXT)",
                json!("1"),
            ),
            (
                "id TEXT PRIMARY KEY NOT NULL REFERENCES a (id) ON UPDATE CASCADE, x TEXT)",
                json!("1"),
            ),
        ] {
            for tables in [["a", "b"], ["b", "a"]] {
                for first in [false, true] {
                    let server = Canned::start();
                    let ddl = format!(
                        "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT); CREATE TABLE b ({declared}"
                    );
                    let device =
                        Device::configured(&ddl, &tables, &server.url(), json!({"idAs": "number"}));
                    let context = format!("{declared} {tables:?} {first} {settings}");
                    ours(&device, &["a", "b"]);
                    if first {
                        // The server's part comes alone: it can't be that of the row here.
                        pull(&server, theirs(&key, &["b"]));
                        device.sync_only(&["b"]);
                        assert_eq!(
                            device.ask("SELECT key, reason FROM sync_held"),
                            "1|key",
                            "{context}"
                        );
                        assert_eq!(device.ask("SELECT x FROM b"), "mine", "{context}");
                        assert_eq!(
                            sent(&server, "b", "created"),
                            Vec::<Value>::new(),
                            "{context}"
                        );
                        pull(&server, theirs(&key, &["a"]));
                        device.sync_only(&["a"]);
                        server.reset();
                    } else {
                        pull(&server, theirs(&key, &["a", "b"]));
                    }
                    device.synced();
                    for table in ["a", "b"] {
                        let rows = device.ask(&format!("SELECT id, x FROM {table} ORDER BY id"));
                        assert_eq!(rows, "1|theirs\n2|mine", "{table} {context}");
                    }
                    let created = sent(&server, "b", "created");
                    assert_eq!(created.len(), 1, "{context} {created:?}");
                    assert_eq!(created[0]["x"], "mine", "{context}");
                    assert_eq!(
                        sent(&server, "b", "deleted"),
                        Vec::<Value>::new(),
                        "{context}"
                    );
                    assert_eq!(device.pending(), "", "{context}");
                    assert_eq!(
                        device.ask("SELECT count(*) FROM sync_held"),
                        "0",
                        "{context}"
                    );
                }
            }
        }
    });
}

/// The row above is the same on both devices: so is the part.
#[test]
fn t3_parts_of_one_row_are_one_row() {
    everywhere(|settings| {
        for kind in ["INTEGER", "INT"] {
            let server = Canned::start();
            let ddl = format!(
                "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT);
                 CREATE TABLE b (id {kind} PRIMARY KEY NOT NULL REFERENCES a (id), x TEXT)"
            );
            let device =
                Device::configured(&ddl, &["a", "b"], &server.url(), json!({"idAs": "number"}));
            let context = format!("{kind} {settings}");
            pull(&server, theirs(&json!(1), &["a"]));
            device.synced();
            ours(&device, &["b"]);
            pull(&server, theirs(&json!(1), &["b"]));
            device.synced();
            assert_eq!(device.ask("SELECT id FROM b"), "1", "{context}");
            assert_eq!(
                device.ask("SELECT rowKey, kind, local ->> 'x' FROM sync_conflict"),
                "1|edited|mine",
                "{context}"
            );
            assert_eq!(device.pending(), "", "{context}");
        }
    });
}

/// Both made the same user, by an address, with a profile.
#[test]
fn h6_the_part_of_a_row_that_makes_room_is_not_lost() {
    everywhere(|settings| {
        for clash in ["adopt", "serverWins"] {
            for tables in [["u", "p"], ["p", "u"]] {
                for (declared, here, there) in [
                    ("TEXT PRIMARY KEY NOT NULL", json!("ub"), json!("ua")),
                    ("INTEGER PRIMARY KEY", json!(5), json!(3)),
                    ("INTEGER PRIMARY KEY", json!(5), json!(5)),
                ] {
                    for has_part in [true, false] {
                        let server = Canned::start();
                        let ddl = format!(
                            "CREATE TABLE u (id {declared}, mail TEXT UNIQUE);
                             CREATE TABLE p (id {declared} REFERENCES u (id), x TEXT)"
                        );
                        let options = json!({"idAs": "number", "onClash": {"u": clash}});
                        let device = Device::configured(&ddl, &tables, &server.url(), options);
                        let context =
                            format!("{clash} {tables:?} {here} {there} {has_part} {settings}");
                        let literal = here.to_string().replace('"', "'");
                        device.exec(&format!(
                            "INSERT INTO u VALUES ({literal}, 'm'); INSERT INTO p VALUES ({literal}, 'mine')"
                        ));
                        let mut changes = json!({"u": {"created": [{"id": there, "mail": "m"}]}});
                        if has_part {
                            changes["p"] = json!({"created": [{"id": there, "x": "theirs"}]});
                        }
                        pull(&server, changes);
                        device.synced();
                        let (updated, created) =
                            (sent(&server, "p", "updated"), sent(&server, "p", "created"));
                        let part = device.ask("SELECT id, x FROM p");
                        let there = there
                            .as_str()
                            .map_or_else(|| there.to_string(), str::to_owned);
                        let lost = device.ask(
                            "SELECT count(*) FROM sync_conflict WHERE entity = 'p' AND kind = 'uniqueClash' AND local ->> 'x' = 'mine'",
                        );
                        match (has_part, clash) {
                            (true, "adopt") => {
                                assert_eq!(part, format!("{there}|mine"), "{context}");
                                assert_eq!((updated.len(), created.len()), (1, 0), "{context}");
                                assert_eq!(updated[0]["x"], "mine", "{context}");
                            }
                            (true, _) => {
                                assert_eq!(part, format!("{there}|theirs"), "{context}");
                                assert_eq!((updated.len(), created.len()), (0, 0), "{context}");
                                assert_eq!(lost, "1", "{context}");
                            }
                            (false, _) => {
                                assert_eq!(part, format!("{there}|mine"), "{context}");
                                assert_eq!((updated.len(), created.len()), (0, 1), "{context}");
                            }
                        }
                        assert_eq!(device.pending(), "", "{context}");
                        assert_eq!(device.ask("PRAGMA foreign_key_check"), "", "{context}");
                    }
                }
            }
        }
    });
}

/// The row that gives its number away has parts, and so has the one that takes it.
#[test]
fn h6_parts_of_rows_that_change_places_stay_with_them() {
    everywhere(|settings| {
        for (action, key) in [("", "INTEGER"), ("ON UPDATE CASCADE", "TEXT")] {
            // What was made there: what is here under 3, under a number that is taken here; and both ways round.
            for (theirs, ours) in [
                (json!([{"id": 1, "x": "q"}]), "1|q\n2|two\n4|one"),
                (
                    json!([{"id": 1, "x": "q"}, {"id": 3, "x": "one"}]),
                    "1|q\n2|two\n3|one",
                ),
            ] {
                let server = Canned::start();
                let ddl = format!(
                    "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT UNIQUE);
                     CREATE TABLE b (id INTEGER PRIMARY KEY REFERENCES a (id) {action}, x TEXT);
                     CREATE TABLE c (id {key} PRIMARY KEY NOT NULL REFERENCES b (id) {action}, x TEXT)"
                );
                let options = json!({"idAs": "number", "onClash": {"a": "adopt"}});
                let device = Device::configured(&ddl, &["c", "a", "b"], &server.url(), options);
                let context = format!("{action} {key} {theirs} {settings}");
                device.exec("INSERT INTO a VALUES (1, 'one'), (2, 'two'), (3, 'q')");
                device.exec(
                    "INSERT INTO b SELECT * FROM a; INSERT INTO c SELECT * FROM a WHERE id <> 2",
                );
                pull(&server, json!({"a": {"created": theirs}}));
                device.synced();
                for table in ["a", "b"] {
                    let rows = device.ask(&format!("SELECT id, x FROM {table} ORDER BY id"));
                    assert_eq!(rows, ours, "{table} {context}");
                }
                let c = "SELECT group_concat(c.x || b.x) FROM c LEFT JOIN b ON b.id = +c.id";
                let c = device.ask(c);
                assert!(c == "oneone,qq" || c == "qq,oneone", "{c} {context}");
                for table in ["b", "c"] {
                    let created = sent(&server, table, "created").len();
                    let made = device.ask(&format!("SELECT count(*) FROM {table}"));
                    assert_eq!(made, created.to_string(), "{table} {context}");
                }
                assert_eq!(device.pending(), "", "{context}");
                assert_eq!(device.ask("PRAGMA foreign_key_check"), "", "{context}");
            }
        }
    });
}

/// The part went up before what it belongs to, so it can't have another key.
#[test]
fn h6_a_row_with_parts_on_the_server_never_stops_a_sync() {
    everywhere(|settings| {
        for clash in ["adopt", "serverWins"] {
            let server = Canned::start();
            let ddl = "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT UNIQUE);
                CREATE TABLE b (id INTEGER PRIMARY KEY REFERENCES a (id), x TEXT)";
            let options = json!({"idAs": "number", "onClash": {"a": clash}});
            let device = Device::configured(ddl, &["a", "b"], &server.url(), options);
            let context = format!("{clash} {settings}");
            device.exec("INSERT INTO a VALUES (1, 'one'), (2, 'q'); INSERT INTO b SELECT * FROM a");
            device.sync_only(&["b"]);
            pull(&server, json!({"a": {"created": [{"id": 1, "x": "q"}]}}));
            device.synced();
            server.reset();
            device.synced();
            let known = device.ask("SELECT group_concat(x) FROM (SELECT x FROM a ORDER BY x)");
            assert_eq!(known, "one,q", "{context}");
            if settings.contains("foreign_keys = ON") {
                assert_eq!(device.ask("PRAGMA foreign_key_check"), "", "{context}");
            }
        }
    });
}

/// What is there refers to a number that was counted here too, and can't follow: the row here keeps it.
#[test]
fn h1_what_can_t_follow_a_row_with_parts_never_stops_a_sync() {
    everywhere(|settings| {
        let ddl = "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT UNIQUE);
            CREATE TABLE b (id INTEGER PRIMARY KEY REFERENCES a (id), x TEXT);
            CREATE TABLE c (id INTEGER PRIMARY KEY REFERENCES b (id), x TEXT);
            CREATE TABLE line (id TEXT PRIMARY KEY NOT NULL, b INTEGER REFERENCES b (id))";
        for (first, theirs) in [("c", "theirs"), ("line", "mine")] {
            let server = Canned::start();
            let tables = ["a", "b", "c", "line"];
            let device = Device::configured(ddl, &tables, &server.url(), json!({"idAs": "number"}));
            let context = format!("{first} {settings}");
            ours(&device, &["a", "b", "c"]);
            let line = json!({"line": {"created": [{"id": "l", "b": 1}]}});
            pull(&server, if first == "line" { line } else { json!({}) });
            device.sync_only(&[first]);
            pull(
                &server,
                json!({"a": {"created": [{"id": 1, "x": theirs}, {"id": 7, "x": "comes"}]}}),
            );
            let answer = device.sync_only(&["a"]);
            assert_eq!(answer["state"], "synced", "{context} {answer}");
            assert_eq!(
                device.ask("SELECT x FROM a WHERE id = 7"),
                "comes",
                "{context}"
            );
            server.reset();
            device.synced();
        }
    });
}
