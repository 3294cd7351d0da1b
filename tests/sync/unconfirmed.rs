//! Answers to a push that do not say what the server has of it: the rows wait for the next pull.

use serde_json::{Value, json};
use support::{Canned, Device, json_answer, status_answer};

const TABLE: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, s TEXT)";

fn device(server: &Canned, more: Value) -> Device {
    Device::configured(TABLE, &["t"], &server.url(), more)
}

/// Takes the request and hangs up.
fn hang_up(server: &Canned) {
    server.push_raw(|_| Vec::new());
}

/// What was pushed last, as `kind:id` words.
fn pushed(server: &Canned) -> Vec<String> {
    let words = |push: &Value| {
        let mut words = Vec::new();
        for kind in ["created", "updated", "deleted"] {
            for row in push["t"][kind].as_array().into_iter().flatten() {
                let id = row["id"].as_str().or(row.as_str()).expect("an id");
                words.push(format!("{kind}:{id}"));
            }
        }
        words.join(" ")
    };
    server.pushed().iter().map(words).collect()
}

#[test]
fn a1_a_rejection_after_a_repeat_says_nothing_about_the_first_attempt() {
    let list = json!({"rejectedPath": "$.no", "rejectedFormat": "list"});
    for (attempts, batch, options, body) in [
        (
            2,
            0,
            json!({}),
            r#"{"experimentalRejectedIds":{"t":["a"]}}"#,
        ),
        (
            4,
            1,
            json!({}),
            r#"{"experimentalRejectedIds":{"t":["a"]}}"#,
        ),
        (
            100,
            1,
            list.clone(),
            r#"{"no":[{"table":"t","id":"a","reason":"exists"}]}"#,
        ),
        (4, 0, list, r#"{"no":[{"table":"t","id":"a"}]}"#),
    ] {
        let server = Canned::start();
        let mut keys = json!({"attempts": attempts, "pushBatch": batch, "totalTimeoutMs": 600_000});
        for (key, value) in options.as_object().unwrap() {
            keys[key] = value.clone();
        }
        let device = device(&server, keys);
        device.exec("INSERT INTO t VALUES ('a', 'x'), ('b', 'y')");
        (1..attempts).for_each(|_| hang_up(&server));
        server.push_raw(move |_| json_answer(body));
        let answer = device.synced();
        assert_eq!(
            (
                &answer["pushed"],
                &answer["rejected"],
                &answer["warnings"][0]["code"]
            ),
            (&json!(1), &json!(0), &json!("rejectedAfterRepeat")),
            "{answer}"
        );
        assert_eq!(device.pending(), "t|a|created|[]");
        assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");

        // The pull shows that it had arrived: nothing waits, and it can be deleted.
        server.changes(json!({"t": {"created": [{"id": "a", "s": "x"}, {"id": "b", "s": "y"}]}}));
        server.clear();
        device.synced();
        assert_eq!((pushed(&server), device.pending()), (vec![], String::new()));
        device.exec("DELETE FROM t WHERE id = 'a'");
        device.synced();
        assert_eq!(pushed(&server), ["deleted:a"]);
    }
}

#[test]
fn a1_a_row_that_was_rejected_each_time_is_rejected_in_the_end() {
    let server = Canned::start();
    let device = device(&server, json!({"attempts": 2}));
    let no = r#"{"experimentalRejectedIds":{"t":["a"]}}"#;
    device.exec("INSERT INTO t VALUES ('a', 'x')");
    hang_up(&server);
    server.push_raw(move |_| json_answer(no));
    device.synced();
    server.push_raw(move |_| json_answer(no));
    let answer = device.synced();
    assert_eq!(answer["rejected"], 1, "{answer}");
    assert_eq!(
        device.ask("SELECT pk, kind FROM _syncRejected"),
        "a|created"
    );
    // Whether the very first attempt arrived is still not known: its delete is sent.
    device.exec("DELETE FROM t");
    server.clear();
    device.synced();
    assert_eq!(pushed(&server), ["deleted:a"]);
    assert_eq!(device.pending(), "");
}

#[test]
fn a1_attempts_that_can_not_have_arrived_leave_no_doubt() {
    let server = Canned::start();
    let device = device(&server, json!({"attempts": 2}));
    device.exec("INSERT INTO t VALUES ('a', 'x')");
    server.push_raw(|_| status_answer(429, &[("Retry-After", "0")], "later"));
    server.push_raw(|_| json_answer(r#"{"experimentalRejectedIds":{"t":["a"]}}"#));
    assert_eq!(device.synced()["rejected"], 1);
}

#[test]
fn a1_that_a_row_may_have_been_created_is_remembered_however_many_pulls_go_by() {
    for attempts in [1, 3] {
        let server = Canned::start();
        let device = device(&server, json!({"attempts": attempts}));
        device.exec("INSERT INTO t VALUES ('a', 'x')");
        (0..attempts).for_each(|_| hang_up(&server));
        device.failed();
        for _ in 0..5 {
            // The server has it, but does not show it to the device that sent it.
            server.push_raw(|_| json_answer(r#"{"experimentalRejectedIds":{"t":["a"]}}"#));
            device.synced();
        }
        assert_eq!(device.pending(), "t|a|created|[]");
        device.exec("DELETE FROM t");
        server.clear();
        device.synced();
        assert_eq!(pushed(&server), ["deleted:a"], "{attempts}");
        assert_eq!(device.pending(), "");
        device.synced();
        device.synced();
        device.synced();
        assert_eq!(device.ask("SELECT count(*) FROM _syncOutbox"), "0");
    }
}

#[test]
fn a1_a_refusal_as_a_whole_after_a_repeat_leaves_the_push_unknown() {
    for (first, state) in [(429, "0"), (503, "1")] {
        let server = Canned::start();
        let device = device(
            &server,
            json!({"attempts": 2, "retryOnce": false, "splitRefused": false}),
        );
        device.exec("INSERT INTO t VALUES ('a', 'x')");
        server.push_raw(move |_| status_answer(first, &[], ""));
        server.push_raw(|_| status_answer(409, &[], "exists"));
        device.failed();
        let unknown = "SELECT count(*) FROM _syncPush WHERE state = 'unknown'";
        assert_eq!(device.ask(unknown), state, "{first}");
    }
}

#[test]
fn a3_an_answer_that_is_a_page_or_says_no_settles_nothing() {
    for (kind, body, words) in [
        ("text/html", "<p>Please log in</p>", "Please log in"),
        ("text/html; charset=utf-8", "{}", "{}"),
        (
            "application/json",
            r#"{"ok":false,"why":"over quota"}"#,
            "over quota",
        ),
        ("application/json", r#"{"success":false}"#, "false"),
        ("application/json", r#"{"error":"db down"}"#, "db down"),
        // What Express sends of an Error.
        ("application/json", r#"{"error":{}}"#, "{}"),
    ] {
        let server = Canned::start();
        let device = device(&server, json!({}));
        device.exec("INSERT INTO t VALUES ('a', 'x')");
        server.push_raw(move |_| status_answer(200, &[("Content-Type", kind)], body));
        let error = device.failed();
        assert_eq!(error["class"], "protocol", "{error}");
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{error}"
        );
        assert_eq!(device.ask("SELECT state FROM _syncPush"), "unknown");
        assert_eq!(device.pending(), "t|a|created|[]");
        // It did arrive.
        server.changes(json!({"t": {"created": [{"id": "a", "s": "x"}]}}));
        device.synced();
        assert_eq!(device.pending(), "");
    }
}

#[test]
fn a4_a_rejection_of_no_row_of_the_push_leaves_it_unknown() {
    let nocase = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL COLLATE NOCASE, s TEXT)";
    for (ddl, names) in [
        (TABLE, r#"{"t":["A"]}"#),
        (nocase, r#"{"t":["A"]}"#),
        (TABLE, r#"{"t":["z"]}"#),
        (TABLE, r#"{"T":["a"]}"#),
        (TABLE, r#"{"t":["a"],"u":["a"]}"#),
        (TABLE, r#"[{"table":"T","id":"a"}]"#),
        (TABLE, r#"[{"table":"t","id":"A"},{"table":"t","id":"a"}]"#),
    ] {
        let server = Canned::start();
        let device = Device::with(ddl, &["t"], &server.url());
        device.exec("INSERT INTO t VALUES ('a', 'x'), ('b', 'y')");
        server.push_raw(move |_| json_answer(&format!(r#"{{"experimentalRejectedIds":{names}}}"#)));
        assert_eq!(device.failed()["class"], "protocol", "{names}");
        assert_eq!(device.ask("SELECT state, rows FROM _syncPush"), "unknown|2");
        assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");
        // The one that was taken comes back, the other is sent again.
        server.changes(json!({"t": {"created": [{"id": "b", "s": "y"}]}}));
        server.clear();
        device.synced();
        assert_eq!(pushed(&server), ["created:a"], "{names}");
    }
    // No row is named at all: nothing is strange.
    let server = Canned::start();
    let device = device(&server, json!({}));
    device.exec("INSERT INTO t VALUES ('a', 'x')");
    server.push_raw(|_| json_answer(r#"{"experimentalRejectedIds":{"T":[],"u":null}}"#));
    device.synced();
    assert_eq!(device.pending(), "");
}
