//! Each defect shows in certain recordings and can be turned off.

use serde_json::{Value, json};
use support::backend::Kind;
use support::backend::Moment;
use support::backend::oversync::A;
use support::backend::oversync::a::{Breakdown, Defects, Options};

use super::client::{Client, delete, id, post, upsert, user};
use super::replay_all;

/// A server with one defect less.
fn without(turn_off: impl FnOnce(&mut Defects)) -> A {
    let mut options = Options::default();
    turn_off(&mut options.defects);
    A::start(options).expect("a server")
}

/// Its name, how it is turned off, and the recordings in which it shows.
type Switch = (&'static str, fn(&mut Defects), &'static [&'static str]);

#[test]
fn every_defect_shows_in_the_recordings() {
    let switches: &[Switch] = &[
        ("phantoms", |d| d.phantoms = false, &["07", "12", "13"]),
        (
            "swallows_replays",
            |d| d.swallows_replays = false,
            &["07", "13", "19", "20"],
        ),
        ("null_key_closes", |d| d.null_key_closes = false, &["09"]),
        (
            "late_keys_fail",
            |d| d.late_keys_fail = false,
            &["08", "17", "18", "22"],
        ),
        (
            "hides_projection",
            |d| d.hides_projection = false,
            &["08", "11", "16", "21"],
        ),
        ("numbers_early", |d| d.numbers_early = false, &["14", "20"]),
        ("collisions", |d| d.collisions = false, &["20"]),
        (
            "rewrites_images",
            |d| d.rewrites_images = false,
            &["06", "16"],
        ),
        (
            "shares_projection",
            |d| d.shares_projection = false,
            &["18"],
        ),
        ("hides_breakdown", |d| d.hides_breakdown = false, &["21"]),
    ];
    for (name, turn_off, files) in switches {
        let mut defects = Defects::default();
        turn_off(&mut defects);
        let differences = replay_all(&defects);
        let found: Vec<&str> = differences.keys().copied().collect();
        assert_eq!(found, *files, "{name}");
    }
}

#[test]
fn without_phantoms_refused_changes_leave_nothing_and_a_row_may_come_twice() {
    let server = without(|defects| defects.phantoms = false);
    let client = Client::new(&server, "phone");
    let twice = [
        upsert(1, "users", 0, &user(1, "a")),
        upsert(2, "users", 1, &user(1, "b")),
    ];
    assert_eq!(client.all(&twice), ["applied 1", "applied 2"]);
    let refused = [
        upsert(3, "users", 1, &user(1, "c")),
        upsert(4, "users", 7, &user(9, "d")),
        delete(5, "users", 0, 8),
        delete(6, "users", 1, 1),
    ];
    let expected = [
        "conflict 2",
        "invalid internal_error",
        "applied",
        "conflict 2",
    ];
    assert_eq!(client.all(&refused), expected);
    assert_eq!(client.log(0), ["1 INSERT 1 v1", "2 UPDATE 1 v2"]);
    // Their ids are not used up.
    assert_eq!(
        client.one(upsert(3, "users", 2, &user(1, "c"))),
        "applied 3"
    );
}

#[test]
fn without_swallowing_a_known_id_gets_its_version_or_is_refused() {
    let server = without(|defects| defects.swallows_replays = false);
    let client = Client::new(&server, "phone");
    let first = upsert(1, "users", 0, &user(1, "a"));
    for _ in 0..2 {
        assert_eq!(client.one(first.clone()), "applied 1");
    }
    let other = upsert(1, "users", 1, &user(1, "b"));
    assert_eq!(client.one(other), "invalid bad_payload");
    assert_eq!(client.log(0).len(), 1);
}

#[test]
fn without_closing_a_null_key_is_stored_and_a_number_is_refused() {
    let server = without(|defects| defects.null_key_closes = false);
    let client = Client::new(&server, "phone");
    let orphan = upsert(1, "posts", 0, &post(1, &Value::Null));
    assert_eq!(client.one(orphan), "applied 1");
    let wrong = upsert(2, "posts", 0, &post(2, &json!(7)));
    assert_eq!(client.one(wrong), "invalid bad_payload");
    server.put("mara", "posts", &[post(3, &Value::Null)]);
    let payload = server
        .stored("mara", "posts", &id(3))
        .and_then(|row| row.payload);
    assert_eq!(payload.expect("a row")["author_id"], Value::Null);
}

#[test]
fn without_late_keys_only_the_changes_that_break_a_key_are_refused() {
    let server = without(|defects| defects.late_keys_fail = false);
    let client = Client::new(&server, "phone");
    server.put("mara", "users", &[user(1, "parent")]);
    server.put("mara", "posts", &[post(2, &json!(id(1)))]);
    let changes = [
        delete(1, "users", 1, 1),
        upsert(2, "users", 0, &user(3, "bystander")),
        upsert(3, "users", 4, &user(4, "refused")),
        upsert(4, "posts", 0, &post(5, &json!(id(4)))),
    ];
    let expected = [
        "invalid fk_missing",
        "applied 1",
        "invalid internal_error",
        "invalid fk_missing",
    ];
    assert_eq!(client.all(&changes), expected);
    assert_eq!(server.rows("mara", "users").len(), 2);
}

#[test]
fn without_hiding_a_row_that_cannot_be_projected_is_said() {
    let server = without(|defects| defects.hides_projection = false);
    let client = Client::new(&server, "phone");
    let mut row = user(1, "a");
    row["created_at"] = json!("yesterday");
    let status = &client.upload(&[upsert(1, "users", 0, &row)])[0];
    assert_eq!(
        (&status["status"], &status["new_server_version"]),
        (&json!("materialize_error"), &json!(1))
    );
    assert!(status["message"].is_string(), "{status}");
    assert_eq!(server.rows("mara", "users"), [json!(null); 0]);
}

#[test]
fn without_early_numbers_an_upload_that_is_overtaken_comes_later() {
    for (early, expected) in [
        (true, ["1 INSERT 1 v1", "2 INSERT 2 v1"]),
        (false, ["1 INSERT 2 v1", "2 INSERT 1 v1"]),
    ] {
        let server = std::sync::Arc::new(without(|defects| defects.numbers_early = early));
        let overtaking = std::sync::Arc::clone(&server);
        server
            .moments()
            .plan(Kind::Push, Moment::Numbered, 0, move || {
                overtaking.put("mara", "users", &[user(2, "fast")]);
            });
        let client = Client::new(&server, "phone");
        assert_eq!(
            client.one(upsert(1, "users", 0, &user(1, "slow"))),
            "applied 1"
        );
        assert_eq!(client.log(0), expected);
    }
}

#[test]
fn without_rewriting_the_row_of_a_conflict_comes_as_it_was_sent() {
    let server = without(|defects| defects.rewrites_images = false);
    let client = Client::new(&server, "phone");
    let payload = r#"{"name":"nul \u0000","id":"x","n":1E2}"#;
    let change = |id: i64, version: i64| {
        let pk = super::client::id(1);
        format!(
            r#"{{"changes":[{{"source_change_id":{id},"schema":"business","table":"users","op":"UPDATE","pk":"{pk}","server_version":{version},"payload":{payload}}}]}}"#
        )
    };
    client.ask("POST", "/sync/upload", &change(1, 0));
    let conflict = client.ask("POST", "/sync/upload", &change(2, 5));
    assert!(conflict.body.contains(payload), "{}", conflict.body);
}

#[test]
fn without_sharing_a_parent_of_another_user_is_none() {
    for (shared, expected) in [(true, "applied 1"), (false, "invalid fk_missing")] {
        let server = without(|defects| defects.shares_projection = shared);
        server.put("nils", "users", &[user(1, "of nils")]);
        let client = Client::new(&server, "phone");
        let child = upsert(1, "posts", 0, &post(2, &json!(id(1))));
        assert_eq!(client.one(child), expected);
        assert_eq!(server.rows("nils", "users").len(), 1);
        assert_eq!(server.rows("mara", "users").len(), 0);
    }
}

#[test]
fn without_hiding_a_download_says_that_the_log_is_gone() {
    let server = without(|defects| defects.hides_breakdown = false);
    server.break_down(Breakdown::Log);
    let client = Client::new(&server, "phone");
    let answer = client.ask("GET", "/sync/download", "");
    assert_eq!(answer.status, Some(500), "{answer:?}");
}

#[test]
fn a_server_without_defects_takes_a_day_of_work() {
    let server = A::start(Options {
        defects: Defects::none(),
        ..Options::default()
    })
    .expect("a server");
    let client = Client::new(&server, "phone");
    let changes = [
        upsert(1, "posts", 0, &post(2, &json!(id(1)))),
        upsert(2, "users", 0, &user(1, "a")),
    ];
    assert_eq!(client.all(&changes), ["applied 1", "applied 1"]);
    let changes = [delete(3, "users", 1, 1), delete(4, "posts", 1, 2)];
    assert_eq!(client.all(&changes), ["applied 2", "applied 2"]);
    assert_eq!(client.log(0).len(), 4);
}
