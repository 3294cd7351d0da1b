//! Rules P1 to P13: what has changed since the cursor, read from one snapshot.

use std::collections::HashMap;
use std::io::{self, Write};

use rusqlite::{Connection, Row};
use serde_json::Value;

use super::super::schema::{Schema, Table, quoted};
use super::super::store::{Store, last_stamp};
use super::super::switches::Switches;
use super::super::value::{RowStyle, write_id};
use super::cursor_in;
use super::read::{ReadError, column_prefixes, selected_columns, write_row};

/// What a client asks for.
pub struct PullRequest {
    /// 0: everything.
    cursor: i64,
    /// `None`: all.
    tables: Option<Vec<String>>,
    /// Tables that the client's app has only just got.
    new_tables: Vec<String>,
    /// Columns that it has only just got, by table.
    new_columns: Vec<(String, Vec<String>)>,
}

impl PullRequest {
    /// Reads the query, and refuses names that the schema does not have.
    pub fn parse(query: &HashMap<String, String>, schema: &Schema) -> Result<PullRequest, String> {
        let tables = match query.get("tables").map(String::as_str) {
            None | Some("") => None,
            Some(names) => Some(names.split(',').map(str::to_string).collect::<Vec<_>>()),
        };
        for name in tables.iter().flatten() {
            known_table(schema, name)?;
        }
        let (new_tables, new_columns) = migration(query, schema)?;
        Ok(PullRequest {
            cursor: cursor_in(query)?.unwrap_or(0),
            tables,
            new_tables,
            new_columns,
        })
    }

    fn wants(&self, table: &Table) -> bool {
        self.tables
            .as_ref()
            .is_none_or(|tables| tables.contains(&table.name))
    }

    /// Rule P6: a client knows nothing of a table that it has only just got.
    fn cursor_for(&self, table: &Table) -> i64 {
        if self.new_tables.contains(&table.name) {
            0
        } else {
            self.cursor
        }
    }
}

/// Writes the whole answer from one snapshot (rule P5). The timestamp is that of the last write
/// in the snapshot: whatever is committed later gets a later one.
pub fn write_answer(
    store: &Store,
    request: &PullRequest,
    switches: &Switches,
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
    write_changes(&snapshot, &store.schema, request, switches, out)?;
    for (name, value) in switches.extra.iter().flatten() {
        write!(out, ",{}:{value}", Value::from(name.as_str()))?;
    }
    drop(snapshot);
    if !switches.out_of_order {
        let stamp = match switches.timestamp_after {
            None => stamp,
            Some(pause) => {
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
        None if switches.seconds_clock => Value::from(stamp / 1000),
        None => Value::from(stamp),
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
    let mut tables: Vec<&Table> = schema
        .tables
        .iter()
        .filter(|table| request.wants(table))
        .collect();
    if switches.out_of_order {
        tables.reverse();
    }
    out.write_all(b"\"changes\":{")?;
    for (index, table) in tables.into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        let answer = TableAnswer {
            snapshot,
            table,
            request,
            switches,
        };
        answer.write(out)?;
    }
    out.write_all(b"}")?;
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Created,
    Updated,
    Deleted,
}

impl Section {
    fn name(self) -> &'static str {
        match self {
            Section::Created => "created",
            Section::Updated => "updated",
            Section::Deleted => "deleted",
        }
    }
}

/// The change set of one table.
struct TableAnswer<'a> {
    snapshot: &'a Connection,
    table: &'a Table,
    request: &'a PullRequest,
    switches: &'a Switches,
}

impl TableAnswer<'_> {
    fn write(&self, out: &mut impl Write) -> Result<(), ReadError> {
        let mut sections = [Section::Created, Section::Updated, Section::Deleted];
        if self.switches.out_of_order {
            sections.reverse();
        }
        write!(out, "{}:{{", Value::from(self.table.name.as_str()))?;
        let mut is_first = true;
        for section in sections {
            self.write_section(section, &mut is_first, out)?;
        }
        out.write_all(b"}")?;
        Ok(())
    }

    fn write_section(
        &self,
        section: Section,
        is_first: &mut bool,
        out: &mut impl Write,
    ) -> Result<(), ReadError> {
        let mut count = 0;
        let mut open = |out: &mut _| -> io::Result<()> {
            let comma = if *is_first { "" } else { "," };
            *is_first = false;
            Write::write_fmt(out, format_args!("{comma}\"{}\":[", section.name()))
        };
        if !self.switches.omit_empty {
            open(out)?;
        }
        if let Some(sql) = self.select(section) {
            let prefixes = column_prefixes(self.table);
            let repeats = if self.switches.duplicates { 2 } else { 1 };
            let mut statement = self.snapshot.prepare(&sql)?;
            let cursor = self.request.cursor_for(self.table);
            let mut rows = statement.query((&self.table.name, cursor))?;
            while let Some(row) = rows.next()? {
                for _ in 0..repeats {
                    if count > 0 {
                        out.write_all(b",")?;
                    } else if self.switches.omit_empty {
                        open(out)?;
                    }
                    count += 1;
                    self.write_item(section, row, &prefixes, out)?;
                }
            }
        }
        if count > 0 || !self.switches.omit_empty {
            out.write_all(b"]")?;
        }
        Ok(())
    }

    fn write_item(
        &self,
        section: Section,
        row: &Row<'_>,
        prefixes: &[String],
        out: &mut impl Write,
    ) -> Result<(), ReadError> {
        let style = RowStyle {
            zero_one: self.switches.zero_one,
            numeric_ids: self.switches.numeric_ids,
            meta: self.switches.meta,
            missing_ids: self.switches.missing_ids,
        };
        if section == Section::Deleted {
            write_id(out, row.get_ref(0)?, style)?;
            return Ok(());
        }
        write_row(self.table, row, prefixes, style, out)
    }

    /// The rows of a section; `None` if there can be none. `?1` is the table, `?2` the cursor.
    fn select(&self, section: Section) -> Option<String> {
        let is_first_sync = self.request.cursor_for(self.table) == 0;
        let switches = self.switches;
        let [born, changed] = match switches.seconds_clock {
            false => ["r.created_at > ?2", "r.last_modified > ?2"],
            true => ["r.created_at / 1000 > ?2", "r.last_modified / 1000 > ?2"],
        };
        let wanted = match section {
            Section::Created if switches.all_updated => return None,
            Section::Created if switches.all_created => self.or_migrated(changed),
            Section::Created => format!("{changed} AND {born}"),
            Section::Updated if switches.all_created => return None,
            Section::Updated if switches.all_updated || switches.duplicates => {
                self.or_migrated(changed)
            }
            Section::Updated if is_first_sync => return None,
            Section::Updated => format!("{} AND NOT {born}", self.or_migrated(changed)),
            Section::Deleted if switches.also_deleted => changed.to_string(),
            Section::Deleted if is_first_sync => return None,
            Section::Deleted => format!("r.deleted AND {changed}"),
        };
        if section == Section::Deleted {
            return Some(format!(
                "SELECT r.id FROM _backend_row AS r WHERE r.tab = ?1 AND {wanted} \
                 ORDER BY r.last_modified, r.id"
            ));
        }
        Some(format!(
            "SELECT {columns} FROM _backend_row AS r CROSS JOIN {table} AS u ON u.{key} = r.id \
             WHERE r.tab = ?1 AND NOT r.deleted AND {wanted} ORDER BY r.last_modified, r.id",
            columns = selected_columns(self.table),
            table = quoted(&self.table.name),
            key = quoted(&self.table.key),
        ))
    }

    /// Rule P6: rows of old that have something in a column which is new to the client.
    fn or_migrated(&self, changed: &str) -> String {
        let mut condition = format!("({changed}");
        let new_columns = self
            .request
            .new_columns
            .iter()
            .filter(|(table, _)| *table == self.table.name)
            .flat_map(|(_, columns)| columns);
        for name in new_columns {
            let Some(column) = self.table.column(name) else {
                continue;
            };
            condition += &format!(" OR u.{} IS NOT ({})", quoted(name), column.default_sql());
        }
        condition + ")"
    }
}

fn known_table<'a>(schema: &'a Schema, name: &str) -> Result<&'a Table, String> {
    schema
        .table(name)
        .ok_or_else(|| format!("unknown table {name}"))
}

type Migration = (Vec<String>, Vec<(String, Vec<String>)>);

/// `{"from":1,"tables":["z"],"columns":[{"table":"x","columns":["c2"]}]}`, `null` or nothing.
fn migration(query: &HashMap<String, String>, schema: &Schema) -> Result<Migration, String> {
    let text = match query.get("migration").map(String::as_str) {
        None | Some("" | "null") => return Ok((Vec::new(), Vec::new())),
        Some(text) => text,
    };
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("migration: not JSON: {error}"))?;
    let tables = texts(value.get("tables")).ok_or("migration: tables: a list of names")?;
    for name in &tables {
        known_table(schema, name)?;
    }
    let mut new_columns = Vec::new();
    let entries = match value.get("columns") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(entries)) => entries.as_slice(),
        Some(_) => return Err("migration: columns: a list".to_string()),
    };
    for entry in entries {
        let name = entry
            .get("table")
            .and_then(Value::as_str)
            .ok_or("migration: columns: a table is missing")?;
        let table = known_table(schema, name)?;
        let columns =
            texts(entry.get("columns")).ok_or("migration: columns: a list of names per table")?;
        if let Some(unknown) = columns.iter().find(|column| table.column(column).is_none()) {
            return Err(format!("unknown column {name}.{unknown}"));
        }
        new_columns.push((name.to_string(), columns));
    }
    Ok((tables, new_columns))
}

/// A list of texts; nothing counts as an empty list.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(value) => value
            .as_array()?
            .iter()
            .map(|item| item.as_str().map(str::to_string))
            .collect(),
    }
}
