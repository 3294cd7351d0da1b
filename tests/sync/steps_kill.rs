//! Killed at each step of a sync, one by one: what stands in the file then, what recovery makes of it,
//! and that the next sync brings both sides together with nothing lost.

use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::json;
use support::backend::{Kind, Moment};
use support::fault::{At, Proxy, Stop, Victim, Word, be_a_victim, tell_of};
use support::{Backend, Device, SCHEMA, World, ask, backend_rows, load, rows_of, sync_on};

const ENTITIES: &[&str] = &["list", "task"];

#[test]
fn the_process_that_is_killed() {
    be_a_victim();
}

/// What makes the victim stand still.
#[derive(Clone, Debug)]
enum How {
    Itself(At),
    Backend(Kind, Moment),
    /// The backend, when a second pull arrives.
    SecondPull,
    Relay(Stop),
}

/// What must be in the file of a process that was killed at a step.
struct Step {
    name: &'static str,
    how: How,
    /// The rows and the cursor of the pull.
    pulled: bool,
    /// State of the push, empty when there is none.
    push: &'static str,
    /// The backend has the local edits.
    sent: bool,
    /// The local edits are pending.
    pending: bool,
    /// The run is on record.
    begun: bool,
}

fn before_the_pull(name: &'static str, how: How) -> Step {
    Step {
        name,
        how,
        pulled: false,
        push: "",
        sent: false,
        pending: true,
        begun: true,
    }
}

fn pulled(step: Step) -> Step {
    Step {
        pulled: true,
        ..step
    }
}

fn frozen(step: Step) -> Step {
    Step {
        push: "open",
        ..pulled(step)
    }
}

fn sent(step: Step) -> Step {
    Step {
        sent: true,
        ..frozen(step)
    }
}

fn settled(step: Step) -> Step {
    Step {
        push: "acknowledged",
        pending: false,
        ..sent(step)
    }
}

fn steps() -> Vec<Step> {
    use before_the_pull as at;
    let write = |table, nth| How::Itself(At::Write(table, nth));
    let commit = |table, nth| How::Itself(At::CommitOf(table, nth));
    vec![
        Step {
            begun: false,
            ..at("in the commit that begins the run", commit("_syncRun", 1))
        },
        at(
            "while the pull is asked for",
            How::Backend(Kind::Pull, Moment::Arrived),
        ),
        at(
            "with half of the answer here",
            How::Relay(Stop::InPullAnswer(2000)),
        ),
        at("at the first row of the apply", write("task", 1)),
        at("in the middle of the apply", write("task", 400)),
        at("before the cursor is stored", write("_syncCursor", 1)),
        at("in the commit of the apply", commit("_syncCursor", 2)),
        pulled(at("in the middle of the freeze", write("_syncOutbox", 2))),
        pulled(at("in the commit of the freeze", commit("_syncOutbox", 3))),
        frozen(at("after the freeze", How::Relay(Stop::InPush(0)))),
        frozen(at("while the push is sent", How::Relay(Stop::InPush(300)))),
        sent(at(
            "after the server's commit",
            How::Backend(Kind::Push, Moment::Committed),
        )),
        sent(at("in the middle of settling", write("_syncPush", 3))),
        sent(at("in the commit of settling", commit("_syncPush", 3))),
        // Begun, started, and written to with each request and each transaction.
        settled(at("before the end of the run", write("_syncRun", 8))),
        settled(at("in the last commit", commit("_syncRun", 9))),
    ]
}

/// A device with edits of every kind pending, and a backend with news for it.
fn prepared(journal: &str) -> (Backend, Device) {
    let backend = Backend::start(SCHEMA);
    backend.sql(|db| {
        db.execute_batch(
            "INSERT INTO task (id, title) VALUES ('edited', 'first'), ('doomed', 'first'), ('theirs', 'first');
             INSERT INTO list VALUES ('l', 'first')",
        )
    });
    let device = Device::new(&backend.sync_url());
    device.ask(&format!("PRAGMA journal_mode = {journal}"));
    device.ask("PRAGMA synchronous = OFF");
    device.synced();
    device.exec(
        "INSERT INTO task (id, title) VALUES ('new', 'mine');
         UPDATE task SET title = 'mine' WHERE id = 'edited';
         DELETE FROM task WHERE id = 'doomed'",
    );
    // More than the victim's cache holds, so that the apply reaches the file before its commit.
    backend.sql(|db| {
        db.execute_batch(
            "WITH n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 500)
             INSERT INTO task (id, title) SELECT 'remote' || x, hex(randomblob(100)) FROM n;
             UPDATE task SET note = 'theirs' WHERE id = 'edited';
             DELETE FROM task WHERE id = 'theirs'; UPDATE list SET name = 'second'",
        )
    });
    (backend, device)
}

/// Starts a victim on a device's file, waits until it stands at its step, and kills it there. Nobody
/// else has the file open.
fn kill(backend: &Backend, device: Device, how: &How, name: &str) -> World {
    let (words, heard) = channel();
    let mut at = At::Nowhere;
    let mut relay = None;
    match how.clone() {
        How::Itself(step) => at = step,
        How::Backend(kind, moment) => tell_of(backend.moments(), (kind, moment), 0, &words),
        How::SecondPull => tell_of(backend.moments(), (Kind::Pull, Moment::Arrived), 1, &words),
        How::Relay(stop) => relay = Some(Proxy::start(backend.port(), stop, words.clone())),
    }
    if let Some(relay) = &relay {
        device.provider(&relay.url(), json!({}));
    }
    let Device { world, db, .. } = device;
    drop(db);
    let mut victim = Victim::start(module_path!(), &world.path(), ENTITIES, &at, words);
    match heard.recv_timeout(Duration::from_secs(60)).expect("a word") {
        Word::Here => assert!(victim.kill(), "{name}"),
        Word::Moment(go_on) => {
            assert!(victim.kill(), "{name}");
            drop(go_on);
        }
        Word::Done(answer) => panic!("{name}: it got through: {answer}"),
        Word::Gone => panic!("{name}: it ended by itself"),
    }
    world
}

fn killed_at(step: &Step, journal: &str) {
    let name = format!("{journal}, {}", step.name);
    let (backend, device) = prepared(journal);
    let cursor = device.cursor("task");
    let before = device.rows("task");
    let runs = device.ask("SELECT count(*) FROM _syncRun");
    let world = kill(&backend, device, &step.how, &name);

    // As a program without the extension sees it.
    let db = world.plain();
    assert_eq!(ask(&db, "PRAGMA integrity_check"), "ok", "{name}");
    let cursors = "SELECT DISTINCT cursor FROM _syncCursor";
    assert_eq!(ask(&db, cursors) != cursor, step.pulled, "{name}");
    if step.pulled {
        assert_eq!(ask(&db, "SELECT count(*) FROM task"), "502", "{name}");
        let edited = "SELECT title, note FROM task WHERE id = 'edited'";
        assert_eq!(ask(&db, edited), "mine|theirs", "{name}");
        assert_eq!(ask(&db, "SELECT name FROM list"), "second", "{name}");
    } else {
        assert_eq!(rows_of(&db, "task"), before, "{name}");
        assert_eq!(ask(&db, "SELECT name FROM list"), "first", "{name}");
    }
    assert_eq!(ask(&db, "SELECT state FROM _syncPush"), step.push, "{name}");
    let begun = ask(&db, "SELECT count(*) FROM _syncRun") != runs;
    assert_eq!(begun, step.begun, "{name}");
    let there = backend_rows(&backend, "task");
    let has = |id: &str| there.iter().any(|row| row["id"] == *id);
    assert_eq!(
        (has("new"), has("doomed")),
        (step.sent, !step.sent),
        "{name}"
    );

    load(&db);
    ask(&db, "SELECT sync_recover()");
    let states = "SELECT DISTINCT state, error FROM _syncStatus";
    let expected = if step.begun {
        "failed|interrupted: crashed"
    } else {
        "synced|NULL"
    };
    assert_eq!(ask(&db, states), expected, "{name}");
    let pending = ask(&db, "SELECT op, key FROM sync_pending ORDER BY key");
    let expected = if step.pending {
        "deleted|doomed\nupdated|edited\ncreated|new"
    } else {
        ""
    };
    assert_eq!(pending, expected, "{name}");

    converges(&backend, &db, &name);
}

/// The next two syncs bring both sides together, with all edits.
fn converges(backend: &Backend, db: &rusqlite::Connection, name: &str) {
    let url = json!({"kind": "watermelon", "url": backend.sync_url(), "attempts": 1}).to_string();
    let kept = r#"{"keepCursor":true}"#;
    ask(
        db,
        &format!("SELECT sync_provider('api', '{url}', '{kept}')"),
    );
    for _ in 0..2 {
        let answer = sync_on(db, "all", ENTITIES);
        assert_eq!(answer["state"], "synced", "{name}: {answer}");
    }
    for table in ENTITIES {
        assert_eq!(
            rows_of(db, table),
            backend_rows(backend, table),
            "{name}: {table}"
        );
    }
    let edits = "SELECT id, title, note FROM task WHERE id NOT LIKE 'remote%' ORDER BY id";
    assert_eq!(
        ask(db, edits),
        "edited|mine|theirs\nnew|mine|NULL",
        "{name}"
    );
    for empty in [
        "SELECT count(*) FROM sync_pending",
        "SELECT count(*) FROM _syncLease",
        "SELECT count(*) FROM _syncPush WHERE state IN ('open', 'unknown')",
        "SELECT count(*) FROM _syncRun WHERE state = 'running'",
        "SELECT count(*) FROM _syncStatus WHERE state <> 'synced'",
    ] {
        assert_eq!(ask(db, empty), "0", "{name}: {empty}");
    }
}

#[test]
fn killed_at_every_step_with_a_write_ahead_log() {
    for step in steps() {
        killed_at(&step, "wal");
    }
}

#[test]
fn killed_at_every_step_with_a_rollback_journal() {
    for step in steps() {
        killed_at(&step, "delete");
    }
}

/// The steps above are worth something only if half of the apply has reached the file by then.
#[test]
fn the_middle_of_the_apply_leaves_a_journal_behind() {
    for (journal, suffix) in [("wal", "-wal"), ("delete", "-journal")] {
        let (backend, device) = prepared(journal);
        let how = How::Itself(At::Write("task", 400));
        let world = kill(&backend, device, &how, journal);
        let mut file = world.path().into_os_string();
        file.push(suffix);
        let size = std::fs::metadata(&file).expect("a journal").len();
        assert!(size > 10_000, "{journal}: {size}");
    }
}

/// An entity that was never pulled is pulled first, on its own: each pull keeps its rows and its cursor.
#[test]
fn killed_between_the_pulls_of_two_groups() {
    for journal in ["wal", "delete"] {
        let (backend, device) = prepared(journal);
        device.exec("DELETE FROM _syncCursor WHERE entity = 'list'; DELETE FROM list");
        device.exec(
            "DELETE FROM _syncChange WHERE tbl = (SELECT id FROM _syncTable WHERE name = 'list')",
        );
        let cursor = device.cursor("task");
        let before = device.rows("task");
        let world = kill(&backend, device, &How::SecondPull, journal);
        let db = world.open();
        let cursors = "SELECT entity FROM _syncCursor ORDER BY entity";
        assert_eq!(
            ask(&db, cursors),
            "list\ntask",
            "the first pull was committed"
        );
        let cursors = "SELECT cursor FROM _syncCursor WHERE entity = 'task'";
        assert_eq!(ask(&db, cursors), cursor);
        assert_eq!(ask(&db, "SELECT name FROM list"), "second");
        assert_eq!(rows_of(&db, "task"), before);
        converges(&backend, &db, journal);
    }
}

/// A refused push is followed by another pull and push: killed between them, all is pending as before.
#[test]
fn killed_after_a_refused_push() {
    for journal in ["wal", "delete"] {
        let (backend, device) = prepared(journal);
        backend
            .faults()
            .add(json!({"on": "push", "status": 409, "times": 1}));
        let world = kill(&backend, device, &How::SecondPull, journal);
        let db = world.open();
        assert_eq!(ask(&db, "SELECT count(*) FROM _syncOutbox"), "0");
        assert_eq!(ask(&db, "SELECT count(*) FROM sync_pending"), "3");
        converges(&backend, &db, journal);
    }
}

/// The next sync will send that delete, so `sync_pending` shows it at once.
#[test]
fn a_row_of_a_push_under_way_that_is_deleted_after_the_kill_is_a_pending_delete() {
    let (backend, device) = prepared("wal");
    let how = How::Backend(Kind::Push, Moment::Committed);
    let world = kill(&backend, device, &how, "delete");
    let db = world.open();
    ask(&db, "DELETE FROM task WHERE id = 'new'");
    let pending = "SELECT op FROM sync_pending WHERE key = 'new'";
    assert_eq!(ask(&db, pending), "deleted");
    sync_on(&db, "all", ENTITIES);
    assert_eq!(rows_of(&db, "task"), backend_rows(&backend, "task"));
    assert_eq!(ask(&db, "SELECT count(*) FROM task WHERE id = 'new'"), "0");
}

/// The next connection may get the id that the dead process had in `_syncOwner`: the dead one's lease
/// must not seem to be its own.
#[test]
fn the_lease_of_a_killed_process_does_not_pass_to_a_living_one() {
    let (backend, device) = prepared("wal");
    let how = How::Backend(Kind::Pull, Moment::Arrived);
    let world = kill(&backend, device, &how, "lease");
    // Opening recovers, which forgets all dead owners.
    let others = [world.open(), world.open(), world.open()];
    for other in &others {
        ask(other, "SELECT sync_heartbeat()");
    }
    converges(&backend, &world.open(), "lease");
}
