//! Pulls: bundles of all devices, one after the other without a gap.

use std::io::Read as Input;

use serde::Deserialize;

use super::rows::Row;
use super::terms::Terms;
use crate::ground::{SyncError, complaint};
use crate::providers::conversation::Page;
use crate::providers::cutter::Cutter;
use crate::providers::names::Names;
use crate::providers::sink::Sink;

/// What a page of bundles came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulled {
    /// The hash is that of its last bundle.
    Page(Page, Option<String>),
    /// The server no longer has all bundles behind the cursor, or has begun anew: only a snapshot tells.
    NeedsSnapshot,
}

#[derive(Deserialize)]
struct Bundle<'a> {
    bundle_seq: i64,
    #[serde(default)]
    bundle_hash: Option<String>,
    #[serde(default)]
    canonical_request_hash: Option<String>,
    #[serde(borrow)]
    rows: Vec<Row<'a>>,
}

/// Reads bundles behind `after`. `strangers`: tables of rows that were passed over.
///
/// # Errors
/// An answer that breaks the protocol; those of the sink.
pub fn read_bundles(
    terms: Terms<'_>,
    after: i64,
    body: &mut dyn Input,
    strangers: &mut Names,
    sink: &mut dyn Sink,
) -> Result<Pulled, SyncError> {
    let mut reader = BundleReader {
        terms,
        after,
        next: after,
        hash: None,
        skipped: 0,
        strangers,
        is_partial: false,
    };
    let (mut stable, mut has_more) = (None, None);
    let mut cutter = Cutter::new(body);
    cutter.object(|cutter, name| {
        match name {
            "stable_bundle_seq" => stable = Some(parsed(cutter.value()?)?),
            "has_more" => has_more = Some(parsed(cutter.value()?)?),
            "bundles" if cutter.take_null()? => {}
            "bundles" => cutter.array(|cutter| reader.bundle(cutter.value()?, sink))?,
            _ => drop(cutter.value()?),
        }
        Ok(())
    })?;
    let (Some(stable), Some(has_more)) = (stable, has_more) else {
        return Err(SyncError::protocol(
            "the answer to the pull does not say how far the backend's bundles go; nothing was applied",
        ));
    };
    if reader.next > after && stable < after {
        return Err(SyncError::protocol(
            "the answer to the pull has bundles behind the last one that there is; nothing was applied",
        ));
    }
    if reader.is_partial || stable < after {
        return Ok(Pulled::NeedsSnapshot);
    }
    if has_more && reader.next == after {
        return Err(SyncError::protocol(
            "the answer to the pull has no bundle and says that there are more; nothing was applied",
        ));
    }
    let page = Page {
        next: reader.next,
        has_more,
        window: Some(stable),
        skipped: reader.skipped,
    };
    Ok(Pulled::Page(page, reader.hash))
}

fn parsed<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, SyncError> {
    serde_json::from_slice(json).map_err(|error| {
        SyncError::protocol(format!(
            "the answer to the pull can't be read: {}; nothing was applied",
            complaint(&error)
        ))
    })
}

struct BundleReader<'t> {
    terms: Terms<'t>,
    /// Where the page begins.
    after: i64,
    /// The last bundle that was read.
    next: i64,
    /// Its hash.
    hash: Option<String>,
    skipped: i64,
    strangers: &'t mut Names,
    /// The first bundle of all is missing.
    is_partial: bool,
}

impl BundleReader<'_> {
    fn bundle(&mut self, json: &[u8], sink: &mut dyn Sink) -> Result<(), SyncError> {
        if self.is_partial {
            return Ok(());
        }
        let bundle: Bundle<'_> = parsed(json)?;
        if bundle.bundle_seq != self.next + 1 {
            if self.after == 0 && self.next == 0 {
                // A server that has forgotten its oldest bundles says so only in this way.
                self.is_partial = true;
                return Ok(());
            }
            return Err(SyncError::protocol(format!(
                "the answer to the pull has bundle {} behind bundle {}; nothing was applied",
                bundle.bundle_seq, self.next
            )));
        }
        self.next = bundle.bundle_seq;
        self.hash = bundle.bundle_hash;
        let terms = self.terms.of(bundle.canonical_request_hash.as_deref())?;
        for row in &bundle.rows {
            match row.place(self.terms.tables) {
                Some(place) => row.tell(terms, place, sink)?,
                None => {
                    self.skipped += 1;
                    self.strangers.add_new(&row.table);
                }
            }
        }
        Ok(())
    }
}
