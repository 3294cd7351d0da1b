//! What the tests of faults share: processes that die at a chosen step.
#![allow(dead_code, unused_imports)]

mod proxy;
mod victim;

pub use proxy::{Proxy, Stop};
pub use victim::{At, Victim, Word, be_a_victim, tell_of};
