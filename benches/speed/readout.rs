//! Read-out: what is pending, as JSON, against a JSON scan of the same rows.

use super::common::Result;
use super::common::clock::timed;
use super::common::database::{Bench, expect};
use super::common::figures::Figure;
use super::common::rounds::{self, Samples};
use super::common::rows::{ROWS, Row, rows};
use super::common::server::Server;

pub fn measure(count: usize) -> Result<Vec<Figure>> {
    let server = Server::start()?;
    let samples = rounds::run(
        count,
        &[
            &|round, samples| scan(&rows(round, ROWS), samples),
            &|round, samples| pending(&rows(round, ROWS), samples),
            &|round, samples| freeze(&rows(round, ROWS), &server, samples),
        ],
    )?;
    let mut figures = vec![Figure::ratio(
        "read-out",
        "sync_pending, 100,000 created rows",
        &samples,
        ("pending", "scan"),
        Some(2.0),
    )?];
    if samples.median("freeze").is_ok() {
        figures.push(Figure::ratio(
            "read-out",
            "freeze and encode 100,000 created rows",
            &samples,
            ("freeze", "scan"),
            Some(2.0),
        )?);
    }
    Ok(figures)
}

fn scan(rows: &[Row], samples: &mut Samples) -> Result<()> {
    let bench = Bench::plain()?;
    bench.insert(rows)?;
    read(
        &bench,
        "SELECT json_object('id', id, 'name', name, 'n', n, 'body', body, 'x', x) FROM t",
        "scan",
        samples,
    )
}

fn pending(rows: &[Row], samples: &mut Samples) -> Result<()> {
    let bench = Bench::tracked()?;
    bench.insert(rows)?;
    read(
        &bench,
        "SELECT payload FROM sync_pending",
        "pending",
        samples,
    )
}

fn read(bench: &Bench, sql: &str, name: &'static str, samples: &mut Samples) -> Result<()> {
    let (time, found) = timed(|| {
        let mut statement = bench.db.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut found = 0;
        while let Some(row) = rows.next()? {
            found += usize::from(!row.get_ref(0)?.as_str()?.is_empty());
        }
        Ok(found)
    })?;
    expect("rows read", &found.into(), ROWS)?;
    samples.add(name, time);
    Ok(())
}

/// What happens between the arrival of the pull, which brings nothing, and that of the push: the log is
/// looked through, the rows are read, encoded, stored in the outbox, and the body is put together.
fn freeze(rows: &[Row], server: &Server, samples: &mut Samples) -> Result<()> {
    let bench = Bench::tracked()?;
    bench.backend(&server.url("/nothing"))?;
    bench.insert(rows)?;
    let answer = bench.sync()?;
    expect("rows pushed", &answer["pushed"], ROWS)?;
    if let [Some(pull), Some(push)] = server.arrivals(2)?[..] {
        samples.add("freeze", (push - pull).as_secs_f64());
    }
    Ok(())
}
