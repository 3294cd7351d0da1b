//! Answers that do not come, and what is known afterwards.

use std::sync::Arc;

use serde_json::json;
use support::backend::oversync::B;
use support::backend::{Kind, Moment};

use super::{asked, bundles, count, lose, refuse, server, small, users, written};
use crate::client::{Device, USER};

/// The requests of a push, by a part of their path.
const REQUESTS: &[&str] = &[
    "/sync/push-sessions",
    "/chunks",
    "/commit",
    "/committed-bundles",
    "/sync/pull",
];

/// A device that is connected, with a row that stays.
fn synced(server: &B) -> Device {
    let device = Device::new(server, "phone");
    device.person(9, "first");
    device.sync();
    device
}

#[test]
fn b62_any_request_of_a_push_lost_before_or_after_it_arrived_loses_and_doubles_nothing() {
    for path in REQUESTS {
        for after in [false, true] {
            let server = server();
            let device = synced(&server);
            server.forget();
            device.person(1, "a");
            device.person(2, "a");
            lose(&server, path, after);
            let error = device.failed("sync_once");
            assert_eq!(error["class"], "network", "{path} {after}: {error}");
            // It is edited since.
            device.person(1, "b");
            device.person(3, "c");
            device.delete("users", 2);
            device.sync();
            let which = format!("{path} {after}: {:?}", bundles(&server));
            assert_eq!(users(&server), ["1 b", "3 c", "9 first"], "{which}");
            assert_eq!(device.people(), "1|b\n3|c\n9|first", "{which}");
            assert_eq!(device.conflicts(), "", "{which}");
            device.assert_settled();
        }
    }
}

#[test]
fn b62_a_lost_answer_to_the_commit_is_already_committed_and_goes_up_once() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "a");
    lose(&server, "/commit", true);
    device.failed("sync_once");
    assert_eq!(device.on_its_way(), "1");
    server.forget();
    device.sync();
    // It brought the first rows: the right to do so is over.
    assert_eq!(
        asked(&server),
        [
            "POST /sync/push-sessions",
            "POST /sync/connect",
            "POST /sync/push-sessions",
            "GET /sync/committed-bundles/1/rows",
            "GET /sync/pull"
        ]
    );
    assert_eq!(
        (device.version(1), device.next_bundle()),
        ("1|0".into(), "2".into())
    );
    device.person(1, "b");
    lose(&server, "/commit", true);
    device.failed("sync_once");
    server.forget();
    device.sync();
    assert_eq!(
        asked(&server),
        [
            "GET /sync/committed-bundles/1/rows",
            "POST /sync/push-sessions",
            "GET /sync/committed-bundles/2/rows",
            "GET /sync/pull"
        ]
    );
    assert_eq!(device.version(1), "2|0");
    assert_eq!(device.next_bundle(), "3");
    device.assert_settled();
}

#[test]
fn s5_what_is_not_known_goes_out_again_with_the_same_bytes() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "a");
    lose(&server, "/commit", false);
    device.failed("sync_once");
    device.person(1, "b");
    device.person(2, "c");
    device.sync();
    let chunks: Vec<String> = server
        .requests()
        .into_iter()
        .filter(|request| request.path.ends_with("/chunks"))
        .map(|request| request.body)
        .collect();
    assert_eq!(chunks.len(), 3);
    assert_eq!(chunks[0], chunks[1]);
    assert_eq!(
        bundles(&server),
        ["1: INSERT 1 0", "2: UPDATE 1 1, INSERT 2 0"]
    );
    device.assert_settled();
}

#[test]
fn b62_an_upload_of_what_is_not_known_sends_nothing_besides() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "a");
    lose(&server, "/commit", true);
    device.failed("sync_upload_once");
    device.person(2, "b");
    device.upload();
    assert_eq!(bundles(&server), ["1: INSERT 1 0"]);
    assert_eq!(device.pending(), "users|2|created");
    device.upload();
    device.assert_settled();
}

#[test]
fn b62_the_second_chunk_lost_starts_the_bundle_over() {
    for after in [false, true] {
        let server = small();
        let device = Device::new(&server, "phone");
        for number in 1..=5 {
            device.person(number, "a");
        }
        server.faults().add(
            json!({"path": "/chunks", "skip": 1, "times": 1, "drop": true, "afterCommit": after}),
        );
        device.failed("sync_once");
        device.sync();
        assert_eq!(bundles(&server).len(), 1);
        assert_eq!(users(&server).len(), 5);
        device.assert_settled();
    }
}

#[test]
fn b62_push_chunk_out_of_order_starts_the_bundle_over_in_the_same_call() {
    let server = small();
    let device = Device::new(&server, "phone");
    for number in 1..=5 {
        device.person(number, "a");
    }
    server
        .faults()
        .add(json!({"path": "/chunks", "skip": 1, "times": 1, "status": 409, "calls": "push_chunk_out_of_order"}));
    device.sync();
    assert_eq!(count(&server, "/sync/push-sessions"), 2);
    assert_eq!(bundles(&server).len(), 1);
    device.assert_settled();
}

#[test]
fn b62_r13_a_session_that_is_gone_or_expired_is_opened_again_in_the_same_call() {
    for path in ["/chunks", "/commit"] {
        for gone in [false, true] {
            let server = Arc::new(server());
            let device = Device::new(&*server, "phone");
            device.person(1, "a");
            device.sync();
            device.person(1, "b");
            let same = Arc::clone(&server);
            server
                .moments()
                .plan_at(Kind::Push, path, Moment::Arrived, move || {
                    same.expire_sessions();
                });
            if gone {
                refuse(&server, path, 404, "push_session_not_found");
            }
            device.sync();
            assert_eq!(users(&server), ["1 b"], "{path} {gone}");
            assert_eq!(bundles(&server).len(), 2);
            device.assert_settled();
        }
    }
}

#[test]
fn b62_answers_that_break_off_or_are_no_json_leave_it_unknown_or_pending() {
    for path in REQUESTS {
        for fault in [
            json!({"truncate": 10}),
            json!({"cut": 10}),
            json!({"garbage": true, "afterCommit": true}),
            json!({"html": true}),
            json!({"empty": true, "afterCommit": true}),
        ] {
            let server = server();
            let device = synced(&server);
            device.person(1, "a");
            let mut fault = fault;
            fault["path"] = json!(path);
            fault["times"] = json!(1);
            server.faults().add(fault.clone());
            let error = device.failed("sync_once");
            let class = error["class"].as_str().unwrap_or_default();
            assert!(["network", "protocol"].contains(&class), "{fault}: {error}");
            device.person(1, "b");
            device.sync();
            assert_eq!(users(&server), ["1 b", "9 first"], "{fault}");
            device.assert_settled();
        }
    }
}

#[test]
fn b63_committed_rows_lost_page_by_page_are_read_again() {
    for skip in 0..3 {
        for after in [false, true] {
            let server = small();
            let device = Device::new(&server, "phone");
            for number in 1..=5 {
                device.person(number, "a");
            }
            server.faults().add(
                json!({"path": "/committed-bundles", "skip": skip, "times": 1, "drop": true, "afterCommit": after}),
            );
            device.failed("sync_once");
            assert_eq!(
                device.pending().lines().count(),
                5,
                "nothing of it is told yet"
            );
            device.sync();
            assert_eq!(bundles(&server).len(), 1);
            assert_eq!(device.next_bundle(), "2");
            device.assert_settled();
        }
    }
}

#[test]
fn b63_committed_bundle_not_found_is_opened_again() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "a");
    refuse(
        &server,
        "/committed-bundles",
        404,
        "committed_bundle_not_found",
    );
    device.sync();
    assert_eq!(bundles(&server).len(), 1);
    device.assert_settled();
}

#[test]
fn b62_a_lost_bundle_and_edits_of_another_device_on_the_same_rows() {
    for policy in ["serverWins", "clientWins"] {
        let server = server();
        let device = Device::new(&server, "phone");
        device.exec(&format!("SELECT sync_resolver('users', '{policy}')"));
        device.person(1, "a");
        lose(&server, "/commit", true);
        device.failed("sync_once");
        server.put(USER, "users", &[written(1, "theirs")]);
        device.person(1, "b");
        device.sync();
        let winner = match policy {
            "serverWins" => "theirs",
            _ => "b",
        };
        assert_eq!(users(&server), [format!("1 {winner}")], "{policy}");
        assert_eq!(device.people(), format!("1|{winner}"));
        device.assert_settled();
    }
}

#[test]
fn b62_downloads_between_a_lost_commit_and_its_repetition_meet_the_own_rows() {
    for after in [false, true] {
        let server = server();
        let device = synced(&server);
        device.person(1, "a");
        lose(&server, "/commit", after);
        device.failed("sync_upload_once");
        device.person(1, "b");
        device.download();
        device.sync();
        assert_eq!(users(&server), ["1 b", "9 first"], "{after}");
        assert_eq!(device.people(), "1|b\n9|first");
        device.assert_settled();
    }
}

#[test]
fn s5_the_same_request_sent_again_at_once_loses_and_doubles_nothing() {
    for path in REQUESTS {
        for after in [false, true] {
            // The second attempt at a commit may be refused for something else.
            for then in [None, Some(401), Some(429)] {
                let server = server();
                let device = Device::with(&server, "phone", json!({"attempts": 3}));
                device.person(9, "first");
                device.sync();
                server.forget();
                device.person(1, "a");
                if let Some(status) = then {
                    server
                        .faults()
                        .add(json!({"path": path, "skip": 1, "times": 3, "status": status}));
                }
                lose(&server, path, after);
                let answer = device.call("sync_once", "{}");
                let failed = answer["state"] == "failed";
                assert_eq!(failed, then.is_some(), "{path} {after} {then:?}: {answer}");
                server.faults().clear();
                device.person(1, "b");
                device.sync();
                let which = format!("{path} {after} {then:?}: {:?}", bundles(&server));
                assert_eq!(users(&server), ["1 b", "9 first"], "{which}");
                assert_eq!(device.conflicts(), "", "{which}");
                assert_eq!(
                    device.ask("SELECT memory ->> 'source' FROM _syncPeer"),
                    "phone",
                    "{which}"
                );
                device.assert_settled();
            }
        }
    }
}

#[test]
fn b62_what_came_between_a_lost_commit_and_its_repetition_is_not_forgotten() {
    // A snapshot skips the own change: what is pending meets what came after it.
    for (policy, delete, pruned, left) in [
        ("serverWins", false, false, "theirs"),
        ("clientWins", false, false, "theirs"),
        ("serverWins", true, false, ""),
        ("serverWins", false, true, "theirs"),
        ("clientWins", false, true, "a"),
        ("serverWins", true, true, ""),
    ] {
        let which = format!("{policy} {delete} {pruned}");
        let server = server();
        let device = Device::new(&server, "phone");
        device.exec(&format!("SELECT sync_resolver('users', '{policy}')"));
        device.person(9, "first");
        device.person(1, "old");
        device.sync();
        match delete {
            true => device.delete("users", 1),
            false => device.person(1, "a"),
        }
        lose(&server, "/commit", true);
        device.failed("sync_upload_once");
        // Another device has seen it, and goes on.
        server.put(USER, "users", &[written(1, "theirs")]);
        server.prune(USER, i64::from(pruned));
        device.download();
        device.upload();
        device.sync();
        let row = match left {
            "" => String::new(),
            left => format!("1 {left}\n"),
        };
        assert_eq!(
            users(&server).join("\n"),
            format!("{row}9 first"),
            "{which}"
        );
        assert_eq!(
            device.people(),
            users(&server).join("\n").replace(' ', "|"),
            "{which}"
        );
        assert_eq!(
            device.ask("SELECT memory ->> 'source' FROM _syncPeer"),
            "phone",
            "{which}"
        );
        device.assert_settled();
    }
}

#[test]
fn b63_a_lost_bundle_whose_row_is_gone_in_a_later_snapshot_leaves_none_behind() {
    for policy in ["serverWins", "clientWins"] {
        let server = server();
        let device = Device::new(&server, "phone");
        device.exec(&format!("SELECT sync_resolver('users', '{policy}')"));
        device.person(9, "first");
        device.sync();
        device.person(1, "a");
        lose(&server, "/commit", true);
        device.failed("sync_upload_once");
        // Another device has seen it, and deletes it. Only a snapshot tells.
        server.remove(USER, "users", &[&crate::client::id(1)]);
        server.prune(USER, 1);
        device.download();
        device.sync();
        device.sync();
        assert_eq!(
            device.people(),
            users(&server).join("\n").replace(' ', "|"),
            "{policy}"
        );
        device.assert_settled();
    }
}
