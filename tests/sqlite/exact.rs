//! F6: every value as it is.

use rusqlite::params;
use rusqlite::types::Value;
use serde_json::json;
use support::ask;

use super::Folder;

const ANY: &str =
    "CREATE TABLE notes (id TEXT PRIMARY KEY NOT NULL, v, t TEXT, r REAL, i INTEGER, b BLOB);";
const SHOWN: &str = "SELECT id, quote(v), typeof(v), hex(t), typeof(t), quote(r), typeof(r), i, hex(b), typeof(b) FROM notes ORDER BY id";

#[test]
fn f6_values_move_as_they_are_in_both_directions() {
    let values = [
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Integer(9_007_199_254_740_993),
        Value::Real(f64::INFINITY),
        Value::Real(f64::NEG_INFINITY),
        Value::Real(1.0),
        Value::Real(5e-324),
        Value::Real(0.1 + 0.2),
        Value::Text(String::new()),
        Value::Text("a\0b".into()),
        Value::Text("0123".into()),
        Value::Text("{\"a\": [1]}".into()),
        Value::Text("ü\u{1f600}\n'\"".into()),
        Value::Blob(Vec::new()),
        Value::Blob((0..=255).collect()),
    ];
    let folder = Folder::new();
    let hub = folder.made("hub.db", ANY);
    let device = folder.device("a.db", ANY, "hub.db", json!({}));
    let insert = |db: &rusqlite::Connection, id: String, value: &Value| {
        let real = match value {
            Value::Real(real) => Some(*real),
            _ => None,
        };
        let text = match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        let (whole, blob) = match value {
            Value::Integer(number) => (Some(*number), None),
            Value::Blob(bytes) => (None, Some(bytes.clone())),
            _ => (None, None),
        };
        db.execute(
            "INSERT INTO notes VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id, value, text, real, whole, blob],
        )
        .expect("a row");
    };
    for (place, value) in values.iter().enumerate() {
        insert(&hub, format!("h{place:02}"), value);
        insert(&device.db, format!("d{place:02}"), value);
    }
    let answer = device.synced();
    assert_eq!(
        (&answer["inserted"], &answer["pushed"]),
        (&json!(values.len()), &json!(values.len())),
        "{answer}"
    );
    assert_eq!(ask(&hub, SHOWN), device.ask(SHOWN));
    let here = device.ask("SELECT quote(v), typeof(v) FROM notes WHERE id GLOB 'h*' ORDER BY id");
    let there = device.ask("SELECT quote(v), typeof(v) FROM notes WHERE id GLOB 'd*' ORDER BY id");
    assert_eq!(here, there);
    assert_eq!(
        device.ask("SELECT count(*) FROM notes WHERE r = 9e999 OR r = -9e999"),
        "4"
    );
    // The same as updates.
    for (place, value) in values.iter().enumerate() {
        let other = &values[values.len() - 1 - place];
        hub.execute(
            "UPDATE notes SET v = ?1 WHERE id = ?2",
            params![other, format!("h{place:02}")],
        )
        .expect("an edit");
        device
            .db
            .execute(
                "UPDATE notes SET v = ?1 WHERE id = ?2",
                params![value, format!("h{place:02}")],
            )
            .expect("an edit");
        device
            .db
            .execute(
                "UPDATE notes SET v = ?1 WHERE id = ?2",
                params![other, format!("d{place:02}")],
            )
            .expect("an edit");
    }
    device.synced();
    device.synced();
    assert_eq!(ask(&hub, SHOWN), device.ask(SHOWN));
    assert_eq!(device.pending(), "");
    let check = device.ask("SELECT sync_check('hub')");
    assert!(check.contains(r#""differing":0"#), "{check}");
}

#[test]
fn f6_files_of_other_page_size_and_encoding() {
    let folder = Folder::new();
    let hub = folder.made(
        "hub.db",
        &format!("PRAGMA page_size = 512; PRAGMA encoding = 'UTF-16le'; {ANY}"),
    );
    hub.execute_batch("INSERT INTO notes (id, t) VALUES ('ä', 'ö\u{1f600}')")
        .expect("a row");
    let device = folder.device("a.db", ANY, "hub.db", json!({}));
    device.exec("INSERT INTO notes (id, t) VALUES ('ü', 'ß')");
    device.synced();
    assert_eq!(
        ask(&hub, "SELECT id, t FROM notes ORDER BY id"),
        "ä|ö\u{1f600}\nü|ß"
    );
    assert_eq!(
        device.ask("SELECT id, t FROM notes ORDER BY id"),
        "ä|ö\u{1f600}\nü|ß"
    );
    assert_eq!(device.ask("SELECT page_size FROM pragma_page_size"), "4096");
}
