//! What comes down: snapshots that count bytes, and what is no answer of this revision.

use serde_json::json;
use support::backend::oversync::B;
use support::backend::oversync::b::Limits;

use super::super::{asked, count, refuse, written};
use super::{later, later_with};
use crate::client::{Device, USER, id};

/// A server with so many users.
fn filled(limits: Limits, users: u32) -> B {
    let server = later_with(limits);
    for number in 1..=users {
        server.put(USER, "users", &[written(number, "theirs")]);
    }
    server
}

/// The bytes that pages may have, as they were asked for.
fn max_bytes(server: &B) -> Vec<String> {
    let requests = server.requests().into_iter();
    let bytes = requests.filter_map(|request| {
        let (_, bytes) = request.path.split_once("max_bytes=")?;
        Some(bytes.to_owned())
    });
    bytes.collect()
}

#[test]
fn line_14_a_snapshot_comes_in_pages_of_so_many_bytes() {
    let limits = Limits {
        bytes_per_snapshot_chunk: 1400,
        ..Limits::default()
    };
    let server = filled(limits, 10);
    let device = Device::new(&server, "phone");
    device.person(11, "mine");
    device.sync();
    assert_eq!(device.people().lines().count(), 11);
    device.assert_settled();
    let pages = max_bytes(&server);
    assert!(pages.len() > 3, "{pages:?}");
    assert!(pages.iter().all(|bytes| bytes == "700"), "{pages:?}");
}

#[test]
fn line_14_a_row_larger_than_a_page_is_asked_for_with_room_for_it() {
    let limits = Limits {
        bytes_per_snapshot_chunk: 1400,
        ..Limits::default()
    };
    let server = filled(limits, 2);
    server.put(
        USER,
        "users",
        &[written(3, &"x".repeat(800)), written(4, "y")],
    );
    let device = Device::new(&server, "phone");
    device.sync();
    assert_eq!(device.rows("users", "length(name)"), "1|6\n2|6\n3|800\n4|1");
    let pages = max_bytes(&server);
    let larger = pages.iter().filter(|bytes| *bytes != "700").count();
    assert_eq!(larger, 1, "{pages:?}");
    assert_eq!(pages.last().map(String::as_str), Some("700"), "{pages:?}");
    // One that needs more than the server may give ends the sync.
    server.faults().add(json!({"path": "/sync/snapshot-sessions/", "status": 400, "calls": "snapshot_chunk_too_small"}));
    let other = Device::new(&server, "tablet");
    let error = other.failed("sync_once");
    assert_eq!(error["status"], 400, "{error}");
}

#[test]
fn line_14_a_snapshot_above_a_limit_is_refused_in_words() {
    let limits = Limits {
        rows_per_snapshot: Some(2),
        ..Limits::default()
    };
    let server = filled(limits, 3);
    let device = Device::new(&server, "phone");
    device.person(9, "mine");
    let error = device.failed("sync_once");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("its \"row_count\" is 3, and the limit 2"),
        "{error}"
    );
    assert_eq!(error["retryable"], false, "{error}");
    assert_eq!(device.pending(), "users|9|created");
}

#[test]
fn line_14_a_busy_server_is_asked_again_when_it_says() {
    for (snapshots, pages) in [(1, 0), (0, 1)] {
        let server = filled(Limits::default(), 3);
        let device = Device::new(&server, "phone");
        device.person(9, "mine");
        server.busy(snapshots, pages);
        let error = device.failed("sync_once");
        assert_eq!(error["status"], 429, "{error}");
        assert_eq!(error["retryable"], true, "{error}");
        assert_eq!(error["retryAfter"], 1, "{error}");
        assert_eq!(device.pending(), "users|9|created");
        device.sync();
        assert_eq!(device.people().lines().count(), 4);
        device.assert_settled();
        // With another attempt the same sync waits for it.
        server.busy(snapshots, pages);
        let patient = Device::with(&server, "tablet", json!({"attempts": 2}));
        patient.sync();
        assert_eq!(patient.people().lines().count(), 4);
    }
}

#[test]
fn line_14_a_cursor_ahead_of_the_server_is_rebuilt_from_a_snapshot() {
    let server = filled(Limits::default(), 3);
    let device = Device::new(&server, "phone");
    device.sync();
    refuse(&server, "/sync/pull", 409, "checkpoint_ahead");
    server.put(USER, "users", &[written(4, "new")]);
    device.sync();
    assert_eq!(device.people().lines().count(), 4);
    // A cursor at the floor is no reason for one, where nothing is known of the last bundle that was read.
    device.exec("UPDATE _syncPeer SET memory = json_remove(memory, '$.last')");
    server.prune(USER, 4);
    server.put(USER, "users", &[written(5, "newer")]);
    server.forget();
    device.sync();
    assert_eq!(device.people().lines().count(), 5);
    assert_eq!(
        count(&server, "/sync/snapshot-sessions"),
        0,
        "{:?}",
        asked(&server)
    );
}

#[test]
fn line_14_the_first_bundle_may_be_of_a_server_that_took_over_what_it_had() {
    let server = later();
    let baseline = "oversync-adoption:00000000-0000-4000-8000-000000000001";
    server.put_as(baseline, USER, "users", &[written(1, "theirs")]);
    // It takes its time.
    server
        .faults()
        .add(json!({"path": "/sync/", "times": 1, "status": 503, "calls": "service_unavailable"}));
    let device = Device::new(&server, "phone");
    device.person(2, "mine");
    let error = device.failed("sync_once");
    assert_eq!(error["retryable"], true, "{error}");
    device.sync();
    assert_eq!(device.people(), "1|theirs\n2|mine");
    device.assert_settled();
}

#[test]
fn line_14_tables_that_only_the_server_has_are_passed_over() {
    let server = later();
    let device = Device::new(&server, "phone");
    device.person(1, "mine");
    device.sync();
    server.put(USER, "categories", &[json!({"id": id(1), "name": "c"})]);
    server.put(USER, "users", &[written(2, "theirs")]);
    device.sync();
    assert_eq!(device.people(), "1|mine\n2|theirs");
    device.assert_settled();
}
