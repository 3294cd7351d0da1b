//! The statements that read and write single rows of a hub, prepared once for each set of columns.

use std::collections::HashMap;

use super::feed::Fed;
use super::table::Table;
use crate::store::{Database, Error, Result, Statement, quote_name};

/// What is done with a row; its key is the first value of each statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Says whether it is there: 1, and what it holds.
    Read,
    Insert,
    Update,
    Delete,
}

/// Sets of columns for which statements are kept: each has the triggers of its table compiled into it.
const MOST: usize = 64;

/// See the file's head.
pub struct Statements<'a> {
    database: &'a Database,
    tables: &'a [(Table, Fed)],
    /// By table and verb, then by the places of the columns.
    prepared: HashMap<(usize, Verb), HashMap<Vec<usize>, Statement>>,
}

impl<'a> Statements<'a> {
    pub fn new(database: &'a Database, tables: &'a [(Table, Fed)]) -> Self {
        Self {
            database,
            tables,
            prepared: HashMap::new(),
        }
    }

    /// The statement for some columns of a table.
    ///
    /// # Errors
    /// SQLite's.
    pub fn get(&mut self, verb: Verb, table: usize, columns: &[usize]) -> Result<&mut Statement> {
        let of_verb = self.prepared.entry((table, verb)).or_default();
        if !of_verb.contains_key(columns) {
            if of_verb.len() >= MOST {
                of_verb.clear();
            }
            let sql = text(self.database, verb, &self.tables[table].0, columns);
            let statement = self.database.connection().prepare(&sql)?;
            of_verb.insert(columns.to_vec(), statement);
        }
        of_verb
            .get_mut(columns)
            .ok_or_else(|| Error::misuse("a statement is missing"))
    }
}

fn text(database: &Database, verb: Verb, table: &Table, columns: &[usize]) -> String {
    let (name, key) = (database.qualified(&table.name), table.quoted_key());
    let columns: Vec<String> = columns
        .iter()
        .map(|place| quote_name(&table.columns[*place]))
        .collect();
    let each = |shown: &dyn Fn(usize, &String) -> String| -> String {
        let columns = columns.iter().enumerate();
        columns
            .map(|(place, column)| shown(place + 2, column))
            .collect()
    };
    // The key may have another collation.
    let its_row = format!("WHERE {key} = ?1 AND {key} = ?1 COLLATE BINARY");
    let listed = each(&|_, column| format!(", {column}"));
    match verb {
        Verb::Read => format!("SELECT 1{listed} FROM {name} {its_row}"),
        Verb::Insert => format!(
            "INSERT OR ABORT INTO {name} ({key}{listed}) VALUES (?1{})",
            each(&|number, _| format!(", ?{number}"))
        ),
        Verb::Update => {
            let set = each(&|number, column| format!(", {column} = ?{number}"));
            format!(
                "UPDATE OR ABORT {name} SET {} {its_row}",
                set.trim_start_matches(", ")
            )
        }
        Verb::Delete => format!("DELETE FROM {name} {its_row}"),
    }
}
