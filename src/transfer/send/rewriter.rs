//! Writing another key into rows, and into those that refer to them. Nothing of it counts as an edit, but the application's
//! triggers hear of it: what they keep by the key (an index of words, a count) is to follow.

use std::collections::{HashMap, HashSet};

use crate::capture::log::{self, Entry};
use crate::capture::op::{EVERY_COLUMN, Op, bit};
use crate::capture::shape::{Column, Shape};
use crate::capture::{Key, Tracked};
use crate::store::{Database, Result, TriggersOff, Value, ValueRef, defer_references, quote_name};
use crate::transfer::app_triggers::has_triggers;

use super::family::same_type;
use super::reference::Reference;
use super::renamed::Renamed;

pub struct Rewriter<'a> {
    database: &'a Database,
    /// There is nobody to hear of it.
    quiet: Option<TriggersOff>,
    told: bool,
    /// The log's end before anything was written.
    start: i64,
    /// Rows that have another key, under the old one and the new one.
    rows: HashSet<(i64, Key)>,
    /// What lets single references follow: statements that change nothing when they are run again.
    followed: Vec<(String, Vec<Value>)>,
    /// What they are to hold under their new keys.
    kept: Vec<(Place, Value, Vec<Value>)>,
    /// Columns with references that were written: groups and masks, by the number of the table.
    references: HashMap<i64, Vec<(usize, i64)>>,
}

/// What rows hold in all columns that can be written, but the key.
pub type Contents = HashMap<(i64, Key), Vec<Value>>;

/// What a row holds in those columns; none when there is none.
///
/// # Errors
/// SQLite's.
pub fn content(database: &Database, shape: &Shape, key: &Value) -> Result<Option<Vec<Value>>> {
    Place::of(database, shape).read(database, key)
}

/// Lets what a row held, as [`content`] gives it, refer to rows by the keys that they have now.
pub fn refer_to(
    values: &mut [Value],
    shape: &Shape,
    reference: &Reference,
    keys: &HashMap<Key, &Value>,
) {
    let mut columns = written(shape);
    let place = columns.position(|column| column.name.eq_ignore_ascii_case(&reference.column));
    let Some(value) = place.and_then(|place| values.get_mut(place)) else {
        return;
    };
    if let Some(new) = keys.get(&Key(reference.key(value.clone()))) {
        *value = same_type(value, new);
    }
}

/// All columns of a table that can be written, but the key.
fn written(shape: &Shape) -> impl Iterator<Item = &Column> {
    let columns = shape.columns.iter();
    columns.filter(|column| !column.generated && column.key_place == 0)
}

/// The columns of a table that refer to some tables.
fn referring_columns(
    database: &Database,
    shape: &Shape,
    tables: &HashSet<&str>,
) -> Result<Vec<String>> {
    let columns = database.query_all(
        "SELECT c.name, fk.\"table\" FROM pragma_foreign_key_list(?1, ?2) AS fk \
         JOIN pragma_table_xinfo(?1, ?2) AS c ON c.name = fk.\"from\" COLLATE NOCASE",
        &[shape.name.as_str().into(), database.schema().into()],
        |row| Ok((row.text(0), row.text(1))),
    )?;
    let is_meant = |name: &str| tables.iter().any(|table| table.eq_ignore_ascii_case(name));
    let columns = columns.into_iter();
    Ok(columns
        .filter(|(_, to)| is_meant(to))
        .map(|(column, _)| column)
        .collect())
}

/// Where a row is.
struct Place {
    table: String,
    key: String,
    /// All columns that can be written, but the key.
    columns: Vec<String>,
}

impl Place {
    fn of(database: &Database, shape: &Shape) -> Self {
        Self {
            table: database.qualified(&shape.name),
            key: quote_name(&shape.keys()[0].name),
            columns: written(shape)
                .map(|column| quote_name(&column.name))
                .collect(),
        }
    }

    fn read(&self, database: &Database, key: &Value) -> Result<Option<Vec<Value>>> {
        let list: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {} IS ?1",
            [&["1"], &list[..]].concat().join(", "),
            self.table,
            self.key
        );
        let mut read = database.connection().prepare(&sql)?;
        read.bind(1, key.borrow())?;
        Ok(read.step()?.then(|| read.row().split_off(1)))
    }

    /// The row has that key, and is to hold these values.
    fn put_back(&self, rewriter: &Rewriter<'_>, key: &Value, values: &[Value]) -> Result<()> {
        let now = self.read(rewriter.database, key)?;
        if now.is_none_or(|now| now == values) || self.columns.is_empty() {
            return Ok(());
        }
        let set = self.columns.iter().zip(2..);
        let set: Vec<String> = set
            .map(|(column, number)| format!("{column} = ?{number}"))
            .collect();
        let sql = format!(
            "UPDATE {} SET {} WHERE {} IS ?1",
            self.table,
            set.join(", "),
            self.key
        );
        let values = [key].into_iter().chain(values);
        let values: Vec<ValueRef<'_>> = values.map(Value::borrow).collect();
        rewriter.run_quietly(&sql, &values)
    }
}

impl<'a> Rewriter<'a> {
    /// # Errors
    /// SQLite's.
    pub fn begin(database: &'a Database) -> Result<Self> {
        let connection = database.connection();
        defer_references(connection)?;
        let told = has_triggers(database, None)?;
        Ok(Self {
            database,
            // Ours would log the change.
            quiet: (!told).then(|| TriggersOff::begin(connection)).flatten(),
            told,
            start: log::high_water(database)?,
            rows: HashSet::new(),
            followed: Vec::new(),
            kept: Vec::new(),
            references: HashMap::new(),
        })
    }

    /// A column of a tracked table refers to what gets another key, and is about to be written.
    pub fn refers(&mut self, table: &Tracked, column: &str) {
        let position = table.shape.position(column);
        if let Some(place) = position.and_then(|position| table.columns.bit(position)) {
            let known = self.references.entry(table.id).or_default();
            known.push(bit(place));
        }
    }

    /// Runs a statement that the application's triggers hear of. One that they refuse is run without them.
    ///
    /// # Errors
    /// SQLite's.
    pub fn run(&self, sql: &str, values: &[ValueRef<'_>]) -> Result<()> {
        let connection = self.database.connection();
        match connection.prepare(sql)?.run(values) {
            Err(error)
                if self.told && error.is_constraint() && !connection.standing().autocommit =>
            {
                self.run_quietly(sql, values)
            }
            outcome => outcome.map(drop),
        }
    }

    /// The same of a statement that changes nothing when it is run again: rows that a trigger passes over in silence
    /// (`RAISE(IGNORE)`) are written too.
    ///
    /// # Errors
    /// SQLite's.
    pub fn run_surely(&self, sql: &str, values: &[ValueRef<'_>]) -> Result<()> {
        self.run(sql, values)?;
        match self.told {
            true => self.run_quietly(sql, values),
            false => Ok(()),
        }
    }

    /// Lets a reference follow, by a statement that changes nothing when it is run again. In the end it refers where it is to,
    /// whatever triggers write into it while what it refers to gets its key.
    ///
    /// # Errors
    /// SQLite's.
    pub fn follow(&mut self, sql: &str, values: Vec<Value>) -> Result<()> {
        let borrowed: Vec<ValueRef<'_>> = values.iter().map(Value::borrow).collect();
        self.run_surely(sql, &borrowed)?;
        if self.told {
            self.followed.push((sql.to_owned(), values));
        }
        Ok(())
    }

    /// Runs a statement that nobody hears of.
    ///
    /// # Errors
    /// SQLite's.
    pub fn run_quietly(&self, sql: &str, values: &[ValueRef<'_>]) -> Result<()> {
        let connection = self.database.connection();
        let _quiet = TriggersOff::begin(connection);
        connection.prepare(sql)?.run(values).map(drop)
    }

    /// Notes what rows hold that are about to get other keys: all but the key is to stay as it is, whatever triggers write
    /// into them while what refers to them follows. `held`: what some held before triggers wrote into them.
    ///
    /// # Errors
    /// SQLite's.
    pub fn keep(&mut self, rows: &[Renamed<'_>], held: &Contents) -> Result<()> {
        if !self.told {
            return Ok(());
        }
        let tables: HashSet<&str> = rows.iter().map(|row| row.shape.name.as_str()).collect();
        for row in rows {
            let mut place = Place::of(self.database, row.shape);
            let known = row.table.map(|table| (table, Key(row.old.clone())));
            let values = match known.and_then(|row| held.get(&row)) {
                Some(values) => Some(values.clone()),
                None => place.read(self.database, &row.old)?,
            };
            let Some(mut values) = values else { continue };
            // What refers to rows that move follows them.
            for column in referring_columns(self.database, row.shape, &tables)? {
                let mut columns = place.columns.iter();
                if let Some(found) = columns.position(|known| *known == quote_name(&column)) {
                    place.columns.remove(found);
                    values.remove(found);
                }
            }
            self.kept.push((place, row.new.clone(), values));
        }
        Ok(())
    }

    /// Gives a row another key.
    ///
    /// # Errors
    /// SQLite's; another row has the key.
    pub fn rename(&mut self, row: &Renamed<'_>) -> Result<()> {
        let (shape, old, new) = (row.shape, &row.old, &row.new);
        if let Some(table) = row.table {
            let keys = [old, new].map(|key| (table, Key(key.clone())));
            self.rows.extend(keys);
        }
        let name = self.database.qualified(&shape.name);
        let key = quote_name(&shape.keys()[0].name);
        let values = [new.borrow(), old.borrow()];
        if !self.told {
            let sql = format!("UPDATE {name} SET {key} = ?1 WHERE {key} IS ?2");
            return self.run(&sql, &values);
        }
        // Where the key is the rowid, every column is named: what is kept by rowid is mostly kept by triggers on the
        // columns in it.
        let columns = written(shape).filter(|_| shape.rowid_is_key);
        let same = columns.map(|column| {
            let column = quote_name(&column.name);
            format!(", {column} = {column}")
        });
        let sql = format!(
            "UPDATE {name} SET {key} = ?1{} WHERE {key} IS ?2",
            same.collect::<String>()
        );
        self.run_surely(&sql, &values)
    }

    /// Takes what was written out of the log. What triggers wrote into other rows stays there: edits.
    ///
    /// # Errors
    /// SQLite's.
    pub fn finish(self) -> Result<()> {
        for (sql, values) in &self.followed {
            let values: Vec<ValueRef<'_>> = values.iter().map(Value::borrow).collect();
            self.run_quietly(sql, &values)?;
        }
        for (place, key, values) in &self.kept {
            place.put_back(&self, key, values)?;
        }
        if !self.told {
            // Where triggers could not be switched off.
            drop(self.quiet);
            return log::take_back_all(self.database, self.start);
        }
        let entries = log::newer(self.database, self.start)?;
        let ours = entries.iter().filter(|entry| self.is_ours(entry));
        let ours: Vec<i64> = ours.map(|entry| entry.seq).collect();
        log::remove(self.database, &ours)
    }

    fn is_ours(&self, entry: &Entry) -> bool {
        if self.rows.contains(&entry.row) {
            return true;
        }
        let Op::Update { group } = entry.op else {
            return false;
        };
        let written = self.references.get(&entry.row.0).into_iter().flatten();
        let written = written.filter(|(of, _)| *of == group);
        let written = written.fold(0, |all, (_, mask)| all | mask);
        entry.mask != EVERY_COLUMN && entry.mask & !written == 0
    }
}
