//! Another SQLite file in the place of a server: a request in, an answer out.
//!
//! The other file, the hub, is written by several devices and by programs that never heard of us. Plain triggers keep its
//! *feed*: the last change of each row. A device reads what came after its cursor, and writes its own changes in one
//! transaction, in which it makes sure that nothing came that it has not read.
//!
//! | file | subject |
//! |---|---|
//! | `wire` | requests, answers and rows as bytes: values travel as they are |
//! | `place` | which file, and opening it |
//! | `table` | the tables there, compared with what is asked for |
//! | `feed`, `stamp` | the feed and its triggers; when a column got its value |
//! | `answer`, `asker` | carrying out a request; who makes it |
//! | `mark` | moments of a hub, and the files that know them |
//! | `pull` | reading rows |
//! | `push` | the transaction that takes what a device sends |
//! | `change`, `writer`, `statements` | one change, carrying it out, and with what |
//! | `carry` | this file is a hub too: what comes from another hub keeps its stamps |

mod answer;
mod asker;
mod carry;
mod change;
mod feed;
mod mark;
mod place;
mod pull;
mod push;
mod stamp;
mod statements;
mod table;
pub mod wire;
mod writer;

pub use answer::{answer, keep_time};
pub use asker::Asker;
pub use carry::{Carry, Named};
pub use feed::remove as remove_feed;
pub use place::Place;
pub use stamp::Stamp;
