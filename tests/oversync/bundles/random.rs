//! Line 13: devices that write at random, and a server in trouble.

use std::collections::BTreeMap;

use serde_json::json;
use support::Random;
use support::backend::oversync::B;
use support::backend::oversync::b::{Health, Limits, Options, Revision};
use support::sample::seeds;

use super::{full_with, server_with, written};
use crate::client::{Device, USER, id};

/// Everything that both sides hold, a row a line.
const ALL: &str = "SELECT 'users', id, name, email FROM users UNION ALL SELECT 'files', id, name, hex(data) FROM files \
                   UNION ALL SELECT 'posts', id, title, author_id FROM posts \
                   UNION ALL SELECT 'categories', id, name, coalesce(parent_id, '') FROM categories \
                   UNION ALL SELECT 'typed_rows', id, count_value, printf('%!.17g', rating) FROM typed_rows ORDER BY 1, 2";

const PATHS: &[&str] = &[
    "/sync/push-sessions",
    "/chunks",
    "/commit",
    "/committed-bundles",
    "/sync/pull",
    "/sync/snapshot-sessions",
    "/sync/snapshot-sessions/",
    "/sync/connect",
];

/// What happens to the server in the middle of a schedule.
type Middle = fn(&B, &mut Random);

/// Two devices, so many steps; at rest all have the same rows, and the server has them.
fn schedule(seed: u64, steps: usize, revision: Revision, middle: Middle) {
    let mut random = Random(seed);
    let server = server_with(Options {
        revision,
        limits: Limits {
            rows_per_push_chunk: 3,
            rows_per_committed_chunk: 2,
            rows_per_snapshot_chunk: 4,
            ..Limits::default()
        },
        ..Options::default()
    });
    let devices = [
        full_with(&server, "phone", json!({"bundleRows": 4, "pullBundles": 2})),
        full_with(&server, "tablet", json!({})),
    ];
    let policies = [
        ["clientWins", "serverWins"],
        ["columns", "serverWins"],
        ["serverWins", "serverWins"],
    ];
    for (device, policy) in devices.iter().zip(random.pick(&policies)) {
        device.ask(&format!("SELECT sync_resolver('users', '{policy}')"));
        // Children go with their parents here where the server takes them along.
        device.exec("PRAGMA foreign_keys = ON");
    }
    let mut edits = [BTreeMap::new(), BTreeMap::new()];
    for number in 0..steps {
        if number == steps / 2 {
            middle(&server, &mut random);
        }
        let place = random.roll(2);
        let name = format!("n{place}-{number}");
        step(
            &server,
            &mut random,
            &devices[place],
            (&mut edits[place], name),
        );
    }
    settle(seed, &server, &devices);
    for (device, edits) in devices.iter().zip(&edits) {
        edits
            .iter()
            .for_each(|edit| assert_not_lost(seed, &server, device, edit));
    }
}

/// The last edit of each user that a device has made, and not undone by another: number and name.
type Edits = BTreeMap<u32, String>;

/// What somebody has written went up at some time, or stands in the log of conflicts.
fn assert_not_lost(seed: u64, server: &B, device: &Device, (number, name): (&u32, &String)) {
    let went_up = server.pushes().iter().any(|push| {
        let mut rows = push.rows.iter();
        rows.any(|row| {
            row["key"]["id"] == json!(id(*number)) && row["payload"]["name"] == json!(name)
        })
    });
    let is_noted = format!("SELECT count(*) FROM sync_conflict WHERE local ->> 'name' = '{name}'");
    assert!(
        went_up || device.ask(&is_noted) != "0",
        "seed {seed}: {name} of user {number} is lost"
    );
}

fn step(server: &B, random: &mut Random, device: &Device, (edits, name): (&mut Edits, String)) {
    let number = random.below(10) as u32;
    let (one, other) = (id(number), id(random.below(10) as u32));
    match random.below(17) {
        0..=3 => {
            device.person(number, &name);
            edits.insert(number, name);
        }
        4 => device.exec(&format!("UPDATE users SET email = 'e{}' WHERE id = '{one}'", random.below(9))),
        5 => {
            device.exec(&format!("DELETE FROM users WHERE id = '{one}'"));
            edits.remove(&number);
        }
        6 => device.exec(&format!(
            "INSERT OR REPLACE INTO files (id, name, data) VALUES ('{one}', 'f', x'0{}')",
            random.below(9)
        )),
        7 => device.exec(&format!(
            "INSERT INTO categories VALUES ('{one}', 'c{}', (SELECT id FROM categories WHERE id < '{one}' LIMIT 1)) \
             ON CONFLICT (id) DO UPDATE SET name = excluded.name",
            random.below(100)
        )),
        8 => device.exec(&format!("DELETE FROM categories WHERE id = '{other}'")),
        9 => server.put(USER, "users", &[written(number, &format!("s{}", random.below(1000)))]),
        10 => trouble(server, random),
        // In the earlier revision larger numbers come rounded.
        16 => device.exec(&format!(
            "INSERT INTO typed_rows (id, name, count_value, rating) VALUES ('{one}', 'n', {}, {}.5) \
             ON CONFLICT (id) DO UPDATE SET count_value = excluded.count_value, rating = excluded.rating",
            random.below(1 << 50),
            random.below(9)
        )),
        11 => drop(device.call("sync_upload_once", "{}")),
        12 => drop(device.call("sync_download_once", "{}")),
        13 => drop(device.call("sync_download_all", "{}")),
        _ => drop(device.call("sync_once", "{}")),
    }
}

fn trouble(server: &B, random: &mut Random) {
    let mut fault = match random.below(9) {
        0..=2 => json!({"drop": true, "afterCommit": true}),
        3 => json!({"drop": true}),
        4 => json!({"status": 503}),
        5 => json!({"truncate": 20}),
        6 => {
            let head = server.head(USER);
            if head > 0 {
                server.prune(USER, random.below(head as u64 + 1) as i64);
            }
            return;
        }
        7 => {
            server.expire_sessions();
            server.expire_lease(USER);
            return;
        }
        _ => json!({"status": 500, "afterCommit": true}),
    };
    fault["times"] = json!(1 + random.below(2));
    fault["path"] = json!(random.pick(PATHS));
    fault["skip"] = json!(random.below(2));
    server.faults().add(fault);
}

/// Without trouble all come to the same.
fn settle(seed: u64, server: &B, devices: &[Device; 2]) {
    server.faults().clear();
    server.set_health(Health::Well);
    // One may have the right to bring the first rows, and not be the first to come back.
    server.expire_lease(USER);
    let retry = "SELECT sync_retry(tbl.name, rejected.pk) FROM _syncRejected AS rejected \
                 JOIN _syncTable AS tbl ON tbl.id = rejected.tbl";
    for _ in 0..6 {
        for device in devices {
            // What a server in trouble has failed with is not wrong, and a parent that was missing may be there again.
            device.ask(retry);
            device.sync();
        }
    }
    for device in devices {
        assert_eq!(device.pending(), "", "seed {seed}");
        assert_eq!(device.on_its_way(), "0", "seed {seed}");
        assert_eq!(
            device.ask("SELECT reason FROM _syncRejected"),
            "",
            "seed {seed}"
        );
    }
    assert_eq!(devices[0].ask(ALL), devices[1].ask(ALL), "seed {seed}");
    let mut there = Vec::new();
    for (table, columns) in [
        ("categories", ["name", "parent_id"]),
        ("users", ["name", "email"]),
    ] {
        for row in server.rows(USER, table) {
            let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            there.push(format!(
                "{table}|{}|{}|{}",
                word("id"),
                word(columns[0]),
                word(columns[1])
            ));
        }
    }
    let here = devices[0].ask(ALL);
    let here: Vec<&str> = here
        .lines()
        .filter(|line| !line.starts_with("files") && !line.starts_with("typed_rows"))
        .collect();
    assert_eq!(here, there, "seed {seed}");
    for device in devices {
        let check = device.call("sync_check", "{}");
        assert_eq!(check["state"], "equal", "seed {seed}: {check}");
    }
}

/// How many there are in full: of what is recorded, and of each thing besides.
const RECORDED: u64 = 500;
const BESIDES: u64 = 20;

fn schedules(remainder: u64, whole: u64, revision: Revision, middle: Middle) {
    let seeds = seeds(module_path!(), 4, whole);
    let mine = seeds.filter(|seed| seed % 2 == remainder);
    mine.for_each(|seed| schedule(seed, 24, revision, middle));
}

/// The server begins anew, and others write so many bundles.
fn begin_anew(server: &B, random: &mut Random) {
    server.wipe();
    for number in 0..=random.below(12) {
        let name = format!("anew{number}");
        server.put(USER, "users", &[written(random.below(10) as u32, &name)]);
    }
}

#[test]
fn line_13_devices_with_random_edits_and_faults_converge() {
    schedules(1, RECORDED, Revision::Recorded, |_, _| {});
}

/// The other half of the seeds, beside it.
#[test]
fn line_13_devices_with_other_random_edits_and_faults_converge() {
    schedules(0, RECORDED, Revision::Recorded, |_, _| {});
}

#[test]
fn line_14_devices_with_random_edits_and_faults_converge_in_the_later_revision() {
    schedules(1, BESIDES, Revision::Later, |_, _| {});
}

#[test]
fn line_14_devices_with_random_edits_and_faults_converge_around_an_update() {
    schedules(0, BESIDES, Revision::Recorded, |server, _| {
        server.speak(Revision::Later)
    });
}

#[test]
fn line_14_devices_with_random_edits_and_faults_converge_around_a_server_put_back() {
    schedules(1, BESIDES, Revision::Later, |server, _| {
        server.speak(Revision::Recorded)
    });
}

#[test]
fn r18_devices_with_random_edits_and_faults_converge_around_a_server_that_begins_anew() {
    schedules(0, BESIDES, Revision::Recorded, begin_anew);
}

#[test]
fn r18_devices_with_random_edits_and_faults_converge_around_a_later_server_that_begins_anew() {
    schedules(1, BESIDES, Revision::Later, begin_anew);
}
