//! A provider that is declared anew with another origin, other parameters or another unit of cursors.

use serde_json::{Value, json};
use support::{Canned, Device, query};

const TABLE: &str = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, s TEXT)";

fn config(url: &str, more: &Value) -> String {
    let mut config = json!({"kind": "watermelon", "url": url, "attempts": 1});
    for (key, value) in more.as_object().expect("an object") {
        config[key] = value.clone();
    }
    config.to_string().replace('\'', "''")
}

fn declare(url: &str, more: &Value, options: &str) -> String {
    format!(
        "SELECT sync_provider('api', '{}', '{options}')",
        config(url, more)
    )
}

fn changes(server: &Canned, other: &Canned) -> Vec<(String, Value)> {
    vec![
        (other.url(), json!({})),
        (server.url() + "?account=7", json!({})),
        (server.url(), json!({"params": {"account": 7}})),
        (server.url(), json!({"cursorUnit": "s"})),
        (server.url(), json!({"preset": "seconds"})),
    ]
}

#[test]
fn z2_a_change_of_place_is_refused_while_a_cursor_stands_or_rows_wait() {
    let (server, other) = (Canned::start(), Canned::start());
    for (url, more) in changes(&server, &other) {
        for before in ["cursor", "pending"] {
            let device = Device::with(TABLE, &["t"], &server.url());
            device.synced();
            if before == "pending" {
                device.exec("INSERT INTO t VALUES ('a', 'x'); DELETE FROM _syncCursor");
            }
            let error = device.refused(&declare(&url, &more, "{}"));
            assert!(
                error.contains("keepCursor") && error.contains("reset"),
                "{before} {more}: {error}"
            );
            let kept = device.ask("SELECT config FROM _syncProvider");
            assert!(
                kept.contains(&server.url()) && !kept.contains("account"),
                "{kept}"
            );
            device.ask(&declare(&url, &more, r#"{"keepCursor":true}"#));
            let cursors = device.ask("SELECT count(*) FROM _syncCursor");
            assert_eq!(cursors, if before == "cursor" { "1" } else { "0" });
        }
    }
}

#[test]
fn z2_other_changes_and_fresh_providers_are_free() {
    let (server, other) = (Canned::start(), Canned::start());
    let device = Device::with(TABLE, &["t"], &server.url());
    // Nothing was pulled yet.
    device.ask(&declare(&other.url(), &json!({}), "{}"));
    device.ask(&declare(&server.url(), &json!({}), "{}"));
    device.synced();
    for more in [
        json!({}),
        json!({"timeoutMs": 5000}),
        json!({"pushBatch": 5, "headers": {"X-A": "b"}}),
    ] {
        device.ask(&declare(&server.url(), &more, "{}"));
    }
    device.ask(&declare(&(server.origin() + "/v2/sync"), &json!({}), "{}"));
    let both = declare(
        &server.url(),
        &json!({}),
        r#"{"keepCursor":true,"reset":true}"#,
    );
    assert!(device.refused(&both).contains("one of them"));
}

#[test]
fn z2_a_reset_forgets_cursors_and_journal_and_keeps_what_waits() {
    for in_config in [true, false] {
        let (server, other) = (Canned::start(), Canned::start());
        let device = Device::with(TABLE, &["t"], &server.url());
        server.changes(json!({"t": {"created": [{"id": "b", "s": "x"}]}}));
        device.exec("INSERT INTO t VALUES ('a', 'x')");
        device.synced();
        device.exec("UPDATE t SET s = 'edited' WHERE id = 'a'; DELETE FROM t WHERE id = 'b'");
        let pending = device.pending();
        match in_config {
            true => device.ask(&declare(&other.url(), &json!({"reset": true}), "{}")),
            false => device.ask(&declare(&other.url(), &json!({}), r#"{"reset":true}"#)),
        };
        assert!(
            !device
                .ask("SELECT config FROM _syncProvider")
                .contains("reset")
        );
        assert_eq!(
            device.ask(
                "SELECT (SELECT count(*) FROM _syncCursor), (SELECT count(*) FROM _syncPush), \
                 (SELECT count(*) FROM _syncOutbox)"
            ),
            "0|0|0"
        );
        assert_eq!(device.pending(), pending);
        // The other server has both rows: the delete and the edit hold.
        let rows = json!([{"id": "a", "s": "x"}, {"id": "b", "s": "x"}]);
        other.changes(json!({"t": {"created": rows}}));
        device.synced();
        let seen = other.seen();
        assert_eq!(
            query(&seen[0].path, "last_pulled_at").as_deref(),
            Some("null")
        );
        assert_eq!(device.ask("SELECT id, s FROM t"), "a|edited");
        assert_eq!(other.pushed()[0]["t"]["deleted"], json!(["b"]));
    }
}
