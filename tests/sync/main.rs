//! The sync itself: what is sent and applied, when and in what order, and that nothing is lost whatever fails.

mod answers;
mod background;
mod calls;
mod check;
mod constraints;
mod converge;
mod decisions;
mod edits;
mod failures;
mod gate;
mod hazards;
mod held;
#[cfg(unix)]
mod kill;
mod locks;
mod log;
mod lost_answers;
mod order;
mod policies;
mod questions;
mod refused_rows;
mod rejections;
mod replacement;
mod resolver_deletes;
#[cfg(unix)]
mod schedules;
mod secrets;
mod steps;
#[cfg(unix)]
mod steps_kill;
mod storage;
mod swaps;
mod tables;
mod waiting;
