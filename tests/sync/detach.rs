//! `sync_detach` on real tables: foreign keys, triggers of the application, tables that are gone, held rows, other files.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use serde_json::{Value, json};
use support::settings::{enforced, everywhere};
use support::{Canned, Device, World, ask, refused, try_ask};

fn detach(device: &Device, options: &str) -> Value {
    let text = device.ask(&format!("SELECT sync_detach('api', '{options}')"));
    serde_json::from_str(&text).expect("JSON")
}

const WIPE: &str = r#"{"wipe":true}"#;

/// A device whose tables are synced and have these rows.
fn device(schema: &str, tables: &[&str], rows: &str) -> (Canned, Device) {
    let server = Canned::start();
    let device = Device::with(schema, tables, &server.url());
    device.exec(rows);
    device.synced();
    assert_eq!(device.pending(), "");
    (server, device)
}

/// Entries of the log that mean anything.
fn logged(device: &Device) -> String {
    device.ask("SELECT count(*) FROM _syncChange WHERE tbl <> 0")
}

fn count(device: &Device, table: &str) -> String {
    device.ask(&format!("SELECT count(*) FROM {table}"))
}

#[test]
fn o2_children_go_before_parents_whatever_the_keys_say() {
    let schema = "
        CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, shelf TEXT NOT NULL REFERENCES shelf (id) ON DELETE RESTRICT,
          sequel TEXT REFERENCES book (id) ON DELETE RESTRICT);
        CREATE TABLE shelf (id TEXT PRIMARY KEY NOT NULL, room TEXT REFERENCES room (id), best TEXT REFERENCES book (id));
        CREATE TABLE room (id TEXT PRIMARY KEY NOT NULL);";
    let rows = "INSERT INTO room VALUES ('r'); INSERT INTO shelf VALUES ('s', 'r', NULL); \
        INSERT INTO book VALUES ('b1', 's', NULL), ('b2', 's', 'b1'), ('b3', 's', 'b2'); \
        UPDATE shelf SET best = 'b3'; UPDATE book SET sequel = 'b3' WHERE id = 'b1'";
    everywhere(|_| {
        let (server, device) = device(schema, &["room", "shelf", "book"], rows);
        server.clear();
        let answer = detach(&device, WIPE);
        assert_eq!(answer["wiped"], 5, "{answer}");
        for table in ["room", "shelf", "book"] {
            assert_eq!(count(&device, table), "0", "{table}");
        }
        assert_eq!(logged(&device), "0");
        assert_eq!(device.ask("PRAGMA foreign_key_check"), "");
        assert!(server.seen().is_empty());
        // The connection is as it was: a reference that misses is refused at once.
        let enforced = device.ask("PRAGMA foreign_keys") == "1";
        let wrong = device
            .db
            .execute("INSERT INTO shelf (id, room) VALUES ('x', 'none')", []);
        assert_eq!(wrong.is_err(), enforced);
    });
}

#[test]
fn o2_rows_of_other_tables_are_not_left_dangling() {
    let schema = "
        CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL, name TEXT);
        CREATE TABLE pin (list TEXT REFERENCES list (id));";
    enforced(|_| {
        let (_server, device) = device(
            schema,
            &["list"],
            "INSERT INTO list VALUES ('l', 'x'); INSERT INTO pin VALUES (NULL)",
        );
        device.exec("INSERT INTO pin VALUES ('l')");
        let error = device.refused("SELECT sync_detach('api', '{\"wipe\":true}')");
        assert!(
            error.contains(
                "rows of \"pin\" refer to rows of \"list\", which would be deleted, and their foreign key forbids that; \
                 delete them first, or name \"list\" in keep"
            ),
            "{error}"
        );
        assert_eq!(count(&device, "list"), "1");
        assert_eq!(device.ask("SELECT id FROM _syncProvider"), "api");
        device.exec("DELETE FROM pin WHERE list IS NOT NULL");
        assert_eq!(detach(&device, WIPE)["wiped"], 1);
        assert_eq!(count(&device, "pin"), "1");
    });
}

#[test]
fn o2_what_on_delete_says_of_tables_that_are_not_tracked_happens() {
    let schema = "
        CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL);
        CREATE TABLE draft (id INTEGER PRIMARY KEY, list TEXT REFERENCES list (id) ON DELETE CASCADE);
        CREATE TABLE word (draft INTEGER REFERENCES draft (id) ON DELETE CASCADE);
        CREATE TABLE last (list TEXT REFERENCES list (id) ON DELETE SET NULL);
        CREATE TABLE idle (list TEXT REFERENCES list (id) ON DELETE CASCADE);";
    enforced(|_| {
        let (_server, device) = device(
            schema,
            &["list"],
            "INSERT INTO list VALUES ('l'); INSERT INTO draft VALUES (1, 'l'), (2, NULL); \
             INSERT INTO word VALUES (1), (2); INSERT INTO last VALUES ('l')",
        );
        let answer = detach(&device, WIPE);
        assert_eq!(
            answer["alsoChanged"],
            json!(["draft", "last", "word"]),
            "{answer}"
        );
        assert_eq!(device.ask("SELECT id FROM draft"), "2");
        assert_eq!(device.ask("SELECT draft FROM word"), "2");
        assert_eq!(device.ask("SELECT list FROM last"), "NULL");
    });
}

#[test]
fn o2_rows_that_are_kept_or_another_providers_are_not_taken_along() {
    let schema = "
        CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL);
        CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, list TEXT REFERENCES list (id) ON DELETE CASCADE);
        CREATE TABLE mark (id TEXT PRIMARY KEY NOT NULL, list TEXT REFERENCES list (id) ON DELETE SET NULL);";
    enforced(|_| {
        let (_server, device) = device(
            schema,
            &["list", "task", "mark"],
            "INSERT INTO list VALUES ('l'); INSERT INTO task VALUES ('t', 'l'); INSERT INTO mark VALUES ('m', 'l')",
        );
        let error =
            device.refused("SELECT sync_detach('api', '{\"wipe\":true,\"keep\":[\"task\"]}')");
        assert!(
            error.contains("ON DELETE CASCADE would take them along; name \"list\" in keep too, or leave \"task\" out"),
            "{error}"
        );
        // A kept row may lose its reference, and is new all the same.
        let answer = detach(&device, r#"{"wipe":true,"keep":["mark"]}"#);
        assert_eq!((&answer["wiped"], &answer["kept"]), (&json!(2), &json!(1)));
        assert_eq!(device.pending(), "mark|m|created|[]");
        assert_eq!(device.ask("SELECT list FROM mark"), "NULL");
        // Of another provider nothing changes.
        let other = Canned::start();
        device.provider(&other.url(), json!({}));
        device.ask(&format!(
            "SELECT sync_provider('second', '{}')",
            json!({"kind": "watermelon", "url": other.url()})
        ));
        device.exec("INSERT INTO list VALUES ('k'); UPDATE mark SET list = 'k'");
        device.sync_only(&["list"]);
        device.ask("SELECT sync_entities('i', 'second', '[\"mark\"]')");
        assert_eq!(device.pending(), "");
        let error = device.refused("SELECT sync_detach('api', '{\"wipe\":true}')");
        assert!(
            error.contains("ON DELETE SET NULL would change them, though they are tracked and not of this provider"),
            "{error}"
        );
        // A table that was never synced with anybody is not taken for this one's, where there are two.
        assert_eq!(count(&device, "task"), "0");
        device.exec("UPDATE mark SET list = NULL; INSERT INTO task VALUES ('new', NULL)");
        device.ask("SELECT sync_entities('i', 'second', '[\"mark\"]')");
        let answer = detach(&device, WIPE);
        assert_eq!(answer["wiped"], 1, "{answer}");
        assert_eq!(device.pending(), "task|new|created|[]");
        assert_eq!(
            device.ask("SELECT provider FROM _syncTable WHERE name = 'mark'"),
            "second"
        );
    });
}

#[test]
fn o2_triggers_of_the_application_hear_of_it_and_nothing_of_it_is_sent() {
    let schema = "
        CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT);
        CREATE TABLE trash (id TEXT PRIMARY KEY NOT NULL);
        CREATE TABLE words (id TEXT, title TEXT);
        CREATE TRIGGER task_in AFTER INSERT ON task BEGIN INSERT INTO words VALUES (NEW.id, NEW.title); END;
        CREATE TRIGGER task_out AFTER DELETE ON task BEGIN
          DELETE FROM words WHERE id = OLD.id; INSERT INTO trash VALUES (OLD.id); END;";
    everywhere(|_| {
        // The trash comes first, and is filled again by what follows.
        let (_server, device) = device(
            schema,
            &["trash", "task"],
            "INSERT INTO task VALUES ('a', 'x'), ('b', 'y')",
        );
        assert_eq!(count(&device, "words"), "2");
        detach(&device, WIPE);
        for table in ["task", "trash", "words"] {
            assert_eq!(count(&device, table), "0", "{table}");
        }
        assert_eq!(logged(&device), "0");
    });
}

#[test]
fn o2_a_trigger_that_refuses_stops_all_of_it() {
    let schema = "
        CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL);
        CREATE TRIGGER never BEFORE DELETE ON task BEGIN SELECT RAISE(ABORT, 'tasks are for ever'); END;";
    let (_server, device) = device(schema, &["task"], "INSERT INTO task VALUES ('a')");
    let error = device.refused("SELECT sync_detach('api', '{\"wipe\":true}')");
    assert!(
        error.contains("the rows of \"task\" can't be deleted")
            && error.contains("tasks are for ever"),
        "{error}"
    );
    assert_eq!(device.ask("SELECT id FROM _syncProvider"), "api");
    assert_ne!(device.cursor("task"), "");
    assert_eq!(detach(&device, "{}")["kept"], 1);
}

#[test]
fn o2_held_rows_are_named() {
    let server = Canned::start();
    let schema =
        "CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT CHECK (title <> 'bad'))";
    let device = Device::with(schema, &["task"], &server.url());
    server.changes(
        json!({"task": {"created": [{"id": "a", "title": "bad"}], "updated": [], "deleted": []}}),
    );
    device.synced();
    let error = device.refused("SELECT sync_detach('api')");
    assert!(error.contains("\"task\" (1 held)"), "{error}");
    let answer = detach(&device, r#"{"force":true}"#);
    assert_eq!(answer["discarded"]["held"], 1, "{answer}");
    assert_eq!(count(&device, "sync_held"), "0");
}

#[test]
fn o2_conflicts_go_with_the_rows() {
    for (options, left) in [("{}", "1"), (WIPE, "0")] {
        let (server, device) = device(
            "CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT)",
            &["task"],
            "INSERT INTO task VALUES ('a', 'x')",
        );
        device.exec("UPDATE task SET title = 'mine'");
        server.changes(json!({"task": {"created": [], "updated": [{"id": "a", "title": "theirs"}], "deleted": []}}));
        device.synced();
        assert_eq!(count(&device, "sync_conflict"), "1");
        server.reset();
        detach(&device, options);
        assert_eq!(count(&device, "sync_conflict"), left);
    }
}

#[test]
fn o2_values_that_are_kept_aside_go_to_the_next_user() {
    let (server, device) = device(
        "CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, data TEXT, more TEXT)",
        &["task"],
        "",
    );
    let row = |id: &str| json!({"id": id, "data": {"a": 1}, "more": [2]});
    server
        .changes(json!({"task": {"created": [row("a"), row("b")], "updated": [], "deleted": []}}));
    device.synced();
    assert_eq!(count(&device, "sync_aside"), "4");
    server.reset();
    detach(&device, "{}");
    device.exec("UPDATE task SET more = 'mine' WHERE id = 'b'");
    device.provider(&server.url(), json!({}));
    device.synced();
    let sent = server.pushed().pop().expect("a push");
    let mut sent = sent["task"]["created"].as_array().cloned().expect("rows");
    sent.sort_by_key(|row| row["id"].to_string());
    assert_eq!(
        (&sent[0]["data"], &sent[0]["more"]),
        (&json!({"a": 1}), &json!([2])),
        "{sent:?}"
    );
    assert_eq!(
        (&sent[1]["data"], &sent[1]["more"]),
        (&json!({"a": 1}), &json!("mine")),
        "{sent:?}"
    );
}

#[test]
fn o2_tables_that_are_gone_or_not_captured() {
    let schema = "CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL); CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL);";
    let rows = "INSERT INTO task VALUES ('a'); INSERT INTO list VALUES ('l')";
    let (_server, device) = device(schema, &["task", "list"], rows);
    device.ask("SELECT sync_capture_off('task')");
    let error = device.refused("SELECT sync_detach('api')");
    assert!(error.contains("call sync_capture_on first"), "{error}");
    device.ask("SELECT sync_capture_on('task')");
    device.exec("INSERT INTO task VALUES ('b'); DROP TABLE task");
    let error = device.refused("SELECT sync_detach('api')");
    assert!(error.contains("\"task\" ("), "{error}");
    let answer = detach(&device, r#"{"force":true,"wipe":true}"#);
    assert_eq!(answer["wiped"], 1, "{answer}");
    assert!(
        answer["tables"].to_string().contains(r#""fate":"gone""#),
        "{answer}"
    );
    assert_eq!(logged(&device), "0");
}

#[test]
fn o2_a_table_that_was_never_synced_is_the_only_providers() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    device.exec("INSERT INTO task (id, title) VALUES ('a', 'x')");
    let answer = detach(&device, WIPE);
    assert_eq!(
        (&answer["uploaded"], &answer["wiped"]),
        (&json!(1), &json!(1)),
        "{answer}"
    );
    assert_eq!(server.pushed().len(), 1);
}

#[test]
fn o2_a_provider_whose_data_the_program_moves() {
    let world = World::new(false);
    let db = world.ready();
    db.execute_batch("CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL)")
        .expect("a table");
    ask(&db, "SELECT sync_track('task')");
    ask(&db, "INSERT INTO task VALUES ('a')");
    ask(&db, "SELECT sync_entities('i', 'host', '[\"t\"]')");
    let error = refused(&db, "SELECT sync_detach('host')");
    assert!(error.contains("sync_set_status(1, …)"), "{error}");
    ask(&db, "SELECT sync_set_status(1, 'synced')");
    assert_eq!(ask(&db, "SELECT sync_detach('host') ->> 'tables'"), "[]");
    assert_eq!(ask(&db, "SELECT count(*) FROM _syncProvider"), "0");
    assert_eq!(ask(&db, "SELECT key FROM sync_pending"), "a");
    // What happened is still told.
    assert_eq!(ask(&db, "SELECT state FROM _syncStatus"), "synced");
}

#[test]
fn o2_an_attached_file() {
    let world = World::new(false);
    let db: Connection = world.open();
    let other = world.file("other.db");
    ask(&db, &format!("ATTACH '{}' AS other", other.display()));
    let server = Canned::start();
    let config = json!({"kind": "watermelon", "url": server.url(), "token": "t", "attempts": 1});
    let mut there = config.clone();
    there["schema"] = json!("other");
    for config in [&config, &there] {
        ask(&db, &format!("SELECT sync_provider('api', '{config}')"));
    }
    ask(
        &db,
        &format!("SELECT sync_secret('t', 'token', '{}')", server.origin()),
    );
    ask(
        &db,
        "CREATE TABLE other.task (id TEXT PRIMARY KEY NOT NULL)",
    );
    ask(&db, "SELECT sync_track('task', '{\"schema\":\"other\"}')");
    ask(&db, "INSERT INTO other.task VALUES ('a')");
    let answer = ask(
        &db,
        "SELECT sync_detach('api', '{\"wipe\":true,\"schema\":\"other\"}')",
    );
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(
        (&answer["uploaded"], &answer["wiped"], &answer["secrets"]),
        (&json!(1), &json!(1), &json!([])),
        "{answer}"
    );
    assert_eq!(ask(&db, "SELECT count(*) FROM other._syncProvider"), "0");
    assert_eq!(
        ask(&db, "SELECT sync_detach('api') ->> 'secrets'"),
        "[\"t\"]"
    );
}

#[test]
fn o2_nothing_is_lost_when_the_file_is_locked() {
    let (_server, device) = device(
        "CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL)",
        &["task"],
        "INSERT INTO task VALUES ('a')",
    );
    let other = device.second();
    ask(&device.db, "PRAGMA busy_timeout = 1");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    assert!(try_ask(&device.db, "SELECT sync_detach('api', '{\"wipe\":true}')").is_err());
    other.execute_batch("ROLLBACK").expect("no lock");
    assert_eq!(count(&device, "task"), "1");
    assert_eq!(detach(&device, WIPE)["wiped"], 1);
}

#[test]
fn o2_interrupted_anywhere_it_has_done_all_or_nothing() {
    let schema = "
        CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL);
        CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, list TEXT REFERENCES list (id));
        CREATE TABLE words (id TEXT);
        CREATE TRIGGER task_out AFTER DELETE ON task BEGIN DELETE FROM words WHERE id = OLD.id; END;";
    let picture = |device: &Device| {
        [
            "SELECT count(*) FROM list",
            "SELECT count(*) FROM task",
            "SELECT count(*) FROM words",
            "SELECT count(*) FROM _syncProvider",
            "SELECT count(*) FROM _syncCursor",
            "SELECT count(*) FROM _syncRun",
            "SELECT count(*) FROM _syncTable WHERE provider = 'api'",
            "SELECT count(*) FROM _syncChange WHERE tbl <> 0",
        ]
        .map(|sql| device.ask(sql))
        .join(" ")
    };
    let (_server, mut device) = device(
        schema,
        &["list", "task"],
        "INSERT INTO list VALUES ('l'); INSERT INTO task VALUES ('a', 'l'), ('b', 'l'); \
         INSERT INTO words VALUES ('a'), ('b')",
    );
    let before = picture(&device);
    let mut failures = 0;
    for steps in (1..).map(|number: u64| number * number / 4 + number) {
        let left = AtomicU64::new(steps);
        let tick = move || left.fetch_sub(1, Ordering::Relaxed) == 1;
        device
            .db
            .progress_handler(5, Some(tick))
            .expect("a handler");
        let answer = try_ask(&device.db, "SELECT sync_detach('api', '{\"wipe\":true}')");
        device
            .db
            .progress_handler(5, None::<fn() -> bool>)
            .expect("no handler");
        assert!(device.db.is_autocommit());
        let picture = picture(&device);
        if picture != before {
            assert_eq!(picture, "0 0 0 0 0 0 0 0", "after {steps}: {answer:?}");
            break;
        }
        assert!(answer.is_err(), "after {steps}");
        failures += 1;
    }
    assert!(failures > 10, "only {failures} interruptions");
}
