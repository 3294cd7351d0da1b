//! Columns of which no pull has brought what the server has: synced only now, or of another type now.

use serde_json::json;
use support::Device;

use crate::server::Server;

const SCHEMA: &str = "CREATE TABLE place (id TEXT PRIMARY KEY NOT NULL, name TEXT, v TEXT)";

fn pulled(schema: &str, track: &str, v: &str) -> (Server, Device) {
    let mut server = Server::start();
    server.put("place", "p", &[("name", r#""Old""#), ("v", v)]);
    let device = Device::configured(
        schema,
        &["place"],
        &server.canned.url(),
        json!({"sendCreatedAsUpdated": true}),
    );
    device.ask(&format!("SELECT sync_track('place', '{track}')"));
    server.answers_from_the_beginning();
    device.synced();
    server.take();
    (server, device)
}

/// One sync; the codes of its warnings.
fn round(server: &mut Server, device: &Device) -> Vec<String> {
    server.answers_from_the_beginning();
    let answer = device.synced();
    let warnings = answer["warnings"].as_array().expect("a list").iter();
    let codes = warnings.map(|warning| warning["code"].as_str().expect("a code").to_owned());
    let codes = codes.collect();
    server.take();
    codes
}

#[test]
fn v3_a_column_that_is_synced_again_is_brought_before_anything_of_it_is_sent() {
    for left_out in [r#"{"exclude":["v"]}"#, r#"{"columns":["name"]}"#] {
        let (mut server, device) = pulled(SCHEMA, left_out, r#""the server's""#);
        assert_eq!(device.ask("SELECT v FROM place"), "NULL");
        device.ask("SELECT sync_track('place', '{}')");
        device.exec("UPDATE place SET name = 'Mine'");
        assert_eq!(
            round(&mut server, &device),
            ["columnsAwaited"],
            "{left_out}"
        );
        assert_eq!(
            server.value("place", "p", "v"),
            r#""the server's""#,
            "{left_out}"
        );
        assert_eq!(
            server.value("place", "p", "name"),
            r#""Mine""#,
            "{left_out}"
        );
        assert_eq!(device.ask("SELECT name, v FROM place"), "Mine|the server's");
        // Once is enough.
        assert_eq!(round(&mut server, &device), [""; 0], "{left_out}");
    }
}

#[test]
fn v3_a_column_that_was_left_out_for_a_while_is_brought_again() {
    let (mut server, device) = pulled(SCHEMA, "{}", r#""first""#);
    device.provider(
        &server.canned.url(),
        json!({"sendCreatedAsUpdated": true, "excludeColumns": {"place": ["v"]}}),
    );
    assert_eq!(round(&mut server, &device), [""; 0]);
    server.put("place", "p", &[("v", r#""second""#)]);
    device.provider(&server.canned.url(), json!({"sendCreatedAsUpdated": true}));
    assert_eq!(round(&mut server, &device), ["columnsAwaited"]);
    assert_eq!(device.ask("SELECT v FROM place"), "second");
}

#[test]
fn v3_an_edit_of_a_column_that_is_synced_again_goes_up() {
    let (mut server, device) = pulled(SCHEMA, r#"{"exclude":["v"]}"#, r#""the server's""#);
    device.ask("SELECT sync_track('place', '{}')");
    device.exec("UPDATE place SET v = 'mine'");
    round(&mut server, &device);
    assert_eq!(server.value("place", "p", "v"), r#""mine""#);
}

#[test]
fn v3_while_nothing_is_pulled_rows_wait_for_columns_that_are_synced_again() {
    let (mut server, device) = pulled(SCHEMA, r#"{"exclude":["v"]}"#, r#""the server's""#);
    device.exec("INSERT INTO place VALUES ('q', 'New', 'new')");
    round(&mut server, &device);
    device.ask("SELECT sync_track('place', '{}')");
    device.ask("SELECT sync_pause('downloads')");
    device.exec("UPDATE place SET name = 'Mine' WHERE id = 'p'");
    device.exec("UPDATE place SET v = 'mine' WHERE id = 'q'");
    device.exec("INSERT INTO place VALUES ('r', 'Newer', 'newer')");
    let answer = device.synced();
    assert_eq!(answer["warnings"][0]["code"], "columnsAwaited", "{answer}");
    let mut sent = server.take();
    sent.sort();
    let place = |id: &str| ("place".to_owned(), id.to_owned());
    assert_eq!(sent, [place("q"), place("r")]);
    assert_eq!(device.pending(), r#"place|p|updated|["name"]"#);
    let reason = device.ask("SELECT pk, reason FROM _syncRejected");
    assert!(
        reason.starts_with("p|can't be sent: columns of it are synced only now"),
        "{reason}"
    );
    device.ask("SELECT sync_resume('downloads')");
    round(&mut server, &device);
    assert_eq!(server.value("place", "p", "v"), r#""the server's""#);
    assert_eq!(server.value("place", "p", "name"), r#""Mine""#);
    assert_eq!(device.pending(), "");
}

#[test]
fn m3_a_rebuild_with_another_type_changes_no_value_on_the_server() {
    for (old, new, v, here) in [
        ("INTEGER", "TEXT", "5", "5"),
        ("BOOLEAN", "INTEGER", "true", "1"),
        ("JSON", "TEXT", r#"{"a":1}"#, r#"{"a":1}"#),
        ("TEXT", "JSON", r#""[1]""#, r#""[1]""#),
        ("DATE", "INTEGER", r#""2024-05-06""#, "2024-05-06"),
        ("TEXT", "INTEGER", r#""007""#, "7"),
        ("INTEGER", "REAL", "9007199254740993", "9007199254740992"),
        (
            "INTEGER",
            "TEXT",
            "12345678901234567890",
            "1.2345678901234567e+19",
        ),
        ("BLOB", "TEXT", r#""aGk=""#, "aGk="),
    ] {
        let schema = |name: &str, kind: &str| {
            format!("CREATE TABLE {name} (id TEXT PRIMARY KEY NOT NULL, name TEXT, v {kind})")
        };
        let (mut server, device) = pulled(&schema("place", old), "{}", v);
        device.exec(&schema("made", new));
        device.exec("INSERT INTO made SELECT * FROM place; DROP TABLE place");
        device.exec("ALTER TABLE made RENAME TO place");
        let codes = round(&mut server, &device);
        assert!(
            codes.contains(&"columnsAwaited".to_owned()),
            "{old} {new}: {codes:?}"
        );
        device.exec("UPDATE place SET name = 'Mine'");
        round(&mut server, &device);
        assert_eq!(server.value("place", "p", "v"), v, "{old} {new}");
        // The row's own echo leaves what is here.
        server.answers();
        device.synced();
        assert_eq!(device.ask("SELECT v FROM place"), here, "{old} {new}");
        server.answers();
        assert_eq!(
            device.ask("SELECT sync_check('api')->>'state'"),
            "equal",
            "{old} {new}"
        );
    }
}

#[test]
fn m2_a_column_that_is_dropped_and_made_anew_is_another_one() {
    let (mut server, device) = pulled(SCHEMA, "{}", r#""the server's""#);
    device.ask("SELECT sync_alter('place', 'ALTER TABLE place DROP COLUMN v')");
    device.exec("ALTER TABLE place ADD COLUMN v TEXT");
    device.exec("UPDATE place SET name = 'Mine'");
    assert_eq!(round(&mut server, &device), ["columnsAwaited"]);
    assert_eq!(server.value("place", "p", "v"), r#""the server's""#);
    // One that has another name is the same one.
    device.exec("ALTER TABLE place RENAME COLUMN v TO w");
    assert_eq!(round(&mut server, &device), [""; 0]);
}
