//! Tables whose keys refer to the keys of others: each row is a part of the one above that has its key ("1:1").

use crate::store::{Database, Error, Result, enforces_references};

use super::shape::Shape;
use super::tracked::{Counted, Tracked, registration};

/// How the keys of a table's rows come about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Counting {
    /// Whoever makes a row chooses its key: rows of the same key are one row.
    #[default]
    Not,
    /// They are counted on every device: rows of the same key may be several.
    Own,
    /// They are those of rows above them, which are counted. Rows of the same key are several where those above are.
    Shared,
}

impl Counting {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database, table: &Tracked) -> Result<Self> {
        Self::below(database, table, &mut Vec::new())
    }

    fn below(database: &Database, table: &Tracked, seen: &mut Vec<String>) -> Result<Self> {
        if table.options.counted == Some(Counted::Same) {
            return Ok(Self::Not);
        }
        let mut above = above(database, &table.shape)?;
        if !enforces_references(database.connection()) {
            // Nothing holds a row to one that is not synced.
            let mut synced = Vec::new();
            for name in above {
                if registration(database, &name)?.is_some() {
                    synced.push(name);
                }
            }
            above = synced;
        }
        if above.is_empty() {
            return Ok(match table.counts_keys() {
                true => Self::Own,
                false => Self::Not,
            });
        }
        seen.push(table.shape.name.clone());
        for name in above {
            // Tables that refer to each other.
            if seen.contains(&name) || registration(database, &name)?.is_none() {
                continue;
            }
            let above = match Tracked::open(database, &name) {
                Ok(above) => Self::below(database, &above, seen)?,
                Err(error @ Error::Sqlite { .. }) => return Err(error),
                // It is captured again before anything of it is synced.
                Err(_) => Self::Not,
            };
            if above != Self::Not {
                return Ok(Self::Shared);
            }
        }
        Ok(Self::Not)
    }
}

/// The tables whose keys the key of a table refers to.
///
/// # Errors
/// SQLite's.
pub fn above(database: &Database, shape: &Shape) -> Result<Vec<String>> {
    let keys = shape.keys();
    let [key] = keys.as_slice() else {
        return Ok(Vec::new());
    };
    // Asked of every table at every sync.
    if !shape.definition.to_ascii_lowercase().contains("references") {
        return Ok(Vec::new());
    }
    // CROSS: of the few references first, not of all tables of the file.
    database.query_all(
        "SELECT parent.name FROM pragma_foreign_key_list(?1, ?2) AS fk \
           CROSS JOIN main.sqlite_master AS parent ON parent.type = 'table' AND parent.name = fk.\"table\" COLLATE NOCASE \
         WHERE fk.\"from\" = ?3 COLLATE NOCASE AND parent.name <> ?1 COLLATE NOCASE \
           AND (SELECT count(*) FROM pragma_table_info(parent.name, ?2) WHERE pk > 0) = 1 \
           AND (fk.\"to\" IS NULL OR fk.\"to\" = \
             (SELECT name FROM pragma_table_info(parent.name, ?2) WHERE pk > 0) COLLATE NOCASE)",
        &[
            shape.name.as_str().into(),
            database.schema().into(),
            key.name.as_str().into(),
        ],
        |row| Ok(row.text(0)),
    )
}
