//! Waiting for what another thread or process does. No test judges how long anything takes: a limit only
//! keeps a test that hangs from hanging for ever.

use std::time::{Duration, Instant};

/// How long anything may take on the slowest machine, under the heaviest load.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until something holds.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
