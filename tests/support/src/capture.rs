//! Tracked tables, and what is pending of them.

use rusqlite::Connection;

use crate::database::{World, ask};

/// A database whose rows count as known to the server: tracked with `"existing":"skip"`.
pub fn tracked(world: &World, ddl: &str, table: &str) -> Connection {
    let connection = world.open();
    connection.execute_batch(ddl).expect("schema");
    track(&connection, table, r#"{"existing":"skip"}"#);
    connection
}

pub fn track(connection: &Connection, table: &str, options: &str) -> String {
    connection
        .query_row("SELECT sync_track(?1, ?2)", [table, options], |row| {
            row.get(0)
        })
        .unwrap_or_else(|error| panic!("sync_track {table:?}: {error}"))
}

/// `op key changed` of every pending row, by table and line.
pub fn pending(connection: &Connection) -> String {
    ask(
        connection,
        "SELECT op || ' ' || CASE typeof(key) WHEN 'blob' THEN 'x' || hex(key) ELSE ifnull(key, 'NULL') END \
         || ifnull(' ' || changed, '') FROM sync_pending ORDER BY \"table\", 1",
    )
}

pub fn run(connection: &Connection, sql: &str) {
    connection
        .execute_batch(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Runs SQL as a program that never heard of the extension.
pub fn elsewhere(world: &World, sql: &str) {
    run(&world.plain(), sql);
}
