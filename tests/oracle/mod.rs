//! The differential oracle: cases, both sides that run them, and what is compared.
//!
//! | file | what |
//! |---|---|
//! | `case.rs` | what a case is |
//! | `random/`, `table.rs` | where cases come from: a seed, the decision table |
//! | `device.rs` | runs a case with the extension |
//! | `client.rs`, `client.js` | runs a case with the WatermelonDB client |
//! | `differences.rs`, `differences.js`, `journal.js` | the intended differences |
//! | `outcome.rs` | compares what both saw |
//! | `minimise.rs` | makes a failing case small |

#[path = "../sync_common/mod.rs"]
pub mod sync_common;

pub mod case;
pub mod client;
pub mod device;
pub mod differences;
pub mod minimise;
pub mod outcome;
pub mod random;
pub mod table;
