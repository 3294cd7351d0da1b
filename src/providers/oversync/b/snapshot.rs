//! Snapshots: all rows of the user at one moment, page by page, told when all are here.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::refusal::another;
use super::revision::Revision;
use super::rows::Row;
use super::stage::Stage;
use super::terms::Terms;
use crate::ground::{SyncError, complaint};
use crate::providers::names::Names;
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
    #[serde(default)]
    byte_count: Option<i64>,
}

/// A page.
#[derive(Deserialize)]
pub struct Page<'a> {
    #[serde(borrow)]
    rows: Vec<Row<'a>>,
    pub next_row_ordinal: i64,
    pub has_more: bool,
    #[serde(default)]
    byte_count: Option<i64>,
}

impl<'a> Page<'a> {
    /// # Errors
    /// What is no such page.
    pub fn read(body: &'a [u8]) -> Result<Self, SyncError> {
        parsed(body)
    }

    /// Whether it can be the page behind a row.
    ///
    /// # Errors
    /// It can't; see [`another`].
    pub fn check(&self, terms: Terms<'_>, after: i64) -> Result<(), SyncError> {
        require_bytes(terms, self.byte_count)?;
        let next = i64::try_from(self.rows.len()).map(|rows| after.saturating_add(rows));
        if next != Ok(self.next_row_ordinal) {
            return Err(SyncError::protocol(format!(
                "the snapshot has a page of {} rows behind row {after} that ends with row {}; nothing was applied",
                self.rows.len(),
                self.next_row_ordinal
            )));
        }
        match self.has_more && self.rows.is_empty() {
            true => Err(SyncError::protocol(
                "the snapshot does not come to an end; nothing was applied",
            )),
            false => Ok(()),
        }
    }
}

impl Snapshot {
    /// # Errors
    /// An answer that breaks the protocol; see [`another`].
    pub fn read(terms: Terms<'_>, body: &[u8]) -> Result<Self, SyncError> {
        let snapshot: Self = parsed(body)?;
        require_bytes(terms, snapshot.byte_count)?;
        match snapshot.row_count < 0 || (snapshot.row_count > 0 && snapshot.seq <= 0) {
            true => Err(SyncError::protocol(format!(
                "the backend has a snapshot of {} rows up to bundle {}, which can't be; nothing was applied",
                snapshot.row_count, snapshot.seq
            ))),
            false => Ok(snapshot),
        }
    }
}

/// The later revision counts bytes.
fn require_bytes(terms: Terms<'_>, bytes: Option<i64>) -> Result<(), SyncError> {
    match bytes {
        Some(bytes) if bytes >= 0 => Ok(()),
        None if terms.revision == Revision::Earlier => Ok(()),
        None if !terms.is_sure => Err(another()),
        _ => Err(SyncError::protocol(
            "the answer about the snapshot does not say how many bytes it has; nothing was applied",
        )),
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
    terms: Terms<'_>,
    snapshot: &Snapshot,
    (stage, before, last): (&Stage, i64, &[u8]),
    replaced: &[usize],
    strangers: &mut Names,
    sink: &mut dyn Sink,
) -> Result<i64, SyncError> {
    for place in replaced {
        sink.scope(*place, &Scope::Anew)?;
    }
    let mut seen = vec![Seen::default(); terms.tables.len()];
    let (mut count, mut skipped) = (0, 0);
    stage.each(before, last, |page| {
        for row in Page::read(page)?.rows {
            count += 1;
            let Some(place) = row.place(terms.tables) else {
                skipped += 1;
                strangers.add_new(&row.table);
                continue;
            };
            seen[place].insert(&WireId::Text(row.key.text().into()));
            row.tell(terms, place, sink)?;
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

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::providers::oversync::tables::Tables;

    /// What is wrong with an answer, read as a page behind row 2, or as a session.
    fn problem(answer: &Json, revision: Revision, is_sure: bool) -> Option<String> {
        let tables = Tables::new("s", Vec::new());
        let terms = Terms {
            tables: &tables,
            revision,
            is_sure,
        };
        let body = answer.to_string();
        let read = match answer.get("rows") {
            Some(_) => Page::read(body.as_bytes()).and_then(|page| page.check(terms, 2)),
            None => Snapshot::read(terms, body.as_bytes()).map(drop),
        };
        read.err().map(|error| error.message)
    }

    #[test]
    fn line_14_a_page_or_a_snapshot_that_can_not_be_is_named() {
        let row = json!({"table": "t", "key": {"id": "a"}, "row_version": 1});
        let page = |rows: &[&Json], next: i64, has_more: bool| json!({"rows": rows, "next_row_ordinal": next, "has_more": has_more, "byte_count": 1});
        let session = |rows: i64, seq: i64| json!({"snapshot_id": "x", "snapshot_bundle_seq": seq, "row_count": rows, "byte_count": 1});
        for (answer, words) in [
            (page(&[], 2, true), Some("does not come to an end")),
            (page(&[&row], 4, false), Some("ends with row 4")),
            (page(&[&row], 2, true), Some("ends with row 2")),
            (page(&[&row], 3, true), None),
            (page(&[], 2, false), None),
            (session(-1, 7), Some("-1 rows up to bundle 7")),
            (session(1, 0), Some("1 rows up to bundle 0")),
            (session(0, 0), None),
            (session(3, 7), None),
        ] {
            for revision in [Revision::Earlier, Revision::Later] {
                let problem = problem(&answer, revision, true);
                let is_as_expected = match (&problem, words) {
                    (Some(problem), Some(words)) => problem.contains(words),
                    (None, None) => true,
                    _ => false,
                };
                assert!(is_as_expected, "{answer}: {problem:?}");
            }
            let mut uncounted = answer.clone();
            uncounted["byte_count"] = Json::Null;
            assert_eq!(
                problem(&uncounted, Revision::Earlier, true),
                problem(&answer, Revision::Earlier, true)
            );
            for (is_sure, words) in [(true, "how many bytes"), (false, "another revision")] {
                let problem = problem(&uncounted, Revision::Later, is_sure).unwrap_or_default();
                assert!(problem.contains(words), "{problem}");
            }
        }
    }
}
