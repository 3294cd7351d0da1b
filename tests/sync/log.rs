//! `sync_log`: what happened in each run, with values masked, and bounded.

use serde_json::{Value, json};
use support::{Canned, Device, status_answer};

const SCHEMA: &str =
    "CREATE TABLE thing (id TEXT PRIMARY KEY NOT NULL, name TEXT, user_id TEXT, n INTEGER);";

fn events(device: &Device, run: i64) -> String {
    device.ask(&format!(
        "SELECT group_concat(event, ' ') FROM sync_log WHERE runId = {run}"
    ))
}

fn detail(device: &Device, run: i64, event: &str) -> Value {
    let sql = format!("SELECT detail FROM sync_log WHERE runId = {run} AND event = '{event}'");
    serde_json::from_str(&device.ask(&sql)).unwrap_or_default()
}

#[test]
fn every_step_of_a_run_is_there() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    server.changes(json!({"thing": {"created": [{"id": "a"}, {"id": "b"}]}}));
    device.exec("INSERT INTO thing (id) VALUES ('mine')");
    device.synced();
    assert_eq!(
        events(&device, 1),
        "pull pulled applied frozen push pushed settled finished"
    );
    assert_eq!(detail(&device, 1, "pulled")["status"], 200);
    assert_eq!(
        detail(&device, 1, "applied"),
        json!({"entities": {"thing": {"inserted": 2}}, "cursor": device.cursor("thing")})
    );
    assert_eq!(detail(&device, 1, "frozen")["rows"], 1);
    assert_eq!(
        detail(&device, 1, "settled"),
        json!({"entities": {"thing": {"pushed": 1}}})
    );
    assert_eq!(
        detail(&device, 1, "finished"),
        json!({"state": "synced", "error": null})
    );
    // Parameters may hold anything: they are left out.
    let url = detail(&device, 1, "pull")["url"].to_string();
    assert!(
        url.contains(&server.origin()) && url.contains("last_pulled_at=…"),
        "{url}"
    );
    assert_eq!(device.ask("SELECT DISTINCT provider FROM sync_log"), "api");
}

#[test]
fn failures_are_there() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    server.pull_raw(|_| status_answer(403, &[], "no"));
    device.failed();
    assert_eq!(events(&device, 1), "pull pulled finished");
    assert_eq!(detail(&device, 1, "finished")["error"]["class"], "auth");
    device.exec("INSERT INTO thing (id) VALUES ('mine')");
    server.push_raw(|_| status_answer(500, &[], "no"));
    device.failed();
    assert_eq!(
        events(&device, 2),
        "pull pulled applied frozen push pushed unknown finished"
    );
}

#[test]
fn values_of_rows_are_masked() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    server.changes(json!({"thing": {"created": [{"id": "identifier", "name": "first name", "user_id": "somebody"}]}}));
    device.synced();
    device.exec("UPDATE thing SET name = 'very secret thing'");
    server.changes(
        json!({"thing": {"updated": [{"id": "identifier", "name": "their secret", "n": 1}]}}),
    );
    device.synced();
    let conflict = detail(&device, 2, "conflict");
    assert_eq!(conflict["local"]["name"], "ve…ng(17)", "{conflict}");
    assert_eq!(conflict["remote"]["name"], "th…et(12)");
    assert_eq!(
        (&conflict["local"]["user_id"], &conflict["id"]),
        (&json!("somebody"), &json!("identifier"))
    );
    assert_eq!(conflict["local"]["_changed"], "name");
    let all = device.ask("SELECT group_concat(detail) FROM sync_log");
    assert!(!all.contains("secret"), "{all}");
}

#[test]
fn what_a_server_says_is_masked() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    device.provider(&server.url(), json!({"splitRefused": false}));
    device.exec("INSERT INTO thing (id) VALUES ('a')");
    let said = "duplicate key (email)=(jane@example.com)";
    for _ in 0..2 {
        server.push_raw(move |_| status_answer(400, &[], said));
    }
    let error = device.failed();
    assert!(
        error["message"].as_str().unwrap().contains("jane"),
        "{error}"
    );
    let broken = r#"{"changes":{"z":{"created":[{"email":"jane@example.com" x}]}},"timestamp":1}"#;
    server.pull_raw(move |_| status_answer(200, &[], broken));
    let error = device.failed();
    assert!(
        error["message"].as_str().unwrap().contains("jane"),
        "{error}"
    );
    server.pull_raw(move |_| status_answer(200, &[], said));
    device.failed();
    let all = device.ask("SELECT group_concat(detail) FROM sync_log");
    assert!(all.contains("HTTP 400") && !all.contains("jane"), "{all}");
}

#[test]
fn secrets_never_enter() {
    let server = Canned::start();
    let device = Device::configured(SCHEMA, &["thing"], &server.url(), json!({"token": "t"}));
    device.ask(&format!(
        "SELECT sync_secret('t', 'tok-123456789', '{}')",
        server.origin()
    ));
    server.pull_raw(|_| status_answer(500, &[], "you sent tok-123456789"));
    device.sync();
    server.pull(r#"{"changes":{"tok-123456789":{}},"timestamp":5}"#);
    device.sync();
    let all = device.ask("SELECT group_concat(coalesce(detail, '')) FROM _syncLog");
    assert!(
        all.contains("500") && !all.contains("tok-123456789"),
        "{all}"
    );
}

#[test]
fn the_newest_entries_are_kept() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["thing"], &server.url());
    device.exec("INSERT INTO _syncMeta VALUES ('logLimit', 5)");
    for _ in 0..4 {
        device.synced();
    }
    assert_eq!(
        device.ask("SELECT count(*), max(runId) FROM sync_log"),
        "5|4"
    );
}

#[test]
fn a_file_without_tables_has_an_empty_log() {
    let world = support::World::new(false);
    let db = world.open();
    assert_eq!(support::ask(&db, "SELECT count(*) FROM sync_log"), "0");
    assert_eq!(support::ask(&db, "SELECT count(*) FROM sync_conflict"), "0");
}
