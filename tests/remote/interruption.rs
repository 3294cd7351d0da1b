//! Syncs that are stopped: by `sync_interrupt` and by the host, between two requests and during one.

use std::sync::mpsc::channel;
use std::thread;

use rusqlite::InterruptHandle;
use rusqlite::functions::FunctionFlags;
use serde_json::{Value, json};
use support::ask;
use support::remote::{Case, Client, On, Remote, Transport, everywhere, everywhere_over, hold};

/// Something waits to be sent, and something to be fetched.
fn with_work<'a>(case: &Case, server: &'a dyn Remote) -> Client<'a> {
    server.put("task", &[json!({"id": "r", "title": "remote"})]);
    let client = case.client(server);
    client.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
    client.ask(r#"SELECT sync_start_scope('s', '["all"]')"#);
    client
}

fn is_cancelled(answer: &Value) {
    assert_eq!(
        (
            &answer["state"],
            &answer["error"]["class"],
            &answer["error"]["code"]
        ),
        (
            &json!("failed"),
            &json!("cancelled"),
            &json!("SYNC_ERROR_CANCELLED")
        ),
        "{answer}"
    );
}

/// It ended as interrupted for this reason, and a new sync works.
fn ended(client: &Client<'_>, reason: &str) {
    client.is_idle();
    assert_eq!(
        client.ask("SELECT DISTINCT state, error FROM _syncStatus"),
        format!("failed|interrupted: {reason}")
    );
    assert_eq!(client.run("state, error ->> 'class'"), "failed|cancelled");
    assert_eq!(client.ask("SELECT state FROM _syncScope"), "interrupted");
    client.synced();
    client.is_at_rest();
    assert_eq!(client.ask("SELECT state FROM _syncScope"), "synced");
}

#[test]
fn between_two_requests_sync_interrupt_ends_the_run() {
    for call in [
        "sync_interrupt('s', 'background')",
        "sync_interrupt(NULL, 'background')",
    ] {
        everywhere_over(&[Transport::Python, Transport::Memory], |case| {
            let server = case.server();
            if !server.sends_in_one_request() {
                return;
            }
            let client = with_work(case, &*server);
            let run = client.open("all", &["list", "task"], json!({}));
            let first = client.next(run).expect("a request");
            let second = client
                .put_and_next(run, &client.send(&first))
                .expect("a request");
            assert_eq!(second["state"], "syncing", "{second}");
            assert_eq!(client.ask(&format!("SELECT {call}")), "1");
            // It was not sent: that is said, and the run is over.
            let came = support::remote::Came::lost("interrupted");
            let answer = client.put(run, &came).expect("an answer");
            is_cancelled(&answer);
            client.nothing_was_sent("task|n|created|[]");
            let here = match server.sends_first() {
                true => "n",
                // What was pulled stays.
                false => "n\nr",
            };
            assert_eq!(client.ask("SELECT id FROM task ORDER BY id"), here);
            ended(&client, "background");
        });
    }
}

/// Whoever asks next need not wait for a program that may never come back.
#[test]
fn an_interrupted_run_keeps_nobody_from_its_provider() {
    for asked in [false, true] {
        everywhere_over(&[Transport::Python], |case| {
            let server = case.server();
            let client = with_work(case, &*server);
            let run = client.open("all", &["list", "task"], json!({}));
            if asked {
                client.next(run).expect("a request");
            }
            // Another connection of the process interrupts it, and goes on in its place.
            let second = client.second();
            ask(&second, "SELECT sync_interrupt(NULL, 'background')");
            client.is_idle();
            let answer = support::remote::sync_over(&second, case.transport, "all", &["task"]);
            assert_eq!(answer.expect("an answer")["state"], "synced");
            is_cancelled(&client.next(run).expect("an answer"));
        });
    }
}

#[test]
fn before_its_first_request_a_run_can_be_interrupted_too() {
    everywhere_over(&[Transport::Python, Transport::Memory], |case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = client.open("all", &["list", "task"], json!({}));
        client.ask("SELECT sync_interrupt('s', 'background')");
        is_cancelled(&client.next(run).expect("an answer"));
        assert!(server.asked().is_empty());
        ended(&client, "background");
    });
}

#[test]
fn an_interrupted_run_is_not_asked_to_send_its_request_again() {
    everywhere_over(&[Transport::Python, Transport::Memory], |case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = client.open("all", &["list", "task"], json!({}));
        client.next(run).expect("a request");
        client.ask("SELECT sync_interrupt('s', 'background')");
        is_cancelled(&client.next(run).expect("an answer"));
        ended(&client, "background");
    });
}

#[test]
fn after_sync_interrupt_the_provider_is_free() {
    everywhere_over(&[Transport::Python, Transport::Memory], |case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = client.open("all", &["list", "task"], json!({}));
        client.next(run).expect("a request");
        client.ask("SELECT sync_interrupt()");
        client.synced();
        client.is_at_rest();
    });
}

#[test]
fn between_two_requests_another_connection_can_interrupt() {
    everywhere_over(&[Transport::Python], |case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = client.open("all", &["list", "task"], json!({}));
        let pull = client.next(run).expect("a request");
        ask(&client.second(), "SELECT sync_interrupt('s', 'background')");
        let answer = client.put(run, &client.send(&pull)).expect("an answer");
        is_cancelled(&answer);
        assert!(server.pushed().is_empty() || server.sends_first());
        ended(&client, "background");
    });
}

/// SQLite forgets an interruption when no statement runs, and so does the run.
#[test]
fn between_two_requests_an_interrupt_of_sqlite_meets_nothing() {
    everywhere_over(&[Transport::Python, Transport::Memory], |case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = client.open("all", &["list", "task"], json!({}));
        let handle = client.db.get_interrupt_handle();
        handle.interrupt();
        let answer = client
            .drive(run, |_| handle.interrupt())
            .expect("an answer");
        assert_eq!(answer["state"], "synced", "{answer}");
        client.is_at_rest();
    });
}

/// The host interrupts its connection while rows are applied: nothing can be written then, not even the end.
#[test]
fn an_interrupt_of_sqlite_in_the_middle_of_an_answer_applies_nothing_of_it() {
    everywhere(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let handle = client.db.get_interrupt_handle();
        client
            .db
            .create_scalar_function("stop", 0, FunctionFlags::SQLITE_UTF8, move |_| {
                handle.interrupt();
                Ok(1)
            })
            .expect("a function");
        client.exec(
            "CREATE TEMP TRIGGER stops AFTER INSERT ON task WHEN new.id = 'r' BEGIN SELECT stop(); END",
        );
        let entities = ["list", "task"];
        let run = case
            .transport
            .is_host()
            .then(|| client.open("all", &entities, json!({})));
        let outcome = match run {
            Some(run) => client.drive(run, |_| {}),
            None => client.try_sync("all", &entities, json!({})),
        };
        let error = outcome.expect_err("there is no way to write").to_string();
        assert!(error.contains("interrupt"), "{error}");
        client.exec("DROP TRIGGER stops");
        if let Some(world) = &client.world {
            // A connection of our own has written the end: others need not wait for the next call of this one.
            let leases = "SELECT (SELECT count(*) FROM _syncLease), (SELECT state FROM _syncRun)";
            assert_eq!(ask(&world.plain(), leases), "0|failed");
        }
        assert_eq!(client.ask("SELECT id FROM task"), "n");
        client.nothing_was_sent("task|n|created|[]");
        client.ask("SELECT sync_recover()");
        let status = client.ask("SELECT DISTINCT state, substr(error, 1, 13) FROM _syncStatus");
        assert_eq!(status, "failed|interrupted: ");
        client.is_idle();
        if let Some(run) = run {
            // The program learns that it is over.
            is_cancelled(&client.next(run).expect("an answer"));
        }
        client.synced();
        client.is_at_rest();
    });
}

/// How a silent request is ended: on a second connection, or by the host's own handle.
type Stop = fn(&rusqlite::Connection, &InterruptHandle);

const STOPS: [(&str, Stop); 3] = [
    ("sync_interrupt of the scope", |second, _| {
        let interrupted = ask(second, "SELECT sync_interrupt('s', 'background')");
        assert_eq!(interrupted, "1");
        assert_eq!(ask(second, "SELECT state FROM _syncScope"), "interrupted");
    }),
    ("sync_interrupt of everything", |second, _| {
        ask(second, "SELECT sync_interrupt(NULL, 'background')");
    }),
    ("SQLite's own", |_, handle| handle.interrupt()),
];

/// Runs a statement on the client's connection that a silent server keeps waiting, and stops it. The server
/// keeps silent until it is over: whoever waited for an answer would fail as `network`.
fn stopped(client: &Client<'_>, sql: &str, stop: Stop) -> rusqlite::Result<Value> {
    let held = hold(client.remote, On::Download);
    let second = client.second();
    let handle = client.db.get_interrupt_handle();
    let (over, is_over) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            held.wait();
            stop(&second, &handle);
            let _ = is_over.recv_timeout(support::PATIENCE);
            held.release();
        });
        let answer = client
            .db
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .map(|text| serde_json::from_str(&text).expect("JSON"));
        drop(over);
        answer
    })
}

#[test]
fn during_a_silent_request_a_sync_ends_at_once() {
    for (what, stop) in STOPS {
        everywhere_over(&[Transport::Http], |case| {
            let server = case.server();
            let client = with_work(case, &*server);
            let sql = r#"SELECT sync_entities('all', 'api', '["list","task"]')"#;
            match stopped(&client, sql, stop) {
                Ok(answer) => is_cancelled(&answer),
                Err(error) => assert!(error.to_string().contains("interrupt"), "{error}"),
            }
            client.nothing_was_sent("task|n|created|[]");
            client.ask("SELECT sync_recover()");
            let reason = match what {
                "SQLite's own" => "cancelled",
                _ => "background",
            };
            ended(&client, reason);
        });
    }
}

#[test]
fn during_a_silent_request_a_check_ends_at_once_and_is_in_the_records() {
    // It belongs to no scope.
    for (what, stop) in &STOPS[1..] {
        everywhere_over(&[Transport::Http], |case| {
            let server = case.server();
            let client = with_work(case, &*server);
            client.synced();
            match stopped(&client, "SELECT sync_check('api')", *stop) {
                Ok(answer) => is_cancelled(&answer),
                Err(error) => assert!(error.to_string().contains("interrupt"), "{error}"),
            }
            client.ask("SELECT sync_recover()");
            client.is_idle();
            assert_eq!(
                client.run("goal, state, error ->> 'class'"),
                "check|failed|cancelled",
                "{what}"
            );
            let events = client
                .ask("SELECT count(*) FROM sync_log WHERE runId = (SELECT max(id) FROM _syncRun)");
            assert_ne!(events, "0", "{what}");
            let check: Value =
                serde_json::from_str(&client.ask("SELECT sync_check('api')")).expect("JSON");
            assert_eq!(check["state"], "equal", "{check}");
            client.is_at_rest();
        });
    }
}

#[test]
fn a_check_has_a_row_a_log_and_a_lease_while_it_goes_on() {
    everywhere_over(&[Transport::Http], |case| {
        let server = case.server();
        let client = with_work(case, &*server);
        client.synced();
        let second = client.second();
        let (say, heard) = channel();
        let look = move || {
            let run = ask(
                &second,
                "SELECT goal, state, step ->> 'method' FROM _syncRun ORDER BY id DESC LIMIT 1",
            );
            let lease = ask(&second, "SELECT provider FROM _syncLease");
            let shown = ask(&second, "SELECT goal, state FROM sync_progress");
            let _ = say.send(format!("{run} {lease} {shown}"));
        };
        server.forget();
        server.meanwhile(On::Download, Box::new(look));
        client.ask("SELECT sync_check('api')");
        let method = server.asked()[0].method.clone();
        assert_eq!(
            heard.recv().expect("somebody looked"),
            format!("check|running|{method} api check|running")
        );
        assert_eq!(client.run("goal, state"), "check|synced");
        let events = client.ask(
            "SELECT group_concat(event) FROM sync_log WHERE runId = (SELECT max(id) FROM _syncRun)",
        );
        assert!(events.ends_with("finished"), "{events}");
        client.is_idle();
    });
}
