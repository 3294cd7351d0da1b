//! What is seen of a sync while it goes on, and after its process was killed.

use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use serde_json::{Value, json};
use support::remote::{Asked, Client, On, Transport, everywhere_in_a_file, hold, sync_over};
use support::{PATIENCE, again, ask};

/// State, goal, step, rows there are to send.
const RUN: &str =
    "SELECT json_array(state, goal, json(step), rowsTotal) FROM _syncRun ORDER BY id DESC LIMIT 1";

/// A step names the request that the server has got.
fn names(step: &Value, asked: &Asked, origin: &str) {
    assert!(
        step["label"]
            .as_str()
            .is_some_and(|label| !label.is_empty()),
        "{step}"
    );
    assert_eq!(step["method"], asked.method, "{step}");
    // Values of the query are left out: they may be anybody's secret.
    let url = step["url"].as_str().expect("a URL");
    let path = asked.target.split('?').next().unwrap_or_default();
    let shown = url.split('?').next().unwrap_or_default();
    assert_eq!(shown, format!("{origin}{path}"));
}

#[test]
fn o6_before_a_request_leaves_the_run_s_row_names_it() {
    everywhere_in_a_file(|case| {
        let server = case.server();
        let order = match (server.pulls_first(), server.sends_first()) {
            (true, _) => [On::Download, On::Upload],
            (_, true) => [On::Upload, On::Download],
            _ => return,
        };
        let client = case.client(&*server);
        client.exec("INSERT INTO task (id) VALUES ('a'), ('b'), ('c')");
        let world = client.world.as_ref().expect("a file");
        let (say, heard) = channel();
        for on in order {
            // One who never heard of the extension, and one of this process.
            let (plain, second, say) = (world.plain(), client.second(), say.clone());
            let look = move || {
                let progress = "SELECT json_array(run, provider, instance, goal, state, json(step)) FROM sync_progress";
                let _ = say.send((ask(&plain, RUN), ask(&second, progress)));
            };
            server.meanwhile(on, Box::new(look));
        }
        let answer = client.synced();
        let asked = server.asked();
        for (place, on) in order.into_iter().enumerate() {
            let (row, progress) = heard.recv().expect("somebody looked");
            let row: Value = serde_json::from_str(&row).expect("JSON");
            assert_eq!((&row[0], &row[1]), (&json!("running"), &json!("sync")));
            assert_eq!(asked[place].on, on);
            names(&row[2], &asked[place], &server.origin());
            if on == On::Upload {
                assert_eq!(row[3], 3, "{row}");
            }
            let progress: Value = serde_json::from_str(&progress).expect("JSON");
            assert_eq!(
                progress,
                json!([answer["runId"], "api", "all", "sync", "running", row[2]])
            );
        }
        assert_eq!(
            client.run("step, state, rowsUp, rowsTotal"),
            "NULL|synced|3|3"
        );
        client.is_idle();
    });
}

const ROWS: i64 = 5_000;

#[test]
fn o6_rows_are_counted_while_the_transaction_that_applies_them_is_open() {
    everywhere_in_a_file(|case| {
        let server = case.server();
        let rows: Vec<Value> = (0..ROWS)
            .map(|n| json!({"id": format!("r{n:05}"), "title": "remote", "n": n}))
            .collect();
        server.put("task", &rows);
        let client = case.client(&*server);
        let (second, plain) = (
            client.second(),
            client.world.as_ref().expect("a file").plain(),
        );
        // The transaction stops at some rows until it was looked at.
        let (stopped, stops) = channel();
        let (go, goes) = channel::<()>();
        let doors = Mutex::new((stopped, goes));
        client
            .db
            .create_scalar_function("look", 0, FunctionFlags::SQLITE_UTF8, move |_| {
                let doors = doors.lock().expect("lock");
                let _ = doors.0.send(());
                let _ = doors.1.recv_timeout(PATIENCE);
                Ok(1)
            })
            .expect("a function");
        client.exec(
            "CREATE TEMP TRIGGER looks AFTER INSERT ON task WHEN new.n % 1000 = 500 BEGIN SELECT look(); END",
        );
        let counts = thread::scope(|scope| {
            let looking = scope.spawn(move || {
                let mut counts = Vec::new();
                while stops.recv_timeout(PATIENCE).is_ok() {
                    let seen = ask(&second, "SELECT rowsDown FROM sync_progress");
                    counts.push(seen.parse::<i64>().expect("one run"));
                    let fraction = ask(
                        &second,
                        "SELECT fraction BETWEEN 0 AND 1, total > 0 FROM sync_progress",
                    );
                    assert_eq!(fraction, "1|1");
                    // Nothing is committed but the pages before, where there are pages.
                    let committed = "SELECT count(*) FROM task";
                    let committed: i64 = ask(&plain, committed).parse().expect("a number");
                    let counted = ask(&plain, "SELECT max(rowsDown) FROM _syncRun");
                    assert_eq!(counted, committed.to_string());
                    assert!(committed < counts[counts.len() - 1], "{committed}");
                    let _ = go.send(());
                }
                counts
            });
            client.synced();
            // The function goes, and with it the end of the channel.
            client
                .db
                .remove_function("look", 0)
                .expect("the function goes");
            looking.join().expect("nobody panicked")
        });
        assert_eq!(counts.len(), 5, "{counts:?}");
        assert!(counts.is_sorted_by(|one, other| one < other), "{counts:?}");
        assert!(counts.iter().all(|count| (1..=ROWS).contains(count)));
        assert_eq!(client.run("rowsDown"), ROWS.to_string());
        client.is_at_rest();
    });
}

// ---- killed

const FILE: &str = "SYNC_TEST_FILE";
const TRANSPORT: &str = "SYNC_TEST_TRANSPORT";

/// Runs in a process of its own, until the test below kills it.
#[test]
fn the_process_that_is_killed() {
    let (Ok(file), Ok(transport)) = (std::env::var(FILE), std::env::var(TRANSPORT)) else {
        return;
    };
    let db = Connection::open(file).expect("open");
    db.busy_timeout(PATIENCE).expect("timeout");
    support::load(&db);
    let transport = match transport.as_str() {
        "Http" => Transport::Http,
        _ => Transport::Python,
    };
    let _ = sync_over(&db, transport, "all", &["list", "task"]);
}

fn start_victim(client: &Client<'_>) -> Child {
    again(module_path!(), "the_process_that_is_killed")
        .env(FILE, client.world.as_ref().expect("a file").path())
        .env(TRANSPORT, format!("{:?}", client.transport))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process")
}

#[test]
fn after_a_kill_the_row_says_where_the_run_stood_until_somebody_settles_it() {
    for on in [On::Download, On::Upload] {
        everywhere_in_a_file(|case| {
            let server = case.server();
            server.put("task", &[json!({"id": "r", "title": "remote"})]);
            let client = case.client(&*server);
            client.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
            client.ask(r#"SELECT sync_start_scope('s', '["all"]')"#);
            let held = hold(&*server, on);
            let mut victim = start_victim(&client);
            held.wait();
            victim.kill().expect("killed");
            victim.wait().expect("gone");
            let row: Value = serde_json::from_str(&client.ask(RUN)).expect("JSON");
            assert_eq!(row[0], "running", "{row}");
            let asked = server.asked();
            names(&row[2], asked.last().expect("a request"), &server.origin());
            let shown = client.ask("SELECT state, json(step) FROM sync_progress");
            assert_eq!(shown, format!("running|{}", client.run("json(step)")));
            if on == On::Upload && !server.sends_first() {
                assert_eq!(client.run("rowsDown"), "1", "what was committed is counted");
            }
            client.ask("SELECT sync_recover()");
            client.is_idle();
            assert_eq!(client.run("state, error ->> 'class'"), "failed|cancelled");
            assert_eq!(
                client.ask("SELECT DISTINCT state, error FROM _syncStatus"),
                "failed|interrupted: crashed"
            );
            assert_eq!(client.ask("SELECT state FROM _syncScope"), "interrupted");
            held.release();
            // What was held may still be done: the next pulls show it.
            client.synced();
            client.synced();
            client.is_at_rest();
            assert_eq!(server.rows("task").len(), 2);
        });
    }
}
