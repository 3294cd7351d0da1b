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

/// Kills at the moment number `skip` of the sync that `prepare` leaves to be done. False when there is no such moment.
fn converges(
    server: &Arc<B>,
    device: &Device,
    at: (Kind, Moment, u32),
    edit: &str,
    people: &str,
) -> bool {
    let Some(copy) = killed_at(server, device, at) else {
        return false;
    };
    let db = next_process(server, &copy);
    db.execute_batch(edit).expect("an edit");
    syncs(&db);
    syncs(&db);
    let which = format!("{at:?}: {:?}", bundles(server));
    assert_eq!(ask(&db, PEOPLE), people, "{which}");
    assert_eq!(
        users(server).join("\n").replace(' ', "|"),
        people,
        "{which}"
    );
    assert_eq!(
        ask(&db, "SELECT count(*) FROM _syncConflict"),
        "0",
        "{which}"
    );
    true
}

const ALL: &[(Kind, Moment)] = &[
    (Kind::Other, Moment::Arrived),
    (Kind::Push, Moment::Arrived),
    (Kind::Push, Moment::Committed),
    (Kind::Pull, Moment::Arrived),
    (Kind::Pull, Moment::Read),
];

#[test]
fn line_4_a_process_killed_at_any_request_of_a_first_sync() {
    let mut kills = 0;
    for (kind, moment) in ALL {
        for skip in 0.. {
            let server = Arc::new(small());
            let device = Device::new(&*server, "phone");
            for number in 1..=3 {
                device.person(number, "a");
            }
            let edit = format!("UPDATE users SET name = 'b' WHERE id = '{}'", id(2));
            if !converges(
                &server,
                &device,
                (*kind, *moment, skip),
                &edit,
                "1|a\n2|b\n3|a",
            ) {
                break;
            }
            kills += 1;
        }
    }
    // Capabilities, connect, open, two chunks, commit twice, two pages of rows, a pull twice.
    assert_eq!(kills, 11);
}

#[test]
fn line_4_a_process_killed_at_any_request_of_a_rebuild() {
    let mut kills = 0;
    for (kind, moment) in ALL {
        for skip in 0.. {
            let server = Arc::new(small());
            let device = Device::new(&*server, "phone");
            for number in 1..=3 {
                device.person(number, "a");
            }
            device.sync();
            server.put(USER, "users", &[written(4, "new"), written(5, "new")]);
            server.remove(USER, "users", &[&id(1)]);
            server.prune(USER, 2);
            device.person(2, "mine");
            let edit = format!("UPDATE users SET name = 'b' WHERE id = '{}'", id(2));
            let people = "2|b\n3|a\n4|new\n5|new";
            if !converges(&server, &device, (*kind, *moment, skip), &edit, people) {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 10, "{kills}");
}

#[test]
fn line_4_a_process_killed_at_any_request_of_a_source_recovery() {
    let mut kills = 0;
    for (kind, moment) in ALL {
        for skip in 0.. {
            let server = Arc::new(small());
            let device = Device::new(&*server, "phone");
            device.person(1, "a");
            device.sync();
            device.person(1, "b");
            device.person(2, "b");
            server.faults().add(json!({"path": "/commit", "times": 1, "status": 409, "calls": "source_sequence_changed"}));
            let edit = format!("UPDATE users SET name = 'c' WHERE id = '{}'", id(2));
            if !converges(&server, &device, (*kind, *moment, skip), &edit, "1|b\n2|c") {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 10, "{kills}");
}

#[test]
fn line_4_a_process_killed_at_any_request_of_a_round_of_conflicts() {
    let mut kills = 0;
    for (kind, moment) in ALL {
        for skip in 0.. {
            let server = Arc::new(server());
            let device = Device::new(&*server, "phone");
            device.ask("SELECT sync_resolver('users', 'clientWins')");
            device.person(1, "a");
            device.sync();
            server.put(USER, "users", &[written(1, "theirs")]);
            device.person(1, "mine");
            device.person(2, "mine");
            let Some(copy) = killed_at(&server, &device, (*kind, *moment, skip)) else {
                break;
            };
            let db = next_process(&server, &copy);
            db.execute_batch(&format!(
                "UPDATE users SET name = 'b' WHERE id = '{}'",
                id(2)
            ))
            .expect("an edit");
            syncs(&db);
            let which = format!("{kind:?} {moment:?} {skip}: {:?}", bundles(&server));
            assert_eq!(ask(&db, PEOPLE), "1|mine\n2|b", "{which}");
            assert_eq!(users(&server), ["1 mine", "2 b"], "{which}");
            kills += 1;
        }
    }
    assert!(kills > 8, "{kills}");
}
