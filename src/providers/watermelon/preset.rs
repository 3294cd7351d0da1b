//! Backends of well-known shapes: each preset is a piece of configuration.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// The shapes that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    Docs,
    Seed,
    CamelQuery,
    Rpc,
    Seconds,
}

impl Preset {
    fn text(self) -> &'static str {
        match self {
            Self::Docs => {
                r#"{"pullUrl": "/sync?last_pulled_at={lastPulledAt}&schema_version={schemaVersion}&migration={migration}",
                    "pushUrl": "/sync?last_pulled_at={lastPulledAt}", "sendTables": false}"#
            }
            Self::Seed => {
                r#"{"pullMethod": "POST", "pullUrl": "/api/sync/pull",
                    "pullBody": {"lastPulledAt": "{lastPulledAt}"}, "pushUrl": "/api/sync/push",
                    "pushBody": {"changes": "{changes}", "lastPulledAt": "{lastPulledAt}"}}"#
            }
            Self::CamelQuery => {
                r#"{"pullUrl": "/pull?lastPulledAt={lastPulledAt}&schemaVersion={schemaVersion}",
                    "pushUrl": "/push", "pushBody": {"changes": "{changes}", "lastPulledAt": "{lastPulledAt}"},
                    "firstToken": 0, "rejectedPath": "$.rejected", "rejectedFormat": "list"}"#
            }
            Self::Rpc => {
                r#"{"pullMethod": "POST", "pullUrl": "/rpc/pull",
                    "pullBody": {"last_pulled_at": "{lastPulledAt}"}, "pushUrl": "/rpc/push",
                    "pushBody": {"changes": "{changes}"}, "firstToken": 0, "sendCreatedAsUpdated": true}"#
            }
            Self::Seconds => {
                r#"{"pullUrl": "/sync?last_pulled_at={lastPulledAt}&schema_version={schemaVersion}&migration={migration}",
                    "pushUrl": "/sync?last_pulled_at={lastPulledAt}", "sendTables": false,
                    "firstToken": "omitted", "cursorUnit": "s", "boolAs": "0/1"}"#
            }
        }
    }

    /// The keys that it fills in where the configuration has none.
    ///
    /// # Errors
    /// A preset that is not JSON, which a test rules out.
    pub fn keys(self) -> Result<Map<String, Json>, String> {
        serde_json::from_str(self.text()).map_err(|error| format!("preset {self:?}: {error}"))
    }
}
