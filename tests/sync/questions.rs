//! `sync_has_pending` and `sync_is_stale` (protocol, sections 1 and 11): whether anything waits to go up,
//! and how old the last successful sync is. Both only read.

use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use support::{Canned, Device, World, ask, load, refused, status_answer};

/// What the function says, which must be what `sync_pending` shows.
fn has_pending(db: &Connection) -> bool {
    let has = ask(db, "SELECT sync_has_pending()");
    let shown = ask(db, "SELECT EXISTS (SELECT 1 FROM sync_pending)");
    assert_eq!(has, shown, "sync_pending says otherwise");
    has == "1"
}

/// A device all of whose tables were synced with `api`.
fn synced() -> (Canned, Device) {
    let server = Canned::start();
    let device = Device::new(&server.url());
    device.synced();
    (server, device)
}

#[test]
fn every_kind_of_change_waits_until_it_was_pushed() {
    let (_server, device) = synced();
    assert!(!has_pending(&device.db));
    for sql in [
        "INSERT INTO task (id, title) VALUES ('a', 'x')",
        "UPDATE task SET title = 'y'",
        "DELETE FROM task",
    ] {
        device.exec(sql);
        assert!(has_pending(&device.db), "{sql}");
        assert_eq!(device.ask("SELECT sync_has_pending('api')"), "1", "{sql}");
        device.synced();
        assert!(!has_pending(&device.db), "{sql}, synced");
        assert_eq!(device.ask("SELECT sync_has_pending('api')"), "0", "{sql}");
    }
}

#[test]
fn what_comes_to_nothing_is_not_pending() {
    let (_server, device) = synced();
    device.exec("INSERT INTO list VALUES ('l', 'x')");
    device.synced();
    for (sql, waits) in [
        (
            "INSERT INTO task (id) VALUES ('a'); DELETE FROM task",
            false,
        ),
        ("UPDATE list SET name = 'x'", false),
        ("INSERT OR IGNORE INTO list VALUES ('l', 'y')", false),
        (
            "INSERT INTO task (id) VALUES ('b'); UPDATE task SET n = 1",
            true,
        ),
    ] {
        device.exec(sql);
        assert_eq!(has_pending(&device.db), waits, "{sql}");
    }
}

#[test]
fn a_long_log_is_looked_at_to_its_end() {
    let (_server, device) = synced();
    // Longer than the part that is looked at first, and nothing in it to send.
    device.exec(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
         INSERT INTO task (id) SELECT 'x' || i FROM n;
         DELETE FROM task",
    );
    assert!(!has_pending(&device.db));
    device.exec("INSERT INTO list VALUES ('last', NULL)");
    assert!(has_pending(&device.db));
    device.exec("DELETE FROM list");
    assert!(!has_pending(&device.db));
    // A change right at the front, followed by many that take it back.
    device.exec("INSERT INTO task (id) VALUES ('front')");
    device.synced();
    device.exec("UPDATE task SET n = 5");
    for number in 0..200 {
        device.exec(&format!(
            "INSERT INTO list VALUES ('{number}', NULL); DELETE FROM list"
        ));
    }
    assert!(has_pending(&device.db));
    device.synced();
    device.exec("DELETE FROM task");
    for number in 0..200 {
        device.exec(&format!(
            "INSERT INTO list VALUES ('{number}', NULL); DELETE FROM list"
        ));
    }
    assert!(has_pending(&device.db), "only a delete at the front");
}

#[test]
fn random_edits_are_answered_as_sync_pending_does() {
    let (_server, device) = synced();
    let mut random = support::Random(7);
    for round in 0..400 {
        let id = random.below(4);
        let table = if random.chance(50) { "list" } else { "task" };
        let column = if table == "list" { "name" } else { "title" };
        device.exec(&match random.below(5) {
            0 => format!("INSERT OR IGNORE INTO {table} (id) VALUES ('{id}')"),
            1 => format!("INSERT OR REPLACE INTO {table} (id) VALUES ('{id}')"),
            2 => format!("UPDATE {table} SET {column} = '{round}' WHERE id = '{id}'"),
            3 => format!("DELETE FROM {table} WHERE id = '{id}'"),
            _ => format!("DELETE FROM {table}"),
        });
        has_pending(&device.db);
        if random.chance(15) {
            device.synced();
            assert!(!has_pending(&device.db), "round {round}");
        }
    }
}

/// A delete of a row whose push was never answered goes up all the same.
#[test]
fn the_delete_of_a_row_that_may_have_arrived_is_pending() {
    let (server, device) = synced();
    device.exec("INSERT INTO task (id) VALUES ('a')");
    server.push_raw(|_| status_answer(500, &[], ""));
    device.failed();
    device.exec("DELETE FROM task");
    assert!(has_pending(&device.db));
    assert_eq!(device.ask("SELECT sync_has_pending('api')"), "1");
}

#[test]
fn tables_belong_to_the_provider_they_are_synced_with() {
    let (server, device) = synced();
    device.exec("CREATE TABLE own (id TEXT PRIMARY KEY, x)");
    device.ask("SELECT sync_track('own')");
    device.ask(&format!(
        "SELECT sync_provider('other', '{}')",
        json!({"kind": "watermelon", "url": server.url()})
    ));
    device.exec("INSERT INTO own VALUES ('a', 1)");
    // Not synced yet: it belongs to nobody.
    for (asked, answer) in [
        ("", "1"),
        ("'api'", "0"),
        ("'other'", "0"),
        ("'unknown'", "0"),
    ] {
        assert_eq!(
            device.ask(&format!("SELECT sync_has_pending({asked})")),
            answer,
            "{asked}"
        );
    }
    device.ask("SELECT sync_entities('o', 'other', '[\"own\"]')");
    device.exec("UPDATE own SET x = 2");
    assert_eq!(
        device.ask("SELECT sync_has_pending(), sync_has_pending('api'), sync_has_pending('other')"),
        "1|0|1"
    );
}

#[test]
fn a_provider_is_stale_until_it_was_synced_and_again_when_time_has_passed() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    let stale = |age: &str| device.ask(&format!("SELECT sync_is_stale('api', {age})"));
    assert_eq!(stale("9223372036854775807"), "1", "never synced");
    server.pull_raw(|_| status_answer(500, &[], ""));
    device.failed();
    assert_eq!(stale("9223372036854775807"), "1", "a failure is no success");
    device.synced();
    assert_eq!(stale("3600000"), "0");
    assert_eq!(device.ask("SELECT sync_is_stale('other', 3600000)"), "1");
    device.exec("UPDATE _syncRun SET finishedAt = finishedAt - 7200000");
    assert_eq!(stale("3600000"), "1");
    assert_eq!(stale("86400000"), "0");
    // What failed or runs since changes nothing.
    server.pull_raw(|_| status_answer(500, &[], ""));
    device.failed();
    assert_eq!(
        (stale("3600000"), stale("86400000")),
        ("1".into(), "0".into())
    );
    // The clock was set back.
    device.exec("UPDATE _syncRun SET finishedAt = finishedAt + 86400000");
    assert_eq!(stale("3600000"), "1");
    device.synced();
    assert_eq!(stale("3600000"), "0");
}

/// Only so many runs are kept. Those of one provider must not push out what is known of another.
#[test]
fn runs_of_other_providers_do_not_make_one_stale() {
    let (server, device) = synced();
    device.exec("CREATE TABLE own (id TEXT PRIMARY KEY)");
    device.ask("SELECT sync_track('own')");
    device.ask(&format!(
        "SELECT sync_provider('other', '{}')",
        json!({"kind": "watermelon", "url": server.url()})
    ));
    device.exec(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         INSERT INTO _syncRun (provider, state, phase, startedAt, finishedAt)
         SELECT 'other', 'synced', 'done', 0, 0 FROM n",
    );
    let runs = "SELECT count(*) FROM _syncRun WHERE provider = ";
    device.ask("SELECT sync_entities('o', 'other', '[\"own\"]')");
    assert_eq!(device.ask("SELECT sync_is_stale('api', 3600000)"), "0");
    assert_eq!(device.ask(&format!("{runs}'other'")), "1000");
    assert_eq!(device.ask(&format!("{runs}'api'")), "1");
    // Of a provider's successes, only the last is kept longer.
    server.pull_raw(|_| status_answer(500, &[], ""));
    device.failed();
    device.exec("UPDATE _syncRun SET id = id + 5000 WHERE provider = 'other'");
    device.ask("SELECT sync_entities('o', 'other', '[\"own\"]')");
    assert_eq!(
        device.ask(&format!("{runs}'api' AND state = 'synced'")),
        "1"
    );
    assert_eq!(device.ask(&format!("{runs}'api'")), "1");
}

#[test]
fn a_file_without_our_tables_is_answered_and_left_alone() {
    let world = World::new(true);
    let db = world.open();
    ask(&db, "CREATE TABLE t (id)");
    for _ in 0..2 {
        assert_eq!(
            ask(&db, "SELECT sync_has_pending(), sync_has_pending('api')"),
            "0|0"
        );
        assert_eq!(ask(&db, "SELECT sync_is_stale('api', 1)"), "1");
    }
    assert_eq!(ask(&db, "SELECT name FROM sqlite_master"), "t");
}

#[test]
fn both_answer_on_a_read_only_file() {
    let (_server, device) = synced();
    device.exec("INSERT INTO task (id) VALUES ('a')");
    let db = Connection::open_with_flags(device.world.path(), OpenFlags::SQLITE_OPEN_READ_ONLY)
        .expect("open");
    load(&db);
    assert_eq!(
        ask(
            &db,
            "SELECT sync_has_pending(), sync_has_pending('api'), sync_is_stale('api', 3600000)"
        ),
        "1|1|0"
    );
    // A column that the triggers don't know yet is no obstacle either.
    device.exec(
        "ALTER TABLE task ADD COLUMN later; DELETE FROM _syncChange; UPDATE task SET later = 1",
    );
    assert_eq!(ask(&db, "SELECT sync_has_pending()"), "1");

    let empty = World::new(true);
    empty
        .plain()
        .execute_batch("CREATE TABLE t (id)")
        .expect("a file");
    let db =
        Connection::open_with_flags(empty.path(), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("open");
    load(&db);
    assert_eq!(
        ask(
            &db,
            "SELECT sync_has_pending('api'), sync_is_stale('api', 0)"
        ),
        "0|1"
    );
}

#[test]
fn they_may_stand_where_a_guard_stands_and_nowhere_in_a_schema() {
    let (_server, device) = synced();
    device.exec("INSERT INTO task (id) VALUES ('a')");
    assert_eq!(
        device.ask("SELECT 'sync' WHERE sync_has_pending('api') OR sync_is_stale('api', 300000)"),
        "sync"
    );
    device.exec("BEGIN");
    assert_eq!(device.ask("SELECT sync_has_pending()"), "1");
    device.exec("ROLLBACK");
    for call in ["sync_has_pending()", "sync_is_stale('api', 1)"] {
        device.exec(&format!("CREATE VIEW v AS SELECT {call}"));
        let error = device.refused("SELECT * FROM v");
        assert!(error.contains("unsafe use of"), "{error}");
        device.exec("DROP VIEW v");
    }
}

#[test]
fn wrong_arguments_are_named() {
    let world = World::new(true);
    let db = world.open();
    for (sql, said) in [
        ("sync_has_pending(7)", "provider must be text, not integer"),
        ("sync_has_pending('')", "provider is empty"),
        ("sync_is_stale(NULL, 1)", "provider must be text, not null"),
        (
            "sync_is_stale('api', NULL)",
            "max_age_ms must be an integer, not null",
        ),
        (
            "sync_is_stale('api', 1.5)",
            "max_age_ms must be an integer, not 1.5",
        ),
        (
            "sync_is_stale('api', -1)",
            "max_age_ms is -1; give 0 or more",
        ),
    ] {
        let error = refused(&db, &format!("SELECT {sql}"));
        assert!(error.contains(said), "{sql}: {error}");
    }
    assert_eq!(ask(&db, "SELECT sync_has_pending(NULL)"), "0");
}
