//! The later revision, as far as its description goes.

use serde_json::{Value, json};
use syncscope_backend::oversync::B;
use syncscope_backend::oversync::b::{Options, Revision};

use super::client::{Client, id, row};

/// `[{"base_row_version":"0","key":{"id":"…01"},"op":"INSERT","payload":{"count_value":"9007199254740993",
/// "enabled_flag":"1","name":"<a>","rating":"5e-324"},"row_ordinal":"0","schema":"business","table":"typed_rows"}]`
const REQUEST: &str = "b62858ad85c16121c29d61915c0b1c0f4c8a82ce9a70484ca98c21211cfcbe3d";
/// The same with `row_version` "1" and all columns, those without a value null.
const BUNDLE: &str = "34559beac70d1f1e394632a3fc7acad9df11d23369a1fdd535dc3fdda1fbfda8";

fn server(change: impl FnOnce(&mut Options)) -> B {
    let mut options = Options {
        revision: Revision::Later,
        ..Options::default()
    };
    change(&mut options);
    B::start(options).expect("it starts")
}

fn payload() -> Value {
    json!({"name": "<a>", "count_value": "9007199254740993", "enabled_flag": "1", "rating": "5e-324"})
}

fn wanted(hash: &str) -> Value {
    json!({"source_bundle_id": 1, "planned_row_count": 1, "canonical_request_hash": hash})
}

/// Opens a session with this hash and fills it; the answer to its commit.
fn pushed(client: &Client, hash: &str) -> (u16, Value) {
    let (status, session) = client.post("/sync/push-sessions", &wanted(hash));
    assert_eq!(
        (status, &session["canonical_request_hash"]),
        (200, &json!(hash))
    );
    let push = session["push_id"].as_str().expect("an id");
    let chunk = json!({"start_row_ordinal": 0, "rows": [row("typed_rows", 1, payload())]});
    let (status, answer) = client.post(&format!("/sync/push-sessions/{push}/chunks"), &chunk);
    assert_eq!(status, 200, "{answer}");
    client.commit(push)
}

#[test]
fn a_push_comes_with_its_hash() {
    let server = server(|_| {});
    let client = Client::connected(&server, "phone");
    assert_eq!(client.post("/sync/push-sessions", &wanted("abc")).0, 400);
    assert_eq!(pushed(&client, &"a".repeat(64)).0, 400);
    let (status, committed) = pushed(&client, REQUEST);
    assert_eq!(status, 200, "{committed}");
    assert_eq!(committed["canonical_request_hash"], REQUEST);
    assert_eq!(committed["bundle_hash"], BUNDLE);
    let (_, rows) = client.get("/sync/committed-bundles/1/rows");
    assert_eq!(rows["canonical_request_hash"], REQUEST);
    let payload = &rows["rows"][0]["payload"];
    assert_eq!(payload["count_value"], "9007199254740993");
    assert_eq!(payload["rating"], "5e-324");
    let (_, replayed) = client.post("/sync/push-sessions", &wanted(REQUEST));
    assert_eq!(replayed["status"], "already_committed");
    assert_eq!(replayed["canonical_request_hash"], REQUEST);
}

#[test]
fn numbers_are_texts_in_one_spelling() {
    let server = server(|_| {});
    let client = Client::connected(&server, "phone");
    let (_, session) = client.post("/sync/push-sessions", &wanted(&"a".repeat(64)));
    let path = format!(
        "/sync/push-sessions/{}/chunks",
        session["push_id"].as_str().expect("an id")
    );
    for (column, value) in [
        ("count_value", json!(42)),
        ("count_value", json!("+1")),
        ("count_value", json!("01")),
        ("count_value", json!("-0")),
        ("count_value", json!("9223372036854775808")),
        ("rating", json!(1.25)),
        ("rating", json!("1.0")),
        ("rating", json!("-0")),
        ("rating", json!("NaN")),
    ] {
        let mut payload = payload();
        payload[column] = value.clone();
        let chunk = json!({"start_row_ordinal": 0, "rows": [row("typed_rows", 1, payload)]});
        assert_eq!(client.post(&path, &chunk).0, 400, "{column} {value}");
    }
}

#[test]
fn a_snapshot_counts_bytes() {
    let server = server(|_| {});
    let client = Client::connected(&server, "phone");
    let name = |number| json!({"id": id(number), "name": "C"});
    server.put("mara", "categories", &[name(1), name(2)]);
    let (_, snapshot) = client.post("/sync/snapshot-sessions", &json!({}));
    let path = format!(
        "/sync/snapshot-sessions/{}",
        snapshot["snapshot_id"].as_str().expect("an id")
    );
    assert_eq!(client.get(&path).0, 400);
    let (_, small) = client.get(&format!("{path}?max_bytes=10"));
    assert_eq!(small["error"], "snapshot_chunk_too_small");
    let one = small["required_byte_count"].as_i64().expect("a number");
    assert_eq!(snapshot["byte_count"], 2 * one);
    let (_, page) = client.get(&format!("{path}?max_bytes={}", 2 * one - 1));
    assert_eq!(
        (&page["byte_count"], &page["has_more"]),
        (&json!(one), &json!(true))
    );
    let (_, rest) = client.get(&format!("{path}?max_bytes={one}&after_row_ordinal=1"));
    assert_eq!(
        (&rest["next_row_ordinal"], &rest["has_more"]),
        (&json!(2), &json!(false))
    );
}

#[test]
fn a_busy_server_says_when_to_come_again() {
    let server = server(|_| {});
    let client = Client::connected(&server, "phone");
    server.busy(1, 0);
    let reply = client
        .reply("POST", "/sync/snapshot-sessions", None)
        .expect("an answer");
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (429, Some("1"))
    );
    assert!(
        reply.body.contains("snapshot_build_capacity"),
        "{}",
        reply.body
    );
    assert_eq!(client.post("/sync/snapshot-sessions", &json!({})).0, 200);
}

#[test]
fn the_floor_is_a_place_to_go_on_from_and_the_future_is_not() {
    let server = server(|_| {});
    let client = Client::connected(&server, "phone");
    for number in 1..4 {
        server.put(
            "mara",
            "categories",
            &[json!({"id": id(number), "name": "C"})],
        );
    }
    server.prune("mara", 2);
    assert_eq!(client.get("/sync/pull?after_bundle_seq=2").0, 200);
    assert_eq!(
        client.get("/sync/pull?after_bundle_seq=1").1["error"],
        "history_pruned"
    );
    assert_eq!(
        client.get("/sync/pull?after_bundle_seq=4").1["error"],
        "checkpoint_ahead"
    );
    let (_, capabilities) = client.get("/sync/capabilities");
    assert!(capabilities["bundle_limits"]["max_bytes_per_snapshot_chunk"].is_i64());
}
