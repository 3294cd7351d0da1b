//! One run with a server of bundles: what is pending goes up, bundle by bundle, then the bundles of all devices come down,
//! or everything as a snapshot.

mod adopts;
mod asks;
mod compares;
mod reads;
mod revises;

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use super::capabilities::require_tables;
use super::meeting::first_question;
use super::memory::{Last, Memory};
use super::push::{self, Committed};
use super::snapshot::Snapshot;
use super::stage::Stage;
use super::terms::Terms;
use crate::ground::SyncError;
use crate::providers::conversation::{
    Answer, Conversation, Event, Goal, Known, Page, ParcelRows, Read, Refusal as Refused, Step,
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
    /// What the server speaks and has is asked (again) before this.
    Capabilities(Box<At>),
    /// The server speaks another revision than was remembered.
    Anew,
    /// Whether the server's history is still the one that was read here, before this.
    Compare(Box<At>),
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
    /// The hash of the last bundle that it has.
    SnapshotHash(Reading),
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
    /// See [`push::request_hash`]; found out when it is first needed.
    hash: OnceLock<String>,
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
    /// Connected again, so often, for a bundle that was refused.
    connects: u32,
    /// Tries after answers that leave hope.
    tries: u32,
    snapshot: Option<Snapshot>,
    /// The last bundle of it, where anything is known of that.
    snapshot_last: Option<Last>,
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
    /// The server was asked in this run which revision it speaks.
    is_sure: bool,
    /// The server has begun anew: what it has takes the place of what is here, however far that was read.
    begun_anew: bool,
    /// Bytes of a page of a snapshot, where its first row needs more than usual.
    page_bytes: Option<u64>,
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
        let (tables, cursors) = Tables::known(&options.schema, known.entities);
        let mut talk = Self {
            tables,
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
            connects: 0,
            tries: 0,
            snapshot: None,
            snapshot_last: None,
            rebuilt: false,
            recoveries: 0,
            window: None,
            renamed: None,
            merges: false,
            stage: Stage::default(),
            is_sure: false,
            begun_anew: false,
            page_bytes: None,
        };
        let first = talk.compared(talk.first());
        talk.step = match require_tables(&talk.memory.tables, &talk.tables) {
            Ok(()) => first,
            // The server may have it by now.
            Err(_) => At::Capabilities(Box::new(first)),
        };
        Ok(talk)
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            tables: &self.tables,
            revision: self.memory.limits.revision(),
            is_sure: self.is_sure,
        }
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
            // There was nothing to bring after all: others must not wait for it.
            _ if self.memory.initialization.is_some() && !self.pending && self.connects == 0 => {
                At::Connect
            }
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

impl Conversation for Talk {
    fn due(&self) -> Step {
        Step::Ask(match &self.step {
            At::Capabilities(_) => first_question(&self.options, &self.memory.source),
            At::Anew => return Step::BeginAnew,
            At::Compare(_) => self.ask_for_hash(self.cursor().unwrap_or(0)),
            At::SnapshotHash(_) => self.ask_for_hash(self.snapshot_seq()),
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
        match self.step {
            At::Open => out.write_all(&self.opening(self.request_hash(parcel)?)),
            At::Fill(start) => {
                let most = self.memory.limits.push_rows;
                push::write_rows(self.terms(), (start, most), parcel, out)
            }
            _ => Err(io::Error::other("no rows are due")),
        }
    }

    fn read(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        if let At::Pull(reading, after) = self.step {
            return self.read_pull(reading, after, answer, sink);
        }
        self.read_answer(answer, sink)
    }

    fn adopt(&mut self, event: Event<'_>) {
        self.step = match event {
            Event::Frozen(0) => {
                self.pending = false;
                self.after_sent()
            }
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
