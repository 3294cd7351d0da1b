//! All fuzz targets in one program, since building it takes longer than running one: FUZZ_TARGET names the one that runs.
#![no_main]

mod common;
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<targets::Run> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    targets::named(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name}: no such target"))
});

fuzz_target!(|data: &[u8]| TARGET(data));
