//! What the tests of faults share: processes that die at a chosen step, and a model of what must
//! survive.

mod edits;
mod faults;
mod history;
mod killing;
mod model;
mod phone;
mod proxy;
mod schedule;
mod syncing;
mod victim;

pub use faults::Trouble;
pub use proxy::{Proxy, Stop};
pub use schedule::{Trace, run_schedule};
pub use victim::{At, Victim, Word, be_a_victim, tell_of};
