//! Migrations: every row of the table of `src/providers/watermelon/migration.rs`, what is refused before
//! any request, and what is found out without being declared.

use serde_json::{Value, json};
use support::{Backend, Canned, Device, SCHEMA, assert_equal, query, status_answer};

/// Versions 9 and 10.
fn migrations() -> Value {
    json!([
        {"toVersion": 9, "steps": [{"type": "create_table", "name": "crew"}]},
        {"toVersion": 10, "steps": [{"type": "add_columns", "table": "task", "columns": ["note"]},
            {"type": "sql", "sql": "CREATE INDEX i ON task (n)"}]},
    ])
}

fn at_version_10(server: &Canned, config: &Value) -> Device {
    let device = Device::configured(SCHEMA, &["task"], &server.url(), config.clone());
    device.exec("PRAGMA user_version = 10");
    device
}

/// A device that has pulled up to 100 with version 10, and is told so or something else.
fn pulled_before(config: &Value, last: Option<i64>) -> (Canned, Device) {
    let server = Canned::start();
    let device = at_version_10(&server, &json!({}));
    server.pull(r#"{"changes":{},"timestamp":100}"#);
    device.synced();
    let last = last.map_or("NULL".into(), |last| last.to_string());
    device.exec(&format!("UPDATE _syncCursor SET schemaVersion = {last}"));
    device.provider(&server.url(), config.clone());
    server.clear();
    (server, device)
}

fn last_version(device: &Device) -> String {
    device.ask("SELECT coalesce(schemaVersion, 'unset') FROM _syncCursor")
}

/// The migration of the only pull, decoded.
fn told(server: &Canned) -> Value {
    let seen = server.seen();
    let pulls: Vec<_> = seen.iter().filter(|seen| seen.method == "GET").collect();
    assert_eq!(pulls.len(), 1);
    migration_of(&pulls[0].path)
}

fn migration_of(path: &str) -> Value {
    let text = query(path, "migration").expect("a parameter migration");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16);
        rest = match first {
            b'%' => {
                bytes.push(hex(&after[..2]).expect("hex digits"));
                &after[2..]
            }
            byte => {
                bytes.push(*byte);
                after
            }
        };
    }
    serde_json::from_slice(&bytes).expect("JSON")
}

fn from_9() -> Value {
    json!({"from": 9, "tables": [], "columns": [{"table": "task", "columns": ["note"]}]})
}

fn enabled_at(version: i64) -> Value {
    json!({"migrationsEnabledAtVersion": version, "migrations": migrations()})
}

#[test]
fn the_first_pull_tells_nothing_and_the_version_is_remembered() {
    for config in [
        json!({}),
        enabled_at(9),
        enabled_at(10),
        json!({"migrations": "auto"}),
    ] {
        let server = Canned::start();
        let device = at_version_10(&server, &config);
        let answer = device.synced();
        assert_eq!(
            (told(&server), &answer["migration"]),
            (Value::Null, &Value::Null)
        );
        assert_eq!(last_version(&device), "10", "{config}");
    }
}

#[test]
fn without_a_version_to_begin_at_nothing_is_told_or_remembered() {
    for last in [None, Some(5), Some(9), Some(10), Some(11)] {
        for config in [json!({}), json!({"migrations": migrations()})] {
            let (server, device) = pulled_before(&config, last);
            device.synced();
            assert_eq!(told(&server), Value::Null);
            let expected = last.map_or("unset".into(), |last| last.to_string());
            assert_eq!(last_version(&device), expected);
        }
    }
}

#[test]
fn the_present_version_is_nothing_to_tell() {
    let (server, device) = pulled_before(&enabled_at(9), Some(10));
    let answer = device.synced();
    assert_eq!(
        (told(&server), &answer["migration"]),
        (Value::Null, &Value::Null)
    );
    assert_eq!(last_version(&device), "10");
}

#[test]
fn an_older_version_is_told_from_there() {
    let (server, device) = pulled_before(&enabled_at(9), Some(9));
    let answer = device.synced();
    assert_eq!(told(&server), from_9());
    assert_eq!(
        (&answer["migration"], &answer["warnings"]),
        (&from_9(), &json!([]))
    );
    assert_eq!(
        query(&server.seen()[0].path, "schema_version").as_deref(),
        Some("10")
    );
    assert_eq!(last_version(&device), "10");
    let kept = device.ask("SELECT summary->'migration' FROM _syncRun ORDER BY id DESC LIMIT 1");
    assert_eq!(kept, from_9().to_string());
    server.clear();
    device.synced();
    assert_eq!(told(&server), Value::Null, "it is told once");
}

#[test]
fn an_older_version_than_the_first_enabled_one_counts_too() {
    let (server, device) = pulled_before(&enabled_at(10), Some(8));
    device.synced();
    assert_eq!(
        told(&server),
        json!({"from": 8, "tables": ["crew"], "columns": [{"table": "task", "columns": ["note"]}]})
    );
}

#[test]
fn an_unknown_version_is_taken_for_the_first_enabled_one_with_a_warning() {
    let (server, device) = pulled_before(&enabled_at(9), None);
    let answer = device.synced();
    assert_eq!(told(&server), from_9());
    let warning = answer["warnings"][0]["message"]
        .as_str()
        .unwrap_or_default();
    assert!(
        warning.contains("not known") && warning.contains('9'),
        "{answer}"
    );
    assert_eq!(last_version(&device), "10");
}

/// The sync fails before any request, and nothing is written.
fn fails_at_once(config: &Value, last: Option<i64>, said: &str) {
    let (server, device) = pulled_before(config, last);
    device.exec("INSERT INTO task (id) VALUES ('a')");
    let before = last_version(&device);
    let error = device.failed();
    assert_eq!(
        (&error["class"], &error["code"], &error["retryable"]),
        (
            &json!("data"),
            &json!("SYNC_ERROR_MIGRATION"),
            &json!(false)
        )
    );
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains(said), "{message}");
    assert_eq!(server.seen().len(), 0, "{said}");
    assert_eq!(
        (last_version(&device), device.cursor("task")),
        (before, "100".into())
    );
    assert_eq!(device.pending(), "task|a|created|[]");
}

#[test]
fn what_can_only_be_seen_in_the_file_fails_before_any_request() {
    fails_at_once(&enabled_at(9), Some(11), "schema version 11");
    fails_at_once(
        &enabled_at(11),
        Some(10),
        "migrationsEnabledAtVersion is 11",
    );
    fails_at_once(&enabled_at(11), None, "migrationsEnabledAtVersion is 11");
    fails_at_once(&enabled_at(9), Some(5), "from 5 to 10");
    let mut newer = enabled_at(9);
    newer["schemaVersion"] = json!(12);
    fails_at_once(&newer, Some(10), "from 10 to 12");
}

#[test]
fn a_version_above_the_present_one_fails_the_first_sync_too() {
    let server = Canned::start();
    let device = at_version_10(&server, &enabled_at(11));
    assert_eq!(device.failed()["code"], "SYNC_ERROR_MIGRATION");
    assert_eq!(server.seen().len(), 0);
    device.exec("PRAGMA user_version = 11");
    device.synced();
}

#[test]
fn a_version_configured_comes_before_that_of_the_file() {
    let mut config = enabled_at(9);
    config["schemaVersion"] = json!(9);
    let (server, device) = pulled_before(&config, Some(8));
    device.synced();
    assert_eq!(
        told(&server),
        json!({"from": 8, "tables": ["crew"], "columns": []})
    );
    assert_eq!(last_version(&device), "9");
}

#[test]
fn a_failed_pull_remembers_nothing_and_the_next_sync_asks_again() {
    let (server, device) = pulled_before(&enabled_at(9), Some(9));
    server.pull_raw(|_| status_answer(400, &[], "no"));
    let answer = device.sync();
    assert_eq!(
        (&answer["state"], &answer["migration"]),
        (&json!("failed"), &from_9())
    );
    assert_eq!(last_version(&device), "9");
    server.clear();
    server.pull(r#"{"changes":{"task":{"created":[{"id":5.5}]}},"timestamp":101}"#);
    device.failed();
    assert_eq!(
        (told(&server), last_version(&device)),
        (from_9(), "9".into())
    );
    server.clear();
    device.synced();
    assert_eq!(
        (told(&server), last_version(&device)),
        (from_9(), "10".into())
    );
}

#[test]
fn each_entity_has_a_version_of_its_own() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    device.exec("PRAGMA user_version = 9");
    device.synced();
    device.exec("PRAGMA user_version = 10");
    device.provider(&server.url(), enabled_at(9));
    server.clear();
    device.sync_only(&["task"]);
    assert_eq!(told(&server), from_9());
    assert_eq!(
        device.ask("SELECT entity, schemaVersion FROM _syncCursor ORDER BY 1"),
        "list|9\ntask|10"
    );
    // The one that was left out hears of it later.
    server.clear();
    device.synced();
    assert_eq!(told(&server), from_9());
    assert_eq!(
        device.ask("SELECT DISTINCT schemaVersion FROM _syncCursor"),
        "10"
    );
}

#[test]
fn wrong_migrations_are_refused_when_they_are_declared() {
    let server = Canned::start();
    let device = at_version_10(&server, &json!({}));
    let step = |step: Value| json!({"migrations": [{"toVersion": 2, "steps": [step]}]});
    for (config, said) in [
        (json!({"migrationsEnabledAtVersion": 9}), "no migrations"),
        (
            json!({"migrationsEnabledAtVersion": 9, "migrations": []}),
            "no migrations",
        ),
        (
            json!({"migrationsEnabledAtVersion": 9, "migrations": "auto"}),
            "auto",
        ),
        (enabled_at(0), "migrationsEnabledAtVersion"),
        (enabled_at(-1), "migrationsEnabledAtVersion"),
        (
            enabled_at(7),
            "migrationsEnabledAtVersion is 7, but migrations begin at version 8",
        ),
        (
            json!({"migrationsEnabledAtVersion": "9", "migrations": []}),
            "migrationsEnabledAtVersion",
        ),
        (
            json!({"migrationsEnabledAtVersion": 9.5, "migrations": []}),
            "migrationsEnabledAtVersion",
        ),
        (json!({"migrations": "automatic"}), "migrations must be"),
        (
            json!({"migrations": [{"toVersion": 2}]}),
            "migrations[0].steps",
        ),
        (
            step(json!({"type": "rename_column"})),
            "migrations[0].steps[0].type is \"rename_column\"",
        ),
        (
            step(json!({"type": "create_table"})),
            "migrations[0].steps[0].name",
        ),
        (
            json!({"migrations": "auto", "preset": "rpc"}),
            "{migration}",
        ),
        (json!({"schemaVersion": 0}), "schemaVersion"),
    ] {
        let mut full = json!({"kind": "watermelon", "url": server.url()});
        full.as_object_mut()
            .unwrap()
            .extend(config.as_object().unwrap().clone());
        let literal = full.to_string().replace('\'', "''");
        let refusal = device.refused(&format!("SELECT sync_provider('api', '{literal}')"));
        assert!(
            refusal.contains("config: ") && refusal.contains(said),
            "{config}: {refusal}"
        );
    }
    device.synced();
}

#[test]
fn a_body_may_tell_it_too() {
    let mut config = enabled_at(9);
    config["pullMethod"] = json!("POST");
    config["pullUrl"] = json!("/pull");
    config["pullBody"] = json!({"at": "{lastPulledAt}", "migration": "{migration}"});
    let (server, device) = pulled_before(&config, Some(9));
    device.synced();
    assert_eq!(
        server.seen()[0].json(),
        json!({"at": 100, "migration": from_9()})
    );
}

// ------------------------------------------------------------------------------------- by itself

fn columns(device: &Device) -> String {
    device.ask("SELECT columns FROM _syncCursor WHERE entity = 'task'")
}

#[test]
fn new_columns_are_found_by_themselves_once() {
    let server = Canned::start();
    let device = at_version_10(&server, &json!({"migrations": "auto"}));
    device.synced();
    assert_eq!(columns(&device), r#"["title","done","n","note"]"#);
    server.clear();
    device.synced();
    assert_eq!(told(&server), Value::Null, "nothing has changed");
    device.exec("ALTER TABLE task ADD COLUMN colour TEXT; ALTER TABLE task ADD COLUMN size; PRAGMA user_version = 11");
    let expected = json!({"from": 10, "tables": [], "columns": [{"table": "task", "columns": ["colour", "size"]}]});
    server.clear();
    server.pull_raw(|_| status_answer(400, &[], ""));
    device.failed();
    assert_eq!(told(&server), expected);
    server.clear();
    let answer = device.synced();
    assert_eq!(
        (told(&server), &answer["migration"]),
        (expected.clone(), &expected)
    );
    assert_eq!(last_version(&device), "11");
    server.clear();
    device.synced();
    assert_eq!(told(&server), Value::Null);
}

#[test]
fn a_new_entity_is_told_to_the_others_and_pulled_on_its_own() {
    let server = Canned::start();
    let device = at_version_10(&server, &json!({"migrations": "auto"}));
    device.synced();
    device.ask("SELECT sync_track('list')");
    server.clear();
    let answer = device.sync_only(&["list", "task"]);
    assert_eq!(answer["state"], "synced", "{answer}");
    let seen: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| (query(&seen.path, "tables"), migration_of(&seen.path)))
        .collect();
    let told = json!({"from": 10, "tables": ["list"], "columns": []});
    assert_eq!(
        seen,
        [
            (Some("list".into()), Value::Null),
            (Some("task".into()), told)
        ]
    );
}

#[test]
fn v3_a_new_column_that_no_migration_tells_of_is_pulled_from_the_beginning() {
    let server = Canned::start();
    // One that is declared is told, another one is not.
    let declared = json!({"migrationsEnabledAtVersion": 9, "migrations": [
        {"toVersion": 10, "steps": []},
        {"toVersion": 11, "steps": [{"type": "add_columns", "table": "task", "columns": ["shade"]}]}]});
    for (migrations, column, begins) in [
        (json!({}), "colour", true),
        (json!({"migrations": "auto"}), "colour", false),
        (declared.clone(), "shade", false),
        (declared, "colour", true),
    ] {
        let device = at_version_10(&server, &migrations);
        device.synced();
        device.exec(&format!("ALTER TABLE task ADD COLUMN {column} TEXT"));
        device.exec("PRAGMA user_version = 11");
        server.clear();
        let answer = device.synced();
        let paths: Vec<String> = server.seen().into_iter().map(|seen| seen.path).collect();
        let since = query(&paths[0], "last_pulled_at");
        assert_eq!(
            since.as_deref() == Some("null"),
            begins,
            "{migrations} {column}"
        );
        // What was deleted since is told only from where the entity was.
        assert_eq!(paths.len(), 1 + usize::from(begins), "{paths:?}");
        let codes = answer["warnings"].as_array().expect("a list").len();
        assert_eq!(codes, usize::from(begins), "{answer}");
        assert_eq!(
            migration_of(&paths[0]) == Value::Null,
            begins,
            "{migrations} {column}"
        );
        // Once is enough.
        server.clear();
        device.synced();
        let since = query(&server.seen()[0].path, "last_pulled_at");
        assert_ne!(since.as_deref(), Some("null"), "{migrations} {column}");
    }
}

#[test]
fn a_column_that_goes_and_comes_back_is_told() {
    let server = Canned::start();
    let device = at_version_10(&server, &json!({"migrations": "auto"}));
    device.synced();
    device.ask("SELECT sync_alter('task', 'ALTER TABLE task DROP COLUMN note')");
    device.synced();
    assert_eq!(columns(&device), r#"["title","done","n"]"#);
    device.exec("ALTER TABLE task ADD COLUMN note TEXT");
    server.clear();
    device.synced();
    assert_eq!(
        told(&server)["columns"],
        json!([{"table": "task", "columns": ["note"]}])
    );
}

#[test]
fn excluded_columns_are_not_told_until_they_are_synced() {
    let server = Canned::start();
    let excluding = json!({"migrations": "auto", "excludeColumns": {"task": ["note"]}});
    let device = at_version_10(&server, &excluding);
    device.synced();
    server.clear();
    device.synced();
    assert_eq!(told(&server), Value::Null);
    device.provider(&server.url(), json!({"migrations": "auto"}));
    server.clear();
    device.synced();
    assert_eq!(
        told(&server)["columns"],
        json!([{"table": "task", "columns": ["note"]}])
    );
}

/// Rule P6 of a backend: rows whose new column is not the default come again.
#[test]
fn old_rows_get_their_new_columns() {
    let both = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT);
        CREATE TABLE u (id TEXT PRIMARY KEY NOT NULL, c TEXT);";
    let backend = Backend::start(both);
    backend.sql(|db| {
        db.execute_batch("INSERT INTO t VALUES ('1', 'x', 'new'), ('2', 'x', NULL); INSERT INTO u VALUES ('3', 'y')")
    });
    for config in [
        json!({"migrations": "auto"}),
        json!({"schemaVersion": 2, "migrationsEnabledAtVersion": 1, "migrations": [{"toVersion": 2, "steps": [
            {"type": "add_columns", "table": "t", "columns": ["b"]}, {"type": "create_table", "name": "u"}]}]}),
    ] {
        let old = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT)";
        let device = Device::with(old, &["t"], &backend.sync_url());
        device.synced();
        device.exec("ALTER TABLE t ADD COLUMN b TEXT; CREATE TABLE u (id TEXT PRIMARY KEY NOT NULL, c TEXT)");
        device.ask("SELECT sync_track('u')");
        device.provider(&backend.sync_url(), config.clone());
        let answer = device.sync_only(&["t", "u"]);
        assert_eq!(answer["state"], "synced", "{config}: {answer}");
        assert_equal(&device, &backend, &["t", "u"]);
        assert_eq!(device.pending(), "", "{config}");
    }
}
