//! What goes up, and how.

use serde_json::json;

use super::{asked, server, users, written};
use crate::client::{Device, USER};

#[test]
fn b61_b62_b63_a_first_sync_connects_and_sends_one_bundle() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "Ann");
    device.person(2, "Bob");
    let answer = device.sync();
    assert_eq!(answer["upload"]["applied"], 2, "{answer}");
    assert_eq!(
        asked(&server),
        [
            "GET /sync/capabilities",
            "POST /sync/connect",
            "POST /sync/push-sessions",
            "POST /sync/push-sessions/*/chunks",
            "POST /sync/push-sessions/*/commit",
            "GET /sync/committed-bundles/1/rows",
            "GET /sync/pull",
        ]
    );
    assert_eq!(users(&server), ["1 Ann", "2 Bob"]);
    assert_eq!(device.pending(), "");
    assert_eq!(device.version(1), "1|0");
    // The second sync knows all that.
    server.forget();
    device.person(1, "Ada");
    device.sync();
    // Before it sends anything it looks at the last bundle.
    assert_eq!(asked(&server).len(), 6, "{:?}", asked(&server));
    assert_eq!(users(&server), ["1 Ada", "2 Bob"]);
    assert_eq!(device.version(1), "2|0");
}

#[test]
fn b64_what_another_device_wrote_comes_down() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "Ann");
    device.sync();
    server.put(USER, "users", &[written(2, "Bob"), written(1, "Ada")]);
    server.remove(USER, "users", &[&crate::client::id(2)]);
    server.put(USER, "users", &[written(3, "Cid")]);
    let answer = device.download();
    assert_eq!(answer["nextSeq"], 4, "{answer}");
    assert_eq!(device.rows("users", "name"), "1|Ada\n3|Cid");
    assert_eq!(device.pending(), "");
    // Bob came and went.
    assert_eq!(answer["applied"], 4, "{answer}");
}

#[test]
fn b65_a_new_device_takes_a_snapshot_and_keeps_what_it_has() {
    let server = server();
    let first = Device::new(&server, "phone");
    first.person(1, "Ann");
    first.person(2, "Bob");
    first.sync();
    let second = Device::new(&server, "tablet");
    second.person(2, "Ben");
    second.person(3, "Cid");
    let answer = second.sync();
    assert_eq!(
        second.rows("users", "name"),
        "1|Ann\n2|Bob\n3|Cid",
        "{answer}"
    );
    assert_eq!(users(&server), ["1 Ann", "2 Bob", "3 Cid"]);
    first.sync();
    assert_eq!(first.rows("users", "name"), "1|Ann\n2|Bob\n3|Cid");
}

#[test]
fn b62_a_conflict_is_merged_and_goes_up_again() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.exec("SELECT sync_resolver('users', 'columns')");
    device.person(1, "Ann");
    device.sync();
    server.put(
        USER,
        "users",
        &[json!({"id": crate::client::id(1), "email": "new"})],
    );
    device.person(1, "Ada");
    device.person(2, "Bob");
    let answer = device.sync();
    assert_eq!(answer["upload"]["applied"], 2, "{answer}");
    assert_eq!(device.rows("users", "name || email"), "1|Adanew\n2|Bobe");
    assert_eq!(users(&server), ["1 Ada", "2 Bob"]);
    assert_eq!(device.pending(), "");
}
