//! A hostile file: our tables replaced, given other columns, triggers and rows. An error that says so, or
//! nothing; never a crash, a hang, or a transaction left open.

use support::hostile::{Base, Victim, all_well, our_tables, survives};
use support::{Canned, Random, ask, refused, try_ask};

#[test]
fn tables_of_ours_with_other_columns_are_an_error() {
    let base = Base::furnished();
    let mut attacks = Vec::new();
    for table in our_tables(&base) {
        for shape in [
            "(x)",
            "(id INTEGER PRIMARY KEY, provider, entity)",
            "(\"a'b\" TEXT, \"c]d\" BLOB)",
        ] {
            let script = format!("DROP TABLE \"{table}\"; CREATE TABLE \"{table}\" {shape};");
            attacks.push((format!("{table} {shape}"), script));
        }
        // All columns, but of other types and constraints.
        let columns = ask(
            &base.plain(),
            &format!(
                "SELECT group_concat('\"' || name || '\" BLOB NOT NULL DEFAULT x''00''', ', ') \
                 FROM pragma_table_info('{table}')"
            ),
        );
        let script = format!("DROP TABLE \"{table}\"; CREATE TABLE \"{table}\" ({columns});");
        attacks.push((format!("{table} of blobs"), script));
    }
    survives(&base, &attacks);
}

#[test]
fn triggers_of_the_file_on_our_tables_make_an_error_or_nothing() {
    let base = Base::furnished();
    let at = |time: &str, table: &str, body: &str| {
        let mut script = String::new();
        for event in ["INSERT", "UPDATE", "DELETE"] {
            script += &format!(
                "CREATE TRIGGER \"evil {table} {event}\" {time} {event} ON \"{table}\" BEGIN {body} END;"
            );
        }
        script
    };
    let on = |table: &str, body: &str| at("BEFORE", table, body);
    let tables = our_tables(&base);
    let mut attacks: Vec<(String, String)> = tables
        .iter()
        .map(|table| {
            let script = on(table, "SELECT RAISE(IGNORE);");
            (format!("a trigger on {table} ignores"), script)
        })
        .collect();
    for (what, body) in [
        ("raise", "SELECT RAISE(ABORT, 'no');"),
        ("roll back", "SELECT RAISE(ROLLBACK, 'no');"),
        (
            "go round",
            "UPDATE _syncStatus SET timestamp = timestamp + 1;",
        ),
    ] {
        let scripts: String = tables.iter().map(|table| on(table, body)).collect();
        attacks.push((format!("triggers {what}"), scripts));
        for table in ["_syncStatus", "_syncOwner", "_syncRun", "_syncChange"] {
            attacks.push((
                format!("a trigger on {table} that would {what}"),
                on(table, body),
            ));
        }
    }
    // After, for before a row is gone the triggers would call each other until SQLite stops them.
    let empty = "DELETE FROM _syncOperation; DELETE FROM _syncStatus; DELETE FROM _syncOwner; \
                 DELETE FROM _syncRun; DELETE FROM _syncPush; DELETE FROM _syncTable;";
    let all: String = tables
        .iter()
        .map(|table| at("AFTER", table, empty))
        .collect();
    attacks.push(("triggers empty the tables".into(), all));
    for table in &tables {
        let what = format!("a trigger on {table} empties the tables");
        attacks.push((what, at("AFTER", table, empty)));
    }
    survives(&base, &attacks);
}

#[test]
fn capture_triggers_that_are_not_ours_make_an_error_or_nothing() {
    let base = Base::furnished();
    let plain = base.plain();
    let id = ask(&plain, "SELECT id FROM _syncTable WHERE name = 'task'");
    let drops = ask(
        &plain,
        &format!(
            "SELECT group_concat('DROP TRIGGER \"' || name || '\"', ';') FROM sqlite_master \
             WHERE type = 'trigger' AND name LIKE '\\_syncCapture\\_{id}\\_%' ESCAPE '\\'"
        ),
    );
    let insert = format!("CREATE TRIGGER _syncCapture_{id}_insert");
    let attacks: Vec<(String, String)> = [
        ("gone", String::new()),
        (
            "on another table",
            format!("CREATE TABLE other (id TEXT PRIMARY KEY, x); {insert} AFTER INSERT ON other BEGIN SELECT 1; END"),
        ),
        (
            "on one of ours",
            format!("{insert} AFTER INSERT ON _syncProvider BEGIN SELECT 1; END"),
        ),
        (
            "on a view",
            format!("CREATE VIEW w AS SELECT 1 AS id; {insert} INSTEAD OF INSERT ON w BEGIN SELECT 1; END"),
        ),
        (
            "that raise",
            format!("{insert} BEFORE INSERT ON task BEGIN SELECT RAISE(FAIL, 'no'); END"),
        ),
        (
            "that call",
            format!("{insert} BEFORE INSERT ON task BEGIN SELECT canary(); END"),
        ),
        (
            "that log rubbish",
            format!(
                "{insert} AFTER INSERT ON task BEGIN INSERT INTO _syncChange (tbl, op, mask, rid, pk) VALUES \
                 ({id}, 9223372036854775807, -1, -1, x'ff'), ({id}, 2, -1, 0, NULL), (-1, -1, 0, 0, 0); END"
            ),
        ),
        (
            "of no table",
            "CREATE TRIGGER _syncCapture_9223372036854775807_insert AFTER INSERT ON task BEGIN SELECT 1; END".into(),
        ),
    ]
    .into_iter()
    .map(|(what, script)| (format!("capture triggers {what}"), format!("{drops}; {script}")))
    .collect();
    drop(plain);
    survives(&base, &attacks);
}

/// References in a circle, numbers that are nobody's, names that are another's.
#[test]
fn rows_that_refer_in_circles_or_nowhere_make_an_error_or_nothing() {
    let base = Base::furnished();
    let attacks: Vec<(String, String)> = [
        "UPDATE _syncOperation SET id = -id, statusId = -statusId",
        "DROP TRIGGER IF EXISTS _syncStatus_fixed; UPDATE OR IGNORE _syncOperationKey SET statusId = -9223372036854775807",
        "UPDATE sqlite_sequence SET seq = 9223372036854775807",
        "UPDATE sqlite_sequence SET seq = -9223372036854775807; DELETE FROM _syncRun; \
         INSERT INTO _syncRun (id, provider, state, phase, startedAt) \
         VALUES (-9223372036854775807, 'api', 'running', 'x', -9223372036854775807)",
        "UPDATE sqlite_sequence SET seq = 'text'",
        "DELETE FROM sqlite_sequence",
        "UPDATE _syncTable SET id = -1 WHERE name = 'task'; \
         UPDATE _syncTable SET id = 9223372036854775807 WHERE name = 'list'",
        "UPDATE _syncTable SET name = 'list ' || name",
        "UPDATE _syncTable SET name = '_syncTable' WHERE name = 'task'",
        "UPDATE _syncTable SET columns = '[\"' || replace(hex(zeroblob(3000)), '00', 'x\",\"') || '\"]'",
        "UPDATE _syncTable SET columns = '[]', definition = x'00ff'",
        "UPDATE _syncChange SET seq = -seq",
        "UPDATE _syncChange SET seq = 9223372036854775800 + seq",
        "UPDATE _syncChange SET op = 9223372036854775807, mask = -1",
        "UPDATE _syncPush SET uptoSeq = -1, rows = -1",
        "UPDATE _syncOutbox SET content = 'not JSON', pushId = 77",
        "UPDATE _syncCursor SET cursor = '', tableId = -1",
        "UPDATE _syncCursor SET cursor = '\"' || char(13, 10) || 'X: y'",
        "UPDATE _syncCursor SET cursor = '1e999'",
        "UPDATE _syncCursor SET cursor = hex(zeroblob(100000))",
        "UPDATE _syncCursor SET cursor = '99999999999999999999999999999999', schemaVersion = 9223372036854775807",
        "INSERT INTO _syncScope (id) VALUES ('loop'); \
         INSERT INTO _syncScopeMember (scopeId, instanceId, ordinal, state) VALUES ('loop', 'loop', 0, 'syncing')",
        "UPDATE _syncOwner SET processId = -1, leaseMs = 9223372036854775807, heartbeatAt = -9223372036854775807",
        "UPDATE _syncOwner SET processStart = '../../../etc/passwd', bootId = char(0)",
        "UPDATE _syncMeta SET value = 2147483648 WHERE key = 'schemaVersion'",
        "UPDATE _syncMeta SET value = -1 WHERE key = 'schemaVersion'",
    ]
    .into_iter()
    .map(|script| {
        let whole = format!("PRAGMA ignore_check_constraints = ON; {script}");
        (script.chars().take(80).collect(), whole)
    })
    .collect();
    survives(&base, &attacks);
}

#[test]
fn configurations_that_the_functions_would_not_take_are_refused_in_the_file_too() {
    let base = Base::furnished();
    let evil = Canned::start();
    for (config, said) in [
        ("", "ends too early"),
        ("[]", "config"),
        (r#"{"kind":"watermelon"}"#, "url is missing"),
        (
            r#"{"kind":"watermelon","url":"file:///etc/passwd"}"#,
            "url must start",
        ),
        (
            r#"{"kind":"watermelon","url":"URL","headers":{"Authorization":"x"}}"#,
            "would write a secret",
        ),
        (
            r#"{"kind":"watermelon","url":"URL","timeoutMs":-1}"#,
            "timeoutMs",
        ),
        (
            r#"{"kind":"watermelon","url":"URL","kind":"watermelon"}"#,
            "kind is given twice",
        ),
        (
            r#"{"kind":"watermelon","url":"URL","unknown":1}"#,
            "unknown key",
        ),
    ] {
        let victim = Victim::of(&base);
        let config = config.replace("URL", &evil.url());
        victim
            .attack(&format!(
                "UPDATE _syncProvider SET config = '{config}' WHERE id = 'api'"
            ))
            .expect("attack");
        let connection = victim.world.open();
        let text = refused(
            &connection,
            r#"SELECT sync_entities('all', 'api', '["task"]')"#,
        );
        let clear = text.contains(said) && text.contains("call sync_provider again");
        assert!(clear, "{config}: {text}");
        drop(connection);
        assert_eq!(victim.exercise(), Vec::<String>::new(), "{config}");
    }
    // What shows when the request is made: nothing is sent then.
    for keys in [
        r#""headers":{"X":"a\r\nEvil: 1"}"#,
        r#""headers":{"Host":"elsewhere"}"#,
        r#""headers":{"Transfer-Encoding":"chunked"}"#,
        r#""headers":{"a b":"c"}"#,
        r#""secretHeaders":{"Cookie":"nobody"}"#,
        r#""pullUrl":"http://user:pass@127.0.0.1/""#,
        r#""pullUrl":"/a\\b""#,
        r#""timeoutMs":18446744073709551615"#,
        r#""totalTimeoutMs":18446744073709551615"#,
        r#""maxResponseBytes":0"#,
        r#""attempts":4294967295"#,
        r#""backoffMs":18446744073709551615"#,
    ] {
        let victim = Victim::of(&base);
        let config = format!(r#"{{"kind":"watermelon","url":"{}",{keys}}}"#, evil.url());
        victim
            .attack(&format!(
                "UPDATE _syncProvider SET config = '{config}' WHERE id = 'api'"
            ))
            .expect("attack");
        let connection = victim.world.open();
        let state = try_ask(
            &connection,
            r#"SELECT sync_entities('all', 'api', '["task"]') ->> 'state'"#,
        );
        assert_ne!(state.as_deref(), Ok("synced"), "{keys}");
        if let Err(error) = state {
            assert!(!error.to_string().contains("panic"), "{keys}: {error}");
        }
    }
    assert_eq!(evil.seen().len(), 0);
}

#[test]
fn a_file_with_broken_bytes_makes_errors_and_no_crash() {
    let base = Base::furnished();
    let whole = std::fs::read(base.path()).expect("the file");
    let seeds: Vec<u64> = (0..60).collect();
    all_well(&seeds, |&seed| {
        let mut random = Random(seed);
        let mut bytes = whole.clone();
        for _ in 0..=random.below(20) {
            // Not the header: what is no database at all is another test's.
            let place = 100 + random.below(bytes.len() as u64 - 100) as usize;
            bytes[place] = random.draw() as u8;
        }
        if random.chance(20) {
            let pages = 1 + random.below(bytes.len() as u64 / 4096) as usize;
            bytes.truncate(4096 * pages);
        }
        let victim = Victim::of(&base);
        std::fs::write(victim.world.path(), &bytes).expect("broken");
        let found = victim.exercise();
        found
            .into_iter()
            .map(|found| format!("seed {seed}: {found}"))
            .collect()
    });
}
