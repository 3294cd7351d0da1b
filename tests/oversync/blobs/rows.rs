//! Line 1: rows whose keys are blobs, where two sides have changed them, answers are lost, or the server tells all anew.

use serde_json::json;

use super::{Server, blobs, settle, texts};
use crate::client::id;

#[test]
fn line_1_rows_with_blobs_as_keys_that_both_sides_changed_are_decided_and_come_to_the_same() {
    for start in [Server::a, Server::b] {
        for policy in ["serverWins", "clientWins", "columns"] {
            let server = start();
            let (one, other) = (blobs(&server, "phone"), texts(&server, "tablet"));
            one.ask(&format!("SELECT sync_resolver('*', '{policy}')"));
            one.run("INSERT INTO users VALUES (#1, 'a', 'e'), (#2, 'b', 'e'), (#3, 'c', 'e')");
            one.sync();
            other.sync();
            other.run(
                "UPDATE users SET name = 'theirs' WHERE id = #1; DELETE FROM users WHERE id = #2;
                 UPDATE users SET name = 'theirs' WHERE id = #3",
            );
            other.sync();
            one.run(
                "UPDATE users SET name = 'mine', email = 'mine' WHERE id IN (#1, #2); DELETE FROM users WHERE id = #3",
            );
            settle(&[&one, &other]);
            let here = one.ask("SELECT hex(substr(id, 16)), name, email FROM users ORDER BY id");
            let wanted = match policy {
                "serverWins" => "01|theirs|e",
                _ => "01|mine|mine\n02|mine|mine",
            };
            assert_eq!(here, wanted, "{policy}");
            let noted = one.ask(
                "SELECT DISTINCT typeof(rowKey), kind, coalesce(local, remote) ->> 'id' FROM sync_conflict ORDER BY 3",
            );
            let wanted = [
                format!("blob|edited|{}", id(1)),
                format!("blob|deletedRemotely|{}", id(2)),
                format!("blob|deletedHere|{}", id(3)),
            ];
            assert_eq!(noted, wanted.join("\n"), "{policy}");
        }
    }
}

#[test]
fn line_1_a_resolver_is_shown_the_uuid_of_a_key_that_is_a_blob() {
    for server in Server::both() {
        let one = blobs(&server, "phone");
        one.run("INSERT INTO users VALUES (#1, 'a', 'e')");
        one.sync();
        server.put("users", &[json!({"id": id(1), "name": "theirs"})]);
        one.run("UPDATE users SET name = 'mine' WHERE id = #1");
        one.ask(
            "SELECT sync_resolver('users', 'sql4', 'json_object(''name'', (:local ->> ''id'') || '' '' || (:remote ->> ''id''))')",
        );
        settle(&[&one]);
        let named = format!("{0} {0}", id(1));
        assert_eq!(one.ask("SELECT name FROM users"), named);
        assert_eq!(server.has("users", "name"), format!("1|{named}"));
    }
}

#[test]
fn line_1_an_upload_of_blob_keys_without_an_answer_goes_up_once() {
    for start in [Server::a, Server::b] {
        for done in [false, true] {
            let server = start();
            let one = blobs(&server, "phone");
            one.run("INSERT INTO users VALUES (#1, 'a', 'e'), (#2, 'b', 'e')");
            one.sync();
            one.run(
                "INSERT INTO users VALUES (#3, 'c', 'e'); UPDATE users SET name = 'new' WHERE id = #1;
                 DELETE FROM users WHERE id = #2",
            );
            server.lose(done);
            one.failed("sync_once");
            // Meanwhile one more edit, and the row that was made goes.
            one.run(
                "UPDATE users SET email = 'later' WHERE id = #1; DELETE FROM users WHERE id = #3",
            );
            settle(&[&one]);
            assert_eq!(server.has("users", "name"), "1|new");
            assert_eq!(server.has("users", "email"), "1|later");
            assert_eq!(one.ask("SELECT count(*) FROM sync_conflict"), "0");
        }
    }
}

#[test]
fn line_1_a_snapshot_takes_the_place_of_rows_with_blobs_as_keys() {
    let server = Server::b();
    let Server::B(b) = &server else {
        unreachable!("it is one");
    };
    let (one, other) = (blobs(&server, "phone"), texts(&server, "tablet"));
    one.run(
        "INSERT INTO users VALUES (#1, 'a', 'e'), (#2, 'b', 'e'), (#3, 'c', 'e'), (#4, 'd', 'e');
         INSERT INTO posts VALUES (#5, 'p', 'c', #1)",
    );
    settle(&[&one, &other]);
    other.run("DELETE FROM users WHERE id = #2; UPDATE users SET name = 'c2' WHERE id = #3");
    other.sync();
    one.run(
        "UPDATE users SET name = 'mine' WHERE id = #4; INSERT INTO users VALUES (#6, 'f', 'e')",
    );
    b.prune(crate::client::USER, b.head(crate::client::USER));
    settle(&[&one, &other]);
    assert_eq!(
        one.all()
            .lines()
            .filter(|line| line.starts_with("users"))
            .count(),
        4
    );
    assert_eq!(server.has("users", "name"), "1|a\n3|c2\n4|mine\n6|f");
    // A new device has nothing but the snapshot.
    let third = blobs(&server, "desk");
    third.sync();
    settle(&[&one, &other, &third]);
}

#[test]
fn line_1_what_differs_is_named_by_uuids() {
    for server in Server::both() {
        let one = blobs(&server, "phone");
        one.run("INSERT INTO users VALUES (#1, 'a', 'e'), (#2, 'b', 'e'), (#3, 'c', 'e')");
        one.sync();
        // What nobody has captured: one changed, one gone, one that the server does not have.
        one.run(
            "INSERT INTO users VALUES (#4, 'd', 'e'); UPDATE users SET name = 'x' WHERE id = #1;
             DELETE FROM users WHERE id = #2; DELETE FROM _syncChange WHERE tbl > 0",
        );
        let check = one.call("sync_check", "{}");
        let entities = check["entities"].as_array().expect("a list");
        let users = entities.iter().find(|one| one["entity"] == "users");
        let users = users.expect("it was compared");
        assert_eq!(
            (
                &users["missingIds"],
                &users["excessIds"],
                &users["differingRows"]
            ),
            (
                &json!([id(2)]),
                &json!([id(4)]),
                &json!([{"id": id(1), "columns": ["name"]}])
            ),
            "{check}"
        );
    }
}
