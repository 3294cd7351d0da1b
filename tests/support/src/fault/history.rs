//! Everything that ever happened to the backend's rows, in order.

use syncscope_backend::Backend;

use super::edits::{RowName, TABLES};

/// What a line of the history is about.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Born,
    Gone,
    /// A column got a value.
    Cell {
        column: String,
        value: String,
    },
}

/// One change of one row.
#[derive(Clone, Debug)]
pub struct Line {
    pub stamp: i64,
    pub row: RowName,
    pub what: What,
}

/// Begins to write the backend's history down, in a table that no client gets to see.
pub fn begin(backend: &Backend) {
    let mut sql =
        "CREATE TABLE _backend_history (seq INTEGER PRIMARY KEY, stamp, tab, id, col, value);"
            .to_owned();
    for table in &TABLES {
        let name = table.name;
        let line = |key: &str, column: &str, value: &str| {
            format!(
                "INSERT INTO _backend_history (stamp, tab, id, col, value)
                 SELECT last, '{name}', {key}, {column}, {value} FROM _backend_clock"
            )
        };
        let cell = |column: &str| {
            let value = format!("coalesce(CAST(NEW.{column} AS TEXT), 'NULL')");
            line("NEW.id", &format!("'{column}'"), &value)
        };
        let cells: Vec<String> = table.columns.iter().map(|column| cell(column)).collect();
        let changed: Vec<String> = table
            .columns
            .iter()
            .map(|column| format!("{} WHERE NEW.{column} IS NOT OLD.{column}", cell(column)))
            .collect();
        let born = [line("NEW.id", "NULL", "'born'"), cells.join("; ")].join("; ");
        sql += &format!(
            "CREATE TRIGGER _backend_history_i_{name} AFTER INSERT ON {name} BEGIN {born}; END;
             CREATE TRIGGER _backend_history_d_{name} AFTER DELETE ON {name} BEGIN {gone}; END;
             CREATE TRIGGER _backend_history_k_{name} AFTER UPDATE ON {name} WHEN OLD.id <> NEW.id
               BEGIN {gone}; {born}; END;
             CREATE TRIGGER _backend_history_u_{name} AFTER UPDATE ON {name} WHEN OLD.id = NEW.id
               BEGIN {changed}; END;",
            gone = line("OLD.id", "NULL", "'gone'"),
            changed = changed.join("; ")
        );
    }
    // The backend keeps no transaction that changes no row.
    sql += "INSERT INTO _backend_history (tab) VALUES ('none'); DELETE FROM _backend_history;";
    backend.sql(|db| db.execute_batch(&sql));
}

/// What was added since line `after`, and the number of the last line.
pub fn since(backend: &Backend, after: i64) -> (Vec<Line>, i64) {
    let rows: Vec<(i64, Line)> = backend.sql(|db| {
        let mut statement = db.prepare(
            "SELECT seq, stamp, tab, CAST(id AS TEXT), col, value FROM _backend_history
             WHERE seq > ?1 ORDER BY seq",
        )?;
        statement
            .query_map([after], |row| {
                let column: Option<String> = row.get(4)?;
                let value: String = row.get(5)?;
                let what = match (column, value.as_str()) {
                    (Some(column), _) => What::Cell { column, value },
                    (None, "born") => What::Born,
                    (None, _) => What::Gone,
                };
                let line = Line {
                    stamp: row.get(1)?,
                    row: (row.get(2)?, row.get(3)?),
                    what,
                };
                Ok((row.get(0)?, line))
            })?
            .collect()
    });
    let last = rows.last().map_or(after, |(seq, _)| *seq);
    (rows.into_iter().map(|(_, line)| line).collect(), last)
}
