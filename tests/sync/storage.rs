//! A disk that is full, broken or read-only in each of the transactions of a sync: the error says so,
//! nothing is lost or half done, and the next sync brings both sides together.

use rusqlite::hooks::Action;
use serde_json::{Value, json};
use support::backend::{Kind, Moment};
use support::disk::Disk;
use support::{Backend, Device, SCHEMA, World, ask, assert_equal, load, pushes, try_ask};

const FULL: i32 = 13;
const IOERR_WRITE: i32 = 778;
const CANTOPEN: i32 = 14;
const READONLY_DIRECTORY: i32 = 1544;

const ALWAYS: i64 = i64::MAX;

const SYNC: &str = "SELECT sync_entities('all', 'api', '[\"list\",\"task\"]')";

/// The transactions of a sync that carry rows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum During {
    Apply,
    Freeze,
    Settle,
}

/// A device on a disk that can fail, with edits of every kind pending, and news for it.
fn prepared(journal: &str) -> (Backend, Device, &'static Disk) {
    let backend = Backend::start(SCHEMA);
    backend.sql(|db| {
        db.execute_batch(
            "INSERT INTO task (id, title) VALUES ('edited', 'first'), ('doomed', 'first'), ('theirs', 'first')",
        )
    });
    let world = World::new(false);
    let path = world.path();
    let disk = Disk::of(path.parent().expect("a directory"));
    let db = Disk::open(&path);
    load(&db);
    db.execute_batch(&format!("PRAGMA journal_mode = {journal}; {SCHEMA}"))
        .expect("schema");
    let device = Device {
        world,
        db,
        entities: vec!["list".into(), "task".into()],
    };
    device.provider(&backend.sync_url(), json!({}));
    for table in ["list", "task"] {
        device.ask(&format!("SELECT sync_track('{table}')"));
    }
    device.synced();
    device.exec(
        "INSERT INTO task (id, title) VALUES ('new', 'mine');
         UPDATE task SET title = 'mine' WHERE id = 'edited';
         DELETE FROM task WHERE id = 'doomed'",
    );
    backend.sql(|db| {
        db.execute_batch(
            "INSERT INTO task (id, title) VALUES ('remote', 'theirs');
             UPDATE task SET note = 'theirs' WHERE id = 'edited';
             DELETE FROM task WHERE id = 'theirs'",
        )
    });
    (backend, device, disk)
}

/// Makes `trouble` begin in one of the transactions of the next sync.
fn begin_in(
    during: During,
    backend: &Backend,
    device: &mut Device,
    trouble: impl FnOnce() + Send + 'static,
) {
    match during {
        During::Apply => backend
            .moments()
            .plan(Kind::Pull, Moment::Arrived, 0, trouble),
        During::Settle => backend
            .moments()
            .plan(Kind::Push, Moment::Committed, 0, trouble),
        During::Freeze => {
            let mut trouble = Some(trouble);
            let hook = move |action, _: &str, table: &str, _| {
                if table == "_syncPush"
                    && action == Action::SQLITE_INSERT
                    && let Some(trouble) = trouble.take()
                {
                    trouble();
                }
            };
            device.db.update_hook(Some(hook)).expect("hook");
        }
    }
}

/// A sync in trouble: it says what is wrong, and what to do.
fn fails(device: &Device, said: &str, context: &str) {
    match try_ask(&device.db, SYNC) {
        Ok(text) => {
            let answer: Value = serde_json::from_str(&text).expect("JSON");
            let error = &answer["error"];
            assert_eq!(
                (&error["class"], &error["code"], &error["retryable"]),
                (&json!("data"), &json!("SYNC_ERROR_STORAGE"), &json!(true)),
                "{context}: {answer}"
            );
            let message = error["message"].as_str().expect("a message");
            assert!(message.contains(said), "{context}: {message}");
            assert!(message.contains("nothing was lost"), "{context}: {message}");
        }
        // Not even the end of the run could be written down.
        Err(error) => assert!(error.to_string().contains(said), "{context}: {error}"),
    }
    assert!(device.db.is_autocommit(), "{context}");
}

/// What stands in the file after the trouble, before any other call.
fn nothing_half_done(
    device: &Device,
    backend: &Backend,
    during: During,
    cursor: &str,
    context: &str,
) {
    assert_eq!(device.ask("PRAGMA integrity_check"), "ok", "{context}");
    let rows = "SELECT id, title, note FROM task ORDER BY id";
    let expected = match during {
        During::Apply => "edited|mine|NULL\nnew|mine|NULL\ntheirs|first|NULL",
        _ => "edited|mine|theirs\nnew|mine|NULL\nremote|theirs|NULL",
    };
    assert_eq!(device.ask(rows), expected, "{context}");
    let moved = device.cursor("task") != cursor;
    assert_eq!(moved, during != During::Apply, "{context}");
    assert_eq!(
        device.ask("SELECT count(*) FROM sync_pending"),
        "3",
        "{context}"
    );
    let sent = if during == During::Settle { 1 } else { 0 };
    assert_eq!(pushes(backend).len(), sent, "{context}");
}

fn converges(device: &Device, backend: &Backend, context: &str) {
    device.synced();
    device.synced();
    assert_equal(device, backend, &["list", "task"]);
    let rows = "SELECT id, title, note FROM task ORDER BY id";
    let expected = "edited|mine|theirs\nnew|mine|NULL\nremote|theirs|NULL";
    assert_eq!(device.ask(rows), expected, "{context}");
    for empty in [
        "SELECT count(*) FROM sync_pending",
        "SELECT count(*) FROM _syncLease",
        "SELECT count(*) FROM _syncRun WHERE state = 'running'",
        "SELECT count(*) FROM _syncPush WHERE state IN ('open', 'unknown')",
        "SELECT count(*) FROM _syncStatus WHERE state <> 'synced'",
    ] {
        assert_eq!(device.ask(empty), "0", "{context}: {empty}");
    }
    assert_eq!(device.ask("PRAGMA integrity_check"), "ok", "{context}");
}

fn writes_fail(journal: &str, code: i32, said: &str) {
    for during in [During::Apply, During::Freeze, During::Settle] {
        for number in [1, ALWAYS] {
            let (backend, mut device, disk) = prepared(journal);
            let context = format!("{journal} {during:?} {said} {number}");
            let cursor = device.cursor("task");
            begin_in(during, &backend, &mut device, move || {
                disk.fail(code, number)
            });
            fails(&device, said, &context);
            let left = disk.mend();
            assert!(left < number, "{context}: no write failed");
            nothing_half_done(&device, &backend, during, &cursor, &context);
            converges(&device, &backend, &context);
        }
    }
}

#[test]
fn a_full_disk_with_a_write_ahead_log() {
    writes_fail("wal", FULL, "full");
}

#[test]
fn a_full_disk_with_a_rollback_journal() {
    writes_fail("delete", FULL, "full");
}

#[test]
fn a_broken_disk_with_a_write_ahead_log() {
    writes_fail("wal", IOERR_WRITE, "disk I/O error");
}

#[test]
fn a_broken_disk_with_a_rollback_journal() {
    writes_fail("delete", IOERR_WRITE, "disk I/O error");
}

#[test]
fn a_directory_that_becomes_read_only() {
    for (code, said) in [
        (READONLY_DIRECTORY, "readonly"),
        (CANTOPEN, "unable to open"),
    ] {
        for during in [During::Apply, During::Settle] {
            for number in [1, ALWAYS] {
                let (backend, mut device, disk) = prepared("delete");
                let context = format!("{during:?} {said} {number}");
                let cursor = device.cursor("task");
                let trouble = move || disk.no_journal(code, number);
                begin_in(during, &backend, &mut device, trouble);
                fails(&device, said, &context);
                assert!(disk.mend() < number, "{context}: every journal was made");
                nothing_half_done(&device, &backend, during, &cursor, &context);
                converges(&device, &backend, &context);
            }
        }
    }
}

#[test]
fn a_directory_that_is_read_only_from_the_start() {
    let (backend, device, disk) = prepared("delete");
    backend.clear_requests();
    disk.no_journal(READONLY_DIRECTORY, ALWAYS);
    let error = try_ask(&device.db, SYNC).unwrap_err();
    let code = error.sqlite_error_code();
    assert_eq!(code, Some(rusqlite::ErrorCode::ReadOnly), "{error}");
    assert!(backend.requests().is_empty(), "refused without a request");
    disk.mend();
    converges(&device, &backend, "from the start");
}

/// What could not be written down is no obstacle for others.
#[test]
fn after_a_disk_that_stays_full_another_connection_may_sync() {
    for during in [During::Apply, During::Freeze, During::Settle] {
        let (backend, mut device, disk) = prepared("wal");
        begin_in(during, &backend, &mut device, move || {
            disk.fail(FULL, ALWAYS)
        });
        fails(&device, "full", "another");
        disk.mend();
        let db = Disk::open(&device.world.path());
        load(&db);
        let answer = ask(&db, SYNC);
        assert!(answer.contains("\"synced\""), "{during:?}: {answer}");
        converges(&device, &backend, "another");
    }
}

/// The limit that a program itself may set: the batch to send needs room of its own.
#[test]
fn a_file_that_may_not_grow_while_rows_are_frozen() {
    for journal in ["wal", "delete"] {
        let (backend, device, _) = prepared(journal);
        device.exec(
            "WITH n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000)
             INSERT INTO task (id, title) SELECT 'big' || x, hex(randomblob(200)) FROM n",
        );
        device.exec("VACUUM");
        let pages: i64 = device.ask("PRAGMA page_count").parse().expect("a number");
        device.ask(&format!("PRAGMA max_page_count = {}", pages + 30));
        fails(&device, "full", journal);
        assert_eq!(device.ask("SELECT count(*) FROM sync_pending"), "1003");
        assert_eq!(device.ask("SELECT count(*) FROM _syncPush"), "0");
        assert!(pushes(&backend).is_empty(), "nothing was sent");
        device.ask("PRAGMA max_page_count = 1000000");
        device.synced();
        device.synced();
        assert_equal(&device, &backend, &["list", "task"]);
        assert_eq!(device.pending(), "");
    }
}
