//! Stand-ins for the servers of oversync (SQLiteNow), each held against recordings of a real one.
//!
//! | file | subject |
//! |---|---|
//! | `token.rs` | the bearer tokens that both take |
//! | `b/` | protocol B: bundles of rows, "bundle v1" |

pub mod b;
pub mod token;

pub use b::B;
