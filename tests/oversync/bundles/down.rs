//! Pulls: bundles of all devices.

use serde_json::{Value, json};
use support::backend::oversync::B;

use super::{full, lose, server, users, written};
use crate::client::{Device, USER, id};

/// The queries of the pulls so far.
fn pulls(server: &B) -> Vec<String> {
    let requests = server.requests().into_iter();
    requests
        .filter_map(|request| request.path.strip_prefix("/sync/pull?").map(str::to_owned))
        .collect()
}

/// A device that has read bundle 1, and the server with so many more.
fn behind(bundles: u32) -> (B, Device) {
    let server = server();
    let device = Device::with(&server, "phone", json!({"pullBundles": 2}));
    device.person(1, "Ann");
    device.sync();
    for number in 2..2 + bundles {
        server.put(USER, "users", &[written(number, "theirs")]);
    }
    server.forget();
    (server, device)
}

#[test]
fn b64_pages_go_up_to_the_first_stable_bundle_and_count_what_they_apply() {
    let (server, device) = behind(5);
    let answer = device.download();
    assert_eq!(answer["applied"], 5, "{answer}");
    assert_eq!(answer["nextSeq"], 6);
    let pulls = pulls(&server);
    assert_eq!(pulls.len(), 3, "{pulls:?}");
    assert!(
        pulls[0].contains("after_bundle_seq=1&max_bundles=2"),
        "{pulls:?}"
    );
    for later in &pulls[1..] {
        assert!(later.contains("target_bundle_seq=6"), "{pulls:?}");
    }
}

#[test]
fn b64_one_page_of_sync_download_once() {
    let (_server, device) = behind(5);
    let answer = device.done("sync_download_once", r#"{"limit":3}"#);
    assert_eq!(
        (&answer["nextSeq"], &answer["hasMore"]),
        (&json!(4), &json!(true)),
        "{answer}"
    );
    assert_eq!(device.people().lines().count(), 4);
    let answer = device.done("sync_download_once", "{}");
    assert_eq!(
        (&answer["nextSeq"], &answer["hasMore"]),
        (&json!(6), &json!(false)),
        "{answer}"
    );
}

#[test]
fn r16_a_target_above_the_head_is_no_cursor() {
    let (server, device) = behind(2);
    let answer = device.done("sync_download_once", r#"{"until":99,"limit":100}"#);
    assert_eq!(answer["nextSeq"], 3, "{answer}");
    server.put(USER, "users", &[written(9, "later")]);
    device.sync();
    assert_eq!(device.people().lines().count(), 4);
}

#[test]
fn b64_a_page_that_is_lost_is_read_again_from_the_stored_cursor() {
    for skip in 0..3 {
        let (server, device) = behind(5);
        server
            .faults()
            .add(json!({"path": "/sync/pull", "skip": skip, "times": 1, "drop": true}));
        device.failed("sync_download_all");
        let here = device.people().lines().count() as u64;
        assert_eq!(here, 1 + 2 * skip, "one transaction for each page");
        device.sync();
        assert_eq!(device.people().lines().count(), 6);
        device.assert_settled();
    }
}

#[test]
fn b64_a_page_that_breaks_off_applies_nothing() {
    for fault in [
        json!({"truncate": 300}),
        json!({"cut": 300}),
        json!({"garbage": true}),
        json!({"empty": true}),
    ] {
        let (server, device) = behind(2);
        let mut fault = fault;
        fault["path"] = json!("/sync/pull");
        fault["times"] = json!(1);
        server.faults().add(fault.clone());
        device.failed("sync_download_all");
        assert_eq!(device.people(), "1|Ann", "{fault}");
        device.sync();
        assert_eq!(device.people().lines().count(), 3, "{fault}");
    }
}

#[test]
fn b64_own_bundles_come_too_and_change_nothing() {
    let server = server();
    let (first, second) = (
        Device::new(&server, "phone"),
        Device::new(&server, "tablet"),
    );
    first.person(1, "Ann");
    first.sync();
    second.sync();
    second.person(2, "Bob");
    second.sync();
    first.person(3, "Cid");
    // Bundle 3 is acknowledged while 2 is missing: the cursor stays, and 3 comes once more.
    let answer = first.sync();
    assert_eq!(answer["downloaded"], 1, "{answer}");
    assert_eq!(first.people(), "1|Ann\n2|Bob\n3|Cid");
    server.forget();
    first.sync();
    assert!(pulls(&server)[0].starts_with("after_bundle_seq=3"));
    first.assert_settled();
}

#[test]
fn b63_the_cursor_follows_only_the_bundle_behind_it() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "Ann");
    device.sync();
    server.put(USER, "users", &[written(2, "theirs")]);
    device.person(3, "mine");
    lose(&server, "/sync/pull", false);
    device.done("sync_upload_once", "{}");
    assert_eq!(device.version(3), "3|0");
    server.forget();
    device.download();
    assert!(
        pulls(&server)[0].starts_with("after_bundle_seq=1"),
        "{:?}",
        pulls(&server)
    );
    assert_eq!(device.people(), "1|Ann\n2|theirs\n3|mine");
}

#[test]
fn b64_rows_of_tables_that_are_not_synced_are_passed_over_and_counted() {
    let (server, device) = behind(0);
    server.put(USER, "categories", &[json!({"id": id(5), "name": "c"})]);
    server.put(USER, "users", &[written(2, "Bob")]);
    let answer = device.download();
    assert_eq!(answer["applied"], 1, "{answer}");
    assert_eq!(answer["skipped"], 1, "{answer}");
    assert_eq!(answer["nextSeq"], 3);
}

#[test]
fn line_8_pauses_send_nothing_and_survive() {
    let (server, device) = behind(1);
    device.ask("SELECT sync_pause('downloads', 'api')");
    assert_eq!(device.call("sync_download_once", "{}")["paused"], true);
    device.person(5, "mine");
    device.sync();
    assert_eq!(users(&server).len(), 3);
    assert!(pulls(&server).is_empty(), "{:?}", pulls(&server));
    device.ask("SELECT sync_resume('downloads', 'api'), sync_pause('uploads', 'api')");
    device.person(6, "mine");
    server.forget();
    device.done("sync_upload_once", "{}");
    assert_eq!(server.requests().len(), 0);
    device.ask("SELECT sync_resume('all', 'api')");
    device.sync();
    assert_eq!(device.people().lines().count(), 4);
    device.assert_settled();
}

#[test]
fn b62_a_conflict_while_downloads_are_paused_is_settled_by_its_image() {
    let (server, device) = behind(0);
    server.put(USER, "users", &[written(1, "theirs")]);
    device.ask("SELECT sync_pause('downloads', 'api')");
    device.person(1, "mine");
    device.person(2, "mine");
    device.sync();
    assert_eq!(device.people(), "1|theirs\n2|mine");
    assert_eq!(users(&server), ["1 theirs", "2 mine"]);
    assert!(pulls(&server).is_empty());
    device.ask("SELECT sync_resume('downloads', 'api')");
    device.sync();
    device.assert_settled();
}

#[test]
fn sync_check_compares_with_a_snapshot_and_changes_nothing() {
    let (server, device) = behind(1);
    device.download();
    let answer = device.call("sync_check", "{}");
    assert_eq!(answer["state"], "equal", "{answer}");
    let users = |answer: &Value| {
        let entities = answer["entities"].as_array().cloned().unwrap_or_default();
        let users = entities.into_iter().find(|one| one["entity"] == "users");
        let users = users.unwrap_or_default();
        json!([
            users["equal"],
            users["missing"],
            users["excess"],
            users["differing"]
        ])
    };
    assert_eq!(users(&answer), json!([2, 0, 0, 0]));
    server.put(
        USER,
        "users",
        &[written(7, "theirs"), written(2, "another")],
    );
    let cursor = device.ask("SELECT cursor FROM _syncCursor LIMIT 1");
    let answer = device.call("sync_check", "{}");
    assert_eq!(answer["state"], "different", "{answer}");
    assert_eq!(users(&answer), json!([1, 1, 0, 1]), "{answer}");
    assert_eq!(device.people().lines().count(), 2);
    assert_eq!(device.ask("SELECT cursor FROM _syncCursor LIMIT 1"), cursor);
    device.sync();
    device.assert_settled();
}

#[test]
fn two_devices_and_a_third_converge() {
    let server = server();
    let devices = ["phone", "tablet", "desk"].map(|name| full(&server, name));
    for round in 0..4u32 {
        for (place, device) in devices.iter().enumerate() {
            let own = 10 * (place as u32 + 1) + round;
            device.person(own, "own");
            device.person(1, &format!("{place}{round}"));
            device.exec(&format!(
                "INSERT INTO posts (id, title, content, author_id) VALUES ('{}', 'p', 'c', '{}')",
                id(100 + own),
                id(own)
            ));
            if round == 2 {
                device.exec(
                    "DELETE FROM posts WHERE id IN (SELECT id FROM posts ORDER BY id LIMIT 1)",
                );
            }
            device.sync();
        }
    }
    for _ in 0..2 {
        devices.iter().for_each(|device| drop(device.sync()));
    }
    let all = "SELECT id, name, email FROM users UNION ALL SELECT id, title, author_id FROM posts ORDER BY 1";
    let first = devices[0].ask(all);
    for device in &devices {
        assert_eq!(device.ask(all), first);
        device.assert_settled();
    }
    assert_eq!(users(&server).len(), 13);
}

#[test]
fn a_gap_in_the_numbers_is_a_protocol_error_and_applies_nothing() {
    use support::canned::json_answer;
    let (server, device) = behind(0);
    let canned = support::canned::Canned::start();
    let row = |number: u32| {
        json!([{"schema": "business", "table": "users", "key": {"id": id(number)}, "op": "INSERT",
            "row_version": 2, "payload": {"id": id(number), "name": "n", "email": "e"}}])
    };
    for (bundles, has_more) in [
        (json!([{"bundle_seq": 3, "rows": row(3)}]), false),
        (
            json!([{"bundle_seq": 2, "rows": row(2)}, {"bundle_seq": 4, "rows": row(4)}]),
            false,
        ),
        (
            json!([{"bundle_seq": 2, "rows": row(2)}, {"bundle_seq": 2, "rows": row(4)}]),
            false,
        ),
        (json!([]), true),
    ] {
        let answer =
            json!({"stable_bundle_seq": 4, "bundles": bundles, "has_more": has_more}).to_string();
        canned.pull_raw(move |_| json_answer(&answer));
        server
            .faults()
            .add(json!({"path": "/sync/pull", "times": 1, "status": 307,
            "redirect": canned.origin() + "/sync/pull"}));
        let error = device.failed("sync_download_all");
        assert_eq!(error["class"], "protocol", "{bundles}: {error}");
        assert_eq!(device.people(), "1|Ann", "{bundles}");
    }
    device.sync();
    device.assert_settled();
}
