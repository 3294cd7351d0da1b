//! Counted keys where triggers of the application keep values in the rows themselves.

use serde_json::json;
use support::{Canned, Device, everywhere};

use super::pull;

/// A row counts what refers to it.
#[test]
fn t3_a_count_that_triggers_keep_in_the_row_stays() {
    everywhere(|settings| {
        for (action, key, tables) in [
            ("", "TEXT PRIMARY KEY NOT NULL", ["a", "b"]),
            ("ON UPDATE CASCADE", "TEXT PRIMARY KEY NOT NULL", ["b", "a"]),
            ("ON UPDATE RESTRICT", "INTEGER PRIMARY KEY", ["a", "b"]),
        ] {
            for clash in [false, true] {
                let server = Canned::start();
                let ddl = format!(
                    "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT UNIQUE, n INTEGER DEFAULT 0);
                     CREATE TABLE b (id {key}, a INTEGER REFERENCES a (id) {action}, x TEXT);
                     CREATE TRIGGER t1 AFTER INSERT ON b BEGIN UPDATE a SET n = n + 1 WHERE id = new.a; END;
                     CREATE TRIGGER t2 AFTER UPDATE OF a ON b WHEN old.a IS NOT new.a BEGIN
                       UPDATE a SET n = n - 1 WHERE id = old.a; UPDATE a SET n = n + 1 WHERE id = new.a; END;
                     CREATE TRIGGER t3 AFTER DELETE ON b BEGIN UPDATE a SET n = n - 1 WHERE id = old.a; END"
                );
                let options = json!({"idAs": "number", "onClash": {"a": "adopt"}});
                let device = Device::configured(&ddl, &tables, &server.url(), options);
                let context = format!("{action} {key} {tables:?} {clash} {settings}");
                device.exec(
                    "INSERT INTO a (id, x) VALUES (1, 'mine');
                     INSERT INTO b VALUES (1, 1, 'one'), (2, 1, 'two')",
                );
                let theirs = match clash {
                    true => json!({"id": 5, "x": "mine", "n": 1}),
                    false => json!({"id": 1, "x": "theirs", "n": 1}),
                };
                let part = match key {
                    "INTEGER PRIMARY KEY" => json!(1),
                    _ => json!("1 there"),
                };
                let part = json!({"id": part, "a": theirs["id"], "x": "theirs"});
                pull(
                    &server,
                    json!({"a": {"created": [theirs]}, "b": {"created": [part]}}),
                );
                device.synced();
                let (id, rows) = match clash {
                    true => (5, "5|mine|2"),
                    false => (2, "1|theirs|1\n2|mine|2"),
                };
                assert_eq!(
                    device.ask("SELECT id, x, n FROM a ORDER BY id"),
                    rows,
                    "{context}"
                );
                let ours = format!("SELECT count(*) FROM b WHERE a = {id} AND x <> 'theirs'");
                assert_eq!(device.ask(&ours), "2", "{context}");
                let pushes = server.pushed();
                let kinds = ["created", "updated"];
                let mut sent = pushes
                    .iter()
                    .flat_map(|push| kinds.map(|kind| &push["a"][kind]));
                let sent = sent.find_map(|rows| rows.get(0)).expect("a row");
                assert_eq!(sent["n"], 2, "{context} {pushes:?}");
                assert_eq!(
                    (device.pending(), device.log()),
                    (String::new(), "0".into()),
                    "{context}"
                );
            }
        }
    });
}
