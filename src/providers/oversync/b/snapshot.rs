//! Snapshots: all rows of the user at one moment, page by page, told when all are here.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rows::Row;
use super::stage::Stage;
use crate::ground::{SyncError, complaint};
use crate::providers::names::Names;
use crate::providers::oversync::tables::Tables;
use crate::providers::seen::Seen;
use crate::providers::sink::{Scope, Sink};
use crate::providers::wire::WireId;

/// A snapshot that the server has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(rename = "snapshot_id")]
    pub id: String,
    /// The last bundle that it has.
    #[serde(rename = "snapshot_bundle_seq")]
    pub seq: i64,
    pub row_count: i64,
}

/// A page.
#[derive(Deserialize)]
pub struct Page<'a> {
    #[serde(borrow)]
    rows: Vec<Row<'a>>,
    pub next_row_ordinal: i64,
    pub has_more: bool,
}

impl<'a> Page<'a> {
    /// # Errors
    /// What is no such page.
    pub fn read(body: &'a [u8]) -> Result<Self, SyncError> {
        parsed(body)
    }
}

impl Snapshot {
    /// # Errors
    /// An answer that breaks the protocol.
    pub fn read(body: &[u8]) -> Result<Self, SyncError> {
        parsed(body)
    }
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, SyncError> {
    serde_json::from_slice(body).map_err(|error| {
        SyncError::protocol(format!(
            "the answer about the snapshot can't be read: {}; nothing was applied",
            complaint(&error)
        ))
    })
}

/// The body by which this device asks for a snapshot and takes another name.
pub fn replacement(previous: &str, new: &str, reason: &str) -> Vec<u8> {
    json!({"source_replacement": {
        "previous_source_id": previous, "new_source_id": new, "reason": reason,
    }})
    .to_string()
    .into_bytes()
}

/// Tells all rows; those of some tables take the place of all that was read of them before. How many were passed over.
///
/// # Errors
/// Fewer rows than the server spoke of; those of the sink.
pub fn tell(
    tables: &Tables,
    snapshot: &Snapshot,
    (stage, before, last): (&Stage, i64, &[u8]),
    replaced: &[usize],
    strangers: &mut Names,
    sink: &mut dyn Sink,
) -> Result<i64, SyncError> {
    for place in replaced {
        sink.scope(*place, &Scope::Anew)?;
    }
    let mut seen = vec![Seen::default(); tables.len()];
    let (mut count, mut skipped) = (0, 0);
    stage.each(before, last, |page| {
        for row in Page::read(page)?.rows {
            count += 1;
            let Some(place) = row.place(tables) else {
                skipped += 1;
                strangers.add_new(&row.table);
                continue;
            };
            seen[place].insert(&WireId::Text(row.key.text().into()));
            row.tell(tables, place, sink)?;
        }
        Ok(())
    })?;
    if count != snapshot.row_count {
        return Err(SyncError::protocol(format!(
            "the snapshot has {count} rows where the backend spoke of {}; nothing was applied",
            snapshot.row_count
        )));
    }
    for place in replaced {
        let named = |id: &str| seen[*place].names(id);
        sink.scope(*place, &Scope::Retain(&named))?;
    }
    Ok(skipped)
}
