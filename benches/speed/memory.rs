//! Memory: the peak of the resident memory during a pull of a million rows, and during the push of two million, above
//! what was there before.

use serde_json::json;

use super::child;
use super::common::Result;
use super::common::database::{Bench, expect};
use super::common::figures::{Figure, Unit};
use super::common::memory::resident;
use super::common::rounds::{self, Spread};
use super::common::rows::Row;
use super::common::server::Server;

const MANY: usize = 1_000_000;

const PENDING: usize = 2_000_000;

pub fn measure(count: usize) -> Result<Vec<Figure>> {
    if resident().is_none() {
        println!("\nmemory: not reported by this system");
        return Ok(Vec::new());
    }
    let server = Server::start()?;
    let (url, rows) = (server.url(&format!("/created/0/{MANY}")), MANY.to_string());
    let pending = PENDING.to_string();
    let pushes = [
        ("push", "push of 2,000,000 rows", "/nothing".to_owned()),
        (
            "again",
            "the same without an answer, and the next sync",
            "/lost".to_owned(),
        ),
        (
            "again",
            "the same, where all of them come back",
            format!("/taken/0/{PENDING}"),
        ),
    ];
    let mut pushed = Vec::new();
    for (child, name, path) in &pushes {
        let measured = child::numbers(&["memory", child, &pending, &server.url(path)])?[0];
        pushed.push(Figure::alone(
            "memory",
            *name,
            Unit::Mebibytes,
            Spread::of(measured),
            Some(64.0),
        ));
    }
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
    let mut figures = vec![
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
    ];
    figures.extend(pushed);
    Ok(figures)
}

/// Prints the MiB that a plain insert of the rows takes.
pub fn plain(rows: usize) -> Result<()> {
    let bench = Bench::plain()?;
    above(|| insert(&bench, rows))
}

/// Inserts rows one by one, so that they need not be in memory together.
fn insert(bench: &Bench, rows: usize) -> Result<()> {
    bench.db.execute_batch("BEGIN")?;
    let mut insert = bench
        .db
        .prepare("INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for number in 0..rows {
        insert.execute(Row::new(0, number).values())?;
    }
    bench.db.execute_batch("COMMIT")?;
    Ok(())
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

/// Prints the MiB that a push of the rows takes; `again`: one that is not answered, and the next sync.
pub fn push(rows: usize, url: &str, again: bool) -> Result<()> {
    let bench = Bench::tracked()?;
    bench.backend(url)?;
    if again {
        let config = json!({"kind": "watermelon", "url": url, "attempts": 1}).to_string();
        bench.ask(&format!("SELECT sync_provider('api', '{config}')"))?;
    }
    insert(&bench, rows)?;
    above(|| {
        if again {
            bench.sync().err().ok_or("the push was answered")?;
        }
        bench.sync()?;
        expect(
            "rows left",
            &bench
                .ask("SELECT sync_has_pending()")?
                .parse::<u64>()?
                .into(),
            0,
        )
    })
}

fn above(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = resident().ok_or("not reported by this system")?.0;
    work()?;
    let peak = resident().ok_or("not reported by this system")?.1;
    println!("{}", peak - before);
    Ok(())
}
