//! Rows of the server that are held, and edits of them here: they meet as if the held state had been applied.

use serde_json::{Value, json};
use support::{Canned, Device, enforced, status_answer};

use super::pull;

const SCHEMA: &str =
    "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE, y TEXT, at INTEGER, z TEXT)";

/// A device on which row `b` of the server is held with `u = 'X'`, since `a`, which the server refuses, has that.
fn held(server: &Canned, policy: &str) -> Device {
    let device = Device::with(SCHEMA, &["t"], &server.url());
    device.ask(&format!("SELECT sync_resolver('t', {policy})"));
    pull(
        server,
        json!({"t": {"created": [{"id": "b", "u": "b", "y": "0", "at": 1, "z": "0"}]}}),
    );
    device.synced();
    device.exec("INSERT INTO t VALUES ('a', 'X', 'a', 1, '')");
    pull(
        server,
        json!({"t": {"updated": [{"id": "b", "u": "X", "y": "0", "at": 3, "z": "1"}]}}),
    );
    server.push_raw(|_| status_answer(422, &[], "{}"));
    server.push_raw(|_| status_answer(422, &[], "{}"));
    device.synced();
    assert_eq!(
        device
            .ask("SELECT key, tries FROM sync_held")
            .split('|')
            .next(),
        Some("b")
    );
    device
}

/// The next sync: a newer state of `b`, and what of it was pushed.
fn meets(server: &Canned, device: &Device, row: Value) -> Vec<Value> {
    pull(server, json!({"t": {"updated": [row]}}));
    let refused = |seen: &support::Seen| {
        let has_a = seen.json()["t"]["created"]
            .as_array()
            .is_some_and(|rows| !rows.is_empty());
        match has_a {
            true => status_answer(422, &[], "{}"),
            false => status_answer(200, &[], "{}"),
        }
    };
    for _ in 0..9 {
        server.push_raw(refused);
    }
    device.synced();
    let pushed = server.pushed();
    let last = pushed.iter().rev().find_map(|push| {
        let rows = push["t"]["updated"].as_array()?;
        rows.iter().find(|row| row["id"] == "b").cloned()
    });
    last.into_iter().collect()
}

const CONFLICT: &str = "SELECT kind, local ->> 'y', local ->> 'u', remote ->> 'y', resolved ->> 'y' FROM sync_conflict";

#[test]
fn h5_the_policy_decides_between_an_edit_and_a_state_that_is_held() {
    let sql =
        "'sql2', 'json_set(:remote, ''$.y'', (:local ->> ''y'') || ''+'' || (:remote ->> ''y''))'";
    for (policy, sent, resolved) in [
        ("'columns'", Some("here"), "here"),
        ("'clientWins'", Some("here"), "here"),
        ("'serverWins'", None, "there"),
        ("'lastWriteWins', 'at'", None, "there"),
        (sql, Some("here+there"), "here+there"),
    ] {
        enforced(|settings| {
            let server = Canned::start();
            let device = held(&server, policy);
            device.exec("UPDATE t SET y = 'here', at = 6 WHERE id = 'b'");
            let newer = json!({"id": "b", "u": "X", "y": "there", "at": 7, "z": "2"});
            let pushed = meets(&server, &device, newer);
            let what = format!("{policy} {settings}");
            assert_eq!(
                pushed.first().and_then(|row| row["y"].as_str()),
                sent,
                "{what}"
            );
            // Never an older state of what was not edited here.
            assert!(
                pushed.iter().all(|row| row["u"] == "X" && row["z"] != "0"),
                "{what} {pushed:?}"
            );
            assert_eq!(
                device.ask(CONFLICT),
                format!("edited|here|X|there|{resolved}"),
                "{what}"
            );
            // Nothing is in its way any more: it is the state that was decided, and no second conflict.
            device.exec("DELETE FROM t WHERE id = 'a'");
            super::pull(&server, json!({}));
            device.synced();
            assert_eq!(
                device.ask("SELECT u, y FROM t"),
                format!("X|{resolved}"),
                "{what}"
            );
            assert_eq!(
                device.ask("SELECT count(*) FROM sync_conflict"),
                "1",
                "{what}"
            );
            assert_eq!(
                (
                    device.pending(),
                    device.ask("SELECT count(*) FROM sync_held")
                ),
                (String::new(), "0".into())
            );
        });
    }
}

#[test]
fn h5_an_edit_from_before_the_row_was_held_meets_it_too() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["t"], &server.url());
    device.ask("SELECT sync_resolver('t', 'serverWins')");
    pull(
        &server,
        json!({"t": {"created": [{"id": "a", "u": "X"}, {"id": "b", "u": "b", "y": "0"}]}}),
    );
    device.synced();
    device.exec("UPDATE t SET y = 'here' WHERE id = 'b'");
    pull(
        &server,
        json!({"t": {"updated": [{"id": "b", "u": "X", "y": "there"}]}}),
    );
    device.synced();
    assert!(server.pushed().is_empty());
    assert_eq!(device.ask(CONFLICT), "edited|here|b|there|there");
    assert_eq!(device.ask("SELECT y FROM t WHERE id = 'b'"), "there");
    assert_eq!(device.pending(), "");
}

#[test]
fn h5_an_edit_of_a_held_row_that_nothing_newer_meets_is_no_conflict() {
    let server = Canned::start();
    let device = held(&server, "'serverWins'");
    device.exec("UPDATE t SET y = 'here' WHERE id = 'b'; DELETE FROM t WHERE id = 'a'");
    pull(&server, json!({}));
    device.synced();
    assert_eq!(device.ask("SELECT u, y, z FROM t"), "X|here|1");
    assert_eq!(server.pushed()[0]["t"]["updated"][0]["y"], "here");
    assert_eq!(device.ask("SELECT count(*) FROM sync_conflict"), "0");
}

#[test]
fn h6_what_an_adopted_row_was_not_given_is_as_the_server_has_it() {
    const TABLE: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE, y TEXT,
        n INTEGER DEFAULT 5, given INTEGER NOT NULL DEFAULT 0)";
    for (policy, given) in [("columns", 7), ("clientWins", 7), ("serverWins", 3)] {
        enforced(|settings| {
            let server = Canned::start();
            let options = json!({"onClash": {"t": "adopt"}});
            let device = Device::configured(TABLE, &["t"], &server.url(), options);
            device.ask(&format!("SELECT sync_resolver('t', '{policy}')"));
            device.exec("INSERT INTO t (id, u, given) VALUES ('mine', 'v', 7)");
            let theirs = json!({"id": "theirs", "u": "v", "y": "there", "n": 9, "given": 3});
            pull(&server, json!({"t": {"created": [theirs]}}));
            device.synced();
            let expected = format!("theirs|v|there|9|{given}");
            assert_eq!(
                device.ask("SELECT * FROM t"),
                expected,
                "{policy} {settings}"
            );
            for push in server.pushed() {
                let row = &push["t"]["updated"][0];
                assert_eq!(
                    (&row["y"], &row["n"], &row["given"]),
                    (&json!("there"), &json!(9), &json!(7))
                );
                assert!(
                    ["given", "u,given"].contains(&row["_changed"].as_str().unwrap_or_default()),
                    "{policy} {row}"
                );
            }
            assert_eq!(device.ask("SELECT kind FROM sync_conflict"), "edited");
            assert_eq!(device.pending(), "");
        });
    }
}
