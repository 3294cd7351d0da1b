//! Edits made while a sync is under way, and syncs that fail halfway.

use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};
use support::backend::Kind;
use support::{
    Backend, Canned, Device, SCHEMA, World, assert_equal, backend_rows, hold, pushes, query, seen,
    sync_on,
};

/// Runs `edit` on a second connection while the backend holds back the answer to a pull.
fn edit_during(device: &Device, server: &Canned, answer: Vec<u8>, edit: &str) -> Value {
    let (arrived, waits) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    server.pull_raw(move |_| {
        arrived.send(()).unwrap();
        gone.lock().unwrap().recv().unwrap();
        answer.clone()
    });
    let path = device.world.path();
    let edit = edit.to_owned();
    let editor = thread::spawn(move || {
        // Never heard of the extension: capture is plain SQL.
        let plain = rusqlite::Connection::open(path).unwrap();
        waits.recv().unwrap();
        plain
            .execute_batch(&edit)
            .expect("nobody holds a lock while the network is waited for");
        go.send(()).unwrap();
    });
    let answer = device.sync();
    editor.join().unwrap();
    answer
}

fn seeded() -> (Canned, Device) {
    let server = Canned::start();
    let device = Device::new(&server.url());
    device.ask("PRAGMA journal_mode = wal");
    server.changes(json!({"task": {"created": [
        {"id": "a", "title": "A", "n": 1, "note": "x"}, {"id": "b", "title": "B"},
        {"id": "c", "title": "C"}]}}));
    device.synced();
    server.clear();
    (server, device)
}

// ---- Failures halfway -----------------------------------------------------------------------

fn edited(backend: &Backend) -> Device {
    backend.sql(|sql| sql.execute_batch("INSERT INTO task (id, title) VALUES ('t1', 'Dig')"));
    // What is refused as a whole is refused here; cutting it up is tested in refused_rows.
    let device = Device::with_options(&backend.sync_url(), json!({"splitRefused": false}));
    device.synced();
    backend.sql(|sql| sql.execute_batch("INSERT INTO task (id, title) VALUES ('t2', 'Sow')"));
    device.exec("UPDATE task SET title = 'mine'");
    backend.clear_requests();
    device
}

#[test]
fn a_failed_pull_changes_nothing_and_pushes_nothing() {
    for fault in [
        json!({"drop": true}),
        json!({"status": 500}),
        json!({"status": 401}),
        json!({"cut": 30}),
        json!({"truncate": 30}),
        json!({"garbage": true}),
        json!({"html": true}),
        json!({"empty": true}),
        json!({"timestamp": 0}),
        json!({"timestamp": "omit"}),
        json!({"meta": true}),
        json!({"missingIds": true}),
        json!({"extra": {"experimentalStrategy": "magic"}}),
    ] {
        let backend = Backend::start(SCHEMA);
        let device = edited(&backend);
        let cursor = device.cursor("task");
        let high = device.ask("SELECT max(seq) FROM _syncChange");
        let mut on_pull = fault.clone();
        on_pull["on"] = json!("pull");
        backend.faults().add(on_pull);
        device.failed();
        assert_eq!(seen(&backend), [format!("GET {cursor}")], "{fault}");
        assert_eq!(device.cursor("task"), cursor, "{fault}");
        assert_eq!(
            device.ask("SELECT id, title FROM task"),
            "t1|mine",
            "{fault}"
        );
        assert_eq!(device.pending(), "task|t1|updated|[\"title\"]", "{fault}");
        assert_eq!(
            device.ask("SELECT max(seq) FROM _syncChange"),
            high,
            "{fault}"
        );
        backend.faults().clear();
        device.synced();
        assert_equal(&device, &backend, &["task"]);
    }
}

#[test]
fn a_failed_push_keeps_the_pull_and_the_edits_and_the_retry_uses_the_new_cursor() {
    for fault in [
        json!({"drop": true}),
        json!({"status": 500}),
        json!({"status": 403}),
        json!({"drop": true, "afterCommit": true}),
        json!({"status": 503, "afterCommit": true}),
    ] {
        let backend = Backend::start(SCHEMA);
        let device = edited(&backend);
        device.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
        let before = device.cursor("task");
        let mut on_push = fault.clone();
        on_push["on"] = json!("push");
        on_push["times"] = json!(1);
        backend.faults().add(on_push);
        device.failed();
        let cursor = device.cursor("task");
        assert_ne!(cursor, before, "{fault}");
        assert_eq!(
            device.ask("SELECT id, title FROM task ORDER BY id"),
            "n|new\nt1|mine\nt2|Sow"
        );
        assert_eq!(
            device.pending(),
            "task|n|created|[]\ntask|t1|updated|[\"title\"]",
            "{fault}"
        );
        assert_eq!(
            seen(&backend),
            [format!("GET {before}"), format!("POST {cursor}")]
        );
        backend.clear_requests();
        device.synced();
        assert_eq!(seen(&backend)[0], format!("GET {cursor}"), "{fault}");
        device.synced();
        assert_equal(&device, &backend, &["task"]);
        assert_eq!(backend_rows(&backend, "task").len(), 3, "{fault}");
        assert_eq!(device.pending(), "", "{fault}");
    }
}

#[test]
fn a_conflict_is_pulled_and_pushed_once_more_by_itself() {
    let backend = Backend::start(SCHEMA);
    let device = edited(&backend);
    // Somebody else edits between our pull and our push.
    let push = hold(&backend, Kind::Push);
    let theirs = "UPDATE task SET n = 9, title = 'theirs' WHERE id = 't1'";
    thread::scope(|scope| {
        let backend = &backend;
        scope.spawn(move || {
            push.wait();
            backend.sql(|sql| sql.execute_batch(theirs));
        });
        let answer = device.synced();
        assert_eq!(
            answer["warnings"].as_array().map(Vec::len),
            Some(1),
            "{answer}"
        );
    });
    let methods: Vec<String> = seen(&backend)
        .iter()
        .map(|line| line[..4].to_owned())
        .collect();
    assert_eq!(methods, ["GET ", "POST", "GET ", "POST"]);
    assert_equal(&device, &backend, &["task"]);
    assert_eq!(
        device.ask("SELECT title, n FROM task WHERE id = 't1'"),
        "mine|9"
    );
    assert_eq!(device.pending(), "");
}

#[test]
fn a_conflict_that_does_not_end_fails_after_the_second_try() {
    let backend = Backend::start(SCHEMA);
    let device = edited(&backend);
    backend.faults().add(json!({"on": "push", "status": 409}));
    let error = device.failed();
    assert_eq!(
        (&error["class"], &error["status"]),
        (&json!("server"), &json!(409)),
        "{error}"
    );
    assert_eq!(seen(&backend).len(), 4);
    assert_eq!(device.pending(), "task|t1|updated|[\"title\"]");
    backend.clear_requests();
    device.provider(
        &backend.sync_url(),
        json!({"retryOnce": false, "splitRefused": false}),
    );
    device.failed();
    assert_eq!(seen(&backend).len(), 2, "retryOnce is off");
    backend.faults().clear();
    device.synced();
    assert_equal(&device, &backend, &["task"]);
}

#[test]
fn a_lost_answer_that_is_repeated_by_itself_creates_nothing_twice() {
    let backend = Backend::start(SCHEMA);
    let device = edited(&backend);
    device.provider(&backend.sync_url(), json!({"attempts": 3}));
    device.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
    backend
        .faults()
        .add(json!({"on": "push", "times": 1, "drop": true, "afterCommit": true}));
    device.synced();
    device.synced();
    assert_equal(&device, &backend, &["task"]);
    assert_eq!(backend_rows(&backend, "task").len(), 3);
    assert_eq!(device.pending(), "");
}

#[test]
fn a_row_deleted_after_a_repeated_push_of_unknown_outcome_is_deleted_there_too() {
    let backend = Backend::start(SCHEMA);
    let device = edited(&backend);
    // The first attempt is committed, but its answer is lost; the second meets a conflict with it; then
    // the backend goes down.
    device.provider(&backend.sync_url(), json!({"attempts": 2}));
    device.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
    backend
        .faults()
        .add(json!({"on": "push", "times": 1, "drop": true, "afterCommit": true}));
    backend
        .faults()
        .add(json!({"on": "pull", "skip": 1, "status": 404}));
    device.failed();
    backend.faults().clear();
    assert_eq!(
        backend_rows(&backend, "task").len(),
        3,
        "the push has arrived"
    );
    device.exec("DELETE FROM task WHERE id = 'n'");
    device.synced();
    device.synced();
    assert_eq!(
        device.ask("SELECT id FROM task ORDER BY id"),
        "t1\nt2",
        "the delete is not lost"
    );
    assert_equal(&device, &backend, &["task"]);
}

#[test]
fn a_cursor_that_another_sync_moved_aborts_the_apply() {
    let (server, device) = seeded();
    let cursor = device.cursor("task");
    let pull = support::json_answer(
        r#"{"changes":{"task":{"created":[{"id":"late"}]}},"timestamp":3000000}"#,
    );
    let edit = "UPDATE _syncCursor SET cursor = '2500000'";
    let answer = edit_during(&device, &server, pull, edit);
    assert_eq!(answer["state"], "failed", "{answer}");
    assert_eq!(answer["error"]["class"], "conflict", "{answer}");
    assert_eq!(answer["error"]["retryable"], true);
    assert_eq!(
        device.ask("SELECT count(*) FROM task WHERE id = 'late'"),
        "0"
    );
    assert_eq!(device.cursor("task"), "2500000");
    assert_ne!(cursor, "2500000");
}

#[test]
fn a_pull_alone_is_enough_where_nothing_is_pending_in_the_named_entities() {
    let backend = Backend::start(SCHEMA);
    let device = edited(&backend);
    let other = World::new(false);
    drop(other);
    sync_on(&device.db, "lists", &["list"]);
    assert_eq!(seen(&backend).len(), 1);
    assert!(pushes(&backend).is_empty());
    assert!(query(&backend.requests()[0].path, "tables").is_some_and(|tables| tables == "list"));
}

#[test]
fn a_row_created_pushed_and_deleted_here_is_not_brought_back_by_its_own_echo() {
    let backend = Backend::start(SCHEMA);
    let device = Device::new(&backend.sync_url());
    device.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
    device.synced();
    device.exec("DELETE FROM task");
    device.synced();
    device.synced();
    assert_eq!(device.ask("SELECT id FROM task"), "");
    assert_equal(&device, &backend, &["task"]);
}

/// A device and a backend that both have made a row, and know of it since a pull; the push was refused.
fn made_on_both_sides() -> (Backend, Device) {
    let backend = Backend::start(SCHEMA);
    let device = Device::new(&backend.sync_url());
    device.synced();
    backend.sql(|db| db.execute_batch("INSERT INTO task (id, title) VALUES ('r', 'theirs')"));
    device.exec("INSERT INTO task (id, title) VALUES ('r', 'mine')");
    backend
        .faults()
        .add(json!({"on": "push", "status": 401, "times": 1}));
    device.failed();
    assert_eq!(device.pending(), "task|r|created|[]");
    (backend, device)
}

#[test]
fn a_row_made_on_both_sides_and_deleted_here_is_deleted_there() {
    let (backend, device) = made_on_both_sides();
    device.exec("DELETE FROM task");
    assert_eq!(device.ask("SELECT op FROM sync_pending"), "deleted");
    device.synced();
    assert_eq!(backend_rows(&backend, "task").len(), 0);
    device.synced();
    assert_equal(&device, &backend, &["task"]);
}

#[test]
fn a_row_made_on_both_sides_and_replaced_here_is_replaced_there() {
    for touched in ["", "UPDATE task SET note = 'theirs'"] {
        let (backend, device) = made_on_both_sides();
        device.exec("REPLACE INTO task (id, title, note) VALUES ('r', 'later', 'later')");
        backend.sql(|db| db.execute_batch(touched));
        device.synced();
        let rows = device.ask("SELECT id, title, note FROM task");
        assert_eq!(rows, "r|later|later", "{touched}");
        assert_equal(&device, &backend, &["task"]);
    }
}
