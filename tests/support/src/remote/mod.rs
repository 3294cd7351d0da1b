//! Servers of any kind and programs of any make, for promises that hold for all of them.
//!
//! | file | subject |
//! |---|---|
//! | `server.rs` | what a test wants of a server, whatever it speaks: the trait `Remote` |
//! | `watermelon.rs` | servers that speak the WatermelonDB protocol |
//! | `changes.rs`, `bundles.rs` | servers of the two generations of oversync |
//! | `ids.rs` | the ids of the tests where a server takes only UUIDs |
//! | `file.rs` | another SQLite file |
//! | `fault.rs` | a trouble as the scripted backends are told of it |
//! | `transport.rs` | who sends the requests: syncscope, or a program in Python |
//! | `client.rs` | a database that syncs with a `Remote` over a `Transport` |
//! | `cases.rs` | a test for every kind and every transport |

mod bundles;
mod cases;
mod changes;
mod client;
mod fault;
mod file;
mod ids;
mod server;
mod transport;
mod watermelon;

pub use cases::{Case, KINDS, Kind, everywhere, everywhere_in_a_file, everywhere_over};
pub use client::{Client, sync_over};
pub use server::{Asked, On, Op, Remote, Sent, Trouble, Wanted, hold};
pub use transport::{Came, Transport, python};
