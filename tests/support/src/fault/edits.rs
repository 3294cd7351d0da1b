//! Random edits as a program makes them, and what they did to the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rusqlite::Connection;

use crate::{Random, ask};

/// A table of the schedules. Its key is `id`.
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [&'static str],
    integer_key: bool,
}

pub const TABLES: [Table; 2] = [
    Table {
        name: "item",
        columns: &["born", "a", "b", "n"],
        integer_key: false,
    },
    Table {
        name: "label",
        columns: &["born", "name", "n"],
        integer_key: true,
    },
];

/// Table and id.
pub type RowName = (String, String);

/// Rows as text, by table and id; the values in the order of the columns.
pub type Picture = BTreeMap<RowName, Vec<String>>;

/// All rows of a device.
pub fn picture(db: &Connection) -> Picture {
    let mut all = Picture::new();
    for table in &TABLES {
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|name| format!("coalesce(CAST({name} AS TEXT), 'NULL')"))
            .collect();
        let sql = format!(
            "SELECT CAST(id AS TEXT), {} FROM {}",
            columns.join(", "),
            table.name
        );
        let mut statement = db.prepare(&sql).expect("table");
        let rows = statement
            .query_map([], |row| {
                let values = (1..=columns.len()).map(|place| row.get(place)).collect();
                Ok((row.get::<_, String>(0)?, values))
            })
            .expect("rows");
        for row in rows {
            let (id, values): (_, rusqlite::Result<Vec<String>>) = row.expect("row");
            all.insert((table.name.to_owned(), id), values.expect("values"));
        }
    }
    all
}

/// Rows that the backend does not know, as the device sees it.
pub fn created(db: &Connection) -> BTreeSet<RowName> {
    let sql = "SELECT \"table\", key FROM sync_pending WHERE op = 'created'";
    ask(db, sql)
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(table, id)| (table.to_owned(), id.to_owned()))
        .collect()
}

/// Makes up edits. No value is ever used twice.
pub struct Author {
    /// Counts values, so that each is found again.
    pub counter: u64,
}

/// One transaction: its statements, and whether it is committed in the end.
pub struct Draft {
    pub statements: Vec<String>,
    pub commits: bool,
}

impl fmt::Display for Draft {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.commits { "" } else { "; ROLLBACK" };
        write!(out, "{}{end}", self.statements.join(";\n    "))
    }
}

impl Author {
    /// Rows to begin with.
    pub fn first_rows(&self, number: u64) -> String {
        format!(
            "WITH x (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM x WHERE x < {number})
             INSERT INTO item SELECT 's' || x, 'first-' || x, 'a-' || x, 'b-' || x, -x FROM x;
             WITH x (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM x WHERE x < 8)
             INSERT INTO label SELECT x, 'first-' || x, 'name-' || x, -x FROM x"
        )
    }

    /// A transaction of the device or client called `who`.
    pub fn draft(&mut self, random: &mut Random, who: &str) -> Draft {
        let number = match random.below(10) {
            0..=5 => 1,
            6..=8 => 2 + random.below(3),
            _ => 5 + random.below(8),
        };
        let mut statements = Vec::new();
        for _ in 0..number {
            let undone = random.chance(8);
            if undone {
                statements.push("SAVEPOINT half".into());
            }
            statements.extend(self.statement(random, who));
            if undone {
                statements.push("ROLLBACK TO half".into());
                statements.push("RELEASE half".into());
            }
        }
        Draft {
            statements,
            commits: !random.chance(12),
        }
    }

    fn statement(&mut self, random: &mut Random, who: &str) -> Vec<String> {
        let table = &TABLES[usize::from(random.chance(30))];
        let name = table.name;
        // Few ids, shared by all, so that edits meet.
        let shared = random.below(10);
        let id = match table.integer_key {
            true => format!("{}", shared + 1),
            false => format!("'s{shared}'"),
        };
        match random.below(20) {
            0 | 1 => vec![self.insert(table, "INSERT OR IGNORE", &self.new_id(table, who), who)],
            2 | 3 => vec![self.insert(table, "INSERT OR IGNORE", &id, who)],
            4 | 5 => vec![self.insert(table, "REPLACE", &id, who)],
            6 => {
                let insert = self.insert(table, "INSERT", &id, who);
                let (column, value) = self.column(random, table, who);
                vec![format!(
                    "{insert} ON CONFLICT (id) DO UPDATE SET {column} = {value}"
                )]
            }
            7 | 8 => vec![format!("DELETE FROM {name} WHERE id = {id}")],
            9 => vec![
                format!("DELETE FROM {name} WHERE id = {id}"),
                self.insert(table, "INSERT", &id, who),
            ],
            10 => {
                let new = self.new_id(table, who);
                self.counter += 1;
                vec![format!("UPDATE {name} SET id = {new} WHERE id = {id}")]
            }
            11 | 12 => {
                let (column, value) = self.column(random, table, who);
                vec![format!(
                    "UPDATE {name} SET {column} = {value} WHERE id >= {id}"
                )]
            }
            13 => {
                let (one, first) = self.column(random, table, who);
                let (two, second) = self.column(random, table, who);
                let both = match one == two {
                    true => format!("{one} = {first}"),
                    false => format!("{one} = {first}, {two} = {second}"),
                };
                vec![format!("UPDATE {name} SET {both} WHERE id = {id}")]
            }
            _ => {
                let (column, value) = self.column(random, table, who);
                vec![format!(
                    "UPDATE {name} SET {column} = {value} WHERE id = {id}"
                )]
            }
        }
    }

    fn new_id(&self, table: &Table, who: &str) -> String {
        let number = self.counter + 1;
        match table.integer_key {
            true => format!("{}", 100 + number),
            false => format!("'{who}{number}'"),
        }
    }

    fn insert(&mut self, table: &Table, verb: &str, id: &str, who: &str) -> String {
        let values: Vec<String> = table
            .columns
            .iter()
            .map(|column| self.value(column, who))
            .collect();
        format!(
            "{verb} INTO {} (id, {}) VALUES ({id}, {})",
            table.name,
            table.columns.join(", "),
            values.join(", ")
        )
    }

    /// Any column but `born`, which only whole rows get.
    fn column(&mut self, random: &mut Random, table: &Table, who: &str) -> (&'static str, String) {
        let place = 1 + random.below(table.columns.len() as u64 - 1) as usize;
        let column = table.columns[place];
        (column, self.value(column, who))
    }

    fn value(&mut self, column: &str, who: &str) -> String {
        self.counter += 1;
        match column {
            "n" => self.counter.to_string(),
            _ => format!("'{who}-{}'", self.counter),
        }
    }
}
