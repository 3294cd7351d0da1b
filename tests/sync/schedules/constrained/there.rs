//! Everything that ever happened to marks on the backend, in order.

use std::collections::{BTreeMap, BTreeSet};

use support::{Backend, ask};

use super::world::{MARKED, TABLES};

/// Begins to write it down, in a table that no client gets to see.
pub fn begin(backend: &Backend) {
    let mut sql =
        "CREATE TABLE _backend_history (seq INTEGER PRIMARY KEY, stamp, tab, id, col, mark);"
            .to_owned();
    for table in TABLES {
        let line = |key: &str, column: &str, mark: &str| {
            format!(
                "INSERT INTO _backend_history (stamp, tab, id, col, mark)
                 SELECT last, '{table}', {key}, '{column}', {mark} FROM _backend_clock"
            )
        };
        let cells = |condition: bool| -> String {
            let cell = |column: &&str| {
                let changed = format!(" WHERE NEW.{column} IS NOT OLD.{column}");
                line("NEW.id", column, &format!("NEW.{column}"))
                    + if condition { &changed } else { "" }
                    + ";"
            };
            MARKED.iter().map(cell).collect()
        };
        sql += &format!(
            "CREATE TRIGGER _backend_history_i_{table} AFTER INSERT ON {table} BEGIN {}; {} END;
             CREATE TRIGGER _backend_history_u_{table} AFTER UPDATE ON {table} BEGIN {}; {} END;
             CREATE TRIGGER _backend_history_d_{table} AFTER DELETE ON {table} BEGIN {}; END;",
            line("NEW.id", "+", "NULL"),
            cells(false),
            line("NEW.id", "*", "NULL"),
            cells(true),
            line("OLD.id", "-", "NULL"),
        );
    }
    // The backend keeps no transaction that changes no row.
    sql += "INSERT INTO _backend_history (tab) VALUES ('none'); DELETE FROM _backend_history;";
    backend.sql(|db| db.execute_batch(&sql));
}

/// One change: `+` for a row that came, `-` for one that went, `*` for one that was written, else a column and its mark.
pub struct Line {
    pub stamp: i64,
    pub what: String,
    pub mark: String,
}

/// Table and key.
pub type Name = (String, String);

#[derive(Default)]
pub struct History {
    pub rows: BTreeMap<Name, Vec<Line>>,
    pub marks: BTreeSet<String>,
}

pub fn history(backend: &Backend) -> History {
    let text = backend.sql(|db| {
        Ok(ask(
            db,
            "SELECT tab, CAST(id AS TEXT), stamp, col, mark FROM _backend_history ORDER BY seq",
        ))
    });
    let mut history = History::default();
    for line in text.lines() {
        let parts: Vec<&str> = line.split('|').collect();
        let [table, key, stamp, what, mark] = parts[..] else {
            panic!("{line}");
        };
        history.marks.insert(mark.to_owned());
        history
            .rows
            .entry((table.to_owned(), key.to_owned()))
            .or_default()
            .push(Line {
                stamp: stamp.parse().expect("a stamp"),
                what: what.to_owned(),
                mark: mark.to_owned(),
            });
    }
    history
}
