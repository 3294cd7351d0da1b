//! Every option of the watermelon provider: what it does to the requests, or to the rows.

use serde_json::{Value, json};
use support::backend::{Kind, Moment};
use support::{
    Backend, Canned, Device, SCHEMA, Seen, assert_equal, file_holds, hold_at, json_answer, query,
    status_answer,
};

/// A device for [`SCHEMA`] with some options.
fn pulls(server: &Canned) -> Vec<Seen> {
    let seen = server.seen().into_iter();
    seen.filter(|seen| !seen.is_push()).collect()
}

fn pushes(server: &Canned) -> Vec<Seen> {
    let seen = server.seen().into_iter();
    seen.filter(Seen::is_push).collect()
}

const TASK: &str = "INSERT INTO task (id, title, done) VALUES ('a', 'A', 1)";

fn empty() -> Value {
    json!({"created": [], "updated": [], "deleted": []})
}

// -------------------------------------------------------------------------------------- requests

#[test]
fn requests_follow_their_templates() {
    let server = Canned::start();
    let device = Device::with_options(
        &server.url(),
        json!({"params": {"user": "a b/ü", "list": [1, "x"]}, "schemaVersion": 4,
            "pullMethod": "POST", "pullUrl": "/pull/{param:user}?v={schemaVersion}&since={lastPulledAt}",
            "pullBody": {"since": "{lastPulledAt}", "schema": "{schemaVersion}", "migrations": "{migration}",
                "who": "{param:user}", "said": "for {param:user}", "list": "{param:list}", "fixed": [true, null, 1.5]},
            "pushMethod": "PUT", "pushUrl": "/store?since={lastPulledAt}",
            "pushBody": "{\"rows\": {changes}, \"since\": {lastPulledAt}, \"user\": {param:user}}",
            "headers": {"X-Since": "{lastPulledAt}", "X-User": "u-{param:list}"}}),
    );
    server.pull(r#"{"changes":{},"timestamp":1.50}"#);
    device.synced();
    server.clear();
    device.exec(TASK);
    device.synced();
    let (pull, push) = (&pulls(&server)[0], &pushes(&server)[0]);
    assert_eq!(
        (pull.method.as_str(), pull.path.as_str()),
        ("POST", "/sync/pull/a%20b%2F%C3%BC?v=4&since=1.50")
    );
    assert_eq!(
        pull.body,
        r#"{"since":1.50,"schema":4,"migrations":null,"who":"a b/ü","said":"for a b/ü","list":[1,"x"],"fixed":[true,null,1.5]}"#
    );
    assert_eq!(pull.header("content-type"), Some("application/json"));
    assert_eq!(
        (pull.header("x-since"), pull.header("x-user")),
        (Some("1.50"), Some("u-[1,\"x\"]"))
    );
    let cursor = device.cursor("task");
    assert_eq!(push.method, "PUT");
    assert_eq!(push.path, format!("/sync/store?since={cursor}"));
    assert_eq!(push.header("x-since"), Some(cursor.as_str()));
    let body = push.json();
    assert_eq!(
        (&body["since"].to_string(), &body["user"]),
        (&cursor, &json!("a b/ü"))
    );
    assert_eq!(body["rows"]["task"]["created"][0]["id"], "a");
    assert_eq!(device.pending(), "");
}

#[test]
fn the_query_of_the_url_stays_and_addresses_of_their_own_stand_alone() {
    let (server, other) = (Canned::start(), Canned::start());
    let push = format!("{}/elsewhere?key=2", other.origin());
    let url = format!("{}?key=1", server.url());
    let keys = json!({"pullUrl": "/pull?a=1", "pushUrl": push});
    let device = Device::configured(SCHEMA, &["task"], &url, keys);
    device.exec(TASK);
    device.synced();
    assert_eq!(server.seen()[0].path, "/sync/pull?key=1&a=1");
    assert_eq!(
        (server.seen().len(), other.seen()[0].path.as_str()),
        (1, "/elsewhere?key=2")
    );
}

#[test]
fn the_url_may_have_placeholders_too() {
    let server = Canned::start();
    let port = server
        .origin()
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    let url = "http://127.0.0.1:{param:port}/of/{param:who}";
    let keys = json!({"params": {"port": port.parse::<u16>().expect("a port"), "who": "a/b"}});
    let device = Device::configured(SCHEMA, &["task"], url, keys);
    device.synced();
    assert!(
        server.seen()[0]
            .path
            .starts_with("/of/a%2Fb?last_pulled_at=null&")
    );
}

#[test]
fn the_first_token_stands_for_the_missing_cursor() {
    for (token, parameter, member) in [
        (json!(null), Some("null"), Some(json!(null))),
        (json!(0), Some("0"), Some(json!(0))),
        (json!("omitted"), None, None),
        (json!("empty"), Some(""), Some(json!(""))),
    ] {
        let server = Canned::start();
        let device = Device::with_options(
            &server.url(),
            json!({"firstToken": token, "pullMethod": "POST", "pullUrl": "/pull?at={lastPulledAt}",
                "pullBody": {"x": 1, "at": "{lastPulledAt}"}}),
        );
        device.synced();
        device.synced();
        let seen = pulls(&server);
        assert_eq!(query(&seen[0].path, "at").as_deref(), parameter, "{token}");
        assert_eq!(seen[0].json().get("at"), member.as_ref(), "{token}");
        let cursor = query(&seen[1].path, "at").unwrap_or_default();
        assert_eq!(
            seen[1].json()["at"].to_string(),
            cursor,
            "only the first pull is special"
        );
    }
}

#[test]
fn tables_are_named_by_default_and_on_request() {
    for (keys, tables) in [
        (json!({}), Some("list%2Ctask")),
        (json!({"sendTables": false}), None),
        (json!({"pullUrl": "/pull"}), None),
        (
            json!({"pullUrl": "/pull", "sendTables": true}),
            Some("list%2Ctask"),
        ),
        (json!({"preset": "docs"}), None),
    ] {
        let server = Canned::start();
        Device::with_options(&server.url(), keys.clone()).synced();
        assert_eq!(
            query(&pulls(&server)[0].path, "tables").as_deref(),
            tables,
            "{keys}"
        );
    }
}

#[test]
fn other_entities_of_the_same_sync_are_no_strangers() {
    let server = Canned::start();
    let device = Device::with_options(&server.url(), json!({"sendTables": false}));
    device.sync_only(&["task"]);
    // One pull for the new entity, one for the other; both answers hold everything.
    let all = json!({"list": {"created": [{"id": "l"}]}, "task": {"created": [{"id": "t"}]}});
    server.changes(all.clone());
    server.changes(all);
    let answer = device.synced();
    assert_eq!(
        (&answer["inserted"], &answer["warnings"]),
        (&json!(2), &json!([])),
        "{answer}"
    );
}

#[test]
fn explicit_keys_win_over_the_preset() {
    let server = Canned::start();
    let keys = json!({"preset": "camel_query", "firstToken": null, "rejectedPath": "$.no", "pushBody": "{changes}"});
    let device = Device::configured(SCHEMA, &["task"], &server.origin(), keys);
    device.exec(TASK);
    server.push_raw(|_| json_answer(r#"{"no":[{"table":"task","id":"a","reason":"why not"}]}"#));
    device.synced();
    assert_eq!(
        server.seen()[0].path,
        "/pull?lastPulledAt=null&schemaVersion=1"
    );
    assert_eq!(server.pushed()[0]["task"]["created"][0]["id"], "a");
    assert_eq!(device.ask("SELECT rejected FROM sync_pending"), "why not");
}

// --------------------------------------------------------------------------------------- cursors

#[test]
fn opaque_cursors_go_back_as_they_came() {
    let server = Canned::start();
    let keys = json!({"cursorUnit": "opaque", "pushBody": {"changes": "{changes}", "at": "{lastPulledAt}"}});
    let device = Device::with_options(&server.url(), keys);
    for cursor in [r#""zz/é""#, r#""aa""#, "5", "1e3"] {
        server.pull(&format!(r#"{{"changes":{{}},"timestamp":{cursor}}}"#));
        assert_eq!(device.synced()["warnings"], json!([]), "never compared");
        assert_eq!(device.cursor("task"), cursor);
    }
    device.exec(TASK);
    server.clear();
    server.pull(r#"{"changes":{},"timestamp":"next one"}"#);
    device.synced();
    let (pull, push) = (&pulls(&server)[0], &pushes(&server)[0]);
    assert_eq!(query(&pull.path, "last_pulled_at").as_deref(), Some("1e3"));
    assert_eq!(
        query(&push.path, "last_pulled_at").as_deref(),
        Some("next%20one")
    );
    assert_eq!(push.json()["at"], "next one");
    // z3: any number or text is a cursor.
    for cursor in ["0", "-1.5"] {
        server.pull(&format!(r#"{{"changes":{{}},"timestamp":{cursor}}}"#));
        device.synced();
        assert_eq!(device.cursor("task"), cursor);
        server.clear();
        device.synced();
        assert_eq!(
            query(&pulls(&server)[0].path, "last_pulled_at").as_deref(),
            Some(cursor)
        );
    }
    for wrong in [r#""""#, "null", "[1]"] {
        server.pull(&format!(r#"{{"changes":{{}},"timestamp":{wrong}}}"#));
        assert_eq!(device.failed()["class"], "protocol", "{wrong}");
    }
}

#[test]
fn pulls_overlap_and_pushes_do_not() {
    for (keys, back) in [
        (json!({}), 0),
        (json!({"cursorUnit": "s"}), 1),
        (json!({"cursorUnit": "s", "overlap": 0}), 0),
        (json!({"overlap": 250}), 250),
    ] {
        let server = Canned::start();
        let device = Device::with_options(&server.url(), keys.clone());
        for timestamp in [1000, 2000] {
            server.pull(&format!(r#"{{"changes":{{}},"timestamp":{timestamp}}}"#));
            device.exec("INSERT INTO list (id) VALUES (hex(randomblob(8)))");
            device.synced();
        }
        let cursors: Vec<_> = server
            .seen()
            .iter()
            .map(|seen| query(&seen.path, "last_pulled_at").unwrap_or_default())
            .collect();
        // Before its cursor, and at it: see a2_ in tests/sync.
        let later = (1000 - back).to_string();
        let mut expected = vec!["null", "1000", later.as_str()];
        expected.extend((back > 0).then_some("1000"));
        expected.push("2000");
        assert_eq!(cursors, expected, "{keys}");
        assert_eq!(device.cursor("list"), "2000");
    }
}

/// Defect "second-resolution servers lose rows written in the second of the pull".
#[test]
fn rows_of_the_same_second_arrive_and_coming_again_harms_nothing() {
    let server = Canned::start();
    let device = Device::with_options(&server.url(), json!({"cursorUnit": "s"}));
    let old = json!([{"id": "old", "title": "x"}, {"id": "gone", "title": "y"}, {"id": "mine", "title": "z"}]);
    server.pull(&json!({"changes": {"task": {"created": old}}, "timestamp": 7}).to_string());
    device.synced();
    device.exec(
        "DELETE FROM task WHERE id = 'gone'; UPDATE task SET title = 'edited' WHERE id = 'mine'",
    );
    let before = device.log();
    let again = json!([{"id": "old", "title": "x"}, {"id": "gone", "title": "y"}, {"id": "mine", "title": "z"},
        {"id": "new", "title": "same second"}]);
    server.clear();
    server.pull(&json!({"changes": {"task": {"created": again}}, "timestamp": 7}).to_string());
    let answer = device.synced();
    assert_eq!(
        query(&pulls(&server)[0].path, "last_pulled_at").as_deref(),
        Some("6")
    );
    assert_eq!(
        (&answer["inserted"], &answer["unchanged"]),
        (&json!(1), &json!(2)),
        "{answer}"
    );
    assert_eq!(
        device.ask("SELECT id, title FROM task ORDER BY id"),
        "mine|edited\nnew|same second\nold|x"
    );
    let pushed = &server.pushed()[0]["task"];
    assert_eq!(
        (&pushed["deleted"], &pushed["updated"][0]["id"]),
        (&json!(["gone"]), &json!("mine"))
    );
    assert_eq!((before.as_str(), device.pending().as_str()), ("2", ""));
}

#[test]
fn rows_that_come_again_cause_no_warning_and_no_write() {
    let server = Canned::start();
    let device = Device::with_options(&server.url(), json!({"overlap": 1}));
    for _ in 0..2 {
        server.pull(
            r#"{"changes":{"list":{},"task":{"created":[{"id":"a","title":"A"}]}},"timestamp":7}"#,
        );
        assert_eq!(device.synced()["warnings"], json!([]));
    }
    assert_eq!(device.log(), "0");
    // What comes again and is different is told as ever.
    server.pull(
        r#"{"changes":{"list":{},"task":{"created":[{"id":"a","title":"B"}]}},"timestamp":8}"#,
    );
    assert_eq!(
        device.synced()["warnings"].as_array().map(Vec::len),
        Some(1)
    );
}

// --------------------------------------------------------------------------------------- answers

#[test]
fn timestamp_and_changes_stand_where_the_paths_say() {
    let server = Canned::start();
    let paths = json!({"timestampPath": "$.meta.server.now", "changesPath": "$.data.changes"});
    let device = Device::with_options(&server.url(), paths);
    // Long enough that it can't lie in one window of the reader.
    let rows: Vec<Value> = (0..4000)
        .map(|n| json!({"id": format!("r{n}"), "title": "x".repeat(200), "n": n}))
        .collect();
    server.pull(
        &json!({"meta": {"page": 1, "server": {"now": 77, "name": "s"}}, "changes": "not here",
            "data": {"count": 4000, "changes": {"task": {"created": rows}}}, "timestamp": 1})
        .to_string(),
    );
    let answer = device.synced();
    assert_eq!(
        (&answer["inserted"], device.cursor("task").as_str()),
        (&json!(4000), "77"),
        "{}",
        answer["error"]
    );
    assert_eq!(
        answer["rest"],
        json!({"meta": {"page": 1, "server": {"name": "s"}}, "changes": "not here", "data": {"count": 4000}, "timestamp": 1})
    );
    for wrong in [
        r#"{"changes":{},"timestamp":78}"#,
        r#"{"data":{"changes":{}},"meta":{"server":{}}}"#,
        r#"{"data":{"changes":{}},"meta":{"server":{"now":0}}}"#,
        r#"{"data":null,"meta":{"server":{"now":78}}}"#,
        r#"{"data":[{"changes":{}}],"meta":{"server":{"now":78}}}"#,
    ] {
        server.pull(wrong);
        assert_eq!(device.failed()["class"], "protocol", "{wrong}");
    }
    assert_eq!(device.cursor("task"), "77");
}

#[test]
fn an_empty_pull_answer_breaks_the_protocol_and_an_empty_push_answer_is_success() {
    let server = Canned::start();
    let device = Device::with_options(&server.url(), json!({}));
    device.exec(TASK);
    for (status, body) in [(204, ""), (200, ""), (200, "\"\""), (200, " ")] {
        server.clear();
        server.pull_raw(move |_| status_answer(status, &[], body));
        assert_eq!(device.failed()["class"], "protocol", "{status} {body:?}");
        assert_eq!(server.seen().len(), 1, "no push");
    }
    assert_eq!(device.pending(), "task|a|created|[]");
    for (status, body) in [
        (204, ""),
        (200, ""),
        (201, "\"\""),
        (200, "<html>"),
        (202, "[]"),
    ] {
        device.exec("INSERT INTO list (id) VALUES (hex(randomblob(8)))");
        server.push_raw(move |_| status_answer(status, &[], body));
        let answer = device.synced();
        assert_eq!(
            (device.pending(), &answer["rejected"]),
            (String::new(), &json!(0)),
            "{status} {body:?}"
        );
    }
}

#[test]
fn read_strictly_nothing_may_be_missing_or_stand_twice() {
    for answer in [
        r#"{"changes":null,"timestamp":9}"#,
        r#"{"changes":{"task":null},"timestamp":9}"#,
        r#"{"changes":{"task":{"created":[],"updated":[]}},"timestamp":9}"#,
        r#"{"changes":{"task":{"created":[],"updated":[],"deleted":null}},"timestamp":9}"#,
        r#"{"changes":{"task":{"created":[{"id":"x"},{"id":"x"}],"updated":[],"deleted":[]}},"timestamp":9}"#,
        r#"{"changes":{"task":{"created":[{"id":"x"}],"updated":[],"deleted":["x"]}},"timestamp":9}"#,
    ] {
        for (lenient, state) in [(true, "synced"), (false, "failed")] {
            let server = Canned::start();
            let device = Device::with_options(&server.url(), json!({"lenient": lenient}));
            server.pull(answer);
            let summary = device.sync();
            assert_eq!(summary["state"], state, "{answer}: {summary}");
            if !lenient {
                assert_eq!(summary["error"]["class"], "protocol");
                assert_eq!(device.ask("SELECT count(*) FROM task"), "0", "{answer}");
            }
        }
    }
    let server = Canned::start();
    let device = Device::with_options(&server.url(), json!({"lenient": false}));
    server.changes(json!({"task": {"created": [{"id": "x"}], "updated": [], "deleted": ["y"]}}));
    assert_eq!(device.synced()["inserted"], 1);
}

#[test]
fn client_columns_in_rows_may_be_passed_over() {
    let rows = r#"{"changes":{"task":{"created":[{"id":"x","_status":"synced","_changed":"title","title":"T"}]}},"timestamp":9}"#;
    let server = Canned::start();
    let device = Device::with_options(&server.url(), json!({"stripMeta": true}));
    server.pull(rows);
    device.synced();
    assert_eq!(device.ask("SELECT id, title FROM task"), "x|T");
    device.provider(&server.url(), json!({}));
    server.pull(rows);
    assert_eq!(device.failed()["class"], "protocol");
}

#[test]
fn numbers_may_be_read_as_in_javascript_and_values_converted() {
    let rows = r#"{"changes":{"task":{"created":[{"id":"x","n":9007199254740993},{"id":"y","n":"7","title":5,"done":"true"}]}},"timestamp":9}"#;
    for (keys, expected) in [
        (json!({}), "x|9007199254740993|NULL|0\ny|NULL|NULL|0"),
        (
            json!({"jsNumbers": true}),
            "x|9007199254740992|NULL|0\ny|NULL|NULL|0",
        ),
        (
            json!({"coerce": true}),
            "x|9007199254740993|NULL|0\ny|7|5|1",
        ),
    ] {
        let server = Canned::start();
        let device = Device::with_options(&server.url(), keys.clone());
        server.pull(rows);
        device.synced();
        assert_eq!(
            device.ask("SELECT id, n, title, done FROM task ORDER BY id"),
            expected,
            "{keys}"
        );
    }
}

#[test]
fn new_rows_may_come_as_updated_without_a_warning() {
    for (keys, warnings_of_updated, warnings_of_created) in [
        (json!({}), 1, 0),
        (json!({"sendCreatedAsUpdated": true}), 0, 1),
    ] {
        let server = Canned::start();
        let device = Device::with_options(&server.url(), keys.clone());
        let warnings = |changes: Value| {
            server.changes(json!({"list": {}, "task": changes}));
            let answer = device.synced();
            answer["warnings"].as_array().map_or(9, Vec::len)
        };
        assert_eq!(
            warnings(json!({"updated": [{"id": "a"}, {"id": "b"}], "created": []})),
            warnings_of_updated,
            "{keys}"
        );
        assert_eq!(
            warnings(json!({"updated": [{"id": "c"}]})),
            warnings_of_updated,
            "{keys}"
        );
        assert_eq!(
            warnings(json!({"created": [{"id": "d"}]})),
            warnings_of_created,
            "{keys}"
        );
        assert_eq!(device.ask("SELECT count(*) FROM task"), "4");
    }
}

// ------------------------------------------------------------------------------------ what is pushed

#[test]
fn rows_are_written_as_the_options_say() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, ok BOOLEAN, n INTEGER); CREATE TABLE u (id TEXT PRIMARY KEY NOT NULL)";
    for (keys, row, deleted, has_u) in [
        (
            json!({}),
            json!({"id": "1", "_status": "updated", "_changed": "ok", "ok": true, "n": 5}),
            json!("2"),
            true,
        ),
        (
            json!({"sendMeta": false, "boolAs": "0/1", "idAs": "number", "sendEmptyTables": false}),
            json!({"id": 1, "ok": 1, "n": 5}),
            json!(2),
            false,
        ),
        (
            json!({"boolAs": "true/false", "idAs": "string", "sendMeta": false}),
            json!({"id": "1", "ok": true, "n": 5}),
            json!("2"),
            true,
        ),
    ] {
        let server = Canned::start();
        let device = Device::configured(schema, &["t", "u"], &server.url(), keys.clone());
        server.changes(json!({"t": {"created": [{"id": 1, "ok": 0, "n": 5}, {"id": "2", "ok": true, "n": 6}]}}));
        device.synced();
        assert_eq!(
            device.ask("SELECT * FROM t"),
            "1|0|5\n2|1|6",
            "both forms are accepted"
        );
        device.exec("UPDATE t SET ok = 1 WHERE id = 1; DELETE FROM t WHERE id = 2");
        device.synced();
        let mut expected = json!({"t": {"created": [], "updated": [row], "deleted": [deleted]}});
        if has_u {
            expected["u"] = empty();
        }
        assert_eq!(server.pushed(), [expected], "{keys}");
        assert_eq!(device.pending(), "");
    }
}

#[test]
fn ids_that_were_sent_as_numbers_are_rejected_as_either() {
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)";
    let server = Canned::start();
    let device = Device::configured(schema, &["t"], &server.url(), json!({"idAs": "number"}));
    device.exec("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)");
    server.push_raw(|_| json_answer(r#"{"experimentalRejectedIds":{"t":[1,"3"]}}"#));
    device.synced();
    assert_eq!(device.pending(), "t|1|created|[]\nt|3|created|[]");
}

#[test]
fn rejected_rows_keep_their_reason() {
    let server = Canned::start();
    let keys = json!({"rejectedPath": "$.result.rejected", "rejectedFormat": "list", "token": "k"});
    let device = Device::with_options(&server.url(), keys);
    device.ask(&format!(
        "SELECT sync_secret('k', 'hunter2-token', '{}')",
        server.origin()
    ));
    device.exec("INSERT INTO task (id) VALUES ('a'), ('b'), ('c'), ('d'); INSERT INTO list (id) VALUES ('a')");
    server.push_raw(|_| {
        json_answer(
            r#"{"result":{"rejected":[{"table":"task","id":"a","reason":"too long"},{"table":"task","id":"b"},
                {"table":"task","id":"c","reason":"no hunter2-token please"}]},
                "timestamp":1,"changes":{"task":{"deleted":["d"]}}}"#,
        )
    });
    let answer = device.synced();
    assert_eq!(
        (&answer["pushed"], &answer["rejected"]),
        (&json!(2), &json!(3)),
        "{answer}"
    );
    assert_eq!(
        device.ask("SELECT pk, reason FROM _syncRejected ORDER BY pk"),
        "a|too long\nb|rejected by the backend\nc|no [secret] please"
    );
    assert_eq!(
        device.ask("SELECT key, rejected FROM sync_pending WHERE key = 'a'"),
        "a|too long"
    );
    assert!(
        !file_holds(&device.world.path(), "hunter2"),
        "no secret in the file"
    );
    device.synced();
    assert_eq!(
        (
            device.pending(),
            device.ask("SELECT count(*) FROM _syncRejected")
        ),
        (String::new(), "0".into())
    );
}

#[test]
fn a_push_answer_may_have_to_say_success() {
    let server = Canned::start();
    let device = Device::with_options(
        &server.url(),
        json!({"successPath": "$.ok", "retryOnce": false}),
    );
    device.exec(TASK);
    for body in [r#"{"ok":false,"why":"full"}"#, r#"{"ok":"true"}"#, "{}", ""] {
        server.push_raw(move |_| json_answer(body));
        let error = device.failed();
        assert_eq!(
            (&error["class"], &error["status"]),
            (&json!("server"), &json!(200)),
            "{body}"
        );
        assert_eq!(device.pending(), "task|a|created|[]", "{body}");
        assert_eq!(
            device.ask("SELECT count(*) FROM _syncPush"),
            "0",
            "refused, not unknown"
        );
    }
    server.push_raw(|_| json_answer(r#"{"ok":true}"#));
    device.synced();
    assert_eq!(device.pending(), "");
}

#[test]
fn a_refusal_by_success_is_answered_by_one_more_pull_and_push() {
    for (retry, requests) in [(true, 4), (false, 2)] {
        let server = Canned::start();
        let device = Device::with_options(
            &server.url(),
            json!({"successPath": "$.ok", "retryOnce": retry}),
        );
        device.exec(TASK);
        server.push_raw(|_| json_answer(r#"{"ok":false}"#));
        server.push_raw(|_| json_answer(r#"{"ok":true}"#));
        let answer = device.sync();
        assert_eq!(
            answer["state"],
            if retry { "synced" } else { "failed" },
            "{answer}"
        );
        assert_eq!(server.seen().len(), requests);
    }
}

// ---------------------------------------------------------------------------------- pushes in parts

/// Ids of each push, upserts and deletes, by table.
fn parts(server: &Canned) -> Vec<String> {
    let describe = |changes: &Value| {
        let mut words = Vec::new();
        for (table, lists) in changes.as_object().expect("tables") {
            for (kind, sign) in [("created", "+"), ("updated", "~"), ("deleted", "-")] {
                for row in lists[kind].as_array().expect("a list") {
                    let id = row["id"].as_str().or(row.as_str()).expect("an id");
                    words.push(format!("{sign}{table}.{id}"));
                }
            }
        }
        words.join(" ")
    };
    server.pushed().iter().map(describe).collect()
}

const FAMILY: &str = "
    CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent(id), n INTEGER);
    CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, n INTEGER);";

fn family(server: &Canned, batch: u64) -> Device {
    let keys = json!({"pushBatch": batch, "sendEmptyTables": false, "retryOnce": false,
        "splitRefused": false});
    Device::configured(FAMILY, &["child", "parent"], &server.url(), keys)
}

#[test]
fn parts_of_a_push_have_parents_first_and_deletes_last() {
    let server = Canned::start();
    let device = family(&server, 2);
    server.changes(json!({"parent": {"created": [{"id": "x"}, {"id": "y"}]}, "child": {"created": [{"id": "c", "parent": "x"}]}}));
    device.synced();
    device.exec(
        "DELETE FROM child WHERE id = 'c'; DELETE FROM parent WHERE id = 'x';
         UPDATE parent SET n = 1 WHERE id = 'y'; INSERT INTO parent (id) VALUES ('p'), ('q');
         INSERT INTO child (id, parent) VALUES ('1', 'p'), ('2', 'q'); INSERT INTO child (id) VALUES ('gone');
         DELETE FROM child WHERE id = 'gone'",
    );
    server.clear();
    let answer = device.synced();
    assert_eq!(
        parts(&server),
        [
            "+parent.p ~parent.y",
            "+child.1 +parent.q",
            "+child.2 -child.c",
            "-parent.x"
        ],
    );
    assert_eq!(
        (&answer["pushed"], &answer["requests"]),
        (&json!(7), &json!(5)),
        "{answer}"
    );
    assert_eq!(
        (device.pending(), device.log()),
        (String::new(), "0".into())
    );
    let states = device.ask("SELECT DISTINCT state FROM _syncPush WHERE pulls = 0");
    assert_eq!(states, "acknowledged");
}

#[test]
fn one_part_or_none_is_an_ordinary_push() {
    for batch in [0, 3, 1000] {
        let server = Canned::start();
        let device = family(&server, batch);
        device.synced();
        assert_eq!(server.seen().len(), 1, "nothing to push");
        device.exec("INSERT INTO parent (id) VALUES ('a'), ('b'), ('c')");
        device.synced();
        assert_eq!(parts(&server), ["+parent.a +parent.b +parent.c"], "{batch}");
    }
}

#[test]
fn each_part_is_acknowledged_on_its_own() {
    for (status, state) in [(409, "refused"), (500, "unknown")] {
        let server = Canned::start();
        let device = family(&server, 2);
        device.exec("INSERT INTO parent (id) VALUES ('a'), ('b'), ('c'), ('d'), ('e'), ('f')");
        server.push_raw(|_| json_answer("{}"));
        server.push_raw(move |_| status_answer(status, &[], "no"));
        assert_eq!(device.failed()["status"], status);
        assert_eq!(
            parts(&server),
            ["+parent.a +parent.b", "+parent.c +parent.d"]
        );
        assert_eq!(
            device.ask(
                "SELECT group_concat(key, '') FROM (SELECT key FROM sync_pending ORDER BY key)"
            ),
            "cdef"
        );
        let others =
            device.ask("SELECT group_concat(state) FROM (SELECT state FROM _syncPush ORDER BY id)");
        let expected = if state == "unknown" {
            "acknowledged,unknown"
        } else {
            "acknowledged"
        };
        assert_eq!(others, expected, "what was never sent leaves no trace");
        server.clear();
        device.synced();
        assert_eq!(
            parts(&server),
            ["+parent.c +parent.d", "+parent.e +parent.f"],
            "{status}"
        );
        assert_eq!(
            (device.pending(), device.log()),
            (String::new(), "0".into())
        );
    }
}

#[test]
fn rows_edited_or_rejected_between_parts_stay_pending() {
    let server = Canned::start();
    let device = family(&server, 2);
    device.exec("INSERT INTO parent (id) VALUES ('a'), ('b'), ('c'), ('d'), ('e')");
    let other = device.world.path();
    server.push_raw(move |_| {
        let db = rusqlite::Connection::open(&other).expect("the file");
        db.execute_batch(
            "UPDATE parent SET n = 1 WHERE id IN ('a', 'e'); DELETE FROM parent WHERE id = 'c';
             INSERT INTO parent (id) VALUES ('late')",
        )
        .expect("an edit");
        json_answer(r#"{"experimentalRejectedIds":{"parent":["b"]}}"#)
    });
    server.push_raw(|_| json_answer(r#"{"experimentalRejectedIds":{"parent":["b","d"]}}"#));
    let answer = device.synced();
    assert_eq!(
        parts(&server),
        ["+parent.a +parent.b", "+parent.c +parent.d", "+parent.e"]
    );
    assert_eq!(
        (&answer["pushed"], &answer["rejected"]),
        (&json!(3), &json!(2)),
        "{answer}"
    );
    assert_eq!(
        device.pending(),
        "parent|a|updated|[\"n\"]\nparent|b|created|[]\nparent|c|deleted|NULL\nparent|d|created|[]\n\
         parent|e|updated|[\"n\"]\nparent|late|created|[]"
    );
    server.clear();
    device.synced();
    assert_eq!(
        (device.pending(), device.log()),
        (String::new(), "0".into())
    );
}

#[test]
fn what_was_left_of_an_interrupted_push_goes_up_later() {
    let backend = Backend::start(FAMILY);
    let keys = json!({"pushBatch": 2});
    let device = Device::configured(FAMILY, &["child", "parent"], &backend.sync_url(), keys);
    device.ask("SELECT sync_start_scope('s', '[\"all\"]')");
    device.exec("INSERT INTO parent (id) VALUES ('a'), ('b'), ('c'), ('d'), ('e')");
    // The second part never gets an answer: it is interrupted while it waits.
    let second = hold_at(&backend, Kind::Push, Moment::Arrived, 1);
    let other = device.second();
    let watcher = std::thread::spawn({
        let path = device.world.path();
        move || {
            let reader = rusqlite::Connection::open(path).expect("the file");
            support::wait_for("the first part", || {
                let sql = "SELECT count(*) FROM _syncPush WHERE state = 'acknowledged'";
                reader
                    .query_row(sql, [], |row| row.get::<_, i64>(0))
                    .unwrap_or(0)
                    == 1
            });
            support::ask(&other, "SELECT sync_interrupt('s', 'enough')")
        }
    });
    let answer = device.sync();
    watcher.join().expect("the watcher");
    second.release();
    assert_eq!(answer["error"]["class"], "cancelled", "{answer}");
    assert_eq!(
        (&answer["pushed"], device.log().as_str()),
        (&json!(2), "3"),
        "{answer}"
    );
    device.exec("DELETE FROM parent WHERE id = 'e'");
    device.synced();
    device.synced();
    assert_equal(&device, &backend, &["child", "parent"]);
    assert_eq!(
        (device.pending(), device.log()),
        (String::new(), "0".into())
    );
    assert_eq!(device.ask("SELECT count(*) FROM parent"), "4");
}

#[test]
fn a_refused_part_leads_to_one_more_round_with_the_rest() {
    let server = Canned::start();
    let device = family(&server, 2);
    device.provider(
        &server.url(),
        json!({"pushBatch": 2, "sendEmptyTables": false}),
    );
    device.exec("INSERT INTO parent (id) VALUES ('a'), ('b'), ('c'), ('d')");
    server.push_raw(|_| json_answer("{}"));
    server.push_raw(|_| status_answer(409, &[], "no"));
    let answer = device.synced();
    assert_eq!(
        parts(&server),
        [
            "+parent.a +parent.b",
            "+parent.c +parent.d",
            "+parent.c +parent.d"
        ]
    );
    assert_eq!(
        (&answer["pushed"], device.log().as_str()),
        (&json!(4), "0"),
        "{answer}"
    );
}

#[test]
fn many_parts_reach_a_backend_that_checks_its_references() {
    let schema = format!("PRAGMA foreign_keys = ON; {FAMILY}");
    let backend = Backend::start(FAMILY);
    let keys = json!({"pushBatch": 7, "totalTimeoutMs": 60_000});
    let device = Device::configured(&schema, &["child", "parent"], &backend.sync_url(), keys);
    device.exec(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
         INSERT INTO parent SELECT 'p' || i, i FROM n;
         INSERT INTO child SELECT 'c' || n, id, n FROM parent",
    );
    device.synced();
    assert_equal(&device, &backend, &["child", "parent"]);
    assert_eq!(device.log(), "0");
    device.exec(
        "DELETE FROM child WHERE n % 3 = 0; DELETE FROM parent WHERE n % 3 = 0;
         UPDATE child SET parent = 'p1' WHERE n % 3 = 1; DELETE FROM parent WHERE n % 3 = 1 AND n > 1;
         UPDATE parent SET n = -n",
    );
    device.synced();
    assert_equal(&device, &backend, &["child", "parent"]);
    assert_eq!(
        (device.pending(), device.log()),
        (String::new(), "0".into())
    );
}

// ------------------------------------------------------------------------------------ local rows

#[test]
fn a_row_created_here_may_outlive_its_deletion_there() {
    for (keep, expected, pending) in [
        (false, "", ""),
        (true, "mine", "task|mine|created|[\"title\"]"),
    ] {
        let server = Canned::start();
        let device = Device::with_options(
            &server.url(),
            json!({"keepCreated": keep, "retryOnce": false}),
        );
        server.changes(json!({"task": {"created": [{"id": "theirs"}, {"id": "edited"}]}}));
        device.synced();
        device.exec("INSERT INTO task (id) VALUES ('mine'); UPDATE task SET title = 'x' WHERE id <> 'theirs'");
        server.clear();
        server.changes(json!({"task": {"deleted": ["mine", "theirs", "edited"]}}));
        server.push_raw(|_| status_answer(400, &[], "no"));
        let answer = device.sync();
        assert_eq!(
            device
                .ask("SELECT group_concat(id) FROM task")
                .replace("NULL", ""),
            expected
        );
        assert_eq!(device.pending(), pending, "{answer}");
        device.synced();
        let pushed = server.pushed();
        assert_eq!(pushed.is_empty(), !keep, "it goes up");
    }
}

#[test]
fn a_row_created_here_whose_push_may_have_arrived_is_deleted_all_the_same() {
    let server = Canned::start();
    let device = Device::with_options(&server.url(), json!({"keepCreated": true}));
    device.exec("INSERT INTO task (id) VALUES ('mine')");
    server.push_raw(|_| status_answer(500, &[], "who knows"));
    device.failed();
    server.changes(json!({"task": {"deleted": ["mine"]}}));
    device.synced();
    assert_eq!(
        (device.ask("SELECT count(*) FROM task"), device.pending()),
        ("0".into(), String::new())
    );
}

/// J3 and J6: after a push without an answer, the row comes back with columns that the server has set.
#[test]
fn columns_that_the_server_sets_itself_do_not_hide_an_echo() {
    for (keys, server_sets, conflicts) in [
        (json!({}), json!({"updated_at": 99}), 0),
        (json!({}), json!({"revision": 99}), 1),
        (
            json!({"echoIgnore": ["revision"]}),
            json!({"revision": 99}),
            0,
        ),
        (
            json!({"echoIgnore": ["revision"]}),
            json!({"updated_at": 99}),
            1,
        ),
        (json!({"echoIgnore": []}), json!({"updated_at": 99}), 1),
    ] {
        let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT, updated_at INTEGER, revision INTEGER)";
        let server = Canned::start();
        let device = Device::configured(schema, &["t"], &server.url(), keys.clone());
        device.exec("INSERT INTO t VALUES ('r', 'A', 1, 1)");
        server.push_raw(|_| status_answer(500, &[], ""));
        device.failed();
        let mut row = json!({"id": "r", "a": "A", "updated_at": 1, "revision": 1});
        row.as_object_mut()
            .unwrap()
            .extend(server_sets.as_object().unwrap().clone());
        server.changes(json!({"t": {"created": [row]}}));
        let answer = device.synced();
        assert_eq!(answer["conflicts"], conflicts, "{keys} {server_sets}");
        assert_eq!(device.pending(), "");
    }
}

// -------------------------------------------------------------------------------------- refusals

#[test]
fn wrong_values_are_refused_naming_the_key() {
    let server = Canned::start();
    let device = Device::with_options(&server.url(), json!({}));
    let before = device.ask("SELECT config FROM _syncProvider");
    for (key, value) in [
        ("preset", json!("unknown")),
        ("pullMethod", json!("DELETE")),
        ("pushMethod", json!("GET")),
        ("pullUrl", json!("?x={since}")),
        ("pullUrl", json!("?x={param:nope}")),
        ("pullUrl", json!("?api_key=abc")),
        ("pullUrl", json!("http://user:pw@x/")),
        ("pushUrl", json!("/push now")),
        ("pushUrl", json!("?x={changes}")),
        ("pullBody", json!({"a": 1})),
        ("pushBody", json!({"a": 1})),
        ("pushBody", json!("not json {changes}")),
        ("pushBody", json!({"changes": "{changes}", "secret": "abc"})),
        ("params", json!({"password": "abc"})),
        ("params", json!(5)),
        ("headers", json!({"X-A": "{nope}"})),
        ("firstToken", json!("zero")),
        ("firstToken", json!(1)),
        ("cursorUnit", json!("us")),
        ("overlap", json!(-1)),
        ("overlap", json!("1")),
        ("timestampPath", json!("timestamp")),
        ("changesPath", json!("$.timestamp")),
        ("rejectedPath", json!("$.a[0]")),
        ("rejectedFormat", json!("csv")),
        ("successPath", json!("ok")),
        ("sendMeta", json!("yes")),
        ("sendTables", json!(1)),
        ("sendEmptyTables", json!(null)),
        ("boolAs", json!("1/0")),
        ("idAs", json!("text")),
        ("lenient", json!(0)),
        ("stripMeta", json!("x")),
        ("jsNumbers", json!("x")),
        ("coerce", json!("x")),
        ("sendCreatedAsUpdated", json!("x")),
        ("keepCreated", json!("x")),
        ("echoIgnore", json!("updated_at")),
        ("pushBatch", json!(-5)),
        ("pushBatch", json!(1_000_001)),
        ("retryOnce", json!("x")),
    ] {
        let mut config = json!({"kind": "watermelon", "url": server.url()});
        config[key] = value.clone();
        let literal = config.to_string().replace('\'', "''");
        let refusal = device.refused(&format!("SELECT sync_provider('api', '{literal}')"));
        let said = refusal.split_once("config: ").map_or("", |(_, said)| said);
        assert!(said.contains(key), "{key} {value}: {refusal}");
    }
    assert_eq!(device.ask("SELECT config FROM _syncProvider"), before);
}

#[test]
fn a_column_to_exclude_that_is_not_there_is_refused_before_anything_is_sent() {
    let server = Canned::start();
    let device = Device::configured(
        "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, secret TEXT)",
        &["t"],
        &server.url(),
        json!({"excludeColumns": {"t": ["secrte"]}}),
    );
    device.exec("INSERT INTO t VALUES ('a', 'PIN')");
    let refused = device.refused("SELECT sync_entities('all', 'api', '[\"t\"]')");
    assert!(
        refused.contains("\"secrte\"") && refused.contains("\"t\""),
        "{refused}"
    );
    assert!(server.seen().is_empty());
}
