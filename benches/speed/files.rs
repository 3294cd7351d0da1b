//! File to file: kind `sqlite` against `INSERT … SELECT` over ATTACH, with the same tables and indexes.
//!
//! SQLite copies a table whole, b-tree by b-tree, where both are defined alike, the target is empty and nothing is left out;
//! with a WHERE it writes row by row, as anything must that also keeps a record of what it wrote. Both are shown.

use super::common::Result;
use super::common::clock::timed;
use super::common::database::{Bench, expect, open};
use super::common::figures::Figure;
use super::common::rounds::{self, Samples};
use super::common::rows::{ROWS, Row, edited, rows};

const TABLE: &str = "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT, n INTEGER, body TEXT, x REAL)";

pub fn measure(count: usize) -> Result<Vec<Figure>> {
    let samples = rounds::run(
        count,
        &[
            &|round, samples| {
                let rows = rows(round, ROWS);
                samples.add("whole", plain(&rows, "")?);
                samples.add("by row", plain(&rows, "WHERE id IS NOT NULL")?);
                Ok(())
            },
            &|round, samples| pull(&rows(round, ROWS), samples),
            &|round, samples| push(&rows(round, ROWS), &edited(round, ROWS), samples),
        ],
    )?;
    let ratio =
        |name, ours, plain, goal| Figure::ratio("files", name, &samples, (ours, plain), goal);
    Ok(vec![
        ratio(
            "first pull, to INSERT … SELECT row by row",
            "pull",
            "by row",
            Some(3.0),
        )?,
        ratio(
            "first pull, to INSERT … SELECT as a whole",
            "pull",
            "whole",
            None,
        )?,
        ratio(
            "push of created rows, to the same row by row",
            "push",
            "by row",
            Some(3.0),
        )?,
        ratio(
            "push of created rows, to the same as a whole",
            "push",
            "whole",
            None,
        )?,
        ratio(
            "push of edited rows, to UPDATE … FROM",
            "edited",
            "update",
            None,
        )?,
    ])
}

/// Copies the rows of one file to another.
fn plain(rows: &[Row], condition: &str) -> Result<f64> {
    let bench = Bench::plain()?;
    bench.insert(rows)?;
    attach(&bench)?;
    let copy = format!("INSERT INTO other.t SELECT * FROM t {condition}");
    let (time, copied) = timed(|| Ok(bench.db.execute(&copy, [])?))?;
    expect("rows copied", &copied.into(), rows.len())?;
    Ok(time)
}

/// Makes another file with the table, and attaches it.
fn attach(bench: &Bench) -> Result<()> {
    let file = bench.directory.path().join("other.db");
    open(&file)?.execute_batch(TABLE)?;
    bench
        .db
        .execute("ATTACH ?1 AS other", [file.to_string_lossy()])?;
    bench
        .db
        .execute_batch("PRAGMA other.synchronous = NORMAL; PRAGMA other.cache_size = -2000")?;
    Ok(())
}

/// A device and its hub.
fn pair() -> Result<(Bench, rusqlite::Connection)> {
    let bench = Bench::tracked()?;
    let hub = open(&bench.directory.path().join("hub.db"))?;
    hub.execute_batch(TABLE)?;
    let config = r#"{"kind": "sqlite", "file": "hub.db"}"#;
    bench
        .db
        .query_row("SELECT sync_provider('api', ?1)", [config], |_| Ok(()))?;
    Ok((bench, hub))
}

fn pull(rows: &[Row], samples: &mut Samples) -> Result<()> {
    let (bench, hub) = pair()?;
    let source = Bench {
        db: hub,
        directory: bench.directory,
    };
    source.insert(rows)?;
    let bench = Bench {
        db: bench.db,
        directory: source.directory,
    };
    let (time, answer) = timed(|| bench.sync())?;
    expect("rows pulled", &answer["inserted"], rows.len())?;
    samples.add("pull", time);
    Ok(())
}

fn push(first: &[Row], later: &[Row], samples: &mut Samples) -> Result<()> {
    let (bench, hub) = pair()?;
    bench.sync()?;
    bench.insert(first)?;
    let (time, answer) = timed(|| bench.sync())?;
    expect("rows pushed", &answer["pushed"], first.len())?;
    samples.add("push", time);
    bench.upsert(later)?;
    let (time, answer) = timed(|| bench.sync())?;
    expect("rows pushed", &answer["pushed"], later.len())?;
    samples.add("edited", time);
    let there: i64 = hub.query_row(
        "SELECT count(*) FROM t WHERE name LIKE 'new %'",
        [],
        |row| row.get(0),
    )?;
    expect("rows there", &there.into(), later.len())?;
    // The same two columns of each row, from one file to another.
    let bench = Bench::plain()?;
    bench.insert(later)?;
    attach(&bench)?;
    bench
        .db
        .execute_batch("INSERT INTO other.t SELECT id, 'name', 0, body, x FROM t")?;
    let update = "UPDATE other.t AS there SET name = here.name, n = here.n FROM t AS here WHERE here.id = there.id";
    samples.add("update", timed(|| Ok(bench.db.execute(update, [])?))?.0);
    Ok(())
}
