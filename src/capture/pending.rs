//! Pending rows, worked out from the log.
//!
//! | known to the server | row exists | inserted, updated or deleted | status |
//! |---|---|---|---|
//! | no | yes | – | created |
//! | no | no | – | nothing to send |
//! | yes | yes | yes | updated |
//! | yes | yes | only met | nothing happened |
//! | yes | no | – | deleted |
//!
//! What the server knew before was acknowledged, which empties the log of it. So a row was known exactly
//! if it existed before its first pending entry, and that follows from counting: it exists now (or did
//! when it was "met"), less the inserts, plus the deletes. Counting does not depend on the order of the
//! entries, which an application's own triggers can turn around. An insert of a known row (REPLACE, or
//! deleted and created again) counts as an update of every column.
//!
//! A row made here may turn out to be on the server too, made by somebody else. It stays created, but is
//! not forgotten any more: gone, it is deleted; replaced, it is updated.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::columns::Drift;
use super::key::Key;
use super::op::{EVERY_COLUMN, GROUP, Op, Status, bit};

/// The coalesced entries of one row.
#[derive(Debug, Clone)]
pub struct Pending {
    pub key: Key,
    /// It was inserted, updated or deleted, not only met.
    touched: bool,
    /// Inserts less deletes.
    balance: i64,
    /// The balance when the row was first met, which proves that it existed then.
    met_at: Option<i64>,
    inserted: bool,
    /// Its newest insert in the log.
    last_insert: i64,
    /// Its newest insert at the time when the server turned out to have the row too.
    there: i64,
    /// Every column counts as changed.
    every_column: bool,
    /// It was updated while the triggers did not know all columns.
    unseen: bool,
    /// Changed columns, 62 to a group.
    groups: Vec<i64>,
    /// Where the row was when last logged.
    rowid: Option<i64>,
    pub first_seq: i64,
    pub last_seq: i64,
}

impl Pending {
    /// What the log says, given whether the row exists now; `sends.rs` makes of it what would be sent.
    pub(super) fn status(&self, exists: bool) -> Status {
        match (self.known(exists), exists) {
            (false, true) if self.replaced_there() => Status::Updated,
            (false, true) => Status::Created,
            (false, false) if self.there > 0 => Status::Deleted,
            (false, false) => Status::Nothing,
            (true, false) => Status::Deleted,
            (true, true) if self.touched => Status::Updated,
            (true, true) => Status::Nothing,
        }
    }

    /// Whether the column at `position` of an existing row changed. For a created row: since it was
    /// created.
    pub fn changed(&self, position: usize) -> bool {
        let replaced = (self.inserted && self.known(true)) || self.replaced_there();
        if self.every_column || replaced {
            return true;
        }
        let (group, bit) = bit(position);
        self.groups.get(group).is_some_and(|mask| mask & bit != 0)
    }

    /// Whether it was made, or replaced as a whole, after this entry of the log.
    pub fn inserted_after(&self, seq: i64) -> bool {
        self.last_insert > seq
    }

    /// Whether it was made, or replaced as a whole, after this entry of the log, and the server has not turned out
    /// to have it since.
    pub fn made_after(&self, seq: i64) -> bool {
        self.inserted_after(seq) && self.inserted_after(self.there)
    }

    /// Whether it was created again, or replaced, since the server turned out to have it too.
    fn replaced_there(&self) -> bool {
        self.there > 0 && self.inserted_after(self.there)
    }

    /// Where the row was when last logged.
    pub fn rowid(&self) -> Option<i64> {
        self.rowid
    }

    fn known(&self, exists: bool) -> bool {
        match self.met_at {
            Some(balance) => balance < 1,
            None => i64::from(exists) - self.balance > 0,
        }
    }

    fn start(key: Key) -> Self {
        Self {
            key,
            touched: false,
            balance: 0,
            met_at: None,
            inserted: false,
            last_insert: 0,
            there: 0,
            every_column: false,
            unseen: false,
            groups: Vec::new(),
            rowid: None,
            first_seq: 0,
            last_seq: 0,
        }
    }

    fn add(&mut self, entry: &Entry, drift: Option<&Drift>) {
        self.last_seq = entry.seq;
        self.rowid = entry.rowid.or(self.rowid);
        match entry.op {
            Op::Met => {
                self.met_at.get_or_insert(self.balance);
                return;
            }
            Op::Insert => {
                self.balance += 1;
                self.inserted = true;
                self.last_insert = entry.seq;
            }
            Op::InsertThere => {
                self.balance += 1;
                self.inserted = true;
                self.last_insert = entry.seq;
                self.there = entry.seq;
            }
            Op::Delete => self.balance -= 1,
            Op::Update { group } => {
                self.every_column |= entry.mask == EVERY_COLUMN;
                match drift {
                    None => self.mark(group, entry.mask),
                    Some(drift) => self.mark_moved(group, entry.mask, drift),
                }
            }
        }
        self.touched = true;
    }

    /// The log speaks of the columns as they were.
    fn mark_moved(&mut self, group: usize, mask: i64, drift: &Drift) {
        self.unseen |= !drift.added.is_empty();
        for place in (0..GROUP).filter(|place| mask & 1 << place != 0) {
            if let Some(Some(position)) = drift.places.get(group * GROUP + place) {
                self.mark_column(*position);
            }
        }
    }

    /// Whether it was updated while the triggers did not know all columns.
    pub fn has_unseen(&self) -> bool {
        self.unseen
    }

    /// The column at `position` changed.
    pub(super) fn mark_column(&mut self, position: usize) {
        let (group, bit) = bit(position);
        self.mark(group, bit);
    }

    fn mark(&mut self, group: usize, mask: i64) {
        if self.groups.len() <= group {
            self.groups.resize(group + 1, 0);
        }
        self.groups[group] |= mask;
    }
}

/// An entry of the log, without its table and key.
pub(super) struct Entry {
    pub seq: i64,
    pub op: Op,
    pub mask: i64,
    pub rowid: Option<i64>,
}

/// The pending rows of one table, oldest first, and by key.
#[derive(Debug, Default)]
pub struct PendingRows {
    rows: Vec<Pending>,
    /// Places in `rows` by the hash of the key. The keys are in the rows; a second copy of each would be
    /// most of the memory.
    places: HashMap<u64, usize>,
    hasher: RandomState,
}

impl PendingRows {
    /// One more entry of the log.
    pub(super) fn add(&mut self, key: Key, entry: &Entry, drift: Option<&Drift>) {
        let slot = match self.find(&key) {
            Ok(place) => {
                self.rows[place].add(entry, drift);
                return;
            }
            Err(slot) => slot,
        };
        let mut pending = Pending::start(key);
        pending.first_seq = entry.seq;
        pending.add(entry, drift);
        self.places.insert(slot, self.rows.len());
        self.rows.push(pending);
    }

    /// The place of a key, or the number under which it would be listed: its hash, or the next one that
    /// no other key took.
    fn find(&self, key: &Key) -> std::result::Result<usize, u64> {
        let mut slot = self.hasher.hash_one(key);
        while let Some(place) = self.places.get(&slot) {
            if self.rows[*place].key == *key {
                return Ok(*place);
            }
            slot = slot.wrapping_add(1);
        }
        Err(slot)
    }

    /// The pending entries of a row, if it has any.
    pub fn get(&self, key: &Key) -> Option<&Pending> {
        self.find(key).ok().map(|place| &self.rows[place])
    }

    pub fn rows(&self) -> &[Pending] {
        &self.rows
    }

    /// The rows that were updated while the triggers did not know all columns.
    pub(super) fn unseen(&mut self) -> impl Iterator<Item = &mut Pending> {
        self.rows.iter_mut().filter(|row| row.unseen)
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Value;

    fn entry(number: usize, op: Op, mask: i64) -> Entry {
        Entry {
            seq: number as i64 + 1,
            op,
            mask,
            rowid: None,
        }
    }

    fn history(ops: &[(Op, i64)]) -> Pending {
        let mut rows = PendingRows::default();
        for (number, (op, mask)) in ops.iter().enumerate() {
            rows.add(Key(Value::Integer(1)), &entry(number, *op, *mask), None);
        }
        rows.rows[0].clone()
    }

    #[test]
    fn keys_with_the_same_hash_are_told_apart() {
        let (one, two) = (Key(Value::Integer(1)), Key(Value::Integer(2)));
        let mut rows = PendingRows::default();
        rows.add(one.clone(), &entry(0, Op::Insert, 0), None);
        rows.places.insert(rows.hasher.hash_one(&two), 0);
        assert!(rows.get(&two).is_none());
        rows.add(two.clone(), &entry(1, Op::Insert, 0), None);
        rows.add(two.clone(), &entry(2, Op::UPDATE, 1), None);
        assert_eq!(rows.rows.len(), 2);
        let last = [&one, &two].map(|key| rows.get(key).map(|row| row.last_seq));
        assert_eq!(last, [Some(1), Some(3)]);
    }

    #[test]
    fn statuses() {
        for (ops, exists, status) in [
            (&[(Op::Insert, 0)][..], true, Status::Created),
            (&[(Op::Insert, 0), (Op::UPDATE, 1)], true, Status::Created),
            (&[(Op::Insert, 0), (Op::Delete, 0)], false, Status::Nothing),
            (&[(Op::UPDATE, 1)], true, Status::Updated),
            (&[(Op::UPDATE, 1), (Op::Delete, 0)], false, Status::Deleted),
            (&[(Op::Delete, 0), (Op::Insert, 0)], true, Status::Updated),
            (&[(Op::Met, 0)], true, Status::Nothing),
            (&[(Op::Met, 0)], false, Status::Deleted),
            (&[(Op::Met, 0), (Op::Insert, 0)], true, Status::Updated),
            (
                &[(Op::Met, 0), (Op::Insert, 0), (Op::Delete, 0)],
                false,
                Status::Deleted,
            ),
            (
                &[(Op::Insert, 0), (Op::Met, 0), (Op::Insert, 0)],
                true,
                Status::Created,
            ),
        ] {
            assert_eq!(history(ops).status(exists), status, "{ops:?}");
        }
    }

    #[test]
    fn an_application_s_triggers_may_turn_the_order_around() {
        for (ops, exists, status) in [
            // Stamped by a trigger that ran before ours.
            (
                &[(Op::UPDATE, 1), (Op::Insert, 0)][..],
                true,
                Status::Created,
            ),
            // Put back by a delete trigger.
            (&[(Op::Insert, 0), (Op::Delete, 0)], true, Status::Updated),
            // Taken away again by an insert trigger.
            (&[(Op::Delete, 0), (Op::Insert, 0)], false, Status::Nothing),
        ] {
            assert_eq!(history(ops).status(exists), status, "{ops:?}");
        }
    }

    #[test]
    fn changed_columns() {
        let created = history(&[(Op::Insert, 0), (Op::UPDATE, 0b10)]);
        assert!(!created.changed(0) && created.changed(1));
        let again = history(&[(Op::Delete, 0), (Op::Insert, 0)]);
        assert!(again.changed(0) && again.changed(500));
        let far = history(&[(Op::Update { group: 1 }, 0b100)]);
        assert!(far.changed(GROUP + 2) && !far.changed(2));
    }
}
