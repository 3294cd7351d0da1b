//! Rows that come, or go, and that a trigger of the application deletes, renames or puts back: what it does is an edit of
//! this device, what the answer has done is none.

use serde_json::{Value, json};
use support::{Canned, Device, everywhere};

use super::pull;

fn lost(answer: &Value) -> Vec<i64> {
    let warnings = answer["warnings"].as_array().into_iter().flatten();
    let lost = warnings.filter(|warning| warning["code"] == "deletedByTrigger");
    lost.filter_map(|warning| warning["count"].as_i64())
        .collect()
}

const RING: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x INTEGER);
    CREATE TRIGGER ring AFTER INSERT ON t BEGIN
      DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY x DESC LIMIT -1 OFFSET 3); END;";

#[test]
fn t2_a_row_that_comes_and_that_a_trigger_deletes_is_deleted_there() {
    everywhere(|settings| {
        let server = Canned::start();
        let device = Device::with(RING, &["t"], &server.url());
        device.exec(settings);
        let rows: Vec<Value> = (0..5)
            .map(|n| json!({"id": format!("k{n}"), "x": n}))
            .collect();
        pull(&server, json!({"t": {"created": rows}}));
        let answer = device.synced();
        assert_eq!(device.ask("SELECT id FROM t ORDER BY id"), "k2\nk3\nk4");
        assert_eq!(lost(&answer), [2], "{settings} {answer}");
        let sent = json!({"created": [], "updated": [], "deleted": ["k0", "k1"]});
        assert_eq!(server.pushed()[0]["t"], sent, "{settings}");
        // One that was here, and comes again in the answer that makes it go.
        server.reset();
        pull(
            &server,
            json!({"t": {"created": [{"id": "k9", "x": 9}], "updated": [{"id": "k2", "x": -2}]}}),
        );
        let answer = device.synced();
        assert_eq!(lost(&answer), [1], "{settings} {answer}");
        assert_eq!(server.pushed()[0]["t"]["deleted"], json!(["k2"]));
        assert_eq!(
            (device.pending(), device.log()),
            (String::new(), "0".into())
        );
    });
}

#[test]
fn t2_a_row_that_comes_and_that_a_trigger_gives_another_key_is_not_there_twice() {
    let ddl = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x TEXT);
        CREATE TRIGGER low AFTER INSERT ON t WHEN NEW.id <> lower(NEW.id) BEGIN
          UPDATE t SET id = lower(id) WHERE id = NEW.id; END;";
    everywhere(|settings| {
        let server = Canned::start();
        let device = Device::with(ddl, &["t"], &server.url());
        device.exec(settings);
        pull(
            &server,
            json!({"t": {"created": [{"id": "AbC", "x": "1"}, {"id": "d", "x": "2"}]}}),
        );
        let answer = device.synced();
        assert_eq!(lost(&answer), [1], "{settings} {answer}");
        let sent = &server.pushed()[0]["t"];
        assert_eq!(sent["deleted"], json!(["AbC"]), "{settings}");
        assert_eq!(sent["updated"], json!([]), "{settings}");
        assert_eq!(
            (&sent["created"][0]["id"], &sent["created"][0]["x"]),
            (&json!("abc"), &json!("1"))
        );
        assert_eq!(device.log(), "0", "{settings}");
    });
}

#[test]
fn t2_a_row_deleted_there_that_a_trigger_puts_back_is_one_made_here() {
    let ddl = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x TEXT);
        CREATE TRIGGER keep AFTER DELETE ON t WHEN OLD.x = 'keep' BEGIN INSERT INTO t VALUES (OLD.id, OLD.x); END;";
    everywhere(|settings| {
        let server = Canned::start();
        let device = Device::with(ddl, &["t"], &server.url());
        device.exec(settings);
        pull(
            &server,
            json!({"t": {"created": [{"id": "a", "x": "keep"}, {"id": "b", "x": "1"}]}}),
        );
        device.synced();
        pull(&server, json!({"t": {"deleted": ["a", "b"]}}));
        let answer = device.synced();
        assert_eq!(lost(&answer), [0_i64; 0], "{settings}");
        assert_eq!(device.ask("SELECT * FROM t"), "a|keep", "{settings}");
        let sent = &server.pushed()[0]["t"];
        assert_eq!(sent["created"][0]["id"], "a", "{settings}");
        assert_eq!(
            (&sent["updated"], &sent["deleted"]),
            (&json!([]), &json!([])),
            "{settings}"
        );
        assert_eq!(device.log(), "0", "{settings}");
    });
}

/// A child comes in the answer that deletes its parent: nobody has deleted it here.
#[test]
fn t2_a_row_that_comes_and_goes_with_its_parent_is_not_deleted_there() {
    for (rule, trigger) in [
        ("", ""),
        (
            "",
            "CREATE TRIGGER noise AFTER INSERT ON child BEGIN SELECT 1; END;",
        ),
        // A reason to look at what became of each row.
        ("ON UPDATE CASCADE", ""),
    ] {
        let ddl = format!(
            "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, code TEXT UNIQUE);
             CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent ON DELETE CASCADE,
               code TEXT REFERENCES parent (code) {rule});{trigger}"
        );
        let server = Canned::start();
        let device = Device::with(&ddl, &["parent", "child"], &server.url());
        device.exec("PRAGMA foreign_keys = ON");
        pull(
            &server,
            json!({"parent": {"created": [{"id": "p", "code": "A"}]}}),
        );
        device.synced();
        pull(
            &server,
            json!({"child": {"created": [{"id": "c", "parent": "p"}]}, "parent": {"deleted": ["p"]}}),
        );
        let answer = device.synced();
        assert_eq!(lost(&answer), [0_i64; 0], "{rule}{trigger} {answer}");
        let left = (device.pending(), device.log());
        assert_eq!(left, (String::new(), "0".into()), "{rule}{trigger}");
        assert!(server.pushed().is_empty(), "{rule}{trigger}");
    }
}
