//! Each defect of the recorded server can be put right.

use serde_json::{Value, json};
use syncscope_backend::oversync::B;
use syncscope_backend::oversync::b::Health;

use super::client::{Client, category, id, row, sound};

/// The error of an answer.
fn error(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"].as_str().unwrap_or_default())
}

#[test]
fn who_initialises_is_told_so_and_may_read() {
    let server = sound(|_| {});
    let first = Client::of(&server, "phone");
    let second = Client::of(&server, "tablet");
    assert_eq!(
        error(&first.post("/sync/connect", &json!({}))),
        (400, "invalid_request")
    );
    let missing = first.get("/sync/committed-bundles/1/rows");
    assert_eq!(error(&missing), (404, "committed_bundle_not_found"));
    first.post("/sync/connect", &json!({"has_local_pending_rows": true}));
    assert_eq!(error(&first.create(1)), (409, "scope_initializing"));
    assert_eq!(first.get("/sync/pull").0, 200);
    assert_eq!(
        error(&second.get("/sync/pull")),
        (409, "scope_initializing")
    );
    let waits = json!({"has_local_pending_rows": false});
    let later = second
        .reply("POST", "/sync/connect", Some(&waits))
        .expect("an answer");
    assert!(later.body.contains("retry_later"), "{}", later.body);
    assert!(later.header("retry-after").is_some());
}

#[test]
fn a_lease_that_ran_out_has_expired() {
    let server = sound(|_| {});
    let client = Client::of(&server, "phone");
    let (_, lease) = client.post("/sync/connect", &json!({"has_local_pending_rows": true}));
    let wanted = json!({"source_bundle_id": 1, "planned_row_count": 1,
        "initialization_id": lease["initialization_id"]});
    let (_, session) = client.post("/sync/push-sessions", &wanted);
    let path = format!(
        "/sync/push-sessions/{}/chunks",
        session["push_id"].as_str().expect("an id")
    );
    server.expire_lease("mara");
    let chunk = json!({"start_row_ordinal": 0, "rows": [category(1, "Late")]});
    assert_eq!(
        error(&client.post(&path, &chunk)),
        (410, "initialization_expired")
    );
}

#[test]
fn values_come_back_as_they_went() {
    let server = sound(|_| {});
    let client = Client::connected(&server, "phone");
    let exact = 9_007_199_254_740_993_i64;
    let with_blob = json!({"Name": "capitals", "count_value": exact, "enabled_flag": true,
        "data": "AAE="});
    client.push(1, &[row("typed_rows", 1, with_blob)]);
    let (_, pulled) = client.get("/sync/pull");
    let payload = &pulled["bundles"][0]["rows"][0]["payload"];
    assert_eq!(payload["count_value"], exact);
    assert_eq!(payload["name"], "capitals");
    assert_eq!(payload["enabled_flag"], 1);
    let (_, snapshot) = client.post("/sync/snapshot-sessions", &json!({}));
    let path = format!(
        "/sync/snapshot-sessions/{}",
        snapshot["snapshot_id"].as_str().expect("an id")
    );
    assert_eq!(
        client.get(&path).1["rows"][0]["payload"]["count_value"],
        exact
    );
}

#[test]
fn sessions_that_ran_out_stay_known() {
    let server = sound(|_| {});
    let client = Client::connected(&server, "phone");
    let other = Client::of(&server, "tablet");
    let push = client.stage(1, &[category(1, "One")]);
    let (_, snapshot) = client.post("/sync/snapshot-sessions", &json!({}));
    assert_eq!(snapshot["byte_count"], 0);
    server.expire_sessions();
    assert_eq!(other.create(1).0, 200);
    assert_eq!(other.post("/sync/snapshot-sessions", &json!({})).0, 200);
    assert_eq!(error(&client.commit(&push)), (410, "push_session_expired"));
    let path = format!(
        "/sync/snapshot-sessions/{}",
        snapshot["snapshot_id"].as_str().expect("an id")
    );
    assert_eq!(error(&client.get(&path)), (410, "snapshot_session_expired"));
    assert_eq!(
        error(&client.get("/sync/snapshot-sessions/x")),
        (404, "snapshot_session_not_found")
    );
}

#[test]
fn a_snapshot_lives_while_it_is_read_and_has_parents_first() {
    let server = sound(|_| {});
    let client = Client::connected(&server, "phone");
    let review = json!({"review": "good", "file_id": id(1)});
    let file = json!({"name": "f", "data": "AAE="});
    client.push(1, &[row("file_reviews", 2, review), row("files", 1, file)]);
    let (_, snapshot) = client.post("/sync/snapshot-sessions", &json!({}));
    let path = format!(
        "/sync/snapshot-sessions/{}",
        snapshot["snapshot_id"].as_str().expect("an id")
    );
    for _ in 0..3 {
        server.advance(std::time::Duration::from_secs(600));
        let (status, page) = client.get(&path);
        assert_eq!(status, 200);
        assert_eq!(page["rows"][0]["table"], "files");
    }
}

#[test]
fn history_is_missing_only_where_it_is_missing() {
    let server = sound(|_| {});
    let client = Client::connected(&server, "phone");
    for number in 1..4 {
        client.push(number, &[category(number, "C")]);
    }
    server.prune("mara", 2);
    assert_eq!(
        error(&client.get("/sync/pull?after_bundle_seq=0")),
        (409, "history_pruned")
    );
    assert_eq!(
        error(&client.get("/sync/pull?after_bundle_seq=1")),
        (409, "history_pruned")
    );
    let (status, pulled) = client.get("/sync/pull?after_bundle_seq=2&target_bundle_seq=50");
    assert_eq!((status, &pulled["stable_bundle_seq"]), (200, &json!(3)));
    assert_eq!(pulled["bundles"][0]["bundle_seq"], 3);
}

#[test]
fn a_session_belongs_to_its_source_and_a_replay_to_its_rows() {
    let server = sound(|options| options.limits.rows_per_bundle = Some(2));
    let client = Client::connected(&server, "phone");
    let other = Client::of(&server, "tablet");
    let push = client.stage(1, &[category(1, "One"), category(2, "Two")]);
    assert_eq!(error(&other.commit(&push)), (403, "push_session_forbidden"));
    assert_eq!(client.commit(&push).0, 200);
    assert_eq!(error(&client.create(1)), (409, "source_sequence_changed"));
    let large = json!({"source_bundle_id": 2, "planned_row_count": 3});
    assert_eq!(
        error(&client.post("/sync/push-sessions", &large)),
        (400, "push_session_invalid")
    );
    let replacement = json!({"source_replacement": {"previous_source_id": "phone",
        "new_source_id": "phone-2", "reason": "history_pruned"}});
    assert_eq!(client.post("/sync/snapshot-sessions", &replacement).0, 200);
    assert_eq!(error(&client.create(1)), (409, "source_retired"));
}

#[test]
fn limits_are_named_where_they_are_met() {
    let server = sound(|options| {
        options.limits.rows_per_snapshot = Some(1);
        options.limits.rows_per_committed_chunk = 1;
    });
    let client = Client::connected(&server, "phone");
    client.push(1, &[category(1, "One"), category(2, "Two")]);
    let refused = client.post("/sync/snapshot-sessions", &json!({}));
    assert_eq!(error(&refused), (409, "snapshot_session_limit_exceeded"));
    assert_eq!(
        (&refused.1["actual"], &refused.1["limit"]),
        (&json!(2), &json!(1))
    );
    let page = client.get("/sync/committed-bundles/1/rows?max_rows=2");
    assert_eq!(error(&page), (400, "committed_bundle_chunk_invalid"));
}

#[test]
fn a_closed_service_is_unavailable_and_says_for_how_long() {
    let server = sound(|_| {});
    let client = Client::connected(&server, "phone");
    server.set_health(Health::Broken);
    let reply = client.reply("GET", "/sync/pull", None).expect("an answer");
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("1"))
    );
    server.set_health(Health::Well);
    assert_eq!(client.get("/sync/pull").0, 200);
}

#[test]
fn events_name_their_source_and_none_is_skipped() {
    let server = sound(|_| {});
    let client = Client::connected(&server, "phone");
    client.push(1, &[category(1, "One")]);
    let mut stream = client.send("GET", "/sync/watch?after_bundle_seq=0", None);
    let first = stream.wait_for(|body| body.contains("\"bundle_seq\":1,"));
    assert!(first.contains("\"source_id\":\"phone\""), "{first}");
    server.announce("mara", "burst", &[2, 3, 4]);
    let all = stream.wait_for(|body| body.contains("\"bundle_seq\":4,"));
    assert_eq!(all.matches("event: bundle").count(), 4, "{all}");
}

#[test]
fn as_recorded_is_the_default() {
    let server = B::example();
    let client = Client::connected(&server, "phone");
    client.push(1, &[category(1, "One")]);
    let (_, pulled) = client.get("/sync/pull?after_bundle_seq=1&target_bundle_seq=50");
    assert_eq!(pulled["stable_bundle_seq"], 50);
}
