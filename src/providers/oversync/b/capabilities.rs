//! What a server says of itself before anything else.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::memory::Limits;
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

/// What a server says.
#[derive(Debug, Clone, Deserialize)]
pub struct Capabilities {
    pub protocol_version: String,
    #[serde(default)]
    registered_table_specs: Option<Vec<Spec>>,
    #[serde(default)]
    features: Map<String, Json>,
    #[serde(default)]
    bundle_limits: Map<String, Json>,
}

#[derive(Debug, Clone, Deserialize)]
struct Spec {
    schema: String,
    table: String,
    sync_key_columns: Vec<String>,
}

impl Capabilities {
    /// None of what is no such answer: the server speaks another protocol.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// How much at a time.
    pub fn limits(&self) -> Limits {
        let number = |key: &str| self.bundle_limits.get(key).and_then(Json::as_u64);
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
        }
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
        // It needs a hash of each request, and has numbers as text.
        if self
            .bundle_limits
            .keys()
            .any(|key| key.contains("bytes_per_snapshot"))
        {
            return Err(unable(
                "the backend speaks a later revision of the protocol, which this version does not; update syncscope"
                    .to_owned(),
            ));
        }
        let mut missing = REQUIRED.iter();
        let missing = missing.find(|name| self.features.get(**name) != Some(&Json::Bool(true)));
        match missing {
            None => Ok(()),
            Some(name) => Err(unable(format!(
                "the backend can't do what the protocol needs ({name}); update it"
            ))),
        }
    }

    /// The tables of a schema, each with the columns of its key.
    pub fn tables(&self, schema: &str) -> BTreeMap<String, String> {
        let specs = self.registered_table_specs.iter().flatten();
        specs
            .filter(|spec| spec.schema == schema)
            .map(|spec| (spec.table.clone(), spec.sync_key_columns.join(", ")))
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
