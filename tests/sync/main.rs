//! The sync itself: what is sent and applied, when and in what order, and that nothing is lost whatever fails.

mod again;
mod answers;
mod background;
mod calls;
mod check;
mod converge;
mod counted;
mod counted_clash;
mod counted_parts;
mod counted_sent;
mod counted_triggers;
mod decisions;
mod deletes_last;
mod detach;
mod edits;
mod failures;
mod gate;
mod gone_along;
mod half_gone;
mod hazards;
mod held;
mod held_breaks;
mod held_edits;
#[cfg(unix)]
mod kill;
mod locks;
mod log;
mod lost_answers;
mod lost_to_triggers;
mod made_again;
mod names;
mod on_clash;
mod order;
mod policies;
mod pulled_again;
mod questions;
mod redeclared;
mod refresh;
mod refused_rows;
mod refused_together;
mod rejections;
mod replacement;
mod resolver_deletes;
#[cfg(unix)]
mod ruins;
mod schedules;
mod seconds;
mod secrets;
mod side_effects;
mod steps;
#[cfg(unix)]
mod steps_kill;
mod storage;
mod succession;
mod swap_references;
mod swaps;
mod tables;
mod unconfirmed;
mod waiting;
mod watch;

use serde_json::Value;
use support::Canned;

/// The next answer to a pull is this one, whatever was to come.
fn pull(server: &Canned, changes: Value) {
    server.reset();
    server.changes(changes);
}
