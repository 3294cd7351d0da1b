//! What deleted rows take along by the actions of foreign keys (CASCADE, SET NULL, SET DEFAULT), told apart from what
//! triggers of the application do: before a row is deleted, those are noted that refer to it, and that go with these.

use std::collections::HashSet;

use crate::capture::key::expression;
use crate::capture::log::Entry;
use crate::capture::op::{Op, bit};
use crate::capture::reader::RowReader;
use crate::capture::{Key, Tracked};
use crate::store::{Database, Result, Statement, Value, ValueRef, quote_name};

/// A foreign key of a tracked table whose rows change when what they refer to is deleted.
struct Action {
    /// In [`Actions::tables`].
    child: usize,
    /// Name of the table that it refers to.
    parent: String,
    /// Positions of its columns.
    columns: Vec<usize>,
    /// The columns that they refer to; none: the key.
    to: Vec<Option<String>>,
    what: What,
    /// Finds the rows that refer to a row of a tracked parent. Prepared when it is needed.
    refer: Option<Statement>,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Cascade,
    Null,
    Default,
}

/// Rows that deletes are to take along.
pub type Foreseen = HashSet<(i64, Key)>;

/// What the delete of a row is to do to another.
pub struct Affected {
    /// Table and key.
    pub row: (i64, Key),
    /// None: it goes. Else the positions of the columns that are written, each with what it holds before.
    pub columns: Option<Vec<(usize, Value)>>,
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
                "SELECT id, \"table\", \"from\", on_delete, \"to\" FROM pragma_foreign_key_list(?1, ?2) \
                 ORDER BY id, seq",
                &[table.shape.name.as_str().into(), database.schema().into()],
                |row| {
                    let names = (row.text(1), row.text(2), row.text(3), row.optional_text(4));
                    Ok((row.integer(0), names))
                },
            )?;
            for key in columns.chunk_by(|one, next| one.0 == next.0) {
                let (_, (parent, _, on_delete, _)) = &key[0];
                let what = match on_delete.as_str() {
                    "CASCADE" => What::Cascade,
                    "SET NULL" => What::Null,
                    "SET DEFAULT" => What::Default,
                    _ => continue,
                };
                let positions = key
                    .iter()
                    .filter_map(|(_, (_, from, _, _))| table.shape.position(from));
                actions.push(Action {
                    child,
                    parent: parent.to_lowercase(),
                    columns: positions.collect(),
                    to: key.iter().map(|(_, (_, _, _, to))| to.clone()).collect(),
                    what,
                    refer: None,
                });
            }
        }
        Ok(Self {
            database: database.clone(),
            tables,
            actions,
        })
    }

    /// The rows that go, or change, together with one that is about to be deleted.
    ///
    /// # Errors
    /// SQLite's.
    pub fn foresee(&mut self, table: i64, key: &Key) -> Result<Vec<Affected>> {
        let place = self.tables.iter().position(|known| known.id == table);
        let mut affected = Vec::new();
        let mut going = HashSet::new();
        let mut due: Vec<(usize, Key)> = place
            .map(|place| (place, key.clone()))
            .into_iter()
            .collect();
        while let Some((place, key)) = due.pop() {
            let parent = self.tables[place].shape.name.to_lowercase();
            for number in 0..self.actions.len() {
                if self.actions[number].parent != parent {
                    continue;
                }
                let child = self.actions[number].child;
                let goes = self.actions[number].what == What::Cascade;
                for (key, values) in self.referring(number, place, &key)? {
                    if goes {
                        if !going.insert((child, key.clone())) {
                            continue;
                        }
                        due.push((child, key.clone()));
                    }
                    let columns = self.actions[number].columns.iter().copied().zip(values);
                    affected.push(Affected {
                        row: (self.tables[child].id, key),
                        columns: (!goes).then(|| columns.collect()),
                    });
                }
            }
        }
        Ok(affected)
    }

    /// The rows that refer to one of the parent's, each with what its columns hold.
    fn referring(
        &mut self,
        number: usize,
        parent: usize,
        key: &Key,
    ) -> Result<Vec<(Key, Vec<Value>)>> {
        let (database, above) = (&self.database, &self.tables[parent]);
        let values = match above.shape.keys().len() {
            1 => vec![key.0.clone()],
            _ => RowReader::new(database, above, &[])?.key_values(&key.0)?,
        };
        let action = &mut self.actions[number];
        let refer = match action.refer.take() {
            Some(refer) => refer,
            None => prepare(database, action, &self.tables[action.child], above)?,
        };
        let refer = action.refer.insert(refer);
        let values: Vec<ValueRef<'_>> = values.iter().map(Value::borrow).collect();
        refer.bind_all(&values)?;
        let mut found = Vec::new();
        while refer.step()? {
            let mut row = refer.row().into_iter();
            let Some(key) = row.next() else { continue };
            found.push((Key(key), row.collect()));
        }
        refer.reset();
        Ok(found)
    }

    /// Which of some entries come from these actions. `deleted`: tables of which rows were deleted; `foreseen`: the rows
    /// that were to be taken along, where something else may do the same.
    ///
    /// # Errors
    /// SQLite's.
    pub fn taken_along(
        &self,
        deleted: &HashSet<i64>,
        entries: &[&Entry],
        foreseen: Option<&Foreseen>,
    ) -> Result<Taken> {
        let reached = self.reached(deleted);
        let mut taken = Taken::default();
        let entries = entries.iter();
        let is_foreseen =
            |entry: &&&Entry| foreseen.is_none_or(|foreseen| foreseen.contains(&entry.row));
        for entry in entries.filter(is_foreseen) {
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
                let bits = action.columns.iter();
                let bits = bits.filter_map(|position| table.columns.bit(*position));
                let mask = bits
                    .map(bit)
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

/// Finds the rows of a child that refer to the parent's row with a key: their keys, and the columns that refer.
fn prepare(
    database: &Database,
    action: &Action,
    child: &Tracked,
    parent: &Tracked,
) -> Result<Statement> {
    let parent_keys: Vec<String> = parent
        .shape
        .keys()
        .iter()
        .map(|key| quote_name(&key.name))
        .collect();
    let columns = action.columns.iter().zip(&action.to).enumerate();
    let meets = columns.map(|(place, (position, to))| {
        let from = quote_name(&child.shape.columns[*position].name);
        let to = to.as_deref().map(quote_name);
        let to = to.or_else(|| parent_keys.get(place).cloned());
        // By the collation of the parent's column, as the foreign key.
        format!("p.{} = c.{from}", to.unwrap_or_else(|| "rowid".into()))
    });
    let is_it = parent_keys.iter().zip(1..);
    let is_it = is_it.map(|(key, number)| format!("p.{key} = ?{number} COLLATE BINARY"));
    let conditions: Vec<String> = meets.chain(is_it).collect();
    let child_keys = child.shape.keys();
    let child_keys: Vec<&str> = child_keys.iter().map(|key| key.name.as_str()).collect();
    let from = action.columns.iter();
    let from: String = from
        .map(|position| format!(", c.{}", quote_name(&child.shape.columns[*position].name)))
        .collect();
    database.connection().prepare(&format!(
        "SELECT {}{from} FROM {} AS p JOIN {} AS c ON {}",
        expression("c", &child_keys),
        database.qualified(&parent.shape.name),
        database.qualified(&child.shape.name),
        conditions.join(" AND ")
    ))
}
