//! A process that is killed at any step leaves a file from which the next one converges.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;
use support::ask;
use support::backend::oversync::B;
use support::backend::{Kind, Moment};
use support::database::load;

use super::{bundles, server, small, users, written};
use crate::client::{Device, USER, id};

/// What a process leaves that is killed at a moment of its sync: nothing that it would have sent after that arrives. `skip`
/// such moments pass by before.
fn killed_at(
    server: &Arc<B>,
    device: &Device,
    (kind, moment, skip): (Kind, Moment, u32),
) -> Option<PathBuf> {
    let copy = device.world.file("copy.db");
    let (from, to, same) = (device.world.path(), copy.clone(), Arc::clone(server));
    server.moments().plan(kind, moment, skip, move || {
        let db = Connection::open(from).expect("open");
        db.execute("VACUUM INTO ?1", [to.to_str().expect("a path")])
            .expect("a copy");
        same.faults().add(json!({"drop": true}));
    });
    device.call("sync_once", "{}");
    server.moments().clear();
    server.faults().clear();
    copy.exists().then_some(copy)
}

/// The next process on such a file.
fn next_process(server: &B, file: &PathBuf) -> Connection {
    let db = Connection::open(file).expect("open");
    let dead = "UPDATE _syncOwner SET processId = 999999999, processStart = '1'";
    db.execute_batch(dead).expect("a dead owner");
    load(&db);
    db.query_row(
        "SELECT sync_secret('t', ?1, ?2)",
        [server.token(USER), server.url()],
        |_| Ok(()),
    )
    .expect("a secret");
    db
}

fn syncs(db: &Connection) {
    assert_eq!(ask(db, "SELECT sync_once('api') ->> 'state'"), "synced");
    assert_eq!(ask(db, "SELECT count(*) FROM sync_pending"), "0");
    assert_eq!(
        ask(
            db,
            "SELECT count(*) FROM _syncPush WHERE state IN ('open', 'unknown')"
        ),
        "0"
    );
    assert_eq!(ask(db, "SELECT count(*) FROM _syncRejected"), "0");
}

const PEOPLE: &str = "SELECT ltrim(substr(id, 25), '0'), name FROM users ORDER BY id";

const ALL: &[(Kind, Moment)] = &[
    (Kind::Other, Moment::Arrived),
    (Kind::Push, Moment::Arrived),
    (Kind::Push, Moment::Committed),
    (Kind::Pull, Moment::Arrived),
    (Kind::Pull, Moment::Read),
];

/// Kills a device at each moment of the sync that `prepare` leaves to be done, has the next process rename person 2, and
/// compares: device and server both have `people` in the end, and nothing was taken for a conflict but `conflicts` rows.
/// How many moments there are.
fn killed_everywhere(
    start: fn() -> B,
    prepare: impl Fn(&B, &Device),
    (name, people, conflicts): (&str, &str, &str),
) -> usize {
    let edit = format!("UPDATE users SET name = '{name}' WHERE id = '{}'", id(2));
    let mut kills = 0;
    for (kind, moment) in ALL {
        for skip in 0.. {
            let server = Arc::new(start());
            let device = Device::new(&*server, "phone");
            prepare(&server, &device);
            let Some(copy) = killed_at(&server, &device, (*kind, *moment, skip)) else {
                break;
            };
            let db = next_process(&server, &copy);
            db.execute_batch(&edit).expect("an edit");
            syncs(&db);
            syncs(&db);
            let which = format!("{kind:?} {moment:?} {skip}: {:?}", bundles(&server));
            assert_eq!(ask(&db, PEOPLE), people, "{which}");
            let there = users(&server).join("\n").replace(' ', "|");
            assert_eq!(there, people, "{which}");
            let kept = ask(&db, "SELECT count(*) FROM _syncConflict");
            assert_eq!(kept, conflicts, "{which}");
            kills += 1;
        }
    }
    kills
}

fn three_people(device: &Device) {
    for number in 1..=3 {
        device.person(number, "a");
    }
}

#[test]
fn line_4_a_process_killed_at_any_request_of_a_first_sync() {
    let kills = killed_everywhere(
        small,
        |_, device| three_people(device),
        ("b", "1|a\n2|b\n3|a", "0"),
    );
    // Capabilities, connect, open, two chunks, commit twice, two pages of rows, a pull twice.
    assert_eq!(kills, 11);
}

#[test]
fn line_4_a_process_killed_at_any_request_of_a_rebuild() {
    let kills = killed_everywhere(
        small,
        |server, device| {
            three_people(device);
            device.sync();
            server.put(USER, "users", &[written(4, "new"), written(5, "new")]);
            server.remove(USER, "users", &[&id(1)]);
            server.prune(USER, 2);
            device.person(2, "mine");
        },
        ("b", "2|b\n3|a\n4|new\n5|new", "0"),
    );
    assert!(kills > 10, "{kills}");
}

#[test]
fn line_4_a_process_killed_at_any_request_of_a_source_recovery() {
    let kills = killed_everywhere(
        small,
        |server, device| {
            device.person(1, "a");
            device.sync();
            device.person(1, "b");
            device.person(2, "b");
            server.faults().add(json!({"on": "push", "path": "/commit", "times": 1, "status": 409, "calls": "source_sequence_changed"}));
        },
        ("c", "1|b\n2|c", "0"),
    );
    assert!(kills > 10, "{kills}");
}

#[test]
fn line_4_a_process_killed_at_any_request_of_a_round_of_conflicts() {
    let kills = killed_everywhere(
        server,
        |server, device| {
            device.ask("SELECT sync_resolver('users', 'clientWins')");
            device.person(1, "a");
            device.sync();
            server.put(USER, "users", &[written(1, "theirs")]);
            device.person(1, "mine");
            device.person(2, "mine");
        },
        ("b", "1|mine\n2|b", "1"),
    );
    assert!(kills > 8, "{kills}");
}
