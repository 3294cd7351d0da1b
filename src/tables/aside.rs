//! `sync_aside`: values of the server that their columns can't hold, and what the columns hold in their place.

use std::sync::Arc;

use crate::capture::Tracked;
use crate::store::{
    Access, Database, Ready, Result, Rows, Session, Statement, Table, Value, quote_name,
    readable_schema,
};

pub const TABLE: Table = Table {
    name: "sync_aside",
    declaration: "CREATE TABLE x(\"table\" TEXT, key, column TEXT, value TEXT, local)",
    keys: &[0, 1],
    access: Access::DirectRead,
    open,
    write: None,
    disconnected: None,
    summary: "values of the server that a column can't hold: they are kept aside and go up again unless the column is edited",
    example: "SELECT \"table\", column, count(*) FROM sync_aside GROUP BY 1, 2;",
};

fn open(session: &Arc<Session>, keys: &[Option<Value>]) -> Result<Box<dyn Rows>> {
    let database = session.database("main")?;
    // What an older version wrote has none, and its first writing call changes that.
    if readable_schema(&database)?.is_none_or(|version| version < 3) {
        return Ok(Box::new(Ready::new(Vec::new())));
    }
    let key = |index: usize| keys.get(index).cloned().flatten().unwrap_or_default();
    let (name, row) = (key(0), key(1));
    let mut shown = Vec::new();
    for table in Tracked::all(&database)? {
        if matches!(&name, Value::Text(name) if *name != table.shape.name) {
            continue;
        }
        show(&database, &table, &row, &mut shown)?;
    }
    let numbered = shown
        .into_iter()
        .zip(1..)
        .map(|(row, number)| (number, row));
    Ok(Box::new(Ready::new(numbered.collect())))
}

/// The values of one table, of rows that are there.
fn show(
    database: &Database,
    table: &Tracked,
    row: &Value,
    shown: &mut Vec<Vec<Value>>,
) -> Result<()> {
    let kept = database.query_all(
        "SELECT pk, col, value FROM main._syncAside WHERE tbl = ?1 AND (?2 IS NULL OR pk = ?2) \
         ORDER BY pk, col",
        &[table.id.into(), row.borrow()],
        |row| Ok((row.column(0).to_owned(), row.text(1), row.text(2))),
    )?;
    let keys = table.shape.keys();
    let [key] = keys.as_slice() else {
        return Ok(());
    };
    let key = quote_name(&key.name);
    let mut readers: Vec<(String, Statement)> = Vec::new();
    for (pk, column, value) in kept {
        // Renamed by somebody else, and no call has followed it yet.
        let Some(place) = table.shape.position(&column) else {
            continue;
        };
        let column = table.shape.columns[place].name.clone();
        let place = match readers.iter().position(|(name, _)| *name == column) {
            Some(place) => place,
            None => {
                let sql = format!(
                    "SELECT {} FROM {} WHERE {key} = ?1 AND {key} = ?1 COLLATE BINARY",
                    quote_name(&column),
                    database.qualified(&table.shape.name)
                );
                readers.push((column.clone(), database.connection().prepare(&sql)?));
                readers.len() - 1
            }
        };
        let reader = &mut readers[place].1;
        reader.bind(1, pk.borrow())?;
        if reader.step()? {
            let local = reader.column(0).to_owned();
            shown.push(vec![
                table.shape.name.as_str().into(),
                pk,
                column.into(),
                value.into(),
                local,
            ]);
        }
        reader.reset();
    }
    Ok(())
}
