//! A server that is updated from one revision to the other, or put back, between two syncs.

use serde_json::json;
use support::backend::oversync::B;
use support::backend::oversync::b::{Limits, Options, Revision};

use super::super::{bundles, count, full, lose, server, server_with, users, written};
use super::{TYPED, is_later, later, typed};
use crate::client::{Device, USER, id};

/// A device that has synced numbers with a server of the earlier revision.
fn known() -> (B, Device) {
    let server = server();
    let device = full(&server, "phone");
    typed(&device, 1, "9007199254740993", "0.5");
    device.person(1, "a");
    device.sync();
    assert!(!is_later(&device));
    server.forget();
    (server, device)
}

#[test]
fn line_14_an_update_is_noticed_by_a_push() {
    let (server, device) = known();
    server.speak(Revision::Later);
    typed(&device, 2, "9007199254740995", "1.0");
    device.sync();
    device.assert_settled();
    assert!(is_later(&device));
    assert_eq!(count(&server, "/sync/capabilities"), 1);
    assert_eq!(
        server.rows(USER, "typed_rows")[1]["count_value"],
        json!(9_007_199_254_740_995_i64)
    );
    // And from then on it is known.
    server.forget();
    typed(&device, 3, "3", "3.0");
    device.sync();
    assert_eq!(count(&server, "/sync/capabilities"), 0);
    let other = full(&server, "tablet");
    other.sync();
    assert_eq!(other.ask(TYPED), device.ask(TYPED));
}

#[test]
fn line_14_an_update_is_noticed_by_a_pull() {
    let (server, device) = known();
    server.speak(Revision::Later);
    let row = json!({"id": id(2), "name": "n", "count_value": "9007199254740995", "enabled_flag": "1", "rating": "2"});
    server.put(USER, "users", &[written(2, "b")]);
    server.put(USER, "typed_rows", &[row]);
    device.download();
    assert!(is_later(&device));
    assert_eq!(
        device.rows("typed_rows", "count_value, rating"),
        "1|9007199254740993|0.5\n2|9007199254740995|2"
    );
    assert_eq!(device.people(), "1|a\n2|b");
    assert_eq!(device.ask("SELECT count(*) FROM sync_aside"), "0");
    device.assert_settled();
}

#[test]
fn line_14_an_update_is_noticed_by_a_snapshot() {
    let (server, device) = known();
    server.speak(Revision::Later);
    for number in 2..=4 {
        server.put(USER, "users", &[written(number, "b")]);
    }
    server.prune(USER, 3);
    device.sync();
    assert!(is_later(&device));
    assert_eq!(device.people().lines().count(), 4);
    device.assert_settled();
}

#[test]
fn line_14_a_comparison_understands_a_server_that_was_updated() {
    let (server, device) = known();
    server.speak(Revision::Later);
    let check = device.call("sync_check", "{}");
    assert_eq!(check["state"], "equal", "{check}");
    device.sync();
    device.assert_settled();
}

#[test]
fn line_14_what_was_frozen_before_an_update_goes_up_after_it() {
    for (path, after) in [
        ("/push-sessions", true),
        ("/chunks", true),
        ("/commit", false),
        ("/commit", true),
    ] {
        for from in [Revision::Recorded, Revision::Later] {
            let server = server_with(Options {
                revision: from,
                ..Options::default()
            });
            let device = full(&server, "phone");
            device.sync();
            lose(&server, path, after);
            typed(&device, 1, "9007199254740993", "1.0");
            typed(&device, 2, "NULL", "5e-324");
            device.exec("UPDATE typed_rows SET enabled_flag = 0, data = x'01'");
            device.call("sync_once", "{}");
            let before = device.ask(TYPED);
            server.speak(match from {
                Revision::Recorded => Revision::Later,
                Revision::Later => Revision::Recorded,
            });
            device.person(1, "meanwhile");
            device.sync();
            device.sync();
            device.assert_settled();
            assert_eq!(device.ask(TYPED), before, "{path} {after} {from:?}");
            assert_eq!(users(&server), ["1 meanwhile"]);
            let inserts = bundles(&server).join(", ").matches("INSERT").count();
            assert_eq!(
                inserts,
                3,
                "{path} {after} {from:?}: {:?}",
                bundles(&server)
            );
            assert_eq!(is_later(&device), from == Revision::Recorded);
            let count = &server.rows(USER, "typed_rows")[0]["count_value"];
            assert_eq!(*count, json!(9_007_199_254_740_993_i64));
        }
    }
}

#[test]
fn line_14_a_server_that_was_put_back_is_noticed() {
    let server = later();
    let device = full(&server, "phone");
    typed(&device, 1, "9007199254740993", "0.5");
    device.sync();
    assert!(is_later(&device));
    server.speak(Revision::Recorded);
    typed(&device, 2, "2", "2.0");
    device.sync();
    device.assert_settled();
    assert!(!is_later(&device));
    assert_eq!(
        device.rows("typed_rows", "count_value"),
        "1|9007199254740993\n2|2"
    );
    // By a pull, too: what comes rounded from now on is what is here.
    server.speak(Revision::Later);
    typed(&device, 1, "9007199254740993", "0.75");
    device.sync();
    assert!(is_later(&device));
    server.speak(Revision::Recorded);
    let other = full(&server, "tablet");
    other.sync();
    other.exec("UPDATE typed_rows SET note = 'theirs'");
    other.sync();
    device.download();
    assert!(!is_later(&device));
    assert_eq!(
        device.rows("typed_rows", "note, count_value"),
        "1|theirs|9007199254740993\n2|theirs|2"
    );
    // The other way around, by a snapshot.
    server.speak(Revision::Later);
    let head = server.head(USER);
    server.put(USER, "users", &[written(1, "b")]);
    server.put(USER, "users", &[written(2, "c")]);
    server.prune(USER, head + 1);
    device.sync();
    assert_eq!(device.people(), "1|b\n2|c");
    assert!(is_later(&device));
    device.assert_settled();
}

#[test]
fn line_14_a_bundle_that_is_refused_for_itself_is_asked_about_once() {
    let server = server_with(Options {
        limits: Limits {
            rows_per_bundle: Some(2),
            ..Limits::default()
        },
        ..Options::default()
    });
    let device = Device::new(&server, "phone");
    device.person(1, "a");
    device.sync();
    server.forget();
    server
        .faults()
        .add(json!({"path": "/sync/push-sessions", "times": 3, "status": 400, "calls": "push_session_invalid"}));
    for number in 2..=4 {
        device.person(number, "b");
    }
    device.sync();
    assert_eq!(count(&server, "/sync/capabilities"), 1);
    assert_eq!(users(&server).len(), 4);
    device.assert_settled();
}
