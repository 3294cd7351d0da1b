//! What goes, or changes, with a row that the backend deletes, by a foreign key, although the backend says nothing of it.

use serde_json::{Value, json};
use support::{Canned, Device, enforced};

use super::pull;

const FAMILY: &str = "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, x TEXT);
    CREATE TABLE goes (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent ON DELETE CASCADE, x TEXT);
    CREATE TABLE deeper (id TEXT PRIMARY KEY NOT NULL, goes TEXT REFERENCES goes ON DELETE CASCADE);
    CREATE TABLE stays (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent ON DELETE SET NULL, x TEXT);
    CREATE TABLE falls (id TEXT PRIMARY KEY NOT NULL,
        parent TEXT DEFAULT 'q' REFERENCES parent ON DELETE SET DEFAULT, x TEXT);";

const TABLES: &[&str] = &["parent", "goes", "deeper", "stays", "falls"];

/// Triggers of the application make a difference: with them everything is logged while rows are applied.
const TRIGGERS: &[&str] = &[
    "",
    "CREATE TRIGGER noise AFTER INSERT ON parent BEGIN SELECT 1; END;",
];

fn rows() -> Value {
    json!({"parent": {"created": [{"id": "p", "x": ""}, {"id": "q", "x": ""}]},
        "goes": {"created": [{"id": "g", "parent": "p", "x": "there"}]},
        "deeper": {"created": [{"id": "d", "goes": "g"}]},
        "stays": {"created": [{"id": "s", "parent": "p", "x": ""}]},
        "falls": {"created": [{"id": "f", "parent": "p", "x": ""}]}})
}

fn family(server: &Canned, triggers: &str) -> Device {
    let device = Device::with(&format!("{FAMILY}{triggers}"), TABLES, &server.url());
    pull(server, rows());
    device.synced();
    device
}

/// `entity count` of the warnings of a kind.
fn warned(answer: &Value, code: &str) -> Vec<String> {
    let warnings = answer["warnings"].as_array().expect("warnings").iter();
    let mut all: Vec<String> = warnings
        .filter(|warning| warning["code"] == code)
        .map(|warning| {
            format!(
                "{} {}",
                warning["entity"].as_str().unwrap_or("-"),
                warning["count"]
            )
        })
        .collect();
    all.sort_unstable();
    all
}

fn cursors(device: &Device) -> String {
    device.ask("SELECT group_concat(entity) FROM (SELECT entity FROM _syncCursor WHERE NOT again ORDER BY entity)")
}

#[test]
fn h4_clean_rows_that_go_with_their_parent_are_told_of_and_what_the_server_keeps_is_held() {
    for triggers in TRIGGERS {
        for entities in [TABLES, &["parent"]] {
            enforced(|settings| {
                let server = Canned::start();
                let device = family(&server, triggers);
                pull(&server, json!({"parent": {"deleted": ["p"]}}));
                let answer = device.sync_only(entities);
                assert_eq!(answer["state"], "synced", "{answer}");
                let what = format!("{triggers} {entities:?} {settings}");
                assert_eq!(
                    warned(&answer, "goneAlong"),
                    ["deeper 1", "goes 1"],
                    "{what}"
                );
                assert_eq!(cursors(&device), "falls,parent,stays", "{what}");
                assert_eq!(device.ask("SELECT count(*) FROM goes"), "0");
                // The server has both still.
                pull(
                    &server,
                    json!({"goes": {"created": [{"id": "g", "parent": "p", "x": "there"}]},
                        "deeper": {"created": [{"id": "d", "goes": "g"}]}}),
                );
                let answer = device.synced();
                assert_eq!(
                    warned(&answer, "rowsHeld"),
                    ["deeper 1", "goes 1"],
                    "{what}"
                );
                // The parent is given back, and with it what refers to it.
                pull(
                    &server,
                    json!({"parent": {"created": [{"id": "p", "x": ""}]}}),
                );
                device.synced();
                assert_eq!(
                    device.ask("SELECT goes.*, deeper.* FROM goes, deeper"),
                    "g|p|there|d|g",
                    "{what}"
                );
                assert_eq!(device.ask("SELECT count(*) FROM sync_held"), "0");
                assert!(server.pushed().is_empty(), "{what}");
                assert_eq!(
                    (device.pending(), device.log()),
                    (String::new(), "0".into())
                );
            });
        }
    }
}

#[test]
fn h4_rows_that_the_answer_deletes_itself_are_no_surprise() {
    // One that was made here and never sent is a conflict, and nothing that the server could have.
    let all = json!({"parent": {"deleted": ["p"]}, "goes": {"deleted": ["g"]}, "deeper": {"deleted": ["d"]}});
    for triggers in TRIGGERS {
        let server = Canned::start();
        let device = family(&server, triggers);
        device.exec("PRAGMA foreign_keys = ON; INSERT INTO goes VALUES ('new', 'p', 'mine')");
        pull(&server, all.clone());
        let answer = device.synced();
        assert_eq!(warned(&answer, "goneAlong"), [""; 0], "{triggers}");
        assert_eq!(cursors(&device), "deeper,falls,goes,parent,stays");
        assert_eq!(
            device.ask("SELECT rowKey, kind FROM sync_conflict"),
            "new|deletedRemotely"
        );
    }
}

/// Tables that refer to each other have no order in which all children are deleted first.
#[test]
fn h4_a_row_that_goes_before_its_own_delete_comes_is_no_surprise() {
    let ddl =
        "CREATE TABLE a (id TEXT PRIMARY KEY NOT NULL, b TEXT REFERENCES b ON DELETE CASCADE);
        CREATE TABLE b (id TEXT PRIMARY KEY NOT NULL, a TEXT REFERENCES a ON DELETE CASCADE);";
    let server = Canned::start();
    let device = Device::with(ddl, &["a", "b"], &server.url());
    device.exec("PRAGMA foreign_keys = ON");
    pull(
        &server,
        json!({"a": {"created": [{"id": "1", "b": null}, {"id": "2", "b": "1"}]},
            "b": {"created": [{"id": "1", "a": "1"}]}}),
    );
    device.synced();
    pull(
        &server,
        json!({"a": {"deleted": ["1", "2"]}, "b": {"deleted": ["1"]}}),
    );
    let answer = device.synced();
    assert_eq!(warned(&answer, "goneAlong"), [""; 0]);
    assert_eq!(
        device.ask("SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)"),
        "0"
    );
}

#[test]
fn h4_a_further_answer_of_the_same_sync_does_not_make_a_cursor_of_what_is_to_come_again() {
    let server = Canned::start();
    let device = family(&server, "");
    device.exec("PRAGMA foreign_keys = ON; UPDATE stays SET x = 'mine'");
    pull(&server, json!({"parent": {"deleted": ["p"]}}));
    // The server has changed since: one more pull, from where the first has got.
    server.push_raw(|_| support::status_answer(409, &[], "{}"));
    server.changes(json!({}));
    device.synced();
    assert_eq!(server.pushed().len(), 2);
    assert_eq!(cursors(&device), "falls,parent,stays");
}

#[test]
fn t2_a_row_made_here_that_may_have_arrived_comes_again_when_it_goes_with_its_parent() {
    for triggers in TRIGGERS {
        for entities in [TABLES, &["parent"]] {
            let server = Canned::start();
            let device = family(&server, triggers);
            device.exec("PRAGMA foreign_keys = ON; DELETE FROM goes; INSERT INTO goes VALUES ('new', 'p', 'mine')");
            server.push_raw(|_| Vec::new());
            device.failed();
            pull(
                &server,
                json!({"goes": {"deleted": ["g"]}, "deeper": {"deleted": ["d"]}, "parent": {"deleted": ["p"]}}),
            );
            let answer = device.sync_only(entities);
            assert_eq!(answer["state"], "synced", "{answer}");
            assert_eq!(warned(&answer, "goneAlong"), ["goes 1"], "{triggers}");
            assert!(!cursors(&device).contains("goes"), "{triggers}");
            assert_eq!(
                device.ask("SELECT rowKey, kind FROM sync_conflict"),
                "new|deletedRemotely"
            );
            pull(
                &server,
                json!({"goes": {"created": [{"id": "new", "parent": "p", "x": "mine"}]}}),
            );
            let answer = device.synced();
            assert_eq!(warned(&answer, "rowsHeld"), ["goes 1"], "{triggers}");
            assert_eq!(device.pending(), "");
        }
    }
}

#[test]
fn t2_a_reference_that_is_emptied_here_is_not_lost_there() {
    for triggers in TRIGGERS {
        for entities in [TABLES, &["parent"]] {
            enforced(|settings| {
                let what = format!("{triggers} {entities:?} {settings}");
                let server = Canned::start();
                let device = family(&server, triggers);
                // One of the rows is edited before, elsewhere; a row made here is what it is.
                device.exec(
                    "UPDATE falls SET x = 'mine'; INSERT INTO stays VALUES ('new', 'p', 'mine')",
                );
                pull(&server, json!({"parent": {"deleted": ["p"]}}));
                let answer = device.sync_only(entities);
                assert_eq!(answer["state"], "synced", "{answer}");
                assert_eq!(
                    warned(&answer, "valuesKeptAside"),
                    ["falls 1", "stays 1"],
                    "{what}"
                );
                device.exec("UPDATE stays SET x = 'mine'");
                device.synced();
                let pushed = server.pushed();
                let sent = |table: &str, id: &str| -> Value {
                    let lists = pushed.iter().flat_map(|push| {
                        ["created", "updated"].map(|list| push[table][list].clone())
                    });
                    let mut rows =
                        lists.flat_map(|list| list.as_array().cloned().unwrap_or_default());
                    rows.find(|row| row["id"] == id).expect("sent")["parent"].clone()
                };
                assert_eq!(sent("stays", "s"), "p", "{what}");
                assert_eq!(sent("falls", "f"), "p", "{what}");
                assert_eq!(sent("stays", "new"), Value::Null, "{what}");
                assert_eq!(
                    device.ask("SELECT parent FROM stays UNION ALL SELECT parent FROM falls"),
                    "NULL\nNULL\nq"
                );
                // An edit of the reference itself counts.
                server.reset();
                device.exec(
                    "UPDATE stays SET parent = 'q' WHERE id = 's'; UPDATE falls SET parent = NULL",
                );
                device.synced();
                let push = &server.pushed()[0];
                assert_eq!(push["stays"]["updated"][0]["parent"], "q", "{what}");
                assert_eq!(push["falls"]["updated"][0]["parent"], Value::Null, "{what}");
                assert_eq!(device.ask("SELECT count(*) FROM sync_aside"), "0", "{what}");
                assert_eq!(
                    (device.pending(), device.log()),
                    (String::new(), "0".into())
                );
            });
        }
    }
}

#[test]
fn t2_what_the_server_says_of_an_emptied_reference_counts() {
    let server = Canned::start();
    let device = family(&server, "");
    device.exec("PRAGMA foreign_keys = ON; DELETE FROM goes");
    pull(&server, json!({"parent": {"deleted": ["p"]}}));
    device.synced();
    pull(
        &server,
        json!({"stays": {"updated": [{"id": "s", "parent": null, "x": "there"}]}}),
    );
    device.synced();
    assert_eq!(device.ask("SELECT \"table\" FROM sync_aside"), "falls");
    device.exec("UPDATE stays SET x = 'mine'");
    device.synced();
    assert_eq!(
        server.pushed()[0]["stays"]["updated"][0]["parent"],
        Value::Null
    );
}

#[test]
fn t2_an_emptied_reference_is_what_it_was_when_its_parent_is_given_back() {
    for triggers in TRIGGERS {
        for entities in [TABLES, &["parent"]] {
            enforced(|settings| {
                let what = format!("{triggers} {entities:?} {settings}");
                let server = Canned::start();
                let device = family(&server, triggers);
                device.exec("DELETE FROM deeper; DELETE FROM goes; UPDATE falls SET x = 'mine'");
                pull(&server, json!({"parent": {"deleted": ["p"]}}));
                device.synced();
                device.exec("UPDATE stays SET x = 'mine'");
                let back = json!({"parent": {"created": [{"id": "p", "x": ""}]}});
                pull(&server, back);
                let answer = device.sync_only(entities);
                assert_eq!(answer["state"], "synced", "{answer}");
                if entities == TABLES {
                    assert_eq!(
                        device.ask("SELECT * FROM stays, falls"),
                        "s|p|mine|f|p|mine",
                        "{what}"
                    );
                    assert_eq!(device.ask("SELECT count(*) FROM sync_aside"), "0", "{what}");
                    let sent = &server.pushed()[0]["stays"]["updated"][0];
                    assert_eq!(
                        (&sent["parent"], &sent["_changed"]),
                        (&json!("p"), &json!("x"))
                    );
                } else {
                    // The tables of this call are not those: they come again.
                    assert_eq!(cursors(&device), "deeper,goes,parent", "{what}");
                    device.synced();
                }
                assert_eq!(
                    (device.pending(), device.log()),
                    (String::new(), "0".into())
                );
            });
        }
    }
}

/// A table of the application's own stands between the two.
#[test]
fn t2_what_goes_along_through_a_table_that_is_not_tracked_is_not_sent_and_told_of() {
    for middle in [
        "id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent ON DELETE CASCADE",
        "rowid TEXT, id TEXT UNIQUE, parent TEXT REFERENCES parent (id) ON DELETE CASCADE",
    ] {
        for triggers in TRIGGERS {
            enforced(|settings| {
                let what = format!("{middle} {triggers} {settings}");
                let ddl = format!(
                    "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, x TEXT); CREATE TABLE middle ({middle});
                     CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL,
                       middle TEXT REFERENCES middle (id) ON DELETE CASCADE);{triggers}"
                );
                let server = Canned::start();
                let device = Device::with(&ddl, &["parent", "child"], &server.url());
                pull(
                    &server,
                    json!({"parent": {"created": [{"id": "p", "x": ""}]}}),
                );
                device.synced();
                device.exec("INSERT INTO middle (id, parent) VALUES ('m', 'p')");
                pull(
                    &server,
                    json!({"child": {"created": [{"id": "c", "middle": "m"}]}}),
                );
                device.synced();
                pull(&server, json!({"parent": {"deleted": ["p"]}}));
                let answer = device.synced();
                assert_eq!(warned(&answer, "goneAlong"), ["child 1"], "{what}");
                assert_eq!(device.ask("SELECT count(*) FROM child"), "0");
                assert!(server.pushed().is_empty(), "{what}");
                assert_eq!(
                    (device.pending(), device.log()),
                    (String::new(), "0".into())
                );
                pull(
                    &server,
                    json!({"child": {"created": [{"id": "c", "middle": "m"}]}}),
                );
                let answer = device.synced();
                assert_eq!(warned(&answer, "rowsHeld"), ["child 1"], "{what}");
            });
        }
    }
}

/// A row made here that the server turned out to have too is the server's as well: what a delete there does to it here says
/// nothing to the server.
#[test]
fn t2_a_row_that_both_made_goes_along_without_a_word_to_the_server() {
    for entities in [TABLES, &["parent"]] {
        for triggers in TRIGGERS {
            let server = Canned::start();
            let device = family(&server, triggers);
            device.exec("INSERT INTO goes VALUES ('both', 'q', 'here')");
            pull(
                &server,
                json!({"goes": {"created": [{"id": "both", "parent": "q", "x": "there"}]}}),
            );
            device.ask("SELECT sync_download_once('api')");
            pull(&server, json!({"parent": {"deleted": ["q"]}}));
            server.clear();
            let answer = device.sync_only(entities);
            assert_eq!(answer["state"], "synced", "{answer}");
            let what = format!("{triggers} {entities:?}");
            assert_eq!(device.ask("SELECT id FROM goes"), "g", "{what}");
            assert_eq!(server.pushed(), Vec::<Value>::new(), "{what}");
            assert_eq!(device.pending(), "", "{what}");
            // What was made here is kept, and the server is asked for what it has.
            let kept = "SELECT rowKey, kind FROM sync_conflict WHERE kind = 'deletedRemotely'";
            assert_eq!(device.ask(kept), "both|deletedRemotely", "{what}");
            assert!(!cursors(&device).contains("goes"), "{what}");
        }
    }
}
