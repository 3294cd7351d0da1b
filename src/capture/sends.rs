//! What would be sent of a row: the one answer behind `sync_pending`, `sync_has_pending`, `sync_untrack`,
//! freezing and applying.
//!
//! | the log says | | would be sent |
//! |---|---|---|
//! | created, deleted | | that |
//! | updated | a column that is synced changed | updated |
//! | updated | none did | nothing |
//! | nothing | the row is gone, and a push without an answer may have created it | deleted |
//! | nothing | | nothing |
//! | anything | its table was made again without it | nothing |
//!
//! Of a table that is gone nothing can be sent; the answer is what would be if it were as the log last saw it.

use crate::store::Result;

use super::op::Status;
use super::pending::Pending;

/// What would be sent of a row, given whether it exists now, the positions of the columns that are synced
/// (the key left out), and whether a push whose outcome is not known may have created it.
///
/// # Errors
/// Those of `may_have_arrived`.
pub fn sends(
    row: &Pending,
    exists: bool,
    synced: &[usize],
    may_have_arrived: impl FnOnce() -> Result<bool>,
) -> Result<Status> {
    if exists || row.is_stranded_there() {
        return Ok(sends_of_there(row, synced));
    }
    Ok(match row.status(false) {
        Status::Nothing if !row.is_lost() && may_have_arrived()? => Status::Deleted,
        status => status,
    })
}

/// The same for a row that exists.
pub fn sends_of_there(row: &Pending, synced: &[usize]) -> Status {
    match row.status(true) {
        Status::Updated if changed(row, synced).next().is_none() => Status::Nothing,
        status => status,
    }
}

/// Places in `synced` of the columns that an update sends; of a created row, of those that changed since it
/// was created.
pub fn changed<'a>(row: &'a Pending, synced: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
    let places = synced.iter().enumerate();
    places
        .filter(|(_, position)| row.changed(**position))
        .map(|(place, _)| place)
}
