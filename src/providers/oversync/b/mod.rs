//! The generation of the protocol that moves bundles: `/sync/push-sessions`, `/sync/pull`, `/sync/snapshot-sessions`.
//!
//! | step | requests |
//! |---|---|
//! | connect | `POST /sync/connect`: who brings the first rows of a user |
//! | a bundle up | `POST /sync/push-sessions`, `…/chunks`, `…/commit`, then `GET /sync/committed-bundles/…/rows`: what came of it |
//! | bundles down | `GET /sync/pull` |
//! | everything down | `POST /sync/snapshot-sessions`, `GET` of its pages |
//!
//! A bundle is taken or refused as a whole. Its number follows that of the one before, so what became of one without an
//! answer shows when it is opened again. Rows have as their version the number of the last bundle that changed them.
//!
//! | file | subject |
//! |---|---|
//! | `conversation` | one run: its steps; `asks`, `reads`, `adopts`: requests, what answers say, what comes of it; `compares`, `revises`: servers that have begun anew, or speak another revision |
//! | `meeting` | the first question |
//! | `memory`, `capabilities` | what is remembered of a server; what it says of itself |
//! | `push`, `committed` | a bundle on its way up, and what the server made of it |
//! | `pull`, `snapshot`, `stage` | bundles down; all rows, and pages that wait for the last one |
//! | `watch` | the stream that says when there is a new bundle |
//! | `rows`, `hash`, `refusal` | rows, the hash of a bundle, and answers that say no |
//! | `revision`, `terms`, `numbers` | the two revisions of the protocol; how rows travel in each; numbers that travel as text |

mod capabilities;
mod committed;
mod conversation;
mod hash;
mod meeting;
mod memory;
mod numbers;
mod pull;
mod push;
mod refusal;
mod revision;
mod rows;
mod snapshot;
mod stage;
mod terms;
mod watch;

use std::sync::Arc;

use serde_json::Value as Json;

use super::options::Options;
use super::row::{Dialect, write_row};
use super::tables::admit;
use super::wire::manners;
use crate::providers::conversation::{
    Ask, Conversation, Goal, Known, Manners, Provider, Refusal, RowToSend,
};
use crate::providers::kind::Settings;
use crate::providers::wire::Entity;

use conversation::Talk;
pub use meeting::{first_question, met};
use memory::Memory;
use revision::Revision;

/// How values are frozen, in whichever revision they are sent.
const DIALECT: Dialect = Dialect {
    null_references: true,
    large_as_text: true,
    uuids: false,
};

/// Whether the memory is about the device of a configuration.
pub fn is_remembered(options: &Options, memory: &Json) -> bool {
    Memory::read(memory, options.source.as_deref()).is_some()
}

/// A server of bundles.
pub struct Bundles {
    options: Arc<Options>,
    memory: Memory,
    manners: Manners,
}

impl Bundles {
    /// None of a server that is yet to be asked what it speaks.
    pub fn open(settings: &Settings, options: &Arc<Options>, memory: &Json) -> Option<Self> {
        let mut manners = manners(settings);
        manners.batch = settings.number("bundleRows");
        manners.asks_pending = true;
        let memory = Memory::read(memory, options.source.as_deref())?;
        manners.apply.rounds_integers = memory.limits.revision() == Revision::Earlier;
        Some(Self {
            options: Arc::clone(options),
            memory,
            manners,
        })
    }
}

impl Provider for Bundles {
    fn manners(&self) -> &Manners {
        &self.manners
    }

    fn admit(&self, entity: &Entity) -> Result<(), String> {
        admit(entity, "text")
    }

    fn encode(
        &self,
        entity: &Entity,
        row: &RowToSend<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        write_row(entity, row, DIALECT, out)
    }

    fn begin(&self, goal: Goal, known: Known) -> Result<Box<dyn Conversation>, Refusal> {
        let (options, memory) = (Arc::clone(&self.options), self.memory.clone());
        let talk = Talk::begin(options, goal, memory, known)?;
        Ok(Box::new(talk))
    }

    fn watch(&self, cursors: &[Option<String>]) -> Option<Ask> {
        Some(watch::ask(&self.options, &self.memory.source, cursors))
    }

    fn is_news(&self, said: &str, cursors: &[Option<String>]) -> bool {
        watch::is_news(said, cursors)
    }
}
