//! Plain tables, every kind of trouble, and kills at every step of a sync: all converge, and no edit is lost.
//! The first 40 seeds are run by default, 100 with `SYNCSCOPE_WHOLE=1`.

use support::fault::{Trace, be_a_victim, run_schedule};
use support::sample::seeds;

use super::caught;

const FEW: u64 = 40;
const WHOLE: u64 = 100;

#[test]
fn the_process_that_is_killed() {
    be_a_victim();
}

fn run(remainder: u64) {
    let mut failed = Vec::new();
    let (mut run, mut kills) = (0, 0);
    for seed in seeds(module_path!(), FEW, WHOLE).filter(|seed| seed % 2 == remainder) {
        let trace = Trace::default();
        let outcome = caught(|| run_schedule(seed, module_path!(), &trace));
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
