//! Random schedules of two devices and a backend in trouble: all converge, and no edit is lost.
//!
//! A seed decides a schedule: edits on both devices and by others, misbehaviour of the backend, kills
//! at every step of a sync. `SYNCSCOPE_SCHEDULES` sets how many are run (200), `SYNCSCOPE_SCHEDULE_SEED`
//! the first seed; with the seed alone, only that one is run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use support::fault::{Trace, be_a_victim, run_schedule};

#[test]
fn the_process_that_is_killed() {
    be_a_victim();
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: a number, please")),
    )
}

fn seeds() -> std::ops::Range<u64> {
    let seed = number("SYNCSCOPE_SCHEDULE_SEED");
    let usual = if seed.is_some() { 1 } else { 200 };
    let first = seed.unwrap_or(1);
    first..first + number("SYNCSCOPE_SCHEDULES").unwrap_or(usual)
}

fn run(remainder: u64) {
    let mut failed = Vec::new();
    let (mut run, mut kills) = (0, 0);
    for seed in seeds().filter(|seed| seed % 2 == remainder) {
        let trace = Trace::default();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            run_schedule(seed, module_path!(), &trace)
        }));
        run += 1;
        match outcome {
            Ok(met) => kills += met,
            Err(_) => {
                failed.push(seed);
                let trace = trace.lock().expect("trace").join("\n  ");
                eprintln!("SYNCSCOPE_SCHEDULE_SEED={seed} failed (above); what it did:\n  {trace}");
            }
        }
    }
    assert!(
        failed.is_empty(),
        "of {run} schedules these failed: {failed:?}"
    );
    assert!(
        run < 20 || kills > run / 2,
        "{kills} kills in {run} schedules"
    );
}

#[test]
fn random_schedules_converge_and_lose_nothing_with_a_write_ahead_log() {
    run(1);
}

#[test]
fn random_schedules_converge_and_lose_nothing_with_a_rollback_journal() {
    run(0);
}
