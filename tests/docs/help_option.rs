//! `sync_help_option` says what the parsers take: its examples work, its columns can be looked up, and the tables of
//! keys in the reference are made of it.
//!
//! In docs/reference.md such a table is found between two comments:
//!
//! ```text
//! <!-- keys of watermelon: url to maxResponseBytes -->
//! <!-- end of keys -->
//! ```
//! There may be several such ranges with commas between them, and single keys; without any, the table has all
//! keys. `UPDATE_SNAPSHOTS=1 cargo test --test docs`
//! writes the tables anew.

use rusqlite::Connection;
use serde_json::{Map, Value, json};
use support::{World, ask, root, try_ask};

/// One line of the help.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    of: String,
    key: String,
    kind: String,
    default: String,
    range: Option<String>,
    meaning: String,
    example: String,
}

fn help(connection: &Connection) -> Vec<Line> {
    let sql = r#"SELECT of, key, type, "default", range, meaning, example FROM sync_help_option"#;
    let mut statement = connection.prepare(sql).expect("help");
    let lines = statement.query_map([], |row| {
        Ok(Line {
            of: row.get(0)?,
            key: row.get(1)?,
            kind: row.get(2)?,
            default: row.get(3)?,
            range: row.get(4)?,
            meaning: row.get(5)?,
            example: row.get(6)?,
        })
    });
    lines
        .expect("lines")
        .map(|line| line.expect("a line"))
        .collect()
}

fn object(text: &str) -> Map<String, Value> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => members,
        other => panic!("{text}: {other:?}"),
    }
}

/// The kinds of providers, by what the help says.
fn kinds(lines: &[Line]) -> Vec<String> {
    let kinds = lines.iter().find(|line| line.key == "kind");
    let range = kinds.and_then(|line| line.range.clone()).expect("kinds");
    range.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_example_of_a_configuration_is_accepted() {
    let world = World::new(false);
    let connection = world.open();
    let lines = help(&connection);
    for kind in kinds(&lines) {
        let own: Vec<&Line> = lines.iter().filter(|line| line.of == kind).collect();
        let mut base = Map::new();
        for line in own.iter().filter(|line| line.default == "required") {
            base.extend(object(&line.example));
        }
        base.insert("kind".into(), json!(kind));
        for line in own {
            let example = object(&line.example);
            assert!(example.contains_key(&line.key), "{line:?}");
            let mut config = base.clone();
            config.extend(example);
            config.insert("kind".into(), json!(kind));
            let given = connection.query_row(
                "SELECT sync_provider('p', ?1)",
                [Value::Object(config.clone()).to_string()],
                |row| row.get::<_, String>(0),
            );
            assert_eq!(given.as_deref(), Ok("p"), "{config:?}");
        }
    }
}

/// How a function is given its keys, at `?1`: a call that takes the example of any of them, or one of several that
/// does.
const CALLS: &[(&str, &[&str])] = &[
    (
        "sync_provider",
        &[r#"sync_provider('pulled', '{"kind":"watermelon","url":"http://127.0.0.1:2/"}', ?1)"#],
    ),
    ("sync_track", &["sync_track('planes', ?1)"]),
    ("sync_untrack", &["sync_untrack('planes', ?1)"]),
    (
        "sync_capture_existing",
        &["sync_capture_existing('planes', ?1)"],
    ),
    ("sync_capture_off", &["sync_capture_off('planes', ?1)"]),
    ("sync_capture_on", &["sync_capture_on('planes', ?1)"]),
    (
        "sync_alter",
        &["sync_alter('planes', 'ALTER TABLE planes ADD COLUMN more', ?1)"],
    ),
    ("sync_takeover", &["sync_takeover('other', ?1)"]),
    (
        "sync_function",
        &["sync_function('shop', 'list-books', ?1)"],
    ),
    (
        "sync_try_function",
        &["sync_try_function('shop', 'list-books', NULL, ?1)"],
    ),
    (
        "sync_import_openapi",
        &[r#"sync_import_openapi('shop', '{"openapi":"3.1.0","paths":{}}', ?1)"#],
    ),
    (
        "sync_import_postman",
        &[
            r#"sync_import_postman('shop', '{"info":{"schema":"https://schema.getpostman.com/json/collection/v2.1.0/"},"item":[]}', ?1)"#,
        ],
    ),
    ("sync_start_scope", &["sync_start_scope(?1)"]),
    (
        "sync_entities",
        &[
            "sync_entities('i', 'local', '[\"x\"]', ?1)",
            "sync_entities('i', 'airline-api', '[\"planes\"]', ?1)",
            "sync_entities(?1)",
        ],
    ),
    ("sync_delete_scope", &["sync_delete_scope(?1)"]),
    ("sync_delete_status", &["sync_delete_status(?1)"]),
    ("sync_interrupt", &["sync_interrupt(?1)"]),
    ("sync_discard", &["sync_discard('planes', 'a', ?1)"]),
    ("sync_check", &["sync_check('pulled', ?1)"]),
    ("sync_upload_once", &["sync_upload_once('airline-api', ?1)"]),
    (
        "sync_download_once",
        &[
            "sync_download_once('airline-api', ?1)",
            "sync_download_once('paged', ?1)",
        ],
    ),
    (
        "sync_download_all",
        &[
            "sync_download_all('airline-api', ?1)",
            "sync_download_all('paged', ?1)",
        ],
    ),
    (
        "sync_hydrate",
        &[
            "sync_hydrate('airline-api', ?1)",
            "sync_hydrate('paged', ?1)",
        ],
    ),
    ("sync_detach", &["sync_detach('airline-api', ?1)"]),
    (
        "sync_once",
        &["sync_once('airline-api', ?1)", "sync_once('paged', ?1)"],
    ),
    ("sync_uninstall", &["sync_uninstall(?1)"]),
    ("sync_auto", &["sync_auto('paged', ?1)"]),
    ("sync_worker_start", &["sync_worker_start(?1)"]),
    ("sync_pause", &["sync_pause('all', 'airline-api', ?1)"]),
    ("sync_resume", &["sync_resume('all', 'airline-api', ?1)"]),
];

/// Puts an example over an object, and what is in its `options` over that one's.
fn merge(object: &mut Value, example: &str) {
    for (key, value) in self::object(example) {
        match (&mut object[&key], value) {
            (Value::Object(inner), Value::Object(more)) => inner.extend(more),
            (place, value) => *place = value,
        }
    }
}

/// A connection for which the examples make sense.
fn furnished(world: &World) -> Connection {
    let connection = world.ready();
    for statement in [
        r#"SELECT sync_provider('local', '{"kind":"host"}')"#,
        r#"SELECT sync_provider('airline-api', '{"kind":"watermelon","url":"http://127.0.0.1:1/","attempts":1}')"#,
        r#"SELECT sync_provider('pulled', '{"kind":"watermelon","url":"http://127.0.0.1:1/","attempts":1}')"#,
        r#"SELECT sync_provider('other', '{"kind":"watermelon","url":"http://127.0.0.1:1/","attempts":1}')"#,
        r#"SELECT sync_provider('shop', '{"kind":"rest","url":"http://127.0.0.1:1/","attempts":1}')"#,
        r#"SELECT sync_function('shop', 'list-books', '{"path":"/books"}')"#,
        "CREATE TABLE planes (tailnum TEXT PRIMARY KEY, seats INTEGER, speed INTEGER)",
        "SELECT sync_track('planes')",
        "UPDATE _syncTable SET provider = 'airline-api'",
        r#"SELECT sync_provider('paged', '{"kind":"oversync","url":"http://127.0.0.1:1/","attempts":1}')"#,
        "CREATE TABLE crews (id TEXT PRIMARY KEY)",
        "SELECT sync_track('crews')",
        "UPDATE _syncTable SET provider = 'paged' WHERE name = 'crews'",
        "INSERT INTO _syncCursor (provider, entity, tableId, cursor, pulledAt) VALUES ('pulled', 'planes', 1, '1', 1)",
        "CREATE TABLE airlines (id PRIMARY KEY, _changed, _status, name)",
        "CREATE TABLE local_storage (key PRIMARY KEY, value)",
    ] {
        ask(&connection, statement);
    }
    connection
}

#[test]
fn every_example_of_an_option_is_accepted() {
    let lines = help(&World::new(false).open());
    let kinds = kinds(&lines);
    let mut tried = 0;
    for line in lines.iter().filter(|line| !kinds.contains(&line.of)) {
        let mut required = json!({});
        for other in lines.iter().filter(|other| other.of == line.of) {
            if other.default == "required" {
                merge(&mut required, &other.example);
            }
        }
        merge(&mut required, &line.example);
        let calls = CALLS.iter().find(|(function, _)| *function == line.of);
        let (_, calls) = calls.unwrap_or_else(|| panic!("no call of {}", line.of));
        let try_call = |call: &&str| {
            let world = World::new(false);
            let connection = furnished(&world);
            let sql = format!("SELECT {call}");
            // The argument `options` has no required keys; one object has them.
            let given = match call.ends_with("(?1)") {
                true => required.to_string(),
                false => line.example.clone(),
            };
            let answer = connection.query_row(&sql, [given], |_| Ok(()));
            answer.map_err(|error| error.to_string())
        };
        let answers: Vec<Result<(), String>> = calls.iter().map(try_call).collect();
        assert!(answers.iter().any(Result::is_ok), "{line:?}: {answers:?}");
        let example = object(&line.example);
        let inner = example.get("options").and_then(Value::as_object);
        let is_there = example.contains_key(&line.key)
            || inner.is_some_and(|inner| inner.contains_key(&line.key));
        assert!(is_there, "{line:?}");
        tried += 1;
    }
    assert!(tried > 40, "only {tried} options were found");
}

#[test]
fn a_line_is_found_by_function_or_kind_and_by_key() {
    let world = World::new(false);
    let connection = world.open();
    let lines = help(&connection);
    assert!(lines.len() > 50, "{}", lines.len());
    for line in &lines {
        let found = ask(
            &connection,
            &format!(
                "SELECT count(*), min(meaning) IS NOT NULL FROM sync_help_option WHERE of = '{}' AND key = '{}'",
                line.of, line.key
            ),
        );
        assert_eq!(found, "1|1", "{line:?}");
    }
    let count = |condition: &str| -> usize {
        let sql = format!("SELECT count(*) FROM sync_help_option WHERE {condition}");
        ask(&connection, &sql).parse().expect("a number")
    };
    let urls = lines.iter().filter(|line| line.key == "url").count();
    assert_eq!((count("key = 'url'"), urls > 0), (urls, true));
    for nothing in [
        "of = 'nobody'",
        "key = 'URL'",
        "of = NULL",
        "of = x'00'",
        "key = 5",
    ] {
        assert_eq!(count(nothing), 0, "{nothing}");
    }
    assert_eq!(count("key = 'URL' COLLATE NOCASE"), urls);
    let write = try_ask(&connection, "DELETE FROM sync_help_option");
    assert!(write.is_err());
}

// -------------------------------------------------------------------------------------- the reference

const END: &str = "<!-- end of keys -->";

/// The lines that a mark asks for.
fn wanted<'a>(lines: &'a [Line], mark: &str) -> Vec<&'a Line> {
    let (of, ranges) = mark.split_once(": ").unwrap_or((mark, ""));
    let own: Vec<&Line> = lines.iter().filter(|line| line.of == of).collect();
    assert!(!own.is_empty(), "{mark}: no such function or kind");
    if ranges.is_empty() {
        return own;
    }
    let place = |key: &str| {
        let place = own.iter().position(|line| line.key == key);
        place.unwrap_or_else(|| panic!("{mark}: no key {key}"))
    };
    let range = |range: &str| {
        let (first, last) = range.split_once(" to ").unwrap_or((range, range));
        own[place(first)..=place(last)].to_vec()
    };
    ranges.split(", ").flat_map(range).collect()
}

fn table(lines: &[&Line]) -> String {
    let mut text = String::from("| key | takes | default | what |\n|---|---|---|---|\n");
    for line in lines {
        let takes = match &line.range {
            None => line.kind.clone(),
            Some(range) => format!("{}: {range}", line.kind),
        };
        let default = match serde_json::from_str::<Value>(&line.default) {
            Ok(_) => format!("`{}`", line.default),
            Err(_) => line.default.clone(),
        };
        let cells = [takes, default, line.meaning.clone()].map(|cell| cell.replace('|', "\\|"));
        text.push_str(&format!("| `{}` | {} |\n", line.key, cells.join(" | ")));
    }
    text
}

#[test]
fn the_tables_of_keys_in_the_reference_are_what_the_help_says() {
    let path = root().join("docs/reference.md");
    let before = std::fs::read_to_string(&path).expect("the reference");
    let lines = help(&World::new(false).open());
    let mut missing: Vec<&Line> = lines.iter().collect();
    let mut after = String::new();
    let mut rest = before.as_str();
    while let Some((text, marked)) = rest.split_once("<!-- keys of ") {
        let (mark, marked) = marked.split_once(" -->\n").expect("a mark's end");
        let (_, behind) = marked.split_once(END).expect("an end of the keys");
        let keys = wanted(&lines, mark);
        // What is said of one kind holds for another that shares the key.
        let same = |line: &Line| {
            let said = |key: &&Line| {
                Line {
                    of: line.of.clone(),
                    ..(*key).clone()
                } == *line
            };
            keys.iter().any(said)
        };
        missing.retain(|line| !same(line));
        after.push_str(&format!(
            "{text}<!-- keys of {mark} -->\n\n{}\n{END}",
            table(&keys)
        ));
        rest = behind;
    }
    after.push_str(rest);
    assert_eq!(
        missing,
        Vec::<&Line>::new(),
        "in no table of docs/reference.md"
    );
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, after).expect("written");
        return;
    }
    let hint = "UPDATE_SNAPSHOTS=1 cargo test --test docs writes docs/reference.md anew";
    for (old, new) in before.lines().zip(after.lines()) {
        assert_eq!(old, new, "{hint}");
    }
    assert_eq!(before, after, "{hint}");
}
