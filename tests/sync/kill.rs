//! Killed at random moments: nothing lost, nothing half applied, nothing left in `syncing`.

use std::collections::HashMap;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use support::{
    Backend, Device, PATIENCE, Random, SCHEMA, again, ask, backend_rows, load, rows_of, sync_on,
};

const KILLS: u64 = 22;
const ENTITIES: &[&str] = &["list", "task"];

/// The process that is killed: edits and syncs, for ever. Tells each edit once it is committed.
#[test]
fn child_that_syncs_until_it_is_killed() {
    let Ok(path) = std::env::var("SYNC_TEST_FILE") else {
        return;
    };
    let seed: u64 = std::env::var("SYNC_TEST_SEED").unwrap().parse().unwrap();
    let db = Connection::open(path).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    load(&db);
    ask(&db, "PRAGMA synchronous = OFF"); // the process dies, not the machine
    let mut random = Random(seed);
    let mut value = seed * 1_000_000;
    let mut out = std::io::stdout().lock();
    loop {
        ask(
            &db,
            "SELECT sync_start_scope('startup', '[\"all\",\"later\"]')",
        );
        for _ in 0..random.below(5) {
            value += 1;
            let line = if random.chance(15) {
                let id: String = ask(&db, "SELECT min(id) FROM list WHERE id LIKE 'seeded%'");
                db.execute("DELETE FROM list WHERE id = ?1", [&id]).unwrap();
                format!("D {id}")
            } else {
                let id = if random.chance(60) {
                    format!("r{}", random.below(20))
                } else {
                    format!("k{value}")
                };
                let sql = "INSERT INTO task (id, title, n) VALUES (?1, 'own', ?2) ON CONFLICT (id) DO UPDATE SET n = ?2";
                db.execute(sql, rusqlite::params![id, value as i64])
                    .unwrap();
                format!("U {id} {value}")
            };
            // One write, so that a line is there or not.
            out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
            out.flush().unwrap();
        }
        sync_on(&db, "all", ENTITIES);
    }
}

fn survive(journal: &str, seed: u64) {
    let backend = Backend::start(SCHEMA);
    backend.sql(|db| {
        db.execute_batch(
            "WITH n (x) AS (SELECT 100 UNION ALL SELECT x + 1 FROM n WHERE x < 700)
             INSERT INTO list SELECT 'seeded' || x, 'x' FROM n;
             WITH n (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < 9)
             INSERT INTO task (id, title) SELECT 'r' || x, 'x' FROM n;",
        )
    });
    let device = Device::new(&backend.sync_url());
    device.ask(&format!("PRAGMA journal_mode = {journal}"));
    device.synced();
    let world = device.world;
    drop(device.db);
    let mut random = Random(seed);
    let mut written: HashMap<String, u64> = HashMap::new();
    let mut deleted: Vec<String> = Vec::new();
    let mut runs = 0;
    for kill in 0..KILLS {
        // Slow now and then, so that the kill meets a request under way.
        backend.faults().clear();
        backend.faults().add(json!({"delayMs": random.below(8)}));
        if random.chance(30) {
            backend
                .faults()
                .add(json!({"on": "push", "times": 1, "drop": true, "afterCommit": true}));
        }
        let mut child = again(module_path!(), "child_that_syncs_until_it_is_killed")
            .env("SYNC_TEST_FILE", world.path())
            .env("SYNC_TEST_SEED", (kill + 1).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        for n in 0..3 {
            std::thread::sleep(Duration::from_millis(20 + random.below(80)));
            let sql = format!(
                "INSERT INTO task (id, note) VALUES ('z{kill}-{n}', 'theirs');
                UPDATE task SET note = 'z{kill}-{n}' WHERE id = 'r{}'",
                random.below(10)
            );
            backend.sql(|db| db.execute_batch(&sql));
        }
        child.kill().expect("killed");
        let output = child.wait_with_output().expect("its output");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["U", id, value] => {
                    written.insert(id.to_owned(), value.parse().unwrap());
                }
                ["D", id] => deleted.push(id.to_owned()),
                _ => {}
            }
        }
        backend.faults().clear();
        let context = format!("{journal}, kill {kill}");

        let db = world.plain();
        assert_eq!(ask(&db, "PRAGMA integrity_check"), "ok", "{context}");
        // What the dead process committed is there, acknowledged or pending.
        check(&rows_of(&db, "task"), &written, &context);
        load(&db);
        ask(&db, "SELECT sync_recover()");
        assert_eq!(
            ask(
                &db,
                "SELECT count(*) FROM _syncStatus WHERE state = 'syncing'"
            ),
            "0",
            "{context}"
        );
        assert_eq!(
            ask(
                &db,
                "SELECT count(*) FROM _syncScope WHERE state = 'syncing'"
            ),
            "0",
            "{context}"
        );
        assert_eq!(
            ask(&db, "SELECT count(*) FROM _syncRun WHERE state = 'running'"),
            "0",
            "{context}"
        );
        let left = "SELECT count(*) FROM _syncStatus WHERE state = 'failed' AND error NOT LIKE 'interrupted: crashed%' AND error NOT LIKE '{%'";
        assert_eq!(ask(&db, left), "0", "{context}");
        runs = ask(&db, "SELECT count(*) FROM _syncRun").parse().unwrap();
        for _ in 0..3 {
            let answer = sync_on(&db, "all", ENTITIES);
            assert_eq!(answer["state"], "synced", "{context}: {answer}");
        }
        assert_eq!(
            ask(&db, "SELECT count(*) FROM sync_pending"),
            "0",
            "{context}"
        );
        for table in ENTITIES {
            assert_eq!(
                rows_of(&db, table),
                backend_rows(&backend, table),
                "{context}: {table}"
            );
        }
        check(&backend_rows(&backend, "task"), &written, &context);
        let lists = backend_rows(&backend, "list");
        for id in &deleted {
            assert!(
                lists.iter().all(|row| row["id"] != *id),
                "{context}: {id} came back"
            );
        }
        let open = "SELECT count(*) FROM _syncPush WHERE state = 'open'";
        assert_eq!(ask(&db, open), "0", "{context}");
    }
    assert!(
        runs > KILLS && !written.is_empty() && !deleted.is_empty(),
        "{runs} {}",
        written.len()
    );
}

/// Each row holds at least the last value that was told.
fn check(rows: &[serde_json::Value], written: &HashMap<String, u64>, context: &str) {
    let held: HashMap<&str, i64> = rows
        .iter()
        .map(|row| (row["id"].as_str().unwrap(), row["n"].as_i64().unwrap_or(-1)))
        .collect();
    for (id, value) in written {
        let got = held.get(id.as_str());
        assert!(
            got >= Some(&(*value as i64)),
            "{context}: {id} holds {got:?}, not {value}"
        );
    }
}

#[test]
fn killed_at_random_moments_with_a_write_ahead_log() {
    survive("wal", 1);
}

#[test]
fn killed_at_random_moments_with_a_rollback_journal() {
    survive("delete", 2);
}
