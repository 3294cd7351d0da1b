//! One run with a server of bundles: what is pending goes up, bundle by bundle, then the bundles of all devices come down,
//! or everything as a snapshot.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::capabilities::{Capabilities, require_tables};
use super::committed::{self, foreign, settle};
use super::memory::Memory;
use super::pull::{Pulled, read_bundles};
use super::push::{self, Committed, Opened};
use super::refusal::Refusal;
use super::snapshot::{self, Snapshot, Use};
use super::stage::Stage;
use crate::ground::{Class, SyncError, complaint};
use crate::providers::conversation::{
    AboutParcel, Again, Answer, Ask, AskBody, Conversation, Event, Goal, Known, Page, ParcelRows,
    Read, Refusal as Refused, Step,
};
use crate::providers::oversync::options::{Call, Options};
use crate::providers::oversync::tables::Tables;
use crate::providers::sink::Sink;

/// Pages that are read behind an upload, at most.
const DRAINED: u32 = 20;

/// How often a bundle is made anew in one call because rows of it met others.
const ROUNDS: u32 = 5;

/// How often in one call the same is tried again after an answer that leaves hope.
const TRIES: u32 = 3;

/// How often in one call this device takes another name.
const RECOVERIES: u32 = 2;

/// Statuses by which a server refuses a bundle for some of its rows.
const REFUSALS: &[u16] = &[400, 413, 422];

/// The same of a commit, which fails where the database refuses a row.
const COMMIT_REFUSALS: &[u16] = &[400, 413, 422, 500];

/// Whatever says no but a server in trouble.
const SAYS_NO: [u16; 200] = {
    let mut all = [0; 200];
    let mut place = 0;
    while place < all.len() {
        all[place] = 300 + place as u16;
        place += 1;
    }
    all
};

/// The status of a commit that met other rows.
const CONFLICT: u16 = 409;

/// What is read from the server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// What is new.
    Pages,
    /// What is new, behind an upload; so many pages are left. That it fails is no matter.
    Drain(u32),
    /// What a bundle has met: it goes up again after that.
    Merge,
}

#[derive(Debug, Clone, PartialEq)]
enum At {
    Capabilities,
    Connect,
    Freeze,
    Open,
    /// Rows from here on go up.
    Fill(u64),
    Commit,
    /// The rows of the bundle behind this one come back; none: all.
    Committed(Option<i64>),
    Pull(Reading, i64),
    /// Why this device takes another name with it; none: it keeps its own.
    Snapshot(Reading, Option<String>),
    SnapshotPage(Reading, i64),
    SnapshotDone(Reading),
    Done,
    Failed(SyncError),
}

/// The bundle under way.
#[derive(Default)]
struct Under {
    rows: u64,
    /// It was sent before.
    resent: bool,
    push_id: String,
    committed: Option<Committed>,
}

pub struct Talk {
    options: Arc<Options>,
    goal: Goal,
    call: Call,
    tables: Tables,
    /// How far each table was read; none when it never was.
    cursors: Vec<Option<i64>>,
    pulls: bool,
    pending: bool,
    memory: Memory,
    step: At,
    under: Under,
    /// Something was sent.
    sent: bool,
    /// What goes out now was sent before: what is pending besides is to be frozen after it.
    freezes_again: bool,
    /// Rounds of bundles that met other rows.
    rounds: u32,
    /// Tries after answers that leave hope.
    tries: u32,
    snapshot: Option<Snapshot>,
    /// A snapshot has taken the place of what was here.
    rebuilt: bool,
    /// How often this device has taken another name.
    recoveries: u32,
    /// The last bundle that pages up to here are about, as the first page said.
    window: Option<i64>,
    /// What is remembered when the snapshot under way is here: this device has another name then.
    renamed: Option<Memory>,
    /// A bundle met other rows: it is made anew when they are here.
    merges: bool,
    stage: Stage,
}

impl Talk {
    /// # Errors
    /// Options that make no sense.
    pub fn begin(
        options: Arc<Options>,
        goal: Goal,
        memory: Memory,
        known: Known,
    ) -> Result<Self, Refused> {
        let call = Call::read(&known.options, memory.limits.bundles).map_err(Refused::Call)?;
        let mut entities = Vec::with_capacity(known.entities.len());
        let mut cursors = Vec::with_capacity(known.entities.len());
        for one in known.entities {
            entities.push(one.entity);
            cursors.push(one.cursor.and_then(|cursor| cursor.parse().ok()));
        }
        let mut talk = Self {
            tables: Tables::new(&options.schema, entities),
            options,
            goal,
            call,
            cursors,
            pulls: known.pulls,
            pending: known.pending,
            memory,
            step: At::Done,
            under: Under::default(),
            sent: false,
            freezes_again: false,
            rounds: 0,
            tries: 0,
            snapshot: None,
            rebuilt: false,
            recoveries: 0,
            window: None,
            renamed: None,
            merges: false,
            stage: Stage::default(),
        };
        talk.step = match require_tables(&talk.memory.tables, &talk.tables) {
            Ok(()) => talk.first(),
            // The server may have it by now.
            Err(_) => At::Capabilities,
        };
        Ok(talk)
    }

    fn first(&self) -> At {
        match self.goal {
            Goal::Check => At::Snapshot(Reading::Pages, None),
            goal if !goal.sends() => self.reading(Reading::Pages),
            _ if !self.memory.connected => At::Connect,
            _ => self.after_connect(),
        }
    }

    /// How far all tables were read; none when one never was.
    fn cursor(&self) -> Option<i64> {
        let cursors: Option<Vec<i64>> = self.cursors.iter().copied().collect();
        cursors?.into_iter().min()
    }

    /// What comes first: what a new device does not have, unless only a batch is to go up, or one went up before and nobody
    /// knows whether it arrived.
    fn after_connect(&self) -> At {
        let is_new = self.cursor().is_none() && self.memory.initialization.is_none();
        match self.goal {
            Goal::Sync if is_new && self.pulls && !self.under.resent => {
                At::Snapshot(Reading::Merge, None)
            }
            _ => At::Freeze,
        }
    }

    /// A page of bundles, or a snapshot where there is nothing yet.
    fn reading(&self, reading: Reading) -> At {
        let from = self.call.from.filter(|_| reading == Reading::Pages);
        match (from.or_else(|| self.cursor()), self.goal) {
            (Some(after), _) => At::Pull(reading, after),
            // One page is what was asked for.
            (None, Goal::Download) => At::Pull(reading, 0),
            (None, _) => At::Snapshot(reading, None),
        }
    }

    /// What comes when all that was frozen is sent.
    fn after_sent(&self) -> At {
        match (self.merges, self.freezes_again) {
            (true, _) => self.after_conflict(),
            (false, true) => At::Freeze,
            (false, false) => self.after_uploads(),
        }
    }

    /// What comes when everything is sent.
    fn after_uploads(&self) -> At {
        match self.goal {
            _ if !self.pulls => At::Done,
            Goal::Upload if self.sent => self.reading(Reading::Drain(DRAINED)),
            Goal::Upload => At::Done,
            _ => self.reading(Reading::Pages),
        }
    }

    /// What comes when reading has come to its end.
    fn after_reading(&mut self, reading: Reading) -> At {
        self.window = None;
        match reading {
            Reading::Merge => At::Freeze,
            Reading::Pages | Reading::Drain(_) => At::Done,
        }
    }

    /// Where the next page starts; none when this is the last one.
    fn next_page(&self, reading: Reading, page: Page) -> Option<At> {
        match reading {
            _ if !page.has_more => None,
            Reading::Pages if self.goal == Goal::Download => None,
            Reading::Drain(left) if left > 1 => Some(At::Pull(Reading::Drain(left - 1), page.next)),
            Reading::Drain(_) => None,
            _ => Some(At::Pull(reading, page.next)),
        }
    }

    fn after_page(&mut self, reading: Reading, page: Page) -> At {
        self.window = self.window.or(page.window);
        match self.next_page(reading, page) {
            Some(next) => next,
            None => self.after_reading(reading),
        }
    }

    fn ask(&self, label: &'static str, method: &'static str, path: &str) -> Ask {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let url = self.options.address(path, Some(query));
        let mut headers = self.options.headers.clone();
        headers.push(("Oversync-Source-ID".into(), self.memory.source.clone()));
        Ask {
            headers,
            ..Ask::new(label, method, url)
        }
    }

    fn ask_with(&self, label: &'static str, path: &str, body: AskBody) -> Ask {
        let mut ask = self.ask(label, "POST", path);
        ask.headers
            .push(("Content-Type".into(), "application/json".into()));
        Ask { body, ..ask }
    }

    fn connect(&self) -> Ask {
        let body = json!({"has_local_pending_rows": self.pending}).to_string();
        self.ask_with(
            "connect",
            "/sync/connect",
            AskBody::Bytes(body.into_bytes()),
        )
    }

    fn open(&self) -> Ask {
        let initialization = self.memory.initialization.as_deref();
        let body = push::opening(self.memory.next_bundle, self.under.rows, initialization);
        Ask {
            parcel: Some(AboutParcel {
                may_store: false,
                refusals: REFUSALS,
                open: &[],
            }),
            ..self.ask_with("open bundle", "/sync/push-sessions", AskBody::Bytes(body))
        }
    }

    fn fill(&self) -> Ask {
        let path = format!("/sync/push-sessions/{}/chunks", self.under.push_id);
        Ask {
            parcel: Some(AboutParcel {
                may_store: false,
                refusals: REFUSALS,
                open: &[],
            }),
            ..self.ask_with("push", &path, AskBody::Parcel)
        }
    }

    fn commit(&self) -> Ask {
        let path = format!("/sync/push-sessions/{}/commit", self.under.push_id);
        Ask {
            parcel: Some(AboutParcel {
                may_store: true,
                refusals: COMMIT_REFUSALS,
                open: &[404, 410],
            }),
            reads: &[CONFLICT],
            ..self.ask("commit", "POST", &path)
        }
    }

    fn committed(&self, after: Option<i64>) -> Ask {
        let seq = self
            .under
            .committed
            .as_ref()
            .map_or(0, |one| one.bundle_seq);
        let most = self.memory.limits.committed_rows;
        let mut path = format!("/sync/committed-bundles/{seq}/rows?max_rows={most}");
        if let Some(after) = after {
            path.push_str(&format!("&after_row_ordinal={after}"));
        }
        Ask {
            parcel: Some(AboutParcel {
                may_store: true,
                refusals: &[],
                open: &SAYS_NO,
            }),
            ..self.ask("committed rows", "GET", &path)
        }
    }

    fn pull(&self, reading: Reading, after: i64) -> Ask {
        let most = match reading {
            Reading::Pages => self.call.limit.unwrap_or(self.options.pull_bundles),
            _ => self.options.pull_bundles,
        };
        let most = most.clamp(1, self.memory.limits.bundles);
        let mut path = format!("/sync/pull?after_bundle_seq={after}&max_bundles={most}");
        if let Some(target) = self.target(reading) {
            path.push_str(&format!("&target_bundle_seq={target}"));
        }
        let known = |cursor: &Option<i64>| cursor.is_some_and(|cursor| cursor > after);
        Ask {
            again: self.again(known),
            ..self.ask("pull", "GET", &path)
        }
    }

    /// The last bundle that is wanted: the one that was named, or that the first page named.
    fn target(&self, reading: Reading) -> Option<i64> {
        let until = match reading {
            Reading::Pages => self.call.until.filter(|until| *until > 0),
            _ => None,
        };
        until.or(self.window.filter(|_| self.call.windowed))
    }

    fn again(&self, comes: impl Fn(&Option<i64>) -> bool) -> Vec<(usize, Again)> {
        let cursors = self.cursors.iter().enumerate();
        cursors
            .filter(|(_, cursor)| comes(cursor))
            .map(|(place, _)| (place, Again::RowsAndDeletes))
            .collect()
    }

    fn make_snapshot(&self, reason: Option<&str>) -> Ask {
        let path = "/sync/snapshot-sessions";
        match reason {
            None => self.ask("snapshot", "POST", path),
            Some(reason) => {
                let (previous, new) = (&self.memory.source, self.memory.next_source());
                let body = snapshot::replacement(previous, &new, reason);
                self.ask_with("snapshot", path, AskBody::Bytes(body))
            }
        }
    }

    fn snapshot_page(&self, after: i64) -> Ask {
        let id = self.snapshot.as_ref().map_or("", |one| one.id.as_str());
        let most = self.memory.limits.snapshot_rows;
        let path =
            format!("/sync/snapshot-sessions/{id}?after_row_ordinal={after}&max_rows={most}");
        Ask {
            again: self.again(Option::is_some),
            ..self.ask("snapshot", "GET", &path)
        }
    }

    fn drop_snapshot(&self) -> Ask {
        let id = self.snapshot.as_ref().map_or("", |one| one.id.as_str());
        self.ask(
            "snapshot",
            "DELETE",
            &format!("/sync/snapshot-sessions/{id}"),
        )
    }

    /// What is done with a snapshot.
    fn used(&self) -> Use {
        match (self.goal, self.cursor()) {
            (Goal::Check, _) => Use::Compare,
            (_, Some(cursor)) if cursor > 0 => Use::Replace,
            _ => Use::Add,
        }
    }

    /// The cursors of all tables.
    fn cursors_at(&self, next: i64) -> Vec<(usize, String)> {
        (0..self.tables.len())
            .map(|place| (place, next.to_string()))
            .collect()
    }

    fn read_connect(&self, body: &[u8]) -> Result<Read, SyncError> {
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

    fn read_committed(
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
        settle(
            &self.tables,
            bundle,
            (&self.stage, place, &body),
            parcel,
            sink,
        )?;
        let mut memory = self.memory.clone();
        memory.next_bundle += 1;
        // A copy of this file, from now on, would take another name than this device.
        let mut memory = memory.reseeded();
        memory.initialization = None;
        let follows = self.cursor().unwrap_or(0) + 1 == bundle.bundle_seq;
        let is_first = self.cursor().is_none() && bundle.bundle_seq == 1;
        Ok(Read {
            cursors: match follows || is_first {
                true => self.cursors_at(bundle.bundle_seq),
                false => Vec::new(),
            },
            memory: Some(memory.to_json()),
            ..Read::default()
        })
    }

    fn read_pull(
        &self,
        reading: Reading,
        after: i64,
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Read, SyncError> {
        let page = match read_bundles(&self.tables, after, &mut answer.body, sink)? {
            Pulled::Page(page) => page,
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
            ..Read::default()
        })
    }

    fn read_snapshot(
        &self,
        after: i64,
        body: Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<Read, SyncError> {
        let Some(snapshot) = &self.snapshot else {
            return Err(SyncError::bug());
        };
        let page = snapshot::Page::read(&body)?;
        let (next, has_more) = (page.next_row_ordinal, page.has_more);
        if has_more {
            if next <= after {
                return Err(SyncError::protocol(
                    "the snapshot does not come to an end; nothing was applied",
                ));
            }
            self.stage.keep(after, body)?;
            return Ok(Read {
                due: (0..self.tables.len()).collect(),
                note: Some(next.to_string()),
                ..Read::default()
            });
        }
        let stage = (&self.stage, after, body.as_slice());
        let skipped = snapshot::tell(&self.tables, snapshot, stage, self.used(), sink)?;
        Ok(Read {
            cursors: self.cursors_at(snapshot.seq),
            memory: self.renamed.as_ref().map(Memory::to_json),
            page: Some(Page {
                next: snapshot.seq,
                has_more: false,
                window: Some(snapshot.seq),
                skipped,
            }),
            ..Read::default()
        })
    }

    /// The server has the bundle: whoever brings the first rows has brought them.
    fn noted_bundle(&self, bundle: Committed) -> Read {
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
    fn unsaid(&self) -> Vec<usize> {
        match self.goal {
            Goal::Check => (0..self.tables.len()).collect(),
            _ => Vec::new(),
        }
    }

    /// Notes what a read says of cursors and memory.
    fn take_note(&mut self, read: &Read) {
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

    fn adopt_read(&mut self, read: &Read) -> At {
        self.take_note(read);
        let noted = || read.note.as_deref().unwrap_or_default();
        let number = || noted().parse().unwrap_or(0);
        match self.step.clone() {
            At::Capabilities => self.first(),
            At::Connect => self.after_connect(),
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
                    let is_here = Some(snapshot.seq) == self.cursor() && self.renamed.is_none();
                    self.snapshot = Some(snapshot);
                    match is_here && self.goal != Goal::Check {
                        // Nothing is missing: a server without older bundles refuses a pull all the same.
                        true => At::SnapshotDone(reading),
                        false => At::SnapshotPage(reading, 0),
                    }
                }
                _ => At::Failed(SyncError::bug()),
            },
            At::SnapshotPage(reading, _) if read.page.is_none() => {
                At::SnapshotPage(reading, noted().parse().unwrap_or(0))
            }
            At::SnapshotPage(reading, _) => {
                self.stage.clear();
                self.renamed = None;
                self.rebuilt = true;
                At::SnapshotDone(reading)
            }
            At::SnapshotDone(reading) => self.after_reading(reading),
            other => other,
        }
    }

    fn after_conflict(&self) -> At {
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

    fn adopt_refusal(&mut self, status: u16, body: &str, error: &SyncError) -> At {
        let said = Refusal::read(body, error);
        let failed = || At::Failed(error.clone());
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
            At::Snapshot(reading, Some(_)) if status == CONFLICT => {
                // Somebody has taken the place of the old name: a new one has nothing to do with it.
                self.renamed = Some(self.memory.reseeded().renamed());
                At::Snapshot(reading, None)
            }
            At::Snapshot(reading, reason) if status >= 500 && !hopeless => {
                At::Snapshot(reading, reason)
            }
            At::SnapshotPage(reading, _) if matches!(status, 404 | 410) && !hopeless => {
                At::Snapshot(reading, None)
            }
            At::Open | At::Fill(_) | At::Commit if said.wants_connect() && !hopeless => At::Connect,
            // It says so too where a bundle brings the first rows, and they are there, or others bring them.
            At::Open if said.error == "push_session_invalid" && self.may_be_late() => At::Connect,
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
    fn may_be_late(&self) -> bool {
        match self.memory.initialization {
            Some(_) => self.tries <= TRIES,
            None => self.tries == 1,
        }
    }

    /// The server no longer tells by bundles what is missing here.
    fn rebuild(&mut self, reading: Reading, after: i64, error: &SyncError) -> At {
        let is_at_the_floor = self.snapshot.as_ref().is_some_and(|one| one.seq == after);
        match self.rebuilt {
            false => At::Snapshot(reading, None),
            // Nothing is missing: a server that has no bundle before the snapshot says so all the same.
            true if is_at_the_floor => self.after_reading(reading),
            true => At::Failed(error.clone()),
        }
    }
}

/// Whether a bundle may go through when it is opened again.
fn is_passing(status: u16, said: &Refusal) -> bool {
    matches!(status, 404 | 408 | 410) || status >= 500 || said.error == "push_chunk_out_of_order"
}

/// Another device brings the first rows.
fn waiting(seconds: Option<i64>) -> SyncError {
    let when = match seconds {
        Some(seconds) => format!("in {seconds} seconds"),
        None => "in a while".to_owned(),
    };
    SyncError::new(
        Class::Server,
        "SYNC_ERROR_HTTP",
        format!("another device is bringing the first rows to the backend; sync again {when}"),
        true,
    )
}

/// The server knew this user, and doesn't any more.
fn emptied() -> SyncError {
    SyncError::new(
        Class::Server,
        "SYNC_ERROR_HTTP",
        "the backend has nothing of this user any more: it was emptied; to start over with it, call sync_provider with \
         \"reset\":true",
        false,
    )
}

/// What a read tells the conversation itself.
#[derive(serde::Serialize, serde::Deserialize)]
enum Noted {
    Push(String),
    Bundle(Committed),
    Snapshot(Snapshot),
}

impl Noted {
    fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

/// A whole answer.
pub fn whole(answer: &mut Answer<'_>) -> Result<Vec<u8>, SyncError> {
    let mut bytes = Vec::new();
    answer.body.read_to_end(&mut bytes).map_err(|error| {
        SyncError::network(format!(
            "the answer can't be read to its end: {error}; try again"
        ))
    })?;
    Ok(bytes)
}

impl Conversation for Talk {
    fn due(&self) -> Step {
        Step::Ask(match &self.step {
            At::Capabilities => first_question(&self.options, &self.memory.source),
            At::Connect => self.connect(),
            At::Freeze => return Step::Freeze,
            At::Open => self.open(),
            At::Fill(_) => self.fill(),
            At::Commit => self.commit(),
            At::Committed(after) => self.committed(*after),
            At::Pull(reading, after) => self.pull(*reading, *after),
            At::Snapshot(_, reason) => self.make_snapshot(reason.as_deref()),
            At::SnapshotPage(_, after) => self.snapshot_page(*after),
            At::SnapshotDone(_) => self.drop_snapshot(),
            At::Done => return Step::Done,
            At::Failed(error) => return Step::Fail(error.clone()),
        })
    }

    fn write_body(&self, parcel: &dyn ParcelRows, out: &mut dyn Write) -> io::Result<()> {
        let At::Fill(start) = self.step else {
            return Err(io::Error::other("no rows are due"));
        };
        let most = self.memory.limits.push_rows;
        push::write_rows(&self.tables, (start, most), parcel, out)
    }

    fn read(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        if let At::Pull(reading, after) = self.step {
            return self.read_pull(reading, after, answer, sink);
        }
        let body = whole(answer)?;
        let noted = |noted: Noted, unfinished| Read {
            unfinished,
            note: noted.text(),
            ..Read::default()
        };
        match &self.step {
            At::Capabilities => {
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
                    ..Read::default()
                })
            }
            At::Connect => self.read_connect(&body),
            At::Open => Ok(match push::read_opened(&body)? {
                Opened::Staging(id) => noted(Noted::Push(id), true),
                // What was never sent can't have arrived.
                Opened::Committed(_) if !self.under.resent => return Err(foreign()),
                Opened::Committed(bundle) => self.noted_bundle(bundle),
            }),
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
                match push::read_conflict(&self.tables, &body, sink)? {
                    true => Ok(Read::default()),
                    false => {
                        let said = String::from_utf8_lossy(&body);
                        Err(SyncError::from_status(CONFLICT, true, &said))
                    }
                }
            }
            At::Commit => Ok(self.noted_bundle(push::read_committed(&body)?)),
            At::Committed(after) => self.read_committed(*after, body, answer.parcel, sink),
            At::Snapshot(..) => Ok(Read {
                due: self.unsaid(),
                ..noted(Noted::Snapshot(Snapshot::read(&body)?), false)
            }),
            At::SnapshotDone(_) => Ok(Read {
                due: self.unsaid(),
                ..Read::default()
            }),
            At::SnapshotPage(_, after) => self.read_snapshot(*after, body, sink),
            _ => Ok(Read::default()),
        }
    }

    fn adopt(&mut self, event: Event<'_>) {
        self.step = match event {
            Event::Frozen(0) => self.after_sent(),
            Event::Frozen(rows) | Event::Resent(rows) => {
                let resent = matches!(event, Event::Resent(_));
                self.freezes_again = resent && self.goal == Goal::Sync;
                self.sent = true;
                self.under = Under {
                    rows,
                    resent,
                    ..Under::default()
                };
                self.stage.clear();
                At::Open
            }
            Event::Read(read) => self.adopt_read(read),
            Event::Refused {
                status,
                body,
                error,
            } => self.adopt_refusal(status, body, error),
            Event::Lost(error) => match self.step {
                At::Pull(Reading::Drain(_), _) => At::Done,
                At::SnapshotDone(reading) => self.after_reading(reading),
                _ => At::Failed(error.clone()),
            },
        };
        if self.step == At::Freeze {
            self.freezes_again = false;
            self.rounds += u32::from(std::mem::take(&mut self.merges));
        }
    }
}

/// The first question to a server whose protocol is not known.
pub fn first_question(options: &Options, source: &str) -> Ask {
    let mut headers = options.headers.clone();
    headers.push(("Oversync-Source-ID".into(), source.to_owned()));
    Ask {
        headers,
        ..Ask::new(
            "capabilities",
            "GET",
            options.address("/sync/capabilities", None),
        )
    }
}

/// What is to be remembered of a server that has answered it.
///
/// # Errors
/// A server that can't be synced with.
pub fn met(
    body: &[u8],
    options: &Options,
    tables: &Tables,
    generation: &str,
) -> Result<Option<Memory>, SyncError> {
    let Some(capabilities) = Capabilities::read(body) else {
        return Ok(None);
    };
    capabilities.require_spoken()?;
    let known = capabilities.tables(tables.schema());
    require_tables(&known, tables)?;
    let given = options.source.as_deref();
    Ok(Some(Memory::new(
        generation,
        capabilities.limits(),
        known,
        given,
    )))
}
