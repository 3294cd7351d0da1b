//! The table of an entity: columns `id`, `data` (JSON text) and `timestamp`.

use crate::coordination::now;
use crate::ground::SyncError;
use crate::store::{Database, Statement, Value, ValueRef};

use super::records::{Record, merged};
use super::scope::Scope;
use super::{Effect, Failure};

const TEMPLATE: &str = include_str!("../../../sql/templates/entity.sql");

/// One table, with its statements at the ready.
pub struct EntityTable<'a> {
    database: &'a Database,
    name: &'a str,
    insert: Statement,
    update: Statement,
    find: Statement,
    now: i64,
    pub effect: Effect,
}

impl<'a> EntityTable<'a> {
    /// The table named `name`, created when missing.
    ///
    /// # Errors
    /// It has other columns; SQLite's.
    pub fn open(database: &'a Database, name: &'a str) -> Result<Self, Failure> {
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
                    "table {name:?} has no column {column}; an entity's table has id, data and \
                     timestamp. Rename the table, or let syncscope create it"
                ))
                .into());
            }
        }
        let table = database.qualified(name);
        let prepare = |sql: String| database.connection().prepare(&sql);
        Ok(Self {
            database,
            name,
            insert: prepare(format!(
                "INSERT INTO {table} (id, data, timestamp) VALUES (?1, ?2, ?3)"
            ))?,
            update: prepare(format!(
                "UPDATE {table} SET data = ?2, timestamp = ?3 WHERE id = ?1"
            ))?,
            find: prepare(format!("SELECT data FROM {table} WHERE id = ?1"))?,
            now: now(),
            effect: Effect::default(),
        })
    }

    /// Removes the rows of a scope.
    ///
    /// # Errors
    /// SQLite's.
    pub fn clear(&mut self, scope: &Scope) -> Result<(), Failure> {
        let sql = format!(
            "DELETE FROM {} WHERE {}",
            self.database.qualified(self.name),
            scope.condition
        );
        let values: Vec<ValueRef<'_>> = scope.values.iter().map(Value::borrow).collect();
        self.effect.deleted += self.database.connection().prepare(&sql)?.run(&values)?;
        Ok(())
    }

    /// Inserts a record, or puts it in the place of the row with its id.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let timestamp = self.timestamp(record);
        let Some(id) = &record.id else {
            let id = self
                .database
                .query_value("SELECT lower(hex(randomblob(16)))", &[])?;
            return self.insert(&id, record, &timestamp);
        };
        let changed = self
            .update
            .run(&[id.borrow(), record.json.into(), timestamp.borrow()])?;
        if changed > 0 {
            self.effect.updated += 1;
            return Ok(());
        }
        self.insert(id, record, &timestamp)
    }

    /// Puts a record's top-level members over those of the row with its id, or inserts it.
    ///
    /// # Errors
    /// The record has no id; SQLite's.
    pub fn merge(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let id = self.require_id(record)?;
        self.find.bind(1, id.borrow())?;
        let found = self.find.step()?.then(|| self.find.text(0));
        self.find.reset();
        let timestamp = self.timestamp(record);
        let Some(data) = found else {
            return self.insert(id, record, &timestamp);
        };
        let data = merged(&data, record.json);
        self.update
            .run(&[id.borrow(), (&data).into(), timestamp.borrow()])?;
        self.effect.updated += 1;
        Ok(())
    }

    /// Puts a record in the place of the row with its id, or inserts it.
    ///
    /// # Errors
    /// As [`EntityTable::merge`].
    pub fn replace(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        self.require_id(record)?;
        self.put(record)
    }

    /// Puts one id in the place of another, as the row's id and wherever data holds it as a JSON text.
    /// When a row with the new id is there already, the row with the old one goes.
    ///
    /// # Errors
    /// SQLite's.
    pub fn find_replace(&mut self, find: &str, replace: &Value) -> Result<(), Failure> {
        let table = self.database.qualified(self.name);
        let run = |sql: String, values: &[ValueRef<'_>]| {
            self.database.connection().prepare(&sql)?.run(values)
        };
        self.effect.deleted += run(
            format!(
                "DELETE FROM {table} WHERE id = ?1 AND EXISTS (SELECT 1 FROM {table} WHERE id = ?2)"
            ),
            &[find.into(), replace.borrow()],
        )?;
        run(
            format!("UPDATE {table} SET id = ?2 WHERE id = ?1"),
            &[find.into(), replace.borrow()],
        )?;
        // In JSON, a text in its quotes can't stand inside another text.
        self.effect.updated += run(
            format!(
                "UPDATE {table} SET data = replace(data, json_quote(?1), json_quote(?2)) \
                 WHERE instr(data, json_quote(?1)) > 0"
            ),
            &[find.into(), replace.borrow()],
        )?;
        Ok(())
    }

    fn insert(
        &mut self,
        id: &Value,
        record: &Record<'_>,
        timestamp: &Value,
    ) -> Result<(), Failure> {
        self.insert
            .run(&[id.borrow(), record.json.into(), timestamp.borrow()])
            .map_err(|error| {
                error.prefixed(&format!("{}: record {}", self.name, record.position))
            })?;
        self.effect.inserted += 1;
        Ok(())
    }

    fn require_id<'r>(&self, record: &'r Record<'_>) -> Result<&'r Value, Failure> {
        record.id.as_ref().ok_or_else(|| {
            Failure::response(format!(
                "record {} has no id, by which rows of {:?} are matched; nothing was applied",
                record.position, self.name
            ))
        })
    }

    fn timestamp(&self, record: &Record<'_>) -> Value {
        record.timestamp.clone().unwrap_or(Value::Integer(self.now))
    }
}
