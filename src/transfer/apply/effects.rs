//! What applied rows mean for the change log: one list of rows and effects, written in one place.

use std::collections::HashMap;

use crate::capture::Key;
use crate::capture::log::{self, Fate, Mark};
use crate::store::{Database, Result};

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

/// The rows of one table that an answer has an effect on.
#[derive(Default)]
pub struct Effects(HashMap<Key, Effect>);

impl Effects {
    pub fn note(&mut self, key: &Key, effect: Effect) {
        if effect == Effect::Stays {
            return;
        }
        let before = self.0.remove(key).unwrap_or(Effect::Stays);
        self.0.insert(key.clone(), before.and(effect));
    }

    /// Whether this answer has settled all that is pending of a row.
    pub fn is_settled(&self, key: &Key) -> bool {
        self.0.get(key) == Some(&Effect::Settled)
    }

    /// The rows that the answer has spoken of, each with whether nothing waits of it any more.
    pub fn met(&self) -> impl Iterator<Item = (&Key, bool)> {
        let rows = self.0.iter();
        rows.map(|(key, effect)| (key, *effect == Effect::Settled))
    }
}

/// Writes the effects on the entries up to `upto`, the log's end before anything was applied. `tables` goes by
/// the number of the table.
///
/// # Errors
/// SQLite's.
pub fn write(database: &Database, upto: i64, tables: &HashMap<i64, Effects>) -> Result<()> {
    if tables.values().all(|effects| effects.0.is_empty()) {
        return Ok(());
    }
    log::rewrite(database, upto, |seq, (table, key)| {
        let effect = tables.get(table).and_then(|effects| effects.0.get(key));
        effect.map_or(Fate::Stays, |effect| effect.fate(seq))
    })?;
    for (table, effects) in tables {
        for (key, effect) in &effects.0 {
            if let Effect::Marked(mark) = effect {
                log::mark(database, *table, key, mark)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Status;
    use crate::store::Value;

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
        effects.note(&key, Effect::Stays);
        assert!(effects.0.is_empty());
        effects.note(&key, Effect::Known(3));
        assert!(!effects.is_settled(&key));
        effects.note(&key, Effect::Settled);
        effects.note(&key, Effect::There);
        assert!(effects.is_settled(&key));
    }
}
