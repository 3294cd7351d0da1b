//! The tables: installed in one transaction or not at all, never touched when a newer version made
//! them, and an error, not a crash, when somebody took them apart. By default a sample of the ways to do
//! that is tried, with `SYNCSCOPE_WHOLE=1` all.

use support::host::{
    LOCAL, copy_of, everything, fails, failure, furnished, furnished_file, name_of, settled,
};
use support::sample::{each, sample};
use support::{World, ask, try_ask};

const MISUSE: i32 = 21;

/// The tables one can read, with a column to compare.
const LENSES: &[&str] = &[
    "sync_scope",
    "sync_scope_member",
    "sync_status",
    "sync_pending",
    "sync_help",
    "sync_help_option",
];

#[test]
fn installing_twice_changes_nothing() {
    let world = World::new(true);
    let connection = world.open();
    ask(&connection, "SELECT sync_init()");
    let first = everything(&connection);
    for _ in 0..3 {
        ask(&connection, "SELECT sync_init()");
        ask(&connection, "SELECT sync_init('main')");
    }
    assert_eq!(everything(&connection), first);
    assert_eq!(
        ask(
            &connection,
            "SELECT value FROM _syncMeta WHERE key = 'schemaVersion'"
        ),
        "6"
    );
}

#[test]
fn two_connections_that_install_at_once_install_once() {
    let world = World::new(true);
    ask(&world.plain(), "PRAGMA journal_mode = wal");
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| assert_eq!(ask(&world.open(), "SELECT sync_init()"), "1"));
        }
    });
    support::host::consistent(&world.plain(), "eight at once");
}

#[test]
fn an_installation_into_a_file_with_a_table_in_the_way_leaves_nothing() {
    for name in [
        "_syncScope",
        "_syncOutbox",
        "_syncProvider",
        "_syncStatus",
        "_syncOwner",
    ] {
        let world = World::new(true);
        let connection = world.open();
        connection
            .execute_batch(&format!("CREATE TABLE {name} (mine, too)"))
            .expect("mine");
        let before = everything(&connection);
        let error = try_ask(&connection, "SELECT sync_init()").err();
        settled(&connection, true, name);
        let Some(error) = error else {
            panic!("{name}: installed over a stranger's table")
        };
        let (_, text) = failure(&error);
        assert!(text.starts_with("sync_init: "), "{text}");
        assert!(text.contains(name), "{text}");
        assert_eq!(everything(&connection), before, "{name}");
    }
}

#[test]
fn a_failed_installation_inside_begin_leaves_the_callers_work_alone() {
    let world = World::new(true);
    let connection = world.open();
    connection
        .execute_batch(
            "CREATE TABLE _syncOutbox (mine); BEGIN; CREATE TABLE t (x); INSERT INTO t VALUES (1)",
        )
        .expect("mine");
    fails(&connection, "SELECT sync_init()");
    settled(&connection, false, "begin");
    connection.execute_batch("COMMIT").expect("commit");
    assert_eq!(
        ask(&connection, "SELECT group_concat(name) FROM sqlite_master"),
        "_syncOutbox,t"
    );
}

#[test]
fn a_file_of_a_newer_version_is_refused_by_every_writing_function_naming_both_versions() {
    let (_keep, base) = furnished_file();
    let mut wrong = Vec::new();
    for call in LOCAL {
        let world = copy_of(&base);
        let connection = world.plain();
        connection
            .execute_batch("UPDATE _syncMeta SET value = 99 WHERE key = 'schemaVersion'")
            .expect("newer");
        support::load(&connection);
        let before = everything(&connection);
        match try_ask(&connection, &format!("SELECT {call}")) {
            Ok(answer) => wrong.push(format!("{call}: {answer}")),
            Err(error) => {
                let (code, text) = failure(&error);
                let named = text.contains("99") && text.contains("schema 6;");
                if code != MISUSE || !named || !text.starts_with(&format!("{}: ", name_of(call))) {
                    wrong.push(format!("{call}: {code} {text}"));
                }
            }
        }
        settled(&connection, true, call);
        if everything(&connection) != before {
            wrong.push(format!("{call}: changed the file"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_of_a_newer_version_is_not_written_through_the_tables_either() {
    let (_keep, base) = furnished_file();
    let mut wrong = Vec::new();
    for sql in [
        r#"INSERT INTO sync_scope (id, instanceIds) VALUES ('new', '["a"]')"#,
        "UPDATE sync_scope SET state = 'interrupted'",
        "DELETE FROM sync_scope",
        "UPDATE sync_status SET state = 'synced'",
        "DELETE FROM sync_status",
    ] {
        let world = copy_of(&base);
        let connection = world.plain();
        connection
            .execute_batch("UPDATE _syncMeta SET value = 99 WHERE key = 'schemaVersion'")
            .expect("newer");
        support::load(&connection);
        let before = everything(&connection);
        match try_ask(&connection, sql) {
            Ok(answer) => wrong.push(format!("{sql}: accepted {answer}")),
            Err(error) => {
                let (_, text) = failure(&error);
                if !(text.contains("99") && text.contains("schema 6;")) {
                    wrong.push(format!("{sql}: {text}"));
                }
            }
        }
        if everything(&connection) != before {
            wrong.push(format!("{sql}: changed the file"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn loading_into_a_file_of_a_newer_version_recovers_nothing() {
    let world = World::new(true);
    drop(furnished(&world));
    let plain = world.plain();
    plain
        .execute_batch(
            "UPDATE _syncMeta SET value = 99 WHERE key = 'schemaVersion';
             UPDATE _syncOwner SET processId = 999999999, processStart = '1';",
        )
        .expect("newer, and its owner dead");
    let before = everything(&plain);
    let connection = world.open();
    settled(&connection, true, "load");
    assert_eq!(everything(&connection), before);
}

#[test]
fn a_file_of_a_newer_version_can_be_read_without_a_crash() {
    let (_keep, base) = furnished_file();
    let world = copy_of(&base);
    world
        .plain()
        .execute_batch("UPDATE _syncMeta SET value = 99 WHERE key = 'schemaVersion'")
        .expect("newer");
    let connection = world.open();
    for lens in LENSES {
        let _ = try_ask(&connection, &format!("SELECT * FROM {lens}"));
        settled(&connection, true, lens);
    }
    ask(&connection, "SELECT sync_debug()");
}

#[test]
fn a_version_that_makes_no_sense_is_an_error_that_says_so() {
    let (_keep, base) = furnished_file();
    let mut wrong = Vec::new();
    for value in [
        "'one'",
        "NULL",
        "1.5",
        "x'01'",
        "0",
        "-1",
        "-9223372036854775808",
        "9223372036854775807",
        "zeroblob(1000)",
        "''",
    ] {
        for call in [
            "sync_init()",
            "sync_heartbeat()",
            "sync_track('t')",
            "sync_recover()",
        ] {
            let world = copy_of(&base);
            world
                .plain()
                .execute_batch(&format!(
                    "UPDATE _syncMeta SET value = {value} WHERE key = 'schemaVersion'"
                ))
                .expect("broken");
            let connection = world.open();
            match try_ask(&connection, &format!("SELECT {call}")) {
                Ok(answer) => wrong.push(format!("{value}: {call}: {answer}")),
                Err(error) => {
                    let (code, text) = failure(&error);
                    if !matches!(code, 11 | 21) || text.contains("panic") {
                        wrong.push(format!("{value}: {call}: {code} {text}"));
                    }
                }
            }
            settled(&connection, true, value);
            for lens in LENSES {
                if let Err(error) = try_ask(&connection, &format!("SELECT * FROM {lens}")) {
                    assert!(!error.to_string().contains("panic"), "{error}");
                }
                settled(&connection, true, value);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_that_make_no_sense_do_no_harm() {
    let (_keep, base) = furnished_file();
    let keys = [
        "ownerLeaseMs",
        "ownerlessLeaseMs",
        "historyLimit",
        "retentionMs",
    ];
    let values = [
        "'soon'",
        "NULL",
        "-1",
        "-9223372036854775808",
        "9223372036854775807",
        "x'00'",
        "1e300",
    ];
    for (value, key) in sample(module_path!(), each(values, &keys), 3) {
        let world = copy_of(&base);
        world
            .plain()
            .execute_batch(&format!(
                "INSERT OR REPLACE INTO _syncMeta VALUES ('{key}', {value})"
            ))
            .expect("setting");
        let connection = world.open();
        for call in LOCAL {
            if let Err(error) = try_ask(&connection, &format!("SELECT {call}")) {
                assert!(
                    !error.to_string().contains("panic"),
                    "{key} = {value}: {error}"
                );
            }
            settled(&connection, true, key);
        }
        for lens in LENSES {
            ask(&connection, &format!("SELECT * FROM {lens}"));
        }
    }
}

#[test]
fn any_table_of_ours_dropped_by_hand_is_an_error_and_no_crash() {
    let (_keep, base) = furnished_file();
    let tables = ask(
        &copy_of(&base).plain(),
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '\\_sync%' ESCAPE '\\'",
    );
    let mut wrong = Vec::new();
    for (table, call) in sample(module_path!(), each(tables.lines(), LOCAL), 3) {
        let world = copy_of(&base);
        let plain = world.plain();
        // The table alone, as somebody with an editor for files would do it.
        if plain
            .execute_batch(&format!(
                "PRAGMA foreign_keys = OFF; DROP TABLE \"{table}\""
            ))
            .is_err()
        {
            continue;
        }
        drop(plain);
        let connection = world.open();
        settled(&connection, true, table);
        if let Err(error) = try_ask(&connection, &format!("SELECT {call}")) {
            let (_, text) = failure(&error);
            if text.contains("panic") || !text.starts_with(&format!("{}: ", name_of(call))) {
                wrong.push(format!("{table}: {call}: {text}"));
            }
        }
        if !connection.is_autocommit() {
            wrong.push(format!("{table}: {call}: transaction open"));
        }
        for lens in LENSES {
            if let Err(error) = try_ask(&connection, &format!("SELECT * FROM {lens}")) {
                let text = error.to_string();
                if text.contains("panic") {
                    wrong.push(format!("{table}: {lens}: {text}"));
                }
            }
            settled(&connection, true, table);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rubbish_in_any_column_of_our_tables_is_an_error_or_nothing_and_no_crash() {
    let (_keep, base) = furnished_file();
    let columns = ask(
        &copy_of(&base).plain(),
        "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c \
         WHERE m.type = 'table' AND m.name LIKE '\\_sync%' ESCAPE '\\'",
    );
    let mut wrong = Vec::new();
    let values = [
        "NULL",
        "'%s%n'",
        "-9223372036854775808",
        "CAST(x'ff' AS TEXT)",
    ];
    for (line, value) in sample(module_path!(), each(columns.lines(), &values), 5) {
        let (table, column) = line.split_once('|').expect("two");
        let world = copy_of(&base);
        let plain = world.plain();
        let triggers = ask(
            &plain,
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE '\\_sync%' ESCAPE '\\'",
        );
        let mut script = String::from("PRAGMA ignore_check_constraints = ON;");
        for trigger in triggers.lines() {
            script.push_str(&format!("DROP TRIGGER \"{trigger}\";"));
        }
        script.push_str(&format!(
            "UPDATE OR IGNORE \"{table}\" SET \"{column}\" = {value};"
        ));
        if plain.execute_batch(&script).is_err() {
            continue;
        }
        drop(plain);
        let connection = world.open();
        connection
            .execute_batch("PRAGMA synchronous = OFF")
            .expect("speed");
        for call in LOCAL {
            if let Err(error) = try_ask(&connection, &format!("SELECT {call}")) {
                let (code, text) = failure(&error);
                if text.contains("panic")
                    || !text.starts_with(&format!("{}: ", name_of(call)))
                    || code == 0
                {
                    wrong.push(format!("{table}.{column} = {value}: {call}: {text}"));
                }
            }
            settled(
                &connection,
                true,
                &format!("{table}.{column} = {value}: {call}"),
            );
        }
        for lens in LENSES {
            if let Err(error) = try_ask(&connection, &format!("SELECT * FROM {lens}")) {
                let text = error.to_string();
                if text.contains("panic") {
                    wrong.push(format!("{table}.{column} = {value}: {lens}: {text}"));
                }
            }
            settled(&connection, true, lens);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
