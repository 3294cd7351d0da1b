//! Rows that refer to others.

use serde_json::json;
use support::backend::oversync::B;

use super::{full, lose, server, small};
use crate::client::{Device, USER, id};

const ALL: &str = "SELECT 'c', id, name, parent_id FROM categories UNION ALL SELECT 't', id, name, captain_member_id FROM teams \
    UNION ALL SELECT 'm', id, name, team_id FROM team_members UNION ALL SELECT 'p', id, title, author_id FROM posts \
    UNION ALL SELECT 'f', id, name, '' FROM files UNION ALL SELECT 'r', id, review, file_id FROM file_reviews ORDER BY 1, 2";

fn pair(server: &B) -> [Device; 2] {
    ["phone", "tablet"].map(|name| full(server, name))
}

#[test]
fn f7_children_written_before_their_parents_go_up_and_come_down() {
    for server in [server(), small()] {
        let [first, second] = pair(&server);
        first.exec(&format!(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO posts (id, title, content, author_id) VALUES ('{0}', 'p', 'c', '{1}');
             INSERT INTO users (id, name, email) VALUES ('{1}', 'u', 'e');
             INSERT INTO file_reviews VALUES ('{2}', 'r', '{3}');
             INSERT INTO files VALUES ('{3}', 'f', x'01');",
            id(1),
            id(2),
            id(3),
            id(4)
        ));
        first.sync();
        first.assert_settled();
        second.exec("PRAGMA foreign_keys = ON");
        second.sync();
        assert_eq!(second.ask(ALL), first.ask(ALL));
        second.assert_settled();
    }
}

#[test]
fn f7_a_circle_of_rows_goes_up_in_one_bundle_and_comes_down() {
    let server = small();
    let [first, second] = pair(&server);
    second.exec("PRAGMA foreign_keys = ON");
    second.sync();
    first.exec(&format!(
        "BEGIN;
         INSERT INTO teams VALUES ('{0}', 't', '{1}');
         INSERT INTO team_members VALUES ('{1}', 'captain', '{0}'), ('{2}', 'other', '{0}');
         COMMIT",
        id(1),
        id(2),
        id(3)
    ));
    first.sync();
    first.assert_settled();
    assert_eq!(server.pushes().len(), 1);
    second.sync();
    assert_eq!(second.ask(ALL), first.ask(ALL));
    second.assert_settled();
}

#[test]
fn f7_rows_that_refer_to_their_own_table() {
    let server = small();
    let [first, second] = pair(&server);
    second.exec("PRAGMA foreign_keys = ON");
    // The child has the lower key.
    first.exec(&format!(
        "PRAGMA foreign_keys = OFF;
         INSERT INTO categories VALUES ('{0}', 'leaf', '{1}'), ('{1}', 'branch', '{2}'), ('{2}', 'root', NULL),
                                       ('{3}', 'own', '{3}');",
        id(1),
        id(2),
        id(3),
        id(4)
    ));
    first.sync();
    first.assert_settled();
    second.sync();
    assert_eq!(second.ask(ALL), first.ask(ALL));
    // A branch is put elsewhere, and the old root goes.
    first.exec(&format!(
        "UPDATE categories SET parent_id = '{}' WHERE id = '{}'",
        id(4),
        id(2)
    ));
    first.exec(&format!("DELETE FROM categories WHERE id = '{}'", id(3)));
    first.sync();
    second.sync();
    assert_eq!(second.ask(ALL), first.ask(ALL));
    first.assert_settled();
    second.assert_settled();
}

#[test]
fn b63_what_the_server_deletes_along_goes_here_too() {
    let server = server();
    let [first, second] = pair(&server);
    first.exec(&format!(
        "INSERT INTO files VALUES ('{}', 'f', x'01')",
        id(1)
    ));
    first.sync();
    second.exec("PRAGMA foreign_keys = OFF");
    second.sync();
    // A review that the second one does not have yet, and one that it has.
    for number in [2, 3] {
        first.exec(&format!(
            "INSERT INTO file_reviews VALUES ('{}', 'r', '{}')",
            id(number),
            id(1)
        ));
    }
    first.sync();
    second.sync();
    first.exec(&format!(
        "INSERT INTO file_reviews VALUES ('{}', 'r', '{}')",
        id(4),
        id(1)
    ));
    first.sync();
    second.exec("DELETE FROM files");
    second.sync();
    assert_eq!(second.ask(ALL), "");
    assert!(server.rows(USER, "file_reviews").is_empty());
    first.sync();
    assert_eq!(first.ask(ALL), "");
    for device in [&first, &second] {
        device.sync();
        device.assert_settled();
    }
}

#[test]
fn r15_a_row_that_the_bundle_itself_took_away_is_gone_and_settled() {
    let server = server();
    let [first, second] = pair(&server);
    first.exec(&format!(
        "INSERT INTO files VALUES ('{}', 'f', x'01')",
        id(1)
    ));
    first.sync();
    second.sync();
    // Without foreign keys here the review is written although its file goes in the same bundle.
    second.exec(&format!(
        "PRAGMA foreign_keys = OFF; DELETE FROM files; INSERT INTO file_reviews VALUES ('{}', 'r', '{}')",
        id(2),
        id(1)
    ));
    second.sync();
    second.sync();
    assert!(server.rows(USER, "file_reviews").is_empty());
    assert_eq!(second.ask(ALL), "");
    assert_eq!(second.pending(), "");
    assert_eq!(second.on_its_way(), "0");
}

#[test]
fn b62_a_parent_that_another_device_gave_a_child_can_not_be_deleted_there() {
    let server = server();
    let device = full(&server, "phone");
    device.person(1, "parent");
    device.sync();
    server.put(
        USER,
        "posts",
        &[json!({"id": id(50), "title": "child", "content": "c", "author_id": id(1)})],
    );
    device.delete("users", 1);
    device.person(2, "other");
    for _ in 0..5 {
        device.call("sync_once", "{}");
    }
    assert_eq!(
        server.rows(USER, "users").len(),
        2,
        "the other row goes through"
    );
    let rejected =
        device.ask("SELECT ltrim(substr(pk, 25), '0'), substr(reason, 1, 8) FROM _syncRejected");
    assert_eq!(rejected, "1|HTTP 500");
    // The child waits for its parent: giving the delete up brings both back.
    device.ask("SELECT sync_discard('users', (SELECT pk FROM _syncRejected), '{\"revert\":true}')");
    device.sync();
    device.sync();
    assert_eq!(device.people(), "1|parent\n2|other");
    assert_eq!(device.rows("posts", "title"), "50|child");
    assert_eq!(device.ask("SELECT count(*) FROM sync_held"), "0");
    device.assert_settled();
}

#[test]
fn f2_a_lost_bundle_with_parents_and_children_goes_up_whole() {
    for after in [false, true] {
        let server = server();
        let device = full(&server, "phone");
        device.person(1, "a");
        device.exec(&format!(
            "INSERT INTO posts (id, title, content, author_id) VALUES ('{}', 'p', 'c', '{}')",
            id(2),
            id(1)
        ));
        lose(&server, "/commit", after);
        device.failed("sync_once");
        device.exec("DELETE FROM posts");
        device.delete("users", 1);
        device.sync();
        assert!(server.rows(USER, "users").is_empty());
        assert!(server.rows(USER, "posts").is_empty());
        device.assert_settled();
    }
}
