//! Tables that are tracked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ground::{Affinity, complaint};
use crate::store::{Database, Error, Result, ValueRef, quote_name, readable_schema};

use super::columns::{Columns, Names};
use super::moved::moved;
use super::names::{Renamed, new_name};
use super::shape::Shape;
use super::triggers::{self, Found};

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
    /// What becomes of a row made here whose counted key was given to another row elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
}

/// Whether two rows made on two devices under the same counted key are one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// They are two: the one made here takes another key.
    Rekey,
    Same,
}

/// What users call them.
pub const COUNTED: &[&str] = &["rekey", "same"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Existing {
    Capture,
    Skip,
}

/// A tracked table.
#[derive(Debug, Clone)]
pub struct Tracked {
    pub id: i64,
    pub shape: Shape,
    pub options: TrackOptions,
    /// The provider it is synced with, once it was.
    pub provider: Option<String>,
    pub columns: Columns,
    /// Its triggers are there. Else it was made again, and nothing may be written to the log by them.
    pub is_captured: bool,
    /// There is a table of its name and key. Else what is known of it is what the record says.
    pub is_there: bool,
    /// How often capture was put back: another number, another table.
    pub generation: i64,
}

/// One row of `_syncTable`.
#[derive(Debug, Clone)]
pub struct Registration {
    pub id: i64,
    pub name: String,
    /// What its columns were called, by bit.
    pub columns: Names,
    pub definition: String,
    /// See [`super::meet::signature`].
    pub indexes: String,
    /// See [`super::refilled::place`]; none in a file that an older version wrote.
    pub place: Option<String>,
    pub options: TrackOptions,
    pub provider: Option<String>,
    /// Names of the key's columns; none in a file that an older version wrote.
    pub keys: Option<Vec<String>>,
    /// Since when capture is off on purpose, in epoch ms.
    pub off: Option<i64>,
    pub generation: i64,
}

impl Registration {
    /// The table that has its name and its key, for one whose triggers are gone; none when there is none.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn again(&self, database: &Database) -> Result<Option<Shape>> {
        let shape = match Shape::read(database, &self.name) {
            Ok(shape) => shape,
            Err(Error::Argument(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(self.has_key_of(&shape).then_some(shape))
    }

    /// Whether there is a table or a view of its name.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn is_named(&self, database: &Database) -> Result<bool> {
        let found = database.query_value(
            "SELECT 1 FROM main.sqlite_master WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
            &[self.name.as_str().into()],
        )?;
        Ok(found.as_i64().is_some())
    }

    /// The same, its key being that of a table which has as many columns in it: they have other names.
    pub(super) fn with_key_of(mut self, shape: &Shape) -> Self {
        let keys = shape.keys();
        let old = self.keys.take().unwrap_or_default();
        let renamed: Vec<Renamed> = old
            .into_iter()
            .zip(&keys)
            .filter(|(old, key)| !old.eq_ignore_ascii_case(&key.name))
            .map(|(old, key)| (old, key.name.clone()))
            .collect();
        for name in self.columns.iter_mut().flatten() {
            if let Some(new) = new_name(&renamed, name) {
                *name = new.to_owned();
            }
        }
        self.options.rename(&renamed);
        self.keys = Some(keys.iter().map(|key| key.name.clone()).collect());
        self
    }

    pub(super) fn has_key_of(&self, shape: &Shape) -> bool {
        let keys = shape.keys();
        let mut names = keys.iter().map(|column| column.name.as_str());
        match &self.keys {
            Some(recorded) => {
                let mut both = recorded.iter().zip(names);
                recorded.len() == keys.len()
                    && both.all(|(one, other)| one.eq_ignore_ascii_case(other))
            }
            // An older version did not record which columns were the key.
            None => names.all(|name| {
                let mut recorded = self.columns.iter().flatten();
                recorded.any(|column| column.eq_ignore_ascii_case(name))
            }),
        }
    }

    /// Synced columns that the table does not have any more, or computes now: what was written to them is nowhere.
    pub(super) fn missing(&self, shape: &Shape) -> Vec<&str> {
        let recorded = self.columns.iter().flatten();
        let is_there = |name: &str| {
            let position = shape.position(name);
            position.is_some_and(|position| !shape.columns[position].generated)
        };
        recorded
            .filter(|name| self.options.choose(name) && !is_there(name))
            .map(String::as_str)
            .collect()
    }

    /// The same of a table whose triggers are there to follow renamed columns: those that it computes now.
    pub(super) fn computed(&self, shape: &Shape) -> Vec<&str> {
        let missing = self.missing(shape).into_iter();
        missing
            .filter(|name| shape.position(name).is_some())
            .collect()
    }
}

/// Before the place of a table, in the last line of the record of its indexes.
const PLACE: &str = "\nat ";

/// The indexes and the place of a table as one text.
pub(super) fn with_place(indexes: &str, place: Option<&str>) -> String {
    match place {
        Some(place) => format!("{indexes}{PLACE}{place}"),
        None => indexes.to_owned(),
    }
}

/// What [`with_place`] has put together.
fn split_place(recorded: &str) -> (String, Option<String>) {
    let is_number = |word: &str| word.parse::<i64>().is_ok();
    match recorded.rsplit_once(PLACE) {
        Some((indexes, place)) if place.split(' ').all(is_number) => {
            (indexes.to_owned(), Some(place.to_owned()))
        }
        _ => (recorded.to_owned(), None),
    }
}

/// The schema version from which on the state of capture is recorded.
const WITH_STATE: i64 = 3;

/// Registrations. `those`: what stands after FROM and the table. Asked for each table in each transaction of a sync.
fn select(database: &Database, those: &str, values: &[ValueRef<'_>]) -> Result<Vec<Registration>> {
    let with = |state| {
        let sql = format!(
            "SELECT id, name, columns, definition, options, provider, indexes, {state} FROM main._syncTable {those}"
        );
        database.query_all(&sql, values, read)
    };
    with("keys, captureOff, generation").or_else(|error| {
        // A file that an older build wrote, and that is only read.
        match readable_schema(database)? {
            Some(version) if version < WITH_STATE => with("NULL, NULL, 0"),
            _ => Err(error),
        }
    })
}

/// All registrations, in the order in which they were made.
///
/// # Errors
/// SQLite's; [`Error::Corrupt`] for JSON that is none.
pub fn registrations(database: &Database) -> Result<Vec<Registration>> {
    select(database, "ORDER BY id", &[])
}

/// The registration of one table.
///
/// # Errors
/// As [`registrations`].
pub fn registration(database: &Database, name: &str) -> Result<Option<Registration>> {
    Ok(select(database, "WHERE name = ?1", &[name.into()])?.pop())
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
    let (indexes, place) = split_place(&row.text(6));
    Ok(Registration {
        id: row.integer(0),
        columns: serde_json::from_str(&row.text(2)).map_err(broken)?,
        definition: row.text(3),
        options: serde_json::from_str(&row.text(4)).map_err(broken)?,
        provider: row.optional_text(5),
        indexes,
        place,
        keys: match row.optional_text(7) {
            Some(keys) => Some(serde_json::from_str(&keys).map_err(broken)?),
            None => None,
        },
        off: row.column(8).as_i64(),
        generation: row.integer(9),
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
    /// Follows columns that were renamed.
    fn rename(&mut self, renamed: &[Renamed]) {
        let new_name = |name: &str| new_name(renamed, name).map(str::to_owned);
        for name in self.columns.iter_mut().flatten().chain(&mut self.exclude) {
            if let Some(new) = new_name(name) {
                *name = new;
            }
        }
        let types = std::mem::take(&mut self.types);
        self.types = types
            .into_iter()
            .map(|(name, kind)| (new_name(&name).unwrap_or(name), kind))
            .collect();
    }

    /// Whether there are columns that stay here.
    pub(super) fn keeps(&self) -> bool {
        self.columns.is_some() || !self.exclude.is_empty()
    }

    /// The names of columns that the options hold.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        let named = self.columns.iter().flatten();
        named.chain(&self.exclude).chain(self.types.keys())
    }

    /// Whether a column is to be synced.
    pub fn choose(&self, name: &str) -> bool {
        let lists = |names: &[String]| names.iter().any(|listed| listed.eq_ignore_ascii_case(name));
        self.columns.as_deref().is_none_or(lists) && !lists(&self.exclude)
    }
}

impl Tracked {
    /// A registration and the present shape of its table, put together.
    pub(super) fn assemble(registration: Registration, shape: Shape, found: &Found) -> Self {
        let columns = match found.says() {
            None => {
                let moved = moved(&registration.definition, &shape);
                Columns::resolve_but(&registration.columns, None, &shape, &moved)
            }
            known => Columns::resolve(&registration.columns, known, &shape),
        };
        let mut options = registration.options;
        options.rename(&columns.renamed);
        Self {
            columns,
            id: registration.id,
            shape,
            options,
            provider: registration.provider,
            is_captured: found.table.is_some(),
            is_there: true,
            generation: registration.generation,
        }
    }

    /// Whether the options are still those that it is registered with.
    pub fn has_options_of(&self, registered: Option<&Registration>) -> bool {
        registered.is_some_and(|registered| {
            let mut options = registered.options.clone();
            options.rename(&self.columns.renamed);
            options == self.options
        })
    }

    /// All tables that can be read right now; dropped ones are left out. One that was made again, or of which
    /// capture is off, is there: what was logged still waits.
    ///
    /// # Errors
    /// SQLite's.
    pub fn all(database: &Database) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for registration in registrations(database)? {
            all.extend(Self::seen(database, registration)?);
        }
        Ok(all)
    }

    /// One table as [`Tracked::all`] shows it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn seen(database: &Database, registration: Registration) -> Result<Option<Self>> {
        let found = Found::read(database, registration.id)?;
        if let Some(table) = &found.table {
            let shape = Shape::read(database, table)?;
            return Ok(Some(Self::assemble(registration, shape, &found)));
        }
        let mut registration = registration;
        if let Some(table) = &found.follows
            && !registration.is_named(database)?
        {
            registration.name.clone_from(table);
        }
        let shape = registration.again(database)?;
        Ok(shape.map(|shape| Self::assemble(registration, shape, &found)))
    }

    /// Positions of the columns that are synced: those chosen, never generated ones, key included.
    pub fn synced_columns(&self) -> Vec<usize> {
        self.shape
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| {
                !column.generated && (column.key_place > 0 || self.options.choose(&column.name))
            })
            .map(|(position, _)| position)
            .collect()
    }

    /// Whether the numbers of its keys are counted here, so that another device may have counted them too.
    pub fn counts_keys(&self) -> bool {
        self.shape.rowid_is_key && self.options.counted != Some(Counted::Same)
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
    match declared.split('(').next().unwrap_or_default().trim() {
        "BOOL" | "BOOLEAN" => return ColumnType::Boolean,
        "JSON" => return ColumnType::Json,
        _ => {}
    }
    match Affinity::of(declared, false) {
        Affinity::Integer | Affinity::Real => ColumnType::Number,
        Affinity::Text => ColumnType::String,
        Affinity::None if !declared.is_empty() => ColumnType::Base64,
        Affinity::None | Affinity::Numeric => ColumnType::Any,
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
    fn a_place_is_read_as_it_is_written() {
        for indexes in ["", "i CREATE UNIQUE INDEX i ON t (a)", "i x\nat y"] {
            for place in [None, Some("7 12")] {
                let (one, other) = split_place(&with_place(indexes, place));
                assert_eq!((one.as_str(), other.as_deref()), (indexes, place));
            }
        }
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
