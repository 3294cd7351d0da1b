//! The virtual table behind the pre-close hook ([`super::hook`]).

use std::sync::Arc;

use super::error::Result;
use super::hook::HOOK;
use super::session::Session;
use super::table::{Access, Rows, Table};
use super::value::Value;

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
