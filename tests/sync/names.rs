//! What a configuration or a resolver names goes along with its table or column, and is refused without it (M6).

use serde_json::{Value, json};
use support::sample::sample;
use support::{
    Canned, Device, Random, World, all_settings, ask, closing, json_answer, status_answer,
};

const SCHEMA: &str =
    "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, revision INTEGER, at INTEGER);
    CREATE TABLE u (id TEXT PRIMARY KEY NOT NULL, a TEXT, revision INTEGER);";

fn device(server: &Canned, more: Value) -> Device {
    server.changes(json!({}));
    let device = Device::configured(SCHEMA, &["t", "u"], &server.url(), more);
    device.synced();
    device
}

fn config(device: &Device, path: &str) -> String {
    device.ask(&format!("SELECT config -> '{path}' FROM _syncProvider"))
}

#[test]
fn m6_a_list_for_all_tables_follows_a_renamed_column() {
    for settings in all_settings() {
        let server = Canned::start();
        let device = device(&server, json!({"echoIgnore": ["revision"]}));
        device.exec(&settings);
        device.exec("INSERT INTO t VALUES ('r', 'A', 1, 1)");
        server.push_raw(|_| closing("", 9));
        device.failed();
        device.exec("ALTER TABLE t RENAME COLUMN revision TO rev");
        server.reset();
        server.changes(json!({"t": {"created": [{"id": "r", "a": "A", "rev": 99, "at": 1}]}}));
        let answer = device.synced();
        // Our own row came back, with what the server has set in it.
        assert_eq!(answer["conflicts"], 0, "{answer}");
        assert_eq!(device.pending(), "");
        // The other table still has it.
        assert_eq!(config(&device, "$.echoIgnore"), r#"["revision","rev"]"#);
        device.exec("ALTER TABLE u RENAME COLUMN revision TO rev");
        device.synced();
        assert_eq!(config(&device, "$.echoIgnore"), r#"["rev"]"#);
    }
}

/// What excludes the column `a` of `t`, by the table's options and by the provider's.
const EXCLUDES: [&str; 2] = [
    r#"SELECT sync_track('t', '{"exclude":["a"]}')"#,
    r#"SELECT sync_provider(id, json_set(config, '$.excludeColumns', json('{"t":["a"]}'))) FROM _syncProvider"#,
];

/// The push that comes once the run has ended, in which the column is not.
fn sent_without_it(device: &Device, server: &Canned) {
    let error = device.failed();
    assert_eq!(error["code"], "SYNC_ERROR_CONCURRENT", "{error}");
    server.clear();
    server.changes(json!({}));
    device.synced();
    let pushed = server.pushed();
    let sent = json!(pushed).to_string();
    assert!(
        sent.contains("revision") && !sent.contains("secret"),
        "{sent}"
    );
    assert_eq!(device.pending(), "");
}

#[test]
fn m6_what_is_excluded_while_a_sync_pulls_is_not_sent_by_it() {
    for excludes in EXCLUDES {
        let server = Canned::start();
        let device = device(&server, json!({}));
        device.exec("INSERT INTO t VALUES ('r', 'secret', 1, 1)");
        server.reset();
        let other = device.second();
        server.pull_raw(move |_| {
            ask(&other, excludes);
            json_answer(r#"{"changes":{},"timestamp":9}"#)
        });
        sent_without_it(&device, &server);
    }
}

#[test]
fn m6_what_is_excluded_between_the_parts_of_a_push_is_not_sent_any_more() {
    for excludes in EXCLUDES {
        let server = Canned::start();
        let device = device(&server, json!({}));
        device.exec("INSERT INTO t VALUES ('r', 'secret', 1, 1), ('s', 'secret', 1, 1)");
        server.reset();
        server.changes(json!({}));
        server.changes(json!({}));
        server.push_raw(|_| status_answer(422, &[], "no"));
        let other = device.second();
        // It would go on with the halves.
        server.push_raw(move |_| {
            ask(&other, excludes);
            status_answer(422, &[], "no")
        });
        sent_without_it(&device, &server);
    }
}

#[test]
fn m6_a_resolver_follows_the_column_that_it_compares() {
    let resolvers = "SELECT entity, argument FROM _syncResolver ORDER BY entity";
    let server = Canned::start();
    let device = device(&server, json!({"tableMap": {"wire": "u"}}));
    device.ask("SELECT sync_resolver('t', 'lastWriteWins', 'at')");
    device.ask("SELECT sync_resolver('*', 'lastWriteWins', 'revision')");
    device.exec(
        "ALTER TABLE t RENAME COLUMN at TO when_; ALTER TABLE u RENAME COLUMN revision TO rev",
    );
    server.changes(json!({}));
    device.sync_only(&["wire"]);
    // That of all entities goes on for the table that still has the column.
    assert_eq!(
        device.ask(resolvers),
        "*|revision\nt|when_\nu|rev\nwire|rev"
    );
    device.exec("ALTER TABLE t RENAME COLUMN revision TO rev");
    device.sync_only(&["wire"]);
    assert_eq!(device.ask(resolvers), "*|rev\nt|when_\nu|rev\nwire|rev");
}

#[test]
fn m6_what_is_said_of_an_entity_follows_its_table() {
    for settings in all_settings() {
        let server = Canned::start();
        let device = device(
            &server,
            json!({"replacementWhere": {"T": "a = 'x'", "u": "a = 'y'"}, "onClash": {"t": "adopt"},
                   "excludeColumns": {"t": ["at"]}}),
        );
        device.exec(&settings);
        device.ask("SELECT sync_resolver('t', 'serverWins')");
        device.exec(
            "INSERT INTO _syncHeld (provider, entity, tbl, pk, op, announced, content, reason, \"constraint\", since, tries)
             SELECT 'api', 't', id, 'h', 'row', 'created', '{\"a\":1.50,\"revision\":7}', 'check', 'no', 1, 1 FROM _syncTable WHERE name = 't'",
        );
        let cursors = "SELECT entity, name, cursor FROM _syncCursor JOIN _syncTable AS k ON k.id = tableId ORDER BY 1";
        let before = device.ask(cursors);
        // Two tables swap their names.
        device.exec(
            "ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; ALTER TABLE x RENAME TO u;
             ALTER TABLE u RENAME COLUMN revision TO rev",
        );
        device.ask("SELECT sync_track('t')");
        assert_eq!(
            config(&device, "$.replacementWhere"),
            r#"{"u":"a = 'x'","t":"a = 'y'"}"#
        );
        assert_eq!(config(&device, "$.onClash"), r#"{"u":"adopt"}"#);
        assert_eq!(config(&device, "$.excludeColumns"), r#"{"u":["at"]}"#);
        assert_eq!(device.ask("SELECT entity FROM _syncResolver"), "u");
        assert_eq!(device.ask(cursors), before);
        assert_eq!(
            device.ask("SELECT entity, content FROM _syncHeld"),
            r#"u|{"a":1.50,"rev":7}"#
        );
        device.synced();
    }
}

/// An entity that is declared keeps its name, whatever its table is called.
#[test]
fn m6_a_declared_entity_stays_when_its_table_is_renamed() {
    let server = Canned::start();
    server.changes(json!({}));
    let device = Device::configured(
        "CREATE TABLE person (id TEXT PRIMARY KEY NOT NULL, a TEXT)",
        &["person"],
        &server.url(),
        json!({"tableMap": {"Person": "person"}, "onClash": {"person": "adopt"}}),
    );
    device.ask("SELECT sync_resolver('person', 'serverWins')");
    device.sync_only(&["person"]);
    let cursor = device.cursor("Person");
    device.exec("ALTER TABLE person RENAME TO people");
    server.clear();
    let answer = device.sync_only(&["person"]);
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_eq!(config(&device, "$.tableMap"), r#"{"Person":"people"}"#);
    assert_eq!(config(&device, "$.onClash"), r#"{"person":"adopt"}"#);
    assert_eq!(device.ask("SELECT entity FROM _syncResolver"), "person");
    assert!(
        server.seen()[0]
            .path
            .contains(&format!("last_pulled_at={cursor}"))
    );
}

#[test]
fn m6_the_cursor_of_a_renamed_table_stays() {
    let server = Canned::start();
    let device = device(&server, json!({}));
    let cursor = device.cursor("t");
    device.exec("ALTER TABLE t RENAME TO tasks");
    server.clear();
    let answer = device.sync_only(&["tasks"]);
    assert_eq!(answer["state"], "synced", "{answer}");
    let asked = &server.seen()[0].path;
    assert!(
        asked.contains(&format!("last_pulled_at={cursor}")),
        "{asked}"
    );
}

/// Each: the configuration, what is done to the tables, the resolver, and the words of the refusal.
#[test]
fn m6_a_name_of_what_is_gone_is_refused_at_the_next_use() {
    let drop = "SELECT sync_alter('t', 'ALTER TABLE t DROP COLUMN revision')";
    let both = "SELECT sync_alter('t', 'ALTER TABLE t DROP COLUMN revision'), sync_alter('u', 'ALTER TABLE u DROP COLUMN revision')";
    let provider = "sync_provider";
    for (more, change, name, call) in [
        (
            json!({"echoIgnore": ["revision"]}),
            both,
            "revision",
            provider,
        ),
        (
            json!({"excludeColumns": {"t": ["revision"]}}),
            drop,
            "revision",
            provider,
        ),
        (
            json!({"replacementWhere": {"t": "revision > 1"}}),
            drop,
            "revision",
            provider,
        ),
        (
            json!({"replacementWhere": {"t": "\"revision\" > 1"}}),
            both,
            "revision",
            provider,
        ),
        (
            json!({"tableMap": {"t": "old"}}),
            "CREATE TABLE old (id TEXT PRIMARY KEY); SELECT sync_track('old'); DROP TABLE old",
            "old",
            "make it again",
        ),
        // Of an entity that this sync is not about.
        (json!({"tableMap": {"away": "old"}}), "", "old", provider),
        (
            json!({"tableMap": {"away": "old"}}),
            "CREATE TABLE old (id TEXT PRIMARY KEY); SELECT sync_track('old'); DROP TABLE old",
            "old",
            "make it again",
        ),
        (
            json!({"excludeColumns": {"old": ["a"]}}),
            "",
            "old",
            provider,
        ),
        (
            json!({"replacementWhere": {"old": "1"}}),
            "",
            "old",
            provider,
        ),
        (json!({"onClash": {"old": "adopt"}}), "", "old", provider),
    ] {
        let server = Canned::start();
        server.changes(json!({}));
        let device = Device::configured(SCHEMA, &["t", "u"], &server.url(), json!({}));
        device.synced();
        device.provider(&server.url(), more.clone());
        for statement in change.split("; ").filter(|statement| !statement.is_empty()) {
            device.ask(statement);
        }
        server.clear();
        let refusal = device.refused("SELECT sync_entities('i', 'api', '[\"t\"]')");
        assert!(
            refusal.contains(name) && refusal.contains(call),
            "{more}: {refusal}"
        );
        assert!(server.seen().is_empty(), "{more}");
        // Said anew, it goes on.
        device.provider(&server.url(), json!({}));
        device.synced();
    }
}

#[test]
fn m6_a_resolver_of_a_column_that_is_gone_is_refused() {
    let server = Canned::start();
    let device = device(&server, json!({}));
    device.ask("SELECT sync_resolver('t', 'lastWriteWins', 'at')");
    device.synced();
    device.ask("SELECT sync_alter('t', 'ALTER TABLE t DROP COLUMN at')");
    let refusal = device.refused("SELECT sync_entities('i', 'api', '[\"t\"]')");
    assert!(
        refusal.contains("\"at\"") && refusal.contains("sync_resolver"),
        "{refusal}"
    );
    device.ask("SELECT sync_resolver('t', NULL)");
    device.synced();
}

/// A row that is held is stored under the columns' present names.
#[test]
fn m6_a_held_row_follows_a_renamed_column() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT CHECK (b <> 'never'))",
        &["t"],
        &server.url(),
    );
    server.changes(json!({"t": {"created": [{"id": "h", "a": "kept", "b": "never"}]}}));
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM sync_held"), "1");
    device.exec("ALTER TABLE t RENAME COLUMN a TO title; ALTER TABLE t RENAME COLUMN b TO word");
    device.exec(
        "CREATE TABLE t2 (id TEXT PRIMARY KEY NOT NULL, title TEXT, word TEXT); SELECT sync_track('t');",
    );
    device.exec("INSERT INTO t2 SELECT * FROM t; DROP TABLE t; ALTER TABLE t2 RENAME TO t");
    server.pull_raw(|_| json_answer(r#"{"changes":{},"timestamp":50}"#));
    server.push_raw(|_| status_answer(200, &[], "{}"));
    device.synced();
    assert_eq!(device.ask("SELECT * FROM t"), "h|kept|never");
}

/// A table of a random history: its name, and its columns, the first of which stays here.
struct Known {
    table: String,
    columns: Vec<String>,
}

/// Names that are given and taken at random, with and without a look in between, against a model that knows each table
/// and column by itself.
#[test]
fn m6_names_follow_through_random_renames() {
    for seed in sample(module_path!(), 1..=40, 5) {
        let mut dice = Random(seed * 7919);
        let server = Canned::start();
        let world = World::new(seed % 2 == 0);
        let db = world.open();
        let mut known: Vec<Known> = ["a", "b", "c"]
            .iter()
            .map(|table| Known {
                table: (*table).into(),
                columns: ["x", "y", "z"]
                    .map(|column| format!("{column}{table}"))
                    .into(),
            })
            .collect();
        let lists: Vec<String> = known
            .iter()
            .map(|table| format!("\"{}\":[\"{}\"]", table.table, table.columns[0]))
            .collect();
        let each: Vec<String> = known
            .iter()
            .map(|table| format!("\"{0}\":\"z{0} > '{0}'\"", table.table))
            .collect();
        for table in &known {
            let (name, [x, y, z]) = (&table.table, [0, 1, 2].map(|place| &table.columns[place]));
            db.execute_batch(&format!(
                "CREATE TABLE {name} (id TEXT PRIMARY KEY NOT NULL, {x} TEXT, {y} TEXT, {z} TEXT)"
            ))
            .expect("table");
        }
        let config = format!(
            "{{\"kind\":\"watermelon\",\"url\":\"{}\",\"excludeColumns\":{{{}}},\"replacementWhere\":{{{}}}}}",
            server.url(),
            lists.join(","),
            each.join(",")
        );
        db.query_row("SELECT sync_provider('api', ?1)", [config], |_| Ok(()))
            .expect("provider");
        for table in &known {
            ask(&db, &format!("SELECT sync_track('{}')", table.table));
            let resolver = format!(
                "SELECT sync_resolver('{}', 'lastWriteWins', '{}')",
                table.table, table.columns[1]
            );
            ask(&db, &resolver);
        }
        let elsewhere = world.plain();
        let mut done = vec![format!("seed {seed}")];
        let mut next = 0;
        for _ in 0..12 {
            let (one, other) = (dice.roll(3), dice.roll(3));
            let mut sql = Vec::new();
            next += 1;
            match dice.roll(5) {
                0 => {
                    let new = format!("t{next}");
                    sql.push(format!("ALTER TABLE {} RENAME TO {new}", known[one].table));
                    known[one].table = new;
                }
                1 if one != other => {
                    let (first, second) = (known[one].table.clone(), known[other].table.clone());
                    sql.push(format!("ALTER TABLE {first} RENAME TO s{next}"));
                    sql.push(format!("ALTER TABLE {second} RENAME TO {first}"));
                    sql.push(format!("ALTER TABLE s{next} RENAME TO {second}"));
                    known[one].table = second;
                    known[other].table = first;
                }
                2 => {
                    let new = format!("n{next}");
                    let table = &mut known[one];
                    sql.push(format!(
                        "ALTER TABLE {} RENAME COLUMN {} TO {new}",
                        table.table, table.columns[other]
                    ));
                    table.columns[other] = new;
                }
                3 => {
                    // The column that stays here and another one swap their names.
                    let table = &mut known[one];
                    let name = &table.table;
                    let (first, second) = (table.columns[0].clone(), table.columns[1].clone());
                    sql.push(format!(
                        "ALTER TABLE {name} RENAME COLUMN {first} TO s{next}"
                    ));
                    sql.push(format!(
                        "ALTER TABLE {name} RENAME COLUMN {second} TO {first}"
                    ));
                    sql.push(format!(
                        "ALTER TABLE {name} RENAME COLUMN s{next} TO {second}"
                    ));
                    table.columns.swap(0, 1);
                }
                _ => drop(ask(&db, "SELECT sync_capture_on()")),
            }
            for statement in sql {
                elsewhere.execute_batch(&statement).expect("altered");
                done.push(statement);
            }
        }
        ask(&db, "SELECT sync_capture_on()");
        for (table, letter) in known.iter().zip(["a", "b", "c"]) {
            let name = &table.table;
            let said = ask(
                &db,
                &format!(
                    "SELECT config ->> '$.excludeColumns.{name}[0]', config ->> '$.replacementWhere.{name}',
                     (SELECT argument FROM _syncResolver WHERE entity = '{name}') FROM _syncProvider"
                ),
            );
            let expected = format!(
                "{}|z{letter} > '{letter}'|{}",
                table.columns[0], table.columns[1]
            );
            assert_eq!(said, expected, "{}", done.join("\n"));
        }
    }
}
