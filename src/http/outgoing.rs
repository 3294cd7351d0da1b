//! The request's body on its way out.

use std::sync::Arc;
use std::{fmt, io};

use super::meter::Meter;
use super::spool::SpoolReader;

/// Reads the body and counts its bytes. Marks its own failures, so that a broken disk is not mistaken for a broken
/// network.
pub(super) struct Outgoing {
    body: SpoolReader,
    meter: Arc<Meter>,
}

impl Outgoing {
    pub fn new(body: SpoolReader, meter: &Arc<Meter>) -> Self {
        Self {
            body,
            meter: Arc::clone(meter),
        }
    }
}

impl io::Read for Outgoing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer);
        let read = read.map_err(|error| io::Error::other(BodyLost(error)))?;
        self.meter.sent(read as u64);
        Ok(read)
    }
}

/// The body can't be read.
#[derive(Debug)]
pub(super) struct BodyLost(io::Error);

impl fmt::Display for BodyLost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl std::error::Error for BodyLost {}
