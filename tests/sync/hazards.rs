//! Ways to lose a row in silence, each shut: keys that change on the way, tables that change during a
//! sync, rows that nothing comes of.

use std::sync::mpsc::channel;

use serde_json::json;
use support::{Backend, Canned, Device, ask, json_answer};

/// A table, its device, and a server with canned answers.
fn with_t(server: &Canned, ddl: &str) -> Device {
    Device::with(ddl, &["t"], &server.url())
}

#[test]
fn a_key_that_would_come_back_as_something_else_is_refused() {
    let server = Canned::start();
    for declared in ["STRING", "DATE", "NUMERIC", "REAL", "BLOB"] {
        let device = with_t(
            &server,
            &format!("CREATE TABLE t (id {declared} PRIMARY KEY, a)"),
        );
        let entities = r#"SELECT sync_entities('all', 'api', '["t"]')"#;
        let error = device.refused(entities);
        assert!(
            error.contains("declare it TEXT or INTEGER"),
            "{declared}: {error}"
        );
    }
    let typed = with_t(&server, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)");
    typed.ask(r#"SELECT sync_track('t', '{"types":{"id":"string"}}')"#);
    let error = typed.refused(r#"SELECT sync_entities('all', 'api', '["t"]')"#);
    assert!(error.contains("leave it out of types"), "{error}");
    assert!(server.seen().is_empty());
}

#[test]
fn an_integer_in_a_key_without_a_type_stays_here_and_says_why() {
    let server = Canned::start();
    let device = with_t(&server, "CREATE TABLE t (id PRIMARY KEY, a TEXT)");
    device.exec("INSERT INTO t VALUES (5, 'five'), ('x', 'text')");
    server.changes(json!({}));
    device.synced();
    assert_eq!(
        device.ask("SELECT op, key, rejected FROM sync_pending"),
        "created|5|can't be sent: its key is integer, in a column that is not declared INTEGER: it would come back as text, \
         as another row; store it as text, or declare the column INTEGER"
    );
    assert_eq!(server.pushed().len(), 1);
}

#[test]
fn a_row_with_a_null_key_stays_pending_with_its_reason_sync_after_sync() {
    let server = Canned::start();
    let device = with_t(&server, "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT)");
    // The log can't tell them apart, so they are shown as one, and as what they are.
    device.exec("INSERT INTO t VALUES (NULL, 'x'), (NULL, 'y')");
    for _ in 0..3 {
        server.changes(json!({}));
        device.synced();
        assert_eq!(
            device.ask("SELECT count(*) FROM sync_pending WHERE key IS NULL AND rejected <> ''"),
            "1"
        );
        let reason = device.ask("SELECT reason FROM _syncRejected");
        assert!(
            reason.contains("rows without a key can't be told apart")
                && reason.contains("give each a key"),
            "{reason}"
        );
    }
}

#[test]
fn of_two_ids_that_are_one_key_here_one_is_held_and_none_is_lost() {
    let server = Canned::start();
    let device = with_t(
        &server,
        "CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE, a TEXT)",
    );
    server.changes(json!({"t": {"created": [{"id": "ab", "a": "1"}, {"id": "AB", "a": "2"}]}}));
    device.synced();
    assert_eq!(device.ask("SELECT id FROM t"), "ab");
    let held = device.ask("SELECT key, reason, \"constraint\" FROM sync_held");
    assert!(
        held.starts_with("AB|unique|") && held.contains("collation"),
        "{held}"
    );
}

#[test]
fn rows_that_a_trigger_ignores_are_told() {
    let server = Canned::start();
    let device = with_t(
        &server,
        "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT);
         CREATE TRIGGER no BEFORE INSERT ON t WHEN NEW.a = 'no' BEGIN SELECT RAISE(IGNORE); END;",
    );
    server.changes(json!({"t": {"created": [{"id": "x", "a": "no"}, {"id": "y", "a": "yes"}]}}));
    let answer = device.synced();
    assert!(
        answer["warnings"]
            .to_string()
            .contains("ignored by a trigger"),
        "{answer}"
    );
    assert_eq!(device.ask("SELECT id FROM t"), "y");
}

/// Runs `meanwhile` on another connection while the pull waits for its answer.
fn altered_during_the_pull(meanwhile: &'static str, as_program: bool) {
    let server = Canned::start();
    let device = with_t(
        &server,
        "CREATE TABLE t (id TEXT PRIMARY KEY, x TEXT, a TEXT, b TEXT); INSERT INTO t VALUES ('1', 'x', 'a', 'b')",
    );
    server.changes(json!({}));
    device.synced();
    device.exec("UPDATE t SET b = 'edited'");
    let (asked, hear) = channel();
    let file = device.world.path();
    server.pull_raw(move |_| {
        let connection = rusqlite::Connection::open(&file).expect("open");
        if !as_program {
            support::load(&connection);
        }
        let outcome = connection.execute_batch(meanwhile);
        let _ = asked.send(outcome.map_err(|error| error.to_string()));
        json_answer(r#"{"changes":{"t":{"updated":[{"id":"1","a":"server"}]}},"timestamp":30}"#)
    });
    let error = device.failed();
    assert_eq!(hear.recv().expect("the pull was asked"), Ok(()));
    assert_eq!(
        (&error["class"], &error["retryable"]),
        (&json!("conflict"), &json!(true)),
        "{error}"
    );
    assert_eq!(
        device.ask("SELECT count(*) FROM sync_pending"),
        "1",
        "{meanwhile}"
    );
    // The next sync goes on with the table as it is.
    server.pull(r#"{"changes":{"t":{"updated":[{"id":"1","a":"server"}]}},"timestamp":30}"#);
    device.synced();
    let pushed = server.pushed();
    let row = &pushed.last().expect("a push")["t"]["updated"][0];
    assert_eq!(
        (&row["_changed"], &row["a"]),
        (
            &json!(if as_program { "b2" } else { "b" }),
            &json!("server")
        )
    );
}

#[test]
fn a_column_renamed_during_a_pull_ends_it_and_loses_nothing() {
    altered_during_the_pull("ALTER TABLE t RENAME COLUMN b TO b2", true);
}

#[test]
fn a_column_dropped_during_a_pull_ends_it_and_loses_nothing() {
    altered_during_the_pull(
        "SELECT sync_alter('t', 'ALTER TABLE t DROP COLUMN x')",
        false,
    );
}

#[test]
fn an_entity_that_moves_to_another_table_starts_from_the_beginning() {
    let backend = Backend::start("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT);");
    backend.sql(|db| db.execute_batch("INSERT INTO t VALUES ('1', 'one'), ('2', 'two')"));
    let device = Device::with(
        "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT)",
        &["t"],
        &backend.sync_url(),
    );
    device.synced();
    device.exec("CREATE TABLE other (id TEXT PRIMARY KEY, a TEXT)");
    device.ask("SELECT sync_track('other')");
    device.provider(&backend.sync_url(), json!({"tableMap": {"t": "other"}}));
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM other"), "2");
}

#[test]
fn a_default_that_is_a_bare_word_does_not_break_the_application_s_inserts() {
    let server = Canned::start();
    let device = with_t(
        &server,
        "CREATE TABLE t (id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE DEFAULT foo, d TEXT NOT NULL UNIQUE DEFAULT \"id\")",
    );
    device.exec("INSERT INTO t (id) VALUES ('1'); REPLACE INTO t (id) VALUES ('2')");
    assert_eq!(device.ask("SELECT op, key FROM sync_pending"), "created|2");
}

#[test]
fn foreign_keys_act_in_the_background_as_they_do_inline() {
    let server = Canned::start();
    let schema = "PRAGMA foreign_keys = ON; CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT);
        CREATE TABLE child (id TEXT PRIMARY KEY, t TEXT REFERENCES t ON DELETE CASCADE);";
    let device = with_t(&server, schema);
    server.changes(json!({"t": {"created": [{"id": "p"}]}}));
    device.synced();
    device.exec("INSERT INTO child VALUES ('c', 'p')");
    server.pull(r#"{"changes":{"t":{"deleted":["p"]}},"timestamp":30}"#);
    ask(
        &device.db,
        r#"SELECT sync_entities('all', 'api', '["t"]', '{"background":true}')"#,
    );
    support::wait_for("the end of the run", || {
        device.ask("SELECT count(*) FROM _syncRun WHERE state = 'running'") == "0"
    });
    assert_eq!(device.ask("SELECT count(*) FROM child"), "0");
}

#[test]
fn failing_pushes_do_not_pile_up_in_the_outbox() {
    let backend = Backend::start("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT);");
    let device = Device::with(
        "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT)",
        &["t"],
        &backend.sync_url(),
    );
    backend.faults().add(json!({"on": "push", "status": 503}));
    device.exec("INSERT INTO t VALUES ('1', 'a'), ('2', 'b'), ('3', 'c')");
    for _ in 0..4 {
        device.failed();
    }
    assert_eq!(device.ask("SELECT count(*) FROM _syncOutbox"), "3");
    backend.faults().clear();
    device.synced();
    assert_eq!(
        backend.sql(|db| db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))),
        3
    );
}

/// Rows are applied with the connection's triggers off. They must be on again afterwards, however the pull ended.
#[test]
fn edits_after_a_pull_are_logged_also_when_a_row_of_it_is_held() {
    let server = Canned::start();
    let device = with_t(
        &server,
        "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT CHECK (a <> 'bad'));
         CREATE TABLE other (n);
         CREATE TABLE seen (n);
         CREATE TRIGGER look AFTER INSERT ON other BEGIN INSERT INTO seen VALUES (NEW.n); END;",
    );
    let row = |id: &str, a: &str| json!({"t": {"created": [{"id": id, "a": a}]}});
    server.changes(row("x", "1"));
    device.synced();
    assert_eq!(device.log(), "0");
    device.exec("UPDATE t SET a = '2'; INSERT INTO other VALUES (1)");
    assert_eq!(device.pending(), "t|x|updated|[\"a\"]");
    server.changes(row("y", "bad"));
    device.synced();
    assert_eq!(device.ask("SELECT key FROM sync_held"), "y");
    device.exec("INSERT INTO t VALUES ('z', '3'); INSERT INTO other VALUES (2)");
    assert_eq!(device.pending(), "t|z|created|[]");
    assert_eq!(device.ask("SELECT group_concat(n) FROM seen"), "1,2");
}

#[test]
fn a_program_that_switched_triggers_off_finds_them_off_after_a_sync() {
    use rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER as TRIGGERS;
    let server = Canned::start();
    let device = with_t(&server, "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT)");
    for on in [false, true] {
        device.db.set_db_config(TRIGGERS, on).expect("the switch");
        server.changes(json!({"t": {"updated": [{"id": "x", "a": on.to_string()}]}}));
        device.sync();
        assert_eq!(device.db.db_config(TRIGGERS), Ok(on));
    }
    assert_eq!(device.ask("SELECT a FROM t"), "true");
}
