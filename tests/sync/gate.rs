//! Every call that changes anything settles the work of dead owners first; every other changes nothing.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::json;
use support::scopes::{begin, scope, start, status};
use support::{Canned, World, ask};

/// Functions that change something, with calls that do.
const WRITING: &[(&str, &str)] = &[
    ("sync_init", "sync_init()"),
    (
        "sync_provider",
        r#"sync_provider('new', '{"kind":"host"}')"#,
    ),
    ("sync_track", "sync_track('plain')"),
    ("sync_track", "sync_track('planes')"),
    ("sync_untrack", "sync_untrack('planes')"),
    ("sync_untrack", "sync_untrack('unknown')"),
    ("sync_capture_existing", "sync_capture_existing('planes')"),
    ("sync_capture_on", "sync_capture_on('planes')"),
    ("sync_capture_off", "sync_capture_off('planes')"),
    ("sync_capture_on", "sync_capture_on()"),
    (
        "sync_alter",
        "sync_alter('planes', 'ALTER TABLE planes ADD COLUMN more')",
    ),
    ("sync_resolver", "sync_resolver('planes', 'serverWins')"),
    ("sync_takeover", "sync_takeover('fresh')"),
    ("sync_start_scope", "sync_start_scope('new', '[]')"),
    (
        "sync_entities",
        r#"sync_entities('new', 'host', '["new"]')"#,
    ),
    (
        "sync_entities",
        r#"sync_entities('new', 'api', '["planes"]')"#,
    ),
    (
        "sync_next_request",
        r#"sync_next_request(sync_entities('new', 'api', '["planes"]', '{"transport":"host"}') ->> 'runId')"#,
    ),
    (
        "sync_put_response",
        r#"sync_put_response(sync_next_request(sync_entities('new', 'api', '["planes"]',
            '{"transport":"host"}') ->> 'runId') ->> 'runId', 503)"#,
    ),
    (
        "sync_check",
        r#"sync_check('api', '{"entities":["planes"]}')"#,
    ),
    (
        "sync_upload_once",
        r#"sync_upload_once('api', '{"entities":["planes"]}')"#,
    ),
    (
        "sync_download_once",
        r#"sync_download_once('api', '{"entities":["planes"]}')"#,
    ),
    (
        "sync_download_all",
        r#"sync_download_all('api', '{"entities":["planes"]}')"#,
    ),
    (
        "sync_hydrate",
        r#"sync_hydrate('api', '{"entities":["planes"]}')"#,
    ),
    (
        "sync_once",
        r#"sync_once('api', '{"entities":["planes"]}')"#,
    ),
    (
        "sync_function",
        r#"sync_function('shop', 'f', '{"path":"/"}')"#,
    ),
    (
        "sync_import_openapi",
        r#"sync_import_openapi('shop', '{"openapi":"3.1.0","paths":{"/notes":{"get":{}}}}')"#,
    ),
    (
        "sync_import_postman",
        r#"sync_import_postman('shop', '{"info":{"schema":"https://schema.getpostman.com/json/collection/v2.1.0/"},"item":[{"name":"list","request":"http://h/notes"}]}')"#,
    ),
    ("sync_pause", "sync_pause('all', 'api')"),
    ("sync_auto", "sync_auto('api')"),
    ("sync_wait_current", "sync_wait_current('api', 1000)"),
    ("sync_worker_start", "sync_worker_start()"),
    (
        "sync_run_due",
        "sync_run_due(iif(sync_auto('api') IS NULL, 'main', 'main'))",
    ),
    ("sync_resume", "sync_resume('all', 'api')"),
    ("sync_set_status", "sync_set_status(1, 'synced')"),
    ("sync_apply", "sync_apply(1, '[]')"),
    ("sync_detach", "sync_detach('fresh')"),
    ("sync_cancel", "sync_cancel(1)"),
    ("sync_retry", "sync_retry('planes', 'unknown')"),
    ("sync_discard", "sync_discard('planes', 'unknown')"),
    ("sync_delete_scope", "sync_delete_scope('unknown')"),
    ("sync_delete_status", "sync_delete_status(999)"),
    ("sync_interrupt", "sync_interrupt()"),
    ("sync_interrupt", "sync_interrupt('unknown')"),
    ("sync_recover", "sync_recover()"),
    ("sync_heartbeat", "sync_heartbeat()"),
];

/// Functions that change nothing in the file.
const READING: &[(&str, &str)] = &[
    (
        "sync_secret",
        "sync_secret('name', 'value', 'https://example.com')",
    ),
    ("sync_has_pending", "sync_has_pending()"),
    ("sync_try_function", "sync_try_function('shop', 'list')"),
    ("sync_is_stale", "sync_is_stale('api', 1)"),
    ("sync_due", "sync_due()"),
    ("sync_wait", "sync_wait(1, 0)"),
    ("sync_worker_stop", "sync_worker_stop()"),
    ("sync_version", "sync_version()"),
    ("sync_debug", "sync_debug()"),
];

/// Writes to virtual tables.
const WRITABLE: &[(&str, &str)] = &[
    (
        "sync_scope",
        "INSERT INTO sync_scope (id, instanceIds) VALUES ('new', '[]')",
    ),
    (
        "sync_scope",
        "UPDATE sync_scope SET state = 'interrupted' WHERE id = 'mine'",
    ),
    ("sync_scope", "DELETE FROM sync_scope WHERE id = 'mine'"),
    (
        "sync_status",
        "UPDATE sync_status SET state = 'synced' WHERE id = 1",
    ),
    ("sync_status", "DELETE FROM sync_status WHERE id = 1"),
    ("sync_cursor", "UPDATE sync_cursor SET cursor = '1'"),
    ("sync_cursor", "DELETE FROM sync_cursor"),
];

/// A connection with something for every call to do.
fn furnished(world: &World, server: &Canned) -> Connection {
    let db = world.ready();
    db.execute_batch(
        "CREATE TABLE planes (id TEXT PRIMARY KEY NOT NULL, name TEXT);
         CREATE TABLE plain (id TEXT PRIMARY KEY NOT NULL);
         CREATE TABLE native (id TEXT PRIMARY KEY NOT NULL, name, _status, _changed);
         CREATE TABLE local_storage (id, key, value);",
    )
    .expect("schema");
    let url = server.url();
    for provider in ["api", "fresh"] {
        let config = json!({"kind": "watermelon", "url": url, "attempts": 1});
        ask(
            &db,
            &format!("SELECT sync_provider('{provider}', '{config}')"),
        );
    }
    let origin = server.origin();
    ask(
        &db,
        &format!(
            r#"SELECT sync_provider('shop', '{{"kind":"rest","url":"{origin}","attempts":1}}')"#
        ),
    );
    ask(
        &db,
        r#"SELECT sync_function('shop', 'list', '{"path":"/pull"}')"#,
    );
    ask(&db, "SELECT sync_track('planes')");
    begin(&db, "mine", r#"["mine"]"#);
    start(&db, "mine", r#"["mine"]"#);
    let synced = ask(
        &db,
        r#"SELECT sync_entities('first', 'api', '["planes"]') ->> 'state'"#,
    );
    assert_eq!(synced, "synced");
    db
}

/// The open work of an owner that dies: operation, scope, run and lease. The number of its status row.
fn leave_dead_work(db: &Connection) -> i64 {
    start(db, "dead", r#"["dead"]"#);
    begin(db, "dead", r#"["dead"]"#);
    db.execute_batch(
        "INSERT INTO _syncRun (id, provider, state, phase, startedAt) VALUES (77, 'gone', 'running', 'x', 0);
         INSERT INTO _syncLease (provider, ownerId, runId, acquiredAt)
           SELECT 'gone', ownerId, 77, 0 FROM _syncOperation WHERE entity = 'dead';
         UPDATE _syncOwner SET token = 'stranger', processStart = '1', heartbeatAt = 0
           WHERE id = (SELECT ownerId FROM _syncLease)",
    )
    .expect("the dead");
    let id = ask(db, "SELECT id FROM _syncStatus WHERE entity = 'dead'");
    assert_eq!(dead_work(db, id.parse().expect("a number")), ALIVE);
    id.parse().expect("a number")
}

const ALIVE: &str = "syncing|NULL syncing 0/1/0/0 running 1";

/// What became of it.
fn dead_work(db: &Connection, id: i64) -> String {
    let run = ask(db, "SELECT state FROM _syncRun WHERE id = 77");
    let leases = ask(
        db,
        "SELECT count(*) FROM _syncLease WHERE provider = 'gone'",
    );
    format!("{} {} {run} {leases}", status(db, id), scope(db, "dead"))
}

fn assert_settled(sql: &str) {
    let world = World::new(false);
    let server = Canned::start();
    let db = furnished(&world, &server);
    let other = world.open();
    let dead = leave_dead_work(&other);
    db.execute_batch(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(
        dead_work(&db, dead),
        "failed|interrupted: crashed interrupted 0/0/0/0 failed 0",
        "{sql}"
    );
}

#[test]
fn every_function_that_writes_settles_the_work_of_the_dead() {
    for (_, call) in WRITING {
        assert_settled(&format!("SELECT {call}"));
    }
}

/// Whatever a function says of a file that was never synced, or was left: it is not about our tables.
#[test]
fn where_nothing_is_installed_no_function_misses_a_table_of_ours() {
    for (_, call) in WRITING.iter().chain(READING).chain(REMOVING) {
        let db = World::new(false).open();
        if let Err(error) = support::try_ask(&db, &format!("SELECT {call}")) {
            let error = error.to_string();
            assert!(
                !error.contains("no such table: main._sync"),
                "{call}: {error}"
            );
        }
    }
}

/// What would show it goes, too.
const REMOVING: &[(&str, &str)] = &[("sync_uninstall", "sync_uninstall('{\"force\":true}')")];

#[test]
fn the_work_of_the_dead_does_not_keep_a_file_from_being_left() {
    for (_, call) in REMOVING {
        let world = World::new(false);
        let server = Canned::start();
        let db = furnished(&world, &server);
        leave_dead_work(&world.open());
        ask(&db, "SELECT sync_interrupt()");
        ask(&db, &format!("SELECT {call}"));
        let left = "SELECT count(*) FROM sqlite_master WHERE name LIKE '\\_sync%' ESCAPE '\\'";
        assert_eq!(ask(&db, left), "0", "{call}");
    }
}

#[test]
fn every_write_to_a_virtual_table_settles_the_work_of_the_dead() {
    for (_, sql) in WRITABLE {
        assert_settled(sql);
    }
}

#[test]
fn the_other_functions_write_nothing() {
    let world = World::new(false);
    let server = Canned::start();
    let db = furnished(&world, &server);
    // Closing it would settle the work.
    let other = world.open();
    let dead = leave_dead_work(&other);
    ask(&db, "PRAGMA query_only = ON");
    for (_, call) in READING {
        ask(&db, &format!("SELECT {call}"));
        assert_eq!(dead_work(&db, dead), ALIVE, "{call}");
    }
    // The proof that a call which writes would have been found out.
    for (_, call) in WRITING {
        let answer = support::try_ask(&db, &format!("SELECT {call}"));
        assert!(answer.is_err(), "{call}: {answer:?}");
    }
}

#[test]
fn no_function_or_writable_table_is_left_out() {
    let db = World::new(false).open();
    let listed = |kinds: &str| -> BTreeSet<String> {
        let names = ask(
            &db,
            &format!("SELECT name FROM sync_help WHERE kind IN ({kinds})"),
        );
        names.lines().map(str::to_owned).collect()
    };
    let named = |lists: &[&[(&str, &str)]]| -> BTreeSet<String> {
        let all = lists.iter().copied().flatten();
        all.map(|(name, _)| (*name).to_owned()).collect()
    };
    assert_eq!(
        named(&[WRITING, READING, REMOVING]),
        listed("'function', 'pure function'")
    );
    assert_eq!(named(&[WRITABLE]), listed("'writable table'"));
}
