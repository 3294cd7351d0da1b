//! A server that was wiped and filled again, so that an old cursor fits what it has now.

use serde_json::json;
use support::backend::oversync::B;
use support::backend::oversync::b::{Options, Revision};

use super::{asked, count, server, server_with, users, written};
use crate::client::{Device, USER};

/// A device that has read three bundles.
fn known(server: &B) -> Device {
    let device = Device::new(server, "phone");
    for number in 1..=3 {
        device.person(number, "old");
        device.sync();
    }
    server.forget();
    device
}

/// Wipes the server; others write so many bundles since, of users from 3 on.
fn begin_anew(server: &B, bundles: u32) {
    server.wipe();
    for number in 3..3 + bundles {
        server.put(USER, "users", &[written(number, "new")]);
    }
}

#[test]
fn r18_a_cursor_that_fits_another_history_does_not_go_unnoticed() {
    for revision in [Revision::Recorded, Revision::Later] {
        for bundles in 1..=5 {
            for function in [
                "sync_once",
                "sync_download_all",
                "sync_hydrate",
                "sync_download_once",
            ] {
                let server = server_with(Options {
                    revision,
                    ..Options::default()
                });
                let device = known(&server);
                begin_anew(&server, bundles);
                device.done(function, "{}");
                let there = users(&server).join("\n").replace(' ', "|");
                assert_eq!(device.people(), there, "{function} after {bundles}");
                // And it goes on from there.
                server.put(USER, "users", &[written(9, "later")]);
                device.person(8, "mine");
                device.sync();
                device.sync();
                device.assert_settled();
                let there = users(&server).join("\n").replace(' ', "|");
                assert_eq!(device.people(), there, "{function} after {bundles}");
            }
        }
    }
}

#[test]
fn r18_what_is_pending_meets_the_new_history_and_goes_up() {
    // The next bundle of this device may be just the next one of the new history.
    for bundles in 1..=5 {
        for function in ["sync_once", "sync_upload_once"] {
            let server = server();
            let device = known(&server);
            begin_anew(&server, bundles);
            device.person(3, "mine");
            device.person(20, "mine");
            device.done(function, "{}");
            device.sync();
            device.assert_settled();
            let there = users(&server);
            assert_eq!(there[0], "3 new", "{function} after {bundles}");
            assert!(there.contains(&"20 mine".to_owned()), "{there:?}");
            assert_eq!(device.people(), there.join("\n").replace(' ', "|"));
            assert!(
                device.conflicts().contains("mine"),
                "{}",
                device.conflicts()
            );
        }
    }
}

#[test]
fn r18_a_device_that_has_read_a_snapshot_alone_notices_it_too() {
    let server = server();
    for number in 1..=3 {
        server.put(USER, "users", &[written(number, "old")]);
    }
    let device = Device::new(&server, "phone");
    device.sync();
    begin_anew(&server, 4);
    device.sync();
    assert_eq!(device.people(), "3|new\n4|new\n5|new\n6|new");
    device.assert_settled();
}

#[test]
fn r18_a_server_that_is_as_it_was_is_asked_for_one_row() {
    let server = server();
    let device = known(&server);
    device.sync();
    assert_eq!(
        asked(&server),
        ["GET /sync/committed-bundles/3/rows", "GET /sync/pull"]
    );
    assert!(server.requests()[0].path.ends_with("?max_rows=1"));
    // With nothing to send an upload asks nobody.
    server.forget();
    device.upload();
    assert_eq!(asked(&server).len(), 0);
}

#[test]
fn r18_a_bundle_that_was_gone_and_is_there_again_is_of_another_history() {
    let server = server();
    for number in 1..=3 {
        server.put(USER, "users", &[written(number, "old")]);
    }
    server.prune(USER, 3);
    let device = Device::new(&server, "phone");
    device.sync();
    device.sync();
    begin_anew(&server, 5);
    device.sync();
    assert_eq!(device.people().lines().count(), 5);
    device.assert_settled();
}

#[test]
fn r18_where_the_last_bundle_is_gone_a_snapshot_tells_once() {
    for revision in [Revision::Recorded, Revision::Later] {
        let server = server_with(Options {
            revision,
            ..Options::default()
        });
        let device = known(&server);
        // It may be that of another history, with versions like those that are here.
        begin_anew(&server, 5);
        server.prune(USER, 3);
        device.person(3, "mine");
        device.person(9, "mine");
        device.sync();
        assert_eq!(users(&server)[0], "3 new");
        device.sync();
        assert_eq!(device.people(), users(&server).join("\n").replace(' ', "|"));
        device.assert_settled();
        let head = server.head(USER);
        server.prune(USER, head);
        device.sync();
        server.forget();
        device.sync();
        let pages = asked(&server)
            .iter()
            .filter(|asked| asked.starts_with("GET /sync/snapshot-sessions"))
            .count();
        assert_eq!(pages, 0, "{:?}", asked(&server));
    }
}

#[test]
fn r18_a_server_that_fails_to_show_the_bundle_is_synced_with_unless_it_is_out_of_order() {
    let server = server();
    let device = known(&server);
    for (status, fails) in [(500, false), (503, true), (429, true)] {
        let fault = json!({"path": "/committed-bundles", "times": 4, "status": status});
        server.faults().add(fault);
        let answer = device.call("sync_once", "{}");
        server.faults().clear();
        assert_eq!(answer["state"] == "failed", fails, "{status}: {answer}");
    }
    // It is asked again first.
    begin_anew(&server, 4);
    server
        .faults()
        .add(json!({"path": "/committed-bundles", "times": 3, "status": 500}));
    device.sync();
    assert_eq!(device.people(), "3|new\n4|new\n5|new\n6|new");
}

#[test]
fn r18_a_server_that_never_shows_a_bundle_stops_no_sync() {
    for status in [403, 404, 500] {
        let server = server();
        for number in 1..=3 {
            server.put(USER, "users", &[written(number, "old")]);
        }
        server
            .faults()
            .add(json!({"path": "/committed-bundles", "on": "other", "status": status}));
        let device = Device::new(&server, "phone");
        // Neither when a snapshot is read, nor before a pull.
        device.sync();
        server.put(USER, "users", &[written(4, "new")]);
        device.sync();
        assert_eq!(device.people().lines().count(), 4, "{status}");
        device.assert_settled();
    }
}

#[test]
fn line_14_a_server_that_always_speaks_of_another_revision_is_asked_once() {
    let server = server();
    let device = known(&server);
    for path in ["/sync/pull", "/committed-bundles", "/push-sessions"] {
        device.person(1, path);
        server
            .faults()
            .add(json!({"path": path, "status": 409, "calls": "another_revision"}));
        server.forget();
        device.call("sync_once", "{}");
        assert!(
            count(&server, "/sync/capabilities") <= 1,
            "{:?}",
            asked(&server)
        );
        assert!(asked(&server).len() < 20, "{:?}", asked(&server));
        server.faults().clear();
        device.sync();
        device.assert_settled();
    }
}

#[test]
fn r18_nothing_is_sent_to_a_new_history_while_downloads_are_paused() {
    let server = server();
    let device = known(&server);
    begin_anew(&server, 3);
    server.forget();
    device.person(7, "mine");
    device.ask("SELECT sync_pause('downloads', 'api')");
    let error = device.failed("sync_once");
    assert!(
        error["message"]
            .as_str()
            .unwrap_or_default()
            .contains("begun anew"),
        "{error}"
    );
    assert_eq!(count(&server, "/sync/push-sessions"), 0);
    device.ask("SELECT sync_resume('downloads', 'api')");
    device.sync();
    device.sync();
    assert_eq!(users(&server), ["3 new", "4 new", "5 new", "7 mine"]);
    device.assert_settled();
}

#[test]
fn r18_a_memory_from_before_learns_the_last_bundle() {
    let server = server();
    let device = known(&server);
    device.exec("UPDATE _syncPeer SET memory = json_remove(memory, '$.last')");
    device.sync();
    assert_eq!(
        device.ask("SELECT memory ->> '$.last.seq' FROM _syncPeer"),
        "3"
    );
    begin_anew(&server, 3);
    device.sync();
    assert_eq!(device.people(), "3|new\n4|new\n5|new");
}
