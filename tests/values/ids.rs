//! Ids that can't be keys.

use serde_json::json;
use support::Device;

use crate::server::Server;

const HELD: &str = "SELECT key, op, reason FROM sync_held ORDER BY 1";

#[test]
fn v3_an_id_with_half_a_surrogate_pair_is_held_and_no_other_id() {
    let server = Server::start();
    let more = json!({"sendCreatedAsUpdated": true});
    let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, name TEXT)";
    let device = Device::configured(schema, &["t"], &server.canned.url(), more);
    let pull = |lists: &str, at: i64| {
        let changes = format!("{{\"t\":{{\"created\":[],{lists}}}}}");
        let answer = format!("{{\"changes\":{changes},\"timestamp\":{at}}}");
        server.canned.pull(&answer);
        device.synced()
    };
    let rows = r#"{"name":"high","id":"\ud800"},{"id":"x\udc00","name":"low"},{"id":"ok","name":"\udc00"}"#;
    let answer = pull(&format!("\"updated\":[{rows}],\"deleted\":[]"), 10);
    assert_eq!(
        (&answer["state"], &answer["held"]),
        (&json!("synced"), &json!(2)),
        "{answer}"
    );
    assert_eq!(device.ask("SELECT id, name FROM t"), "ok|\u{fffd}");
    let held = "\"\\ud800\"|row|key\n\"x\\udc00\"|row|key";
    assert_eq!(device.ask(HELD), held);
    let why = device.ask("SELECT \"constraint\" FROM sync_held LIMIT 1");
    assert!(why.contains("half of a surrogate pair"), "{why}");
    // They stay held, nothing of them goes up, and the server's delete is the end of them.
    device.exec("UPDATE t SET name = 'mine'");
    server.canned.clear();
    pull(r#""updated":[],"deleted":[]"#, 20);
    assert_eq!(device.ask(HELD), held);
    let pushed = server.canned.pushed();
    assert_eq!(
        pushed[0]["t"]["updated"].as_array().map(Vec::len),
        Some(1),
        "{pushed:?}"
    );
    pull(r#""updated":[],"deleted":["\ud800"]"#, 30);
    assert_eq!(device.ask("SELECT key FROM sync_held"), "\"x\\udc00\"");
    pull(r#""updated":[],"deleted":["x\udc00"]"#, 40);
    assert_eq!(device.ask(HELD), "");
}

#[test]
fn v3_a_key_of_any_type_is_refused_where_sqlite_makes_numbers_of_it() {
    for (key, strict, refused) in [
        ("id ANY PRIMARY KEY NOT NULL", "", true),
        ("id STRING PRIMARY KEY NOT NULL", "", true),
        ("id ANY PRIMARY KEY NOT NULL", "STRICT", false),
        ("id PRIMARY KEY NOT NULL", "", false),
    ] {
        let mut server = Server::start();
        server.put("t", "05", &[("name", r#""five""#)]);
        let schema = format!("CREATE TABLE t ({key}, name TEXT) {strict}");
        let device = Device::with(&schema, &["t"], &server.canned.url());
        server.answers();
        if refused {
            let said = device.refused(r#"SELECT sync_entities('all', 'api', '["t"]')"#);
            assert!(
                said.contains("turns into numbers"),
                "{key} {strict}: {said}"
            );
            continue;
        }
        device.synced();
        assert_eq!(
            device.ask("SELECT id, typeof(id) FROM t"),
            "05|text",
            "{key} {strict}"
        );
    }
}
