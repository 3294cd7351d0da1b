//! Rows that come again, from the beginning or from an earlier cursor, undo nothing that was done here.

use serde_json::{Value, json};
use support::{Canned, Device, json_answer};

const TABLE: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, s TEXT, n INTEGER)";

fn all() -> Value {
    json!([{"id": "a", "s": "there", "n": 1}, {"id": "b", "s": "there", "n": 2}, {"id": "c", "s": "there", "n": 3}])
}

fn answer(changes: Value, timestamp: i64) -> String {
    json!({"changes": changes, "timestamp": timestamp}).to_string()
}

/// The rows come again as created; `a` was deleted here, `b` edited, `c` is as it was.
fn nothing_is_undone(device: &Device, server: &Canned, options: &str, how: &str) {
    server.reset();
    for _ in 0..2 {
        server.pull(&answer(json!({"t": {"created": all()}}), 3000));
    }
    let answer = device.ask(&format!(
        "SELECT sync_entities('all', 'api', '[\"t\"]', '{options}')"
    ));
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["state"], "synced", "{how}: {answer}");
    assert_eq!(
        device.ask("SELECT id, s, n FROM t ORDER BY id"),
        "b|edited|2\nc|there|3",
        "{how}"
    );
    let pushed = &server.pushed()[0]["t"];
    assert_eq!(pushed["created"], json!([]), "{how}");
    assert_eq!(pushed["deleted"], json!(["a"]), "{how}");
    assert_eq!(
        pushed["updated"],
        json!([{"id": "b", "_status": "updated", "_changed": "s", "s": "edited", "n": 2}]),
        "{how}"
    );
    assert_eq!(device.pending(), "", "{how}");
    let revived =
        "SELECT count(*) FROM sync_conflict WHERE kind = 'deletedHere' AND resolved IS NOT NULL";
    assert_eq!(device.ask(revived), "0", "{how}");
}

const EDITS: &str = "DELETE FROM t WHERE id = 'a'; UPDATE t SET s = 'edited' WHERE id = 'b'";

#[test]
fn z1_a_pull_from_the_beginning_or_from_before_undoes_nothing() {
    for how in [
        "DELETE FROM _syncCursor",
        "UPDATE _syncCursor SET cursor = '1'",
        "UPDATE _syncCursor SET cursor = '\"other\"'",
        "UPDATE _syncCursor SET cursor = '1', reached = '1'; DELETE FROM _syncCursor; \
         DELETE FROM _syncPush; DELETE FROM _syncOutbox",
    ] {
        for recursive in ["ON", "OFF"] {
            let server = Canned::start();
            let device = Device::with(TABLE, &["t"], &server.url());
            server.pull(&answer(json!({"t": {"created": all()}}), 2000));
            device.synced();
            device.exec(&format!(
                "PRAGMA recursive_triggers = {recursive}; {EDITS}; {how}"
            ));
            nothing_is_undone(&device, &server, "{}", how);
        }
    }
}

#[test]
fn z1_a_server_whose_clock_went_back_undoes_nothing() {
    let server = Canned::start();
    let device = Device::with(TABLE, &["t"], &server.url());
    server.pull(&answer(json!({"t": {"created": all()}}), 2000));
    device.synced();
    server.pull(&answer(json!({}), 1000));
    device.synced();
    device.exec(EDITS);
    nothing_is_undone(&device, &server, "{}", "clock");
    // Past where it was, created is created again.
    device.exec("DELETE FROM t WHERE id = 'c'");
    server.reset();
    server.pull(&answer(
        json!({"t": {"created": [{"id": "c", "s": "new", "n": 1}]}}),
        4000,
    ));
    device.synced();
    assert_eq!(device.ask("SELECT s FROM t WHERE id = 'c'"), "new");
}

#[test]
fn z1_cursors_that_are_only_told_apart() {
    let server = Canned::start();
    let keys = json!({"cursorUnit": "opaque"});
    let device = Device::configured(TABLE, &["t"], &server.url(), keys);
    let mut page = json!({"changes": {"t": {"created": all()}}, "timestamp": "one"});
    server.pull(&page.to_string());
    device.synced();
    // Higher or lower means nothing: this is an ordinary pull.
    page["timestamp"] = json!("a");
    page["changes"] = json!({});
    server.pull(&page.to_string());
    device.synced();
    device.exec("DELETE FROM t WHERE id = 'c'");
    page["changes"] = json!({"t": {"created": [{"id": "c", "s": "new", "n": 1}]}});
    server.pull(&page.to_string());
    device.synced();
    assert_eq!(device.ask("SELECT s FROM t WHERE id = 'c'"), "new");
    device.exec(&format!(
        "UPDATE t SET s = 'there', n = 3 WHERE id = 'c'; {EDITS}; UPDATE _syncCursor SET cursor = '\"one\"'"
    ));
    server.reset();
    server.pull(&answer(json!({"t": {"created": all()}}), 3000));
    device.synced();
    assert_eq!(device.ask("SELECT group_concat(id, '') FROM t"), "bc");
    assert_eq!(server.pushed()[0]["t"]["deleted"], json!(["a"]));
}

#[test]
fn z1_rows_that_were_here_before_they_were_tracked() {
    for options in ["{}", r#"{"turbo":true}"#] {
        let server = Canned::start();
        let device = Device::with("CREATE TABLE u (id TEXT PRIMARY KEY)", &[], &server.url());
        device.exec(&format!(
            "{TABLE}; INSERT INTO t VALUES ('a', 'there', 1), ('b', 'there', 2), ('c', 'there', 3)"
        ));
        device.ask(r#"SELECT sync_track('t', '{"existing":"skip"}')"#);
        device.exec(EDITS);
        nothing_is_undone(&device, &server, options, options);
    }
}

#[test]
fn z1_an_overlap_and_a_migration_undo_nothing() {
    for keys in [
        json!({"overlap": 500}),
        json!({"cursorUnit": "s"}),
        json!({"schemaVersion": 2, "migrationsEnabledAtVersion": 1, "migrations": [{"toVersion": 2, "steps":
            [{"type": "add_columns", "table": "t", "columns": ["n"]}]}]}),
    ] {
        let server = Canned::start();
        let device = Device::configured(TABLE, &["t"], &server.url(), keys.clone());
        server.pull(&answer(json!({"t": {"created": all()}}), 2000));
        device.synced();
        if !keys["migrations"].is_null() {
            device.exec("UPDATE _syncCursor SET schemaVersion = 1");
        }
        device.exec(EDITS);
        nothing_is_undone(&device, &server, "{}", &keys.to_string());
    }
}

#[test]
fn z1_a_row_whose_creation_may_have_arrived_stays_deleted_too() {
    let server = Canned::start();
    let device = Device::with(TABLE, &["t"], &server.url());
    device.exec("INSERT INTO t VALUES ('a', 'x', 1)");
    server.push_raw(|_| Vec::new());
    device.failed();
    device.exec("DELETE FROM t; DELETE FROM _syncCursor");
    server.clear();
    // Somebody has changed it since.
    server.pull(&answer(
        json!({"t": {"created": [{"id": "a", "s": "theirs", "n": 1}]}}),
        3000,
    ));
    server.push_raw(|_| json_answer("{}"));
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM t"), "0");
    assert_eq!(server.pushed()[0]["t"]["deleted"], json!(["a"]));
}

/// The row comes as created, as all do; that it was edited there nobody can see.
#[test]
fn z1_what_a_row_deleted_here_has_in_a_pull_from_the_beginning_is_kept() {
    for recursive in ["ON", "OFF"] {
        let server = Canned::start();
        let device = Device::with(TABLE, &["t"], &server.url());
        server.pull(&answer(json!({"t": {"created": all()}}), 2000));
        device.synced();
        device.exec(&format!(
            "PRAGMA recursive_triggers = {recursive}; DELETE FROM t WHERE id = 'a'; DELETE FROM _syncCursor"
        ));
        let there = json!([{"id": "a", "s": "precious", "n": 1}, {"id": "b", "s": "there", "n": 2},
            {"id": "c", "s": "there", "n": 3}]);
        server.reset();
        for _ in 0..2 {
            server.pull(&answer(json!({"t": {"created": there}}), 3000));
        }
        let answer = device.synced();
        assert_eq!(server.pushed()[0]["t"]["deleted"], json!(["a"]));
        assert_eq!(
            device.ask("SELECT kind, rowKey, remote FROM sync_conflict"),
            r#"deletedHere|a|{"id":"a","s":"precious","n":1}"#,
            "{recursive}"
        );
        assert_eq!(answer["operations"][0]["conflicts"], 1, "{answer}");
    }
}
