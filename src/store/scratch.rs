//! A map in a temporary file of our own, for what would not fit into memory.
//!
//! It is a database that SQLite deletes when it is closed, apart from the caller's connection: neither its
//! transactions nor its schema nor its temporary tables are touched.

use std::ffi::c_int;
use std::ptr::{null, null_mut};

use super::api::sq;
use super::connection::Connection;
use super::error::Result;
use super::second::opening;
use super::statement::Statement;
use super::value::{Value, ValueRef};

/// Rows by key. A key is any value but NULL; 1 and 1.0 are the same.
pub struct Scratch {
    connection: Connection,
    /// None only while it is being dropped: they must go before the connection.
    statements: Option<Statements>,
}

struct Statements {
    put: Statement,
    get: Statement,
}

// SAFETY: nobody else knows the connection, which is opened with a mutex of its own where SQLite has threads at all,
// and `&mut` keeps two threads from using a statement at once.
unsafe impl Send for Scratch {}

/// Memory for the pages of the file, in KiB; the system keeps more of them if it can.
const CACHE: i64 = 2000;

impl Scratch {
    /// An empty one, of rows with `columns` values, at least one.
    ///
    /// # Errors
    /// SQLite's: no room for temporary files.
    pub fn open(columns: usize) -> Result<Self> {
        const READ_WRITE_CREATE: c_int = 2 | 4;
        const FULL_MUTEX: c_int = 0x1_0000;
        let mut raw = null_mut();
        // SAFETY: an empty name is a temporary file; `raw` is ours and closed below or when it is dropped.
        let code = opening(|| unsafe {
            sq!(open_v2(
                c"".as_ptr(),
                &mut raw,
                READ_WRITE_CREATE | FULL_MUTEX,
                null()
            ))
        });
        // SAFETY: also a failed open gives a handle, for its error text, that must be closed.
        let connection = unsafe { Connection::new(raw) };
        let mut scratch = Self {
            connection,
            statements: None,
        };
        if code != 0 {
            return Err(connection.error(code));
        }
        let names: Vec<String> = (0..columns).map(|place| format!("c{place}")).collect();
        let names = names.join(", ");
        connection.execute_script(&format!(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE}; \
             CREATE TABLE m (key PRIMARY KEY, {names}) WITHOUT ROWID; BEGIN"
        ))?;
        scratch.statements = Some(Statements {
            put: connection.prepare(&format!(
                "INSERT OR REPLACE INTO m (key, {names}) VALUES (?{})",
                ", ?".repeat(columns)
            ))?,
            get: connection.prepare(&format!("SELECT {names} FROM m WHERE key = ?"))?,
        });
        Ok(scratch)
    }

    /// Adds a row, in place of the one that has its key. Quick where keys come in order.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put(&mut self, key: ValueRef<'_>, row: &[Value]) -> Result<()> {
        let Some(Statements { put, .. }) = &mut self.statements else {
            return Ok(());
        };
        let mut values = Vec::with_capacity(row.len() + 1);
        values.push(key);
        values.extend(row.iter().map(Value::borrow));
        put.run(&values)?;
        Ok(())
    }

    /// The row of a key.
    ///
    /// # Errors
    /// SQLite's.
    pub fn get(&mut self, key: ValueRef<'_>) -> Result<Option<Vec<Value>>> {
        let Some(Statements { get, .. }) = &mut self.statements else {
            return Ok(None);
        };
        get.bind(1, key)?;
        let row = get.step()?.then(|| get.row());
        get.reset();
        Ok(row)
    }

    /// All rows in the order of a column, or of their keys.
    ///
    /// # Errors
    /// SQLite's.
    pub fn rows(&self, by: Option<usize>) -> Result<ScratchRows> {
        let order = by.map_or("key".into(), |column| format!("c{column}"));
        let sql = format!("SELECT * FROM m ORDER BY {order}");
        Ok(ScratchRows {
            rows: self.connection.prepare(&sql)?,
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.statements = None;
        // SAFETY: opened by `Scratch::open` and closed once; rows that somebody goes through only postpone it.
        unsafe { sq!(close_v2(self.connection.raw())) };
    }
}

/// A walk through a [`Scratch`], which must not be written meanwhile.
pub struct ScratchRows {
    rows: Statement,
}

impl ScratchRows {
    /// Key and values of the next row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn next(&mut self) -> Result<Option<(Value, Vec<Value>)>> {
        if !self.rows.step()? {
            return Ok(None);
        }
        let mut row = self.rows.row().into_iter();
        let key = row.next().unwrap_or_default();
        Ok(Some((key, row.collect())))
    }
}
