//! Stand-ins for the servers of oversync (SQLiteNow), each held against recordings of a real one.
//!
//! | file | subject |
//! |---|---|
//! | `token.rs` | the bearer tokens that both take |
//! | `escape.rs`, `stamp.rs`, `uuid.rs` | spellings that both share |
//! | `a/` | protocol A: changes of rows, `/sync/upload` and `/sync/download` |
//! | `b/` | protocol B: bundles of rows, "bundle v1" |

pub mod a;
pub mod b;
mod escape;
mod stamp;
pub mod token;
mod uuid;

pub use a::A;
pub use b::B;
