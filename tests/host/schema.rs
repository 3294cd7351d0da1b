//! What stays in the file: nothing that names us. Triggers, views, indexes and constraints can't call
//! our functions; programs without the extension use the file as ever; copies of the file work.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use support::host::{LOCAL, consistent, everything, fails, furnished, name_of, settled};
use support::scopes::picture;
use support::{World, ask, library, load, try_ask};

#[test]
fn no_index_column_default_or_check_can_call_a_function() {
    let world = World::new(true);
    let connection = furnished(&world);
    for call in LOCAL {
        for sql in [
            format!("CREATE INDEX i ON t ({call})"),
            format!("CREATE INDEX i ON t (x) WHERE {call}"),
            format!("CREATE TABLE g (x, y AS ({call}))"),
            format!("CREATE TABLE g (x, y AS ({call}) STORED)"),
            format!("CREATE TABLE g (x CHECK ({call})); INSERT INTO g VALUES (1)"),
            format!("CREATE TABLE g (x DEFAULT ({call}), y); INSERT INTO g (y) VALUES (1)"),
        ] {
            connection.execute_batch("BEGIN").expect("begin");
            let before = everything(&connection);
            let error = connection.execute_batch(&sql).err();
            let text = error
                .unwrap_or_else(|| panic!("{sql}: accepted"))
                .to_string();
            let name = name_of(call);
            assert!(
                text.contains("unsafe use of")
                    || text.contains("non-deterministic functions prohibited"),
                "{sql}: {name}: {text}"
            );
            settled(&connection, false, &sql);
            connection.execute_batch("ROLLBACK").expect("rollback");
            assert_eq!(everything(&connection), before);
        }
    }
}

#[test]
fn a_lens_in_a_trigger_or_view_is_refused_unless_it_is_innocuous() {
    for trusted in ["ON", "OFF"] {
        let world = World::new(true);
        let connection = furnished(&world);
        connection
            .execute_batch(&format!(
                "PRAGMA trusted_schema = {trusted}; CREATE TABLE u (x)"
            ))
            .expect("u");
        for (table, direct) in [
            ("sync_scope", true),
            ("sync_status", true),
            ("sync_pending", true),
            ("syncscope_close_hook", true),
            ("sync_help", false),
            ("sync_help_option", false),
        ] {
            connection
                .execute_batch(&format!(
                    "DROP VIEW IF EXISTS v; DROP TRIGGER IF EXISTS r;
                     CREATE VIEW v AS SELECT * FROM {table};
                     CREATE TRIGGER r AFTER INSERT ON u BEGIN SELECT count(*) FROM {table}; END;"
                ))
                .expect("view");
            for sql in ["SELECT count(*) FROM v", "INSERT INTO u VALUES (1)"] {
                let outcome = try_ask(&connection, sql);
                assert_eq!(outcome.is_err(), direct, "{table}: {sql}: {outcome:?}");
                settled(&connection, true, sql);
            }
        }
    }
}

/// Words of an SQL text, comments and literals left out.
fn words(sql: &str) -> BTreeSet<String> {
    let mut plain = String::new();
    for line in sql.lines() {
        plain.push_str(line.split("--").next().unwrap_or_default());
        plain.push('\n');
    }
    // Every other piece between quotes is a literal or a quoted name: a message, or the name of a
    // trigger that SQLite shows in its own message, may well name a function.
    let plain: String = plain
        .split(['\'', '"'])
        .step_by(2)
        .collect::<Vec<_>>()
        .join(" ");
    plain
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .map(str::to_lowercase)
        .collect()
}

#[test]
fn nothing_in_the_schema_names_a_function_or_module_of_ours() {
    let world = World::new(true);
    let connection = furnished(&world);
    let names: BTreeSet<String> = ask(&connection, "SELECT name FROM sync_help")
        .lines()
        .map(str::to_owned)
        .collect();
    let mut statement = connection
        .prepare("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        .expect("prepare");
    let rows: Vec<(String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("query")
        .collect::<Result<_, _>>()
        .expect("rows");
    assert!(rows.len() > 20);
    for (object, sql) in rows {
        let found: Vec<_> = words(&sql).intersection(&names).cloned().collect();
        assert!(found.is_empty(), "{object} names {found:?}");
        assert!(!sql.to_uppercase().contains("CREATE VIRTUAL"), "{object}");
    }
}

#[test]
fn a_program_without_the_extension_edits_tracked_tables_as_ever() {
    for recursive in [true, false] {
        let world = World::new(recursive);
        drop(furnished(&world));
        let plain = world.plain();
        plain
            .execute_batch(
                "INSERT INTO tracked VALUES ('c', 'new', NULL);
                 UPDATE tracked SET x = 'changed' WHERE id = 'a';
                 INSERT OR REPLACE INTO tracked VALUES ('a', 'replaced', 'e');
                 INSERT INTO tracked VALUES ('a', 'u', 'e') ON CONFLICT DO UPDATE SET x = 'upserted';
                 DELETE FROM tracked WHERE id = 'b';
                 UPDATE tracked SET id = 'd' WHERE id = 'c';
                 UPDATE _syncStatus SET state = 'synced' WHERE id = 1;
                 VACUUM;",
            )
            .expect("plain SQL");
        assert_eq!(ask(&plain, "PRAGMA integrity_check"), "ok");
        consistent(&plain, "plain");
        drop(plain);
        let pending = ask(
            &world.open(),
            "SELECT key, op FROM sync_pending ORDER BY key",
        );
        assert_eq!(pending, "a|created\nd|created", "captured without us");
    }
}

#[test]
fn sqlite3_of_the_system_uses_the_file_without_the_extension() {
    let world = World::new(true);
    drop(furnished(&world));
    let script = "INSERT INTO tracked VALUES ('shell', 'x', 'y');\nSELECT count(*) FROM tracked;\nSELECT id, state FROM _syncScope;\nPRAGMA integrity_check;\n";
    let output = shell(&world, &[], script);
    assert_eq!(output, "3\nold|interrupted\nok\n");
}

/// Runs the sqlite3 shell on the world's file; the standard output, or a panic with the error.
#[track_caller]
fn shell(world: &World, arguments: &[&str], script: &str) -> String {
    let mut child = Command::new("sqlite3")
        .args(arguments)
        .arg(world.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sqlite3 is needed; apt-get install sqlite3");
    child
        .stdin
        .take()
        .expect("stdin")
        .write_all(script.as_bytes())
        .expect("write");
    let output = child.wait_with_output().expect("wait");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// After a copy was made: it holds the same, and goes on working by itself.
fn goes_on(copy: &World, original: &str) {
    let connection = copy.plain();
    assert_eq!(picture(&connection), original);
    consistent(&connection, "copy");
    load(&connection);
    ask(
        &connection,
        "INSERT INTO tracked VALUES ('later', 'x', 'y')",
    );
    assert_eq!(
        ask(
            &connection,
            "SELECT op FROM sync_pending WHERE key = 'later'"
        ),
        "created"
    );
    ask(&connection, r#"SELECT sync_start_scope('later', '["z"]')"#);
    ask(
        &connection,
        r#"SELECT sync_entities('z', 'host', '["t2"]')"#,
    );
    let id = ask(
        &connection,
        "SELECT id FROM _syncStatus WHERE entity = 't2'",
    );
    ask(
        &connection,
        &format!("SELECT sync_set_status({id}, 'synced')"),
    );
    assert_eq!(
        ask(
            &connection,
            "SELECT state FROM _syncScope WHERE id = 'later'"
        ),
        "synced"
    );
    consistent(&connection, "copy went on");
}

#[test]
fn vacuum_into_gives_a_file_that_works() {
    let world = World::new(true);
    let connection = furnished(&world);
    let copy = World::new(true);
    ask(
        &connection,
        &format!("VACUUM INTO '{}'", copy.path().display()),
    );
    ask(&connection, "VACUUM");
    goes_on(&copy, &picture(&connection));
}

#[test]
fn a_backup_gives_a_file_that_works() {
    let world = World::new(true);
    let connection = furnished(&world);
    let copy = World::new(true);
    connection
        .backup("main", copy.path(), None::<fn(rusqlite::backup::Progress)>)
        .expect("backup");
    goes_on(&copy, &picture(&connection));
}

#[test]
fn a_dump_restored_gives_a_file_that_works() {
    let world = World::new(true);
    let connection = furnished(&world);
    let original = picture(&connection);
    let dump = shell(&world, &[], ".dump\n");
    let copy = World::new(true);
    shell(&copy, &[], &dump);
    goes_on(&copy, &original);
}

#[test]
fn a_dump_taken_with_the_extension_loaded_gives_the_same() {
    let world = World::new(true);
    let connection = furnished(&world);
    let original = picture(&connection);
    drop(connection);
    let dump = shell(
        &world,
        &[],
        &format!(
            ".load {} sqlite3_syncscope_init\n.dump\n",
            library().display()
        ),
    );
    assert!(!dump.contains("VIRTUAL"), "an eponymous table in the dump");
    assert!(!original.is_empty());
    let copy = World::new(true);
    shell(&copy, &[], &dump);
    consistent(&copy.plain(), "dump");
}

#[test]
fn a_backup_into_memory_works_too() {
    let world = World::new(true);
    let source = furnished(&world);
    let mut memory = Connection::open_in_memory().expect("open");
    {
        let backup = rusqlite::backup::Backup::new(&source, &mut memory).expect("backup");
        backup
            .run_to_completion(100, std::time::Duration::ZERO, None)
            .expect("run");
    }
    load(&memory);
    ask(&memory, "SELECT sync_heartbeat()");
    consistent(&memory, "memory");
    fails(&memory, "SELECT sync_init('nowhere')");
}
