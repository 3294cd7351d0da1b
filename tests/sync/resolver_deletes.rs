//! A resolver that lets a row go takes others with it, by a foreign key: what was edited in these is kept.

use serde_json::json;
use support::{Canned, Device};

#[test]
fn an_edited_row_that_goes_with_one_a_resolver_lets_go_is_kept_as_a_conflict() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL, name TEXT);
         CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT,
                            list TEXT REFERENCES list (id) ON DELETE CASCADE);",
        &["list", "task"],
        &server.url(),
    );
    device.exec("PRAGMA foreign_keys = ON");
    server.changes(json!({
        "list": {"created": [{"id": "l", "name": "n"}]},
        "task": {"created": [{"id": "t", "title": "x", "list": "l"}, {"id": "u", "title": "x", "list": "l"}]},
    }));
    device.synced();
    device.exec("UPDATE task SET title = 'mine' WHERE id = 't'");
    device.ask(
        "SELECT sync_resolver('list', 'sql4', 'json_set(:resolved, ''$._status'', ''deleted'')')",
    );
    server.changes(json!({"list": {"updated": [{"id": "l", "name": "m"}]}}));
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM list"), "0");
    assert_eq!(
        device.ask("SELECT entity, rowKey, kind, local ->> 'title' FROM sync_conflict"),
        "task|t|deletedRemotely|mine"
    );
}
