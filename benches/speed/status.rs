//! A status change: what it costs with few members of the scope and with many, with few scopes and with many.

use super::common::Result;
use super::common::arguments::library;
use super::common::clock::timed;
use super::common::database::{Bench, load};
use super::common::figures::{Figure, Unit};
use super::common::rounds::{self, Samples, Spread};

/// Operations of an instance.
const OPERATIONS: i64 = 5;
/// Changes measured where not every operation is changed.
const CHANGES: i64 = 500;
/// A round takes long enough to need no more.
const ROUNDS: usize = 3;

pub fn measure(count: usize) -> Result<Vec<Figure>> {
    let samples = rounds::run(
        count.min(ROUNDS),
        &[
            &|_, samples| plain(samples),
            &|_, samples| {
                let world = World::new(10, 1)?;
                samples.add("10 members", world.changes(CHANGES)?);
                Ok(())
            },
            &|_, samples| {
                let world = World::new(10, 100)?;
                samples.add("100 scopes", world.changes(CHANGES)?);
                Ok(())
            },
            &|_, samples| {
                let world = World::new(1000, 1)?;
                samples.add("1000 members", world.changes(CHANGES)?);
                samples.add("all", timed(|| world.finish_all())?.0);
                Ok(())
            },
        ],
    )?;
    let ratio =
        |name, ours, plain, goal| Figure::ratio("status", name, &samples, (ours, plain), goal);
    let all = samples.spread("all")?;
    let in_milliseconds = Spread {
        median: all.median * 1e3,
        low: all.low * 1e3,
        high: all.high * 1e3,
    };
    Ok(vec![
        ratio(
            "a change, to an UPDATE; 10 members",
            "10 members",
            "update",
            None,
        )?,
        ratio(
            "a change, to an UPDATE; 1,000 members",
            "1000 members",
            "update",
            None,
        )?,
        ratio("1,000 members, to 10", "1000 members", "10 members", None)?,
        ratio(
            "100 other scopes, to none",
            "100 scopes",
            "10 members",
            Some(1.1),
        )?,
        Figure::alone(
            "status",
            "1,000 members × 5 operations, all of it",
            Unit::Milliseconds,
            in_milliseconds,
            None,
        ),
    ])
}

/// An UPDATE of a plain row that holds the same, as a yardstick.
fn plain(samples: &mut Samples) -> Result<()> {
    let bench = Bench::plain()?;
    bench.db.execute_batch(
        "CREATE TABLE status (id INTEGER PRIMARY KEY, provider TEXT, entity TEXT, functionId TEXT, state TEXT,
           timestamp INTEGER, error TEXT);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO status SELECT i, 'host', 'entity ' || i, NULL, 'syncing', 1, NULL FROM n",
    )?;
    let (time, ()) = timed(|| {
        let mut update = bench
            .db
            .prepare("UPDATE status SET state = ?2, timestamp = ?3, error = ?4 WHERE id = ?1")?;
        for number in 1..=CHANGES {
            update.execute((number, "failed", 1_700_000_000_000i64, "HTTP 500"))?;
        }
        Ok(())
    })?;
    samples.add("update", time / CHANGES as f64);
    Ok(())
}

/// A scope over some instances, each syncing its operations; and scopes that list none of them.
struct World {
    bench: Bench,
    operations: i64,
}

impl World {
    fn new(members: usize, scopes: usize) -> Result<Self> {
        let bench = Bench::plain()?;
        load(&bench.db, &library()?)?;
        bench.ask(r#"SELECT sync_provider('host', '{"kind":"host"}')"#)?;
        let names: Vec<String> = (0..members)
            .map(|member| format!("instance-{member}"))
            .collect();
        bench.db.execute_batch("BEGIN")?;
        let start = |id: &str, names: &[String]| -> Result<()> {
            let list = serde_json::json!(names).to_string();
            bench
                .db
                .query_row("SELECT sync_start_scope(?1, ?2)", [id, &list], |_| Ok(()))?;
            Ok(())
        };
        start("scope", &names)?;
        for number in 1..scopes {
            let strangers: Vec<String> = (0..10)
                .map(|member| format!("stranger-{number}-{member}"))
                .collect();
            start(&format!("scope-{number}"), &strangers)?;
        }
        for (member, name) in names.iter().enumerate() {
            let entities: Vec<String> = (0..OPERATIONS)
                .map(|operation| format!("entity-{member}-{operation}"))
                .collect();
            let list = serde_json::json!(entities).to_string();
            bench.db.query_row(
                "SELECT sync_entities(?1, 'host', ?2)",
                [name, &list],
                |_| Ok(()),
            )?;
        }
        bench.db.execute_batch("COMMIT")?;
        Ok(Self {
            bench,
            operations: members as i64 * OPERATIONS,
        })
    }

    /// CPU time of one change: operations fail and sync again in turns, a transaction each.
    fn changes(&self, count: i64) -> Result<f64> {
        let mut change = self
            .bench
            .db
            .prepare("SELECT sync_set_status(?1, ?2, ?3)")?;
        let (time, changed) = timed(|| {
            let mut changed = 0;
            for number in 0..count {
                // Steps of 7 reach operations of all members.
                let id = number * 7 % self.operations + 1;
                let (state, error) = match number / self.operations % 2 {
                    0 => ("failed", Some("HTTP 500")),
                    _ => ("syncing", None),
                };
                changed += change.query_row((id, state, error), |row| row.get::<_, i64>(0))?;
            }
            Ok(changed)
        })?;
        if changed != count {
            return Err(format!("{changed} statuses changed instead of {count}").into());
        }
        Ok(time / count as f64)
    }

    /// Every operation succeeds; the scope is synced in the end.
    fn finish_all(&self) -> Result<()> {
        let mut change = self
            .bench
            .db
            .prepare("SELECT sync_set_status(?1, 'synced')")?;
        for id in 1..=self.operations {
            change.query_row([id], |_| Ok(()))?;
        }
        match self.bench.ask("SELECT state FROM _syncScope")?.as_str() {
            "synced" => Ok(()),
            other => Err(format!("the scope is {other}").into()),
        }
    }
}
