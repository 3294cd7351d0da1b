//! A database that is locked, read-only or full in the middle of a sync.

use std::thread;
use std::time::Duration;

use rusqlite::hooks::{AuthAction, AuthContext, Authorization, TransactionOperation};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use support::backend::Kind;
use support::{
    Backend, Device, PATIENCE, SCHEMA, assert_equal, hold, load, seen, sync_on, try_ask,
};

fn start(journal: &str, more: Value) -> (Backend, Device) {
    let backend = Backend::start(SCHEMA);
    backend.sql(|sql| sql.execute_batch("INSERT INTO task (id, title) VALUES ('r', 'remote')"));
    let device = Device::configured(SCHEMA, &["list", "task"], &backend.sync_url(), more);
    device.ask(&format!("PRAGMA journal_mode = {journal}"));
    device.db.busy_timeout(Duration::from_millis(50)).unwrap();
    device.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
    (backend, device)
}

/// Syncs while another connection takes a lock during a request, and holds it for some time; without
/// one: until the sync has given up.
fn lock_during(
    device: &Device,
    backend: &Backend,
    request: Kind,
    how: &str,
    hold_for: Option<Duration>,
) -> rusqlite::Result<String> {
    let path = device.world.path();
    let held = hold(backend, request);
    let (over, wait) = std::sync::mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let db = Connection::open(path).unwrap();
            held.wait();
            db.execute_batch(how)
                .expect("nobody holds a lock during a request");
            held.release();
            let _ = wait.recv_timeout(hold_for.unwrap_or(PATIENCE));
            db.execute_batch("COMMIT").unwrap();
        });
        let outcome = try_ask(
            &device.db,
            "SELECT sync_entities('all', 'api', '[\"list\",\"task\"]')",
        );
        drop(over);
        outcome
    })
}

const A_WHILE: Option<Duration> = Some(Duration::from_millis(800));

#[test]
fn a_short_lock_in_the_middle_is_waited_for() {
    for journal in ["wal", "delete"] {
        for request in [Kind::Pull, Kind::Push] {
            for how in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
                let (backend, device) = start(journal, json!({}));
                let text = lock_during(&device, &backend, request, how, A_WHILE);
                let answer: Value = serde_json::from_str(&text.expect("an answer")).unwrap();
                assert_eq!(
                    answer["state"], "synced",
                    "{journal} {request:?} {how}: {answer}"
                );
                device.synced();
                assert_equal(&device, &backend, &["task"]);
                assert_eq!(device.pending(), "");
            }
        }
    }
}

/// The transactions of a sync after its first one, each about to begin.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Apply,
    Freeze,
    Settle,
    End,
}

impl Next {
    /// Which one it is, as another connection sees it. None before the first.
    fn seen_from(db: &Connection) -> Option<Next> {
        let ask = |sql: &str| support::ask(db, sql);
        if ask("SELECT state FROM _syncRun ORDER BY id DESC LIMIT 1") != "running" {
            return None;
        }
        let pulled = ask("SELECT count(*) FROM task WHERE id = 'news'") == "1";
        Some(match ask("SELECT state FROM _syncPush").as_str() {
            "" if !pulled => Next::Apply,
            "" => Next::Freeze,
            "open" => Next::Settle,
            _ => Next::End,
        })
    }
}

/// Syncs while another connection takes the lock right before a transaction begins, and holds it for
/// some time; without one: until the sync has given up.
fn locked_before(
    next: Next,
    journal: &str,
    busy_timeout: u64,
    hold: Option<Duration>,
) -> (Backend, Device, rusqlite::Result<String>) {
    let (backend, mut device) = start(journal, json!({}));
    // Until the journal of the first push is gone.
    for _ in 0..3 {
        device.synced();
    }
    device.exec("UPDATE task SET title = 'mine' WHERE id = 'n'");
    backend.sql(|db| db.execute_batch("INSERT INTO task (id, title) VALUES ('news', 'theirs')"));
    device.provider(&backend.sync_url(), json!({"busyTimeoutMs": busy_timeout}));
    device.db.busy_timeout(Duration::from_millis(20)).unwrap();
    let mut other = Some(device.world.plain());
    let (locked, unlock) = std::sync::mpsc::channel::<Connection>();
    let (over, wait) = std::sync::mpsc::channel::<()>();
    let holder = thread::spawn(move || {
        let other = unlock.recv().expect("the lock was taken");
        let _ = wait.recv_timeout(hold.unwrap_or(PATIENCE));
        other.execute_batch("COMMIT").expect("unlocked");
    });
    // SQLite asks the authorizer whenever a BEGIN is prepared.
    let asked = move |context: AuthContext<'_>| {
        let begins = matches!(
            context.action,
            AuthAction::Transaction {
                operation: TransactionOperation::Begin
            }
        );
        if let Some(db) = other.take_if(|db| begins && Next::seen_from(db) == Some(next)) {
            db.execute_batch("BEGIN IMMEDIATE").expect("locked");
            locked.send(db).expect("held");
        }
        Authorization::Allow
    };
    device.db.authorizer(Some(asked)).expect("authorizer");
    let outcome = try_ask(
        &device.db,
        "SELECT sync_entities('all', 'api', '[\"list\",\"task\"]')",
    );
    drop(over);
    device
        .db
        .authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
        .expect("authorizer off");
    holder.join().expect("the lock was taken and given back");
    (backend, device, outcome)
}

fn rests(device: &Device, backend: &Backend, context: &str) {
    device.synced();
    device.synced();
    assert_equal(device, backend, &["list", "task"]);
    let mine = "SELECT title FROM task WHERE id = 'n'";
    assert_eq!(device.ask(mine), "mine", "{context}");
    for empty in [
        "SELECT count(*) FROM sync_pending",
        "SELECT count(*) FROM _syncLease",
        "SELECT count(*) FROM _syncRun WHERE state = 'running'",
        "SELECT count(*) FROM _syncStatus WHERE state <> 'synced'",
    ] {
        assert_eq!(device.ask(empty), "0", "{context}: {empty}");
    }
}

#[test]
fn each_transaction_waits_for_a_lock_shorter_than_busy_timeout_ms() {
    for journal in ["wal", "delete"] {
        for next in [Next::Apply, Next::Freeze, Next::Settle, Next::End] {
            let hold = Some(Duration::from_millis(300));
            let (backend, device, outcome) = locked_before(next, journal, 100_000, hold);
            let context = format!("{journal} {next:?}: {outcome:?}");
            let answer: Value = serde_json::from_str(&outcome.expect(&context)).unwrap();
            assert_eq!(answer["state"], "synced", "{context}");
            rests(&device, &backend, &context);
        }
    }
}

#[test]
fn each_transaction_gives_up_on_a_lock_longer_than_busy_timeout_ms() {
    for journal in ["wal", "delete"] {
        for next in [Next::Apply, Next::Freeze, Next::Settle, Next::End] {
            let (backend, device, outcome) = locked_before(next, journal, 100, None);
            let context = format!("{journal} {next:?}: {outcome:?}");
            // The end of the run has to wait for the same lock, and can't be written down either.
            let error = outcome.expect_err(&context);
            let busy = Some(rusqlite::ErrorCode::DatabaseBusy);
            assert_eq!(error.sqlite_error_code(), busy, "{context}");
            assert!(error.to_string().contains("locked"), "{context}");
            assert!(device.db.is_autocommit(), "{context}");
            let pulled = device.ask("SELECT count(*) FROM task WHERE id = 'news'") == "1";
            assert_eq!(pulled, next != Next::Apply, "{context}");
            let pending = device.ask("SELECT count(*) FROM sync_pending") == "1";
            assert_eq!(pending, next != Next::End, "{context}");
            rests(&device, &backend, &context);
        }
    }
}

#[test]
fn a_reader_in_the_way_of_a_commit_is_waited_for() {
    let (backend, device) = start("delete", json!({}));
    let how = "BEGIN; SELECT count(*) FROM task";
    let text = lock_during(&device, &backend, Kind::Pull, how, A_WHILE);
    let answer: Value = serde_json::from_str(&text.expect("an answer")).unwrap();
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_equal(&device, &backend, &["task"]);
}

#[test]
fn a_lock_that_does_not_end_is_a_clear_failure_and_nothing_is_lost() {
    for journal in ["wal", "delete"] {
        for request in [Kind::Pull, Kind::Push] {
            let (backend, device) = start(journal, json!({"busyTimeoutMs": 200}));
            let outcome = lock_during(&device, &backend, request, "BEGIN IMMEDIATE", None);
            let context = format!("{journal} {request:?}: {outcome:?}");
            match &outcome {
                Ok(text) => {
                    let answer: Value = serde_json::from_str(text).unwrap();
                    assert_eq!(answer["state"], "failed", "{context}");
                    assert_eq!(answer["error"]["code"], "SYNC_ERROR_BUSY", "{context}");
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        text.contains("locked") || text.contains("busy"),
                        "{context}"
                    );
                }
            }
            assert_eq!(
                device.ask("SELECT count(*) FROM sync_pending"),
                "1",
                "{context}"
            );
            device.synced();
            device.synced();
            assert_equal(&device, &backend, &["task"]);
            assert_eq!(device.pending(), "");
            assert_eq!(
                device.ask("SELECT count(*) FROM _syncStatus WHERE state <> 'synced'"),
                "0"
            );
        }
    }
}

#[test]
fn after_a_lock_that_did_not_end_the_run_is_not_shown_as_running_for_ever() {
    let (backend, device) = start("wal", json!({"busyTimeoutMs": 200}));
    let _ = lock_during(&device, &backend, Kind::Pull, "BEGIN IMMEDIATE", None);
    device.synced();
    assert_eq!(
        device.ask("SELECT count(*) FROM _syncRun WHERE state = 'running'"),
        "0"
    );
}

#[test]
fn after_a_lock_that_did_not_end_another_connection_may_sync() {
    let (backend, device) = start("wal", json!({"busyTimeoutMs": 200}));
    let _ = lock_during(&device, &backend, Kind::Pull, "BEGIN IMMEDIATE", None);
    // The connection that failed stays open and does nothing more.
    let answer = try_ask(
        &device.second(),
        "SELECT sync_entities('all', 'api', '[\"task\"]')",
    );
    let text = answer.as_ref().map(String::as_str).unwrap_or_default();
    assert!(text.contains("\"synced\""), "{answer:?}");
    assert_equal(&device, &backend, &["task"]);
}

#[test]
fn a_database_locked_from_the_start_is_busy() {
    let (backend, device) = start("wal", json!({}));
    let plain = device.world.plain();
    plain.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = try_ask(
        &device.db,
        "SELECT sync_entities('all', 'api', '[\"task\"]')",
    )
    .unwrap_err();
    assert_eq!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy),
        "{error}"
    );
    assert!(seen(&backend).is_empty());
    plain.execute_batch("COMMIT").unwrap();
    device.synced();
}

#[test]
fn a_read_only_database_is_refused_without_a_request() {
    let (backend, device) = start("delete", json!({}));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = Connection::open_with_flags(device.world.path(), flags).unwrap();
    load(&db);
    let error = try_ask(&db, "SELECT sync_entities('all', 'api', '[\"task\"]')").unwrap_err();
    assert_eq!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::ReadOnly),
        "{error}"
    );
    assert!(error.to_string().contains("sync_entities"), "{error}");
    assert!(seen(&backend).is_empty());
    // Reading is fine.
    assert_eq!(support::ask(&db, "SELECT key FROM sync_pending"), "n");
}

#[test]
fn query_only_is_refused_without_a_request() {
    let (backend, device) = start("wal", json!({}));
    device.exec("PRAGMA query_only = ON");
    device.refused("SELECT sync_entities('all', 'api', '[\"task\"]')");
    assert!(seen(&backend).is_empty());
    device.exec("PRAGMA query_only = OFF");
    device.synced();
}

#[test]
fn a_full_disk_while_applying_leaves_nothing_half_applied() {
    for journal in ["wal", "delete"] {
        let (backend, device) = start(journal, json!({}));
        device.synced();
        device.exec("UPDATE task SET title = 'mine'");
        let before = device.ask("SELECT * FROM task ORDER BY id");
        let cursor = device.cursor("task");
        backend.sql(|sql| {
            sql.execute_batch(
                "WITH n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000)
                 INSERT INTO task (id, title) SELECT 'big' || x, hex(randomblob(200)) FROM n",
            )
        });
        let pages: i64 = device.ask("PRAGMA page_count").parse().unwrap();
        device.ask(&format!("PRAGMA max_page_count = {}", pages + 20));
        let outcome = try_ask(
            &device.db,
            "SELECT sync_entities('all', 'api', '[\"list\",\"task\"]')",
        );
        let context = format!("{journal}: {outcome:?}");
        match &outcome {
            Ok(text) => {
                let answer: Value = serde_json::from_str(text).unwrap();
                let error = &answer["error"];
                assert_eq!(
                    (&error["class"], &error["code"]),
                    (&json!("data"), &json!("SYNC_ERROR_STORAGE")),
                    "{context}"
                );
                assert_eq!(error["retryable"], true, "{context}");
                assert!(
                    error["message"].as_str().unwrap().contains("full"),
                    "{context}"
                );
            }
            Err(error) => assert!(error.to_string().contains("full"), "{context}"),
        }
        assert!(device.db.is_autocommit());
        assert_eq!(
            device.ask("SELECT * FROM task ORDER BY id"),
            before,
            "{context}"
        );
        assert_eq!(device.cursor("task"), cursor, "{context}");
        assert_eq!(device.ask("SELECT count(*) FROM sync_pending"), "2");
        device.ask("PRAGMA max_page_count = 1000000");
        device.synced();
        device.synced();
        assert_equal(&device, &backend, &["task"]);
        assert_eq!(device.pending(), "");
        assert_eq!(device.ask("PRAGMA integrity_check"), "ok");
        let _ = sync_on(&device.db, "all", &["task"]);
    }
}
