//! What comes down, and how.

use serde_json::json;

use crate::client::{Device, USER, held, id, server};

fn users(range: std::ops::RangeInclusive<u32>) -> Vec<serde_json::Value> {
    range
        .map(|number| json!({"id": id(number), "name": format!("n{number}")}))
        .collect()
}

#[test]
fn one_page_is_one_request_and_says_where_the_next_begins() {
    let server = server();
    server.put(USER, "users", &users(1..=5));
    let device = Device::new(&server, "phone");
    let answer = device.done("sync_download_once", r#"{"limit":2}"#);
    assert_eq!(
        [
            &answer["applied"],
            &answer["nextSeq"],
            &answer["hasMore"],
            &answer["windowUntil"]
        ],
        [&json!(2), &json!(2), &json!(true), &json!(5)]
    );
    assert_eq!(server.requests().len(), 1);
    // The limit by itself.
    let applied = "SELECT sync_download_once('api', 2) ->> 'applied'";
    assert_eq!(device.ask(applied), "2");
    let answer = device.download();
    assert_eq!(
        (&answer["applied"], &answer["nextSeq"]),
        (&json!(1), &json!(5))
    );
    assert_eq!(device.ask("SELECT count(*) FROM users"), "5");
}

#[test]
fn options_about_pages_are_refused_where_they_make_no_sense() {
    let server = server();
    let device = Device::new(&server, "phone");
    for (sql, said) in [
        (
            r#"SELECT sync_upload_once('api', '{"from":0}')"#,
            "unknown key \"options.from\"",
        ),
        (
            r#"SELECT sync_download_once('api', 1001)"#,
            "options.limit is more than the 1000 changes",
        ),
        (r#"SELECT sync_download_once('api', 0)"#, "options.limit"),
        (
            r#"SELECT sync_once('api', '{"until":1}')"#,
            "unknown key \"options.until\"",
        ),
    ] {
        let refused = support::refused(&device.db, sql);
        assert!(refused.contains(said), "{refused}");
    }
    device.ask(r#"SELECT sync_provider('w', '{"kind":"watermelon","url":"http://127.0.0.1:9"}')"#);
    device.exec("CREATE TABLE note (id TEXT PRIMARY KEY)");
    device.ask("SELECT sync_track('note')");
    let refused = support::refused(
        &device.db,
        r#"SELECT sync_download_once('w', '{"entities":["note"],"limit":5}')"#,
    );
    assert!(
        refused.contains("options.limit is about pages"),
        "{refused}"
    );
}

#[test]
fn line_7_all_pages_are_read_and_a_child_before_its_parent_is_applied() {
    let server = server();
    server.put(USER, "users", &users(1..=3));
    server.put(
        USER,
        "posts",
        &[json!({"id": id(10), "title": "p", "author_id": id(2)})],
    );
    // The parent's last change is behind the child in the log.
    server.put(USER, "users", &[json!({"id": id(2), "name": "late"})]);
    let device = Device::with(&server, "phone", json!({"downloadLimit": 1}));
    let answer = device.sync();
    assert_eq!(answer["downloaded"], 5, "{answer}");
    assert_eq!(device.rows("users", "name"), "1|n1\n2|late\n3|n3");
    assert_eq!(device.rows("posts", "title"), "10|p");
    assert_eq!(device.ask("PRAGMA foreign_key_check"), "");
    assert_eq!(device.pending(), "");
}

#[test]
fn a1_a2_own_changes_and_old_versions_change_nothing() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "mine");
    device.sync();
    let answer = device.done("sync_download_all", r#"{"from":0,"includeSelf":true}"#);
    assert_eq!(answer["applied"], 0, "{answer}");
    device.user(1, "later");
    // Its own older state comes again and does not undo the edit.
    device.done("sync_download_all", r#"{"from":0,"includeSelf":true}"#);
    assert_eq!(device.rows("users", "name"), "1|later");
    assert_eq!(device.pending(), "users|1|updated");
    device.sync();
    assert_eq!(held(&server, 1), Some((2, Some("later".into()))));
}

#[test]
fn a_device_that_begins_anew_reads_its_own_rows_too() {
    let server = server();
    let first = Device::new(&server, "phone");
    first.user(1, "mine");
    first.sync();
    let again = Device::new(&server, "phone");
    again.download();
    assert_eq!(again.rows("users", "name"), "1|mine");
}

#[test]
fn a3_unknown_tables_are_passed_over_and_counted() {
    let server = server();
    let device = Device::new(&server, "phone");
    server.put(USER, "users", &users(1..=1));
    device.ask("SELECT sync_untrack('files')");
    server.put(
        USER,
        "files",
        &[json!({"id": id(5), "name": "f", "data": "aGk="})],
    );
    let answer = device.done("sync_download_once", "{}");
    assert_eq!(
        (&answer["applied"], &answer["skipped"]),
        (&json!(1), &json!(1)),
        "{answer}"
    );
    // Tracked from now on, it is read from the beginning.
    device.ask("SELECT sync_track('files')");
    device.done(
        "sync_download_all",
        r#"{"entities":["users","posts","files"]}"#,
    );
    assert_eq!(device.rows("files", "hex(data)"), "5|6869");
}

#[test]
fn one_cursor_a_call_about_some_tables_reads_them_all() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.sync();
    server.put(USER, "users", &users(1..=1));
    server.put(
        USER,
        "files",
        &[json!({"id": id(5), "name": "f", "data": ""})],
    );
    let answer: serde_json::Value =
        serde_json::from_str(&device.ask("SELECT sync_entities(NULL, 'api', '[\"users\"]')"))
            .expect("JSON");
    assert_eq!(
        answer["operations"].as_array().map(Vec::len),
        Some(1),
        "{answer}"
    );
    assert_eq!(answer["inserted"], 2);
    assert_eq!(device.rows("files", "name"), "5|f");
}

#[test]
fn g3_what_is_published_late_below_the_cursor_is_found_by_the_lookback() {
    let server = server();
    let device = Device::new(&server, "phone");
    let late = server.put_late(USER, "users", &users(1..=1));
    server.put(USER, "users", &users(2..=2));
    device.sync();
    assert_eq!(device.rows("users", "name"), "2|n2");
    late.publish();
    device.download();
    assert_eq!(
        device.rows("users", "name"),
        "2|n2",
        "the cursor is past it"
    );
    device.sync();
    assert_eq!(device.rows("users", "name"), "1|n1\n2|n2");
}

#[test]
fn r9_an_empty_page_of_a_server_in_trouble_is_a_failure() {
    use support::backend::oversync::a::Breakdown;
    let server = server();
    let device = Device::new(&server, "phone");
    server.put(USER, "users", &users(1..=2));
    device.sync();
    let cursor = "SELECT DISTINCT cursor FROM _syncCursor";
    assert_eq!(device.ask(cursor), "2");
    server.break_down(Breakdown::Log);
    let error = device.failed("sync_download_once");
    assert_eq!(
        (&error["class"], &error["retryable"]),
        (&json!("server"), &json!(true)),
        "{error}"
    );
    assert_eq!(device.ask(cursor), "2");
    server.break_down(Breakdown::default());
    server.put(USER, "users", &users(3..=3));
    assert_eq!(device.sync()["downloaded"], 1);
}

#[test]
fn every_type_of_value_comes_back_as_it_was() {
    let server = server();
    let (one, two) = (
        Device::new(&server, "phone"),
        Device::new(&server, "tablet"),
    );
    one.exec(&format!(
        "INSERT INTO files VALUES ('{}', NULL, x''), ('{}', 'a\"<&\u{2028}ä', x'00ff')",
        id(1),
        id(2)
    ));
    one.sync();
    two.sync();
    let all = "SELECT id, quote(name), quote(data) FROM files ORDER BY id";
    assert_eq!(two.ask(all), one.ask(all));
}

#[test]
fn r10_numbers_come_in_other_words_and_what_the_server_can_not_keep_is_a_dead_letter() {
    let server = server();
    let schema = "CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, name TEXT, score REAL)";
    let [one, two] =
        ["phone", "tablet"].map(|name| Device::of(&server, name, (schema, &["users"]), json!({})));
    for (number, name, score) in [
        (1, "'n'", "-0.0"),
        (2, "'n'", "1.5e300"),
        (3, "'n'", "9e999"),
        (4, "'a' || char(0) || 'b'", "1"),
        (5, "'n'", "0.1"),
    ] {
        one.exec(&format!(
            "INSERT INTO users VALUES ('{}', {name}, {score})",
            id(number)
        ));
    }
    one.sync();
    two.sync();
    let all = "SELECT ltrim(substr(id, 25), '0'), typeof(score), score IN (0.0, 1.5e300, 0.1) FROM users ORDER BY id";
    assert_eq!(two.ask(all), "1|real|1\n2|real|1\n5|real|1");
    assert_eq!(
        one.ask("SELECT ltrim(substr(pk, 25), '0') FROM _syncRejected ORDER BY 1"),
        "3\n4"
    );
    // Nothing of it is taken for an edit.
    one.sync();
    two.sync();
    assert_eq!(
        (one.pending(), two.pending()),
        ("users|3|created\nusers|4|created".into(), String::new())
    );
    assert_eq!(one.ask("SELECT count(*) FROM sync_conflict"), "0");
}

#[test]
fn a_check_compares_the_latest_version_of_each_row_with_what_is_here() {
    let server = server();
    let device = Device::with(&server, "phone", json!({"downloadLimit": 2}));
    device.user(1, "mine");
    server.put(USER, "users", &users(2..=5));
    server.remove(USER, "users", &[&id(5)]);
    device.sync();
    let check = |device: &Device| -> serde_json::Value {
        serde_json::from_str(&device.ask("SELECT sync_check('api')")).expect("JSON")
    };
    let answer = check(&device);
    assert_eq!(answer["state"], "equal", "{answer}");
    server.put(USER, "users", &[json!({"id": id(2), "name": "new"})]);
    server.put(USER, "users", &users(6..=6));
    server.remove(USER, "users", &[&id(3)]);
    let answer = check(&device);
    assert_eq!(answer["state"], "different", "{answer}");
    let of_users = answer["entities"].as_array().expect("a list").iter();
    let of_users = of_users.filter(|entity| entity["entity"] == "users");
    let found: Vec<_> = of_users
        .map(|entity| {
            json!([
                entity["missingIds"],
                entity["excessIds"],
                entity["differingRows"]
            ])
        })
        .collect();
    let differing = json!([{"id": id(2), "columns": ["name"]}]);
    assert_eq!(found, [json!([[id(6)], [id(3)], differing])]);
    assert_eq!(device.rows("users", "name"), "1|mine\n2|n2\n3|n3\n4|n4");
}
