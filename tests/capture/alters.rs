//! Random histories of ALTER TABLE, rebuilds and edits, against a model that knows each column by itself.
//!
//! The seed of a failing history is the last that is printed.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use support::sample::sample;
use support::{Random, World, ask};

const HISTORIES: u64 = 5_000;

/// One column, whatever it is called.
#[derive(Clone, Debug)]
struct Column {
    id: usize,
    name: String,
    generated: bool,
    default: Option<&'static str>,
}

impl Column {
    fn declared(&self) -> String {
        match (self.generated, self.default) {
            (true, _) => format!("{} AS (id || 'x')", quoted(&self.name)),
            (false, Some(default)) => format!("{} TEXT DEFAULT '{default}'", quoted(&self.name)),
            (false, None) => format!("{} TEXT", quoted(&self.name)),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

struct Play {
    db: Connection,
    dice: Random,
    columns: Vec<Column>,
    /// What syncscope has seen them called.
    seen: BTreeMap<usize, String>,
    /// Changed columns by row.
    pending: BTreeMap<String, BTreeSet<usize>>,
    next: usize,
    value: usize,
    done: Vec<String>,
}

const NAMES: &[&str] = &[
    "a",
    "b",
    "title",
    "Title old",
    "x\"y",
    "<< 3",
    "old",
    "new",
    "group",
    "[n]",
    "ä ö",
    "OLD.a",
];

impl Play {
    fn new(db: Connection, seed: u64) -> Self {
        let mut play = Self {
            db,
            dice: Random(seed),
            columns: Vec::new(),
            seen: BTreeMap::new(),
            pending: BTreeMap::new(),
            next: 0,
            value: 0,
            done: Vec::new(),
        };
        for _ in 0..3 + play.dice.roll(3) {
            let column = play.fresh(false);
            play.columns.push(column);
        }
        play.create("t");
        play.sql("INSERT INTO t (id) VALUES ('r'), ('s'), ('u')");
        play.ask(r#"SELECT sync_track('t', '{"existing":"skip"}')"#);
        play.looked();
        play
    }

    fn sql(&mut self, sql: &str) {
        self.done.push(sql.to_owned());
        if let Err(error) = self.db.execute_batch(sql) {
            panic!("{error}\n{}", self.done.join(";\n"));
        }
    }

    fn ask(&mut self, sql: &str) -> String {
        self.done.push(sql.to_owned());
        ask(&self.db, sql)
    }

    /// syncscope has written down what the columns are called.
    fn looked(&mut self) {
        let columns = self.columns.iter();
        self.seen = columns
            .map(|column| (column.id, column.name.clone()))
            .collect();
    }

    fn free_name(&mut self) -> String {
        loop {
            let name = NAMES[self.dice.roll(NAMES.len())];
            let taken = |column: &Column| column.name.eq_ignore_ascii_case(name);
            if !self.columns.iter().any(taken) {
                return name.to_owned();
            }
        }
    }

    fn fresh(&mut self, generated: bool) -> Column {
        self.next += 1;
        Column {
            id: self.next,
            name: self.free_name(),
            generated,
            default: self.dice.chance(30).then_some("d"),
        }
    }

    fn create(&mut self, table: &str) {
        let columns: Vec<String> = self.columns.iter().map(Column::declared).collect();
        let sql = format!(
            "CREATE TABLE {table} (id TEXT PRIMARY KEY, {})",
            columns.join(", ")
        );
        self.sql(&sql);
    }

    fn plain(&self) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        let plain = columns.filter(|(_, column)| !column.generated);
        plain.map(|(place, _)| place).collect()
    }

    fn some_plain(&mut self) -> usize {
        let plain = self.plain();
        plain[self.dice.roll(plain.len())]
    }

    fn step(&mut self) {
        match self.dice.roll(20) {
            0..=6 => self.edit(),
            7..=8 => self.add(),
            9..=10 => self.rename(),
            11 => self.swap(),
            12 => self.chain(),
            13 => drop(self.drop_column()),
            14 => self.drop_and_add(),
            15 => self.rebuild_with_triggers(),
            16 => self.rebuild(),
            17 => self.drop_triggers(),
            18 => self.off_and_on(),
            _ => self.look(),
        }
    }

    fn edit(&mut self) {
        let row = ["r", "s", "u"][self.dice.roll(3)];
        let places: BTreeSet<usize> = (0..1 + self.dice.roll(2))
            .map(|_| self.some_plain())
            .collect();
        self.value += 1;
        let value = self.value;
        let set: Vec<String> = places
            .iter()
            .map(|place| format!("{} = 'v{value}'", quoted(&self.columns[*place].name)))
            .collect();
        let ids = places.iter().map(|place| self.columns[*place].id);
        let ids: Vec<usize> = ids.collect();
        self.pending.entry(row.to_owned()).or_default().extend(ids);
        self.sql(&format!(
            "UPDATE t SET {} WHERE id = '{row}'",
            set.join(", ")
        ));
    }

    fn add(&mut self) {
        if self.columns.len() >= 9 {
            return;
        }
        let generated = self.dice.chance(25);
        let column = self.fresh(generated);
        self.sql(&format!("ALTER TABLE t ADD COLUMN {}", column.declared()));
        self.columns.push(column);
    }

    fn rename_to(&mut self, place: usize, name: &str) {
        let old = quoted(&self.columns[place].name);
        self.sql(&format!(
            "ALTER TABLE t RENAME COLUMN {old} TO {}",
            quoted(name)
        ));
        self.columns[place].name = name.to_owned();
    }

    fn rename(&mut self) {
        let place = self.dice.roll(self.columns.len());
        let name = self.free_name();
        self.rename_to(place, &name);
    }

    fn swap(&mut self) {
        let (one, other) = (self.some_plain(), self.some_plain());
        if one == other {
            return;
        }
        let names = [one, other].map(|place| self.columns[place].name.clone());
        self.rename_to(one, "between");
        self.rename_to(other, &names[0]);
        self.rename_to(one, &names[1]);
    }

    /// a → a_old, b → a.
    fn chain(&mut self) {
        let (one, other) = (self.some_plain(), self.some_plain());
        if one == other {
            return;
        }
        let name = self.columns[one].name.clone();
        let free = self.free_name();
        self.rename_to(one, &free);
        self.rename_to(other, &name);
    }

    fn remove(&mut self, place: usize) -> Column {
        let column = self.columns.remove(place);
        for changed in self.pending.values_mut() {
            changed.remove(&column.id);
        }
        column
    }

    fn drop_column(&mut self) -> Option<Column> {
        if self.plain().len() < 3 {
            return None;
        }
        let place = self.dice.roll(self.columns.len());
        let name = quoted(&self.columns[place].name);
        let drop = format!("ALTER TABLE t DROP COLUMN {name}");
        if self.columns[place].generated && self.dice.chance(50) {
            self.sql(&drop);
        } else {
            let text = drop.replace('\'', "''");
            self.ask(&format!("SELECT sync_alter('t', '{text}')"));
        }
        let column = self.remove(place);
        if !column.generated {
            self.looked();
        }
        Some(column)
    }

    fn drop_and_add(&mut self) {
        let Some(column) = self.drop_column() else {
            return;
        };
        self.next += 1;
        let again = Column {
            id: self.next,
            generated: false,
            ..column
        };
        self.sql(&format!("ALTER TABLE t ADD COLUMN {}", again.declared()));
        self.columns.push(again);
    }

    /// Makes the table again, its columns in another order.
    fn make_again(&mut self) {
        for place in (1..self.columns.len()).rev() {
            let other = self.dice.roll(place + 1);
            self.columns.swap(place, other);
        }
        let names: Vec<String> = self
            .plain()
            .into_iter()
            .map(|place| quoted(&self.columns[place].name))
            .collect();
        let copy = format!("id, {}", names.join(", "));
        if self.dice.chance(50) {
            self.create("t2");
            self.sql(&format!("INSERT INTO t2 ({copy}) SELECT {copy} FROM t"));
            self.sql("DROP TABLE t");
            self.sql("ALTER TABLE t2 RENAME TO t");
        } else {
            self.sql("ALTER TABLE t RENAME TO t1");
            self.create("t");
            self.sql(&format!("INSERT INTO t ({copy}) SELECT {copy} FROM t1"));
            self.sql("DROP TABLE t1");
        }
    }

    fn triggers(&mut self, column: &str) -> Vec<String> {
        let sql = format!(
            "SELECT {column} FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 't' AND name LIKE '\\_syncCapture%' ESCAPE '\\'"
        );
        let mut statement = self.db.prepare(&sql).expect("triggers");
        let rows = statement.query_map([], |row| row.get(0)).expect("triggers");
        rows.map(|row| row.expect("text")).collect()
    }

    fn rebuild_with_triggers(&mut self) {
        let triggers = self.triggers("sql");
        self.make_again();
        for trigger in triggers {
            self.sql(&trigger);
        }
    }

    /// Without the triggers, columns are known by the names that were seen last.
    fn rebuild(&mut self) {
        let Some(unnamed) = self.unnamed() else {
            return;
        };
        self.make_again();
        self.lost(&unnamed);
    }

    fn drop_triggers(&mut self) {
        let Some(unnamed) = self.unnamed() else {
            return;
        };
        for name in self.triggers("name") {
            self.sql(&format!("DROP TRIGGER {}", quoted(&name)));
        }
        self.lost(&unnamed);
    }

    /// Ids of columns whose name was not seen; none when a name that was seen is another column's now, which nobody
    /// can tell without the triggers.
    fn unnamed(&mut self) -> Option<BTreeSet<usize>> {
        let other = |column: &Column| {
            let mut seen = self.seen.iter();
            seen.any(|(id, name)| *id != column.id && name.eq_ignore_ascii_case(&column.name))
        };
        if self.columns.iter().any(other) {
            return None;
        }
        let columns = self.columns.iter().filter(|column| !column.generated);
        let unnamed = columns.filter(|column| {
            let seen = self.seen.get(&column.id);
            seen.is_none_or(|seen| !seen.eq_ignore_ascii_case(&column.name))
        });
        let unnamed = unnamed.map(|column| column.id).collect::<BTreeSet<usize>>();
        // A column of unknown name next to one that was renamed: whether it was changed can't be told either.
        let renamed = unnamed.iter().any(|id| self.seen.contains_key(id));
        let is_new = |id: &usize| !self.seen.contains_key(id);
        let edited_new = self.pending.values().flatten().any(is_new);
        (!renamed || !edited_new).then_some(unnamed)
    }

    fn lost(&mut self, unnamed: &BTreeSet<usize>) {
        let seen = &self.seen;
        let renamed = |id: &usize| unnamed.contains(id) && seen.contains_key(id);
        for changed in self.pending.values_mut() {
            if changed.iter().any(renamed) {
                changed.extend(unnamed);
            }
        }
        if self.dice.chance(50) {
            self.check();
        }
        self.look();
    }

    fn off_and_on(&mut self) {
        self.ask("SELECT sync_capture_off('t')");
        self.looked();
        if self.plain().len() > 2 && self.dice.chance(60) {
            let place = self.dice.roll(self.columns.len());
            let name = quoted(&self.columns[place].name);
            self.sql(&format!("ALTER TABLE t DROP COLUMN {name}"));
            self.remove(place);
        }
        self.make_again();
        if self.dice.chance(50) {
            self.check();
        }
        self.ask("SELECT sync_capture_on('t')");
        self.looked();
    }

    fn look(&mut self) {
        self.ask("SELECT sync_track('t')");
        self.looked();
    }

    fn check(&mut self) {
        let mut expected = BTreeMap::new();
        for (row, changed) in &self.pending {
            let columns = self.columns.iter();
            let names = columns.filter(|column| changed.contains(&column.id));
            let names: Vec<&str> = names.map(|column| column.name.as_str()).collect();
            if !names.is_empty() {
                expected.insert(row.clone(), format!("updated {}", serde_json::json!(names)));
            }
        }
        let seen = ask(
            &self.db,
            "SELECT key, op || ' ' || changed FROM sync_pending",
        );
        let seen: BTreeMap<String, String> = seen
            .lines()
            .filter_map(|line| line.split_once('|'))
            .map(|(key, line)| (key.to_owned(), line.to_owned()))
            .collect();
        assert_eq!(seen, expected, "after\n{}", self.done.join(";\n"));
        let has = ask(&self.db, "SELECT sync_has_pending()");
        assert_eq!(has == "1", !expected.is_empty());
    }
}

fn history(db: Connection, seed: u64) -> Connection {
    let mut play = Play::new(db, seed);
    for _ in 0..3 + play.dice.roll(6) {
        play.step();
        if play.dice.chance(40) {
            play.check();
        }
    }
    play.check();
    play.ask(r#"SELECT sync_untrack('t', '{"discard":true}')"#);
    play.sql("DROP TABLE t");
    play.db
}

#[test]
fn m2_an_edit_stays_with_its_column_whatever_is_altered() {
    let seeds = sample(module_path!(), 0..HISTORIES, 23).map(|number| 7_000_003 + number * 13);
    let seeds: Vec<u64> = seeds.collect();
    let half = seeds.len() / 2;
    std::thread::scope(|scope| {
        for (journal, seeds) in [("WAL", &seeds[..half]), ("DELETE", &seeds[half..])] {
            scope.spawn(move || {
                // To make the tables of syncscope takes longer than a history.
                let world = World::new(false);
                let mut db = world.open();
                ask(&db, &format!("PRAGMA journal_mode = {journal}"));
                ask(&db, "PRAGMA synchronous = OFF");
                ask(&db, "SELECT sync_init()");
                for seed in seeds {
                    println!("seed {seed}");
                    settle(&db, *seed);
                    db = history(db, *seed);
                }
            });
        }
    });
}

/// The settings of a connection that may matter, drawn by the seed.
fn settle(db: &Connection, seed: u64) {
    for (bit, setting) in ["foreign_keys", "recursive_triggers"].iter().enumerate() {
        ask(db, &format!("PRAGMA {setting} = {}", seed >> bit & 1));
    }
}
