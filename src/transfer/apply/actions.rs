//! What deleted rows take along by the actions of foreign keys (CASCADE, SET NULL, SET DEFAULT), told apart from what
//! triggers of the application do: before a row is deleted, those are noted that refer to it, and that go with these.

use std::collections::HashSet;

use crate::capture::key::expression;
use crate::capture::log::Entry;
use crate::capture::op::{Op, bit};
use crate::capture::reader::RowReader;
use crate::capture::{Key, Tracked};
use crate::store::{Database, REFERRING, Result, Statement, Value, ValueRef, quote_name};

/// A table that such a foreign key is about.
struct Table {
    name: String,
    /// None: it is not tracked. Deletes go through it to tables that are.
    tracked: Option<Tracked>,
    /// Columns of its key.
    keys: Vec<String>,
    /// How a row of one that is not tracked is found.
    rowid: &'static str,
}

impl Table {
    fn is(&self, id: i64) -> bool {
        self.tracked
            .as_ref()
            .is_some_and(|tracked| tracked.id == id)
    }
}

/// A foreign key of a table whose rows change when what they refer to is deleted.
struct Action {
    /// In [`Actions::tables`].
    child: usize,
    /// Name of the table that it refers to.
    parent: String,
    /// Its columns.
    from: Vec<String>,
    /// Their positions, in a tracked table.
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
    tables: Vec<Table>,
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
        let tables = tables(database)?;
        let mut actions = Vec::new();
        for (child, table) in tables.iter().enumerate() {
            let columns = database.query_all(
                "SELECT id, \"table\", \"from\", on_delete, \"to\" FROM pragma_foreign_key_list(?1, ?2) \
                 ORDER BY id, seq",
                &[table.name.as_str().into(), database.schema().into()],
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
                if table.tracked.is_none() && what != What::Cascade {
                    continue;
                }
                let from: Vec<String> = key
                    .iter()
                    .map(|(_, (_, from, _, _))| from.clone())
                    .collect();
                let shape = table.tracked.as_ref().map(|tracked| &tracked.shape);
                let positions = from.iter().filter_map(|name| shape?.position(name));
                actions.push(Action {
                    child,
                    parent: parent.to_lowercase(),
                    columns: positions.collect(),
                    from,
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
        let place = self.tables.iter().position(|known| known.is(table));
        let mut affected = Vec::new();
        let mut going = HashSet::new();
        let mut due: Vec<(usize, Key)> = place
            .map(|place| (place, key.clone()))
            .into_iter()
            .collect();
        while let Some((place, key)) = due.pop() {
            let parent = self.tables[place].name.to_lowercase();
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
                    let Some(tracked) = &self.tables[child].tracked else {
                        continue;
                    };
                    let columns = self.actions[number].columns.iter().copied().zip(values);
                    affected.push(Affected {
                        row: (tracked.id, key),
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
        let values = match &above.tracked {
            Some(tracked) if above.keys.len() > 1 => {
                RowReader::new(database, tracked, &[])?.key_values(&key.0)?
            }
            _ => vec![key.0.clone()],
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
                .filter(|action| self.tables[action.child].is(entry.row.0));
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
        let named = |place: usize| self.tables[place].name.to_lowercase();
        let is_deleted = |place: &usize| {
            let tracked = self.tables[*place].tracked.as_ref();
            tracked.is_some_and(|tracked| deleted.contains(&tracked.id))
        };
        let mut from: HashSet<String> = (0..self.tables.len())
            .filter(is_deleted)
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
        let Some(table) = &self.tables[action.child].tracked else {
            return Ok(false);
        };
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

/// The tracked tables, and others through which deletes may go.
fn tables(database: &Database) -> Result<Vec<Table>> {
    let tracked = Tracked::all(database)?.into_iter();
    let mut tables: Vec<Table> = tracked
        .map(|tracked| {
            let keys = tracked.shape.keys();
            Table {
                name: tracked.shape.name.clone(),
                keys: keys.iter().map(|key| key.name.clone()).collect(),
                tracked: Some(tracked),
                rowid: "rowid",
            }
        })
        .collect();
    let names = database.query_all(
        &format!(
            "SELECT DISTINCT t.name FROM {REFERRING} AS t, pragma_foreign_key_list(t.name, ?1) AS k \
             WHERE k.on_delete = 'CASCADE' AND EXISTS \
               (SELECT 1 FROM pragma_table_list AS l WHERE l.schema = ?1 AND l.name = t.name AND NOT l.wr)"
        ),
        &[database.schema().into()],
        |row| Ok(row.text(0)),
    )?;
    for name in names {
        if tables
            .iter()
            .any(|known| known.name.eq_ignore_ascii_case(&name))
        {
            continue;
        }
        let columns = database.query_all(
            "SELECT lower(name), name, pk FROM pragma_table_xinfo(?1, ?2) ORDER BY pk",
            &[name.as_str().into(), database.schema().into()],
            |row| Ok((row.text(0), row.text(1), row.integer(2))),
        )?;
        let is_free = |rowid: &&str| columns.iter().all(|(column, _, _)| column != rowid);
        let mut rowids = ["rowid", "_rowid_", "oid"].into_iter();
        let Some(rowid) = rowids.find(is_free) else {
            continue;
        };
        let keys = columns.into_iter().filter(|(_, _, place)| *place > 0);
        tables.push(Table {
            name,
            tracked: None,
            keys: keys.map(|(_, key, _)| key).collect(),
            rowid,
        });
    }
    Ok(tables)
}

/// Finds the rows of a child that refer to the parent's row with a key: their keys, and the columns that refer.
fn prepare(
    database: &Database,
    action: &Action,
    child: &Table,
    parent: &Table,
) -> Result<Statement> {
    let parent_keys: Vec<String> = parent.keys.iter().map(|key| quote_name(key)).collect();
    let columns = action.from.iter().zip(&action.to).enumerate();
    let meets = columns.map(|(place, (from, to))| {
        let from = quote_name(from);
        let to = to.as_deref().map(quote_name);
        let to = to.or_else(|| parent_keys.get(place).cloned());
        // By the collation of the parent's column, as the foreign key.
        format!("p.{} = c.{from}", to.unwrap_or_else(|| "rowid".into()))
    });
    let is_it: Vec<String> = match parent.tracked {
        Some(_) => {
            let numbered = parent_keys.iter().zip(1..);
            let is = numbered.map(|(key, number)| format!("p.{key} = ?{number} COLLATE BINARY"));
            is.collect()
        }
        None => vec![format!("p.{} = ?1", parent.rowid)],
    };
    let conditions: Vec<String> = meets.chain(is_it).collect();
    let key = match child.tracked {
        Some(_) => {
            let keys: Vec<&str> = child.keys.iter().map(String::as_str).collect();
            expression("c", &keys)
        }
        None => format!("c.{}", child.rowid),
    };
    let from = action.from.iter();
    let from: String = from
        .map(|name| format!(", c.{}", quote_name(name)))
        .collect();
    database.connection().prepare(&format!(
        "SELECT {key}{from} FROM {} AS p JOIN {} AS c ON {}",
        database.qualified(&parent.name),
        database.qualified(&child.name),
        conditions.join(" AND ")
    ))
}
