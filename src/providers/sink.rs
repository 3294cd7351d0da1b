//! Where a protocol puts what an answer says, row by row, in the order of the answer.

use super::wire::{Slot, WireId};
use crate::ground::SyncError;

/// How a row was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    Created,
    Updated,
}

/// A row of the server.
#[derive(Debug, Clone, Copy)]
pub struct RemoteRow<'a> {
    /// Index into the entities of the run.
    pub entity: usize,
    pub announced: Announced,
    pub id: &'a WireId<'a>,
    /// A value for each column of the entity.
    pub slots: &'a [Slot<'a>],
    /// Its version, where the server counts them.
    pub version: Option<i64>,
}

/// Which rows of an entity an answer is about as a whole.
pub enum Scope<'a> {
    /// All rows there are were named: those whose id this does not know go.
    Retain(&'a dyn Fn(&str) -> bool),
}

/// Takes what an answer says. The caller rolls everything back when a call fails.
pub trait Sink {
    /// A row was created or updated.
    ///
    /// # Errors
    /// A row that can't be applied ends the answer.
    fn row(&mut self, row: &RemoteRow<'_>) -> Result<(), SyncError>;

    /// A row was deleted.
    ///
    /// # Errors
    /// As [`Sink::row`].
    fn gone(&mut self, entity: usize, id: &WireId<'_>) -> Result<(), SyncError>;

    /// What the answer says of an entity's rows as a whole.
    ///
    /// # Errors
    /// As [`Sink::row`].
    fn scope(&mut self, entity: usize, scope: &Scope<'_>) -> Result<(), SyncError>;
}
