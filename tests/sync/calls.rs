//! Calls that are refused at once, with a text that says what to do; and who may run when.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::backend::Kind;
use support::{Backend, Canned, Device, SCHEMA, ask, hold, refused, seen, sync_on};

fn start() -> (Backend, Device) {
    let backend = Backend::start(SCHEMA);
    let device = Device::new(&backend.sync_url());
    (backend, device)
}

const SYNC: &str = "SELECT sync_entities('i', 'api', '[\"task\"]')";

/// The text of a refusal that must leave no trace: no status, no run, no lease, no request.
fn refusal(device: &Device, backend: &Backend, sql: &str) -> String {
    let trace = "SELECT (SELECT count(*) FROM _syncStatus), (SELECT count(*) FROM _syncRun),
        (SELECT count(*) FROM _syncLease), (SELECT count(*) FROM _syncOperation)";
    let before = device.ask(trace);
    let requests = backend.requests().len();
    let text = device.refused(sql);
    assert_eq!(device.ask(trace), before, "{sql}");
    assert_eq!(backend.requests().len(), requests, "{sql}");
    assert!(text.starts_with("sync_"), "names the function: {text}");
    text
}

#[test]
fn an_entity_that_is_not_tracked() {
    let (backend, device) = start();
    device.exec("CREATE TABLE other (id TEXT PRIMARY KEY)");
    for name in ["other", "nowhere"] {
        let text = refusal(
            &device,
            &backend,
            &format!("SELECT sync_entities('i', 'api', '[\"task\",\"{name}\"]')"),
        );
        assert!(text.contains(name) && text.contains("sync_track"), "{text}");
    }
    device.ask(SYNC);
}

#[test]
fn a_provider_that_is_not_declared() {
    let (backend, device) = start();
    let text = refusal(
        &device,
        &backend,
        "SELECT sync_entities('i', 'nope', '[\"task\"]')",
    );
    assert!(
        text.contains("nope") && text.contains("'api'"),
        "names the declared ones: {text}"
    );
}

#[test]
fn keys_that_the_protocol_cannot_carry() {
    let (backend, device) = start();
    device.exec(
        "CREATE TABLE two (a TEXT, b TEXT, PRIMARY KEY (a, b));
         CREATE TABLE bin (id BLOB PRIMARY KEY);
         CREATE TABLE res (id TEXT PRIMARY KEY, _status TEXT);
         CREATE TABLE res2 (uuid TEXT PRIMARY KEY, id TEXT);",
    );
    for (name, word) in [
        ("two", "key of 2 columns"),
        ("bin", "blob"),
        ("res", "_status"),
        ("res2", "id"),
    ] {
        device.ask(&format!("SELECT sync_track('{name}')"));
        let sql = format!("SELECT sync_entities('i', 'api', '[\"{name}\"]')");
        let text = refusal(&device, &backend, &sql);
        assert!(text.contains(name) && text.contains(word), "{text}");
    }
}

#[test]
fn settings_and_functions_that_this_kind_does_not_know() {
    let (backend, device) = start();
    for sql in [
        "SELECT sync_entities('i', 'api', '[{\"entity\":\"task\",\"function\":\"f\"}]')",
        "SELECT sync_entities('i', 'api', '[{\"entity\":\"task\",\"parameters\":{\"a\":1}}]')",
        "SELECT sync_entities('i', 'api', '[\"task\"]', '{\"keepTempIds\":true}')",
        "SELECT sync_entities('i', 'api', '[\"task\"]', '{\"nonsense\":true}')",
        "SELECT sync_entities('i', 'api', '[\"task\", \"Task\"]')",
        "SELECT sync_entities('i', 'api', '[5]')",
        "SELECT sync_entities('i', 'api', '{}')",
    ] {
        refusal(&device, &backend, sql);
    }
}

#[test]
fn inside_a_transaction() {
    let (backend, device) = start();
    for begin in ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s"] {
        device.exec(begin);
        let text = refusal(&device, &backend, SYNC);
        assert!(
            text.contains("transaction") && text.contains("COMMIT"),
            "{text}"
        );
        device.exec("INSERT INTO task (id) VALUES (hex(randomblob(4)))");
        device.exec("COMMIT");
    }
    assert_eq!(device.ask("SELECT count(*) FROM task"), "3");
    device.ask(SYNC);
}

#[test]
fn inside_a_statement_that_writes() {
    let (backend, device) = start();
    device.exec("CREATE TABLE log (answer TEXT); INSERT INTO task (id) VALUES ('a')");
    refusal(&device, &backend, &format!("INSERT INTO log {SYNC}"));
    refusal(
        &device,
        &backend,
        &format!("UPDATE task SET title = ({SYNC})"),
    );
    let text = device
        .db
        .execute_batch(&format!("CREATE TABLE made AS {SYNC}"))
        .unwrap_err();
    assert!(text.to_string().contains("sync_entities"), "{text}");
    assert_eq!(device.ask("SELECT count(*) FROM log"), "0");
    assert!(seen(&backend).is_empty());
    device.ask(SYNC);
}

#[test]
fn in_a_trigger_or_a_view() {
    let (backend, device) = start();
    device.exec(&format!(
        "CREATE TABLE log (answer TEXT);
         CREATE TRIGGER bad AFTER INSERT ON log BEGIN {SYNC}; END;
         CREATE VIEW worse AS {SYNC} AS answer;"
    ));
    for sql in ["INSERT INTO log VALUES (1)", "SELECT * FROM worse"] {
        let text = device.refused(sql);
        assert!(text.contains("unsafe use"), "{text}");
    }
    assert!(seen(&backend).is_empty());
}

#[test]
fn while_another_statement_of_the_connection_reads() {
    let (backend, device) = start();
    device.exec("INSERT INTO task (id) VALUES ('a'), ('b')");
    let mut reading = device.db.prepare("SELECT id FROM task").unwrap();
    let mut rows = reading.query([]).unwrap();
    rows.next().unwrap();
    let text = refused(&device.db, SYNC);
    assert!(
        text.contains("still reading") && text.contains("reset"),
        "{text}"
    );
    assert!(seen(&backend).is_empty());
    drop(rows);
    drop(reading);
    device.synced();
}

#[test]
fn one_row_at_a_time_from_a_table() {
    let (backend, device) = start();
    device.exec("INSERT INTO task (id) VALUES ('a')");
    let text = refusal(
        &device,
        &backend,
        "SELECT sync_entities(id, 'api', '[\"task\"]') FROM task",
    );
    assert!(text.contains("FROM"), "{text}");
}

// ---- Two at once -----------------------------------------------------------------------------

/// Runs `meanwhile` with a second connection while a sync waits for its pull.
fn during_a_pull(
    journal: &str,
    meanwhile: impl FnOnce(&rusqlite::Connection, &Backend),
) -> (Device, Backend) {
    let (backend, device) = start();
    device.ask(&format!("PRAGMA journal_mode = {journal}"));
    device.exec("INSERT INTO task (id) VALUES ('a')");
    let second = device.second();
    let pull = hold(&backend, Kind::Pull);
    thread::scope(|scope| {
        let world = &device.world;
        let first = scope.spawn(move || sync_on(&world.open(), "i", &["task"]));
        pull.wait();
        meanwhile(&second, &backend);
        pull.release();
        let answer = first.join().unwrap();
        assert_eq!(answer["state"], "synced", "the first goes on: {answer}");
    });
    assert_eq!(device.pending(), "");
    (device, backend)
}

#[test]
fn the_same_instance_on_a_second_connection_is_refused_and_the_first_goes_on() {
    let (device, backend) = during_a_pull("wal", |second, backend| {
        // At once: the first one's pull has no answer yet.
        let text = refused(second, SYNC);
        assert!(
            text.contains("'i' is already syncing") && text.contains("sync_interrupt"),
            "{text}"
        );
        assert_eq!(seen(backend).len(), 1);
        assert_eq!(ask(second, "SELECT state FROM _syncStatus"), "syncing");
        assert_eq!(ask(second, "SELECT state FROM sync_status"), "syncing");
    });
    assert_eq!(seen(&backend).len(), 2);
    assert_eq!(
        device.ask("SELECT count(*), max(state) FROM _syncRun"),
        "1|synced"
    );
}

#[test]
fn the_same_provider_on_a_second_connection_is_refused() {
    during_a_pull("wal", |second, _| {
        for sql in [
            "SELECT sync_entities('other', 'api', '[\"list\"]')",
            "SELECT sync_entities(NULL, 'api', '[\"task\"]')",
        ] {
            let text = refused(second, sql);
            assert!(
                text.contains("'api'") && text.contains("another connection"),
                "{text}"
            );
        }
        assert_eq!(ask(second, "SELECT count(*) FROM _syncStatus"), "1");
    });
}

#[test]
fn another_provider_on_a_second_connection_may_run() {
    let elsewhere = Canned::start();
    during_a_pull("wal", |second, _| {
        let config = json!({"kind": "watermelon", "url": elsewhere.url()}).to_string();
        second
            .query_row("SELECT sync_provider('api2', ?1)", [config], |_| Ok(()))
            .unwrap();
        let text = ask(second, "SELECT sync_entities('j', 'api2', '[\"list\"]')");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["state"], "synced", "{answer}");
    });
}

#[test]
fn writers_are_never_blocked_while_the_network_is_waited_for() {
    for journal in ["wal", "delete"] {
        let (device, _backend) = during_a_pull(journal, |second, backend| {
            second.busy_timeout(Duration::ZERO).unwrap();
            for n in 0..20 {
                second
                    .execute_batch(&format!("INSERT INTO task (id) VALUES ('w{n}')"))
                    .expect("not blocked");
                second
                    .execute_batch("BEGIN EXCLUSIVE; UPDATE task SET n = 1; COMMIT")
                    .expect("not blocked");
            }
            assert_eq!(seen(backend).len(), 1, "still waiting");
        });
        assert_eq!(device.ask("SELECT count(*) FROM task"), "21", "{journal}");
        device.synced();
    }
}

#[test]
fn line_11_during_the_push_nobody_is_blocked_either() {
    for journal in ["wal", "delete"] {
        let (backend, device) = start();
        device.ask(&format!("PRAGMA journal_mode = {journal}"));
        device.exec("INSERT INTO task (id) VALUES ('a')");
        let push = hold(&backend, Kind::Push);
        let plain = device.world.plain();
        plain.busy_timeout(Duration::ZERO).unwrap();
        let other = thread::spawn(move || {
            push.wait();
            plain.execute_batch("BEGIN EXCLUSIVE; UPDATE task SET n = 9; COMMIT")
        });
        device.synced();
        other.join().unwrap().expect("not blocked");
        assert_eq!(device.pending(), "task|a|updated|[\"n\"]");
    }
}

// ---- Interrupting ----------------------------------------------------------------------------

#[test]
fn a_sync_that_could_not_be_closed_takes_nothing_else_of_its_connection_along() {
    let (backend, device) = start();
    device.exec("INSERT INTO task (id) VALUES ('a')");
    device.ask(r#"SELECT sync_provider('app', '{"kind":"host"}')"#);
    for (scope, member) in [("host", "h"), ("idle", "later"), ("s", "i")] {
        device.ask(&format!(
            "SELECT sync_start_scope('{scope}', '[\"{member}\"]')"
        ));
    }
    device.ask("SELECT sync_entities('h', 'app', '[\"e\"]')");
    let pull = hold(&backend, Kind::Pull);
    let handle = device.db.get_interrupt_handle();
    thread::scope(|scope| {
        scope.spawn(|| {
            pull.wait();
            thread::sleep(Duration::from_millis(100));
            handle.interrupt();
        });
        let answer = device.db.query_row(SYNC, [], |row| row.get::<_, String>(0));
        let error = answer.expect_err("SQLite's interrupt leaves no way to write");
        assert!(error.to_string().contains("interrupt"), "{error}");
    });
    let states =
        "SELECT group_concat(id || ' ' || state, ', ') FROM (SELECT * FROM _syncScope ORDER BY id)";
    assert_eq!(
        device.ask(states),
        "host syncing, idle syncing, s interrupted",
        "a connection of our own has written the end"
    );
    assert_eq!(device.ask("SELECT count(*) FROM _syncLease"), "0");
    // A call that is refused settles nothing, and loses nothing.
    device.refused("SELECT sync_apply(77, '{}')");
    assert_eq!(
        device.ask("SELECT sync_recover()"),
        r#"{"operations":0,"scopes":[]}"#
    );
    assert_eq!(
        device.ask(states),
        "host syncing, idle syncing, s interrupted"
    );
    assert_eq!(
        device.ask("SELECT entity, state, error FROM _syncStatus ORDER BY entity"),
        "e|syncing|NULL\ntask|failed|interrupted: cancelled"
    );
    assert_eq!(
        device.ask("SELECT state, error->>'class' FROM _syncRun"),
        "failed|cancelled"
    );
    backend.faults().clear();
    device.synced();
    assert_eq!(device.pending(), "");
}

// ---- Scopes ----------------------------------------------------------------------------------

#[test]
fn a_protocol_provider_closes_its_operations_itself() {
    let (backend, device) = start();
    device.ask("SELECT sync_start_scope('startup', '[\"lists\",\"tasks\"]')");
    sync_on(&device.db, "lists", &["list"]);
    assert_eq!(
        support::scopes::scope(&device.db, "startup"),
        "syncing 1/0/0/1"
    );
    backend.faults().add(json!({"status": 500, "times": 1}));
    sync_on(&device.db, "tasks", &["task"]);
    assert_eq!(
        support::scopes::scope(&device.db, "startup"),
        "failed 0/0/1/1"
    );
    sync_on(&device.db, "tasks", &["task"]);
    assert_eq!(
        support::scopes::scope(&device.db, "startup"),
        "synced 0/0/0/2"
    );
    assert_eq!(
        device.ask("SELECT entity, state, error FROM [_syncStatus] ORDER BY entity"),
        "list|synced|NULL\ntask|synced|NULL"
    );
}

#[test]
fn the_guard_against_starting_twice_is_plain_sql() {
    let (backend, device) = start();
    let guard =
        "WHERE NOT EXISTS (SELECT 1 FROM _syncScope WHERE id = 'startup' AND state = 'syncing')";
    let start = format!("SELECT sync_start_scope('startup', '[\"i\"]') {guard}");
    assert_eq!(device.ask(&start), "syncing");
    assert_eq!(device.ask(&start), "", "guarded");
    device.ask(SYNC);
    assert_eq!(device.ask(&start), "syncing");
    assert_eq!(seen(&backend).len(), 1);
}

#[test]
fn the_guard_cannot_stand_in_the_statement_of_sync_entities_itself_and_the_text_says_so() {
    let (backend, device) = start();
    let guard =
        "WHERE NOT EXISTS (SELECT 1 FROM _syncScope WHERE id = 'startup' AND state = 'syncing')";
    let text = refusal(&device, &backend, &format!("{SYNC} {guard}"));
    assert!(
        text.contains("still reading") && text.contains("SELECT"),
        "{text}"
    );
}
