//! Numbers of bundles that are not what the server expects: the device takes another name, reads a snapshot, and what is
//! pending stays.

use serde_json::{Value, json};
use support::backend::oversync::B;

use super::{bundles, lose, refuse, server, users, written};
use crate::client::{Device, USER};

/// The replacements that were asked for: reason, the old name and the new one.
fn replacements(server: &B) -> Vec<(String, String, String)> {
    let requests = server.requests().into_iter();
    requests
        .filter(|request| request.path == "/sync/snapshot-sessions" && !request.body.is_empty())
        .map(|request| {
            let body: Value = serde_json::from_str(&request.body).expect("JSON");
            let word = |key: &str| {
                let replacement = &body["source_replacement"];
                replacement[key].as_str().unwrap_or_default().to_owned()
            };
            (
                word("reason"),
                word("previous_source_id"),
                word("new_source_id"),
            )
        })
        .collect()
}

/// A device with user 1 whose file is a copy of an older one.
fn restored() -> (B, Device, Device) {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "a");
    device.sync();
    let copy = copy_of(&server, &device);
    device.person(2, "b");
    device.sync();
    (server, device, copy)
}

/// The same database in another file.
fn copy_of(server: &B, device: &Device) -> Device {
    let world = support::database::World::new(false);
    device
        .db
        .execute("VACUUM INTO ?1", [world.path().to_str().expect("a path")])
        .expect("a copy");
    let copy = Device {
        db: world.open(),
        world,
    };
    let token = server.token(USER);
    copy.db
        .query_row(
            "SELECT sync_secret('t', ?1, ?2)",
            [token, server.url()],
            |_| Ok(()),
        )
        .expect("a secret");
    copy
}

#[test]
fn b65_a_restored_file_whose_number_is_used_takes_another_name() {
    let (server, device, copy) = restored();
    server.forget();
    // Its bundle 2 is somebody else's: already committed, with other rows.
    copy.person(3, "c");
    copy.sync();
    let asked = replacements(&server);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(
        (asked[0].0.as_str(), asked[0].1.as_str()),
        ("source_sequence_changed", "phone")
    );
    assert_eq!(users(&server), ["1 a", "2 b", "3 c"]);
    assert_eq!(copy.people(), "1|a\n2|b\n3|c");
    assert_eq!(copy.next_bundle(), "2", "numbers start at 1 again");
    copy.assert_settled();
    // The other one finds itself retired, and takes another name too.
    device.person(4, "d");
    device.sync();
    copy.sync();
    assert_eq!(users(&server), ["1 a", "2 b", "3 c", "4 d"]);
    assert_eq!(device.people(), copy.people());
    device.assert_settled();
    assert_eq!(replacements(&server)[1].0, "source_retired");
    // Both have names of their own now.
    device.person(5, "e");
    copy.person(6, "f");
    server.forget();
    device.sync();
    copy.sync();
    assert!(replacements(&server).is_empty());
    assert_eq!(users(&server).len(), 6);
}

#[test]
fn r15_already_committed_by_somebody_else_touches_no_row_of_ours() {
    let server = server();
    let first = Device::new(&server, "phone");
    first.person(1, "a");
    first.sync();
    // Another installation under the same name.
    let second = Device::new(&server, "phone");
    second.person(2, "b");
    second.sync();
    assert_eq!(users(&server), ["1 a", "2 b"]);
    assert_eq!(second.people(), "1|a\n2|b");
    second.assert_settled();
}

#[test]
fn b62_a_number_ahead_of_the_server_takes_another_name() {
    let server = server();
    let device = Device::new(&server, "phone");
    for name in ["a", "b"] {
        device.person(1, name);
        device.sync();
    }
    // The server was restored from nothing, and others have filled it.
    server.wipe_user(USER);
    for name in ["x", "y", "z"] {
        server.put(USER, "users", &[written(2, name)]);
    }
    server.forget();
    device.person(3, "mine");
    device.sync();
    let asked = replacements(&server);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].0, "source_sequence_out_of_order");
    assert_eq!(users(&server), ["2 z", "3 mine"]);
    assert_eq!(device.people(), "2|z\n3|mine");
    device.assert_settled();
}

#[test]
fn b62_a_replayed_number_in_pruned_history_takes_another_name() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.exec("SELECT sync_resolver('users', 'clientWins')");
    device.person(1, "a");
    device.sync();
    device.person(1, "b");
    device.person(2, "b");
    lose(&server, "/commit", true);
    device.failed("sync_once");
    server.put(USER, "users", &[written(3, "theirs")]);
    server.prune(USER, 2);
    device.person(2, "c");
    device.sync();
    device.sync();
    assert_eq!(replacements(&server)[0].0, "history_pruned");
    assert_eq!(users(&server), ["1 b", "2 c", "3 theirs"]);
    assert_eq!(device.people(), "1|b\n2|c\n3|theirs");
    device.assert_settled();
}

#[test]
fn b62_committed_rows_in_pruned_history_take_another_name() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "a");
    device.sync();
    device.person(2, "b");
    refuse(&server, "/committed-bundles", 409, "history_pruned");
    device.sync();
    device.sync();
    assert_eq!(users(&server), ["1 a", "2 b"]);
    device.assert_settled();
}

#[test]
fn b62_every_reason_keeps_what_is_pending() {
    for reason in [
        "history_pruned",
        "source_sequence_out_of_order",
        "source_sequence_changed",
        "source_retired",
    ] {
        for path in ["/sync/push-sessions", "/commit"] {
            let server = server();
            let device = Device::new(&server, "phone");
            device.person(1, "a");
            device.sync();
            device.person(1, "b");
            device.person(2, "c");
            refuse(&server, path, 409, reason);
            device.sync();
            let asked = replacements(&server);
            assert_eq!((asked.len(), asked[0].0.as_str()), (1, reason), "{path}");
            assert_eq!(users(&server), ["1 b", "2 c"], "{path} {reason}");
            assert_eq!(device.conflicts(), "", "{path} {reason}");
            device.assert_settled();
        }
    }
}

#[test]
fn b65_a_lost_answer_to_a_replacement_is_asked_again_with_the_same_name() {
    for path in ["/sync/snapshot-sessions", "/sync/snapshot-sessions/"] {
        for after in [false, true] {
            let (server, _device, copy) = restored();
            copy.person(3, "c");
            server.forget();
            lose(&server, path, after);
            copy.failed("sync_once");
            copy.sync();
            let asked = replacements(&server);
            assert!(asked.len() >= 2, "{path} {after}: {asked:?}");
            assert!(asked.iter().all(|one| one.2 == asked[0].2), "{asked:?}");
            assert_eq!(users(&server), ["1 a", "2 b", "3 c"]);
            copy.assert_settled();
        }
    }
}

#[test]
fn b65_source_retired_by_another_new_name_takes_a_third() {
    let (server, device, copy) = restored();
    copy.person(3, "c");
    copy.sync();
    device.person(4, "d");
    // Both would have taken the same name.
    device.sync();
    assert_eq!(users(&server), ["1 a", "2 b", "3 c", "4 d"]);
    let numbers: Vec<String> = server
        .pushes()
        .iter()
        .map(|push| push.source.clone())
        .collect();
    let mut names = numbers.clone();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 3, "{numbers:?}");
    assert_eq!(bundles(&server).len(), 4);
}

#[test]
fn a_retired_source_may_pull_and_its_next_push_recovers() {
    let (server, device, copy) = restored();
    copy.person(3, "c");
    copy.sync();
    device.download();
    assert_eq!(device.people(), "1|a\n2|b\n3|c");
    device.person(1, "mine");
    device.sync();
    assert_eq!(users(&server)[0], "1 mine");
    device.assert_settled();
}

#[test]
fn recovery_with_downloads_paused_waits_and_keeps_everything() {
    let (server, _device, copy) = restored();
    copy.ask("SELECT sync_pause('downloads', 'api')");
    copy.person(3, "c");
    let error = copy.failed("sync_once");
    assert_eq!(error["status"], json!(409), "{error}");
    assert_eq!(copy.pending(), "users|3|created");
    copy.ask("SELECT sync_resume('downloads', 'api')");
    copy.sync();
    assert_eq!(users(&server), ["1 a", "2 b", "3 c"]);
    copy.assert_settled();
}
