//! Memory: the peak of the resident memory during a pull of a million rows, above what was there before.

use super::child;
use super::common::Result;
use super::common::database::{Bench, expect};
use super::common::figures::{Figure, Unit};
use super::common::memory::resident;
use super::common::rounds;
use super::common::rows::Row;
use super::common::server::Server;

const MANY: usize = 1_000_000;

pub fn measure(count: usize) -> Result<Vec<Figure>> {
    if resident().is_none() {
        println!("\nmemory: not reported by this system");
        return Ok(Vec::new());
    }
    let server = Server::start()?;
    let (url, rows) = (server.url(&format!("/created/0/{MANY}")), MANY.to_string());
    let samples = rounds::run(
        count.min(3),
        &[
            &|_, samples| {
                samples.add("plain", child::numbers(&["memory", "plain", &rows])?[0]);
                Ok(())
            },
            &|_, samples| {
                samples.add("ours", child::numbers(&["memory", "ours", &rows, &url])?[0]);
                Ok(())
            },
        ],
    )?;
    Ok(vec![
        Figure::alone(
            "memory",
            "pull of 1,000,000 rows",
            Unit::Mebibytes,
            samples.spread("ours")?,
            Some(64.0),
        ),
        Figure::alone(
            "memory",
            "plain insert of 1,000,000 rows",
            Unit::Mebibytes,
            samples.spread("plain")?,
            None,
        ),
    ])
}

/// Prints the MiB that a plain insert of the rows takes.
pub fn plain(rows: usize) -> Result<()> {
    let bench = Bench::plain()?;
    above(|| {
        bench.db.execute_batch("BEGIN")?;
        let mut insert = bench
            .db
            .prepare("INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for number in 0..rows {
            insert.execute(Row::new(0, number).values())?;
        }
        bench.db.execute_batch("COMMIT")?;
        Ok(())
    })
}

/// Prints the MiB that a pull of the rows takes.
pub fn ours(rows: usize, url: &str) -> Result<()> {
    let bench = Bench::tracked()?;
    bench.backend(url)?;
    above(|| {
        let answer = bench.sync()?;
        expect("rows inserted", &answer["inserted"], rows)
    })
}

fn above(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = resident().ok_or("not reported by this system")?.0;
    work()?;
    let peak = resident().ok_or("not reported by this system")?.1;
    println!("{}", peak - before);
    Ok(())
}
