//! What the targets share: a conversation with two entities, and a sink that writes down what it is given.
#![allow(dead_code)]

use std::io::Read as Input;

use serde_json::Value as Json;
use syncscope::ground::SyncError;
use syncscope::providers::conversation::{
    Answer, Conversation, Event as Happened, Goal, Known, KnownEntity, LastSchema, Provider, Read,
    Refusal,
};
use syncscope::providers::sink::{Announced, RemoteRow, Scope, Sent, Sink, Verdict};
use syncscope::providers::wire::{Entity, Holds, KeyType, Slot, WireColumn, WireId, WireType};
use syncscope::providers::{Stored, kinds};

/// The columns of `t`, one of each type.
pub const COLUMNS: &[(&str, WireType, bool)] = &[
    ("n", WireType::Number, false),
    ("s", WireType::String, false),
    ("b", WireType::Boolean, false),
    ("d", WireType::Base64, false),
    ("a", WireType::Any, false),
    ("r", WireType::Number, true),
];

pub fn entities() -> Vec<Entity> {
    let column = |(name, kind, required): &(&str, WireType, bool)| WireColumn {
        name: (*name).into(),
        kind: *kind,
        required: *required,
        holds: Holds::default(),
    };
    let entity = |name: &str, key_type| Entity {
        name: name.into(),
        columns: COLUMNS.iter().map(column).collect(),
        key: "id".into(),
        references: Vec::new(),
        key_type,
    };
    vec![entity("t", KeyType::Text), entity("i", KeyType::Integer)]
}

/// A run before its first pull. `keys`: further ones of the configuration, each with a comma before it.
pub fn talk(keys: &str) -> Box<dyn Conversation> {
    let text = format!(r#"{{"kind":"watermelon","url":"http://h/sync"{keys}}}"#);
    let settings = kinds::parse(&text).expect("a configuration");
    begin(&*settings.open(&Stored::default()).expect("usable")).expect("begins")
}

pub fn begin(provider: &dyn Provider) -> Result<Box<dyn Conversation>, Refusal> {
    let known = |entity| KnownEntity {
        entity,
        cursor: None,
        before: None,
        schema: LastSchema::default(),
    };
    let known = Known {
        entities: entities().into_iter().map(known).collect(),
        operations: Vec::new(),
        now: 0,
        schema_version: 1,
        memory: Json::Null,
        options: Default::default(),
        pulls: true,
        pending: true,
    };
    provider.begin(Goal::Sync, known)
}

/// A row as it came: entity, announced, id, values.
#[derive(Debug, PartialEq)]
pub enum Event {
    Upsert(usize, Announced, WireId<'static>, Vec<Slot<'static>>),
    Delete(usize, WireId<'static>),
    Retain(usize),
    Named(usize),
}

#[derive(Default)]
pub struct Log(pub Vec<Event>);

/// Keeps the rows that were refused: entity, id, reason. Whether the others were taken.
#[derive(Default)]
pub struct Verdicts {
    pub refused: Vec<(usize, String, Option<String>)>,
    pub taken: bool,
}

impl Sink for Verdicts {
    fn row(&mut self, _: &RemoteRow<'_>) -> Result<(), SyncError> {
        panic!("the answer to a push has no rows");
    }

    fn gone(&mut self, _: usize, _: &WireId<'_>, _: Option<i64>) -> Result<(), SyncError> {
        panic!("the answer to a push has no rows");
    }

    fn scope(&mut self, _: usize, _: &Scope<'_>) -> Result<(), SyncError> {
        panic!("the answer to a push has no rows");
    }

    fn verdict(&mut self, sent: Sent<'_>, verdict: Verdict<'_>) -> Result<(), SyncError> {
        match (sent, verdict) {
            (Sent::Row(entity, id), Verdict::Refused(reason)) => {
                let reason = reason.message.map(str::to_owned);
                self.refused.push((entity, id.to_owned(), reason));
            }
            (Sent::Rest, Verdict::Taken { .. }) => self.taken = true,
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

fn owned(id: &WireId<'_>) -> WireId<'static> {
    match id {
        WireId::Text(text) => WireId::Text(text.to_string().into()),
        WireId::Integer(number) => WireId::Integer(*number),
        WireId::Broken(json) => WireId::Broken(json.clone()),
    }
}

impl Sink for Log {
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        let local = |slot: &Slot<'_>| match slot.clone() {
            Slot::Kept(kept) => kept.local,
            slot => slot.into_owned(),
        };
        let slots = row.slots.iter().map(local).collect();
        let event = Event::Upsert(row.entity, row.announced, owned(row.id), slots);
        self.0.push(event);
        Ok(())
    }

    fn gone(&mut self, entity: usize, id: &WireId<'_>, _: Option<i64>) -> Result<(), SyncError> {
        self.0.push(Event::Delete(entity, owned(id)));
        Ok(())
    }

    fn scope(&mut self, entity: usize, scope: &Scope<'_>) -> Result<(), SyncError> {
        self.0.push(match scope {
            Scope::Named(_) => Event::Named(entity),
            _ => Event::Retain(entity),
        });
        Ok(())
    }
}

/// Hands out a few bytes at a time, so that every border of the reader's window is met.
pub struct Drip<'a>(pub &'a [u8], pub usize);

impl Input for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        let (now, rest) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = rest;
        Ok(count)
    }
}

fn read(
    talk: &dyn Conversation,
    mut body: impl Input,
    length: usize,
    sink: &mut dyn Sink,
) -> Result<Read, SyncError> {
    let mut answer = Answer {
        status: 200,
        headers: &[],
        body: &mut body,
        length: length as u64,
        parcel: None,
    };
    talk.read(&mut answer, sink)
}

/// Reads the answer to the first pull: what is said of it, and its rows.
pub fn pull(keys: &str, body: impl Input) -> (Result<Read, SyncError>, Vec<Event>) {
    let mut log = Log::default();
    let end = read(&*talk(keys), body, 0, &mut log);
    (end, log.0)
}

/// Reads the answer to a push.
pub fn push(keys: &str, body: &[u8]) -> (Result<Read, SyncError>, Verdicts) {
    const PULLED: &[u8] = br#"{"changes":{},"timestamp":1}"#;
    let mut talk = talk(keys);
    let pulled = read(&*talk, PULLED, PULLED.len(), &mut Log::default()).expect("pulled");
    talk.adopt(Happened::Read(&pulled));
    talk.adopt(Happened::Frozen(1));
    let mut verdicts = Verdicts::default();
    let end = read(&*talk, body, body.len(), &mut verdicts);
    (end, verdicts)
}

/// Whether some bytes are JSON, however deep and whatever their text.
pub fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}
