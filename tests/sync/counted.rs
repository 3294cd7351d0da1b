//! Counted keys: rows made on two devices with the same number are different rows.

use serde_json::{Value, json};
use support::{Canned, Device, all_settings, everywhere, json_answer};

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
                ("", "ON UPDATE RESTRICT"),
                (noise, "ON UPDATE RESTRICT ON DELETE RESTRICT"),
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

/// What was pulled of two notes, and is here.
fn with_two_notes(settings: &str) -> (Canned, Device) {
    let server = Canned::start();
    let device = device(&server, &schema(""));
    device.exec(settings);
    let notes = json!([{"id": 1, "x": "one", "above": null}, {"id": 2, "x": "old", "above": null}]);
    pull(&server, json!({"note": {"created": notes}}));
    device.synced();
    server.clear();
    (server, device)
}

const NOTES: &str = "SELECT id, x FROM note ORDER BY id";

#[test]
fn t3_a_number_that_sqlite_gave_again_is_that_of_the_row_edited_there() {
    for settings in all_settings() {
        let (server, device) = with_two_notes(&settings);
        device.exec(
            "DELETE FROM note WHERE id = 2; INSERT INTO note (x) VALUES ('new');
             INSERT INTO line VALUES ('l', 2, 'mine'); INSERT INTO draft VALUES (2)",
        );
        pull(
            &server,
            json!({"note": {"updated": [{"id": 2, "x": "edited", "above": null}]},
                "line": {"created": [{"id": "m", "note": 2, "y": "theirs"}]}}),
        );
        device.synced();
        assert_eq!(device.ask(NOTES), "1|one\n2|edited\n3|new", "{settings}");
        assert_eq!(
            device.ask("SELECT id, note FROM line ORDER BY id"),
            "l|3\nm|2"
        );
        assert_eq!(device.ask("SELECT note FROM draft"), "3");
        let push = &server.pushed()[0];
        assert_eq!(push["note"]["created"][0]["id"], 3, "{push}");
        assert_eq!(
            (&push["note"]["updated"], &push["note"]["deleted"]),
            (&json!([]), &json!([])),
            "{push}"
        );
        assert_eq!(push["line"]["created"][0]["note"], 3);
        assert_eq!(
            device.ask("SELECT rowKey, kind, local ->> 'x', remote ->> 'x', resolved ->> 'id' FROM sync_conflict"),
            "2|rekeyed|new|edited|3"
        );
        assert_eq!(
            (device.pending(), device.log()),
            (String::new(), "0".into())
        );
    }
}

#[test]
fn t3_a_number_used_again_is_the_same_row_while_nobody_has_edited_it() {
    let again = "DELETE FROM note WHERE id = 2; INSERT INTO note (x) VALUES ('new')";
    let replaced = "INSERT OR REPLACE INTO note (id, x) VALUES (2, 'new')";
    let old = json!({"id": 2, "x": "old", "above": null});
    let edited = json!({"id": 2, "x": "edited", "above": null});
    for (made, forgotten, comes) in [
        (again, "", json!({})),
        (
            again,
            "DELETE FROM _syncCursor",
            json!({"note": {"created": [old]}}),
        ),
        (replaced, "", json!({"note": {"updated": [edited]}})),
    ] {
        let (server, device) = with_two_notes("");
        device.exec(made);
        device.exec(forgotten);
        pull(&server, comes);
        device.synced();
        assert_eq!(device.ask(NOTES), "1|one\n2|new", "{made}");
        let push = &server.pushed()[0];
        assert_eq!(push["note"]["updated"][0]["id"], 2, "{push}");
        assert_eq!(device.pending(), "");
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

/// What the application keeps by the number of a row: an index of words, and how many lines a note has.
fn derived(of: &str) -> String {
    format!(
        "CREATE VIRTUAL TABLE words USING fts5 (x, content='note', content_rowid='id');
         CREATE TRIGGER words_in AFTER INSERT ON note BEGIN
           INSERT INTO words (rowid, x) VALUES (new.id, new.x); END;
         CREATE TRIGGER words_out AFTER DELETE ON note BEGIN
           INSERT INTO words (words, rowid, x) VALUES ('delete', old.id, old.x); END;
         CREATE TRIGGER words_new AFTER UPDATE {of} ON note BEGIN
           INSERT INTO words (words, rowid, x) VALUES ('delete', old.id, old.x);
           INSERT INTO words (rowid, x) VALUES (new.id, new.x); END;
         CREATE TABLE lines (note INTEGER PRIMARY KEY, n INTEGER);
         CREATE TRIGGER lines_in AFTER INSERT ON line BEGIN
           INSERT INTO lines VALUES (new.note, 1) ON CONFLICT DO UPDATE SET n = n + 1; END;
         CREATE TRIGGER lines_new AFTER UPDATE OF note ON line BEGIN
           UPDATE lines SET n = n - 1 WHERE note = old.note;
           INSERT INTO lines VALUES (new.note, 1) ON CONFLICT DO UPDATE SET n = n + 1; END;"
    )
}

/// The words are those of the notes, and the counts those of the lines.
fn assert_derived(device: &Device, context: &str) {
    device.exec("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)");
    let counts = "SELECT note, n FROM lines WHERE n > 0 EXCEPT SELECT note, count(*) FROM line GROUP BY note";
    assert_eq!(device.ask(counts), "", "{context}");
    let counts = "SELECT note, count(*) FROM line GROUP BY note EXCEPT SELECT note, n FROM lines";
    assert_eq!(device.ask(counts), "", "{context}");
}

#[test]
fn t3_what_triggers_keep_by_the_number_follows() {
    everywhere(|settings| {
        for (of, action) in [
            ("", ""),
            ("OF x", "ON UPDATE CASCADE"),
            ("OF x, above", "ON UPDATE RESTRICT"),
        ] {
            let server = Canned::start();
            let device = device(&server, &(with_action("", action) + &derived(of)));
            let context = format!("{of} {action} {settings}");
            device.exec(
                "INSERT INTO note VALUES (1, 'here', NULL), (2, 'below here', 1);
                 INSERT INTO line VALUES ('l', 1, 'mine'), ('k', 2, 'mine')",
            );
            pull(
                &server,
                json!({"line": {"created": [{"id": "m", "note": 1, "y": "theirs"}]},
                    "note": {"created": [{"id": 1, "x": "there", "above": null}]}}),
            );
            device.synced();
            assert_eq!(
                device.ask("SELECT id, x, above FROM note ORDER BY id"),
                "1|there|NULL\n2|below here|3\n3|here|NULL",
                "{context}"
            );
            assert_eq!(
                device.ask("SELECT id, note FROM line ORDER BY id"),
                "k|2\nl|3\nm|1",
                "{context}"
            );
            assert_derived(&device, &context);
            assert_eq!(
                (device.pending(), device.log()),
                (String::new(), "0".into()),
                "{context}"
            );
        }
    });
}

/// A trigger that stamps rows, and one that forbids what is done.
#[test]
fn t3_a_row_keeps_what_it_holds_whatever_triggers_say_of_its_new_number() {
    everywhere(|settings| {
        for trigger in [
            "CREATE TRIGGER stamp AFTER UPDATE ON note WHEN new.x IS NOT 'stamped' BEGIN UPDATE note SET x = 'stamped' WHERE id = new.id; END",
            "CREATE TRIGGER never BEFORE UPDATE OF id ON note BEGIN SELECT RAISE(ABORT, 'never'); END",
            "CREATE TRIGGER never AFTER UPDATE OF id ON note BEGIN SELECT RAISE(FAIL, 'never'); END",
        ] {
            let server = Canned::start();
            let device = device(&server, &(schema("") + trigger));
            device.exec("INSERT INTO note VALUES (1, 'here', NULL)");
            pull(
                &server,
                json!({"note": {"created": [{"id": 1, "x": "there", "above": null}]}}),
            );
            device.synced();
            assert_eq!(
                device.ask("SELECT id, x FROM note ORDER BY id"),
                "1|there\n2|here",
                "{trigger} {settings}"
            );
            assert_eq!(device.pending(), "", "{trigger} {settings}");
        }
    });
}

/// Rows of other tables that a trigger writes meanwhile are edits.
#[test]
fn t3_what_triggers_write_elsewhere_for_a_new_number_is_sent() {
    let server = Canned::start();
    let ddl = "CREATE TABLE note (id INTEGER PRIMARY KEY, x TEXT);
        CREATE TABLE pin (id TEXT PRIMARY KEY NOT NULL, note INTEGER);
        CREATE TRIGGER pinned AFTER UPDATE OF id ON note BEGIN UPDATE pin SET note = new.id WHERE note = old.id; END";
    let keys = json!({"idAs": "number"});
    let device = Device::configured(ddl, &["note", "pin"], &server.url(), keys);
    pull(
        &server,
        json!({"pin": {"created": [{"id": "p", "note": 0}]}}),
    );
    device.synced();
    device.exec("INSERT INTO note VALUES (1, 'here'); UPDATE pin SET note = 1");
    pull(
        &server,
        json!({"note": {"created": [{"id": 1, "x": "there"}]}}),
    );
    device.synced();
    let body = &server.pushed()[0];
    assert_eq!(body["pin"]["updated"][0]["note"], 2, "{body}");
    assert_eq!(body["note"]["created"][0]["id"], 2, "{body}");
    assert_eq!(device.pending(), "");
}

/// The server's row has another number, and the same UNIQUE value.
#[test]
fn t3_what_triggers_keep_by_the_number_follows_an_adopted_row() {
    everywhere(|settings| {
        let server = Canned::start();
        let ddl = schema("") + &derived("OF x") + "; CREATE UNIQUE INDEX one ON note (x)";
        let keys = json!({"idAs": "number", "onClash": {"note": "adopt"}});
        let device = Device::configured(&ddl, &["note", "line"], &server.url(), keys);
        device.exec(
            "INSERT INTO note VALUES (1, 'same', NULL); INSERT INTO line VALUES ('l', 1, 'mine')",
        );
        pull(
            &server,
            json!({"note": {"created": [{"id": 5, "x": "same", "above": null}]}}),
        );
        device.synced();
        assert_eq!(device.ask("SELECT id, x FROM note"), "5|same", "{settings}");
        assert_eq!(device.ask("SELECT id, note FROM line"), "l|5", "{settings}");
        assert_derived(&device, settings);
        assert_eq!(device.pending(), "", "{settings}");
    });
}

#[test]
fn t3_what_the_server_says_of_a_row_that_was_made_here_too_is_not_rewritten() {
    let server = Canned::start();
    let device = device(&server, &schema(""));
    device.exec(
        "INSERT INTO note VALUES (1, 'mine', NULL); INSERT INTO line VALUES ('l', 1, 'mine');
         INSERT INTO line VALUES ('m', 1, 'mine'); DELETE FROM line WHERE id = 'l';
         INSERT INTO line VALUES ('both', NULL, 'mine')",
    );
    pull(
        &server,
        json!({"line": {"created": [{"id": "both", "note": 1, "y": "theirs"},
            {"id": "l", "note": 1, "y": "theirs"}]},
            "note": {"created": [{"id": 1, "x": "theirs", "above": null}]}}),
    );
    device.synced();
    assert_eq!(
        device.ask("SELECT id, note, y FROM line ORDER BY id"),
        "both|1|theirs\nl|1|theirs\nm|2|mine"
    );
    assert_eq!(device.ask("SELECT id, x FROM note"), "1|theirs\n2|mine");
    let push = &server.pushed()[0];
    assert_eq!(push["line"]["updated"], json!([]), "{push}");
}

/// SQLite compares a reference by the type of the key: the text `1` refers to the number 1.
#[test]
fn t3_references_of_another_type_follow() {
    for pragma in all_settings() {
        for declared in ["TEXT", "", "REAL"] {
            for action in ["ON UPDATE CASCADE", "ON UPDATE RESTRICT"] {
                let ddl = format!(
                    "CREATE TABLE note (id INTEGER PRIMARY KEY, x TEXT UNIQUE);
                     CREATE TABLE line (id TEXT PRIMARY KEY NOT NULL, note {declared} REFERENCES note (id) {action});
                     CREATE TABLE draft (note {declared} REFERENCES note (id) {action})"
                );
                for (clash, options) in [
                    (false, json!({"idAs": "number"})),
                    (
                        true,
                        json!({"idAs": "number", "onClash": {"note": "adopt"}}),
                    ),
                    (
                        true,
                        json!({"idAs": "number", "onClash": {"note": "serverWins"}}),
                    ),
                ] {
                    let server = Canned::start();
                    let device =
                        Device::configured(&ddl, &["note", "line"], &server.url(), options);
                    let context = format!("{pragma} {declared} {action} {clash}");
                    device.exec(&pragma);
                    device.exec(
                        "INSERT INTO note VALUES (1, 'same'); INSERT INTO line VALUES ('l', '1'), ('k', 1);
                         INSERT INTO draft VALUES ('1')",
                    );
                    let theirs = match clash {
                        true => json!({"id": 9, "x": "same"}),
                        false => json!({"id": 1, "x": "there"}),
                    };
                    let note = match declared {
                        "REAL" => theirs["id"].clone(),
                        _ => json!(theirs["id"].to_string()),
                    };
                    pull(
                        &server,
                        json!({"note": {"created": [theirs]},
                            "line": {"created": [{"id": "m", "note": note}]}}),
                    );
                    device.synced();
                    let lines = "SELECT group_concat(id || note.x, ',') FROM \
                         (SELECT line.id, note.x FROM line JOIN note ON note.id = +line.note ORDER BY line.id) AS note";
                    let ours = match clash {
                        true => "ksame,lsame,msame",
                        false => "ksame,lsame,mthere",
                    };
                    assert_eq!(device.ask(lines), ours, "{context}");
                    let draft = "SELECT x FROM draft JOIN note ON id = +note";
                    assert_eq!(device.ask(draft), "same", "{context}");
                    assert_eq!(device.ask("PRAGMA foreign_key_check"), "", "{context}");
                    assert_eq!(device.pending(), "", "{context}");
                }
            }
        }
    }
}

/// A row that can't take another number is in the way of one row of the server, and of nothing else.
#[test]
fn h1_a_number_that_can_t_be_given_up_holds_one_row() {
    everywhere(|settings| {
        for (before, after, reason) in [
            (
                "",
                "CREATE TRIGGER fixed BEFORE UPDATE ON note BEGIN SELECT RAISE(ROLLBACK, 'fixed'); END",
                "trigger",
            ),
            (
                "INSERT INTO note VALUES (9223372036854775807, 'last', NULL)",
                "",
                "key",
            ),
        ] {
            let server = Canned::start();
            let device = device(&server, &schema(""));
            device.exec(
                "INSERT INTO note VALUES (1, 'mine', NULL); INSERT INTO line VALUES ('l', 1, 'mine')",
            );
            device.exec(before);
            device.exec(after);
            pull(
                &server,
                json!({"note": {"created": [{"id": 1, "x": "there", "above": null},
                    {"id": 5, "x": "free", "above": null}]},
                    "line": {"created": [{"id": "m", "note": 5, "y": "theirs"}]}}),
            );
            device.synced();
            let context = format!("{settings} {reason}");
            let held = device.ask("SELECT key, op, reason FROM sync_held");
            assert_eq!(held, format!("1|row|{reason}"), "{context}");
            assert_eq!(
                device.ask("SELECT id, x FROM note WHERE id < 9"),
                "1|mine\n5|free",
                "{context}"
            );
            assert_eq!(
                device.ask("SELECT id, note FROM line"),
                "l|1\nm|5",
                "{context}"
            );
            // It would take the place of the server's.
            let sent = server.pushed();
            let sent = sent
                .iter()
                .flat_map(|push| push["note"]["created"].as_array());
            assert!(sent.flatten().all(|row| row["id"] != 1), "{context}");
            // What refers to it would refer to that.
            let sent = server.pushed();
            let sent = sent
                .iter()
                .flat_map(|push| push["line"]["created"].as_array());
            assert_eq!(sent.flatten().count(), 0, "{context}");
            device.synced();
            device.exec("DROP TRIGGER IF EXISTS fixed; DELETE FROM note WHERE id > 9");
            if before.is_empty() {
                device.synced();
                assert_eq!(
                    device.ask("SELECT id, x FROM note"),
                    "1|there\n5|free\n6|mine",
                    "{context}"
                );
                assert_eq!(
                    device.ask("SELECT id, note FROM line"),
                    "l|6\nm|5",
                    "{context}"
                );
                let sent = server.pushed();
                let line = &sent.last().expect("a push")["line"]["created"][0];
                assert_eq!(line["note"], 6, "{context} {sent:?}");
                assert_eq!(device.ask("SELECT count(*) FROM sync_held"), "0");
                assert_eq!(device.pending(), "", "{context}");
            }
        }
    });
}

#[test]
fn h1_a_trigger_that_passes_over_a_new_number_is_passed_over() {
    everywhere(|settings| {
        for table in ["note", "line"] {
            let server = Canned::start();
            let guard = format!(
                "CREATE TRIGGER guard BEFORE UPDATE ON {table} BEGIN SELECT RAISE(IGNORE); END"
            );
            let device = device(&server, &(schema("") + &guard));
            device.exec(
                "INSERT INTO note VALUES (1, 'mine', NULL); INSERT INTO line VALUES ('l', 1, 'mine')",
            );
            pull(
                &server,
                json!({"note": {"created": [{"id": 1, "x": "there", "above": null}]}}),
            );
            device.synced();
            let context = format!("{settings} {table}");
            assert_eq!(
                device.ask("SELECT id, x FROM note"),
                "1|there\n2|mine",
                "{context}"
            );
            assert_eq!(device.ask("SELECT id, note FROM line"), "l|2", "{context}");
            assert_eq!(device.pending(), "", "{context}");
        }
    });
}

/// A generated column can't be written: what it refers to keeps its key, and one row is held.
#[test]
fn t3_what_a_generated_column_refers_to_keeps_its_key() {
    everywhere(|settings| {
        for kind in ["STORED", "VIRTUAL"] {
            let ddl = format!(
                "CREATE TABLE note (id INTEGER PRIMARY KEY, x TEXT UNIQUE);
                 CREATE TABLE line (id TEXT PRIMARY KEY NOT NULL, data TEXT,
                   note INTEGER AS (json_extract(data, '$.note')) {kind} REFERENCES note (id))"
            );
            for (theirs, line, reason) in [
                (json!({"id": 1, "x": "there"}), "l", "key"),
                (json!({"id": 9, "x": "mine"}), "l", "unique"),
                // Nothing refers to the row that was made here.
                (json!({"id": 1, "x": "there"}), "", ""),
            ] {
                let server = Canned::start();
                let options = json!({"idAs": "number", "onClash": {"note": "adopt"}});
                let device = Device::configured(&ddl, &["note", "line"], &server.url(), options);
                device.exec("INSERT INTO note VALUES (1, 'mine')");
                if !line.is_empty() {
                    device.exec("INSERT INTO line (id, data) VALUES ('l', '{\"note\":1}')");
                }
                pull(
                    &server,
                    json!({"note": {"created": [theirs, {"id": 5, "x": "free"}]},
                        "line": {"created": [{"id": "m", "data": "{\"note\":5}"}]}}),
                );
                device.synced();
                let context = format!("{settings} {kind} {theirs} {reason}");
                let (notes, lines, held) = match reason {
                    "" => ("1|there\n5|free\n6|mine", "m|5", String::new()),
                    _ => (
                        "1|mine\n5|free",
                        "l|1\nm|5",
                        format!("{}|{reason}", theirs["id"]),
                    ),
                };
                assert_eq!(
                    device.ask("SELECT id, x FROM note ORDER BY id"),
                    notes,
                    "{context}"
                );
                assert_eq!(
                    device.ask("SELECT id, note FROM line ORDER BY id"),
                    lines,
                    "{context}"
                );
                assert_eq!(
                    device.ask("SELECT key, reason FROM sync_held"),
                    held,
                    "{context}"
                );
                assert_eq!(device.ask("PRAGMA foreign_key_check"), "", "{context}");
            }
        }
    });
}
