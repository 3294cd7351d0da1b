//! Changes of keys as triggers of the application see them: what they keep beside a table (a full-text index, a copy, a
//! counter) goes along. Nothing of it counts as an edit but what they write into other rows.

use std::collections::HashMap;

use crate::capture::log::{self, Entry};
use crate::capture::op::{Op, bit};
use crate::capture::reader::RowReader;
use crate::capture::tracked::registration;
use crate::capture::{Key, Tracked};
use crate::store::{Database, Result, TriggersOff, Value, has_app_triggers, quote_name};

use crate::transfer::binding::Binding;

/// A row that has another key from now on.
pub struct Renamed<'a> {
    pub binding: &'a Binding,
    pub old: Value,
    pub new: Value,
}

/// Does `work`, which gives rows of some tables other keys and lets `references` (tables and columns) follow. Call inside
/// a transaction. Triggers fire only where the application has any; if one of them refuses the change, it is made without them.
///
/// # Errors
/// What `work` says; SQLite's.
pub fn change_keys(
    database: &Database,
    rows: &[Renamed<'_>],
    references: &[(String, String)],
    work: impl Fn() -> Result<()>,
) -> Result<()> {
    if !has_app_triggers(database, None)? {
        return unseen(database, &work);
    }
    let connection = database.connection();
    let start = log::high_water(database)?;
    let before = Before::read(database, rows, references)?;
    connection.execute_script("SAVEPOINT syncscope_keys")?;
    match work() {
        Err(error) if error.is_constraint() && !connection.standing().autocommit => {
            connection.execute_script("ROLLBACK TO syncscope_keys; RELEASE syncscope_keys")?;
            return unseen(database, &work);
        }
        outcome => outcome?,
    }
    connection.execute_script("RELEASE syncscope_keys")?;
    before.put_back(database)?;
    let columns = masks(database, references)?;
    let is_ours = |entry: &&Entry| before.names(&entry.row) || follows(&columns, entry);
    let entries = log::newer(database, start)?;
    let ours: Vec<i64> = entries
        .iter()
        .filter(is_ours)
        .map(|entry| entry.seq)
        .collect();
    log::remove(database, &ours)
}

fn unseen(database: &Database, work: &dyn Fn() -> Result<()>) -> Result<()> {
    let _quiet = TriggersOff::begin(database.connection());
    let start = log::high_water(database)?;
    work()?;
    // Where triggers could not be switched off.
    log::take_back_all(database, start)
}

/// The rows before their keys changed: a trigger that stamps them edits nothing.
struct Before<'a> {
    rows: Vec<(&'a Renamed<'a>, Vec<Value>)>,
    references: &'a [(String, String)],
}

impl<'a> Before<'a> {
    fn read(
        database: &Database,
        rows: &'a [Renamed<'a>],
        references: &'a [(String, String)],
    ) -> Result<Self> {
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            let columns = stored(&row.binding.table, references);
            let mut reader = RowReader::new(database, &row.binding.table, &columns)?;
            if reader.find_key(&row.old)? {
                let values = 0..columns.len();
                read.push((
                    row,
                    values
                        .map(|place| reader.column(place).to_owned())
                        .collect(),
                ));
            }
            reader.release();
        }
        Ok(Self {
            rows: read,
            references,
        })
    }

    fn names(&self, (table, key): &(i64, Key)) -> bool {
        self.rows.iter().any(|(row, _)| {
            row.binding.table.id == *table && (row.old == key.0 || row.new == key.0)
        })
    }

    fn put_back(&self, database: &Database) -> Result<()> {
        let _quiet = TriggersOff::begin(database.connection());
        for (row, values) in &self.rows {
            let shape = &row.binding.table.shape;
            let columns = stored(&row.binding.table, self.references);
            let names = columns
                .iter()
                .map(|position| quote_name(&shape.columns[*position].name));
            let numbered: Vec<(usize, String)> = (2..).zip(names).collect();
            if numbered.is_empty() {
                continue;
            }
            let part = |word: &str, between: &str| -> String {
                let parts = numbered
                    .iter()
                    .map(|(number, name)| format!("{name} {word} ?{number}"));
                parts.collect::<Vec<_>>().join(between)
            };
            let sql = format!(
                "UPDATE {} SET {} WHERE {} IS ?1 AND ({})",
                row.binding.qualified,
                part("=", ", "),
                row.binding.key_name(),
                part("IS NOT", " OR ")
            );
            let mut all = vec![row.new.borrow()];
            all.extend(values.iter().map(Value::borrow));
            database.connection().prepare(&sql)?.run(&all)?;
        }
        Ok(())
    }
}

/// Columns that hold what is written into them, the key and what refers to its own table left out: that follows.
fn stored(table: &Tracked, references: &[(String, String)]) -> Vec<usize> {
    let columns = table.shape.columns.iter().enumerate();
    let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    let follows = |name: &str| {
        let mut references = references.iter();
        references.any(|(child, column)| is(child, &table.shape.name) && is(column, name))
    };
    columns
        .filter(|(_, column)| !column.generated && column.key_place == 0 && !follows(&column.name))
        .map(|(position, _)| position)
        .collect()
}

/// The bits of the columns that refer to the rows, by table and group.
fn masks(
    database: &Database,
    references: &[(String, String)],
) -> Result<HashMap<(i64, usize), i64>> {
    let mut masks = HashMap::new();
    for (child, column) in references {
        let known = registration(database, child)?;
        let table = match known {
            Some(known) => Tracked::seen(database, known)?,
            None => None,
        };
        let Some(table) = table else { continue };
        let position = table.shape.position(column);
        if let Some(number) = position.and_then(|position| table.columns.bit(position)) {
            let (group, bit) = bit(number);
            *masks.entry((table.id, group)).or_default() |= bit;
        }
    }
    Ok(masks)
}

/// Whether an entry is that of a reference which follows.
fn follows(masks: &HashMap<(i64, usize), i64>, entry: &Entry) -> bool {
    let Op::Update { group } = entry.op else {
        return false;
    };
    let mask = masks.get(&(entry.row.0, group));
    mask.is_some_and(|mask| entry.mask & !mask == 0)
}
