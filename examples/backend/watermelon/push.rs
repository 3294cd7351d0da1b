//! Rules U1 to U11: applying a client's changes, all of them or none.

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use serde_json::{Map, Value};

use super::super::schema::{Column, Kind, Schema, Table, quoted};
use super::super::switches::Switches;
use super::super::value::{empty_value, id_from_json, id_text, value_from_json};
use super::request::PushCall;

/// Why a push was refused; then nothing of it is kept.
pub enum PushError {
    /// The client's fault: not the protocol, or names that the schema does not have.
    Request(String),
    /// Rule U5: someone else was faster.
    Conflict {
        table: String,
        id: String,
    },
    /// Rule U3: an update of a row that is known to be deleted.
    Deleted {
        table: String,
        id: String,
    },
    /// Switch `noU2`.
    Exists {
        table: String,
        id: String,
    },
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for PushError {
    fn from(error: rusqlite::Error) -> Self {
        PushError::Sql(error)
    }
}

/// How a push was taken.
#[derive(Default)]
pub struct Taken {
    /// Rows and deletes that were not rejected.
    pub accepted: usize,
    pub rejected: Vec<Rejected>,
    /// The clock of the push, or the client's own cursor if it changed nothing.
    pub timestamp: i64,
}

/// A row that was left out.
pub struct Rejected {
    pub table: String,
    pub id: String,
    pub reason: String,
}

/// Applies a push within the caller's transaction, whose stamp this is.
pub fn apply(
    connection: &Connection,
    schema: &Schema,
    call: &PushCall,
    stamp: i64,
    switches: &Switches,
) -> Result<Taken, PushError> {
    // Tables and rows come in any order; references count when all is in place.
    connection.pragma_update(None, "defer_foreign_keys", true)?;
    let before = connection.total_changes();
    let mut taken = Taken::default();
    for (name, change_set) in object(&call.changes, "changes")? {
        let table = schema
            .table(name)
            .ok_or_else(|| PushError::Request(format!("unknown table {name}")))?;
        let mut push = TablePush {
            connection,
            table,
            call,
            stamp,
            switches,
            taken: &mut taken,
        };
        push.apply(object(change_set, name)?)?;
    }
    taken.timestamp = match connection.total_changes() > before {
        true => switches.in_client_units(stamp),
        false => call.cursor,
    };
    Ok(taken)
}

/// What the backend knows of an id.
enum State {
    Unknown,
    Alive,
    Deleted,
}

struct TablePush<'a> {
    connection: &'a Connection,
    table: &'a Table,
    call: &'a PushCall,
    stamp: i64,
    switches: &'a Switches,
    taken: &'a mut Taken,
}

impl<'a> TablePush<'a> {
    fn apply(&mut self, change_set: &Map<String, Value>) -> Result<(), PushError> {
        if let Some(other) = change_set
            .keys()
            .find(|key| !matches!(key.as_str(), "created" | "updated" | "deleted"))
        {
            return Err(self.bad(&format!("unknown key {other}")));
        }
        for row in self.list(change_set, "created")? {
            self.upsert(row, true)?;
        }
        for row in self.list(change_set, "updated")? {
            self.upsert(row, false)?;
        }
        for id in self.list(change_set, "deleted")? {
            self.delete(id)?;
        }
        Ok(())
    }

    fn upsert(&mut self, row: &Value, is_create: bool) -> Result<(), PushError> {
        let Value::Object(row) = row else {
            return Err(self.bad("a row must be an object"));
        };
        let id = self.id(row.get("id").unwrap_or(&Value::Null))?;
        let values = self.values(row)?;
        if self.is_rejected(&id) {
            return Ok(());
        }
        match (self.state(&id)?, is_create) {
            (State::Alive, true) if self.switches.no_u2 => Err(PushError::Exists {
                table: self.table.name.clone(),
                id: id_text(&id),
            }),
            (State::Deleted, false) => Err(PushError::Deleted {
                table: self.table.name.clone(),
                id: id_text(&id),
            }),
            (State::Alive, _) => self.update(id, values),
            (State::Unknown, _) | (State::Deleted, true) => self.insert(id, values),
        }
    }

    fn insert(
        &self,
        id: SqlValue,
        mut values: Vec<(&'a Column, SqlValue)>,
    ) -> Result<(), PushError> {
        for column in &self.table.columns {
            let is_given = values.iter().any(|(given, _)| given.name == column.name);
            if column.required && column.default.is_none() && !is_given {
                values.push((column, empty_value(column)));
            }
        }
        let mut names = quoted(&self.table.key);
        for (column, _) in &values {
            names += &format!(", {}", quoted(&column.name));
        }
        let marks = vec!["?"; values.len() + 1].join(", ");
        let table = quoted(&self.table.name);
        let sql = format!("INSERT INTO {table} ({names}) VALUES ({marks})");
        let values = values.into_iter().map(|(_, value)| value);
        self.connection
            .prepare_cached(&sql)?
            .execute(params_from_iter(std::iter::once(id).chain(values)))?;
        Ok(())
    }

    fn update(&self, id: SqlValue, values: Vec<(&Column, SqlValue)>) -> Result<(), PushError> {
        let key = quoted(&self.table.key);
        // A row without content is still a change of the row.
        let mut set = format!("{key} = {key}");
        for (column, _) in &values {
            set += &format!(", {} = ?", quoted(&column.name));
        }
        let sql = format!(
            "UPDATE {} SET {set} WHERE {key} = ?",
            quoted(&self.table.name)
        );
        let values = values.into_iter().map(|(_, value)| value);
        self.connection
            .prepare_cached(&sql)?
            .execute(params_from_iter(values.chain(std::iter::once(id))))?;
        Ok(())
    }

    fn delete(&mut self, id: &Value) -> Result<(), PushError> {
        let id = self.id(id)?;
        if self.is_rejected(&id) {
            return Ok(());
        }
        // Rule U4, and two who delete the same row agree: no conflict.
        if !matches!(self.state_of_living(&id)?, State::Alive) {
            return Ok(());
        }
        let sql = format!(
            "DELETE FROM {} WHERE {} = ?",
            quoted(&self.table.name),
            quoted(&self.table.key)
        );
        self.connection.prepare_cached(&sql)?.execute([id])?;
        Ok(())
    }

    fn state(&self, id: &SqlValue) -> Result<State, PushError> {
        self.look_up(id, true)
    }

    fn state_of_living(&self, id: &SqlValue) -> Result<State, PushError> {
        self.look_up(id, false)
    }

    /// Rule U5 is checked here. What this very push wrote before does not count.
    fn look_up(&self, id: &SqlValue, tombstones_conflict: bool) -> Result<State, PushError> {
        let known: Option<(i64, bool)> = self
            .connection
            .prepare_cached(
                "SELECT last_modified, deleted FROM _backend_row WHERE tab = ? AND id = ?",
            )?
            .query_row(params![self.table.name, id], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((modified, is_deleted)) = known else {
            return Ok(State::Unknown);
        };
        let can_conflict = !self.switches.no_u5 && (!is_deleted || tombstones_conflict);
        if can_conflict
            && modified != self.stamp
            && self.switches.in_client_units(modified) > self.call.cursor
        {
            return Err(PushError::Conflict {
                table: self.table.name.clone(),
                id: id_text(id),
            });
        }
        Ok(if is_deleted {
            State::Deleted
        } else {
            State::Alive
        })
    }

    /// Counts the row, as left out if a switch says so.
    fn is_rejected(&mut self, id: &SqlValue) -> bool {
        let id = id_text(id);
        let Some(reason) = self.switches.rejection(&self.table.name, &id) else {
            self.taken.accepted += 1;
            return false;
        };
        self.taken.rejected.push(Rejected {
            table: self.table.name.clone(),
            id,
            reason: reason.to_string(),
        });
        true
    }

    fn id(&self, value: &Value) -> Result<SqlValue, PushError> {
        id_from_json(value, self.table.key_kind, self.switches.any_ids)
            .ok_or_else(|| self.bad(&format!("not an id: {value}")))
    }

    /// Rules U8 and U9: the client's notes are ignored, other names must exist.
    fn values(&self, row: &Map<String, Value>) -> Result<Vec<(&'a Column, SqlValue)>, PushError> {
        let mut values = Vec::with_capacity(row.len());
        for (name, value) in row {
            if matches!(name.as_str(), "id" | "_status" | "_changed") {
                continue;
            }
            let column = self
                .table
                .column(name)
                .ok_or_else(|| self.bad(&format!("unknown column {name}")))?;
            if self.call.zero_one && column.kind == Kind::Boolean && value.is_boolean() {
                return Err(self.bad(&format!("column {name}: booleans are 0 and 1 here")));
            }
            values.push((column, value_from_json(value, column)));
        }
        Ok(values)
    }

    /// A missing list counts as an empty one.
    fn list<'b>(
        &self,
        change_set: &'b Map<String, Value>,
        name: &str,
    ) -> Result<&'b [Value], PushError> {
        match change_set.get(name) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.bad(&format!("{name} must be a list"))),
        }
    }

    fn bad(&self, text: &str) -> PushError {
        PushError::Request(format!("table {}: {text}", self.table.name))
    }
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>, PushError> {
    value
        .as_object()
        .ok_or_else(|| PushError::Request(format!("{name} must be an object")))
}
