//! Protocols, as state machines without sockets, threads or SQL.
//!
//! A provider says which request comes next and takes the answer; somebody else sends it (the HTTP
//! room, a test, one day the host program) and somebody else touches the tables.
//!
//! To add a protocol: a folder here with a type that implements [`Protocol`] and a [`Kind`], and a line in
//! [`kinds::KINDS`].

pub mod credential;
pub mod cutter;
mod host;
mod http_keys;
mod kind;
pub mod kinds;
mod mend;
pub mod path;
mod protocol;
pub mod sink;
mod table_keys;
pub mod template;
pub mod values;
pub mod watermelon;
pub mod wire;

pub use http_keys::policy;
pub use kind::{Kind, Settings, Transport};
#[cfg(fuzzing)]
pub use mend::mended;
pub use protocol::{Outbox, Protocol, PullEnd, PushAnswer, Request, Step};
pub use table_keys::{ApplyRules, busy_timeout};
