//! O3: the stream that says when there is a new bundle.

use support::backend::oversync::B;
use support::backend::oversync::b::{Options, Watch};
use support::database::ask;
use support::wait_for;

use super::{full, server, server_with};
use crate::client::{Device, USER, id};

/// The connection of a device whose thread listens.
fn listening(server: &B, device: &Device) -> rusqlite::Connection {
    device.ask(
        r#"SELECT sync_auto('api', '{"every":"1h","downloadEvery":"1h","debounce":"50ms","watch":true}')"#,
    );
    let other = device.world.open();
    let secret = format!(
        "SELECT sync_secret('t', '{}', '{}')",
        server.token(USER),
        server.url()
    );
    assert_eq!(ask(&other, &secret), "1");
    assert_eq!(ask(&other, "SELECT sync_worker_start()"), "1");
    other
}

fn write(device: &Device, number: u32, name: &str) {
    device.exec(&format!(
        "INSERT OR REPLACE INTO users (id, name, email) VALUES ('{}', '{name}', 'e')",
        id(number)
    ));
}

#[test]
fn o3_a_bundle_of_another_device_comes_at_once() {
    let server = server();
    let (phone, tablet) = (full(&server, "phone"), full(&server, "tablet"));
    // A server that has nothing of a user says nothing of it either.
    write(&tablet, 1, "Ada");
    tablet.sync();
    let other = listening(&server, &phone);
    wait_for("listening", || {
        ask(&other, "SELECT watch FROM sync_worker") == "listening"
    });
    write(&tablet, 1, "Ann");
    tablet.sync();
    wait_for("Ann", || phone.ask("SELECT name FROM users") == "Ann");
    // What is written here goes up, and the stream goes on.
    write(&phone, 2, "Bob");
    wait_for("Bob", || phone.pending().is_empty());
    tablet.sync();
    write(&tablet, 2, "Ben");
    tablet.sync();
    wait_for("Ben", || {
        phone.ask("SELECT group_concat(name) FROM users") == "Ann,Ben"
    });
}

#[test]
fn o3_where_the_stream_is_refused_it_is_said_and_pulls_go_on() {
    let server = server_with(Options {
        watch: Watch {
            refused: Some("phone".into()),
            ..Watch::default()
        },
        ..Options::default()
    });
    let tablet = full(&server, "tablet");
    write(&tablet, 1, "Ann");
    tablet.sync();
    let phone = full(&server, "phone");
    let other = listening(&server, &phone);
    wait_for("the refusal", || {
        ask(&other, "SELECT watch FROM sync_worker") == "HTTP 403"
    });
    wait_for("Ann", || phone.ask("SELECT name FROM users") == "Ann");
}
