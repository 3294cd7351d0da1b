//! First, empty and incremental syncs: what is asked, what is sent, and the cursors.

use serde_json::{Value, json};
use support::{Backend, Canned, Device, SCHEMA, assert_equal, backend_rows, pushes, query, seen};

fn with_rows() -> Backend {
    let backend = Backend::start(SCHEMA);
    backend.sql(|sql| {
        sql.execute_batch(
            "INSERT INTO list VALUES ('l1', 'Garden');
             INSERT INTO task VALUES ('t1', 'Dig', 0, 1, NULL), ('t2', 'Rest', 1, 2, 'soon');",
        )
    });
    backend
}

#[test]
fn a_first_sync_brings_everything_and_sends_what_is_here() {
    let backend = with_rows();
    let device = Device::new(&backend.sync_url());
    device.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
    let answer = device.synced();
    assert_equal(&device, &backend, &["list", "task"]);
    assert_eq!(device.pending(), "");
    assert_eq!(
        (&answer["inserted"], &answer["pushed"]),
        (&json!(3), &json!(1)),
        "{answer}"
    );
    let requests = backend.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        query(&requests[0].path, "last_pulled_at").as_deref(),
        Some("null")
    );
    assert_eq!(
        query(&requests[0].path, "schema_version").as_deref(),
        Some("1")
    );
    assert_eq!(
        query(&requests[0].path, "migration").as_deref(),
        Some("null")
    );
    assert_eq!(
        query(&requests[1].path, "last_pulled_at"),
        Some(device.cursor("task"))
    );
    assert_eq!(requests[1].header("content-type"), Some("application/json"));
    assert_eq!(
        device.ask("SELECT state, phase FROM _syncRun"),
        "synced|done"
    );
}

/// How often SQLite has compiled statements of the connection again that we keep.
fn compiled_again(device: &Device) -> i32 {
    use rusqlite::ffi::{SQLITE_STMTSTATUS_REPREPARE, sqlite3_next_stmt, sqlite3_stmt_status};
    let mut sum = 0;
    // SAFETY: the connection is open, and nobody else uses it meanwhile.
    unsafe {
        let mut statement = sqlite3_next_stmt(device.db.handle(), std::ptr::null_mut());
        while !statement.is_null() {
            sum += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_REPREPARE, 0);
            statement = sqlite3_next_stmt(device.db.handle(), statement);
        }
    }
    sum
}

#[test]
fn a_small_sync_compiles_no_kept_statement_again() {
    let backend = with_rows();
    let device = Device::new(&backend.sync_url());
    let mut before = 0;
    for round in 0..6 {
        device.exec(&format!(
            "UPDATE task SET title = 'here {round}' WHERE id = 't1'"
        ));
        backend.sql(|sql| {
            sql.execute_batch(&format!(
                "UPDATE list SET name = 'there {round}' WHERE id = 'l1'"
            ))
        });
        device.synced();
        let after = compiled_again(&device);
        // The first rounds are the first of some statements, and SQLite learns their values.
        assert!(
            round < 3 || after == before,
            "round {round}: {before} to {after}"
        );
        before = after;
    }
    assert_equal(&device, &backend, &["list", "task"]);
}

#[test]
fn a_sync_with_nothing_to_do_is_one_request_and_writes_no_row() {
    let backend = with_rows();
    let device = Device::new(&backend.sync_url());
    device.synced();
    device.synced(); // its own echoes, if any
    backend.clear_requests();
    device.exec(
        "CREATE TABLE written (what TEXT);
         CREATE TRIGGER i AFTER INSERT ON task BEGIN INSERT INTO written VALUES ('i'); END;
         CREATE TRIGGER u AFTER UPDATE ON task BEGIN INSERT INTO written VALUES ('u'); END;
         CREATE TRIGGER d AFTER DELETE ON task BEGIN INSERT INTO written VALUES ('d'); END;",
    );
    let high = device.ask("SELECT max(seq) FROM _syncChange");
    let answer = device.synced();
    assert_eq!(seen(&backend), [format!("GET {}", device.cursor("task"))]);
    assert_eq!(device.ask("SELECT count(*) FROM written"), "0");
    assert_eq!(device.log(), "0");
    assert_eq!(device.ask("SELECT max(seq) FROM _syncChange"), high);
    assert_eq!(
        (&answer["pulled"], &answer["pushed"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(answer["requests"], 1);
}

#[test]
fn an_incremental_sync_asks_from_the_cursor_and_goes_both_ways() {
    let backend = with_rows();
    let device = Device::new(&backend.sync_url());
    device.synced();
    let cursor = device.cursor("task");
    backend.sql(|sql| {
        sql.execute_batch(
            "UPDATE task SET title = 'Dig deep' WHERE id = 't1'; DELETE FROM task WHERE id = 't2';
             INSERT INTO task (id, title) VALUES ('t3', 'Sow');",
        )
    });
    device.exec("UPDATE list SET name = 'Field'; INSERT INTO list VALUES ('l2', 'Wood')");
    backend.clear_requests();
    let answer = device.synced();
    assert_eq!(seen(&backend)[0], format!("GET {cursor}"));
    assert_eq!(seen(&backend)[1], format!("POST {}", device.cursor("task")));
    assert_equal(&device, &backend, &["list", "task"]);
    let counts = ["inserted", "updated", "deleted", "pushed"].map(|key| answer[key].as_i64());
    assert_eq!(counts, [Some(1), Some(1), Some(1), Some(2)]);
}

#[test]
fn the_body_of_a_push_has_exactly_the_documented_shape() {
    let server = Canned::start();
    let schema = "
        CREATE TABLE a (id TEXT PRIMARY KEY NOT NULL, title TEXT, done BOOLEAN, big INTEGER, r REAL);
        CREATE TABLE b (id TEXT PRIMARY KEY NOT NULL);
        CREATE TABLE c (id TEXT PRIMARY KEY NOT NULL, x TEXT);";
    let device = Device::with(schema, &["a", "b", "c"], &server.url());
    server.changes(json!({
        "a": {"created": [{"id": "u", "title": "old", "done": false, "big": 1}, {"id": "d"}]},
        "c": {"created": [{"id": "gone"}]}}));
    device.synced();
    server.clear();
    device.exec(
        "INSERT INTO a VALUES ('n', 'żółw 🐢 \"q\" \\ ' || char(10, 9, 1), 1, 9007199254740993, 0.1);
         UPDATE a SET title = NULL, big = -9223372036854775808 WHERE id = 'u';
         DELETE FROM a WHERE id = 'd';
         INSERT INTO b VALUES ('only-key');
         DELETE FROM c;",
    );
    device.synced();
    let body = server.seen()[1].body.clone();
    let expected = concat!(
        r#"{"a":{"created":[{"id":"n","_status":"created","_changed":"","title":"żółw 🐢 \"q\" \\ \n\t\u0001","#,
        r#""done":true,"big":9007199254740993,"r":0.1}],"#,
        r#""updated":[{"id":"u","_status":"updated","_changed":"title,big","title":null,"done":false,"#,
        r#""big":-9223372036854775808,"r":null}],"deleted":["d"]},"#,
        r#""b":{"created":[{"id":"only-key","_status":"created","_changed":""}],"updated":[],"deleted":[]},"#,
        r#""c":{"created":[],"updated":[],"deleted":["gone"]}}"#
    );
    assert_eq!(body, expected);
    // Without the notes of the client.
    device.provider(&server.url(), json!({"sendMeta": false}));
    device.exec("UPDATE a SET done = 0 WHERE id = 'n'");
    server.clear();
    device.synced();
    let row = &server.pushed()[0]["a"]["updated"][0];
    assert_eq!(row["done"], false);
    assert!(
        row.get("_status").is_none() && row.get("_changed").is_none(),
        "{row}"
    );
}

#[test]
fn numbers_and_text_come_in_exactly() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    server.pull(
        r#"{"changes":{"task":{"created":[
            {"id":"a","title":"\u0000x\ud83d\ude00é","done":1,"n":9007199254740993,"note":null},
            {"id":"b","title":"","done":0,"n":-9223372036854775808},
            {"id":"c","n":1.5},{"id":"d","n":-0.0},{"id":"e","n":9223372036854775807}]}},"timestamp":5}"#,
    );
    device.synced();
    assert_eq!(
        device.ask("SELECT id, hex(title), done, n, typeof(n), note FROM task ORDER BY id"),
        "a|0078F09F9880C3A9|1|9007199254740993|integer|NULL\n\
         b||0|-9223372036854775808|integer|NULL\n\
         c||0|1.5|real|NULL\n\
         d||0|0|integer|NULL\n\
         e||0|9223372036854775807|integer|NULL"
    );
    assert_eq!(device.log(), "0");
}

#[test]
fn the_cursor_goes_back_exactly_as_it_came() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    for cursor in [
        "1700000000000",
        "1700000000000.250",
        "1.7e12",
        "18446744073709551616123",
        "7",
    ] {
        server.pull(&format!(r#"{{"changes":{{}},"timestamp": {cursor} }}"#));
        device.exec("INSERT INTO task (id) VALUES (hex(randomblob(8)))");
        server.clear();
        device.synced();
        assert_eq!(device.cursor("task"), cursor);
        let pushed = query(&server.seen()[1].path, "last_pulled_at");
        assert_eq!(
            pushed.as_deref(),
            Some(cursor),
            "the push has the new cursor"
        );
        server.pull(&format!(r#"{{"changes":{{}},"timestamp":{cursor}}}"#));
        server.clear();
        device.synced();
        let asked = query(&server.seen()[0].path, "last_pulled_at");
        assert_eq!(asked.as_deref(), Some(cursor), "the pull asks from there");
    }
}

#[test]
fn a_lower_timestamp_is_taken_with_a_warning() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    server.pull(r#"{"changes":{},"timestamp":100}"#);
    device.synced();
    server.pull(r#"{"changes":{},"timestamp":99}"#);
    let answer = device.synced();
    assert_eq!(device.cursor("task"), "99");
    assert_eq!(
        answer["warnings"].as_array().map(Vec::len),
        Some(1),
        "{answer}"
    );
}

#[test]
fn extra_keys_of_the_answer_come_back_as_rest() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    server.pull(r#"{"more":[1,{"a":null}],"changes":{},"timestamp":1,"user":"u1"}"#);
    let answer = device.synced();
    assert_eq!(
        answer["rest"],
        json!({"more": [1, {"a": null}], "user": "u1"})
    );
}

#[test]
fn megabytes_go_up_and_down() {
    let backend = Backend::start(SCHEMA);
    let (one, two) = (
        Device::new(&backend.sync_url()),
        Device::new(&backend.sync_url()),
    );
    one.exec(
        "WITH n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10000)
         INSERT INTO task (id, title, n) SELECT 'r' || x, hex(randomblob(500)), x FROM n",
    );
    let answer = one.synced();
    assert_eq!(answer["pushed"], 10_000);
    let answer = two.synced();
    assert_eq!(answer["inserted"], 10_000);
    let sum = "SELECT count(*), sum(n), sum(length(title)) FROM task";
    assert_eq!(two.ask(sum), one.ask(sum));
    assert_equal(&two, &backend, &["task"]);
    assert_eq!((one.log(), two.log()), ("0".into(), "0".into()));
}

// ---- Several entities -----------------------------------------------------------------------

#[test]
fn syncing_one_entity_never_skips_changes_of_another() {
    let backend = with_rows();
    let device = Device::new(&backend.sync_url());
    device.synced();
    backend.sql(|sql| {
        sql.execute_batch("UPDATE list SET name = 'A'; UPDATE task SET title = 'A' WHERE id = 't1'")
    });
    let answer = device.sync_only(&["list"]);
    assert_eq!(answer["state"], "synced");
    assert_eq!(device.ask("SELECT name FROM list"), "A");
    assert_eq!(device.ask("SELECT title FROM task WHERE id = 't1'"), "Dig");
    backend.sql(|sql| sql.execute_batch("UPDATE list SET name = 'B'"));
    device.synced();
    assert_equal(&device, &backend, &["list", "task"]);
}

/// Entities that were pulled apart are pulled from the lowest cursor. What the others had already comes
/// again then, and says nothing against what was done with it since.
#[test]
fn a_row_deleted_here_is_not_brought_back_by_a_pull_from_another_entity_s_cursor() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    server.changes(json!({"list": {}, "task": {}}));
    device.synced();
    let rows =
        json!({"task": {"created": [{"id": "gone", "title": "x"}, {"id": "stays", "title": "x"}]}});
    server.changes(rows.clone());
    assert_eq!(device.sync_only(&["task"])["state"], "synced");
    device.exec("DELETE FROM task WHERE id = 'gone'");
    server.changes(rows.clone());
    server.clear();
    let answer = device.synced();
    assert_eq!(device.ask("SELECT id FROM task"), "stays");
    assert_eq!(server.pushed()[0]["task"]["deleted"], json!(["gone"]));
    let warnings: Vec<&Value> = answer["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| &warning["code"])
        .collect();
    assert_eq!(warnings, [] as [&str; 0], "{answer}");
    // With nothing to come again, a created row is another's word.
    device.exec("DELETE FROM task");
    server.changes(rows);
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM task"), "2");
}

/// Both entities are asked for from the lower cursor, so the answer repeats what the other has seen.
#[test]
fn what_an_entity_is_told_again_undoes_nothing_that_was_done_since() {
    let backend = with_rows();
    let device = Device::new(&backend.sync_url());
    device.synced();
    backend.sql(|sql| {
        sql.execute_batch(
            "DELETE FROM task WHERE id = 't1'; INSERT INTO task (id) VALUES ('other')",
        )
    });
    device.sync_only(&["task"]);
    device.exec(
        "INSERT INTO task (id, title) VALUES ('t1', 'again'); DELETE FROM task WHERE id = 'other'",
    );
    let answer = device.synced();
    assert_eq!(answer["pushed"], 2, "{answer}");
    assert_eq!(
        device.ask("SELECT title FROM task WHERE id = 't1'"),
        "again"
    );
    assert_eq!(
        device.ask("SELECT count(*) FROM task WHERE id = 'other'"),
        "0"
    );
    device.synced();
    assert_equal(&device, &backend, &["list", "task"]);
    assert_eq!(device.pending(), "");
}

#[test]
fn only_the_named_entities_are_pushed() {
    let backend = with_rows();
    let device = Device::new(&backend.sync_url());
    device.synced();
    device.exec("UPDATE list SET name = 'mine'; UPDATE task SET title = 'mine' WHERE id = 't1'");
    device.sync_only(&["list"]);
    assert_eq!(device.pending(), "task|t1|updated|[\"title\"]");
    let push = pushes(&backend).pop().unwrap();
    assert_eq!(
        push.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["list"]
    );
    device.synced();
    assert_equal(&device, &backend, &["list", "task"]);
}

#[test]
fn a_table_added_later_gets_everything() {
    let backend = with_rows();
    let device = Device::with(SCHEMA, &["list"], &backend.sync_url());
    device.synced();
    device.ask("SELECT sync_track('task')");
    let answer = device.sync_only(&["list", "task"]);
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_equal(&device, &backend, &["list", "task"]);
}

#[test]
fn a_table_added_later_does_not_make_another_miss_deletes() {
    let backend = with_rows();
    let device = Device::with(SCHEMA, &["list"], &backend.sync_url());
    device.synced();
    // The first pull of `task` has no cursor: an answer to it lists no deletes.
    backend.sql(|sql| sql.execute_batch("DELETE FROM list WHERE id = 'l1'"));
    device.ask("SELECT sync_track('task')");
    device.sync_only(&["list", "task"]);
    device.sync_only(&["list", "task"]);
    assert_eq!(device.rows("list"), backend_rows(&backend, "list"));
    assert_equal(&device, &backend, &["task"]);
}

#[test]
fn cursors_that_differ_beyond_the_precision_of_doubles_are_told_apart() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    let (low, high) = ("1700000000000000001", "1700000000000000101");
    server.pull(&format!(r#"{{"changes":{{}},"timestamp":{low}}}"#));
    device.synced();
    server.pull(&format!(r#"{{"changes":{{}},"timestamp":{high}}}"#));
    device.sync_only(&["list"]);
    server.clear();
    // In both orders: the lower one must be asked from.
    for order in [["list", "task"], ["task", "list"]] {
        server.pull_raw(|_| support::status_answer(500, &[], ""));
        device.sync_only(&order);
    }
    let asked: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| query(&seen.path, "last_pulled_at").unwrap())
        .collect();
    assert!(asked.iter().all(|cursor| cursor == low), "{asked:?}");
}

#[test]
fn a_table_dropped_and_made_again_gets_everything_again() {
    let backend = with_rows();
    let device = Device::new(&backend.sync_url());
    device.synced();
    device.exec("DROP TABLE task");
    device.exec(
        SCHEMA
            .rsplit_once("CREATE TABLE task")
            .map(|(_, rest)| format!("CREATE TABLE task{rest}"))
            .unwrap()
            .as_str(),
    );
    device.ask("SELECT sync_track('task')");
    device.synced();
    assert_equal(&device, &backend, &["list", "task"]);
    assert_eq!(
        backend_rows(&backend, "task").len(),
        2,
        "the drop was no delete of rows"
    );
}

#[test]
fn a_table_untracked_and_tracked_again_agrees_with_the_backend() {
    let backend = with_rows();
    let device = Device::new(&backend.sync_url());
    device.synced();
    device.ask("SELECT sync_untrack('task')");
    backend.sql(|sql| sql.execute_batch("INSERT INTO task (id, title) VALUES ('t9', 'later')"));
    device.exec("DELETE FROM task");
    device.ask("SELECT sync_track('task')");
    device.synced();
    assert_equal(&device, &backend, &["list", "task"]);
}

#[test]
fn no_entities_is_a_sync_without_a_request() {
    let backend = with_rows();
    let device = Device::new(&backend.sync_url());
    let answer = device.sync_only(&[]);
    assert_eq!(answer["state"], "synced");
    assert!(seen(&backend).is_empty());
    let text = device.ask("SELECT sync_entities(NULL, 'api', '[\"list\"]')");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&answer["instanceId"], &answer["state"]),
        (&Value::Null, &json!("synced"))
    );
}

/// WatermelonDB checklist, line 15: the client puts two columns into every table, we put none.
#[test]
fn the_application_s_tables_stay_as_they_were() {
    let backend = with_rows();
    let schema = format!(
        "{SCHEMA} CREATE INDEX by_n ON task (n); CREATE VIEW open AS SELECT id FROM task WHERE NOT done;
         CREATE TRIGGER own AFTER DELETE ON list BEGIN DELETE FROM task WHERE note = old.id; END;"
    );
    let plain = rusqlite::Connection::open_in_memory().expect("a database");
    plain.execute_batch(&schema).expect("schema");
    let device = Device::with(&schema, &["list", "task"], &backend.sync_url());
    device.synced();
    device.exec("UPDATE task SET n = 7; DELETE FROM list; INSERT INTO task (id) VALUES ('x')");
    device.synced();
    device.synced();
    let theirs = "SELECT type, name, tbl_name, sql FROM sqlite_schema \
                  WHERE name NOT LIKE '\\_sync%' ESCAPE '\\' AND tbl_name NOT LIKE '\\_sync%' ESCAPE '\\' \
                  AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1, 2";
    assert_eq!(device.ask(theirs), support::ask(&plain, theirs));
    assert!(support::ask(&plain, theirs).contains("TRIGGER own"));
    device.ask("SELECT sync_untrack('list'), sync_untrack('task')");
    let about = "SELECT type, name FROM sqlite_schema \
                 WHERE tbl_name IN ('list', 'task') AND sql IS NOT NULL ORDER BY 1, 2";
    assert_eq!(device.ask(about), support::ask(&plain, about));
}
