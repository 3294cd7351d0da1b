//! Several devices, other clients, and a backend in trouble: at rest all hold the same, and no edit is
//! lost.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use support::{Backend, Device, Random, SCHEMA, assert_equal, backend_rows};

const COLUMNS: [&str; 3] = ["title", "n", "note"];

/// A random edit by SQL that devices and backend understand. Values are never used twice.
fn edit(random: &mut Random, counter: &mut u64, who: &str, deletes: bool) -> String {
    *counter += 1;
    let value = format!("{who}-{counter}");
    let table = if random.chance(30) { "list" } else { "task" };
    // A few ids shared by all, so that edits meet.
    let id = format!("s{}", random.below(12));
    match random.below(10) {
        0 | 1 => {
            let id = if random.chance(50) {
                id
            } else {
                format!("{who}{counter}")
            };
            if table == "list" {
                format!("INSERT OR IGNORE INTO list VALUES ('{id}', '{value}')")
            } else {
                format!(
                    "INSERT OR IGNORE INTO task (id, title, n) VALUES ('{id}', '{value}', {counter})"
                )
            }
        }
        2 if deletes => format!("DELETE FROM {table} WHERE id = '{id}'"),
        _ if table == "list" => format!("UPDATE list SET name = '{value}' WHERE id = '{id}'"),
        _ => match random.below(4) {
            0 => format!("UPDATE task SET n = {counter}, note = NULL WHERE id = '{id}'"),
            1 => format!("UPDATE task SET done = 1 - done, note = '{value}' WHERE id = '{id}'"),
            2 => format!("UPDATE task SET title = '{value}' WHERE id = '{id}'"),
            _ => format!("UPDATE task SET note = '{value}' WHERE id >= '{id}' AND id < 's5'"),
        },
    }
}

fn settle(devices: &[Device], backend: &Backend, context: &str) {
    for _ in 0..4 {
        for device in devices {
            device.sync();
        }
    }
    for device in devices {
        let answer = device.synced();
        assert_eq!(
            answer["pushed"], 0,
            "{context}: at rest nothing is pushed: {answer}"
        );
        assert_eq!(
            (device.pending(), device.log()),
            ("".into(), "0".into()),
            "{context}"
        );
        assert_equal(device, backend, &["list", "task"]);
        assert_eq!(device.ask("PRAGMA integrity_check"), "ok");
        assert_eq!(
            device.ask("SELECT count(*) FROM _syncStatus WHERE state <> 'synced'"),
            "0"
        );
    }
}

fn devices(backend: &Backend, more: &Value) -> Vec<Device> {
    (0..3)
        .map(|_| Device::configured(SCHEMA, &["list", "task"], &backend.sync_url(), more.clone()))
        .collect()
}

#[test]
fn random_edits_on_three_devices_and_the_backend_converge() {
    for seed in 1..=2 {
        let backend = Backend::start(SCHEMA);
        let devices = devices(&backend, &json!({}));
        let mut random = Random(seed);
        let mut counter = 0;
        for round in 0..40 {
            for (place, device) in devices.iter().enumerate() {
                for _ in 0..random.below(4) {
                    device.exec(&edit(
                        &mut random,
                        &mut counter,
                        ["a", "b", "c"][place],
                        true,
                    ));
                }
                if random.chance(60) {
                    let entities: &[&str] = if random.chance(20) {
                        &["task"]
                    } else {
                        &["list", "task"]
                    };
                    let answer = device.sync_only(entities);
                    assert_eq!(
                        answer["state"], "synced",
                        "seed {seed} round {round}: {answer}"
                    );
                }
            }
            if random.chance(50) {
                let sql = edit(&mut random, &mut counter, "z", true);
                backend.sql(|db| db.execute_batch(&sql));
            }
            if round % 13 == 12 {
                settle(&devices, &backend, &format!("seed {seed} round {round}"));
            }
        }
        settle(&devices, &backend, &format!("seed {seed}"));
    }
}

fn fault(random: &mut Random) -> Value {
    let on = ["pull", "push", "any"][random.below(3) as usize];
    let mut fault = match random.below(9) {
        0 => json!({"drop": true}),
        1 => json!({"drop": true, "afterCommit": true}),
        2 => json!({"status": 500}),
        3 => json!({"status": 500, "afterCommit": true}),
        4 => json!({"status": 409}),
        5 => json!({"truncate": random.below(60)}),
        6 => json!({"cut": random.below(200)}),
        7 => json!({"delayMs": 5}),
        _ => json!({"duplicates": true, "outOfOrder": true}),
    };
    fault["on"] = json!(on);
    fault["times"] = json!(1 + random.below(2));
    fault
}

#[test]
fn with_faults_at_random_all_converge_too() {
    for seed in 11..=12 {
        let backend = Backend::start(SCHEMA);
        let devices = devices(&backend, &json!({"attempts": 2}));
        let mut random = Random(seed);
        let mut counter = 0;
        for _ in 0..40 {
            for (place, device) in devices.iter().enumerate() {
                for _ in 0..random.below(4) {
                    device.exec(&edit(
                        &mut random,
                        &mut counter,
                        ["a", "b", "c"][place],
                        true,
                    ));
                }
                if random.chance(50) {
                    backend.faults().add(fault(&mut random));
                }
                if random.chance(70) {
                    device.sync();
                }
            }
            if random.chance(30) {
                let sql = edit(&mut random, &mut counter, "z", true);
                backend.sql(|db| db.execute_batch(&sql));
            }
        }
        backend.faults().clear();
        settle(&devices, &backend, &format!("seed {seed}"));
    }
}

/// Every device writes rows and columns of its own, so that the result is known in advance.
#[test]
fn with_faults_at_random_no_edit_is_lost() {
    for seed in 21..=23 {
        let backend = Backend::start(SCHEMA);
        let devices = devices(&backend, &json!({"attempts": 2}));
        let mut random = Random(seed);
        let mut expected: HashMap<String, HashMap<&str, String>> = HashMap::new();
        // Rows that all share; each device writes one column of them.
        for n in 0..5 {
            backend.sql(|db| {
                db.execute_batch(&format!(
                    "INSERT INTO task (id, title) VALUES ('s{n}', 'x')"
                ))
            });
        }
        for device in &devices {
            device.synced();
        }
        for round in 0..40 {
            for (place, device) in devices.iter().enumerate() {
                let column = COLUMNS[place];
                let value = format!("{}", round * 10 + place);
                let id = if random.chance(50) {
                    format!("s{}", random.below(5))
                } else {
                    format!("own{place}-{}", random.below(8))
                };
                device.exec(&format!(
                    "INSERT INTO task (id, {column}) VALUES ('{id}', {value}) ON CONFLICT (id) DO UPDATE SET {column} = {value}"
                ));
                expected.entry(id).or_default().insert(column, value);
                if random.chance(50) {
                    backend.faults().add(fault(&mut random));
                }
                if random.chance(60) {
                    device.sync();
                }
            }
        }
        backend.faults().clear();
        settle(&devices, &backend, &format!("seed {seed}"));
        let rows: HashMap<String, Value> = backend_rows(&backend, "task")
            .into_iter()
            .map(|row| (row["id"].as_str().unwrap().to_owned(), row))
            .collect();
        for (id, columns) in expected {
            let row = rows
                .get(&id)
                .unwrap_or_else(|| panic!("seed {seed}: row {id} is lost"));
            for (column, value) in columns {
                let got = match &row[column] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                assert_eq!(got, value, "seed {seed}: {column} of {id}");
            }
        }
    }
}

/// Rows that were synced to rest are deleted on one device each: none may come back.
#[test]
fn with_faults_at_random_no_delete_is_lost() {
    for seed in 31..=32 {
        let backend = Backend::start(SCHEMA);
        let devices = devices(&backend, &json!({"attempts": 2}));
        let mut random = Random(seed);
        for n in 0..60 {
            backend.sql(|db| {
                db.execute_batch(&format!(
                    "INSERT INTO task (id, title) VALUES ('r{n}', 'x')"
                ))
            });
        }
        for device in &devices {
            device.synced();
        }
        let mut gone = HashSet::new();
        for n in 0..60 {
            let device = &devices[random.below(3) as usize];
            if random.chance(70) {
                let id = format!("r{n}");
                if random.chance(30) {
                    device.exec(&format!("UPDATE task SET title = 'y' WHERE id = '{id}'"));
                }
                device.exec(&format!("DELETE FROM task WHERE id = '{id}'"));
                gone.insert(id);
            }
            if random.chance(50) {
                backend.faults().add(fault(&mut random));
            }
            if random.chance(50) {
                device.sync();
            }
        }
        backend.faults().clear();
        settle(&devices, &backend, &format!("seed {seed}"));
        let left: HashSet<String> = backend_rows(&backend, "task")
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect();
        assert!(left.is_disjoint(&gone), "seed {seed}");
        assert_eq!(left.len() + gone.len(), 60, "seed {seed}");
    }
}
