//! Files shared with WatermelonDB itself (section "native layout" of the protocol): `sync_takeover` goes
//! on where the client left off. What the client had not pushed is pending, once and with the same
//! content; the cursor is the client's.

use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{Canned, Device, Seen, World, ask, load, query, refused, try_ask};

/// A file as the client writes it: columns without types, numbers as reals, rows of every state.
const FILE: &str = r#"
    CREATE TABLE "local_storage" ("key" varchar(16) primary key not null, "value" text not null);
    CREATE INDEX "local_storage_key_index" on "local_storage" ("key");
    CREATE TABLE "lists" ("id" primary key, "_changed", "_status", "name");
    CREATE INDEX "lists__status" on "lists" ("_status");
    CREATE TABLE "tasks" ("id" primary key, "_changed", "_status", "title", "done", "n");
    CREATE INDEX "tasks__status" on "tasks" ("_status");
    CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);
    INSERT INTO local_storage VALUES ('__watermelon_last_pulled_at', '1700000000123'),
        ('__watermelon_last_pulled_schema_version', '3');
    INSERT INTO lists VALUES ('l1', '', 'synced', 'House');
    INSERT INTO tasks VALUES
        ('s', '', 'synced', 'quiet', 0.0, 1.0), ('left', 'title', 'synced', 'left over', 0.0, 1.0),
        ('c', '', 'created', 'new', 1.0, 2.0), ('ce', 'title,n', 'created', 'new, edited', 0.0, 2.5),
        ('u', 'title', 'updated', 'edited', 0.0, 1.0), ('u2', 'n,done', 'updated', 'two', 1.0, NULL),
        ('d', '', 'deleted', 'gone', 0.0, 1.0), ('ud', 'title', 'deleted', 'edited, gone', 0.0, 1.0);
    PRAGMA user_version = 3;"#;

const TYPES: &str = r#"{"types":{"tasks":{"done":"boolean"}}}"#;

/// `table key op changed` of [`FILE`] after the takeover.
const PENDING: &str = "tasks|c|created|[]\ntasks|ce|created|[\"title\",\"n\"]\ntasks|d|deleted|NULL\n\
                       tasks|u|updated|[\"title\"]\ntasks|u2|updated|[\"done\",\"n\"]\ntasks|ud|deleted|NULL";

/// A device with a file, and a provider `api` at `url`; nothing is tracked.
fn untracked(file: &str, url: &str) -> Device {
    Device::with(file, &[], url)
}

fn takeover(db: &Connection, options: &str) -> Value {
    let answer = db
        .query_row("SELECT sync_takeover('api', ?1)", [options], |row| {
            row.get::<_, String>(0)
        })
        .unwrap_or_else(|error| panic!("takeover {options}: {error}"));
    serde_json::from_str(&answer).expect("JSON")
}

/// Everything a takeover could change.
fn picture(db: &Connection) -> Vec<String> {
    let mut tables = ask(
        db,
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
         AND name <> '_syncOwner' ORDER BY name",
    );
    tables.push_str("\nsqlite_master");
    tables
        .lines()
        .map(|table| {
            format!(
                "{table}\n{}",
                ask(db, &format!("SELECT * FROM \"{table}\""))
            )
        })
        .collect()
}

/// A push body without what its order may be: of rows, and of the names in `_changed`.
fn sorted(mut changes: Value) -> Value {
    let sets = changes.as_object_mut().expect("tables").values_mut();
    for list in sets.flat_map(|set| set.as_object_mut().expect("a set").values_mut()) {
        let rows = list.as_array_mut().expect("a list");
        for changed in rows.iter_mut().filter_map(|row| row.get_mut("_changed")) {
            let mut names: Vec<&str> = changed.as_str().expect("text").split(',').collect();
            names.sort_unstable();
            *changed = names.join(",").into();
        }
        rows.sort_by_key(|row| row.get("id").unwrap_or(row).to_string());
    }
    changes
}

fn requests(server: &Canned, method: &str) -> Vec<Seen> {
    let mut seen = server.seen();
    seen.retain(|seen| seen.method == method);
    seen
}

#[test]
fn every_state_is_carried_over() {
    let server = Canned::start();
    let device = untracked(FILE, &server.url());
    assert_eq!(
        takeover(&device.db, TYPES),
        json!({"provider": "api", "cursor": "1700000000123", "schemaVersion": 3, "tables": [
            {"table": "lists", "rows": 1, "created": 0, "updated": 0, "deleted": 0},
            {"table": "tasks", "rows": 6, "created": 2, "updated": 2, "deleted": 2},
        ]})
    );
    assert_eq!(device.pending(), PENDING);
    // What migrations are counted from.
    assert_eq!(
        device.ask("SELECT DISTINCT schemaVersion FROM _syncCursor"),
        "3"
    );
    assert_eq!(
        device.ask("SELECT DISTINCT _status || '.' || _changed FROM tasks"),
        "synced."
    );
    assert_eq!(
        device.ask("SELECT group_concat(id, ' ') FROM (SELECT id FROM tasks ORDER BY id)"),
        "c ce left s u u2"
    );
    for entity in ["lists", "tasks"] {
        assert_eq!(device.cursor(entity), "1700000000123");
    }
    assert_eq!(
        device.ask("SELECT name, provider FROM _syncTable ORDER BY name"),
        "lists|api\ntasks|api"
    );
    // What the client made stays: its indexes, its cursor, its version.
    assert_eq!(
        device
            .ask("SELECT count(*) FROM sqlite_master WHERE name LIKE '%\\_\\_status' ESCAPE '\\'"),
        "2"
    );
    assert_eq!(device.ask("SELECT count(*) FROM local_storage"), "2");
    assert_eq!(device.ask("PRAGMA user_version"), "3");
    assert_eq!(device.ask("PRAGMA integrity_check"), "ok");
    assert!(server.seen().is_empty(), "a takeover sends nothing");
}

#[test]
fn a_sync_goes_on_from_the_clients_cursor_and_pushes_once() {
    let server = Canned::start();
    let mut device = untracked(FILE, &server.url());
    takeover(&device.db, TYPES);
    device.entities = vec!["lists".into(), "tasks".into()];
    server.changes(
        json!({"tasks": {"created": [{"id": "r", "title": "remote", "done": true, "n": 7}],
        "updated": [{"id": "u", "title": "theirs", "n": 9}], "deleted": ["s"]}}),
    );
    let answer = device.synced();
    assert_eq!(answer["pushed"], 6, "{answer}");
    let pull = &requests(&server, "GET")[0];
    assert_eq!(
        query(&pull.path, "last_pulled_at").as_deref(),
        Some("1700000000123")
    );
    assert_eq!(query(&pull.path, "schema_version").as_deref(), Some("3"));
    assert_eq!(
        sorted(server.pushed()[0].clone()),
        json!({"lists": {"created": [], "updated": [], "deleted": []}, "tasks": {
            "created": [
                {"id": "c", "_status": "created", "_changed": "", "title": "new", "done": true, "n": 2},
                {"id": "ce", "_status": "created", "_changed": "n,title", "title": "new, edited",
                 "done": false, "n": 2.5},
            ],
            "updated": [
                {"id": "u", "_status": "updated", "_changed": "title", "title": "edited",
                 "done": false, "n": 9},
                {"id": "u2", "_status": "updated", "_changed": "done,n", "title": "two", "done": true,
                 "n": null},
            ],
            "deleted": ["d", "ud"],
        }})
    );
    assert_eq!(
        device.ask("SELECT title, done, n FROM tasks WHERE id = 'r'"),
        "remote|1|7"
    );
    assert_eq!(device.ask("SELECT count(*) FROM sync_pending"), "0");
    server.clear();
    device.synced();
    assert!(server.pushed().is_empty(), "pushed again");
    device.exec("UPDATE tasks SET done = 0 WHERE id = 'r'");
    assert_eq!(device.pending(), "tasks|r|updated|[\"done\"]");
}

#[test]
fn a_second_takeover_is_refused_and_changes_nothing() {
    let device = untracked(FILE, "http://127.0.0.1:9/sync");
    takeover(&device.db, "{}");
    let before = picture(&device.db);
    let error = device.refused("SELECT sync_takeover('api')");
    assert!(
        error.contains("'api' has been synced or has taken over tables already"),
        "{error}"
    );
    device.ask(
        r#"SELECT sync_provider('other', '{"kind":"watermelon","url":"http://127.0.0.1:9/x"}')"#,
    );
    let error = device.refused("SELECT sync_takeover('other')");
    assert!(error.contains("\"lists\" is tracked already"), "{error}");
    device.exec("DELETE FROM _syncProvider WHERE id = 'other'");
    assert_eq!(picture(&device.db), before);
    // Even where the first one was undone by hand, the rows say that nothing is left to push.
    device.ask(r#"SELECT sync_untrack(name, '{"discard":true}') FROM _syncTable"#);
    takeover(&device.db, "{}");
    assert_eq!(device.pending(), "");
}

#[test]
fn a_provider_that_was_synced_is_refused() {
    let server = Canned::start();
    let mut device = untracked(FILE, &server.url());
    device.exec("CREATE TABLE other (id TEXT PRIMARY KEY)");
    device.ask("SELECT sync_track('other')");
    device.entities = vec!["other".into()];
    device.synced();
    let before = picture(&device.db);
    let error = device.refused("SELECT sync_takeover('api')");
    assert!(error.contains("entity \"other\" has a cursor"), "{error}");
    assert_eq!(picture(&device.db), before);
}

#[test]
fn what_is_refused_is_named_and_changes_nothing() {
    for (make, options, said) in [
        (
            "",
            r#"{"tables":["notes"]}"#,
            "\"notes\" is not a WatermelonDB table",
        ),
        ("", r#"{"tables":["nothing"]}"#, "no table \"nothing\""),
        ("", r#"{"tables":[]}"#, "there is nothing to take over"),
        (
            "",
            r#"{"table":["tasks"]}"#,
            "unknown key \"options.table\"",
        ),
        (
            "",
            r#"{"types":{"tusks":{"done":"boolean"}}}"#,
            "types name the table \"tusks\"",
        ),
        (
            "",
            r#"{"types":{"tasks":{"don":"boolean"}}}"#,
            "name the column \"don\"",
        ),
        (
            "",
            r#"{"types":{"tasks":{"done":"bool"}}}"#,
            "options.types.tasks.done must be one of string, number, boolean, base64, json, any, not \"bool\"",
        ),
        (
            "",
            r#"{"types":{"tasks":{"id":"number"}}}"#,
            "gave a type to the key",
        ),
        (
            "DROP TABLE lists; DROP TABLE tasks",
            "{}",
            "there is nothing to take over",
        ),
        ("DROP TABLE local_storage", "{}", "no table local_storage"),
        (
            "UPDATE tasks SET _status = 'synching' WHERE id = 'u'",
            "{}",
            "the row 'u' of \"tasks\" has the _status 'synching'",
        ),
        (
            "UPDATE tasks SET _status = NULL WHERE id = 'u'",
            "{}",
            "the row 'u' of \"tasks\" has the _status NULL",
        ),
        (
            "UPDATE local_storage SET value = 'soon' WHERE value > '5' OR value LIKE '17%'",
            "{}",
            "is \"soon\", which is not a timestamp",
        ),
        (
            "UPDATE local_storage SET value = '-5' WHERE value LIKE '17%'",
            "{}",
            "is \"-5\", which is not a timestamp",
        ),
        (
            "SELECT sync_track('lists')",
            "{}",
            "\"lists\" is tracked already",
        ),
        (
            "SELECT sync_provider('api', '{\"kind\":\"host\"}')",
            "{}",
            "'api' is of kind host",
        ),
        (
            "SELECT sync_provider('api', '{\"kind\":\"watermelon\",\"url\":\"http://h\",\"tableMap\":{\"tasks\":\"lists\"}}')",
            "{}",
            "tableMap keeps the entity \"tasks\"",
        ),
        (
            "DELETE FROM _syncProvider",
            "{}",
            "provider 'api' is not declared",
        ),
    ] {
        let device = untracked(FILE, "http://127.0.0.1:9/sync");
        for statement in make.split("; ").filter(|statement| !statement.is_empty()) {
            device.ask(statement);
        }
        let before = picture(&device.db);
        let error = device.refused(&format!("SELECT sync_takeover('api', '{options}')"));
        assert!(
            error.starts_with("sync_takeover: ") && error.contains(said),
            "{make} {options}: {error}"
        );
        assert_eq!(picture(&device.db), before, "{make} {options}");
        assert!(device.db.is_autocommit(), "{make} {options}");
    }
}

#[test]
fn it_joins_a_transaction_and_is_refused_inside_a_writing_statement() {
    let device = untracked(FILE, "http://127.0.0.1:9/sync");
    let before = picture(&device.db);
    device.exec("BEGIN");
    takeover(&device.db, "{}");
    assert_eq!(device.pending(), PENDING);
    device.exec("ROLLBACK");
    assert_eq!(picture(&device.db), before);
    for sql in [
        "INSERT INTO notes (text) SELECT sync_takeover('api')",
        "UPDATE notes SET text = sync_takeover('api')",
        "CREATE TABLE made AS SELECT sync_takeover('api')",
    ] {
        device.exec("INSERT OR IGNORE INTO notes VALUES (1, 'mine')");
        let error = device.refused(sql);
        assert!(
            error.contains("inside a statement that writes"),
            "{sql}: {error}"
        );
    }
    device.exec("DELETE FROM notes");
    assert_eq!(picture(&device.db), before);
    device.exec("BEGIN");
    takeover(&device.db, "{}");
    device.exec("COMMIT");
    assert_eq!(device.pending(), PENDING);
}

#[test]
fn some_tables_only_and_under_other_names() {
    let server = Canned::start();
    let device = untracked(FILE, &server.url());
    device.provider(&server.url(), json!({"tableMap": {"todo": "tasks"}}));
    let answer = takeover(&device.db, r#"{"tables":["TASKS","tasks"]}"#);
    assert_eq!(answer["tables"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        device.ask("SELECT entity, cursor FROM _syncCursor"),
        "todo|1700000000123"
    );
    assert_eq!(device.sync_only(&["todo"])["pushed"], 6);
    let push = &server.pushed()[0];
    assert_eq!(push["todo"]["deleted"], json!(["d", "ud"]), "{push}");
    // Without a type, 1 stays 1.
    assert_eq!(push["todo"]["created"][0]["done"], 1);
    assert_eq!(device.ask("SELECT _status FROM lists"), "synced");
    assert_eq!(device.ask("SELECT name FROM _syncTable"), "tasks");
}

/// A file that was never synced: everything in it is new, and the first pull asks for everything.
#[test]
fn a_client_that_never_synced_has_no_cursor() {
    for never in [
        "DELETE FROM local_storage",
        "UPDATE local_storage SET value = '0'",
    ] {
        let server = Canned::start();
        let mut device = untracked(FILE, &server.url());
        device.exec(never);
        device.exec("UPDATE tasks SET _status = 'created', _changed = ''");
        let answer = takeover(&device.db, "{}");
        assert_eq!(answer["cursor"], Value::Null, "{never}");
        assert_eq!(device.ask("SELECT count(*) FROM _syncCursor"), "0");
        let error = device.refused("SELECT sync_takeover('api')");
        assert!(error.contains("tracked already"), "{error}");
        device.entities = vec!["tasks".into()];
        assert_eq!(device.synced()["pushed"], 8);
        let pull = &requests(&server, "GET")[0];
        assert_eq!(query(&pull.path, "last_pulled_at").as_deref(), Some("null"));
    }
}

/// The client pushes an updated row whatever `_changed` says, so no such row may get lost.
#[test]
fn an_update_that_names_no_column_sends_the_whole_row() {
    for changed in ["''", "NULL", "'dropped_long_ago'", "'_status,id'"] {
        let device = untracked(FILE, "http://127.0.0.1:9/sync");
        device.exec(&format!(
            "UPDATE tasks SET _changed = {changed} WHERE id IN ('u', 'c')"
        ));
        takeover(&device.db, "{}");
        let of = |id: &str| {
            device.ask(&format!(
                "SELECT op, changed FROM sync_pending WHERE key = '{id}'"
            ))
        };
        assert_eq!(of("u"), "updated|[\"title\",\"done\",\"n\"]", "{changed}");
        assert_eq!(of("c"), "created|[]", "{changed}");
    }
}

#[test]
fn a_wide_table_keeps_its_masks() {
    let columns: Vec<String> = (0..150).map(|number| format!("c{number}")).collect();
    let file = format!(
        "CREATE TABLE local_storage (key varchar(16) primary key not null, value text not null);
         CREATE TABLE wide (id primary key, _changed, _status, {});
         INSERT INTO wide (id, _changed, _status) VALUES ('u', 'c149,c0,c58,c59,c121', 'updated'),
             ('c', 'c120', 'created');",
        columns.join(", ")
    );
    let device = untracked(&file, "http://127.0.0.1:9/sync");
    takeover(&device.db, "{}");
    assert_eq!(
        device.pending(),
        "wide|c|created|[\"c120\"]\nwide|u|updated|[\"c0\",\"c58\",\"c59\",\"c121\",\"c149\"]"
    );
}

#[test]
fn the_state_columns_never_travel_and_columns_added_later_do() {
    let device = untracked(FILE, "http://127.0.0.1:9/sync");
    takeover(&device.db, "{}");
    device.exec("UPDATE lists SET _status = 'updated', _changed = 'name'");
    assert_eq!(device.pending(), PENDING);
    device.exec("ALTER TABLE lists ADD COLUMN colour; UPDATE lists SET colour = 'red'");
    assert_eq!(
        device.ask("SELECT changed, payload FROM sync_pending WHERE \"table\" = 'lists'"),
        r#"["colour"]|{"id":"l1","name":"House","colour":"red"}"#
    );
    device.exec("ALTER TABLE lists RENAME COLUMN _status TO state");
    assert_eq!(
        device.ask("SELECT payload FROM sync_pending WHERE \"table\" = 'lists'"),
        r#"{"id":"l1","name":"House","colour":"red"}"#
    );
}

#[test]
fn an_attached_file_is_taken_over_where_it_is() {
    let other = World::new(true);
    other.plain().execute_batch(FILE).expect("file");
    let world = World::new(true);
    let db = world.open();
    ask(
        &db,
        &format!("ATTACH '{}' AS client", other.path().display()),
    );
    ask(
        &db,
        r#"SELECT sync_provider('api', '{"kind":"watermelon","url":"http://127.0.0.1:9/x","schema":"client"}')"#,
    );
    takeover(&db, r#"{"schema":"client"}"#);
    assert_eq!(
        ask(
            &db,
            "SELECT count(*) FROM sync_pending WHERE schema = 'client'"
        ),
        "6"
    );
    assert_eq!(ask(&db, "SELECT count(*) FROM main.sqlite_master"), "0");
    let error = refused(&db, "SELECT sync_takeover('api')");
    assert!(error.contains("not declared"), "{error}");
}

/// A trigger of the program runs as it would under the client, and what it does is captured.
#[test]
fn triggers_of_the_program_are_captured() {
    let device = untracked(FILE, "http://127.0.0.1:9/sync");
    device.exec(
        "INSERT INTO lists VALUES ('l2', '', 'synced', 'Garden');
         CREATE TRIGGER cascade AFTER DELETE ON tasks WHEN OLD.id = 'd'
         BEGIN DELETE FROM lists WHERE id = 'l2'; END",
    );
    takeover(&device.db, "{}");
    assert_eq!(
        device.pending(),
        format!("lists|l2|deleted|NULL\n{PENDING}")
    );
}

#[test]
fn a_read_only_file_is_refused_by_sqlite() {
    let device = untracked(FILE, "http://127.0.0.1:9/sync");
    device.exec("PRAGMA query_only = ON");
    assert!(try_ask(&device.db, "SELECT sync_takeover('api')").is_err());
    device.exec("PRAGMA query_only = OFF");
    assert_eq!(device.ask("SELECT count(*) FROM _syncTable"), "0");
}

// ----------------------------------------------------------------------------------- the real client

/// What the client does with its own file in its next sync, in `told.json`. None, and a line that says
/// why, when Node or the package is not there; with CI=true that is a failure.
fn made_by_the_client(directory: &Path) -> Option<Value> {
    let root = support::root().join("tests");
    let package = root.join("node/node_modules/@nozbe/watermelondb/package.json");
    let made = match package.exists() {
        false => Err("the package @nozbe/watermelondb"),
        true => Command::new("node")
            .arg(root.join("watermelon/make.js"))
            .arg(directory)
            .output()
            .map_err(|_| "node"),
    };
    match made {
        Ok(made) => {
            let said = String::from_utf8_lossy(&made.stderr);
            assert!(made.status.success(), "make.js: {said}");
        }
        Err(missing) => {
            assert!(
                std::env::var("CI").is_err(),
                "{missing} is missing; run make node-modules"
            );
            eprintln!("skipped: {missing} is missing; to run this test: make node-modules");
            return None;
        }
    }
    let told = std::fs::read_to_string(directory.join("told.json")).expect("told.json");
    Some(serde_json::from_str(&told).expect("JSON"))
}

#[test]
fn the_push_equals_that_of_the_real_client() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(told) = made_by_the_client(directory.path()) else {
        return;
    };
    let (pull, push) = (&told["requests"][0], &told["requests"][1]);
    let db = Connection::open(directory.path().join("app.db")).expect("open");
    load(&db);
    let server = Canned::start();
    let config = json!({"kind": "watermelon", "url": server.url(), "attempts": 1});
    db.query_row(
        "SELECT sync_provider('api', ?1)",
        [config.to_string()],
        |_| Ok(()),
    )
    .expect("provider");
    let answer = takeover(
        &db,
        r#"{"types":{"tasks":{"done":"boolean","urgent":"boolean"}}}"#,
    );
    assert_eq!(answer["cursor"], pull["lastPulledAt"].to_string());
    assert_eq!(answer["schemaVersion"], pull["schemaVersion"]);
    assert_eq!(
        answer["tables"],
        json!([
            {"table": "lists", "rows": 2, "created": 1, "updated": 1, "deleted": 0},
            {"table": "tasks", "rows": 6, "created": 2, "updated": 3, "deleted": 3},
            {"table": "empty", "rows": 0, "created": 0, "updated": 0, "deleted": 0},
        ])
    );
    server.pull(r#"{"changes":{},"timestamp":1700000005000}"#);
    let answer = support::sync_on(&db, "all", &["lists", "tasks", "empty"]);
    assert_eq!(answer["state"], "synced", "{answer}");
    let ours = requests(&server, "GET");
    let parameter = |name: &str| query(&ours[0].path, name).expect(name);
    assert_eq!(
        parameter("last_pulled_at"),
        pull["lastPulledAt"].to_string()
    );
    assert_eq!(
        parameter("schema_version"),
        pull["schemaVersion"].to_string()
    );
    assert_eq!(parameter("migration"), pull["migration"].to_string());
    let ours = requests(&server, "POST");
    assert_eq!(ours.len(), 1);
    assert_eq!(
        query(&ours[0].path, "last_pulled_at"),
        Some(push["lastPulledAt"].to_string())
    );
    assert_eq!(sorted(ours[0].json()), sorted(push["changes"].clone()));
    assert_eq!(ask(&db, "SELECT count(*) FROM sync_pending"), "0");
}
