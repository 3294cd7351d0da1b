//! Syncs in the background: a thread of our own, over a connection of its own.

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use support::backend::Kind;
use support::{Backend, Device, SCHEMA, ask, hold, refused, wait_for};

/// Waits until a run of the device has ended, and gives its summary.
fn ended(device: &Device, run: i64) -> Value {
    let state = format!("SELECT state FROM _syncRun WHERE id = {run}");
    wait_for("the end of the run", || device.ask(&state) != "running");
    let text = device.ask(&format!("SELECT summary FROM _syncRun WHERE id = {run}"));
    serde_json::from_str(&text).expect("a summary")
}

const START: &str = r#"SELECT sync_entities('work', 'api', '["task"]', '{"background":true}')"#;

fn backend_with_a_task() -> Backend {
    let backend = Backend::start(SCHEMA);
    backend.sql(|db| db.execute_batch("INSERT INTO task (id, title) VALUES ('r1', 'remote')"));
    backend
}

#[test]
fn f5a_the_call_returns_while_the_sync_goes_on_and_the_scope_shows_both() {
    let backend = backend_with_a_task();
    let pull = hold(&backend, Kind::Pull);
    let device = Device::new(&backend.sync_url());
    ask(&device.db, r#"SELECT sync_start_scope('s', '["work"]')"#);
    ask(
        &device.db,
        "INSERT INTO task (id, title) VALUES ('l1', 'local')",
    );
    let answer: Value = serde_json::from_str(&ask(&device.db, START)).expect("an answer");
    assert_eq!(answer["state"], "syncing");
    assert_eq!(answer["finishedAt"], Value::Null);
    assert_eq!(ask(&device.db, "SELECT state FROM _syncScope"), "syncing");
    assert_eq!(ask(&device.db, "SELECT state FROM sync_scope"), "syncing");
    // The caller's own connection is free to write meanwhile.
    ask(
        &device.db,
        "INSERT INTO task (id, title) VALUES ('l2', 'while it runs')",
    );
    pull.release();
    let summary = ended(&device, answer["runId"].as_i64().expect("a run"));
    assert_eq!(summary["state"], "synced");
    assert_eq!(
        (&summary["pulled"], &summary["pushed"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(ask(&device.db, "SELECT state FROM _syncScope"), "synced");
    assert_eq!(ask(&device.db, "SELECT count(*) FROM task"), "3");
    assert_eq!(ask(&device.db, "SELECT count(*) FROM sync_pending"), "0");
}

/// The thread has a connection of its own, which could write where the caller's must not.
#[test]
fn a_connection_that_must_not_write_starts_nothing_in_the_background() {
    let backend = backend_with_a_task();
    let device = Device::new(&backend.sync_url());
    let reader = Connection::open_with_flags(device.world.path(), OpenFlags::SQLITE_OPEN_READ_ONLY)
        .expect("open");
    support::load(&reader);
    for (db, set) in [
        (&device.db, "PRAGMA query_only = ON"),
        (&reader, "SELECT 1"),
    ] {
        ask(db, set);
        let error = db.query_row(START, [], |_| Ok(())).expect_err("refused");
        let code = error.sqlite_error().map(|error| error.extended_code & 0xff);
        assert_eq!(code, Some(8), "{set}: {error}");
    }
    ask(&device.db, "PRAGMA query_only = OFF");
    assert_eq!(device.ask("SELECT count(*) FROM _syncRun"), "0");
    assert!(backend.requests().is_empty());
}

#[test]
fn a_second_call_of_the_instance_is_refused_while_it_runs() {
    let backend = backend_with_a_task();
    let pull = hold(&backend, Kind::Pull);
    let device = Device::new(&backend.sync_url());
    let answer: Value = serde_json::from_str(&ask(&device.db, START)).expect("an answer");
    for again in [START, r#"SELECT sync_entities('work', 'api', '["task"]')"#] {
        let error = refused(&device.db, again);
        assert!(
            error.contains("instance 'work' is already syncing"),
            "{error}"
        );
    }
    let other = refused(
        &device.db,
        r#"SELECT sync_entities('other', 'api', '["task"]')"#,
    );
    assert!(other.contains("provider 'api' is being synced"), "{other}");
    pull.release();
    assert_eq!(
        ended(&device, answer["runId"].as_i64().expect("a run"))["state"],
        "synced"
    );
}

#[test]
fn what_can_be_refused_is_refused_at_once() {
    let backend = backend_with_a_task();
    let device = Device::new(&backend.sync_url());
    let error = refused(
        &device.db,
        r#"SELECT sync_entities('w', 'api', '["nope"]', '{"background":true}')"#,
    );
    assert!(error.contains("\"nope\" is not tracked"), "{error}");
    let error = refused(
        &device.db,
        r#"SELECT sync_entities('w', 'api', '["task"]', '{"background":1}')"#,
    );
    assert!(
        error.contains("background must be true or false"),
        "{error}"
    );
    device.db.execute_batch("BEGIN").expect("begin");
    let error = refused(&device.db, START);
    assert!(error.contains("inside an open transaction"), "{error}");
    device.db.execute_batch("COMMIT").expect("commit");
    assert!(backend.requests().is_empty());
}

#[test]
fn a_database_in_memory_is_refused_by_name() {
    let memory = rusqlite::Connection::open_in_memory().expect("memory");
    support::load(&memory);
    memory.execute_batch(SCHEMA).expect("schema");
    ask(
        &memory,
        r#"SELECT sync_provider('api', '{"kind":"watermelon","url":"http://127.0.0.1:1"}')"#,
    );
    ask(&memory, "SELECT sync_track('task')");
    let error = refused(&memory, START);
    assert!(error.contains("in memory or temporary"), "{error}");
}

#[test]
fn closing_the_connection_ends_the_sync_as_interrupted() {
    let backend = backend_with_a_task();
    let _pull = hold(&backend, Kind::Pull);
    let Device { world, db, .. } = Device::new(&backend.sync_url());
    ask(&db, r#"SELECT sync_start_scope('s', '["work"]')"#);
    ask(&db, START);
    // Without waiting for the network, for the pull gets no answer.
    db.close().expect("closes");
    let plain = world.plain();
    assert_eq!(
        ask(&plain, "SELECT state || ' ' || error FROM _syncStatus"),
        "failed interrupted: closed"
    );
    assert_eq!(ask(&plain, "SELECT state FROM _syncScope"), "interrupted");
    assert_eq!(ask(&plain, "SELECT state FROM _syncRun"), "failed");
    assert_eq!(ask(&plain, "SELECT count(*) FROM _syncLease"), "0");
}

#[test]
fn the_secrets_of_the_connection_are_known_to_its_thread() {
    let backend = backend_with_a_task();
    let device = Device::configured(
        SCHEMA,
        &["task"],
        &backend.sync_url(),
        json!({"token": "t"}),
    );
    let origin = backend.url();
    ask(
        &device.db,
        &format!("SELECT sync_secret('t', 'sesame', '{origin}')"),
    );
    let answer: Value = serde_json::from_str(&ask(&device.db, START)).expect("an answer");
    assert_eq!(
        ended(&device, answer["runId"].as_i64().expect("a run"))["state"],
        "synced"
    );
    let seen = backend.requests();
    assert_eq!(seen[0].header("authorization"), Some("Bearer sesame"));
}

#[test]
fn a_connection_whose_close_failed_goes_on_and_can_start_another() {
    let backend = backend_with_a_task();
    let device = Device::new(&backend.sync_url());
    let mut open = device
        .db
        .prepare("SELECT 1 UNION SELECT 2")
        .expect("a statement");
    let mut rows = open.query([]).expect("rows");
    rows.next().expect("a row");
    // SAFETY: the handle is open; a close with an open statement is refused and leaves it usable.
    let code = unsafe { rusqlite::ffi::sqlite3_close(device.db.handle()) };
    assert_eq!(code, rusqlite::ffi::SQLITE_BUSY);
    drop(rows);
    drop(open);
    let answer: Value = serde_json::from_str(&ask(&device.db, START)).expect("an answer");
    assert_eq!(
        ended(&device, answer["runId"].as_i64().expect("a run"))["state"],
        "synced"
    );
}
