//! Connecting: who brings the first rows of a user.

use serde_json::json;
use support::backend::oversync::B;
use support::backend::{Kind, Moment};

use super::{asked, bundles, lose, refuse, server, users, written};
use crate::client::{Device, USER};

fn connects(server: &B) -> Vec<serde_json::Value> {
    let requests = server.requests().into_iter();
    requests
        .filter(|request| request.path == "/sync/connect")
        .map(|request| serde_json::from_str(&request.body).expect("JSON"))
        .collect()
}

#[test]
fn r11_connecting_always_says_whether_rows_are_pending() {
    let server = server();
    let empty = Device::new(&server, "phone");
    empty.sync();
    assert_eq!(
        connects(&server),
        [json!({"has_local_pending_rows": false})]
    );
    let other = self::server();
    let full = Device::new(&other, "phone");
    full.person(1, "Ann");
    full.sync();
    assert_eq!(connects(&other), [json!({"has_local_pending_rows": true})]);
}

/// A device with a row that it is to bring, cut off while it does; no server has it yet.
fn cut_off(server: &B) -> Device {
    let device = Device::new(server, "phone");
    device.person(1, "Ann");
    lose(server, "/commit", false);
    device.failed("sync_once");
    device
}

#[test]
fn b61_initialize_empty_pulls_from_0_and_later_rows_go_up() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.sync();
    assert_eq!(
        asked(&server),
        [
            "GET /sync/capabilities",
            "POST /sync/connect",
            "GET /sync/pull"
        ]
    );
    let pulled = server.requests().pop().expect("a request").path;
    assert!(pulled.contains("after_bundle_seq=0"), "{pulled}");
    device.person(1, "Ann");
    device.sync();
    assert_eq!(users(&server), ["1 Ann"]);
}

#[test]
fn b61_remote_authoritative_keeps_and_merges_what_is_pending() {
    let server = server();
    server.put(USER, "users", &[written(1, "theirs"), written(2, "theirs")]);
    let device = Device::new(&server, "phone");
    device.exec("SELECT sync_resolver('users', 'clientWins')");
    device.person(1, "mine");
    device.person(3, "mine");
    device.sync();
    assert_eq!(device.people(), "1|mine\n2|theirs\n3|mine");
    assert_eq!(users(&server), ["1 mine", "2 theirs", "3 mine"]);
    device.assert_settled();
}

#[test]
fn b61_retry_later_says_when_and_nothing_is_lost() {
    let server = server();
    let (first, second) = (cut_off(&server), Device::new(&server, "tablet"));
    second.person(2, "Bob");
    let error = second.failed("sync_once");
    assert_eq!(error["retryable"], true, "{error}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("sync again in ") && message.contains("seconds"),
        "{message}"
    );
    assert_eq!(second.pending(), "users|2|created");
    first.sync();
    second.sync();
    first.sync();
    assert_eq!(users(&server), ["1 Ann", "2 Bob"]);
    assert_eq!(first.people(), second.people());
    second.assert_settled();
}

#[test]
fn b61_a_lost_answer_to_connecting_is_asked_again() {
    for after in [false, true] {
        let server = server();
        let device = Device::new(&server, "phone");
        device.person(1, "Ann");
        lose(&server, "/sync/connect", after);
        device.failed("sync_once");
        device.sync();
        assert_eq!(users(&server), ["1 Ann"]);
        device.assert_settled();
    }
}

#[test]
fn b61_capabilities_that_lack_something_end_the_sync_before_connecting() {
    for (mut fault, words) in [
        (json!({"garbage": true}), "no bundles at this address"),
        (json!({"status": 500}), "500"),
        (json!({"truncate": 40}), "ended too early"),
    ] {
        let server = server();
        let device = Device::with(&server, "phone", json!({"generation": "b"}));
        device.person(1, "Ann");
        fault["path"] = json!("/sync/capabilities");
        fault["times"] = json!(1);
        server.faults().add(fault.clone());
        let error = device.failed("sync_once");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{fault}: {error}");
        assert_eq!(asked(&server), ["GET /sync/capabilities"]);
        assert_eq!(device.pending(), "users|1|created");
        device.sync();
        assert_eq!(users(&server), ["1 Ann"]);
    }
}

#[test]
fn b61_a_local_table_without_spec_is_refused_before_connecting() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.exec("CREATE TABLE strange (id TEXT PRIMARY KEY, x)");
    device.ask("SELECT sync_track('strange')");
    device.person(1, "Ann");
    let error = device.failed("sync_once");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains("business.strange"), "{message}");
    assert_eq!(asked(&server), ["GET /sync/capabilities"]);
    device.ask("SELECT sync_untrack('strange')");
    device.sync();
    assert_eq!(users(&server), ["1 Ann"]);
}

#[test]
fn b61_a_table_tracked_later_is_looked_up_and_read_from_the_beginning() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "Ann");
    device.sync();
    server.put(
        USER,
        "categories",
        &[json!({"id": crate::client::id(9), "name": "c"})],
    );
    device.sync();
    device.exec("CREATE TABLE categories (id TEXT PRIMARY KEY, name TEXT, parent_id TEXT)");
    device.ask("SELECT sync_track('categories')");
    device.sync();
    assert_eq!(device.rows("categories", "name"), "9|c");
    assert_eq!(device.people(), "1|Ann");
    device.assert_settled();
}

#[test]
fn b62_initialization_expired_connects_again() {
    // The lease ends before the bundle is opened again.
    let server = server();
    let device = cut_off(&server);
    server.expire_lease(USER);
    server.forget();
    device.sync();
    assert_eq!(
        asked(&server)[..3],
        [
            "POST /sync/push-sessions",
            "POST /sync/connect",
            "POST /sync/push-sessions"
        ]
    );
    assert_eq!(users(&server), ["1 Ann"]);
    device.assert_settled();
}

#[test]
fn r13_a_lease_that_ends_before_the_commit_is_stale_and_connects_again() {
    for moment in ["/chunks", "/commit"] {
        let server = std::sync::Arc::new(server());
        let device = Device::new(&*server, "phone");
        device.person(1, "Ann");
        let same = std::sync::Arc::clone(&server);
        server
            .moments()
            .plan_at(Kind::Push, moment, Moment::Arrived, move || {
                same.expire_lease(USER)
            });
        device.sync();
        assert_eq!(super::count(&server, "/sync/connect"), 2, "{moment}");
        assert_eq!(users(&server), ["1 Ann"]);
        device.assert_settled();
    }
}

#[test]
fn b62_a_lease_that_another_device_has_by_now_waits_for_it() {
    let server = server();
    let (first, second) = (cut_off(&server), Device::new(&server, "tablet"));
    second.person(2, "Bob");
    server.expire_lease(USER);
    second.sync();
    assert_eq!(bundles(&server), ["1: INSERT 2 0"]);
    // Everything that the first one was to bring goes up as any other rows.
    first.sync();
    second.sync();
    assert_eq!(users(&server), ["1 Ann", "2 Bob"]);
    assert_eq!(first.people(), second.people());
    first.assert_settled();
}

#[test]
fn b62_initialization_stale_over_and_over_ends_the_call_and_keeps_the_rows() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "Ann");
    server
        .faults()
        .add(json!({"path": "/chunks", "status": 409, "calls": "initialization_stale"}));
    let error = device.failed("sync_once");
    assert_eq!(error["status"], 409, "{error}");
    assert_eq!(device.pending(), "users|1|created");
    server.faults().clear();
    device.sync();
    assert_eq!(users(&server), ["1 Ann"]);
    device.assert_settled();
}

#[test]
fn b61_reading_before_anybody_connected_is_no_failure() {
    let server = server();
    let device = Device::new(&server, "phone");
    assert_eq!(device.download()["applied"], 0);
    device.done("sync_download_once", "{}");
    device.person(1, "Ann");
    device.sync();
    assert_eq!(users(&server), ["1 Ann"]);
}

#[test]
fn b61_reading_while_another_device_initialises_waits() {
    let server = server();
    let (first, second) = (cut_off(&server), Device::new(&server, "tablet"));
    let error = second.failed("sync_download_all");
    assert_eq!(error["retryable"], true, "{error}");
    first.sync();
    second.download();
    assert_eq!(second.people(), "1|Ann");
}

#[test]
fn b61_a_server_that_asks_to_connect_is_connected_with() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "Ann");
    device.sync();
    refuse(&server, "/sync/push-sessions", 409, "scope_uninitialized");
    device.person(2, "Bob");
    device.sync();
    assert_eq!(users(&server), ["1 Ann", "2 Bob"]);
    device.assert_settled();
}

#[test]
fn r11_a_device_that_has_nothing_to_bring_after_all_lets_the_others_in() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "Ann");
    // The right to bring the first rows is given, and nothing more arrives.
    server
        .faults()
        .add(json!({"on": "push", "drop": true, "times": 1}));
    device.failed("sync_once");
    device.exec("DELETE FROM users");
    device.sync();
    let other = Device::new(&server, "tablet");
    other.person(2, "Bob");
    other.sync();
    device.sync();
    assert_eq!(device.rows("users", "name"), "2|Bob");
}
