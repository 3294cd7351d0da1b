//! R7 and line 1: columns that refer to rows whose keys are blobs.

use serde_json::json;
use support::backend::oversync::A;
use support::backend::oversync::a::{Column, ColumnKind, Options, Table};
use support::database::refused;

use super::{Server, blobs, phone, settle, texts};
use crate::client::{Device, USER, id};

/// A file, and a review of it.
const REVIEWED: &str =
    "INSERT INTO files VALUES (#1, 'f', x'01'); INSERT INTO file_reviews VALUES (#2, 'good', #1)";

fn sent_file_id(server: &Server) -> Vec<serde_json::Value> {
    let sent = server.sent().into_iter();
    sent.filter(|(table, ..)| table == "file_reviews")
        .map(|(_, _, _, payload)| payload["file_id"].clone())
        .collect()
}

#[test]
fn r7_a_reference_to_a_blob_travels_as_text_unless_the_table_wants_base64() {
    let server = Server::a();
    let Server::A(a) = &server else {
        unreachable!("it is one");
    };
    // The example server's handler wants base64. Text passes, and is not projected.
    let plain = phone(&server, "plain", true, json!({"uuidColumns": {}}));
    plain.run(REVIEWED);
    plain.sync();
    assert_eq!(sent_file_id(&server), [json!(id(1))]);
    assert_eq!(server.has("file_reviews", "file_id"), "");
    let stored = a
        .stored(USER, "file_reviews", &id(2))
        .expect("it is in the log");
    assert_eq!(stored.version, 1);
    // Said of the column, it is; also from where keys are texts.
    for (place, blob) in [(1, true), (2, false)] {
        let one = match blob {
            true => blobs(&server, "blobs"),
            false => texts(&server, "texts"),
        };
        one.sync();
        assert_eq!(
            one.all()
                .lines()
                .filter(|line| line.starts_with("file_reviews"))
                .count(),
            place
        );
        one.run(&format!(
            "INSERT INTO file_reviews VALUES (#{}, 'more', #1)",
            10 + place
        ));
        one.sync();
        assert_eq!(
            sent_file_id(&server).last(),
            Some(&json!("AAAAAAAAQACAAAAAAAAAAQ=="))
        );
    }
    assert_eq!(
        server.has("file_reviews", "file_id"),
        format!("11|{0}\n12|{0}", id(1))
    );
    // Both spellings are read everywhere.
    settle(&[&plain, &blobs(&server, "third"), &texts(&server, "fourth")]);
}

#[test]
fn r7_a_reference_of_generation_b_is_always_text() {
    let server = Server::b();
    let (one, other) = (blobs(&server, "phone"), texts(&server, "tablet"));
    one.run(REVIEWED);
    settle(&[&one, &other]);
    assert_eq!(sent_file_id(&server), [json!(id(1))]);
    assert_eq!(
        server.has("file_reviews", "file_id"),
        format!("2|{}", id(1))
    );
    let reference = "SELECT typeof(file_id), length(file_id) FROM file_reviews";
    assert_eq!(one.ask(reference), "blob|16");
    assert_eq!(other.ask(reference), "text|36");
}

#[test]
fn r7_the_option_is_checked_and_follows_a_renamed_column() {
    let server = Server::a();
    let one = blobs(&server, "phone");
    let declared = |columns: &str| {
        let config = format!(
            r#"{{"kind":"oversync","url":"{}","uuidColumns":{columns}}}"#,
            crate::client::Served::address(&server)
        );
        format!("SELECT sync_provider('api', '{config}')")
    };
    for (columns, words) in [
        (
            r#"{"files":"base64"}"#,
            "uuidColumns.files must be an object",
        ),
        (
            r#"{"files":{"id":"hex"}}"#,
            "uuidColumns.files.id must be text or base64, not \"hex\"",
        ),
    ] {
        let error = refused(&one.db, &declared(columns));
        assert!(error.contains(words), "{error}");
    }
    for (columns, words) in [
        (
            r#"{"nothing":{"a":"text"}}"#,
            "uuidColumns names the table \"nothing\", which is not there",
        ),
        (
            r#"{"files":{"nothing":"text"}}"#,
            "uuidColumns names \"nothing\", which is no column of \"files\"",
        ),
    ] {
        one.ask(&declared(columns));
        let error = refused(&one.db, "SELECT sync_once('api')");
        assert!(error.contains(words), "{error}");
    }
    one.declare(
        &server,
        "phone",
        json!({"uuidColumns": {"file_reviews": {"file_id": "base64"}}}),
    );
    one.exec("ALTER TABLE file_reviews RENAME COLUMN file_id TO about");
    one.exec("ALTER TABLE file_reviews RENAME TO opinions");
    one.ask("SELECT sync_track('opinions')");
    assert_eq!(
        one.ask("SELECT config ->> 'uuidColumns' FROM _syncProvider"),
        r#"{"opinions":{"about":"base64"}}"#
    );
}

#[test]
fn line_1_children_with_blobs_as_references_go_up_after_their_parents_and_wait_for_them() {
    for server in Server::both() {
        let (one, other) = (blobs(&server, "phone"), blobs(&server, "tablet"));
        one.exec("PRAGMA foreign_keys = OFF");
        one.run(
            "INSERT INTO posts VALUES (#1, 'p', 'c', #9); INSERT INTO file_reviews VALUES (#2, 'r', #8);
             INSERT INTO users VALUES (#9, 'u', 'e'); INSERT INTO files VALUES (#8, 'f', x'')",
        );
        one.sync();
        let order: Vec<String> = server.sent().into_iter().map(|sent| sent.0).collect();
        let place = |table: &str| order.iter().position(|one| one == table);
        assert!(place("users") < place("posts"), "{order:?}");
        assert!(place("files") < place("file_reviews"), "{order:?}");
        settle(&[&one, &other]);
        // Deletes go the other way around.
        one.run("DELETE FROM users; DELETE FROM posts");
        settle(&[&one, &other]);
        assert_eq!(
            server.has("users", "name") + &server.has("posts", "title"),
            ""
        );
    }
}

#[test]
fn line_1_a_child_that_comes_before_its_parent_is_held_under_its_uuid() {
    // Without references of its own the server gives out a child alone.
    let server = A::start(Options {
        tables: vec![
            Table::new("users", [Column::new("name", ColumnKind::Text)]),
            Table::new(
                "posts",
                [
                    Column::new("title", ColumnKind::Text),
                    Column::new("author_id", ColumnKind::Uuid),
                ],
            ),
        ],
        ..Options::default()
    })
    .expect("a server");
    let schema = "
        CREATE TABLE users (id BLOB PRIMARY KEY NOT NULL, name TEXT);
        CREATE TABLE posts (id BLOB PRIMARY KEY NOT NULL, title TEXT,
                            author_id REFERENCES users (id) ON DELETE SET NULL);
        CREATE INDEX by_author ON posts (author_id)";
    let device = Device::of(&server, "phone", (schema, &["users", "posts"]), json!({}));
    let post = json!({"id": id(2), "title": "p", "author_id": id(1)});
    server.put(USER, "posts", std::slice::from_ref(&post));
    device.sync();
    let held = "SELECT keyText, reason, payload ->> 'author_id' FROM sync_held";
    assert_eq!(device.ask(held), format!("{}|foreignKey|{}", id(2), id(1)));
    let words = device.ask(r#"SELECT "constraint" FROM sync_held"#);
    assert!(words.contains(&id(1)), "{words}");
    server.put(USER, "users", &[json!({"id": id(1), "name": "u"})]);
    device.sync();
    assert_eq!(device.ask(held), "");
    let author = "SELECT typeof(author_id), hex(author_id) FROM posts";
    let bytes = format!("blob|{}", id(1).replace('-', "").to_uppercase());
    assert_eq!(device.ask(author), bytes);
    // What a foreign key empties here is filled again when the parent is back, and never sent.
    server.remove(USER, "users", &[&id(1)]);
    device.sync();
    assert_eq!(device.ask("SELECT author_id FROM posts"), "NULL");
    assert_eq!(
        device.ask("SELECT value FROM sync_aside"),
        format!("\"{}\"", id(1))
    );
    server.put(USER, "users", &[json!({"id": id(1), "name": "back"})]);
    device.sync();
    assert_eq!(device.ask(author), bytes);
    assert_eq!(device.ask("SELECT count(*) FROM sync_aside"), "0");
    assert_eq!(server.uploads().len(), 0);
}

/// What no foreign key is declared for may be said of a column.
#[test]
fn r7_any_column_can_be_said_to_hold_uuids() {
    let server = Server::a();
    let more = json!({"uuidColumns": {"notes": {"note": "base64", "DATA": "text"}}});
    let (one, other) = (
        phone(&server, "phone", true, more.clone()),
        phone(&server, "tablet", true, more),
    );
    let uuid = id(9);
    one.run(&format!(
        "INSERT INTO notes VALUES (#1, '{uuid}', #9), (#2, 'no uuid', x'0102'), (#3, NULL, NULL)"
    ));
    one.upload();
    let sent = server.sent().into_iter();
    let sent: Vec<_> = sent
        .map(|(_, _, _, payload)| (payload["note"].clone(), payload["data"].clone()))
        .collect();
    assert_eq!(
        sent,
        [
            (json!("AAAAAAAAQACAAAAAAAAACQ=="), json!(uuid)),
            (json!("no uuid"), json!("AQI=")),
            (json!(null), json!(null))
        ]
    );
    other.sync();
    let said = "SELECT typeof(data), hex(data), note FROM notes ORDER BY id";
    assert_eq!(other.ask(said), one.ask(said));
}
