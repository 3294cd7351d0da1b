//! Tables that are tracked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ground::complaint;
use crate::store::{Database, Error, Result, quote_name};

use super::columns::Drift;
use super::shape::Shape;
use super::triggers;

/// How a column's values travel. Where the declared type does not say, `sync_track` can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    String,
    Number,
    Boolean,
    /// A blob, as base64 text.
    Base64,
    /// JSON of any shape, kept as its text.
    Json,
    /// Text and numbers as they are stored.
    Any,
}

/// What users call them.
pub const COLUMN_TYPES: &[&str] = &["string", "number", "boolean", "base64", "json", "any"];

/// The options of `sync_track`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackOptions {
    /// Whether rows that are there already are to be uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
    /// The columns to sync; all when absent. The key always is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Columns that are not synced. Unlike a list of those that are, it lets columns added later travel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, ColumnType>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Existing {
    Capture,
    Skip,
}

/// A tracked table whose triggers are in place.
#[derive(Debug, Clone)]
pub struct Tracked {
    pub id: i64,
    pub shape: Shape,
    pub options: TrackOptions,
    /// The provider it is synced with, once it was.
    pub provider: Option<String>,
    /// How the table has changed since its triggers were made, if it has.
    pub drift: Option<Drift>,
}

/// One row of `_syncTable`.
#[derive(Debug, Clone)]
pub struct Registration {
    pub id: i64,
    pub name: String,
    pub columns: Vec<String>,
    pub definition: String,
    /// See [`super::meet::signature`].
    pub indexes: String,
    pub options: TrackOptions,
    pub provider: Option<String>,
}

const SELECT: &str =
    "SELECT id, name, columns, definition, options, provider, indexes FROM main._syncTable";

/// All registrations, in the order in which they were made.
///
/// # Errors
/// SQLite's; [`Error::Corrupt`] for JSON that is none.
pub fn registrations(database: &Database) -> Result<Vec<Registration>> {
    database.query_all(&format!("{SELECT} ORDER BY id"), &[], read)
}

/// The registration of one table.
///
/// # Errors
/// As [`registrations`].
pub fn registration(database: &Database, name: &str) -> Result<Option<Registration>> {
    database.query_row(&format!("{SELECT} WHERE name = ?1"), &[name.into()], read)
}

fn read(row: &crate::store::Statement) -> Result<Registration> {
    let name = row.text(1);
    let broken = |error: serde_json::Error| {
        Error::Corrupt(format!(
            "the row of {} in _syncTable can't be read, {}; restore the file from a backup",
            quote_name(&name),
            complaint(&error)
        ))
    };
    Ok(Registration {
        id: row.integer(0),
        columns: serde_json::from_str(&row.text(2)).map_err(broken)?,
        definition: row.text(3),
        options: serde_json::from_str(&row.text(4)).map_err(broken)?,
        provider: row.optional_text(5),
        indexes: row.text(6),
        name,
    })
}

/// The table that the capture triggers of number `id` are on; none when they are gone.
///
/// # Errors
/// SQLite's.
pub fn captured_table(database: &Database, id: i64) -> Result<Option<String>> {
    let trigger = triggers::name(id, "insert");
    database.query_row(
        "SELECT tbl_name FROM main.sqlite_master WHERE type = 'trigger' AND name = ?1",
        &[trigger.as_str().into()],
        |row| Ok(row.text(0)),
    )
}

impl TrackOptions {
    /// Follows columns that were renamed: `places[i]` is where column `i` of `before` is now.
    pub fn rename(&mut self, before: &[String], now: &[String], places: &[Option<usize>]) {
        let renamed = |name: &str| {
            let place = before
                .iter()
                .position(|column| column.eq_ignore_ascii_case(name))?;
            now.get((*places.get(place)?)?).cloned()
        };
        for name in self.columns.iter_mut().flatten().chain(&mut self.exclude) {
            if let Some(new) = renamed(name) {
                *name = new;
            }
        }
        let types = std::mem::take(&mut self.types);
        self.types = types
            .into_iter()
            .map(|(name, kind)| (renamed(&name).unwrap_or(name), kind))
            .collect();
    }
}

impl Tracked {
    /// A tracked table by name. Call [`super::drift::refresh`] first in the same transaction.
    ///
    /// # Errors
    /// Not tracked; dropped, or dropped and created again, since it was tracked.
    pub fn open(database: &Database, name: &str) -> Result<Self> {
        let Some(registration) = registration(database, name)? else {
            return Err(Error::argument(format!(
                "{} is not tracked; call sync_track first",
                quote_name(name)
            )));
        };
        Self::from_registration(database, registration)
    }

    fn from_registration(database: &Database, registration: Registration) -> Result<Self> {
        let Some(table) = captured_table(database, registration.id)? else {
            let table = quote_name(&registration.name);
            let state = if database.has_table(&registration.name)? {
                "was dropped and made again"
            } else {
                "was dropped"
            };
            return Err(Error::argument(format!(
                "{table} {state} since it was tracked; call sync_track again to go on with it, \
                 or sync_untrack to forget it"
            )));
        };
        let shape = Shape::read(database, &table)?;
        Ok(Self::assemble(registration, shape))
    }

    /// A registration and the present shape of its table, put together.
    pub(super) fn assemble(registration: Registration, shape: Shape) -> Self {
        let drift = Drift::between(&registration.columns, &shape.names());
        let mut options = registration.options;
        if let Some(drift) = &drift {
            options.rename(&registration.columns, &shape.names(), &drift.places);
        }
        Self {
            drift,
            id: registration.id,
            shape,
            options,
            provider: registration.provider,
        }
    }

    /// All tables that can be read right now; dropped ones are left out.
    ///
    /// # Errors
    /// SQLite's.
    pub fn all(database: &Database) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for registration in registrations(database)? {
            if captured_table(database, registration.id)?.is_some() {
                all.push(Self::from_registration(database, registration)?);
            }
        }
        Ok(all)
    }

    /// Positions of the columns that are synced: those chosen, never generated ones, key included.
    pub fn synced_columns(&self) -> Vec<usize> {
        let lists = |names: &[String], name: &str| {
            names.iter().any(|listed| listed.eq_ignore_ascii_case(name))
        };
        let chosen = |name: &str| {
            let wanted = self.options.columns.as_deref();
            wanted.is_none_or(|names| lists(names, name)) && !lists(&self.options.exclude, name)
        };
        self.shape
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| {
                !column.generated && (column.key_place > 0 || chosen(&column.name))
            })
            .map(|(position, _)| position)
            .collect()
    }

    /// How the values of a column travel: as registered, else by the declared type.
    pub fn column_type(&self, position: usize) -> ColumnType {
        let column = &self.shape.columns[position];
        let registered = self
            .options
            .types
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&column.name));
        registered.map_or_else(|| declared_type(&column.declared), |(_, kind)| *kind)
    }
}

/// Types by declaration: `BOOL`, `BOOLEAN` and `JSON` by name, else by SQLite's rules of affinity. What SQLite turns
/// into numbers only where it can (DATE, DECIMAL, STRING, …) takes what comes, and so does what has no type.
fn declared_type(declared: &str) -> ColumnType {
    let has = |part: &str| declared.contains(part);
    match declared.split('(').next().unwrap_or_default().trim() {
        "BOOL" | "BOOLEAN" => return ColumnType::Boolean,
        "JSON" => return ColumnType::Json,
        _ => {}
    }
    if has("INT") {
        ColumnType::Number
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        ColumnType::String
    } else if has("BLOB") {
        ColumnType::Base64
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        ColumnType::Number
    } else {
        ColumnType::Any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_declared_types() {
        use ColumnType::*;
        for (kind, words) in [
            (Boolean, "BOOL,BOOLEAN,BOOLEAN (1)"),
            (Json, "JSON"),
            (
                Number,
                "INTEGER,INT,INT8,TINYINT(1),UNSIGNED BIG INT,POINT,INTERVAL,CHARINT",
            ),
            (Number, "REAL,FLOAT,DOUBLE,DOUBLE PRECISION"),
            (
                String,
                "TEXT,VARCHAR(20),NVARCHAR(9),CLOB,CHARACTER VARYING",
            ),
            (
                Any,
                "DATE,DATETIME,TIMESTAMP,TIMESTAMPTZ,TIME,NUMERIC,DECIMAL,MONEY,STRING,UUID,XML,JSONB",
            ),
            (Any, "ANY,BOOLEANS"),
            (Base64, "BLOB"),
        ] {
            for declared in words.split(',') {
                assert_eq!(declared_type(declared), kind, "{declared}");
            }
        }
        assert_eq!(declared_type("DECIMAL(10,2)"), Any);
        assert_eq!(declared_type(""), Any);
    }

    #[test]
    fn every_name_of_a_type_is_one() {
        for name in COLUMN_TYPES {
            let text = format!(r#"{{"types":{{"a":"{name}"}}}}"#);
            assert!(
                serde_json::from_str::<TrackOptions>(&text).is_ok(),
                "{name}"
            );
        }
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(serde_json::from_str::<TrackOptions>(r#"{"colums":[]}"#).is_err());
        assert!(serde_json::from_str::<TrackOptions>(r#"{"existing":"skip"}"#).is_ok());
    }
}
