//! Numbers that rows made here get in place of those that turn out to be other rows'.

use crate::store::{Database, Result, Value};
use crate::transfer::binding::Binding;

/// The highest number of a table that was ever seen here.
///
/// # Errors
/// SQLite's.
pub fn highest(database: &Database, binding: &Binding) -> Result<i64> {
    let sql = format!(
        "SELECT max({}) FROM {}",
        binding.key_name(),
        binding.qualified
    );
    let mut scan = database.connection().prepare(&sql)?;
    let stored = match scan.step()? {
        true => scan.column(0).as_i64(),
        false => None,
    };
    drop(scan);
    let id = binding.table.id;
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
            &[binding.table.shape.name.as_str().into()],
        )?,
        false => Value::Null,
    };
    let all = [stored, known.as_i64(), counted.as_i64(), Some(0)];
    Ok(all.into_iter().flatten().max().unwrap_or(0))
}
