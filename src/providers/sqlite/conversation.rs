//! One run with another file.
//!
//! What is pending goes up first, where the file was read before; the other file takes it if nothing is there that was not
//! read here. Otherwise that is read, and what is pending then goes up.

use std::io::{self, Read as Input, Write};

use serde_json::Value as Json;

use super::memory::Memory;
use crate::ground::{Class, SyncError};
use crate::hub::wire::{
    Asked, Mark, Op, Request, read_bytes, read_head, read_number, read_value, write_bytes,
    write_head, write_number, write_value,
};
use crate::hub::{Place, Stamp};
use crate::providers::conversation::{
    AboutParcel, Answer, Ask, AskBody, Conversation, Event, Goal, Known, ParcelRows, Read, Step,
};
use crate::providers::seen::Seen;
use crate::providers::sink::{Announced, Rejection, RemoteRow, Scope, Sent, Sink, Verdict};
use crate::providers::wire::{ChangeKind, Entity, KeyType, Slot, WireId};
use crate::store::Value;

/// How often a run reads what came in the meantime before it gives up.
const ROUNDS: u32 = 10;

/// Pushes of unknown outcome that one run sends again, at most.
const RESENT: u32 = 1000;

/// What an answer to a push says besides its verdicts.
const BEHIND: &str = "behind";
const MORE: &str = "more";
/// What an answer to a pull says.
const READ_ONLY: &str = "readOnly";

/// The cursor of a file that has no feed.
const NO_FEED: &str = "-";

#[derive(Debug, Clone, PartialEq)]
enum At {
    Pull,
    Freeze,
    Push,
    Done,
    Failed(SyncError),
}

pub struct Talk {
    url: String,
    goal: Goal,
    entities: Vec<Entity>,
    cursors: Vec<Option<String>>,
    memory: Memory,
    pulls: bool,
    pending: bool,
    pulled: bool,
    resent: bool,
    rounds: u32,
    step: At,
}

impl Talk {
    pub fn begin(place: &Place, goal: Goal, known: Known) -> Self {
        let memory = Memory::read(&known.memory);
        let (entities, cursors): (Vec<Entity>, Vec<Option<String>>) = known
            .entities
            .into_iter()
            .map(|known| (known.entity, known.cursor))
            .unzip();
        let is_new = cursors.iter().all(Option::is_none);
        let step = match goal.sends() && !is_new && !place.read_only {
            true => At::Freeze,
            false if known.pulls || goal == Goal::Check => At::Pull,
            false => At::Done,
        };
        Self {
            url: format!("file:{}", place.name()),
            goal,
            entities,
            cursors,
            memory,
            pulls: known.pulls,
            pending: known.pending,
            pulled: false,
            resent: false,
            rounds: 0,
            step,
        }
    }

    fn request(&self, op: Op) -> Request {
        let tables = self.entities.iter().zip(&self.cursors);
        Request {
            op,
            device: self.memory.device.clone(),
            token: self.memory.token.clone(),
            known: self.memory.known.clone(),
            tables: tables
                .map(|(entity, cursor)| Asked {
                    name: entity.name.clone(),
                    key: entity.key.clone(),
                    columns: entity
                        .columns
                        .iter()
                        .map(|column| column.name.clone())
                        .collect(),
                    // One without a feed has no such number: all that is there is compared.
                    cursor: cursor.as_ref().map(|cursor| cursor.parse().unwrap_or(-1)),
                })
                .collect(),
        }
    }

    fn pull(&self) -> Ask {
        let op = match self.goal {
            Goal::Check => Op::All,
            _ => Op::Pull,
        };
        let mut body = Vec::new();
        // Memory takes everything.
        let _ = write_head(&mut body, &self.request(op).to_json());
        Ask {
            body: AskBody::Bytes(body),
            ..Ask::new("pull", "READ", self.url.clone())
        }
    }

    fn read_pull(&self, input: &mut dyn Input, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        let head = read_head(input).map_err(broken)?;
        let anew = head["anew"].as_array().into_iter().flatten();
        let anew: Vec<usize> = anew
            .filter_map(Json::as_u64)
            .filter_map(|place| usize::try_from(place).ok())
            .collect();
        let mut seen = vec![Seen::default(); self.entities.len()];
        let mut slots: Vec<Slot<'static>> = Vec::new();
        loop {
            let mark = Mark::read(input).map_err(broken)?;
            if mark == Mark::End {
                break;
            }
            let place = read_number(input).map_err(broken)?;
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let entity = self.entities.get(place).ok_or_else(SyncError::bug)?;
            let key = read_value(input).map_err(broken)?;
            let at = read_number(input).map_err(broken)?;
            let columns = read_bytes(input).map_err(broken)?;
            slots.clear();
            if mark == Mark::Row {
                for _ in &entity.columns {
                    slots.push(slot(read_value(input).map_err(broken)?));
                }
            }
            let Some(id) = key.as_ref().and_then(|key| id_of(entity, key)) else {
                continue;
            };
            if self.goal != Goal::Check {
                let columns = std::str::from_utf8(&columns).ok();
                let columns = columns.filter(|text| !text.is_empty());
                let newer = sink.stamped(place, &id, &Stamp::read(at, columns))?;
                let places = entity.columns.iter().zip(&mut slots);
                for (_, slot) in places.filter(|(column, _)| newer.contains(&column.name)) {
                    *slot = Slot::Missing;
                }
            }
            if mark == Mark::Gone {
                sink.gone(place, &id, None)?;
                continue;
            }
            if anew.contains(&place) {
                seen[place].insert(&id);
            }
            sink.row(&RemoteRow {
                entity: place,
                announced: Announced::Updated,
                id: &id,
                slots: &slots,
                version: None,
            })?;
        }
        if self.goal == Goal::Check {
            return Ok(Read::default());
        }
        for place in anew {
            if let Some(seen) = seen.get(place) {
                sink.scope(place, &Scope::Retain(&|id: &str| seen.names(id)))?;
            }
        }
        let memory = self.memory.after(&head);
        let cursor = match head["now"][0].as_i64() {
            Some(seq) => seq.to_string(),
            None => NO_FEED.to_owned(),
        };
        let is_read_only = head["readOnly"].as_bool() == Some(true);
        Ok(Read {
            cursors: (0..self.entities.len())
                .map(|place| (place, cursor.clone()))
                .collect(),
            memory: Some(memory.to_json()),
            note: is_read_only.then(|| READ_ONLY.to_owned()),
            ..Read::default()
        })
    }

    fn read_push(&self, input: &mut dyn Input, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        let head = read_head(input).map_err(broken)?;
        if head["behind"].as_bool() == Some(true) {
            sink.verdict(Sent::Rest, Verdict::Untouched)?;
            return Ok(Read {
                note: Some(BEHIND.to_owned()),
                ..Read::default()
            });
        }
        for refused in head["refused"].as_array().into_iter().flatten() {
            if let Some(change) = refused[0].as_i64() {
                let made = match self.resent {
                    // It goes up once more, as it is by now, to be refused for what it is.
                    true => Verdict::Untouched,
                    false => Verdict::Refused(Rejection::saying(refused[1].as_str())),
                };
                sink.verdict(Sent::Change(change), made)?;
            }
        }
        sink.verdict(
            Sent::Rest,
            Verdict::Taken {
                version: None,
                new_id: None,
                image: None,
            },
        )?;
        let more = head["more"].as_bool() == Some(true);
        // All that came since the cursor is this file's own.
        let cursor = head["now"][0].as_i64().filter(|_| !more);
        let cursors = cursor.into_iter().flat_map(|cursor| {
            (0..self.entities.len()).map(move |place| (place, cursor.to_string()))
        });
        Ok(Read {
            cursors: cursors.collect(),
            memory: Some(self.memory.after(&head).to_json()),
            note: more.then(|| MORE.to_owned()),
            ..Read::default()
        })
    }

    fn after_pull(&self, note: Option<&str>) -> At {
        match note {
            _ if !self.goal.sends() => At::Done,
            Some(READ_ONLY) if self.pending => At::Failed(SyncError::new(
                Class::Data,
                "SYNC_ERROR_STORAGE",
                "the other file can't be written, so what was changed here waits; give write access to it, or give the \
                 changes up with sync_discard",
                false,
            )),
            Some(READ_ONLY) => At::Done,
            _ => At::Freeze,
        }
    }

    fn after_push(&self, note: Option<&str>) -> At {
        match note {
            Some(BEHIND) if !self.pulls => At::Failed(SyncError::concurrent(
                "the other file has changes that must be read first, and downloads are paused; resume them",
            )),
            Some(BEHIND) if self.rounds >= ROUNDS => At::Failed(SyncError::concurrent(
                "others write to the other file all the time; sync again",
            )),
            Some(BEHIND) => At::Pull,
            _ if self.resent && self.rounds < RESENT => At::Freeze,
            _ if self.resent => At::Done,
            Some(_) if self.pulls && self.rounds < ROUNDS => At::Pull,
            _ => At::Done,
        }
    }
}

/// The other side has broken off.
fn broken(error: io::Error) -> SyncError {
    SyncError::new(
        Class::Data,
        "SYNC_ERROR_STORAGE",
        format!("what the other file holds can't be read: {error}; free some space"),
        true,
    )
}

fn slot(value: Option<Value>) -> Slot<'static> {
    match value {
        None | Some(Value::InvalidText(_)) => Slot::Missing,
        Some(Value::Null) => Slot::Null,
        Some(Value::Integer(number)) => Slot::Integer(number),
        Some(Value::Real(number)) => Slot::Real(number),
        Some(Value::Text(text)) => Slot::Text(text.into()),
        Some(Value::Blob(bytes)) => Slot::Blob(bytes),
    }
}

fn id_of(entity: &Entity, key: &Value) -> Option<WireId<'static>> {
    match (entity.key_type, key) {
        (KeyType::Integer, Value::Integer(number)) => Some(WireId::Integer(*number)),
        _ => {
            let id = entity.id_of(key.borrow())?;
            Some(WireId::Text(id.into_owned().into()))
        }
    }
}

impl Conversation for Talk {
    fn due(&self) -> Step {
        match &self.step {
            At::Pull => Step::Ask(self.pull()),
            At::Freeze => Step::Freeze,
            At::Push => Step::Ask(Ask {
                parcel: Some(AboutParcel::whole(&[])),
                body: AskBody::Parcel,
                ..Ask::new("push", "WRITE", self.url.clone())
            }),
            At::Done => Step::Done,
            At::Failed(error) => Step::Fail(error.clone()),
        }
    }

    fn write_body(&self, parcel: &dyn ParcelRows, out: &mut dyn Write) -> io::Result<()> {
        write_head(out, &self.request(Op::Push).to_json())?;
        parcel.in_order(&mut |place, row| {
            let mark = match row.kind {
                ChangeKind::Created => Mark::Created,
                ChangeKind::Updated => Mark::Updated,
                ChangeKind::Deleted => Mark::Deleted,
            };
            mark.write(out)?;
            write_number(out, i64::try_from(place).unwrap_or(0))?;
            write_number(out, row.change)?;
            write_value(out, row.id)?;
            write_bytes(out, row.content.as_bytes())
        })?;
        Mark::End.write(out)
    }

    fn read(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        let mut input = io::BufReader::with_capacity(64 << 10, &mut *answer.body);
        match self.step {
            At::Push => self.read_push(&mut input, sink),
            _ => self.read_pull(&mut input, sink),
        }
    }

    fn adopt(&mut self, event: Event<'_>) {
        self.step = match event {
            Event::Frozen(0) if self.pulled || self.goal == Goal::Upload || !self.pulls => At::Done,
            Event::Frozen(0) => At::Pull,
            Event::Frozen(_) => {
                self.resent = false;
                At::Push
            }
            Event::Resent(_) => {
                self.resent = true;
                At::Push
            }
            Event::Read(read) => {
                if let Some(memory) = &read.memory {
                    self.memory = Memory::read(memory);
                }
                for (place, cursor) in &read.cursors {
                    self.cursors[*place] = Some(cursor.clone());
                }
                let note = read.note.as_deref();
                match self.step {
                    At::Push => {
                        let next = self.after_push(note);
                        self.rounds += 1;
                        next
                    }
                    _ => {
                        self.pulled = true;
                        self.after_pull(note)
                    }
                }
            }
            Event::Refused { error, .. } | Event::Lost(error) => At::Failed(error.clone()),
        };
    }
}
