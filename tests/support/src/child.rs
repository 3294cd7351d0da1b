//! Processes of their own for tests that need one.

use std::process::Command;

/// The test's own program, to be started again for one test alone. `module` is the `module_path!()` of
/// the file that the test is in.
pub fn again(module: &str, test: &str) -> Command {
    // The harness leaves the name of the program out.
    let name = match module.split_once("::") {
        Some((_, module)) => format!("{module}::{test}"),
        None => test.to_owned(),
    };
    let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
    command.args(["--exact", &name, "--nocapture"]);
    command
}
