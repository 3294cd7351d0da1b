//! F4: an end between the two commits loses nothing and doubles nothing.

use rusqlite::functions::FunctionFlags;
use serde_json::json;
use support::ask;
use support::work::work_of;

use super::{ALL, Device, Folder, NOTES};

/// A device whose file is copied to `crashed.db` while the hub takes what it sends: as if it had been killed after the hub's
/// commit, and before its own.
fn crashing(folder: &Folder) -> Device {
    let device = folder.device(
        "a.db",
        NOTES,
        "hub.db",
        json!({"file": "hub", "attached": true}),
    );
    device
        .db
        .execute(
            "ATTACH ?1 AS hub",
            [folder.path("hub.db").to_str().expect("a path")],
        )
        .expect("attached");
    let (from, to) = (folder.path("a.db"), folder.path("crashed.db"));
    device
        .db
        .create_scalar_function("crash", 0, FunctionFlags::SQLITE_UTF8, move |_| {
            if !to.exists() {
                std::fs::copy(&from, &to).expect("a copy");
            }
            Ok(0)
        })
        .expect("a function");
    device
}

#[test]
fn f4_killed_between_the_two_commits_nothing_is_lost_or_doubled() {
    for taken in [true, false] {
        let folder = Folder::new();
        let hub = folder.made("hub.db", NOTES);
        hub.execute_batch("INSERT INTO notes VALUES ('h', 'x', NULL, 1), ('i', 'x', NULL, 1)")
            .expect("rows");
        let device = crashing(&folder);
        device.synced();
        device.exec("INSERT INTO notes VALUES ('a', 'x', NULL, 1); UPDATE notes SET n = 2 WHERE id = 'h'; DELETE FROM notes WHERE id = 'i'");
        folder.copy("hub.db", "before.db");
        hub.execute_batch("CREATE TRIGGER crash AFTER INSERT ON notes BEGIN SELECT crash(); END")
            .expect("a trigger");
        device.synced();
        drop(device);
        hub.execute_batch("DROP TRIGGER crash").expect("no trigger");
        drop(hub);
        if !taken {
            folder.copy("before.db", "hub.db");
        }
        // Somebody else writes before the device is back.
        let hub = folder.plain("hub.db");
        hub.execute_batch("UPDATE notes SET n = n + 10")
            .expect("an edit");
        let device = folder.reopened("crashed.db", NOTES);
        device
            .db
            .execute(
                "ATTACH ?1 AS hub",
                [folder.path("hub.db").to_str().expect("a path")],
            )
            .expect("attached");
        assert_eq!(device.ask("SELECT count(*) FROM sync_pending"), "3");
        device.exec("UPDATE notes SET title = 'edited since' WHERE id = 'a'");
        device.synced();
        device.synced();
        let expected = match taken {
            true => "a|edited since|NULL|11\nh|x|NULL|12",
            // What was changed here stays in a conflict.
            false => "a|edited since|NULL|1\nh|x|NULL|2",
        };
        assert_eq!(device.ask(ALL), expected, "{taken}");
        assert_eq!(ask(&hub, ALL), expected, "{taken}");
        assert_eq!(device.pending(), "");
    }
}

#[test]
fn f4_a_push_that_fails_in_the_middle_leaves_the_hub_as_it_was() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", NOTES);
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    device.synced();
    device.exec("INSERT INTO notes VALUES ('a', 'x', NULL, 1), ('b', 'x', NULL, 2)");
    hub.execute_batch("CREATE TRIGGER no BEFORE INSERT ON notes WHEN NEW.id = 'b' BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
        .expect("a trigger");
    let error = device.failed().to_string();
    assert!(error.contains("RAISE(ROLLBACK)"), "{error}");
    assert_eq!(ask(&hub, ALL), "");
    assert_eq!(device.ask("SELECT count(*) FROM sync_pending"), "2");
    // With ABORT only the one row is refused.
    hub.execute_batch("DROP TRIGGER no; CREATE TRIGGER no BEFORE INSERT ON notes WHEN NEW.id = 'b' BEGIN SELECT RAISE(ABORT, 'not b'); END")
        .expect("a trigger");
    let answer = device.synced();
    assert_eq!(answer["rejected"], 1, "{answer}");
    assert_eq!(ask(&hub, ALL), "a|x|NULL|1");
    assert_eq!(
        device.ask("SELECT pk, reason FROM _syncRejected"),
        "b|not b"
    );
}

#[test]
fn f4_a_reference_that_is_only_checked_at_the_end_refuses_its_row_alone() {
    let folder = Folder::new();
    let schema = "CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL);
        CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, list TEXT);";
    let there = "CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL);
        CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, list TEXT REFERENCES list (id) DEFERRABLE INITIALLY DEFERRED);";
    let hub = folder.made("hub.db", there);
    let device = folder.device("a.db", schema, "hub.db", json!({}));
    device.synced();
    device.exec(
        "INSERT INTO list VALUES ('l'); INSERT INTO task VALUES ('good', 'l'), ('bad', 'none')",
    );
    let answer = device.synced();
    assert_eq!(
        (&answer["pushed"], &answer["rejected"]),
        (&json!(2), &json!(1)),
        "{answer}"
    );
    assert_eq!(ask(&hub, "SELECT id FROM task"), "good");
}

/// Rows of which each takes the number of the next one: the steps that a sync takes which sends them.
fn moved_up(rows: u64) -> u64 {
    let folder = Folder::new();
    let schema = "CREATE TABLE notes (id TEXT PRIMARY KEY NOT NULL, n INTEGER UNIQUE);";
    let hub = folder.made("hub.db", schema);
    let more = json!({"file": "hub", "attached": true});
    let mut device = folder.device("a.db", schema, "hub.db", more);
    let path = folder.path("hub.db");
    device.exec(&format!("ATTACH '{}' AS hub", path.display()));
    device.exec(&format!(
        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO notes SELECT printf('%05d', i), i FROM n"
    ));
    device.synced();
    device.exec("UPDATE notes SET n = -n; UPDATE notes SET n = 1 - n");
    let call = r#"SELECT sync_entities('all', 'hub', '["notes"]')->>'rejected'"#;
    let work = work_of(&mut device.db, |db| assert_eq!(ask(db, call), "0"));
    assert_eq!(
        ask(&hub, "SELECT min(n) || ' ' || max(n) FROM notes"),
        format!("2 {}", rows + 1)
    );
    work
}

#[test]
fn f4_rows_that_wait_for_each_other_in_a_line_are_through_at_once() {
    let (few, many) = (moved_up(100), moved_up(400));
    assert!(many < few * 6, "{few} steps for 100, {many} for 400");
}
