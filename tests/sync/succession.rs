//! A row goes, and another takes over the value by which others refer to it: nothing dangles.

use serde_json::json;
use support::{Canned, Device, enforced};

use super::pull;

const ACTIONS: &[&str] = &[
    "ON DELETE CASCADE",
    "ON DELETE SET NULL",
    "ON DELETE SET DEFAULT",
    "ON DELETE RESTRICT",
    "",
];

/// Derived tables and stamps must not notice it.
const TRIGGERS: &[&str] = &[
    "",
    "CREATE TABLE seen (what TEXT);
     CREATE TRIGGER seen_d AFTER DELETE ON child BEGIN INSERT INTO seen VALUES ('gone ' || OLD.id); END;
     CREATE TRIGGER seen_u AFTER UPDATE ON child BEGIN INSERT INTO seen VALUES ('other ' || NEW.id); END;",
];

fn families(test: impl Fn(&str, &str, &str)) {
    for action in ACTIONS {
        for triggers in TRIGGERS {
            enforced(|settings| test(action, triggers, &format!("{action} {triggers} {settings}")));
        }
    }
}

fn unchanged(device: &Device, triggers: &str, what: &str) {
    assert_eq!(
        device.ask("SELECT * FROM child ORDER BY id"),
        "c|A|there\nd|A|mine\ne|B|there",
        "{what}"
    );
    if !triggers.is_empty() {
        assert_eq!(device.ask("SELECT count(*) FROM seen"), "1", "{what}");
    }
    assert_eq!(device.ask("SELECT count(*) FROM sync_aside"), "0", "{what}");
    assert_eq!(
        device.ask("SELECT count(*) FROM sync_conflict"),
        "0",
        "{what}"
    );
    assert_eq!(device.ask("SELECT count(*) FROM sync_held"), "0", "{what}");
}

#[test]
fn h8_rows_stay_that_refer_to_a_unique_value_which_another_row_takes_over() {
    families(|action, triggers, what| {
        for apart in [false, true] {
            let ddl = format!(
                "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, code TEXT UNIQUE, x TEXT);
                 CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL,
                   code TEXT REFERENCES parent (code) ON UPDATE CASCADE {action}, x TEXT);{triggers}"
            );
            let server = Canned::start();
            let device = Device::with(&ddl, &["parent", "child"], &server.url());
            pull(
                &server,
                json!({"parent": {"created": [{"id": "1", "code": "A", "x": ""}, {"id": "2", "code": "B", "x": ""}]},
                    "child": {"created": [{"id": "c", "code": "A", "x": "there"}, {"id": "d", "code": "A", "x": "there"},
                        {"id": "e", "code": "B", "x": "there"}]}}),
            );
            device.synced();
            device.exec("UPDATE child SET x = 'mine' WHERE id = 'd'");
            if apart {
                // A later answer of the same sync is about the children, so the delete waits for that.
                device.exec("DELETE FROM _syncCursor WHERE entity = 'parent'");
            }
            pull(
                &server,
                json!({"parent": {"created": [{"id": "3", "code": "A", "x": "new"}, {"id": "2", "code": "B", "x": ""}],
                    "deleted": ["1"]}}),
            );
            device.synced();
            assert_eq!(
                device.ask("SELECT id, code FROM parent ORDER BY id"),
                "2|B\n3|A",
                "{what} {apart}"
            );
            unchanged(&device, triggers, &format!("{what} {apart}"));
            let push = &server.pushed()[0];
            assert_eq!(push["child"]["updated"][0]["code"], "A", "{what}");
            assert_eq!(push["child"]["deleted"], json!([]), "{what}");
            assert_eq!(
                (device.pending(), device.log()),
                (String::new(), "0".into())
            );
        }
    });
}

#[test]
fn h8_rows_stay_that_refer_to_a_key_which_is_only_spelled_otherwise() {
    families(|action, triggers, what| {
        let ddl = format!(
            "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL COLLATE NOCASE, x TEXT);
             CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL,
               parent TEXT REFERENCES parent ON UPDATE CASCADE {action}, x TEXT);{triggers}"
        );
        let server = Canned::start();
        let device = Device::with(&ddl, &["parent", "child"], &server.url());
        pull(
            &server,
            json!({"parent": {"created": [{"id": "a", "x": ""}, {"id": "B", "x": ""}]},
                "child": {"created": [{"id": "c", "parent": "A", "x": "there"}, {"id": "d", "parent": "A", "x": "there"},
                    {"id": "e", "parent": "B", "x": "there"}]}}),
        );
        device.synced();
        device.exec("UPDATE child SET x = 'mine' WHERE id = 'd'");
        pull(
            &server,
            json!({"parent": {"created": [{"id": "A", "x": "new"}], "deleted": ["a"]}}),
        );
        device.synced();
        assert_eq!(
            device.ask("SELECT id FROM parent ORDER BY 1"),
            "A\nB",
            "{what}"
        );
        unchanged(&device, triggers, what);
        assert_eq!(
            (device.pending(), device.log()),
            (String::new(), "0".into())
        );
    });
}

/// The value is another's in the end, but not that of every column by which others refer to the row.
#[test]
fn h8_what_refers_to_the_row_itself_goes_with_it() {
    let ddl = "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, code TEXT UNIQUE);
        CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL, code TEXT REFERENCES parent (code) ON DELETE CASCADE,
          parent TEXT REFERENCES parent ON DELETE CASCADE);";
    let server = Canned::start();
    let device = Device::with(ddl, &["parent", "child"], &server.url());
    device.exec("PRAGMA foreign_keys = ON");
    pull(
        &server,
        json!({"parent": {"created": [{"id": "1", "code": "A"}, {"id": "2", "code": "B"}]},
            "child": {"created": [{"id": "goes", "code": "A", "parent": "1"}, {"id": "stays", "code": "A", "parent": "2"}]}}),
    );
    device.synced();
    pull(
        &server,
        json!({"parent": {"created": [{"id": "3", "code": "A"}], "deleted": ["1"]}}),
    );
    let answer = device.synced();
    assert_eq!(device.ask("SELECT * FROM child"), "stays|A|2");
    assert_eq!(answer["warnings"][0]["code"], "goneAlong", "{answer}");
    assert_eq!(answer["warnings"][0]["count"], 1);
}

/// What can't be put out of the way goes with the row, as ever, and is told of.
#[test]
fn h8_a_reference_that_can_not_be_put_aside_is_not_lost_in_silence() {
    for (check, triggers) in [
        ("CHECK (code IN ('A', 'B'))", ""),
        (
            "",
            "CREATE TEMP TRIGGER watch AFTER UPDATE ON main.child BEGIN SELECT 1; END;",
        ),
    ] {
        let ddl = format!(
            "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, code TEXT UNIQUE);
             CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL,
               code TEXT REFERENCES parent (code) ON DELETE CASCADE {check});{triggers}"
        );
        let server = Canned::start();
        let device = Device::with(&ddl, &["parent", "child"], &server.url());
        device.exec("PRAGMA foreign_keys = ON");
        pull(
            &server,
            json!({"parent": {"created": [{"id": "1", "code": "A"}]}, "child": {"created": [{"id": "c", "code": "A"}]}}),
        );
        device.synced();
        pull(
            &server,
            json!({"parent": {"created": [{"id": "3", "code": "A"}], "deleted": ["1"]}}),
        );
        let answer = device.synced();
        assert_eq!(answer["warnings"][0]["code"], "goneAlong", "{answer}");
        pull(
            &server,
            json!({"child": {"created": [{"id": "c", "code": "A"}]}}),
        );
        device.synced();
        assert_eq!(
            device.ask("SELECT * FROM child"),
            "c|A",
            "{check}{triggers}"
        );
    }
}
