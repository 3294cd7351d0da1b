//! O2 with row versions and numbered changes: a change of user. And what is seen of the device.

use serde_json::{Value, json};
use support::backend::oversync::B;

use crate::client::{Device, Served, USER, held, id, server};

fn detach(device: &Device, options: &str) -> Value {
    let text = device.ask(&format!("SELECT sync_detach('api', '{options}')"));
    serde_json::from_str(&text).expect("JSON")
}

/// Declares the same server for another user.
fn declare_for(device: &Device, server: &support::backend::oversync::A, user: &str) {
    let name = "phone";
    device.ask(&format!(
        "SELECT sync_secret('t', '{}', '{}')",
        server.token(user, name),
        server.address()
    ));
    let config = json!({"kind": "oversync", "url": server.address(), "serverSchema": "business",
        "generation": "a", "sourceId": name, "token": "t", "attempts": 1});
    device.ask(&format!("SELECT sync_provider('api', '{config}')"));
}

#[test]
fn o2_rows_that_stay_are_inserted_for_the_next_user_under_new_numbers() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "Ann");
    device.sync();
    device.user(1, "Anna");
    device.user(2, "Bob");
    let answer = detach(&device, "{}");
    assert_eq!(
        (&answer["uploaded"], &answer["kept"], &answer["secrets"]),
        (&json!(2), &json!(2), &json!(["t"])),
        "{answer}"
    );
    assert_eq!(held(&server, 1), Some((2, Some("Anna".into()))));
    assert_eq!(device.ask("SELECT count(*) FROM _syncVersion"), "0");
    assert_eq!(device.pending(), "users|1|created\nusers|2|created");
    let numbers = |upload: usize| -> Vec<(i64, String, i64)> {
        server.uploads()[upload]
            .iter()
            .map(|change| {
                (
                    change.source_change_id,
                    change.op.clone(),
                    change.server_version,
                )
            })
            .collect()
    };
    assert_eq!(server.uploads().len(), 2);
    declare_for(&device, &server, "other");
    device.sync();
    assert_eq!(device.pending(), "");
    assert_eq!(server.rows("other", "users").len(), 2);
    // Neither based on what the old user's rows were, nor under numbers that were given.
    assert_eq!(
        numbers(2),
        [(4, "INSERT".into(), 0), (5, "INSERT".into(), 0)]
    );
    assert_eq!(held(&server, 1), Some((2, Some("Anna".into()))));
    assert_eq!(device.version(1), "1|0");
}

#[test]
fn o2_a_wipe_is_no_delete_and_the_same_user_gets_all_back() {
    let server = server();
    let device = Device::new(&server, "phone");
    device.user(1, "Ann");
    device.post(2, "Hello", 1);
    device.sync();
    let before = server.uploads().len();
    assert_eq!(detach(&device, r#"{"wipe":true}"#)["wiped"], 2);
    assert_eq!(
        (device.rows("users", "name"), device.pending()),
        (String::new(), String::new())
    );
    declare_for(&device, &server, USER);
    // Own changes come too when it starts from the beginning.
    device.sync();
    assert_eq!(device.rows("users", "name"), "1|Ann");
    assert_eq!(device.rows("posts", "title"), "2|Hello");
    assert_eq!(server.uploads().len(), before);
    device.user(1, "Anna");
    device.sync();
    assert_eq!(held(&server, 1), Some((2, Some("Anna".into()))));
}

#[test]
fn o2_all_batches_go_up_first() {
    let server = server();
    let device = Device::with(&server, "phone", json!({"uploadLimit": 2}));
    for number in 1..=5 {
        device.user(number, "x");
    }
    let answer = detach(&device, r#"{"wipe":true}"#);
    assert_eq!(
        (&answer["uploaded"], &answer["wiped"]),
        (&json!(5), &json!(5)),
        "{answer}"
    );
    assert_eq!(server.rows(USER, "users").len(), 5);
}

#[test]
fn o2_a_server_with_bundles() {
    let server = B::example();
    let device = Device::new(&server, "phone");
    let person = "INSERT INTO users (id, name, email) VALUES ";
    device.exec(&format!("{person} ('{}', 'Ann', 'e')", id(1)));
    device.sync();
    device.exec(&format!("{person} ('{}', 'Bob', 'e')", id(2)));
    let answer = detach(&device, r#"{"wipe":true}"#);
    assert_eq!(
        (&answer["uploaded"], &answer["wiped"]),
        (&json!(1), &json!(2)),
        "{answer}"
    );
    assert_eq!(server.rows(USER, "users").len(), 2);
    // The same device of the same user again: its bundles don't take numbers that are taken.
    device.declare(&server, "phone", json!({}));
    device.sync();
    assert_eq!(device.rows("users", "name"), "1|Ann\n2|Bob");
    device.exec(&format!("{person} ('{}', 'Cid', 'e')", id(3)));
    device.sync();
    assert_eq!(device.pending(), "");
    assert_eq!(server.rows(USER, "users").len(), 3);
    // The server knew the name, so the device has taken another.
    assert_ne!(device.ask("SELECT deviceId FROM sync_peer"), "phone");
}

#[test]
fn the_name_of_the_device_and_the_generation_are_seen() {
    let seen = |device: &Device| {
        device.ask("SELECT deviceId, generation FROM sync_peer WHERE provider = 'api'")
    };
    let server = server();
    let device = Device::new(&server, "phone");
    assert_eq!(seen(&device), "phone|NULL");
    device.sync();
    assert_eq!(seen(&device), "phone|NULL", "it was told, not found out");
    let found = Device::with(&server, "tablet", json!({"generation": "auto"}));
    found.sync();
    assert_eq!(seen(&found), "tablet|a");
    let server = B::example();
    let device = Device::new(&server, "phone");
    assert_eq!(seen(&device), "phone|NULL");
    device.sync();
    assert_eq!(seen(&device), "phone|b");
    // One that made up its name itself.
    let device = Device::with(&server, "x", json!({"sourceId": null}));
    device.sync();
    let (name, generation) = seen(&device)
        .split_once('|')
        .map(|(a, b)| (a.len(), b.to_owned()))
        .expect("two");
    assert_eq!((name, generation.as_str()), (36, "b"));
}
