//! Running the sqlite3 shell under valgrind's memcheck, and reading what it found.
//!
//! There are no suppressions. Every error counts, and all memory that is definitely lost. "Possibly lost" is
//! what only a pointer into the middle of a block leads to. Rust's hash tables and reference counts are held
//! like that, those of our statics too, which live until the process ends: so a little of it is right, and
//! [`POSSIBLY_LOST`] bytes are the limit.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A table and a few tokens of a connection; a lost row or page is larger soon.
const POSSIBLY_LOST: u64 = 2_000;

/// The shell under valgrind, which writes to `report`.
pub fn command(report: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command
        .args([
            "--leak-check=full",
            "--show-leak-kinds=definite,possible",
            "--errors-for-leak-kinds=definite",
            "--num-callers=30",
        ])
        .arg(format!("--log-file={}", report.display()))
        .arg("sqlite3");
    command
}

/// What valgrind counted in a run, or in several.
#[derive(Default)]
pub struct Tally {
    runs: u64,
    errors: u64,
    lost: u64,
    possibly: u64,
    allocations: u64,
    report: String,
}

impl Tally {
    pub fn read(report: &Path) -> Self {
        let report = fs::read_to_string(report).expect("a report of valgrind");
        let count = |label: &str| number_after(&report, label);
        Self {
            runs: 1,
            errors: count("ERROR SUMMARY: ").expect("a whole report"),
            // Without a leak there is no summary of leaks.
            lost: count("definitely lost: ").unwrap_or(0) + count("indirectly lost: ").unwrap_or(0),
            possibly: count("possibly lost: ").unwrap_or(0),
            allocations: count("total heap usage: ").expect("a whole report"),
            report,
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.errors += other.errors;
        self.lost += other.lost;
        self.possibly += other.possibly;
        self.allocations += other.allocations;
    }

    /// What is wrong with one run.
    pub fn complaint(&self, script: &Path) -> Option<String> {
        let clean = self.errors == 0 && self.lost == 0 && self.possibly <= POSSIBLY_LOST;
        (!clean).then(|| format!("{} under valgrind\n{}", script.display(), self.report))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs, {} errors, {} bytes lost, {} bytes possibly lost, {} allocations",
            self.runs, self.errors, self.lost, self.possibly, self.allocations
        )
    }
}

fn number_after(text: &str, label: &str) -> Option<u64> {
    let (_, rest) = text.split_once(label)?;
    let number = rest.split_whitespace().next()?;
    number.replace(',', "").parse().ok()
}

#[test]
fn a_report_of_valgrind_is_understood() {
    let report = "==1==   total heap usage: 1,234 allocs, 1,230 frees, 9 bytes allocated\n\
                  ==1==    definitely lost: 5,000 bytes in 2 blocks\n\
                  ==1==    indirectly lost: 16 bytes in 1 blocks\n\
                  ==1==      possibly lost: 1 bytes in 1 blocks\n\
                  ==1== ERROR SUMMARY: 2 errors from 2 contexts (suppressed: 0 from 0)\n";
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), report).expect("written");
    let tally = Tally::read(file.path());
    assert_eq!(
        tally.to_string(),
        "1 runs, 2 errors, 5016 bytes lost, 1 bytes possibly lost, 1234 allocations"
    );
    let complaint = tally.complaint(Path::new("x.sql")).expect("a complaint");
    assert!(complaint.contains("definitely lost"), "{complaint}");
}
