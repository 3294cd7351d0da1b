//! Apply: a pull against a loop of one prepared statement over the same rows. The pull is measured whole, with
//! receiving and reading the answer.

use super::common::Result;
use super::common::clock::timed;
use super::common::database::{Bench, expect};
use super::common::figures::Figure;
use super::common::rounds::{self, Samples};
use super::common::rows::{ROWS, Row, edited, rows};
use super::common::server::Server;

pub fn measure(count: usize) -> Result<Vec<Figure>> {
    let server = Server::start()?;
    let samples = rounds::run(
        count,
        &[
            &|round, samples| plain(&rows(round, ROWS), &edited(round, ROWS), samples),
            &|round, samples| pull(&server, round, samples),
        ],
    )?;
    let ratio =
        |name, ours, plain, goal| Figure::ratio("apply", name, &samples, (ours, plain), goal);
    Ok(vec![
        ratio("first pull of 100,000 rows", "pull", "insert", Some(1.3))?,
        ratio(
            "100,000 updated rows, to UPSERTs",
            "changed",
            "upsert",
            None,
        )?,
        ratio(
            "100,000 equal rows, to UPSERTs",
            "same",
            "upsert again",
            None,
        )?,
    ])
}

fn plain(first: &[Row], later: &[Row], samples: &mut Samples) -> Result<()> {
    let bench = Bench::plain()?;
    samples.add("insert", timed(|| bench.insert(first))?.0);
    samples.add("upsert", timed(|| bench.upsert(later))?.0);
    samples.add("upsert again", timed(|| bench.upsert(later))?.0);
    Ok(())
}

fn pull(server: &Server, round: usize, samples: &mut Samples) -> Result<()> {
    let bench = Bench::tracked()?;
    let mut step = |path: &str, name, what| -> Result<()> {
        bench.backend(&server.url(&format!("{path}/{round}/{ROWS}")))?;
        let (time, answer) = timed(|| bench.sync())?;
        expect(what, &answer[what], ROWS)?;
        samples.add(name, time);
        Ok(())
    };
    step("/created", "pull", "inserted")?;
    step("/edited", "changed", "updated")?;
    step("/edited", "same", "unchanged")
}
