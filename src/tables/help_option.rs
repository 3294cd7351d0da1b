//! `sync_help_option`: every key of a configuration or an option object, from its one declaration.

use std::sync::Arc;

use crate::ground::key::Key;
use crate::providers::kinds;
use crate::store::entry::contents;
use crate::store::{Access, Ready, Result, Rows, Session, Table, Value};

pub const TABLE: Table = Table {
    name: "sync_help_option",
    declaration: "CREATE TABLE x(of TEXT, key TEXT, type TEXT, \"default\" TEXT, range TEXT, \
                  meaning TEXT, example TEXT)",
    keys: &[0, 1],
    access: Access::Innocuous,
    open,
    write: None,
    disconnected: None,
    summary: "the keys of configurations and option objects, by function or kind of provider",
    example: "SELECT key, type, \"default\", meaning FROM sync_help_option WHERE of = 'sync_track';",
};

fn open(session: &Arc<Session>, wanted: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let functions = contents(session).map_or(&[][..], |contents| contents.functions);
    let mut lines: Vec<(&str, &Key)> = Vec::new();
    for function in functions {
        let keys = function.keys().into_iter();
        lines.extend(keys.map(|key| (function.name, key)));
    }
    for kind in kinds::all() {
        let keys = kinds::EVERY
            .iter()
            .chain(kind.keys.iter().copied().flatten());
        lines.extend(keys.map(|key| (kind.name, key)));
    }
    let is = |index: usize, text: &str| match wanted.get(index) {
        Some(Some(value)) => value.as_str() == Some(text),
        _ => true,
    };
    let rows = lines
        .into_iter()
        .zip(1..)
        .filter(|((of, key), _)| is(0, of) && is(1, key.name))
        .map(|((of, key), number)| (number, line(of, key)))
        .collect();
    Ok(Box::new(Ready::new(rows)))
}

fn line(of: &str, key: &Key) -> Vec<Value> {
    let range = match key.name {
        "kind" => Some(kinds::names()),
        _ => key.takes.range(),
    };
    vec![
        of.into(),
        key.name.into(),
        key.takes.kind().into(),
        key.default_shown().into(),
        range.map_or(Value::Null, Value::from),
        key.what.into(),
        key.example.into(),
    ]
}
