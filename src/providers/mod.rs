//! Protocols, as state machines without sockets, threads or SQL.
//!
//! A provider says which request comes next and takes the answer; somebody else sends it (the HTTP
//! room, a test, one day the host program) and somebody else touches the tables.
//!
//! To add a protocol: a folder here with a type that implements [`Protocol`], and a line in
//! [`config::Kind`].

pub mod config;
pub mod cutter;

mod mend;
pub mod path;
mod protocol;
pub mod sink;
pub mod template;
pub mod values;
pub mod watermelon;
pub mod wire;

pub use config::{Config, Kind};

#[cfg(fuzzing)]
pub use mend::mended;
pub use protocol::{Outbox, Protocol, PullEnd, PushAnswer, Request, Step};
