//! Tables that are pulled from the beginning again, though nobody asked for it: such an answer names no deletes, so these
//! are asked for besides.

use serde_json::json;
use support::{Backend, Canned, Device, assert_equal, enforced, query};

use super::pull;

const THERE: &str = "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL);
    CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL, parent TEXT, x TEXT);";

const TABLES: &[&str] = &["parent", "child"];

/// A device whose children go with their parents, and another one, with two parents that have a child each.
fn devices(backend: &Backend) -> (Device, Device) {
    let here = THERE.replace(
        "parent TEXT",
        "parent TEXT REFERENCES parent ON DELETE CASCADE",
    );
    let device = Device::with(&here, TABLES, &backend.sync_url());
    let other = Device::with(THERE, TABLES, &backend.sync_url());
    other.exec(
        "INSERT INTO parent VALUES ('p'), ('q');
         INSERT INTO child VALUES ('of_p', 'p', ''), ('of_q', 'q', '')",
    );
    other.synced();
    device.synced();
    (device, other)
}

#[test]
fn z1_deletes_arrive_though_rows_that_went_along_make_their_table_come_again() {
    enforced(|settings| {
        let backend = Backend::start(THERE);
        let (device, other) = devices(&backend);
        other.exec("DELETE FROM parent WHERE id = 'p'");
        other.synced();
        device.exec("PRAGMA foreign_keys = ON");
        device.synced();
        assert_eq!(device.ask("SELECT id FROM child"), "of_q", "{settings}");
        // Before the table comes again, another row of it is deleted there.
        other.exec("DELETE FROM child WHERE id = 'of_q'");
        other.synced();
        device.synced();
        assert_eq!(device.ask("SELECT id FROM child"), "", "{settings}");
        assert_eq!(device.ask("SELECT key FROM sync_held"), "of_p");
        // It came, and is not pulled once more.
        backend.clear_requests();
        device.synced();
        assert_eq!(support::seen(&backend).len(), 1, "{settings}");
        assert_eq!(device.pending(), "");
    });
}

#[test]
fn z1_what_is_taken_back_is_as_the_server_has_it_gone_too() {
    for gone in ["of_p", "of_q"] {
        let backend = Backend::start(THERE);
        let (device, other) = devices(&backend);
        device.exec("UPDATE child SET x = 'mine' WHERE id = 'of_p'");
        other.exec(&format!("DELETE FROM child WHERE id = '{gone}'"));
        other.synced();
        let answer = device.ask(r#"SELECT sync_discard('child', 'of_p', '{"revert":true}')"#);
        assert!(answer.contains(r#""refetch":true"#), "{answer}");
        device.synced();
        assert_equal(&device, &backend, TABLES);
        assert_eq!(device.pending(), "", "{gone}");
    }
}

#[test]
fn z1_a_sync_that_breaks_off_between_the_two_pulls_asks_both_again() {
    let server = Canned::start();
    let device = Device::with(THERE, &["child"], &server.url());
    pull(
        &server,
        json!({"child": {"created": [{"id": "a", "x": ""}, {"id": "b", "x": ""}]}}),
    );
    device.synced();
    let cursor = device.cursor("child");
    device.exec("UPDATE child SET x = 'mine' WHERE id = 'a'");
    device.ask(r#"SELECT sync_discard('child', 'a', '{"revert":true}')"#);
    let all = json!({"child": {"created": [{"id": "a", "x": ""}, {"id": "new", "x": ""}]}});
    pull(&server, all.clone());
    server.pull_raw(|_| Vec::new());
    device.failed();
    // What was new there is deleted here before it comes again, and stays deleted.
    device.exec("DELETE FROM child WHERE id = 'new'");
    pull(&server, all);
    server.changes(json!({"child": {"created": [{"id": "new", "x": ""}], "deleted": ["b"]}}));
    device.synced();
    let asked = |seen: &support::Seen| query(&seen.path, "last_pulled_at").unwrap_or_default();
    let pulls: Vec<String> = server
        .seen()
        .iter()
        .filter(|seen| !seen.is_push())
        .map(asked)
        .collect();
    assert_eq!(pulls, ["null".to_owned(), cursor]);
    assert_eq!(device.ask("SELECT id, x FROM child"), "a|");
    assert_eq!(server.pushed()[0]["child"]["deleted"], json!(["new"]));
    assert!(!device.cursor("child").is_empty());
}
