//! What waits to be sent: `sync_pending`, `sync_has_pending`, `sync_untrack` and the sync itself say the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{Canned, Device, Random, json_answer, status_answer};

const TABLES: &[&str] = &["list", "task", "tag"];

const SCHEMA: &str = "
    CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL, name TEXT);
    CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, title TEXT, secret TEXT);
    CREATE TABLE tag (id TEXT PRIMARY KEY NOT NULL);";

/// A device whose column `task.secret` is not synced, after a first sync.
fn device() -> (Canned, Device) {
    let server = Canned::start();
    let excluded = json!({"excludeColumns": {"TASK": ["Secret"]}});
    let device = Device::configured(SCHEMA, TABLES, &server.url(), excluded);
    device.synced();
    (server, device)
}

/// `table op key` of rows.
type Rows = BTreeSet<String>;

/// What `sync_pending` shows, after a look at whether the other two agree.
fn waiting(device: &Device) -> Rows {
    let lines = device.ask("SELECT \"table\" || ' ' || op || ' ' || key FROM sync_pending");
    let rows: Rows = lines.lines().map(str::to_owned).collect();
    let has = device.ask("SELECT sync_has_pending()");
    assert_eq!(has == "1", !rows.is_empty(), "sync_has_pending: {rows:?}");
    for table in TABLES {
        device.exec("SAVEPOINT look");
        let answer = support::try_ask(&device.db, &format!("SELECT sync_untrack('{table}')"));
        device.exec("ROLLBACK TO look; RELEASE look");
        let keeps = rows.iter().any(|row| row.starts_with(&format!("{table} ")));
        match answer {
            Ok(_) => assert!(!keeps, "sync_untrack gave up {rows:?}"),
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.contains("has changes that were not uploaded"),
                    "{text}"
                );
                assert!(keeps, "sync_untrack({table}) keeps what is not in {rows:?}");
            }
        }
    }
    rows
}

/// The rows of a push.
fn sent(push: &Value) -> Rows {
    let mut rows = Rows::new();
    for (table, changes) in push.as_object().expect("an object") {
        for (op, list) in changes.as_object().expect("an object") {
            for row in list.as_array().expect("a list") {
                let id = row.as_str().or(row["id"].as_str()).expect("an id");
                rows.insert(format!("{table} {op} {id}"));
            }
        }
    }
    rows
}

/// The push of a row got no answer, and the row was deleted since.
fn deleted_after_a_lost_push() -> (Canned, Device) {
    let (server, device) = device();
    device.exec("INSERT INTO task (id) VALUES ('a')");
    server.push_raw(|_| status_answer(500, &[], ""));
    device.failed();
    device.exec("DELETE FROM task");
    server.clear();
    (server, device)
}

#[test]
fn a_delete_of_a_row_that_may_have_arrived_is_not_given_up_unasked() {
    let (server, device) = deleted_after_a_lost_push();
    let error = device.refused("SELECT sync_untrack('task')");
    assert!(
        error.contains("has changes that were not uploaded"),
        "{error}"
    );
    assert_eq!(waiting(&device), Rows::from(["task deleted a".to_owned()]));
    device.synced();
    assert_eq!(
        sent(&server.pushed()[0]),
        Rows::from(["task deleted a".to_owned()])
    );
    assert_eq!(device.ask("SELECT sync_untrack('task')"), "1");
}

#[test]
fn a_row_deleted_here_that_may_have_arrived_is_not_missing() {
    let (server, device) = deleted_after_a_lost_push();
    server.changes(json!({"task": {"created": [{"id": "a", "title": null}]}}));
    let check: Value = serde_json::from_str(&device.ask("SELECT sync_check('api')")).expect("JSON");
    assert_eq!(check["state"], "equal", "{check}");
}

#[test]
fn a_change_of_a_column_that_is_not_synced_waits_for_nothing() {
    let (server, device) = device();
    device.exec("INSERT INTO task VALUES ('a', 'x', 'mine'); INSERT INTO tag VALUES ('t')");
    device.synced();
    server.clear();
    device.exec("UPDATE task SET secret = 'new'; REPLACE INTO tag VALUES ('t')");
    assert_eq!(waiting(&device), Rows::new());
    device.synced();
    assert!(server.pushed().is_empty());
    device.exec("UPDATE task SET secret = 'newer', title = 'y'");
    assert_eq!(
        device.ask("SELECT changed, payload FROM sync_pending"),
        r#"["title"]|{"id":"a","title":"y"}"#
    );
}

#[test]
fn every_row_is_captured_of_which_nothing_would_be_sent() {
    let (_server, device) = device();
    device.exec("INSERT INTO task VALUES ('a', 'x', 'mine'), ('b', 'x', 'mine')");
    device.synced();
    device.exec("UPDATE task SET secret = 'new' WHERE id = 'a'");
    assert_eq!(device.ask("SELECT sync_capture_existing('task')"), "2");
    assert_eq!(device.ask("SELECT sync_capture_existing('task')"), "0");
    assert_eq!(
        device.ask("SELECT group_concat(op || key) FROM sync_pending"),
        "createda,createdb"
    );
}

fn edit(random: &mut Random, round: u64) -> String {
    let id = random.below(4);
    let table = TABLES[random.below(3) as usize];
    let column = ["name", "title", "secret"][random.below(3) as usize];
    let of_column = if column == "name" { "list" } else { "task" };
    match random.below(9) {
        0 | 1 => format!("INSERT OR IGNORE INTO {table} (id) VALUES ('{id}')"),
        2 => format!("INSERT OR REPLACE INTO {table} (id) VALUES ('{id}')"),
        3 | 4 => format!("UPDATE {of_column} SET {column} = '{round}' WHERE id = '{id}'"),
        5 | 6 => format!("DELETE FROM {table} WHERE id = '{id}'"),
        7 => format!(
            "UPDATE OR IGNORE {table} SET id = '{}' WHERE id = '{id}'",
            random.below(4)
        ),
        _ => format!("DELETE FROM {table}"),
    }
}

/// How the server answers the next push.
fn prepare_answer(random: &mut Random, server: &Canned) {
    match random.below(6) {
        0 | 1 => server.push_raw(|_| status_answer(500, &[], "")),
        2 => server.push_raw(|_| Vec::new()),
        3 => server.push_raw(|_| status_answer(422, &[], "")),
        4 => server.push_raw(|_| {
            json_answer(r#"{"experimentalRejectedIds":{"task":["0","1"],"tag":["2"]}}"#)
        }),
        _ => {}
    }
}

/// The rows of a push as the server shows them afterwards.
fn shown_by_the_server(random: &mut Random, push: &Value) -> Value {
    let mut changes = push.clone();
    for changes in changes
        .as_object_mut()
        .into_iter()
        .flat_map(|all| all.values_mut())
    {
        let created = changes["created"].take();
        let mut created = created.as_array().cloned().unwrap_or_default();
        created.retain(|_| random.chance(70));
        for row in &mut created {
            let row = row.as_object_mut().expect("a row");
            row.retain(|key, _| !key.starts_with('_'));
            if random.chance(30) && row.contains_key("title") {
                row.insert("title".into(), "theirs".into());
            }
        }
        *changes = json!({ "created": created });
    }
    changes
}

fn history(seed: u64) {
    let (server, device) = device();
    device.exec("PRAGMA synchronous = OFF");
    let mut random = Random(seed);
    let mut lost = None;
    for round in 0..60 {
        for _ in 0..=random.below(4) {
            device.exec(&edit(&mut random, round));
        }
        server.reset();
        let expected = waiting(&device);
        if random.chance(10) {
            track_again(&mut random, &device);
            continue;
        }
        prepare_answer(&mut random, &server);
        let shows = lost.take().filter(|_| random.chance(50));
        if let Some(push) = &shows {
            server.changes(shown_by_the_server(&mut random, push));
        }
        let answer = device.sync();
        let pushed = server.pushed();
        // A pull that shows something may change what is left to send.
        if shows.is_none() {
            let any = !pushed.is_empty();
            assert_eq!(any, !expected.is_empty(), "seed {seed}, round {round}");
            // One that was refused is tried once more.
            for push in &pushed {
                assert_eq!(sent(push), expected, "seed {seed}, round {round}");
            }
        }
        if answer["state"] == "failed" {
            lost = pushed.last().cloned();
        }
    }
}

/// Ends and begins to track a table, if nothing of it waits. Until the sync that follows nobody knows its
/// provider, and so which columns that leaves out.
fn track_again(random: &mut Random, device: &Device) {
    let table = TABLES[random.below(3) as usize];
    if support::try_ask(&device.db, &format!("SELECT sync_untrack('{table}')")).is_ok() {
        let existing = ["skip", "capture"][random.below(2) as usize];
        device.ask(&format!(
            "SELECT sync_track('{table}', '{{\"existing\":\"{existing}\"}}')"
        ));
    }
    device.sync();
}

#[test]
fn whatever_happened_all_four_say_the_same() {
    for seed in 1..=4 {
        history(seed);
    }
}
