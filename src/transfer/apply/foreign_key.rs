//! Naming the row that breaks a foreign key.

use crate::ground::quoted;
use crate::store::{Connection, Error, quote_name, shown};

/// Names a row whose reference is broken, while the transaction is still open.
pub fn explain_foreign_key(connection: Connection, error: Error) -> Error {
    if !error.is_constraint() {
        return error;
    }
    let broken = (|| {
        let mut check = connection.prepare("PRAGMA foreign_key_check")?;
        if !check.step()? {
            return Ok(None);
        }
        let (table, parent) = (check.text(0), check.text(2));
        let row = match check.column(1).as_i64() {
            Some(rowid) => {
                key_of(connection, &table, rowid).unwrap_or_else(|| format!(" (rowid {rowid})"))
            }
            None => String::new(),
        };
        Ok::<_, Error>(Some((table, row, parent)))
    })();
    let Ok(Some((table, row, parent))) = broken else {
        return error;
    };
    Error::Sqlite {
        code: error.code(),
        text: format!(
            "{error}: a row of {}{row} refers to a row that is missing from {}; nothing of this pull was applied; if \
             the row was made here, delete it or let it refer to another",
            quoted(&table),
            quoted(&parent)
        ),
    }
}

/// The key of a row in words, when it is one column.
fn key_of(connection: Connection, table: &str, rowid: i64) -> Option<String> {
    let mut keys = connection
        .prepare("SELECT max(name) FROM pragma_table_info(?1) WHERE pk > 0 HAVING count(*) = 1")
        .ok()?;
    keys.bind(1, table.into()).ok()?;
    let key = keys.step().ok()?.then(|| keys.optional_text(0))??;
    let sql = format!(
        "SELECT {} FROM {} WHERE rowid = ?1",
        quote_name(&key),
        quote_name(table)
    );
    let mut row = connection.prepare(&sql).ok()?;
    row.bind(1, rowid.into()).ok()?;
    let value = row.step().ok()?.then(|| row.column(0).to_owned())?;
    Some(format!(" ({key} {})", quoted(&shown(&value))))
}
