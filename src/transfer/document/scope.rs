//! Which rows a response replaces.

use crate::providers::meant::Meant;
use crate::transfer::meant::{Condition, Fields};

/// The rows of a table of documents that go.
pub struct Scope {
    pub condition: Condition,
    /// Ids that the response goes on to bring, as a JSON list: their rows are written over, not taken away.
    pub brought: String,
}

impl Scope {
    pub fn new(meant: &Meant, brought: String) -> Self {
        Self {
            condition: Condition::of(meant, Fields::Document, "id"),
            brought,
        }
    }
}
