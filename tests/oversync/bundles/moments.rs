//! What is edited while a bundle is on its way.

use serde_json::json;
use support::backend::oversync::B;
use support::backend::{Kind, Moment};

use super::{bundles, server, users};
use crate::client::{Device, USER, id};

/// At a moment of the request with `path`, the program edits the rows on another connection.
fn edits_at(server: &B, device: &Device, (path, moment): (&str, Moment), sql: &str) {
    let (file, sql) = (device.world.path(), sql.to_owned());
    server.moments().plan_at(Kind::Push, path, moment, move || {
        let db = rusqlite::Connection::open(file).expect("open");
        support::database::load(&db);
        db.execute_batch(&sql).expect("an edit");
    });
}

const MOMENTS: &[(&str, Moment)] = &[
    ("/sync/push-sessions", Moment::Arrived),
    ("/chunks", Moment::Arrived),
    ("/commit", Moment::Arrived),
    ("/commit", Moment::Committed),
    ("/committed-bundles", Moment::Arrived),
];

#[test]
fn line_2_an_edit_during_an_upload_survives_and_goes_up_on_the_new_base() {
    for at in MOMENTS {
        let server = server();
        let device = Device::new(&server, "phone");
        device.person(1, "a");
        edits_at(&server, &device, *at, "UPDATE users SET name = 'b'");
        device.upload();
        assert_eq!(device.people(), "1|b", "{at:?}");
        assert_eq!(device.pending(), "users|1|updated", "{at:?}");
        assert_eq!(device.version(1), "1|0");
        device.upload();
        assert_eq!(
            bundles(&server),
            ["1: INSERT 1 0", "2: UPDATE 1 1"],
            "{at:?}"
        );
        assert_eq!(users(&server), ["1 b"]);
        device.assert_settled();
    }
}

#[test]
fn line_2_a_delete_during_an_upload_goes_up_on_the_new_base() {
    for at in MOMENTS {
        let server = server();
        let device = Device::new(&server, "phone");
        device.person(1, "a");
        edits_at(&server, &device, *at, "DELETE FROM users");
        device.upload();
        assert_eq!(device.pending(), "users|1|deleted", "{at:?}");
        device.upload();
        assert_eq!(
            bundles(&server),
            ["1: INSERT 1 0", "2: DELETE 1 1"],
            "{at:?}"
        );
        device.assert_settled();
    }
}

#[test]
fn line_2_a_row_made_again_during_the_upload_of_its_delete() {
    for at in MOMENTS {
        let server = server();
        let device = Device::new(&server, "phone");
        device.person(1, "a");
        device.sync();
        device.delete("users", 1);
        let sql = format!(
            "INSERT INTO users (id, name, email) VALUES ('{}', 'again', 'e')",
            id(1)
        );
        edits_at(&server, &device, *at, &sql);
        device.upload();
        device.upload();
        assert_eq!(
            bundles(&server)[1..],
            ["2: DELETE 1 1", "3: INSERT 1 2"],
            "{at:?}"
        );
        assert_eq!(users(&server), ["1 again"]);
        assert_eq!(device.people(), "1|again");
        device.assert_settled();
    }
}

#[test]
fn b63_the_server_image_is_written_only_where_nothing_was_edited_since() {
    let server = server();
    let device = super::full(&server, "phone");
    device.exec(&format!(
        "INSERT INTO users VALUES ('{}', 'a', 'e', '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z'),
                                  ('{}', 'a', 'e', '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z')",
        id(1),
        id(2)
    ));
    let sql = format!("UPDATE users SET name = 'b' WHERE id = '{}'", id(1));
    edits_at(&server, &device, ("/commit", Moment::Committed), &sql);
    device.upload();
    assert_eq!(
        device.rows("users", "name, created_at"),
        "1|b|2026-01-02T03:04:05Z\n2|a|2026-01-02T03:04:05+00:00"
    );
    assert_eq!(device.pending(), "users|1|updated");
    device.sync();
    assert_eq!(
        device.rows("users", "name, created_at"),
        "1|b|2026-01-02T03:04:05+00:00\n2|a|2026-01-02T03:04:05+00:00"
    );
    device.assert_settled();
}

#[test]
fn an_edit_between_a_conflict_and_its_next_round_goes_up_with_it() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.ask("SELECT sync_resolver('users', 'clientWins')");
    device.person(1, "a");
    device.sync();
    server.put(USER, "users", &[json!({"id": id(1), "name": "theirs"})]);
    device.person(1, "mine");
    let file = device.world.path();
    server.moments().plan(Kind::Pull, Moment::Read, 0, move || {
        let db = rusqlite::Connection::open(file).expect("open");
        support::database::load(&db);
        db.execute_batch("UPDATE users SET name = 'meanwhile'")
            .expect("an edit");
    });
    device.sync();
    device.sync();
    assert_eq!(users(&server), ["1 meanwhile"]);
    assert_eq!(device.people(), "1|meanwhile");
    device.assert_settled();
}
