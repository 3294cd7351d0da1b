//! The five presets against the reference backend: two devices each, until all tables are equal.

use serde_json::{Value, json};
use support::backend::Preset;
use support::{Backend, Device, Random, SCHEMA, assert_equal, backend_rows};

const TABLES: &[&str] = &["list", "task"];

/// The address that a provider with this preset is given.
fn base(backend: &Backend, preset: Preset) -> String {
    let folder = match preset {
        Preset::CamelQuery => "/camel",
        Preset::Seconds => "/seconds",
        Preset::Docs | Preset::Seed | Preset::Rpc => "",
    };
    backend.url() + folder
}

fn with_preset(backend: &Backend, preset: Preset) -> Device {
    let keys = json!({"preset": preset.name()});
    Device::configured(SCHEMA, TABLES, &base(backend, preset), keys)
}

fn filled() -> Backend {
    let backend = Backend::start(SCHEMA);
    backend.sql(|db| {
        db.execute_batch(
            "INSERT INTO list VALUES ('l1', 'garden'), ('l2', 'house');
             INSERT INTO task VALUES ('t1', 'dig', 1, 5, 'x'), ('t2', 'rest', 0, 1.5, NULL), ('t3', 'sow', 0, 0, '')",
        )
    });
    backend
}

/// Syncs both until neither has anything to say, and compares everything.
fn settle(backend: &Backend, devices: &[&Device], preset: Preset) {
    for _ in 0..2 {
        for device in devices {
            device.synced();
        }
    }
    for device in devices {
        assert_equal(device, backend, TABLES);
        assert_eq!(device.pending(), "", "{preset:?}");
        assert_eq!(device.log(), "0", "{preset:?}");
    }
}

/// Requests of one pull that is not the first.
fn pulls(preset: Preset) -> usize {
    match preset {
        Preset::Seconds => 2,
        _ => 1,
    }
}

#[test]
fn the_requests_are_those_of_the_preset() {
    for preset in Preset::ALL {
        let backend = filled();
        let device = with_preset(&backend, preset);
        device.synced();
        device.exec("UPDATE task SET done = 1 WHERE id = 't2'");
        backend.clear_requests();
        device.synced();
        let seen = backend.requests();
        let paths: Vec<&str> = seen
            .iter()
            .map(|request| request.path.split('?').next().unwrap_or_default())
            .collect();
        let mut expected = vec![preset.pull_path(); pulls(preset)];
        expected.push(preset.push_path());
        assert_eq!(paths, expected);
        let push = seen.last().expect("a push");
        let body: Value = serde_json::from_str(&push.body).expect("JSON");
        let changes = body.get("changes").unwrap_or(&body);
        let expected = match preset {
            Preset::Seconds => json!(1),
            _ => json!(true),
        };
        assert_eq!(
            changes["task"]["updated"][0]["done"], expected,
            "{preset:?}"
        );
    }
}

/// A backend that stores rows as they were sent.
#[test]
fn only_docs_refuses_rows_with_what_clients_note() {
    for preset in Preset::ALL {
        let backend = filled();
        backend.faults().add(json!({"meta": true}));
        let state = with_preset(&backend, preset).sync()["state"].clone();
        let expected = match preset {
            Preset::Docs => "failed",
            _ => "synced",
        };
        assert_eq!(state, expected, "{preset:?}");
    }
}

#[test]
fn two_devices_come_to_the_same_rows() {
    for preset in Preset::ALL {
        let backend = filled();
        let (one, two) = (with_preset(&backend, preset), with_preset(&backend, preset));
        assert_eq!(one.synced()["warnings"], json!([]), "{preset:?}");
        two.synced();
        assert_equal(&one, &backend, TABLES);
        one.exec(
            "INSERT INTO task VALUES ('a', 'new', 1, 2.5, 'one'); DELETE FROM task WHERE id = 't3';
             UPDATE task SET title = 'by one', done = 0 WHERE id = 't1'",
        );
        two.exec(
            "INSERT INTO task VALUES ('b', 'new', 0, -7, 'two'); UPDATE list SET name = 'two' WHERE id = 'l1';
             UPDATE task SET note = 'by two' WHERE id = 't1'; DELETE FROM list WHERE id = 'l2'",
        );
        let answer = one.synced();
        assert_eq!(answer["pushed"], 3, "{preset:?}: {answer}");
        settle(&backend, &[&two, &one], preset);
        let merged = one.ask("SELECT title, done, note FROM task WHERE id = 't1'");
        assert_eq!(merged, "by one|0|by two", "{preset:?}");
    }
}

#[test]
fn many_edits_on_both_sides_come_to_the_same_rows() {
    for (number, preset) in Preset::ALL.into_iter().enumerate() {
        let backend = filled();
        let (one, two) = (with_preset(&backend, preset), with_preset(&backend, preset));
        let mut random = Random(number as u64);
        for round in 0..12 {
            for device in [&one, &two] {
                for _ in 0..random.below(6) {
                    device.exec(&edit(&mut random, round));
                }
                if random.chance(70) {
                    device.synced();
                }
            }
            if random.chance(40) {
                let sql = edit(&mut random, round);
                backend.sql(|db| db.execute_batch(&sql));
            }
        }
        settle(&backend, &[&one, &two], preset);
        assert!(!backend_rows(&backend, "task").is_empty(), "{preset:?}");
    }
}

/// One small change of a row that may or may not be there.
fn edit(random: &mut Random, round: u64) -> String {
    let id = random.below(12);
    match random.below(5) {
        0 => format!("DELETE FROM task WHERE id = 'r{id}'"),
        1 => format!("UPDATE task SET title = 'v{round}-{id}' WHERE id = 'r{id}'"),
        2 => format!("UPDATE task SET done = NOT done, n = {round} WHERE id = 'r{id}'"),
        3 => format!("INSERT OR IGNORE INTO list VALUES ('r{id}', 'n{round}')"),
        _ => format!("INSERT OR IGNORE INTO task (id, title) VALUES ('r{id}', 'c{round}')"),
    }
}

#[test]
fn rejected_rows_stay_pending_and_reasons_are_kept_where_there_are_any() {
    for preset in Preset::ALL {
        let backend = filled();
        let device = with_preset(&backend, preset);
        device.synced();
        device.exec(
            "INSERT INTO task (id) VALUES ('tmp-1'), ('fine'); DELETE FROM task WHERE id = 't1'",
        );
        backend.faults().add(
            json!({"on": "push", "rejectIds": {"task": [{"id": "tmp-*", "reason": "quota"}, "t1"]}}),
        );
        let answer = device.synced();
        assert_eq!(
            (&answer["pushed"], &answer["rejected"]),
            (&json!(1), &json!(2)),
            "{preset:?}"
        );
        let reason = match preset {
            Preset::CamelQuery => "quota",
            _ => "rejected by the backend",
        };
        let kept = device.ask("SELECT reason FROM _syncRejected WHERE pk = 'tmp-1'");
        assert_eq!(kept, reason, "{preset:?}");
        assert_eq!(
            device.ask("SELECT group_concat(key) FROM (SELECT key FROM sync_pending ORDER BY key)"),
            "t1,tmp-1"
        );
        backend.faults().clear();
        settle(&backend, &[&device], preset);
    }
}

#[test]
fn a_conflict_is_answered_by_one_more_pull_and_push() {
    for preset in Preset::ALL {
        let backend = filled();
        let device = with_preset(&backend, preset);
        device.synced();
        device.exec("UPDATE task SET title = 'mine' WHERE id = 't1'");
        backend
            .faults()
            .add(json!({"on": "push", "times": 1, "status": 409}));
        backend.clear_requests();
        device.synced();
        assert_eq!(
            backend.requests().len(),
            2 * pulls(preset) + 2,
            "{preset:?}"
        );
        settle(&backend, &[&device], preset);
    }
}

/// Defect "second-resolution servers lose rows written in the second of the pull".
#[test]
fn by_a_clock_of_seconds_nothing_of_the_same_second_is_lost() {
    let preset = Preset::Seconds;
    let backend = filled();
    // Later than every stamp so far, in the middle of a second.
    const LATER: i64 = 4_000_000_000_500;
    backend.freeze_clock(Some(LATER));
    let (one, two) = (with_preset(&backend, preset), with_preset(&backend, preset));
    backend.sql(|db| db.execute_batch("UPDATE task SET n = 9 WHERE id = 't1'"));
    one.synced();
    two.exec("INSERT INTO task (id, title) VALUES ('same', 'second')");
    two.synced();
    one.exec("DELETE FROM task WHERE id = 't2'");
    one.synced();
    assert_eq!(
        one.ask("SELECT title FROM task WHERE id = 'same'"),
        "second"
    );
    one.exec("DELETE FROM task WHERE id = 'same'");
    two.exec("UPDATE task SET title = 'again' WHERE id = 't3'");
    settle(&backend, &[&one, &two], preset);
    assert_eq!(one.ask("SELECT group_concat(id) FROM task"), "t1,t3");
}

/// Rule P6, by the presets whose pull has a place for it.
#[test]
fn migrations_are_told_by_the_presets_that_can() {
    for preset in [Preset::Docs, Preset::Seconds] {
        let backend = filled();
        let old = "CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT, done BOOLEAN NOT NULL DEFAULT 0, n INTEGER)";
        let keys = json!({"preset": preset.name(), "migrations": "auto"});
        let device = Device::configured(old, &["task"], &base(&backend, preset), keys);
        // Rows of a second ago come again anyhow.
        backend.freeze_clock(Some(4_000_000_000_000));
        backend.sql(|db| db.execute_batch("INSERT INTO list VALUES ('l3', 'x')"));
        device.synced();
        device.exec("ALTER TABLE task ADD COLUMN note TEXT");
        let answer = device.synced();
        assert_eq!(
            answer["migration"]["columns"][0]["columns"],
            json!(["note"]),
            "{preset:?}"
        );
        assert_equal(&device, &backend, &["task"]);
    }
}

#[test]
fn pushes_in_parts_and_other_options_go_with_every_preset() {
    for preset in Preset::ALL {
        let backend = filled();
        let keys = json!({"preset": preset.name(), "pushBatch": 3, "sendMeta": false, "sendEmptyTables": false});
        let device = Device::configured(SCHEMA, TABLES, &base(&backend, preset), keys);
        device.exec(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
             INSERT INTO task (id, n) SELECT 'n' || i, i FROM n; INSERT INTO list VALUES ('n', 'x')",
        );
        let answer = device.synced();
        assert_eq!(
            (&answer["pushed"], &answer["requests"]),
            (&json!(11), &json!(5)),
            "{preset:?}"
        );
        settle(&backend, &[&device], preset);
    }
}
