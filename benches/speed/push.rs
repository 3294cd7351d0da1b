//! Push: created rows are frozen, encoded, sent and acknowledged, against their plain insert.

use super::common::Result;
use super::common::clock::timed;
use super::common::database::{Bench, expect};
use super::common::figures::{Figure, Unit};
use super::common::rounds::{self, Samples};
use super::common::rows::{ROWS, Row, rows};
use super::common::server::Server;

const FEW: usize = ROWS / 10;

pub fn measure(count: usize) -> Result<Vec<Figure>> {
    let server = Server::start()?;
    let samples = rounds::run(
        count,
        &[
            &|round, samples| {
                let bench = Bench::plain()?;
                let rows = rows(round, ROWS);
                samples.add("insert", timed(|| bench.insert(&rows))?.0);
                Ok(())
            },
            &|round, samples| {
                let whole = push(&rows(round, ROWS), &server, samples)?;
                samples.add("many", whole);
                samples.add("of many", whole / 10.0);
                Ok(())
            },
            &|round, samples| {
                let few = push(&rows(round, FEW), &server, &mut Samples::default())?;
                samples.add("few", few);
                Ok(())
            },
        ],
    )?;
    let mut figures = vec![
        Figure::ratio(
            "push",
            "100,000 created rows, to their insert",
            &samples,
            ("many", "insert"),
            Some(10.0),
        )?,
        Figure::alone(
            "push",
            "a row of 100,000, to one of 10,000",
            Unit::Ratio,
            samples.ratio("of many", "few")?,
            Some(1.5),
        ),
    ];
    if samples.median("settle").is_ok() {
        figures.push(Figure::ratio(
            "push",
            "of it: sending and settling",
            &samples,
            ("settle", "insert"),
            None,
        )?);
    }
    Ok(figures)
}

fn push(rows: &[Row], server: &Server, samples: &mut Samples) -> Result<f64> {
    let bench = Bench::tracked()?;
    bench.backend(&server.url("/nothing"))?;
    bench.insert(rows)?;
    let (whole, answer) = timed(|| bench.sync())?;
    let end = super::common::clock::process();
    expect("rows pushed", &answer["pushed"], rows.len())?;
    expect(
        "rows left",
        &bench
            .ask("SELECT count(*) FROM sync_pending")?
            .parse::<u64>()?
            .into(),
        0,
    )?;
    if let [_, Some(sent)] = server.arrivals(2)?[..] {
        samples.add("settle", (end - sent).as_secs_f64());
    }
    Ok(whole)
}
