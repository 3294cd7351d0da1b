//! Change capture: plain-SQL triggers that append to `_syncChange`, and what can be read from it.
//!
//! An application's write costs one narrow row in an append-only log. Everything else (which rows are
//! pending, in which state, with which changed columns) is worked out when it is asked for.

pub mod alter;
pub mod carry;
pub mod drift;

pub mod key;
pub mod log;
mod meet;
mod op;
pub mod pending;
pub mod reader;
pub mod sends;
pub mod shape;
pub mod track;
pub mod tracked;
mod triggers;

pub use key::Key;
#[cfg(fuzzing)]
pub use meet::index_terms;
pub use pending::{Pending, PendingRows, Status};
pub use tracked::Tracked;
