//! Whether the history that was read here is still the one that the server has.
//!
//! A server that was wiped, and filled again up to where this device has read, shows by nothing but the hash of that bundle.

use super::super::committed;
use super::super::memory::{Last, Memory};
use super::super::refusal::begun_anew;
use super::{At, Reading, Talk};
use crate::ground::SyncError;
use crate::providers::conversation::{Ask, Goal, Read};

/// What is noted when the server has begun anew.
const BEGUN_ANEW: &str = "begun anew";

impl Talk {
    /// The same behind a look at the last bundle that was read.
    pub(super) fn compared(&self, next: At) -> At {
        let asks_nobody = self.goal == Goal::Upload && !self.pending && next == At::Freeze;
        match self.cursor() > Some(0) && self.goal != Goal::Check && !asks_nobody {
            true => At::Compare(Box::new(next)),
            false => next,
        }
    }

    /// Whether the last bundle that was read can be known again.
    pub(super) fn knows_last(&self) -> bool {
        let last = self.memory.last.as_ref();
        last.is_some_and(|last| last.hash.is_some() && Some(last.seq) == self.cursor())
    }

    /// What the server has now takes the place of what is here.
    pub(super) fn begin_anew(&mut self) -> At {
        self.begun_anew = true;
        match (self.pulls, self.goal.sends()) {
            (false, _) => At::Failed(begun_anew()),
            (true, true) => At::Snapshot(Reading::Merge, None),
            (true, false) => At::Snapshot(Reading::Pages, None),
        }
    }

    /// The last bundle of the snapshot under way.
    pub(super) fn snapshot_seq(&self) -> i64 {
        self.snapshot.as_ref().map_or(0, |one| one.seq)
    }

    /// The hash of a bundle stands before its rows, of which only one is needed.
    pub(super) fn ask_for_hash(&self, seq: i64) -> Ask {
        let path = format!("/sync/committed-bundles/{seq}/rows?max_rows=1");
        self.ask("compare", "GET", &path)
    }

    /// Takes note of the last bundle that was read, or says that it is another by now.
    pub(super) fn read_compared(&self, body: &[u8]) -> Result<Read, SyncError> {
        let last = Last {
            seq: self.cursor().unwrap_or(0),
            hash: Some(committed::hash_of(body)?),
        };
        let mut read = Read::default();
        match &self.memory.last {
            Some(known) if *known == last => {}
            Some(known) if known.seq == last.seq => read.note = Some(BEGUN_ANEW.to_owned()),
            _ => {
                let memory = Memory {
                    last: Some(last),
                    ..self.memory.clone()
                };
                read.memory = Some(memory.to_json());
            }
        }
        Ok(read)
    }

    /// What comes when the bundle was looked at, before `next`.
    pub(super) fn after_compare(&mut self, note: Option<&str>, next: At) -> At {
        match note {
            Some(BEGUN_ANEW) => self.begin_anew(),
            _ => next,
        }
    }
}
