//! Counted keys and references that the server was sent before what they refer to.

use serde_json::{Value, json};
use support::{Canned, Device, everywhere, json_answer};

use super::pull;

const DDL: &str = "CREATE TABLE o (id INTEGER PRIMARY KEY, x TEXT UNIQUE);
    CREATE TABLE k (id TEXT PRIMARY KEY NOT NULL, o INTEGER REFERENCES o (id) ON DELETE CASCADE, x TEXT);";
const TRIGGER: &str = "CREATE TRIGGER noise AFTER UPDATE ON k BEGIN SELECT 1; END;";

/// A row of `k` is there, and the one that it refers to is not.
fn sent_alone(server: &Canned, more: &str, how: &str, clash: &str) -> Device {
    let options = json!({"idAs": "number", "onClash": {"o": clash}});
    let device = Device::configured(&format!("{DDL}{more}"), &["o", "k"], &server.url(), options);
    device.exec("INSERT INTO o VALUES (1, 'mine'); INSERT INTO k VALUES ('kb', 1, 'mine')");
    match how {
        "alone" => drop(device.sync_only(&["k"])),
        _ => {
            server.push_raw(|_| json_answer(r#"{"experimentalRejectedIds":{"o":[1]}}"#));
            device.synced();
        }
    }
    let sent = server.pushed();
    assert_eq!(sent[0]["k"]["created"][0]["o"], 1, "{sent:?}");
    device
}

fn sent(server: &Canned, table: &str, kind: &str) -> Vec<Value> {
    let pushes = server.pushed();
    let rows = pushes.iter().flat_map(|push| push[table][kind].as_array());
    rows.flatten().cloned().collect()
}

#[test]
fn t3_a_reference_that_was_sent_before_follows() {
    everywhere(|settings| {
        for (how, more) in [
            ("alone", ""),
            ("rejected", TRIGGER),
            ("alone", TRIGGER),
            ("rejected", ""),
        ] {
            for waits in [0, 4] {
                // Tables with cursors of their own are asked for one by one.
                let ways = &[false, true][..if how == "alone" { 1 } else { 2 }];
                for together in ways.iter().copied() {
                    let server = Canned::start();
                    let device = sent_alone(&server, more, how, "hold");
                    let context = format!("{how} {more} {waits} {together} {settings}");
                    for _ in 0..waits {
                        // It waits for long, and something else of that table goes up meanwhile.
                        server.reset();
                        if how == "rejected" {
                            server.push_raw(|_| {
                                json_answer(r#"{"experimentalRejectedIds":{"o":[1]}}"#)
                            });
                            device.synced();
                        } else {
                            device.sync_only(&["k"]);
                        }
                        device
                            .exec("INSERT INTO k SELECT 'more ' || count(*), NULL, 'more' FROM k");
                    }
                    server.push_raw(|_| json_answer("{}"));
                    let mut changes = json!({"o": {"created": [{"id": 1, "x": "theirs"}]}});
                    if together {
                        changes["k"] = json!({"created": [{"id": "ka", "o": 1, "x": "theirs"}]});
                        pull(&server, changes);
                        device.synced();
                    } else {
                        pull(&server, changes);
                        device.sync_only(&["o"]);
                        pull(
                            &server,
                            json!({"k": {"created": [{"id": "ka", "o": 1, "x": "theirs"}]}}),
                        );
                        device.synced();
                    }
                    assert_eq!(
                        device.ask("SELECT id, x FROM o"),
                        "1|theirs\n2|mine",
                        "{context}"
                    );
                    assert_eq!(
                        device.ask("SELECT id, o FROM k WHERE o > 0 ORDER BY id"),
                        "ka|1\nkb|2",
                        "{context}"
                    );
                    let updated = sent(&server, "k", "updated");
                    let row = json!({"id": "kb", "o": 2, "x": "mine", "_status": "updated", "_changed": "o"});
                    assert_eq!(updated, [row], "{context}");
                    assert_eq!(device.pending(), "", "{context}");
                    // What is in the journal goes in the end.
                    for _ in 0..3 {
                        server.reset();
                        device.synced();
                    }
                    assert_eq!(
                        device.ask("SELECT count(*) FROM _syncOutbox"),
                        "0",
                        "{context}"
                    );
                    assert_eq!(device.log(), "0", "{context}");
                }
            }
        }
    });
}

/// What was sent and has changed there since means what the server says.
#[test]
fn t3_a_reference_that_the_server_has_set_stays() {
    everywhere(|settings| {
        let server = Canned::start();
        let device = sent_alone(&server, "", "alone", "hold");
        device.exec("INSERT INTO o VALUES (7, 'seven'); UPDATE k SET o = 7");
        device.sync_only(&["k"]);
        pull(
            &server,
            json!({"k": {"updated": [{"id": "kb", "o": 1, "x": "theirs"}]}}),
        );
        device.sync_only(&["k"]);
        pull(
            &server,
            json!({"o": {"created": [{"id": 1, "x": "theirs"}]}}),
        );
        device.synced();
        assert_eq!(device.ask("SELECT id, o FROM k"), "kb|1", "{settings}");
        assert_eq!(
            device.ask("SELECT id, x FROM o"),
            "1|theirs\n7|seven\n8|mine",
            "{settings}"
        );
    });
}

/// What the row here was sent as is that of another row, and the row here another one's.
#[test]
fn h6_a_reference_that_was_sent_before_follows_a_row_that_makes_room() {
    everywhere(|settings| {
        for (how, clash) in [("alone", "adopt"), ("rejected", "serverWins")] {
            let server = Canned::start();
            let device = sent_alone(&server, "", how, clash);
            let context = format!("{how} {clash} {settings}");
            server.push_raw(|_| json_answer("{}"));
            pull(
                &server,
                json!({"o": {"created": [{"id": 1, "x": "theirs"}, {"id": 5, "x": "mine"}]}}),
            );
            device.synced();
            assert_eq!(
                device.ask("SELECT id, x FROM o"),
                "1|theirs\n5|mine",
                "{context}"
            );
            assert_eq!(device.ask("SELECT id, o FROM k"), "kb|5", "{context}");
            assert_eq!(sent(&server, "k", "updated")[0]["o"], 5, "{context}");
            assert_eq!(device.pending(), "", "{context}");
        }
    });
}
