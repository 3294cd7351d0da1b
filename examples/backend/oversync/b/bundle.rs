//! A committed bundle: its rows, its hash, and how both are written.

use sha2::{Digest, Sha256};

use super::later;
use super::rows::Effect;
use super::spelling::{Object, array, quoted};
use crate::oversync::escape::escaped;

/// One row of a bundle.
#[derive(Clone, Debug)]
pub struct BundleRow {
    pub table: String,
    /// `{"id":"…"}`.
    pub key: String,
    pub op: Effect,
    pub version: i64,
    /// None for a deleted row.
    pub payload: Option<String>,
}

/// The rows of one push.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub seq: i64,
    pub source: String,
    pub source_bundle_id: i64,
    pub rows: Vec<BundleRow>,
    pub hash: String,
    /// Later revision: what its request hashed to.
    pub request_hash: Option<String>,
}

impl Bundle {
    /// The members that every mention of a bundle has.
    pub fn described(&self, object: Object) -> Object {
        object
            .number("bundle_seq", self.seq)
            .text("source_id", &self.source)
            .number("source_bundle_id", self.source_bundle_id)
            .number("row_count", self.rows.len() as i64)
            .text("bundle_hash", &self.hash)
    }

    /// As in a pull.
    pub fn in_a_pull(&self, schema: &str) -> String {
        let rows = array(self.rows.iter().map(|row| row.json(schema)));
        let bundle = later::echoed(self.described(Object::new()), self.request_hash.as_deref());
        bundle.raw("rows", &rows).end()
    }
}

impl BundleRow {
    pub fn json(&self, schema: &str) -> String {
        let row = Object::new()
            .text("schema", schema)
            .text("table", &self.table)
            .raw("key", &self.key)
            .text("op", self.op.name())
            .number("row_version", self.version);
        match &self.payload {
            Some(payload) => row.raw("payload", payload).end(),
            None => row.end(),
        }
    }

    fn hashed(&self, schema: &str, ordinal: usize) -> String {
        Object::new()
            .raw("key", &self.key)
            .text("op", self.op.name())
            .raw("payload", self.payload.as_deref().unwrap_or("null"))
            .number("row_ordinal", ordinal as i64)
            .number("row_version", self.version)
            .text("schema", schema)
            .text("table", &self.table)
            .end()
    }
}

/// SHA-256 of the rows: sorted members, no spaces.
pub fn hash(schema: &str, rows: &[BundleRow]) -> String {
    let rows = rows.iter().enumerate();
    hex(&array(
        rows.map(|(ordinal, row)| row.hashed(schema, ordinal)),
    ))
}

/// SHA-256 of a text in lower-case hexadecimal.
pub fn hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key as it stands in rows.
pub fn key_json(column: &str, key: &str) -> String {
    escaped(&format!("{{{}:{}}}", quoted(column), quoted(key)))
}
