//! One run with a server of protocol A: what is pending goes up, then pages of the server's log come down.

use std::io::{self, Write};
use std::sync::Arc;

use super::doubt::{self, Ahead, Doubts, Refused};
use super::download::{Entries, Reader, Wanted};
use super::latest::Latest;
use super::upload;
use crate::ground::SyncError;
use crate::providers::conversation::{
    AboutParcel, Again, Answer, Ask, AskBody, Conversation, Event, Goal, Known, Page, ParcelRows,
    Read, Refusal, Step,
};
use crate::providers::names::Names;
use crate::providers::oversync::keys::PAGE;
use crate::providers::oversync::options::{Call, Options};
use crate::providers::oversync::tables::Tables;
use crate::providers::oversync::wire::whole;
use crate::providers::sink::Sink;

/// Pages that are read behind an upload, at most.
const DRAINED: u32 = 20;

/// What a page is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// What appeared late behind the cursor.
    Lookback,
    /// What is new.
    Pages,
    /// What is new, behind an upload; so many pages are left. That it fails is no matter.
    Drain(u32),
}

#[derive(Debug, Clone, PartialEq)]
enum At {
    Freeze,
    Push,
    Page(Reading, Wanted),
    /// A row that the log may be wrong about is read by itself; then the page is read again that made it doubtful, or
    /// what comes after an upload.
    Row(Option<(Reading, Wanted)>),
    Done,
    Failed(SyncError),
}

pub struct Talk {
    options: Arc<Options>,
    goal: Goal,
    call: Call,
    tables: Tables,
    /// How far each table was read; none when it never was.
    cursors: Vec<Option<i64>>,
    pulls: bool,
    /// Something was sent.
    sent: bool,
    /// What goes out now was sent before: what is pending besides is to be frozen after it.
    freezes_again: bool,
    step: At,
    /// It was sent before.
    resent: bool,
    doubts: Doubts,
    /// For a comparison: what the pages have brought so far.
    latest: Latest,
}

impl Talk {
    /// # Errors
    /// Options that make no sense.
    pub fn begin(options: Arc<Options>, goal: Goal, known: Known) -> Result<Self, Refusal> {
        let call = Call::read(&known.options, PAGE.1).map_err(Refusal::Call)?;
        let (tables, cursors) = Tables::known(&options.schema, known.entities);
        let mut talk = Self {
            tables,
            options,
            goal,
            call,
            cursors,
            pulls: known.pulls,
            sent: false,
            freezes_again: false,
            resent: false,
            doubts: Doubts::default(),
            step: At::Freeze,
            latest: Latest::default(),
        };
        if !goal.sends() {
            talk.step = talk.pages();
        }
        Ok(talk)
    }

    /// How far all tables were read.
    fn cursor(&self) -> i64 {
        let cursors = self.cursors.iter().map(|cursor| cursor.unwrap_or(0));
        cursors.min().unwrap_or(0)
    }

    fn wanted(&self, after: i64, until: i64) -> Wanted {
        let usual = self.options.download_limit;
        Wanted {
            after,
            limit: self.call.limit.unwrap_or(usual).clamp(PAGE.0, PAGE.1),
            // From the beginning, this device's changes may be those of an earlier installation.
            include_self: self.call.include_self.unwrap_or(after == 0),
            until,
        }
    }

    fn pages(&self) -> At {
        let after = self.call.from.unwrap_or_else(|| self.cursor());
        At::Page(
            Reading::Pages,
            self.wanted(after, self.call.until.unwrap_or(0)),
        )
    }

    /// What comes when everything is sent.
    fn after_uploads(&self) -> At {
        let (cursor, back) = (self.cursor(), self.options.lookback);
        match self.goal {
            _ if !self.pulls => At::Done,
            _ if self.doubts.next().is_some() => At::Row(None),
            Goal::Upload if self.sent => At::Page(Reading::Drain(DRAINED), self.wanted(cursor, 0)),
            Goal::Upload => At::Done,
            _ if cursor > 0 && back > 0 => {
                let after = cursor.saturating_sub(back).max(0);
                At::Page(Reading::Lookback, self.wanted(after, cursor))
            }
            _ => self.pages(),
        }
    }

    /// What comes after a page.
    fn after_page(&self, reading: Reading, wanted: Wanted, page: Page) -> At {
        let next = |reading| {
            let until = match (self.call.windowed, wanted.until, reading) {
                (true, 0, Reading::Pages) if matches!(self.goal, Goal::Hydrate | Goal::Check) => {
                    page.window
                }
                _ => None,
            };
            let wanted = Wanted {
                after: page.next,
                until: until.unwrap_or(wanted.until),
                ..wanted
            };
            At::Page(reading, wanted)
        };
        match reading {
            Reading::Lookback if page.has_more && page.next < wanted.until => next(reading),
            Reading::Lookback => self.pages(),
            Reading::Pages if page.has_more && self.goal != Goal::Download => next(reading),
            Reading::Drain(left) if page.has_more && left > 1 => next(Reading::Drain(left - 1)),
            Reading::Pages | Reading::Drain(_) => At::Done,
        }
    }

    /// What comes after a row that was read by itself.
    fn after_row(&self, then: Option<(Reading, Wanted)>) -> At {
        match then {
            _ if self.doubts.next().is_some() => At::Row(then),
            Some((reading, wanted)) => At::Page(reading, wanted),
            None => self.after_uploads(),
        }
    }

    /// The request that reads a row by itself.
    fn row_alone(&self) -> Option<Ask> {
        let doubt = self.doubts.next()?;
        let (before, after) = upload::reading(&self.tables, self.cursor(), doubt).ok()?;
        let body = AskBody::Numbered(before, after);
        Some(self.ask("read", "POST", self.options.upload_url(), body))
    }

    fn ask(&self, label: &'static str, method: &'static str, url: String, body: AskBody) -> Ask {
        let mut headers = self.options.headers.clone();
        if body != AskBody::None {
            headers.push(("Content-Type".into(), "application/json".into()));
        }
        Ask {
            headers,
            body,
            ..Ask::new(label, method, url)
        }
    }

    fn page(&self, wanted: Wanted) -> Ask {
        let url = self
            .options
            .download_url(&wanted.query(&self.options.schema));
        let cursors = self.cursors.iter().enumerate();
        let again = cursors
            .filter(|(_, cursor)| cursor.is_some_and(|cursor| cursor > wanted.after))
            .map(|(place, _)| (place, Again::RowsAndDeletes));
        Ask {
            again: again.collect(),
            ..self.ask("pull", "GET", url, AskBody::None)
        }
    }

    /// The rows that an answer makes doubtful. What is sent once more is not known yet.
    fn doubted(
        &self,
        refused: &[Refused],
        parcel: Option<&dyn ParcelRows>,
    ) -> Result<Option<String>, SyncError> {
        let Some(parcel) = parcel.filter(|_| !self.resent) else {
            return Ok(None);
        };
        let doubts = doubt::of_upload(refused, parcel).map_err(|_| SyncError::bug())?;
        Ok(doubt::note(&doubts))
    }

    /// A cursor never goes back.
    fn reached(&self, place: usize, next: i64) -> i64 {
        let cursor = self.cursors.get(place).copied().flatten();
        cursor.map_or(next, |cursor| cursor.max(next))
    }
}

impl Conversation for Talk {
    fn due(&self) -> Step {
        match &self.step {
            At::Freeze => Step::Freeze,
            At::Push => {
                let url = self.options.upload_url();
                Step::Ask(Ask {
                    parcel: Some(AboutParcel::whole(self.options.refusals)),
                    ..self.ask("push", "POST", url, AskBody::Parcel)
                })
            }
            At::Page(_, wanted) => Step::Ask(self.page(*wanted)),
            At::Row(_) => match self.row_alone() {
                Some(ask) => Step::Ask(ask),
                None => Step::Fail(SyncError::bug()),
            },
            At::Done => Step::Done,
            At::Failed(error) => Step::Fail(error.clone()),
        }
    }

    fn write_body(&self, parcel: &dyn ParcelRows, out: &mut dyn Write) -> io::Result<()> {
        upload::write_body(&self.tables, self.cursor(), parcel, out)
    }

    fn read(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        let bytes = whole(answer)?;
        let all = 0..self.tables.len();
        // A page follows.
        let noted = |note: Option<String>| Read {
            note,
            due: all.clone().collect(),
            ..Read::default()
        };
        let (reading, wanted) = match &self.step {
            At::Page(reading, wanted) => (*reading, *wanted),
            At::Row(_) => {
                let doubt = self.doubts.next().ok_or_else(SyncError::bug)?;
                let found = upload::read_row_alone(&self.tables, doubt, &bytes, sink)?;
                return Ok(noted(found.then(String::new)));
            }
            _ => {
                let refused = upload::read_answer(&self.tables, &bytes, sink)?;
                return Ok(Read {
                    note: self.doubted(&refused, answer.parcel)?,
                    ..Read::default()
                });
            }
        };
        let source = self.options.source.as_deref();
        let is_check = self.goal == Goal::Check;
        let mut strangers = Names::default();
        let mut gather = self.latest.gather();
        let (source, into): (_, &mut dyn Sink) = match is_check {
            true => (None, &mut gather),
            false => (source, &mut *sink),
        };
        let reader = Reader {
            tables: &self.tables,
            source,
            wanted,
        };
        let entries = Entries::read(&bytes, wanted)?;
        if !is_check {
            let ahead = Ahead {
                after: wanted.after,
                last: entries.last(),
                reached: &self.cursors,
            };
            let doubts = self.doubts.of_page(&ahead, entries.entries(reader), into)?;
            if !doubts.is_empty() {
                return Ok(noted(doubt::note(&doubts)));
            }
        }
        let page = entries.tell(reader, &self.doubts, &mut strangers, into)?;
        let goes_on = matches!(self.after_page(reading, wanted, page), At::Page(..));
        if is_check && !goes_on {
            self.latest.tell(sink)?;
        }
        Ok(Read {
            cursors: all
                .clone()
                .map(|place| (place, self.reached(place, page.next).to_string()))
                .collect(),
            due: match goes_on {
                true => all.collect(),
                false => Vec::new(),
            },
            warnings: strangers.unasked().into_iter().collect(),
            page: Some(page),
            ..Read::default()
        })
    }

    fn adopt(&mut self, event: Event<'_>) {
        self.step = match event {
            Event::Frozen(0) if self.freezes_again => {
                self.freezes_again = false;
                At::Freeze
            }
            Event::Frozen(0) => self.after_uploads(),
            Event::Frozen(_) => {
                self.freezes_again = false;
                self.resent = false;
                self.sent = true;
                At::Push
            }
            Event::Resent(_) => {
                self.freezes_again = self.goal == Goal::Sync;
                self.resent = true;
                self.sent = true;
                At::Push
            }
            Event::Read(read) => match (self.step.clone(), read.page) {
                (At::Page(reading, wanted), Some(page)) => {
                    for place in 0..self.cursors.len() {
                        self.cursors[place] = Some(self.reached(place, page.next));
                    }
                    self.after_page(reading, wanted, page)
                }
                (At::Page(reading, wanted), None) => {
                    self.doubts.add(read.note.as_deref());
                    self.after_row(Some((reading, wanted)))
                }
                (At::Row(then), _) => {
                    self.doubts.settle(read.note.is_some());
                    self.after_row(then)
                }
                _ => {
                    self.doubts.add(read.note.as_deref());
                    match self.freezes_again {
                        true => At::Freeze,
                        false => self.after_uploads(),
                    }
                }
            },
            Event::Refused { error, .. } | Event::Lost(error) => match self.step {
                At::Page(Reading::Drain(_), _) => At::Done,
                At::Row(then) => {
                    self.doubts.give_up();
                    self.after_row(then)
                }
                _ => At::Failed(error.clone()),
            },
        };
    }
}

#[cfg(test)]
mod tests;
