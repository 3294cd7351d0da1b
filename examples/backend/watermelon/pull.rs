//! Rules P1 to P13: what has changed since the cursor, read from one snapshot.

use std::collections::BTreeSet;
use std::io::{self, Write};

use rusqlite::{Connection, Row};
use serde_json::Value;

use super::super::faults::Kind;
use super::super::moments::{Moment, Moments};
use super::super::schema::{Schema, Table};
use super::super::store::{Store, last_stamp};
use super::super::strategy::Strategy;
use super::super::switches::Switches;
use super::super::value::{RowStyle, write_id};
use super::read::{ReadError, column_prefixes, write_row};
use super::request::PullRequest;
use super::select::{Section, Selection};

/// Writes the whole answer from one snapshot (rule P5). The timestamp is that of the last write
/// in the snapshot: whatever is committed later gets a later one.
pub fn write_answer(
    store: &Store,
    request: &PullRequest,
    switches: &Switches,
    moments: &Moments,
    out: &mut impl Write,
) -> Result<(), ReadError> {
    let mut reader = store.reader()?;
    let snapshot = reader.transaction()?;
    let stamp = last_stamp(&snapshot)?;

    out.write_all(b"{")?;
    if switches.out_of_order
        && let Some(member) = timestamp_member(stamp, switches)
    {
        write!(out, "{member},")?;
    }
    if switches.null_changes {
        out.write_all(b"\"changes\":null")?;
    } else {
        write_changes(&snapshot, &store.schema, request, switches, out)?;
    }
    if let Some(strategy) = strategy(request, switches) {
        write!(out, ",\"experimentalStrategy\":{}", strategy.json())?;
    }
    for (name, value) in switches.extra.iter().flatten() {
        write!(out, ",{}:{value}", Value::from(name.as_str()))?;
    }
    drop(snapshot);
    if !switches.out_of_order {
        let stamp = match switches.timestamp_after {
            None => stamp,
            Some(pause) => {
                moments.come_here(Kind::Pull, Moment::Read);
                std::thread::sleep(pause);
                last_stamp(&reader)?
            }
        };
        if let Some(member) = timestamp_member(stamp, switches) {
            write!(out, ",{member}")?;
        }
    }
    out.write_all(b"}")?;
    Ok(())
}

fn timestamp_member(stamp: i64, switches: &Switches) -> Option<String> {
    let value = match &switches.timestamp {
        Some(Value::String(text)) if text == "omit" => return None,
        Some(other) => other.clone(),
        None => Value::from(switches.in_client_units(stamp)),
    };
    Some(format!("\"timestamp\":{value}"))
}

fn write_changes(
    snapshot: &Connection,
    schema: &Schema,
    request: &PullRequest,
    switches: &Switches,
    out: &mut impl Write,
) -> Result<(), ReadError> {
    let mut tables = answered_tables(schema, request, switches);
    if switches.out_of_order {
        tables.reverse();
    }
    out.write_all(b"\"changes\":{")?;
    for (index, (name, table)) in tables.into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        write!(out, "{}:", Value::from(name))?;
        let answer = TableAnswer {
            snapshot,
            selection: Selection {
                table,
                request,
                switches,
                is_replaced: strategy(request, switches).is_some_and(|all| all.replaces(name)),
            },
        };
        answer.write(out)?;
    }
    out.write_all(b"}")?;
    Ok(())
}

/// What the answer says of sets that are complete; the backend's will counts before the client's.
fn strategy<'a>(request: &'a PullRequest, switches: &'a Switches) -> Option<&'a Strategy> {
    switches.strategy.as_ref().or(request.strategy.as_ref())
}

/// The tables of the answer, each with the name it has there.
fn answered_tables<'a>(
    schema: &'a Schema,
    request: &PullRequest,
    switches: &'a Switches,
) -> Vec<(&'a str, &'a Table)> {
    let wanted: Vec<&Table> = schema
        .tables
        .iter()
        .filter(|table| match &switches.answer_tables {
            Some(names) => names.contains(&table.name),
            None => request.wants(table),
        })
        .collect();
    let new_name = |table: &Table| switches.rename_tables.get(&table.name).map(String::as_str);
    let taken: BTreeSet<&str> = wanted.iter().filter_map(|table| new_name(table)).collect();
    wanted
        .into_iter()
        .filter_map(|table| match new_name(table) {
            Some(name) => Some((name, table)),
            // Another table stands in its place.
            None if taken.contains(table.name.as_str()) => None,
            None => Some((table.name.as_str(), table)),
        })
        .collect()
}

/// The change set of one table.
struct TableAnswer<'a> {
    snapshot: &'a Connection,
    selection: Selection<'a>,
}

impl TableAnswer<'_> {
    fn write(&self, out: &mut impl Write) -> Result<(), ReadError> {
        let mut sections = Section::ALL;
        if self.selection.switches.out_of_order {
            sections.reverse();
        }
        out.write_all(b"{")?;
        let mut comma = "";
        for section in sections {
            if self.write_section(section, comma, out)? {
                comma = ",";
            }
        }
        out.write_all(b"}")?;
        Ok(())
    }

    /// False if the section was left out.
    fn write_section(
        &self,
        section: Section,
        comma: &str,
        out: &mut impl Write,
    ) -> Result<bool, ReadError> {
        let switches = self.selection.switches;
        let mut is_open = false;
        let open = |out: &mut _| -> io::Result<()> {
            Write::write_fmt(out, format_args!("{comma}\"{}\":", section.name()))
        };
        if let Some(sql) = self.selection.sql(section) {
            let table = self.selection.table;
            let prefixes = column_prefixes(table);
            let repeats = if switches.duplicates { 2 } else { 1 };
            let mut statement = self.snapshot.prepare(&sql)?;
            let cursor = self.selection.request.cursor_for(table);
            let mut rows = statement.query((&table.name, cursor))?;
            while let Some(row) = rows.next()? {
                for _ in 0..repeats {
                    if is_open {
                        out.write_all(b",")?;
                    } else {
                        open(out)?;
                        out.write_all(b"[")?;
                        is_open = true;
                    }
                    self.write_item(section, row, &prefixes, out)?;
                }
            }
        }
        if is_open {
            out.write_all(b"]")?;
            return Ok(true);
        }
        if switches.omit_empty {
            return Ok(false);
        }
        open(out)?;
        out.write_all(if switches.null_empty { b"null" } else { b"[]" })?;
        Ok(true)
    }

    fn write_item(
        &self,
        section: Section,
        row: &Row<'_>,
        prefixes: &[String],
        out: &mut impl Write,
    ) -> Result<(), ReadError> {
        let switches = self.selection.switches;
        let style = RowStyle {
            zero_one: switches.zero_one,
            numeric_ids: switches.numeric_ids,
            meta: switches.meta,
            missing_ids: switches.missing_ids,
        };
        if section == Section::Deleted {
            write_id(out, row.get_ref(0)?, style)?;
            return Ok(());
        }
        write_row(self.selection.table, row, prefixes, style, out)
    }
}
