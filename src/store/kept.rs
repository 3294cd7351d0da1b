//! Prepared statements kept for the next call.
//!
//! Preparing a statement compiles all triggers behind it, which takes many times as long as running it. So our
//! own statements are put on a shelf after use, reset and without values, and taken from there the next time. One
//! that is taken is not on the shelf, so nobody gets it twice: not a trigger's or another nested call.
//!
//! A statement that lies here when the connection closes would keep it from closing. So nothing is kept before
//! the close hook is armed, and the hook clears the shelf.
//!
//! Some hosts finalize every statement of a connection, ours too, and do so before they close, hence before the
//! hook. Therefore what was put here in an earlier turn ([`super::turn`]) is not touched before it was seen in the
//! connection's list of statements, with its own text.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::ptr::null_mut;

use parking_lot::Mutex;
use sqlite_loadable::ext::sqlite3_stmt;

use super::api::sq;
use super::connection::Connection;
use super::turn;

/// Statements kept at most; the one that was not used for longest goes. More than a sync of a dozen tables has: of a round
/// of more statements than are kept, none would be there the next time.
/// One with the triggers of a status behind it takes 150 kB, of which there are a dozen.
const MOST: usize = 256;

/// The statements that one connection keeps.
pub struct Kept {
    connection: Connection,
    /// Makes sure that [`Kept::clear`] is called before the connection closes; false when that can't be had.
    arm: fn(Connection) -> bool,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    armed: bool,
    /// The turn in which all of them were last seen alive.
    seen: u64,
    uses: u64,
    /// By text.
    statements: HashMap<Box<str>, Idle>,
}

struct Idle {
    raw: *mut sqlite3_stmt,
    /// Greater than that of those used before.
    used: u64,
}

impl Kept {
    pub(super) fn new(connection: Connection, arm: fn(Connection) -> bool) -> Self {
        Self {
            connection,
            arm,
            shelf: Mutex::default(),
        }
    }

    /// Arms the close hook, unless it is. Without it nothing is kept.
    pub(super) fn arm(&self) -> bool {
        if self.shelf.lock().armed {
            return true;
        }
        let armed = (self.arm)(self.connection);
        self.shelf.lock().armed = armed;
        armed
    }

    /// Takes a statement off the shelf. It is the taker's until it is put back.
    pub(super) fn take(&self, sql: &str) -> Option<*mut sqlite3_stmt> {
        let mut shelf = self.shelf.lock();
        shelf.forget_dead(self.connection);
        shelf.statements.remove(sql).map(|idle| idle.raw)
    }

    /// Puts a statement on the shelf: one that is alive, reset and without values.
    pub(super) fn put(&self, sql: Box<str>, raw: *mut sqlite3_stmt) {
        let mut shelf = self.shelf.lock();
        if !shelf.armed {
            return finalize(raw);
        }
        shelf.forget_dead(self.connection);
        shelf.uses += 1;
        let used = shelf.uses;
        let replaced = shelf.statements.insert(sql, Idle { raw, used });
        let surplus = match replaced {
            Some(idle) => Some(idle.raw),
            None if shelf.statements.len() > MOST => shelf.remove_oldest(),
            None => None,
        };
        if let Some(raw) = surplus {
            finalize(raw);
        }
    }

    /// Finalizes what is kept: the connection is about to close. It may live on, when the host left a statement
    /// open; then things are kept again once the hook is armed again.
    pub(super) fn clear(&self) {
        let mut shelf = self.shelf.lock();
        shelf.armed = false;
        shelf.forget_dead(self.connection);
        for (_, idle) in shelf.statements.drain() {
            finalize(idle.raw);
        }
    }
}

impl Shelf {
    /// Forgets what somebody else has finalized. Costs one walk through the connection's statements a turn.
    fn forget_dead(&mut self, connection: Connection) {
        let turn = turn::current();
        if self.seen == turn {
            return;
        }
        self.seen = turn;
        if self.statements.is_empty() {
            return;
        }
        let listed: HashSet<_> = listed(connection).collect();
        self.statements
            .retain(|sql, idle| listed.contains(&idle.raw) && has_text(idle.raw, sql));
    }

    fn remove_oldest(&mut self) -> Option<*mut sqlite3_stmt> {
        let oldest = self.statements.iter().min_by_key(|(_, idle)| idle.used);
        let sql = oldest.map(|(sql, _)| sql.clone())?;
        self.statements.remove(&sql).map(|idle| idle.raw)
    }
}

/// Whether a statement with that text that was made in an earlier turn is still alive. Asked in a call that a
/// statement of the host's makes; not by the close hook, where there may be none.
pub(super) fn is_alive(connection: Connection, raw: *mut sqlite3_stmt, sql: &str) -> bool {
    let mut statements = listed(connection).peekable();
    // At least the host's statement is in the list. A SQLite built to look closely at what it is handed lists
    // nothing, though, for a connection that waits for its last statement to be closed.
    statements.peek().is_none() || (statements.any(|one| one == raw) && has_text(raw, sql))
}

/// All statements of a connection, whoever prepared them, the newest first.
fn listed(connection: Connection) -> impl Iterator<Item = *mut sqlite3_stmt> {
    let mut last = null_mut();
    std::iter::from_fn(move || {
        // SAFETY: the connection is open; `last` is null, or was listed and nobody has finalized it since.
        last = unsafe { sq!(next_stmt(connection.raw(), last)) };
        (!last.is_null()).then_some(last)
    })
}

/// Whether statements of the connection are in the middle of something, besides the one that has called us.
pub fn others_run(connection: Connection) -> bool {
    // SAFETY: a statement that is listed is alive.
    let is_busy = |raw: &*mut sqlite3_stmt| unsafe { sq!(stmt_busy(*raw)) } != 0;
    listed(connection).filter(is_busy).nth(1).is_some()
}

/// Whether a statement has that text. Another one may have been given the address of one that is gone.
///
/// `raw` must be listed.
fn has_text(raw: *mut sqlite3_stmt, sql: &str) -> bool {
    // SAFETY: the statement is alive; its text lives as long.
    unsafe {
        let text = sq!(sql(raw));
        !text.is_null() && CStr::from_ptr(text).to_bytes() == sql.as_bytes()
    }
}

/// Finalizes a statement that the caller owns and knows to be alive.
pub(super) fn finalize(raw: *mut sqlite3_stmt) {
    // SAFETY: the caller vouches for it. The code repeats an error already seen.
    unsafe { sq!(finalize(raw)) };
}
