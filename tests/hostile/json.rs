//! JSON made to break its reader: nested ten thousand deep, or very long, in every place that takes JSON.
//! An error that is short and says so, or an answer; the process stands.

use serde_json::{Value, json};
use support::{Canned, Device, try_ask};

const DEPTH: usize = 10_000;

fn deep() -> Vec<(&'static str, String)> {
    let of =
        |open: &str, middle: &str, close: &str| open.repeat(DEPTH) + middle + &close.repeat(DEPTH);
    vec![
        ("lists", of("[", "1", "]")),
        ("objects", of("{\"a\":", "1", "}")),
        ("both", of("[{\"a\":", "1", "}]")),
        ("no end", "[{\"a\":".repeat(DEPTH)),
    ]
}

/// A call with a text: refused in few words, or answered in few.
fn short(device: &Device, sql: &str, json: &str) -> Result<String, String> {
    let answer = device
        .db
        .query_row(sql, [json], |row| row.get::<_, Option<String>>(0));
    let answer = answer
        .map(Option::unwrap_or_default)
        .map_err(|error| error.to_string());
    let shown = match &answer {
        Ok(text) | Err(text) => text,
    };
    assert!(shown.len() < 4_000, "{sql}: {} bytes", shown.len());
    assert!(!shown.contains("panic"), "{sql}: {shown}");
    assert!(device.db.is_autocommit(), "{sql}");
    answer
}

#[test]
fn deep_json_in_options_and_lists_is_refused_or_kept_whole() {
    let device = Device::new("http://127.0.0.1:1/sync");
    device.ask(r#"SELECT sync_provider('host', '{"kind":"host"}')"#);
    for (what, deep) in deep() {
        for sql in [
            "SELECT sync_provider('p', ?1)",
            "SELECT sync_track('task', ?1)",
            "SELECT sync_untrack('task', ?1)",
            "SELECT sync_alter('task', 'ALTER TABLE task ADD COLUMN z', ?1)",
            "SELECT sync_start_scope('s', ?1)",
            "SELECT sync_start_scope(?1)",
            "SELECT sync_entities(?1)",
            "SELECT sync_entities('i', 'host', ?1)",
            "SELECT sync_entities('i', 'host', '[\"t\"]', ?1)",
            "SELECT sync_interrupt(?1)",
            "SELECT sync_delete_scope(?1)",
            "SELECT sync_delete_status(?1)",
            "SELECT sync_check('api', ?1)",
        ] {
            // Where text that is no object is an id, a list is one.
            let answer = short(&device, sql, &deep);
            let is_id = sql.contains("sync_interrupt(") || sql.contains("sync_delete");
            assert!(answer.is_err() || is_id, "{what}: {sql}: {answer:?}");
        }
        for key in [
            "pullBody",
            "pushBody",
            "params",
            "migrations",
            "headers",
            "firstToken",
            "replacementWhere",
        ] {
            let config = format!(r#"{{"kind":"watermelon","url":"http://x","{key}":{deep}}}"#);
            assert!(
                short(&device, "SELECT sync_provider('p', ?1)", &config).is_err(),
                "{what}: {key}"
            );
        }
        for key in [
            "operations",
            "forRowsWithValues",
            "forRowsInRange",
            "keepTempIds",
            "schema",
            "background",
        ] {
            let options = format!(r#"{{"{key}":{deep}}}"#);
            let sql = "SELECT sync_entities('i', 'host', '[\"t\"]', ?1)";
            assert!(short(&device, sql, &options).is_err(), "{what}: {key}");
        }
        let parameters = format!(r#"[{{"entity":"t","parameters":{{"x":{deep}}}}}]"#);
        assert!(
            short(
                &device,
                "SELECT sync_entities('i', 'host', ?1)",
                &parameters
            )
            .is_err(),
            "{what}"
        );
    }
    assert_eq!(device.ask("SELECT count(*) FROM _syncProvider"), "2");
}

#[test]
fn deep_json_in_a_response_fails_its_operation_or_is_kept_as_text() {
    let device = Device::new("http://127.0.0.1:1/sync");
    device.ask(r#"SELECT sync_provider('host', '{"kind":"host"}')"#);
    for settings in [
        "{}",
        r#"{"forRowsWithMatchingIds":true}"#,
        r#"{"forRowsWithValues":{"x":1}}"#,
        r#"{"operations":[{"type":"upsert-merge","primaryKey":"$.a.a.a"}]}"#,
        r#"{"operations":[{"type":"upsert-replace","records":"$.items"}]}"#,
        r#"{"operations":[{"type":"find-replace","find":"$.x","replace":"y"}]}"#,
    ] {
        for (what, deep) in deep() {
            for response in [
                deep.clone(),
                format!(r#"[{{"id":"a","x":{deep}}}]"#),
                format!(r#"[{{"id":{deep}}}]"#),
                format!(r#"{{"items":{deep}}}"#),
            ] {
                let status = device.db.query_row(
                    "SELECT sync_entities('i', 'host', '[\"local/t\"]', ?1) ->> '$.operations[0].statusId'",
                    [settings],
                    |row| row.get::<_, i64>(0),
                );
                let sql = format!("SELECT sync_apply({}, ?1)", status.expect("an operation"));
                // Twice: the second time the rows are there.
                for _ in 0..2 {
                    let answer = short(&device, &sql, &response);
                    if let Ok(text) = answer {
                        let answer: Value = serde_json::from_str(&text).expect("JSON");
                        let state = answer["state"].as_str().unwrap_or_default();
                        assert!(matches!(state, "synced" | "failed"), "{what}: {answer}");
                        let error = !answer["error"].is_null();
                        assert_eq!(error, state == "failed", "{what}: {answer}");
                    }
                }
            }
        }
    }
    let text = try_ask(
        &device.db,
        "SELECT count(*) FROM [local/t] WHERE NOT json_valid(data) AND length(data) < 10000",
    );
    assert_eq!(text.as_deref(), Ok("0"));
}

#[test]
fn long_json_is_read_to_its_end() {
    let device = Device::new("http://127.0.0.1:1/sync");
    device.ask(r#"SELECT sync_provider('host', '{"kind":"host"}')"#);
    let names: Vec<String> = (0..20_000).map(|number| format!("i{number}")).collect();
    short(
        &device,
        "SELECT sync_start_scope('s', ?1)",
        &json!(names).to_string(),
    )
    .expect("many");
    assert_eq!(device.ask("SELECT count(*) FROM _syncScopeMember"), "20000");
    let columns = json!({"columns": names}).to_string();
    assert!(short(&device, "SELECT sync_track('task', ?1)", &columns).is_err());
    let unknown: Value = names
        .iter()
        .map(|name| (name.clone(), json!(1)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for sql in [
        "SELECT sync_provider('p', ?1)",
        "SELECT sync_track('task', ?1)",
        "SELECT sync_entities(?1)",
    ] {
        assert!(short(&device, sql, &unknown.to_string()).is_err(), "{sql}");
    }
}

#[test]
fn a_wide_answer_is_one_warning_and_not_a_thousand() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    let mut changes = json!({});
    for number in 0..5_000 {
        changes[format!("table{number}")] = json!({"created": [{"id": "x"}]});
    }
    let row: Value = (0..5_000)
        .map(|number| (format!("c{number}"), json!(number)))
        .chain([("id".into(), json!("a"))])
        .collect::<serde_json::Map<_, _>>()
        .into();
    changes["task"] = json!({"created": [row]});
    server.changes(changes);
    let summary = device.synced();
    let warnings = summary["warnings"].as_array().expect("a list");
    let codes: Vec<_> = warnings.iter().map(|warning| &warning["code"]).collect();
    assert_eq!(
        codes,
        ["rowsOfUnknownColumns", "unaskedTables", "missingEntity"],
        "{summary}"
    );
    assert!(summary.to_string().len() < 4_000);
    assert_eq!(device.ask("SELECT id FROM task"), "a");
    // Keys beside the changes are kept for the program, up to a limit.
    let mut answer = json!({"changes": {}, "timestamp": 9});
    for number in 0..5_000 {
        answer[format!("key{number}")] = json!("x".repeat(300));
    }
    server.pull(&answer.to_string());
    assert_eq!(device.failed()["class"], "protocol");
}
