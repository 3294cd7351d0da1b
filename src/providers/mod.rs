//! Kinds of providers: protocols as conversations, without sockets, threads or SQL.
//!
//! A provider says which request is due and reads the answer; somebody else sends it (the HTTP room, the
//! host program, a test) and somebody else touches the tables. What is to be implemented is in
//! [`conversation`], where the rows of an answer go in [`sink`].

pub mod config;
pub mod conversation;
pub mod cutter;
mod mend;
pub mod path;
pub mod sink;
pub mod template;
pub mod values;
pub mod watermelon;
pub mod wire;

pub use config::{Config, Kind};
#[cfg(fuzzing)]
pub use mend::mended;

use conversation::Provider;
use watermelon::Watermelon;

/// The provider that a configuration describes.
///
/// # Errors
/// A configuration that `sync_provider` would not take; a kind whose data the host program moves.
pub fn open(config: &Config) -> Result<Box<dyn Provider>, String> {
    match config.kind {
        Kind::Watermelon => Ok(Box::new(Watermelon::open(config)?)),
        Kind::Host => Err("config: kind host has no protocol".into()),
    }
}
