//! Random histories against an independent model of what must be pending.
//!
//! `SYNCSCOPE_SEED` repeats one history.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use support::{Random, World, ask};

/// A stored value; text and numbers only, so that affinities change nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Null,
    Int(i64),
    Text(String),
}

impl Cell {
    fn bound(&self) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Int(number) => Value::Integer(*number),
            Cell::Text(text) => Value::Text(text.clone()),
        }
    }

    fn folded(&self) -> Cell {
        match self {
            Cell::Text(text) => Cell::Text(text.to_ascii_lowercase()),
            other => other.clone(),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Cell::Null => serde_json::Value::Null,
            Cell::Int(number) => (*number).into(),
            Cell::Text(text) => text.as_str().into(),
        }
    }
}

type Row = Vec<Cell>;
type Key = Vec<Cell>;

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Int,
}

/// What takes part in a unique index.
#[derive(Clone, Copy)]
enum Part {
    Exact(usize),
    /// NOCASE, or lower() of it.
    Folded(usize),
}

struct Unique {
    parts: &'static [Part],
    /// Only rows whose number here is greater than 0.
    only: Option<usize>,
}

struct Plan {
    name: &'static str,
    ddl: &'static str,
    columns: Vec<(String, Kind)>,
    keys: &'static [usize],
    /// INTEGER PRIMARY KEY: NULL chooses the next number.
    rowid: bool,
    /// The key compares without case.
    folded: bool,
    uniques: &'static [Unique],
    /// Columns in no index, for UPSERT and for updates of many rows.
    free: Vec<usize>,
}

fn plans() -> Vec<Plan> {
    let named = |list: &[(&str, Kind)]| -> Vec<(String, Kind)> {
        list.iter()
            .map(|(name, kind)| ((*name).to_owned(), *kind))
            .collect()
    };
    let mut wide = vec![("id".to_owned(), Kind::Text)];
    wide.extend((0..130).map(|number| (format!("c{number}"), Kind::Int)));
    vec![
        Plan {
            name: "notes",
            ddl: "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT COLLATE NOCASE, body TEXT, n INTEGER, m INTEGER);
                  CREATE UNIQUE INDEX notes_i ON notes (lower(body), n DESC)",
            columns: named(&[("id", Kind::Text), ("title", Kind::Text), ("body", Kind::Text), ("n", Kind::Int), ("m", Kind::Int)]),
            keys: &[0],
            rowid: false,
            folded: false,
            uniques: &[Unique { parts: &[Part::Folded(2), Part::Exact(3)], only: None }],
            free: vec![1, 4],
        },
        Plan {
            name: "parts \"x\"",
            ddl: "CREATE TABLE \"parts \"\"x\"\"\" (v TEXT, b TEXT, a INTEGER, tag TEXT UNIQUE, w INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID",
            columns: named(&[("v", Kind::Text), ("b", Kind::Text), ("a", Kind::Int), ("tag", Kind::Text), ("w", Kind::Int)]),
            keys: &[2, 1],
            rowid: false,
            folded: false,
            uniques: &[Unique { parts: &[Part::Exact(3)], only: None }],
            free: vec![0, 4],
        },
        Plan {
            name: "nums",
            ddl: "CREATE TABLE nums (id INTEGER PRIMARY KEY, code TEXT COLLATE NOCASE UNIQUE, x INTEGER, y INTEGER, z INTEGER);
                  CREATE UNIQUE INDEX nums_i ON nums (x) WHERE x > 0",
            columns: named(&[("id", Kind::Int), ("code", Kind::Text), ("x", Kind::Int), ("y", Kind::Int), ("z", Kind::Int)]),
            keys: &[0],
            rowid: true,
            folded: false,
            uniques: &[
                Unique { parts: &[Part::Folded(1)], only: None },
                Unique { parts: &[Part::Exact(2)], only: Some(2) },
            ],
            free: vec![3, 4],
        },
        Plan {
            name: "nocase",
            ddl: "CREATE TABLE nocase (id TEXT PRIMARY KEY COLLATE NOCASE, v TEXT)",
            columns: named(&[("id", Kind::Text), ("v", Kind::Text)]),
            keys: &[0],
            rowid: false,
            folded: true,
            uniques: &[],
            free: vec![1],
        },
        Plan {
            name: "wide",
            ddl: "",
            columns: wide,
            keys: &[0],
            rowid: false,
            folded: false,
            uniques: &[],
            free: (1..131).collect(),
        },
    ]
}

impl Plan {
    fn quoted(&self) -> String {
        format!("\"{}\"", self.name.replace('"', "\"\""))
    }

    fn create(&self) -> String {
        if !self.ddl.is_empty() {
            return self.ddl.to_owned();
        }
        let rest: Vec<String> = self.columns[1..]
            .iter()
            .map(|(name, _)| format!("{name} INTEGER"))
            .collect();
        format!(
            "CREATE TABLE {} (id TEXT PRIMARY KEY, {})",
            self.name,
            rest.join(", ")
        )
    }

    fn key(&self, row: &Row) -> Key {
        self.keys.iter().map(|place| row[*place].clone()).collect()
    }

    fn same_key(&self, one: &Key, two: &Key) -> bool {
        if self.folded {
            one[0].folded() == two[0].folded()
        } else {
            one == two
        }
    }

    /// The columns in which two rows with different keys may not agree.
    fn clash(&self, one: &Row, two: &Row) -> bool {
        if self.same_key(&self.key(one), &self.key(two)) {
            return true;
        }
        self.uniques.iter().any(|unique| {
            let inside = |row: &Row| {
                unique
                    .only
                    .is_none_or(|place| matches!(row[place], Cell::Int(number) if number > 0))
            };
            inside(one)
                && inside(two)
                && unique.parts.iter().all(|part| {
                    let (one, two) = match part {
                        Part::Exact(place) => (one[*place].clone(), two[*place].clone()),
                        Part::Folded(place) => (one[*place].folded(), two[*place].folded()),
                    };
                    one != Cell::Null && one == two
                })
        })
    }

    fn cell(&self, dice: &mut Random, place: usize) -> Cell {
        let is_key = self.keys.contains(&place);
        if !is_key && dice.chance(20) {
            return Cell::Null;
        }
        match self.columns[place].1 {
            Kind::Int => Cell::Int(dice.roll(8) as i64 - 1),
            Kind::Text => {
                // NOCASE stops comparing at a NUL, so text with one is for exact columns only.
                let folded = self.folded && is_key
                    || self
                        .uniques
                        .iter()
                        .flat_map(|unique| unique.parts)
                        .any(|part| matches!(part, Part::Folded(folded) if *folded == place));
                let words = ["a", "A", "b", "B", "c'", "d,e", "😀", "", "f\0g", "f\0h"];
                Cell::Text(words[dice.roll(if folded { 8 } else { words.len() })].to_owned())
            }
        }
    }

    fn row(&self, dice: &mut Random) -> Row {
        (0..self.columns.len())
            .map(|place| self.cell(dice, place))
            .collect()
    }
}

/// What was done to one row since the server last knew everything.
#[derive(Clone, Default)]
struct Mark {
    changed: BTreeSet<usize>,
    all: bool,
}

#[derive(Clone, Default)]
struct Table {
    rows: BTreeMap<Key, Row>,
    /// The rows that the server has.
    known: BTreeSet<Key>,
    marks: BTreeMap<Key, Mark>,
}

impl Table {
    fn insert(&mut self, key: Key, row: Row) {
        let known = self.known.contains(&key);
        self.marks.entry(key.clone()).or_default().all |= known;
        self.rows.insert(key, row);
    }

    fn delete(&mut self, key: &Key) {
        self.rows.remove(key);
        self.marks.entry(key.clone()).or_default();
    }

    fn update(&mut self, plan: &Plan, old: &Key, row: Row) {
        let new = plan.key(&row);
        let before = &self.rows[old];
        let changed: Vec<usize> = (0..row.len())
            .filter(|place| before[*place] != row[*place])
            .collect();
        if new != *old {
            self.delete(old);
            self.insert(new.clone(), row);
        } else {
            self.rows.insert(new.clone(), row);
        }
        // Also of a row that got a new key: what it did not bring along from the old one.
        if !changed.is_empty() {
            self.marks.entry(new).or_default().changed.extend(changed);
        }
    }

    /// Rows that `row` meets, not counting the one at `except`.
    fn met(&self, plan: &Plan, row: &Row, except: Option<&Key>) -> Vec<Key> {
        self.rows
            .iter()
            .filter(|(key, other)| Some(*key) != except && plan.clash(row, other))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn expected(
        &self,
        plan: &Plan,
        into: &mut BTreeMap<(String, String), (String, String, String)>,
    ) {
        for (key, mark) in &self.marks {
            let (known, row) = (self.known.contains(key), self.rows.get(key));
            let op = match (known, row.is_some()) {
                (true, true) => "updated",
                (true, false) => "deleted",
                (false, true) => "created",
                (false, false) => continue,
            };
            let changed: Vec<&str> = (0..plan.columns.len())
                .filter(|place| {
                    !plan.keys.contains(place) && (mark.all || mark.changed.contains(place))
                })
                .map(|place| plan.columns[place].0.as_str())
                .collect();
            let payload: serde_json::Map<String, serde_json::Value> = row
                .into_iter()
                .flat_map(|row| {
                    plan.columns
                        .iter()
                        .zip(row)
                        .map(|((name, _), cell)| (name.clone(), cell.json()))
                })
                .collect();
            let shown: Vec<serde_json::Value> = key.iter().map(Cell::json).collect();
            let line = if op == "deleted" {
                (op.to_owned(), String::new(), String::new())
            } else {
                (
                    op.to_owned(),
                    serde_json::json!(changed).to_string(),
                    serde_json::Value::Object(payload).to_string(),
                )
            };
            into.insert(
                (
                    plan.name.to_owned(),
                    serde_json::Value::Array(shown).to_string(),
                ),
                line,
            );
        }
    }
}

/// `sync_pending` in the shape of the model.
fn seen(connection: &Connection) -> BTreeMap<(String, String), (String, String, String)> {
    let mut statement = connection
        .prepare(
            "SELECT \"table\", key, op, ifnull(changed, ''), ifnull(payload, '') FROM sync_pending",
        )
        .expect("sync_pending");
    let mut rows = statement.query([]).expect("sync_pending");
    let mut all = BTreeMap::new();
    while let Some(row) = rows.next().expect("a row") {
        let table: String = row.get(0).expect("table");
        let key = match row.get::<_, Value>(1).expect("key") {
            Value::Integer(number) => serde_json::json!([number]).to_string(),
            Value::Text(text) if table.starts_with("parts") => text,
            Value::Text(text) => serde_json::json!([text]).to_string(),
            other => panic!("a key of another kind: {other:?}"),
        };
        let payload: String = row.get(4).expect("payload");
        let line = (
            row.get(2).expect("op"),
            row.get(3).expect("changed"),
            payload,
        );
        let before = all.insert((table, key.clone()), line);
        assert!(before.is_none(), "{key} is pending twice");
    }
    all
}

struct Play {
    plans: Vec<Plan>,
    tables: Vec<Table>,
    /// Savepoints and their pictures; the first is BEGIN.
    open: Vec<Vec<Table>>,
    dice: Random,
    done: Vec<String>,
}

impl Play {
    fn run(&mut self, connection: &Connection, sql: &str, values: &[Cell], succeeds: bool) {
        self.done.push(format!(
            "{sql} {values:?} {}",
            if succeeds { "ok" } else { "fails" }
        ));
        let outcome = connection.prepare_cached(sql).and_then(|mut statement| {
            statement.execute(params_from_iter(values.iter().map(Cell::bound)))
        });
        assert_eq!(outcome.is_ok(), succeeds, "{}: {outcome:?}", self.tail());
    }

    fn tail(&self) -> String {
        let from = self.done.len().saturating_sub(25);
        self.done[from..].join("\n")
    }

    fn step(&mut self, connection: &Connection) {
        let table = self.dice.roll(self.plans.len());
        match self.dice.roll(20) {
            0..=4 => self.insert(connection, table),
            5 | 6 => self.upsert(connection, table),
            7..=13 => self.update(connection, table),
            14 | 15 => self.delete(connection, table),
            16 => self.update_many(connection, table),
            _ => self.transaction(connection),
        }
    }

    fn insert(&mut self, connection: &Connection, at: usize) {
        let plan = &self.plans[at];
        let mut row = plan.row(&mut self.dice);
        let mut values = row.clone();
        if plan.rowid && self.dice.chance(25) {
            let newest = self.tables[at]
                .rows
                .keys()
                .next_back()
                .map_or(0, |key| match key[0] {
                    Cell::Int(number) => number,
                    _ => 0,
                });
            row[0] = Cell::Int(newest + 1);
            values[0] = Cell::Null;
        }
        let met = self.tables[at].met(plan, &row, None);
        let policy = [
            "INSERT",
            "INSERT OR REPLACE",
            "INSERT OR IGNORE",
            "INSERT OR FAIL",
            "REPLACE",
        ][self.dice.roll(5)];
        let marks = vec!["?"; row.len()].join(", ");
        let sql = format!("{policy} INTO {} VALUES ({marks})", plan.quoted());
        let replaces = policy.ends_with("REPLACE");
        let key = plan.key(&row);
        let goes = met.is_empty() || replaces;
        if goes && met == [key.clone()] {
            // Replaced by itself.
            self.tables[at].update(plan, &key, row);
        } else if goes {
            let itself = self.tables[at].rows.get(&key).cloned();
            let itself = itself.filter(|_| met.contains(&key));
            met.iter()
                .filter(|met| itself.is_none() || **met != key)
                .for_each(|key| self.tables[at].delete(key));
            match itself {
                Some(before) => {
                    self.tables[at].rows.insert(key.clone(), before);
                    self.tables[at].update(plan, &key, row);
                }
                None => self.tables[at].insert(key, row),
            }
        }
        self.run(
            connection,
            &sql,
            &values,
            goes || policy.ends_with("IGNORE"),
        );
    }

    fn upsert(&mut self, connection: &Connection, at: usize) {
        let plan = &self.plans[at];
        let row = plan.row(&mut self.dice);
        let key = plan.key(&row);
        let met = self.tables[at].met(plan, &row, None);
        // Where one row is met by key and another by index, the order of checks decides: not our matter.
        if met.iter().any(|met| !plan.same_key(met, &key)) {
            return;
        }
        let target = plan.free[self.dice.roll(plan.free.len())];
        let name = plan.columns[target].0.clone();
        let columns: Vec<&str> = plan
            .keys
            .iter()
            .map(|place| plan.columns[*place].0.as_str())
            .collect();
        let action = if self.dice.chance(25) {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {name} = excluded.{name}")
        };
        let marks = vec!["?"; row.len()].join(", ");
        let sql = format!(
            "INSERT INTO {} VALUES ({marks}) ON CONFLICT ({}) DO {action}",
            plan.quoted(),
            columns.join(", ")
        );
        match met.first() {
            None => self.tables[at].insert(key, row.clone()),
            Some(met) if action != "NOTHING" => {
                let mut after = self.tables[at].rows[met].clone();
                after[target] = row[target].clone();
                self.tables[at].update(plan, met, after);
            }
            Some(_) => {}
        }
        self.run(connection, &sql, &row, true);
    }

    fn some_key(&mut self, at: usize) -> Option<Key> {
        let count = self.tables[at].rows.len();
        (count > 0).then(|| {
            self.tables[at]
                .rows
                .keys()
                .nth(self.dice.roll(count))
                .cloned()
                .expect("a key")
        })
    }

    fn by_key(plan: &Plan) -> String {
        let parts: Vec<String> = plan
            .keys
            .iter()
            .map(|place| format!("{} = ? COLLATE BINARY", plan.columns[*place].0))
            .collect();
        parts.join(" AND ")
    }

    fn update(&mut self, connection: &Connection, at: usize) {
        let Some(key) = self.some_key(at) else { return };
        let plan = &self.plans[at];
        let mut after = self.tables[at].rows[&key].clone();
        let mut set = BTreeMap::new();
        for _ in 0..=self.dice.roll(3) {
            let place = self.dice.roll(plan.columns.len());
            after[place] = plan.cell(&mut self.dice, place);
            set.insert(place, after[place].clone());
        }
        let met = self.tables[at].met(plan, &after, Some(&key));
        let policy = ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"][self.dice.roll(3)];
        let rowid = plan.rowid && self.dice.chance(50);
        let list: Vec<String> = set
            .keys()
            .map(|place| {
                if rowid && *place == 0 {
                    "rowid = ?".into()
                } else {
                    format!("{} = ?", plan.columns[*place].0)
                }
            })
            .collect();
        let sql = format!(
            "{policy} {} SET {} WHERE {}",
            plan.quoted(),
            list.join(", "),
            Self::by_key(plan)
        );
        let values: Vec<Cell> = set.into_values().chain(key.iter().cloned()).collect();
        let goes = met.is_empty() || policy.ends_with("REPLACE");
        if goes {
            met.iter().for_each(|key| self.tables[at].delete(key));
            self.tables[at].update(plan, &key, after);
        }
        self.run(
            connection,
            &sql,
            &values,
            goes || policy.ends_with("IGNORE"),
        );
    }

    fn delete(&mut self, connection: &Connection, at: usize) {
        let plan = &self.plans[at];
        if self.dice.chance(10) {
            let place = plan.free[self.dice.roll(plan.free.len())];
            let cell = plan.cell(&mut self.dice, place);
            let doomed: Vec<Key> = self.tables[at]
                .rows
                .iter()
                .filter(|(_, row)| row[place] == cell)
                .map(|(key, _)| key.clone())
                .collect();
            doomed.iter().for_each(|key| self.tables[at].delete(key));
            let sql = format!(
                "DELETE FROM {} WHERE {} IS ? COLLATE BINARY",
                plan.quoted(),
                plan.columns[place].0
            );
            self.run(connection, &sql, &[cell], true);
            return;
        }
        let Some(key) = self.some_key(at) else { return };
        let plan = &self.plans[at];
        self.tables[at].delete(&key);
        let sql = format!("DELETE FROM {} WHERE {}", plan.quoted(), Self::by_key(plan));
        self.run(connection, &sql, &key, true);
    }

    fn update_many(&mut self, connection: &Connection, at: usize) {
        let plan = &self.plans[at];
        let place = plan.free[self.dice.roll(plan.free.len())];
        let cell = plan.cell(&mut self.dice, place);
        let keys: Vec<Key> = self.tables[at].rows.keys().cloned().collect();
        for key in keys {
            let mut row = self.tables[at].rows[&key].clone();
            row[place] = cell.clone();
            self.tables[at].update(plan, &key, row);
        }
        let sql = format!("UPDATE {} SET {} = ?", plan.quoted(), plan.columns[place].0);
        self.run(connection, &sql, &[cell], true);
    }

    fn transaction(&mut self, connection: &Connection) {
        let depth = self.open.len();
        if depth < 3 && self.dice.chance(50) {
            self.open.push(self.tables.clone());
            let sql = if depth == 0 {
                "BEGIN".to_owned()
            } else {
                format!("SAVEPOINT s{depth}")
            };
            self.run(connection, &sql, &[], true);
            return;
        }
        let Some(picture) = self.open.pop() else {
            return;
        };
        let keep = self.dice.chance(55);
        if !keep {
            self.tables = picture;
        }
        let depth = depth - 1;
        match (depth, keep) {
            (0, true) => self.run(connection, "COMMIT", &[], true),
            (0, false) => self.run(connection, "ROLLBACK", &[], true),
            (_, keep) => {
                if !keep {
                    self.run(connection, &format!("ROLLBACK TO s{depth}"), &[], true);
                }
                self.run(connection, &format!("RELEASE s{depth}"), &[], true);
            }
        }
    }

    fn check(&self, connection: &Connection, step: usize) {
        let mut expected = BTreeMap::new();
        for (plan, table) in self.plans.iter().zip(&self.tables) {
            table.expected(plan, &mut expected);
            let count: usize = ask(
                connection,
                &format!("SELECT count(*) FROM {}", plan.quoted()),
            )
            .parse()
            .expect("a count");
            assert_eq!(
                count,
                table.rows.len(),
                "the model of {} is wrong at step {step}\n{}",
                plan.name,
                self.tail()
            );
        }
        let seen = seen(connection);
        for (key, line) in &expected {
            assert_eq!(
                seen.get(key),
                Some(line),
                "{key:?} at step {step} after\n{}",
                self.tail()
            );
        }
        for key in seen.keys() {
            assert!(
                expected.contains_key(key),
                "{key:?} {:?} is pending at step {step} after\n{}",
                seen[key],
                self.tail()
            );
        }
    }
}

fn history(seed: u64, steps: usize) {
    println!("seed {seed}");
    let world = World::new(false);
    let connection = world.open();
    let plain = world.plain();
    let plans = plans();
    for plan in &plans {
        connection.execute_batch(&plan.create()).expect("schema");
        let options = r#"{"existing":"skip"}"#;
        connection
            .query_row(
                "SELECT sync_track(?1, ?2)",
                [plan.name, options],
                |_| Ok(()),
            )
            .expect("tracked");
    }
    let tables = plans.iter().map(|_| Table::default()).collect();
    let mut play = Play {
        plans,
        tables,
        open: Vec::new(),
        dice: Random(seed),
        done: Vec::new(),
    };
    let mut now = &connection;
    for step in 0..steps {
        if play.open.is_empty() {
            now = if play.dice.chance(30) {
                &plain
            } else {
                &connection
            };
        }
        if play.dice.chance(10) {
            let on = play.dice.chance(50);
            play.done.push(format!("recursive_triggers {on}"));
            now.pragma_update(None, "recursive_triggers", on)
                .expect("recursive_triggers");
        }
        play.step(now);
        let alone = play.open.is_empty();
        if step % 5 == 0 && (alone || std::ptr::eq(now, &connection)) {
            play.check(&connection, step);
        }
        // The server gets to know everything: from here on the rows that are there are known.
        if alone && play.dice.chance(1) {
            let at = play.dice.roll(play.plans.len());
            let name = play.plans[at].name;
            play.done.push(format!("begin afresh with {name}"));
            for (call, options) in [
                ("sync_untrack", r#"{"discard":true}"#),
                ("sync_track", r#"{"existing":"skip"}"#),
            ] {
                connection
                    .query_row(&format!("SELECT {call}(?1, ?2)"), [name, options], |_| {
                        Ok(())
                    })
                    .expect(call);
            }
            let table = &mut play.tables[at];
            table.marks.clear();
            table.known = table.rows.keys().cloned().collect();
            play.check(&connection, step);
        }
        if alone && play.dice.roll(400) == 0 {
            plain.execute_batch("VACUUM").expect("vacuum");
        }
    }
    while !play.open.is_empty() {
        play.transaction(now);
    }
    play.check(&connection, steps);
}

#[test]
fn what_is_pending_follows_from_any_history() {
    if let Some(seed) = std::env::var("SYNCSCOPE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        return history(seed, 6000);
    }
    for seed in 1..=4 {
        history(seed * 1_000_003, 1500);
    }
}

#[test]
fn a_long_history_leaves_exactly_what_is_pending() {
    history(20_261_121, 5000);
}
