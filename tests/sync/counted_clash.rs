//! Counted keys and UNIQUE values: rows made on two devices with the same number, the same value, or both.

use serde_json::{Value, json};
use support::{Canned, Device, everywhere};

use super::pull;

const CLASHES: [&str; 3] = ["hold", "adopt", "serverWins"];

const TAG: &str = "CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
    CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, tag INTEGER REFERENCES tag (id), x TEXT);";

/// `clash` is said of each table.
fn device(server: &Canned, ddl: &str, tables: &[&str], clash: &str) -> Device {
    let clashes: Value = tables
        .iter()
        .map(|table| ((*table).to_owned(), json!(clash)))
        .collect();
    let options = json!({"idAs": "number", "onClash": clashes});
    Device::configured(ddl, tables, &server.url(), options)
}

/// A settings row, a default category: both the number and the value are the same.
#[test]
fn t3_h6_the_same_number_and_the_same_value_never_stop_a_sync() {
    everywhere(|settings| {
        for clash in CLASHES {
            let server = Canned::start();
            let ddl = format!("{TAG} CREATE TABLE other (id TEXT PRIMARY KEY NOT NULL, x TEXT)");
            let device = device(&server, &ddl, &["tag", "item", "other"], clash);
            let context = format!("{clash} {settings}");
            device.exec(
                "INSERT INTO tag VALUES (1, 'inbox'); INSERT INTO item VALUES ('b', 1, 'mine')",
            );
            pull(
                &server,
                json!({"tag": {"created": [{"id": 1, "name": "inbox"}]},
                    "item": {"created": [{"id": "a", "tag": 1, "x": "theirs"}]},
                    "other": {"created": [{"id": "o", "x": "comes"}]}}),
            );
            device.synced();
            assert_eq!(device.ask("SELECT x FROM other"), "comes", "{context}");
            let (tags, items, held) = match clash {
                "hold" => ("2|inbox", "b|2", "tag|1|unique|2"),
                _ => ("1|inbox", "a|1\nb|1", ""),
            };
            let item = "SELECT id, tag FROM item WHERE id = 'b' OR tag IN (SELECT id FROM tag) ORDER BY id";
            assert_eq!(device.ask("SELECT id, name FROM tag"), tags, "{context}");
            assert_eq!(device.ask(item), items, "{context}");
            let found =
                "SELECT entity, key, reason, clashesWith FROM sync_held WHERE entity = 'tag'";
            assert_eq!(device.ask(found), held, "{context}");
            for _ in 0..2 {
                server.reset();
                device.synced();
                assert_eq!(device.pending(), "", "{context}");
                assert_eq!(device.ask(found), held, "{context}");
            }
            if clash == "hold" {
                // The other one comes when the value is free.
                device.exec("UPDATE tag SET name = 'mine'");
                device.synced();
                assert_eq!(
                    device.ask("SELECT id, name FROM tag"),
                    "1|inbox\n2|mine",
                    "{context}"
                );
                assert_eq!(
                    device.ask("SELECT id, tag FROM item ORDER BY id"),
                    "a|1\nb|2",
                    "{context}"
                );
                assert_eq!(
                    device.ask("SELECT count(*) FROM sync_held"),
                    "0",
                    "{context}"
                );
            }
        }
    });
}

/// What is `a` here under one number is `a` there under another, whose number is taken here by something else.
#[test]
fn t3_h6_values_that_cross_their_numbers_never_stop_a_sync() {
    everywhere(|settings| {
        // What was made here, what was made there, and what is here at the end where the row made here becomes the other.
        for (ours, theirs, end) in [
            (&["b", "a"][..], &["a", "b"][..], "1|a\n2|b"),
            (&["c", "a", "b"], &["a", "b", "c"], "1|a\n2|b\n3|c"),
            (&["b", "c"], &["a", "b"], "1|a\n2|b\n3|c"),
            (&["z", "a"], &["a"], "1|a\n3|z"),
            (&["z", "a", "y"], &["a", "q"], "1|a\n2|q\n3|y\n4|z"),
        ] {
            for clash in CLASHES {
                let server = Canned::start();
                let device = device(&server, TAG, &["tag", "item"], clash);
                let context = format!("{ours:?} {theirs:?} {clash} {settings}");
                for (number, name) in (1..).zip(ours) {
                    device.exec(&format!(
                        "INSERT INTO tag VALUES ({number}, '{name}');
                         INSERT INTO item VALUES ('of {name}', {number}, 'mine')"
                    ));
                }
                let created: Vec<Value> = (1..)
                    .zip(theirs)
                    .map(|(number, name)| json!({"id": number, "name": name}))
                    .collect();
                pull(&server, json!({"tag": {"created": created}}));
                device.synced();
                if clash != "hold" {
                    let tags = device.ask("SELECT id, name FROM tag ORDER BY id");
                    assert_eq!(tags, end, "{context}");
                }
                // What refers to a row made here still does.
                let astray = "SELECT item.id, name FROM item LEFT JOIN tag ON tag.id = tag WHERE item.id IS NOT 'of ' || name";
                assert_eq!(device.ask(astray), "", "{context}");
                for _ in 0..2 {
                    server.reset();
                    device.synced();
                    assert_eq!(device.pending(), "", "{context}");
                    assert_eq!(device.ask(astray), "", "{context}");
                }
                assert_eq!(device.ask("PRAGMA foreign_key_check"), "", "{context}");
            }
        }
    });
}

/// Each order has a first line: after one has another number they have nothing in common.
#[test]
fn t3_h6_a_value_with_a_reference_is_judged_by_the_new_number() {
    everywhere(|settings| {
        for clash in CLASHES {
            for tables in [["ord", "line"], ["line", "ord"]] {
                let server = Canned::start();
                let ddl = "CREATE TABLE ord (id INTEGER PRIMARY KEY, name TEXT);
                    CREATE TABLE line (id INTEGER PRIMARY KEY, ord INTEGER NOT NULL REFERENCES ord (id), pos INTEGER,
                      x TEXT, UNIQUE (ord, pos))";
                let device = device(&server, ddl, &tables, clash);
                let context = format!("{clash} {tables:?} {settings}");
                device.exec(
                    "INSERT INTO ord VALUES (1, 'mine'); INSERT INTO line VALUES (1, 1, 1, 'mine')",
                );
                pull(
                    &server,
                    json!({"ord": {"created": [{"id": 1, "name": "theirs"}]},
                        "line": {"created": [{"id": 1, "ord": 1, "pos": 1, "x": "theirs"}]}}),
                );
                device.synced();
                assert_eq!(
                    device.ask("SELECT id, ord, pos, x FROM line ORDER BY id"),
                    "1|1|1|theirs\n2|2|1|mine",
                    "{context}"
                );
                let push = &server.pushed()[0];
                let line = json!([{"id": 2, "ord": 2, "pos": 1, "x": "mine", "_status": "created", "_changed": ""}]);
                assert_eq!(push["line"]["created"], line, "{context} {push}");
                assert_eq!(push["line"]["updated"], json!([]), "{context} {push}");
                assert_eq!(device.pending(), "", "{context}");
            }
        }
    });
}
