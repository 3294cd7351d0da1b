//! A pending row, worked out from the log.
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
//! entries, which an application's own triggers can turn around. An insert of a known row that was deleted counts as
//! an update of every column; of one that it replaced (REPLACE) as an update of those that got another value, which the
//! entry "met" before it names.
//!
//! A row made here may turn out to be on the server too, made by somebody else. It stays created, but is
//! not forgotten any more: gone, it is deleted; replaced, it is updated.

use super::columns::Columns;
use super::key::Key;
use super::op::{EVERY_COLUMN, Op, Status, bit};

/// The coalesced entries of one row.
#[derive(Debug, Clone)]
pub struct Pending {
    pub key: Key,
    /// It was inserted, updated or deleted, not only met.
    pub(super) touched: bool,
    /// Inserts less deletes.
    pub(super) balance: i64,
    /// The balance when the row was first met, which proves that it existed then.
    pub(super) met_at: Option<i64>,
    pub(super) inserted: bool,
    /// The last entry but those of kind "met" is a delete by itself, not one by which OR REPLACE makes room.
    pub(super) deleted: bool,
    /// Its newest insert came behind such a delete.
    pub(super) made_again: bool,
    /// Its newest insert in the log.
    pub(super) last_insert: i64,
    /// Its newest insert at the time when the server turned out to have the row too.
    pub(super) there: i64,
    /// Its only insert may be that of a row which was copied when its table was made again.
    pub(super) copied: bool,
    /// Every column counts as changed.
    pub(super) every_column: bool,
    /// It was updated while the triggers did not know all columns.
    pub(super) unseen: bool,
    /// Changed columns, 62 to a group.
    pub(super) groups: Vec<i64>,
    /// What an insert that follows would change: the masks of the entries "met" just before, by group.
    pub(super) offered: Option<Vec<i64>>,
    /// The last entry but those of kind "met" says that the row was there.
    pub(super) was_there: bool,
    /// Its table was made again without it.
    pub(super) lost: bool,
    /// It was deleted, and its table was made again with it.
    pub(super) revived: bool,
    /// There is no table to look it up in: what the log says of it last is all there is.
    pub(super) stranded: bool,
    /// Where the row was when last logged.
    pub(super) rowid: Option<i64>,
    pub first_seq: i64,
    pub last_seq: i64,
}

impl Pending {
    /// What the log says, given whether the row exists now; `sends.rs` makes of it what would be sent.
    pub(super) fn status(&self, exists: bool) -> Status {
        if self.lost && !exists {
            return Status::Nothing;
        }
        let exists = exists || self.is_stranded_there();
        match (self.known(exists), exists) {
            (false, true) if self.replaced_there() => Status::Updated,
            (false, true) => Status::Created,
            (false, false) if self.is_met() => Status::Deleted,
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

    /// Whether its table was made again without it: nothing can be sent of it, least of all a delete.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Notes that its table is gone. One that an insert of another row has met at last, `replaced`, is gone by that insert.
    pub(super) fn strand(&mut self, replaced: bool) {
        self.stranded = true;
        // Nothing else than "met" is known of a row that was not touched: it is as it was.
        self.was_there = !replaced && (self.was_there || !self.touched);
    }

    /// Whether its table is gone, and it was there until then as far as the log knows.
    pub(super) fn is_stranded_there(&self) -> bool {
        self.stranded && self.was_there
    }

    /// Notes that the table that is there now does not have the row, and was made since its entries were logged.
    /// One that was deleted before stays deleted. One that was only "met" counts as lost: to delete a row elsewhere that
    /// was not deleted here would be worse. (What shows that it was replaced, `scan.rs` looks for first.)
    pub(super) fn lose_unless_deleted(&mut self) {
        self.lost = self.balance >= 0 && (self.was_there || !self.touched);
    }

    /// Notes that the table that is there now has the row, and was made since its entries were logged. One that was
    /// deleted before was inserted again.
    pub(super) fn revive_if_deleted(&mut self) {
        if self.touched && !self.was_there {
            self.revived = true;
            self.balance += 1;
            self.inserted = true;
        }
    }

    /// Whether it came back with its table: its insert is not in the log.
    pub(super) fn is_revived(&self) -> bool {
        self.revived
    }

    /// What waited of a row that was lost with its table.
    pub(super) fn lost_status(&self) -> Status {
        match (self.lost && self.touched, self.known(true)) {
            (false, _) => Status::Nothing,
            (true, true) => Status::Updated,
            (true, false) => Status::Created,
        }
    }

    /// Whether it may be one that the server has, copied when its table was made again.
    pub fn may_be_copied(&self) -> bool {
        self.copied
    }

    /// The same row, now that the server turns out to have it: it was copied.
    pub fn as_copied(&self) -> Self {
        Self {
            copied: false,
            met_at: Some(0),
            touched: self.every_column || self.groups.iter().any(|mask| *mask != 0),
            ..self.clone()
        }
    }

    /// Whether it was made, or replaced as a whole, after this entry of the log.
    pub fn inserted_after(&self, seq: i64) -> bool {
        self.last_insert > seq
    }

    /// Whether this entry of the log is its newest insert.
    pub(super) fn inserted_by(&self, seq: i64) -> bool {
        self.last_insert == seq && seq > 0
    }

    /// The insert by which it was made once more after it was deleted: where numbers are counted, it may be another row to
    /// which the number was given again. None: it was not.
    pub fn made_again(&self) -> Option<i64> {
        self.made_again.then_some(self.last_insert)
    }

    /// Whether it was made, or replaced as a whole, after this entry of the log, and the server has not turned out
    /// to have it since.
    pub fn made_after(&self, seq: i64) -> bool {
        self.inserted_after(seq) && self.inserted_after(self.there)
    }

    /// Whether it was created again, or replaced, since the server turned out to have it too.
    fn replaced_there(&self) -> bool {
        self.is_met() && self.inserted_after(self.there)
    }

    /// Whether the server has turned out to have the row too, though it is still to be sent as created.
    pub fn is_met(&self) -> bool {
        self.there > 0
    }

    /// Of a row that exists: whether it was made here, and the server has not turned out to have it.
    pub fn is_made_here(&self) -> bool {
        self.status(true) == Status::Created && !self.is_met()
    }

    /// Where the row was when last logged.
    pub fn rowid(&self) -> Option<i64> {
        self.rowid
    }

    fn known(&self, exists: bool) -> bool {
        match self.met_at {
            Some(balance) => balance < 1,
            // Deleted, one that may have been copied has to go on the server too, if it is there.
            None if self.copied && !exists => true,
            None => i64::from(exists) - self.balance > 0,
        }
    }

    /// The first entry of a row.
    pub(super) fn begin(key: Key, entry: &Entry, columns: &Columns) -> Self {
        let mut pending = Self::start(key);
        pending.first_seq = entry.seq;
        pending.add(entry, columns);
        pending
    }

    /// A row of which nothing is logged.
    pub(super) fn start(key: Key) -> Self {
        Self {
            key,
            touched: false,
            balance: 0,
            met_at: None,
            inserted: false,
            deleted: false,
            made_again: false,
            last_insert: 0,
            there: 0,
            copied: false,
            every_column: false,
            unseen: false,
            groups: Vec::new(),
            offered: None,
            was_there: false,
            lost: false,
            revived: false,
            stranded: false,
            rowid: None,
            first_seq: 0,
            last_seq: 0,
        }
    }

    pub(super) fn add(&mut self, entry: &Entry, columns: &Columns) {
        self.last_seq = entry.seq;
        self.rowid = entry.rowid.or(self.rowid);
        let offered = self.offered.take();
        let was_deleted = self.deleted;
        self.deleted &= entry.op == Op::Met;
        match entry.op {
            Op::Met => {
                self.met_at.get_or_insert(self.balance);
                self.offered = offer(offered, entry);
                return;
            }
            Op::Insert => {
                self.balance += 1;
                self.was_there = true;
                if let Some(masks) = offered {
                    self.replace(&masks, columns);
                    return;
                }
                if entry.copied {
                    self.copied = !self.inserted;
                } else {
                    self.inserted = true;
                    self.made_again = was_deleted;
                    self.last_insert = entry.seq;
                }
            }
            Op::InsertThere => {
                self.balance += 1;
                self.was_there = true;
                self.inserted = true;
                self.last_insert = entry.seq;
                self.there = entry.seq;
            }
            // SQLite also tells of the row that the insert to come replaces: nothing that is not known.
            Op::Delete if entry.replaced && offered.is_some() => {
                self.offered = offered;
                return;
            }
            Op::Delete => {
                self.balance -= 1;
                self.was_there = false;
                self.deleted = !entry.replaced;
            }
            Op::Update { group } => {
                self.was_there = true;
                self.every_column |= entry.mask == Some(EVERY_COLUMN);
                self.unseen |= !columns.added.is_empty();
                self.mark_mask(group, entry.mask.unwrap_or(0), columns);
            }
        }
        self.touched = true;
    }

    /// An insert has replaced the row by itself: what got another value changed.
    fn replace(&mut self, masks: &[i64], columns: &Columns) {
        for (group, mask) in masks.iter().enumerate().filter(|(_, mask)| **mask != 0) {
            self.touched = true;
            self.mark_mask(group, *mask, columns);
        }
        if !columns.added.is_empty() || !columns.suspects().is_empty() {
            // Columns that the triggers do not know may have got another value too.
            self.touched = true;
            self.unseen = true;
            self.mark_mask(0, 0, columns);
        }
    }

    fn mark_mask(&mut self, group: usize, mask: i64, columns: &Columns) {
        if mask == EVERY_COLUMN {
            return;
        }
        if columns.is_straight() {
            self.mark(group, mask);
            return;
        }
        if mask == 0 {
            for position in columns.suspects() {
                self.mark_column(*position);
            }
        }
        for position in columns.positions(group, mask) {
            self.mark_column(position);
        }
    }

    /// Whether an entry names the column at `position`.
    pub(super) fn marked(&self, position: usize) -> bool {
        let (group, bit) = bit(position);
        self.groups.get(group).is_some_and(|mask| mask & bit != 0)
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

/// What an insert would change by an entry "met", together with those just before it. The first group begins anew;
/// without a mask nobody knows.
fn offer(before: Option<Vec<i64>>, entry: &Entry) -> Option<Vec<i64>> {
    let mask = entry.mask?;
    let mut masks = match entry.group {
        0 => Vec::new(),
        _ => before?,
    };
    if masks.len() <= entry.group {
        masks.resize(entry.group + 1, 0);
    }
    masks[entry.group] = mask;
    Some(masks)
}

/// An entry of the log, without its table and key.
pub(super) struct Entry {
    pub seq: i64,
    pub op: Op,
    /// The group of columns that the mask is about.
    pub group: usize,
    /// A delete by which OR REPLACE makes room.
    pub replaced: bool,
    /// An insert that may be a copy.
    pub copied: bool,
    pub mask: Option<i64>,
    pub rowid: Option<i64>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::PendingRows;
    use super::*;
    use crate::capture::op::GROUP;
    use crate::capture::shape::Shape;
    use crate::store::Value;

    pub fn straight() -> Columns {
        let shape = Shape {
            name: String::new(),
            columns: Vec::new(),
            rowid: None,
            rowid_is_key: false,
            definition: String::new(),
            strict: false,
        };
        Columns::resolve(&[], None, &shape)
    }

    pub fn entry(number: usize, op: Op, mask: i64) -> Entry {
        Entry {
            seq: number as i64 + 1,
            op,
            group: match op {
                Op::Update { group } => group,
                _ => 0,
            },
            replaced: false,
            copied: false,
            mask: Some(mask),
            rowid: None,
        }
    }

    fn history(ops: &[(Op, i64)]) -> Pending {
        let mut rows = PendingRows::default();
        for (number, (op, mask)) in ops.iter().enumerate() {
            rows.add(
                Key(Value::Integer(1)),
                &entry(number, *op, *mask),
                &straight(),
            );
        }
        rows.rows_mut()[0].clone()
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
            // Replaced by itself, with another value and with the same.
            (&[(Op::Met, 1), (Op::Insert, 0)], true, Status::Updated),
            (&[(Op::Met, 0), (Op::Insert, 0)], true, Status::Nothing),
            // A delete of the program in between.
            (
                &[(Op::Met, 0), (Op::Delete, 0), (Op::Insert, 0)],
                true,
                Status::Updated,
            ),
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

    /// Of a row that may be a copy nobody knows whether the server has it.
    #[test]
    fn a_row_that_may_be_copied_is_created_until_it_is_known_and_deleted_when_it_goes() {
        let copied = |ops: &[(Op, i64, bool)]| {
            let mut rows = PendingRows::default();
            for (number, (op, mask, copied)) in ops.iter().enumerate() {
                let copied = *copied;
                let entry = Entry {
                    copied,
                    ..entry(number, *op, *mask)
                };
                rows.add(Key(Value::Integer(1)), &entry, &straight());
            }
            rows.rows_mut()[0].clone()
        };
        let plain = copied(&[(Op::Insert, 0, true)]);
        assert_eq!(plain.status(true), Status::Created);
        assert_eq!(plain.status(false), Status::Deleted);
        assert_eq!(plain.as_copied().status(true), Status::Nothing);
        let edited = copied(&[(Op::UPDATE, 0b10, false), (Op::Insert, 0, true)]);
        assert_eq!(edited.as_copied().status(true), Status::Updated);
        assert!(edited.as_copied().changed(1) && !edited.as_copied().changed(0));
        // It was made here before.
        let ours = copied(&[(Op::Insert, 0, false), (Op::Insert, 0, true)]);
        assert!(!ours.may_be_copied());
        let gone = copied(&[
            (Op::Insert, 0, false),
            (Op::Insert, 0, true),
            (Op::Delete, 0, false),
        ]);
        assert_eq!(gone.status(false), Status::Nothing);
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
