//! What the server does not take: 400, 413, 429, 5xx.

use serde_json::json;
use support::backend::oversync::b::{Health, Options};

use super::{bundles, count, refuse, server, server_with, users};
use crate::client::{Device, id};

/// A user without what the server's table wants: a commit with it is a 500, for ever.
fn poison(device: &Device, number: u32) {
    device.user(number, "poison");
}

#[test]
fn b62_a_commit_that_fails_three_times_is_halved_and_the_one_row_left_out() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(9, "first");
    device.sync();
    server.forget();
    for number in 1..=4 {
        device.person(number, "fine");
    }
    poison(&device, 5);
    let answer = device.sync();
    assert_eq!(answer["upload"]["applied"], 4, "{answer}");
    assert_eq!(users(&server).len(), 5);
    let reason = device.ask("SELECT ltrim(substr(pk, 25), '0'), reason FROM _syncRejected");
    assert!(reason.starts_with("5|HTTP 500"), "{reason}");
    assert_eq!(device.on_its_way(), "0");
    // Each answer leaves hope three times; then come the halves.
    assert!(count(&server, "/commit") >= 3 + 2, "{:?}", bundles(&server));
    // It stays here, and is left out until it is written again.
    assert_eq!(
        device
            .rows("users", "name || coalesce(email, '')")
            .lines()
            .count(),
        6
    );
    server.forget();
    device.upload();
    assert!(bundles(&server).is_empty());
    device.exec(&format!(
        "UPDATE users SET email = 'e' WHERE id = '{}'",
        id(5)
    ));
    device.sync();
    assert_eq!(users(&server).len(), 6);
    device.assert_settled();
}

#[test]
fn b62_a_single_row_that_fails_three_times_is_left_out() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(9, "first");
    device.sync();
    server.forget();
    poison(&device, 1);
    // Where nothing else goes through it may be the server.
    for _ in 0..4 {
        device.call("sync_once", "{}");
    }
    let reason = device.ask("SELECT reason FROM _syncRejected");
    assert!(reason.starts_with("HTTP 500"), "{reason}");
    device.person(2, "later");
    device.sync();
    assert_eq!(users(&server), ["2 later", "9 first"]);
    assert_eq!(device.on_its_way(), "0");
}

#[test]
fn b62_what_is_refused_is_retried_on_request() {
    let server = server();
    let device = Device::new(&server, "phone");
    poison(&device, 1);
    device.person(2, "fine");
    device.sync();
    assert_eq!(users(&server), ["2 fine"]);
    device.ask("SELECT sync_retry('users', (SELECT id FROM users LIMIT 1))");
    device.exec("UPDATE users SET email = 'e'");
    device.sync();
    assert_eq!(users(&server), ["1 poison", "2 fine"]);
    device.assert_settled();
}

#[test]
fn b62_a_chunk_refused_with_400_is_bisected_to_the_rows_that_are_wrong() {
    let server = server();
    let device = Device::new(&server, "phone");
    for number in 1..=6 {
        device.person(number, "fine");
    }
    // Keys of the server's tables are UUIDs.
    device.exec("INSERT INTO users VALUES ('no-uuid', 'n', 'e'), ('00000000-0000-4000-8000-00000000000A', 'n', 'e')");
    let answer = device.sync();
    assert_eq!(answer["upload"]["applied"], 6, "{answer}");
    assert_eq!(answer["upload"]["invalid"], 2, "{answer}");
    assert_eq!(users(&server).len(), 6);
    let reasons = device.ask("SELECT reason FROM _syncRejected");
    assert_eq!(reasons.lines().count(), 2);
    for reason in reasons.lines() {
        assert!(reason.starts_with("HTTP 400: "), "{reason}");
    }
    assert_eq!(device.on_its_way(), "0");
    // Bundles that were refused have used no number.
    let numbers: Vec<String> = bundles(&server)
        .iter()
        .map(|bundle| bundle.split(':').next().unwrap_or_default().to_owned())
        .collect();
    let expected: Vec<String> = (1..=numbers.len())
        .map(|number| number.to_string())
        .collect();
    assert_eq!(numbers, expected);
}

#[test]
fn b62_push_session_invalid_and_push_commit_invalid_are_bisected() {
    for (path, name) in [
        ("/sync/push-sessions", "push_session_invalid"),
        ("/commit", "push_commit_invalid"),
    ] {
        let server = server();
        let device = Device::new(&server, "phone");
        device.person(9, "first");
        device.sync();
        for number in 1..=4 {
            device.person(number, "fine");
        }
        refuse(&server, path, 400, name);
        device.sync();
        assert_eq!(users(&server).len(), 5, "{name}");
        device.assert_settled();
    }
}

#[test]
fn b62_413_halves_in_the_same_call() {
    let server = server_with(Options {
        max_body: 900,
        ..Options::default()
    });
    let device = Device::new(&server, "phone");
    for number in 1..=8 {
        device.person(number, "some name");
    }
    let answer = device.sync();
    assert_eq!(answer["upload"]["applied"], 8, "{answer}");
    assert_eq!(users(&server).len(), 8);
    device.assert_settled();
    server.forget();
    for number in 1..=8 {
        device.person(number, "another name");
    }
    device.sync();
    assert!(bundles(&server).len() > 1, "{:?}", bundles(&server));
    assert_eq!(
        count(&server, "/chunks"),
        bundles(&server).len(),
        "it remembers how much fits"
    );
    device.assert_settled();
}

#[test]
fn b62_429_fails_the_call_and_loses_nothing() {
    for path in [
        "/sync/push-sessions",
        "/chunks",
        "/commit",
        "/committed-bundles",
        "/sync/pull",
    ] {
        let server = server();
        let device = Device::new(&server, "phone");
        device.person(1, "Ann");
        server
            .faults()
            .add(json!({"path": path, "times": 1, "status": 429, "retryAfter": "1"}));
        let error = device.failed("sync_once");
        assert_eq!(error["status"], 429, "{error}");
        assert_eq!(error["retryable"], true, "{error}");
        device.sync();
        assert_eq!(users(&server), ["1 Ann"], "{path}");
        assert_eq!(device.next_bundle(), "2", "{path}");
        device.assert_settled();
    }
}

#[test]
fn b62_403_push_session_forbidden_is_reported() {
    for path in ["/chunks", "/commit"] {
        let server = server();
        let device = Device::new(&server, "phone");
        device.person(1, "Ann");
        refuse(&server, path, 403, "push_session_forbidden");
        let error = device.failed("sync_once");
        assert_eq!(
            (&error["class"], &error["status"]),
            (&json!("auth"), &json!(403)),
            "{error}"
        );
        assert_eq!(device.pending(), "users|1|created");
        device.sync();
        assert_eq!(users(&server), ["1 Ann"]);
        device.assert_settled();
    }
}

#[test]
fn b62_401_is_for_the_host_and_the_next_call_goes_on() {
    for path in [
        "/sync/connect",
        "/sync/push-sessions",
        "/chunks",
        "/commit",
        "/committed-bundles",
        "/sync/pull",
    ] {
        let server = server();
        let device = Device::new(&server, "phone");
        device.person(1, "Ann");
        server
            .faults()
            .add(json!({"path": path, "times": 1, "status": 401}));
        let error = device.failed("sync_once");
        assert_eq!(error["class"], "auth", "{path}: {error}");
        device.sync();
        assert_eq!(users(&server), ["1 Ann"], "{path}");
        device.assert_settled();
    }
}

#[test]
fn b62_a_server_that_is_down_makes_no_row_a_dead_letter() {
    for health in [Health::Closing, Health::Broken] {
        let server = server();
        let device = Device::new(&server, "phone");
        device.person(9, "first");
        device.sync();
        for number in 1..=3 {
            device.person(number, "fine");
        }
        server.set_health(health);
        for _ in 0..6 {
            let error = device.failed("sync_once");
            assert_eq!(error["class"], "server", "{error}");
        }
        assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");
        server.set_health(Health::Well);
        device.sync();
        assert_eq!(users(&server).len(), 4);
        device.assert_settled();
    }
}

#[test]
fn b62_a_commit_that_fails_once_or_twice_goes_through_in_the_same_call() {
    for times in [1, 2] {
        let server = server();
        let device = Device::new(&server, "phone");
        device.person(1, "Ann");
        device.person(2, "Bob");
        server
            .faults()
            .add(json!({"on": "push", "path": "/commit", "times": times, "status": 500, "calls": "push_session_commit_failed"}));
        device.sync();
        assert_eq!(bundles(&server), ["1: INSERT 1 0, INSERT 2 0"]);
        device.assert_settled();
    }
}

#[test]
fn r17_what_the_server_never_takes_is_left_out_with_its_words() {
    let server = server();
    let device = super::full(&server, "phone");
    device.exec(&format!(
        "INSERT INTO typed_rows (id, name, created_at) VALUES ('{}', 'text', 'no time'), ('{}', 'fine', NULL)",
        id(1),
        id(2)
    ));
    device.sync();
    let rejected =
        device.ask("SELECT ltrim(substr(pk, 25), '0'), substr(reason, 1, 8) FROM _syncRejected");
    assert_eq!(rejected, "1|HTTP 500");
    assert_eq!(server.rows(crate::client::USER, "typed_rows").len(), 1);
}
