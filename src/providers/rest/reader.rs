//! Reading operations, page by page.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::answer::{is_table, refusal, verdict_paths};
use super::function::Function;
use super::incremental;
use super::options::Options;
use super::page::{self, content_type, header};
use super::paging::{After, Kind, Page, Pages, Spot};
use super::reading::{Operation, Reading};
use super::request;
use super::rows::Rows;
use crate::ground::{Class, SyncError, quoted};
use crate::http::{Spool, SpoolWriter};
use crate::providers::conversation::{Again, Answer, Ask, Goal, Read};
use crate::providers::seen::Seen;
use crate::providers::sink::{Announced, RemoteRow, Scope, Sink, Sweep};
use crate::providers::wire::Entity;

/// The operations of a run.
pub struct Reader {
    pub options: Arc<Options>,
    pub entities: Arc<[Entity]>,
    pub operations: Vec<Operation>,
    pub goal: Goal,
    pub now: i64,
    pub force: bool,
}

/// What a page that was read leads to.
pub enum Turned {
    Page(Box<Reading>),
    Whole(Box<Reading>),
    Cut(Box<Reading>, SyncError),
    /// Nothing has changed.
    Same,
    /// The cursor is refused.
    Expired,
    /// The first page is read again, with all that is on it.
    Anew,
    Failed(SyncError),
}

/// What comes of an operation.
pub enum Went {
    /// There is more to ask.
    On,
    Over(Option<SyncError>),
}

impl Reader {
    /// The request of the next page of an operation.
    ///
    /// # Errors
    /// A place of the request without a value.
    pub fn ask(&self, place: usize) -> Result<Ask, SyncError> {
        let operation = &self.operations[place];
        let reading = &operation.reading;
        let lists_keys = reading.ids.is_some();
        let function = match &operation.ids {
            Some(function) if lists_keys => &**function,
            _ => &*operation.function,
        };
        let mut values = operation.values.clone();
        function.paging.values(&reading.pages, &mut values);
        let mut more = request::of_page(function, &reading.pages, &values);
        if let Some(incremental) = &function.incremental
            && !lists_keys
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
        let is_first = reading.pages.count == 0 && !lists_keys;
        let is_conditional =
            function.conditional && is_first && !reading.is_unconditional && !self.force;
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

    /// Reads a page of an operation. `is_last`: no other operation follows.
    ///
    /// # Errors
    /// An answer that breaks the protocol, or that says no; those of the sink.
    pub fn read(
        &self,
        (place, is_last): (usize, bool),
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(Turned, Read), SyncError> {
        if answer.status == 304 && self.has_more_now(place, answer)? {
            return Ok((Turned::Anew, Read::default()));
        }
        if answer.status == 304 {
            let entity = self.operations[place].known.entity;
            let read = Read {
                cursors: vec![(entity, self.now.to_string())],
                rest: Map::from_iter([("unchanged".to_owned(), true.into())]),
                ..Read::default()
            };
            return Ok((Turned::Same, read));
        }
        match &self.operations[place].ids {
            Some(function) if self.operations[place].reading.ids.is_some() => {
                self.keys(place, function, answer, sink)
            }
            _ => self.page((place, is_last), answer, sink),
        }
    }

    /// Reads a page of the keys that there are. Rows that are not among them go.
    fn keys(
        &self,
        place: usize,
        function: &Function,
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(Turned, Read), SyncError> {
        let operation = &self.operations[place];
        let mut reading = operation.reading.clone();
        let mut ids = reading.ids.take().unwrap_or_default();
        let entity = operation.known.entity;
        let rows = self.rows(function, operation)?;
        let headers = answer.headers;
        let walked = page::read(
            function,
            answer,
            verdict_paths(function),
            &mut |number, text| {
                ids.insert(&rows.key_of(text, number)?);
                Ok(())
            },
        )?;
        if let Some(said) = refusal(function, &walked.envelope.json) {
            return Err(says_no(&said));
        }
        walked.envelope.found(function)?;
        let ask = self.ask(place)?;
        let after = walked.after(function, &reading.pages, headers, &ask.url);
        match after {
            After::Page(pages) => {
                reading.pages = pages;
                reading.ids = Some(ids);
                Ok((Turned::Page(Box::new(reading)), Read::default()))
            }
            After::Cut(error) => Ok((Turned::Failed(error), Read::default())),
            After::Whole => {
                let sweep = Sweep {
                    named: &|id| ids.names(id),
                    is_part: reading.part.is_some(),
                    meant: &operation.meant,
                    most: operation.function.most.filter(|_| !self.force),
                };
                sink.scope(entity, &Scope::Sweep(&sweep))?;
                reading.ids = Some(Seen::default());
                Ok((Turned::Whole(Box::new(reading)), Read::default()))
            }
        }
    }

    /// Whether an answer that nothing has changed on the only page there was says all the same that another one follows.
    fn has_more_now(&self, place: usize, answer: &Answer<'_>) -> Result<bool, SyncError> {
        let operation = &self.operations[place];
        let page = Page {
            rows: 1,
            hash: 0,
            last: None,
            envelope: &Json::Null,
            headers: answer.headers,
            url: &self.ask(place)?.url,
        };
        let paging = &operation.function.paging;
        Ok(match paging.kind {
            // What follows shows in the rows alone.
            Kind::Page | Kind::Offset | Kind::Keyset | Kind::None => false,
            _ => !matches!(paging.after(&Pages::default(), &page), After::Whole),
        })
    }

    /// Takes note of what a page has led to.
    pub fn adopt(&mut self, place: usize, turned: Turned) -> Went {
        let lists_keys = self.goal != Goal::Check && self.operations[place].ids.is_some();
        let reading = &mut self.operations[place].reading;
        let (is_over, keys_are_due) = (Went::Over(None), lists_keys && reading.ids.is_none());
        match turned {
            Turned::Page(read) => {
                *reading = *read;
                Went::On
            }
            Turned::Whole(_) | Turned::Same if keys_are_due => {
                reading.pages = Pages::default();
                reading.ids = Some(Seen::default());
                Went::On
            }
            Turned::Expired => {
                *reading = Reading {
                    is_whole: true,
                    expired: true,
                    is_unconditional: true,
                    part: reading.part,
                    ..Reading::default()
                };
                Went::On
            }
            Turned::Anew => {
                reading.is_unconditional = true;
                Went::On
            }
            Turned::Whole(read) => {
                *reading = *read;
                is_over
            }
            Turned::Same => is_over,
            Turned::Cut(read, error) => {
                *reading = *read;
                Went::Over(Some(error))
            }
            Turned::Failed(error) => Went::Over(Some(error)),
        }
    }

    /// What the entity of an operation gets of rows that a function brings.
    fn rows<'f>(
        &'f self,
        function: &'f Function,
        operation: &'f Operation,
    ) -> Result<Rows<'f>, SyncError> {
        let entity = &self.entities[operation.known.entity];
        Rows::new(function, entity, &operation.values, self.now).map_err(SyncError::data)
    }

    /// Takes a row of an answer.
    fn row(
        operation: &Operation,
        reading: &mut Reading,
        (rows, since): (&Rows<'_>, Option<&Json>),
        (number, text): (u64, &str),
        sink: &mut dyn Sink,
    ) -> Result<(), SyncError> {
        let entity = operation.known.entity;
        let Some(row) = rows.read(text, number, sink)? else {
            return Ok(());
        };
        if operation.function.incremental.is_some() {
            match &row.at {
                Some(at) => {
                    let is_newer_than = |old: &Json, order| incremental::compare(at, old) == order;
                    if since.is_some_and(|since| is_newer_than(since, Ordering::Less)) {
                        return Ok(());
                    }
                    let top = reading.top.as_ref();
                    if top.is_none_or(|top| is_newer_than(top, Ordering::Greater)) {
                        reading.top = Some(at.clone());
                    }
                }
                None => reading.without += 1,
            }
        }
        if row.is_gone {
            return sink.gone(entity, &row.id, None);
        }
        reading.seen.insert(&row.id);
        sink.row(&RemoteRow {
            entity,
            announced: Announced::Updated,
            id: &row.id,
            slots: &row.slots,
            version: None,
        })
    }

    /// Reads a page with a status of 2xx.
    fn page(
        &self,
        (place, is_last): (usize, bool),
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(Turned, Read), SyncError> {
        let operation = &self.operations[place];
        let function = &*operation.function;
        let entity = operation.known.entity;
        let mut reading = operation.reading.clone();
        let rows = self.rows(function, operation)?;
        let mut wanted = verdict_paths(function);
        wanted.extend(function.rules.iter().filter_map(|rule| rule.path.clone()));
        let headers = answer.headers;
        let header = |name: &str| header(headers, name).map(str::to_owned);
        reading.of_texts = is_table(function, &content_type(headers));
        let rows = rows.of_texts(reading.of_texts);
        let (etag, modified) = (header("etag"), header("last-modified"));
        if let Some(Spot::At(path)) = function
            .incremental
            .as_ref()
            .and_then(|incremental| incremental.cursor.as_ref())
        {
            wanted.push(path.clone());
        }
        let since = self.passed_over(operation);
        let taking = (&rows, since.as_ref());
        let keeps = function.atomic || self.goal == Goal::Check;
        let mut kept = SpoolWriter::new(IN_MEMORY);
        let walked = page::read(function, answer, wanted, &mut |number, text| match keeps {
            true => keep(&mut kept, text),
            false => Self::row(operation, &mut reading, taking, (number, text), sink),
        })?;
        if keeps {
            reading.kept.push(kept.finish());
        }
        let found = walked.envelope.found(function);
        let envelope = &walked.envelope.json;
        let rule = function
            .rules
            .iter()
            .find(|rule| rule.fits_envelope(answer.status, envelope));
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
        if let Some(said) = refusal(function, envelope) {
            return Err(says_no(&said));
        }
        found?;
        let said = function
            .incremental
            .as_ref()
            .and_then(|incremental| incremental.cursor.as_ref());
        if let Some(cursor) = said.and_then(|spot| spot.find(envelope, headers)) {
            reading.top = Some(cursor);
        }
        let ask = self.ask(place)?;
        let after = walked.after(function, &reading.pages, headers, &ask.url);
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
                // Of a page that is full, nobody knows whether there is another by now.
                let is_full = function.paging.size.is_some_and(|size| walked.rows >= size);
                let is_single = reading.pages.count == 1 && !is_full;
                reading.etag = etag.filter(|_| is_single);
                reading.modified = modified.filter(|_| is_single);
                if self.goal == Goal::Check {
                    match is_last {
                        true => self.compare((place, &reading), sink)?,
                        false => read.due = vec![entity],
                    }
                    return Ok((Turned::Whole(Box::new(reading)), read));
                }
                let kept = std::mem::take(&mut reading.kept);
                let mut number = 0;
                each_kept(&kept, &mut |text| {
                    number += 1;
                    Self::row(operation, &mut reading, taking, (number, text), sink)
                })?;
                if reading.is_whole && operation.sweeps() {
                    let seen = &reading.seen;
                    sink.scope(
                        entity,
                        &Scope::Sweep(&Sweep {
                            named: &|id| seen.names(id),
                            is_part: reading.part.is_some(),
                            meant: &operation.meant,
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

    /// Hands over all rows that have come, of each the last. `at`: the operation that was read last.
    fn compare(&self, at: (usize, &Reading), sink: &mut dyn Sink) -> Result<(), SyncError> {
        let readings = self.operations.iter().enumerate();
        let readings = readings.map(|(place, operation)| match place == at.0 {
            true => (operation, at.1),
            false => (operation, &operation.reading),
        });
        let readings: Vec<(&Operation, &Reading)> = readings.collect();
        let hasher = RandomState::new();
        let mut last: HashMap<u64, u64> = HashMap::new();
        let mut number = 0;
        for pass in [Pass::Numbers, Pass::Rows] {
            number = match pass {
                Pass::Numbers => number,
                Pass::Rows => 0,
            };
            for (operation, reading) in &readings {
                let entity = operation.known.entity;
                let function = &operation.function;
                let rows = self.rows(function, operation)?.of_texts(reading.of_texts);
                each_kept(&reading.kept, &mut |text| {
                    number += 1;
                    let key = rows.key_of(text, number)?;
                    let name = hasher.hash_one((entity, key.to_string()));
                    if pass == Pass::Numbers {
                        last.insert(name, number);
                        return Ok(());
                    }
                    if last.get(&name) != Some(&number) {
                        return Ok(());
                    }
                    let row = rows.read(text, number, sink)?;
                    let Some(row) = row.filter(|row| !row.is_gone) else {
                        return Ok(());
                    };
                    sink.row(&RemoteRow {
                        entity,
                        announced: Announced::Updated,
                        id: &row.id,
                        slots: &row.slots,
                        version: None,
                    })
                })?;
            }
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
    pub fn refused(&self, place: usize, status: u16, body: &str, error: &SyncError) -> Turned {
        let operation = &self.operations[place];
        let rule = operation
            .function
            .rules
            .iter()
            .find(|rule| rule.fits(status, body));
        if operation.reading.ids.is_some() {
            return Turned::Failed(error.clone());
        }
        let is_expired = rule.map_or(status == 410 && operation.cursor().is_some(), |rule| {
            rule.expired
        });
        if is_expired && !operation.reading.expired {
            return Turned::Expired;
        }
        match rule {
            None => Turned::Failed(error.clone()),
            Some(rule) if rule.ignore => Turned::Same,
            Some(rule) => Turned::Failed(rule.error(SyncError::from_status(status, false, body))),
        }
    }
}

/// Bytes of the rows of a page that are kept in memory; more go to a temporary file.
const IN_MEMORY: usize = 64 << 10;

/// Going through kept rows twice: which is the last of its name, and then these.
#[derive(Clone, Copy, PartialEq)]
enum Pass {
    Numbers,
    Rows,
}

/// Keeps a row for later, in a line.
fn keep(kept: &mut SpoolWriter, text: &str) -> Result<(), SyncError> {
    // Between the parts of JSON a break of lines is as good as a space, and within them there is none.
    let line = text.replace(['\n', '\r'], " ");
    let written = kept
        .write_all(line.as_bytes())
        .and_then(|()| kept.write_all(b"\n"));
    written.map_err(|error| no_room(&error))
}

/// Calls `each` with every row that was kept.
fn each_kept(
    kept: &[Spool],
    each: &mut dyn FnMut(&str) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    for page in kept {
        for line in BufReader::new(page.reader()).lines() {
            each(&line.map_err(|error| no_room(&error))?)?;
        }
    }
    Ok(())
}

fn no_room(error: &io::Error) -> SyncError {
    SyncError::data(format!(
        "the rows that came can't be kept in a temporary file: {error}; make room where temporary files are"
    ))
}

/// An answer with a good status that says that it is none.
fn says_no(said: &str) -> SyncError {
    let error = SyncError::new(
        Class::Server,
        "SYNC_ERROR_HTTP",
        "the backend says that it could not do it, in an answer with a good status; nothing of it was applied",
        false,
    );
    error.saying(said)
}

/// The status besides 2xx whose answer is read: nothing has changed.
const READ: &[u16] = &[304];
