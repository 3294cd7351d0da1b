//! Rubbish of every type to every function and every virtual table: an error or a value, never a
//! crash, never a transaction left open, never a request. By default a sample of the cases is tried, with
//! `SYNCSCOPE_WHOLE=1` all.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use support::host::{consistent, failure, furnished, settled};
use support::listener::Untouched;
use support::sample::{each, sample};
use support::{World, ask};

/// A value of any type, also ones that Rust's types can't hold.
#[derive(Clone)]
enum Rubbish {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
    Zeroes(i32),
}

impl ToSql for Rubbish {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Borrowed(ValueRef::Real(*number)),
            Self::Text(bytes) => ToSqlOutput::Borrowed(ValueRef::Text(bytes)),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            // See `call`: what binds like this does not reach the function.
            Self::Zeroes(_) => ToSqlOutput::Borrowed(ValueRef::Null),
        })
    }
}

impl std::fmt::Debug for Rubbish {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => out.write_str("NULL"),
            Self::Integer(number) => write!(out, "{number}"),
            Self::Real(number) => write!(out, "{number:?}"),
            Self::Text(bytes) if bytes.len() < 60 => {
                write!(out, "{:?}", String::from_utf8_lossy(bytes))
            }
            Self::Text(bytes) => write!(out, "text of {}", bytes.len()),
            Self::Blob(bytes) => write!(out, "blob of {}", bytes.len()),
            Self::Zeroes(count) => write!(out, "zeroblob({count})"),
        }
    }
}

fn text(text: &str) -> Rubbish {
    Rubbish::Text(text.into())
}

fn rubbish() -> Vec<Rubbish> {
    let deep =
        |open: &str, close: &str| text(&format!("{}{}", open.repeat(10_000), close.repeat(10_000)));
    let mut all = vec![
        Rubbish::Null,
        Rubbish::Integer(0),
        Rubbish::Integer(-1),
        Rubbish::Integer(i64::MAX),
        Rubbish::Integer(i64::MIN),
        Rubbish::Real(1.5),
        Rubbish::Real(f64::NAN),
        Rubbish::Real(f64::INFINITY),
        Rubbish::Blob(vec![]),
        Rubbish::Blob(vec![0, 255, 1]),
        Rubbish::Blob(b"{}".to_vec()),
        Rubbish::Zeroes(0),
        Rubbish::Zeroes(1000),
        Rubbish::Text(b"a\0b".to_vec()),
        Rubbish::Text(b"\0".to_vec()),
        Rubbish::Text(vec![0xff, 0xfe, b'x']),
        Rubbish::Text(b"{\"instanceId\":\"\xff\"}".to_vec()),
        text(&"x".repeat(1_000_000)),
        deep("[", "]"),
        deep("{\"a\":", "}"),
        text(&format!(
            "{{\"options\":{}{}}}",
            "[".repeat(10_000),
            "]".repeat(10_000)
        )),
    ];
    all.extend(
        [
            "",
            " ",
            "a",
            "main",
            "temp",
            "t",
            "T",
            "tracked",
            "host",
            "old",
            "1",
            "-0",
            "99999999999999999999",
            "{",
            "{}",
            "[]",
            "null",
            "true",
            "1e400",
            "\"x\"",
            "[1]",
            "[null]",
            "[[]]",
            "[{}]",
            "[\"a\"]",
            "[\"\\u0000\"]",
            "[\"\\ud800\"]",
            "{\"a\":1,\"a\":2}",
            "{\"options\":null}",
            "{\"options\":{}}",
            "{\"instanceId\":1}",
            "{\"type\":null}",
            "{\"when\":1}",
            "{\"schema\":\"nowhere\"}",
            "{\"schema\":5}",
            "{\"kind\":\"host\"}",
            "{\"kind\":\"host\",\"headers\":{\"\":\"\"}}",
            "{\"existing\":\"skip\"}",
            "{\"columns\":[]}",
            "{\"columns\":[\"nope\"]}",
            "{\"types\":{\"x\":\"rubbish\"}}",
            "{\"discard\":true}",
            "'",
            "\"",
            "');DROP TABLE t;--",
            "\"; DROP TABLE t; --",
            "t;--",
            "%s%n%d",
            "\u{feff}{}",
            "🦀",
            "\n",
            "failed",
            "synced",
            "syncing",
            "sqlite_master",
            "_syncScope",
            "sync_help",
            "ALTER TABLE tracked",
            "ALTER TABLE tracked DROP COLUMN x; DROP TABLE t",
            "ALTER TABLE t RENAME TO tt",
            "SELECT 1",
            "https://x:99999",
            "http://[::1",
        ]
        .map(text),
    );
    all
}

/// Arguments that make sense, for the places that are not rubbish at the moment. `NET` is a provider
/// whose backend counts requests.
fn sensible(name: &str) -> Vec<Rubbish> {
    let arguments: &[&str] = match name {
        "sync_init" | "sync_recover" | "sync_heartbeat" => &["main"],
        "sync_provider" => &["p", r#"{"kind":"host"}"#, "{}"],
        "sync_function" => &["shop", "f", r#"{"path":"/"}"#, "main"],
        "sync_try_function" => &["shop", "f", "{}", "{}"],
        "sync_import_openapi" => &[
            "shop",
            r#"{"openapi":"3.1.0","paths":{"/notes":{"get":{}}}}"#,
            "{}",
        ],
        "sync_import_postman" => &[
            "shop",
            r#"{"info":{"schema":"https://schema.getpostman.com/json/collection/v2.1.0/"},"item":[{"name":"list","request":"http://h/notes"}]}"#,
            "{}",
        ],
        "sync_secret" => &["name", "value", "https://example.com"],
        "sync_track" | "sync_untrack" | "sync_capture_existing" => &["tracked", "{}"],
        "sync_capture_off" | "sync_capture_on" => &["tracked", "{}"],
        "sync_alter" => &["tracked", "ALTER TABLE tracked DROP COLUMN x", "{}"],
        "sync_start_scope" => &["s", r#"["a"]"#],
        "sync_entities" => &["j", "NET", r#"["tracked"]"#, "{}"],
        "sync_set_status" => &["1", "failed", "why"],
        "sync_resolver" => &["t", "sql4", ":remote"],
        "sync_check" | "sync_upload_once" | "sync_download_once" | "sync_download_all"
        | "sync_hydrate" | "sync_once" | "sync_detach" => &["host", "{}"],
        "sync_auto" => &["host", "{}"],
        "sync_wait" => &["1", "0"],
        "sync_wait_current" => &["host", "0"],
        "sync_cancel" => &["1", "main"],
        "sync_due" | "sync_run_due" => &["main"],
        "sync_worker_start" | "sync_uninstall" => &["{}"],
        "sync_pause" | "sync_resume" => &["all", "host", "{}"],
        "sync_apply" => &["1", "[]", "1"],
        "sync_has_pending" => &["host"],
        "sync_is_stale" => &["host", "0"],
        "sync_takeover" => &["NET", "{}"],
        "sync_next_request" => &["1"],
        "sync_put_response" => &["1", "200", "{}", "{}"],
        "sync_retry" => &["tracked", "a"],
        "sync_discard" => &["tracked", "a", "{}"],
        "sync_delete_scope" => &["old"],
        "sync_delete_status" => &["1"],
        "sync_interrupt" => &["old", "why"],
        _ => &[],
    };
    arguments.iter().map(|argument| text(argument)).collect()
}

/// Which arguments of a call are rubbish.
enum Case<'a> {
    /// All are the same.
    All(&'a Rubbish),
    /// The one in this place.
    One(usize, &'a Rubbish),
    /// Both of two.
    Two(&'a Rubbish, &'a Rubbish),
}

/// All cases of a function of `count` arguments.
fn cases<'a>(name: &str, count: usize, rubbish: &'a [Rubbish]) -> Vec<Case<'a>> {
    if count == 0 {
        return rubbish.iter().take(1).map(Case::All).collect();
    }
    let known = sensible(name).len();
    assert!(known >= count, "{name}: arguments that make sense, please");
    let mut cases = Vec::new();
    for value in rubbish {
        cases.push(Case::All(value));
        for place in 0..count {
            // With a sensible provider and entities, sync_entities would rightly send a request.
            if name == "sync_entities" && (count >= 3) && (place == 0 || place == 3) {
                continue;
            }
            cases.push(Case::One(place, value));
        }
    }
    // Every pair, the long values left out.
    let short = rubbish
        .iter()
        .filter(|value| !matches!(value, Rubbish::Text(bytes) if bytes.len() > 1000));
    if count == 2 && name != "sync_entities" {
        for first in short.clone() {
            cases.extend(short.clone().map(|second| Case::Two(first, second)));
        }
    }
    cases
}

fn speed(connection: &Connection) {
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = memory;")
        .expect("speed");
}

/// Runs one call; gives what was wrong with it.
fn call(connection: &Connection, name: &str, arguments: &[Rubbish]) -> Option<String> {
    let places: Vec<String> = arguments
        .iter()
        .zip(1..)
        .map(|(argument, place)| match argument {
            Rubbish::Zeroes(count) => format!("coalesce(?{place}, zeroblob({count}))"),
            _ => format!("?{place}"),
        })
        .collect();
    let sql = format!("SELECT {name}({})", places.join(", "));
    let outcome = connection.query_row(&sql, params_from_iter(arguments), |row| {
        row.get_ref(0).map(|_| ())
    });
    settled(connection, true, &format!("{name}{arguments:?}"));
    let error = outcome.err()?;
    let (code, message) = failure(&error);
    if matches!(code & 0xff, 0 | 2 | 100 | 101) {
        return Some(format!("{name}{arguments:?}: code {code}: {message}"));
    }
    let named = message.starts_with(&format!("{name}: "));
    if !named || message.contains("panic") || message.contains('\0') {
        let shown: String = message.chars().take(200).collect();
        return Some(format!(
            "{name}{arguments:?}: {} bytes: {shown}",
            message.len()
        ));
    }
    None
}

#[test]
fn every_function_survives_rubbish_in_every_place_and_sends_nothing() {
    let nobody = Untouched::listen();
    let origin = nobody.origin();
    let functions = {
        let world = World::new(true);
        ask(
            &world.open(),
            "SELECT name, narg FROM pragma_function_list WHERE name LIKE 'sync\\_%' ESCAPE '\\' ORDER BY 1, 2",
        )
    };
    let rubbish = rubbish();
    let mut wrong = Vec::new();
    let (mut known, mut calls) = (0, 0);
    for line in functions.lines() {
        let (name, count) = line.split_once('|').expect("two");
        let count: usize = count.parse().expect("number");
        let world = World::new(true);
        let connection = furnished(&world);
        speed(&connection);
        ask(
            &connection,
            &format!(
                r#"SELECT sync_provider('NET', '{{"kind":"watermelon","url":"{origin}/sync","attempts":1}}')"#
            ),
        );
        ask(
            &connection,
            &format!(
                r#"SELECT sync_provider('shop', '{{"kind":"rest","url":"{origin}","attempts":1}}')"#
            ),
        );
        ask(
            &connection,
            r#"SELECT sync_function('shop', 'f', '{"path":"/f"}')"#,
        );
        let cases = cases(name, count, &rubbish);
        known += cases.len();
        for case in sample(module_path!(), cases, 7) {
            let arguments = match case {
                Case::All(value) => vec![value.clone(); count],
                Case::One(place, value) => {
                    let mut arguments = sensible(name);
                    arguments.truncate(count);
                    arguments[place] = value.clone();
                    arguments
                }
                Case::Two(first, second) => vec![first.clone(), second.clone()],
            };
            calls += 1;
            wrong.extend(call(&connection, name, &arguments));
        }
        consistent(&connection, name);
        let left = support::try_ask(&connection, "SELECT count(*) FROM t");
        assert_eq!(left.as_deref(), Ok("3"), "{name}: injected");
    }
    nobody.check();
    assert!(known > 10_000, "{known} cases");
    let shown: Vec<_> = wrong.iter().take(30).cloned().collect();
    assert!(
        wrong.is_empty(),
        "{} of {calls} calls:\n{}",
        wrong.len(),
        shown.join("\n")
    );
}

#[test]
fn an_error_text_does_not_repeat_a_megabyte() {
    let world = World::new(true);
    let connection = furnished(&world);
    let mut wrong = Vec::new();
    for sql in [
        "SELECT sync_init(?1)",
        "SELECT sync_track(?1)",
        "SELECT sync_untrack(?1)",
        "SELECT sync_capture_existing(?1)",
        "SELECT sync_alter(?1, 'ALTER TABLE t ADD COLUMN y')",
        "SELECT sync_entities('i', ?1, '[]')",
        "SELECT sync_entities('i', 'host', '[' || ?1 || ']')",
        "SELECT sync_entities('i', 'host', '[\"t\"]', '{\"' || ?1 || '\":1}')",
        "SELECT sync_provider('p', '{\"kind\":\"' || ?1 || '\"}')",
        "SELECT sync_provider('p', '{\"kind\":\"host\",\"' || ?1 || '\":1}')",
        "SELECT sync_secret('n', 'v', ?1)",
        "SELECT sync_takeover(?1)",
        "SELECT sync_takeover('host', '{\"' || ?1 || '\":1}')",
        "SELECT sync_has_pending(?1)",
        "SELECT sync_set_status(?1, 'synced')",
        "SELECT sync_apply(1, ?1, 1)",
        "SELECT sync_entities('i', 'host', '[\"t\"]', '{\"operations\":[' || ?1 || ']}')",
        "SELECT sync_set_status(1, ?1)",
        "SELECT sync_start_scope('{\"' || ?1 || '\":1}')",
        "SELECT sync_delete_status(?1)",
        "SELECT * FROM sync_pending(?1)",
    ] {
        let outcome = connection.query_row(sql, ["x".repeat(1_000_000)], |_| Ok(()));
        if let Err(error) = outcome {
            if matches!(error, rusqlite::Error::QueryReturnedNoRows) {
                continue;
            }
            let length = failure(&error).1.len();
            if length > 2000 {
                wrong.push(format!("{sql}: {length} bytes"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn any_other_number_of_arguments_is_refused_by_sqlite() {
    let world = World::new(true);
    let connection = world.open();
    let counts = ask(
        &connection,
        "SELECT name, min(narg), max(narg) FROM pragma_function_list WHERE name LIKE 'sync\\_%' ESCAPE '\\' GROUP BY name",
    );
    for line in counts.lines() {
        let parts: Vec<&str> = line.split('|').collect();
        let most: usize = parts[2].parse().expect("number");
        for count in [most + 1, most + 5, 50] {
            let error = support::host::fails(
                &connection,
                &format!("SELECT {}({})", parts[0], vec!["1"; count].join(",")),
            );
            assert!(error.1.contains("wrong number of arguments"), "{error:?}");
        }
    }
}

#[test]
fn every_virtual_table_survives_rubbish_as_a_constraint() {
    let world = World::new(true);
    let connection = furnished(&world);
    speed(&connection);
    let columns = ask(
        &connection,
        "SELECT m.name, c.name FROM pragma_module_list AS m, pragma_table_xinfo(m.name) AS c WHERE m.name LIKE 'sync%'",
    );
    assert!(columns.lines().count() > 40);
    let rubbish = rubbish();
    let mut wrong = Vec::new();
    let operators = [
        "= ?1",
        "IS ?1",
        "< ?1",
        ">= ?1",
        "<> ?1",
        "LIKE ?1",
        "GLOB ?1",
        "IN (?1, 5, NULL)",
        "BETWEEN ?1 AND 'z'",
        "IS NOT ?1",
    ];
    for (line, operator) in sample(module_path!(), each(columns.lines(), &operators), 3) {
        let (table, column) = line.split_once('|').expect("two");
        let sql = format!("SELECT count(*) FROM {table} WHERE \"{column}\" {operator}");
        let mut statement = connection
            .prepare(&sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        for value in &rubbish {
            let outcome = statement.query_row([value], |row| row.get::<_, i64>(0));
            if let Err(error) = outcome {
                let (code, text) = failure(&error);
                if text.contains("panic") || code & 0xff == 0 || text.is_empty() {
                    wrong.push(format!("{sql} {value:?}: {code} {text}"));
                }
            }
        }
        drop(statement);
        settled(&connection, true, &sql);
    }
    for line in columns.lines() {
        let (table, column) = line.split_once('|').expect("two");
        for sql in [
            format!("SELECT * FROM {table} ORDER BY \"{column}\" DESC LIMIT 1 OFFSET 1"),
            format!(
                "SELECT * FROM {table} AS a JOIN {table} AS b ON a.\"{column}\" = b.\"{column}\""
            ),
            format!(
                "SELECT * FROM {table} AS a LEFT JOIN t ON t.x = a.\"{column}\" WHERE a.rowid > 0"
            ),
            format!(
                "SELECT * FROM t LEFT JOIN {table} AS a ON a.\"{column}\" = t.x AND a.rowid = t.id"
            ),
            format!("SELECT * FROM {table} WHERE rowid IN (SELECT id FROM t) OR \"{column}\" = 5"),
            format!("SELECT (SELECT count(*) FROM {table} AS a WHERE a.\"{column}\" = t.x) FROM t"),
        ] {
            // A join over the hidden column asks for an attached file of any name.
            match support::try_ask(&connection, &sql) {
                Err(error) if column == "schema" => {
                    assert!(
                        error.to_string().contains("is not attached"),
                        "{sql}: {error}"
                    );
                }
                outcome => drop(outcome.unwrap_or_else(|error| panic!("{sql}: {error}"))),
            }
            settled(&connection, true, &sql);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_virtual_table_survives_rubbish_written_to_it() {
    let world = World::new(true);
    let connection = furnished(&world);
    speed(&connection);
    let columns = ask(
        &connection,
        "SELECT m.name, c.name FROM pragma_module_list AS m, pragma_table_xinfo(m.name) AS c WHERE m.name LIKE 'sync%'",
    );
    let rubbish = rubbish();
    let mut wrong = Vec::new();
    let templates = [
        "INSERT INTO TABLE (COLUMN) VALUES (?1)",
        "INSERT OR REPLACE INTO TABLE (rowid, COLUMN) VALUES (1, ?1)",
        "INSERT OR IGNORE INTO TABLE (rowid, COLUMN) VALUES (?1, ?1)",
        "UPDATE TABLE SET COLUMN = ?1",
        "UPDATE OR IGNORE TABLE SET rowid = ?1, COLUMN = ?1",
        "UPDATE TABLE SET rowid = ?1",
        "DELETE FROM TABLE WHERE COLUMN = ?1",
    ];
    for (line, template) in sample(module_path!(), each(columns.lines(), &templates), 3) {
        let (table, column) = line.split_once('|').expect("two");
        let sql = template
            .replace("TABLE", table)
            .replace("COLUMN", &format!("\"{column}\""));
        for value in &rubbish {
            connection
                .execute_batch("SAVEPOINT one")
                .expect("savepoint");
            if let Err(error) = connection.execute(&sql, [value]) {
                let (code, text) = failure(&error);
                let named = text.starts_with(&format!("{table}: "))
                    || text.contains("may not be modified")
                    || matches!(code & 0xff, 19 | 20)
                    || text.starts_with("_sync");
                if text.contains("panic") || code & 0xff == 0 || !named {
                    wrong.push(format!("{sql} {value:?}: {code} {text}"));
                }
            }
            settled(&connection, false, &sql);
            connection
                .execute_batch("ROLLBACK TO one; RELEASE one")
                .expect("rollback");
        }
    }
    consistent(&connection, "written rubbish");
    let shown: Vec<_> = wrong.iter().take(30).cloned().collect();
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        shown.join("\n")
    );
}

#[test]
fn values_that_look_like_formats_come_back_as_they_are() {
    let world = World::new(true);
    let connection = furnished(&world);
    ask(
        &connection,
        r#"SELECT sync_start_scope('%s%n', '["%d%n"]')"#,
    );
    assert_eq!(
        ask(&connection, "SELECT id FROM sync_scope WHERE id = '%s%n'"),
        "%s%n"
    );
    assert_eq!(
        ask(
            &connection,
            "SELECT instanceId FROM sync_scope_member WHERE scopeId = '%s%n'"
        ),
        "%d%n"
    );
    ask(&connection, "SELECT sync_set_status(1, 'failed', '%s%n')");
    assert_eq!(ask(&connection, "SELECT error FROM sync_status"), "%s%n");
}
