//! What goes up, and how.

use serde_json::json;
use support::ask;
use support::backend::oversync::a::Options;
use support::work::work_of;

use crate::client::{Device, USER, held, id, server, server_with, sums};

#[test]
fn f7_parents_go_up_before_children_and_deletes_the_other_way_around() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "Ann");
    device.post(2, "Hello", 1);
    assert_eq!(sums(&device.upload()), json!([2, 2, 0, 0, 0]));
    device.exec("DELETE FROM posts; DELETE FROM users");
    device.user(3, "Bob");
    device.post(4, "Hi", 3);
    assert_eq!(sums(&device.upload()), json!([4, 4, 0, 0, 0]));
    let last = server.uploads().pop().expect("an upload");
    let shown: Vec<String> = last
        .iter()
        .map(|change| format!("{} {} {}", change.op, change.table, change.pk == id(1)))
        .collect();
    assert_eq!(
        shown,
        [
            "INSERT users false",
            "INSERT posts false",
            "DELETE posts false",
            "DELETE users true"
        ]
    );
    assert_eq!(device.pending(), "");
    assert_eq!(server.rows(USER, "posts").len(), 1);
}

#[test]
fn f3_f4_r2_r4_the_net_operation_follows_from_the_row_and_its_version() {
    let server = server();
    let device = Device::new(&server, "phone");
    let last = || {
        let last = server.uploads().pop().expect("an upload");
        (last[0].op.clone(), last[0].server_version, last.len())
    };
    device.user(1, "a");
    device.upload();
    assert_eq!(last(), ("INSERT".into(), 0, 1));
    device.user(1, "b");
    device.upload();
    assert_eq!(last(), ("UPDATE".into(), 1, 1));
    device.delete("users", 1);
    device.upload();
    assert_eq!(last(), ("DELETE".into(), 2, 1));
    assert_eq!(device.version(1), "3|1");
    // On a tombstone it is made anew.
    device.user(1, "c");
    device.upload();
    assert_eq!(last(), ("INSERT".into(), 3, 1));
    // Made and deleted again without being sent, and deleted where the server has it deleted: no request.
    let before = server.requests().len();
    device.user(2, "x");
    device.delete("users", 2);
    assert_eq!(sums(&device.upload()), json!([0, 0, 0, 0, 0]));
    assert_eq!(server.requests().len(), before);
    // Deleted, made, deleted: one delete.
    device.delete("users", 1);
    device.user(1, "d");
    device.delete("users", 1);
    device.upload();
    assert_eq!(last(), ("DELETE".into(), 4, 1));
    assert_eq!(held(&server, 1), Some((5, None)));
    assert_eq!(device.pending(), "");
}

/// What a batch costs does not follow from what waits behind it.
#[test]
fn many_rows_go_up_at_the_price_of_few() {
    let server = server();
    let price = |rows: u32| {
        let name = format!("phone{rows}");
        let mut device = Device::with(&server, &name, json!({"uploadLimit": 50}));
        device.exec("BEGIN");
        for number in 0..rows {
            device.user(rows * 10 + number, "n");
        }
        device.exec("COMMIT");
        let declared = "SELECT sync_once('api') ->> '$.upload.applied'";
        let steps = work_of(&mut device.db, |db| {
            assert_eq!(ask(db, declared), rows.to_string());
        });
        steps / u64::from(rows)
    };
    let (few, many) = (price(200), price(8_000));
    assert!(many * 10 < few * 11, "{few} steps a row, then {many}");
}

#[test]
fn line_2_an_edit_during_the_upload_survives_under_a_new_number() {
    use support::backend::Kind;
    use support::backend::Moment;
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "first");
    let other = device.world.plain();
    server
        .moments()
        .plan(Kind::Push, Moment::Committed, 0, move || {
            other
                .execute("UPDATE users SET name = 'second'", [])
                .expect("an edit");
        });
    assert_eq!(sums(&device.upload()), json!([1, 1, 0, 0, 0]));
    assert_eq!(device.pending(), "users|1|updated");
    device.upload();
    assert_eq!(held(&server, 1), Some((2, Some("second".into()))));
    let uploads = server.uploads();
    let numbers: Vec<i64> = uploads
        .iter()
        .map(|upload| upload[0].source_change_id)
        .collect();
    assert!(numbers[0] < numbers[1], "{numbers:?}");
}

#[test]
fn an_upload_is_one_batch_and_a_sync_is_all() {
    let server = server();
    let device = Device::with(&server, "phone", json!({"uploadLimit": 2}));
    for number in 1..=5 {
        device.user(number, "x");
    }
    assert_eq!(sums(&device.upload()), json!([2, 2, 0, 0, 0]));
    assert_eq!(device.pending().lines().count(), 3);
    let answer = device.sync();
    assert_eq!(sums(&answer["upload"]), json!([3, 3, 0, 0, 0]));
    let sizes: Vec<usize> = server.uploads().iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(device.pending(), "");
}

#[test]
fn g2_the_safe_shape_sends_each_change_alone() {
    let server = server();
    let device = Device::with(&server, "phone", json!({"uploadShape": "safe"}));
    for number in 1..=3 {
        device.user(number, "x");
    }
    assert_eq!(sums(&device.upload()), json!([3, 3, 0, 0, 0]));
    let sizes: Vec<usize> = server.uploads().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 1]);
}

#[test]
fn line_5_a_batch_that_is_too_large_is_halved_in_the_same_call() {
    let server = server_with(Options {
        max_changes: Some(3),
        ..Options::default()
    });
    let device = Device::new(&server, "phone");
    for number in 1..=8 {
        device.user(number, "x");
    }
    assert_eq!(sums(&device.upload()), json!([8, 8, 0, 0, 0]));
    assert_eq!(device.pending(), "");
    assert_eq!(server.rows(USER, "users").len(), 8);
}

#[test]
fn peers_are_drained_behind_an_upload_and_only_then() {
    let server = server();
    server.put(USER, "users", &[json!({"id": id(9), "name": "theirs"})]);
    let device = Device::new(&server, "phone");
    device.upload();
    assert_eq!(device.rows("users", "name"), "", "nothing was pending");
    device.user(1, "mine");
    device.upload();
    assert_eq!(device.rows("users", "name"), "1|mine\n9|theirs");
}

#[test]
fn line_8_what_was_written_while_uploads_are_paused_goes_up_once() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.ask("SELECT sync_pause('uploads', 'api')");
    device.user(1, "a");
    let answer = device.upload();
    assert_eq!(
        (&answer["paused"], &answer["total"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(server.requests().len(), 0);
    device.user(1, "b");
    device.ask("SELECT sync_resume('uploads', 'api')");
    assert_eq!(sums(&device.upload()), json!([1, 1, 0, 0, 0]));
    assert_eq!(held(&server, 1), Some((1, Some("b".into()))));
}

#[test]
fn keys_that_are_no_uuids_are_refused_with_their_names() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.exec("CREATE TABLE counted (id INTEGER PRIMARY KEY, x)");
    device.ask("SELECT sync_track('counted')");
    let refused = support::refused(
        &device.db,
        "SELECT sync_entities(NULL, 'api', '[\"counted\"]')",
    );
    assert!(
        refused.contains("column \"id\" of \"counted\" is a key of whole numbers"),
        "{refused}"
    );
    device.exec("INSERT INTO users (id, name) VALUES ('u1', 'x')");
    device.ask("SELECT sync_untrack('counted')");
    let answer = device.upload();
    assert_eq!(answer["unsendable"], 1, "{answer}");
    let reason = device.ask("SELECT reason FROM _syncRejected");
    assert!(reason.contains("its key \"u1\" is no UUID"), "{reason}");
}

#[test]
fn g2_a_row_that_met_a_conflict_goes_up_alone_the_next_time() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.ask("SELECT sync_resolver('users', 'clientWins')");
    for number in 1..=4 {
        device.user(number, "a");
    }
    device.sync();
    server.put(USER, "users", &[json!({"id": id(2), "name": "theirs"})]);
    for number in 1..=4 {
        device.user(number, "b");
    }
    assert_eq!(sums(&device.upload()), json!([4, 3, 1, 0, 0]));
    for number in [1, 3, 4] {
        device.user(number, "c");
    }
    server.clear_requests();
    assert_eq!(sums(&device.upload()), json!([4, 4, 0, 0, 0]));
    let uploads = server.uploads();
    let alone = uploads.iter().find(|upload| upload[0].pk == id(2));
    assert_eq!(alone.map(Vec::len), Some(1));
    assert_eq!(uploads.iter().map(Vec::len).sum::<usize>(), 4);
    // Once it went through, it goes with the others again.
    for number in 1..=4 {
        device.user(number, "d");
    }
    server.clear_requests();
    device.upload();
    assert_eq!(server.uploads().len(), 1);
}
