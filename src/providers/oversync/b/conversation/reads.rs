//! What answers say.

use serde_json::Value as Json;

use super::super::committed::{self, foreign, settle};
use super::super::meeting::met;
use super::super::memory::{Last, Memory};
use super::super::pull::{Pulled, read_bundles};
use super::super::push::{self, Committed, Opened};
use super::super::refusal::waiting;
use super::super::snapshot::{self, Snapshot};
use super::revises::{other_request, require_repeated};
use super::{At, CONFLICT, Noted, Reading, Talk};
use crate::ground::{Class, SyncError, complaint};
use crate::providers::conversation::{Answer, Goal, Page, ParcelRows, Read};
use crate::providers::names::Names;
use crate::providers::oversync::wire::whole;
use crate::providers::sink::Sink;

impl Talk {
    /// The tables of which a snapshot takes the place of what is here: nothing else tells what has gone since they were read.
    fn replaced(&self) -> Vec<usize> {
        let was_read = |place: &usize| {
            let cursor = self.cursors.get(*place).copied().flatten();
            cursor.is_some_and(|cursor| cursor > 0)
                || self.memory.read.contains(self.tables.name(*place))
        };
        match self.goal {
            Goal::Check => Vec::new(),
            _ => (0..self.tables.len()).filter(was_read).collect(),
        }
    }

    /// A memory in which all tables were read.
    fn having_read(&self, memory: &Memory) -> Memory {
        let names = (0..self.tables.len()).map(|place| self.tables.name(place).to_owned());
        let mut memory = memory.clone();
        memory.read.extend(names);
        memory
    }

    /// The cursors of all tables.
    pub(super) fn cursors_at(&self, next: i64) -> Vec<(usize, String)> {
        (0..self.tables.len())
            .map(|place| (place, next.to_string()))
            .collect()
    }

    pub(super) fn read_connect(&self, body: &[u8]) -> Result<Read, SyncError> {
        let answer: Json = serde_json::from_slice(body).map_err(|error| {
            SyncError::protocol(format!(
                "the answer to connecting can't be read: {}; nothing was sent",
                complaint(&error)
            ))
        })?;
        let mut memory = self.memory.clone();
        memory.connected = true;
        memory.initialization = None;
        let mut cursors = Vec::new();
        match answer["resolution"].as_str().unwrap_or_default() {
            "initialize_local" => {
                let id = answer["initialization_id"].as_str();
                memory.initialization = Some(id.unwrap_or_default().to_owned());
            }
            // What nobody has brought need not be asked for.
            "initialize_empty" => cursors = self.cursors_at(0),
            "remote_authoritative" => {}
            "retry_later" => {
                return Err(waiting(answer["retry_after_seconds"].as_i64()));
            }
            other => {
                return Err(SyncError::protocol(
                    "the answer to connecting is none that this version knows; nothing was sent",
                )
                .saying(other));
            }
        }
        Ok(Read {
            cursors,
            memory: Some(memory.to_json()),
            ..Read::default()
        })
    }

    pub(super) fn read_committed(
        &self,
        after: Option<i64>,
        body: Vec<u8>,
        parcel: Option<&dyn ParcelRows>,
        sink: &mut dyn Sink,
    ) -> Result<Read, SyncError> {
        let (Some(bundle), Some(parcel)) = (&self.under.committed, parcel) else {
            return Err(SyncError::bug());
        };
        let page = committed::Page::read(&body)?;
        if !bundle.is_of(page.canonical_request_hash.as_deref()) {
            return Err(SyncError::protocol(
                "the rows of the bundle that was sent come from another request; they are asked for again with the next sync",
            ));
        }
        let (next, has_more) = (page.next_row_ordinal, page.has_more);
        let place = after.map_or(0, |after| after + 1);
        if has_more {
            if next < place {
                return Err(SyncError::protocol(
                    "the rows of the bundle that was sent don't come to an end; they are asked for again with the \
                     next sync",
                ));
            }
            self.stage.keep(place, body)?;
            return Ok(Read {
                unfinished: true,
                note: Some(next.to_string()),
                ..Read::default()
            });
        }
        let is_known = self.cursor() >= Some(bundle.bundle_seq);
        settle(
            self.terms(),
            (bundle, is_known),
            (&self.stage, place, &body),
            parcel,
            sink,
        )?;
        let mut memory = self.memory.clone();
        memory.next_bundle += 1;
        // A copy of this file, from now on, would take another name than this device.
        memory = memory.reseeded();
        memory.initialization = None;
        let follows = self.cursor().unwrap_or(0) + 1 == bundle.bundle_seq;
        let is_first = self.cursor().is_none() && bundle.bundle_seq == 1;
        let is_next = follows || is_first;
        if is_next {
            memory = self.having_read(&memory);
            memory.last = Some(Last {
                seq: bundle.bundle_seq,
                hash: Some(bundle.bundle_hash.clone()),
            });
        }
        Ok(Read {
            cursors: match is_next {
                true => self.cursors_at(bundle.bundle_seq),
                false => Vec::new(),
            },
            memory: Some(memory.to_json()),
            ..Read::default()
        })
    }

    pub(super) fn read_pull(
        &self,
        reading: Reading,
        after: i64,
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Read, SyncError> {
        let mut strangers = Names::default();
        let pulled = read_bundles(self.terms(), after, &mut answer.body, &mut strangers, sink)?;
        let (page, hash) = match pulled {
            Pulled::Page(page, hash) => (page, hash),
            Pulled::NeedsSnapshot if self.rebuilt => {
                return Err(SyncError::protocol(
                    "the backend's bundles end before what its snapshot had; nothing was applied",
                ));
            }
            Pulled::NeedsSnapshot => {
                return Err(SyncError::new(
                    Class::Server,
                    "SYNC_ERROR_HTTP",
                    "the backend no longer has the bundles that are missing here",
                    true,
                )
                .saying("history_pruned")
                .of_status(CONFLICT));
            }
        };
        let goes_on = self.next_page(reading, page).is_some();
        let mut memory = self.having_read(&self.memory);
        if page.next > after && Some(page.next) >= self.cursor() {
            memory.last = hash.map(|hash| Last {
                seq: page.next,
                hash: Some(hash),
            });
        }
        let all = 0..self.tables.len();
        let cursors = match after.max(page.next) {
            next if next > 0 => all
                .clone()
                .map(|place| {
                    let cursor = self.cursors.get(place).copied().flatten();
                    (
                        place,
                        cursor.map_or(next, |cursor| cursor.max(next)).to_string(),
                    )
                })
                .collect(),
            _ => self.cursors_at(0),
        };
        Ok(Read {
            cursors,
            due: match goes_on {
                true => all.collect(),
                false => Vec::new(),
            },
            page: Some(page),
            warnings: strangers.unasked().into_iter().collect(),
            memory: (memory != self.memory).then(|| memory.to_json()),
            ..Read::default()
        })
    }

    pub(super) fn read_snapshot(
        &self,
        after: i64,
        body: Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<Read, SyncError> {
        let Some(snapshot) = &self.snapshot else {
            return Err(SyncError::bug());
        };
        let page = snapshot::Page::read(&body)?;
        page.check(self.terms(), after)?;
        let (next, has_more) = (page.next_row_ordinal, page.has_more);
        if has_more {
            self.stage.keep(after, body)?;
            return Ok(Read {
                due: (0..self.tables.len()).collect(),
                note: Some(next.to_string()),
                ..Read::default()
            });
        }
        let stage = (&self.stage, after, body.as_slice());
        let mut strangers = Names::default();
        let replaced = self.replaced();
        let skipped = snapshot::tell(
            self.terms(),
            snapshot,
            stage,
            &replaced,
            &mut strangers,
            sink,
        )?;
        let memory = Memory {
            last: self.snapshot_last.clone(),
            ..self.having_read(self.renamed.as_ref().unwrap_or(&self.memory))
        };
        Ok(Read {
            cursors: self.cursors_at(snapshot.seq),
            memory: Some(memory.to_json()),
            page: Some(Page {
                next: snapshot.seq,
                has_more: false,
                window: Some(snapshot.seq),
                skipped,
            }),
            warnings: strangers.unasked().into_iter().collect(),
            ..Read::default()
        })
    }

    /// The server has the bundle: whoever brings the first rows has brought them.
    pub(super) fn noted_bundle(&self, bundle: Committed) -> Read {
        let memory = Memory {
            initialization: None,
            ..self.memory.clone()
        };
        Read {
            unfinished: true,
            note: Noted::Bundle(bundle).text(),
            memory: Some(memory.to_json()),
            ..Read::default()
        }
    }

    /// The entities of which an answer says nothing where all are compared.
    pub(super) fn unsaid(&self) -> Vec<usize> {
        match self.goal {
            Goal::Check => (0..self.tables.len()).collect(),
            _ => Vec::new(),
        }
    }

    /// What an answer says, besides that to a pull.
    pub(super) fn read_answer(
        &self,
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Read, SyncError> {
        let body = whole(answer)?;
        let noted = |noted: Noted, unfinished| Read {
            unfinished,
            note: noted.text(),
            ..Read::default()
        };
        match &self.step {
            At::Capabilities(_) => {
                let met = met(&body, &self.options, &self.tables, &self.memory.generation)?;
                let met = met.ok_or_else(|| {
                    SyncError::protocol(
                        "the backend no longer says what it can do; is the address still right?",
                    )
                })?;
                let memory = Memory {
                    limits: met.limits,
                    tables: met.tables,
                    ..self.memory.clone()
                };
                Ok(Read {
                    memory: Some(memory.to_json()),
                    due: self.unsaid(),
                    ..Read::default()
                })
            }
            At::Compare(_) => self.read_compared(&body),
            At::SnapshotHash(_) => Ok(Read {
                note: Some(committed::hash_of(&body)?),
                ..Read::default()
            }),
            At::Connect => self.read_connect(&body),
            At::Open => {
                let hash = self.hash_of_parcel(answer)?;
                match push::read_opened(&body)? {
                    Opened::Staging(id, theirs) => {
                        require_repeated(self.terms(), theirs.as_deref(), hash)?;
                        Ok(noted(Noted::Push(id), true))
                    }
                    // What was never sent can't have arrived, and what was sent is what it was.
                    Opened::Committed(bundle) if !self.under.resent || !bundle.is_of(hash) => {
                        Err(foreign())
                    }
                    Opened::Committed(bundle) => Ok(self.noted_bundle(bundle)),
                }
            }
            At::Fill(start) => {
                let next = push::read_filled(&body)?;
                let sent = self.memory.limits.push_rows.min(self.under.rows - start);
                if next != start + sent {
                    return Err(SyncError::protocol(
                        "the backend has not taken all rows of the bundle; they stay pending",
                    ));
                }
                Ok(Read {
                    unfinished: true,
                    note: Some(next.to_string()),
                    ..Read::default()
                })
            }
            At::Commit if answer.status == CONFLICT => {
                match push::read_conflict(self.terms(), &body, sink)? {
                    true => Ok(Read::default()),
                    false => {
                        let said = String::from_utf8_lossy(&body);
                        Err(SyncError::from_status(CONFLICT, true, &said))
                    }
                }
            }
            At::Commit => {
                let bundle = push::read_committed(&body)?;
                match bundle.is_of(self.hash_of_parcel(answer)?) {
                    true => Ok(self.noted_bundle(bundle)),
                    false => Err(other_request()),
                }
            }
            At::Committed(after) => self.read_committed(*after, body, answer.parcel, sink),
            At::Snapshot(..) => Ok(Read {
                due: self.unsaid(),
                ..noted(Noted::Snapshot(Snapshot::read(self.terms(), &body)?), false)
            }),
            At::SnapshotDone(_) => Ok(Read {
                due: self.unsaid(),
                ..Read::default()
            }),
            At::SnapshotPage(_, after) => self.read_snapshot(*after, body, sink),
            _ => Ok(Read::default()),
        }
    }
}
