//! What comes of an answer.

use super::super::memory::{Last, Memory};
use super::super::refusal::{ANOTHER, Refusal, TOO_LARGE, emptied, too_large, waiting};
use super::{At, CONFLICT, Noted, RECOVERIES, ROUNDS, Reading, TRIES, Talk};
use crate::ground::SyncError;
use crate::providers::conversation::{Goal, Read};

impl Talk {
    /// Notes what a read says of cursors and memory.
    pub(super) fn take_note(&mut self, read: &Read) {
        for (place, cursor) in &read.cursors {
            if let Some(known) = self.cursors.get_mut(*place) {
                *known = cursor.parse().ok().or(*known);
            }
        }
        if let Some(memory) = &read.memory
            && let Some(memory) = Memory::read(memory, self.options.source.as_deref())
        {
            self.memory = memory;
        }
    }

    pub(super) fn adopt_read(&mut self, read: &Read) -> At {
        let revision = self.memory.limits.revision();
        self.take_note(read);
        let noted = || read.note.as_deref().unwrap_or_default();
        let number = || noted().parse().unwrap_or(0);
        match self.step.clone() {
            // Nothing is kept of what a comparison hears.
            At::Capabilities(_)
                if self.memory.limits.revision() != revision && self.goal != Goal::Check =>
            {
                At::Anew
            }
            At::Capabilities(next) => {
                self.is_sure = true;
                *next
            }
            At::Compare(next) => {
                self.tries = 0;
                self.after_compare(read.note.as_deref(), *next)
            }
            At::Connect => {
                self.connects += u32::from(!self.pending);
                self.after_connect()
            }
            At::Open => match serde_json::from_str(noted()) {
                Ok(Noted::Push(id)) => {
                    self.under.push_id = id;
                    At::Fill(0)
                }
                Ok(Noted::Bundle(bundle)) => {
                    self.under.committed = Some(bundle);
                    At::Committed(None)
                }
                _ => At::Failed(SyncError::bug()),
            },
            At::Fill(_) => match number() {
                next if next < self.under.rows => At::Fill(next),
                _ => At::Commit,
            },
            At::Commit => match serde_json::from_str(noted()) {
                Ok(Noted::Bundle(bundle)) => {
                    self.under.committed = Some(bundle);
                    At::Committed(None)
                }
                // Rows met others, which are here now; more may have.
                _ => {
                    self.merges = true;
                    self.after_sent()
                }
            },
            At::Committed(_) if read.unfinished => At::Committed(noted().parse().ok()),
            At::Committed(_) => {
                self.stage.clear();
                self.tries = 0;
                self.after_sent()
            }
            At::Pull(reading, _) => match read.page {
                Some(page) => self.after_page(reading, page),
                None => At::Failed(SyncError::bug()),
            },
            At::Snapshot(reading, reason) => match serde_json::from_str(noted()) {
                Ok(Noted::Snapshot(snapshot)) => {
                    self.stage.clear();
                    if reason.is_some() {
                        self.renamed = Some(self.memory.renamed());
                    }
                    let is_here = Some(snapshot.seq) == self.cursor()
                        && self.renamed.is_none()
                        && !self.begun_anew;
                    self.snapshot = Some(snapshot);
                    self.snapshot_last = None;
                    match self.goal {
                        // Nothing is kept of it.
                        Goal::Check => At::SnapshotPage(reading, 0),
                        // Nothing is missing: a server without older bundles refuses a pull all the same.
                        _ if is_here => At::SnapshotDone(reading),
                        _ if self.snapshot_seq() > 0 => At::SnapshotHash(reading),
                        _ => At::SnapshotPage(reading, 0),
                    }
                }
                _ => At::Failed(SyncError::bug()),
            },
            At::SnapshotHash(reading) => {
                self.snapshot_last = Some(Last {
                    seq: self.snapshot_seq(),
                    hash: read.note.clone(),
                });
                At::SnapshotPage(reading, 0)
            }
            At::SnapshotPage(reading, _) if read.page.is_none() => {
                let next = noted().parse().unwrap_or(0);
                self.page_bytes = None;
                At::SnapshotPage(reading, next)
            }
            At::SnapshotPage(reading, _) => {
                self.stage.clear();
                self.page_bytes = None;
                self.renamed = None;
                self.begun_anew = false;
                self.rebuilt = true;
                At::SnapshotDone(reading)
            }
            At::SnapshotDone(reading) => self.after_reading(reading),
            other => other,
        }
    }

    pub(super) fn after_conflict(&self) -> At {
        if self.rounds >= ROUNDS {
            return At::Failed(SyncError::concurrent(
                "other devices change the rows that are sent faster than they go up; sync again",
            ));
        }
        match self.pulls {
            true => self.reading(Reading::Merge),
            false => At::Freeze,
        }
    }

    pub(super) fn adopt_refusal(&mut self, status: u16, body: &str, error: &SyncError) -> At {
        let said = Refusal::read(body, error);
        let failed = || At::Failed(error.clone());
        // The server may say it too, and as often as it likes.
        if said.error == ANOTHER && !self.is_sure {
            return self.look_again();
        }
        if let At::Compare(next) = self.step.clone() {
            return match said.error.as_str() {
                "scope_initializing" => At::Failed(waiting(said.retry_after_seconds)),
                "committed_bundle_not_found" => self.begin_anew(),
                // It may be of another history by now, and nothing else would tell.
                "history_pruned" if self.pulls && self.knows_last() => self.begin_anew(),
                // It may be in trouble for a moment.
                _ if status == 500 && self.tries < TRIES => {
                    self.tries += 1;
                    At::Compare(next)
                }
                // There may be nothing of this user: what comes next tells.
                _ if can_do_without(status) => {
                    self.tries = 0;
                    *next
                }
                _ => failed(),
            };
        }
        self.tries += 1;
        let hopeless = self.tries > TRIES;
        match self.step.clone() {
            At::SnapshotDone(reading) => return self.after_reading(reading),
            At::Pull(Reading::Drain(_), _) => return At::Done,
            _ => {}
        }
        if said.error == "scope_initializing" {
            return At::Failed(waiting(said.retry_after_seconds));
        }
        match self.step.clone() {
            At::Pull(reading, after) if said.wants_snapshot() => {
                self.rebuild(reading, after, error)
            }
            At::Pull(reading, after) if said.error == "scope_uninitialized" => match after {
                // Nobody has brought anything yet.
                0 => self.after_reading(reading),
                _ => At::Failed(emptied()),
            },
            At::Snapshot(reading, _) if said.error == "scope_uninitialized" => {
                match self.cursor() {
                    None | Some(0) => self.after_reading(reading),
                    Some(_) => At::Failed(emptied()),
                }
            }
            At::Snapshot(..) if said.error == TOO_LARGE => At::Failed(too_large(body)),
            At::Snapshot(reading, Some(_)) if status == CONFLICT => {
                // Somebody has taken the place of the old name: a new one has nothing to do with it.
                self.renamed = Some(self.memory.reseeded().renamed());
                At::Snapshot(reading, None)
            }
            At::Snapshot(reading, reason) if status >= 500 && !hopeless => {
                At::Snapshot(reading, reason)
            }
            At::SnapshotHash(_) if status >= 500 && !hopeless => self.step.clone(),
            At::SnapshotHash(reading) if said.error == "history_pruned" => {
                self.snapshot_last = Some(Last {
                    seq: self.snapshot_seq(),
                    hash: None,
                });
                At::SnapshotPage(reading, 0)
            }
            // It can't be compared later then.
            At::SnapshotHash(reading) if can_do_without(status) => At::SnapshotPage(reading, 0),
            At::SnapshotPage(reading, _) if matches!(status, 404 | 410) && !hopeless => {
                At::Snapshot(reading, None)
            }
            At::SnapshotPage(reading, after) if said.error == "snapshot_chunk_too_small" => {
                let most = self
                    .memory
                    .limits
                    .snapshot_bytes
                    .map_or(0, |bytes| bytes.most);
                let asked = self
                    .page_bytes
                    .replace(said.required_byte_count.unwrap_or(0));
                match self.page_bytes > asked && self.page_bytes <= Some(most) {
                    true => At::SnapshotPage(reading, after),
                    false => failed(),
                }
            }
            // The later revision wants to be told how many bytes it may give out.
            At::SnapshotPage(..) if status == 400 && !self.is_sure => self.look_again(),
            At::Open | At::Fill(_) | At::Commit
                if said.wants_connect() && self.connects < TRIES =>
            {
                self.connects += 1;
                At::Connect
            }
            // It says so too where a bundle brings the first rows, and they are there, or others bring them.
            At::Open if said.error == "push_session_invalid" && self.may_be_late() => {
                self.connects += 1;
                At::Connect
            }
            // And so it does where it speaks the later revision by now, and the hash of the request is missing.
            At::Open if said.error == "push_session_invalid" && !self.is_sure => self.look_again(),
            At::Open | At::Commit | At::Committed(_)
                if said.wants_another_name() && self.pulls && self.recoveries < RECOVERIES =>
            {
                if self.recoveries > 0 {
                    // A copy of this file has taken the same name.
                    self.memory = self.memory.reseeded();
                }
                self.recoveries += 1;
                At::Snapshot(Reading::Merge, Some(said.error))
            }
            At::Open | At::Fill(_) | At::Commit if is_passing(status, &said) && !hopeless => {
                At::Freeze
            }
            At::Committed(_) if matches!(status, 404 | 410) && !hopeless => At::Freeze,
            _ => failed(),
        }
    }

    /// Whether a bundle is refused for the right to bring the first rows that is named in it, or isn't.
    pub(super) fn may_be_late(&self) -> bool {
        match self.memory.initialization {
            Some(_) => self.connects < TRIES,
            None => self.connects == 0,
        }
    }

    /// The server no longer tells by bundles what is missing here.
    pub(super) fn rebuild(&mut self, reading: Reading, after: i64, error: &SyncError) -> At {
        let is_at_the_floor = self.snapshot.as_ref().is_some_and(|one| one.seq == after);
        match self.rebuilt {
            false => At::Snapshot(reading, None),
            // Nothing is missing: a server that has no bundle before the snapshot says so all the same.
            true if is_at_the_floor => self.after_reading(reading),
            true => At::Failed(error.clone()),
        }
    }
}

/// Whether a bundle can't be compared, by this status; the sync goes on all the same. Others say that the server is not to
/// be asked for anything now.
fn can_do_without(status: u16) -> bool {
    match status {
        401 | 408 | 429 => false,
        500 => true,
        other => (400..500).contains(&other),
    }
}

/// Whether a bundle may go through when it is opened again.
fn is_passing(status: u16, said: &Refusal) -> bool {
    matches!(status, 404 | 408 | 410) || status >= 500 || said.error == "push_chunk_out_of_order"
}
