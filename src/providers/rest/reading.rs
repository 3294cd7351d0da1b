//! One operation of a run, and how far its reading is.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::function::{Deletes, Function};
use super::incremental;
use super::paging::Pages;
use super::template::Values;
use crate::ground::{Warning, quoted};
use crate::http::Spool;
use crate::providers::conversation::{KnownOperation, Place};
use crate::providers::meant::Meant;
use crate::providers::seen::Seen;

/// One operation and how far it is.
pub struct Operation {
    pub known: KnownOperation,
    pub function: Arc<Function>,
    pub values: Values,
    /// The function that lists the keys there are.
    pub ids: Option<Arc<Function>>,
    /// The rows that a whole reading replaces.
    pub meant: Meant,
    /// One of several that an operation of the call is carried out by.
    pub is_branch: bool,
    pub reading: Reading,
}

/// One reading of an operation.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    pub pages: Pages,
    pub seen: Seen,
    /// The greatest value so far of what says how new a row is.
    pub top: Option<Json>,
    /// The keys that there are, while these are read behind the rows.
    pub ids: Option<Seen>,
    /// The rows of each page that has come, where they are to be taken all at once.
    pub kept: Vec<Spool>,
    /// Answers have only texts.
    pub of_texts: bool,
    /// All is read, not only what is new.
    pub is_whole: bool,
    /// Nothing was ever read.
    pub is_new: bool,
    /// The number of the reading, where it is about a part of the table.
    pub part: Option<i64>,
    /// The cursor was refused: all is read again.
    pub expired: bool,
    /// All is to come, also what has not changed.
    pub is_unconditional: bool,
    /// Rows that say nothing of how new they are.
    pub without: i64,
    pub etag: Option<String>,
    pub modified: Option<String>,
}

impl Reading {
    pub fn begin(function: &Function, place: Option<&Place>, now: i64, is_check: bool) -> Self {
        let memory = place.map_or(&Json::Null, |place| &place.memory);
        let due = match &function.deletes {
            Deletes::SweepEvery(every) => memory["fullAt"]
                .as_i64()
                .is_none_or(|at| now.saturating_sub(at) >= *every),
            _ => false,
        };
        let is_new = place.is_none_or(|place| place.cursor.is_none());
        let is_redefined = memory["function"]
            .as_u64()
            .is_some_and(|mark| mark != function.mark);
        let number = memory["reading"].as_i64().unwrap_or(0);
        Self {
            is_whole: is_check || function.incremental.is_none() || is_new || due || is_redefined,
            is_new,
            part: (function.has_parameters() && !is_check).then_some(number + 1),
            top: place.and_then(|place| Some(incremental::value_of(place.cursor.as_deref()?))),
            ..Self::default()
        }
    }
}

impl Operation {
    pub fn cursor(&self) -> Option<&str> {
        self.known.place.as_ref()?.cursor.as_deref()
    }

    pub fn memory(&self) -> &Json {
        self.known
            .place
            .as_ref()
            .map_or(&Json::Null, |place| &place.memory)
    }

    /// Whether what a whole reading does not name is gone.
    pub fn sweeps(&self) -> bool {
        if self.function.mode.merges {
            return false;
        }
        match self.function.deletes {
            // One that begins somewhere does not show what was there before.
            Deletes::Sweep | Deletes::SweepEvery(_) => {
                let incremental = self.function.incremental.as_ref();
                incremental.is_none_or(|incremental| incremental.initial.is_none())
            }
            Deletes::No | Deletes::Tombstone(..) | Deletes::Ids(_) => false,
        }
    }

    /// How far it has read. `whole`: with the last page.
    pub fn at(&self, reading: &Reading, whole: bool, now: i64) -> Place {
        let before = self.memory();
        let full_at = match reading.is_whole && whole {
            true => now.into(),
            false => before["fullAt"].clone(),
        };
        let mut memory = json!({"fullAt": full_at, "whole": whole, "function": self.function.mark});
        let more = [
            ("reading", reading.part.map(Json::from)),
            ("etag", reading.etag.clone().map(Json::from)),
            ("modified", reading.modified.clone().map(Json::from)),
        ];
        if self.is_branch {
            memory["branch"] = true.into();
        }
        for (name, value) in more {
            if let Some(value) = value {
                memory[name] = value;
            }
        }
        Place {
            cursor: match self.function.incremental {
                Some(_) => reading.top.as_ref().map(Json::to_string),
                None => None,
            },
            memory,
        }
    }

    pub fn warnings(&self, reading: &Reading, entity: &str) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if reading.expired {
            let message = format!(
                "{}: the backend did not take the cursor any more; all was read again",
                quoted(entity)
            );
            warnings.push(Warning::new("cursorExpired", message).of(entity));
        }
        if let (1.., Some(incremental)) = (reading.without, &self.function.incremental) {
            let message = format!(
                "{}: rows have nothing at {}, which says how new they are: later changes of them may be missed",
                quoted(entity),
                incremental.from
            );
            warnings.push(
                Warning::new("cursorMissing", message)
                    .of(entity)
                    .times(reading.without),
            );
        }
        warnings
    }
}
