//! `sync_check`: a full pull compared with the local rows.

use serde_json::{Value, json};
use support::{Canned, Device, query, status_answer};

const SCHEMA: &str = "
    CREATE TABLE thing (id TEXT PRIMARY KEY NOT NULL, name TEXT, n INTEGER, ok BOOLEAN);
    CREATE TABLE number (id INTEGER PRIMARY KEY, name TEXT);";

fn rows() -> Value {
    json!({
        "thing": {"created": [{"id": "a", "name": "A", "n": 1, "ok": true}, {"id": "b", "name": "B"}, {"id": "c", "name": "C"}]},
        "number": {"created": [{"id": "1", "name": "one"}, {"id": 2, "name": "two"}]},
    })
}

fn pulled(server: &Canned) -> Device {
    let device = Device::with(SCHEMA, &["thing", "number"], &server.url());
    server.changes(rows());
    device.synced();
    server.clear();
    device
}

fn check(device: &Device) -> Value {
    serde_json::from_str(&device.ask("SELECT sync_check('api')")).unwrap()
}

#[test]
fn equal_rows_are_equal() {
    let server = Canned::start();
    let device = pulled(&server);
    server.changes(rows());
    let answer = check(&device);
    assert_eq!(answer["state"], "equal", "{answer}");
    assert_eq!(answer["entities"][1]["equal"], 3, "{answer}");
    assert_eq!(answer["entities"][0]["remote"], 2);
    // Everything is asked for, whatever was pulled before.
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        query(&seen[0].path, "last_pulled_at").as_deref(),
        Some("null")
    );
}

#[test]
fn missing_excess_and_differing_rows_are_named() {
    let server = Canned::start();
    let device = pulled(&server);
    server.changes(json!({
        "thing": {"created": [{"id": "a", "name": "A", "n": 2, "ok": false}, {"id": "b", "name": "B"}, {"id": "z"}]},
        "number": {"updated": [{"id": "1", "name": "one"}, {"id": "not a number"}]},
    }));
    let rows = "SELECT (SELECT group_concat(id || name) FROM thing), (SELECT group_concat(id || name) FROM number), \
                (SELECT count(*) FROM _syncChange)";
    let before = (device.ask(rows), device.cursor("thing"));
    let answer = check(&device);
    assert_eq!(answer["state"], "different");
    let thing = &answer["entities"][1];
    assert_eq!(thing["missingIds"], json!(["z"]), "{answer}");
    assert_eq!(thing["excessIds"], json!(["c"]));
    assert_eq!(
        thing["differingRows"],
        json!([{"id": "a", "columns": ["n", "ok"]}])
    );
    assert_eq!(
        (
            &thing["missing"],
            &thing["excess"],
            &thing["differing"],
            &thing["equal"]
        ),
        (&json!(1), &json!(1), &json!(1), &json!(1))
    );
    assert_eq!(answer["entities"][0]["excessIds"], json!(["2"]));
    // An id that no key here can hold is shown as the server wrote it.
    let missing = &answer["entities"][0]["missingIds"];
    assert_eq!(missing, &json!(["not a number"]));
    // Nothing was changed.
    assert_eq!((device.ask(rows), device.cursor("thing")), before);
    assert_eq!(device.pending(), "");
}

#[test]
fn what_is_pending_here_is_no_difference() {
    let server = Canned::start();
    let device = pulled(&server);
    device.exec(
        "UPDATE thing SET name = 'mine' WHERE id = 'a'; DELETE FROM thing WHERE id = 'b';
         INSERT INTO thing (id) VALUES ('new')",
    );
    server.changes(rows());
    assert_eq!(check(&device)["state"], "equal");
    // In another column it is.
    let mut other = rows();
    other["thing"]["created"][0]["n"] = json!(5);
    server.changes(other);
    let answer = check(&device);
    assert_eq!(
        answer["entities"][1]["differingRows"],
        json!([{"id": "a", "columns": ["n"]}])
    );
}

#[test]
fn only_some_ids_are_shown_but_all_are_counted() {
    let server = Canned::start();
    let device = pulled(&server);
    let many: Vec<Value> = (0..100).map(|n| json!({"id": format!("m{n}")})).collect();
    server.changes(json!({"thing": {"created": many}}));
    let answer: Value =
        serde_json::from_str(&device.ask("SELECT sync_check('api', '{\"entities\":[\"thing\"]}')"))
            .unwrap();
    assert_eq!(answer["entities"].as_array().unwrap().len(), 1);
    assert_eq!(answer["entities"][0]["missing"], 100);
    assert_eq!(
        answer["entities"][0]["missingIds"]
            .as_array()
            .unwrap()
            .len(),
        20
    );
}

#[test]
fn failures_are_answers_and_wrong_calls_are_refused() {
    let server = Canned::start();
    let device = pulled(&server);
    server.pull_raw(|_| status_answer(401, &[], "no"));
    let answer = check(&device);
    assert_eq!(
        (&answer["state"], &answer["error"]["class"]),
        (&json!("failed"), &json!("auth"))
    );
    server.pull("{\"changes\":{\"thing\":");
    assert_eq!(check(&device)["error"]["class"], "protocol");
    device.ask("SELECT sync_provider('h', '{\"kind\":\"host\"}')");
    for (call, said) in [
        ("sync_check('h')", "kind host"),
        ("sync_check('nobody')", "not declared"),
        (
            "sync_check('api', '{\"entities\":[\"nothing\"]}')",
            "nothing",
        ),
        ("sync_check('api', '{\"entity\":1}')", "entity"),
        ("sync_check(NULL)", "provider must be text"),
    ] {
        let text = device.refused(&format!("SELECT {call}"));
        assert!(text.contains(said), "{call}: {text}");
    }
    let fresh = Device::with(SCHEMA, &["thing"], &server.url());
    assert!(
        fresh
            .refused("SELECT sync_check('api')")
            .contains("sync first")
    );
    device.exec("BEGIN");
    assert!(
        device
            .refused("SELECT sync_check('api')")
            .contains("transaction")
    );
}
