//! How a pending row is written into a temporary file, and read back.

use crate::store::Value;

use super::key::Key;
use super::key_map::Kept;
use super::pending::Pending;

impl Kept for Pending {
    const VALUES: usize = 10;

    /// The first value tells the age of the row.
    fn write(&self) -> Vec<Value> {
        let flags = [
            self.touched,
            self.inserted,
            self.every_column,
            self.unseen,
            self.was_there,
            self.lost,
            self.revived,
            self.stranded,
            self.copied,
            self.deleted,
            self.made_again,
        ];
        let flags = flags.iter().enumerate();
        let flags = flags.map(|(bit, flag)| i64::from(*flag) << bit).sum();
        let optional = |number: Option<i64>| number.map_or(Value::Null, Value::Integer);
        vec![
            Value::Integer(self.first_seq),
            Value::Integer(self.last_seq),
            Value::Integer(flags),
            Value::Integer(self.balance),
            optional(self.met_at),
            Value::Integer(self.last_insert),
            Value::Integer(self.there),
            optional(self.rowid),
            masks(Some(&self.groups).filter(|groups| !groups.is_empty())),
            masks(self.offered.as_ref()),
        ]
    }

    fn bytes(&self) -> usize {
        self.key.bytes() + 8 * self.groups.len()
    }

    fn read(key: &Key, values: Vec<Value>) -> Option<Self> {
        let values: [Value; Self::VALUES] = values.try_into().ok()?;
        let [
            first,
            last,
            flags,
            balance,
            met_at,
            insert,
            there,
            rowid,
            groups,
            offered,
        ] = &values;
        let flags = flags.as_i64()?;
        let flag = |bit: u32| flags & 1 << bit != 0;
        Some(Self {
            key: key.clone(),
            touched: flag(0),
            balance: balance.as_i64()?,
            met_at: met_at.as_i64(),
            inserted: flag(1),
            last_insert: insert.as_i64()?,
            there: there.as_i64()?,
            every_column: flag(2),
            unseen: flag(3),
            groups: read_masks(groups).unwrap_or_default(),
            offered: read_masks(offered),
            was_there: flag(4),
            lost: flag(5),
            revived: flag(6),
            stranded: flag(7),
            copied: flag(8),
            deleted: flag(9),
            made_again: flag(10),
            rowid: rowid.as_i64(),
            first_seq: first.as_i64()?,
            last_seq: last.as_i64()?,
        })
    }
}

fn masks(masks: Option<&Vec<i64>>) -> Value {
    let bytes = |masks: &Vec<i64>| masks.iter().flat_map(|mask| mask.to_le_bytes()).collect();
    masks.map_or(Value::Null, |masks| Value::Blob(bytes(masks)))
}

fn read_masks(value: &Value) -> Option<Vec<i64>> {
    let Value::Blob(bytes) = value else {
        return None;
    };
    let masks = bytes.chunks_exact(8);
    Some(
        masks
            .filter_map(|mask| mask.try_into().ok().map(i64::from_le_bytes))
            .collect(),
    )
}
