//! A push that is refused as a whole is cut until the refused rows stand alone; these can be sent again or given up
//! (rule H7).

use serde_json::{Value, json};
use support::{Backend, Canned, Device, SCHEMA, json_answer, status_answer};

/// Refuses every push with one of these ids, for so many requests.
fn refuse(server: &Canned, status: u16, ids: &'static [&'static str], most: Option<usize>) {
    for _ in 0..200 {
        server.push_raw(move |seen| {
            let body = seen.json();
            let mut rows = 0;
            let mut bad = false;
            for table in ["list", "task"] {
                for kind in ["created", "updated"] {
                    for row in body[table][kind].as_array().into_iter().flatten() {
                        rows += 1;
                        bad |= ids.iter().any(|id| row["id"] == *id);
                    }
                }
                for id in body[table]["deleted"].as_array().into_iter().flatten() {
                    rows += 1;
                    bad |= ids.iter().any(|bad| id == bad);
                }
            }
            match bad || most.is_some_and(|most| rows > most) {
                true => status_answer(status, &[], "we don't take that"),
                false => json_answer("{}"),
            }
        });
    }
}

fn insert(device: &Device, rows: usize) {
    for n in 0..rows {
        device.exec(&format!("INSERT INTO task (id) VALUES ('t{n}')"));
    }
}

fn taken(server: &Canned) -> usize {
    server.pushed().len()
}

#[test]
fn h7_refused_rows_stand_alone_and_the_rest_goes_through() {
    for status in [400, 403, 409, 413, 422] {
        let server = Canned::start();
        let device = Device::new(&server.url());
        insert(&device, 20);
        refuse(&server, status, &["t7", "t13"], None);
        let answer = device.synced();
        assert_eq!(
            device.ask("SELECT key FROM sync_pending ORDER BY key"),
            "t13\nt7",
            "{status}"
        );
        let reason = device.ask("SELECT rejected FROM sync_pending WHERE key = 't7'");
        assert_eq!(reason, format!("HTTP {status}: we don't take that"));
        assert_eq!(
            (answer["pushed"].as_i64(), answer["rejected"].as_i64()),
            (Some(18), Some(2)),
            "{answer}"
        );
        let warnings = answer["warnings"].to_string();
        assert!(warnings.contains("rowsRefused"), "{warnings}");
        // Once more, for others were taken after them, and then they are left out: nothing is in the way of others.
        device.synced();
        device.exec("INSERT INTO task (id) VALUES ('new')");
        let before = taken(&server);
        device.synced();
        assert_eq!(taken(&server), before + 1, "{status}");
        assert_eq!(
            device.ask("SELECT key FROM sync_pending ORDER BY key"),
            "t13\nt7",
            "{status}"
        );
        // Until it is written again, or somebody says so.
        server.reset();
        device.exec("UPDATE task SET title = 'better' WHERE id = 't7'");
        assert_eq!(device.ask("SELECT sync_retry('task', 't13')"), "1");
        device.synced();
        assert_eq!(device.pending(), "", "{status}");
        assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");
    }
}

#[test]
fn h7_a_run_asks_only_so_often_and_the_next_goes_on() {
    static BAD: [&str; 40] = {
        let mut all = [""; 40];
        let names = [
            "t0", "t3", "t6", "t9", "t12", "t15", "t18", "t21", "t24", "t27", "t30", "t33", "t36",
            "t39", "t42", "t45", "t48", "t51", "t54", "t57",
        ];
        let mut n = 0;
        while n < names.len() {
            all[n] = names[n];
            n += 1;
        }
        all
    };
    let server = Canned::start();
    let device = Device::new(&server.url());
    insert(&device, 64);
    refuse(&server, 422, &BAD, None);
    let mut runs = 0;
    while device.ask("SELECT count(*) FROM sync_pending WHERE rejected IS NULL") != "0" {
        server.clear();
        device.synced();
        assert!(server.seen().len() <= 2 * 6 + 16, "{}", server.seen().len());
        runs += 1;
        assert!(runs < 20);
    }
    assert!(runs > 1);
    assert_eq!(device.ask("SELECT count(*) FROM sync_pending"), "20");
}

#[test]
fn h7_a_push_that_is_too_large_makes_later_ones_smaller() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    insert(&device, 16);
    refuse(&server, 413, &[], Some(4));
    device.synced();
    assert_eq!(device.pending(), "");
    assert_eq!(device.ask("SELECT batch FROM _syncPeer"), "4");
    server.clear();
    device.exec("UPDATE task SET title = 'x'");
    device.synced();
    assert_eq!(taken(&server), 4, "no larger one is tried");
}

#[test]
fn h7_an_account_that_is_shut_out_has_no_refused_rows() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    insert(&device, 3);
    for _ in 0..20 {
        server.push_raw(|_| status_answer(403, &[], "no"));
    }
    assert_eq!(device.failed()["class"], "auth");
    assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "0");
    server.reset();
    device.synced();
    assert_eq!(device.pending(), "");
}

/// What was in the way of a row may be among the rows that were taken after it.
#[test]
fn h7_a_row_that_others_were_in_the_way_of_goes_up_with_the_next_sync() {
    let backend = Backend::start("CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE)");
    let schema = "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, u TEXT UNIQUE)";
    let device = Device::with(schema, &["t"], &backend.sync_url());
    device.exec("INSERT INTO t VALUES ('1', 'a'), ('2', 'b')");
    device.synced();
    // Up go a new row and a delete: one by one, and the server looks at the new row first.
    device.exec("INSERT OR REPLACE INTO t VALUES ('3', 'a')");
    assert_eq!(device.synced()["rejected"], 1);
    assert_eq!(device.ask("SELECT \"table\", key FROM sync_pending"), "t|3");
    assert_eq!(device.synced()["pushed"], 1);
    assert_eq!(device.pending(), "");
    assert_eq!(device.ask("SELECT sync_check('api') ->> 'state'"), "equal");
    // One that is refused again is left out.
    backend.sql(|db| db.execute_batch("INSERT INTO t VALUES ('theirs', 'c')"));
    device.exec("INSERT INTO t VALUES ('4', 'c'), ('5', 'd')");
    let pushes = |backend: &Backend| {
        backend
            .requests()
            .iter()
            .filter(|seen| seen.method == "POST")
            .count()
    };
    device.synced();
    device.synced();
    let before = pushes(&backend);
    for _ in 0..2 {
        device.synced();
        assert_eq!(device.ask("SELECT key FROM sync_pending"), "4");
    }
    assert_eq!(pushes(&backend), before);
}

/// A server that refuses everything may be at fault itself: nothing is left out.
#[test]
fn h7_rows_that_were_all_refused_go_up_again() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    insert(&device, 2);
    for _ in 0..4 {
        server.push_raw(|_| status_answer(400, &[], "no"));
    }
    device.synced();
    assert_eq!(device.ask("SELECT count(*) FROM _syncRejected"), "2");
    device.synced();
    assert_eq!(device.pending(), "");
}

#[test]
fn h7_without_splitting_a_refused_push_fails() {
    let server = Canned::start();
    let device = Device::with_options(&server.url(), json!({"splitRefused": false}));
    insert(&device, 3);
    refuse(&server, 422, &["t1"], None);
    assert_eq!(device.failed()["status"], 422);
    assert_eq!(device.ask("SELECT count(*) FROM sync_pending"), "3");
}

fn discarded(device: &Device, call: &str) -> Value {
    serde_json::from_str(&device.ask(&format!("SELECT sync_discard({call})"))).expect("JSON")
}

#[test]
fn h7_a_change_can_be_given_up() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    let rows = json!({"task": {"created": [{"id": "u", "title": "there"}, {"id": "d", "title": "there"}]}});
    server.changes(rows.clone());
    device.synced();
    let edit = "INSERT INTO task (id) VALUES ('c'); UPDATE task SET title = 'here' WHERE id = 'u'; \
                DELETE FROM task WHERE id = 'd'";
    device.exec(edit);
    assert_eq!(discarded(&device, "'task', 'u'")["discarded"], "change");
    assert_eq!(discarded(&device, "'task', 'u'")["discarded"], Value::Null);
    assert_eq!(device.pending(), "task|c|created|[]\ntask|d|deleted|NULL");
    assert_eq!(device.ask("SELECT title FROM task WHERE id = 'u'"), "here");
    // Taken back as the server has it.
    device.exec("UPDATE task SET title = 'again' WHERE id = 'u'");
    assert_eq!(
        discarded(&device, "'task', 'c', '{\"revert\":true}'")["refetch"],
        false
    );
    assert_eq!(device.ask("SELECT count(*) FROM task WHERE id = 'c'"), "0");
    for id in ["u", "d"] {
        let answer = discarded(&device, &format!("'task', '{id}', '{{\"revert\":true}}'"));
        assert_eq!(answer["refetch"], true);
    }
    assert_eq!(device.pending(), "");
    server.reset();
    for _ in 0..2 {
        let rows = rows.clone();
        server.changes(rows);
    }
    device.synced();
    assert_eq!(
        device.ask("SELECT id, title FROM task ORDER BY id"),
        "d|there\nu|there"
    );
    assert!(server.pushed().is_empty());
}

#[test]
fn h7_a_row_that_others_need_is_taken_back_after_them() {
    let server = Canned::start();
    let device = Device::with(
        "CREATE TABLE list (id TEXT PRIMARY KEY NOT NULL);
         CREATE TABLE task (id TEXT PRIMARY KEY NOT NULL, list TEXT REFERENCES list (id));
         CREATE TABLE note (id TEXT PRIMARY KEY NOT NULL, list TEXT REFERENCES list (id));",
        &["list", "task", "note"],
        &server.url(),
    );
    device.exec("PRAGMA foreign_keys = ON");
    device.exec("INSERT INTO list VALUES ('l'), ('other'); INSERT INTO task VALUES ('t', 'l'); INSERT INTO note VALUES ('n', 'other')");
    let call = "SELECT sync_discard('list', 'l', '{\"revert\":true}')";
    let error = device.refused(call);
    for words in [
        "the row \"l\" of \"list\"",
        "in \"task\", refer",
        "Call sync_discard",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(!error.contains("note"), "{error}");
    assert_eq!(device.ask("SELECT count(*) FROM sync_pending"), "4");
    device.ask("SELECT sync_discard('task', 't', '{\"revert\":true}')");
    device.ask(call);
    assert_eq!(
        device.ask("SELECT key FROM sync_pending ORDER BY 1"),
        "n\nother"
    );
}

/// Another connection takes back a row while its table is being synced.
#[test]
fn h7_what_is_given_up_during_a_push_is_named_as_what_stands_in_its_way() {
    let server = Canned::start();
    let device = Device::new(&server.url());
    server.changes(json!({"task": {"created": [{"id": "u", "title": "there"}]}}));
    device.synced();
    device.exec("UPDATE task SET title = 'here'");
    let second = device.second();
    server.changes(json!({}));
    server.push_raw(move |_| {
        support::ask(
            &second,
            "SELECT sync_discard('task', 'u', '{\"revert\":true}')",
        );
        support::status_answer(200, &[], "{}")
    });
    let error = device.failed();
    assert_eq!(error["class"], "conflict", "{error}");
    let message = error["message"].to_string();
    assert!(
        message.contains("sync_discard") && !message.contains("another sync"),
        "{message}"
    );
    server.clear();
    server.changes(json!({"task": {"created": [{"id": "u", "title": "there"}]}}));
    device.synced();
    assert_eq!(device.ask("SELECT title FROM task"), "there");
}

#[test]
fn h7_by_the_number_of_the_rejection_and_of_what_is_held() {
    let server = Canned::start();
    let device = Device::with(
        &format!("{SCHEMA} CREATE UNIQUE INDEX one ON task (n);"),
        &["list", "task"],
        &server.url(),
    );
    insert(&device, 3);
    refuse(&server, 422, &["t1"], None);
    device.synced();
    let id = device.ask("SELECT id FROM _syncRejected");
    assert_eq!(device.ask(&format!("SELECT sync_retry({id})")), "1");
    assert_eq!(device.ask("SELECT sync_retry(999)"), "0");
    assert_eq!(
        discarded(&device, &format!("{id}.0"))["discarded"],
        "change"
    );
    assert_eq!(device.pending(), "");
    device.exec("UPDATE task SET n = 1 WHERE id = 't0'");
    server.changes(json!({"task": {"created": [{"id": "z", "n": 1}]}}));
    device.synced();
    assert_eq!(device.ask("SELECT key FROM sync_held"), "z");
    assert_eq!(discarded(&device, "'task', 'z'")["discarded"], "held");
    assert_eq!(device.ask("SELECT count(*) FROM sync_held"), "0");
    let error = device.refused("SELECT sync_discard('nowhere', 'z')");
    assert!(error.contains("not tracked"), "{error}");
}
