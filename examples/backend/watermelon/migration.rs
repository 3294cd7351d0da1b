//! Rule P6: what a client's app has only just got.

use serde_json::Value;

use super::super::schema::{Schema, Table, quoted};
use super::request::known_table;

/// New tables, and new columns of older ones. Nothing of either by default.
#[derive(Clone, Debug, Default)]
pub struct Migration {
    tables: Vec<String>,
    columns: Vec<(String, Vec<String>)>,
}

impl Migration {
    /// Reads `{"from":1,"tables":["z"],"columns":[{"table":"x","columns":["c2"]}]}` or `null`,
    /// and refuses names that the schema does not have.
    pub fn parse(value: &Value, schema: &Schema) -> Result<Migration, String> {
        let value = match value {
            Value::Null => return Ok(Migration::default()),
            Value::Object(object) => object,
            _ => return Err("migration: null or an object".to_string()),
        };
        let tables = texts(value.get("tables")).ok_or("migration: tables: a list of names")?;
        for name in &tables {
            known_table(schema, name)?;
        }
        let entries = match value.get("columns") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(entries)) => entries.as_slice(),
            Some(_) => return Err("migration: columns: a list".to_string()),
        };
        let columns = entries
            .iter()
            .map(|entry| new_columns(entry, schema))
            .collect::<Result<_, String>>()?;
        Ok(Migration { tables, columns })
    }

    /// A client knows nothing of a table that it has only just got.
    pub fn is_new(&self, table: &Table) -> bool {
        self.tables.contains(&table.name)
    }

    /// The SQL conditions, on a table called `u`, that a row has something in a new column.
    pub fn conditions<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = String> + 'a {
        self.columns
            .iter()
            .filter(|(name, _)| *name == table.name)
            .flat_map(|(_, columns)| columns)
            .filter_map(|name| table.column(name))
            .map(|column| {
                format!(
                    "u.{} IS NOT ({})",
                    quoted(&column.name),
                    column.default_sql()
                )
            })
    }
}

fn new_columns(entry: &Value, schema: &Schema) -> Result<(String, Vec<String>), String> {
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
    Ok((name.to_string(), columns))
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
