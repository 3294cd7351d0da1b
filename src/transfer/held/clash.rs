//! Rows made here that clash with a row of the server in a UNIQUE value: which they are, and how they make room.
//!
//! | `onClash` | the row made here |
//! |---|---|
//! | `hold` | stays as it is; the server's row is held |
//! | `adopt` | takes the key of the server's row, with all that refers to it; what it holds is pending, and meets the server's row by the entity's policy |
//! | `serverWins` | the same, and is kept as a conflict: nothing of it is pending |

use std::collections::HashMap;

use crate::capture::log::{self, Mark};
use crate::capture::reader::RowReader;
use crate::capture::{Key, Status};
use crate::providers::wire::{Face, Slot};
use crate::store::{Database, Result, Value, ValueRef, quote_name};
use crate::transfer::binding::Binding;
use crate::transfer::conflict::record::{Kind, Recorder, Sides, row_json};
use crate::transfer::send::brought::{self, Brought};
use crate::transfer::send::rekey::{self, Renamed};

use super::refusals::Refusals;

/// The key of a row that has UNIQUE values of another one, which is to be `row`; none when it can't be told.
///
/// # Errors
/// SQLite's.
pub fn other(
    database: &Database,
    binding: &Binding,
    key: &Key,
    row: &[Slot<'_>],
) -> Result<Option<Value>> {
    found(database, binding, key, row, Whose::Another)
}

/// Whether the row here under the key of one of the server has one of its UNIQUE values too: they are one row.
///
/// # Errors
/// SQLite's.
pub fn is_same(
    database: &Database,
    binding: &Binding,
    key: &Key,
    row: &[Slot<'_>],
) -> Result<bool> {
    Ok(found(database, binding, key, row, Whose::Own)?.is_some())
}

/// Which row is looked for: the one of the same key, or any other.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    Own,
    Another,
}

fn found(
    database: &Database,
    binding: &Binding,
    key: &Key,
    row: &[Slot<'_>],
    whose: Whose,
) -> Result<Option<Value>> {
    let shape = &binding.table.shape;
    let schema = database.schema();
    let columns = database.query_all(
        "SELECT i.name, c.name FROM pragma_index_list(?1, ?2) AS i, pragma_index_info(i.name, ?2) AS c \
         WHERE i.\"unique\" = 1 AND i.origin <> 'pk' AND i.partial = 0 ORDER BY i.seq, c.seqno",
        &[shape.name.as_str().into(), schema.into()],
        |row| Ok((row.text(0), row.optional_text(1))),
    )?;
    let mut indexes: Vec<(String, Vec<Option<String>>)> = Vec::new();
    for (index, column) in columns {
        match indexes.last_mut() {
            Some((last, columns)) if *last == index => columns.push(column),
            _ => indexes.push((index, vec![column])),
        }
    }
    for (_, columns) in indexes {
        let Some(columns) = columns.into_iter().collect::<Option<Vec<String>>>() else {
            continue;
        };
        if let Some(found) = holder(database, binding, key, row, (&columns, whose))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The row that has the values of these columns.
fn holder(
    database: &Database,
    binding: &Binding,
    key: &Key,
    row: &[Slot<'_>],
    (columns, whose): (&[String], Whose),
) -> Result<Option<Value>> {
    let name = binding.key_name();
    let mut values: Vec<ValueRef<'_>> = vec![key.0.borrow()];
    let mut met = Vec::new();
    for column in columns {
        let mut wire = binding.wire.columns.iter();
        let place = wire.position(|wire| wire.name.eq_ignore_ascii_case(column));
        let quoted = quote_name(column);
        match place.map(|place| &row[place]) {
            Some(Slot::Null) => return Ok(None),
            Some(slot) if !slot.is_missing() => {
                values.push(slot.value());
                met.push(format!("{quoted} = ?{}", values.len()));
            }
            // As the row itself has it here.
            _ => met.push(format!(
                "{quoted} = (SELECT {quoted} FROM {} WHERE {name} = ?1)",
                binding.qualified
            )),
        }
    }
    if whose == Whose::Own && values.len() == 1 {
        return Ok(None);
    }
    let is = match whose {
        Whose::Own => "IS",
        Whose::Another => "IS NOT",
    };
    let sql = format!(
        "SELECT {name} FROM {} WHERE {} AND {name} {is} ?1 LIMIT 1",
        binding.qualified,
        met.join(" AND ")
    );
    let mut read = database.connection().prepare(&sql)?;
    read.bind_all(&values)?;
    Ok(read.step()?.then(|| read.column(0).to_owned()))
}

/// Lets the rows make room that are to. Call before the answer is applied, in its transaction; what it returns is to be
/// settled behind it.
///
/// # Errors
/// SQLite's.
pub fn make_room(
    database: &Database,
    provider: &str,
    run: i64,
    bindings: &[Binding],
    refusals: &Refusals,
) -> Result<Vec<Brought>> {
    let yielding = refusals.yielding();
    if yielding.is_empty() {
        return Ok(Vec::new());
    }
    let mut renamed = Vec::new();
    let mut settled = HashMap::new();
    let mut edited = Vec::new();
    let mut conflicts = Recorder::new(database, provider, run);
    for row in &yielding {
        let mut known = bindings.iter();
        let Some(binding) = known.find(|binding| binding.table.id == row.table) else {
            continue;
        };
        let mut reader = RowReader::new(database, &binding.table, &binding.columns)?;
        // When the clash was met, rows of the answer were in other places than before it.
        let moves = row.old != row.new;
        if (moves && reader.find_key(&row.new)?) || !reader.find_key(&row.old)? {
            continue;
        }
        if row.server_wins {
            let pending = Some(("created", ""));
            let local = row_json(&binding.wire, row.old.borrow(), pending, |place| {
                Some(Face::Value(reader.column(place)))
            });
            let sides = Sides {
                local: Some(local),
                ..Sides::default()
            };
            let key = row.old.borrow();
            conflicts.record(&binding.entity, key, Kind::UniqueClash, None, &sides)?;
        } else {
            let key = Key(row.new.clone());
            let columns = binding.columns.iter();
            let bits = columns.filter_map(|position| binding.table.columns.bit(*position));
            edited.push((row.table, key, bits.collect()));
        }
        settled.insert((row.table, Key(row.new.clone())), i64::MAX);
        reader.release();
        if moves {
            renamed.push(Renamed {
                binding,
                old: row.old.clone(),
                new: row.new.clone(),
            });
        }
    }
    let upto = log::high_water(database)?;
    let mut brought = Vec::new();
    for row in &renamed {
        brought.extend(brought::brought(database, row, upto)?);
    }
    rekey::rename(database, &renamed, |rewriter| {
        let mut references = brought.iter();
        references.try_for_each(|references| references.put_back(rewriter))
    })?;
    // The server has the row: nothing of it is created any more.
    log::forget(database, &settled)?;
    for (table, key, bits) in edited {
        let mark = Mark {
            status: Status::Updated,
            bits,
            rowid: None,
        };
        log::mark(database, table, &key, &mark)?;
    }
    conflicts.finish()?;
    Ok(brought)
}
