//! What the targets share: a protocol with two entities, and a sink that writes down what it is given.
#![allow(dead_code)]

use std::io::Read;

use syncscope::ground::SyncError;
use syncscope::providers::sink::{Announced, RemoteRow, Scope, Sink};
use syncscope::providers::watermelon::{LastSchema, Watermelon};
use syncscope::providers::wire::{Entity, Slot, WireColumn, WireId, WireType};
use syncscope::providers::{Protocol, PullEnd, Settings, kinds};

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
    };
    let entity = |name: &str, integer_key| Entity {
        name: name.into(),
        columns: COLUMNS.iter().map(column).collect(),
        integer_key,
    };
    vec![entity("t", false), entity("i", true)]
}

/// A protocol before its first pull. `keys`: further ones of the configuration, each with a comma before it.
pub fn protocol(keys: &str) -> Watermelon {
    let text = format!(r#"{{"kind":"watermelon","url":"http://h/sync"{keys}}}"#);
    let settings = kinds::parse(&text).expect("a configuration");
    with_settings(&settings).expect("usable")
}

pub fn with_settings(settings: &Settings) -> Result<Watermelon, String> {
    let last = LastSchema {
        version: None,
        columns: None,
    };
    Watermelon::new(
        settings,
        entities(),
        1,
        vec![None, None],
        vec![last.clone(), last],
    )
}

/// A row as it came: entity, announced, id, values.
#[derive(Debug, PartialEq)]
pub enum Event {
    Upsert(usize, Announced, WireId<'static>, Vec<Slot<'static>>),
    Delete(usize, WireId<'static>),
    Retain(usize),
}

#[derive(Default)]
pub struct Log(pub Vec<Event>);

fn owned(id: &WireId<'_>) -> WireId<'static> {
    match id {
        WireId::Text(text) => WireId::Text(text.to_string().into()),
        WireId::Integer(number) => WireId::Integer(*number),
    }
}

impl Sink for Log {
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError> {
        let slots = row.slots.iter().cloned().map(Slot::into_owned).collect();
        let event = Event::Upsert(row.entity, row.announced, owned(row.id), slots);
        self.0.push(event);
        Ok(())
    }

    fn gone(&mut self, entity: usize, id: &WireId<'_>) -> Result<(), SyncError> {
        self.0.push(Event::Delete(entity, owned(id)));
        Ok(())
    }

    fn scope(&mut self, entity: usize, _: &Scope<'_>) -> Result<(), SyncError> {
        self.0.push(Event::Retain(entity));
        Ok(())
    }
}

/// Hands out a few bytes at a time, so that every border of the reader's window is met.
pub struct Drip<'a>(pub &'a [u8], pub usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        let (now, rest) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = rest;
        Ok(count)
    }
}

/// Reads an answer: what is said of it, and its rows.
pub fn pull(keys: &str, mut body: impl Read) -> (Result<PullEnd, SyncError>, Vec<Event>) {
    let mut log = Log::default();
    let end = protocol(keys).pulled(200, &mut body, &mut log);
    (end, log.0)
}

/// Whether some bytes are JSON, however deep and whatever their text.
pub fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}
