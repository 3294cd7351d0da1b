//! What the server made of a bundle: its rows as they are there now, page by page.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::hash::{BundleHash, HashedRow, Version};
use super::push::Committed;
use super::revision::Revision;
use super::rows::Row;
use super::stage::Stage;
use super::terms::Terms;
use crate::ground::{Class, SyncError, complaint};
use crate::providers::conversation::ParcelRows;
use crate::providers::oversync::tables::Tables;
use crate::providers::sink::{Image, Sent, Sink, Verdict};
use crate::providers::wire::Slot;

/// The status that stands for a bundle which is not ours.
const CONFLICT: u16 = 409;

/// A page.
#[derive(Deserialize)]
pub struct Page<'a> {
    #[serde(borrow)]
    pub rows: Vec<Row<'a>>,
    pub next_row_ordinal: i64,
    pub has_more: bool,
    /// See [`Committed`].
    #[serde(default)]
    pub canonical_request_hash: Option<String>,
}

impl<'a> Page<'a> {
    /// # Errors
    /// What is no such page.
    pub fn read(body: &'a [u8]) -> Result<Self, SyncError> {
        serde_json::from_slice(body).map_err(|error| {
            SyncError::protocol(format!(
                "the rows of the bundle that was sent can't be read: {}; they are asked for again with the next sync",
                complaint(&error)
            ))
        })
    }
}

/// Rows that were sent, each with its content; by entity and id.
type OurRows = HashMap<(usize, String), String>;

fn our_rows(tables: &Tables, parcel: &dyn ParcelRows) -> Result<OurRows, SyncError> {
    let mut rows = OurRows::new();
    parcel
        .in_order(&mut |entity, row| {
            if let Some(id) = tables.entity(entity).id_of(row.id) {
                rows.insert((entity, id.into_owned()), row.content.to_owned());
            }
            Ok(())
        })
        .map_err(|_| SyncError::bug())?;
    Ok(rows)
}

/// Tells what became of the rows that were sent, and the other rows of the bundle: what the server deleted along, say.
/// `is_known`: what came of it later was read already, so it says nothing new: what is pending now was decided against that.
///
/// # Errors
/// Rows that are not those that the server spoke of; a bundle of somebody else; those of the sink.
pub fn settle(
    terms: Terms<'_>,
    (bundle, is_known): (&Committed, bool),
    (stage, before, last): (&Stage, i64, &[u8]),
    parcel: &dyn ParcelRows,
    sink: &mut dyn Sink,
) -> Result<(), SyncError> {
    let terms = terms.of(bundle.request())?;
    // One from before the later revision has a hash of the earlier one, of rows as they were spelled then.
    let is_from_before = terms.revision == Revision::Later && bundle.request().is_none();
    let mut ours = our_rows(terms.tables, parcel)?;
    let mut told: HashSet<(usize, String)> = HashSet::new();
    let (mut hash, mut count) = (BundleHash::new(terms.revision), 0);
    stage.each(before, last, |page| {
        for row in Page::read(page)?.rows {
            hash.add(&HashedRow {
                schema: &row.schema,
                table: &row.table,
                key: &terms.spelled(&row.key.0),
                op: &row.op,
                version: Version::Row(row.row_version),
                payload: &terms.spelled(&row.payload_json()),
            });
            count += 1;
            let Some(place) = row.place(terms.tables) else {
                continue;
            };
            let name = (place, row.key.text());
            if let Some(sent) = ours.remove(&name) {
                if !is_known {
                    tell_ours((terms, is_from_before), place, &row, &sent, sink)?;
                }
                told.insert(name);
            }
        }
        Ok(())
    })?;
    let is_whole = is_from_before || hash.finish() == bundle.bundle_hash;
    if count != bundle.row_count || !is_whole {
        return Err(SyncError::protocol(
            "the rows of the bundle that was sent are not those that the backend committed; they are asked for again \
             with the next sync",
        ));
    }
    if told.is_empty() {
        return Err(foreign());
    }
    if is_known {
        return sink.verdict(Sent::Rest, Verdict::Untouched);
    }
    for (place, id) in ours.keys() {
        // The server has taken it, and something else of the bundle took it away.
        let gone = Image {
            entity: *place,
            slots: None,
            version: Some(bundle.bundle_seq),
        };
        tell_taken(sink, (*place, id), bundle.bundle_seq, Some(gone))?;
    }
    told.extend(ours.into_keys());
    tell_others(terms, (stage, before, last), &told, sink)
}

/// The hash of a bundle, by the beginning of its rows.
///
/// # Errors
/// An answer that breaks the protocol.
pub fn hash_of(body: &[u8]) -> Result<String, SyncError> {
    #[derive(Deserialize)]
    struct Answer {
        bundle_hash: String,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|error| {
        SyncError::protocol(format!(
            "the answer about the last bundle that was read can't be read: {}; nothing was sent and nothing applied",
            complaint(&error)
        ))
    })?;
    Ok(answer.bundle_hash)
}

/// Another bundle is there under the number of ours.
pub fn foreign() -> SyncError {
    let message = "the backend has another bundle under the number of this one: another device uses the same sourceId, or \
                   used it before";
    let error = SyncError::new(Class::Server, "SYNC_ERROR_HTTP", message, true);
    error.of_status(CONFLICT).saying("source_sequence_changed")
}

fn tell_ours(
    (terms, is_from_before): (Terms<'_>, bool),
    place: usize,
    row: &Row<'_>,
    sent: &str,
    sink: &mut dyn Sink,
) -> Result<(), SyncError> {
    let id = row.key.text();
    if row.is_delete() {
        let gone = (sent != "null").then_some(Image {
            entity: place,
            slots: None,
            version: Some(row.row_version),
        });
        return tell_taken(sink, (place, &id), row.row_version, gone);
    }
    // What comes back as it was sent, in other words or rounded, is what is here.
    let came = terms.spelled(&row.payload_json());
    if terms.hashed(place, sent).is_ok_and(|sent| sent == came) {
        return tell_taken(sink, (place, &id), row.row_version, None);
    }
    let mut slots = terms.read(place, row.content()?)?;
    if is_from_before {
        // Integers came rounded then. What was frozen is spelled as it always is.
        let terms = Terms {
            is_sure: true,
            ..terms
        };
        let sent = serde_json::from_str(sent).map_err(|_| SyncError::bug())?;
        for (came, sent) in slots.iter_mut().zip(terms.read(place, sent)?) {
            if let (Slot::Integer(rounded), Slot::Integer(exact)) = (&*came, &sent)
                && *rounded as f64 == *exact as f64
            {
                *came = sent;
            }
        }
    }
    let image = Image {
        entity: place,
        slots: Some(&slots),
        version: Some(row.row_version),
    };
    tell_taken(sink, (place, &id), row.row_version, Some(image))
}

fn tell_taken(
    sink: &mut dyn Sink,
    (place, id): (usize, &str),
    version: i64,
    image: Option<Image<'_>>,
) -> Result<(), SyncError> {
    sink.verdict(
        Sent::Row(place, id),
        Verdict::Taken {
            version: Some(version),
            new_id: None,
            image,
        },
    )
}

/// Rows that were not sent, and are of the bundle all the same.
fn tell_others(
    terms: Terms<'_>,
    (stage, before, last): (&Stage, i64, &[u8]),
    ours: &HashSet<(usize, String)>,
    sink: &mut dyn Sink,
) -> Result<(), SyncError> {
    stage.each(before, last, |page| {
        for row in Page::read(page)?.rows {
            match row.place(terms.tables) {
                Some(place) if !ours.contains(&(place, row.key.text())) => {
                    row.tell(terms, place, sink)?;
                }
                _ => {}
            }
        }
        Ok(())
    })
}
