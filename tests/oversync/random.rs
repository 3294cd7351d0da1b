//! Line 13: devices that write at random, and a server in trouble.

use serde_json::json;
use support::Random;
use support::backend::oversync::A;
use support::sample::seeds;

use crate::client::{Device, USER, id, server};

/// Two devices, so many steps each; at rest all have the same rows, and the server has them.
fn schedule(seed: u64, steps: usize) {
    let server = server();
    let mut random = Random(seed);
    let devices = [
        Device::with(
            &server,
            "phone",
            json!({"downloadLimit": 7, "uploadLimit": 5}),
        ),
        Device::with(&server, "tablet", json!({"uploadShape": "safe"})),
    ];
    for (device, policy) in devices.iter().zip(["clientWins", "serverWins"]) {
        device.ask(&format!("SELECT sync_resolver('users', '{policy}')"));
    }
    for _ in 0..steps {
        let device = &devices[random.below(2) as usize];
        step(&server, &mut random, device);
    }
    settle(seed, &server, &devices);
}

fn step(server: &A, random: &mut Random, device: &Device) {
    let number = random.below(12) as u32;
    match random.below(12) {
        0..=4 => device.user(number, &format!("n{}", random.below(1000))),
        5 => {
            let sql = format!(
                "UPDATE users SET email = 'e{}' WHERE id = '{}'",
                random.below(9),
                id(number)
            );
            device.exec(&sql);
        }
        6 => device.exec(&format!("DELETE FROM users WHERE id = '{}'", id(number))),
        7 => {
            let sql = format!(
                "INSERT OR REPLACE INTO files (id, name, data) VALUES ('{}', 'f', x'0{}')",
                id(100 + number),
                random.below(9)
            );
            device.exec(&sql);
        }
        8 => {
            let fault = match random.below(4) {
                0 => json!({"on": "push", "times": 1, "drop": true, "afterCommit": true}),
                1 => json!({"on": "push", "times": 1, "drop": true}),
                2 => json!({"on": "pull", "times": 1, "status": 503}),
                _ => json!({"on": "push", "times": 1, "truncate": 20}),
            };
            server.faults().add(fault);
        }
        9 => drop(device.call("sync_upload_once", "{}")),
        10 => drop(device.call("sync_download_once", "{}")),
        _ => drop(device.call("sync_once", "{}")),
    }
}

/// Without trouble all come to the same.
fn settle(seed: u64, server: &A, devices: &[Device; 2]) {
    server.faults().clear();
    let all = "SELECT 'u', id, name, email FROM users UNION ALL SELECT 'f', id, name, hex(data) FROM files ORDER BY 1, 2";
    for _ in 0..6 {
        devices.iter().for_each(|device| drop(device.sync()));
    }
    let pending: Vec<String> = devices.iter().map(Device::pending).collect();
    assert_eq!(pending.concat(), "", "seed {seed}");
    assert_eq!(devices[0].ask(all), devices[1].ask(all), "seed {seed}");
    let users: Vec<String> = server
        .rows(USER, "users")
        .iter()
        .map(|row| row["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    let here = devices[0].ask("SELECT name FROM users ORDER BY id");
    assert_eq!(users.join("\n"), here, "seed {seed}");
    let unknown = "SELECT count(*) FROM _syncPush WHERE state IN ('open', 'unknown')";
    assert_eq!(
        devices[0].ask(unknown) + &devices[1].ask(unknown),
        "00",
        "seed {seed}"
    );
}

fn schedules(remainder: u64) {
    let seeds = seeds(module_path!(), 4, 500);
    let mine = seeds.filter(|seed| seed % 2 == remainder);
    mine.for_each(|seed| schedule(seed, 24));
}

#[test]
fn line_13_devices_with_random_edits_and_faults_converge() {
    schedules(1);
}

/// The other half of the seeds, beside it.
#[test]
fn line_13_devices_with_other_random_edits_and_faults_converge() {
    schedules(0);
}
