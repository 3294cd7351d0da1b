//! Transactions on a connection that is in the middle of somebody else's statement.
//!
//! | state of the caller | done |
//! |---|---|
//! | autocommit, nothing or only reads open | `BEGIN IMMEDIATE … COMMIT` of our own |
//! | autocommit, inside a statement that writes | refused: our COMMIT would fail and leave a transaction open |
//! | inside the caller's BEGIN | `SAVEPOINT … RELEASE`, so that the caller's ROLLBACK undoes us too |
//!
//! Dropping an unfinished transaction undoes it, also when a panic unwinds through it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::connection::{Connection, TransactionState};
use super::error::{Error, Result};
use super::statement::Statement;

const INSIDE_A_WRITE: &str =
    "cannot run inside a statement that writes; call it in a SELECT of its own";

/// An open transaction or savepoint of ours.
pub struct Transaction {
    connection: Connection,
    /// True when we joined the caller's transaction with a savepoint.
    joined: bool,
    open: bool,
    /// The host's `last_insert_rowid()`, put back at the end.
    rowid: i64,
    /// Name of our savepoint: unique, since the caller may use any name of its own.
    savepoint: String,
    /// Under an interruption (or when memory ran out) nothing can be prepared, and whatever is stepped
    /// fails at once, our ROLLBACK too. But a statement that would write and is interrupted takes its
    /// whole transaction with it: prepared beforehand, it is the way out then.
    last_resort: Statement,
}

impl Transaction {
    /// # Errors
    /// [`Error::Misuse`] inside a writing statement; SQLite's own (BUSY, read-only, authorizer).
    pub fn begin(connection: Connection) -> Result<Self> {
        let standing = connection.standing();
        if standing.autocommit && standing.state == TransactionState::Write {
            return Err(Error::misuse(INSIDE_A_WRITE));
        }
        let joined = !standing.autocommit;
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let savepoint = format!("syncscope_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut transaction = Self {
            connection,
            joined,
            open: false,
            rowid: connection.last_insert_rowid(),
            last_resort: connection.prepare("BEGIN IMMEDIATE")?,
            savepoint,
        };
        let begin = match joined {
            true => format!("SAVEPOINT {}", transaction.savepoint),
            false => "BEGIN IMMEDIATE".into(),
        };
        match connection.execute_script(&begin) {
            Ok(()) => {
                transaction.open = true;
                Ok(transaction)
            }
            // SQLite says BUSY here, but no waiting helps: the statement that writes is the caller's.
            Err(Error::Sqlite { code: 5, text }) if joined && text.contains("savepoint") => {
                Err(Error::misuse(INSIDE_A_WRITE))
            }
            Err(error) => {
                // An interruption may be reported after BEGIN has taken effect: undo what there is.
                transaction.open = joined || !connection.standing().autocommit;
                Err(error)
            }
        }
    }

    /// # Errors
    /// SQLite's: a deferred foreign key, BUSY, a full disk. Everything is undone then.
    pub fn commit(self) -> Result<()> {
        self.commit_or(|error| error)
    }

    /// As [`Transaction::commit`]; `explain` may look at the database to say more about a failure,
    /// before everything is undone.
    ///
    /// # Errors
    /// What `explain` makes of SQLite's.
    pub fn commit_or(mut self, explain: impl FnOnce(Error) -> Error) -> Result<()> {
        let end = match self.joined {
            true => format!("RELEASE {}", self.savepoint),
            false => "COMMIT".into(),
        };
        self.connection.execute_script(&end).map_err(explain)?;
        self.open = false;
        self.connection.set_last_insert_rowid(self.rowid);
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let undo = match self.joined {
            true => format!("ROLLBACK TO {0}; RELEASE {0}", self.savepoint),
            false => "ROLLBACK".into(),
        };
        // When this fails, SQLite has rolled back by itself (full disk, I/O error), or an interruption
        // is under way. The latter takes the caller's transaction along, as any interrupted write does.
        let undone = self.connection.execute_script(&undo).is_ok();
        if !undone && !self.connection.standing().autocommit {
            let _ = self.last_resort.step();
        }
        self.connection.set_last_insert_rowid(self.rowid);
    }
}

/// A transaction for reading: all statements see the file as it was at the first, and nobody is kept from
/// writing (in WAL mode). Nothing when the caller has a transaction open.
pub struct Snapshot {
    connection: Connection,
    ours: bool,
}

impl Snapshot {
    /// # Errors
    /// SQLite's.
    pub fn begin(connection: Connection) -> Result<Self> {
        let ours = connection.standing().autocommit;
        if ours {
            connection.execute_script("BEGIN")?;
        }
        Ok(Self { connection, ours })
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if self.ours {
            let _ = self.connection.execute_script("ROLLBACK");
        }
    }
}

/// Runs `body` in a transaction: committed when it succeeds, undone when it fails or panics.
///
/// # Errors
/// Those of [`Transaction::begin`], `body` and the commit.
pub fn transact<T>(connection: Connection, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let transaction = Transaction::begin(connection)?;
    let outcome = body()?;
    transaction.commit()?;
    Ok(outcome)
}

/// Refuses unless the caller has nothing open: the gate of every function that waits for a network.
///
/// # Errors
/// [`Error::Misuse`], naming what is open and how to end it.
pub fn require_idle(connection: Connection) -> Result<()> {
    let standing = connection.standing();
    let met = match (standing.autocommit, standing.state) {
        (true, TransactionState::None) => return Ok(()),
        (true, TransactionState::Write) => INSIDE_A_WRITE,
        (true, TransactionState::Read) => {
            "cannot wait for the network while a statement of this connection is still reading; \
             finish or reset it, and call this in a SELECT without a FROM clause"
        }
        (false, _) => {
            "cannot wait for the network inside an open transaction; COMMIT or ROLLBACK first"
        }
    };
    Err(Error::misuse(met))
}
