//! The tables below one, whose rows have the keys of its rows: a row that gets another key takes those along that are
//! parts of it, on every level.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::capture::shape::Shape;
use crate::capture::tracked::registration;
use crate::capture::{Key, PendingRows, Tracked};
use crate::store::{Database, Error, Result, Value, quote_name};

use super::counted::highest;
use super::reference::Reference;
use super::renamed::Renamed;

/// The tables below one, each behind that which it is below of.
pub struct Family {
    members: Vec<Member>,
}

struct Member {
    /// The place of the member above; none: it is the table itself.
    above: Option<usize>,
    table: Table,
    reference: Reference,
}

enum Table {
    Tracked(Box<Tracked>),
    /// One that is not synced, or not captured now.
    Other(Box<Shape>),
}

impl Table {
    fn shape(&self) -> &Shape {
        match self {
            Self::Tracked(table) => &table.shape,
            Self::Other(shape) => shape,
        }
    }

    fn id(&self) -> Option<i64> {
        match self {
            Self::Tracked(table) => Some(table.id),
            Self::Other(_) => None,
        }
    }
}

/// Whether rows that are parts of others follow them. Those of tables that are not synced always do.
pub type Follows<'a> = dyn Fn(&Tracked, &Key) -> Result<bool> + 'a;

/// Rows that get other keys with all their parts: these before what they are parts of.
pub struct Whole<'a> {
    pub rows: Vec<Renamed<'a>>,
    /// For each row, the place among the given ones of that which it is a part of, or is.
    pub roots: Vec<usize>,
}

impl Family {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database, root: &Shape) -> Result<Self> {
        let mut members: Vec<Member> = Vec::new();
        below(database, root, None, &mut members, &root.name)?;
        let mut place = 0;
        while place < members.len() {
            let shape = members[place].table.shape().clone();
            below(database, &shape, Some(place), &mut members, &root.name)?;
            place += 1;
        }
        Ok(Self { members })
    }

    /// The highest number that was ever seen here in any of the tables.
    ///
    /// # Errors
    /// SQLite's.
    pub fn highest(&self, database: &Database, root: &Tracked) -> Result<i64> {
        let mut all = highest(database, &root.shape, Some(root.id))?;
        for member in &self.members {
            let table = &member.table;
            all = all.max(highest(database, table.shape(), table.id())?);
        }
        Ok(all)
    }

    /// The rows of the table with their parts.
    ///
    /// # Errors
    /// SQLite's; those of `follows`.
    pub fn whole<'a>(
        &'a self,
        database: &Database,
        rows: &[Renamed<'a>],
        follows: &Follows<'_>,
    ) -> Result<Whole<'a>> {
        let own: Vec<(usize, Renamed<'a>)> = rows.iter().cloned().enumerate().collect();
        let mut levels: Vec<Vec<(usize, Renamed<'a>)>> = Vec::new();
        for member in &self.members {
            let above = match member.above {
                Some(place) => &levels[place],
                None => &own,
            };
            let below = member.parts(database, above, follows)?;
            levels.push(below);
        }
        let all = levels.into_iter().rev().flatten().chain(own);
        let (roots, rows) = all.unzip();
        Ok(Whole { rows, roots })
    }
}

fn below(
    database: &Database,
    above: &Shape,
    place: Option<usize>,
    members: &mut Vec<Member>,
    root: &str,
) -> Result<()> {
    for reference in Reference::written_ones(database, above)? {
        let mut known = members
            .iter()
            .map(|member| member.table.shape().name.as_str());
        if reference.child == root || known.any(|name| name == reference.child) {
            continue;
        }
        let table = match registration(database, &reference.child)? {
            Some(_) => Tracked::open(database, &reference.child).ok(),
            None => None,
        };
        let table = match table {
            Some(table) => Table::Tracked(Box::new(table)),
            None => match Shape::read(database, &reference.child) {
                Ok(shape) => Table::Other(Box::new(shape)),
                Err(error @ Error::Sqlite { .. }) => return Err(error),
                // It has no key.
                Err(_) => continue,
            },
        };
        if reference.is_key_of(table.shape()) {
            members.push(Member {
                above: place,
                table,
                reference,
            });
        }
    }
    Ok(())
}

impl Member {
    /// The parts of the given rows, with the keys that they get.
    fn parts<'a>(
        &'a self,
        database: &Database,
        above: &[(usize, Renamed<'a>)],
        follows: &Follows<'_>,
    ) -> Result<Vec<(usize, Renamed<'a>)>> {
        let shape = self.table.shape();
        let mut parts = Vec::new();
        for (root, row) in above {
            let sql = format!(
                "SELECT {} FROM {} WHERE {}",
                quote_name(&self.reference.column),
                database.qualified(&shape.name),
                self.reference.means(&row.old, 1)
            );
            let found = database.query_all(&sql, &[row.old.borrow()], |row| {
                Ok(row.column(0).to_owned())
            })?;
            for old in found {
                let follows = match &self.table {
                    Table::Tracked(table) => follows(table, &Key(old.clone()))?,
                    Table::Other(_) => true,
                };
                if follows {
                    let new = same_type(&old, &row.new);
                    parts.push((
                        *root,
                        Renamed {
                            shape,
                            table: self.table.id(),
                            old,
                            new,
                        },
                    ));
                }
            }
        }
        Ok(parts)
    }
}

/// Which rows were made here, and wait, and are not known to be the server's too.
pub struct MadeHere<'a> {
    database: &'a Database,
    /// The log's end, as far as it is meant.
    upto: i64,
    /// What is known of tables that were asked about.
    tables: RefCell<HashMap<i64, PendingRows>>,
}

impl<'a> MadeHere<'a> {
    pub fn new(database: &'a Database, upto: i64) -> Self {
        Self {
            database,
            upto,
            tables: RefCell::default(),
        }
    }

    /// Whether a row that exists is one.
    ///
    /// # Errors
    /// SQLite's.
    pub fn has(&self, table: &Tracked, key: &Key) -> Result<bool> {
        let mut tables = self.tables.borrow_mut();
        let pending = match tables.entry(table.id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let mut read = PendingRows::read(self.database, &[table], self.upto)?;
                unknown.insert(read.pop().unwrap_or_default())
            }
        };
        let row = pending.get(key)?;
        Ok(row.is_some_and(|row| row.is_made_here()))
    }
}

/// Whether a row has parts that would stay if it got another key: they were sent before it, or came.
///
/// # Errors
/// SQLite's.
pub fn has_parts_that_stay(
    database: &Database,
    table: &Tracked,
    key: &Value,
    made_here: &MadeHere<'_>,
) -> Result<bool> {
    let family = Family::of(database, &table.shape)?;
    let row = Renamed::of(table, key.clone(), key.clone());
    let stays = Cell::new(false);
    family.whole(database, &[row], &|part, key| {
        let follows = made_here.has(part, key)?;
        stays.set(stays.get() || !follows);
        Ok(follows)
    })?;
    Ok(stays.get())
}

/// A key as a column holds it which held another: what was a text stays one.
pub fn same_type(before: &Value, key: &Value) -> Value {
    match (before, key) {
        (Value::Text(_), Value::Integer(number)) => Value::Text(number.to_string()),
        _ => key.clone(),
    }
}
