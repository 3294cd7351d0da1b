//! What both generations write and read in the same way.

use std::io;

use super::options::PAGING;
use crate::ground::SyncError;
use crate::providers::conversation::{Answer, ApplyRules, Manners, ParcelRow};
use crate::providers::kind::Settings;
use crate::providers::table_keys;
use crate::providers::values::write_json;
use crate::providers::wire::{ChangeKind, Entity};

/// What the general rooms have to know of both generations.
pub fn manners(settings: &Settings) -> Manners {
    Manners {
        round: settings.number("uploadLimit"),
        cursors_grow: true,
        versions: true,
        numbered: true,
        resends: true,
        one_cursor: true,
        blob_keys: true,
        paging: PAGING,
        apply: ApplyRules {
            // The log does not say which rows are new.
            created_as_updated: true,
            server_wins: true,
            asks_for_deletes: true,
            settles_equal: true,
            ..table_keys::apply_rules(settings)
        },
        ..Manners::default()
    }
}

/// The word for what was done to a row.
pub fn op(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Created => "INSERT",
        ChangeKind::Updated => "UPDATE",
        ChangeKind::Deleted => "DELETE",
    }
}

/// The key of a row that is sent, in JSON.
///
/// # Errors
/// It is none that the server could have.
pub fn key(entity: &Entity, row: &ParcelRow<'_>) -> io::Result<String> {
    match entity.id_of(row.id) {
        Some(id) => in_json(&id),
        None => Err(io::Error::other(
            "a row of _syncOutbox has a key that can't be sent",
        )),
    }
}

/// A text in JSON.
///
/// # Errors
/// What JSON can't hold.
pub fn in_json(text: &str) -> io::Result<String> {
    let mut json = Vec::new();
    write_json(&mut json, text).map_err(io::Error::other)?;
    String::from_utf8(json).map_err(io::Error::other)
}

/// A whole answer: of a page, or of a request with so many rows.
///
/// # Errors
/// It breaks off.
pub fn whole(answer: &mut Answer<'_>) -> Result<Vec<u8>, SyncError> {
    let mut bytes = Vec::new();
    answer.body.read_to_end(&mut bytes).map_err(|error| {
        SyncError::network(format!(
            "the answer can't be read to its end: {error}; try again"
        ))
    })?;
    Ok(bytes)
}
