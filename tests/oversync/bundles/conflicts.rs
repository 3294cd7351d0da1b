//! Rows that were changed on both sides: push_conflict in all forms.

use std::sync::Arc;

use serde_json::json;
use support::backend::oversync::B;
use support::backend::{Kind, Moment};

use super::{asked, bundles, count, server, users, written};
use crate::client::{Device, USER, id};

/// A device with user 1, which another device has changed since.
fn met(theirs: Option<&str>) -> (B, Device) {
    let server = server();
    let device = Device::new(&server, "phone");
    device.person(1, "a");
    device.sync();
    match theirs {
        Some(name) => server.put(USER, "users", &[written(1, name)]),
        None => server.remove(USER, "users", &[&id(1)]),
    }
    (server, device)
}

fn policy(device: &Device, policy: &str) {
    device.ask(&format!("SELECT sync_resolver('users', {policy})"));
}

const RESOLVER: &str = "'sql2', 'CASE WHEN :remote IS NULL THEN json_set(:local, ''$.name'', ''both'') \
                        ELSE json_set(:local, ''$.name'', ''merged'') END'";

#[test]
fn b62_an_upload_that_meets_an_upsert_is_for_the_policy() {
    for (name, left) in [
        ("'serverWins'", "theirs"),
        ("'clientWins'", "mine"),
        (RESOLVER, "merged"),
    ] {
        let (server, device) = met(Some("theirs"));
        policy(&device, name);
        device.person(1, "mine");
        device.person(2, "other");
        device.sync();
        assert_eq!(device.people(), format!("1|{left}\n2|other"), "{name}");
        assert_eq!(
            users(&server),
            [format!("1 {left}"), "2 other".to_owned()],
            "{name}"
        );
        device.assert_settled();
        assert!(
            device.conflicts().starts_with("edited|"),
            "{}",
            device.conflicts()
        );
    }
}

#[test]
fn b62_a_conflict_goes_up_again_in_the_same_call_under_the_same_number() {
    let (server, device) = met(Some("theirs"));
    policy(&device, "'clientWins'");
    device.person(1, "mine");
    server.forget();
    let answer = device.sync();
    assert_eq!(answer["upload"]["applied"], 1, "{answer}");
    let numbers: Vec<String> = server
        .requests()
        .into_iter()
        .filter(|request| request.path == "/sync/push-sessions")
        .map(|request| request.body)
        .collect();
    assert_eq!(numbers.len(), 2);
    assert!(
        numbers
            .iter()
            .all(|body| body.contains("\"source_bundle_id\":2")),
        "{numbers:?}"
    );
    assert_eq!(bundles(&server), ["2: UPDATE 1 2"]);
    // In between it pulls.
    let asked = asked(&server);
    let place = asked
        .iter()
        .position(|request| request.ends_with("/commit"))
        .expect("a commit");
    assert_eq!(asked[place + 1], "GET /sync/pull", "{asked:?}");
}

#[test]
fn b62_a_row_without_a_row_there_is_for_the_policy() {
    // `server_row` is null: it was deleted there.
    for (name, left) in [
        ("'serverWins'", None),
        ("'clientWins'", Some("mine")),
        (RESOLVER, Some("both")),
    ] {
        let (server, device) = met(None);
        policy(&device, name);
        device.person(1, "mine");
        device.sync();
        let people = left.map(|left| format!("1|{left}")).unwrap_or_default();
        assert_eq!(device.people(), people, "{name}");
        assert_eq!(
            users(&server).join("\n").replace(' ', "|"),
            people,
            "{name}"
        );
        device.assert_settled();
    }
}

#[test]
fn b62_a_row_that_the_server_never_had_is_made_anew_or_goes() {
    for (name, left) in [("'serverWins'", ""), ("'clientWins'", "1|mine")] {
        let server = server();
        let device = Device::new(&server, "phone");
        policy(&device, name);
        device.person(1, "a");
        device.sync();
        // The operator put an older state back, in which it is unknown: `server_row_version` is 0.
        server.wipe_user(USER);
        server.put(USER, "users", &[written(9, "theirs")]);
        device.person(1, "mine");
        device.sync();
        device.sync();
        let people = [left, "9|theirs"].join("\n");
        assert_eq!(device.people(), people.trim_start(), "{name}");
        assert_eq!(
            users(&server).join("\n").replace(' ', "|"),
            people.trim_start(),
            "{name}"
        );
        device.assert_settled();
    }
}

#[test]
fn s6_images_that_are_equal_are_settled_and_nobody_is_asked() {
    let (server, device) = met(Some("same"));
    policy(&device, "'sql2', 'json(''no'')'");
    device.person(1, "same");
    device.sync();
    assert_eq!(device.conflicts(), "");
    assert_eq!(bundles(&server).len(), 1, "nothing is left to be sent");
    assert_eq!(device.version(1), "2|0");
    device.assert_settled();
}

#[test]
fn s6_rows_made_equal_on_both_sides() {
    let server = server();
    let devices = ["phone", "tablet"].map(|name| Device::new(&server, name));
    devices.iter().for_each(|device| drop(device.sync()));
    for device in &devices {
        policy(device, "'sql2', 'json(''no'')'");
        device.person(1, "same");
    }
    devices.iter().for_each(|device| drop(device.sync()));
    assert_eq!(devices[1].conflicts(), "");
    assert_eq!(users(&server), ["1 same"]);
    devices.iter().for_each(Device::assert_settled);
}

#[test]
fn b62_deleted_on_both_sides_is_settled() {
    let (server, device) = met(None);
    device.delete("users", 1);
    device.sync();
    assert_eq!(device.conflicts(), "");
    assert_eq!(bundles(&server).len(), 1);
    assert_eq!(device.version(1), "2|1");
    device.assert_settled();
}

#[test]
fn b62_a_delete_wins_over_what_another_device_wrote() {
    let (server, device) = met(Some("theirs"));
    policy(&device, "'sql2', 'json(''no'')'");
    device.delete("users", 1);
    device.sync();
    assert!(users(&server).is_empty());
    assert_eq!(device.people(), "");
    assert_eq!(
        bundles(&server).last().map(String::as_str),
        Some("2: DELETE 1 2")
    );
    device.assert_settled();
}

#[test]
fn b62_an_insert_over_a_tombstone_has_its_version_as_base() {
    let (server, device) = met(None);
    device.download();
    device.person(1, "again");
    device.sync();
    assert_eq!(
        bundles(&server).last().map(String::as_str),
        Some("2: INSERT 1 2")
    );
    assert_eq!(users(&server), ["1 again"]);
    device.assert_settled();
}

#[test]
fn b62_many_conflicts_in_one_bundle_are_settled_in_one_call() {
    let server = server();
    let device = Device::new(&server, "phone");
    policy(&device, "'clientWins'");
    for number in 1..=9 {
        device.person(number, "a");
    }
    device.sync();
    for number in 1..=9 {
        server.put(USER, "users", &[written(number, "theirs")]);
        device.person(number, "mine");
    }
    server.forget();
    device.sync();
    // Only the first is reported; the pull brings the others.
    assert_eq!(count(&server, "/commit"), 2, "{:?}", asked(&server));
    assert!(users(&server).iter().all(|user| user.ends_with(" mine")));
    device.assert_settled();
}

/// Another device changes user 1 each time before a commit, so many times.
fn racing(times: u32) -> (Arc<B>, Device) {
    let server = Arc::new(server());
    let device = Device::new(&*server, "phone");
    policy(&device, "'clientWins'");
    device.person(1, "a");
    device.sync();
    for round in 0..times {
        let same = Arc::clone(&server);
        server
            .moments()
            .plan(Kind::Push, Moment::Arrived, 2 + 3 * round, move || {
                same.put(USER, "users", &[written(1, &format!("theirs {round}"))]);
            });
    }
    server.forget();
    device.person(1, "mine");
    (server, device)
}

#[test]
fn b62_five_rounds_of_conflicts_go_through_in_one_call() {
    let (server, device) = racing(5);
    device.sync();
    assert_eq!(count(&server, "/commit"), 6);
    assert_eq!(users(&server), ["1 mine"]);
    device.assert_settled();
}

#[test]
fn b62_after_five_rounds_the_call_ends_and_the_row_stays_pending() {
    let (server, device) = racing(7);
    let error = device.failed("sync_once");
    assert_eq!(error["retryable"], true, "{error}");
    assert_eq!(count(&server, "/commit"), 6);
    assert_eq!(device.pending(), "users|1|updated");
    server.moments().clear();
    device.sync();
    assert_eq!(users(&server), ["1 mine"]);
    device.assert_settled();
}

#[test]
fn line_9_a_row_whose_resolver_fails_waits_and_the_rest_of_the_bundle_goes_through() {
    let (server, device) = met(Some("theirs"));
    policy(&device, "'sql2', 'json(''no'')'");
    device.person(1, "mine");
    device.person(2, "other");
    server.forget();
    for round in 0..2 {
        let answer = device.sync();
        let warnings = answer["warnings"].to_string();
        assert_eq!(warnings.matches("resolverFailed").count(), 1, "{answer}");
        assert_eq!(device.people(), "1|mine\n2|other");
        assert_eq!(users(&server), ["1 theirs", "2 other"]);
        assert_eq!(device.pending(), "users|1|updated");
        // It was in the first bundle, which met the server's row, and in none since.
        let requests = server.requests().into_iter();
        let chunks = requests.filter(|request| request.path.ends_with("/chunks"));
        let sent = chunks.filter(|request| request.body.contains(&id(1)));
        assert_eq!(sent.count(), 1, "round {round}");
    }
    policy(&device, "'clientWins'");
    device.sync();
    device.sync();
    assert_eq!(users(&server), ["1 mine", "2 other"]);
    device.assert_settled();
}

#[test]
fn line_9_a_delete_of_the_server_whose_resolver_fails_leaves_the_row_pending() {
    for (mended, left) in [
        ("'clientWins'", "1|mine\n"),
        ("'serverWins'", ""),
        ("'sql2', 'NULL'", ""),
    ] {
        for download in [true, false] {
            let (server, device) = met(None);
            policy(&device, "'sql2', 'iif(:remote IS NULL, 5, :local)'");
            device.person(1, "mine");
            device.person(2, "other");
            if download {
                device.download();
            }
            let answer = device.sync();
            assert!(
                answer["warnings"].to_string().contains("resolverFailed"),
                "{answer}"
            );
            assert_eq!(device.people(), "1|mine\n2|other");
            assert_eq!(device.pending(), "users|1|updated");
            assert_eq!(
                device.ask("SELECT op, reason FROM sync_held"),
                "delete|resolver"
            );
            assert_eq!(users(&server), ["2 other"]);
            policy(&device, mended);
            device.sync();
            device.sync();
            assert_eq!(device.people(), format!("{left}2|other"), "{mended}");
            assert_eq!(users(&server).join("\n").replace(' ', "|"), device.people());
            device.assert_settled();
        }
    }
}

#[test]
fn line_9_a_snapshot_meets_a_row_that_is_undecided_too() {
    let (server, device) = met(Some("theirs"));
    policy(&device, "'sql2', '5'");
    device.person(1, "mine");
    device.download();
    // The bundles between are gone, and a snapshot takes their place.
    server.put(USER, "users", &[written(1, "newer")]);
    server.put(USER, "users", &[written(3, "third")]);
    server.prune(USER, 3);
    device.sync();
    assert_eq!(device.people(), "1|mine\n3|third");
    assert_eq!(
        device.ask("SELECT reason, payload ->> 'name' FROM sync_held"),
        "resolver|newer"
    );
    policy(&device, "'serverWins'");
    device.sync();
    assert_eq!(device.people(), "1|newer\n3|third");
    device.assert_settled();
}

#[test]
fn b62_columns_changed_on_each_side_both_stay() {
    let (server, device) = met(Some("theirs"));
    policy(&device, "'columns'");
    device.exec("UPDATE users SET email = 'mine'");
    device.sync();
    assert_eq!(
        device.rows("users", "name || ' ' || email"),
        "1|theirs mine"
    );
    let row = &server.rows(USER, "users")[0];
    assert_eq!(
        (&row["name"], &row["email"]),
        (&json!("theirs"), &json!("mine"))
    );
    device.assert_settled();
}

#[test]
fn b62_a_conflict_while_other_bundles_of_the_call_go_through() {
    let server = server();
    let device = Device::with(&server, "phone", json!({"bundleRows": 2}));
    policy(&device, "'clientWins'");
    for number in 1..=6 {
        device.person(number, "a");
    }
    device.sync();
    server.put(USER, "users", &[written(3, "theirs")]);
    for number in 1..=6 {
        device.person(number, "mine");
    }
    device.sync();
    assert!(
        users(&server).iter().all(|user| user.ends_with(" mine")),
        "{:?}",
        users(&server)
    );
    device.assert_settled();
}
