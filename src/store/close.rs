//! The pre-close hook.
//!
//! A function's destructor runs too late to use SQL and, while a statement is open, not at all. An
//! eponymous virtual table that is connected once is disconnected *first* in `sqlite3_close`, while
//! SQL still works; that is where a session says goodbye.

use std::sync::Arc;

use super::connection::Connection;
use super::error::{Error, Result};
use super::session::Session;
use super::table::{Access, Rows, Table};
use super::value::Value;

/// Name of the hook's module. It is not meant to be queried.
pub const HOOK: &str = "syncscope_close_hook";

/// The hook as a virtual table: one column, no rows.
pub(super) const TABLE: Table = Table {
    name: HOOK,
    declaration: "CREATE TABLE x(unused)",
    keys: &[],
    access: Access::DirectRead,
    open: no_rows,
    write: None,
    disconnected: Some(Session::closing),
    summary: "lets the extension tidy up before the connection closes; not meant to be queried",
    example: "SELECT count(*) FROM syncscope_close_hook;",
};

fn no_rows(_: &Arc<Session>, _: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    Ok(Box::new(Nothing))
}

struct Nothing;

impl Rows for Nothing {
    fn next(&mut self) -> Result<Option<(i64, Vec<Value>)>> {
        Ok(None)
    }
}

/// Connects the hook. Failing to is no reason to fail a call: then only the tidy goodbye is lost,
/// and the lease ends what this connection owned. Asked for in `temp`, where no table of a file can hide it.
pub(super) fn arm(connection: Connection) {
    let _: std::result::Result<(), Error> = (|| {
        connection
            .prepare(&format!("SELECT 1 FROM temp.{HOOK}"))?
            .step()?;
        Ok(())
    })();
}
