//! History that is gone: a snapshot takes the place of what was pulled, and what is pending stays.

use std::sync::Arc;

use serde_json::json;
use support::backend::oversync::B;
use support::backend::oversync::b::{Limits, Options};
use support::backend::{Kind, Moment};

use super::{asked, count, refuse, server_with, users, written};
use crate::client::{Device, USER, id};

fn small() -> B {
    server_with(Options {
        limits: Limits {
            rows_per_snapshot_chunk: 2,
            ..Limits::default()
        },
        ..Options::default()
    })
}

/// A device with users 1 to 5, and a server that has forgotten what it has changed since.
fn left_behind() -> (Arc<B>, Device) {
    let server = small();
    let device = Device::new(&server, "phone");
    for number in 1..=5 {
        device.person(number, "old");
    }
    device.sync();
    server.put(USER, "users", &[written(1, "new"), written(6, "new")]);
    server.remove(USER, "users", &[&id(2)]);
    server.put(USER, "users", &[written(3, "newer")]);
    server.prune(USER, 2);
    server.forget();
    (Arc::new(server), device)
}

const NEW: &str = "1|new\n3|newer\n4|old\n5|old\n6|new";

#[test]
fn b65_history_pruned_on_a_pull_rebuilds_from_a_snapshot() {
    let (server, device) = left_behind();
    // The pull tells, where nothing is known of the last bundle that was read.
    device.exec("UPDATE _syncPeer SET memory = json_remove(memory, '$.last')");
    device.sync();
    assert_eq!(device.people(), NEW);
    assert_eq!(
        asked(&server),
        [
            "GET /sync/committed-bundles/1/rows",
            "GET /sync/pull",
            "POST /sync/snapshot-sessions",
            "GET /sync/committed-bundles/4/rows",
            "GET /sync/snapshot-sessions/*",
            "GET /sync/snapshot-sessions/*",
            "GET /sync/snapshot-sessions/*",
            "DELETE /sync/snapshot-sessions/*",
        ]
    );
    server.put(USER, "users", &[written(7, "later")]);
    device.sync();
    assert_eq!(device.people().lines().count(), 6);
    device.assert_settled();
}

#[test]
fn b65_pages_of_a_snapshot_are_not_seen_before_the_last_one() {
    let faults = [
        json!({"drop": true}),
        json!({"status": 503}),
        json!({"garbage": true}),
        json!({"truncate": 30}),
    ];
    for fault in faults {
        for skip in 0..3 {
            let (server, device) = left_behind();
            let before = device.people();
            let mut fault = fault.clone();
            fault["path"] = json!("/sync/snapshot-sessions/");
            fault["skip"] = json!(skip);
            fault["times"] = json!(4);
            server.faults().add(fault.clone());
            device.failed("sync_download_all");
            assert_eq!(device.people(), before, "{fault}");
            server.faults().clear();
            device.download();
            assert_eq!(device.people(), NEW, "{fault}");
        }
    }
}

#[test]
fn b65_nothing_of_a_snapshot_is_seen_between_its_pages() {
    let (server, device) = left_behind();
    let (before, path) = (device.people(), device.world.path());
    let seen = Arc::new(parking::Cell::default());
    for skip in 1..=3 {
        let (path, seen) = (path.clone(), Arc::clone(&seen));
        server
            .moments()
            .plan(Kind::Pull, Moment::Arrived, skip, move || {
                let db = rusqlite::Connection::open(path).expect("open");
                seen.push(support::ask(
                    &db,
                    "SELECT ltrim(substr(id, 25), '0'), name FROM users ORDER BY id",
                ));
            });
    }
    device.sync();
    assert_eq!(seen.take(), vec![before; 3]);
    assert_eq!(device.people(), NEW);
}

mod parking {
    use std::sync::Mutex;

    #[derive(Default)]
    pub struct Cell(Mutex<Vec<String>>);

    impl Cell {
        pub fn push(&self, text: String) {
            self.0.lock().expect("lock").push(text);
        }

        pub fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().expect("lock"))
        }
    }
}

#[test]
fn b65_pending_rows_pass_through_the_resolver() {
    for (policy, people) in [
        ("serverWins", "1|new\n3|newer\n4|mine\n6|new\n8|mine"),
        (
            "clientWins",
            "1|mine\n2|mine\n3|newer\n4|mine\n6|new\n8|mine",
        ),
    ] {
        let (server, device) = left_behind();
        device.exec(&format!("SELECT sync_resolver('users', '{policy}')"));
        device.person(1, "mine");
        device.person(2, "mine");
        device.person(4, "mine");
        device.person(8, "mine");
        device.delete("users", 5);
        device.download();
        assert_eq!(device.people(), people, "{policy}");
        device.sync();
        assert_eq!(
            users(&server).join("\n").replace(' ', "|"),
            people,
            "{policy}"
        );
        assert_eq!(device.people(), people, "{policy}");
        device.assert_settled();
    }
}

#[test]
fn b65_a_row_that_equals_the_snapshot_and_rows_deleted_on_both_sides_are_settled() {
    let (server, device) = left_behind();
    device.person(1, "new");
    device.delete("users", 2);
    device.download();
    assert_eq!(device.pending(), "");
    assert_eq!(device.conflicts(), "");
    drop(server);
}

#[test]
fn b65_a_pending_delete_stays_a_delete_on_the_new_base() {
    let (server, device) = left_behind();
    device.delete("users", 3);
    device.download();
    assert_eq!(device.pending(), "users|3|deleted");
    assert_eq!(device.version(3), "4|0");
    device.sync();
    assert_eq!(users(&server), ["1 new", "4 old", "5 old", "6 new"]);
    device.assert_settled();
}

#[test]
fn b64_a_server_that_knows_less_than_the_cursor_is_rebuilt_from() {
    let server = small();
    let device = Device::new(&server, "phone");
    for name in ["a", "b", "c"] {
        device.person(1, name);
        device.sync();
    }
    server.wipe_user(USER);
    server.put(USER, "users", &[written(2, "new")]);
    device.person(3, "mine");
    device.download();
    assert_eq!(device.people(), "2|new\n3|mine");
    device.sync();
    assert_eq!(users(&server), ["2 new", "3 mine"]);
    device.assert_settled();
}

#[test]
fn b64_partial_history_from_0_is_rebuilt() {
    let server = small();
    for number in 1..=4 {
        server.put(USER, "users", &[written(number, "theirs")]);
    }
    server.prune(USER, 2);
    let device = Device::new(&server, "phone");
    // One page from 0 starts behind the floor without a word.
    device.done("sync_download_once", "{}");
    assert_eq!(device.people().lines().count(), 4);
    server.put(USER, "users", &[written(5, "later")]);
    device.sync();
    assert_eq!(device.people().lines().count(), 5);
    device.assert_settled();
}

#[test]
fn b64_partial_history_of_a_device_that_initialised_empty() {
    let server = small();
    let device = Device::new(&server, "phone");
    device.sync();
    for number in 1..=4 {
        server.put(USER, "users", &[written(number, "theirs")]);
    }
    server.prune(USER, 2);
    device.sync();
    assert_eq!(device.people().lines().count(), 4);
    device.assert_settled();
}

#[test]
fn r14_a_cursor_at_the_floor_is_no_reason_to_rebuild_twice() {
    let (server, device) = left_behind();
    server.prune(USER, 4);
    device.sync();
    assert_eq!(device.people(), NEW);
    for _ in 0..2 {
        server.forget();
        device.sync();
        assert!(
            count(&server, "/sync/snapshot-sessions") <= 1,
            "{:?}",
            asked(&server)
        );
        assert_eq!(
            count(&server, "/sync/snapshot-sessions/*"),
            2 * count(&server, "/sync/snapshot-sessions")
                - count(&server, "/sync/snapshot-sessions")
        );
        assert_eq!(device.people(), NEW);
    }
    // What is pending goes up all the same, and what comes later comes.
    device.person(9, "mine");
    device.sync();
    assert!(users(&server).contains(&"9 mine".to_owned()));
    server.put(USER, "users", &[written(7, "later")]);
    device.sync();
    assert!(device.people().contains("7|later"));
    device.assert_settled();
}

#[test]
fn r14_a_new_device_at_a_server_whose_floor_is_its_head() {
    let server = small();
    server.put(USER, "users", &[written(1, "theirs")]);
    server.prune(USER, 1);
    let device = Device::new(&server, "phone");
    device.person(2, "mine");
    device.sync();
    assert_eq!(device.people(), "1|theirs\n2|mine");
    assert_eq!(users(&server), ["1 theirs", "2 mine"]);
    device.sync();
    device.assert_settled();
}

#[test]
fn b65_a_snapshot_that_is_gone_or_expired_is_made_anew() {
    for gone in [false, true] {
        let (server, device) = left_behind();
        let same = Arc::clone(&server);
        server
            .moments()
            .plan(Kind::Pull, Moment::Arrived, 2, move || {
                same.expire_sessions()
            });
        if gone {
            server.faults().add(
                json!({"path": "/sync/snapshot-sessions/", "skip": 1, "times": 1,
                "status": 404, "calls": "snapshot_session_not_found"}),
            );
        }
        device.sync();
        assert_eq!(
            count(&server, "POST /sync/snapshot-sessions"),
            2,
            "{:?}",
            asked(&server)
        );
        assert_eq!(device.people(), NEW);
        device.assert_settled();
    }
}

#[test]
fn b65_edits_during_a_rebuild_stay_pending() {
    let (server, device) = left_behind();
    device.exec("SELECT sync_resolver('users', 'clientWins')");
    let path = device.world.path();
    server
        .moments()
        .plan(Kind::Pull, Moment::Arrived, 2, move || {
            let db = rusqlite::Connection::open(path).expect("open");
            support::database::load(&db);
            let sql = format!(
                "UPDATE users SET name = 'meanwhile' WHERE id IN ('{}', '{}')",
                id(1),
                id(4)
            );
            db.execute_batch(&sql).expect("an edit");
        });
    device.sync();
    device.sync();
    assert_eq!(
        device.people(),
        "1|meanwhile\n3|newer\n4|meanwhile\n5|old\n6|new"
    );
    assert_eq!(users(&server).join("\n").replace(' ', "|"), device.people());
    device.assert_settled();
}

#[test]
fn b65_a_snapshot_with_fewer_rows_than_it_said_applies_nothing() {
    let (server, device) = left_behind();
    let before = device.people();
    let url = server.url() + "/sync/snapshot-sessions";
    let mut answer = ureq::post(&url)
        .header("Authorization", format!("Bearer {}", server.token(USER)))
        .header("Oversync-Source-ID", "other")
        .send_empty()
        .expect("a snapshot");
    let body = answer.body_mut().read_to_string().expect("a body");
    let other: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let other = other["snapshot_id"].as_str().expect("an id");
    // The pages of the one before come in place of its own: a row less.
    server.put(USER, "users", &[written(7, "late")]);
    let redirect = format!("/sync/snapshot-sessions/{other}");
    for page in 0..6 {
        server.faults().add(
            json!({"path": "/sync/snapshot-sessions/", "skip": 2 * page, "times": 1, "redirect": redirect}),
        );
    }
    let error = device.failed("sync_download_all");
    let said = error["message"].as_str().unwrap_or_default();
    assert!(
        said.contains("has 5 rows where the backend spoke of 6"),
        "{error}"
    );
    assert_eq!(device.people(), before);
    server.faults().clear();
    device.sync();
    assert_eq!(device.people(), format!("{NEW}\n7|late"));
}

#[test]
fn b65_that_a_snapshot_can_not_be_dropped_is_no_matter() {
    let (server, device) = left_behind();
    server
        .faults()
        .add(json!({"path": "/sync/snapshot-sessions/", "skip": 3, "times": 1, "status": 500}));
    device.sync();
    assert_eq!(device.people(), NEW);
}

#[test]
fn r17_a_snapshot_above_its_limit_fails_clearly_and_keeps_everything() {
    let server = server_with(Options {
        limits: Limits {
            rows_per_snapshot: Some(2),
            ..Limits::default()
        },
        ..Options::default()
    });
    for number in 1..=3 {
        server.put(USER, "users", &[written(number, "theirs")]);
    }
    let device = Device::new(&server, "phone");
    device.person(9, "mine");
    let error = device.failed("sync_once");
    assert_eq!(error["status"], 500, "{error}");
    assert_eq!(device.people(), "9|mine");
    assert_eq!(device.pending(), "users|9|created");
}

#[test]
fn b65_a_snapshot_that_fails_once_is_asked_for_again_in_the_same_call() {
    let (server, device) = left_behind();
    refuse(
        &server,
        "/sync/snapshot-sessions",
        500,
        "snapshot_session_create_failed",
    );
    device.sync();
    assert_eq!(device.people(), NEW);
}

#[test]
fn b65_checkpoint_ahead_is_rebuilt_from_like_pruned_history() {
    let (server, device) = left_behind();
    server.prune(USER, 0);
    refuse(&server, "/sync/pull", 409, "checkpoint_ahead");
    device.sync();
    assert_eq!(device.people(), NEW);
    device.assert_settled();
}

#[test]
fn a_server_that_was_emptied_is_not_filled_again_by_itself() {
    let (server, device) = left_behind();
    server.wipe();
    let before = device.people();
    let error = device.failed("sync_download_all");
    assert!(
        error["message"]
            .as_str()
            .unwrap_or_default()
            .contains("emptied"),
        "{error}"
    );
    assert_eq!(device.people(), before);
}

#[test]
fn a_table_tracked_later_does_not_hide_what_was_deleted_meanwhile() {
    let server = small();
    let device = Device::new(&server, "phone");
    for number in 1..=3 {
        device.person(number, "a");
    }
    device.sync();
    server.remove(USER, "users", &[&id(2)]);
    server.put(USER, "categories", &[json!({"id": id(9), "name": "c"})]);
    device.exec("CREATE TABLE categories (id TEXT PRIMARY KEY, name TEXT, parent_id TEXT)");
    device.exec(&format!(
        "INSERT INTO categories VALUES ('{}', 'mine', NULL)",
        id(8)
    ));
    device.ask("SELECT sync_track('categories')");
    device.sync();
    assert_eq!(device.people(), "1|a\n3|a");
    assert_eq!(device.rows("categories", "name"), "8|mine\n9|c");
    device.assert_settled();
}

#[test]
fn o1_what_is_given_up_comes_back_and_hides_no_delete() {
    let server = small();
    let device = Device::new(&server, "phone");
    for number in 1..=3 {
        device.person(number, "a");
    }
    device.sync();
    device.person(1, "mine");
    server.remove(USER, "users", &[&id(2)]);
    let discard = format!(
        "SELECT sync_discard('users', '{}', '{{\"revert\":true}}')",
        id(1)
    );
    assert!(device.ask(&discard).contains("\"refetch\":true"));
    device.sync();
    assert_eq!(device.people(), "1|a\n3|a");
    device.assert_settled();
}
