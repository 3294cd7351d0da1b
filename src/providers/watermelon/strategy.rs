//! `experimentalStrategy` of a pull answer: whether a table's rows are changes, or all there is.

use std::collections::HashMap;

use serde_json::Value as Json;

use crate::ground::SyncError;

/// For each table of the answer, whether it is replaced.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Strategy {
    default: bool,
    overrides: HashMap<String, bool>,
}

impl Strategy {
    /// Reads `"incremental"`, `"replacement"`, or `{"default":…,"override":{table:…}}`; null and what an
    /// object leaves out are incremental.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(value: &Json) -> Result<Self, SyncError> {
        match value {
            Json::Null => Ok(Self::default()),
            Json::Object(members) => {
                let mut strategy = Self::default();
                for (key, value) in members {
                    match (key.as_str(), value) {
                        ("default", value) => strategy.default = replaces(value)?,
                        ("override", Json::Object(tables)) => {
                            for (table, value) in tables {
                                strategy.overrides.insert(table.clone(), replaces(value)?);
                            }
                        }
                        ("override", Json::Null) => {}
                        ("override", other) => return Err(invalid(other)),
                        _ => {}
                    }
                }
                Ok(strategy)
            }
            word => Ok(Self {
                default: replaces(word)?,
                overrides: HashMap::new(),
            }),
        }
    }

    /// Whether what the answer holds of a table is all there is.
    pub fn replaces(&self, table: &str) -> bool {
        self.overrides.get(table).copied().unwrap_or(self.default)
    }

    /// Whether any table may be replaced.
    pub fn replaces_any(&self) -> bool {
        self.default || self.overrides.values().any(|replaces| *replaces)
    }
}

fn replaces(value: &Json) -> Result<bool, SyncError> {
    match value.as_str() {
        Some("replacement") => Ok(true),
        Some("incremental") => Ok(false),
        _ => Err(invalid(value)),
    }
}

fn invalid(value: &Json) -> SyncError {
    let shown: String = value.to_string().chars().take(60).collect();
    SyncError::protocol(
        "the answer's experimentalStrategy is neither \"incremental\" nor \"replacement\"; nothing was applied",
    )
    .saying(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_and_overrides() {
        for (value, a, b) in [
            (json!(null), false, false),
            (json!("incremental"), false, false),
            (json!("replacement"), true, true),
            (json!({"default": "replacement"}), true, true),
            (
                json!({"default": "replacement", "override": {"a": "incremental"}}),
                false,
                true,
            ),
            (
                json!({"default": "incremental", "override": {"a": "replacement"}}),
                true,
                false,
            ),
            (json!({"override": {"a": "replacement"}}), true, false),
            (json!({"override": null}), false, false),
        ] {
            let strategy = Strategy::parse(&value).expect("valid");
            assert_eq!(
                (strategy.replaces("a"), strategy.replaces("b")),
                (a, b),
                "{value}"
            );
            assert_eq!(strategy.replaces_any(), a || b, "{value}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        for value in [
            json!("nonsense"),
            json!(1),
            json!(["replacement"]),
            json!({"default": null}),
            json!({"override": {"a": "x"}}),
            json!({"override": []}),
        ] {
            let error = Strategy::parse(&value).err().map(|error| error.text());
            assert!(
                error.unwrap_or_default().contains("experimentalStrategy"),
                "{value}"
            );
        }
    }
}
