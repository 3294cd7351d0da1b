//! What is recorded about a row: by one entry of the log (an operation, and of an update the columns that it changed),
//! and by all of them together (a status).

use std::collections::BTreeMap;

/// Columns in one mask: bits 0 to 61 of a positive 64-bit integer.
pub const GROUP: usize = 62;

/// The mask of an update of which nobody knows what it changed: every column, in whatever group.
pub const EVERY_COLUMN: i64 = -1;

/// `_syncChange.op`, as `sql/60_capture.sql` lists it and `sql/templates/capture.sql` writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Insert,
    /// With the number of the group of columns that the mask is about.
    Update {
        group: usize,
    },
    Delete,
    /// An INSERT or UPDATE met this row through a unique constraint. If the row is gone it was replaced, else
    /// nothing happened to it.
    Met,
    /// An insert of a row that the server turned out to have too.
    InsertThere,
}

/// The bits of a code that hold the operation; a group is above them.
pub const OP_BITS: i64 = 7;

impl Op {
    /// The highest group. Columns that come and go take a bit each, so there may be more than a table has columns.
    pub const LAST_GROUP: usize = 1023;

    pub const UPDATE: Self = Self::Update { group: 0 };

    pub const fn code(self) -> i64 {
        match self {
            Self::Insert => 1,
            Self::Update { group } => 2 | (group as i64) << 3,
            Self::Delete => 3,
            Self::Met => 4,
            Self::InsertThere => 5,
        }
    }

    /// The code of "met" with the mask of a group: what the new row would change of the one that it met.
    pub const fn met(group: usize) -> i64 {
        Self::Met.code() | (group as i64) << 3
    }

    /// The code of a delete by which OR REPLACE makes room. SQLite tells of it with `recursive_triggers` on.
    pub const REPLACED: i64 = Self::Delete.code() | 1 << 3;

    /// The code of an insert into a table that was made again, where nobody can tell a row that is copied from a new one.
    pub const COPIED: i64 = Self::Insert.code() | 1 << 3;

    /// A code that nobody writes reads as "met", which does no harm.
    pub fn of(code: i64) -> Self {
        match code & OP_BITS {
            1 => Self::Insert,
            2 => Self::Update {
                group: group_of(code),
            },
            3 => Self::Delete,
            5 => Self::InsertThere,
            _ => Self::Met,
        }
    }
}

/// The group of columns that a code carries above its operation.
pub fn group_of(code: i64) -> usize {
    (code >> 3).clamp(0, Op::LAST_GROUP as i64) as usize
}

/// What would be sent of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Created,
    Updated,
    Deleted,
    /// Logged, but nothing to send to the server.
    Nothing,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Nothing => "nothing",
        }
    }

    /// The one that is called so.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Created, Self::Updated, Self::Deleted, Self::Nothing];
        all.into_iter().find(|status| status.as_str() == name)
    }
}

/// The group of a bit, and its place in the group's mask.
pub fn bit(position: usize) -> (usize, i64) {
    (position / GROUP, 1 << (position % GROUP))
}

/// Updates of the columns at `positions`, one for each group, with their masks.
pub fn updates(positions: impl IntoIterator<Item = usize>) -> impl Iterator<Item = (Op, i64)> {
    let mut masks: BTreeMap<usize, i64> = BTreeMap::new();
    for (group, bit) in positions.into_iter().map(bit) {
        *masks.entry(group).or_default() |= bit;
    }
    let update = |(group, mask)| (Op::Update { group }, mask);
    masks.into_iter().map(update)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_as_they_were_written() {
        for op in [
            Op::Insert,
            Op::UPDATE,
            Op::Update { group: 32 },
            Op::Delete,
            Op::Met,
            Op::InsertThere,
        ] {
            assert_eq!(Op::of(op.code()), op);
        }
        assert_eq!(Op::of(Op::REPLACED), Op::Delete);
        assert_eq!(Op::of(Op::COPIED), Op::Insert);
        for strange in [0, 6, 7, -1, i64::MIN] {
            assert_eq!(Op::of(strange), Op::Met, "{strange}");
        }
    }

    #[test]
    fn columns_go_to_the_masks_of_their_groups() {
        let found: Vec<_> = updates([1, GROUP, 0, GROUP + 61]).collect();
        let far = Op::Update { group: 1 };
        assert_eq!(found, [(Op::UPDATE, 0b11), (far, 1 | 1 << 61)]);
        assert_eq!(updates([]).count(), 0);
    }
}
