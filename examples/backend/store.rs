//! The database file, the clock, and the record of which row changed when.
//!
//! Users' tables stay as declared. `_backend_row` holds one line per row that ever existed, kept by
//! triggers, so that any SQL on the tables is recorded, whoever runs it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::load;
use super::options::{Options, Place};
use super::schema::{Schema, Table, literal, quoted};

const BOOKKEEPING: &str = "
    CREATE TABLE _backend_clock (last INTEGER NOT NULL);
    INSERT INTO _backend_clock VALUES (0);
    CREATE TABLE _backend_row (
      tab TEXT NOT NULL,
      id NOT NULL,                       -- text or integer, as in the table
      created_at INTEGER NOT NULL,
      last_modified INTEGER NOT NULL,
      deleted INTEGER NOT NULL,          -- 1: a tombstone
      PRIMARY KEY (tab, id)
    ) WITHOUT ROWID;
    CREATE INDEX _backend_row_by_time ON _backend_row (tab, last_modified);";

/// The stamps of clients' pushes: a row that has one of them is an echo. Older files lack it.
const PUSHES: &str = "CREATE TABLE IF NOT EXISTS _backend_push (stamp INTEGER PRIMARY KEY)";

/// The value of `freeze` while the clock runs.
const RUNNING: i64 = 0;

/// One database: a single writer, and a reader of its own for each pull.
pub struct Store {
    path: PathBuf,
    is_temporary: bool,
    writer: Mutex<Connection>,
    frozen_at: AtomicI64,
    pub schema: Schema,
}

impl Store {
    /// Opens or makes the database and loads it. An existing one is kept as it is.
    pub fn open(options: &Options) -> Result<Store, String> {
        let (path, is_temporary) = match &options.place {
            Place::Temporary => (temporary_path(), true),
            Place::File(path) => (path.clone(), false),
        };
        let text = |error: rusqlite::Error| format!("{}: {error}", path.display());
        let connection = Connection::open(&path).map_err(text)?;
        let guard = is_temporary.then(|| RemoveOnFailure(Some(path.clone())));
        configure(&connection, is_temporary).map_err(text)?;
        if !has_bookkeeping(&connection).map_err(text)? {
            create(&connection, &options.schema_sql)?;
        }
        connection.execute_batch(PUSHES).map_err(text)?;
        let schema = Schema::read(&connection)?;
        for table in &schema.tables {
            connection.execute_batch(&triggers(table)).map_err(text)?;
        }
        if let Some(mut guard) = guard {
            guard.0 = None;
        }
        let store = Store {
            path,
            is_temporary,
            writer: Mutex::new(connection),
            frozen_at: AtomicI64::new(RUNNING),
            schema,
        };
        store.load(options)?;
        Ok(store)
    }

    /// Runs `work` in a transaction with a stamp later than every stamp before it. Nothing is
    /// kept, not even the stamp, if `work` fails, panics or changes nothing.
    pub fn write<R, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Connection, i64) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let stamp = self.next_stamp(&transaction)?;
        let before = transaction.total_changes();
        let result = work(&transaction, stamp)?;
        if transaction.total_changes() > before {
            transaction.commit()?;
        }
        Ok(result)
    }

    /// A connection that can only read, and that no writer disturbs.
    pub fn reader(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Ok(connection)
    }

    /// See [`super::Backend::freeze_clock`].
    pub fn freeze_clock(&self, at: Option<i64>) {
        self.frozen_at
            .store(at.unwrap_or(RUNNING), Ordering::SeqCst);
    }

    fn load(&self, options: &Options) -> Result<(), String> {
        for (name, path) in &options.csv {
            let table = self
                .schema
                .table(name)
                .ok_or_else(|| format!("--csv: the schema has no table {name}"))?;
            self.write(|connection, _stamp| {
                if has_rows(connection, table)? {
                    return Ok(());
                }
                load::csv_into(connection, table, path, &options.null_text)
                    .map(|_rows| ())
                    .map_err(LoadError::File)
            })
            .map_err(LoadError::text)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic in a test's closure has rolled its transaction back: the connection is sound.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Strictly increasing, also when writes come faster than milliseconds or the clock goes back.
    fn next_stamp(&self, connection: &Connection) -> rusqlite::Result<i64> {
        let now = match self.frozen_at.load(Ordering::SeqCst) {
            RUNNING => wall_clock(),
            frozen => frozen,
        };
        connection.query_row(
            "UPDATE _backend_clock SET last = max(last + 1, ?1) RETURNING last",
            [now],
            |row| row.get(0),
        )
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.is_temporary {
            remove_database(&self.path);
        }
    }
}

/// Stamp of the last committed write, as seen by this connection's snapshot.
pub fn last_stamp(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT last FROM _backend_clock", [], |row| row.get(0))
}

/// Remembers that the transaction with this stamp is a client's push.
pub fn note_push(connection: &Connection, stamp: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO _backend_push VALUES (?)")?
        .execute([stamp])
        .map(|_| ())
}

enum LoadError {
    File(String),
    Sql(rusqlite::Error),
}

impl LoadError {
    fn text(self) -> String {
        match self {
            LoadError::File(text) => text,
            LoadError::Sql(error) => error.to_string(),
        }
    }
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> Self {
        LoadError::Sql(error)
    }
}

/// Deletes a temporary database that could not be set up.
struct RemoveOnFailure(Option<PathBuf>);

impl Drop for RemoveOnFailure {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            remove_database(path);
        }
    }
}

fn configure(connection: &Connection, is_temporary: bool) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(256);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // So that the bookkeeping hears of rows that INSERT OR REPLACE removes.
    connection.pragma_update(None, "recursive_triggers", true)?;
    let synchronous = if is_temporary { "OFF" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)
}

fn has_bookkeeping(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_backend_clock')",
        [],
        |row| row.get(0),
    )
}

/// One transaction, so that a failure leaves nothing that looks like a finished database.
fn create(connection: &Connection, schema_sql: &str) -> Result<(), String> {
    let text = |error: rusqlite::Error| format!("schema: {error}");
    let transaction = connection.unchecked_transaction().map_err(text)?;
    transaction.execute_batch(schema_sql).map_err(text)?;
    transaction.execute_batch(BOOKKEEPING).map_err(text)?;
    transaction
        .execute("UPDATE _backend_clock SET last = ?1", [wall_clock()])
        .map_err(text)?;
    Schema::read(&transaction)?;
    transaction.commit().map_err(text)
}

/// The three triggers of a table. Their stamp is that of the transaction, see [`Store::write`].
fn triggers(table: &Table) -> String {
    let own = |event: &str| quoted(&format!("_backend_{event}_{}", table.name));
    let on = quoted(&table.name);
    let key = quoted(&table.key);
    let tab = literal(&table.name);
    let stamp = "(SELECT last FROM _backend_clock)";
    // A row that comes back counts as created; INSERT OR REPLACE of a living one, which deletes it first, does not.
    let born = format!(
        "INSERT INTO _backend_row VALUES ({tab}, NEW.{key}, {stamp}, {stamp}, 0)
         ON CONFLICT (tab, id) DO UPDATE SET
           created_at = iif(deleted AND last_modified <> excluded.last_modified, excluded.created_at, created_at),
           last_modified = excluded.last_modified, deleted = 0;"
    );
    let gone = format!(
        "UPDATE _backend_row SET deleted = 1, last_modified = {stamp}
         WHERE tab = {tab} AND id = OLD.{key};"
    );
    format!(
        "CREATE TRIGGER IF NOT EXISTS {insert} AFTER INSERT ON {on} BEGIN {born} END;
         CREATE TRIGGER IF NOT EXISTS {delete} AFTER DELETE ON {on} BEGIN {gone} END;
         CREATE TRIGGER IF NOT EXISTS {update} AFTER UPDATE ON {on} WHEN OLD.{key} IS NEW.{key} BEGIN
           UPDATE _backend_row SET last_modified = {stamp} WHERE tab = {tab} AND id = NEW.{key};
         END;
         CREATE TRIGGER IF NOT EXISTS {rename} AFTER UPDATE ON {on} WHEN OLD.{key} IS NOT NEW.{key} BEGIN
           {gone} {born}
         END;",
        insert = own("insert"),
        delete = own("delete"),
        update = own("update"),
        rename = own("rename"),
    )
}

fn has_rows(connection: &Connection, table: &Table) -> rusqlite::Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", quoted(&table.name));
    connection.query_row(&sql, [], |row| row.get(0))
}

fn wall_clock() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(1)
}

fn temporary_path() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!(
        "syncscope-backend-{}-{}-{}.db",
        std::process::id(),
        wall_clock(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    std::env::temp_dir().join(name)
}

fn remove_database(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // It may not exist; nothing depends on it.
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}
