//! `experimentalStrategy`: which tables of an answer are complete sets, to replace what clients have.

use std::collections::BTreeMap;

use serde_json::Value;

/// `"incremental"`, `"replacement"`, or `{"default":…,"override":{"table":…}}`.
#[derive(Clone, Debug)]
pub struct Strategy {
    json: Value,
    default: bool,
    tables: BTreeMap<String, bool>,
}

impl Strategy {
    /// Reads a strategy, which is answered as it was written. `override` may be left out.
    pub fn parse(value: &Value) -> Result<Strategy, String> {
        let Value::Object(object) = value else {
            return Ok(Strategy {
                json: value.clone(),
                default: is_replacement(value)?,
                tables: BTreeMap::new(),
            });
        };
        if let Some(other) = object
            .keys()
            .find(|key| !matches!(key.as_str(), "default" | "override"))
        {
            return Err(format!("strategy: unknown key {other}"));
        }
        let default = object
            .get("default")
            .ok_or("strategy: default is missing")?;
        let tables = match object.get("override") {
            None => BTreeMap::new(),
            Some(Value::Object(tables)) => tables
                .iter()
                .map(|(table, strategy)| Ok((table.clone(), is_replacement(strategy)?)))
                .collect::<Result<_, String>>()?,
            Some(_) => return Err("strategy: override: an object".to_string()),
        };
        Ok(Strategy {
            json: value.clone(),
            default: is_replacement(default)?,
            tables,
        })
    }

    /// Whether the table's set must be complete.
    pub fn replaces(&self, table: &str) -> bool {
        self.tables.get(table).copied().unwrap_or(self.default)
    }

    /// What the answer says.
    pub fn json(&self) -> &Value {
        &self.json
    }
}

fn is_replacement(value: &Value) -> Result<bool, String> {
    match value.as_str() {
        Some("incremental") => Ok(false),
        Some("replacement") => Ok(true),
        _ => Err(format!(
            "strategy: not \"incremental\" or \"replacement\": {value}"
        )),
    }
}
