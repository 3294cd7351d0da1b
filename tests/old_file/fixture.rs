//! What the tests with a file of v0.1.0 share: copies of it, what v0.1.0 reads in it, the backend it was synced
//! with. How the file was made: `tests/fixtures/v0.1.0/make.py`.
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags, params_from_iter};
use serde_json::{Map, Value};
use support::{Backend, World, ask, backend_rows, load, rows_of};

fn fixture(name: &str) -> PathBuf {
    support::root().join("tests/fixtures/v0.1.0").join(name)
}

fn text(name: &str) -> String {
    let path = fixture(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).expect(name)
}

/// A copy of the file that v0.1.0 wrote.
pub fn old_file() -> World {
    let world = World::new(false);
    std::fs::copy(fixture("app.db"), world.path()).expect("copy");
    world
}

/// The file's bytes as they were.
pub fn old_bytes() -> Vec<u8> {
    std::fs::read(fixture("app.db")).expect("the fixture")
}

pub fn read_only(world: &World) -> Connection {
    let connection = Connection::open_with_flags(world.path(), OpenFlags::SQLITE_OPEN_READ_ONLY);
    let connection = connection.expect("open");
    load(&connection);
    connection
}

pub fn version(connection: &Connection) -> String {
    ask(
        connection,
        "SELECT value FROM _syncMeta WHERE key = 'schemaVersion'",
    )
}

/// A row as it is read today. v0.1.0 showed a column in `sync_pending` that its provider leaves out
/// (`tag.here`); now the table shows what would be sent, so the column is not there, nor is a row of which only
/// that changed.
fn as_sent(row: &str) -> Option<String> {
    if !row.starts_with(r#"["tag","#) {
        return Some(row.to_owned());
    }
    if row.contains(r#"["here"]"#) {
        return None;
    }
    let Some((before, rest)) = row.split_once(r#","here":"#) else {
        return Some(row.to_owned());
    };
    let after = rest.find('}').map_or("", |end| &rest[end..]);
    Some(format!("{before}{after}"))
}

/// Everything is read as v0.1.0 reads it in the file as it wrote it.
#[track_caller]
pub fn reads_as_ever(connection: &Connection, what: &str) {
    let questions = json("reading.json");
    let questions = questions.as_array().expect("a list");
    assert!(questions.len() > 15, "{what}");
    for question in questions {
        let sql = question["sql"].as_str().expect("SQL");
        let rows = question["rows"].as_array().expect("rows");
        let recorded = rows.iter().filter_map(Value::as_str);
        let recorded: Vec<String> = recorded.filter_map(as_sent).collect();
        let found = ask(connection, sql);
        let found: Vec<&str> = found.lines().collect();
        assert_eq!(found, recorded, "{what}: {sql}");
    }
}

/// All objects and all rows of a file.
pub fn whole(connection: &Connection) -> String {
    let objects = ask(
        connection,
        "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid",
    );
    let tables = ask(
        connection,
        "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid",
    );
    let rows = tables
        .lines()
        .map(|table| ask(connection, &format!("SELECT * FROM \"{table}\"")));
    [objects]
        .into_iter()
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n--\n")
}

/// The backend as it was at one of two moments: `before` or `after` the push whose answer was lost. What had come
/// by then is older than the cursors in the file; what the push brought is new.
pub fn backend(moment: &str) -> Backend {
    let backend = Backend::start(&text("server.sql"));
    // The cursors come from the clock of the machine that made the file, which may be ahead.
    backend.freeze_clock(Some(4_000_000_000_000));
    let moments = json("server.json");
    fill(&backend, &moments["before"]);
    backend.sql(|db| db.execute_batch("UPDATE _backend_row SET created_at = 1, last_modified = 1"));
    if moment != "before" {
        for (table, rows) in tables(&moments["before"]) {
            let left = moments[moment][table].as_array().expect("rows");
            for row in rows.as_array().expect("rows") {
                if !left.iter().any(|other| other["id"] == row["id"]) {
                    remove(&backend, table, &row["id"]);
                }
            }
        }
        fill(&backend, &moments[moment]);
    }
    backend
}

fn tables(moment: &Value) -> &Map<String, Value> {
    moment.as_object().expect("tables")
}

/// Writes the rows that are not there yet, or are there with other values.
fn fill(backend: &Backend, moment: &Value) {
    for (table, rows) in tables(moment) {
        let there = backend_rows(backend, table);
        for row in rows.as_array().expect("rows") {
            let row = row.as_object().expect("a row");
            let equal = |other: &Value| row.iter().all(|(name, value)| other[name] == *value);
            if there.iter().any(equal) {
                continue;
            }
            let names: Vec<&str> = row.keys().map(String::as_str).collect();
            let news: Vec<String> = names
                .iter()
                .map(|name| format!("{name} = excluded.{name}"))
                .collect();
            let sql = format!(
                "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT (id) DO UPDATE SET {}",
                names.join(", "),
                vec!["?"; names.len()].join(", "),
                news.join(", ")
            );
            let values: Vec<rusqlite::types::Value> = row.values().map(as_sql).collect();
            backend.sql(|db| db.execute(&sql, params_from_iter(values)));
        }
    }
}

fn remove(backend: &Backend, table: &str, id: &Value) {
    backend.sql(|db| db.execute(&format!("DELETE FROM {table} WHERE id = ?"), [as_sql(id)]));
}

fn as_sql(value: &Value) -> rusqlite::types::Value {
    match value {
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) if number.is_i64() => number.as_i64().into(),
        Value::Number(number) => number.as_f64().into(),
        Value::String(text) => text.clone().into(),
        _ => rusqlite::types::Value::Null,
    }
}

/// Has the providers of the file talk to another address, as a program without the extension could.
pub fn redirect(world: &World, backend: &Backend) {
    world
        .plain()
        .execute(
            "UPDATE _syncProvider SET config = replace(config, \
             rtrim(rtrim(config ->> 'url', 'abcdefghijklmnopqrstuvwxyz'), '/'), ?1) \
             WHERE config ->> 'url' LIKE 'http://127.0.0.1:%'",
            [backend.url()],
        )
        .expect("providers");
}

/// Both sides have the same in these columns.
#[track_caller]
pub fn same_rows(db: &Connection, backend: &Backend, table: &str, entity: &str, columns: &[&str]) {
    let cut = |rows: Vec<Value>| -> Vec<Vec<String>> {
        rows.iter()
            .map(|row| {
                columns
                    .iter()
                    .map(|name| row[*name].to_string().replace('"', ""))
                    .collect()
            })
            .collect()
    };
    assert_eq!(
        cut(rows_of(db, table)),
        cut(backend_rows(backend, entity)),
        "{table}"
    );
}

/// A connection to another file, to which the world's is attached as `old`.
pub fn attaching(world: &World) -> (Option<World>, Connection) {
    let elsewhere = World::new(false);
    let connection = elsewhere.open();
    let attach = format!("ATTACH '{}' AS old", world.path().display());
    connection.execute_batch(&attach).expect("attach");
    (Some(elsewhere), connection)
}

/// The version of a new file.
pub fn newest() -> String {
    version(&World::new(false).ready())
}
