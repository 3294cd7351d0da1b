//! Answers that break the protocol, or nearly: what is refused whole, and what is put up with.

use serde_json::{Value, json};
use support::{Canned, Device, query};

/// A device that has synced once: rows a and b, one edit pending.
fn start() -> (Canned, Device) {
    let server = Canned::start();
    let device = Device::new(&server.url());
    server.pull(
        r#"{"changes":{"task":{"created":[{"id":"a","title":"A","done":true,"n":1,"note":"x"},
            {"id":"b","title":"B"}]}},"timestamp":10}"#,
    );
    device.synced();
    device.exec("UPDATE task SET note = 'mine' WHERE id = 'b'");
    server.clear();
    (server, device)
}

/// Everything that must not change when an answer is refused.
fn picture(device: &Device) -> String {
    device.ask(
        "SELECT * FROM (SELECT 'task', id, title, done, n, note FROM task
         UNION ALL SELECT 'list', id, name, 0, 0, 0 FROM list
         UNION ALL SELECT 'log', seq, tbl, op, mask, pk FROM _syncChange
         UNION ALL SELECT 'cursor', entity, cursor, 0, 0, 0 FROM _syncCursor) ORDER BY 1, 2",
    )
}

/// The answer is refused as a whole: nothing applied, no push, cursor kept; later syncs work.
fn refuses(answer: &str) {
    let (server, device) = start();
    let before = picture(&device);
    server.pull(answer);
    let error = device.failed();
    let shown: String = answer.chars().take(200).collect();
    assert_eq!(error["class"], "protocol", "{shown}: {error}");
    assert_eq!(error["code"], "SYNC_ERROR_PROTOCOL", "{shown}: {error}");
    assert_eq!(error["retryable"], false);
    assert_eq!(picture(&device), before, "{shown}");
    assert_eq!(server.seen().len(), 1, "{shown}: no push");
    device.synced();
    assert_eq!(device.pending(), "");
}

/// The answer is taken. Gives the rows of `task` and the summary.
fn takes(answer: &str) -> (String, Value) {
    let (server, device) = start();
    server.pull(answer);
    let summary = device.sync();
    assert_eq!(summary["state"], "synced", "{answer}: {summary}");
    assert_eq!(
        (device.pending(), device.log()),
        ("".into(), "0".into()),
        "{answer}"
    );
    (
        device.ask("SELECT id, title, done, n, note FROM task WHERE id NOT IN ('a', 'b')"),
        summary,
    )
}

fn warned(summary: &Value) -> bool {
    summary["warnings"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
}

/// A good row first, so that a half-applied answer would show.
fn with_row(row: &str) -> String {
    format!(
        r#"{{"changes":{{"list":{{"created":[{{"id":"l","name":"good"}}]}},
            "task":{{"created":[{{"id":"good"}},{row}],"updated":[],"deleted":["a"]}}}},"timestamp":20}}"#
    )
}

#[test]
fn rows_that_refuse_the_whole_answer() {
    for row in [
        r#"{"id":"c","_status":"synced"}"#,
        r#"{"id":"c","_changed":""}"#,
        r#"{"title":"no id"}"#,
        r#"{"id":null}"#,
        r#"{"id":true}"#,
        r#"{"id":1.5}"#,
        r#"{"id":[1]}"#,
        r#"{"id":{"a":1}}"#,
        "5",
        r#""text""#,
        "null",
        "[]",
        "true",
        "{}",
        r#"{"id":"c","_status":null}"#,
        r#"{"_status":"created","id":"c"}"#,
        r#"{"id":-0.5}"#,
    ] {
        refuses(&with_row(row));
        let updated = with_row(row).replace("created", "updated");
        refuses(&updated);
    }
}

#[test]
fn ids_in_deleted_that_refuse_the_whole_answer() {
    for id in ["null", "true", "1.5", "[\"a\"]", "{\"id\":\"a\"}"] {
        refuses(&format!(
            r#"{{"changes":{{"task":{{"created":[{{"id":"good"}}],"deleted":["b",{id}]}}}},"timestamp":20}}"#
        ));
    }
}

#[test]
fn timestamps_that_refuse_the_whole_answer() {
    for timestamp in [
        "0", "-1", "\"20\"", "null", "true", "[20]", "{}", "-0.0", "1e999", "\"\"",
    ] {
        refuses(&format!(
            r#"{{"changes":{{"task":{{"created":[{{"id":"good"}}]}}}},"timestamp":{timestamp}}}"#
        ));
    }
    refuses(r#"{"changes":{"task":{"created":[{"id":"good"}]}}}"#);
    refuses(r#"{"timestamp":0,"changes":{"task":{"created":[{"id":"good"}]}}}"#);
}

#[test]
fn shapes_that_refuse_the_whole_answer() {
    let rows = r#"{"created":[{"id":"good"}]}"#;
    for answer in [
        "[]",
        "5",
        "null",
        "\"x\"",
        "{",
        "",
        "   ",
        "{}",
        "{\"timestamp\":20}",
        "{\"error\":\"boom\",\"timestamp\":20}",
        "{\"timestamp\":20,}",
        &format!(r#"{{"changes":{{"task":{rows}}},"timestamp":20"#),
        &format!(r#"{{"changes":{{"task":{rows}}},"timestamp":20}} trailing"#),
        &format!(r#"{{"changes":{{"task":{rows}}},"timestamp":20}}{{}}"#),
        &format!(r#"{{"changes":[{rows}],"timestamp":20}}"#),
        &format!(r#"{{"changes":{{"task":{rows},"list":[]}},"timestamp":20}}"#),
        &format!(r#"{{"changes":{{"task":{rows},"list":"x"}},"timestamp":20}}"#),
        &format!(r#"{{"changes":{{"task":{rows},"list":{{"created":{{}}}}}},"timestamp":20}}"#),
        &format!(r#"{{"changes":{{"task":{rows},"list":{{"deleted":"a"}}}},"timestamp":20}}"#),
        &format!(r#"{{"changes":{{"task":{rows},"list":{{"updated":5}}}},"timestamp":20}}"#),
        &format!(
            r#"{{"changes":{{"task":{rows}}},"timestamp":20,"experimentalStrategy":"other"}}"#
        ),
        "{\"changes\":{\"task\":{\"created\":[{\"id\":\"good\"},{\"id\":\"c\",\"title\":\"a\nb\"}]}},\"timestamp\":20}",
        r#"{"changes":{"task":{"created":[{"id":"good"},{"id":"c","n":01}]}},"timestamp":20}"#,
        r#"{"changes":{"task":{"created":[{"id":"good"},{"id":"c","n":NaN}]}},"timestamp":20}"#,
        r#"{"changes":{"task":{"created":[{"id":"good"},,{"id":"c"}]}},"timestamp":20}"#,
        r#"{"changes":{"task":{"created":[{"id":"good"},]}},"timestamp":20}"#,
        r#"{"changes":{"task":{"created":[{"id":"good"}}},"timestamp":20}"#,
    ] {
        refuses(answer);
    }
}

#[test]
fn an_answer_that_is_not_utf8_is_refused() {
    let (server, device) = start();
    let before = picture(&device);
    let mut body = br#"{"changes":{"task":{"created":[{"id":"good"},{"id":"c","title":"@@"}]}},"timestamp":20}"#.to_vec();
    let place = body.windows(2).position(|two| two == b"@@").unwrap();
    body[place] = 0xff;
    body[place + 1] = 0xfe;
    server.pull_raw(move |_| {
        let head = support::head(200, &[("Content-Length", &body.len().to_string())]);
        [head.as_bytes(), &body].concat()
    });
    assert_eq!(device.failed()["class"], "protocol");
    assert_eq!(picture(&device), before);
}

#[test]
fn v4_huge_nesting_is_kept_aside_or_passed_over() {
    for depth in [100_000, 200] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inner = if open == "[" { "" } else { "1" };
            let nest = open.repeat(depth) + inner + &close.repeat(depth);
            let kept = with_row(&format!(r#"{{"id":"c","title":{nest}}}"#));
            let passed = with_row(&format!(r#"{{"id":"c","unknown":{nest}}}"#));
            let changes = r#""changes":{"task":{"created":[{"id":"good"},{"id":"c"}]}"#;
            let beside = format!(r#"{{{changes}}},"timestamp":20,"x":{nest}}}"#);
            let table = format!(r#"{{{changes},"z":{nest}}},"timestamp":20}}"#);
            // What is beside the changes is shown in the answer of the sync, unless it is long.
            if depth == 200 {
                refuses(&beside);
            }
            for answer in [kept, passed, table] {
                let (rows, _) = takes(&answer);
                assert_eq!(rows, "good|NULL|0|NULL|NULL\nc|NULL|0|NULL|NULL");
            }
            refuses(&open.repeat(depth));
        }
        refuses(&"{\"changes\":".repeat(depth));
    }
}

#[test]
fn what_is_missing_or_null_is_empty() {
    for answer in [
        r#"{"changes":null,"timestamp":20}"#,
        r#"{"changes":{},"timestamp":20}"#,
        // PHP writes an empty map so.
        r#"{"changes":[],"timestamp":20}"#,
        r#"{"changes":{"task":null},"timestamp":20}"#,
        r#"{"changes":{"task":{}},"timestamp":20}"#,
        r#"{"changes":{"task":{"created":null,"updated":null,"deleted":null}},"timestamp":20}"#,
        r#"{"changes":{"task":{"deleted":[]}},"timestamp":20,"experimentalStrategy":null}"#,
        " \r\n\t{ \"timestamp\" : 20 , \"changes\" : { \"task\" : { \"created\" : [ ] } } } \n",
        r#"{"changes":{},"timestamp":20,"experimentalStrategy":"incremental"}"#,
    ] {
        let (rows, summary) = takes(answer);
        assert_eq!(
            (rows.as_str(), &summary["pulled"]),
            ("", &json!(0)),
            "{answer}"
        );
    }
}

#[test]
fn integer_ids_are_their_decimal_text() {
    let (server, device) = start();
    server.pull(
        r#"{"changes":{"task":{"created":[{"id":7,"title":"seven"},{"id":-3},{"id":9007199254740993},
            {"id":18446744073709551615},{"id":0}]}},"timestamp":20}"#,
    );
    device.synced();
    assert_eq!(
        device.ask("SELECT id, typeof(id) FROM task WHERE id NOT IN ('a', 'b') ORDER BY id"),
        "-3|text\n0|text\n18446744073709551615|text\n7|text\n9007199254740993|text"
    );
    server.clear();
    server.pull(
        r#"{"changes":{"task":{"updated":[{"id":7,"title":"SEVEN"}],"deleted":[-3,9007199254740993,0]}},"timestamp":21}"#,
    );
    device.synced();
    assert_eq!(
        device.ask("SELECT id, title FROM task WHERE id NOT IN ('a', 'b') ORDER BY id"),
        "18446744073709551615|NULL\n7|SEVEN"
    );
    assert_eq!(
        server.seen().len(),
        1,
        "no new records are made up and pushed back"
    );
}

#[test]
fn an_empty_id_is_an_id() {
    let (rows, _) =
        takes(r#"{"changes":{"task":{"created":[{"id":"","title":"e"}]}},"timestamp":20}"#);
    assert_eq!(rows, "|e|0|NULL|NULL");
}

#[test]
fn of_the_same_id_twice_the_last_wins_with_a_warning() {
    for answer in [
        r#"{"changes":{"task":{"created":[{"id":"c","title":"1","n":1},{"id":"c","title":"2"}]}},"timestamp":20}"#,
        r#"{"changes":{"task":{"updated":[{"id":"c","title":"1","n":1},{"id":"c","title":"2"}]}},"timestamp":20}"#,
        r#"{"changes":{"task":{"created":[{"id":"c","title":"1","n":1}],"updated":[{"id":"c","title":"2"}]}},"timestamp":20}"#,
        r#"{"changes":{"task":{"updated":[{"id":"c","title":"1","n":1}],"created":[{"id":"c","title":"2"}]}},"timestamp":20}"#,
    ] {
        let (rows, summary) = takes(answer);
        assert!(rows.starts_with("c|2|"), "{answer}: {rows}");
        assert!(warned(&summary), "{answer}: {summary}");
    }
}

#[test]
fn of_the_same_id_twice_the_last_wins_over_a_row_edited_and_deleted_here_too() {
    let (server, device) = start();
    device.exec("UPDATE task SET title = 'edited' WHERE id = 'a'; DELETE FROM task WHERE id = 'a'");
    server.pull(
        r#"{"changes":{"task":{"created":[{"id":"a","title":"1"},{"id":"a","title":"2"}]}},"timestamp":20}"#,
    );
    device.synced();
    assert_eq!(device.ask("SELECT title FROM task WHERE id = 'a'"), "2");
    assert_eq!((device.pending(), device.log()), ("".into(), "0".into()));
}

#[test]
fn deleted_wins_over_created_and_updated_with_a_warning_whatever_the_order() {
    let upsert = r#""created":[{"id":"c","title":"1"}],"updated":[{"id":"a","title":"1"}]"#;
    let deleted = r#""deleted":["c","a"]"#;
    for set in [format!("{upsert},{deleted}"), format!("{deleted},{upsert}")] {
        let (server, device) = start();
        server.pull(&format!(
            r#"{{"changes":{{"task":{{{set}}}}},"timestamp":20}}"#
        ));
        let summary = device.synced();
        assert_eq!(device.ask("SELECT id FROM task"), "b", "{set}");
        assert_eq!((device.pending(), device.log()), ("".into(), "0".into()));
        assert!(warned(&summary), "{set}: {summary}");
    }
}

#[test]
fn unknown_tables_and_columns_are_passed_over() {
    let (rows, _) = takes(
        r#"{"changes":{"ghost":{"created":[{"no":"id"},5],"deleted":[null]},"ghost2":7,
            "__proto__":{"created":[{"id":"x"}]},"constructor":[1,{"a":[]}],
            "sqlite_master":{"deleted":["x"]},"_syncScope":{"created":[{"id":"x"}]},
            "task":{"created":[{"id":"c","title":"t","ghost":{"a":[1]},"__proto__":1,"constructor":null,
              "rowid":99,"toString":"x"}],"whatever":[1,2]}},"timestamp":20}"#,
    );
    assert_eq!(rows, "c|t|0|NULL|NULL");
}

#[test]
fn unknown_tables_are_worth_one_warning() {
    let (_, summary) = takes(
        r#"{"changes":{"ghost":{"created":[{"id":"1"},{"id":"2"}]},"task":{}},"timestamp":20}"#,
    );
    assert_eq!(
        summary["warnings"].as_array().map(Vec::len),
        Some(1),
        "{summary}"
    );
}

#[test]
fn values_of_the_wrong_type_are_replaced_and_never_coerced() {
    let (rows, _) = takes(
        r#"{"changes":{"task":{"created":[
            {"id":"c","title":5,"done":"true","n":"5","note":true},
            {"id":"d","title":{"a":1},"done":null,"n":true,"note":[]},
            {"id":"e","title":null,"done":2,"n":null,"note":""},
            {"id":"f","title":"x","done":1.0,"n":1e308,"note":"\u0041"},
            {"id":"g","done":0}]}},"timestamp":20}"#,
    );
    assert_eq!(
        rows,
        format!(
            "c|NULL|0|NULL|NULL\nd|NULL|0|NULL|NULL\ne|NULL|0|NULL|\nf|x|1|{}|A\ng|NULL|0|NULL|NULL",
            1e308_f64
        )
    );
}

/// The client takes both: a string that JavaScript has cut in the middle of a pair, and what a number
/// beyond every double becomes.
#[test]
fn half_a_surrogate_pair_and_a_number_without_bounds_do_not_stop_the_sync() {
    let (rows, _) = takes(
        r#"{"changes":{"task":{"created":[{"id":"c","title":"cut \ud83d","n":1e400,"zzz":"\ude00"}],
            "deleted":["\udc00"]}},"timestamp":20,"more":["\ud800",-1e400]}"#,
    );
    assert_eq!(rows, "c|cut \u{fffd}|0|NULL|NULL");
}

#[test]
fn required_columns_fall_back_to_empty_values() {
    let server = Canned::start();
    let schema = "CREATE TABLE r (id TEXT PRIMARY KEY NOT NULL, s TEXT NOT NULL, n INTEGER NOT NULL,
        b BOOLEAN NOT NULL, d TEXT NOT NULL DEFAULT 'dflt', r REAL NOT NULL DEFAULT 2.5, e DEFAULT (1 + 1))";
    let device = Device::with(schema, &["r"], &server.url());
    server.pull(
        r#"{"changes":{"r":{"created":[{"id":"1"},{"id":"2","s":null,"n":null,"b":null,"d":null,"r":null,"e":null},
            {"id":"3","s":1,"n":"1","b":"1","d":1,"r":"1","e":"any"}]}},"timestamp":1}"#,
    );
    device.synced();
    assert_eq!(
        device.ask("SELECT * FROM r"),
        "1||0|0|dflt|2.5|2\n2||0|0||0|NULL\n3||0|0||0|any"
    );
    // An explicit null in an update counts; a missing key does not.
    server.pull(r#"{"changes":{"r":{"updated":[{"id":"1","d":null,"n":7}]}},"timestamp":2}"#);
    device.synced();
    assert_eq!(
        device.ask("SELECT * FROM r WHERE id = '1'"),
        "1||7|0||2.5|2"
    );
    assert_eq!(device.log(), "0");
}

#[test]
fn quotes_in_ids_and_names_are_inert() {
    let server = Canned::start();
    let schema = r#"CREATE TABLE "we""ird'; --" ("i'd" TEXT PRIMARY KEY NOT NULL, "co""l" TEXT, "a b" INTEGER, "select" BOOLEAN)"#;
    let device = Device::with(schema, &[], &server.url());
    device.ask(r#"SELECT sync_track('we"ird''; --')"#);
    let device = Device {
        entities: vec!["we\"ird'; --".into()],
        ..device
    };
    let ids = [
        "') or 1=1 --",
        "'; DROP TABLE x; --",
        "\"",
        "a/b?c&d=e#f",
        "\\",
        "żółw🐢",
        "%00",
        "\u{1}",
    ];
    let rows: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "co\"l": id, "a b": 1, "select": true}))
        .collect();
    server.changes(json!({"we\"ird'; --": {"created": rows}}));
    device.synced();
    assert_eq!(
        device.ask(r#"SELECT count(*), sum("a b") FROM "we""ird'; --" WHERE "i'd" = "co""l""#),
        "8|8"
    );
    device.exec(r#"UPDATE "we""ird'; --" SET "co""l" = 'x'"#);
    server.clear();
    device.synced();
    let push = &server.pushed()[0]["we\"ird'; --"]["updated"];
    let sent: Vec<&str> = push
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(sent, ids);
    assert_eq!(push[0]["_changed"], "co\"l");
    server.changes(json!({"we\"ird'; --": {"deleted": ids}}));
    device.synced();
    assert_eq!(device.ask(r#"SELECT count(*) FROM "we""ird'; --""#), "0");
    assert!(query(&server.seen()[0].path, "tables").is_some_and(|tables| !tables.contains('\'')));
}

#[test]
fn an_integer_key_takes_integers_and_their_text_and_holds_the_rest() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE i (id INTEGER PRIMARY KEY, x TEXT)",
        &["i"],
        &server.url(),
    );
    server.pull(
        r#"{"changes":{"i":{"created":[{"id":1,"x":"a"},{"id":"2","x":"b"},{"id":"-9223372036854775808"}]}},"timestamp":1}"#,
    );
    device.synced();
    server
        .pull(r#"{"changes":{"i":{"updated":[{"id":"1","x":"A"}],"deleted":[2]}},"timestamp":2}"#);
    device.synced();
    assert_eq!(
        device.ask("SELECT * FROM i"),
        "-9223372036854775808|NULL\n1|A"
    );
    for id in [
        "\"x\"",
        "\"\"",
        "\"01\"",
        "\"1.0\"",
        "9223372036854775808",
        "\" 1\"",
        "\"+1\"",
    ] {
        server.pull(&format!(
            r#"{{"changes":{{"i":{{"created":[{{"id":1,"x":"A"}},{{"id":{id}}}]}}}},"timestamp":3}}"#
        ));
        device.synced();
        assert_eq!(device.ask("SELECT count(*) FROM i"), "2", "{id}");
        let held = "SELECT count(*) FROM sync_held WHERE reason = 'key' AND key = ";
        let id = id.trim_matches('"');
        assert_eq!(device.ask(&format!("{held}'{id}'")), "1", "{id}");
    }
    device.exec("INSERT INTO i (x) VALUES ('own'); DELETE FROM i WHERE id < 0; UPDATE i SET x = 'B' WHERE id = 1");
    server.clear();
    device.synced();
    let push = &server.pushed()[0]["i"];
    assert_eq!(push["created"][0]["id"], "2");
    assert_eq!(
        (&push["updated"][0]["id"], &push["deleted"]),
        (&json!("1"), &json!(["-9223372036854775808"]))
    );
}

#[test]
fn a_table_named_twice_in_an_answer_counts_twice() {
    let (rows, _) = takes(
        r#"{"changes":{"task":{"created":[{"id":"c"}]},"task":{"created":[{"id":"d"}]}},"timestamp":20}"#,
    );
    assert_eq!(rows, "c|NULL|0|NULL|NULL\nd|NULL|0|NULL|NULL");
}

#[test]
fn misbehaviour_of_the_reference_backend_that_is_put_up_with() {
    use support::{Backend, SCHEMA, assert_equal};
    for fault in [
        json!({"duplicates": true}),
        json!({"outOfOrder": true}),
        json!({"omitEmpty": true}),
        json!({"zeroOne": true}),
        json!({"allUpdated": true}),
        json!({"allCreated": true}),
        json!({"numericIds": true}),
        json!({"extra": {"changesets": 3}}),
        json!({"duplicates": true, "outOfOrder": true, "zeroOne": true}),
    ] {
        let backend = Backend::start(SCHEMA);
        backend.faults().add(fault.clone());
        let insert = "INSERT INTO task VALUES ('a', 'A', 1, 1, 'x'), ('b', 'B', 0, NULL, NULL), ('c', '', 0, 0, '')";
        backend.sql(|sql| sql.execute_batch(insert));
        let device = Device::new(&backend.sync_url());
        device.exec("INSERT INTO list VALUES ('l', 'mine')");
        device.synced();
        backend.sql(|sql| {
            sql.execute_batch("UPDATE task SET done = NOT done, n = 7 WHERE id = 'a'; DELETE FROM task WHERE id = 'b'")
        });
        device.exec("UPDATE task SET title = 'edited'");
        device.synced();
        device.synced();
        assert_equal(&device, &backend, &["list", "task"]);
        assert_eq!(
            (device.pending(), device.log()),
            ("".into(), "0".into()),
            "{fault}"
        );
    }
}

/// A server that shows a new row to everybody shows it to whoever made it too.
#[test]
fn an_own_row_that_comes_back_as_created_causes_no_warning() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    device.exec("INSERT INTO task (id, title) VALUES ('a', 'mine'), ('b', 'mine too')");
    device.sync_only(&["task"]);
    server.changes(json!({"task": {"created": [
        {"id": "a", "title": "mine", "done": false, "n": null, "note": null},
        {"id": "b", "title": "corrected by the server", "done": false, "n": null, "note": null}]}}));
    let answer = device.sync_only(&["task"]);
    assert_eq!(answer["warnings"], json!([]), "{answer}");
    assert_eq!(
        device.ask("SELECT title FROM task WHERE id = 'b'"),
        "corrected by the server"
    );
    // Somebody else's row that is here already is still one.
    for _ in 0..2 {
        server
            .changes(json!({"task": {"created": [{"id": "c", "title": "theirs", "done": false}]}}));
        device.sync_only(&["task"]);
    }
    let answer = device.ask("SELECT summary FROM _syncRun ORDER BY id DESC LIMIT 1");
    assert!(answer.contains("announcedWrongly"), "{answer}");
}
