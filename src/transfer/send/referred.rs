//! A row that can't go because others refer to it, in words.

use crate::capture::Key;
use crate::ground::quoted;
use crate::store::{Database, Error, Result, Value, quote_name};
use crate::transfer::held::foreign::{Link, links};

/// Why a row made here can't be taken back, with the tables whose rows refer to it and what to do.
///
/// # Errors
/// SQLite's.
pub fn in_the_way(
    database: &Database,
    (table, key_column): (&str, &str),
    key: &Key,
) -> Result<Error> {
    let mut children = Vec::new();
    for link in links(database)? {
        let is_its = link.restricts() && link.parent.eq_ignore_ascii_case(table);
        if is_its && refers(database, &link, key_column, key)? {
            children.push(quoted(&link.child));
        }
    }
    children.dedup();
    let others = match children.is_empty() {
        true => "rows that would go along with it".to_owned(),
        false => children.join(" and "),
    };
    Ok(Error::argument(format!(
        "the row {} of {} can't be taken back: rows of other tables, in {others}, refer to it and must not lose it (foreign \
         key). Call sync_discard with \"revert\" for these first, or delete them",
        shown(&key.0),
        quoted(table),
    )))
}

fn shown(key: &Value) -> String {
    match key {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => quoted(text),
        _ => "that was named".into(),
    }
}

fn refers(database: &Database, link: &Link, key_column: &str, key: &Key) -> Result<bool> {
    let same = link.from.iter().zip(&link.to);
    // SQLite compares by the affinity of the parent's column alone.
    let same: Vec<String> = same
        .map(|(from, to)| format!("p.{} = +c.{}", quote_name(to), quote_name(from)))
        .collect();
    let sql = format!(
        "SELECT 1 FROM {} AS p, {} AS c WHERE p.{} = ?1 AND {} LIMIT 1",
        database.qualified(&link.parent),
        database.qualified(&link.child),
        quote_name(key_column),
        same.join(" AND "),
    );
    let mut statement = database.connection().prepare(&sql)?;
    statement.bind_all(&[key.0.borrow()])?;
    statement.step()
}
