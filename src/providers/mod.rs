//! Kinds of providers: protocols as conversations, without sockets, threads or SQL.
//!
//! A provider says which request is due and reads the answer; somebody else sends it (the HTTP room, the
//! host program, a test) and somebody else touches the tables. What is to be implemented is in
//! [`conversation`], where the rows of an answer go in [`sink`]; its [`Kind`] is a line in [`kinds::KINDS`].

mod address;
pub mod affinity;
pub mod base64;
pub mod conversation;
pub mod credential;
pub mod cutter;
mod file_keys;
pub mod fit;
mod host;
mod http_keys;
pub mod imported;
pub mod instant;
mod kind;
pub mod kinds;
mod login;
pub mod meant;
mod mend;
pub mod names;
mod oversync;
pub mod path;
mod rest;
pub mod seen;
pub mod sink;
mod sqlite;
mod table_keys;
pub mod template;
pub mod value_seed;
pub mod values;
pub mod watermelon;
pub mod wire;

pub use file_keys::place;
pub use http_keys::{credentials, login, policy, secret_names, watch};
pub use kind::{Functions, Kind, Settings, Stored, Transport};
pub use login::Login;
pub use mend::mended;
pub use table_keys::busy_timeout;
