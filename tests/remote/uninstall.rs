//! `sync_uninstall`: a file that is not to be synced any more.

use serde_json::{Value, json};
use support::remote::{Client, On, Transport, everywhere, everywhere_over, hold};
use support::{ask, try_ask};

const SCHEMA: &str = "SELECT type, name, tbl_name, sql FROM sqlite_master \
    WHERE name NOT LIKE '\\_sync%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' ORDER BY 1, 2";
const OURS: &str = "SELECT count(*) FROM sqlite_master WHERE name LIKE '%sync%' OR sql LIKE '%\\_sync%' ESCAPE '\\'";

fn uninstall(client: &Client<'_>, options: &str) -> Value {
    let text = client.ask(&format!("SELECT sync_uninstall('{options}')"));
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn line_12_tables_are_as_they_were_and_nothing_of_ours_is_left() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.exec("CREATE TABLE own (a); CREATE INDEX own_a ON own (a)");
        let before = client.ask(SCHEMA);
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New'), ('n2', 'Newer')");
        client.synced();
        assert_ne!(client.ask(OURS), "0");
        let answer = uninstall(&client, "{}");
        let tables = answer["tables"].as_array().expect("tables");
        assert!(tables.contains(&json!("task")), "{answer}");
        assert_eq!(answer["discarded"]["pending"], 0, "{answer}");
        assert_eq!(client.ask(OURS), "0");
        assert_eq!(client.ask(SCHEMA), before);
        assert_eq!(
            client.ask("SELECT count(*) FROM task WHERE title LIKE 'New%'"),
            "2"
        );
        // Writes go on, and nothing is made by asking again.
        client.exec("UPDATE task SET title = 'Old' WHERE title = 'New'");
        assert_eq!(client.ask("SELECT sync_uninstall()"), "NULL");
        let error = client.refused("SELECT sync_wait(1, 0)");
        assert!(error.contains("there is no run 1"), "{error}");
        assert_eq!(client.ask(OURS), "0");
        // Whoever comes back begins anew, with what is there.
        client.ask("SELECT sync_track('task')");
        assert_eq!(
            client.ask("SELECT op, count(*) FROM sync_pending"),
            "created|2"
        );
        assert_eq!(client.ask("SELECT count(*) FROM _syncProvider"), "0");
    });
}

#[test]
fn line_12_what_is_not_settled_is_not_thrown_away_unless_it_is_said() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        let objects = client.ask("SELECT count(*) FROM sqlite_master");
        let error = try_ask(&client.db, "SELECT sync_uninstall()").expect_err("refused");
        let error = error.to_string();
        assert!(error.contains("\"task\" (1 pending)"), "{error}");
        assert!(error.contains("{\"force\":true}"), "{error}");
        assert_eq!(client.ask("SELECT count(*) FROM sqlite_master"), objects);
        assert_eq!(client.ask("SELECT op FROM sync_pending"), "created");
        let answer = uninstall(&client, r#"{"force":true}"#);
        assert_eq!(answer["discarded"]["pending"], 1, "{answer}");
        assert_eq!(client.ask(OURS), "0");
        assert_eq!(
            client.ask("SELECT title FROM task WHERE id = 'n1' OR title = 'New'"),
            "New"
        );
    });
}

/// Some drivers call a function twice.
#[test]
fn line_12_a_provider_that_was_left_before_is_left_the_second_time_too() {
    everywhere_over(&[Transport::Http], |case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        let leave = "SELECT sync_detach('api', '{}')";
        let answer = client.ask(leave);
        // Rows that stay wait for another provider.
        uninstall(&client, r#"{"force":true}"#);
        assert_eq!(client.ask(leave), answer);
        assert_eq!(client.ask(OURS), "0");
    });
}

/// In a transaction of the program it is undone with it.
#[test]
fn line_12_a_rollback_brings_all_back() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        let all = "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2";
        let before = client.ask(all);
        client.exec("BEGIN");
        uninstall(&client, "{}");
        assert_eq!(client.ask(OURS), "0");
        client.exec("ROLLBACK");
        assert_eq!(client.ask(all), before);
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        client.synced();
        client.is_at_rest();
    });
}

#[test]
fn line_12_a_sync_that_goes_on_and_a_thread_that_works_are_not_cut_off() {
    everywhere_over(&[Transport::Http], |case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        let held = hold(&*server, On::Download);
        client.ask(r#"SELECT sync_entities('i', 'api', '["task"]', '{"background":true}')"#);
        held.wait();
        let other = client.second();
        let refused = |words: &str| {
            let error =
                try_ask(&other, "SELECT sync_uninstall('{\"force\":true}')").expect_err("refused");
            assert!(error.to_string().contains(words), "{error}");
        };
        refused("is being synced by");
        held.release();
        support::wait_for("the sync", || {
            client.ask("SELECT count(*) FROM _syncRun WHERE state IN ('queued', 'running')") == "0"
        });
        client.ask(r#"SELECT sync_auto('api', '{"every":"1h"}')"#);
        assert_eq!(ask(&other, "SELECT sync_worker_start()"), "1");
        // Its own connection knows of it at once, others when it has begun.
        refused("sync_worker_stop()");
        support::wait_for("the thread", || {
            client.ask("SELECT running FROM sync_worker") == "1"
        });
        client.refused("SELECT sync_uninstall()");
        ask(&other, "SELECT sync_worker_stop()");
        uninstall(&client, "{}");
        assert_eq!(client.ask(OURS), "0");
    });
}

#[test]
fn line_12_a_call_that_fails_says_why_and_disturbs_nobody() {
    everywhere_over(&[Transport::Http], |case| {
        let server = case.server();
        let client = case.client(&*server);
        client.exec("INSERT INTO task (id) VALUES ('n1'), ('n2')");
        client.synced();
        for transaction in [false, true] {
            if transaction {
                client.exec("BEGIN; UPDATE task SET title = 'x'");
            }
            let mut reader = client.db.prepare("SELECT id FROM task").expect("a query");
            let mut rows = reader.query([]).expect("rows");
            rows.next().expect("a row");
            let error = client.refused("SELECT sync_uninstall()");
            assert!(error.contains("is still reading"), "{error}");
            assert!(rows.next().expect("the reader goes on").is_some());
            drop(rows);
            drop(reader);
            if transaction {
                client.exec("ROLLBACK");
            }
        }
        client.exec("CREATE TABLE mine (a REFERENCES _syncTable (id)); INSERT INTO mine SELECT id FROM _syncTable");
        let error = client.refused("SELECT sync_uninstall()");
        assert!(
            error.contains(r#""mine" has a foreign key to _syncTable"#),
            "{error}"
        );
        client.exec("DROP TABLE mine");
        assert_ne!(client.ask("SELECT sync_uninstall()"), "NULL");
        // What is not ours is named, with what to do.
        client.exec("CREATE TABLE _syncMeta (a); INSERT INTO _syncMeta VALUES (1)");
        let error = client.refused("SELECT sync_init()");
        assert!(error.contains("rename it or drop it"), "{error}");
    });
}
