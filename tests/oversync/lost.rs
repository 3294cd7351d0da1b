//! Answers that do not come, and what is known afterwards.

use serde_json::json;
use support::backend::oversync::A;
use support::backend::{Kind, Moment};

use crate::client::{Device, USER, held, id, lose_answer, lose_push, server, sums};

/// The number, the base and the payload's name of each change of each upload.
fn sent(server: &A) -> Vec<(i64, i64, String)> {
    let uploads = server.uploads().into_iter().flatten();
    uploads
        .map(|change| {
            let name = change.values()["name"].to_string();
            (change.source_change_id, change.server_version, name)
        })
        .collect()
}

#[test]
fn line_3_a_lost_answer_is_acknowledged_by_the_probe() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "a");
    lose_answer(&server);
    let error = device.failed("sync_upload_once");
    assert_eq!(error["class"], "network", "{error}");
    assert_eq!(held(&server, 1), Some((1, Some("a".into()))));
    // It is edited since: what goes out again is what went out before.
    device.user(1, "b");
    let answer = device.upload();
    assert_eq!(sums(&answer), json!([1, 1, 0, 0, 0]), "{answer}");
    assert_eq!(
        sent(&server),
        [
            (1, 0, "\"a\"".to_owned()),
            (1, 0, "\"a\"".to_owned()),
            // Taken without a version: asked once more, alone and under a new number.
            (2, 0, "\"a\"".to_owned()),
        ]
    );
    assert_eq!(device.ask("SELECT count(*) FROM sync_conflict"), "0");
    assert_eq!(device.pending(), "users|1|updated");
    assert_eq!(device.version(1), "1|0");
    device.upload();
    assert_eq!(held(&server, 1), Some((2, Some("b".into()))));
    assert_eq!(device.pending(), "");
}

#[test]
fn m6_what_was_frozen_and_never_left_is_frozen_anew() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "a");
    lose_push(&server);
    device.failed("sync_upload_once");
    // As after the end of the process before the request was handed out.
    device.exec("UPDATE _syncOutbox SET attempts = 0");
    device.user(1, "b");
    device.upload();
    assert_eq!(held(&server, 1), Some((1, Some("b".into()))));
    let last = sent(&server).pop().expect("an upload");
    assert_eq!(last.2, "\"b\"");
    assert_eq!(device.pending(), "");
}

#[test]
fn f1_what_never_arrived_goes_out_again_as_it_was_and_alone() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "a");
    lose_push(&server);
    device.failed("sync_upload_once");
    assert_eq!(held(&server, 1), None);
    device.user(1, "b");
    device.user(2, "c");
    device.upload();
    assert_eq!(
        sent(&server),
        [(1, 0, "\"a\"".to_owned()), (1, 0, "\"a\"".to_owned())],
        "the batch of this call is what is not known"
    );
    assert_eq!(device.pending(), "users|1|updated\nusers|2|created");
    // A sync goes on with the rest.
    device.sync();
    assert_eq!(held(&server, 1), Some((2, Some("b".into()))));
    assert_eq!(held(&server, 2), Some((1, Some("c".into()))));
    assert_eq!(device.pending(), "");
}

#[test]
fn a_sync_sends_what_is_not_known_and_then_the_rest() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "a");
    lose_push(&server);
    device.failed("sync_once");
    device.user(1, "b");
    let answer = device.sync();
    assert_eq!(sums(&answer["upload"]), json!([2, 2, 0, 0, 0]), "{answer}");
    assert_eq!(held(&server, 1), Some((2, Some("b".into()))));
}

#[test]
fn g1_a_delete_whose_answer_was_lost_is_proven_by_its_tombstone() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "a");
    device.sync();
    device.delete("users", 1);
    lose_answer(&server);
    device.failed("sync_upload_once");
    assert_eq!(sums(&device.upload()), json!([1, 1, 0, 0, 0]));
    assert_eq!(device.version(1), "2|1");
    assert_eq!(device.pending(), "");
    assert_eq!(device.ask("SELECT count(*) FROM sync_conflict"), "0");
}

#[test]
fn line_3_lost_after_a_conflict_in_a_batch_the_policy_is_asked() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "a");
    device.user(2, "a");
    device.sync();
    device.user(1, "mine");
    device.user(2, "mine");
    server.put(USER, "users", &[json!({"id": id(1), "name": "theirs"})]);
    lose_answer(&server);
    // The halves go out again in the same call.
    assert_eq!(sums(&device.upload()), json!([2, 1, 1, 0, 0]));
    assert_eq!(device.rows("users", "name"), "1|theirs\n2|mine");
    assert_eq!(device.pending(), "");
    assert_eq!(device.ask("SELECT count(*) FROM sync_conflict"), "1");
    assert_eq!(held(&server, 1), Some((2, Some("theirs".into()))));
    assert_eq!(held(&server, 2), Some((2, Some("mine".into()))));
}

#[test]
fn g6_numbers_that_were_used_before_are_left_behind() {
    let server = server();
    let first = Device::new(&server, "phone");
    for number in 1..=3 {
        first.user(number, "first");
    }
    first.sync();
    // The program is installed anew under the same name, and counts from 1 again.
    let again = Device::new(&server, "phone");
    again.user(11, "x");
    again.user(12, "y");
    let answer = again.upload();
    assert_eq!(sums(&answer), json!([2, 2, 0, 0, 0]), "{answer}");
    assert!(
        answer["warnings"].to_string().contains("changeNumbersUsed"),
        "{answer}"
    );
    assert_eq!(held(&server, 11), Some((1, Some("x".into()))));
    assert_eq!(held(&server, 12), Some((1, Some("y".into()))));
    again.user(13, "z");
    let answer = again.upload();
    assert_eq!(answer["warnings"], json!([]));
    assert_eq!(held(&server, 13), Some((1, Some("z".into()))));
}

#[test]
fn f6_numbers_go_on_after_a_reset() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "a");
    device.sync();
    let config = device.ask("SELECT config FROM _syncProvider WHERE id = 'api'");
    device.ask(&format!(
        "SELECT sync_provider('api', '{config}', '{{\"reset\":true}}')"
    ));
    device.user(1, "b");
    device.sync();
    device.sync();
    let numbers: Vec<i64> = sent(&server).iter().map(|change| change.0).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}

#[test]
fn line_4_a_killed_process_leaves_what_the_next_one_sends_again() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "a");
    // The connection is gone in the middle of the request, and nothing of it was told.
    let path = device.world.path();
    let copy = device.world.file("copy.db");
    let target = copy.clone();
    server
        .moments()
        .plan(Kind::Push, Moment::Committed, 0, move || {
            let db = rusqlite::Connection::open(path).expect("open");
            db.execute("VACUUM INTO ?1", [target.to_str().expect("a path")])
                .expect("a copy");
        });
    device.upload();
    // What a killed process would have left.
    let after = rusqlite::Connection::open(&copy).expect("open");
    let dead = "UPDATE _syncOwner SET processId = 999999999, processStart = '1'";
    after.execute_batch(dead).expect("a dead owner");
    support::database::load(&after);
    let state = "SELECT state FROM _syncPush";
    assert_eq!(support::ask(&after, state), "open");
    let token = server.token(USER, "phone");
    after
        .query_row(
            "SELECT sync_secret('t', ?1, ?2)",
            [token, server.url()],
            |_| Ok(()),
        )
        .expect("a secret");
    let answer = "SELECT answer ->> 'state', answer ->> 'total', answer ->> 'applied' \
                  FROM (SELECT sync_upload_once('api') AS answer)";
    assert_eq!(support::ask(&after, answer), "synced|1|1");
    assert_eq!(
        support::ask(&after, "SELECT count(*) FROM sync_pending"),
        "0"
    );
    assert_eq!(
        support::ask(&after, "SELECT count(*) FROM _syncConflict"),
        "0"
    );
    assert_eq!(held(&server, 1), Some((1, Some("a".into()))));
}

#[test]
fn r5_what_is_refused_while_its_first_attempt_still_runs_is_not_known() {
    use support::backend::oversync::a::Held;
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "a");
    lose_push(&server);
    device.failed("sync_upload_once");
    let body = server.requests().pop().expect("a request").body;
    let holder = server.hold(Held::Projected {
        table: "users".into(),
        pk: id(1),
    });
    // The first attempt was slow, and is still under way in the server.
    let mut first =
        std::net::TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
    let request = format!(
        "POST /sync/upload HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.token(USER, "phone"),
        body.len()
    );
    std::io::Write::write_all(&mut first, request.as_bytes()).expect("sent");
    support::wait_for("the first attempt waits", || server.waiting() == 1);
    let answer = device.upload();
    assert_eq!(answer["applied"], 0, "{answer}");
    let outbox = "SELECT push.state, outbox.change FROM _syncPush AS push JOIN _syncOutbox AS outbox \
                  ON outbox.pushId = push.id";
    assert_eq!(device.ask(outbox), "unknown|1", "{answer}");
    holder.roll_back();
    assert_eq!(sums(&device.upload()), json!([1, 1, 0, 0, 0]));
    assert_eq!(held(&server, 1), Some((1, Some("a".into()))));
    assert_eq!(
        (device.pending(), device.version(1)),
        (String::new(), "1|0".into())
    );
    assert_eq!(device.ask("SELECT count(*) FROM sync_conflict"), "0");
}
