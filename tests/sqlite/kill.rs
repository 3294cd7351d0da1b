//! F4: a process that syncs two files is killed, in each commit of either, at each step, and at random moments. Nothing is
//! lost, nothing comes twice, and the next syncs bring both together.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use support::fault::{At, Victim, Word, be_a_victim};
use support::random::Random;
use support::{PATIENCE, again, ask, load, sync_on};

use super::{ALL, Folder, NOTES};

#[test]
fn the_process_that_is_killed() {
    be_a_victim();
}

const ENTITIES: &[&str] = &["notes"];

/// The hub is attached: so the victim's hooks see what is written there, too.
fn attach(folder: &Folder) -> String {
    format!("ATTACH '{}' AS hub", folder.path("hub.db").display())
}

fn opened(folder: &Folder) -> Connection {
    let db = folder.plain("a.db");
    load(&db);
    db.execute_batch(&attach(folder)).expect("attached");
    db
}

/// A device with edits of every kind pending, and a hub with news for it.
fn prepared(journal: &str) -> Folder {
    let folder = Folder::new();
    let mode = format!("PRAGMA journal_mode = {journal};");
    let hub = folder.made("hub.db", &(mode.clone() + NOTES));
    hub.execute_batch(
        "INSERT INTO notes (id, title) VALUES ('edited', 'first'), ('doomed', 'first'), ('theirs', 'first')",
    )
    .expect("rows");
    folder.made("a.db", &(mode + NOTES));
    let db = opened(&folder);
    let config = json!({"kind": "sqlite", "file": "hub", "attached": true});
    ask(
        &db,
        &format!("SELECT sync_track('notes'), sync_provider('api', '{config}')"),
    );
    assert_eq!(sync_on(&db, "all", ENTITIES)["state"], "synced");
    db.execute_batch(
        "INSERT INTO notes (id, title) VALUES ('new', 'mine');
         UPDATE notes SET title = 'mine' WHERE id = 'edited';
         DELETE FROM notes WHERE id = 'doomed'",
    )
    .expect("edits");
    // More than the victim's cache holds, so that the apply reaches the file before its commit.
    hub.execute_batch(
        "WITH n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300)
         INSERT INTO notes (id, title) SELECT 'remote' || x, hex(randomblob(100)) FROM n;
         UPDATE notes SET body = 'theirs' WHERE id = 'edited'; DELETE FROM notes WHERE id = 'theirs'",
    )
    .expect("news");
    folder
}

/// Kills a process at a step of its sync, and has the next ones bring both files together; false: it got through before.
fn is_killed_at(at: &At, journal: &str) -> bool {
    let name = format!("{journal}, {at:?}");
    let folder = prepared(journal);
    let (words, heard) = channel();
    let mut victim = Victim::with_settings(
        &attach(&folder),
        module_path!(),
        &folder.path("a.db"),
        ENTITIES,
        at,
        words,
    );
    let arrived = match heard.recv_timeout(Duration::from_secs(60)).expect("a word") {
        Word::Here => true,
        Word::Done(answer) => {
            assert_eq!(answer["state"], "synced", "{name}: {answer}");
            false
        }
        Word::Gone | Word::Moment(_) => panic!("{name}: it ended by itself"),
    };
    victim.kill();
    // Somebody else writes before the device is back, and deletes what may have come from it.
    let hub = folder.plain("hub.db");
    assert_eq!(ask(&hub, "PRAGMA integrity_check"), "ok", "{name}");
    let came = ask(&hub, "SELECT count(*) FROM notes WHERE id = 'new'") == "1";
    hub.execute_batch(
        "UPDATE notes SET n = 5 WHERE id = 'edited'; DELETE FROM notes WHERE id = 'new'",
    )
    .expect("edits");
    let db = opened(&folder);
    assert_eq!(ask(&db, "PRAGMA integrity_check"), "ok", "{name}");
    for _ in 0..2 {
        let answer = sync_on(&db, "all", ENTITIES);
        assert_eq!(answer["state"], "synced", "{name}: {answer}");
    }
    assert_eq!(ask(&db, ALL), ask(&hub, ALL), "{name}");
    let edits = ask(
        &db,
        "SELECT * FROM notes WHERE id NOT LIKE 'remote%' ORDER BY id",
    );
    // A row that was deleted there after it had come stays deleted: to make it anew would be to make it twice.
    let new = if came { "" } else { "\nnew|mine|NULL|NULL" };
    assert_eq!(edits, format!("edited|mine|theirs|5{new}"), "{name}");
    assert_eq!(
        ask(&db, "SELECT count(*) FROM notes WHERE id LIKE 'remote%'"),
        "300"
    );
    for empty in [
        "SELECT count(*) FROM sync_pending",
        "SELECT count(*) FROM _syncLease",
        "SELECT count(*) FROM _syncPush WHERE state IN ('open', 'unknown')",
        "SELECT count(*) FROM _syncRun WHERE state = 'running'",
        "SELECT count(*) FROM _syncStatus WHERE state <> 'synced'",
    ] {
        assert_eq!(ask(&db, empty), "0", "{name}: {empty}");
    }
    arrived
}

const JOURNALS: [&str; 2] = ["wal", "delete"];

#[test]
fn f4_killed_in_each_commit_of_either_file() {
    for journal in JOURNALS {
        let commits = (1..).take_while(|nth| is_killed_at(&At::Commit(*nth), journal));
        // Begun; frozen, asked, too late; read; frozen, asked, written there, settled; over.
        assert!(commits.count() >= 9, "{journal}");
    }
}

#[test]
fn f4_killed_at_each_step_of_a_sync() {
    for journal in JOURNALS {
        for (table, nth) in [
            ("_syncRun", 1),
            // Frozen, and frozen once more behind the pull.
            ("_syncOutbox", 2),
            ("_syncOutbox", 8),
            // The apply here: its first row, half of it, its cursor.
            ("notes", 1),
            ("notes", 150),
            ("_syncCursor", 1),
            // The hub's transaction.
            ("_syncFeedDevice", 1),
            ("_syncFeed", 1),
            ("_syncFeed", 3),
            ("_syncFeedMark", 1),
            // Settling.
            ("_syncPush", 4),
        ] {
            let at = At::Write(table, nth);
            assert!(
                is_killed_at(&at, journal),
                "{journal}: {at:?} is not reached"
            );
        }
    }
}

#[test]
fn f4_killed_after_any_number_of_operations() {
    let mut random = Random(7);
    let mut killed = 0;
    for turn in 0..20 {
        let at = At::Operations(1 + random.below(60_000));
        killed += usize::from(is_killed_at(&at, JOURNALS[turn % 2]));
    }
    assert!(killed >= 10, "{killed}");
}

/// The process that is killed at random moments: edits and syncs, for ever. Tells each edit once it is committed.
#[test]
fn child_that_syncs_until_it_is_killed() {
    let Ok(path) = std::env::var("SYNC_TEST_FILE") else {
        return;
    };
    let seed: u64 = std::env::var("SYNC_TEST_SEED")
        .expect("a seed")
        .parse()
        .expect("a number");
    let db = Connection::open(path).expect("open");
    db.busy_timeout(PATIENCE).expect("timeout");
    load(&db);
    db.execute_batch("PRAGMA synchronous = OFF")
        .expect("a setting");
    let mut random = Random(seed);
    let mut value = seed * 1_000_000;
    let mut out = std::io::stdout().lock();
    loop {
        for _ in 0..1 + random.below(5) {
            value += 1;
            let id = match random.chance(50) {
                true => format!("r{}", random.below(20)),
                false => format!("k{value}"),
            };
            let sql =
                "INSERT INTO notes (id, n) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET n = ?2";
            db.execute(sql, rusqlite::params![id, value as i64])
                .expect("an edit");
            // One write, so that a line is there or not.
            out.write_all(format!("\nU {id} {value}\n").as_bytes())
                .expect("told");
            out.flush().expect("told");
        }
        let answer = sync_on(&db, "all", ENTITIES);
        assert_eq!(answer["state"], "synced", "{answer}");
    }
}

/// The last value of a column by key.
fn values(db: &Connection, column: &str) -> BTreeMap<String, u64> {
    let all = ask(
        db,
        &format!("SELECT id, {column} FROM notes WHERE {column} IS NOT NULL"),
    );
    let pairs = all.lines().filter_map(|line| line.split_once('|'));
    pairs
        .map(|(id, value)| (id.to_owned(), value.parse().expect("a number")))
        .collect()
}

fn survive(journal: &str, seed: u64) {
    let folder = Folder::new();
    let schema = format!("PRAGMA journal_mode = {journal};{NOTES}");
    let hub = folder.made("hub.db", &schema);
    hub.execute_batch(
        "WITH n (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < 19)
         INSERT INTO notes (id) SELECT 'r' || x FROM n",
    )
    .expect("rows");
    let db = folder.made("a.db", &schema);
    load(&db);
    let config = json!({"kind": "sqlite", "file": "hub.db"});
    ask(
        &db,
        &format!("SELECT sync_track('notes'), sync_provider('api', '{config}')"),
    );
    assert_eq!(sync_on(&db, "all", ENTITIES)["state"], "synced");
    drop(db);
    let mut random = Random(seed);
    let (mut here, mut there) = (
        BTreeMap::<String, u64>::new(),
        BTreeMap::<String, u64>::new(),
    );
    let mut deleted = BTreeSet::<String>::new();
    let mut value = 0;
    for kill in 0..20 {
        let mut child = again(module_path!(), "child_that_syncs_until_it_is_killed")
            .env("SYNC_TEST_FILE", folder.path("a.db"))
            .env("SYNC_TEST_SEED", (kill + 1).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(10 + random.below(60)));
            value += 1;
            let id = format!("r{}", random.below(20));
            hub.execute(
                "UPDATE notes SET body = ?2 WHERE id = ?1",
                rusqlite::params![id, value.to_string()],
            )
            .expect("an edit there");
            there.insert(id, value);
            // What has come from the device goes, and must not come again.
            let doomed = ask(
                &hub,
                "SELECT id FROM notes WHERE id LIKE 'k%' ORDER BY random() LIMIT 1",
            );
            hub.execute("DELETE FROM notes WHERE id = ?1", [&doomed])
                .expect("a delete");
            deleted.extend((!doomed.is_empty()).then_some(doomed));
        }
        child.kill().expect("killed");
        let output = child.wait_with_output().expect("its output");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let ["U", id, value] = line.split(' ').collect::<Vec<_>>()[..] {
                here.insert(id.to_owned(), value.parse().expect("a number"));
            }
        }
        let context = format!("{journal}, kill {kill}");
        assert_eq!(ask(&hub, "PRAGMA integrity_check"), "ok", "{context}");
        let db = folder.plain("a.db");
        load(&db);
        assert_eq!(ask(&db, "PRAGMA integrity_check"), "ok", "{context}");
        for _ in 0..2 {
            let answer = sync_on(&db, "all", ENTITIES);
            assert_eq!(answer["state"], "synced", "{context}: {answer}");
        }
        assert_eq!(ask(&db, ALL), ask(&hub, ALL), "{context}");
        assert_eq!(
            ask(&db, "SELECT count(*) FROM sync_pending"),
            "0",
            "{context}"
        );
        let (own, other) = (values(&hub, "n"), values(&hub, "body"));
        for (id, told) in &here {
            let is_gone = deleted.contains(id);
            assert_eq!(own.contains_key(id), !is_gone, "{context}: {id}");
            // An edit that was committed and not told may have followed.
            assert!(is_gone || own[id] >= *told, "{context}: {id}");
        }
        for (id, told) in &there {
            assert_eq!(other.get(id), Some(told), "{context}: {id}");
        }
    }
    assert!(here.len() > 20 && !deleted.is_empty());
}

#[test]
fn f4_killed_at_random_moments_with_a_write_ahead_log() {
    survive("wal", 1);
}

#[test]
fn f4_killed_at_random_moments_with_a_rollback_journal() {
    survive("delete", 2);
}
