//! Stand-ins for the servers of oversync (SQLiteNow), each held against recordings of a real one.
//!
//! | file | subject |
//! |---|---|
//! | `token.rs` | the bearer tokens that both take |
//! | `a/` | protocol A: changes of rows, `/sync/upload` and `/sync/download` |

pub mod a;
pub mod token;

pub use a::A;
