//! What applied rows mean for the change log: one list of rows and effects, written in one place.

use std::collections::HashMap;

use crate::capture::key_map::Kept;
use crate::capture::log::{self, Fate, Mark};
use crate::capture::{Key, KeyMap, Status};
use crate::store::{Database, Result, Value};

/// What an applied row means for the log entries of its key, from the weakest to the strongest.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// They stay as they are.
    Stays,
    /// The server has a row of this key too, made by somebody else.
    There,
    /// The server knows the row: what was created up to this entry was sent, and has arrived.
    Known(i64),
    /// The server has what they say, up to this one.
    SettledUpTo(i64),
    /// The server has settled them all.
    Settled,
    /// Something else is pending from now on.
    Marked(Mark),
}

impl Effect {
    /// Two effects on one row: the stronger one, the later one of equals.
    pub fn and(self, later: Self) -> Self {
        match (self, later) {
            (Self::SettledUpTo(one), Self::SettledUpTo(other)) => Self::SettledUpTo(one.max(other)),
            (earlier, later) if later.strength() < earlier.strength() => earlier,
            (_, later) => later,
        }
    }

    fn strength(&self) -> u8 {
        match self {
            Self::Stays => 0,
            Self::There => 1,
            Self::Known(_) => 2,
            Self::SettledUpTo(_) => 3,
            Self::Settled | Self::Marked(_) => 4,
        }
    }

    /// What it does to entry number `seq`.
    fn fate(&self, seq: i64) -> Fate {
        match self {
            Self::There => Fate::There,
            Self::Known(upto) if seq <= *upto => Fate::Met,
            Self::SettledUpTo(upto) if seq <= *upto => Fate::Goes,
            Self::Settled | Self::Marked(_) => Fate::Goes,
            Self::Stays | Self::Known(_) | Self::SettledUpTo(_) => Fate::Stays,
        }
    }
}

impl Kept for Effect {
    const VALUES: usize = 4;

    /// Which it is; up to where, or the status of a mark; its columns; its rowid.
    fn write(&self) -> Vec<Value> {
        let row = |strength, upto, bits, rowid| vec![Value::Integer(strength), upto, bits, rowid];
        let plain = |code| row(code, Value::Null, Value::Null, Value::Null);
        let upto = |code, upto| row(code, Value::Integer(upto), Value::Null, Value::Null);
        match self {
            Self::Stays => plain(0),
            Self::There => plain(1),
            Self::Known(number) => upto(2, *number),
            Self::SettledUpTo(number) => upto(3, *number),
            Self::Settled => plain(4),
            Self::Marked(mark) => {
                let bits = mark.bits.iter().flat_map(|bit| bit.to_le_bytes());
                let status = Value::Text(mark.status.as_str().into());
                let rowid = mark.rowid.map_or(Value::Null, Value::Integer);
                row(5, status, Value::Blob(bits.collect()), rowid)
            }
        }
    }

    fn read(_: &Key, values: Vec<Value>) -> Option<Self> {
        let [code, upto, bits, rowid] = &values[..] else {
            return None;
        };
        Some(match code.as_i64()? {
            0 => Self::Stays,
            1 => Self::There,
            2 => Self::Known(upto.as_i64()?),
            3 => Self::SettledUpTo(upto.as_i64()?),
            4 => Self::Settled,
            _ => Self::Marked(Mark {
                status: Status::named(upto.as_str()?)?,
                bits: match bits {
                    Value::Blob(bytes) => bytes
                        .chunks_exact(size_of::<usize>())
                        .filter_map(|bit| bit.try_into().ok().map(usize::from_le_bytes))
                        .collect(),
                    _ => return None,
                },
                rowid: rowid.as_i64(),
            }),
        })
    }
}

/// The rows of one table that an answer has an effect on.
#[derive(Default)]
pub struct Effects {
    rows: KeyMap<Effect>,
    /// Whether something else is pending of any of them from now on.
    marks: bool,
}

impl Effects {
    /// # Errors
    /// SQLite's: no room for temporary files, which very many rows take.
    pub fn note(&mut self, key: &Key, effect: Effect) -> Result<()> {
        if effect == Effect::Stays {
            return Ok(());
        }
        self.marks |= matches!(effect, Effect::Marked(_));
        let before = self.rows.get(key)?.unwrap_or(Effect::Stays);
        self.rows.insert(key.clone(), before.and(effect))
    }

    /// Whether this answer has settled all that is pending of a row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_settled(&self, key: &Key) -> Result<bool> {
        Ok(self.rows.get(key)? == Some(Effect::Settled))
    }

    /// Whether something else is pending of a row from now on.
    ///
    /// # Errors
    /// SQLite's.
    pub fn is_marked(&self, key: &Key) -> Result<bool> {
        Ok(self.marks && matches!(self.rows.get(key)?, Some(Effect::Marked(_))))
    }

    /// Of a row that the answer has spoken of: whether nothing waits of it any more.
    ///
    /// # Errors
    /// SQLite's.
    pub fn met(&self, key: &Key) -> Result<Option<bool>> {
        let effect = self.rows.get(key)?;
        Ok(effect.map(|effect| effect == Effect::Settled))
    }
}

/// Writes the effects on the entries up to `upto`, the log's end before anything was applied. `tables` goes by
/// the number of the table.
///
/// # Errors
/// SQLite's.
pub fn write(database: &Database, upto: i64, tables: HashMap<i64, Effects>) -> Result<()> {
    if tables.values().all(|effects| effects.rows.is_empty()) {
        return Ok(());
    }
    log::rewrite(database, upto, |seq, (table, key)| {
        let effect = match tables.get(table) {
            Some(effects) => effects.rows.get(key)?,
            None => None,
        };
        Ok(effect.map_or(Fate::Stays, |effect| effect.fate(seq)))
    })?;
    for (table, mut effects) in tables.into_iter().filter(|(_, effects)| effects.marks) {
        let mut rows = effects.rows.walk(None)?;
        while let Some((key, effect)) = rows.next()? {
            if let Effect::Marked(mark) = effect {
                log::mark(database, table, &key, &mark)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(status: Status) -> Effect {
        Effect::Marked(Mark {
            status,
            bits: vec![1],
            rowid: None,
        })
    }

    #[test]
    fn the_stronger_effect_stays_and_the_later_one_of_equals() {
        let rising = [
            Effect::Stays,
            Effect::There,
            Effect::Known(5),
            Effect::SettledUpTo(5),
            Effect::Settled,
        ];
        for (place, weak) in rising.iter().enumerate() {
            for strong in &rising[place..] {
                assert_eq!(weak.clone().and(strong.clone()), *strong);
                assert_eq!(strong.clone().and(weak.clone()), *strong);
            }
        }
        let (up, down) = (marked(Status::Updated), marked(Status::Deleted));
        assert_eq!(Effect::Settled.and(up.clone()), up);
        assert_eq!(up.clone().and(Effect::Settled), Effect::Settled);
        assert_eq!(up.and(down.clone()), down);
        let upto = Effect::SettledUpTo(9).and(Effect::SettledUpTo(3));
        assert_eq!(upto, Effect::SettledUpTo(9));
    }

    #[test]
    fn each_effect_reaches_the_entries_it_is_about() {
        for (effect, before, after) in [
            (Effect::Stays, Fate::Stays, Fate::Stays),
            (Effect::There, Fate::There, Fate::There),
            (Effect::Known(5), Fate::Met, Fate::Stays),
            (Effect::SettledUpTo(5), Fate::Goes, Fate::Stays),
            (Effect::Settled, Fate::Goes, Fate::Goes),
            (marked(Status::Updated), Fate::Goes, Fate::Goes),
        ] {
            assert_eq!((effect.fate(5), effect.fate(6)), (before, after));
        }
    }

    #[test]
    fn a_row_settled_by_this_answer_is_known_to_be() {
        let key = Key(Value::Integer(1));
        let mut effects = Effects::default();
        let mut note = |effect| {
            effects.note(&key, effect).expect("noted");
            effects.is_settled(&key).expect("read")
        };
        assert!(!note(Effect::Stays));
        assert!(!note(Effect::Known(3)));
        assert!(note(Effect::Settled));
        assert!(note(Effect::There));
    }

    #[test]
    fn effects_are_read_as_they_are_written() {
        let mut many = marked(Status::Created);
        if let Effect::Marked(mark) = &mut many {
            mark.bits = vec![0, 61, 62, 1000];
            mark.rowid = Some(-3);
        }
        for effect in [
            Effect::Stays,
            Effect::There,
            Effect::Known(7),
            Effect::SettledUpTo(i64::MAX),
            Effect::Settled,
            marked(Status::Updated),
            marked(Status::Deleted),
            many,
        ] {
            let values = effect.write();
            assert_eq!(values.len(), Effect::VALUES);
            assert_eq!(Effect::read(&Key(Value::Null), values), Some(effect));
        }
    }
}
