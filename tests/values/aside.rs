//! Values kept aside: as long as nobody edits their column, they are what the row has there.

use serde_json::json;
use support::Device;

use crate::server::{Server, same};

const SCHEMA: &str = "CREATE TABLE place (id TEXT PRIMARY KEY NOT NULL, name TEXT, v TEXT)";
const ASIDE: &str = "SELECT \"table\", key, column, value, local FROM sync_aside";

/// The server announces all rows as updated.
fn updated() -> serde_json::Value {
    json!({"sendCreatedAsUpdated": true})
}

fn pulled() -> (Server, Device) {
    pulled_into(SCHEMA)
}

fn pulled_into(schema: &str) -> (Server, Device) {
    let mut server = Server::start();
    server.put("place", "p", &[("name", r#""Old""#), ("v", r#"{"a":1}"#)]);
    let device = Device::configured(schema, &["place"], &server.canned.url(), updated());
    device.exec("PRAGMA journal_mode = WAL");
    server.answers();
    let answer = device.synced();
    assert_eq!(answer["warnings"][0]["code"], "valuesKeptAside", "{answer}");
    assert_eq!(answer["warnings"][0]["count"], 1, "{answer}");
    (server, device)
}

fn round(server: &mut Server, device: &Device) -> serde_json::Value {
    server.answers();
    let answer = device.synced();
    server.take();
    answer
}

#[test]
fn v3_an_edit_of_the_column_drops_what_is_kept() {
    let (mut server, device) = pulled();
    assert_eq!(device.ask(ASIDE), r#"place|p|v|{"a":1}|NULL"#);
    device.exec("UPDATE place SET v = 'mine'");
    round(&mut server, &device);
    assert_eq!(server.value("place", "p", "v"), r#""mine""#);
    assert_eq!(device.ask(ASIDE), "");
    // Also one that ends where it began.
    let (mut server, device) = pulled();
    device.exec("UPDATE place SET v = 'x'");
    device.exec("UPDATE place SET v = NULL");
    round(&mut server, &device);
    assert_eq!(server.value("place", "p", "v"), "null");
}

#[test]
fn t4_a_row_that_is_replaced_by_itself_keeps_what_is_kept() {
    for recursive in ["ON", "OFF"] {
        let (mut server, device) = pulled();
        device.exec(&format!("PRAGMA recursive_triggers = {recursive}"));
        device.exec("INSERT OR REPLACE INTO place SELECT * FROM place");
        assert_eq!(device.pending(), "", "{recursive}");
        device.exec("REPLACE INTO place SELECT id, 'New', v FROM place");
        round(&mut server, &device);
        assert_eq!(server.value("place", "p", "name"), r#""New""#);
        assert_eq!(server.value("place", "p", "v"), r#"{"a":1}"#, "{recursive}");
    }
}

#[test]
fn v3_a_delete_of_the_row_drops_what_is_kept() {
    let (mut server, device) = pulled();
    device.exec("DELETE FROM place");
    server.rows.clear();
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM _syncAside"), "0");
    // A row made anew under the key is another one.
    let (mut server, device) = pulled();
    device.exec("DELETE FROM place");
    device.exec("INSERT INTO place VALUES ('p', 'again', NULL)");
    round(&mut server, &device);
    assert_eq!(server.value("place", "p", "v"), "null");
    // The server's own delete.
    let (server, device) = pulled();
    server
        .canned
        .changes(json!({"place": {"created": [], "updated": [], "deleted": ["p"]}}));
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM _syncAside"), "0");
}

#[test]
fn v3_a_newer_value_of_the_server_takes_the_place_of_the_one_that_is_kept() {
    let (mut server, device) = pulled();
    server.put("place", "p", &[("v", r#"{"a":2}"#)]);
    let answer = round(&mut server, &device);
    assert_eq!(answer["updated"], 1, "{answer}");
    assert_eq!(device.ask(ASIDE), r#"place|p|v|{"a":2}|NULL"#);
    server.put("place", "p", &[("v", r#""plain""#)]);
    round(&mut server, &device);
    assert_eq!(device.ask(ASIDE), "");
    assert_eq!(device.ask("SELECT v FROM place"), "plain");
}

#[test]
fn v3_the_kept_value_meets_the_server_s_under_every_policy() {
    for policy in ["columns", "serverWins", "clientWins"] {
        let (mut server, device) = pulled();
        device.ask(&format!("SELECT sync_resolver('place', '{policy}')"));
        device.exec("UPDATE place SET name = 'Mine'");
        server.put("place", "p", &[("name", r#""Theirs""#)]);
        round(&mut server, &device);
        assert!(
            same(server.value("place", "p", "v"), r#"{"a":1}"#),
            "{policy}"
        );
        device.exec("UPDATE place SET name = 'Later'");
        round(&mut server, &device);
        let named = match policy {
            "serverWins" => r#""Theirs""#,
            _ => r#""Later""#,
        };
        assert_eq!(server.value("place", "p", "name"), named, "{policy}");
        assert!(
            same(server.value("place", "p", "v"), r#"{"a":1}"#),
            "{policy}"
        );
    }
}

#[test]
fn v3_a_resolver_sees_the_value_and_may_choose_it() {
    for expression in [":local", ":remote"] {
        let (mut server, device) = pulled();
        device.ask(&format!(
            "SELECT sync_resolver('place', 'sql2', 'json({expression})')"
        ));
        device.exec("UPDATE place SET name = 'Mine'");
        server.put("place", "p", &[("name", r#""Theirs""#)]);
        round(&mut server, &device);
        device.exec("UPDATE place SET name = 'Later'");
        round(&mut server, &device);
        assert!(
            same(server.value("place", "p", "v"), r#"{"a":1}"#),
            "{expression}"
        );
    }
}

#[test]
fn v3_an_edit_of_the_column_wins_over_a_value_that_can_not_be_here() {
    let (mut server, device) = pulled();
    device.ask("SELECT sync_resolver('place', 'clientWins')");
    device.exec("UPDATE place SET v = 'mine'");
    server.put("place", "p", &[("v", "[2]")]);
    round(&mut server, &device);
    assert_eq!(server.value("place", "p", "v"), r#""mine""#);
    round(&mut server, &device);
    assert_eq!(device.ask("SELECT v FROM place"), "mine");
}

#[test]
fn v3_what_is_kept_follows_its_column_and_its_table() {
    let (mut server, device) = pulled();
    device.exec("ALTER TABLE place RENAME COLUMN v TO w");
    device.exec("UPDATE place SET name = 'New'");
    round(&mut server, &device);
    assert_eq!(server.value("place", "p", "w"), r#"{"a":1}"#);
    assert_eq!(device.ask(ASIDE), r#"place|p|w|{"a":1}|NULL"#);
    device.ask("SELECT sync_untrack('place', '{\"discard\":true}')");
    assert_eq!(device.ask("SELECT count(*) FROM _syncAside"), "0");
}

#[test]
fn m3_what_is_kept_stays_with_rows_that_are_copied_under_triggers_put_back() {
    for upload_only in [false, true] {
        let (mut server, device) = pulled();
        device.exec("CREATE TABLE kept AS SELECT * FROM place");
        let triggers = device.ask(
            "SELECT group_concat(sql, ';') FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'place'",
        );
        device.exec(&format!(
            "DROP TABLE place; {SCHEMA}; {triggers}; INSERT INTO place SELECT * FROM kept"
        ));
        if upload_only {
            // Nothing shows here that the row is known.
            device.ask("SELECT sync_upload_once('api')");
        } else {
            server.answers();
            device.synced();
            assert_eq!(server.canned.pushed().len(), 0);
        }
        server.take();
        assert_eq!(server.value("place", "p", "v"), KEPT, "{upload_only}");
        device.exec("UPDATE place SET name = 'New'");
        round(&mut server, &device);
        assert_eq!(server.value("place", "p", "v"), KEPT, "{upload_only}");
        assert_eq!(server.value("place", "p", "name"), r#""New""#);
    }
}

/// JSON has one null: its text and NULL are the same value on the wire, and neither is written over the other.
#[test]
fn v2_the_json_text_null_goes_up_as_null_and_stays_as_it_is_here() {
    let mut server = Server::start();
    let schema = "CREATE TABLE place (id TEXT PRIMARY KEY NOT NULL, j JSON, k JSON NOT NULL)";
    let device = Device::configured(schema, &["place"], &server.canned.url(), updated());
    device.exec("INSERT INTO place VALUES ('p', 'null', 'null')");
    round(&mut server, &device);
    assert_eq!(server.value("place", "p", "j"), "null");
    let other = Device::configured(schema, &["place"], &server.canned.url(), updated());
    for (device, holds) in [(&device, "null|null"), (&other, "NULL|null")] {
        server.answers();
        device.synced();
        assert_eq!(device.ask("SELECT j, k FROM place"), holds);
        assert_eq!(device.pending(), "");
    }
}

/// `c` becomes `c_old`, and `d` takes its name, while no trigger is there to follow.
fn passed_on(kind: &str, off: bool) -> (Server, Device) {
    let mut server = Server::start();
    for id in ["p", "q"] {
        server.put("place", id, &[("c", KEPT), ("d", r#""D""#), ("e", "0")]);
    }
    let schema =
        format!("CREATE TABLE place (id TEXT PRIMARY KEY NOT NULL, c {kind}, d TEXT, e INT)");
    let device = Device::configured(&schema, &["place"], &server.canned.url(), updated());
    server.answers();
    device.synced();
    device.exec("UPDATE place SET d = 'edited' WHERE id = 'q'");
    if off {
        device.ask("SELECT sync_capture_off()");
    }
    device
        .exec("ALTER TABLE place RENAME COLUMN c TO c_old; ALTER TABLE place RENAME COLUMN d TO c");
    if off {
        device.ask("SELECT sync_capture_on()");
    }
    server.rows.clear();
    for id in ["p", "q"] {
        server.put("place", id, &[("c_old", KEPT), ("c", r#""D""#), ("e", "0")]);
    }
    device.exec("UPDATE place SET e = 1 WHERE id = 'p'");
    round(&mut server, &device);
    (server, device)
}

#[test]
fn m1_what_is_kept_is_not_sent_for_a_column_that_took_the_name() {
    for off in [false, true] {
        let (server, device) = passed_on("INT", off);
        assert_eq!(server.value("place", "p", "c"), r#""D""#, "{off}");
        assert_eq!(server.value("place", "q", "c"), r#""edited""#, "{off}");
        // By the types it is known where the values were.
        for id in ["p", "q"] {
            assert_eq!(server.value("place", id, "c_old"), KEPT, "{off} {id}");
        }
        let kept = format!("place|p|c_old|{KEPT}|NULL\nplace|q|c_old|{KEPT}|NULL");
        assert_eq!(device.ask(ASIDE), kept, "{off}");
    }
    // Where the types don't say so, at least the values that are there do.
    let (server, device) = passed_on("TEXT", true);
    assert_eq!(server.value("place", "p", "c"), r#""D""#);
    assert_eq!(
        device.ask("SELECT count(*) FROM sync_aside WHERE column = 'c'"),
        "0"
    );
}

/// A column that was made one that can hold the value is still sent as it came, and is no difference.
#[test]
fn v3_a_value_that_is_kept_counts_where_the_column_could_hold_it_now() {
    for (value, before, after) in [
        (r#""02131""#, "DECIMAL", "TEXT"),
        (r#"{"a":1}"#, "TEXT", "JSON"),
        ("1.5", "INTEGER", "REAL"),
    ] {
        let mut server = Server::start();
        server.put("place", "p", &[("name", r#""Old""#), ("v", value)]);
        let of = |kind| format!("(id TEXT PRIMARY KEY NOT NULL, name TEXT, v {kind})");
        let schema = format!("CREATE TABLE place {}", of(before));
        let device = Device::configured(&schema, &["place"], &server.canned.url(), updated());
        server.answers();
        device.synced();
        device.exec(&format!(
            "BEGIN; CREATE TABLE new {}; INSERT INTO new SELECT * FROM place; DROP TABLE place;
             ALTER TABLE new RENAME TO place; COMMIT",
            of(after)
        ));
        device.ask("SELECT sync_track('place')");
        server.answers();
        let check = device.ask("SELECT sync_check('api') ->> 'state'");
        assert_eq!(check, "equal", "{value} {before} {after}");
        device.exec("UPDATE place SET name = 'New'");
        round(&mut server, &device);
        assert_eq!(server.value("place", "p", "v"), value);
    }
}

const KEPT: &str = r#"{"a":1}"#;

/// What a key is changed by, and whether the value is still the server's afterwards.
#[test]
fn v3_what_is_kept_goes_along_with_a_changed_key() {
    for (edits, key, stays) in [
        ("UPDATE place SET id = 'q'", "q", true),
        (
            "UPDATE place SET id = 'q'; UPDATE place SET id = 'r', name = 'N'",
            "r",
            true,
        ),
        (
            "UPDATE place SET id = 'q'; UPDATE place SET id = 'p'",
            "p",
            true,
        ),
        (
            "UPDATE place SET name = 'N'; UPDATE place SET id = 'q'",
            "q",
            true,
        ),
        // Edits of the column, at any time.
        (
            "UPDATE place SET v = 'mine'; UPDATE place SET id = 'q'",
            "q",
            false,
        ),
        (
            "UPDATE place SET id = 'q'; UPDATE place SET v = 'mine'",
            "q",
            false,
        ),
        ("UPDATE place SET id = 'q', v = 'mine'", "q", false),
        (
            "UPDATE place SET id = 'q'; UPDATE place SET v = 'mine'; UPDATE place SET id = 'p'",
            "p",
            false,
        ),
        // Another row under the key.
        (
            "UPDATE place SET id = 'q'; DELETE FROM place; INSERT INTO place VALUES ('q', 'again', 'mine')",
            "q",
            false,
        ),
        (
            "UPDATE place SET id = 'q'; INSERT INTO place VALUES ('p', 'again', 'mine')",
            "p",
            false,
        ),
        (
            "DELETE FROM place; INSERT INTO place VALUES ('p', 'again', 'mine'); UPDATE place SET id = 'q'",
            "q",
            false,
        ),
    ] {
        for settings in [
            "PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = ON",
            "PRAGMA recursive_triggers = OFF; PRAGMA foreign_keys = OFF; PRAGMA journal_mode = DELETE",
        ] {
            let (mut server, device) = pulled();
            device.exec(settings);
            device.exec(edits);
            let expected = if stays { KEPT } else { r#""mine""# };
            // What is shown is what is sent.
            let payload = format!(
                "SELECT payload -> '$.v' FROM sync_pending WHERE \"table\" = 'place' AND key = '{key}'"
            );
            assert_eq!(device.ask(&payload), expected, "{edits}");
            let all = "SELECT payload -> '$.v' FROM sync_pending WHERE key = '{key}' LIMIT 5";
            assert_eq!(device.ask(&all.replace("{key}", key)), expected, "{edits}");
            server.answers();
            device.synced();
            server.take();
            assert!(same(server.value("place", key, "v"), expected), "{edits}");
            device.synced();
            assert_eq!(device.pending(), "", "{edits}");
        }
    }
}

#[test]
fn v3_a_key_may_be_null_and_a_column_far_to_the_right() {
    let names: Vec<String> = (0..130).map(|number| format!("c{number} TEXT")).collect();
    let schema = format!(
        "CREATE TABLE place (id TEXT PRIMARY KEY, name TEXT, {}, v TEXT)",
        names.join(", ")
    );
    for (edit, expected) in [
        ("UPDATE place SET c90 = 'x'", KEPT),
        ("UPDATE place SET v = 'mine'", r#""mine""#),
    ] {
        let (mut server, device) = pulled_into(&schema);
        device.exec(edit);
        device.exec("UPDATE place SET id = 'q'");
        round(&mut server, &device);
        assert!(same(server.value("place", "q", "v"), expected), "{edit}");
    }
    let (_server, device) = pulled_into(&schema);
    device.exec("UPDATE place SET id = NULL");
    assert_eq!(device.ask("SELECT count(*) FROM _syncAside"), "0");
}

#[test]
fn v3_sync_pending_shows_what_is_sent_in_place_of_a_value() {
    let (_server, device) = pulled();
    device.exec("UPDATE place SET name = 'New'");
    let payload = "SELECT payload FROM sync_pending";
    assert_eq!(
        device.ask(payload),
        r#"{"id":"p","name":"New","v":{"a":1}}"#
    );
    device.exec("ALTER TABLE place RENAME COLUMN v TO w");
    assert_eq!(
        device.ask(payload),
        r#"{"id":"p","name":"New","w":{"a":1}}"#
    );
    device.exec("UPDATE place SET w = 'mine'");
    assert_eq!(device.ask(payload), r#"{"id":"p","name":"New","w":"mine"}"#);
}

#[test]
fn v3_sync_check_compares_the_value_that_is_kept() {
    let (mut server, device) = pulled();
    let check = |server: &mut Server| {
        server.answers();
        device.ask("SELECT sync_check('api') ->> 'state'")
    };
    assert_eq!(check(&mut server), "equal");
    server.put("place", "p", &[("v", r#"{"a":3}"#)]);
    assert_eq!(check(&mut server), "different");
    // Edited here, it is not held against the row.
    device.exec("UPDATE place SET v = 'mine'");
    assert_eq!(check(&mut server), "equal");
}

#[test]
fn v3_rows_that_wait_for_others_keep_their_values() {
    let mut server = Server::start();
    let schema = "CREATE TABLE place (id TEXT PRIMARY KEY NOT NULL, name TEXT UNIQUE, v TEXT)";
    let device = Device::configured(schema, &["place"], &server.canned.url(), updated());
    server.put("place", "a", &[("name", r#""A""#), ("v", "[1]")]);
    server.put("place", "b", &[("name", r#""B""#), ("v", "[2]")]);
    server.answers();
    device.synced();
    // They swap their names, and get new values.
    server.put("place", "a", &[("name", r#""B""#), ("v", "[3]")]);
    server.put("place", "b", &[("name", r#""A""#), ("v", "[4]")]);
    server.answers();
    device.synced();
    assert_eq!(
        device.ask("SELECT key, value FROM sync_aside ORDER BY key"),
        "a|[3]\nb|[4]"
    );
}

#[test]
fn v3_coerce_and_js_numbers_keep_their_meaning() {
    let mut server = Server::start();
    server.put("t", "a", &[("n", r#""5""#), ("m", "9007199254740993")]);
    let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INTEGER, m INTEGER)";
    let options = json!({"coerce": true, "jsNumbers": true, "sendCreatedAsUpdated": true});
    let device = Device::configured(schema, &["t"], &server.canned.url(), options);
    server.answers();
    let answer = device.synced();
    assert_eq!(answer["warnings"], json!([]), "{answer}");
    assert_eq!(device.ask("SELECT n, m FROM t"), "5|9007199254740992");
    assert_eq!(device.ask("SELECT count(*) FROM sync_aside"), "0");
}

#[test]
fn v3_booleans_as_numbers_are_what_the_configuration_says() {
    for (options, stays) in [(json!({}), "1"), (json!({"boolAs": "0/1"}), "0")] {
        let mut server = Server::start();
        server.put("t", "a", &[("ok", "1"), ("n", "0")]);
        let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, ok BOOLEAN, n INTEGER)";
        let device = Device::configured(schema, &["t"], &server.canned.url(), options);
        server.answers();
        device.synced();
        assert_eq!(device.ask("SELECT count(*) FROM sync_aside"), stays);
        device.exec("UPDATE t SET n = 1");
        round(&mut server, &device);
        assert_eq!(server.value("t", "a", "ok"), "1");
    }
}

#[test]
fn v9_base64_is_read_in_all_its_forms() {
    let mut server = Server::start();
    let forms = [r#""-__-AA==""#, r#""+//+AA""#, r#""+//+\r\nAA==\n""#];
    for (number, form) in forms.iter().enumerate() {
        server.put("t", &number.to_string(), &[("b", form), ("n", "0")]);
    }
    server.put("t", "none", &[("b", r#""https://x/y.png""#), ("n", "0")]);
    let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, b BLOB, n INTEGER)";
    let device = Device::with(schema, &["t"], &server.canned.url());
    server.answers();
    device.synced();
    assert_eq!(
        device.ask("SELECT DISTINCT hex(b) FROM t WHERE id <> 'none'"),
        "FBFFFE00"
    );
    assert_eq!(device.ask("SELECT b FROM t WHERE id = 'none'"), "NULL");
    device.exec("UPDATE t SET n = 1");
    round(&mut server, &device);
    for (number, form) in forms.iter().enumerate() {
        assert_eq!(server.value("t", &number.to_string(), "b"), *form);
    }
    assert_eq!(server.value("t", "none", "b"), r#""https://x/y.png""#);
}

#[test]
fn h10_new_rows_get_something_in_columns_that_are_not_synced_and_may_not_be_empty() {
    for recursive in ["ON", "OFF"] {
        let mut server = Server::start();
        server.put("t", "a", &[("name", r#""A""#)]);
        let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, name TEXT, secret TEXT NOT NULL, \
            rank INTEGER NOT NULL, photo BLOB NOT NULL, own TEXT NOT NULL DEFAULT 'd')";
        let device = Device::with(schema, &["t"], &server.canned.url());
        device.exec(&format!("PRAGMA recursive_triggers = {recursive}"));
        device.ask(r#"SELECT sync_track('t', '{"exclude":["secret","rank","photo","own"]}')"#);
        server.answers();
        device.synced();
        assert_eq!(
            device.ask("SELECT name, secret, rank, hex(photo), own FROM t"),
            "A||0||d"
        );
        device.exec("UPDATE t SET secret = 'mine'");
        server.put("t", "a", &[("name", r#""B""#)]);
        server.answers();
        device.synced();
        assert_eq!(device.ask("SELECT name, secret FROM t"), "B|mine");
    }
}
