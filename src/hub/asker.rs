//! The file that syncs, and what both sides of a request need.

use std::io;

use super::feed;
use super::stamp::Stamp;
use crate::ground::{Class, SyncError};
use crate::store::{Database, Result, Session, ValueRef};

/// The file that syncs.
pub struct Asker<'a> {
    pub session: &'a Session,
    /// Which of the files of its connection.
    pub database: &'a Database,
    /// The tables of the request as they are called there, in the same order.
    pub tables: Vec<String>,
}

impl Asker<'_> {
    /// The numbers of the feeds that its tables have themselves; none where it is no hub.
    pub(super) fn feeds(&self) -> Result<Option<Vec<Option<i64>>>> {
        if !self.database.has_table("_syncFeedTable")? {
            return Ok(None);
        }
        let feeds = self
            .tables
            .iter()
            .map(|table| feed::id_of(self.database, table));
        let feeds = feeds.collect::<Result<Vec<_>>>()?;
        Ok(feeds.iter().any(Option::is_some).then_some(feeds))
    }

    /// The stamps of a row in one of its feeds.
    pub(super) fn stamp(&self, feed: i64, key: ValueRef<'_>) -> Result<Option<Stamp>> {
        Ok(feed::stamp_of(self.database, feed, key)?.map(|(_, stamp)| stamp))
    }

    /// How one of its tables is defined, with its indexes.
    pub(super) fn definitions(&self, place: usize) -> Result<Vec<String>> {
        let name = self.tables.get(place).map_or("", String::as_str);
        self.database.query_all(
            "SELECT sql FROM main.sqlite_master WHERE sql IS NOT NULL AND tbl_name = ?1 COLLATE NOCASE \
             AND type IN ('table', 'index') ORDER BY type = 'index'",
            &[name.into()],
            |row| Ok(row.text(0)),
        )
    }
}

/// A temporary file can't be written or read.
pub fn storage(error: io::Error) -> SyncError {
    SyncError::new(
        Class::Data,
        "SYNC_ERROR_STORAGE",
        format!("what is passed between the two files can't be kept: {error}; free some space"),
        true,
    )
}
