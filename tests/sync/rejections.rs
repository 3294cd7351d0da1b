//! Rows that the backend rejects, and rows that can't be sent: they stay, with the reason.

use serde_json::json;
use support::{Backend, Canned, Device, SCHEMA, assert_equal, backend_rows, seen, status_answer};

#[test]
fn a_rejected_row_that_the_backend_deletes_is_forgotten() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    server.changes(json!({"task": {"created": [{"id": "a"}]}}));
    device.synced();
    device.exec("UPDATE task SET title = 'x'");
    server.push_raw(|_| status_answer(200, &[], r#"{"experimentalRejectedIds":{"task":["a"]}}"#));
    device.synced();
    server.changes(json!({"task": {"deleted": ["a"]}}));
    device.synced();
    assert_eq!((device.pending(), device.log()), ("".into(), "0".into()));
    assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");
}

#[test]
fn rows_that_json_cannot_hold_stay_and_the_others_go_up() {
    let backend = Backend::start(SCHEMA);
    let device = Device::new(&backend.sync_url());
    device.exec(
        "INSERT INTO task (id, n) VALUES ('inf', 9e999), ('neg', -9e999);
         INSERT INTO task (id, title) VALUES ('blob', x'00ff'), ('utf8', CAST(x'ff41' AS TEXT)), ('ok', 'fine');
         INSERT INTO list VALUES ('l', 'fine')",
    );
    let answer = device.synced();
    assert_eq!(
        (&answer["pushed"], &answer["rejected"]),
        (&json!(2), &json!(4)),
        "{answer}"
    );
    let rejected = device.ask("SELECT pk, reason FROM _syncRejected ORDER BY pk");
    for (line, (key, word)) in rejected.lines().zip([
        ("blob", "blob"),
        ("inf", "infinite"),
        ("neg", "infinite"),
        ("utf8", "UTF-8"),
    ]) {
        assert!(line.starts_with(key) && line.contains(word), "{line}");
    }
    assert_eq!(rejected.lines().count(), 4);
    assert_eq!(backend_rows(&backend, "task").len(), 1);
    assert_eq!(
        device
            .ask("SELECT group_concat(key, ' ') FROM (SELECT key FROM sync_pending ORDER BY key)"),
        "blob inf neg utf8"
    );
    // With nothing else to send there is no push, and they are still there.
    backend.clear_requests();
    let answer = device.synced();
    assert_eq!(seen(&backend).len(), 1, "{answer}");
    assert_eq!(device.log(), "4");
    // Mended, they go up.
    device.exec("UPDATE task SET n = 1, title = id WHERE id <> 'ok'");
    device.synced();
    assert_equal(&device, &backend, &["task", "list"]);
    assert_eq!(
        (
            device.pending(),
            device.ask("SELECT count(*) FROM _syncRejected")
        ),
        ("".into(), "0".into())
    );
}

/// SQLite keeps any value in any column. One that does not fit its type would come back as NULL.
#[test]
fn values_that_do_not_fit_their_column_stay_here_with_the_reason() {
    let schema = "CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT, done BOOLEAN NOT NULL DEFAULT 0,
                  n INTEGER, note TEXT, photo BLOB)";
    let backend = Backend::start(&schema.replace("BLOB", "TEXT"));
    let device = Device::with(schema, &["task"], &backend.sync_url());
    device.exec(
        "INSERT INTO task (id, n) VALUES ('n', 'n/a'); INSERT INTO task (id, done) VALUES ('two', 2), ('word', 'yes');
         INSERT INTO task (id, photo) VALUES ('photo', 'true'); INSERT INTO task (id, done, n) VALUES ('ok', 1, '5')",
    );
    let answer = device.synced();
    assert_eq!(
        (&answer["pushed"], &answer["rejected"]),
        (&json!(1), &json!(4)),
        "{answer}"
    );
    let reasons = device.ask("SELECT key, rejected FROM sync_pending ORDER BY key");
    for (line, words) in reasons.lines().zip([
        r#"n|can't be sent: column "n" holds text"#,
        r#"photo|can't be sent: column "photo" holds a value other than a blob"#,
        r#"two|can't be sent: column "done" holds a number"#,
        r#"word|can't be sent: column "done" holds text"#,
    ]) {
        assert!(line.contains(words), "{line}");
    }
    device.synced();
    device.synced();
    let kept = "SELECT group_concat(quote(coalesce(photo, n, done)), ' ') FROM (SELECT * FROM task ORDER BY id)";
    assert_eq!(device.ask(kept), "'n/a' 5 'true' 2 'yes'");
    // Another type, or another value, and they go up.
    device.ask(r#"SELECT sync_track('task', '{"types":{"photo":"any"}}')"#);
    device.exec("UPDATE task SET n = NULL WHERE id = 'n'; UPDATE task SET done = 1 WHERE id IN ('two', 'word')");
    device.synced();
    assert_eq!(device.pending(), "");
    assert_eq!(backend_rows(&backend, "task").len(), 5);
}

/// Which rows were rejected can't be told, so none is taken for accepted.
#[test]
fn rejections_that_can_not_be_read_leave_everything_pending() {
    for unclear in [
        json!({"task": "b"}),
        json!("b"),
        json!(["b"]),
        json!([{"id": "b"}]),
        json!({"task": [null]}),
    ] {
        let server = Canned::start();
        let device = Device::new(&server.url());
        device.exec("INSERT INTO task (id) VALUES ('a'), ('b')");
        let answer = json!({"experimentalRejectedIds": unclear}).to_string();
        server.push_raw(move |_| status_answer(200, &[], &answer));
        let error = device.failed();
        assert_eq!(error["code"], "SYNC_ERROR_PROTOCOL", "{error}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("$.experimentalRejectedIds"),
            "{error}"
        );
        assert_eq!(device.pending().lines().count(), 2, "{unclear}");
        // The next pull shows what was taken.
        server.clear();
        server.changes(json!({"task": {"created": [{"id": "a", "title": null, "done": false, "n": null, "note": null}]}}));
        let answer = device.synced();
        assert_eq!(answer["pushed"], 1, "{answer}");
        let ids: Vec<_> = server.pushed()[0]["task"]["created"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].clone())
            .collect();
        assert_eq!(ids, ["b"]);
    }
}

#[test]
fn either_form_of_rejections_is_understood_and_strange_tables_are_told() {
    for (told, format) in [
        (
            json!([{"table": "task", "id": "b", "reason": "no"}]),
            "tables",
        ),
        (json!({"task": ["b"]}), "list"),
    ] {
        let server = Canned::start();
        let device = Device::configured(
            SCHEMA,
            &["list", "task"],
            &server.url(),
            json!({"rejectedFormat": format}),
        );
        device.exec("INSERT INTO task (id) VALUES ('a'), ('b')");
        let answer = json!({"experimentalRejectedIds": told}).to_string();
        server.push_raw(move |_| status_answer(200, &[], &answer));
        let answer = device.synced();
        assert_eq!(
            (&answer["pushed"], &answer["rejected"]),
            (&json!(1), &json!(1)),
            "{told}"
        );
        assert_eq!(device.pending(), "task|b|created|[]");
    }
    let server = Canned::start();
    let device = Device::new(&server.url());
    device.exec("INSERT INTO task (id) VALUES ('a')");
    server.push_raw(|_| status_answer(200, &[], r#"{"experimentalRejectedIds":{"Task":["a"]}}"#));
    let error = device.failed();
    assert!(
        error["message"].as_str().unwrap().contains("\"Task\""),
        "{error}"
    );
}

#[test]
fn ids_are_read_as_javascript_reads_them() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        &["t"],
        &server.url(),
    );
    device.exec("INSERT INTO t VALUES (8, 'mine'), (9, 'mine'), (10, 'mine')");
    let body = r#"{"experimentalRejectedIds":{"t":[8.0,90e-1]}}"#;
    server.push_raw(move |_| status_answer(200, &[], body));
    let answer = device.synced();
    assert_eq!(
        (&answer["pushed"], &answer["rejected"]),
        (&json!(1), &json!(2)),
        "{answer}"
    );
    assert_eq!(device.pending(), "t|8|created|[]\nt|9|created|[]");
    // No id at all: nobody knows what it means.
    server.push_raw(move |_| status_answer(200, &[], r#"{"experimentalRejectedIds":{"t":[8.5]}}"#));
    assert_eq!(device.failed()["class"], "protocol");
    assert_eq!(device.pending(), "t|8|created|[]\nt|9|created|[]");
}
