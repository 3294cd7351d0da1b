//! One run with a WatermelonDB backend: pulls, then one push for each parcel.

use std::collections::VecDeque;
use std::io::{self, Write};

use serde_json::Value as Json;

use super::answer::read_answer;
use super::cursors::{Group, groups, is_lower, lowest, starts};
use super::migration::{Notice, Present};
use super::options::{Options, Reading};
use super::pull::read_pull;
use super::push::write_changes;
use crate::ground::{Class, SyncError, Warning, percent_encode};
use crate::providers::conversation::{
    AboutParcel, Again, Answer, Ask, AskBody, Conversation, Event, Goal, Known, KnownEntity,
    LastSchema, ParcelRows, Read, Refusal, Step,
};
use crate::providers::sink::{Rejection, Sent, Sink, Verdict};
use crate::providers::template::{self, Values};
use crate::providers::wire::Entity;

/// Bytes of an answer to a push, which is read as a whole.
const LARGEST_PUSH_ANSWER: u64 = 16 << 20;

pub struct Talk {
    options: Options,
    goal: Goal,
    entities: Vec<Entity>,
    schema_version: i64,
    /// Pulls that are still due. What was never pulled is asked for on its own: an answer from the
    /// beginning names no deleted rows, which the other entities need.
    due: Vec<Group>,
    /// Cursor of each entity; none when it was never pulled.
    cursors: Vec<Option<String>>,
    /// How far each entity was pulled that is pulled from the beginning again: until it was pulled from there too, it
    /// has no cursor.
    before: Vec<Option<String>>,
    /// What was known of each entity's schema when it was last pulled.
    last_schemas: Vec<LastSchema>,
    /// Which entities the backend has not heard of: those without a cursor, until the others' pull.
    unheard: Vec<bool>,
    /// Where the group that is due is still to be pulled from; the first comes next.
    starts: VecDeque<Option<String>>,
    /// What the earlier pulls of that group brought as cursor. A later one doesn't count: what happened in between may
    /// be in none of them.
    brought: Option<String>,
    /// The cursor that the first pull of this round brought.
    first_cursor: Option<String>,
    step: Position,
    /// Whether a refused push may still be answered by another pull and push.
    second_chance: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Position {
    Pull,
    Freeze,
    Push,
    Done,
    Failed(SyncError),
}

impl Talk {
    /// `bulk`: the first pull brings rows only, nothing deleted, nothing unknown.
    ///
    /// # Errors
    /// Migrations that can't be reported to the backend.
    pub fn begin(
        mut options: Options,
        goal: Goal,
        known: Known,
        bulk: bool,
    ) -> Result<Self, Refusal> {
        options.reading.turbo = bulk;
        let versions: Vec<Option<i64>> = known
            .entities
            .iter()
            .filter(|known| known.cursor.is_some() || known.before.is_some())
            .map(|known| known.schema.version)
            .collect();
        // A configured version takes the place of the file's.
        let schema_version = options.schema_version.unwrap_or(known.schema_version);
        options
            .migrations
            .check(schema_version, &versions)
            .map_err(|problem| {
                Refusal::Sync(SyncError::new(
                    Class::Data,
                    "SYNC_ERROR_MIGRATION",
                    problem,
                    false,
                ))
            })?;
        let mut talk = Self {
            entities: Vec::with_capacity(known.entities.len()),
            cursors: Vec::with_capacity(known.entities.len()),
            before: Vec::with_capacity(known.entities.len()),
            last_schemas: Vec::with_capacity(known.entities.len()),
            goal,
            schema_version,
            due: Vec::new(),
            starts: VecDeque::new(),
            brought: None,
            unheard: Vec::new(),
            first_cursor: None,
            step: Position::Pull,
            second_chance: options.retry_once && known.pulls,
            options,
        };
        for KnownEntity {
            entity,
            cursor,
            before,
            schema,
        } in known.entities
        {
            talk.entities.push(entity);
            talk.unheard.push(cursor.is_none() && before.is_none());
            talk.cursors.push(cursor);
            talk.before.push(before);
            talk.last_schemas.push(schema);
        }
        match known.pulls {
            true => talk.pull_again(),
            false => talk.step = Position::Freeze,
        }
        Ok(talk)
    }

    /// Makes the pulls of all entities due.
    fn pull_again(&mut self) {
        self.due = groups(&self.cursors, &self.before, self.options.opaque);
        self.first_cursor = None;
        self.start_group();
        self.step = match self.due.is_empty() {
            true => Position::Done,
            false => Position::Pull,
        };
    }

    /// Makes the pulls of the first group due.
    fn start_group(&mut self) {
        self.brought = None;
        let cursor = self.due.first().map(|group| group.cursor.as_deref());
        self.starts = cursor
            .map(|cursor| starts(cursor, self.options.overlap).into())
            .unwrap_or_default();
    }

    /// The cursor of a group, now that another of its pulls was answered.
    fn brings(&self, cursor: &str) -> String {
        let all = [self.brought.clone(), Some(cursor.to_owned())];
        let lowest = lowest(all.iter().flatten(), self.options.opaque);
        lowest.map_or_else(|| cursor.to_owned(), String::clone)
    }

    /// What the pull of a group reports of the schema.
    fn notice(&self, group: &Group) -> Notice {
        if group.cursor.is_none() {
            return Notice::at_first();
        }
        let present: Vec<Present<'_>> = self
            .entities
            .iter()
            .enumerate()
            .map(|(place, entity)| Present {
                name: &entity.name,
                columns: entity
                    .columns
                    .iter()
                    .map(|column| column.name.as_str())
                    .collect(),
                last: (!self.unheard[place]).then(|| &self.last_schemas[place]),
            })
            .collect();
        let migrations = &self.options.migrations;
        migrations.notice(self.schema_version, &present, &group.entities)
    }

    fn pull(&self, group: &Group) -> Ask {
        let notice = self.notice(group);
        let cursor = self.starts.front().cloned().flatten();
        let migration = notice.migration.as_ref().map(Json::to_string);
        let values = Values {
            migration: migration.as_deref(),
            ..self.values(cursor.as_deref())
        };
        let call = &self.options.pull;
        let mut url = call.url.fill(&values);
        if self.options.send_tables {
            let names: Vec<&str> = group
                .entities
                .iter()
                .map(|place| self.entities[*place].name.as_str())
                .collect();
            let mut pair = String::from("tables=");
            percent_encode(&names.join(","), &mut pair);
            template::add_parameter(&mut url, &pair);
        }
        let body = call.body.as_ref().map_or(AskBody::None, |body| {
            let mut out = Vec::new();
            // Neither the template nor a Vec can fail here.
            let _ = body.write(&values, &mut |_| Ok(()), &mut out);
            AskBody::Bytes(out)
        });
        let comes_again = |place: usize| {
            let stood = self.cursors[place].as_ref().or(self.before[place].as_ref());
            let from_before = self.options.overlap > 0 || group.cursor.as_ref() != stood;
            match group.cursor {
                Some(_) if from_before => Some((place, Again::RowsAndDeletes)),
                // Rows that were left out before, and what stands beside them.
                _ if notice.migration.is_some() => Some((place, Again::Rows)),
                _ => None,
            }
        };
        Ask {
            label: "pull",
            method: call.method,
            url,
            headers: self.headers(&values),
            body,
            parcel: None,
            reads: &[],
            again: group
                .entities
                .iter()
                .copied()
                .filter_map(comes_again)
                .collect(),
            migration: notice.migration.unwrap_or_default(),
            operation: None,
            once: false,
            part: None,
        }
    }

    fn push(&self) -> Ask {
        let values = self.values(self.push_cursor());
        let call = &self.options.push;
        Ask {
            headers: self.headers(&values),
            body: AskBody::Parcel,
            parcel: Some(AboutParcel::whole(self.options.refusals)),
            ..Ask::new("push", call.method, call.url.fill(&values))
        }
    }

    /// The cursor that the backend compares a push with: the lowest, or of those that can't be compared
    /// the one that came first.
    fn push_cursor(&self) -> Option<&str> {
        let cursors: Option<Vec<&String>> = self.cursors.iter().map(Option::as_ref).collect();
        lowest(cursors?.into_iter(), self.options.opaque)
            .or(self.first_cursor.as_ref())
            .map(String::as_str)
    }

    fn values<'a>(&self, cursor: Option<&'a str>) -> Values<'a> {
        Values {
            cursor,
            first: self.options.first,
            schema_version: self.schema_version,
            migration: None,
        }
    }

    fn headers(&self, values: &Values<'_>) -> Vec<(String, String)> {
        let headers = self.options.headers.iter();
        headers
            .map(|(name, value)| (name.clone(), value.plain(values)))
            .collect()
    }

    fn read_pulled(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        if answer.status == 204 {
            return Err(SyncError::protocol(
                "the backend answered the pull with 204 and no body; nothing was applied",
            ));
        }
        let Some(group) = self.due.first() else {
            return Err(SyncError::protocol("no pull was due"));
        };
        let layout = &self.options.layout;
        let reading = Reading {
            from_the_beginning: group.cursor.is_none(),
            ..self.options.reading
        };
        let wanted = &group.entities;
        let mut pulled = read_pull(
            &mut *answer.body,
            layout,
            reading,
            &self.entities,
            wanted,
            sink,
        )?;
        if !self.options.opaque && is_lower(&pulled.cursor, group.cursor.as_deref()) {
            let before = group.cursor.as_deref().unwrap_or_default();
            pulled.warnings.push(Warning::new(
                "timestampWentBack",
                format!(
                    "the backend's timestamp went back from {before} to {}",
                    pulled.cursor
                ),
            ));
        }
        let brings = self.brings(&pulled.cursor);
        if self.starts.len() > 1 {
            // Only with the last of its pulls a group is up to date.
            return Ok(Read {
                rest: pulled.rest,
                warnings: pulled.warnings,
                note: Some(brings),
                due: self.due_entities(0),
                ..Read::default()
            });
        }
        let notice = self.notice(group);
        pulled.warnings.extend(notice.warning);
        let is_done = |place: &usize| group.cursor.is_some() || self.before[*place].is_none();
        let done = wanted.iter().copied().filter(is_done);
        Ok(Read {
            cursors: done.map(|place| (place, brings.clone())).collect(),
            schema_version: notice.store.then_some(self.schema_version),
            rest: pulled.rest,
            warnings: pulled.warnings,
            due: self.due_entities(1),
            ..Read::default()
        })
    }

    /// The entities of the groups that are due, but the first ones.
    fn due_entities(&self, but: usize) -> Vec<usize> {
        let groups = self.due.iter().skip(but);
        groups
            .flat_map(|group| group.entities.iter().copied())
            .collect()
    }

    fn read_pushed(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        if answer.length > LARGEST_PUSH_ANSWER {
            return Err(SyncError::protocol(format!(
                "the answer to the push is larger than {} MiB",
                LARGEST_PUSH_ANSWER >> 20
            )));
        }
        let mut body = Vec::new();
        answer
            .body
            .read_to_end(&mut body)
            .map_err(|error| SyncError::network(format!("the answer was lost: {error}")))?;
        let mut types = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "content-type");
        let page = types.any(|(_, value)| is_html(value));
        let said = read_answer(&self.options, &self.entities, answer.status, page, &body)?;
        for (place, rejected) in said.rejected.iter().enumerate() {
            for (id, reason) in rejected {
                sink.verdict(
                    Sent::Row(place, id),
                    Verdict::Refused(Rejection::saying(reason.as_deref())),
                )?;
            }
        }
        let taken = Verdict::Taken {
            version: None,
            new_id: None,
            image: None,
        };
        sink.verdict(Sent::Rest, taken)?;
        Ok(Read::default())
    }

    fn adopt_read(&mut self, read: &Read) {
        if self.step == Position::Push {
            self.step = Position::Done;
            return;
        }
        // What comes after it is not a bulk load any more.
        self.options.reading.turbo = false;
        self.starts.pop_front();
        if !self.starts.is_empty() {
            self.brought.clone_from(&read.note);
            return;
        }
        for (place, cursor) in &read.cursors {
            self.cursors[*place] = Some(cursor.clone());
            self.before[*place] = None;
            if read.schema_version.is_some() {
                let columns = &self.entities[*place].columns;
                self.last_schemas[*place] = LastSchema {
                    version: read.schema_version,
                    columns: Some(columns.iter().map(|column| column.name.clone()).collect()),
                };
            }
        }
        if let Some((_, cursor)) = read.cursors.first() {
            self.first_cursor.get_or_insert_with(|| cursor.clone());
        }
        let is_known = |group: &Group| group.cursor.is_some();
        let done = (!self.due.is_empty()).then(|| self.due.remove(0));
        // New entities are reported with the first pull of the others, where there are others.
        if done.as_ref().is_some_and(is_known) || !self.due.iter().any(is_known) {
            self.unheard.fill(false);
        }
        self.start_group();
        if self.due.is_empty() {
            self.step = match self.goal.sends() {
                true => Position::Freeze,
                false => Position::Done,
            };
        }
    }

    /// A backend that refuses a push may take it after another pull, once. One that does not know us, or
    /// that the HTTP room has asked several times already, is not asked again.
    fn adopt_refusal(&mut self, status: u16, error: &SyncError) {
        let hopeless = matches!(status, 401 | 403 | 408 | 425 | 429 | 500..);
        if self.step != Position::Push || hopeless || !self.second_chance {
            self.step = Position::Failed(error.clone());
            return;
        }
        self.second_chance = false;
        self.pull_again();
    }
}

/// Whether a content type is that of a page.
fn is_html(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html")
}

impl Conversation for Talk {
    fn due(&self) -> Step {
        match &self.step {
            Position::Pull => self
                .due
                .first()
                .map_or(Step::Done, |group| Step::Ask(self.pull(group))),
            Position::Freeze => Step::Freeze,
            Position::Push => Step::Ask(self.push()),
            Position::Done => Step::Done,
            Position::Failed(error) => Step::Fail(error.clone()),
        }
    }

    fn write_body(&self, parcel: &dyn ParcelRows, out: &mut dyn Write) -> io::Result<()> {
        let with_empty = self.options.send_empty_tables;
        let mut changes =
            |out: &mut dyn Write| write_changes(&self.entities, with_empty, parcel, out);
        match &self.options.push.body {
            Some(body) => body.write(&self.values(self.push_cursor()), &mut changes, out),
            None => changes(out),
        }
    }

    fn read(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        match self.step {
            Position::Push => self.read_pushed(answer, sink),
            _ => self.read_pulled(answer, sink),
        }
    }

    fn adopt(&mut self, event: Event<'_>) {
        match event {
            Event::Frozen(0) => self.step = Position::Done,
            Event::Frozen(_) | Event::Resent(_) => self.step = Position::Push,
            Event::Read(read) => self.adopt_read(read),
            Event::Refused { status, error, .. } => self.adopt_refusal(status, error),
            Event::Lost(error) => self.step = Position::Failed(error.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
