//! Sending what waits, one change a request, and finding out what became of it.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;

use serde_json::Value as Json;

use super::answer::{is_table, refusal, verdict_paths, walk};
use super::function::{Function, Writes};
use super::options::Options;
use super::page::{self, content_type, header};
use super::paging::{After, Pages};
use super::request;
use super::rows::Rows;
use super::template::Values;
use super::write::{self, Change};
use crate::ground::{SyncError, quoted};
use crate::providers::conversation::{AboutParcel, Answer, Ask, ParcelRow, Read};
use crate::providers::sink::{Image, Rejection, Sent, Sink, Verdict};
use crate::providers::wire::{ChangeKind, Entity, Slot, WireId};

/// Where changes of an entity go.
pub struct Writer {
    /// The function that reads its rows.
    pub reading: Arc<Function>,
    pub writes: Writes,
    pub values: Values,
}

impl Writer {
    /// Whether the row is read when the backend says that it has another state of it.
    fn reads_current(&self, kind: ChangeKind) -> bool {
        let has_key = kind != ChangeKind::Created || !self.writes.mints;
        has_key && self.writes.read.is_some()
    }
}

/// Statuses that say that there is no such row.
const GONE: &[u16] = &[404, 410];

/// A request that only asks, about a row that was sent before.
const ASKING: AboutParcel = AboutParcel {
    may_store: false,
    refusals: &[],
    open: &[],
};

/// The change that is on its way.
pub struct Sender {
    options: Arc<Options>,
    entities: Arc<[Entity]>,
    now: i64,
    /// By entity.
    writers: Vec<Option<Writer>>,
    change: Option<Change>,
    due: Due,
    /// Versions of rows that the backend was asked for, by entity and key.
    versions: HashMap<(usize, String), Json>,
}

/// What is asked of the backend.
#[derive(Debug, Clone, Default)]
pub enum Due {
    /// The change goes out.
    #[default]
    Write,
    /// Whether a row that was sent before arrived shows in what the backend has now. If not, it has refused it in these words.
    Look(Box<Pages>, Option<String>),
    /// The backend has another state of the row: which?
    Current,
}

/// What has become of the change.
#[derive(Debug)]
pub enum Became {
    Settled,
    /// The backend has another state of the row, of that version: what is made of both may go out anew.
    Met(Option<Json>),
    /// That shows only when this was asked, too.
    Open(Due),
}

impl Sender {
    pub fn new(
        options: &Arc<Options>,
        entities: &Arc<[Entity]>,
        now: i64,
        writers: Vec<Option<Writer>>,
    ) -> Self {
        Self {
            options: Arc::clone(options),
            entities: Arc::clone(entities),
            now,
            writers,
            change: None,
            due: Due::Write,
            versions: HashMap::new(),
        }
    }

    /// Whether changes of any entity are sent.
    pub fn sends(&self) -> bool {
        self.writers.iter().any(Option::is_some)
    }

    /// Where changes of each entity go.
    pub fn writes(&self) -> HashMap<String, Writes> {
        let writers = self.entities.iter().zip(&self.writers);
        let writers = writers.filter_map(|(entity, writer)| {
            Some((entity.name.clone(), writer.as_ref()?.writes.clone()))
        });
        writers.collect()
    }

    /// Takes the row that goes out next.
    pub fn meet(&mut self, entity: usize, row: &ParcelRow<'_>, resent: bool) {
        self.change = Change::read(entity, row, resent);
        if let (Some(change), Some(Some(writer))) = (&mut self.change, self.writers.get(entity))
            && let Some(column) = &writer.writes.version
            && let Some(version) = self.versions.get(&(entity, change.id.clone()))
        {
            change.row.insert(column.clone(), version.clone());
        }
        self.due = match self.must_look() {
            true => Due::Look(Box::default(), None),
            false => Due::Write,
        };
    }

    /// The change has met another state of its row, of that version. The row: its entity and its key.
    pub fn met(&mut self, version: Option<Json>) -> Option<(usize, String)> {
        let change = self.change.as_ref()?;
        let row = (change.entity, change.id.clone());
        if let Some(version) = version {
            self.versions.insert(row.clone(), version);
        }
        Some(row)
    }

    /// More has to be asked before it is known what became of the change.
    pub fn go_on(&mut self, due: Due) {
        self.due = due;
    }

    /// # Errors
    /// No function for the change.
    pub fn ask(&self) -> Result<Ask, SyncError> {
        let (change, writer) = self.writer()?;
        match &self.due {
            Due::Write => {
                let entity = &self.entities[change.entity];
                let context = (&*writer.reading, &writer.writes);
                write::ask(&self.options, context, entity, change, &writer.values)
            }
            Due::Look(pages, _) => self.look(writer, pages),
            Due::Current => self.ask_current(change, writer),
        }
    }

    /// # Errors
    /// An answer that breaks the protocol; those of the sink.
    pub fn read(
        &self,
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(Became, Read), SyncError> {
        let became = match &self.due {
            Due::Write => self.written(answer, sink)?,
            Due::Look(pages, refusal) => self.looked((pages, refusal), answer, sink)?,
            Due::Current => self.is_current(answer, sink)?,
        };
        let read = Read {
            unfinished: matches!(became, Became::Open(_)),
            ..Read::default()
        };
        Ok((became, read))
    }

    /// The version of a row that was read.
    fn version(&self, change: &Change, writer: &Writer, slots: &[Slot<'_>]) -> Option<Json> {
        let wanted = writer.writes.version.as_deref()?;
        let columns = &self.entities[change.entity].columns;
        let place = columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(wanted))?;
        match slots.get(place)? {
            Slot::Integer(number) => Some((*number).into()),
            Slot::Real(number) => Some((*number).into()),
            Slot::Text(text) => Some(text.as_ref().into()),
            _ => None,
        }
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
    fn look(&self, writer: &Writer, pages: &Pages) -> Result<Ask, SyncError> {
        let function = &*writer.reading;
        let mut values = writer.values.clone();
        function.paging.values(pages, &mut values);
        let more = request::of_page(function, pages, &values);
        let context = (self.options.url.as_str(), self.options.headers.as_slice());
        let next = function.paging.address(pages);
        let ask = request::build(function, context, &values, &more, next).map_err(|problem| {
            SyncError::data(format!("function {}: {problem}", quoted(&function.id)))
        })?;
        Ok(Ask {
            label: "look",
            parcel: Some(ASKING),
            ..ask
        })
    }

    /// The request of the row as the backend has it.
    fn ask_current(&self, change: &Change, writer: &Writer) -> Result<Ask, SyncError> {
        let entity = &self.entities[change.entity];
        let ask = write::ask_current(
            &self.options,
            &writer.writes,
            entity,
            change,
            &writer.values,
        )?;
        Ok(Ask {
            label: "current",
            parcel: Some(ASKING),
            reads: GONE,
            ..ask
        })
    }

    /// The backend has another state of the row, and here it is.
    fn is_current(
        &self,
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Became, SyncError> {
        let (change, writer) = self.writer()?;
        let image = |slots| {
            Some(Image {
                entity: change.entity,
                slots,
                version: None,
            })
        };
        if GONE.contains(&answer.status) {
            sink.verdict(Sent::Rest, Verdict::Conflict(image(None)))?;
            return Ok(Became::Met(None));
        }
        let function = write::reads(&self.options, &writer.writes).map_err(SyncError::data)?;
        let texts = rows_of(&function, answer)?.0;
        let reader = Rows::new(
            &writer.reading,
            &self.entities[change.entity],
            &writer.values,
            self.now,
        )
        .map_err(SyncError::data)?
        .of_one(answer.headers);
        for (number, text) in (1..).zip(&texts) {
            let row = reader.read(text, number, sink)?;
            if let Some(row) = row.filter(|row| row.id.to_string() == change.id) {
                let slots = (!row.is_gone).then_some(row.slots.as_slice());
                sink.verdict(Sent::Rest, Verdict::Conflict(image(slots)))?;
                return Ok(Became::Met(self.version(change, writer, &row.slots)));
            }
        }
        // What is there comes with the next reading.
        sink.verdict(Sent::Rest, Verdict::Conflict(None))?;
        Ok(Became::Settled)
    }

    /// Reads what became of a change.
    fn written(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Became, SyncError> {
        let (change, writer) = self.writer()?;
        let is_gone = |status| GONE.contains(&status);
        let verdict = match (answer.status, change.kind) {
            (status, ChangeKind::Deleted) if is_gone(status) => taken(None, None),
            (status, ChangeKind::Updated) if is_gone(status) => Verdict::Conflict(Some(Image {
                entity: change.entity,
                slots: None,
                version: None,
            })),
            (200..300, _) => {
                self.accepted(change, writer, answer, sink)?;
                return Ok(Became::Settled);
            }
            (404 | 410, _) => Verdict::Refused(Rejection {
                reason: Some("notFound"),
                message: Some("the backend does not know the address"),
                ..Rejection::default()
            }),
            // It may be there since it was sent before.
            (_, ChangeKind::Created) if change.resent => {
                let refusal = match answer.status {
                    400 | 422 => Some(excerpt(answer)),
                    _ => None,
                };
                return Ok(Became::Open(Due::Look(Box::default(), refusal)));
            }
            // A row that the backend is to give an id can't be asked for.
            (_, kind) if writer.reads_current(kind) => return Ok(Became::Open(Due::Current)),
            // What is there comes with the next reading.
            _ => Verdict::Conflict(None),
        };
        sink.verdict(Sent::Rest, verdict)?;
        Ok(Became::Settled)
    }

    /// The backend has a change, and may say what the row is now.
    fn accepted(
        &self,
        change: &Change,
        writer: &Writer,
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), SyncError> {
        let function =
            write::function(&self.options, &writer.writes, change.kind).map_err(SyncError::data)?;
        let location = header(answer.headers, "location").map(str::to_owned);
        let headers = answer.headers;
        let is_json = answer.length > 0 && content_type(headers).contains("json");
        let mut rows: Vec<String> = Vec::new();
        // An answer that does not show the row says yes all the same.
        if is_json
            && change.kind != ChangeKind::Deleted
            && let Ok((found, envelope)) = rows_of(&function, answer)
        {
            rows = found;
            let mut rules = function.rules.iter();
            let rule = rules.find(|rule| rule.fits_envelope(answer.status, &envelope));
            let said = match rule {
                Some(rule) if rule.ignore => None,
                Some(rule) => Some(rule.message.clone().unwrap_or_else(|| envelope.to_string())),
                None => refusal(&function, &envelope),
            };
            if let Some(said) = said {
                sink.verdict(Sent::Rest, Verdict::Refused(Rejection::saying(Some(&said))))?;
                return Ok(());
            }
        }
        let entity = &self.entities[change.entity];
        let reader = Rows::new(&writer.reading, entity, &writer.values, self.now)
            .map_err(SyncError::data)?
            .of_one(headers);
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
        let bare = match change.kind {
            ChangeKind::Deleted => None,
            _ => reader.bare(),
        };
        let slots = image.map(|row| row.slots.as_slice()).or(bare.as_deref());
        let image = slots.map(|slots| Image {
            entity: change.entity,
            slots: Some(slots),
            version: None,
        });
        sink.verdict(Sent::Rest, taken(minted.as_ref(), image))?;
        Ok(())
    }

    /// Looks for the row among those that the backend has.
    fn looked(
        &self,
        (pages, refusal): (&Pages, &Option<String>),
        answer: &mut Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Became, SyncError> {
        let (change, writer) = self.writer()?;
        let (function, entity) = (&*writer.reading, &self.entities[change.entity]);
        let rows = Rows::new(function, entity, &writer.values, self.now)
            .map_err(SyncError::data)?
            .of_texts(is_table(function, &content_type(answer.headers)));
        let mut found = None;
        let headers = answer.headers;
        let walked = page::read(function, answer, Vec::new(), &mut |number, text| {
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
        walked.envelope.found(function)?;
        if let Some(id) = found {
            let minted = writer.writes.mints.then_some(&id);
            sink.verdict(Sent::Rest, taken(minted, None))?;
            return Ok(Became::Settled);
        }
        let ask = self.look(writer, pages)?;
        match walked.after(function, pages, headers, &ask.url) {
            After::Page(pages) => Ok(Became::Open(Due::Look(Box::new(pages), refusal.clone()))),
            After::Whole => {
                let verdict = match (refusal, writer.writes.mints) {
                    // It is not there, so that this is about what was sent now.
                    (Some(said), _) => Verdict::Refused(Rejection {
                        for_good: true,
                        ..Rejection::saying(Some(said))
                    }),
                    (None, true) => Verdict::Untouched,
                    (None, false) => Verdict::Conflict(None),
                };
                sink.verdict(Sent::Rest, verdict)?;
                Ok(Became::Settled)
            }
            After::Cut(error) => Err(error),
        }
    }
}

/// The beginning of an answer, for people.
fn excerpt(answer: &mut Answer<'_>) -> String {
    let mut text = Vec::new();
    // What can't be read is not shown.
    let _ = answer.body.take(500).read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The rows of an answer, and what it says besides.
fn rows_of(function: &Function, answer: &mut Answer<'_>) -> Result<(Vec<String>, Json), SyncError> {
    let mut rows = Vec::new();
    let kind = content_type(answer.headers);
    let mut wanted = verdict_paths(function);
    wanted.extend(function.rules.iter().filter_map(|rule| rule.path.clone()));
    let envelope = walk(function, &kind, &wanted, answer.body, &mut |text| {
        rows.push(text.to_owned());
        Ok(())
    })?;
    Ok((rows, envelope.json))
}

/// The backend has it.
fn taken<'a>(new_id: Option<&'a WireId<'a>>, image: Option<Image<'a>>) -> Verdict<'a> {
    Verdict::Taken {
        version: None,
        new_id,
        image,
    }
}
