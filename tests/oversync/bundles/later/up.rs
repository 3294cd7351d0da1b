//! What goes up.

use serde_json::json;
use support::backend::oversync::b::Limits;

use super::super::{bundles, full, lose, users, written};
use super::{TYPED, bodies, later, later_with, typed};
use crate::client::{Device, USER, id};

fn small() -> Limits {
    Limits {
        rows_per_push_chunk: 2,
        rows_per_committed_chunk: 2,
        ..Limits::default()
    }
}

#[test]
fn line_14_a_bundle_of_several_chunks_comes_with_its_hash() {
    let server = later_with(small());
    let device = Device::new(&server, "phone");
    for (number, name) in ["<b>&", "a\u{2028}b\u{2029}", "\"\\\n\u{1}\u{7f}", "é😀", ""]
        .iter()
        .enumerate()
    {
        device.person(number as u32 + 1, name);
    }
    device.sync();
    device.assert_settled();
    assert_eq!(users(&server).len(), 5);
    assert_eq!(bodies(&server, "/chunks").len(), 3);
    let opened = &bodies(&server, "/push-sessions")[0];
    let hash = opened["canonical_request_hash"]
        .as_str()
        .unwrap_or_default();
    assert_eq!(hash.len(), 64, "{opened}");
    // The server has compared it with the rows; deletes and versions are hashed too.
    device.person(1, "new");
    device.delete("users", 2);
    device.sync();
    device.assert_settled();
    assert_eq!(users(&server)[0], "1 new");
    assert_eq!(users(&server).len(), 4);
}

#[test]
fn line_14_whatever_answer_is_lost_the_rows_are_there_once() {
    for path in ["/push-sessions", "/chunks", "/commit", "/committed-bundles"] {
        for after in [false, true] {
            let server = later_with(small());
            let device = full(&server, "phone");
            lose(&server, path, after);
            typed(&device, 1, "9007199254740993", "0.1");
            for number in 2..=4 {
                device.person(number, "a");
            }
            device.call("sync_once", "{}");
            device.person(2, "edited");
            device.sync();
            device.sync();
            device.assert_settled();
            assert_eq!(users(&server), ["2 edited", "3 a", "4 a"], "{path} {after}");
            assert_eq!(server.rows(USER, "typed_rows").len(), 1);
            let inserts = bundles(&server).join(", ").matches("INSERT").count();
            assert_eq!(inserts, 4, "{path} {after}: {:?}", bundles(&server));
        }
    }
}

#[test]
fn line_14_a_conflict_shows_what_the_server_has() {
    let server = later();
    let devices = ["phone", "tablet"].map(|name| full(&server, name));
    typed(&devices[0], 1, "1", "0.5");
    devices[0].sync();
    devices[1].sync();
    typed(&devices[0], 1, "9007199254740993", "1e300");
    devices[0].sync();
    // The server wins, and what is new goes up all the same.
    typed(&devices[1], 1, "3", "0.25");
    devices[1].person(2, "new");
    devices[1].sync();
    devices[1].assert_settled();
    assert_eq!(devices[1].ask(TYPED), devices[0].ask(TYPED));
    assert_eq!(users(&server), ["2 new"]);
    let conflict = "SELECT local ->> 'count_value', remote ->> 'count_value' FROM sync_conflict";
    assert_eq!(devices[1].ask(conflict), "3|9007199254740993");
    // And this device wins.
    devices[0].sync();
    devices[0].ask("SELECT sync_resolver('typed_rows', 'clientWins')");
    typed(&devices[1], 1, "4", "4.0");
    devices[1].sync();
    typed(&devices[0], 1, "-5", "5.0");
    devices[0].sync();
    devices[1].sync();
    assert_eq!(
        devices[1].ask("SELECT count_value, rating FROM typed_rows"),
        "-5|5"
    );
}

#[test]
fn line_14_a_bundle_of_another_request_under_the_same_number_is_not_ours() {
    let server = later();
    let device = Device::new(&server, "phone");
    device.sync();
    lose(&server, "/commit", false);
    device.person(1, "mine");
    device.person(2, "mine");
    device.failed("sync_once");
    // A copy of the file takes the number, with a row of the same key.
    let copy = Device::new(&server, "phone");
    copy.person(1, "theirs");
    copy.sync();
    device.sync();
    device.assert_settled();
    assert_eq!(users(&server), ["1 theirs", "2 mine"]);
    assert_eq!(device.people(), "1|theirs\n2|mine");
    assert_ne!(
        device.ask("SELECT memory ->> 'source' FROM _syncPeer"),
        "phone"
    );
}

#[test]
fn line_14_a_row_that_is_refused_is_alone_in_the_end() {
    let server = later();
    let device = Device::new(&server, "phone");
    for number in 1..=5 {
        device.person(number, "a");
    }
    server.faults().add(
        json!({"path": "/chunks", "rejectIds": {"users": [{"id": id(3), "reason": "quota"}]}}),
    );
    device.sync();
    assert_eq!(users(&server), ["1 a", "2 a", "4 a", "5 a"]);
    assert!(
        device
            .ask("SELECT reason FROM _syncRejected")
            .contains("quota")
    );
    // Others go on.
    server.faults().clear();
    server.put(USER, "users", &[written(9, "theirs")]);
    device.person(6, "b");
    device.sync();
    let others: Vec<String> = users(&server)
        .into_iter()
        .filter(|user| !user.starts_with('3'))
        .collect();
    assert_eq!(others, ["1 a", "2 a", "4 a", "5 a", "6 b", "9 theirs"]);
}
