//! What can be fuzzed, by name.

mod config;
mod cutter;
mod options;
mod pull;
mod push;
mod rows;
mod url;

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};

/// Takes an input and panics if it breaks something.
pub type Run = fn(&[u8]);

pub fn named(name: &str) -> Option<Run> {
    Some(match name {
        "config" => |data| made(data, config::run),
        "cutter" => cutter::run,
        "options" => |data| made(data, options::run),
        "pull" => pull::run,
        "push" => push::run,
        "rows" => |data| made(data, rows::run),
        "url" => |data| made(data, url::run),
        _ => return None,
    })
}

/// Runs a target whose input is made of the bytes. Some make none: that is no fault.
fn made<'a, T: Arbitrary<'a>>(data: &'a [u8], run: impl Fn(T)) {
    if let Ok(input) = T::arbitrary_take_rest(Unstructured::new(data)) {
        run(input);
    }
}
