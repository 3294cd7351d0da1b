//! Rows made here that clash with a row of the server in a UNIQUE value: which they are, and how they make room.
//!
//! | `onClash` | the row made here |
//! |---|---|
//! | `hold` | stays as it is; the server's row is held |
//! | `adopt` | takes the key of the server's row, with all that refers to it; what it was given is pending, and meets the server's row by the entity's policy |
//! | `serverWins` | the same, and is kept as a conflict: nothing of it is pending |

use std::collections::{HashMap, HashSet};

use crate::capture::index::{Part, index_condition, read_index};
use crate::capture::log::{self, Mark};
use crate::capture::reader::RowReader;
use crate::capture::{Key, Status};
use crate::providers::wire::{Face, Slot};
use crate::store::{Database, Result, Value, ValueRef, quote_name};
use crate::transfer::binding::Binding;
use crate::transfer::conflict::record::{Kind, Recorder, Sides, row_json};
use crate::transfer::send::brought::{self, Brought};
use crate::transfer::send::family::{Family, MadeHere, has_parts_that_stay};
use crate::transfer::send::outbox;
use crate::transfer::send::rekey;
use crate::transfer::send::renamed::Renamed;

use super::inserts;
use super::refusals::{Refusals, Yielding};

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
    let indexes = database.query_all(
        "SELECT i.name, m.sql FROM pragma_index_list(?1, ?2) AS i LEFT JOIN main.sqlite_master AS m \
         ON m.type = 'index' AND m.name = i.name \
         WHERE i.\"unique\" = 1 AND i.origin <> 'pk' ORDER BY i.seq",
        &[shape.name.as_str().into(), database.schema().into()],
        |row| Ok((row.text(0), row.optional_text(1))),
    )?;
    let incoming = Incoming::new(binding, key, row);
    for (index, definition) in indexes {
        let parts = read_index(database, &index)?;
        let condition = definition.as_deref().and_then(index_condition);
        if let Some(found) = incoming.holder(database, &parts, condition.as_deref(), whose)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A row of the server as its table would have it.
struct Incoming<'a> {
    binding: &'a Binding,
    /// The key, and then what came.
    values: Vec<ValueRef<'a>>,
    /// By column, its value as SQL, and whether it came.
    columns: Vec<(String, bool)>,
}

impl<'a> Incoming<'a> {
    fn new(binding: &'a Binding, key: &'a Key, row: &'a [Slot<'a>]) -> Self {
        let mut values: Vec<ValueRef<'_>> = vec![key.0.borrow()];
        let key = binding.key_name();
        let columns = binding.table.shape.columns.iter().enumerate();
        let columns = columns
            .map(|(position, column)| {
                if column.key_place > 0 {
                    return ("?1".to_owned(), true);
                }
                let place = binding.columns.iter().position(|own| *own == position);
                match place.map(|place| &row[place]) {
                    Some(slot) if !slot.is_missing() => {
                        values.push(slot.value());
                        (format!("?{}", values.len()), true)
                    }
                    // As the row itself has it here, or as a new one would.
                    _ => {
                        let default = column.default_expression().unwrap_or_else(|| "NULL".into());
                        let here = format!(
                            "iif(EXISTS (SELECT 1 FROM {table} WHERE {key} = ?1), \
                             (SELECT {name} FROM {table} WHERE {key} = ?1), ({default}\n))",
                            table = binding.qualified,
                            name = quote_name(&column.name)
                        );
                        (here, false)
                    }
                }
            })
            .collect();
        Self {
            binding,
            values,
            columns,
        }
    }

    /// The row that has the values of these parts of an index, among those that the index is about.
    fn holder(
        &self,
        database: &Database,
        parts: &[Part],
        condition: Option<&str>,
        whose: Whose,
    ) -> Result<Option<Value>> {
        let shape = &self.binding.table.shape;
        let (mut met, mut came) = (Vec::new(), false);
        for part in parts {
            match part {
                Part::Column { name, collation } => {
                    let Some(position) = shape.position(name) else {
                        return Ok(None);
                    };
                    let (value, given) = &self.columns[position];
                    came |= given;
                    let name = quote_name(name);
                    met.push(format!(
                        "o.{name} = {value} COLLATE {}",
                        quote_name(collation)
                    ));
                }
                Part::Expression(text) => {
                    came = true;
                    met.push(format!("({text}) = {}", self.computed(text)));
                }
                Part::Rowid(_) => return Ok(None),
            }
        }
        if whose == Whose::Own && !came {
            return Ok(None);
        }
        if let Some(condition) = condition {
            met.push(format!("({condition})"));
            met.push(self.computed(condition));
        }
        let (name, is) = match whose {
            Whose::Own => (self.binding.key_name(), "IS"),
            Whose::Another => (self.binding.key_name(), "IS NOT"),
        };
        let sql = format!(
            // The last condition is true of every row: it makes SQLite know all parameters.
            "SELECT o.{name} FROM {} AS o WHERE {} AND o.{name} {is} ?1 AND ?{last} IS ?{last} LIMIT 1",
            self.binding.qualified,
            met.join(" AND "),
            last = self.values.len()
        );
        let mut read = database.connection().prepare(&sql)?;
        read.bind_all(&self.values)?;
        Ok(read.step()?.then(|| read.column(0).to_owned()))
    }

    /// An expression over the columns of the row. The inner SELECT gives its bare names the row's values.
    fn computed(&self, expression: &str) -> String {
        let columns = self.binding.table.shape.columns.iter().zip(&self.columns);
        let columns: Vec<String> = columns
            .map(|(column, (value, _))| format!("{value} AS {}", quote_name(&column.name)))
            .collect();
        format!(
            "(SELECT ({expression}) FROM (SELECT {}))",
            columns.join(", ")
        )
    }
}

/// The rows that can make room, each with its binding: when a clash was met, rows of the answer were in other places than
/// before it.
fn possible<'a>(
    database: &Database,
    bindings: &'a [Binding],
    yielding: Vec<Yielding>,
) -> Result<Vec<(Yielding, &'a Binding)>> {
    let mut rows = Vec::new();
    let made_here = MadeHere::new(database, log::high_water(database)?);
    for row in yielding {
        let mut known = bindings.iter();
        let Some(binding) = known.find(|binding| binding.table.id == row.table) else {
            continue;
        };
        let mut reader = RowReader::new(database, &binding.table, &binding.columns)?;
        if !reader.find_key(&row.old)? {
            continue;
        }
        let is_taken = row.old != row.new && reader.find_key(&row.new)?;
        // A part that the server has can't follow: its key says what it belongs to.
        let stays = |key| has_parts_that_stay(database, &binding.table, key, &made_here);
        let moves = row.old != row.new;
        if moves && (stays(&row.old)? || (is_taken && stays(&row.new)?)) {
            continue;
        }
        rows.push((row, binding, is_taken));
    }
    loop {
        let leaving: HashSet<(i64, Key)> = rows
            .iter()
            .filter(|(row, ..)| row.old != row.new)
            .map(|(row, ..)| (row.table, Key(row.old.clone())))
            .collect();
        let before = rows.len();
        for (row, _, is_taken) in &mut rows {
            let makes_room = leaving.contains(&(row.table, Key(row.new.clone())));
            // What makes room itself needs no number.
            row.displaces &= *is_taken && !makes_room;
            *is_taken &= !makes_room && !row.displaces;
        }
        rows.retain(|(.., is_taken)| !is_taken);
        if rows.len() == before {
            let rows = rows.into_iter().map(|(row, binding, _)| (row, binding));
            return Ok(rows.collect());
        }
    }
}

/// Another row that was made here has the key which a row is to get: it takes a number above all.
fn displace<'a>(
    database: &Database,
    binding: &'a Binding,
    row: &Yielding,
    renamed: &[Renamed<'_>],
    conflicts: &mut Recorder<'_>,
) -> Result<Renamed<'a>> {
    let given = renamed.iter().filter_map(|row| row.new.as_i64()).max();
    let family = Family::of(database, &binding.table.shape)?;
    let highest = family.highest(database, &binding.table)?;
    let highest = highest.max(given.unwrap_or(0));
    // One was found for it when the clash was met.
    let number = highest.saturating_add(1);
    let old = row.new.clone();
    let mut reader = RowReader::new(database, &binding.table, &binding.columns)?;
    reader.find_key(&old)?;
    let shown = |key: ValueRef<'_>| {
        let pending = Some(("created", ""));
        row_json(&binding.wire, key, pending, |place| {
            Some(Face::Value(reader.column(place)))
        })
    };
    let sides = Sides {
        local: Some(shown(old.borrow())),
        remote: None,
        resolved: Some(shown(number.into())),
    };
    conflicts.record(&binding.entity, old.borrow(), Kind::Rekeyed, None, &sides)?;
    reader.release();
    rekey::forget_sent(database, binding.table.id, &old)?;
    Ok(Renamed::of(&binding.table, old, Value::Integer(number)))
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
    let mut room = Room::new(Recorder::new(database, provider, run));
    let mut renamed = Vec::new();
    let mut server_wins = HashMap::new();
    for (row, binding) in possible(database, bindings, yielding)? {
        if row.displaces {
            renamed.push(displace(
                database,
                binding,
                &row,
                &renamed,
                &mut room.conflicts,
            )?);
        }
        room.yields(database, binding, (&row.old, &row.new), row.server_wins)?;
        server_wins.insert((row.table, Key(row.old.clone())), row.server_wins);
        renamed.push(Renamed::of(&binding.table, row.old, row.new));
    }
    let upto = log::high_water(database)?;
    let families = families(database, &renamed)?;
    let made_here = MadeHere::new(database, upto);
    let mut whole: Vec<Renamed<'_>> = Vec::new();
    for (family, rows) in &families {
        let all = family.whole(database, rows, &|table, key| made_here.has(table, key))?;
        for (part, root) in all.rows.into_iter().zip(all.roots) {
            let is_known =
                |row: &Renamed<'_>| row.shape.name == part.shape.name && row.old == part.old;
            let root = &rows[root];
            let wins = root
                .table
                .and_then(|id| server_wins.get(&(id, Key(root.old.clone()))));
            let is_root = part.shape.name == root.shape.name;
            if whole.iter().any(is_known) || (!is_root && renamed.iter().any(is_known)) {
                continue;
            }
            if let (false, Some(table), Some(wins)) = (is_root, part.table, wins) {
                let key = Key(part.new.clone());
                let mut known = bindings.iter();
                let binding = known.find(|binding| binding.table.id == table);
                match binding.filter(|_| refusals.has_part(table, &key)) {
                    Some(binding) => {
                        room.yields(database, binding, (&part.old, &part.new), *wins)?
                    }
                    None => refusals.follows(table, key),
                }
            }
            whole.push(part);
        }
    }
    // Some stay where they are.
    whole.retain(|row| row.old != row.new);
    let brought = brought::brought(database, &whole, upto)?;
    rekey::rename_whole(database, &whole, |rewriter| {
        let mut references = brought.iter();
        references.try_for_each(|references| references.put_back(rewriter))
    })?;
    room.settle(database)?;
    Ok(brought)
}

/// The rows by their tables, each with the tables below it.
fn families<'a>(
    database: &Database,
    rows: &[Renamed<'a>],
) -> Result<Vec<(Family, Vec<Renamed<'a>>)>> {
    let mut tables: Vec<(Family, Vec<Renamed<'a>>)> = Vec::new();
    for row in rows {
        let is_same = |(_, rows): &&mut (Family, Vec<Renamed<'a>>)| {
            rows.iter().any(|known| known.shape.name == row.shape.name)
        };
        match tables.iter_mut().find(is_same) {
            Some((_, rows)) => rows.push(row.clone()),
            None => tables.push((Family::of(database, row.shape)?, vec![row.clone()])),
        }
    }
    Ok(tables)
}

/// What becomes of rows that make room for those of the server.
struct Room<'a> {
    conflicts: Recorder<'a>,
    settled: log::RowsUpTo,
    /// Tables, keys, and bits of the columns that stay.
    edited: Vec<(i64, Key, Vec<usize>)>,
}

impl<'a> Room<'a> {
    fn new(conflicts: Recorder<'a>) -> Self {
        Self {
            conflicts,
            settled: HashMap::new(),
            edited: Vec::new(),
        }
    }

    /// A row that is yet to get its other key, if it is another.
    fn yields(
        &mut self,
        database: &Database,
        binding: &Binding,
        (old, new): (&Value, &Value),
        server_wins: bool,
    ) -> Result<()> {
        let mut reader = RowReader::new(database, &binding.table, &binding.columns)?;
        if !reader.find_key(old)? {
            return Ok(());
        }
        let row = (binding.table.id, Key(new.clone()));
        if server_wins {
            let pending = Some(("created", ""));
            let local = row_json(&binding.wire, old.borrow(), pending, |place| {
                Some(Face::Value(reader.column(place)))
            });
            let sides = Sides {
                local: Some(local),
                ..Sides::default()
            };
            let key = old.borrow();
            self.conflicts
                .record(&binding.entity, key, Kind::UniqueClash, None, &sides)?;
        } else {
            // What nobody gave a value here is no word against the server's.
            let given = inserts::given(database, binding, &Key(old.clone()))?;
            let columns = binding.columns.iter().zip(given);
            let columns = columns.filter(|(_, given)| *given);
            let bits = columns.filter_map(|(position, _)| binding.table.columns.bit(*position));
            self.edited.push((row.0, row.1.clone(), bits.collect()));
        }
        // A push that carried it without an answer has not arrived.
        outbox::forget_row(database, binding.table.id, old)?;
        self.settled.insert(row, i64::MAX);
        Ok(())
    }

    /// The rows have their keys.
    fn settle(self, database: &Database) -> Result<()> {
        // The server has them: nothing of them is created any more.
        log::forget(database, &self.settled)?;
        for (table, key, bits) in self.edited {
            let mark = Mark {
                status: Status::Updated,
                bits,
                rowid: None,
            };
            log::mark(database, table, &key, &mark)?;
        }
        self.conflicts.finish()
    }
}
