//! Tables that are rebuilt or made again between syncs, and during one.

use std::sync::mpsc::channel;

use serde_json::{Value, json};
use support::{Backend, Canned, Device, all_settings, assert_equal, closing, json_answer};

const SCHEMA: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT);";
const ANEW: &str = "DROP TABLE t; CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT);";

fn codes(answer: &Value) -> Vec<&str> {
    let warnings = answer["warnings"].as_array().expect("warnings").iter();
    let codes = warnings.map(|warning| warning["code"].as_str());
    codes.map(|code| code.expect("a code")).collect()
}

/// Makes the table again on another connection while the pull waits for its answer.
fn made_again_during_the_pull(meanwhile: &'static str) {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["t"], &server.url());
    server.changes(json!({"t": {"created": [{"id": "1", "a": "a", "b": "b"}]}}));
    device.synced();
    let (asked, hear) = channel();
    let file = device.world.path();
    server.pull_raw(move |_| {
        let connection = rusqlite::Connection::open(&file).expect("open");
        support::load(&connection);
        let outcome = connection.execute_batch(meanwhile);
        let _ = asked.send(outcome.map_err(|error| error.to_string()));
        json_answer(r#"{"changes":{"t":{"updated":[{"id":"2","a":"server"}]}},"timestamp":30}"#)
    });
    let error = device.failed();
    assert_eq!(hear.recv().expect("the pull was asked"), Ok(()));
    assert_eq!(error["code"], "SYNC_ERROR_CONCURRENT", "{error}");
    assert_eq!(device.ask("SELECT count(*) FROM t WHERE id = '2'"), "0");
    // The next one pulls all of it.
    server.changes(json!({"t": {"created": [{"id": "1", "a": "a"}, {"id": "2", "a": "server"}]}}));
    device.synced();
    assert_eq!(device.ask("SELECT group_concat(id) FROM t"), "1,2");
}

#[test]
fn m8_a_table_made_again_during_a_run_gets_no_row_of_it() {
    made_again_during_the_pull(ANEW);
}

#[test]
fn m8_a_table_made_again_and_captured_again_during_a_run_gets_no_row_of_it() {
    made_again_during_the_pull(
        "DROP TABLE t; CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT); SELECT sync_track('t')",
    );
}

#[test]
fn m3_a_sync_after_a_rebuild_goes_on_and_says_so() {
    for settings in all_settings() {
        let backend = Backend::start(SCHEMA);
        backend.sql(|db| {
            db.execute_batch(
                "INSERT INTO t VALUES ('1', 'a', 'a'), ('2', 'b', 'b'), ('3', 'c', 'c')",
            )
        });
        let device = Device::with(SCHEMA, &["t"], &backend.sync_url());
        device.exec(&settings);
        device.synced();
        let cursor = device.cursor("t");
        device.exec("UPDATE t SET b = 'edited' WHERE id = '1'; DELETE FROM t WHERE id = '2'; INSERT INTO t VALUES ('n', 'n', 'n')");
        let tool = device.world.plain();
        tool.execute_batch(
            "BEGIN; CREATE TABLE new_t (id TEXT PRIMARY KEY NOT NULL, b TEXT, a TEXT);
             INSERT INTO new_t SELECT id, b, a FROM t; DROP TABLE t; ALTER TABLE new_t RENAME TO t; COMMIT",
        )
        .expect("rebuilt");
        assert_eq!(device.cursor("t"), cursor);
        let answer = device.synced();
        assert_eq!(codes(&answer), ["captureRestored"], "{answer}");
        assert_equal(&device, &backend, &["t"]);
        let pushed = support::device::pushes(&backend);
        let changes = &pushed.last().expect("a push")["t"];
        assert_eq!(changes["created"][0]["id"], "n");
        assert_eq!(changes["updated"].as_array().map(Vec::len), Some(1));
        assert_eq!(changes["deleted"], json!(["2"]));
        assert!(!codes(&device.synced()).contains(&"captureRestored"));
    }
}

/// A tool keeps the rows elsewhere, makes the table again with the triggers that it has saved, and copies the rows back.
fn refilled(table: &str, definition: &str) -> String {
    format!(
        "BEGIN; CREATE TABLE kept AS SELECT * FROM {table}; DROP TABLE {table}; {definition} {{triggers}};
         INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept; COMMIT"
    )
}

fn run_with_triggers(tool: &rusqlite::Connection, table: &str, script: &str) {
    let triggers = support::ask(
        tool,
        &format!(
            "SELECT group_concat(sql, ';') FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"
        ),
    );
    tool.execute_batch(&script.replace("{triggers}", &triggers))
        .expect("made again");
}

#[test]
fn m3_rows_that_are_copied_under_triggers_put_back_before_are_not_sent_as_new() {
    for settings in all_settings() {
        for key in ["TEXT", "INTEGER"] {
            let context = format!("{settings} {key}");
            let schema = format!("CREATE TABLE t (id {key} PRIMARY KEY NOT NULL, a TEXT, b TEXT);");
            let backend = Backend::start(&schema);
            backend.sql(|db| {
                db.execute_batch(
                    "INSERT INTO t VALUES (1, 'a', 'a'), (2, 'b', 'b'), (3, 'c', 'c'), (4, 'd', 'd'), (5, 'e', 'e'), (6, 'f', 'f')",
                )
            });
            let device = Device::with(&schema, &["t"], &backend.sync_url());
            device.exec(&settings);
            device.synced();
            device.exec(
                "UPDATE t SET b = 'edited' WHERE id = 1; DELETE FROM t WHERE id = 2;
                 INSERT INTO t VALUES (70, 'n', 'n'), (69, 'not copied', 'n')",
            );
            let script = refilled("t", &schema).replace("FROM kept", "FROM kept WHERE id <> 69");
            match key {
                "TEXT" => run_with_triggers(&device.world.plain(), "t", &script),
                // Whoever looks while the table is empty says nothing of it.
                _ => {
                    let looked =
                        script.replace("INSERT INTO t", "SELECT sync_heartbeat(); INSERT INTO t");
                    run_with_triggers(&device.db, "t", &looked);
                }
            }
            device.exec(
                "INSERT INTO t VALUES (71, 'm', 'm'); DELETE FROM t WHERE id = 3; UPDATE t SET a = 'too' WHERE id = 4",
            );
            let before = support::device::pushes(&backend).len();
            let answer = device.synced();
            assert!(
                codes(&answer).contains(&"captureRestored"),
                "{context}: {answer}"
            );
            if key == "TEXT" {
                assert_equal(&device, &backend, &["t"]);
            }
            let pushed = support::device::pushes(&backend);
            assert_eq!(pushed.len(), before + 1, "{context}");
            let ids = |list: &str| {
                let rows = pushed[before]["t"][list].as_array().expect("a list").iter();
                let mut ids: Vec<String> = rows
                    .map(|row| row.get("id").unwrap_or(row).to_string().replace('"', ""))
                    .collect();
                ids.sort();
                ids.join(" ")
            };
            assert_eq!(
                [ids("created"), ids("updated"), ids("deleted")],
                ["70 71", "1 4", "2 3"],
                "{context}"
            );
            assert_eq!(device.pending(), "", "{context}");
            assert_eq!(device.ask("SELECT count(*) FROM t"), "6", "{context}");
            let lost = "SELECT rowKey FROM sync_conflict WHERE kind = 'goneWithTable'";
            assert_eq!(device.ask(lost), "69", "{context}");
            assert!(
                !codes(&device.synced()).contains(&"captureRestored"),
                "{context}"
            );
            assert_eq!(
                support::device::pushes(&backend).len(),
                before + 1,
                "{context}"
            );
        }
    }
}

#[test]
fn m3_a_table_made_again_with_its_triggers_and_without_rows_is_pulled_from_the_beginning() {
    for settings in all_settings() {
        let backend = Backend::start(SCHEMA);
        backend.sql(|db| db.execute_batch("INSERT INTO t VALUES ('1', 'a', 'a'), ('2', 'b', 'b')"));
        let device = Device::with(SCHEMA, &["t"], &backend.sync_url());
        device.exec(&settings);
        device.synced();
        device
            .exec("UPDATE t SET b = 'edited' WHERE id = '1'; INSERT INTO t VALUES ('n', 'n', 'n')");
        let anew =
            format!("BEGIN; DROP TABLE t; CREATE TABLE x (x); {SCHEMA} {{triggers}}; COMMIT");
        run_with_triggers(&device.world.plain(), "t", &anew);
        let answer = device.synced();
        assert!(codes(&answer).contains(&"goneWithTable"), "{answer}");
        assert_equal(&device, &backend, &["t"]);
        assert_eq!(
            device.ask("SELECT group_concat(b) FROM t"),
            "a,b",
            "{settings}"
        );
        let conflicts = "SELECT kind, rowKey FROM sync_conflict ORDER BY rowKey";
        assert_eq!(
            device.ask(conflicts),
            "goneWithTable|1\ngoneWithTable|n",
            "{settings}"
        );
    }
}

/// Everything is elsewhere in the file then, and nothing was made again.
#[test]
fn m3_a_vacuum_makes_no_row_known_that_is_new() {
    for key in ["TEXT", "INTEGER"] {
        let schema = format!(
            "CREATE TABLE first (x); CREATE TABLE t (id {key} PRIMARY KEY NOT NULL, a TEXT, b TEXT);"
        );
        let server = Canned::start();
        let device = Device::with(&schema, &["t"], &server.url());
        server.changes(json!({}));
        device.synced();
        device.exec(
            "INSERT INTO t VALUES (1, 'mine', NULL), (2, 'mine', NULL); DROP TABLE first; VACUUM",
        );
        server.reset();
        let id = |id: i64| match key {
            "TEXT" => json!(id.to_string()),
            _ => json!(id),
        };
        server.changes(json!({"t": {"created": [{"id": id(1), "a": "theirs", "b": null}]}}));
        device.synced();
        let pushed = &server.pushed()[0]["t"]["created"];
        assert_eq!(pushed.as_array().map(Vec::len), Some(2), "{pushed}");
        let kind = device.ask("SELECT kind FROM sync_conflict");
        assert_eq!(kind, if key == "TEXT" { "edited" } else { "rekeyed" });
    }
}

#[test]
fn m3_a_sync_tells_what_calls_before_it_had_no_room_for() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["t"], &server.url());
    device.exec(
        "INSERT INTO t VALUES ('1', 'a', 'a'); CREATE TABLE t2 (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT);
         INSERT INTO t2 SELECT * FROM t; DROP TABLE t; ALTER TABLE t2 RENAME TO t",
    );
    device.ask("SELECT sync_capture_existing('t')");
    // A sync that fails tells it as well.
    server.pull_raw(|_| json_answer("nonsense"));
    let failed = device.sync();
    assert_eq!(codes(&failed), ["captureRestored"], "{failed}");
    assert_eq!(
        device.ask("SELECT runId, detail ->> '$.code' FROM sync_log WHERE event = 'warning'"),
        "1|captureRestored"
    );
    server.changes(json!({}));
    assert_eq!(codes(&device.synced()), [""; 0]);
}

#[test]
fn m3_a_table_made_anew_is_pulled_from_the_beginning_and_deletes_nothing_there() {
    for settings in all_settings() {
        let backend = Backend::start(SCHEMA);
        backend.sql(|db| {
            db.execute_batch(
                "INSERT INTO t VALUES ('1', 'a', 'a'), ('2', 'b', 'b'), ('3', 'c', 'c'), ('4', 'd', 'd')",
            )
        });
        let device = Device::with(SCHEMA, &["t"], &backend.sync_url());
        device.exec(&settings);
        device.synced();
        device.exec(
            "UPDATE t SET b = 'edited' WHERE id = '1'; DELETE FROM t WHERE id = '2'; INSERT INTO t VALUES ('n', 'n', 'n')",
        );
        device.exec(ANEW);
        assert_eq!(device.pending(), "t|2|deleted|NULL", "{settings}");
        let answer = device.synced();
        assert_eq!(
            codes(&answer)[..2],
            ["captureRestored", "goneWithTable"],
            "{settings}: {answer}"
        );
        // The delete that waited is done there, and nothing else.
        assert_equal(&device, &backend, &["t"]);
        assert_eq!(
            device.ask("SELECT group_concat(id || b) FROM (SELECT * FROM t ORDER BY id)"),
            "1a,3c,4d",
            "{settings}"
        );
        assert_eq!(
            device.ask(
                "SELECT kind, rowKey FROM sync_conflict WHERE kind = 'goneWithTable' ORDER BY 2"
            ),
            "goneWithTable|1\ngoneWithTable|n"
        );
        assert_eq!(device.pending(), "", "{settings}");
    }
}

#[test]
fn m3_a_rejected_row_keeps_its_standing_through_a_rebuild() {
    let server = Canned::start();
    let device = Device::with(SCHEMA, &["t"], &server.url());
    server.changes(json!({}));
    device.synced();
    device.exec("INSERT INTO t VALUES ('bad', 'x', 'y')");
    device.exec(
        "INSERT INTO _syncRejected (provider, tbl, pk, kind, reason, at) SELECT 'api', id, 'bad', 'created', 'no', 1 FROM _syncTable",
    );
    device.exec(
        "CREATE TABLE t2 (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT); INSERT INTO t2 SELECT * FROM t; DROP TABLE t;
         ALTER TABLE t2 RENAME TO t",
    );
    device.ask("SELECT sync_track('t')");
    assert_eq!(
        device.ask("SELECT key, op, rejected FROM sync_pending"),
        "bad|created|no"
    );
}

/// What a table leaves out never leaves the file, whatever the table is renamed to.
#[test]
fn m6_a_renamed_table_takes_along_what_the_configuration_says_of_it() {
    let server = Canned::start();
    let device = Device::configured(
        "CREATE TABLE person (id TEXT PRIMARY KEY NOT NULL, pin TEXT, nick TEXT)",
        &["person"],
        &server.url(),
        json!({"excludeColumns": {"PERSON": ["pin"]}, "tableMap": {"human": "person"}}),
    );
    device.exec(
        "INSERT INTO person VALUES ('a', '1234', 'joe'); ALTER TABLE person RENAME TO people",
    );
    let answer = device.sync_only(&["human"]);
    assert_eq!(answer["state"], "synced", "{answer}");
    let body = server.pushed()[0].to_string();
    assert!(body.contains("joe") && !body.contains("1234"), "{body}");
    let config = device.ask("SELECT config FROM _syncProvider");
    assert!(config.contains(r#""people":["pin"]"#), "{config}");
}

/// A push whose answer was lost: its rows keep what is known of them through a rebuild.
#[test]
fn m3_rows_of_unknown_outcome_keep_their_standing_through_a_rebuild() {
    const REBUILDS: &[&str] = &[
        "CREATE TABLE t2 (id TEXT PRIMARY KEY NOT NULL, b TEXT, a TEXT); INSERT INTO t2 SELECT id, b, a FROM t;
         DROP TABLE t; ALTER TABLE t2 RENAME TO t",
        "ALTER TABLE t RENAME TO old; CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, b TEXT);
         INSERT INTO t SELECT * FROM old; DROP TABLE old",
    ];
    for settings in all_settings() {
        for (place, rebuild) in REBUILDS.iter().enumerate() {
            let server = Canned::start();
            let device = Device::with(SCHEMA, &["t"], &server.url());
            device.exec(&settings);
            server.changes(json!({"t": {"created": [
                {"id": "1", "a": "a", "b": "b"}, {"id": "2", "a": "a", "b": "b"}]}}));
            device.synced();
            device.exec(
                "INSERT INTO t VALUES ('n', 'mine', 'x'), ('gone', 'mine', 'y'); UPDATE t SET a = 'edited' WHERE id = '1';
                 DELETE FROM t WHERE id = '2'",
            );
            server.reset();
            server.changes(json!({}));
            server.push_raw(|_| closing("", 10));
            device.failed();
            // Made by a push that may have arrived, and deleted since: its delete has to go up.
            device.exec("DELETE FROM t WHERE id = 'gone'");
            let waiting =
                "t|1|updated|[\"a\"]\nt|2|deleted|NULL\nt|gone|deleted|NULL\nt|n|created|[]";
            assert_eq!(device.pending(), waiting, "{settings}");
            device
                .world
                .plain()
                .execute_batch(rebuild)
                .expect("rebuilt");
            assert_eq!(device.pending(), waiting, "{settings} {place}");
            device.ask("SELECT sync_track('t')");
            assert_eq!(device.pending(), waiting, "{settings} {place}");
            // The push had arrived: the next pull shows it, and nothing of it is a conflict or sent as new again.
            server.reset();
            server.changes(json!({"t": {
                "created": [{"id": "n", "a": "mine", "b": "x"}, {"id": "gone", "a": "mine", "b": "y"}],
                "updated": [{"id": "1", "a": "edited", "b": "b"}], "deleted": ["2"]}}));
            let answer = device.synced();
            assert_eq!(answer["conflicts"], 0, "{settings} {place}: {answer}");
            let pushed = server.pushed();
            let last = pushed.last().expect("a push");
            assert_eq!(
                last["t"],
                json!({"created": [], "updated": [], "deleted": ["gone"]}),
                "{settings} {place}"
            );
            assert_eq!(device.pending(), "", "{settings} {place}");
            assert_eq!(
                device.ask("SELECT group_concat(id || a) FROM (SELECT * FROM t ORDER BY id)"),
                "1edited,nmine"
            );
        }
    }
}

/// Keys travel as texts, whatever type they have here.
#[test]
fn m3_what_waits_goes_up_though_the_key_has_another_type() {
    for (before, after) in [
        ("id TEXT PRIMARY KEY NOT NULL", "id INTEGER PRIMARY KEY"),
        ("id INTEGER PRIMARY KEY", "id TEXT PRIMARY KEY NOT NULL"),
        (
            "id INTEGER PRIMARY KEY",
            "id VARCHAR(20) PRIMARY KEY NOT NULL",
        ),
    ] {
        let backend = Backend::start(SCHEMA);
        backend.sql(|db| {
            db.execute_batch(
                "INSERT INTO t VALUES ('1', 'a', 'a'), ('2', 'b', 'b'), ('3', 'c', 'c')",
            )
        });
        let schema = format!("CREATE TABLE t ({before}, a TEXT, b TEXT)");
        let device = Device::with(&schema, &["t"], &backend.sync_url());
        device.exec(r#"SELECT sync_track('t', '{"counted":"same"}')"#);
        device.synced();
        device.exec("UPDATE t SET b = 'edited' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (7, 'n', 'n')");
        let tool = device.world.plain();
        tool.execute_batch(&format!(
            "BEGIN; CREATE TABLE new_t ({after}, a TEXT, b TEXT); INSERT INTO new_t SELECT id, a, b FROM t; DROP TABLE t;
             ALTER TABLE new_t RENAME TO t; COMMIT"
        ))
        .expect("rebuilt");
        let answer = device.synced();
        assert_eq!(codes(&answer), ["captureRestored"], "{after}: {answer}");
        assert_eq!(device.pending(), "", "{after}");
        let pushed = support::device::pushes(&backend);
        let changes = &pushed.last().expect("a push")["t"];
        assert_eq!(changes["created"][0]["id"], "7", "{after}");
        assert_eq!(changes["updated"][0]["id"], "1", "{after}");
        assert_eq!(changes["deleted"], json!(["2"]), "{after}");
        device.synced();
        assert_eq!(
            device.ask("SELECT group_concat(id || b) FROM (SELECT * FROM t ORDER BY id)"),
            "1edited,3c,7n",
            "{after}"
        );
    }
}
