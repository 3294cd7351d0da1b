//! Line 1: the keys themselves, on their way up, down, and where they are named.

use serde_json::json;
use support::database::refused;

use super::{Server, blobs, settle, texts};
use crate::client::{Device, USER, id};

#[test]
fn line_1_a_key_that_is_a_blob_travels_as_its_uuid() {
    for server in Server::both() {
        let (one, other) = (blobs(&server, "phone"), texts(&server, "tablet"));
        one.run("INSERT INTO users VALUES (#1, 'Ann', 'e'), (#2, 'Bob', 'e'), (#255, 'Zoe', 'e')");
        one.sync();
        assert_eq!(server.has("users", "name"), "1|Ann\n2|Bob\n255|Zoe");
        let payloads = server.sent().into_iter();
        let ids: Vec<_> = payloads.map(|sent| sent.3["id"].clone()).collect();
        assert_eq!(ids, [1, 2, 255].map(|number| json!(id(number))));
        other.sync();
        other.run(
            "UPDATE users SET name = 'Bo' WHERE id = #2; DELETE FROM users WHERE id = #1;
             INSERT INTO users VALUES (#3, 'Cy', 'e')",
        );
        other.sync();
        one.sync();
        let here = "SELECT typeof(id), length(id), name FROM users ORDER BY id";
        assert_eq!(one.ask(here), "blob|16|Bo\nblob|16|Cy\nblob|16|Zoe");
        one.run("UPDATE users SET email = 'new' WHERE id = #3; DELETE FROM users WHERE id = #2");
        one.sync();
        assert_eq!(server.has("users", "email"), "3|new\n255|e");
        // A row that was deleted there comes again.
        one.run("INSERT INTO users VALUES (#1, 'Ann again', 'e')");
        settle(&[&one, &other]);
        assert_eq!(server.has("users", "name"), "1|Ann again\n3|Cy\n255|Zoe");
        assert_eq!(
            one.ask("SELECT DISTINCT typeof(pk) FROM _syncVersion"),
            "blob"
        );
    }
}

#[test]
fn line_1_each_net_operation_of_a_row_with_a_blob_as_its_key() {
    for server in Server::both() {
        let one = blobs(&server, "phone");
        one.run(
            "INSERT INTO users VALUES (#1, 'a', 'e'), (#2, 'b', 'e'), (#3, 'c', 'e'), (#4, 'd', 'e'), (#5, 'f', 'e')",
        );
        one.sync();
        let before = server.sent().len();
        one.run(
            "INSERT INTO users VALUES (#6, 'brief', 'e'); DELETE FROM users WHERE id = #6;
             UPDATE users SET name = 'a2' WHERE id = #1;
             DELETE FROM users WHERE id = #2; INSERT INTO users VALUES (#2, 'b2', 'e'); DELETE FROM users WHERE id = #2;
             DELETE FROM users WHERE id = #3; INSERT INTO users VALUES (#3, 'c2', 'e');
             UPDATE users SET id = #7 WHERE id = #4;
             INSERT OR REPLACE INTO users VALUES (#5, 'f2', 'e');
             INSERT INTO users VALUES (#8, 'g', 'e') ON CONFLICT (id) DO UPDATE SET name = 'no';
             INSERT INTO users VALUES (#8, 'g', 'e') ON CONFLICT (id) DO UPDATE SET name = 'g2'",
        );
        assert_eq!(
            one.waits(),
            "users|1|updated\nusers|2|deleted\nusers|3|updated\nusers|4|deleted\nusers|5|updated\nusers|7|created\n\
             users|8|created"
        );
        one.sync();
        let mut sent: Vec<String> = server.sent()[before..]
            .iter()
            .map(|(_, op, number, _)| format!("{number} {op}"))
            .collect();
        sent.sort();
        assert_eq!(
            sent,
            [
                "1 UPDATE", "2 DELETE", "3 UPDATE", "4 DELETE", "5 UPDATE", "7 INSERT", "8 INSERT"
            ]
        );
        assert_eq!(server.has("users", "name"), "1|a2\n3|c2\n5|f2\n7|d\n8|g2");
        settle(&[&one]);
    }
}

#[test]
fn line_1_null_and_an_empty_blob_stay_apart_beside_a_blob_as_the_key() {
    for server in Server::both() {
        let (one, other) = (blobs(&server, "phone"), texts(&server, "tablet"));
        one.run(
            "INSERT INTO notes VALUES (#1, 'none', NULL), (#2, 'empty', x''), (#3, 'zero', x'00')",
        );
        one.sync();
        assert_eq!(server.has("notes", "data"), "1|null\n2|\n3|AA==");
        other.sync();
        let here = "SELECT note, typeof(data), length(data) FROM notes ORDER BY note";
        assert_eq!(other.ask(here), "empty|blob|0\nnone|null|NULL\nzero|blob|1");
        // And back, each into the other.
        other.run(
            "UPDATE notes SET data = NULL WHERE id = #2; UPDATE notes SET data = x'' WHERE id = #1",
        );
        settle(&[&other, &one]);
        assert_eq!(one.ask(here), "empty|null|NULL\nnone|blob|0\nzero|blob|1");
        assert_eq!(server.has("notes", "data"), "1|\n2|null\n3|AA==");
    }
}

#[test]
fn line_1_a_key_of_another_length_is_refused_by_name_and_stops_no_other_row() {
    for server in Server::both() {
        let one = blobs(&server, "phone");
        one.run(
            "INSERT INTO users VALUES (#1, 'fine', 'e'), (x'0102', 'short', 'e'), (x'', 'empty', 'e'),
             (x'0000000000004000800000000000000001', 'long', 'e'), ('text', 'text', 'e'), (7, 'number', 'e')",
        );
        one.sync();
        assert_eq!(server.has("users", "name"), "1|fine");
        let said = one.ask("SELECT keyText, rejected FROM sync_pending ORDER BY key");
        let wanted = [
            ("7|", "its key \"7\" is integer"),
            ("text|", "its key \"text\" is text"),
            ("X''|", "its key X'' has 0 bytes"),
            ("X'0000000000004000800000000000000001'|", "has 17 bytes"),
            ("X'0102'|", "its key X'0102' has 2 bytes"),
        ];
        assert_eq!(said.lines().count(), wanted.len(), "{said}");
        for (line, (key, words)) in said.lines().zip(wanted) {
            assert!(line.starts_with(key) && line.contains(words), "{line}");
            assert!(
                line.contains("\"users\" has UUIDs as its keys, blobs of 16 bytes"),
                "{line}"
            );
        }
        // Each can be given up by the key that it has.
        for key in [
            "7",
            "'text'",
            "x''",
            "x'0000000000004000800000000000000001'",
            "x'0102'",
        ] {
            let answer = one.ask(&format!("SELECT sync_discard('users', {key})"));
            assert!(
                answer.contains(r#""discarded":"change""#),
                "{key}: {answer}"
            );
        }
        assert_eq!(one.waits(), "");
        one.sync();
        assert_eq!(server.has("users", "name"), "1|fine");
    }
}

#[test]
fn line_1_other_shapes_of_keys_are_refused_with_table_and_column() {
    for server in Server::both() {
        for (key, words) in [
            (
                "id INTEGER PRIMARY KEY",
                "column \"id\" of \"odd\" is a key of whole numbers",
            ),
            (
                "id REAL PRIMARY KEY",
                "the key \"id\" of \"odd\" is of a type",
            ),
            (
                "id NUMERIC PRIMARY KEY",
                "the key \"id\" of \"odd\" is of a type",
            ),
            (
                "id BLOB, other BLOB, PRIMARY KEY (id, other)",
                "\"odd\" has a key of 2 columns (\"id\", \"other\")",
            ),
        ] {
            let schema = format!("CREATE TABLE odd ({key})");
            let device = Device::of(&server, "phone", (&schema, &["odd"]), json!({}));
            let error = refused(&device.db, "SELECT sync_once('api')");
            assert!(error.contains(words), "{error}");
            assert!(error.contains("BLOB for UUIDs of 16 bytes"), "{error}");
        }
        assert_eq!(server.sent().len(), 0);
    }
}

#[test]
fn line_1_a_key_that_is_a_blob_is_named_by_its_uuid() {
    for server in Server::both() {
        let one = blobs(&server, "phone");
        one.run("INSERT INTO users VALUES (#1, 'no', 'e'), (#2, 'yes', 'e'), (#3, 'no', 'e')");
        let refused = [1, 3].map(|number| json!({"id": id(number), "reason": "not today"}));
        server.fault(json!({"on": "push", "rejectIds": {"users": refused}}));
        one.sync();
        assert_eq!(server.has("users", "name"), "2|yes");
        let (first, third) = (id(1), id(3));
        // The key is the row's own; its text is there to be read.
        let shown = "SELECT keyText, payload ->> 'id', typeof(key), u.name FROM sync_pending JOIN users AS u \
                     ON u.id = key WHERE rejected LIKE '%not today%' ORDER BY 1";
        assert_eq!(
            one.ask(shown),
            format!("{first}|{first}|blob|no\n{third}|{third}|blob|no")
        );
        let left_out = "SELECT count(*) FROM _syncRejected WHERE uptoSeq > 0";
        server.behave();
        for retried in [
            format!("'{first}'"),
            one.key(1),
            format!("'{}'", first.to_uppercase()),
        ] {
            one.exec("UPDATE _syncRejected SET uptoSeq = 1000000");
            assert_eq!(
                one.ask(&format!("SELECT sync_retry('users', {retried})")),
                "1"
            );
            assert_eq!(one.ask(left_out), "1", "{retried}");
        }
        one.sync();
        assert_eq!(server.has("users", "name"), "1|no\n2|yes");
        let discard = format!(r#"SELECT sync_discard('users', '{third}', '{{"revert":true}}')"#);
        assert_eq!(
            one.ask(&discard),
            r#"{"discarded":"change","refetch":false}"#
        );
        assert_eq!(one.ask("SELECT count(*) FROM users"), "2");
        assert_eq!(one.ask(&discard), r#"{"discarded":null,"refetch":false}"#);
        settle(&[&one]);
    }
}

/// Ids that are no UUID, where the server has texts as keys.
#[test]
fn line_1_an_id_that_is_no_uuid_is_held_where_keys_are_blobs() {
    use support::backend::oversync::B;
    use support::backend::oversync::b::{Column, Kind, Options, Table};

    let words = Table::new("words", "id", Kind::Text).with(Column::new("word", Kind::Text));
    let server = B::start(Options {
        tables: vec![words],
        ..Options::default()
    })
    .expect("a server");
    let schema = "CREATE TABLE words (id BLOB PRIMARY KEY NOT NULL, word TEXT)";
    let device = Device::of(&server, "phone", (schema, &["words"]), json!({}));
    let upper = "0000000A-0000-4000-8000-000000000001";
    server.put(
        USER,
        "words",
        &[
            json!({"id": id(1), "word": "one"}),
            json!({"id": "two", "word": "two"}),
            json!({"id": upper, "word": "three"}),
        ],
    );
    for _ in 0..2 {
        device.sync();
        assert_eq!(device.ask("SELECT word FROM words"), "one");
        assert_eq!(
            device.ask("SELECT keyText, key, reason, payload ->> 'word' FROM sync_held ORDER BY 4"),
            format!("{upper}|{upper}|key|three\ntwo|two|key|two")
        );
    }
    // What the server deletes is no longer held.
    server.remove(USER, "words", &["two"]);
    device.sync();
    assert_eq!(device.ask("SELECT keyText FROM sync_held"), upper);
    let discard = format!("SELECT sync_discard('words', '{upper}') ->> 'discarded'");
    assert_eq!(device.ask(&discard), "held");
    assert_eq!(device.ask("SELECT keyText FROM sync_held"), "");
}
