//! Rows as JSON, for pulls and dumps.

use std::fmt;
use std::io::{self, Write};

use rusqlite::Row;
use serde_json::Value;

use super::super::schema::{Table, quoted};
use super::super::store::Store;
use super::super::value::{RowStyle, write_id, write_value};

/// Why an answer could not be written to its end.
pub enum ReadError {
    Sql(rusqlite::Error),
    Write(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Sql(error) => error.fmt(formatter),
            ReadError::Write(error) => error.fmt(formatter),
        }
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        ReadError::Sql(error)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Write(error)
    }
}

/// The key, then the columns, of a table that is called `u` in the query.
pub fn selected_columns(table: &Table) -> String {
    let mut list = format!("u.{}", quoted(&table.key));
    for column in &table.columns {
        list += &format!(", u.{}", quoted(&column.name));
    }
    list
}

/// What stands before each column's value in a row.
pub fn column_prefixes(table: &Table) -> Vec<String> {
    table
        .columns
        .iter()
        .map(|column| format!("{}:", Value::from(column.name.as_str())))
        .collect()
}

/// Writes one row that was read by [`selected_columns`].
pub fn write_row(
    table: &Table,
    row: &Row<'_>,
    prefixes: &[String],
    style: RowStyle,
    out: &mut impl Write,
) -> Result<(), ReadError> {
    let mut comma = "";
    out.write_all(b"{")?;
    if !style.missing_ids {
        out.write_all(b"\"id\":")?;
        write_id(out, row.get_ref(0)?, style)?;
        comma = ",";
    }
    if style.meta {
        write!(out, "{comma}\"_status\":\"synced\",\"_changed\":\"\"")?;
        comma = ",";
    }
    for (index, (column, prefix)) in table.columns.iter().zip(prefixes).enumerate() {
        out.write_all(comma.as_bytes())?;
        out.write_all(prefix.as_bytes())?;
        write_value(out, row.get_ref(index + 1)?, column.kind, style)?;
        comma = ",";
    }
    out.write_all(b"}")?;
    Ok(())
}

/// Writes all rows of a table as a JSON list sorted by id, one row a line. A table that the
/// schema does not have is an empty list.
pub fn write_dump(store: &Store, name: &str, out: &mut impl Write) -> Result<(), ReadError> {
    out.write_all(b"[")?;
    if let Some(table) = store.schema.table(name) {
        let reader = store.reader()?;
        let sql = format!(
            "SELECT {columns} FROM {table} AS u ORDER BY u.{key} COLLATE BINARY",
            columns = selected_columns(table),
            table = quoted(name),
            key = quoted(&table.key),
        );
        let prefixes = column_prefixes(table);
        let mut statement = reader.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut separator = "\n";
        while let Some(row) = rows.next()? {
            out.write_all(separator.as_bytes())?;
            write_row(table, row, &prefixes, RowStyle::default(), out)?;
            separator = ",\n";
        }
    }
    out.write_all(b"\n]\n")?;
    Ok(())
}
