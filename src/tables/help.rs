//! `sync_help`: every function and table of this library, from the table of contents in `lib.rs`.

use std::sync::Arc;

use crate::store::entry::contents;
use crate::store::{Access, Effect, HOOK, Ready, Result, Rows, Session, Table, Value};

pub const TABLE: Table = Table {
    name: "sync_help",
    declaration: "CREATE TABLE x(name TEXT, kind TEXT, arguments TEXT, summary TEXT, example TEXT)",
    keys: &[],
    access: Access::Innocuous,
    open,
    write: None,
    disconnected: None,
    summary: "this list",
    example: "SELECT name, summary FROM sync_help WHERE kind = 'function';",
};

fn open(session: &Arc<Session>, _: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let Some(contents) = contents(session) else {
        return Ok(Box::new(Ready::new(Vec::new())));
    };
    let mut lines: Vec<Vec<Value>> = contents
        .functions
        .iter()
        .map(|function| {
            let kind = match function.effect {
                Effect::Pure => "pure function",
                Effect::Direct => "function",
            };
            line(
                function.name,
                kind,
                function.arguments,
                function.summary,
                function.example,
            )
        })
        .collect();
    lines.extend(
        contents
            .tables
            .iter()
            .filter(|table| table.name != HOOK)
            .map(|table| {
                let kind = if table.write.is_some() {
                    "writable table"
                } else {
                    "table"
                };
                line(
                    table.name,
                    kind,
                    columns(table.declaration),
                    table.summary,
                    table.example,
                )
            }),
    );
    let rows = lines
        .into_iter()
        .zip(1..)
        .map(|(line, number)| (number, line))
        .collect();
    Ok(Box::new(Ready::new(rows)))
}

fn line(name: &str, kind: &str, arguments: &str, summary: &str, example: &str) -> Vec<Value> {
    [name, kind, arguments, summary, example]
        .into_iter()
        .map(Value::from)
        .collect()
}

/// The column list of a declaration, without the wrapping.
fn columns(declaration: &'static str) -> &'static str {
    declaration
        .split_once('(')
        .and_then(|(_, rest)| rest.rsplit_once(')'))
        .map_or("", |(columns, _)| columns)
}
