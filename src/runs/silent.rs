//! Conversations without a request: for a sync of nothing, and for one that can't run.

use std::io::{self, Write};

use crate::ground::SyncError;
use crate::providers::conversation::{Answer, Conversation, Event, ParcelRows, Read, Step};
use crate::providers::sink::Sink;

/// Ends at once.
pub struct Silent(Step);

impl Silent {
    /// There is nothing to do.
    pub fn done() -> Self {
        Self(Step::Done)
    }

    /// It can't be done.
    pub fn failed(error: SyncError) -> Self {
        Self(Step::Fail(error))
    }
}

impl Conversation for Silent {
    fn due(&self) -> Step {
        self.0.clone()
    }

    fn write_body(&self, _: &dyn ParcelRows, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, _: &mut Answer<'_>, _: &mut dyn Sink) -> Result<Read, SyncError> {
        Err(SyncError::bug())
    }

    fn adopt(&mut self, _: Event<'_>) {}
}
