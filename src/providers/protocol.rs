//! The face of every protocol.

use std::collections::HashMap;
use std::io::{Read, Write};

use serde_json::{Map, Value as Json};

use super::sink::Sink;
use super::wire::Entity;
use crate::ground::SyncError;
use crate::store::ValueRef;

/// What a sync must do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send this and give the answer to [`Protocol::pulled`].
    Pull(Request),
    /// Freeze what is pending and tell [`Protocol::frozen`] how many rows that is.
    Freeze,
    /// Send this with the frozen rows as its body and give the answer to [`Protocol::pushed`].
    Push(Request),
    Done,
    /// This sync can't be made as things are.
    Fail(SyncError),
}

/// A request without its credentials, which are the provider's.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// The body of a pull, if it has one. That of a push is written by [`Protocol::write_push`].
    pub body: Option<Vec<u8>>,
}

/// What a pull answer says besides its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct PullEnd {
    /// The entities that were asked for; the cursor is theirs.
    pub entities: Vec<usize>,
    /// Where their next pull starts, exactly as the server wrote it.
    pub cursor: String,
    /// The schema version that their columns have been pulled with, when it is to be remembered.
    pub schema_version: Option<i64>,
    /// Extra top-level keys, for the caller.
    pub rest: Map<String, Json>,
    pub warnings: Vec<String>,
}

/// What the server said of a push.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PushAnswer {
    /// For each entity, ids (as text) that the server did not take, and why if it said so.
    pub rejected: Vec<HashMap<String, Option<String>>>,
    pub warnings: Vec<String>,
}

/// The frozen rows, for writing a push body.
pub trait Outbox {
    /// Calls `each` with the content of every frozen row of an entity and kind, oldest first.
    ///
    /// # Errors
    /// Reading the outbox, those of `each`.
    fn rows(
        &self,
        entity: usize,
        kind: &str,
        each: &mut dyn FnMut(&str) -> std::io::Result<()>,
    ) -> std::io::Result<()>;
}

/// One sync of some entities, step by step.
///
/// The driver asks [`Protocol::next`], does it, and reports; a failure it does not report ends the
/// sync.
pub trait Protocol {
    fn next(&mut self) -> Step;

    /// The entities in the order in which indexes name them.
    fn entities(&self) -> &[Entity];

    /// Reads a complete pull answer with a status of 2xx. The caller holds a transaction open and
    /// rolls it back on failure.
    ///
    /// # Errors
    /// An answer that breaks the protocol, a row that can't be applied.
    fn pulled(
        &mut self,
        status: u16,
        body: &mut dyn Read,
        sink: &mut dyn Sink,
    ) -> Result<PullEnd, SyncError>;

    /// Whether the pull that is due begins before an entity's own cursor, so that rows of it come again.
    fn redelivers(&self, entity: usize) -> bool;

    /// The answer read last is committed.
    fn applied(&mut self, end: &PullEnd);

    /// What the backend was told of changes in the schema; null when nothing.
    fn told(&self) -> Json {
        Json::Null
    }

    /// So many rows were frozen. Called again for each further part of them that is pushed on its own.
    fn frozen(&mut self, rows: u64);

    /// Writes one row as it will be sent: `values` in the order of the entity's columns, `changed` as
    /// indexes into them. Both are empty for a deleted row.
    ///
    /// # Errors
    /// A value the protocol can't carry, said in words.
    fn encode(
        &self,
        entity: usize,
        kind: &str,
        id: ValueRef<'_>,
        values: &[ValueRef<'_>],
        changed: &[usize],
        out: &mut Vec<u8>,
    ) -> Result<(), String>;

    /// Writes the body of a push.
    ///
    /// # Errors
    /// Reading the outbox, writing the body.
    fn write_push(&self, outbox: &dyn Outbox, out: &mut dyn Write) -> std::io::Result<()>;

    /// Reads a complete push answer with a status of 2xx.
    ///
    /// # Errors
    /// An answer that says no: the push counts as refused.
    fn pushed(&mut self, status: u16, body: &[u8]) -> Result<PushAnswer, SyncError>;

    /// A complete answer refused the push. True: go on, [`Protocol::next`] knows how.
    fn push_refused(&mut self, status: u16) -> bool;
}
