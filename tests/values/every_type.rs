//! For every declared type that people use and every class of JSON value: what the server has stays what it is.

use std::collections::BTreeMap;

use serde_json::json;
use support::{Device, both};

use crate::server::{Server, same};

const DECLARED: &[&str] = &[
    "",
    "TEXT",
    "VARCHAR",
    "VARCHAR(20)",
    "NVARCHAR(10)",
    "CHAR(5)",
    "CHARACTER VARYING",
    "CLOB",
    "TINYTEXT",
    "INTEGER",
    "INT",
    "INT2",
    "INT8",
    "BIGINT",
    "SMALLINT",
    "TINYINT(1)",
    "UNSIGNED BIG INT",
    "REAL",
    "FLOAT",
    "DOUBLE",
    "DOUBLE PRECISION",
    "NUMERIC",
    "NUMERIC(10,2)",
    "DECIMAL",
    "DECIMAL(10,2)",
    "MONEY",
    "NUMBER",
    "DATE",
    "DATETIME",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "TIME",
    "YEAR",
    "BOOL",
    "BOOLEAN",
    "JSON",
    "JSONB",
    "STRING",
    "UUID",
    "GUID",
    "XML",
    "ENUM",
    "INET",
    "CITEXT",
    "BIT",
    "ANY",
    "POINT",
    "INTERVAL",
    "GEOMETRY",
    "ARRAY",
    "VECTOR",
    "SERIAL",
    "BLOB",
    "BYTEA",
    "INT STRICT",
    "INTEGER STRICT",
    "REAL STRICT",
    "TEXT STRICT",
    "BLOB STRICT",
    "ANY STRICT",
];

const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "2",
    "7.0",
    "1.5",
    "-0.25",
    "1e300",
    "0.1",
    "1700000000000",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551617",
    "1234567890.12345678901",
    r#""""#,
    r#""abc""#,
    r#""5""#,
    r#""02134""#,
    r#""15E2621""#,
    r#""1.50""#,
    r#"" 7 ""#,
    r#""+15551234""#,
    r#""true""#,
    r#""null""#,
    r#""12345678901234567890123456789012""#,
    r#""2024-05-06""#,
    r#""2024-05-06T10:00:00Z""#,
    r#""a\u0000b""#,
    r#""\u00e4\"\\""#,
    r#""\ud83d""#,
    r#""aGVsbG8=""#,
    r#""aGVsbG8""#,
    r#""aGVs\nbG8=""#,
    r#""-__-AA""#,
    r#""{\"a\":1}""#,
    "[]",
    "[1,2.0]",
    "{}",
    r#"{"a":{"b":[null,9007199254740993]}}"#,
];

/// What is written here into a column, as SQL.
const EDITS: &[&str] = &[
    "NULL",
    "0",
    "1",
    "7",
    "1.5",
    "9007199254740993",
    "'x'",
    "'5'",
    "'null'",
    "'{\"b\":1}'",
    "x'6869'",
    "1e300",
    "'2024-01-01'",
];

fn tables(not_null: bool) -> Vec<(String, String)> {
    DECLARED
        .iter()
        .enumerate()
        .map(|(number, declared)| {
            let (declared, strict) = match declared.strip_suffix(" STRICT") {
                Some(declared) => (declared, "STRICT"),
                None => (*declared, ""),
            };
            let required = if not_null { "NOT NULL" } else { "" };
            let table = format!("t{number}");
            let sql = format!(
                "CREATE TABLE {table} (id TEXT PRIMARY KEY NOT NULL, v {declared} {required}, n INTEGER) {strict};"
            );
            (table, sql)
        })
        .collect()
}

fn kept(device: &Device, table: &str) -> BTreeMap<String, String> {
    let rows = device.ask(&format!(
        "SELECT id, typeof(v) || ' ' || quote(v) FROM {table} ORDER BY id"
    ));
    let rows = rows.lines().filter_map(|row| row.split_once('|'));
    rows.map(|(id, value)| (id.to_owned(), value.to_owned()))
        .collect()
}

fn run(not_null: bool, foreign_keys: bool) {
    let tables = tables(not_null);
    let mut server = Server::start();
    for (table, _) in &tables {
        for (number, value) in VALUES.iter().enumerate() {
            server.put(table, &format!("r{number:02}"), &[("v", value), ("n", "0")]);
        }
    }
    let original = server.rows.clone();
    let schema: String = tables.iter().map(|(_, sql)| sql.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|(table, _)| table.as_str()).collect();
    let device = Device::configured(&schema, &names, &server.canned.url(), json!({}));
    device.exec(&format!("PRAGMA foreign_keys = {foreign_keys}"));
    server.answers();
    device.synced();
    let before: Vec<_> = names.iter().map(|table| kept(&device, table)).collect();

    // The same again: nothing is news.
    server.answers();
    let again = device.synced();
    assert_eq!(again["updated"], 0, "{again}");
    server.take();

    // Another column is edited: whole rows go up.
    for table in &names {
        device.exec(&format!("UPDATE {table} SET n = 1"));
    }
    server.answers();
    device.synced();
    let taken = server.take().len();
    assert_eq!(taken, names.len() * VALUES.len(), "a row was not sent");
    let mut wrong = Vec::new();
    for ((table, declared), rows) in names.iter().zip(DECLARED).zip(original.values()) {
        let _ = rows;
        for (id, row) in &original[*table] {
            let now = server.value(table, id, "v");
            if !same(&row["v"], now) {
                wrong.push(format!("{declared:?} <- {}: went up as {now}", row["v"]));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());

    // Their echo leaves them alone, and nobody finds a difference.
    server.answers();
    let echo = device.synced();
    assert_eq!(echo["updated"], 0, "{echo}");
    for (table, before) in names.iter().zip(&before) {
        assert_eq!(kept(&device, table), *before, "{table}");
    }
    server.answers();
    let check = device.ask("SELECT sync_check('api')");
    assert!(check.contains(r#""state":"equal""#), "{check}");
    server.take();

    // The column itself is edited in some rows.
    for (edit, table) in EDITS
        .iter()
        .flat_map(|edit| names.iter().map(move |table| (edit, table)))
    {
        let place = EDITS.iter().position(|one| one == edit).unwrap_or(0);
        // What the table refuses is no edit.
        let _ = device.db.execute_batch(&format!(
            "UPDATE {table} SET v = {edit} WHERE id = 'r{:02}' AND v IS NOT {edit}",
            place * 3
        ));
    }
    let edited: Vec<_> = names.iter().map(|table| kept(&device, table)).collect();
    let before_edits = server.rows.clone();
    server.answers();
    device.synced();
    let taken = server.take();
    for ((table, declared), (old, new)) in
        names.iter().zip(DECLARED).zip(before.iter().zip(&edited))
    {
        for (id, row) in &before_edits[*table] {
            let now = server.value(table, id, "v");
            let sent = taken.contains(&((*table).to_string(), id.clone()));
            if old[id] == new[id] && !same(&row["v"], now) {
                wrong.push(format!("{declared:?} {id}: {} became {now}", row["v"]));
            }
            if old[id] != new[id] && !sent {
                let rejected = device.ask(&format!(
                    "SELECT rejected FROM sync_pending WHERE \"table\" = '{table}' AND key = '{id}'"
                ));
                if !rejected.contains("can't be sent") {
                    wrong.push(format!("{declared:?} {id} = {}: lost", new[id]));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    // And their echo leaves the edits alone.
    server.answers();
    device.synced();
    for ((table, declared), edited) in names.iter().zip(DECLARED).zip(&edited) {
        assert_eq!(kept(&device, table), *edited, "{declared:?}");
    }
}

#[test]
fn v5_no_value_changes_on_the_server_unless_its_column_was_edited_here() {
    run(false, false);
}

#[test]
fn v5_the_same_where_columns_may_not_be_empty() {
    run(true, true);
}

#[test]
fn v1_v2_what_is_made_here_goes_up_as_it_is_stored() {
    both(|_| {
        for (declared, made, sent) in [
            ("DATETIME", "1700000000000", "1700000000000"),
            ("TIMESTAMP", "'2024-05-06'", r#""2024-05-06""#),
            ("DECIMAL(10,2)", "12.5", "12.5"),
            ("STRING", "'abc'", r#""abc""#),
            ("", "'5'", r#""5""#),
            ("JSON", "'{\"a\":[1, 2]}'", r#"{"a":[1, 2]}"#),
            ("JSON", "'\"text\"'", r#""text""#),
            ("JSON", "7", "7"),
            ("JSON", "'true'", "true"),
            ("BOOLEAN", "1", "true"),
            ("INT8", "9007199254740993", "9007199254740993"),
        ] {
            let mut server = Server::start();
            let schema = format!("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, v {declared})");
            let device = Device::with(&schema, &["t"], &server.canned.url());
            device.exec(&format!("INSERT INTO t VALUES ('a', {made})"));
            device.synced();
            server.take();
            assert_eq!(server.value("t", "a", "v"), sent, "{declared}");
            let before = kept(&device, "t");
            server.answers();
            device.synced();
            assert_eq!(kept(&device, "t"), before, "{declared}");
        }
    });
}

#[test]
fn v2_v4_what_the_wire_can_not_carry_back_is_not_sent() {
    for (declared, made, said) in [
        ("JSON", "'no json'", "text that is no JSON"),
        ("JSON", "x'00'", "a blob; store JSON as text"),
        ("INTEGER", "'text'", "text, which would be lost"),
        ("BOOLEAN", "2", "a number, which would be lost"),
        ("BLOB", "'text'", "a value other than a blob"),
    ] {
        let server = Server::start();
        let schema = format!("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, v {declared})");
        let device = Device::with(&schema, &["t"], &server.canned.url());
        device.exec(&format!("INSERT INTO t VALUES ('a', {made})"));
        device.synced();
        let reason = device.ask("SELECT reason FROM _syncRejected");
        assert!(reason.contains(said), "{declared}: {reason}");
        assert!(server.canned.pushed().is_empty());
    }
}
