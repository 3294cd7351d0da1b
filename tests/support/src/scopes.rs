//! Scopes and statuses: making them, reporting, reading.

use rusqlite::Connection;

use crate::database::ask;

/// `state notStarted/syncing/failed/synced` of a scope.
pub fn scope(connection: &Connection, id: &str) -> String {
    ask(
        connection,
        &format!(
            "SELECT state || ' ' || notStarted || '/' || syncing || '/' || failed || '/' || synced \
             FROM _syncScope WHERE id = '{id}'"
        ),
    )
}

/// State and error of a status row.
pub fn status(connection: &Connection, id: i64) -> String {
    ask(
        connection,
        &format!("SELECT state, error FROM _syncStatus WHERE id = {id}"),
    )
}

/// Everything the user can see, to compare before and after.
pub fn picture(connection: &Connection) -> String {
    let scopes = ask(connection, "SELECT rowid, * FROM _syncScope ORDER BY id");
    let statuses = ask(connection, "SELECT * FROM _syncStatus ORDER BY id");
    let members = ask(
        connection,
        "SELECT * FROM _syncScopeMember ORDER BY scopeId, ordinal",
    );
    format!("{scopes}\n--\n{statuses}\n--\n{members}")
}

/// Begins the operations of an instance with the provider `host`.
pub fn begin(connection: &Connection, instance: &str, entities: &str) -> String {
    ask(
        connection,
        &format!("SELECT sync_entities('{instance}', 'host', '{entities}')"),
    )
}

pub fn start(connection: &Connection, id: &str, instances: &str) -> String {
    ask(
        connection,
        &format!("SELECT sync_start_scope('{id}', '{instances}')"),
    )
}

/// Reports a result; the error only where there is one.
pub fn report(connection: &Connection, id: i64, state: &str, error: Option<&str>) -> String {
    let error = error.map_or("NULL".to_owned(), |error| {
        format!("'{}'", error.replace('\'', "''"))
    });
    ask(
        connection,
        &format!("SELECT sync_set_status({id}, '{state}', {error})"),
    )
}
