//! What the revision of the protocol asks for: the hash of a bundle that is sent; and servers that speak another one than
//! they did.

use std::io;

use super::super::push;
use super::super::refusal::another;
use super::super::revision::Revision;
use super::super::terms::Terms;
use super::{At, Talk};
use crate::ground::SyncError;
use crate::providers::conversation::{Answer, ParcelRows};

/// Whether a server that speaks the later revision repeats the hash of the request.
pub(super) fn require_repeated(
    terms: Terms<'_>,
    theirs: Option<&str>,
    ours: Option<&str>,
) -> Result<(), SyncError> {
    match theirs {
        _ if terms.revision == Revision::Earlier || theirs == ours => Ok(()),
        None if !terms.is_sure => Err(another()),
        _ => Err(other_request()),
    }
}

pub(super) fn other_request() -> SyncError {
    SyncError::protocol(
        "the backend answers with the hash of another request than was sent; the rows stay pending",
    )
}

impl Talk {
    /// The hash of the bundle that is sent; none of the earlier revision.
    pub(super) fn request_hash(&self, parcel: &dyn ParcelRows) -> io::Result<Option<&str>> {
        if self.memory.limits.revision() == Revision::Earlier {
            return Ok(None);
        }
        if let Some(hash) = self.under.hash.get() {
            return Ok(Some(hash));
        }
        let hash = push::request_hash(self.terms(), parcel)?;
        Ok(Some(self.under.hash.get_or_init(|| hash)))
    }

    /// See [`Talk::request_hash`].
    pub(super) fn hash_of_parcel(&self, answer: &Answer<'_>) -> Result<Option<&str>, SyncError> {
        let parcel = answer.parcel.ok_or_else(SyncError::bug)?;
        self.request_hash(parcel).map_err(|_| SyncError::bug())
    }

    /// Asks what the server speaks, once in a run, and goes on from there.
    pub(super) fn look_again(&mut self) -> At {
        self.is_sure = true;
        let next = match self.step.clone() {
            At::Open | At::Fill(_) | At::Commit | At::Committed(_) => At::Freeze,
            At::SnapshotPage(reading, _) => At::Snapshot(reading, None),
            other => other,
        };
        At::Capabilities(Box::new(next))
    }
}
