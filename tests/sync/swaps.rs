//! UNIQUE values that move between the rows of one answer, in tables where that is not easy.

use serde_json::{Value, json};
use support::{Canned, Device, closing};

/// A device with two rows, whose places are about to be swapped.
fn swapping(schema: &str) -> (Canned, Device) {
    let server = Canned::start();
    let device = Device::with(schema, &["item"], &server.url());
    server.changes(json!({"item": {"created": places([1, 2])}}));
    device.synced();
    server.changes(json!({"item": {"updated": places([2, 1])}}));
    (server, device)
}

fn places([one, other]: [i64; 2]) -> Value {
    json!([{"id": "a", "place": one}, {"id": "b", "place": other}])
}

fn swapped(device: &Device) -> String {
    let answer = device.synced();
    assert_eq!(answer["updated"], 2, "{answer}");
    assert_eq!(
        (device.pending().as_str(), device.log().as_str()),
        ("", "0")
    );
    device.ask("SELECT id, place FROM item ORDER BY id")
}

/// No value can be lent to such a column while its row waits.
#[test]
fn values_that_a_check_confines_are_swapped() {
    let (_server, device) = swapping(
        "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, place INTEGER NOT NULL UNIQUE CHECK (place IN (1, 2)))",
    );
    assert_eq!(swapped(&device), "a|2\nb|1");
}

#[test]
fn rows_that_swap_keep_their_rowid_and_what_is_not_synced() {
    let schema = "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, place INTEGER NOT NULL UNIQUE, mine TEXT, \
                  twice INTEGER AS (place * 2) STORED)";
    let (_server, device) = swapping(schema);
    device.ask(r#"SELECT sync_track('item', '{"exclude":["mine"]}')"#);
    device.exec("UPDATE item SET mine = 'note ' || id; UPDATE item SET rowid = rowid + 40");
    let before = device.ask("SELECT id, rowid, mine FROM item ORDER BY id");
    assert_eq!(swapped(&device), "a|2\nb|1");
    let after = device.ask("SELECT id, rowid, mine FROM item ORDER BY id");
    assert_eq!(after, before);
    assert_eq!(device.ask("SELECT twice FROM item ORDER BY id"), "4\n2");
}

#[test]
fn rows_that_swap_stay_where_others_refer_to_them() {
    for action in ["RESTRICT", "NO ACTION", "CASCADE", "SET NULL"] {
        let (_server, device) = swapping(&format!(
            "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, place INTEGER NOT NULL UNIQUE);
             CREATE TABLE part (id INTEGER PRIMARY KEY, item TEXT REFERENCES item (id) ON DELETE {action});"
        ));
        device.exec("PRAGMA foreign_keys = ON; INSERT INTO part VALUES (1, 'a'), (2, 'b')");
        assert_eq!(swapped(&device), "a|2\nb|1", "{action}");
        let parts = device.ask("SELECT item FROM part ORDER BY id");
        assert_eq!(parts, "a\nb", "{action}");
    }
}

/// Where triggers of the application fire, a swap is a series of updates, never a delete.
#[test]
fn triggers_see_no_delete_when_rows_swap() {
    let (_server, device) = swapping(
        "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, place INTEGER NOT NULL UNIQUE);
         CREATE TABLE seen (what TEXT);
         CREATE TRIGGER gone AFTER DELETE ON item BEGIN INSERT INTO seen VALUES ('delete'); END;",
    );
    assert_eq!(swapped(&device), "a|2\nb|1");
    assert_eq!(device.ask("SELECT count(*) FROM seen"), "0");
}

#[test]
fn edits_that_wait_survive_a_swap_and_a_clash_that_stays_is_held() {
    let schema = "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, place INTEGER NOT NULL UNIQUE CHECK (place > 0), \
                  note TEXT)";
    let (server, device) = swapping(schema);
    device.exec("UPDATE item SET note = 'mine' WHERE id = 'a'");
    let answer = device.synced();
    assert_eq!(answer["updated"], 2, "{answer}");
    assert_eq!(server.pushed()[0]["item"]["updated"][0]["note"], "mine");
    device.exec("INSERT INTO item VALUES ('c', 3, NULL)");
    device.synced();
    server
        .changes(json!({"item": {"updated": [{"id": "a", "place": 1}, {"id": "b", "place": 3}]}}));
    device.synced();
    let held = device.ask("SELECT key, reason, clashesWith FROM sync_held ORDER BY key");
    assert_eq!(held, "a|unique|b\nb|unique|c");
    let rows = "SELECT id, place FROM item ORDER BY id";
    assert_eq!(device.ask(rows), "a|2\nb|1\nc|3", "as they were");
    device.exec("UPDATE item SET place = 9 WHERE id = 'c'");
    device.synced();
    assert_eq!(device.ask(rows), "a|1\nb|3\nc|9", "a circle that opens");
}

/// What shows that a push without an answer has arrived settles it, also where its rows must wait for each other.
#[test]
fn rows_that_swap_settle_a_push_that_has_arrived() {
    let server = Canned::start();
    let schema =
        "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, note TEXT, updated_at INTEGER UNIQUE)";
    let device = Device::with(schema, &["item"], &server.url());
    let row = |id: &str, at: i64| json!({"id": id, "note": "mine", "updated_at": at});
    server.changes(json!({"item": {"created": [row("a", 1), row("b", 2)]}}));
    device.synced();
    device.exec("UPDATE item SET note = 'ours'; UPDATE item SET note = 'mine'");
    server.push_raw(|_| closing("{", 100));
    device.failed();
    assert_eq!(device.ask("SELECT count(*) FROM sync_pending"), "2");
    server.clear();
    server.changes(json!({"item": {"updated": [row("a", 2), row("b", 1)]}}));
    device.synced();
    assert_eq!(server.pushed(), Vec::<Value>::new());
    assert_eq!(
        device.ask("SELECT id, updated_at FROM item ORDER BY id"),
        "a|2\nb|1"
    );
    assert_eq!(device.log(), "0");
}

/// Columns that rows can swap, and the values of two rows.
const SWAPPED: &[(&str, [&str; 2])] = &[
    ("place TEXT NOT NULL UNIQUE", ["A", "B"]),
    ("place TEXT UNIQUE CHECK (length(place) < 8)", ["A", "B"]),
    (
        "place TEXT NOT NULL UNIQUE CHECK (place IN ('A', 'B'))",
        ["A", "B"],
    ),
    ("place TEXT, low TEXT AS (lower(place)) UNIQUE", ["A", "B"]),
    (
        "place TEXT NOT NULL, low TEXT NOT NULL AS (lower(place)) STORED UNIQUE",
        ["A", "B"],
    ),
    (
        "place INTEGER NOT NULL UNIQUE CHECK (place >= 0)",
        ["1", "2"],
    ),
];

/// Triggers of the application see the values that rows had and have, nothing in between, and change nothing in how a swap
/// ends.
#[test]
fn t1_h2_triggers_see_only_what_somebody_wrote_when_rows_swap() {
    for (column, [one, two]) in SWAPPED {
        for trigger in [
            "",
            "CREATE TABLE seen (id TEXT, was, is_now);
             CREATE TRIGGER seen AFTER UPDATE OF place ON item BEGIN
               INSERT INTO seen VALUES (OLD.id, OLD.place, NEW.place);
               UPDATE item SET at = 'here' WHERE id = NEW.id; END;",
        ] {
            let server = Canned::start();
            let ddl = format!(
                "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, {column}, at TEXT);
                 CREATE UNIQUE INDEX apart ON item (place || 'x');{trigger}"
            );
            let device = Device::with(&ddl, &["item"], &server.url());
            let value = |text: &str| {
                text.parse()
                    .map_or(json!(text), |number: i64| json!(number))
            };
            let row =
                |id: &str, place: &str| json!({"id": id, "place": value(place), "at": "there"});
            server.changes(json!({"item": {"created": [row("a", one), row("b", two)]}}));
            device.synced();
            server.changes(json!({"item": {"updated": [row("a", two), row("b", one)]}}));
            let answer = device.synced();
            assert_eq!(answer["updated"], 2, "{answer} {column}");
            assert_eq!(
                device.ask("SELECT id, place, at FROM item ORDER BY id"),
                format!("a|{two}|there\nb|{one}|there"),
                "{column} {trigger}"
            );
            assert_eq!(
                device.ask("SELECT count(*) FROM sync_held"),
                "0",
                "{column}"
            );
            assert_eq!(device.log(), "0", "{column}");
            if !trigger.is_empty() {
                assert_eq!(
                    device.ask("SELECT * FROM seen"),
                    format!("a|{one}|{two}\nb|{two}|{one}"),
                    "{column}"
                );
            }
            // The constraints count again.
            let broken = device.ask("PRAGMA ignore_check_constraints");
            assert_eq!(broken, "0", "{column}");
        }
    }
}

/// Two rows of one answer want one value: that is no circle, whatever the order.
#[test]
fn h1_of_rows_that_want_one_value_in_a_circle_one_is_held() {
    for trigger in [
        "",
        "CREATE TRIGGER t AFTER UPDATE ON item BEGIN SELECT 1; END;",
    ] {
        let (server, device) = swapping(&format!(
            "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, place INTEGER UNIQUE);{trigger}"
        ));
        device.synced();
        server.changes(json!({"item": {"updated":
            [{"id": "a", "place": 1}, {"id": "b", "place": 2}, {"id": "c", "place": 2}]}}));
        device.synced();
        assert_eq!(
            device.ask("SELECT id, place FROM item ORDER BY id"),
            "a|1\nb|2",
            "{trigger}"
        );
        assert_eq!(
            device.ask("SELECT key, reason, clashesWith FROM sync_held"),
            "c|unique|b",
            "{trigger}"
        );
        assert_eq!(device.log(), "0");
    }
}

/// A whole list moves on by one place, and its end comes to its beginning.
#[test]
fn h2_a_long_list_is_reordered_in_one_answer() {
    for trigger in [
        "",
        "CREATE TRIGGER t AFTER UPDATE ON item WHEN OLD.place < 0 OR NEW.place < 0 BEGIN SELECT RAISE(ABORT, 'never'); END;",
    ] {
        let server = Canned::start();
        let ddl = format!(
            "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, place INTEGER NOT NULL UNIQUE);{trigger}"
        );
        let device = Device::with(&ddl, &["item"], &server.url());
        let list = |by: i64| -> Value {
            let place = |n: i64| json!({"id": format!("{n:03}"), "place": (n + by) % 300});
            (0..300).map(place).collect()
        };
        server.changes(json!({"item": {"created": list(0)}}));
        device.synced();
        server.changes(json!({"item": {"updated": list(1)}}));
        device.synced();
        let wrong = "SELECT count(*) FROM item WHERE place <> (CAST(id AS INTEGER) + 1) % 300";
        assert_eq!(device.ask(wrong), "0");
        assert_eq!(device.log(), "0");
    }
}
