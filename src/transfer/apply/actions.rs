//! What deleted rows take along by the actions of foreign keys (CASCADE, SET NULL, SET DEFAULT), told apart from what
//! triggers of the application do.

use std::collections::HashSet;

use crate::capture::log::Entry;
use crate::capture::op::{Op, bit};
use crate::capture::reader::RowReader;
use crate::capture::{Key, Tracked};
use crate::store::{Database, Result, quote_name};

/// A foreign key of a tracked table whose rows change when what they refer to is deleted.
struct Action {
    /// In [`Actions::tables`].
    child: usize,
    /// Name of the table that it refers to.
    parent: String,
    /// Positions of its columns.
    columns: Vec<usize>,
    what: What,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Cascade,
    Null,
    Default,
}

/// All such foreign keys.
pub struct Actions {
    database: Database,
    tables: Vec<Tracked>,
    actions: Vec<Action>,
}

/// What deletes took along.
#[derive(Default)]
pub struct Taken {
    /// Numbers of log entries.
    pub entries: Vec<i64>,
    /// Rows that are gone.
    pub gone: Vec<(i64, Key)>,
}

impl Actions {
    /// # Errors
    /// SQLite's.
    pub fn read(database: &Database) -> Result<Self> {
        let tables = Tracked::all(database)?;
        let mut actions = Vec::new();
        for (child, table) in tables.iter().enumerate() {
            let columns = database.query_all(
                "SELECT id, \"table\", \"from\", on_delete FROM pragma_foreign_key_list(?1, ?2) \
                 ORDER BY id, seq",
                &[table.shape.name.as_str().into(), database.schema().into()],
                |row| Ok((row.integer(0), row.text(1), row.text(2), row.text(3))),
            )?;
            for key in columns.chunk_by(|one, next| one.0 == next.0) {
                let what = match key[0].3.as_str() {
                    "CASCADE" => What::Cascade,
                    "SET NULL" => What::Null,
                    "SET DEFAULT" => What::Default,
                    _ => continue,
                };
                let positions = key
                    .iter()
                    .filter_map(|(_, _, from, _)| table.shape.position(from));
                actions.push(Action {
                    child,
                    parent: key[0].1.to_lowercase(),
                    columns: positions.collect(),
                    what,
                });
            }
        }
        Ok(Self {
            database: database.clone(),
            tables,
            actions,
        })
    }

    /// Which of some entries come from these actions. `deleted`: tables of which rows were deleted.
    ///
    /// # Errors
    /// SQLite's.
    pub fn taken_along(&self, deleted: &HashSet<i64>, entries: &[&Entry]) -> Result<Taken> {
        let reached = self.reached(deleted);
        let mut taken = Taken::default();
        for entry in entries {
            let actions = reached
                .iter()
                .filter(|action| self.tables[action.child].id == entry.row.0);
            for action in actions {
                if !self.is_by(action, entry)? {
                    continue;
                }
                taken.entries.push(entry.seq);
                if entry.op == Op::Delete {
                    taken.gone.push(entry.row.clone());
                }
                break;
            }
        }
        Ok(taken)
    }

    /// The actions that deletes of rows of these tables can set off, also through other tables.
    fn reached(&self, deleted: &HashSet<i64>) -> Vec<&Action> {
        let named = |place: usize| self.tables[place].shape.name.to_lowercase();
        let mut from: HashSet<String> = (0..self.tables.len())
            .filter(|place| deleted.contains(&self.tables[*place].id))
            .map(named)
            .collect();
        loop {
            let before = from.len();
            let actions = self.actions.iter();
            let further: Vec<String> = actions
                .filter(|action| action.what == What::Cascade && from.contains(&action.parent))
                .map(|action| named(action.child))
                .collect();
            from.extend(further);
            if from.len() == before {
                break;
            }
        }
        self.actions
            .iter()
            .filter(|action| from.contains(&action.parent))
            .collect()
    }

    /// Whether an entry is what an action does. A row that a trigger has given another parent holds that one.
    fn is_by(&self, action: &Action, entry: &Entry) -> Result<bool> {
        let table = &self.tables[action.child];
        let mut reader = RowReader::new(&self.database, table, &action.columns)?;
        let exists = reader.find_key(&entry.row.1.0)?;
        match (action.what, entry.op) {
            (What::Cascade, Op::Delete) => Ok(!exists),
            (What::Cascade, _) | (_, Op::Insert | Op::Delete | Op::Met | Op::InsertThere) => {
                Ok(false)
            }
            (What::Null | What::Default, Op::Update { group }) => {
                // A column that was dropped has left its bit behind.
                let bits = action.columns.iter();
                let mask = bits.filter_map(|position| table.columns.bit(*position).map(bit));
                let mask = mask
                    .filter(|(of, _)| *of == group)
                    .fold(0, |all, (_, bit)| all | bit);
                if entry.mask & !mask != 0 || !exists {
                    return Ok(false);
                }
                if action.what == What::Null {
                    return Ok(
                        (0..action.columns.len()).all(|place| reader.column(place).is_null())
                    );
                }
                self.holds_defaults(table, action, &reader)
            }
        }
    }

    fn holds_defaults(&self, table: &Tracked, action: &Action, row: &RowReader) -> Result<bool> {
        for (place, position) in action.columns.iter().enumerate() {
            let column = &table.shape.columns[*position];
            let default = column.default_expression().unwrap_or_else(|| "NULL".into());
            // By the column's own affinity and collation.
            let sql = format!(
                "SELECT 1 FROM {} WHERE {} IS ?1 AND {1} IS ({default}) LIMIT 1",
                self.database.qualified(&table.shape.name),
                quote_name(&column.name),
            );
            let mut same = self.database.connection().prepare(&sql)?;
            same.bind(1, row.column(place))?;
            if !same.step()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
