//! The pre-close hook.
//!
//! A function's destructor runs too late to use SQL and, while a statement is open, not at all. An
//! eponymous virtual table that is connected once is disconnected *first* in `sqlite3_close`, while
//! SQL still works; that is where a session says goodbye.

use super::connection::Connection;

/// Name of the hook's module. It is not meant to be queried.
pub const HOOK: &str = "syncscope_close_hook";

/// Connects the hook; whether that worked. Failing to is no reason to fail a call: then only the cleanup at close is
/// lost, and the lease ends what this connection owned. Asked for in `temp`, where no table of a file can hide it.
pub(super) fn arm(connection: Connection) -> bool {
    let connect = format!("SELECT 1 FROM temp.{HOOK}");
    connection.execute_script(&connect).is_ok()
}
