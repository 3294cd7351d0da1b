//! `sync_pending`: local changes that the next sync would send, with their content.
//!
//! `SELECT * FROM sync_pending` reads the file `main`; `WHERE schema = 'other'` reads an attached one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::capture::aside::Kept;
use crate::capture::pending_rows::PendingWalk;
use crate::capture::reader::RowReader;
use crate::capture::sends::{changed, sends};
use crate::capture::shape::Shape;
use crate::capture::{Key, Pending, Status, Tracked, log};
use crate::coordination::installed;
use crate::runs::Waiting;
use crate::store::{
    Access, Database, Error, Ready, Result, Rows, Session, Table, Value, ValueRef, shown,
};
use crate::transfer::send::unacknowledged::Unacknowledged;

pub const TABLE: Table = Table {
    name: "sync_pending",
    declaration: "CREATE TABLE x(\"table\" TEXT, key, op TEXT, changed TEXT, payload TEXT, \
                  seq INTEGER, rejected TEXT, keyText TEXT, schema TEXT HIDDEN)",
    keys: &[0, 1, 8],
    access: Access::DirectRead,
    open,
    write: None,
    disconnected: None,
    summary: "local changes that the next sync would send: op (created, updated, deleted), \
              changed columns, the row, and why it was rejected last time",
    example: "SELECT \"table\", key, op, changed FROM sync_pending;",
};

/// Positions of the columns that take some work.
const TABLE_NAME: u32 = 0;
const KEY: u32 = 1;
const OP: u32 = 2;
const CHANGED: u32 = 3;
const PAYLOAD: u32 = 4;
const KEY_TEXT: u32 = 7;
const SCHEMA: u32 = 8;

fn reads(columns: u64, column: u32) -> bool {
    columns & 1 << column != 0
}

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let text = |place: usize| {
        keys.get(place)
            .and_then(Option::as_ref)
            .and_then(Value::as_str)
    };
    let schema = text(2).unwrap_or("main").to_owned();
    let database = session.database(&schema)?;
    if !installed(&database)? {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let mut tables = Tracked::logged(&database)?;
    if let Some(name) = text(0) {
        tables.retain(|table| table.shape.name == name);
    }
    let upto = log::high_water(&database)?;
    let key = keys.get(1).and_then(Option::as_ref);
    let mut first = Vec::new();
    let mut rest = None;
    match (tables.as_slice(), key) {
        // A key of several columns is shown otherwise than it is logged.
        ([table], Some(key)) if *key != Value::Null && table.shape.keys().len() == 1 => {
            let table = table.clone();
            first.push(Waiting::of_key(&database, table, upto, key.clone())?);
        }
        _ => {
            first.extend(Waiting::peek(&database, &tables, upto)?);
            rest = Some(tables);
        }
    }
    Ok(Box::new(Lines {
        unacknowledged: Unacknowledged::read(&database, None)?,
        tables: first.into_iter(),
        rest,
        seen: HashSet::new(),
        upto,
        database,
        schema,
        current: None,
        number: 0,
        reads: u64::MAX,
    }))
}

struct Lines {
    /// Rows of pushes without a known outcome: deleted since, their delete is sent all the same.
    unacknowledged: Unacknowledged,
    database: Database,
    schema: String,
    tables: std::vec::IntoIter<Waiting>,
    /// All tables, to be read when what was read first is not enough.
    rest: Option<Vec<Tracked>>,
    /// Rows that were shown before these were read: table and key.
    seen: HashSet<(i64, Key)>,
    upto: i64,
    current: Option<Current>,
    number: i64,
    /// Which columns are asked for; see [`Rows::reads`].
    reads: u64,
}

struct Current {
    waiting: Waiting,
    /// Positions of the columns that are shown: those that are synced, and the key.
    shown: Vec<usize>,
    reader: RowReader,
    /// Values that their columns can't hold, which are sent in their place.
    kept: Kept,
    /// Why rows were rejected last time. Mostly there are none, so asking for each row would cost more.
    rejected: HashMap<Key, Value>,
    rows: PendingWalk,
    /// Bytes to expect of the next payload: those of the last, and some more.
    payload_length: usize,
}

impl Rows for Lines {
    fn reads(&mut self, columns: u64) {
        self.reads = columns;
    }

    fn next(&mut self) -> Result<Option<(i64, Vec<Value>)>> {
        loop {
            let Some(current) = self.current.as_mut() else {
                let Some(waiting) = self.tables.next() else {
                    let Some(rest) = self.rest.take() else {
                        return Ok(None);
                    };
                    self.tables = Waiting::read(&self.database, rest, self.upto)?.into_iter();
                    continue;
                };
                let table = &waiting.table;
                let mut shown = table.synced_columns();
                shown.retain(|position| {
                    let is_key = table.shape.columns[*position].key_place > 0;
                    is_key || waiting.columns.contains(position)
                });
                let pending = &waiting.pending;
                self.current = Some(Current {
                    reader: RowReader::following(&self.database, table, &shown, pending)?,
                    kept: Kept::of(&self.database, table)?,
                    rejected: rejected(&self.database, table.id)?,
                    shown,
                    rows: pending.walk()?,
                    waiting,
                    payload_length: 0,
                });
                continue;
            };
            let Some(row) = current.rows.next(&current.waiting.pending)? else {
                self.current = None;
                continue;
            };
            let row = row.into_owned();
            if self.rest.is_some() || !self.seen.is_empty() {
                let shown = (current.waiting.table.id, row.key.clone());
                if self.rest.is_some() {
                    self.seen.insert(shown);
                } else if self.seen.contains(&shown) {
                    continue;
                }
            }
            if let Some(line) =
                current.line(&row, &self.unacknowledged, &self.schema, self.reads)?
            {
                self.number += 1;
                return Ok(Some((self.number, line)));
            }
        }
    }
}

impl Current {
    /// A pending row, or none when it turns out that nothing would be sent of it.
    fn line(
        &mut self,
        row: &Pending,
        unacknowledged: &Unacknowledged,
        schema: &str,
        wanted: u64,
    ) -> Result<Option<Vec<Value>>> {
        let Waiting { table, columns, .. } = &self.waiting;
        let exists = self.reader.find(row)?;
        let status = sends(row, exists, columns, || {
            unacknowledged.may_have_created(table.id, &row.key)
        })?;
        let shape = &table.shape;
        let payload = match exists && status != Status::Nothing && reads(wanted, PAYLOAD) {
            true => {
                let payload = Payload {
                    shape,
                    columns: &self.shown,
                    reader: &self.reader,
                    kept: self.kept.row(table, &row.key, row)?,
                };
                let text = to_json(&payload, self.payload_length)?;
                self.payload_length = text.len() + text.len() / 4;
                Some(text)
            }
            false => None,
        };
        self.reader.release();
        if status == Status::Nothing {
            return Ok(None);
        }
        let only = |column: u32, value: &dyn Fn() -> Result<Value>| match reads(wanted, column) {
            true => value(),
            false => Ok(Value::Null),
        };
        let rejected = match self.rejected.is_empty() {
            true => Value::Null,
            false => self.rejected.get(&row.key).cloned().unwrap_or_default(),
        };
        Ok(Some(vec![
            only(TABLE_NAME, &|| Ok(shape.name.as_str().into()))?,
            only(KEY, &|| {
                shown_key(&self.reader, &row.key.0, shape.keys().len())
            })?,
            only(OP, &|| Ok(status.as_str().into()))?,
            match status {
                Status::Updated | Status::Created if reads(wanted, CHANGED) => {
                    let names = changed(row, columns)
                        .map(|place| shape.columns[columns[place]].name.as_str());
                    to_json(&names.collect::<Vec<&str>>(), 0)?.into()
                }
                _ => Value::Null,
            },
            payload.into(),
            row.last_seq.into(),
            rejected,
            only(KEY_TEXT, &|| {
                let key = shown_key(&self.reader, &row.key.0, shape.keys().len())?;
                Ok(match key {
                    Value::Null => Value::Null,
                    key => shown(&key).into(),
                })
            })?,
            only(SCHEMA, &|| Ok(schema.into()))?,
        ]))
    }
}

/// The reasons of the rows of a table that were rejected.
fn rejected(database: &Database, table: i64) -> Result<HashMap<Key, Value>> {
    let rows = database.query_all(
        "SELECT pk, reason FROM main._syncRejected WHERE tbl = ?1",
        &[table.into()],
        |row| Ok((Key(row.column(0).to_owned()), row.column(1).to_owned())),
    )?;
    Ok(rows.into_iter().collect())
}

/// A key of several columns is shown as a JSON array.
fn shown_key(reader: &RowReader, logged: &Value, columns: usize) -> Result<Value> {
    if columns == 1 {
        return Ok(logged.clone());
    }
    let values = reader.key_values(logged)?;
    let parts: Vec<Shown<'_>> = values.iter().map(|value| Shown(value.borrow())).collect();
    Ok(to_json(&parts, 0)?.into())
}

/// `expected`: about how many bytes it will be, so that the text need not grow.
fn to_json(value: &impl Serialize, expected: usize) -> Result<String> {
    let mut text = Vec::with_capacity(expected);
    serde_json::to_writer(&mut text, value).map_err(|error| Error::Corrupt(error.to_string()))?;
    String::from_utf8(text).map_err(|error| Error::Corrupt(error.to_string()))
}

/// The row that the reader has found.
struct Payload<'a> {
    shape: &'a Shape,
    columns: &'a [usize],
    reader: &'a RowReader,
    /// By position, the JSON that is sent in place of the value.
    kept: Vec<(usize, String)>,
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let entries = self.columns.iter().enumerate().map(|(place, position)| {
            let column = &self.shape.columns[*position];
            let kept = self.kept.iter().find(|(known, _)| known == position);
            let kept = kept.and_then(|(_, json)| serde_json::from_str(json).ok());
            let sent = match kept {
                Some(json) => Sent::Kept(json),
                None => match self.reader.column(place) {
                    key @ ValueRef::Blob(bytes) if column.key_place > 0 && bytes.len() == 16 => {
                        Sent::Key(shown(&key.to_owned()))
                    }
                    value => Sent::Stored(Shown(value)),
                },
            };
            (&column.name, sent)
        });
        serializer.collect_map(entries)
    }
}

/// A value as it would be sent.
#[derive(Serialize)]
#[serde(untagged)]
enum Sent<'a> {
    Kept(&'a RawValue),
    /// A blob that stands for a UUID.
    Key(String),
    Stored(Shown<'a>),
}

/// A value for reading; blobs and broken text are shown by their length.
struct Shown<'a>(ValueRef<'a>);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            ValueRef::Null => serializer.serialize_unit(),
            ValueRef::Integer(number) => serializer.serialize_i64(number),
            ValueRef::Real(number) => serializer.serialize_f64(number),
            ValueRef::Text(text) => serializer.serialize_str(text),
            ValueRef::InvalidText(bytes) => {
                serializer.collect_str(&format_args!("<{} bytes of broken text>", bytes.len()))
            }
            ValueRef::Blob(bytes) => {
                serializer.collect_str(&format_args!("<blob of {} bytes>", bytes.len()))
            }
        }
    }
}
