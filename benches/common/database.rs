//! Databases, with the extension and without.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Result;
use super::arguments::library;
use super::rows::Row;

/// A database file in a directory of its own, with table `t`: WAL, synchronous NORMAL, 2 MB of cache.
pub struct Bench {
    pub db: Connection,
    pub directory: TempDir,
}

impl Bench {
    /// Plain SQLite.
    pub fn plain() -> Result<Self> {
        let directory = TempDir::new()?;
        let db = open(&directory.path().join("bench.db"))?;
        db.execute_batch(
            "CREATE TABLE t (id TEXT PRIMARY KEY, name TEXT, n INTEGER, body TEXT, x REAL)",
        )?;
        Ok(Self { db, directory })
    }

    /// With the extension, its tables, and `t` tracked.
    pub fn tracked() -> Result<Self> {
        let bench = Self::plain()?;
        load(&bench.db, &library()?)?;
        bench.ask("SELECT sync_track('t')")?;
        Ok(bench)
    }

    pub fn ask(&self, sql: &str) -> Result<String> {
        let value: rusqlite::types::Value = self.db.query_row(sql, [], |row| row.get(0))?;
        Ok(match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        })
    }

    /// Says where the backend is.
    pub fn backend(&self, url: &str) -> Result<()> {
        let config = json!({"kind": "watermelon", "url": url}).to_string();
        self.db
            .query_row("SELECT sync_provider('api', ?1)", [config], |_| Ok(()))?;
        Ok(())
    }

    /// Syncs `t`; anything but success is an error.
    pub fn sync(&self) -> Result<Value> {
        let answer = self.ask("SELECT sync_entities('all', 'api', '[\"t\"]')")?;
        let answer: Value = serde_json::from_str(&answer)?;
        if answer["state"] != "synced" {
            return Err(format!("the sync failed: {answer}").into());
        }
        Ok(answer)
    }

    /// Inserts rows in one transaction, with one prepared statement.
    pub fn insert(&self, rows: &[Row]) -> Result<()> {
        self.each(rows, "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)")
    }

    /// The same as an UPSERT.
    pub fn upsert(&self, rows: &[Row]) -> Result<()> {
        self.each(
            rows,
            "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE \
             SET name = excluded.name, n = excluded.n, body = excluded.body, x = excluded.x",
        )
    }

    fn each(&self, rows: &[Row], sql: &str) -> Result<()> {
        self.db.execute_batch("BEGIN")?;
        let mut statement = self.db.prepare(sql)?;
        for row in rows {
            statement.execute(row.values())?;
        }
        self.db.execute_batch("COMMIT")?;
        Ok(())
    }

    /// Bytes of the database without its log.
    pub fn size(&self) -> Result<f64> {
        let pages: f64 = self.ask("PRAGMA page_count")?.parse()?;
        let size: f64 = self.ask("PRAGMA page_size")?.parse()?;
        Ok(pages * size)
    }
}

pub fn open(file: &Path) -> Result<Connection> {
    let db = Connection::open(file)?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -2000",
    )?;
    Ok(db)
}

pub fn load(db: &Connection, library: &Path) -> Result<()> {
    // SAFETY: our own library.
    unsafe {
        db.load_extension_enable()?;
        db.load_extension(library, None::<&str>)?;
    }
    db.load_extension_disable()?;
    Ok(())
}

/// What was expected, or an error that says what came.
pub fn expect(what: &str, found: &Value, wanted: usize) -> Result<()> {
    if found.as_u64() == Some(wanted as u64) {
        return Ok(());
    }
    Err(format!("{what}: {found} instead of {wanted}").into())
}
