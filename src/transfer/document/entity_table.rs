//! The table of an entity: columns `id`, `data` (JSON text) and `timestamp`.

use crate::capture::track;
use crate::capture::tracked::{Existing, TrackOptions, registration};
use crate::ground::{SyncError, quoted};
use crate::store::{Database, Statement, Value};

use super::outcome::{Failure, Job, Outcome};
use super::plain::PlainRows;
use super::records::{Record, merged};
use super::rows::{Rows, Word};
use super::scope::Scope;
use super::tracked;

const TEMPLATE: &str = include_str!("../../../sql/templates/entity.sql");

/// One table, with its statements at the ready.
pub struct EntityTable<'a> {
    database: &'a Database,
    name: &'a str,
    find: Statement,
    rows: &'a mut dyn Rows,
}

/// Makes sure that there is a table of that name: it is created when missing.
///
/// # Errors
/// It has other columns; SQLite's.
pub fn require(database: &Database, name: &str) -> Result<(), Failure> {
    if !database.has_table(name)? {
        let script = TEMPLATE.replace("{table}", &database.qualified(name));
        database.connection().execute_script(&script)?;
    }
    let columns = database.query_all(
        "SELECT lower(name) FROM pragma_table_info(?1, ?2)",
        &[name.into(), database.schema().into()],
        |row| Ok(row.text(0)),
    )?;
    for column in ["id", "data", "timestamp"] {
        if !columns.iter().any(|name| name == column) {
            return Err(SyncError::data(format!(
                "table {} has no column {column}, but the table of an entity has id, data and timestamp; rename \
                 it, or let syncscope create one",
                quoted(name)
            ))
            .into());
        }
    }
    Ok(())
}

/// Makes a table of documents where there is none of that name, and tracks one that is there: rows are not pending for that.
/// Any other table stays as it is.
///
/// # Errors
/// SQLite's.
pub fn make_documents(database: &Database, name: &str) -> crate::store::Result<()> {
    if registration(database, name)?.is_some() {
        return Ok(());
    }
    if !database.has_table(name)? {
        let script = TEMPLATE.replace("{table}", &database.qualified(name));
        database.connection().execute_script(&script)?;
    }
    let others = database.query_value(
        "SELECT count(*) FROM pragma_table_xinfo(?1, ?2) \
         WHERE NOT (lower(name) = 'id' AND pk = 1 OR pk = 0 AND lower(name) IN ('data', 'timestamp') OR hidden > 0)",
        &[name.into(), database.schema().into()],
    )?;
    if others.as_i64() == Some(0) {
        let options = TrackOptions {
            existing: Some(Existing::Skip),
            ..TrackOptions::default()
        };
        track::track(database, name, Some(options))?;
    }
    Ok(())
}

/// Writes to the table of that name.
///
/// # Errors
/// As [`require`]; those of `body`.
pub fn write(
    job: &Job<'_>,
    name: &str,
    body: impl FnOnce(&mut EntityTable<'_>) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let database = job.database;
    require(database, name)?;
    let find = format!(
        "SELECT data FROM {} WHERE id = ?1",
        database.qualified(name)
    );
    let find = database.connection().prepare(&find)?;
    let on = |rows: &mut dyn Rows| {
        body(&mut EntityTable {
            database,
            name,
            find,
            rows,
        })
    };
    match tracked::table(database, name)? {
        Some(table) => tracked::write(job, name, table, on),
        None => {
            let mut rows = PlainRows::new(database, name)?;
            on(&mut rows)?;
            Ok(rows.outcome)
        }
    }
}

impl EntityTable<'_> {
    /// Removes the rows of a scope.
    ///
    /// # Errors
    /// SQLite's.
    pub fn clear(&mut self, scope: &Scope) -> Result<(), Failure> {
        self.rows.clear(scope)
    }

    /// Inserts a record, or puts it in the place of the row with its id.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let random;
        let id = match &record.id {
            Some(id) => id,
            None => {
                let sql = "SELECT lower(hex(randomblob(16)))";
                random = self.database.query_value(sql, &[])?;
                &random
            }
        };
        self.put_data(id, record.json, record)
    }

    /// Puts a record's top-level members over those of the row with its id, or inserts it.
    ///
    /// # Errors
    /// The record has no id; SQLite's.
    pub fn merge(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let id = self.require_id(record)?;
        // A held row counts as applied.
        let under = match self.rows.word(id)? {
            Word::Here => self.here(id)?,
            Word::Gone => None,
            Word::Held(data) => Some(data),
        };
        match under {
            Some(data) => self.put_data(id, &merged(&data, record.json), record),
            None => self.put_data(id, record.json, record),
        }
    }

    /// Puts a record in the place of the row with its id, or inserts it.
    ///
    /// # Errors
    /// As [`EntityTable::merge`].
    pub fn replace(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        self.require_id(record)?;
        self.put(record)
    }

    /// The data of the row in the table, if there is one.
    fn here(&mut self, id: &Value) -> Result<Option<String>, Failure> {
        self.find.bind(1, id.borrow())?;
        let found = self.find.step()?.then(|| self.find.text(0));
        self.find.reset();
        Ok(found)
    }

    fn put_data(&mut self, id: &Value, data: &str, record: &Record<'_>) -> Result<(), Failure> {
        let put = self.rows.put(id, data, record.timestamp.as_ref());
        put.map_err(|failure| {
            failure.prefixed(&format!("{}: record {}", self.name, record.position))
        })
    }

    fn require_id<'r>(&self, record: &'r Record<'_>) -> Result<&'r Value, Failure> {
        record.id.as_ref().ok_or_else(|| {
            Failure::response(format!(
                "record {} has no id, by which rows of {} are matched; nothing was applied",
                record.position,
                quoted(self.name)
            ))
        })
    }
}
