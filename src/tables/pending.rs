//! `sync_pending`: local changes that the next sync would send, with their content.
//!
//! `SELECT * FROM sync_pending` reads the file `main`; `WHERE schema = 'other'` reads an attached one.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::capture::pending::RowReader;
use crate::capture::{Key, PendingRows, Status, Tracked, log};
use crate::store::{
    Access, Database, Ready, Result, Rows, Session, Table, Value, ValueRef, schema_installed,
};
use crate::transfer::all_unacknowledged;

pub const TABLE: Table = Table {
    name: "sync_pending",
    declaration: "CREATE TABLE x(\"table\" TEXT, key, op TEXT, changed TEXT, payload TEXT, \
                  seq INTEGER, rejected TEXT, schema TEXT HIDDEN)",
    keys: &[0, 7],
    access: Access::DirectRead,
    open,
    write: None,
    disconnected: None,
    summary: "local changes that the next sync would send: op (created, updated, deleted), \
              changed columns, the row, and why it was rejected last time",
    example: "SELECT \"table\", key, op, changed FROM sync_pending;",
};

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let text = |place: usize| {
        keys.get(place)
            .and_then(Option::as_ref)
            .and_then(Value::as_str)
    };
    let schema = text(1).unwrap_or("main").to_owned();
    let database = session.database(&schema)?;
    if schema_installed(&database)?.is_none() {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let mut tables = Tracked::all(&database)?;
    if let Some(name) = text(0) {
        tables.retain(|table| table.shape.name == name);
    }
    let tracked: Vec<&Tracked> = tables.iter().collect();
    let upto = log::high_water(&database)?;
    let pending = PendingRows::read(&database, &tracked, upto)?;
    let tables: Vec<(Tracked, PendingRows)> = tables.into_iter().zip(pending).collect();
    Ok(Box::new(Lines {
        unacknowledged: all_unacknowledged(&database)?,
        database,
        schema,
        tables: tables.into_iter(),
        current: None,
        number: 0,
    }))
}

struct Lines {
    /// Rows of pushes without a known outcome: deleted since, their delete goes up all the same.
    unacknowledged: HashSet<(i64, Key)>,
    database: Database,
    schema: String,
    tables: std::vec::IntoIter<(Tracked, PendingRows)>,
    current: Option<Current>,
    number: i64,
}

struct Current {
    table: Tracked,
    columns: Vec<usize>,
    pending: PendingRows,
    reader: RowReader,
    next: usize,
}

impl Rows for Lines {
    fn next(&mut self) -> Result<Option<(i64, Vec<Value>)>> {
        loop {
            let Some(current) = self.current.as_mut() else {
                let Some((table, pending)) = self.tables.next() else {
                    return Ok(None);
                };
                let columns = table.synced_columns();
                let reader = RowReader::new(&self.database, &table, &columns)?;
                self.current = Some(Current {
                    table,
                    columns,
                    pending,
                    reader,
                    next: 0,
                });
                continue;
            };
            if current.next >= current.pending.rows().len() {
                self.current = None;
                continue;
            }
            if let Some(mut line) = current.line(&self.database, &self.unacknowledged)? {
                line.push(self.schema.as_str().into());
                self.number += 1;
                return Ok(Some((self.number, line)));
            }
        }
    }
}

impl Current {
    /// The next pending row, or none when it turns out that nothing would be sent of it.
    fn line(
        &mut self,
        database: &Database,
        unacknowledged: &HashSet<(i64, Key)>,
    ) -> Result<Option<Vec<Value>>> {
        let row = &self.pending.rows()[self.next];
        self.next += 1;
        let exists = self.reader.find(row)?;
        let sent = || unacknowledged.contains(&(self.table.id, Key(row.key.clone())));
        let status = match row.status(exists) {
            Status::Nothing if !exists && sent() => Status::Deleted,
            status => status,
        };
        let shape = &self.table.shape;
        let changed: Vec<&str> = self
            .columns
            .iter()
            .filter(|position| row.changed(**position) && shape.columns[**position].key_place == 0)
            .map(|position| shape.columns[*position].name.as_str())
            .collect();
        let nothing =
            status == Status::Nothing || (status == Status::Updated && changed.is_empty());
        let payload = exists.then(|| {
            let mut object = Map::new();
            for (place, position) in self.columns.iter().enumerate() {
                let name = shape.columns[*position].name.clone();
                object.insert(name, json(self.reader.column(place)));
            }
            Json::Object(object).to_string()
        });
        self.reader.release();
        if nothing {
            return Ok(None);
        }
        let rejected = database.query_value(
            "SELECT reason FROM main._syncRejected WHERE tbl = ?1 AND pk IS ?2",
            &[self.table.id.into(), row.key.borrow()],
        )?;
        Ok(Some(vec![
            shape.name.as_str().into(),
            shown_key(&self.reader, &row.key, shape.keys().len())?,
            status.as_str().into(),
            match status {
                Status::Updated | Status::Created => Json::from(changed).to_string().into(),
                _ => Value::Null,
            },
            payload.into(),
            row.last_seq.into(),
            rejected,
        ]))
    }
}

/// A key of several columns is shown as a JSON array.
fn shown_key(reader: &RowReader, logged: &Value, columns: usize) -> Result<Value> {
    if columns == 1 {
        return Ok(logged.clone());
    }
    let parts: Vec<Json> = reader
        .key_values(logged)?
        .iter()
        .map(|value| json(value.borrow()))
        .collect();
    Ok(Json::from(parts).to_string().into())
}

/// A value for reading; blobs and broken text are shown by their length.
fn json(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => text.into(),
        ValueRef::InvalidText(bytes) => format!("<{} bytes of broken text>", bytes.len()).into(),
        ValueRef::Blob(bytes) => format!("<blob of {} bytes>", bytes.len()).into(),
    }
}
