//! What the server made of rows that were sent, kept beyond the answer's text.

use crate::capture::Key;
use crate::providers::sink::{Image, Rejection, Verdict};
use crate::providers::wire::{Slot, WireId};

/// A verdict that outlives the answer's text.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    Taken {
        version: Option<i64>,
        new_id: Option<WireId<'static>>,
        /// The row as it is there now.
        image: Option<Met>,
    },
    Refused(Refusal),
    /// With what the server has in its place, if it said so.
    Conflict(Option<Met>),
    Untouched,
    Unsure,
}

/// See [`Rejection`].
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub reason: Option<String>,
    pub message: Option<String>,
    pub for_good: bool,
    pub unprojected: bool,
}

/// What the server has in place of a row that was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Met {
    pub entity: usize,
    /// None: it has the row as deleted.
    pub slots: Option<Vec<Slot<'static>>>,
    pub version: Option<i64>,
}

/// The row of the server that one of ours met, to be applied like one that was pulled.
#[derive(Debug)]
pub struct MetRow {
    pub place: usize,
    pub key: Key,
    /// None: it is deleted.
    pub slots: Option<Vec<Slot<'static>>>,
    pub version: Option<i64>,
    /// The server has ours, and this is what it made of it.
    pub taken: bool,
}

impl Fate {
    pub fn of(verdict: Verdict<'_>) -> Self {
        match verdict {
            Verdict::Taken {
                version,
                new_id,
                image,
            } => Self::Taken {
                version,
                new_id: new_id.map(|id| id.clone().into_owned()),
                image: image.map(Met::of),
            },
            Verdict::Refused(rejection) => Self::Refused(Refusal::of(rejection)),
            Verdict::Conflict(image) => Self::Conflict(image.map(Met::of)),
            Verdict::Untouched => Self::Untouched,
            Verdict::Unsure => Self::Unsure,
        }
    }

    /// The server has the row as it was sent, and that is all there is to write down.
    pub fn is_plain(&self) -> bool {
        let plain = Self::Taken {
            version: None,
            new_id: None,
            image: None,
        };
        *self == plain
    }
}

impl Refusal {
    fn of(rejection: Rejection<'_>) -> Self {
        Self {
            reason: rejection.reason.map(str::to_owned),
            message: rejection.message.map(str::to_owned),
            for_good: rejection.for_good,
            unprojected: rejection.unprojected,
        }
    }
}

impl Met {
    fn of(image: Image<'_>) -> Self {
        let owned = |slots: &[Slot<'_>]| {
            let slots = slots.iter();
            slots.map(|slot| slot.clone().into_owned()).collect()
        };
        Self {
            entity: image.entity,
            slots: image.slots.map(owned),
            version: image.version,
        }
    }
}
