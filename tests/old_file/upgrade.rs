//! The first call that writes upgrades it, in one transaction, and nothing is lost.

use super::fixture::{attaching, newest, old_file, read_only, reads_as_ever, version, whole};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use support::{World, ask, refused};

/// Calls that write, each as the first in its file.
const WRITING: &[&str] = &[
    "sync_init()",
    "sync_heartbeat()",
    "sync_recover()",
    r#"sync_provider('new', '{"kind":"host"}')"#,
    "sync_track('list')",
    r#"sync_untrack('seat', '{"discard":true}')"#,
    "sync_capture_existing('photo')",
    "sync_alter('memo', 'ALTER TABLE memo DROP COLUMN mood')",
    "sync_resolver('list', 'clientWins')",
    r#"sync_start_scope('startup', '["crew"]')"#,
    r#"sync_entities('x', 'stray', '["anything"]')"#,
    "sync_set_status(9, 'synced')",
    "sync_interrupt('startup', 'why')",
    "sync_delete_scope('done')",
    "sync_delete_status(9)",
];

#[test]
fn the_first_call_that_writes_upgrades_it_whichever_it_is() {
    let newest = newest();
    for call in WRITING {
        let world = old_file();
        let connection = world.open();
        ask(&connection, &format!("SELECT {call}"));
        assert_eq!(version(&connection), newest, "{call}");
        assert_eq!(ask(&connection, "PRAGMA integrity_check"), "ok", "{call}");
    }
}

#[test]
fn the_upgrade_is_one_transaction_and_loses_nothing() {
    for journal in ["delete", "wal"] {
        let world = old_file();
        ask(&world.plain(), &format!("PRAGMA journal_mode = {journal}"));
        let mut connection = world.open();
        // As some hosts do by default.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)
            .expect("defensive");
        let commits = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&commits);
        let count = move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            false
        };
        connection.commit_hook(Some(count)).expect("hook");
        ask(&connection, "SELECT sync_init()");
        assert_eq!(
            commits.load(std::sync::atomic::Ordering::Relaxed),
            1,
            "{journal}"
        );
        reads_as_ever(&connection, "upgraded");
        reads_as_ever(&read_only(&world), "upgraded, read-only");
        assert_eq!(ask(&connection, "PRAGMA integrity_check"), "ok");
        assert_eq!(ask(&connection, "PRAGMA journal_mode"), journal);
    }
}

/// An SQL text without its comments and white space: old files keep the comments they were made with.
fn bare(sql: &str) -> String {
    let mut bare = String::new();
    for line in sql.lines() {
        let mut quoted = false;
        let mut rest = line.chars().peekable();
        while let Some(letter) = rest.next() {
            quoted ^= letter == '\'';
            if !quoted && letter == '-' && rest.peek() == Some(&'-') {
                break;
            }
            if quoted || !letter.is_whitespace() {
                bare.push(letter);
            }
        }
    }
    bare
}

#[test]
fn an_upgraded_file_has_the_schema_of_a_new_one() {
    let objects = |connection: &Connection| -> Vec<(String, String)> {
        let mut statement = connection
            .prepare(
                "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_master \
                 WHERE (name LIKE '\\_sync%' ESCAPE '\\' OR tbl_name LIKE '\\_sync%' ESCAPE '\\') \
                   AND name NOT LIKE '\\_syncCapture%' ESCAPE '\\' ORDER BY 1",
            )
            .expect("schema");
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, bare(&row.get::<_, String>(1)?))));
        rows.expect("rows").map(|row| row.expect("a row")).collect()
    };
    let world = old_file();
    let connection = world.open();
    ask(&connection, "SELECT sync_init()");
    let upgraded = objects(&connection);
    assert!(upgraded.len() > 50);
    assert_eq!(upgraded, objects(&World::new(false).ready()));
    assert_eq!(bare("a -- b\n 'c -- d'  e"), "a'c -- d'e");
}

#[test]
fn runs_keep_their_ids_and_no_id_is_used_again() {
    for (history, expected) in [
        ("", "9"),
        ("DELETE FROM _syncRun WHERE id = 8", "9"),
        ("DELETE FROM _syncRun", "9"),
        (
            "UPDATE sqlite_sequence SET seq = 5000 WHERE name = '_syncRun'",
            "5001",
        ),
        (
            "DELETE FROM _syncRun; DELETE FROM sqlite_sequence WHERE name = '_syncRun'",
            "1",
        ),
    ] {
        let world = old_file();
        world.plain().execute_batch(history).expect(history);
        let connection = world.open();
        let ids = "SELECT id, provider, phase, startedAt FROM _syncRun";
        let before = ask(&connection, ids);
        ask(&connection, "SELECT sync_init()");
        assert_eq!(ask(&connection, ids), before, "{history}");
        let next = "INSERT INTO _syncRun (provider, state, phase, startedAt) \
                    VALUES ('api', 'queued', 'starting', 1) RETURNING id";
        assert_eq!(ask(&connection, next), expected, "{history}");
        let left = "SELECT count(*) FROM sqlite_sequence WHERE name LIKE '\\_syncRun%' ESCAPE '\\'";
        assert_eq!(ask(&connection, left), "1", "{history}");
    }
}

#[test]
fn conflicts_keep_their_ids_and_no_id_is_used_again() {
    let world = old_file();
    let made = "INSERT INTO _syncConflict (id, provider, runId, entity, pk, kind, local, at)
                VALUES (70, 'api', 1, 'list', 'x', 'edited', '{}', 5), (71, 'api', 1, 'list', 'y', 'deletedHere', NULL, 6);
                DELETE FROM _syncConflict WHERE id = 71";
    world.plain().execute_batch(made).expect("conflicts");
    let connection = world.open();
    let rows = "SELECT * FROM _syncConflict ORDER BY id";
    let before = ask(&connection, rows);
    ask(&connection, "SELECT sync_init()");
    assert_eq!(ask(&connection, rows), before);
    let next = "INSERT INTO _syncConflict (provider, runId, entity, kind, at) \
                VALUES ('api', 1, 'list', 'uniqueClash', 7) RETURNING id";
    assert_eq!(ask(&connection, next), "72");
    assert_eq!(ask(&connection, "SELECT count(*) FROM sync_held"), "0");
}

#[test]
fn the_run_that_a_killed_process_left_gets_its_owner_and_is_closed() {
    let world = old_file();
    let connection = world.open();
    let run = "SELECT state, ownerId, goal, step, rowsUp, rowsDown, rowsTotal, bytesUp, bytesDown, cancel \
               FROM _syncRun WHERE id = 8";
    let holder = ask(
        &connection,
        "SELECT ownerId FROM _syncLease WHERE runId = 8",
    );
    ask(&connection, "SELECT sync_init()");
    assert_eq!(
        ask(&connection, run),
        format!("failed|{holder}|sync|NULL|0|0|NULL|0|0|NULL")
    );
    assert_eq!(ask(&connection, "SELECT count(*) FROM _syncLease"), "0");
    assert_eq!(
        ask(
            &connection,
            "SELECT count(*) FROM _syncRun WHERE id < 8 AND ownerId IS NOT NULL"
        ),
        "0"
    );
}

/// A program may watch our tables with triggers and indexes of its own.
#[test]
fn what_a_program_has_put_on_our_tables_stays() {
    for schema in ["main", "old"] {
        let world = old_file();
        world
            .plain()
            .execute_batch(
                "CREATE TABLE seen (run, state);
                 CREATE INDEX IF NOT EXISTS main.\"runs by start\" ON _syncRun (startedAt) WHERE state = 'failed';
                 CREATE UNIQUE INDEX pair ON _syncRun (provider, id);
                 CREATE TRIGGER IF NOT EXISTS main.watch AFTER UPDATE OF state ON _syncRun
                   BEGIN INSERT INTO seen VALUES (NEW.id, NEW.state); END;
                 CREATE TRIGGER elsewhere AFTER INSERT ON list BEGIN SELECT count(*) FROM _syncRun; END;
                 CREATE VIEW latest AS SELECT max(id) AS id, state FROM _syncRun;",
            )
            .expect("a program's");
        let objects = |connection: &Connection, schema: &str| {
            ask(
                connection,
                &format!(
                    "SELECT type, name, tbl_name, sql FROM {schema}.sqlite_master \
                     WHERE name IN ('runs by start', 'pair', 'watch', 'elsewhere', 'latest') ORDER BY name"
                ),
            )
        };
        let before = objects(&world.plain(), "main");
        let (_elsewhere, connection) = match schema {
            "main" => (None, world.open()),
            _ => attaching(&world),
        };
        ask(&connection, &format!("SELECT sync_init('{schema}')"));
        assert_eq!(objects(&connection, schema), before, "{schema}");
        assert_eq!(
            before
                .lines()
                .filter(|line| line.contains("CREATE"))
                .count(),
            5
        );
        // The upgrade itself is no news, the recovery after it is.
        let seen = format!("SELECT * FROM {schema}.seen");
        assert_eq!(ask(&connection, &seen), "8|failed", "{schema}");
    }
}

#[test]
fn many_that_write_at_once_upgrade_it_once() {
    let world = old_file();
    ask(&world.plain(), "PRAGMA journal_mode = wal");
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| assert_eq!(ask(&world.open(), "SELECT sync_init()"), "1"));
        }
    });
    let connection = world.open();
    assert_eq!(version(&connection), newest());
    reads_as_ever(&connection, "eight at once");
}

#[test]
fn the_callers_rollback_takes_the_upgrade_back() {
    let world = old_file();
    let connection = world.open();
    let before = whole(&connection);
    connection
        .execute_batch("BEGIN; DELETE FROM list")
        .expect("begin");
    ask(&connection, "SELECT sync_heartbeat()");
    assert_eq!(version(&connection), newest());
    connection.execute_batch("ROLLBACK").expect("rollback");
    assert_eq!(whole(&connection), before);
    reads_as_ever(&connection, "rolled back");
    ask(&connection, "SELECT sync_heartbeat()");
    assert_eq!(version(&connection), newest());
}

/// A table of ours that the old file has lost comes with the upgrade, if no step needs what it held.
#[test]
fn m7_an_old_file_without_one_of_its_tables_is_upgraded_or_left_as_it_is() {
    let tables = ask(
        &old_file().plain(),
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '\\_sync%' ESCAPE '\\'",
    );
    let mut upgraded = 0;
    for table in tables.lines() {
        let world = old_file();
        let plain = world.plain();
        plain
            .execute_batch(&format!("DROP TABLE {table}"))
            .expect("dropped");
        let db = world.open();
        let Ok(answer) = support::database::try_ask(&db, "SELECT sync_init()") else {
            let refusal = refused(&db, "SELECT sync_init()");
            assert!(
                refusal.contains(table)
                    && refusal.contains("unchanged")
                    && refusal.contains("restore the file from a backup"),
                "{table}: {refusal}"
            );
            continue;
        };
        assert_eq!(answer, "1");
        upgraded += 1;
        let said = "SELECT detail ->> '$.message' FROM sync_log WHERE runId = 0 AND detail ->> '$.code' = 'tablesMissing'";
        assert!(
            ask(&db, said).contains(table),
            "{table}: {}",
            ask(&db, said)
        );
        assert_eq!(version(&db), newest(), "{table}");
    }
    assert!(upgraded > 10, "{upgraded} of {tables}");
}
