//! Rows of bundles and of snapshots as they come.

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::terms::Terms;
use crate::ground::{SyncError, quoted};
use crate::providers::oversync::tables::Tables;
use crate::providers::sink::{Announced, RemoteRow, Sink};
use crate::providers::wire::WireId;

/// The key of a row: an object with one member.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct RowKey(pub Json);

impl RowKey {
    /// The value of its one column.
    pub fn text(&self) -> String {
        let first = self.0.as_object().and_then(|key| key.values().next());
        match first {
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }
}

/// A row of a bundle or a snapshot; of a snapshot none has an operation.
#[derive(Deserialize)]
pub struct Row<'a> {
    #[serde(default)]
    pub schema: String,
    pub table: String,
    pub key: RowKey,
    #[serde(default)]
    pub op: String,
    pub row_version: i64,
    #[serde(borrow)]
    pub payload: Option<&'a RawValue>,
}

impl Row<'_> {
    /// The entity that it belongs to; none when it is not synced here.
    pub fn place(&self, tables: &Tables) -> Option<usize> {
        let is_ours = self.schema.is_empty() || self.schema == tables.schema();
        tables.place(&self.table).filter(|_| is_ours)
    }

    pub fn is_delete(&self) -> bool {
        self.op == "DELETE"
    }

    /// The payload as JSON; null where there is none.
    pub fn payload_json(&self) -> Json {
        let payload = self.payload.map(RawValue::get).unwrap_or("null");
        serde_json::from_str(payload).unwrap_or_default()
    }

    /// The content of the row.
    ///
    /// # Errors
    /// There is none.
    pub fn content(&self) -> Result<&RawValue, SyncError> {
        self.payload.ok_or_else(|| {
            SyncError::protocol(format!(
                "the answer has a row of {} without its content; nothing was applied",
                quoted(&self.table)
            ))
        })
    }

    /// Tells it as one of the server's.
    ///
    /// # Errors
    /// A row without content or without a version; those of [`Terms::read`] and of the sink.
    pub fn tell(
        &self,
        terms: Terms<'_>,
        place: usize,
        sink: &mut dyn Sink,
    ) -> Result<(), SyncError> {
        if self.row_version <= 0 {
            return Err(SyncError::protocol(format!(
                "the answer has a row of {} with version {}, and versions begin at 1; nothing was applied",
                quoted(&self.table),
                self.row_version
            )));
        }
        let id = WireId::Text(self.key.text().into());
        if self.is_delete() {
            return sink.gone(place, &id, Some(self.row_version));
        }
        let slots = terms.read(place, self.content()?)?;
        sink.row(&RemoteRow {
            entity: place,
            announced: Announced::Updated,
            id: &id,
            slots: &slots,
            version: Some(self.row_version),
        })
    }
}
