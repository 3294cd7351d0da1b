//! Counted keys where triggers of the application keep values in the rows themselves.

use std::cell::Cell;

use serde_json::{Value, json};
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

/// Triggers that write into rows which are to take other numbers, while what these refer to takes them. They write the
/// references too: those are what they were before, to the rows by the numbers that they have by then.
#[test]
fn t3_a_row_that_triggers_write_into_still_belongs_to_the_row_it_was_made_for() {
    const TOUCH_ITEMS: &str = "CREATE TRIGGER t1 AFTER UPDATE ON list BEGIN
        UPDATE item SET touched = touched + 1 WHERE list = new.id; END;";
    const TOUCH_NOTES: &str = "CREATE TRIGGER t2 AFTER UPDATE ON item BEGIN
        UPDATE note SET touched = touched + 1 WHERE item = new.id; END;";
    const TRIGGERS: &[&str] = &[
        "",
        TOUCH_ITEMS,
        TOUCH_NOTES,
        "CREATE TRIGGER t AFTER INSERT ON list BEGIN UPDATE item SET touched = touched + 1; UPDATE note SET touched = 7; END",
        "CREATE TRIGGER t AFTER DELETE ON list BEGIN UPDATE item SET touched = touched + 1; UPDATE note SET touched = 7; END",
        "CREATE TRIGGER t AFTER UPDATE ON item BEGIN UPDATE list SET touched = touched + 1 WHERE id IN (old.list, new.list); END",
        "CREATE TRIGGER t AFTER INSERT ON item BEGIN UPDATE list SET touched = touched + 1 WHERE id = new.list; END",
        "CREATE TRIGGER t AFTER UPDATE ON list BEGIN UPDATE item SET list = new.id, touched = 7 WHERE list IN (old.id, new.id); END",
        "CREATE TRIGGER t AFTER UPDATE ON list BEGIN UPDATE item SET list = NULL WHERE list = new.id; END",
    ];
    let both = format!("{TOUCH_ITEMS}{TOUCH_NOTES}");
    let triggers = TRIGGERS.iter().copied().chain([both.as_str()]);
    let triggers: Vec<&str> = triggers.collect();
    // Each trigger meets each action under some of the settings.
    let round = Cell::new(0);
    everywhere(|settings| {
        round.set(round.get() + 1);
        for (place, trigger) in triggers.iter().enumerate() {
            let actions = ["", "ON UPDATE CASCADE", "ON UPDATE SET NULL"];
            let action = actions[(place + round.get()) % actions.len()];
            let server = Canned::start();
            let ddl = format!(
                    "CREATE TABLE list (id INTEGER PRIMARY KEY, x TEXT, touched INTEGER DEFAULT 0);
                     CREATE TABLE item (id INTEGER PRIMARY KEY, list INTEGER REFERENCES list (id) {action}, x TEXT,
                       touched INTEGER DEFAULT 0);
                     CREATE TABLE note (id INTEGER PRIMARY KEY, item TEXT REFERENCES item (id) {action}, x TEXT,
                       touched INTEGER DEFAULT 0)"
                );
            let options = json!({"idAs": "number"});
            let device =
                Device::configured(&ddl, &["note", "list", "item"], &server.url(), options);
            let context = format!("{action} {trigger} {settings}");
            pull(
                &server,
                json!({"list": {"created": [{"id": 5, "x": "known", "touched": 0}, {"id": 6, "x": "goes", "touched": 0}]}}),
            );
            device.synced();
            device.exec(trigger);
            device.exec(
                    "INSERT INTO list (id, x) VALUES (1, 'here');
                     INSERT INTO item (id, list, x) VALUES (1, 1, 'here'), (2, 5, 'known'), (3, 1, 'free');
                     INSERT INTO note (id, item, x) VALUES (1, 1, 'here'), (2, 2, 'known')",
                );
            // What the application's trigger has made of them before the sync.
            let before = "SELECT n.x, i.x, l.x, i.list FROM note AS n LEFT JOIN item AS i ON i.id = n.item \
                              LEFT JOIN list AS l ON l.id = i.list WHERE n.x <> 'there' ORDER BY n.x";
            assert_eq!(
                device.ask(before),
                "here|here|here|1\nknown|known|known|5",
                "{context}"
            );
            let there = |more: Value| {
                let mut row = json!({"id": 1, "x": "there", "touched": 0});
                row.as_object_mut()
                    .expect("a row")
                    .extend(more.as_object().cloned().unwrap_or_default());
                row
            };
            let two = json!({"id": 2, "x": "there", "item": "1", "touched": 0});
            let item = |id| json!({"id": id, "x": "also there", "list": 1, "touched": 0});
            pull(
                &server,
                json!({"list": {"created": [there(json!({}))], "deleted": [6]},
                        "item": {"created": [there(json!({"list": 1})), item(2), item(50)]},
                        "note": {"created": [there(json!({"item": "1"})), two]}}),
            );
            let answer = device.synced();
            assert_eq!(
                device.ask(&before.replace(", i.list", "")),
                "here|here|here\nknown|known|known",
                "{context} {answer}"
            );
            assert_eq!(
                device.ask(
                    "SELECT n.id, i.id, l.x FROM note AS n JOIN item AS i ON i.id = n.item \
                         JOIN list AS l ON l.id = i.list WHERE n.x = 'there' ORDER BY n.id"
                ),
                "1|1|there\n2|1|there",
                "{context}"
            );
            assert_eq!(
                    device.ask("SELECT i.x, l.x FROM item AS i LEFT JOIN list AS l ON l.id = i.list WHERE i.id IN (2, 3, 50)"),
                    "also there|there\nfree|here\nalso there|there",
                    "{context}"
                );
            // The server has heard the same.
            let pushes = server.pushed();
            let sent = |entity: &str, x: &str| {
                let mut rows = pushes
                    .iter()
                    .filter_map(|push| push[entity]["created"].as_array())
                    .flatten()
                    .filter(|row| row["x"] == x);
                let row = rows
                    .next()
                    .unwrap_or_else(|| panic!("{context} {pushes:?}"));
                assert!(rows.next().is_none(), "{context} {pushes:?}");
                row.clone()
            };
            for x in ["here", "known"] {
                let (note, item) = (sent("note", x), sent("item", x));
                assert_eq!(note["item"], item["id"].to_string(), "{context} {pushes:?}");
                let list = match x {
                    "here" => sent("list", x)["id"].clone(),
                    _ => json!(5),
                };
                assert_eq!(item["list"], list, "{context} {pushes:?}");
            }
            assert_eq!(device.ask("PRAGMA foreign_key_check"), "", "{context}");
            assert_eq!(device.pending(), "", "{context}");
        }
    });
}
