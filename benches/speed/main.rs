//! What syncscope costs, as ratios to plain SQLite in the same process. `make bench` builds the release file and
//! runs this; the library is the one that `SYNCSCOPE_LIBRARY` names.
//!
//! CPU time of the whole process, medians of shuffled rounds; the server is another process. 100,000 rows
//! of about 150 bytes with random text keys, WAL, synchronous NORMAL, 2 MB of cache.

#[path = "../common/mod.rs"]
mod common;

mod apply;
mod capture;
mod child;
mod files;
mod load;
mod memory;
mod push;
mod readout;
mod status;

use common::Result;
use common::arguments::Arguments;
use common::figures::{self, Figure};

type Group = fn(usize) -> Result<Vec<Figure>>;

const GROUPS: &[(&str, Group)] = &[
    ("capture", capture::measure),
    ("read-out", readout::measure),
    ("apply", apply::measure),
    ("push", push::measure),
    ("files", files::measure),
    ("status", status::measure),
    ("load", load::measure),
    ("memory", memory::measure),
];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("child", rest)) = words
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        return child::run(rest);
    }
    let arguments = Arguments::read()?;
    let mut all = Vec::new();
    for (name, measure) in GROUPS {
        if !arguments.wants(name) {
            continue;
        }
        let figures = measure(arguments.rounds)?;
        figures::print(&figures);
        all.extend(figures);
    }
    if all.is_empty() {
        let names: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
        return Err(format!("--only takes one of {}", names.join(", ")).into());
    }
    if let Some(file) = arguments.json {
        figures::write(&file, arguments.rounds, &all)?;
    }
    Ok(())
}
