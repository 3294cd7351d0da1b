//! Rows of which the server's log may be wrong.
//!
//! In a request with two or more upserts, or deletes, those that are refused stay in the log all the same, under the version
//! that follows on the one they were based on: a phantom. Most are not above what is known of the row by then, and are passed
//! over. What else gives them away:
//!
//! | what | whose phantom |
//! |---|---|
//! | an upload was answered with a conflict, or `internal_error` | our own, and perhaps the one that it was based on |
//! | an entry is not the next version of its row, or the first is a delete | one above what the server has |
//! | a new entry is not above a version that was read in the log itself | this one, or the one that was taken for the row |
//!
//! Such a row is read by itself before anything is believed: an update based on an impossible version, alone in its
//! request, is a conflict that shows the row, and leaves nothing in the log.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;

use serde::{Deserialize, Serialize};

use crate::ground::SyncError;
use crate::providers::conversation::ParcelRows;
use crate::providers::sink::{KnownVersion, Sink};
use crate::providers::wire::{ChangeKind, WireId};
use crate::store::ValueRef;

/// Most rows that are read in one run for what the log says of them. Where it says more such things, it was cut short or
/// put together otherwise, and is believed.
const MOST: usize = 100;

/// A row of the server by its entity and its key.
type Row = (usize, String);

/// A row that is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    pub entity: usize,
    pub id: String,
    /// The number up to which the log was read when this came up: what it says of the row up to there is not needed once the
    /// row is read. None: it came up in the answer to an upload.
    upto: Option<i64>,
}

/// An entry of the log.
pub struct Entry {
    pub row: Row,
    /// Its number in the log.
    pub number: i64,
    pub version: i64,
    pub deleted: bool,
}

/// A page of the log, and what was read of it before.
pub struct Ahead<'a> {
    /// The page begins behind this number.
    pub after: i64,
    /// And ends with this one.
    pub last: i64,
    /// How far the log was read for each entity; none when it never was.
    pub reached: &'a [Option<i64>],
}

/// A change that was refused.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    pub change: i64,
    /// The answer does not say what the server has.
    pub blind: bool,
}

/// The rows that are to be read in this run, and those that were.
#[derive(Default)]
pub struct Doubts {
    due: VecDeque<Doubt>,
    /// The number up to which the log is not needed of a row; none where nothing was found out: the log is believed.
    read: HashMap<Row, Option<i64>>,
}

impl Doubts {
    /// The row that is to be read next.
    pub fn next(&self) -> Option<&Doubt> {
        self.due.front()
    }

    /// Takes up what [`note`] has noted.
    pub fn add(&mut self, note: Option<&str>) {
        let doubts: Option<Vec<Doubt>> = note.and_then(|note| serde_json::from_str(note).ok());
        self.due.extend(doubts.unwrap_or_default());
    }

    /// The row that was due is read. `found`: the server has said what it holds.
    pub fn settle(&mut self, found: bool) {
        let Some(doubt) = self.due.pop_front() else {
            return;
        };
        if let Some(upto) = doubt.upto {
            let row = (doubt.entity, doubt.id);
            self.read.insert(row, found.then_some(upto));
        }
    }

    /// Nothing can be found out now: what the log says is believed.
    pub fn give_up(&mut self) {
        while !self.due.is_empty() {
            self.settle(false);
        }
    }

    /// Whether an entry of the log was there when its row was read.
    pub fn covers(&self, row: &Row, number: i64) -> bool {
        let read = self.read.get(row).copied().flatten();
        read.is_some_and(|upto| number <= upto)
    }

    /// The rows that a page makes doubtful; none when they are too many.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn of_page(
        &self,
        ahead: &Ahead<'_>,
        entries: impl Iterator<Item = Entry>,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Doubt>, SyncError> {
        let mut known: HashMap<Row, Option<KnownVersion>> = HashMap::new();
        let mut doubted: HashSet<Row> = HashSet::new();
        let mut doubts = Vec::new();
        for entry in entries {
            let is_settled = match self.read.get(&entry.row) {
                Some(None) => true,
                Some(Some(upto)) => entry.number <= *upto,
                None => false,
            };
            if is_settled || doubted.contains(&entry.row) {
                continue;
            }
            let version = match known.get(&entry.row) {
                Some(version) => *version,
                None => sink.known(entry.row.0, &WireId::Text(entry.row.1.as_str().into()))?,
            };
            if ahead.is_doubtful(&entry, version) {
                doubts.push(Doubt {
                    entity: entry.row.0,
                    id: entry.row.1.clone(),
                    upto: Some(ahead.last),
                });
                doubted.insert(entry.row);
                continue;
            }
            let newer = version.is_none_or(|version| version.number < entry.version);
            let read = KnownVersion {
                number: entry.version,
                told: false,
            };
            known.insert(entry.row, if newer { Some(read) } else { version });
        }
        match self.read.len() + doubts.len() > MOST {
            true => Ok(Vec::new()),
            false => Ok(doubts),
        }
    }
}

impl Ahead<'_> {
    fn is_doubtful(&self, entry: &Entry, known: Option<KnownVersion>) -> bool {
        let reached = self.reached.get(entry.row.0).copied().flatten();
        let reached = reached.unwrap_or(0);
        let next = known.map_or(1, |known| known.number.saturating_add(1));
        // Nothing is missing before it.
        let goes_on = self.after <= reached;
        let is_jump = entry.version > next || (known.is_none() && entry.deleted);
        let is_read = |known: KnownVersion| !known.told && entry.version <= known.number;
        (goes_on && is_jump) || (entry.number > reached && known.is_some_and(is_read))
    }
}

/// The rows that the answer to an upload makes doubtful.
///
/// # Errors
/// Reading the parcel.
pub fn of_upload(refused: &[Refused], parcel: &dyn ParcelRows) -> io::Result<Vec<Doubt>> {
    if refused.is_empty() {
        return Ok(Vec::new());
    }
    let refused: HashMap<i64, bool> = refused.iter().map(|one| (one.change, one.blind)).collect();
    let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
    let (mut upserted, mut deleted) = (0, 0);
    parcel.in_order(&mut |entity, row| {
        let (count, doubts) = match row.kind {
            ChangeKind::Deleted => (&mut deleted, &mut deletes),
            ChangeKind::Created | ChangeKind::Updated => (&mut upserted, &mut upserts),
        };
        *count += 1;
        if let (Some(blind), ValueRef::Text(id)) = (refused.get(&row.change), row.id) {
            let doubt = Doubt {
                entity,
                id: id.to_owned(),
                upto: None,
            };
            // Of a row that the server should have, it is to say whether it has it.
            doubts.push((doubt, *blind && row.base.unwrap_or(0) != 0));
        }
        Ok(())
    })?;
    let of = |count: usize, doubts: Vec<(Doubt, bool)>| {
        let doubts = doubts.into_iter();
        let concerned = doubts.filter(move |(_, is_due)| count > 1 || *is_due);
        concerned.map(|(doubt, _)| doubt)
    };
    Ok(of(upserted, upserts).chain(of(deleted, deletes)).collect())
}

/// Rows that are to be read, as a conversation notes them; none when there are none.
pub fn note(doubts: &[Doubt]) -> Option<String> {
    match doubts.is_empty() {
        true => None,
        false => serde_json::to_string(doubts).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "a000000d-0000-4000-8000-000000000001";

    fn known(number: i64, told: bool) -> Option<KnownVersion> {
        Some(KnownVersion { number, told })
    }

    /// Whether an entry with number 10 is doubtful, behind what was read up to 5.
    fn is_doubtful(known: Option<KnownVersion>, version: i64, deleted: bool) -> bool {
        let ahead = Ahead {
            after: 5,
            last: 20,
            reached: &[Some(5)],
        };
        let entry = Entry {
            row: (0, ROW.into()),
            number: 10,
            version,
            deleted,
        };
        ahead.is_doubtful(&entry, known)
    }

    #[test]
    fn r3_what_an_entry_gives_away() {
        for (version, known_version, deleted, expected) in [
            // The next one, or the first.
            (1, None, false, false),
            (3, known(2, false), false, false),
            (3, known(2, true), true, false),
            // Nobody has seen what comes before it.
            (4, None, false, true),
            (1, None, true, true),
            (5, known(2, true), false, true),
            (5, known(2, false), true, true),
            // One of two is a phantom; where the server itself has said so, it is this one.
            (2, known(2, false), false, true),
            (1, known(2, false), false, true),
            (2, known(2, true), false, false),
        ] {
            let doubtful = is_doubtful(known_version, version, deleted);
            assert_eq!(doubtful, expected, "{version} {known_version:?} {deleted}");
        }
    }

    #[test]
    fn r3_what_was_read_before_comes_again_without_a_doubt() {
        let entry = |number| Entry {
            row: (0, ROW.into()),
            number,
            version: 2,
            deleted: false,
        };
        let doubtful = |after, number, reached| {
            let ahead = Ahead {
                after,
                last: 90,
                reached: &[reached],
            };
            ahead.is_doubtful(&entry(number), known(7, false))
        };
        assert!(!doubtful(0, 40, Some(40)));
        assert!(doubtful(0, 41, Some(40)));
        // In the middle of the log rows may have any version.
        let ahead = Ahead {
            after: 50,
            last: 90,
            reached: &[Some(40)],
        };
        assert!(!ahead.is_doubtful(&entry(60), None));
    }

    #[test]
    fn r3_a_log_that_is_strange_throughout_is_believed() {
        struct Nothing;
        impl Sink for Nothing {
            fn row(&mut self, _: &crate::providers::sink::RemoteRow<'_>) -> Result<(), SyncError> {
                Ok(())
            }
            fn gone(&mut self, _: usize, _: &WireId<'_>, _: Option<i64>) -> Result<(), SyncError> {
                Ok(())
            }
            fn scope(
                &mut self,
                _: usize,
                _: &crate::providers::sink::Scope<'_>,
            ) -> Result<(), SyncError> {
                Ok(())
            }
        }
        let ahead = Ahead {
            after: 0,
            last: 500,
            reached: &[None],
        };
        let page = |rows: i64| {
            let entry = |number: i64| Entry {
                row: (0, number.to_string()),
                number,
                version: 2,
                deleted: false,
            };
            (1..=rows).map(entry)
        };
        let doubts = Doubts::default();
        let found = |rows| {
            let found = doubts.of_page(&ahead, page(rows), &mut Nothing);
            found.expect("no trouble").len()
        };
        assert_eq!((found(100), found(101)), (100, 0));
    }
}
