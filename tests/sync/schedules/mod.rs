//! Random schedules of two devices and a backend in trouble.
//!
//! A seed decides a schedule. `SYNCSCOPE_SCHEDULES` sets how many are run, `SYNCSCOPE_SCHEDULE_SEED` the first seed; with the
//! seed alone, only that one is run.

mod constrained;
mod plain;

use std::panic::{AssertUnwindSafe, catch_unwind};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: a number, please")),
    )
}

/// So many seeds, unless the environment says otherwise.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let seed = number("SYNCSCOPE_SCHEDULE_SEED");
    let usual = if seed.is_some() { 1 } else { usual };
    let first = seed.unwrap_or(1);
    first..first + number("SYNCSCOPE_SCHEDULES").unwrap_or(usual)
}

/// Schedules that are run: `few`, or with `SYNCSCOPE_WHOLE=1` more.
fn usual(few: u64, whole: u64) -> u64 {
    match support::sample::is_whole(module_path!()) {
        true => whole,
        false => few,
    }
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}

/// The words of a panic, if there is one.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(&*panic))
}
