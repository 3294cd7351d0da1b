//! Numbers that rows made here get in place of those that turn out to be other rows'.

use crate::capture::shape::Shape;
use crate::store::{Database, Result, Value, quote_name};

/// The highest number of a table that was ever seen here. `id`: its number, if it is tracked.
///
/// # Errors
/// SQLite's.
pub fn highest(database: &Database, shape: &Shape, id: Option<i64>) -> Result<i64> {
    let key = quote_name(&shape.keys()[0].name);
    let sql = format!(
        "SELECT max({key}) FROM {} WHERE typeof({key}) = 'integer'",
        database.qualified(&shape.name)
    );
    // Where the key is the rowid, it is found at once.
    let sql = match shape.rowid_is_key {
        true => format!("SELECT max({key}) FROM {}", database.qualified(&shape.name)),
        false => sql,
    };
    let mut scan = database.connection().prepare(&sql)?;
    let stored = match scan.step()? {
        true => scan.column(0).as_i64(),
        false => None,
    };
    drop(scan);
    let known = database.query_value(
        "SELECT max(number) FROM (\
         SELECT max(pk) AS number FROM main._syncChange WHERE tbl = ?1 AND typeof(pk) = 'integer' \
         UNION ALL SELECT max(pk) FROM main._syncOutbox WHERE tbl = ?1 AND typeof(pk) = 'integer')",
        &[id.into()],
    )?;
    let counts = database.has_table("sqlite_sequence")?;
    let counted = match counts {
        true => database.query_value(
            "SELECT seq FROM main.sqlite_sequence WHERE name = ?1 COLLATE NOCASE",
            &[shape.name.as_str().into()],
        )?,
        false => Value::Null,
    };
    let all = [stored, known.as_i64(), counted.as_i64(), Some(0)];
    Ok(all.into_iter().flatten().max().unwrap_or(0))
}
