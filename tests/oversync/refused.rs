//! What the server does not take.

use serde_json::json;
use support::backend::oversync::a::Options;

use crate::client::{Device, USER, id, server, server_with, sums};

#[test]
fn line_5_a_missing_parent_keeps_the_child_pending() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.exec(&format!(
        "PRAGMA foreign_keys = OFF; INSERT INTO posts VALUES ('{}', 'p', 'c', '{}')",
        id(1),
        id(2)
    ));
    device.user(3, "other");
    let answer = device.upload();
    assert_eq!(sums(&answer), json!([2, 1, 0, 1, 0]), "{answer}");
    assert_eq!(answer["invalidReasons"], json!({"fk_missing": 1}));
    assert_eq!(device.pending(), "posts|1|created");
    assert!(
        device
            .ask("SELECT reason FROM _syncRejected")
            .starts_with("fk_missing")
    );
    // Once the parent is there, it goes through.
    device.user(2, "parent");
    assert_eq!(sums(&device.upload()), json!([2, 2, 0, 0, 0]));
    assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");
    assert_eq!(server.rows(USER, "posts").len(), 1);
}

#[test]
fn line_5_what_is_refused_for_good_waits_for_the_next_edit_or_retry() {
    let server = server_with(Options {
        max_payload: Some(200),
        ..Options::default()
    });
    let device = Device::new(&server, "phone");
    device.user(1, &"x".repeat(300));
    device.user(2, "fine");
    let answer = device.upload();
    assert_eq!(sums(&answer), json!([2, 1, 0, 1, 0]), "{answer}");
    assert_eq!(answer["invalidReasons"], json!({"bad_payload": 1}));
    assert!(answer["firstErrorMessage"].is_string(), "{answer}");
    let requests = server.requests().len();
    assert_eq!(sums(&device.upload()), json!([0, 0, 0, 0, 0]));
    assert_eq!(server.requests().len(), requests, "it is left out");
    assert_eq!(
        device.rows("users", "length(name)"),
        "1|300\n2|4",
        "the row stays"
    );
    device.ask("SELECT sync_retry('users', (SELECT id FROM users LIMIT 1))");
    assert_eq!(sums(&device.upload()), json!([1, 0, 0, 1, 0]));
    device.user(1, "short");
    assert_eq!(sums(&device.upload()), json!([1, 1, 0, 0, 0]));
    assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");
}

#[test]
fn line_5_a_table_that_the_server_does_not_have() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.exec("CREATE TABLE strange (id TEXT PRIMARY KEY, x)");
    device.ask("SELECT sync_track('strange')");
    device.exec(&format!("INSERT INTO strange VALUES ('{}', 1)", id(1)));
    device.user(2, "fine");
    let answer = device.upload();
    assert_eq!(
        answer["invalidReasons"],
        json!({"unregistered_table": 1}),
        "{answer}"
    );
    assert_eq!(answer["applied"], 1);
}

#[test]
fn line_10_failures_have_their_class() {
    let server = server();
    let device = Device::new(&server, "phone");
    for (fault, class, code) in [
        (json!({"status": 401}), "auth", "SYNC_ERROR_AUTH"),
        (json!({"status": 503}), "server", "SYNC_ERROR_HTTP"),
        (json!({"html": true}), "protocol", "SYNC_ERROR_PROTOCOL"),
        (
            json!({"drop": true, "afterCommit": true}),
            "network",
            "SYNC_ERROR_NETWORK",
        ),
    ] {
        let mut fault = fault;
        fault["on"] = json!("pull");
        fault["times"] = json!(1);
        server.faults().add(fault);
        let error = device.failed("sync_download_once");
        assert_eq!(
            (&error["class"], &error["code"]),
            (&json!(class), &json!(code)),
            "{error}"
        );
    }
    server.put(USER, "users", &[json!({"id": id(1), "name": "n"})]);
    assert_eq!(device.sync()["downloaded"], 1);
}

#[test]
fn r6_a_500_over_one_change_of_many_is_narrowed_down_with_the_same_numbers() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "parent");
    device.sync();
    // Another device gives it a child that is not here yet, so that its delete is a 500 for the whole request.
    server.put(
        USER,
        "posts",
        &[json!({"id": id(50), "title": "child", "author_id": id(1)})],
    );
    device.delete("users", 1);
    for number in 2..=4 {
        device.user(number, "x");
    }
    let answer = device.upload();
    assert_eq!(answer["applied"], 3, "{answer}");
    assert!(
        answer["warnings"].to_string().contains("pushUnfinished"),
        "{answer}"
    );
    assert_eq!(device.pending(), "users|1|deleted");
    // It goes out twice more, alone, and what comes meanwhile goes through.
    for number in 5..=6 {
        device.user(number, "later");
        let answer = device.sync();
        assert_eq!(answer["upload"]["applied"], 1, "{answer}");
    }
    assert!(
        device
            .ask("SELECT reason FROM _syncRejected")
            .starts_with("HTTP 500")
    );
    let requests = server.uploads().len();
    device.upload();
    assert_eq!(server.uploads().len(), requests, "it is left out");
    assert_eq!(server.rows(USER, "users").len(), 6);
    // One change has one number, however often it went out.
    let mut numbers: Vec<(String, i64)> = server
        .uploads()
        .into_iter()
        .flatten()
        .filter(|change| change.op == "DELETE")
        .map(|change| (change.pk, change.source_change_id))
        .collect();
    numbers.dedup();
    assert_eq!(numbers.len(), 1, "{numbers:?}");
}

#[test]
fn r6_a_reference_that_is_null_goes_up_without_ending_the_connection() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.exec(&format!(
        "INSERT INTO posts (id, title) VALUES ('{}', 'alone')",
        id(1)
    ));
    assert_eq!(sums(&device.upload()), json!([1, 1, 0, 0, 0]));
    device.exec("UPDATE posts SET title = 'still alone'");
    assert_eq!(sums(&device.upload()), json!([1, 1, 0, 0, 0]));
    device.user(2, "author");
    device.exec(&format!("UPDATE posts SET author_id = '{}'", id(2)));
    assert_eq!(sums(&device.upload()), json!([2, 2, 0, 0, 0]));
    device.exec("UPDATE posts SET author_id = NULL");
    let answer = device.upload();
    assert_eq!(answer["unsendable"], 1, "{answer}");
    assert!(
        device
            .ask("SELECT reason FROM _syncRejected")
            .contains("author_id")
    );
    let other = Device::new(&server, "tablet");
    other.sync();
    assert_eq!(other.rows("posts", "title"), "1|still alone");
}

#[test]
fn r6_a_connection_that_is_closed_over_one_change_of_many() {
    let server = server();
    let device = Device::new(&server, "phone");
    // A reference that is a number closes the connection.
    device.exec("CREATE TABLE file_reviews (id TEXT PRIMARY KEY, review TEXT, file_id INTEGER)");
    device.ask("SELECT sync_track('file_reviews')");
    device.exec(&format!(
        "INSERT INTO file_reviews VALUES ('{}', 'r', 7)",
        id(1)
    ));
    for number in 2..=6 {
        device.user(number, "x");
    }
    let answer = device.sync();
    assert_eq!(answer["upload"]["applied"], 5, "{answer}");
    assert_eq!(device.pending(), "file_reviews|1|created");
    for number in 7..=8 {
        device.user(number, "later");
        assert_eq!(device.sync()["upload"]["applied"], 1);
    }
    let reason = device.ask("SELECT reason FROM _syncRejected");
    assert!(reason.starts_with("no answer: "), "{reason}");
    let requests = server.requests().len();
    device.upload();
    assert_eq!(server.requests().len(), requests, "it is left out");
}

#[test]
fn o1_a_change_that_is_given_up_brings_back_what_the_server_has() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "theirs");
    device.user(2, "theirs");
    device.sync();
    device.user(1, "mine");
    device.delete("users", 2);
    for number in [1, 2] {
        let discard = format!(
            "SELECT sync_discard('users', '{}', '{{\"revert\":true}}')",
            id(number)
        );
        assert!(device.ask(&discard).contains("\"refetch\":true"));
    }
    device.done("sync_download_all", r#"{"includeSelf":true}"#);
    assert_eq!(device.rows("users", "name"), "1|theirs\n2|theirs");
    assert_eq!(device.pending(), "");
    assert_eq!(
        (device.version(1), device.version(2)),
        ("1|0".into(), "1|0".into())
    );
}
