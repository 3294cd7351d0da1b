//! Backends of well-known shapes: each preset is a piece of configuration.

use serde_json::{Map, Value as Json};

pub const NAMES: &[&str] = &["docs", "seed", "camel_query", "rpc", "seconds"];

fn text(name: &str) -> &'static str {
    match name {
        "docs" => {
            r#"{"pullUrl": "/sync?last_pulled_at={lastPulledAt}&schema_version={schemaVersion}&migration={migration}",
                "pushUrl": "/sync?last_pulled_at={lastPulledAt}", "sendTables": false}"#
        }
        "seed" => {
            r#"{"pullMethod": "POST", "pullUrl": "/api/sync/pull",
                "pullBody": {"lastPulledAt": "{lastPulledAt}"}, "pushUrl": "/api/sync/push",
                "pushBody": {"changes": "{changes}", "lastPulledAt": "{lastPulledAt}"}}"#
        }
        "camel_query" => {
            r#"{"pullUrl": "/pull?lastPulledAt={lastPulledAt}&schemaVersion={schemaVersion}",
                "pushUrl": "/push", "pushBody": {"changes": "{changes}", "lastPulledAt": "{lastPulledAt}"},
                "firstToken": 0, "rejectedPath": "$.rejected", "rejectedFormat": "list"}"#
        }
        "rpc" => {
            r#"{"pullMethod": "POST", "pullUrl": "/rpc/pull",
                "pullBody": {"last_pulled_at": "{lastPulledAt}"}, "pushUrl": "/rpc/push",
                "pushBody": {"changes": "{changes}"}, "firstToken": 0, "sendCreatedAsUpdated": true}"#
        }
        "seconds" => {
            r#"{"pullUrl": "/sync?last_pulled_at={lastPulledAt}&schema_version={schemaVersion}&migration={migration}",
                "pushUrl": "/sync?last_pulled_at={lastPulledAt}", "sendTables": false,
                "firstToken": "omitted", "cursorUnit": "s", "boolAs": "0/1"}"#
        }
        _ => "{}",
    }
}

/// The keys that the preset of a configuration fills in where it has none.
pub fn fill(given: &Map<String, Json>) -> Map<String, Json> {
    let name = given.get("preset").and_then(Json::as_str);
    // That each is JSON, and fits the keys, is tested.
    serde_json::from_str(text(name.unwrap_or_default())).unwrap_or_default()
}
