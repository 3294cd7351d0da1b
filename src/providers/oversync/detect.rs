//! The first sync with a server: which generation of the protocol it speaks. The answer is remembered, and the sync begins
//! anew with it.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::b::{first_question, met};
use super::options::Options;
use super::tables::Tables;
use super::wire::whole;
use crate::ground::SyncError;
use crate::providers::conversation::{
    Answer, Ask, Conversation, Event, Known, ParcelRows, Read, Step,
};
use crate::providers::sink::Sink;

/// The name under which a server is asked that is told the real one later.
const NOBODY: &str = "new";

/// Statuses by which a server says that it has no bundles.
const NOT_FOUND: &[u16] = &[404, 405];

/// The generation that is remembered.
pub fn generation(memory: &Json) -> Option<&str> {
    memory["generation"].as_str()
}

#[derive(Debug, Clone, PartialEq)]
enum At {
    Ask,
    Anew,
    Failed(SyncError),
}

pub struct Detect {
    options: Arc<Options>,
    tables: Tables,
    step: At,
}

impl Detect {
    pub fn begin(options: Arc<Options>, known: Known) -> Self {
        // Another sync may have found out by now.
        let step = match generation(&known.memory) {
            Some(_) if is_remembered(&options, &known.memory) => At::Anew,
            _ => At::Ask,
        };
        let entities = known.entities.into_iter().map(|one| one.entity);
        Self {
            tables: Tables::new(&options.schema, entities.collect()),
            options,
            step,
        }
    }

    fn by_its_absence(&self) -> Result<Json, SyncError> {
        match self.options.generation.as_str() {
            "b" => Err(SyncError::protocol(
                "the backend has no bundles at this address; correct url, or leave generation out",
            )),
            _ => Ok(json!({"generation": "a"})),
        }
    }
}

/// Whether the memory is about the server and the device of this configuration.
pub fn is_remembered(options: &Options, memory: &Json) -> bool {
    match generation(memory) {
        Some("a") => options.generation != "b",
        _ => super::b::is_remembered(options, memory),
    }
}

impl Conversation for Detect {
    fn due(&self) -> Step {
        match &self.step {
            At::Ask => Step::Ask(Ask {
                reads: NOT_FOUND,
                ..first_question(
                    &self.options,
                    self.options.source.as_deref().unwrap_or(NOBODY),
                )
            }),
            At::Anew => Step::BeginAnew,
            At::Failed(error) => Step::Fail(error.clone()),
        }
    }

    fn write_body(&self, _: &dyn ParcelRows, _: &mut dyn Write) -> io::Result<()> {
        Err(io::Error::other("no rows are due"))
    }

    fn read(&self, answer: &mut Answer<'_>, _: &mut dyn Sink) -> Result<Read, SyncError> {
        let memory = match NOT_FOUND.contains(&answer.status) {
            true => None,
            false => met(&whole(answer)?, &self.options, &self.tables, "b")?,
        };
        let memory = match memory {
            Some(memory) => memory.to_json(),
            None => self.by_its_absence()?,
        };
        Ok(Read {
            memory: Some(memory),
            ..Read::default()
        })
    }

    fn adopt(&mut self, event: Event<'_>) {
        self.step = match event {
            Event::Refused { error, .. } | Event::Lost(error) => At::Failed(error.clone()),
            _ => At::Anew,
        };
    }
}
