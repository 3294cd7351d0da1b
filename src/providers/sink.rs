//! Where a protocol puts what an answer says, row by row, in the order of the answer.

use super::meant::Meant;
use super::wire::{Slot, WireId};
use crate::ground::SyncError;
use crate::hub::Stamp;
use crate::store::Value;

/// How a row was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    Created,
    Updated,
}

/// A row of the server.
#[derive(Debug, Clone, Copy)]
pub struct RemoteRow<'a> {
    /// Index into the entities of the run.
    pub entity: usize,
    pub announced: Announced,
    pub id: &'a WireId<'a>,
    /// A value for each column of the entity.
    pub slots: &'a [Slot<'a>],
    /// Its version, where the server counts them.
    pub version: Option<i64>,
}

/// Which rows of an entity an answer is about as a whole.
pub enum Scope<'a> {
    /// All rows there are were named: those whose id this does not know go.
    Retain(&'a dyn Fn(&str) -> bool),
    /// All rows that the server has were named, and none that it has deleted: what is held of others is out of date,
    /// and rows that are here stay.
    Named(&'a dyn Fn(&str) -> bool),
    /// What the answer goes on to bring is all that the server has, whatever versions were known.
    Anew,
    /// A reading is at its end: rows that it did not name go, unless they were made or changed here.
    Sweep(&'a Sweep<'a>),
    /// All rows go but those that the answer goes on to bring. What waits to be sent stays.
    Wipe,
    /// The same for the rows that meet an SQL condition, with the values of its parameters in order.
    Where(&'a str, &'a [Value]),
}

/// The code of the error when a sweep would remove more than it may.
pub const SHRINK: &str = "SYNC_ERROR_SHRINK";

/// See [`Scope::Sweep`].
pub struct Sweep<'a> {
    /// Whether the reading has named an id.
    pub named: &'a dyn Fn(&str) -> bool,
    /// The reading was about a part of the table, see [`super::conversation::Ask::part`]: only rows of it go.
    pub is_part: bool,
    /// Only these rows go.
    pub meant: &'a Meant,
    /// Most rows that may go, in percent of those there are, where there are 20 or more, and never all; none: any number.
    pub most: Option<u64>,
}

/// Which of the rows that were sent a verdict is about.
#[derive(Debug, Clone, Copy)]
pub enum Sent<'a> {
    /// The change of that number, see [`super::conversation::ParcelRow::change`].
    Change(i64),
    /// The row of an entity with that id.
    Row(usize, &'a str),
    /// All that no other verdict is about. Comes last.
    Rest,
}

/// What the server made of a row that was sent.
#[derive(Debug, Clone, Copy)]
pub enum Verdict<'a> {
    /// It has the row.
    Taken {
        /// The version it counts from now on.
        version: Option<i64>,
        /// The id that it gave the row in place of ours.
        new_id: Option<&'a WireId<'a>>,
        /// The row as it is there now, where that may differ from what was sent: it counts unless the row was changed
        /// here since.
        image: Option<Image<'a>>,
    },
    /// It does not want the row. The row stays pending.
    Refused(Rejection<'a>),
    /// It has another state of the row: this one, or one that this answer or the next pull brings.
    Conflict(Option<Image<'a>>),
    /// It has not looked at it, for another row of the request was in the way. The row stays pending.
    Untouched,
    /// It may or may not have the row; the next pull shows it.
    Unsure,
}

/// Why the server does not want a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rejection<'a> {
    /// One word for it, by which such refusals are counted; none: its message is.
    pub reason: Option<&'a str>,
    /// What the server said of this row.
    pub message: Option<&'a str>,
    /// It would say so again: the row is left out of pushes until it is written again.
    pub for_good: bool,
    /// It took the row, and could not put it into its own tables.
    pub unprojected: bool,
}

impl<'a> Rejection<'a> {
    /// A refusal of which nothing else is known.
    pub fn saying(message: Option<&'a str>) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }
}

/// What the server has in place of a row that was sent.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Index into the entities of the run.
    pub entity: usize,
    /// A value for each column of the entity; none: it has the row as deleted.
    pub slots: Option<&'a [Slot<'a>]>,
    pub version: Option<i64>,
}

/// The version of a row that the server is known to hold, where it counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownVersion {
    pub number: i64,
    /// The server itself has said so, in answer to a change or when it was asked. Otherwise it was read in what it tells
    /// of changes.
    pub told: bool,
}

/// Takes what an answer says. The caller rolls everything back when a call fails.
pub trait Sink {
    /// A row was created or updated.
    ///
    /// # Errors
    /// A row that can't be applied ends the answer.
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError>;

    /// A row was deleted. `version`: that of the delete, where the server counts them.
    ///
    /// # Errors
    /// As [`Sink::row`].
    fn gone(
        &mut self,
        entity: usize,
        id: &WireId<'_>,
        version: Option<i64>,
    ) -> Result<(), SyncError>;

    /// What the answer says of an entity's rows as a whole.
    ///
    /// # Errors
    /// As [`Sink::row`].
    fn scope(&mut self, entity: usize, scope: &Scope<'_>) -> Result<(), SyncError>;

    /// What is known of the version of a row, with all that this answer has said so far.
    ///
    /// # Errors
    /// SQLite's.
    fn known(&mut self, _: usize, _: &WireId<'_>) -> Result<Option<KnownVersion>, SyncError> {
        Ok(None)
    }

    /// What the server has of a row that it was asked for by itself: that counts, whatever was known of it. Without a
    /// version it has no such row, and remembers none.
    ///
    /// # Errors
    /// As [`Sink::row`].
    fn told(&mut self, _: &WireId<'_>, _: &Image<'_>) -> Result<(), SyncError> {
        Err(SyncError::bug())
    }

    /// Whether a row is here that the server has: not one that was made here and waits.
    ///
    /// # Errors
    /// SQLite's.
    fn is_here(&mut self, _entity: usize, _id: &WireId<'_>) -> Result<bool, SyncError> {
        Ok(false)
    }

    /// What an SQL expression over `:record` gives for a row, as JSON.
    ///
    /// # Errors
    /// This connection has not declared the expression; SQLite's.
    fn evaluate(&mut self, _sql: &str, _record: &str) -> Result<Value, SyncError> {
        Err(SyncError::bug())
    }

    /// When a row, and its columns, got what they hold. Said before the row itself. The columns that were written here
    /// later: the row is to leave them out.
    ///
    /// # Errors
    /// SQLite's.
    fn stamped(&mut self, _: usize, _: &WireId<'_>, _: &Stamp) -> Result<Vec<String>, SyncError> {
        Ok(Vec::new())
    }

    /// What became of rows that were sent. In an answer that also brings rows, verdicts come first.
    ///
    /// # Errors
    /// Nothing was sent with the request, or not this.
    fn verdict(&mut self, _: Sent<'_>, _: Verdict<'_>) -> Result<(), SyncError> {
        Err(SyncError::protocol(
            "the answer names rows that were not sent with this request; nothing was applied",
        ))
    }
}
