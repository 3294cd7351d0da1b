//! One run: each operation reads its pages, one operation after the other.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::answer::{is_table, refusal, verdict_paths, walk};
use super::function::{Deletes, Function, Writes};
use super::incremental;
use super::options::{Options, of_operation};
use super::paging::{After, Page, Pages};
use super::request;
use super::rows::Rows;
use super::template::Values;
use super::write::{self, Change};
use crate::ground::{Class, SyncError, Warning, quoted};
use crate::providers::conversation::{
    AboutParcel, Again, Answer, Ask, Conversation, Event, Goal, Known, KnownOperation, ParcelRow,
    ParcelRows, Place, Read, Refusal, Step,
};
use crate::providers::seen::Seen;
use crate::providers::sink::{
    Announced, Image, Rejection, RemoteRow, Scope, Sent, Sink, Sweep, Verdict,
};
use crate::providers::wire::{ChangeKind, Entity, Slot, WireId};

/// One operation and how far it is.
struct Operation {
    known: KnownOperation,
    function: Arc<Function>,
    values: Values,
    reading: Reading,
}

/// One reading of an operation.
#[derive(Debug, Clone, Default)]
struct Reading {
    pages: Pages,
    seen: Seen,
    /// The greatest value so far of what says how new a row is.
    top: Option<Json>,
    /// All is read, not only what is new.
    is_whole: bool,
    /// Nothing was ever read.
    is_new: bool,
    /// The number of the reading, where it is about a part of the table.
    part: Option<i64>,
    /// The cursor was refused: all is read again.
    expired: bool,
    /// Rows that say nothing of how new they are.
    without: i64,
    etag: Option<String>,
    modified: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum At {
    /// What waits is frozen.
    Freeze,
    /// The change that was met goes out.
    Write,
    /// Whether a row that the backend gives an id arrived without an answer shows in what it has now.
    Look,
    Read(usize),
    Over(usize, Option<SyncError>),
    Failed(SyncError),
    Done,
}

/// What a page that was read leads to.
enum Turned {
    Page(Box<Reading>),
    Whole(Box<Reading>),
    Cut(Box<Reading>, SyncError),
    /// Nothing has changed.
    Same,
    /// The cursor is refused.
    Expired,
    Failed(SyncError),
    /// The row that was looked for: not yet found.
    Look(Box<Reading>),
}

/// Where changes of an entity go.
struct Writer {
    reading: Arc<Function>,
    writes: Writes,
    values: Values,
}

pub struct Talk {
    options: Arc<Options>,
    goal: Goal,
    entities: Vec<Entity>,
    operations: Vec<Operation>,
    /// By entity.
    writers: Vec<Option<Writer>>,
    change: Option<Change>,
    /// What goes out now was sent before.
    resent: bool,
    looking: Reading,
    pulls: bool,
    /// What waits is sent when all is read.
    writes_last: bool,
    now: i64,
    force: bool,
    at: At,
    /// What the last answer that was read leads to; taken when it is adopted.
    turned: RefCell<Option<Turned>>,
    /// For a comparison: the rows that have come, and how many of them are of answers before the last.
    gathered: RefCell<Vec<Gathered>>,
    adopted: usize,
}

/// A row that is to be compared.
struct Gathered {
    entity: usize,
    id: WireId<'static>,
    slots: Vec<Slot<'static>>,
}

impl Talk {
    /// # Errors
    /// A function or a parameter that is not known.
    pub fn begin(options: Arc<Options>, goal: Goal, known: Known) -> Result<Self, Refusal> {
        let entities: Vec<Entity> = known
            .entities
            .iter()
            .map(|known| known.entity.clone())
            .collect();
        let is_check = goal == Goal::Check;
        let mut operations = Vec::with_capacity(known.operations.len());
        for operation in known.operations {
            let entity = &entities[operation.entity];
            let function = of_operation(&options, entity, &operation).map_err(Refusal::Call)?;
            let mut values = function
                .values(&operation.parameters)
                .map_err(Refusal::Call)?;
            values.insert("now".into(), known.now.into());
            Rows::new(&function, entity, &values, known.now).map_err(Refusal::Call)?;
            operations.push(Operation {
                reading: Reading::begin(&function, operation.place.as_ref(), known.now, is_check),
                known: operation,
                function,
                values,
            });
        }
        let pulls = known.pulls && goal != Goal::Upload;
        let writers = entities.iter().enumerate().map(|(place, _)| {
            let mut operations = operations
                .iter()
                .filter(|operation: &&Operation| operation.known.entity == place);
            operations.find_map(|operation| {
                Some(Writer {
                    reading: Arc::clone(&operation.function),
                    writes: operation.function.writes.clone()?,
                    values: operation.values.clone(),
                })
            })
        });
        let writers: Vec<Option<Writer>> = writers.collect();
        let pull_first = options.pull_first;
        let sends = goal.sends() && writers.iter().any(Option::is_some);
        let reads = pulls && !operations.is_empty();
        let first = match reads {
            true => At::Read(0),
            false => At::Done,
        };
        Ok(Self {
            writers,
            change: None,
            resent: false,
            looking: Reading::default(),
            pulls,
            options,
            goal,
            entities,
            operations,
            now: known.now,
            force: known.options.get("force") == Some(&Json::Bool(true)),
            at: match sends && (!pull_first || first == At::Done) {
                true => At::Freeze,
                false => first,
            },
            writes_last: sends && pull_first && reads,
            turned: RefCell::default(),
            gathered: RefCell::default(),
            adopted: 0,
        })
    }

    /// Where changes of each entity go.
    pub fn writes(&self) -> HashMap<String, Writes> {
        let writers = self.entities.iter().zip(&self.writers);
        let writers = writers.filter_map(|(entity, writer)| {
            Some((entity.name.clone(), writer.as_ref()?.writes.clone()))
        });
        writers.collect()
    }

    fn ask(&self, place: usize) -> Result<Ask, SyncError> {
        let operation = &self.operations[place];
        let (function, reading) = (&*operation.function, &operation.reading);
        let mut values = operation.values.clone();
        function.paging.values(&reading.pages, &mut values);
        let mut more = request::of_page(function, &reading.pages, &values);
        if let Some(incremental) = &function.incremental
            && let Some(cursor) = incremental.sent(operation.cursor().filter(|_| !reading.is_whole))
        {
            values.insert("cursor".into(), cursor.clone());
            if let Some((part, name)) = incremental
                .send
                .as_ref()
                .filter(|(_, name)| !name.is_empty())
            {
                more.push((*part, name.clone(), cursor));
            }
        }
        let next = function.paging.address(&reading.pages);
        let context = (self.options.url.as_str(), self.options.headers.as_slice());
        let mut ask =
            request::build(function, context, &values, &more, next).map_err(|problem| {
                SyncError::data(format!("function {}: {problem}", quoted(&function.id)))
            })?;
        let memory = operation.memory();
        let is_conditional =
            function.conditional && reading.pages.count == 0 && !reading.expired && !self.force;
        if is_conditional
            && self.goal != Goal::Check
            && memory["whole"] == Json::Bool(true)
            && memory["function"] == function.mark
        {
            for (key, header) in [("etag", "if-none-match"), ("modified", "if-modified-since")] {
                if let Some(value) = memory[key].as_str() {
                    ask.headers.push((header.into(), value.to_owned()));
                }
            }
        }
        Ok(Ask {
            reads: READ,
            again: vec![(operation.known.entity, Again::Rows)],
            operation: (self.goal != Goal::Check).then_some(place),
            part: reading.part,
            ..ask
        })
    }

    /// The request of the change that was met.
    fn write(&self) -> Result<Ask, SyncError> {
        let (change, writer) = self.writer()?;
        let entity = &self.entities[change.entity];
        let context = (&*writer.reading, &writer.writes);
        write::ask(&self.options, context, entity, change, &writer.values)
    }

    fn writer(&self) -> Result<(&Change, &Writer), SyncError> {
        let change = self.change.as_ref().ok_or_else(SyncError::bug)?;
        let writer = self.writers[change.entity]
            .as_ref()
            .ok_or_else(SyncError::bug)?;
        Ok((change, writer))
    }

    /// Whether a change must not simply go out again: the backend gives new rows ids, and knows no request that came twice.
    fn must_look(&self) -> bool {
        let Ok((change, writer)) = self.writer() else {
            return false;
        };
        change.resent
            && change.kind == ChangeKind::Created
            && writer.writes.mints
            && writer.writes.idempotency.is_none()
    }

    /// The request of a page in which the row is looked for.
    fn look(&self) -> Result<Ask, SyncError> {
        let (_, writer) = self.writer()?;
        let function = &*writer.reading;
        let mut values = writer.values.clone();
        function.paging.values(&self.looking.pages, &mut values);
        let more = request::of_page(function, &self.looking.pages, &values);
        let context = (self.options.url.as_str(), self.options.headers.as_slice());
        let next = function.paging.address(&self.looking.pages);
        let ask = request::build(function, context, &values, &more, next).map_err(|problem| {
            SyncError::data(format!("function {}: {problem}", quoted(&function.id)))
        })?;
        Ok(Ask {
            label: "look",
            parcel: Some(AboutParcel {
                may_store: false,
                refusals: &[],
                open: &[],
            }),
            ..ask
        })
    }

    /// Reads what became of a change.
    fn written(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        let (change, writer) = self.writer()?;
        let is_gone = |status| matches!(status, 404 | 410);
        let verdict = match (answer.status, change.kind) {
            (status, ChangeKind::Deleted) if is_gone(status) => taken(None, None),
            (status, ChangeKind::Updated) if is_gone(status) => Verdict::Conflict(Some(Image {
                entity: change.entity,
                slots: None,
                version: None,
            })),
            (200..300, _) => return self.accepted(change, writer, answer, sink),
            (404 | 410, _) => Verdict::Refused(Rejection {
                reason: Some("notFound"),
                message: Some("the backend does not know the address"),
                ..Rejection::default()
            }),
            // It may be there since it was sent before.
            (_, ChangeKind::Created) if change.resent => {
                *self.turned.borrow_mut() = Some(Turned::Look(Box::default()));
                return Ok(Read {
                    unfinished: true,
                    ..Read::default()
                });
            }
            // What is there comes with the next reading.
            _ => Verdict::Conflict(None),
        };
        sink.verdict(Sent::Rest, verdict)?;
        Ok(Read::default())
    }

    /// The backend has a change, and may say what the row is now.
    fn accepted(
        &self,
        change: &Change,
        writer: &Writer,
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Read, SyncError> {
        let function =
            write::function(&self.options, &writer.writes, change.kind).map_err(SyncError::data)?;
        let location = header(answer.headers, "location").map(str::to_owned);
        let mut rows: Vec<String> = Vec::new();
        let is_json = answer.length > 0 && content_type(answer.headers).contains("json");
        if is_json && change.kind != ChangeKind::Deleted {
            let wanted = verdict_paths(&function);
            let found = walk(
                &function,
                "application/json",
                &wanted,
                answer.body,
                &mut |text| {
                    rows.push(text.to_owned());
                    Ok(())
                },
            );
            // An answer that does not show the row says yes all the same.
            if let Ok(envelope) = found
                && let Some(said) = refusal(&function, &envelope.json)
            {
                sink.verdict(Sent::Rest, Verdict::Refused(Rejection::saying(Some(&said))))?;
                return Ok(Read::default());
            }
        }
        let entity = &self.entities[change.entity];
        let reader = Rows::new(&writer.reading, entity, &writer.values, self.now)
            .map_err(SyncError::data)?;
        let row = match rows.as_slice() {
            [text] => reader.read(text, 1, sink).ok().flatten(),
            _ => None,
        };
        let is_new = change.kind == ChangeKind::Created && writer.writes.mints;
        let minted = match (&row, location) {
            _ if !is_new => None,
            (Some(row), _) => Some(row.id.clone()),
            (None, Some(location)) => {
                let bare = location.split(['?', '#']).next().unwrap_or_default();
                let last = bare
                    .trim_end_matches('/')
                    .rsplit('/')
                    .next()
                    .unwrap_or_default();
                (!last.is_empty()).then(|| WireId::Text(last.to_owned().into()))
            }
            (None, None) => None,
        };
        if is_new && minted.is_none() {
            return Err(SyncError::protocol(
                "the backend took the row, and neither its answer nor a Location header has the id that it gave it; see records and key of the function that creates",
            ));
        }
        // Another row than the one that was sent says nothing of it.
        let image = row
            .as_ref()
            .filter(|row| is_new || row.id.to_string() == change.id);
        let image = image.map(|row| Image {
            entity: change.entity,
            slots: Some(&row.slots),
            version: None,
        });
        sink.verdict(Sent::Rest, taken(minted.as_ref(), image))?;
        Ok(Read::default())
    }

    /// Looks for the row among those that the backend has.
    fn looked(
        &self,
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(Turned, Read), SyncError> {
        let (change, writer) = self.writer()?;
        let (function, entity) = (&*writer.reading, &self.entities[change.entity]);
        let rows =
            Rows::new(function, entity, &writer.values, self.now).map_err(SyncError::data)?;
        let wanted = function.paging.wanted();
        let mut hasher = DefaultHasher::new();
        let (mut number, mut last, mut found) = (0, None, None);
        let content_type = content_type(answer.headers);
        let rows = rows.of_texts(is_table(function, &content_type));
        let envelope = walk(function, &content_type, &wanted, answer.body, &mut |text| {
            number += 1;
            text.hash(&mut hasher);
            if let Some(column) = &function.paging.column {
                last = cut(text, column);
            }
            let Some(row) = rows.read(text, number, sink)? else {
                return Ok(());
            };
            let is_it = match writer.writes.mints {
                true => !sink.is_here(change.entity, &row.id)?,
                false => row.id.to_string() == change.id,
            };
            if found.is_none() && is_it && change.is_same(entity, &row.slots) {
                found = Some(row.id);
            }
            Ok(())
        })?;
        envelope.found(function)?;
        let envelope = envelope.json;
        if let Some(id) = found {
            let minted = writer.writes.mints.then_some(&id);
            sink.verdict(Sent::Rest, taken(minted, None))?;
            return Ok((Turned::Same, Read::default()));
        }
        let ask = self.look()?;
        let page = Page {
            rows: number,
            hash: hasher.finish(),
            last,
            envelope: &envelope,
            headers: answer.headers,
            url: &ask.url,
        };
        Ok(match function.paging.after(&self.looking.pages, &page) {
            After::Page(pages) => {
                let reading = Reading {
                    pages,
                    ..Reading::default()
                };
                let read = Read {
                    unfinished: true,
                    ..Read::default()
                };
                (Turned::Look(Box::new(reading)), read)
            }
            After::Whole => {
                let verdict = match writer.writes.mints {
                    true => Verdict::Untouched,
                    false => Verdict::Conflict(None),
                };
                sink.verdict(Sent::Rest, verdict)?;
                (Turned::Same, Read::default())
            }
            After::Cut(error) => return Err(error),
        })
    }

    /// What comes when everything is sent.
    fn after_writes(&self) -> At {
        match self.pulls && !self.writes_last && !self.operations.is_empty() {
            true => At::Read(0),
            false => At::Done,
        }
    }

    /// What comes after an operation.
    fn next(&self, place: usize) -> At {
        match place + 1 < self.operations.len() {
            true => At::Read(place + 1),
            false if self.writes_last => At::Freeze,
            false => At::Done,
        }
    }

    /// Reads a page with a status of 2xx.
    fn page(
        &self,
        place: usize,
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(Turned, Read), SyncError> {
        let operation = &self.operations[place];
        let function = &*operation.function;
        let entity = operation.known.entity;
        let mut reading = operation.reading.clone();
        let rows = Rows::new(
            function,
            &self.entities[entity],
            &operation.values,
            self.now,
        )
        .map_err(SyncError::data)?;
        let mut wanted = function.paging.wanted();
        wanted.extend(verdict_paths(function));
        wanted.extend(function.rules.iter().filter_map(|rule| rule.path.clone()));
        let header = |name: &str| header(answer.headers, name).map(str::to_owned);
        let content_type = content_type(answer.headers);
        let rows = rows.of_texts(is_table(function, &content_type));
        let (etag, modified) = (header("etag"), header("last-modified"));
        if let Some(super::paging::Spot::At(path)) = function
            .incremental
            .as_ref()
            .and_then(|incremental| incremental.cursor.as_ref())
        {
            wanted.push(path.clone());
        }
        self.gathered.borrow_mut().truncate(self.adopted);
        let mut hasher = DefaultHasher::new();
        let mut number = 0;
        let mut last = None;
        let since = self.passed_over(operation);
        let envelope = walk(function, &content_type, &wanted, answer.body, &mut |text| {
            number += 1;
            text.hash(&mut hasher);
            if let Some(column) = &function.paging.column {
                last = cut(text, column);
            }
            let Some(row) = rows.read(text, number, sink)? else {
                return Ok(());
            };
            match (&row.at, &function.incremental) {
                (Some(at), Some(_)) => {
                    if since
                        .as_ref()
                        .is_some_and(|since| incremental::compare(at, since) == Ordering::Less)
                    {
                        return Ok(());
                    }
                    let is_newer = reading
                        .top
                        .as_ref()
                        .is_none_or(|top| incremental::compare(at, top) == Ordering::Greater);
                    if is_newer {
                        reading.top = Some(at.clone());
                    }
                }
                (None, Some(_)) => reading.without += 1,
                _ => {}
            }
            if row.is_gone {
                return sink.gone(entity, &row.id, None);
            }
            reading.seen.insert(&row.id);
            if self.goal == Goal::Check {
                self.gathered.borrow_mut().push(Gathered {
                    entity,
                    id: row.id,
                    slots: row.slots.into_iter().map(Slot::into_owned).collect(),
                });
                return Ok(());
            }
            sink.row(&RemoteRow {
                entity,
                announced: Announced::Updated,
                id: &row.id,
                slots: &row.slots,
                version: None,
            })
        })?;
        let found = envelope.found(function);
        let envelope = envelope.json;
        let rule = function
            .rules
            .iter()
            .find(|rule| rule.fits_envelope(answer.status, &envelope));
        if let Some(rule) = rule {
            return match (rule.ignore, rule.expired && !reading.expired) {
                (true, _) => Ok((Turned::Same, Read::default())),
                (_, true) => Ok((Turned::Expired, Read::default())),
                _ => Err(rule.error(SyncError::from_status(
                    answer.status,
                    false,
                    &envelope.to_string(),
                ))),
            };
        }
        if let Some(said) = refusal(function, &envelope) {
            let error = SyncError::new(
                Class::Server,
                "SYNC_ERROR_HTTP",
                "the backend says that it could not do it, in an answer with a good status; nothing of it was applied",
                false,
            );
            return Err(error.saying(&said));
        }
        found?;
        let said = function
            .incremental
            .as_ref()
            .and_then(|incremental| incremental.cursor.as_ref());
        if let Some(cursor) = said.and_then(|spot| spot.find(&envelope, answer.headers)) {
            reading.top = Some(cursor);
        }
        let ask = self.ask(place)?;
        let page = Page {
            rows: number,
            hash: hasher.finish(),
            last,
            envelope: &envelope,
            headers: answer.headers,
            url: &ask.url,
        };
        let after = function.paging.after(&reading.pages, &page);
        let mut read = Read::default();
        let pages = match &after {
            After::Page(pages) => pages,
            _ => &reading.pages,
        };
        read.rest
            .insert("paging".into(), function.paging.shown(pages).into());
        Ok(match after {
            After::Page(pages) => {
                reading.pages = pages;
                let moves = function
                    .incremental
                    .as_ref()
                    .is_some_and(|incremental| incremental.ascending);
                if moves && (!reading.is_whole || reading.is_new) {
                    read.places
                        .push((place, operation.at(&reading, false, self.now)));
                    read.cursors.push((entity, self.now.to_string()));
                }
                if self.goal == Goal::Check {
                    read.due = vec![entity];
                }
                (Turned::Page(Box::new(reading)), read)
            }
            After::Cut(error) => (Turned::Cut(Box::new(reading), error), read),
            After::Whole => {
                reading.pages.count += 1;
                let is_single = reading.pages.count == 1;
                reading.etag = etag.filter(|_| is_single);
                reading.modified = modified.filter(|_| is_single);
                if self.goal == Goal::Check {
                    match self.next(place) {
                        At::Done => self.compare(sink)?,
                        _ => read.due = vec![entity],
                    }
                    return Ok((Turned::Whole(Box::new(reading)), read));
                }
                if reading.is_whole && operation.sweeps() {
                    let seen = &reading.seen;
                    sink.scope(
                        entity,
                        &Scope::Sweep(&Sweep {
                            named: &|id| seen.names(id),
                            is_part: reading.part.is_some(),
                            most: function.most.filter(|_| !self.force),
                        }),
                    )?;
                }
                read.places
                    .push((place, operation.at(&reading, true, self.now)));
                read.cursors.push((entity, self.now.to_string()));
                read.warnings
                    .extend(operation.warnings(&reading, &self.entities[entity].name));
                (Turned::Whole(Box::new(reading)), read)
            }
        })
    }

    /// Hands over all rows that have come, of each the last.
    fn compare(&self, sink: &mut dyn Sink) -> Result<(), SyncError> {
        let gathered = self.gathered.borrow();
        let named = gathered.iter().enumerate();
        let last: HashMap<(usize, String), usize> = named
            .map(|(place, row)| ((row.entity, row.id.to_string()), place))
            .collect();
        let mut places: Vec<usize> = last.into_values().collect();
        places.sort_unstable();
        for row in places.into_iter().map(|place| &gathered[place]) {
            sink.row(&RemoteRow {
                entity: row.entity,
                announced: Announced::Updated,
                id: &row.id,
                slots: &row.slots,
                version: None,
            })?;
        }
        Ok(())
    }

    /// The cursor, where the backend can't be asked by it and old rows are passed over here.
    fn passed_over(&self, operation: &Operation) -> Option<Json> {
        let incremental = operation.function.incremental.as_ref()?;
        if incremental.send.is_some() || operation.reading.is_whole {
            return None;
        }
        incremental.sent(operation.cursor())
    }

    /// What an answer with another status means.
    fn refused(&self, place: usize, status: u16, body: &str) -> Option<Turned> {
        let operation = &self.operations[place];
        let rule = operation
            .function
            .rules
            .iter()
            .find(|rule| rule.fits(status, body));
        let is_expired = rule.map_or(status == 410 && operation.cursor().is_some(), |rule| {
            rule.expired
        });
        if is_expired && !operation.reading.expired {
            return Some(Turned::Expired);
        }
        let rule = rule?;
        if rule.ignore {
            return Some(Turned::Same);
        }
        let error = rule.error(SyncError::from_status(status, false, body));
        Some(Turned::Failed(error))
    }
}

/// The value of a header of an answer; `name` in small letters, as an answer has them.
fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut headers = headers.iter();
    headers
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

/// The media type of an answer, in small letters; empty when it names none.
fn content_type(headers: &[(String, String)]) -> String {
    header(headers, "content-type")
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// The status besides 2xx whose answer is read: nothing has changed.
const READ: &[u16] = &[304];

impl Reading {
    fn begin(function: &Function, place: Option<&Place>, now: i64, is_check: bool) -> Self {
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
    fn cursor(&self) -> Option<&str> {
        self.known.place.as_ref()?.cursor.as_deref()
    }

    fn memory(&self) -> &Json {
        self.known
            .place
            .as_ref()
            .map_or(&Json::Null, |place| &place.memory)
    }

    /// Whether what a whole reading does not name is gone.
    fn sweeps(&self) -> bool {
        match self.function.deletes {
            // One that begins somewhere does not show what was there before.
            Deletes::Sweep | Deletes::SweepEvery(_) => {
                let incremental = self.function.incremental.as_ref();
                incremental.is_none_or(|incremental| incremental.initial.is_none())
            }
            Deletes::No | Deletes::Tombstone(..) => false,
        }
    }

    /// How far it has read. `whole`: with the last page.
    fn at(&self, reading: &Reading, whole: bool, now: i64) -> Place {
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

    fn warnings(&self, reading: &Reading, entity: &str) -> Vec<Warning> {
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

/// A value of a row.
fn cut(text: &str, path: &super::path::Path) -> Option<Json> {
    let raw = serde_json::from_str(text).ok()?;
    let found = path.cut(raw)?;
    serde_json::from_str(found.get())
        .ok()
        .filter(|value: &Json| !value.is_null())
}

impl Conversation for Talk {
    fn due(&self) -> Step {
        match &self.at {
            At::Read(place) => match self.ask(*place) {
                Ok(ask) => Step::Ask(ask),
                Err(error) => Step::Over(*place, Some(error)),
            },
            At::Freeze => Step::Freeze,
            At::Write => match self.write() {
                Ok(ask) => Step::Ask(ask),
                Err(error) => Step::Fail(error),
            },
            At::Look => match self.look() {
                Ok(ask) => Step::Ask(ask),
                Err(error) => Step::Fail(error),
            },
            At::Over(place, error) => Step::Over(*place, error.clone()),
            At::Failed(error) => Step::Fail(error.clone()),
            At::Done => Step::Done,
        }
    }

    fn write_body(&self, _: &dyn ParcelRows, _: &mut dyn Write) -> io::Result<()> {
        Err(io::Error::other(
            "a request carries its row from the beginning",
        ))
    }

    fn read(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        let place = match self.at {
            At::Write => return self.written(answer, sink),
            At::Look => {
                let (turned, read) = self.looked(answer, sink)?;
                *self.turned.borrow_mut() = Some(turned);
                return Ok(read);
            }
            At::Read(place) => place,
            _ => return Err(SyncError::bug()),
        };
        let (turned, read) = match answer.status {
            304 => {
                let entity = self.operations[place].known.entity;
                let read = Read {
                    cursors: vec![(entity, self.now.to_string())],
                    rest: Map::from_iter([("unchanged".to_owned(), true.into())]),
                    ..Read::default()
                };
                (Turned::Same, read)
            }
            _ => self.page(place, answer, sink)?,
        };
        *self.turned.borrow_mut() = Some(turned);
        Ok(read)
    }

    fn meet(&mut self, entity: usize, row: &ParcelRow<'_>) {
        self.change = Change::read(entity, row, self.resent);
        if self.at == At::Write && self.must_look() {
            self.looking = Reading::default();
            self.at = At::Look;
        }
    }

    fn adopt(&mut self, event: Event<'_>) {
        let place = match (&self.at, event) {
            (_, Event::Frozen(0)) => {
                // Behind what was sent before, the rest is still to be frozen.
                self.at = match std::mem::take(&mut self.resent) {
                    true => At::Freeze,
                    false => self.after_writes(),
                };
                return;
            }
            (_, Event::Frozen(_)) => {
                self.resent = false;
                self.at = At::Write;
                return;
            }
            (_, Event::Resent(_)) => {
                self.resent = true;
                self.at = At::Write;
                return;
            }
            (At::Write | At::Look, Event::Read(read)) if read.unfinished => {
                if let Some(Turned::Look(reading)) = self.turned.take() {
                    self.looking = *reading;
                    self.at = At::Look;
                }
                return;
            }
            (At::Write | At::Look, Event::Read(_)) => {
                // Another row may follow at once.
                self.at = match std::mem::take(&mut self.resent) {
                    true => At::Freeze,
                    false => self.after_writes(),
                };
                return;
            }
            (At::Write | At::Look, Event::Refused { error, .. } | Event::Lost(error)) => {
                self.at = At::Failed(error.clone());
                return;
            }
            (At::Read(place), _) => *place,
            _ => return,
        };
        let turned = match event {
            Event::Read(_) => self.turned.take(),
            Event::Refused {
                status,
                body,
                error,
            } => Some(
                self.refused(place, status, body)
                    .unwrap_or_else(|| Turned::Failed(error.clone())),
            ),
            Event::Lost(error) => Some(Turned::Failed(error.clone())),
            Event::Frozen(_) | Event::Resent(_) => return,
        };
        let operation = &mut self.operations[place];
        self.at = match turned {
            None => return,
            Some(Turned::Page(reading)) => {
                operation.reading = *reading;
                At::Read(place)
            }
            Some(Turned::Expired) => {
                operation.reading = Reading {
                    is_whole: true,
                    expired: true,
                    part: operation.reading.part,
                    ..Reading::default()
                };
                At::Read(place)
            }
            Some(Turned::Whole(reading)) => {
                operation.reading = *reading;
                At::Over(place, None)
            }
            Some(Turned::Same | Turned::Look(_)) => At::Over(place, None),
            Some(Turned::Cut(reading, error)) => {
                operation.reading = *reading;
                At::Over(place, Some(error))
            }
            Some(Turned::Failed(error)) => At::Over(place, Some(error)),
        };
        self.adopted = self.gathered.get_mut().len();
        if let (Goal::Check, At::Over(_, error)) = (self.goal, &self.at) {
            self.at = match error {
                Some(error) => At::Failed(error.clone()),
                None => self.next(place),
            };
        }
    }

    fn ended(&mut self, operation: usize) {
        let failed = match &self.at {
            At::Over(_, Some(error)) => Some(error.clone()),
            _ => None,
        };
        self.at = match (self.next(operation), failed) {
            // The others would hear the same.
            (At::Read(next), Some(error))
                if matches!(error.class, Class::Auth | Class::Network) =>
            {
                At::Over(next, Some(error))
            }
            (next, _) => next,
        };
    }
}

/// The backend has it.
fn taken<'a>(new_id: Option<&'a WireId<'a>>, image: Option<Image<'a>>) -> Verdict<'a> {
    Verdict::Taken {
        version: None,
        new_id,
        image,
    }
}
