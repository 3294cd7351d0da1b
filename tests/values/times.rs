//! lastWriteWins compares instants, and whole reals count as integers.

use serde_json::json;
use support::{Canned, Device, World, ask, refused};

/// Whether the row here wins against the server's.
fn here_wins(declared: &str, here: &str, there: serde_json::Value) -> (bool, bool) {
    let server = Canned::start();
    let schema =
        format!("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, name TEXT, updated_at {declared})");
    let device = Device::with(&schema, &["t"], &server.url());
    server.changes(json!({"t": {"created": [{"id": "a", "name": "old", "updated_at": null}]}}));
    device.synced();
    device.ask("SELECT sync_resolver('t', 'lastWriteWins')");
    device.exec(&format!("UPDATE t SET name = 'here', updated_at = {here}"));
    server.changes(json!({"t": {"updated": [{"id": "a", "name": "there", "updated_at": there}]}}));
    let answer = device.synced();
    let warned = answer["warnings"]
        .to_string()
        .contains("lastWriteWinsUnreadable");
    (device.ask("SELECT name FROM t") == "here", warned)
}

#[test]
fn v7_the_later_instant_wins_however_it_is_written() {
    for (declared, here, there, wins) in [
        (
            "TEXT",
            "'2024-05-06 10:00:01'",
            json!("2024-05-06T10:00:00Z"),
            true,
        ),
        (
            "TEXT",
            "'2024-05-06 10:00:00'",
            json!("2024-05-06T11:00:00+02:00"),
            true,
        ),
        (
            "TEXT",
            "'2024-05-06T10:00:00.9Z'",
            json!("2024-05-06T10:00:00.95Z"),
            false,
        ),
        (
            "TEXT",
            "'2024-05-06T10:00:00Z'",
            json!("2024-05-06T10:00:00.000Z"),
            false,
        ),
        ("INTEGER", "1714989601", json!(1_714_989_600_000_i64), true),
        ("INTEGER", "1714989600", json!(1_714_989_600_001_i64), false),
        (
            "DATETIME",
            "'2024-05-06 10:00:01'",
            json!(1_714_989_600),
            true,
        ),
        ("INTEGER", "1714989601", json!("2024-05-06T10:00:00Z"), true),
        ("TEXT", "'2024-05-06T10:00:01Z'", json!(1_714_989_600), true),
        (
            "TEXT",
            "'2024-05-06T10:00:00Z'",
            json!(1_714_989_600_001_i64),
            false,
        ),
        ("TEXT", "'1714989600.6'", json!(1_714_989_600.5), true),
    ] {
        let (won, warned) = here_wins(declared, here, there.clone());
        assert_eq!((won, warned), (wins, false), "{declared} {here} {there}");
    }
}

#[test]
fn v7_what_names_no_instant_is_compared_as_it_is_with_a_warning() {
    assert_eq!(here_wins("TEXT", "'v2'", json!("v1")), (true, true));
    assert_eq!(here_wins("TEXT", "'v1'", json!("v2")), (false, true));
    assert_eq!(here_wins("TEXT", "'v1'", json!(null)), (false, false));
    for nothing in [json!({"at": 1}), json!(true)] {
        assert_eq!(here_wins("TEXT", "'2024-05-06'", nothing), (false, true));
    }
}

#[test]
fn v7_of_a_column_with_a_value_kept_aside_that_value_counts() {
    for declared in ["TEXT", "", "DATETIME", "INTEGER", "REAL"] {
        for (base, there, wins) in [
            (
                json!("2024-05-06T10:00:00Z"),
                json!("2024-05-06T11:00:00+02:00"),
                true,
            ),
            (
                json!("2024-05-06T10:00:00Z"),
                json!("2024-05-06T11:00:00Z"),
                false,
            ),
            (json!(1_714_989_600), json!("2024-05-06T09:59:59Z"), true),
            (json!("1714989600"), json!("1714989599"), true),
        ] {
            let server = Canned::start();
            let schema = format!(
                "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, name TEXT, updated_at {declared})"
            );
            let device = Device::with(&schema, &["t"], &server.url());
            let row = |name: &str, at| json!({"id": "a", "name": name, "updated_at": at});
            server.changes(json!({"t": {"created": [row("old", &base)]}}));
            device.synced();
            device.ask("SELECT sync_resolver('t', 'lastWriteWins')");
            device.exec("UPDATE t SET name = 'here'");
            server.changes(json!({"t": {"updated": [row("there", &there)]}}));
            device.synced();
            let won = device.ask("SELECT name FROM t") == "here";
            assert_eq!(won, wins, "{declared} {base} {there}");
        }
    }
}

#[test]
fn v8_whole_reals_are_integers_wherever_one_is_meant() {
    let world = World::new(false);
    let db = world.ready();
    ask(&db, r#"SELECT sync_entities('i', 'host', '["a"]')"#);
    let id = ask(&db, "SELECT id FROM _syncStatus LIMIT 1");
    assert_eq!(
        ask(&db, &format!("SELECT sync_set_status({id}.0, 'synced')")),
        "1"
    );
    assert_eq!(ask(&db, "SELECT sync_is_stale('host', 5.0)").len(), 1);
    assert_eq!(ask(&db, &format!("SELECT sync_delete_status({id}.0)")), "1");
    let said = refused(&db, "SELECT sync_is_stale('host', 5.5)");
    assert!(said.contains("must be an integer, not 5.5"), "{said}");
    assert!(refused(&db, "SELECT sync_is_stale('host', 1e300)").contains("integer"));
}
