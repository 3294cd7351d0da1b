//! The tables of a hub, compared with what is asked for.

use super::wire::Asked;
use crate::ground::quoted;
use crate::store::{Database, Error, Result, quote_name};

/// A table of the hub as it is asked for.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its own spelling there.
    pub name: String,
    pub key: String,
    /// In the order of the request, as they are spelled there.
    pub columns: Vec<String>,
    /// The columns of its unique indexes but that of the key, each with its collation; partial ones and expressions are
    /// left out.
    pub unique: Vec<Vec<(String, String)>>,
    /// All columns but the key that hold values.
    pub all: Vec<String>,
}

struct Column {
    name: String,
    generated: bool,
}

impl Table {
    /// Finds a table.
    ///
    /// # Errors
    /// It is missing there, or has another key or other columns.
    pub fn find(database: &Database, asked: &Asked) -> Result<Self> {
        let found = database.query_row(
            "SELECT name, type FROM main.sqlite_master WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')",
            &[asked.name.as_str().into()],
            |row| Ok((row.text(0), row.text(1))),
        )?;
        let name = match found {
            Some((name, kind)) if kind == "table" => name,
            Some(_) => {
                return Err(Error::argument(format!(
                    "{} is a view there, which has no rows of its own; sync its tables",
                    quoted(&asked.name)
                )));
            }
            None => {
                return Err(Error::argument(format!(
                    "there is no table {} there; create it, or let the sync do it with \"create\":true",
                    quoted(&asked.name)
                )));
            }
        };
        let rows = database.query_all(
            "SELECT name, pk, hidden FROM pragma_table_xinfo(?1, ?2)",
            &[name.as_str().into(), database.schema().into()],
            |row| Ok((row.text(0), row.integer(1), row.integer(2))),
        )?;
        let keys: Vec<&str> = rows
            .iter()
            .filter(|(_, place, _)| *place > 0)
            .map(|(name, ..)| name.as_str())
            .collect();
        let is_key = |key: &str| key.eq_ignore_ascii_case(&asked.key);
        let key = match keys.as_slice() {
            [key] if is_key(key) => (*key).to_owned(),
            [] => {
                return Err(Error::argument(format!(
                    "{} has no primary key there; make {} its primary key in both files",
                    quoted(&asked.name),
                    quoted(&asked.key)
                )));
            }
            keys => {
                return Err(Error::argument(format!(
                    "the key of {} is {} there and {} here; give both tables the same primary key",
                    quoted(&asked.name),
                    keys.join(", "),
                    asked.key
                )));
            }
        };
        let known: Vec<Column> = rows
            .into_iter()
            .map(|(name, _, hidden)| Column {
                name,
                generated: hidden > 1,
            })
            .collect();
        let mut columns = Vec::with_capacity(asked.columns.len());
        for wanted in &asked.columns {
            let mut same = known.iter();
            match same.find(|column| column.name.eq_ignore_ascii_case(wanted)) {
                Some(column) if !column.generated => columns.push(column.name.clone()),
                Some(_) => {
                    return Err(Error::argument(format!(
                        "column {} of {} is generated there, so nothing can be written to it; leave it out with excludeColumns",
                        quoted(wanted),
                        quoted(&asked.name)
                    )));
                }
                None => {
                    return Err(Error::argument(format!(
                        "table {} has no column {} there; add it with ALTER TABLE, or leave it out with excludeColumns",
                        quoted(&asked.name),
                        quoted(wanted)
                    )));
                }
            }
        }
        let all = known.into_iter();
        let all = all.filter(|column| !column.generated && column.name != key);
        Ok(Self {
            unique: unique(database, &name, &key)?,
            all: all.map(|column| column.name).collect(),
            name,
            key,
            columns,
        })
    }

    /// The key's column, quoted.
    pub fn quoted_key(&self) -> String {
        quote_name(&self.key)
    }
}

fn unique(database: &Database, table: &str, key: &str) -> Result<Vec<Vec<(String, String)>>> {
    let schema = database.schema();
    let names = database.query_all(
        "SELECT name FROM pragma_index_list(?1, ?2) WHERE \"unique\" AND NOT partial AND origin <> 'pk'",
        &[table.into(), schema.into()],
        |row| Ok(row.text(0)),
    )?;
    let mut indexes = Vec::with_capacity(names.len());
    for name in names {
        let columns = database.query_all(
            "SELECT name, coll FROM pragma_index_xinfo(?1, ?2) WHERE key",
            &[name.as_str().into(), schema.into()],
            |row| Ok((row.optional_text(0), row.text(1))),
        )?;
        let columns: Option<Vec<(String, String)>> = columns
            .into_iter()
            .map(|(name, collation)| Some((name?, collation)))
            .collect();
        if let Some(columns) = columns
            && columns.iter().any(|(name, _)| name != key)
        {
            indexes.push(columns);
        }
    }
    Ok(indexes)
}

/// Makes a table of the hub by what it is in another file: its definition, and those of its indexes.
///
/// # Errors
/// SQLite's.
pub fn create(database: &Database, definitions: &[String]) -> Result<()> {
    let schema = quote_name(database.schema());
    for text in definitions {
        // SQLite keeps a definition from its name on, behind words of its own.
        let starts = ["CREATE TABLE ", "CREATE UNIQUE INDEX ", "CREATE INDEX "];
        let start = starts.into_iter().find(|start| text.starts_with(start));
        if let Some(start) = start {
            let rest = &text[start.len()..];
            let statement = format!("{start}{schema}.{rest}");
            database.connection().execute_script(&statement)?;
        }
    }
    Ok(())
}
