//! Applying remote rows to the application's tables.
//!
//! | file | subject |
//! |---|---|
//! | `decide` | the decision table: what happens to a row, without the database |
//! | `knowledge`, `unsent`, `journal`, `version` | what is known of a row: what is pending of it, what was pushed of it, its version |
//! | `meeting`, `unseen` | two rows and a policy: which columns stay; also of a row that is held |
//! | `rounded` | integers that a server has rounded |
//! | `writer`, `lift` | the statements on a table |
//! | `effects` | what applied rows mean for the log |
//! | `table` | these put together, for one table |
//! | `applier` | an answer about several tables; rows that must wait for others (`deferred`), or for each other (`turns`, `out`), references that are in their way (`references`, `loose`), rows that go when all rows are in (`doomed`) or all answers of the run (`postponed`), that go with others (`swept`, `bystanders`, `along`), that are refused (`holding`, `stray`) or on trial for what they break (`trial`), that make room (`displaced`), that leave what others refer to (`succession`), whose references can be filled again (`refill`) |
//! | `told` | rows that the server was asked for by themselves |
//! | `own_writes`, `side_effects`, `actions` | keeping what is applied out of the log |

mod actions;
mod along;
mod applier;
mod bystanders;
mod decide;
mod deferred;
mod displaced;
mod doomed;
mod effects;
mod foreign_key;
mod giving_way;
mod holding;
mod journal;
mod knowledge;
mod lift;
mod loose;
mod meeting;
mod out;
mod own_writes;
mod postponed;
mod references;
mod refill;
mod rounded;
mod scope;
mod setting;
mod side_effects;
mod stray;
mod succession;
mod swept;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod trial;
mod turns;
mod unseen;
mod unsent;
mod version;
mod writer;

pub use applier::{Applier, Came};
pub use foreign_key::explain_foreign_key;
pub use own_writes::{Applied, Found, OwnWrites};
pub use scope::require_declared;
pub use setting::Setting;
