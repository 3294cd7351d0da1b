//! The general promises of a sync, each written once, kept by every kind of server over every transport:
//! syncscope's own HTTP, a host program in Python, and the same with the database in memory.
//!
//! | file | promises about |
//! |---|---|
//! | `rows.rs` | what comes and goes: pulls, pushes, edits meanwhile, parts |
//! | `conflicts.rs` | rows that were changed on both sides |
//! | `resolvers.rs` | rows of which a resolver can't say what stays |
//! | `lost.rs` | answers that never came |
//! | `refused.rs` | rows and requests that the server does not take |
//! | `answers.rs` | answers that are none |
//! | `operations.rs` | one thing at a time: upload, download, both; pauses |
//! | `interruption.rs` | syncs that are stopped |
//! | `detach.rs` | log-out and change of user |
//! | `schedule.rs` | work by schedule |
//! | `secrets.rs` | what opens the door, and where it may be seen |
//! | `progress.rs` | what is seen of a sync while it goes on, and after its process was killed |
//! | `queue.rs` | background syncs that wait for each other |
//! | `uninstall.rs` | a file that is not to be synced any more |
//! | `requests.rs` | a program that sends the requests, and gets it wrong |

mod answers;
mod conflicts;
mod detach;
mod interruption;
mod lost;
mod operations;
#[cfg(unix)]
mod progress;
#[cfg(unix)]
mod queue;
mod refused;
mod requests;
mod resolvers;
mod rows;
#[cfg(unix)]
mod schedule;
mod secrets;
mod uninstall;
