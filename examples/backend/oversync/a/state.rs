//! What the server knows: rows and their versions, the log that devices read, the projected rows; and how to
//! take back what a request did to them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::options::Options;

/// User, table and id.
pub type RowKey = (String, String, String);

/// User, device and the id that the device gave to its change.
pub type ChangeKey = (String, String, i64);

/// A row of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub version: i64,
    pub deleted: bool,
    /// JSON as it was sent; empty for a deleted row.
    pub payload: String,
}

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub user: String,
    pub source: String,
    pub change: i64,
    pub table: String,
    pub op: &'static str,
    pub pk: String,
    pub payload: String,
    pub version: i64,
    pub deleted: bool,
    pub at: String,
}

/// A change id that is used up.
#[derive(Clone, Debug)]
pub struct Used {
    /// What it was used for.
    pub content: String,
    /// What became of it; None for a refused one.
    pub version: Option<i64>,
}

/// A row that could not be projected.
#[derive(Clone, Debug)]
pub struct Failure {
    pub user: String,
    pub table: String,
    pub pk: String,
    pub version: i64,
    pub op: &'static str,
    pub payload: String,
    pub error: String,
    pub at: String,
    pub retries: i64,
}

/// Owner and id; nobody owns the rows that all users share.
pub type ProjectedKey = (String, String);

pub type ProjectedRow = Map<String, Value>;

/// What is out of order in the server's database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Breakdown {
    #[default]
    None,
    /// The change log is gone.
    Log,
    /// A projected table is gone.
    Table(String),
}

enum Undo {
    Entry(i64),
    Used(ChangeKey),
    Row(RowKey, Option<Row>),
    Projected(String, ProjectedKey, Option<ProjectedRow>),
    Failure(i64),
}

pub struct State {
    pub options: Options,
    pub breakdown: Breakdown,
    pub rows: HashMap<RowKey, Row>,
    pub log: BTreeMap<i64, Entry>,
    pub used: HashMap<ChangeKey, Used>,
    pub projected: HashMap<String, BTreeMap<ProjectedKey, ProjectedRow>>,
    pub failures: BTreeMap<i64, Failure>,
    last_number: i64,
    last_failure: i64,
    undo: Vec<Undo>,
}

impl State {
    pub fn new(options: Options) -> State {
        State {
            options,
            breakdown: Breakdown::None,
            rows: HashMap::new(),
            log: BTreeMap::new(),
            used: HashMap::new(),
            projected: HashMap::new(),
            failures: BTreeMap::new(),
            last_number: 0,
            last_failure: 0,
            undo: Vec::new(),
        }
    }

    /// The next number of the log. It is used up even if what it was taken for is taken back.
    pub fn number(&mut self) -> i64 {
        self.last_number += 1;
        self.last_number
    }

    /// The highest number of a user's log.
    pub fn highest(&self, user: &str) -> i64 {
        let mut newest = self.log.iter().rev();
        newest
            .find(|(_, entry)| entry.user == user)
            .map_or(0, |(number, _)| *number)
    }

    /// Who owns what is projected for a user.
    pub fn owner(&self, user: &str) -> String {
        match self.options.defects.shares_projection {
            true => String::new(),
            false => user.to_string(),
        }
    }

    pub fn projected(&self, table: &str, key: &ProjectedKey) -> Option<&ProjectedRow> {
        self.projected.get(table)?.get(key)
    }

    // ---- writing

    pub fn write_entry(&mut self, number: i64, entry: Entry) {
        self.log.insert(number, entry);
        self.undo.push(Undo::Entry(number));
    }

    pub fn use_up(&mut self, key: ChangeKey, used: Used) {
        self.used.insert(key.clone(), used);
        self.undo.push(Undo::Used(key));
    }

    pub fn write_row(&mut self, key: RowKey, row: Row) {
        let before = self.rows.insert(key.clone(), row);
        self.undo.push(Undo::Row(key, before));
    }

    /// None: the row is deleted.
    pub fn write_projected(&mut self, table: &str, key: ProjectedKey, row: Option<ProjectedRow>) {
        let rows = self.projected.entry(table.to_string()).or_default();
        let before = match row {
            Some(row) => rows.insert(key.clone(), row),
            None => rows.remove(&key),
        };
        self.undo
            .push(Undo::Projected(table.to_string(), key, before));
    }

    pub fn write_failure(&mut self, failure: Failure) {
        self.last_failure += 1;
        self.failures.insert(self.last_failure, failure);
        self.undo.push(Undo::Failure(self.last_failure));
    }

    // ---- taking back

    /// What was written before can not be taken back any more.
    pub fn begin(&mut self) {
        self.undo.clear();
    }

    /// A point to go back to.
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Takes back what was written since a mark.
    pub fn go_back(&mut self, mark: usize) {
        while self.undo.len() > mark {
            let Some(undo) = self.undo.pop() else {
                return;
            };
            self.take_back(undo);
        }
    }

    fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Entry(number) => {
                self.log.remove(&number);
            }
            Undo::Used(key) => {
                self.used.remove(&key);
            }
            Undo::Row(key, Some(row)) => {
                self.rows.insert(key, row);
            }
            Undo::Row(key, None) => {
                self.rows.remove(&key);
            }
            Undo::Projected(table, key, before) => {
                let rows = self.projected.entry(table).or_default();
                match before {
                    Some(row) => rows.insert(key, row),
                    None => rows.remove(&key),
                };
            }
            Undo::Failure(number) => {
                self.failures.remove(&number);
            }
        }
    }

    /// The projected rows that were written since [`State::begin`]: table and key.
    pub fn touched(&self) -> Vec<(String, ProjectedKey)> {
        let projected = |undo: &Undo| match undo {
            Undo::Projected(table, key, _) => Some((table.clone(), key.clone())),
            _ => None,
        };
        self.undo.iter().filter_map(projected).collect()
    }
}
