//! Rows created here under a counted number that turns out to be another row's: they take a new number.
//!
//! It is above every number seen, so it is chosen when the whole answer is in. What waits of the row, and what was made
//! to refer to it here, follow; what came from the server and names the number means the server's row.

use std::collections::HashMap;

use crate::capture::Key;
use crate::ground::SyncError;
use crate::providers::wire::Slot;
use crate::store::{Database, Result, Value};
use crate::transfer::send::rekey::{Met, Renamed, move_away};

use super::decide::Remote;
use super::table::TableApplier;

/// A row of the server whose place is taken.
pub struct Comer {
    pub place: usize,
    pub key: Key,
    pub remote: Remote,
    pub row: Vec<Slot<'static>>,
}

/// The rows of an answer whose places are taken by rows created here.
#[derive(Default)]
pub struct Displaced(HashMap<(usize, Key), Comer>);

impl Displaced {
    /// The last word of the answer about a row counts.
    pub fn put(&mut self, comer: Comer) {
        self.0.insert((comer.place, comer.key.clone()), comer);
    }

    pub fn forget(&mut self, place: usize, key: &Key) {
        if !self.0.is_empty() {
            self.0.remove(&(place, key.clone()));
        }
    }

    /// Makes room: gives the rows that are here new numbers, and returns those that are to come.
    ///
    /// # Errors
    /// No number is left; SQLite's.
    pub fn make_room(
        &mut self,
        database: &Database,
        tables: &mut [TableApplier<'_>],
        upto: i64,
    ) -> Result<Vec<Comer>, SyncError> {
        let mut comers: Vec<Comer> = self.0.drain().map(|(_, comer)| comer).collect();
        comers.sort_by_key(|comer| (comer.place, comer.key.0.as_i64()));
        for group in comers.chunk_by(|one, next| one.place == next.place) {
            let table = &mut tables[group[0].place];
            let mut number = highest(database, table)?;
            let mut renamed = Vec::with_capacity(group.len());
            for comer in group {
                number = number.checked_add(1).ok_or_else(|| {
                    SyncError::data(format!(
                        "a row of {} needs a new number, and there is none above the highest; give \
                         the table another key",
                        table.binding.entity
                    ))
                })?;
                table.record_rekeyed(&comer.key, number, &comer.row)?;
                renamed.push(Renamed {
                    binding: table.binding,
                    old: comer.key.0.clone(),
                    new: Value::Integer(number),
                });
            }
            let met = |id: i64, key: &Key| met(tables, id, key);
            move_away(database, &renamed, &met, upto)?;
            let table = &mut tables[group[0].place];
            for comer in group {
                table.moved_away(&comer.key)?;
            }
        }
        Ok(comers)
    }
}

/// What the answer has said of a row that waits.
fn met(tables: &[TableApplier<'_>], id: i64, key: &Key) -> Result<Option<Met>> {
    let table = tables.iter().find(|table| table.binding.table.id == id);
    let Some(table) = table else { return Ok(None) };
    Ok(match table.effects.met(key)? {
        Some(true) => Some(Met::Settled),
        Some(false) if table.created_yields() => Some(Met::Yielded),
        _ => None,
    })
}

/// The highest number of a table that was ever seen here.
fn highest(database: &Database, table: &TableApplier<'_>) -> Result<i64> {
    let binding = table.binding;
    let sql = format!(
        "SELECT max({}) FROM {}",
        binding.key_name(),
        binding.qualified
    );
    let mut scan = database.connection().prepare(&sql)?;
    let stored = match scan.step()? {
        true => scan.column(0).as_i64(),
        false => None,
    };
    drop(scan);
    let id = binding.table.id;
    let known = database.query_value(
        "SELECT max(number) FROM (\
         SELECT max(pk) AS number FROM main._syncChange WHERE tbl = ?1 AND typeof(pk) = 'integer' \
         UNION ALL SELECT max(pk) FROM main._syncOutbox WHERE tbl = ?1 AND typeof(pk) = 'integer')",
        &[id.into()],
    )?;
    let counts = database.has_table("sqlite_sequence")?;
    let counted = match counts {
        true => database.query_value(
            "SELECT seq FROM main.sqlite_sequence WHERE name = ?1 COLLATE NOCASE",
            &[binding.table.shape.name.as_str().into()],
        )?,
        false => Value::Null,
    };
    let all = [stored, known.as_i64(), counted.as_i64(), Some(0)];
    Ok(all.into_iter().flatten().max().unwrap_or(0))
}
