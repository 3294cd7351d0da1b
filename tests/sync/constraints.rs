//! Two devices and a backend, all with foreign keys, UNIQUE and CHECK, and random edits: every sync succeeds, and in the end
//! all have the same rows, but for those that are held or refused, which are named.

use serde_json::{Value, json};
use support::{Backend, Device, Random};

const ACTIONS: &[&str] = &[
    "",
    "ON DELETE CASCADE",
    "ON DELETE SET NULL",
    "ON DELETE RESTRICT",
];

fn schema(action: &str) -> String {
    format!(
        "CREATE TABLE parent (id TEXT PRIMARY KEY NOT NULL, name TEXT UNIQUE, up TEXT REFERENCES parent (id) {action});
         CREATE TABLE child (id TEXT PRIMARY KEY NOT NULL, parent TEXT REFERENCES parent (id) {action},
           n INTEGER CHECK (n < 5), slot INTEGER UNIQUE);"
    )
}

fn edit(random: &mut Random, device: &Device, number: usize) {
    let key = |random: &mut Random| format!("{}{}", ["p", "q"][random.roll(2)], random.roll(6));
    let (one, other) = (key(random), key(random));
    let (n, slot) = (random.roll(5), random.roll(8));
    let sql = match random.roll(9) {
        0 | 1 => format!("INSERT INTO parent VALUES ('{one}', 'name {slot}', NULL)"),
        2 => format!("INSERT INTO child VALUES ('{number}-{slot}', '{one}', {n}, {slot})"),
        3 => format!("UPDATE parent SET name = 'name {slot}' WHERE id = '{one}'"),
        4 => format!("UPDATE parent SET up = '{other}' WHERE id = '{one}'"),
        5 => format!("UPDATE child SET parent = '{one}' WHERE slot = {slot}"),
        6 => format!("UPDATE child SET slot = {slot} WHERE n = {n}"),
        7 => format!("DELETE FROM parent WHERE id = '{one}'"),
        _ => format!("DELETE FROM child WHERE slot = {slot}"),
    };
    // What this device's own constraints refuse is no edit.
    let _ = device.db.execute_batch(&sql);
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let action = ACTIONS[random.roll(ACTIONS.len())];
    let on_clash = ["hold", "adopt", "serverWins"][random.roll(3)];
    let backend = Backend::start(&schema(action));
    let tables = match random.roll(2) {
        0 => ["parent", "child"],
        _ => ["child", "parent"],
    };
    let devices: Vec<Device> = (0..2)
        .map(|_| {
            let options = json!({"onClash": {"parent": on_clash, "child": on_clash}});
            let device = Device::configured(&schema(action), &tables, &backend.sync_url(), options);
            let settings = [
                "",
                "PRAGMA journal_mode = WAL;",
                "PRAGMA recursive_triggers = ON;",
            ];
            device.exec(&format!(
                "PRAGMA foreign_keys = ON; {}",
                settings[random.roll(3)]
            ));
            device
        })
        .collect();
    let context = format!("seed {seed}, {action}, {on_clash}");
    let sync = |device: &Device, entities: &[&str]| {
        let answer = device.sync_only(entities);
        assert_eq!(answer["state"], "synced", "{context}: {answer}");
    };
    for step in 0..40 {
        let device = &devices[random.roll(2)];
        match random.roll(4) {
            0 if random.chance(20) => sync(device, &tables[..1]),
            0 => sync(device, &tables),
            _ => edit(&mut random, device, step),
        }
    }
    // Rows that were refused get another chance now and then, as a person would give them one.
    for round in 0..12 {
        for device in &devices {
            if round < 6 {
                device.ask(
                    "SELECT count(sync_retry(id)) FROM (SELECT id FROM _syncRejected LIMIT 100)",
                );
            }
            sync(device, &tables);
        }
    }
    for device in &devices {
        let pending = "SELECT count(*) FROM sync_pending WHERE rejected IS NULL";
        assert_eq!(device.ask(pending), "0", "{context}");
        let check: Value =
            serde_json::from_str(&device.ask("SELECT sync_check('api')")).expect("JSON");
        assert_eq!(
            check["state"],
            "equal",
            "{context}: {check:#}\nheld {}\nrejected {}",
            device.ask("SELECT entity, key, op, reason, \"constraint\", payload FROM sync_held"),
            device.ask("SELECT \"table\", key, op, rejected FROM sync_pending")
        );
        let broken = device.ask("SELECT * FROM pragma_foreign_key_check");
        assert_eq!(broken, "", "{context}");
    }
}

#[test]
fn random_constraints_on_all_sides_never_stop_a_sync() {
    let seeds = std::env::var("SYNCSCOPE_SEED").map_or(0..24, |seed| {
        let seed: u64 = seed.parse().expect("a number");
        seed..seed + 1
    });
    seeds.for_each(run);
}
