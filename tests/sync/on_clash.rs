//! Which rows of the backend `onClash` is about.

use serde_json::json;
use support::{Canned, Device};

use super::pull;

/// A row made here can become one that comes, not one that is here already.
#[test]
fn h6_a_row_that_was_here_before_and_is_renamed_there_is_held_whatever_on_clash_says() {
    for on_clash in ["hold", "adopt", "serverWins"] {
        let server = Canned::start();
        let ddl = "CREATE TABLE tag (id TEXT PRIMARY KEY NOT NULL, name TEXT UNIQUE);
            CREATE TABLE of (id TEXT PRIMARY KEY NOT NULL, tag TEXT REFERENCES tag);";
        let keys = json!({"onClash": {"tag": on_clash}});
        let device = Device::configured(ddl, &["tag", "of"], &server.url(), keys);
        pull(
            &server,
            json!({"tag": {"created": [{"id": "there", "name": "old"}]}, "of": {"created": [{"id": "o", "tag": "there"}]}}),
        );
        device.synced();
        device.exec("INSERT INTO tag VALUES ('mine', 'new'); INSERT INTO of VALUES ('p', 'mine')");
        pull(
            &server,
            json!({"tag": {"updated": [{"id": "there", "name": "new"}]}}),
        );
        device.synced();
        assert_eq!(
            device.ask("SELECT * FROM tag UNION ALL SELECT * FROM of"),
            "there|old\nmine|new\no|there\np|mine",
            "{on_clash}"
        );
        assert_eq!(
            device.ask("SELECT key, reason, clashesWith FROM sync_held"),
            "there|unique|mine",
            "{on_clash}"
        );
        // It comes when the name is free.
        device.exec("UPDATE tag SET name = 'newer' WHERE id = 'mine'");
        device.synced();
        let rows = "SELECT * FROM tag ORDER BY id";
        assert_eq!(device.ask(rows), "mine|newer\nthere|new", "{on_clash}");
    }
}

/// A row made here that the backend turned out to have too isn't one that can become another, refused or not.
#[test]
fn h6_a_row_made_here_that_the_server_has_too_makes_no_room_for_another() {
    for on_clash in ["hold", "adopt", "serverWins"] {
        let server = Canned::start();
        let ddl = "CREATE TABLE tag (id TEXT PRIMARY KEY NOT NULL, name TEXT UNIQUE)";
        let keys = json!({"onClash": {"tag": on_clash}});
        let device = Device::configured(ddl, &["tag"], &server.url(), keys);
        device.ask("SELECT sync_resolver('tag', 'clientWins')");
        device.exec("INSERT INTO tag VALUES ('both', 'taken')");
        pull(
            &server,
            json!({"tag": {"created": [{"id": "both", "name": "there"}]}}),
        );
        device.ask("SELECT sync_download_once('api')");
        let waits = "SELECT key, op FROM sync_pending";
        assert_eq!(device.ask(waits), "both|created", "{on_clash}");
        pull(
            &server,
            json!({"tag": {"created": [{"id": "other", "name": "taken"}]}}),
        );
        device.ask("SELECT sync_download_once('api')");
        let rows = "SELECT * FROM tag ORDER BY id";
        assert_eq!(device.ask(rows), "both|taken", "{on_clash}");
        let held = "SELECT key, reason, clashesWith FROM sync_held";
        assert_eq!(device.ask(held), "other|unique|both", "{on_clash}");
        device.exec("UPDATE tag SET name = 'free' WHERE id = 'both'");
        device.synced();
        assert_eq!(device.ask(rows), "both|free\nother|taken", "{on_clash}");
    }
}
