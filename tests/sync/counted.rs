//! Counted keys: rows made on two devices with the same number are different rows.

use serde_json::{Value, json};
use support::{Canned, Device, all_settings, json_answer};

use super::pull;

/// Notes in a tree with lines, and a table that is not synced.
fn schema(counted: &str) -> String {
    format!(
        "CREATE TABLE note (id INTEGER PRIMARY KEY {counted}, x TEXT, above INTEGER REFERENCES note (id));
         CREATE TABLE line (id TEXT PRIMARY KEY NOT NULL, note INTEGER REFERENCES note (id), y TEXT);
         CREATE TABLE draft (note INTEGER REFERENCES note (id));"
    )
}

fn with_action(counted: &str, action: &str) -> String {
    schema(counted).replace(
        "REFERENCES note (id)",
        &format!("REFERENCES note (id) {action}"),
    )
}

fn device(server: &Canned, ddl: &str) -> Device {
    let keys = json!({"idAs": "number"});
    Device::configured(ddl, &["note", "line"], &server.url(), keys)
}

#[test]
fn t3_a_row_made_here_gives_its_number_to_that_of_the_server() {
    for pragma in all_settings() {
        for counted in ["", "AUTOINCREMENT"] {
            // A trigger of the application keeps triggers on while rows are applied.
            // So does an action of a foreign key, which would take the server's rows along.
            let noise = "CREATE TRIGGER noise AFTER INSERT ON line BEGIN SELECT 1; END;";
            for (trigger, action) in [
                ("", ""),
                (noise, ""),
                ("", "ON UPDATE CASCADE"),
                (noise, "ON UPDATE SET NULL"),
            ] {
                let server = Canned::start();
                let device = device(&server, &(with_action(counted, action) + trigger));
                device.exec(&pragma);
                device.exec(
                    "INSERT INTO note VALUES (1, 'here', NULL), (2, 'below here', 1), (7, 'free', 1);
                     INSERT INTO line VALUES ('l', 1, 'mine'); INSERT INTO draft VALUES (1), (7)",
                );
                pull(
                    &server,
                    json!({"line": {"created": [{"id": "m", "note": 1, "y": "theirs"}]},
                        "note": {"created": [{"id": 1, "x": "there", "above": null},
                            {"id": 2, "x": "below there", "above": 1}, {"id": 9, "x": "nine", "above": 2}]}}),
                );
                let answer = device.synced();
                assert_eq!(answer["conflicts"], 2, "{answer}");
                assert_eq!(
                    device.ask("SELECT id, x, above FROM note ORDER BY id"),
                    "1|there|NULL\n2|below there|1\n7|free|10\n9|nine|2\n10|here|NULL\n11|below here|10",
                    "{pragma} {counted} {trigger} {action}"
                );
                assert_eq!(
                    device.ask("SELECT id, note FROM line ORDER BY id"),
                    "l|10\nm|1"
                );
                assert_eq!(device.ask("SELECT note FROM draft ORDER BY 1"), "7\n10");
                let push = &server.pushed()[0];
                let created: Vec<(i64, &Value)> = push["note"]["created"]
                    .as_array()
                    .expect("rows")
                    .iter()
                    .map(|row| (row["id"].as_i64().expect("an id"), &row["above"]))
                    .collect();
                assert_eq!(
                    created,
                    [(10, &Value::Null), (11, &json!(10)), (7, &json!(10))]
                );
                assert_eq!(push["line"]["created"][0]["note"], 10);
                assert_eq!(
                    (device.pending(), device.log()),
                    (String::new(), "0".into())
                );
                assert_eq!(
                    device.ask(
                        "SELECT rowKey, kind, local ->> 'x', remote ->> 'x', resolved ->> 'id' \
                         FROM sync_conflict ORDER BY id"
                    ),
                    "1|rekeyed|here|there|10\n2|rekeyed|below here|below there|11"
                );
                assert_eq!(device.ask("PRAGMA foreign_key_check"), "");
            }
        }
    }
}

#[test]
fn t3_a_row_that_comes_back_as_it_was_pushed_is_the_same() {
    let server = Canned::start();
    let device = device(&server, &schema(""));
    // A lost answer.
    device.exec("INSERT INTO note VALUES (1, 'mine', NULL)");
    server.push_raw(|_| Vec::new());
    device.failed();
    pull(
        &server,
        json!({"note": {"created": [{"id": 1, "x": "mine", "above": null}]}}),
    );
    device.synced();
    assert_eq!(
        (device.ask("SELECT id FROM note"), device.pending()),
        ("1".into(), String::new())
    );
    // Acknowledged, and edited since: it is known, and its edit goes up.
    device.exec("UPDATE note SET x = 'edited'");
    pull(
        &server,
        json!({"note": {"created": [{"id": 1, "x": "mine", "above": null}]}}),
    );
    device.synced();
    assert_eq!(device.ask("SELECT id, x FROM note"), "1|edited");
    assert_eq!(server.pushed()[0]["note"]["updated"][0]["x"], "edited");
    assert_eq!(device.ask("SELECT count(*) FROM sync_conflict"), "0");
}

#[test]
fn t3_after_a_lost_answer_another_row_of_the_number_is_another_row() {
    let server = Canned::start();
    let device = device(&server, &schema(""));
    device.exec("INSERT INTO note VALUES (1, 'mine', NULL)");
    server.push_raw(|_| Vec::new());
    device.failed();
    pull(
        &server,
        json!({"note": {"created": [{"id": 1, "x": "theirs", "above": null}]}}),
    );
    device.synced();
    assert_eq!(device.ask("SELECT id, x FROM note"), "1|theirs\n2|mine");
    assert_eq!(server.pushed()[0]["note"]["created"][0]["id"], 2);
    // Deleted here after a lost answer: the other device's row is not deleted for that.
    device.exec("INSERT INTO note VALUES (5, 'gone', NULL)");
    server.reset();
    server.push_raw(|_| Vec::new());
    device.failed();
    device.exec("DELETE FROM note WHERE id = 5");
    pull(
        &server,
        json!({"note": {"created": [{"id": 5, "x": "theirs", "above": null}]}}),
    );
    device.synced();
    assert_eq!(device.ask("SELECT x FROM note WHERE id = 5"), "theirs");
    assert!(server.pushed().is_empty());
}

#[test]
fn t3_a_remote_delete_of_the_number_is_not_about_the_row_made_here() {
    let server = Canned::start();
    let device = device(&server, &schema(""));
    device.exec("INSERT INTO note VALUES (1, 'mine', NULL)");
    pull(&server, json!({"note": {"deleted": ["1"]}}));
    device.synced();
    assert_eq!(device.ask("SELECT x FROM note"), "mine");
    assert_eq!(server.pushed()[0]["note"]["created"][0]["id"], 1);
}

#[test]
fn t3_the_last_word_of_an_answer_about_a_number_counts() {
    let server = Canned::start();
    let device = device(&server, &schema(""));
    device.exec("INSERT INTO note VALUES (1, 'mine', NULL), (2, 'mine too', NULL)");
    server.reset();
    server.pull(
        r#"{"changes":{"note":{"created":[{"id":1,"x":"a"},{"id":1,"x":"b"},{"id":2,"x":"c"}],"deleted":["2"]}},"timestamp":9000000}"#,
    );
    device.synced();
    assert_eq!(
        device.ask("SELECT id, x FROM note ORDER BY id"),
        "1|b\n2|mine too\n3|mine"
    );
}

#[test]
fn t3_the_same_number_can_mean_the_same_row() {
    let server = Canned::start();
    let device = device(&server, &schema(""));
    device.ask(r#"SELECT sync_track('note', '{"counted":"same"}')"#);
    device.exec("INSERT INTO note VALUES (1, 'mine', NULL)");
    pull(
        &server,
        json!({"note": {"created": [{"id": 1, "x": "theirs", "above": null}]}}),
    );
    device.synced();
    assert_eq!(device.ask("SELECT id, x FROM note"), "1|theirs");
}

#[test]
fn t3_a_number_that_was_rejected_is_free_again() {
    let server = Canned::start();
    let device = device(&server, &schema("AUTOINCREMENT"));
    device.exec("INSERT INTO note (x) VALUES ('mine')");
    server.push_raw(|_| json_answer(r#"{"experimentalRejectedIds":{"note":[1]}}"#));
    device.synced();
    pull(
        &server,
        json!({"note": {"created": [{"id": 1, "x": "theirs", "above": null}]}}),
    );
    device.synced();
    assert_eq!(device.ask("SELECT id, x FROM note"), "1|theirs\n2|mine");
    assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");
    // Numbers that are given from now on are above.
    device.exec("INSERT INTO note (x) VALUES ('next')");
    assert_eq!(device.ask("SELECT max(id) FROM note"), "3");
}

#[test]
fn t3_tracking_a_table_with_a_counted_key_warns() {
    let server = Canned::start();
    let device = device(&server, &schema(""));
    let warned = device.ask("SELECT sync_track('note')");
    assert!(
        warned.contains("counted") && warned.contains("rekey") && warned.contains("UUID"),
        "{warned}"
    );
    let said = device.ask(r#"SELECT sync_track('note', '{"counted":"rekey"}')"#);
    assert!(!said.contains("countedKey"), "{said}");
    let text = device.ask("SELECT sync_track('line')");
    assert!(!text.contains("countedKey"), "{text}");
}
