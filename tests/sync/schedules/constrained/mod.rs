//! Tables as applications have them: foreign keys with actions, UNIQUE, CHECK, STRICT, counted keys, triggers that stamp, count and
//! copy, migrations mid-way, on devices whose backend has constraints of its own. Every sync without trouble succeeds, all
//! converge but for rows that are named, and no edit vanishes.
//!
//! Six seeds by default, 500 with `SYNCSCOPE_WHOLE=1`. A seed that fails is tried again without each of its steps, and those
//! that are needed are shown. `SYNCSCOPE_SCHEDULE_STEPS=3,7` runs these steps of a seed only.
//!
//! | file | subject |
//! |---|---|
//! | `world.rs` | what a seed draws before anything happens |
//! | `actor.rs`, `carried.rs` | a device; a transaction on it |
//! | `edits.rs`, `migration.rs` | what programs write; how tables change |
//! | `schedule.rs` | the steps |
//! | `ledger.rs`, `there.rs` | who wrote what; what reached the backend |
//! | `verdict.rs` | what must hold at rest |

mod actor;
mod carried;
mod edits;
mod ledger;
mod migration;
mod schedule;
mod there;
mod verdict;
mod world;

use std::collections::BTreeSet;

use support::fault::be_a_victim;
use support::sample::seeds;

use super::caught;
use schedule::{Met, STEPS};

/// The test that is a victim's life is in this module.
const VICTIMS: &str = module_path!();

/// What so many schedules must meet: conflicts, rows that are held, rows that are refused.
const ENOUGH: u64 = 200;
const MEANT: &[&str] = &[
    "edited",
    "deletedRemotely",
    "rekeyed",
    "uniqueClash",
    "foreignKey",
    "unique",
    "check",
    "refused",
];

const FEW: u64 = 6;
const WHOLE: u64 = 500;

#[test]
fn the_process_that_is_killed() {
    be_a_victim();
}

/// The steps that are left out by request.
fn without() -> BTreeSet<usize> {
    let Ok(text) = std::env::var("SYNCSCOPE_SCHEDULE_STEPS") else {
        return BTreeSet::new();
    };
    let wanted: Vec<usize> = text
        .split(',')
        .map(|step| step.trim().parse().expect("a step"))
        .collect();
    (0..STEPS).filter(|step| !wanted.contains(step)).collect()
}

/// What did not hold, and what was done.
fn attempt(seed: u64, without: &BTreeSet<usize>) -> Result<Met, (String, String)> {
    let mut trace = Vec::new();
    let outcome = caught(|| schedule::run(seed, without, &mut trace)).and_then(|outcome| outcome);
    outcome.map_err(|fault| (fault, trace.join("\n  ")))
}

/// The first word of a fault says of which kind it is.
fn kind(fault: &str) -> &str {
    fault.split(':').next().unwrap_or_default()
}

/// Leaves out every step that the fault can do without.
fn shrunk(seed: u64, fault: (String, String)) -> (BTreeSet<usize>, (String, String)) {
    let (mut without, mut last) = (without(), fault);
    for step in (0..STEPS).rev() {
        let mut fewer = without.clone();
        if fewer.insert(step)
            && let Err(same) = attempt(seed, &fewer)
            && kind(&same.0) == kind(&last.0)
        {
            (without, last) = (fewer, same);
        }
    }
    (without, last)
}

fn run(remainder: u64) {
    let (mut failed, mut met, mut run) = (Vec::new(), Met::new(), 0);
    for seed in seeds(module_path!(), FEW, WHOLE).filter(|seed| seed % 2 == remainder) {
        run += 1;
        let fault = match attempt(seed, &without()) {
            Ok(kinds) => {
                met.extend(kinds);
                continue;
            }
            Err(fault) => fault,
        };
        failed.push(seed);
        let (without, (fault, trace)) = shrunk(seed, fault);
        let steps: Vec<String> = (0..STEPS)
            .filter(|step| !without.contains(step))
            .map(|step| step.to_string())
            .collect();
        eprintln!(
            "SYNCSCOPE_SCHEDULE_SEED={seed} SYNCSCOPE_SCHEDULE_STEPS={} cargo test --test sync schedules::constrained\n\
             failed: {fault}\nwhat it did:\n  {trace}\n",
            steps.join(",")
        );
    }
    assert!(
        failed.is_empty(),
        "of {run} schedules these failed: {failed:?}"
    );
    let missed: Vec<_> = MEANT.iter().filter(|kind| !met.contains(**kind)).collect();
    assert!(
        run < ENOUGH || missed.is_empty(),
        "{run} schedules never met {missed:?}"
    );
}

#[test]
fn random_tables_converge_and_lose_nothing_with_a_write_ahead_log() {
    run(1);
}

#[test]
fn random_tables_converge_and_lose_nothing_with_a_rollback_journal() {
    run(0);
}
