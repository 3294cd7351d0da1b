//! Background syncs of one provider wait for each other, in the order of the calls.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};
use support::remote::{Case, Client, On, Remote, Transport, everywhere_over, hold};
use support::{PATIENCE, SCHEMA, again, ask, wait_for};

/// Background syncs are syncscope's own.
fn everywhere(test: impl Fn(&Case) + Sync) {
    everywhere_over(&[Transport::Http], test);
}

/// What an instance syncs.
fn entity_of(instance: &str) -> &'static str {
    match instance {
        "one" => "task",
        "two" => "list",
        _ => "tag",
    }
}

/// Begins a sync in the background; its run.
fn begin(db: &Connection, instance: &str) -> i64 {
    let call = format!(
        r#"SELECT sync_entities('{instance}', 'api', '["{}"]', '{{"background":true}}')"#,
        entity_of(instance)
    );
    let answer: Value = serde_json::from_str(&ask(db, &call)).expect("JSON");
    assert_eq!(
        (&answer["state"], &answer["finishedAt"]),
        (&json!("syncing"), &Value::Null),
        "{answer}"
    );
    answer["runId"].as_i64().expect("a run")
}

const TAG: &str = "CREATE TABLE tag (id TEXT PRIMARY KEY NOT NULL, name TEXT);";

fn server(case: &Case) -> Box<dyn Remote> {
    case.server_of(&format!("{SCHEMA}{TAG}"))
}

fn with_work<'a>(case: &Case, server: &'a dyn Remote) -> Client<'a> {
    server.put("task", &[json!({"id": "r", "title": "remote"})]);
    server.put("list", &[json!({"id": "l", "name": "remote"})]);
    server.put("tag", &[json!({"id": "t", "name": "remote"})]);
    let client = case.client(server);
    client.exec(TAG);
    client.ask("SELECT sync_track('tag')");
    client.ask(r#"SELECT sync_start_scope('s', '["one","two","three"]')"#);
    client
}

/// Instance and state of the runs, oldest first.
fn runs(client: &Client<'_>) -> String {
    client.ask("SELECT group_concat(instanceId || ' ' || state, ', ') FROM (SELECT * FROM _syncRun ORDER BY id)")
}

fn members(client: &Client<'_>) -> String {
    client.ask("SELECT group_concat(instanceId || ' ' || state, ', ') FROM (SELECT * FROM sync_scope_member ORDER BY ordinal)")
}

fn wait_until_idle(client: &Client<'_>) {
    let open = "SELECT count(*) FROM _syncRun WHERE state IN ('queued', 'running')";
    wait_for("the end of all runs", || client.ask(open) == "0");
}

/// Each run asked its first question after the one before had ended.
fn one_after_the_other(client: &Client<'_>) {
    let overlapping = client.ask(
        "SELECT count(*) FROM _syncLog AS earlier JOIN _syncLog AS later ON later.runId > earlier.runId \
         WHERE earlier.event = 'finished' AND later.event <> 'finished' AND later.id < earlier.id",
    );
    assert_eq!(overlapping, "0");
    let order = client.ask(
        "SELECT group_concat(instanceId) FROM (SELECT instanceId FROM _syncRun ORDER BY finishedAt, id)",
    );
    assert!("one,two,three".starts_with(&order), "{order}");
}

#[test]
fn calls_of_one_connection_wait_and_all_succeed_in_order() {
    everywhere(|case| {
        let server = server(case);
        let client = with_work(case, &*server);
        client.exec("INSERT INTO task (id) VALUES ('a')");
        let held = hold(&*server, On::Download);
        begin(&client.db, "one");
        held.wait();
        begin(&client.db, "two");
        begin(&client.db, "three");
        assert_eq!(runs(&client), "one running, two queued, three queued");
        assert_eq!(members(&client), "one syncing, two syncing, three syncing");
        assert_eq!(
            client.ask("SELECT instance, state FROM sync_progress ORDER BY run"),
            "one|running\ntwo|queued\nthree|queued"
        );
        let asked = server.asked().into_iter();
        let asked = asked.filter(|asked| asked.on == On::Download).count();
        assert_eq!(asked, 1, "nobody else asks anything");
        // What would not wait is refused.
        let text = client.refused(r#"SELECT sync_entities('four', 'api', '["task"]')"#);
        assert!(text.contains("provider 'api' is being synced"), "{text}");
        held.release();
        wait_until_idle(&client);
        assert_eq!(runs(&client), "one synced, two synced, three synced");
        assert_eq!(members(&client), "one synced, two synced, three synced");
        assert_eq!(client.ask("SELECT state FROM _syncScope"), "synced");
        one_after_the_other(&client);
        client.is_idle();
        client.is_at_rest();
    });
}

#[test]
fn line_11_calls_of_two_connections_wait_for_each_other() {
    everywhere(|case| {
        let server = server(case);
        let client = with_work(case, &*server);
        let second = client.second();
        let held = hold(&*server, On::Download);
        begin(&client.db, "one");
        held.wait();
        begin(&second, "two");
        begin(&client.db, "three");
        assert_eq!(runs(&client), "one running, two queued, three queued");
        held.release();
        wait_until_idle(&client);
        assert_eq!(runs(&client), "one synced, two synced, three synced");
        one_after_the_other(&client);
        client.is_at_rest();
    });
}

#[test]
fn calls_for_the_same_entity_wait_for_each_other_too() {
    everywhere(|case| {
        let server = server(case);
        let client = with_work(case, &*server);
        let held = hold(&*server, On::Download);
        begin(&client.db, "one");
        held.wait();
        let call = r#"SELECT sync_entities('two', 'api', '["task"]', '{"background":true}')"#;
        client.ask(call);
        assert_eq!(runs(&client), "one running, two queued");
        held.release();
        wait_until_idle(&client);
        assert_eq!(runs(&client), "one synced, two synced");
        assert_eq!(members(&client), "one synced, two synced, three notStarted");
    });
}

#[test]
fn line_10_calls_without_an_instance_wait_for_each_other_too() {
    everywhere(|case| {
        let server = server(case);
        let client = with_work(case, &*server);
        let call = |operation: &str| {
            client.ask(&format!(
                "SELECT {operation}('api', '{{\"background\":true}}')"
            ));
        };
        let states = "SELECT group_concat(DISTINCT state) FROM _syncStatus";
        let next = ["sync_once", "sync_upload_once", "sync_download_all"];
        for (next, id) in next.into_iter().zip(["n1", "n2", "n3"]) {
            let held = hold(&*server, On::Download);
            call("sync_once");
            held.wait();
            client.exec(&format!("INSERT INTO task (id) VALUES ('{id}')"));
            call(next);
            // The one that goes on may be ended alone.
            if next == "sync_upload_once" {
                client.ask("SELECT sync_cancel((SELECT id FROM _syncRun WHERE state = 'running'))");
            }
            assert_eq!(client.ask(states), "syncing");
            held.release();
            wait_until_idle(&client);
            let ends = client.ask("SELECT group_concat(state) FROM (SELECT state FROM _syncRun ORDER BY id DESC LIMIT 2)");
            let expected = match next {
                "sync_upload_once" => "synced,failed",
                _ => "synced,synced",
            };
            assert_eq!(ends, expected, "{next}");
            assert_eq!(client.ask(states), "synced");
        }
        client.operation("sync_once");
        client.is_at_rest();
        // One of them in flight at most at a time: no more rows than that are kept.
        let kept = "SELECT count(*) <= 2 * (SELECT count(*) FROM _syncStatus) FROM _syncOperation WHERE instanceId IS NULL";
        assert_eq!(client.ask(kept), "1");
    });
}

#[test]
fn a_failure_does_not_keep_the_next_one_waiting() {
    everywhere(|case| {
        let server = server(case);
        if !server.sends_in_one_request() {
            return;
        }
        let client = with_work(case, &*server);
        let held = hold(&*server, On::Download);
        begin(&client.db, "one");
        held.wait();
        begin(&client.db, "two");
        server.trouble(
            On::Download,
            &support::remote::Trouble::Refused(500, "not now"),
            Some(1),
        );
        held.release();
        wait_until_idle(&client);
        assert_eq!(runs(&client), "one failed, two synced");
        client.synced();
        client.is_at_rest();
    });
}

#[test]
fn one_that_waits_can_be_interrupted_and_the_others_go_on() {
    everywhere(|case| {
        let server = server(case);
        let client = with_work(case, &*server);
        client.ask(r#"SELECT sync_start_scope('only two', '["two"]')"#);
        let held = hold(&*server, On::Download);
        begin(&client.db, "one");
        held.wait();
        begin(&client.db, "two");
        begin(&client.db, "three");
        client.ask("UPDATE sync_scope SET state = 'interrupted' WHERE id = 'only two'");
        let state = "SELECT state FROM _syncRun WHERE instanceId = 'two'";
        wait_for("the end of the second", || client.ask(state) == "failed");
        assert_eq!(runs(&client), "one running, two failed, three queued");
        held.release();
        wait_until_idle(&client);
        assert_eq!(runs(&client), "one synced, two failed, three synced");
        assert!(server.asked().len() == 2 || !server.pulls_first());
    });
}

#[test]
fn a_closed_connection_frees_the_place_of_one_that_waits() {
    everywhere(|case| {
        let server = server(case);
        let client = with_work(case, &*server);
        let second = client.second();
        let held = hold(&*server, On::Download);
        begin(&client.db, "one");
        held.wait();
        begin(&second, "two");
        begin(&client.db, "three");
        second.close().expect("closes");
        held.release();
        wait_until_idle(&client);
        assert_eq!(runs(&client), "one synced, two failed, three synced");
        assert_eq!(
            members(&client),
            "one synced, two interrupted, three synced"
        );
    });
}

/// A run that a program drives is waited for like any other.
#[test]
fn a_background_sync_waits_for_a_run_that_a_program_drives() {
    everywhere_over(&[Transport::Python], |case| {
        let server = server(case);
        let client = with_work(case, &*server);
        let run = client.open("one", &["task"], json!({}));
        let second = client.second();
        begin(&second, "two");
        assert_eq!(runs(&client), "one running, two queued");
        assert!(server.asked().is_empty());
        let answer = client.drive(run, |_| {}).expect("an answer");
        assert_eq!(answer["state"], "synced", "{answer}");
        wait_until_idle(&client);
        assert_eq!(runs(&client), "one synced, two synced");
        one_after_the_other(&client);
    });
}

// ---- processes

const FILE: &str = "SYNC_TEST_FILE";
const INSTANCE: &str = "SYNC_TEST_INSTANCE";
const BEGUN: &str = "has begun";

/// Runs in a process of its own: begins a sync in the background, and lives until its input ends.
#[test]
fn the_process_that_syncs() {
    let (Ok(file), Ok(instance)) = (std::env::var(FILE), std::env::var(INSTANCE)) else {
        return;
    };
    let db = Connection::open(file).expect("open");
    db.busy_timeout(PATIENCE).expect("timeout");
    support::load(&db);
    let run = begin(&db, &instance);
    println!("\n{run} {BEGUN}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Another process, whose sync has begun.
struct Other {
    child: Child,
    _said: BufReader<ChildStdout>,
}

impl Other {
    fn start(client: &Client<'_>, instance: &str) -> Other {
        let mut child = again(module_path!(), "the_process_that_syncs")
            .env(FILE, client.world.as_ref().expect("a file").path())
            .env(INSTANCE, instance)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.contains(BEGUN) {
            line.clear();
            let read = said.read_line(&mut line).expect("text");
            assert_ne!(read, 0, "the process ended");
        }
        Other { child, _said: said }
    }

    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Lets it end by itself.
    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("gone");
    }
}

#[test]
fn calls_of_two_processes_wait_for_each_other() {
    everywhere(|case| {
        let server = server(case);
        let client = with_work(case, &*server);
        let held = hold(&*server, On::Download);
        begin(&client.db, "one");
        held.wait();
        let other = Other::start(&client, "two");
        begin(&client.db, "three");
        assert_eq!(runs(&client), "one running, two queued, three queued");
        assert_eq!(members(&client), "one syncing, two syncing, three syncing");
        assert_eq!(
            client.ask("SELECT instance, state FROM sync_progress ORDER BY run"),
            "one|running\ntwo|queued\nthree|queued"
        );
        held.release();
        wait_until_idle(&client);
        assert_eq!(runs(&client), "one synced, two synced, three synced");
        one_after_the_other(&client);
        client.is_at_rest();
        other.end();
    });
}

#[test]
fn a_process_killed_while_it_waits_frees_its_place() {
    everywhere(|case| {
        let server = server(case);
        let client = with_work(case, &*server);
        let held = hold(&*server, On::Download);
        begin(&client.db, "one");
        held.wait();
        let other = Other::start(&client, "two");
        begin(&client.db, "three");
        other.kill();
        held.release();
        let state = "SELECT state FROM _syncRun WHERE instanceId = 'three'";
        wait_for("the end of the third", || {
            client.ask(state) != "queued" && client.ask(state) != "running"
        });
        assert_eq!(runs(&client), "one synced, two failed, three synced");
        assert_eq!(
            members(&client),
            "one synced, two interrupted, three synced"
        );
        assert_eq!(
            client.ask("SELECT error ->> 'class' FROM _syncRun WHERE instanceId = 'two'"),
            "cancelled"
        );
    });
}

#[test]
fn a_process_killed_while_it_syncs_frees_its_place() {
    everywhere(|case| {
        let server = server(case);
        let client = with_work(case, &*server);
        let held = hold(&*server, On::Download);
        let other = Other::start(&client, "one");
        held.wait();
        begin(&client.db, "two");
        begin(&client.db, "three");
        assert_eq!(runs(&client), "one running, two queued, three queued");
        other.kill();
        wait_until_idle(&client);
        assert_eq!(runs(&client), "one failed, two synced, three synced");
        assert_eq!(
            members(&client),
            "one interrupted, two synced, three synced"
        );
        held.release();
        client.synced();
        client.is_at_rest();
    });
}

#[test]
fn a_run_of_another_process_can_be_cancelled() {
    everywhere(|case| {
        let server = server(case);
        let client = with_work(case, &*server);
        let held = hold(&*server, On::Download);
        // One that runs.
        let running = Other::start(&client, "one");
        held.wait();
        // And one that waits for its turn.
        let waiting = Other::start(&client, "two");
        assert_eq!(runs(&client), "one running, two queued");
        let error = client.refused("SELECT sync_detach('api', '{\"force\":true}')");
        assert!(error.contains("is being synced by"), "{error}");
        for instance in ["two", "one"] {
            let run = client.ask(&format!(
                "SELECT id FROM _syncRun WHERE instanceId = '{instance}'"
            ));
            assert_eq!(client.ask(&format!("SELECT sync_cancel({run})")), "1");
            let state = format!("SELECT state, error ->> 'class' FROM _syncRun WHERE id = {run}");
            wait_for("the end of the run", || {
                client.ask(&state) == "failed|cancelled"
            });
        }
        client.is_idle();
        held.release();
        running.end();
        waiting.end();
        client.synced();
        client.is_at_rest();
    });
}
