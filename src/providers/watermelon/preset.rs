//! Backends of well-known shapes: each preset is a piece of configuration.

use serde_json::{Map, Value as Json};

/// Backends that are not written by the library's own book often store a row as it was sent, `_status` and all, and
/// send it to everybody else: hence `stripMeta` in all but `docs`.
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
                "pushBody": {"changes": "{changes}", "lastPulledAt": "{lastPulledAt}"}, "stripMeta": true}"#
        }
        "camel_query" => {
            r#"{"pullUrl": "/pull?lastPulledAt={lastPulledAt}&schemaVersion={schemaVersion}",
                "pushUrl": "/push", "pushBody": {"changes": "{changes}", "lastPulledAt": "{lastPulledAt}"},
                "firstToken": 0, "rejectedPath": "$.rejected", "rejectedFormat": "list",
                "stripMeta": true}"#
        }
        "rpc" => {
            r#"{"pullMethod": "POST", "pullUrl": "/rpc/pull",
                "pullBody": {"last_pulled_at": "{lastPulledAt}"}, "pushUrl": "/rpc/push",
                "pushBody": {"changes": "{changes}"}, "firstToken": 0, "sendCreatedAsUpdated": true,
                "stripMeta": true}"#
        }
        "seconds" => {
            r#"{"pullUrl": "/sync?last_pulled_at={lastPulledAt}&schema_version={schemaVersion}&migration={migration}",
                "pushUrl": "/sync?last_pulled_at={lastPulledAt}", "sendTables": false,
                "firstToken": "omitted", "cursorUnit": "s", "boolAs": "0/1", "stripMeta": true}"#
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
