//! Loading: what it takes to load the extension, first of all in a new process.

use std::path::Path;
use std::time::Instant;

use super::child;
use super::common::Result;
use super::common::arguments::library;
use super::common::database::{Bench, load, open};
use super::common::figures::{Figure, Unit};
use super::common::rounds;

/// A new process costs little, and single loads are short.
const MORE: usize = 3;

pub fn measure(count: usize) -> Result<Vec<Figure>> {
    let used = Bench::tracked()?;
    let used = used.directory.path().join("bench.db");
    let new = tempfile::TempDir::new()?;
    let new = new.path().join("new.db");
    let samples = rounds::run(
        count * MORE,
        &[
            &|_, samples| {
                let times = child::numbers(&["load", &new.to_string_lossy()])?;
                samples.add("first", times[0]);
                samples.add("second", times[1]);
                Ok(())
            },
            &|_, samples| {
                let times = child::numbers(&["load", &used.to_string_lossy()])?;
                samples.add("used", times[0]);
                Ok(())
            },
        ],
    )?;
    let figure = |name, sample| -> Result<Figure> {
        Ok(Figure::alone(
            "load",
            name,
            Unit::Milliseconds,
            samples.spread(sample)?,
            Some(5.0),
        ))
    };
    Ok(vec![
        figure("into a new file, a new process", "first")?,
        figure("into a file in use, a new process", "used")?,
        figure("into a second connection", "second")?,
    ])
}

/// Milliseconds of the first and of a second load in this process. Wall time: reading the file counts.
pub fn child(file: &Path) -> Result<()> {
    for _ in 0..2 {
        let db = open(file)?;
        let start = Instant::now();
        load(&db, &library()?)?;
        println!("{}", start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}
