//! Tables from `CREATE TABLE` statements, so that a server can have what a client has.

use rusqlite::Connection;
use rusqlite::types::Value as Sql;

use super::tables::{Column, Default, Kind, Reference, Table};

/// The tables that these statements make. The key must be the first column, and a text.
/// Panics on an SQL error: meant for tests.
pub fn tables_of(schema_sql: &str) -> Vec<Table> {
    read(schema_sql).unwrap_or_else(|error| panic!("oversync b: {error}"))
}

fn read(schema_sql: &str) -> rusqlite::Result<Vec<Table>> {
    let db = Connection::open_in_memory()?;
    db.execute_batch(schema_sql)?;
    let mut names = db.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
    )?;
    let names = names.query_map([], |row| row.get::<_, String>(0))?;
    names.map(|name| table(&db, name?)).collect()
}

fn table(db: &Connection, name: String) -> rusqlite::Result<Table> {
    let mut columns =
        db.prepare("SELECT name, type, \"notnull\", dflt_value FROM pragma_table_info(?1)")?;
    let columns = columns.query_map([&name], |row| {
        let kind = kind(&row.get::<_, String>(1)?);
        let mut column = Column::new(&row.get::<_, String>(0)?, kind);
        column.not_null = row.get(2)?;
        column.default = row
            .get::<_, Option<String>>(3)?
            .and_then(|sql| value(db, &sql));
        Ok(column)
    })?;
    let mut columns: Vec<Column> = columns.collect::<rusqlite::Result<_>>()?;
    let mut keys =
        db.prepare("SELECT \"from\", \"table\", on_delete FROM pragma_foreign_key_list(?1)")?;
    let keys = keys.query_map([&name], |row| {
        let reference = Reference {
            table: row.get(1)?,
            cascade: row.get::<_, String>(2)? == "CASCADE",
        };
        Ok((row.get::<_, String>(0)?, reference))
    })?;
    for key in keys {
        let (from, reference) = key?;
        let column = columns.iter_mut().find(|column| column.name == from);
        if let Some(column) = column {
            column.references = Some(reference);
        }
    }
    Ok(Table { name, columns })
}

/// What the SQL of a default comes to; none for what is no text and no number.
fn value(db: &Connection, sql: &str) -> Option<Default> {
    let value = db.query_row(&format!("SELECT {sql}"), [], |row| row.get::<_, Sql>(0));
    Some(Default::Value(match value.ok()? {
        Sql::Integer(number) => number.into(),
        Sql::Real(number) => number.into(),
        Sql::Text(text) => text.into(),
        Sql::Null | Sql::Blob(_) => return None,
    }))
}

fn kind(declared: &str) -> Kind {
    let declared = declared.to_ascii_uppercase();
    let begins = |kinds: &[&str]| kinds.iter().any(|kind| declared.starts_with(kind));
    if begins(&["BOOL"]) {
        Kind::Boolean
    } else if begins(&["INT", "BIGINT"]) {
        Kind::BigInt
    } else if begins(&["REAL", "DOUBLE", "FLOAT", "NUM", "DEC"]) {
        Kind::Double
    } else if begins(&["BLOB"]) {
        Kind::Bytes
    } else {
        Kind::Text
    }
}
