//! Protocols, as state machines without sockets, threads or SQL.
//!
//! A provider says which request comes next and takes the answer; somebody else sends it (the HTTP
//! room, a test, one day the host program) and somebody else touches the tables.
//!
//! To add a protocol: a folder here with a type that implements [`Protocol`], and a line in
//! [`config::Kind`].

pub mod config;
pub mod cutter;
mod error;
mod mend;
mod protocol;
pub mod watermelon;
pub mod wire;

pub use config::{Config, Kind};
pub use error::{Class, SyncError};
pub use protocol::{Outbox, Protocol, PullEnd, PushAnswer, Request, Step};
