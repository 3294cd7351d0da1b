//! The code and the text of an error reach the host as they are.

use std::collections::BTreeSet;

use support::host::{LOCAL, fails, failure, furnished, name_of, settled};
use support::{World, ask, root, try_ask};

#[test]
fn busy_stays_busy() {
    for call in LOCAL {
        let world = World::new(true);
        let connection = furnished(&world);
        connection
            .busy_timeout(std::time::Duration::ZERO)
            .expect("timeout");
        for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
            let other = world.plain();
            other.execute_batch(lock).expect("lock");
            let (code, text) = fails(&connection, &format!("SELECT {call}"));
            assert_eq!(code & 0xff, 5, "{call}: {text}");
            settled(&connection, true, call);
            connection.execute_batch("BEGIN").expect("begin");
            let (code, text) = fails(&connection, &format!("SELECT {call}"));
            assert_eq!(code & 0xff, 5, "{call} in BEGIN: {text}");
            settled(&connection, false, call);
            connection.execute_batch("ROLLBACK").expect("rollback");
        }
        ask(&connection, &format!("SELECT {call}"));
    }
}

#[test]
fn the_busy_text_is_sqlites_with_the_functions_name() {
    let world = World::new(true);
    let connection = furnished(&world);
    connection
        .busy_timeout(std::time::Duration::ZERO)
        .expect("timeout");
    let other = world.plain();
    other.execute_batch("BEGIN IMMEDIATE").expect("lock");
    assert_eq!(
        fails(&connection, "SELECT sync_heartbeat()"),
        (5, "sync_heartbeat: database is locked".to_owned())
    );
}

#[test]
fn a_constraint_of_ours_stays_a_constraint() {
    let world = World::new(true);
    let connection = furnished(&world);
    for sql in [
        "INSERT INTO _syncScopeMember (scopeId, instanceId) VALUES ('nobody', 'a')",
        "UPDATE _syncStatus SET id = 7",
        "UPDATE _syncStatus SET state = 'done'",
    ] {
        let (code, text) = fails(&connection, sql);
        assert_eq!(code & 0xff, 19, "{sql}: {text}");
    }
}

#[test]
fn a_commit_refused_by_a_deferred_foreign_key_is_a_constraint_and_leaves_nothing() {
    let world = World::new(true);
    let connection = furnished(&world);
    connection
        .execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TABLE child (id REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER bad AFTER INSERT ON _syncScope BEGIN INSERT INTO child VALUES (99); END;",
        )
        .expect("child");
    let (code, text) = fails(&connection, r#"SELECT sync_start_scope('new', '["a"]')"#);
    assert_eq!(code & 0xff, 19, "{text}");
    assert_eq!(text, "sync_start_scope: FOREIGN KEY constraint failed");
    settled(&connection, true, "deferred");
    assert_eq!(ask(&connection, "SELECT count(*) FROM child"), "0");
    assert_eq!(
        ask(
            &connection,
            "SELECT count(*) FROM _syncScope WHERE id = 'new'"
        ),
        "0"
    );
}

/// One statement for each message that wrong use can meet, on a furnished file.
const WRONG: &[&str] = &[
    "SELECT sync_init(1)",
    "SELECT sync_init('')",
    "SELECT sync_init('nowhere')",
    "SELECT sync_heartbeat('nowhere')",
    "SELECT sync_recover(x'00')",
    "SELECT sync_provider(NULL, '{}')",
    "SELECT sync_provider('', '{}')",
    "SELECT sync_provider('p', NULL)",
    "SELECT sync_provider('p', 1)",
    "SELECT sync_provider('p', '[]')",
    "SELECT sync_provider('p', '{')",
    "SELECT sync_provider('p', '{\"kind\":\"nothing\"}')",
    "SELECT sync_provider('p', '{\"kind\":\"host\",\"url\":\"http://x\"}')",
    "SELECT sync_provider('p', '{\"kind\":\"host\",\"colour\":1}')",
    "SELECT sync_provider('p', '{\"kind\":\"host\",\"schema\":1}')",
    "SELECT sync_provider('p', '{\"kind\":\"host\",\"schema\":\"nowhere\"}')",
    "SELECT sync_provider('p', '{\"kind\":\"watermelon\"}')",
    "SELECT sync_provider('p', '{\"kind\":\"watermelon\",\"url\":\"ftp://x\"}')",
    "SELECT sync_provider('p', '{\"kind\":\"watermelon\",\"url\":\"http://x\",\"attempts\":0}')",
    "SELECT sync_provider('p', '{\"kind\":\"watermelon\",\"url\":\"http://x\",\"headers\":{\"Cookie\":\"x\"}}')",
    "SELECT sync_function('nobody', 'f', '{\"path\":\"/\"}')",
    "SELECT sync_function('host', 'f', '{\"path\":\"/\"}')",
    "SELECT sync_try_function('host', 'f')",
    "SELECT sync_import_openapi('nobody', '{}')",
    "SELECT sync_import_openapi('host', '{}')",
    "SELECT sync_import_postman('host', '{}')",
    "SELECT sync_secret('n', 'v', 'nonsense')",
    "SELECT sync_secret('n', 'v', NULL)",
    "SELECT sync_secret(NULL, 'v', 'https://x')",
    "SELECT sync_track('nothing')",
    "SELECT sync_track('_syncScope')",
    "SELECT sync_track('sqlite_master')",
    "SELECT sync_track('sync_help')",
    "SELECT sync_track('t', '{\"existing\":\"maybe\"}')",
    "SELECT sync_track('t', '{\"colour\":1}')",
    "SELECT sync_untrack('tracked')",
    "SELECT sync_uninstall()",
    "SELECT sync_uninstall('{\"discard\":true}')",
    "SELECT sync_capture_existing('t')",
    "SELECT sync_alter('t', 'ALTER TABLE t DROP COLUMN x')",
    "SELECT sync_alter('tracked', 'DROP TABLE tracked')",
    "SELECT sync_alter('tracked', 'ALTER TABLE tracked DROP COLUMN nothing')",
    "SELECT sync_takeover(NULL)",
    "SELECT sync_takeover('nobody')",
    "SELECT sync_takeover('host')",
    "SELECT sync_takeover('host', '{\"colour\":1}')",
    "SELECT sync_has_pending(7)",
    "SELECT sync_is_stale('host', 'x')",
    "SELECT sync_is_stale('host', -1)",
    "SELECT sync_start_scope('s')",
    "SELECT sync_start_scope(NULL, '[]')",
    "SELECT sync_start_scope('', '[]')",
    "SELECT sync_start_scope('s', '{}')",
    "SELECT sync_start_scope('s', '[1]')",
    "SELECT sync_start_scope('s', '[\"\"]')",
    "SELECT sync_start_scope('{\"instanceId\":\"s\"}')",
    "SELECT sync_start_scope('{\"options\":{\"instanceIds\":[]}}')",
    "SELECT sync_start_scope('{\"type\":\"action.other\"}')",
    "SELECT sync_entities('i')",
    "SELECT sync_entities('i', 'host')",
    "SELECT sync_entities('i', 'nobody', '[\"t\"]')",
    "SELECT sync_entities('i', 'host', 'x')",
    "SELECT sync_entities('i', 'host', '[1]')",
    "SELECT sync_entities('i', 'host', '[{}]')",
    "SELECT sync_entities('i', 'host', '[{\"entity\":\"a\",\"colour\":1}]')",
    "SELECT sync_entities('i', 'host', '[\"t\"]', '{\"colour\":1}')",
    "SELECT sync_entities('i', 'host', '[\"t\"]')",
    "SELECT sync_set_status('x', 'synced')",
    "SELECT sync_set_status(1.5, 'synced')",
    "SELECT sync_set_status(1, 'done')",
    "SELECT sync_set_status(1, 'synced', 'why')",
    "SELECT sync_set_status(1, 'failed', 5)",
    "SELECT sync_apply(7, '[]')",
    "SELECT sync_apply(7, NULL)",
    "SELECT sync_apply(7, '[]', 0)",
    "SELECT sync_entities('i', 'host', '[\"t\"]', '{\"operations\":[{\"type\":\"drop\"}]}')",
    "SELECT sync_delete_scope(NULL)",
    "SELECT sync_delete_scope('{}')",
    "SELECT sync_delete_status('x')",
    "SELECT sync_delete_status('{\"options\":{\"id\":true}}')",
    "SELECT sync_interrupt('')",
    "SELECT sync_interrupt('nobody')",
    "SELECT sync_interrupt('old', 5)",
    "SELECT sync_cancel('x')",
    "SELECT sync_cancel(7)",
    "SELECT sync_hydrate('host')",
    "SELECT sync_detach('nobody')",
    "SELECT sync_detach('host', '{\"keep\":[\"t\"]}')",
    "SELECT sync_detach('host', '{\"wiped\":true}')",
    "SELECT sync_detach('host')",
    "INSERT INTO sync_scope (id) VALUES (NULL)",
    "INSERT INTO sync_scope (id, instanceIds) VALUES ('s', '{}')",
    "UPDATE sync_scope SET synced = 1",
    "UPDATE sync_scope SET state = 'synced'",
    "INSERT INTO sync_status (entity) VALUES ('t')",
    "UPDATE sync_status SET entity = 'x'",
    "UPDATE sync_status SET state = 'done'",
    "INSERT INTO sync_help (name) VALUES ('x')",
    "INSERT INTO t (x) SELECT sync_init()",
];

#[test]
fn the_messages_are_the_ones_of_the_snapshot() {
    let world = World::new(true);
    let connection = furnished(&world);
    let mut text = String::from(
        "-- The errors of wrong calls. `UPDATE_SNAPSHOTS=1 cargo test --test host codes` writes it anew.\n",
    );
    for sql in WRONG {
        connection
            .execute_batch("SAVEPOINT test")
            .expect("savepoint");
        let told = match try_ask(&connection, sql) {
            Ok(answer) => format!("accepted: {answer}"),
            Err(error) => {
                let (code, text) = failure(&error);
                format!("{code} {text}")
            }
        };
        connection
            .execute_batch("ROLLBACK TO test; RELEASE test")
            .expect("rollback");
        text.push_str(&format!("{sql}\n    {told}\n"));
    }
    let path = root().join("tests/host/messages.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).expect("write");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    for (is, was) in text.lines().zip(kept.lines()) {
        assert_eq!(is, was);
    }
    assert_eq!(text.lines().count(), kept.lines().count());
}

#[test]
fn every_message_names_its_function_and_is_one_printable_line() {
    let world = World::new(true);
    let connection = furnished(&world);
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for sql in WRONG {
        let Err(error) = try_ask(&connection, sql) else {
            continue;
        };
        let (code, text) = failure(&error);
        seen.insert(text.clone());
        let name = sql
            .trim_start_matches("SELECT ")
            .trim_start_matches("INSERT INTO t (x) SELECT ");
        let name = name
            .trim_start_matches("INSERT INTO ")
            .trim_start_matches("UPDATE ")
            .split(['(', ' '])
            .next()
            .unwrap_or_default();
        let by_sqlite = text.starts_with("table sync_help may not be modified");
        if !by_sqlite && !text.starts_with(&format!("{name}: ")) {
            wrong.push(format!("{sql}: no name: {text}"));
        }
        if text.contains(['\0', '\n', '\t']) || text.ends_with(['.', ' ']) || text.contains(": :") {
            wrong.push(format!("{sql}: form: {text:?}"));
        }
        if text.matches(&format!("{name}: ")).count() > 1 {
            wrong.push(format!("{sql}: name twice: {text}"));
        }
        if !matches!(code & 0xff, 1 | 5 | 19 | 21) {
            wrong.push(format!("{sql}: code {code}: {text}"));
        }
    }
    assert!(seen.len() > 30);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_nul_or_a_percent_sign_in_a_name_does_not_cut_or_format_the_text() {
    let world = World::new(true);
    let connection = furnished(&world);
    for (sql, inside) in [
        ("SELECT sync_track('%s%n%d')", "%s%n%d"),
        ("SELECT sync_entities('i', '%s%n', '[]')", "'%s%n'"),
        ("SELECT sync_set_status(1, '%n%s')", "%n%s"),
        (
            "INSERT INTO sync_scope (id, instanceIds) VALUES ('x', '%s%n')",
            "must be a JSON array",
        ),
        ("UPDATE sync_status SET state = '%s%n'", "%s%n"),
        ("SELECT sync_init('%s%n')", "%s%n"),
        ("SELECT * FROM sync_pending('%s%n')", "%s%n"),
        ("SELECT sync_set_status(1, 'a' || char(0) || 'z')", "NUL"),
    ] {
        let (_, text) = fails(&connection, sql);
        assert!(text.contains(inside), "{sql}: {text}");
        settled(&connection, true, sql);
    }
    for call in LOCAL {
        assert!(!name_of(call).is_empty());
    }
}
