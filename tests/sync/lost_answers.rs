//! Pushes that arrive while their answer is lost: the next pull tells, and nothing is sent twice.

use serde_json::json;
use support::{Backend, Canned, Device, SCHEMA, assert_equal, status_answer};

const TABLE: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT);";

/// A device whose last push was committed there, without an answer. The backend refuses to create a
/// row that it has (no rule U2), so sending it again would fail for good.
fn lost(before: &str) -> (Backend, Device) {
    let backend = Backend::start(TABLE);
    let device = Device::with(TABLE, &["t"], &backend.sync_url());
    device.exec("INSERT INTO t VALUES ('old', '1', '1')");
    device.synced();
    device.synced();
    device.exec(before);
    backend
        .faults()
        .add(json!({"on": "push", "times": 1, "drop": true, "afterCommit": true}));
    device.failed();
    backend.faults().add(json!({"on": "push", "noU2": true}));
    backend.clear_requests();
    (backend, device)
}

fn pushes(backend: &Backend) -> usize {
    backend
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
        .count()
}

#[test]
fn j3_rows_that_come_back_as_they_were_sent_are_acknowledged_and_not_sent_again() {
    let (backend, device) =
        lost("INSERT INTO t VALUES ('new', 'x', 'y'); UPDATE t SET a = '2' WHERE id = 'old'");
    let answer = device.synced();
    assert_eq!(
        (&answer["pushed"], &answer["conflicts"]),
        (&json!(0), &json!(0)),
        "{answer}"
    );
    assert_eq!((pushes(&backend), device.pending()), (0, String::new()));
    assert_eq!(device.ask("SELECT count(*) FROM t"), "2");
}

/// A policy that sees every row sees such a one as one that nobody edited, and it is settled however that ends.
#[test]
fn j3_a_policy_that_sees_every_row_is_asked_of_one_that_has_arrived() {
    let columns = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, updated_at TEXT);";
    for (policy, since, stays) in [
        (":local", "here", "here"),
        (":remote", "there", "there"),
        (":local", "there", "here"),
    ] {
        let server = Canned::start();
        let device = Device::with(columns, &["t"], &server.url());
        device.ask(&format!("SELECT sync_resolver('t', 'sql4', '{policy}')"));
        device.exec("INSERT INTO t VALUES ('new', 'x', 'here')");
        server.changes(json!({"t": {"created": [], "updated": [], "deleted": []}}));
        server.push_raw(|_| status_answer(500, &[], "down"));
        device.failed();
        let row = json!({"id": "new", "a": "x", "updated_at": since});
        server.changes(json!({"t": {"created": [], "updated": [row], "deleted": []}}));
        device.synced();
        assert_eq!(
            device.ask("SELECT updated_at FROM t"),
            stays,
            "{policy} {since}"
        );
        assert_eq!(device.pending(), "", "{policy} {since}");
    }
}

#[test]
fn j3_a_created_row_edited_since_goes_up_as_an_update() {
    let (backend, device) = lost("INSERT INTO t VALUES ('new', 'x', 'y')");
    device.exec("UPDATE t SET b = 'later' WHERE id = 'new'");
    let answer = device.synced();
    assert_eq!(answer["pushed"], 1, "{answer}");
    let b: String =
        backend.sql(|db| db.query_row("SELECT b FROM t WHERE id = 'new'", [], |row| row.get(0)));
    assert_eq!((b.as_str(), device.pending().as_str()), ("later", ""));
}

#[test]
fn j3_a_created_row_that_somebody_else_has_changed_takes_the_change_and_is_known() {
    let (backend, device) = lost("INSERT INTO t VALUES ('new', 'x', 'y')");
    backend.sql(|db| db.execute_batch("UPDATE t SET a = 'theirs' WHERE id = 'new'"));
    device.synced();
    assert_eq!(
        device.ask("SELECT a, b FROM t WHERE id = 'new'"),
        "theirs|y"
    );
    assert_eq!((pushes(&backend), device.pending()), (0, String::new()));
    device.exec("DELETE FROM t WHERE id = 'new'");
    device.synced();
    let left: i64 = backend.sql(|db| db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)));
    assert_eq!(left, 1);
}

#[test]
fn j3_a_row_deleted_since_is_deleted_there() {
    let (backend, device) = lost("INSERT INTO t VALUES ('new', 'x', 'y')");
    device.exec("DELETE FROM t WHERE id = 'new'");
    device.synced();
    let left: i64 = backend.sql(|db| db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)));
    assert_eq!(
        (left, device.ask("SELECT count(*) FROM t").as_str()),
        (1, "1")
    );
}

#[test]
fn j3_a_row_deleted_since_is_deleted_there_however_long_that_takes() {
    let (backend, device) = lost("INSERT INTO t VALUES ('new', 'x', 'y')");
    device.exec("DELETE FROM t WHERE id = 'new'");
    backend
        .faults()
        .add(json!({"on": "push", "times": 5, "status": 503}));
    for _ in 0..5 {
        device.failed();
        assert_eq!(
            device.ask("SELECT op, key FROM sync_pending"),
            "deleted|new"
        );
    }
    device.synced();
    let left: i64 = backend.sql(|db| db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)));
    assert_eq!(
        (left, device.ask("SELECT count(*) FROM t").as_str()),
        (1, "1")
    );
}

#[test]
fn j7_the_journal_is_empty_after_two_more_pulls() {
    let (_backend, device) = lost("INSERT INTO t VALUES ('new', 'x', 'y')");
    for _ in 0..3 {
        device.synced();
    }
    assert_eq!(device.ask("SELECT count(*) FROM _syncOutbox"), "0");
    assert_eq!(device.ask("SELECT count(*) FROM _syncPush"), "0");
}

/// A row that the server has, edited here and pushed without an answer, then met by `remote`.
fn edited_and_met(remote: serde_json::Value, later: &str) -> (Canned, Device) {
    let server = Canned::start();
    let device = Device::with(TABLE, &["t"], &server.url());
    server.changes(json!({"t": {"created": [{"id": "x", "a": "1", "b": "1"}]}}));
    device.synced();
    device.exec("UPDATE t SET a = 'mine'");
    server.push_raw(|_| status_answer(503, &[], "no"));
    device.failed();
    device.exec(later);
    server.clear();
    server.changes(json!({ "t": { "updated": [remote] } }));
    device.synced();
    (server, device)
}

#[test]
fn j6_a_row_that_leaves_the_edited_column_out_proves_nothing() {
    let (server, device) = edited_and_met(json!({"id": "x", "b": "1"}), "");
    let pushed = &server.pushed()[0]["t"]["updated"][0];
    assert_eq!(
        (&pushed["a"], &pushed["_changed"]),
        (&json!("mine"), &json!("a"))
    );
    assert_eq!(device.pending(), "");
}

#[test]
fn j3_of_a_row_edited_since_only_the_later_columns_stay_pending() {
    let (server, device) = edited_and_met(
        json!({"id": "x", "a": "mine", "b": "1"}),
        "UPDATE t SET b = 'later'",
    );
    let pushed = &server.pushed()[0]["t"]["updated"][0];
    assert_eq!(
        pushed,
        &json!({"id": "x", "_status": "updated", "_changed": "b", "a": "mine", "b": "later"})
    );
    assert_eq!(device.pending(), "");
}

#[test]
fn j3_a_created_row_replaced_since_goes_up_as_an_update_of_every_column() {
    for theirs in ["", "UPDATE t SET a = 'theirs' WHERE id = 'new'"] {
        let (backend, device) = lost("INSERT INTO t VALUES ('new', 'x', 'y')");
        backend.sql(|db| db.execute_batch(theirs));
        device.exec("REPLACE INTO t VALUES ('new', 'later', 'later')");
        let answer = device.synced();
        assert_eq!(answer["pushed"], 1, "{answer}");
        assert_equal(&device, &backend, &["t"]);
        let row = "SELECT a, b FROM t WHERE id = 'new'";
        assert_eq!(device.ask(row), "later|later", "{theirs}");
    }
}

/// The mirror image of J4: the delete that comes back is our own, and the row was made after it.
#[test]
fn a_row_made_again_after_its_delete_was_pushed_stays_when_the_delete_comes_back() {
    for answered in [true, false] {
        let (backend, device) = lost("UPDATE t SET a = '2' WHERE id = 'old'");
        device.synced();
        device.synced();
        device.exec("DELETE FROM t WHERE id = 'old'");
        if answered {
            device.synced();
        } else {
            backend
                .faults()
                .add(json!({"on": "push", "times": 1, "drop": true, "afterCommit": true}));
            device.failed();
        }
        device.exec("INSERT INTO t VALUES ('old', 'again', '1'); UPDATE t SET b = '2'");
        let answer = device.synced();
        assert_eq!(answer["pushed"], 1, "{answer}");
        device.synced();
        assert_equal(&device, &backend, &["t"]);
        assert_eq!(
            (device.ask("SELECT * FROM t"), device.pending()),
            ("old|again|2".into(), String::new()),
            "answered: {answered}"
        );
    }
}

#[test]
fn a_row_made_again_goes_when_somebody_else_deletes_it_later() {
    let (backend, device) = lost("DELETE FROM t");
    device.exec("INSERT INTO t VALUES ('old', 'again', '1')");
    device.synced();
    backend.sql(|db| db.execute_batch("DELETE FROM t"));
    device.exec("UPDATE t SET b = '2'");
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM t"), "0");
}

/// Syncs of other entities show nothing of a push: the journal must outlive them.
#[test]
fn the_journal_waits_for_pulls_of_the_tables_it_is_about() {
    let backend = Backend::start(SCHEMA);
    let device = Device::new(&backend.sync_url());
    device.exec(
        "INSERT INTO list VALUES ('gone', 'x'), ('x', 'x'); INSERT INTO task (id) VALUES ('t')",
    );
    device.synced();
    device.synced();
    device.exec("DELETE FROM list WHERE id = 'gone'; INSERT INTO list VALUES ('new', 'x'); DELETE FROM task");
    device.synced();
    for _ in 0..3 {
        device.sync_only(&["task"]);
    }
    // Both come back with the next pull, as they were pushed.
    device.exec("INSERT INTO list VALUES ('gone', 'again'); DELETE FROM list WHERE id = 'new'");
    for _ in 0..3 {
        device.synced();
    }
    assert_equal(&device, &backend, &["list", "task"]);
    assert_eq!(
        device.ask("SELECT * FROM list ORDER BY id"),
        "gone|again\nx|x"
    );
    assert_eq!(device.ask("SELECT count(*) FROM _syncOutbox"), "0");
}

#[test]
fn a_replacement_without_the_row_makes_an_end_of_a_delete_of_what_may_have_arrived() {
    let server = Canned::start();
    let device = Device::with(TABLE, &["t"], &server.url());
    device.exec("INSERT INTO t VALUES ('new', 'x', 'y')");
    server.push_raw(|_| status_answer(503, &[], "no"));
    device.failed();
    device.exec("DELETE FROM t");
    server.clear();
    server.pull(r#"{"changes":{"t":{}},"timestamp":9000000,"experimentalStrategy":"replacement"}"#);
    device.synced();
    assert_eq!(
        (server.pushed().len(), device.pending()),
        (0, String::new())
    );
}
