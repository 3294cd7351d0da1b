//! What a device has not read yet.

use std::io::{self, Write};

use serde_json::json;

use super::asker::{Asker, storage};
use super::feed::{self, Fed};
use super::mark::{device, is_forked, mark, set_mark};
use super::place::{Home, Place};
use super::table::{self, Table};
use super::wire::{Asked, Mark, Op, Request, write_bytes, write_head, write_number, write_value};
use crate::ground::SyncError;
use crate::store::{Database, Result, Snapshot, Statement, Transaction, ValueRef, quote_name};

pub enum Pulled {
    Written,
    /// The hub is another copy than the one that the device knows.
    Forked,
}

/// What is read of a hub.
struct Reading {
    tables: Vec<(Table, Option<Fed>)>,
    /// The number of the last change, and its mark; none where there is no feed.
    now: Option<(i64, String)>,
    /// The device in the feed; 0 where the feed knows none of that name.
    device: i64,
    /// Another file goes by the device's name: it gets a new one.
    is_copy: bool,
    read_only: bool,
}

/// Writes the answer to a pull.
pub fn pull(
    asker: &Asker<'_>,
    home: &Home,
    place: &Place,
    request: &Request,
    out: &mut dyn Write,
) -> Result<Pulled, SyncError> {
    let database = home.database();
    let trouble = |error| home.trouble(error);
    let hub = Hub {
        database,
        request,
        read_only: home.is_read_only(),
    };
    let is_left_alone = hub.read_only || request.op == Op::All;
    // Most of the time there is nothing to be written.
    let snapshot = Snapshot::begin(database.connection()).map_err(trouble)?;
    if is_forked(database, request).map_err(trouble)? {
        return Ok(Pulled::Forked);
    }
    match hub.reading() {
        Ok(reading) if is_left_alone || reading.is_ready() => {
            write(asker, home, request, &reading, out)?;
            return Ok(Pulled::Written);
        }
        Err(error) if is_left_alone => return Err(trouble(error)),
        // What is missing is made, or said.
        _ => {}
    }
    drop(snapshot);
    let transaction = Transaction::begin(database.connection()).map_err(trouble)?;
    if is_forked(database, request).map_err(trouble)? {
        return Ok(Pulled::Forked);
    }
    hub.prepare(asker, place.create).map_err(trouble)?;
    let reading = hub.reading().map_err(trouble)?;
    write(asker, home, request, &reading, out)?;
    transaction.commit().map_err(trouble)?;
    Ok(Pulled::Written)
}

impl Reading {
    /// Whether all feeds and marks are there.
    fn is_ready(&self) -> bool {
        self.now.is_some() && self.tables.iter().all(|(_, fed)| fed.is_some())
    }
}

struct Hub<'a> {
    database: &'a Database,
    request: &'a Request,
    read_only: bool,
}

impl Hub<'_> {
    fn prepare(&self, asker: &Asker<'_>, create: bool) -> Result<()> {
        if !feed::exists(self.database)? {
            feed::install(self.database)?;
        }
        for (place, asked) in self.request.tables.iter().enumerate() {
            if create && !self.database.has_table(&asked.name)? {
                table::create(self.database, &asker.definitions(place)?)?;
            }
            let table = Table::find(self.database, asked)?;
            if feed::of(self.database, &table)?.is_none() {
                feed::give(self.database, &table)?;
            }
        }
        set_mark(self.database)?;
        Ok(())
    }

    fn reading(&self) -> Result<Reading> {
        let exists = feed::exists(self.database)?;
        let mut tables = Vec::with_capacity(self.request.tables.len());
        for asked in &self.request.tables {
            let table = Table::find(self.database, asked)?;
            let fed = match exists {
                true => feed::of(self.database, &table)?,
                false => None,
            };
            tables.push((table, fed));
        }
        let mut reading = Reading {
            tables,
            now: None,
            device: 0,
            is_copy: false,
            read_only: self.read_only,
        };
        if exists {
            let (seq, mark) = mark(self.database)?;
            reading.now = mark.map(|mark| (seq, mark));
            let known = device(self.database, &self.request.device)?;
            let (id, token) = known.unwrap_or_default();
            reading.is_copy = token != self.request.token;
            reading.device = if reading.is_copy { 0 } else { id };
        }
        Ok(reading)
    }
}

// ---------------------------------------------------------------------------------------------- rows

/// How a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// What changed after that number.
    Since(i64),
    All,
    /// All rows; the device had others, and does not know which of them went.
    Anew,
}

fn manner(asked: &Asked, fed: Option<&Fed>, op: Op) -> Manner {
    match (asked.cursor, fed) {
        _ if op == Op::All => Manner::All,
        (Some(cursor), Some(fed)) if cursor >= fed.since => Manner::Since(cursor),
        (Some(_), _) => Manner::Anew,
        (None, _) => Manner::All,
    }
}

fn write(
    asker: &Asker<'_>,
    home: &Home,
    request: &Request,
    reading: &Reading,
    out: &mut dyn Write,
) -> Result<(), SyncError> {
    let trouble = |error| home.trouble(error);
    let manners: Vec<Manner> = request
        .tables
        .iter()
        .zip(&reading.tables)
        .map(|(asked, (_, fed))| manner(asked, fed.as_ref(), request.op))
        .collect();
    let whole = |wanted: Manner| -> Vec<usize> {
        let places = manners.iter().enumerate();
        places
            .filter(|(_, manner)| **manner == wanted)
            .map(|(place, _)| place)
            .collect()
    };
    let head = json!({
        "now": reading.now,
        "readOnly": reading.read_only,
        "isCopy": reading.is_copy,
        "anew": whole(Manner::Anew),
    });
    write_head(out, &head).map_err(storage)?;
    let stamps = request.op == Op::Pull && asker.feeds().map_err(SyncError::from)?.is_some();
    let rows = Rows {
        database: home.database(),
        device: reading.device,
        stamps: stamps && reading.now.is_some(),
    };
    for (place, (manner, (table, fed))) in manners.iter().zip(&reading.tables).enumerate() {
        match (manner, fed) {
            (Manner::Since(cursor), Some(fed)) => {
                let read = rows.since(table, fed, *cursor).map_err(trouble)?;
                copy(read, place, table, out, &trouble)?;
            }
            _ => {
                let read = rows.all(table, fed.as_ref()).map_err(trouble)?;
                copy(read, place, table, out, &trouble)?;
                if let (Manner::All, Some(fed), Op::Pull) = (manner, fed, request.op) {
                    let gone = rows.gone(table, fed).map_err(trouble)?;
                    copy(gone, place, table, out, &trouble)?;
                }
            }
        }
    }
    Mark::End.write(out).map_err(storage)
}

struct Rows<'a> {
    database: &'a Database,
    device: i64,
    /// Stamps are wanted.
    stamps: bool,
}

/// Statements that give whether a row is there, its key, its stamps, its columns.
impl Rows<'_> {
    fn columns(table: &Table) -> String {
        let columns = table.columns.iter();
        columns
            .map(|name| format!(", t.{}", quote_name(name)))
            .collect()
    }

    fn prepare(&self, sql: &str, values: &[ValueRef<'_>]) -> Result<Statement> {
        let mut statement = self.database.connection().prepare(sql)?;
        statement.bind_all(values)?;
        Ok(statement)
    }

    fn since(&self, table: &Table, fed: &Fed, cursor: i64) -> Result<Statement> {
        let (columns, key) = (Self::columns(table), table.quoted_key());
        let sql = format!(
            "SELECT t.{key} IS NOT NULL, f.pk, f.at, f.cols{columns} FROM {} AS f LEFT JOIN {} AS t \
             ON t.{key} = f.pk AND t.{key} = f.pk COLLATE BINARY \
             WHERE f.seq > ?1 AND f.tbl = ?2 AND (f.origin <> ?3 OR ?3 = 0) ORDER BY f.seq",
            self.database.qualified("_syncFeed"),
            self.database.qualified(&table.name),
        );
        self.prepare(&sql, &[cursor.into(), fed.id.into(), self.device.into()])
    }

    fn all(&self, table: &Table, fed: Option<&Fed>) -> Result<Statement> {
        let (columns, key) = (Self::columns(table), table.quoted_key());
        let (stamps, join) = match fed.filter(|_| self.stamps) {
            Some(fed) => (
                "coalesce(f.at, 0), f.cols",
                format!(
                    " LEFT JOIN {} AS f ON f.tbl = {} AND f.pk = t.{key}",
                    self.database.qualified("_syncFeed"),
                    fed.id
                ),
            ),
            None => ("0, NULL", String::new()),
        };
        let sql = format!(
            "SELECT 1, t.{key}, {stamps}{columns} FROM {} AS t{join} WHERE t.{key} IS NOT NULL",
            self.database.qualified(&table.name),
        );
        self.prepare(&sql, &[])
    }

    fn gone(&self, table: &Table, fed: &Fed) -> Result<Statement> {
        let key = table.quoted_key();
        let sql = format!(
            "SELECT 0, f.pk, f.at, NULL FROM {} AS f WHERE f.tbl = ?1 AND NOT EXISTS \
             (SELECT 1 FROM {} AS t WHERE t.{key} = f.pk AND t.{key} = f.pk COLLATE BINARY)",
            self.database.qualified("_syncFeed"),
            self.database.qualified(&table.name),
        );
        self.prepare(&sql, &[fed.id.into()])
    }
}

fn copy(
    mut rows: Statement,
    place: usize,
    table: &Table,
    out: &mut dyn Write,
    trouble: &dyn Fn(crate::store::Error) -> SyncError,
) -> Result<(), SyncError> {
    while rows.step().map_err(trouble)? {
        write_row(&rows, place, table, out).map_err(storage)?;
    }
    Ok(())
}

fn write_row(rows: &Statement, place: usize, table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let is_there = rows.integer(0) != 0;
    match is_there {
        true => Mark::Row.write(out)?,
        false => Mark::Gone.write(out)?,
    }
    write_number(out, i64::try_from(place).unwrap_or(0))?;
    write_value(out, rows.column(1))?;
    write_number(out, rows.integer(2))?;
    write_bytes(out, rows.column(3).as_str().unwrap_or_default().as_bytes())?;
    if is_there {
        for column in 0..table.columns.len() {
            write_value(out, rows.column(4 + column))?;
        }
    }
    Ok(())
}
