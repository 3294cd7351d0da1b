//! What an answer has that nobody knows, and lacks that was asked for, is warned of; and warnings can be silenced.

use serde_json::{Value, json};
use support::{Canned, Device, root};
use syncscope::ground::WARNING_CODES;

const SCHEMA: &str = "CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL, name TEXT);
    CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, due_at INTEGER);";

fn warnings(options: Value, changes: Value) -> Vec<(String, Value, i64, String)> {
    let server = Canned::start();
    let device = Device::configured(SCHEMA, &["list", "task"], &server.url(), options);
    server.changes(changes);
    let answer = device.synced();
    let warnings = answer["warnings"].as_array().expect("warnings").iter();
    warnings
        .map(|warning| {
            (
                warning["code"].as_str().unwrap_or_default().to_owned(),
                warning["entity"].clone(),
                warning["count"].as_i64().unwrap_or(0),
                warning["message"].as_str().unwrap_or_default().to_owned(),
            )
        })
        .collect()
}

#[test]
fn v6_what_nobody_knows_is_named_and_counted() {
    for (changes, code, entity, count, named) in [
        (
            json!({"list": {"removed": ["q", "r"]}, "task": {}}),
            "unknownList",
            json!("list"),
            2,
            "\"removed\"",
        ),
        (
            json!({"list": {"Created": [{"id": "a"}]}, "task": {}}),
            "unknownList",
            json!("list"),
            1,
            "\"Created\"",
        ),
        (
            json!({"list": {}}),
            "missingEntity",
            Value::Null,
            1,
            "\"task\"",
        ),
        (
            json!({"list": {}, "task": {"created": [{"id": "a", "dueAt": 5}, {"id": "b", "dueAt": 6}]}}),
            "rowsOfUnknownColumns",
            json!("task"),
            2,
            "\"dueAt\"",
        ),
        (
            json!({"list": {}, "task": {}, "Ghost": {}, "Other": {}}),
            "unaskedTables",
            Value::Null,
            2,
            "\"Ghost\", \"Other\"",
        ),
    ] {
        let found = warnings(json!({}), changes);
        assert_eq!(found.len(), 1, "{found:?}");
        let (its_code, its_entity, its_count, message) = &found[0];
        assert_eq!(
            (its_code.as_str(), its_entity, *its_count),
            (code, &entity, count)
        );
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn v6_what_loses_nothing_is_not_warned_of() {
    for changes in [
        json!({}),
        json!({"list": {"created": [], "removed": [], "total": 5}, "task": null}),
        json!({"list": {"created": [{"id": "a"}]}, "task": {"updated": []}}),
    ] {
        assert_eq!(warnings(json!({}), changes), []);
    }
}

/// Backends that name only the tables of which something has changed.
#[test]
fn v6_an_entity_of_which_nothing_has_changed_is_not_missing() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["list", "task"], &server.url());
    let codes = |changes: Value| -> Vec<Value> {
        server.changes(changes);
        let answer = device.synced();
        let warnings = answer["warnings"].as_array().expect("warnings").iter();
        warnings.map(|warning| warning["code"].clone()).collect()
    };
    // From the beginning a table that is empty there can't be told from one that is called otherwise.
    assert_eq!(
        codes(json!({"list": {"created": [{"id": "a"}]}})),
        ["missingEntity"]
    );
    for silent in [
        json!({"list": {"created": [{"id": "b"}]}}),
        json!({"task": {"created": [{"id": "b"}]}}),
    ] {
        assert_eq!(codes(silent), [] as [Value; 0]);
    }
    assert_eq!(codes(json!({"list": {}, "ghost": {}})), ["unaskedTables"]);
    for other in ["Task", "tasks", "TASKS", "ta_sk"] {
        let mut changes = json!({"list": {"updated": [{"id": "b"}]}});
        changes[other] = json!({"created": [{"id": "d"}]});
        assert_eq!(
            codes(changes),
            ["unaskedTables", "missingEntity"],
            "{other}"
        );
    }
    device.exec("DELETE FROM _syncCursor");
    assert_eq!(codes(json!({"list": {}})), ["missingEntity"]);
}

#[test]
fn v6_a_warning_is_silenced_by_its_code() {
    let odd = || json!({"list": {"removed": ["q"]}, "Ghost": {}});
    let codes = |options| -> Vec<String> {
        let found = warnings(options, odd()).into_iter();
        found.map(|warning| warning.0).collect()
    };
    assert_eq!(
        codes(json!({})),
        ["unknownList", "unaskedTables", "missingEntity"]
    );
    assert_eq!(
        codes(json!({"quiet": ["unaskedTables", "missingEntity"]})),
        ["unknownList"]
    );
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["list"], &server.url());
    let said = device.refused(
        r#"SELECT sync_provider('q', '{"kind":"watermelon","url":"http://x","quiet":["unasktTables"]}')"#,
    );
    assert!(said.contains(r#"did you mean "unaskedTables"?"#), "{said}");
}

/// Whoever adds a warning lists its code, else nobody could silence it.
#[test]
fn v6_every_code_of_a_warning_is_listed_and_described() {
    let mut codes = std::collections::BTreeSet::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("src") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for call in text.split("Warning::new(").skip(1) {
                let code = call.trim_start().strip_prefix('"');
                codes.extend(
                    code.and_then(|rest| rest.split('"').next())
                        .map(str::to_owned),
                );
            }
        }
    }
    let listed: Vec<&str> = codes.iter().map(String::as_str).collect();
    assert_eq!(WARNING_CODES, listed);
    let reference = std::fs::read_to_string(root().join("docs/reference.md")).expect("docs");
    for code in listed {
        assert!(reference.contains(&format!("| `{code}` |")), "{code}");
    }
}
