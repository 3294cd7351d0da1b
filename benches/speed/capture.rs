//! Capture: the same writes on a tracked and on an untracked table.

use super::common::Result;
use super::common::clock::timed;
use super::common::database::Bench;
use super::common::figures::{Figure, Unit};
use super::common::rounds::{self, Samples};
use super::common::rows::{ROWS, Row, edited, rows};

/// Writes of a transaction each.
const SMALL: usize = 3000;

struct Names {
    insert: &'static str,
    update: &'static str,
    small: &'static str,
    delete: &'static str,
    size: &'static str,
}

const PLAIN: Names = Names {
    insert: "plain insert",
    update: "plain update",
    small: "plain small",
    delete: "plain delete",
    size: "plain size",
};
const TRACKED: Names = Names {
    insert: "insert",
    update: "update",
    small: "small",
    delete: "delete",
    size: "size",
};

pub fn measure(count: usize) -> Result<Vec<Figure>> {
    let samples = rounds::run(
        count,
        &[
            &|round, samples| write(Bench::plain()?, &PLAIN, round, samples),
            &|round, samples| write(Bench::tracked()?, &TRACKED, round, samples),
        ],
    )?;
    let ratio = |name, ours, plain, goal| {
        Figure::ratio("capture", name, &samples, (ours, plain), Some(goal))
    };
    Ok(vec![
        ratio(
            "INSERT, 100,000 in a transaction",
            TRACKED.insert,
            PLAIN.insert,
            1.55,
        )?,
        ratio(
            "UPDATE, 100,000 in a transaction",
            TRACKED.update,
            PLAIN.update,
            1.55,
        )?,
        ratio(
            "DELETE, 100,000 in a transaction",
            TRACKED.delete,
            PLAIN.delete,
            1.3,
        )?,
        ratio(
            "INSERT, 3,000 by themselves",
            TRACKED.small,
            PLAIN.small,
            1.4,
        )?,
        Figure::alone(
            "capture",
            "size of the file after 100,000 inserts",
            Unit::Ratio,
            samples.ratio(TRACKED.size, PLAIN.size)?,
            Some(1.25),
        ),
    ])
}

/// One round of all kinds of writes.
fn write(bench: Bench, names: &Names, round: usize, samples: &mut Samples) -> Result<()> {
    let first = rows(round, ROWS);
    let later = edited(round, ROWS);
    let small: Vec<Row> = (ROWS..ROWS + SMALL)
        .map(|number| Row::new(round, number))
        .collect();
    let (time, ()) = timed(|| bench.insert(&first))?;
    samples.add(names.insert, time);
    samples.add(names.size, bench.size()?);
    let (time, ()) = timed(|| update(&bench, &later))?;
    samples.add(names.update, time);
    let (time, ()) = timed(|| insert_alone(&bench, &small))?;
    samples.add(names.small, time);
    let (time, ()) = timed(|| delete(&bench, &first))?;
    samples.add(names.delete, time);
    Ok(())
}

fn update(bench: &Bench, rows: &[Row]) -> Result<()> {
    bench.db.execute_batch("BEGIN")?;
    let mut update = bench
        .db
        .prepare("UPDATE t SET name = ?2, n = ?3 WHERE id = ?1")?;
    for row in rows {
        update.execute((&row.id, &row.name, row.n))?;
    }
    bench.db.execute_batch("COMMIT")?;
    Ok(())
}

fn insert_alone(bench: &Bench, rows: &[Row]) -> Result<()> {
    let mut insert = bench
        .db
        .prepare("INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for row in rows {
        insert.execute(row.values())?;
    }
    Ok(())
}

fn delete(bench: &Bench, rows: &[Row]) -> Result<()> {
    bench.db.execute_batch("BEGIN")?;
    let mut delete = bench.db.prepare("DELETE FROM t WHERE id = ?1")?;
    for row in rows {
        delete.execute([&row.id])?;
    }
    bench.db.execute_batch("COMMIT")?;
    Ok(())
}
