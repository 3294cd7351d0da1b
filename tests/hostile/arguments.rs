//! What no name may be is refused by every function, wherever it takes a name, in the same words, and
//! changes nothing.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::types::Value;
use support::scopes::picture;
use support::{World, ask};

/// Calls with a place for a name (`?1`), and what the error calls it.
const NAMES: &[(&str, &str)] = &[
    ("sync_init(?1)", "schema"),
    ("sync_provider(?1, '{\"kind\":\"host\"}')", "id"),
    ("sync_secret(?1, 'value', 'https://example.com')", "name"),
    ("sync_secret('name', ?1, 'https://example.com')", "value"),
    ("sync_secret('name', 'value', ?1)", "origin"),
    ("sync_track(?1)", "table"),
    ("sync_untrack(?1)", "table"),
    ("sync_capture_existing(?1)", "table"),
    ("sync_capture_off(?1)", "table"),
    ("sync_capture_on(?1)", "table"),
    ("sync_alter(?1, 'ALTER TABLE t ADD COLUMN more')", "table"),
    ("sync_alter('t', ?1)", "sql"),
    ("sync_resolver(?1, 'columns')", "entity"),
    ("sync_resolver('t', ?1)", "policy"),
    ("sync_resolver('t', 'lastWriteWins', ?1)", "argument"),
    ("sync_takeover(?1)", "provider"),
    ("sync_start_scope(?1, '[]')", "id"),
    ("sync_start_scope('s', ?1)", "instance_ids"),
    ("sync_entities(?1, 'host', '[\"e\"]')", "instance_id"),
    ("sync_entities('i', ?1, '[\"e\"]')", "provider"),
    ("sync_entities('i', 'host', ?1)", "entities"),
    ("sync_set_status(1, ?1)", "state"),
    ("sync_set_status(1, 'failed', ?1)", "error"),
    ("sync_apply(?1, '[]')", "status id"),
    ("sync_has_pending(?1)", "provider"),
    ("sync_is_stale(?1, 1)", "provider"),
    ("sync_retry(?1, 'a')", "table"),
    ("sync_discard(?1, 'a')", "table"),
    ("sync_delete_scope(?1)", "id"),
    ("sync_delete_status(?1)", "status id"),
    ("sync_interrupt(?1)", "scope_id"),
    ("sync_interrupt('s', ?1)", "reason"),
    ("sync_check(?1)", "provider"),
    ("sync_upload_once(?1)", "provider"),
    ("sync_download_once(?1)", "provider"),
    ("sync_download_all(?1)", "provider"),
    ("sync_hydrate(?1)", "provider"),
    ("sync_once(?1)", "provider"),
    ("sync_detach(?1)", "provider"),
    ("sync_function(?1, 'f', NULL)", "provider"),
    ("sync_function('shop', ?1, NULL)", "id"),
    ("sync_function('shop', 'f', NULL, ?1)", "schema"),
    ("sync_try_function(?1, 'f')", "provider"),
    ("sync_import_openapi(?1, '{}')", "provider"),
    ("sync_import_postman(?1, '{}')", "provider"),
    ("sync_try_function('shop', ?1)", "id"),
    ("sync_cancel(1, ?1)", "schema"),
    ("sync_pause(?1)", "what"),
    ("sync_pause('all', ?1)", "provider"),
    ("sync_resume(?1)", "what"),
    ("sync_auto(?1)", "provider"),
    ("sync_wait_current(?1)", "provider"),
    ("sync_due(?1)", "schema"),
    ("sync_run_due(?1)", "schema"),
    ("sync_resume('all', ?1)", "provider"),
    ("sync_recover(?1)", "schema"),
    ("sync_heartbeat(?1)", "schema"),
];

/// The same with a place for a piece of JSON, at `NAME`.
const JSON_NAMES: &[(&str, &str)] = &[
    (
        "sync_provider('p', '{\"kind\":\"host\",\"schema\":NAME}')",
        "config: schema",
    ),
    (
        "sync_track('t', '{\"columns\":[\"x\",NAME]}')",
        "options.columns[1]",
    ),
    (
        "sync_track('t', '{\"exclude\":[NAME]}')",
        "options.exclude[0]",
    ),
    ("sync_track('t', '{\"schema\":NAME}')", "options.schema"),
    ("sync_untrack('t', '{\"schema\":NAME}')", "options.schema"),
    (
        "sync_capture_existing('t', '{\"schema\":NAME}')",
        "options.schema",
    ),
    (
        "sync_alter('t', 'ALTER TABLE t ADD COLUMN more', '{\"schema\":NAME}')",
        "options.schema",
    ),
    (
        "sync_takeover('api', '{\"tables\":[NAME]}')",
        "options.tables[0]",
    ),
    (
        "sync_takeover('api', '{\"schema\":NAME}')",
        "options.schema",
    ),
    (
        "sync_detach('host', '{\"wipe\":true,\"keep\":[\"t\",NAME]}')",
        "options.keep[1]",
    ),
    ("sync_detach('host', '{\"schema\":NAME}')", "options.schema"),
    ("sync_uninstall('{\"schema\":NAME}')", "options.schema"),
    (
        "sync_try_function('shop', 'f', NULL, '{\"entity\":NAME}')",
        "options.entity",
    ),
    (
        "sync_try_function('shop', 'f', NULL, '{\"schema\":NAME}')",
        "options.schema",
    ),
    (
        "sync_import_openapi('shop', '{}', '{\"schema\":NAME}')",
        "options.schema",
    ),
    (
        "sync_import_postman('shop', '{}', '{\"schema\":NAME}')",
        "options.schema",
    ),
    ("sync_start_scope('s', '[\"a\",NAME]')", "instance_ids[1]"),
    (
        "sync_start_scope('{\"instanceId\":NAME,\"options\":{\"instanceIds\":[]}}')",
        "instanceId",
    ),
    (
        "sync_start_scope('{\"instanceId\":\"s\",\"options\":{\"instanceIds\":[NAME]}}')",
        "options.instanceIds[0]",
    ),
    (
        "sync_start_scope('{\"instanceId\":\"s\",\"options\":{\"instanceIds\":[]},\"schema\":NAME}')",
        "schema",
    ),
    ("sync_entities('i', 'host', '[NAME]')", "entities[0]"),
    (
        "sync_entities('i', 'host', '[{\"entity\":NAME}]')",
        "entities[0].entity",
    ),
    (
        "sync_entities('i', 'host', '[{\"entity\":\"e\",\"function\":NAME}]')",
        "entities[0].function",
    ),
    (
        "sync_entities('i', 'host', '[\"e\"]', '{\"schema\":NAME}')",
        "options.schema",
    ),
    (
        "sync_entities('{\"instanceId\":NAME,\"options\":{\"provider\":\"host\",\"entities\":[]}}')",
        "instanceId",
    ),
    (
        "sync_entities('{\"options\":{\"provider\":NAME,\"entities\":[]}}')",
        "options.provider",
    ),
    (
        "sync_delete_scope('{\"options\":{\"id\":NAME}}')",
        "options.id",
    ),
    (
        "sync_delete_status('{\"options\":{\"id\":\"1\"},\"schema\":NAME}')",
        "schema",
    ),
    (
        "sync_interrupt('{\"options\":{\"id\":NAME}}')",
        "options.id",
    ),
    (
        "sync_interrupt('{\"options\":{\"reason\":NAME}}')",
        "options.reason",
    ),
    (
        "sync_check('api', '{\"entities\":[NAME]}')",
        "options.entities[0]",
    ),
    ("sync_check('api', '{\"schema\":NAME}')", "options.schema"),
    (
        "sync_upload_once('api', '{\"entities\":[NAME]}')",
        "options.entities[0]",
    ),
    (
        "sync_upload_once('api', '{\"schema\":NAME}')",
        "options.schema",
    ),
    (
        "sync_download_once('api', '{\"entities\":[NAME]}')",
        "options.entities[0]",
    ),
    (
        "sync_download_once('api', '{\"schema\":NAME}')",
        "options.schema",
    ),
    (
        "sync_download_all('api', '{\"entities\":[NAME]}')",
        "options.entities[0]",
    ),
    (
        "sync_download_all('api', '{\"schema\":NAME}')",
        "options.schema",
    ),
    (
        "sync_once('api', '{\"entities\":[NAME]}')",
        "options.entities[0]",
    ),
    ("sync_once('api', '{\"schema\":NAME}')", "options.schema"),
    ("sync_auto('api', '{\"schema\":NAME}')", "options.schema"),
    ("sync_worker_start('{\"schema\":NAME}')", "options.schema"),
    (
        "sync_pause('all', 'api', '{\"schema\":NAME}')",
        "options.schema",
    ),
    (
        "sync_resume('all', 'api', '{\"schema\":NAME}')",
        "options.schema",
    ),
];

/// Functions that take nothing.
const WITHOUT_NAMES: &[&str] = &[
    "sync_version",
    "sync_debug",
    "sync_next_request",
    "sync_worker_stop",
    "sync_wait",
    "sync_put_response",
];

/// A file in which every call of the lists would succeed, or fail for another reason, with a good name.
fn furnished() -> (World, Connection) {
    let world = World::new(false);
    let db = world.ready();
    db.execute_batch("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, x TEXT)")
        .expect("schema");
    ask(
        &db,
        r#"SELECT sync_provider('api', '{"kind":"watermelon","url":"http://127.0.0.1:1/"}')"#,
    );
    ask(
        &db,
        r#"SELECT sync_provider('shop', '{"kind":"rest","url":"http://127.0.0.1:1/","attempts":1}')"#,
    );
    ask(&db, r#"SELECT sync_function('shop', 'f', '{"path":"/"}')"#);
    ask(&db, "SELECT sync_track('t')");
    ask(&db, r#"SELECT sync_entities('i', 'host', '["e"]')"#);
    (world, db)
}

/// All that a call may have changed.
fn everything(db: &Connection) -> String {
    let tables = [
        "SELECT id, kind, config FROM _syncProvider",
        "SELECT * FROM _syncTable",
        "SELECT * FROM _syncResolver",
        "SELECT sql FROM sqlite_master",
    ];
    let shown: Vec<String> = tables.iter().map(|sql| ask(db, sql)).collect();
    format!("{} {}", picture(db), shown.join("\n--\n"))
}

fn assert_refused(db: &Connection, call: &str, value: Option<&Value>, said: &str) {
    let sql = format!("SELECT {call}");
    let answer = match value {
        Some(value) => db.query_row(&sql, [value], |row| row.get::<_, Value>(0)),
        None => db.query_row(&sql, [], |row| row.get(0)),
    };
    let error = match answer {
        Ok(answer) => panic!("{sql} {value:?}: not refused, but {answer:?}"),
        Err(error) => error.to_string(),
    };
    let function = call.split('(').next().expect("a name");
    assert!(
        error.starts_with(&format!("{function}: {said}")),
        "{sql} {value:?}: {error}"
    );
}

#[test]
fn a_bad_name_is_refused_by_every_function() {
    let (_world, db) = furnished();
    let before = everything(&db);
    for (call, name) in NAMES {
        for (bad, said) in [
            ("", "is empty"),
            ("\0", "holds a NUL character"),
            ("a\0b", "holds a NUL character"),
            ("a\0", "holds a NUL character"),
        ] {
            let said = format!("{name} {said}");
            assert_refused(&db, call, Some(&Value::Text(bad.into())), &said);
        }
        let must = match *name {
            "status id" => format!("{name} must be an integer, not "),
            _ => format!("{name} must be text, not "),
        };
        for bad in [Value::Blob(b"a".to_vec()), Value::Real(1.5)] {
            assert_refused(&db, call, Some(&bad), &must);
        }
    }
    assert_eq!(everything(&db), before);
}

#[test]
fn a_bad_name_within_json_is_refused_by_every_function() {
    let (_world, db) = furnished();
    let before = everything(&db);
    for (call, name) in JSON_NAMES {
        for (bad, said) in [
            (r#""""#, "is empty"),
            (r#""\u0000""#, "holds a NUL character"),
            (r#""a\u0000b""#, "holds a NUL character"),
            ("7", "must be text"),
            ("[]", "must be text"),
        ] {
            let call = call.replace("NAME", bad);
            assert_refused(&db, &call, None, &format!("{name} {said}"));
        }
    }
    assert_eq!(everything(&db), before);
}

#[test]
fn a_bad_name_is_refused_by_writable_tables() {
    let (_world, db) = furnished();
    let before = everything(&db);
    for (sql, said) in [
        (
            "INSERT INTO sync_scope (id, instanceIds) VALUES ('', '[]')",
            "id is empty",
        ),
        (
            "INSERT INTO sync_scope (id, instanceIds) VALUES ('a' || char(0), '[]')",
            "id holds a NUL character",
        ),
        (
            "INSERT INTO sync_scope (id, instanceIds) VALUES ('s', '[\"a\\u0000\"]')",
            "instanceIds[0] holds a NUL character",
        ),
    ] {
        let error = db.execute_batch(sql).expect_err(sql).to_string();
        assert!(error.contains(said), "{sql}: {error}");
    }
    assert_eq!(everything(&db), before);
}

#[test]
fn no_function_is_left_out() {
    let (_world, db) = furnished();
    let calls = NAMES.iter().chain(JSON_NAMES).map(|(call, _)| *call);
    let named: BTreeSet<&str> = calls
        .chain(WITHOUT_NAMES.iter().copied())
        .filter_map(|call| call.split('(').next())
        .collect();
    let listed = ask(
        &db,
        "SELECT name FROM sync_help WHERE kind LIKE '%function'",
    );
    assert_eq!(named, listed.lines().collect());
}
