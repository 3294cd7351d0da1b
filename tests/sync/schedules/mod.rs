//! Random schedules of two devices and a backend in trouble.
//!
//! A seed decides a schedule. `SYNCSCOPE_SCHEDULES` sets how many are run, `SYNCSCOPE_SCHEDULE_SEED` the first seed; with the
//! seed alone, only that one is run.

mod constrained;
mod plain;

use std::panic::{AssertUnwindSafe, catch_unwind};

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
