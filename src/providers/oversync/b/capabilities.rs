//! What a server says of itself before anything else.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::memory::{Bytes, Limits};
use crate::ground::{Class, SyncError, quoted};
use crate::providers::oversync::tables::Tables;

/// What it must be able to do.
const REQUIRED: &[&str] = &[
    "bundle_push",
    "bundle_pull",
    "connect_lifecycle",
    "push_session_chunking",
    "committed_bundle_row_fetch",
    "snapshot_chunking",
];

/// The version of the protocol.
const VERSION: &str = "v1";

/// Rows and bundles at a time, where the server does not say.
const USUAL: u64 = 1000;

const USUAL_BYTES: &str = "default_bytes_per_snapshot_chunk";

const MOST_BYTES: &str = "max_bytes_per_snapshot_chunk";

/// Limits of the later revision; none is above the one beside it.
const LATER_LIMITS: &[(&str, &str)] = &[
    (
        "default_rows_per_snapshot_chunk",
        "max_rows_per_snapshot_chunk",
    ),
    (USUAL_BYTES, MOST_BYTES),
    ("max_bytes_per_snapshot_row", MOST_BYTES),
    (
        "max_concurrent_snapshot_builds",
        "max_concurrent_snapshot_builds",
    ),
    (
        "max_concurrent_snapshot_chunk_requests",
        "max_concurrent_snapshot_chunk_requests",
    ),
];

/// What a server says.
#[derive(Debug, Clone, Deserialize)]
pub struct Capabilities {
    pub protocol_version: String,
    registered_table_specs: Option<Vec<Spec>>,
    features: Option<Map<String, Json>>,
    bundle_limits: Option<Map<String, Json>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Spec {
    schema: String,
    table: String,
    /// It is one.
    sync_key_columns: Option<Vec<String>>,
}

impl Capabilities {
    /// None of what is no such answer: the server speaks another protocol.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// How much at a time.
    pub fn limits(&self) -> Limits {
        let number = |key: &str| self.limit(key);
        let rows =
            |default: &str, most: &str| number(default).or(number(most)).unwrap_or(USUAL).max(1);
        Limits {
            push_rows: rows("default_rows_per_push_chunk", "max_rows_per_push_chunk"),
            committed_rows: rows(
                "default_rows_per_committed_bundle_chunk",
                "max_rows_per_committed_bundle_chunk",
            ),
            snapshot_rows: rows(
                "default_rows_per_snapshot_chunk",
                "max_rows_per_snapshot_chunk",
            ),
            bundles: number("max_bundles_per_pull").unwrap_or(USUAL).max(1),
            snapshot_bytes: self.is_later().then(|| Bytes {
                usual: number(USUAL_BYTES).unwrap_or(1),
                most: number(MOST_BYTES).unwrap_or(1),
            }),
        }
    }

    fn limit(&self, key: &str) -> Option<u64> {
        self.bundle_limits.as_ref()?.get(key)?.as_u64()
    }

    /// Whether the server speaks the later revision, which counts the bytes of snapshots.
    fn is_later(&self) -> bool {
        let mut limits = self.bundle_limits.iter().flat_map(Map::keys);
        limits.any(|key| key.contains("bytes_per_snapshot"))
    }

    /// Whether it is what this version speaks.
    ///
    /// # Errors
    /// Another version, or something missing.
    pub fn require_spoken(&self) -> Result<(), SyncError> {
        if self.protocol_version != VERSION {
            return Err(unable(format!(
                "the backend speaks version {} of the protocol, and syncscope {VERSION}; update the older of the two",
                quoted(&self.protocol_version)
            )));
        }
        let has = |name: &str| {
            let features = self.features.as_ref();
            features.and_then(|all| all.get(name)) == Some(&Json::Bool(true))
        };
        let missing = REQUIRED.iter().find(|name| !has(name));
        match missing {
            None if self.is_later() => self.require_whole(),
            None => Ok(()),
            Some(name) => Err(unable(format!(
                "the backend can't do what the protocol needs ({name}); update it"
            ))),
        }
    }

    /// Whether nothing is missing of what the later revision must say.
    fn require_whole(&self) -> Result<(), SyncError> {
        for (usual, most) in LATER_LIMITS {
            let limit = |name: &str| {
                self.limit(name).filter(|number| *number > 0).ok_or_else(|| {
                    unable(format!(
                        "the backend does not say its limit {name} as a whole number above 0; correct its configuration"
                    ))
                })
            };
            if limit(usual)? > limit(most)? {
                return Err(unable(format!(
                    "the backend's limit {usual} is above its {most}; correct its configuration"
                )));
            }
        }
        let Some(specs) = &self.registered_table_specs else {
            return Err(unable(
                "the backend does not say which tables it has (registered_table_specs); update it"
                    .to_owned(),
            ));
        };
        let mut names = HashSet::new();
        for spec in specs {
            let (schema, table) = (&spec.schema, &spec.table);
            let columns = spec.sync_key_columns.as_ref().map_or(0, Vec::len);
            if columns != 1 {
                return Err(unable(format!(
                    "the backend knows rows of {schema}.{table} by {columns} columns, and the protocol has keys of one; \
                     correct its configuration"
                )));
            }
            if !names.insert((schema, table)) {
                return Err(unable(format!(
                    "the backend has two tables {schema}.{table}; correct its configuration"
                )));
            }
        }
        Ok(())
    }

    /// The tables of a schema, each with the columns of its key.
    pub fn tables(&self, schema: &str) -> BTreeMap<String, String> {
        let specs = self.registered_table_specs.iter().flatten();
        specs
            .filter(|spec| spec.schema == schema)
            .map(|spec| {
                let columns = spec.sync_key_columns.as_deref().unwrap_or_default();
                (spec.table.clone(), columns.join(", "))
            })
            .collect()
    }
}

/// Whether a server knows all tables of a run, by the keys that they have here.
///
/// # Errors
/// It does not.
pub fn require_tables(known: &BTreeMap<String, String>, tables: &Tables) -> Result<(), SyncError> {
    for place in 0..tables.len() {
        let (schema, table) = (tables.schema(), tables.name(place));
        let key = tables.entity(place).key.to_lowercase();
        match known.get(table) {
            Some(column) if *column == key => {}
            Some(column) => {
                return Err(unable(format!(
                    "the backend knows rows of {schema}.{table} by {column}, and here they are known by {key}; both \
                     must have the same key"
                )));
            }
            None => {
                return Err(unable(format!(
                    "the backend has no table {schema}.{table}; register it there, untrack it here, or correct \
                     serverSchema and tableMap"
                )));
            }
        }
    }
    Ok(())
}

/// A server that can't be synced with as it is.
fn unable(message: String) -> SyncError {
    SyncError::new(Class::Protocol, "SYNC_ERROR_PROTOCOL", message, false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::revision::Revision;
    use super::*;

    fn later() -> Json {
        json!({
            "protocol_version": "v1",
            "registered_table_specs": [{"schema": "s", "table": "t", "sync_key_columns": ["id"]}],
            "features": {"bundle_push": true, "bundle_pull": true, "connect_lifecycle": true,
                "push_session_chunking": true, "committed_bundle_row_fetch": true, "snapshot_chunking": true},
            "bundle_limits": {"default_rows_per_snapshot_chunk": 10, "max_rows_per_snapshot_chunk": 20,
                "default_bytes_per_snapshot_chunk": 100, "max_bytes_per_snapshot_chunk": 200,
                "max_bytes_per_snapshot_row": 150, "max_concurrent_snapshot_builds": 1,
                "max_concurrent_snapshot_chunk_requests": 1},
        })
    }

    fn said(answer: &Json) -> Result<Limits, String> {
        let said = Capabilities::read(answer.to_string().as_bytes()).ok_or("no capabilities")?;
        let spoken = said.require_spoken().map_err(|error| error.message);
        spoken.map(|()| said.limits())
    }

    #[test]
    fn line_14_a_server_that_counts_bytes_speaks_the_later_revision() {
        let limits = said(&later()).unwrap();
        assert_eq!(limits.revision(), Revision::Later);
        let bytes = Bytes {
            usual: 100,
            most: 200,
        };
        assert_eq!(limits.snapshot_bytes, Some(bytes));
        let mut earlier = later();
        earlier["bundle_limits"] = json!({"max_rows_per_snapshot_chunk": 20});
        assert_eq!(said(&earlier).unwrap().revision(), Revision::Earlier);
    }

    #[test]
    fn line_14_a_later_server_that_says_too_little_is_refused_with_the_reason() {
        let spec = json!({"schema": "s", "table": "t", "sync_key_columns": ["id"]});
        for (place, value, words) in [
            (
                "/bundle_limits/max_bytes_per_snapshot_row",
                json!(0),
                "max_bytes_per_snapshot_row",
            ),
            (
                "/bundle_limits/max_bytes_per_snapshot_chunk",
                Json::Null,
                "max_bytes_per_snapshot_chunk",
            ),
            (
                "/bundle_limits/default_rows_per_snapshot_chunk",
                json!(21),
                "is above its max_rows",
            ),
            (
                "/bundle_limits/max_bytes_per_snapshot_row",
                json!(201),
                "is above its max_bytes",
            ),
            (
                "/bundle_limits/max_concurrent_snapshot_builds",
                json!(-1),
                "max_concurrent_snapshot_builds",
            ),
            ("/registered_table_specs", Json::Null, "which tables it has"),
            (
                "/registered_table_specs",
                json!([spec, spec]),
                "two tables s.t",
            ),
            (
                "/registered_table_specs/0/sync_key_columns",
                json!([]),
                "0 columns",
            ),
            (
                "/registered_table_specs/0/sync_key_columns",
                Json::Null,
                "0 columns",
            ),
            ("/features", Json::Null, "bundle_push"),
            (
                "/registered_table_specs/0/sync_key_columns",
                json!(["a", "b"]),
                "2 columns",
            ),
        ] {
            let mut answer = later();
            *answer.pointer_mut(place).unwrap() = value;
            let problem = said(&answer).unwrap_err();
            assert!(problem.contains(words), "{place}: {problem}");
        }
    }
}
