//! Change capture: plain-SQL triggers that append to `_syncChange`, and what can be read from it.
//!
//! An application's write costs one narrow row in an append-only log. Everything else (which rows are
//! pending, in which state, with which changed columns) is worked out when it is asked for.

pub mod advice;
pub mod alter;
pub mod aside;
mod brought;
pub mod carry;
pub mod columns;
mod doubt;
pub mod drift;
pub mod index;
pub mod key;
pub mod key_map;
mod key_type;
pub mod log;
pub mod lost;
mod mask;
mod meet;
mod moved;
pub mod names;
pub mod op;
mod open;
pub mod pending;
mod pending_file;
pub mod pending_rows;
pub mod reader;
pub mod rebuilt;
mod recognised;
mod refilled;
mod renamed;
mod reshape;
mod scan;
pub mod sends;
pub mod shape;
pub mod shared;
mod stranded;
pub mod switch;
pub mod track;
pub mod tracked;
pub mod triggers;
mod whereabouts;

#[cfg(fuzzing)]
pub use index::index_terms;
pub use index::pieces as sql_pieces;
pub use key::Key;
pub use key_map::KeyMap;
pub use op::Status;
pub use pending::Pending;
pub use pending_rows::PendingRows;
pub use renamed::entities;
pub use tracked::Tracked;
