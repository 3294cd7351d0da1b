//! Hostile names: tables, columns, keys, entities, providers, instances and scopes may be called anything.
//! No name becomes SQL, a path or a part of an address, and each comes back as it was.

use serde_json::{Value, json};
use support::{Canned, Device, query, try_ask};

const NAMES: &[&str] = &[
    "\"",
    "\"\"",
    "it's",
    "a\"b'c`d",
    "[a]",
    "]",
    "[",
    "a.b",
    "main.task",
    "new\nline",
    "\r\n\t",
    " ",
    "-- x",
    "/* x",
    "*/",
    "a; DROP TABLE victim; --",
    "'); DROP TABLE victim; --",
    "\"); DROP TABLE victim; --",
    "?1",
    ":id",
    "$x",
    "@p",
    "{newKey}",
    "{name} {table}",
    "%s%n",
    "%00",
    "select",
    "NULL",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "rowid",
    "main",
    "temp",
    "new",
    "old",
    "\u{1f422}\u{200d}\u{1f409}",
    "e\u{301}",
    "\u{202e}drawkcab",
    "\u{feff}",
    "\u{1}",
    "../../etc/passwd",
    "a/b?c&d=e#f",
    "\u{10ffff}",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

fn bound(device: &Device, sql: &str, name: &str) -> String {
    device
        .db
        .query_row(sql, [name], |row| row.get::<_, String>(0))
        .unwrap_or_else(|error| panic!("{name:?}: {sql}: {error}"))
}

/// A whole life of a row: pulled, edited, in conflict, pushed, compared, deleted.
#[test]
fn a_table_its_columns_and_its_entity_can_be_called_anything() {
    for name in NAMES {
        let server = Canned::start();
        let (table, column) = (quoted(name), quoted(&format!("{name}2")));
        let key = quoted(&format!("{name}3"));
        let schema = format!(
            "CREATE TABLE victim (x); INSERT INTO victim VALUES (1);
             CREATE TABLE {table} ({key} TEXT PRIMARY KEY NOT NULL, {column} TEXT UNIQUE, n INTEGER)"
        );
        let device = Device::with(&schema, &[], &server.url());
        let device = Device {
            entities: vec![(*name).to_owned()],
            ..device
        };
        let field = format!("{name}2");
        let tracked = bound(&device, "SELECT sync_track(?1) ->> 'table'", name);
        assert_eq!(tracked, *name);
        server.changes(json!({*name: {"created": [{"id": name, field.clone(): name, "n": 1}]}}));
        device.synced();
        assert_eq!(
            query(&server.seen()[0].path, "tables")
                .map(|tables| decoded(&tables))
                .as_deref(),
            Some(*name)
        );
        let row = format!("SELECT {key} || {column} FROM {table}");
        assert_eq!(device.ask(&row), name.repeat(2), "{name:?}");

        device.exec(&format!("UPDATE {table} SET {column} = {column} || 'x'; INSERT INTO {table} VALUES ('new row', NULL, 2)"));
        let pending = device.ask(&format!(
            "SELECT \"table\", changed FROM sync_pending WHERE key = {}",
            text(name)
        ));
        assert_eq!(pending, format!("{name}|{}", json!([field])), "{name:?}");
        server
            .changes(json!({*name: {"updated": [{"id": name, field.clone(): "theirs", "n": 3}]}}));
        server.clear();
        device.synced();
        let pushed = &server.pushed()[0][*name];
        assert_eq!(
            pushed["updated"][0][&field],
            format!("{name}x"),
            "{name:?}: {pushed}"
        );
        assert_eq!(pushed["updated"][0]["_changed"], field, "{name:?}");
        assert_eq!(pushed["created"][0]["id"], "new row", "{name:?}");
        let conflict = device.ask("SELECT entity || columns FROM sync_conflict");
        assert_eq!(conflict, format!("{name}{field},n"));

        let check: Value =
            serde_json::from_str(&device.ask("SELECT sync_check('api')")).expect("JSON");
        assert_eq!(check["entities"][0]["entity"], *name, "{check}");
        server.changes(json!({*name: {"deleted": [name, "new row"]}}));
        device.synced();
        assert_eq!(
            device.ask(&format!("SELECT count(*) FROM {table}")),
            "0",
            "{name:?}"
        );
        assert_eq!(
            (device.pending(), device.log()),
            (String::new(), "0".into()),
            "{name:?}"
        );
        device
            .db
            .query_row("SELECT sync_untrack(?1)", [name], |_| Ok(()))
            .expect("untracked");
        assert_eq!(device.ask("SELECT count(*) FROM victim"), "1");
        assert_eq!(
            device.ask(
                "SELECT count(*) FROM sqlite_master WHERE name LIKE '\\_syncCapture%' ESCAPE '\\'"
            ),
            "0"
        );
        assert_eq!(device.ask("PRAGMA integrity_check"), "ok");
    }
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).expect("hex"));
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn providers_instances_scopes_and_entities_of_a_host_can_be_called_anything() {
    let device = Device::new("http://127.0.0.1:1/");
    for name in NAMES {
        let list = json!([name]).to_string();
        for (sql, given) in [
            (r#"SELECT sync_provider(?1, '{"kind":"host"}')"#, *name),
            ("SELECT sync_start_scope('s', ?1)", &list),
            ("SELECT sync_start_scope(?1, '[\"x\"]')", name),
        ] {
            bound(&device, sql, given);
        }
        assert_eq!(
            bound(&device, "SELECT id FROM _syncProvider WHERE id = ?1", name),
            *name
        );
        assert_eq!(
            bound(&device, "SELECT id FROM sync_scope WHERE id = ?1", name),
            *name
        );
        let answer: String = device
            .db
            .query_row(
                "SELECT sync_entities(?1, ?1, ?2)",
                [name, &list.as_str()],
                |row| row.get(0),
            )
            .unwrap_or_else(|error| panic!("{name:?}: {error}"));
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let operation = &answer["operations"][0];
        assert_eq!(
            (&answer["instanceId"], &operation["entity"]),
            (&json!(name), &json!(name))
        );
        let member = bound(
            &device,
            "SELECT state FROM sync_scope_member WHERE scopeId = 's' AND instanceId = ?1",
            name,
        );
        assert_eq!(member, "syncing", "{name:?}");
        // The entity's table is made from the response.
        let applied: Value = {
            let sql = format!("SELECT sync_apply({}, ?1)", operation["statusId"]);
            let response = json!([{"id": name, "x": name}]).to_string();
            serde_json::from_str(&bound(&device, &sql, &response)).expect("JSON")
        };
        assert_eq!(applied["state"], "synced", "{name:?}: {applied}");
        let kept = device.ask(&format!(
            "SELECT id || (data ->> 'x') FROM {}",
            quoted(name)
        ));
        assert_eq!(kept, name.repeat(2), "{name:?}");
        let details = device.ask("SELECT json_valid(details) FROM _syncScope WHERE id = 's'");
        assert_eq!(details, "1");
        bound(
            &device,
            "SELECT sync_interrupt(json_object('options', json_object('id', ?1))) || ''",
            name,
        );
        bound(
            &device,
            "SELECT sync_delete_scope(json_object('options', json_object('id', ?1))) || ''",
            name,
        );
    }
    assert_eq!(device.ask("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_nul_in_a_name_is_refused_or_kept_but_never_cut() {
    let device = Device::new("http://127.0.0.1:1/");
    for (sql, look) in [
        (
            "SELECT sync_track('task' || char(0) || 'x')",
            "SELECT count(*) FROM _syncTable WHERE name NOT IN ('task', 'list')",
        ),
        (
            "SELECT sync_entities('i', 'api' || char(0), '[]')",
            "SELECT count(*) FROM _syncInstance",
        ),
        (
            "SELECT sync_entities('i', 'api', '[\"task\\u0000\"]')",
            "SELECT count(*) FROM _syncStatus",
        ),
        (
            "SELECT sync_track('task', '{\"columns\":[\"title\\u0000\"]}')",
            "SELECT count(*) FROM _syncTable WHERE options LIKE '%u0000%'",
        ),
        (
            "SELECT sync_alter('task' || char(0), 'ALTER TABLE task ADD COLUMN z')",
            "SELECT count(*) FROM pragma_table_info('task') WHERE name = 'z'",
        ),
        (
            "SELECT sync_alter('task', 'ALTER TABLE task ADD COLUMN z' || char(0) || '; DROP TABLE list')",
            "SELECT count(*) FROM pragma_table_info('task') WHERE name = 'z'",
        ),
        (
            "SELECT sync_resolver('task', 'sql2', ':local' || char(0))",
            "SELECT count(*) FROM _syncResolver",
        ),
        ("SELECT sync_init('main' || char(0))", "SELECT 0"),
    ] {
        let answer = try_ask(&device.db, sql);
        assert!(answer.is_err(), "{sql}: {answer:?}");
        assert_eq!(device.ask(look), "0", "{sql}");
    }
    // Names of provider, scope and instance are values.
    for sql in [
        r#"SELECT sync_provider('p' || char(0) || 'q', '{"kind":"host"}')"#,
        "SELECT sync_start_scope('p' || char(0) || 'q', '[]')",
    ] {
        if let Ok(answer) = try_ask(&device.db, sql) {
            let whole = answer == "p\0q" || answer == "synced";
            assert!(whole, "{sql}: {answer:?}");
        }
    }
    let cut = "SELECT count(*) FROM _syncProvider WHERE id = 'p' OR (id > 'p' AND id < 'q' AND length(hex(id)) < 6)";
    assert_eq!(device.ask(cut), "0");
    assert_eq!(
        device.ask("SELECT count(*) FROM _syncScope WHERE id = 'p'"),
        "0"
    );
}
