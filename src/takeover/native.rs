//! What a database file of a WatermelonDB client looks like.

use crate::capture::shape::Shape;
use crate::capture::tracked::registration;
use crate::ground::quoted;
use crate::store::{Database, Error, Result, quote_name};

/// The columns in which the client keeps the state of a row. They don't travel.
pub const STATE: [&str; 2] = ["_status", "_changed"];

/// How far the client has pulled.
pub struct Pulled {
    /// None when it never did.
    pub at: Option<String>,
    pub schema_version: Option<i64>,
}

impl Pulled {
    /// # Errors
    /// No table `local_storage`, no timestamp in it; SQLite's.
    pub fn read(database: &Database) -> Result<Self> {
        if !database.has_table("local_storage")? {
            return Err(Error::argument(
                "this is not a WatermelonDB file: it has no table local_storage",
            ));
        }
        let stored = |key: &str| {
            database.query_row(
                "SELECT value FROM main.local_storage WHERE key = ?1",
                &[key.into()],
                |row| Ok(row.text(0)),
            )
        };
        let at = match stored("__watermelon_last_pulled_at")? {
            // The client takes 0 for "never".
            Some(text) if text != "0" => Some(checked_cursor(text)?),
            _ => None,
        };
        let schema_version = stored("__watermelon_last_pulled_schema_version")?;
        Ok(Self {
            at,
            schema_version: schema_version.and_then(|text| text.parse().ok()),
        })
    }
}

fn checked_cursor(text: String) -> Result<String> {
    let number: Option<serde_json::Number> = serde_json::from_str(&text).ok();
    if number.is_some_and(|number| number.as_f64().is_some_and(|number| number > 0.0)) {
        return Ok(text);
    }
    Err(Error::argument(format!(
        "__watermelon_last_pulled_at in local_storage is {}, which is not a timestamp; delete that row to \
         pull from the beginning",
        quoted(&text)
    )))
}

/// The tables to take over, none of them tracked: those named, or all that have the client's columns.
///
/// # Errors
/// None, or one that has not those columns or is tracked; SQLite's.
pub fn shapes(database: &Database, tables: Option<&[String]>) -> Result<Vec<Shape>> {
    let names = match tables {
        Some(names) => names.to_vec(),
        None => native_tables(database)?,
    };
    if names.is_empty() {
        return Err(Error::argument(
            "there is nothing to take over: no table has the columns id, _status and _changed that \
             WatermelonDB gives its tables",
        ));
    }
    let mut shapes: Vec<Shape> = Vec::with_capacity(names.len());
    for name in &names {
        let shape = Shape::read(database, name)?;
        if shapes.iter().any(|other| other.name == shape.name) {
            continue;
        }
        if !is_native(&shape) {
            return Err(Error::argument(format!(
                "{} is not a WatermelonDB table: it needs the primary key id and the columns _status \
                 and _changed",
                quote_name(&shape.name)
            )));
        }
        if registration(database, &shape.name)?.is_some() {
            return Err(Error::argument(format!(
                "{} is tracked already; call sync_untrack first, or leave it out",
                quote_name(&shape.name)
            )));
        }
        shapes.push(shape);
    }
    Ok(shapes)
}

fn native_tables(database: &Database) -> Result<Vec<String>> {
    let names = database.query_all(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' \
         AND sql NOT LIKE 'CREATE VIRTUAL %' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND name NOT LIKE '\\_sync%' ESCAPE '\\' ORDER BY rowid",
        &[],
        |row| Ok(row.text(0)),
    )?;
    let mut native = Vec::new();
    for name in names {
        let found = database.query_value(
            "SELECT count(*) FROM pragma_table_info(?1, ?2) \
             WHERE name IN (?3, ?4) OR (name = 'id' AND pk = 1)",
            &[
                name.as_str().into(),
                database.schema().into(),
                STATE[0].into(),
                STATE[1].into(),
            ],
        )?;
        if found.as_i64() == Some(3) {
            native.push(name);
        }
    }
    Ok(native)
}

fn is_native(shape: &Shape) -> bool {
    let has = |name: &&str| shape.columns.iter().any(|column| column.name == *name);
    let keys = shape.keys();
    keys.len() == 1 && keys[0].name == "id" && STATE.iter().all(has)
}
