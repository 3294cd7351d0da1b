//! `sync_pending` of a long log: a look at a few rows, or at one, reads no more than that takes.

use rusqlite::Connection;
use support::capture::run;
use support::{World, ask, work_of};

/// Rows pending in `t`; besides them some of `first`, which comes before it.
const ROWS: u64 = 30_000;

fn long_log(world: &World) -> Connection {
    let db = world.open();
    run(
        &db,
        "CREATE TABLE first (id INTEGER PRIMARY KEY, x); CREATE TABLE t (id TEXT PRIMARY KEY, x INTEGER, y);
         CREATE TABLE pair (a TEXT, b INTEGER, x, PRIMARY KEY (a, b))",
    );
    for table in ["first", "t", "pair"] {
        ask(&db, &format!("SELECT sync_track('{table}')"));
    }
    run(
        &db,
        &format!(
            "BEGIN;
             WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             INSERT INTO t SELECT 'k' || i, i, NULL FROM n;
             INSERT INTO first VALUES (1, 'a'), (2, 'b');
             INSERT INTO pair VALUES ('a', 1, 'x'), ('b', 2, 'y');
             UPDATE t SET y = 'edited' WHERE x % 10000 = 1;
             DELETE FROM t WHERE x IN (3, 20000);
             COMMIT"
        ),
    );
    db
}

fn lines(db: &Connection, sql: &str) -> Vec<String> {
    ask(db, sql).lines().map(str::to_owned).collect()
}

const ALL: &str = "SELECT \"table\", key, op, changed, payload, seq FROM sync_pending";

#[test]
fn the_first_rows_and_the_rest_are_all_there_is_once_each() {
    let db = long_log(&World::new(false));
    let all = lines(&db, ALL);
    assert_eq!(all.len() as u64, ROWS - 2 + 2 + 2);
    let mut once = all.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), all.len());
    assert!(all[0].starts_with(r#"t|k1|created|["y"]|"#), "{}", all[0]);
    for many in [1, 2, 5, 40] {
        assert_eq!(lines(&db, &format!("{ALL} LIMIT {many}")), all[..many]);
    }
    let of_t: Vec<&String> = all.iter().filter(|line| line.starts_with("t|")).collect();
    let few = lines(&db, &format!("{ALL} WHERE \"table\" = 't' LIMIT 40"));
    assert_eq!(few.iter().collect::<Vec<_>>(), of_t[..40]);
}

#[test]
fn a_row_asked_for_by_its_key_is_as_it_is_among_all() {
    let db = long_log(&World::new(false));
    let all = lines(&db, ALL);
    for key in ["k1", "k2", "k20001", "k30000"] {
        let found = lines(
            &db,
            &format!("{ALL} WHERE \"table\" = 't' AND key = '{key}'"),
        );
        let prefix = format!("t|{key}|");
        let expected: Vec<&String> = all
            .iter()
            .filter(|line| line.starts_with(&prefix))
            .collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{key}");
    }
    for (condition, found) in [
        ("\"table\" = 't' AND key = 'k3'", 0),
        ("\"table\" = 't' AND key = 'none'", 0),
        ("\"table\" = 't' AND key IS NULL", 0),
        ("\"table\" = 't' AND key = NULL", 0),
        ("\"table\" = 'first' AND key = 1", 1),
        ("\"table\" = 'first' AND key = 1.0", 1),
        ("\"table\" = 'first' AND key = '1'", 0),
        ("\"table\" = 'pair' AND key = '[\"a\",1]'", 1),
        ("key = 'k2'", 1),
    ] {
        let count = format!("SELECT count(*) FROM sync_pending WHERE {condition}");
        assert_eq!(ask(&db, &count), found.to_string(), "{condition}");
    }
}

#[test]
fn a_look_at_a_few_rows_costs_a_fraction_of_all() {
    let world = World::new(false);
    let mut db = long_log(&world);
    let mut work = |sql: &str| work_of(&mut db, |db| drop(ask(db, sql)));
    let all = work("SELECT count(payload) FROM sync_pending");
    for few in [
        "SELECT payload FROM sync_pending LIMIT 5",
        "SELECT payload FROM sync_pending WHERE \"table\" = 't' LIMIT 5",
        "SELECT payload FROM sync_pending WHERE \"table\" = 't' AND key = 'k2'",
    ] {
        let steps = work(few);
        assert!(steps * 2 < all, "{few}: {steps} steps, all {all}");
    }
}
