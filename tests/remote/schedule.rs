//! Work by schedule: `sync_auto`, `sync_due`, `sync_run_due`, and the thread that does it.

use serde_json::{Value, json};
use support::remote::{Case, Client, On, Transport, Trouble, everywhere_over, hold};
use support::{ask, wait_for};

/// What works by schedule sends its requests itself.
fn over_http(test: impl Fn(&Case) + Sync) {
    everywhere_over(&[Transport::Http], test);
}

fn answers(client: &Client<'_>) -> Vec<Value> {
    let text = client.ask("SELECT sync_run_due()");
    let answers: Value = serde_json::from_str(&text).expect("JSON");
    answers.as_array().expect("a list").clone()
}

/// As if so many milliseconds had passed.
fn later(client: &Client<'_>, milliseconds: i64) {
    client.exec(&format!(
        "UPDATE _syncSchedule SET uploadedAt = uploadedAt - {milliseconds}, \
         downloadedAt = downloadedAt - {milliseconds}, retryAt = retryAt - {milliseconds}"
    ));
}

const HOURLY: &str =
    r#"SELECT sync_auto('api', '{"every":"1h","downloadEvery":"2h","debounce":false}')"#;

#[test]
fn line_10_a_program_with_a_timer_does_what_is_due() {
    over_http(|case| {
        let server = case.server();
        let client = case.client(&*server);
        assert_eq!(client.ask("SELECT sync_due()"), "NULL");
        assert_eq!(answers(&client), Vec::<Value>::new());
        assert_eq!(
            client.ask(HOURLY),
            r#"{"provider":"api","every":3600000,"downloadEvery":7200000,"debounce":null,"backoff":60000,"watch":false}"#
        );
        // Nothing was ever brought here: that is due at once. What waits goes along.
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        server.put("task", &[json!({"id": "t1", "title": "Dig"})]);
        assert_eq!(client.ask("SELECT sync_due()"), "0");
        let done = answers(&client);
        assert_eq!(done.len(), 1, "{done:?}");
        assert_eq!(
            (&done[0]["downloaded"], &done[0]["upload"]["applied"]),
            (&json!(1), &json!(1))
        );
        client.is_at_rest();
        assert_eq!(answers(&client), Vec::<Value>::new());
        let due: i64 = client.ask("SELECT sync_due()").parse().expect("a number");
        assert!((7_000_000..=7_200_000).contains(&due), "{due}");
        // An hour later what waits goes up alone.
        client.exec("INSERT INTO task (id, title) VALUES ('n2', 'Newer')");
        server.put("task", &[json!({"id": "t2", "title": "Sow"})]);
        later(&client, 3_600_000);
        let done = answers(&client);
        assert_eq!(
            (done.len(), &done[0]["applied"], &done[0]["total"]),
            (1, &json!(1), &json!(1)),
            "{done:?}"
        );
        // The schedule goes; nothing is due any more.
        client.ask("SELECT sync_auto('api', NULL)");
        assert_eq!(client.ask("SELECT sync_due()"), "NULL");
    });
}

#[test]
fn line_10_after_a_failure_nothing_is_tried_for_a_while() {
    over_http(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.ask(HOURLY);
        for (round, trouble) in [
            Trouble::Refused(401, "who"),
            Trouble::Refused(500, "down"),
            Trouble::Lost { done: false },
            Trouble::Garbage,
        ]
        .iter()
        .enumerate()
        {
            server.trouble(On::Download, trouble, None);
            let done = answers(&client);
            assert_eq!(
                (done.len(), &done[0]["state"]),
                (1, &json!("failed")),
                "{trouble:?}"
            );
            assert_eq!(
                client.ask("SELECT failures FROM sync_worker"),
                (round + 1).to_string()
            );
            let asked = server.asked().len();
            assert_eq!(answers(&client), Vec::<Value>::new(), "{trouble:?}");
            assert_eq!(server.asked().len(), asked);
            if round == 0 {
                // Who is not let in knocks again only with another secret.
                assert_eq!(client.ask("SELECT sync_due()"), "NULL");
                assert_eq!(client.ask("SELECT state FROM sync_peer"), "needs-auth");
                later(&client, 1_000_000_000);
                assert_eq!(answers(&client), Vec::<Value>::new());
                later(&client, -1_000_000_000);
                client.ask("SELECT sync_secret('another', 'value', 'http://h')");
            }
            let due: i64 = client.ask("SELECT sync_due()").parse().expect("a number");
            let first = 60_000 << round;
            assert!(
                (first - 10_000..=first * 6 / 5).contains(&due),
                "{trouble:?}: {due}"
            );
            later(&client, first * 2);
        }
        server.behave();
        assert_eq!(answers(&client)[0]["state"], "synced");
        assert_eq!(
            client.ask("SELECT failures, retryAt FROM sync_worker"),
            "0|NULL"
        );
    });
}

#[test]
fn line_10_an_upload_for_a_change_that_failed_is_tried_again() {
    over_http(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        client.ask(
            r#"SELECT sync_auto('api', '{"every":false,"downloadEvery":false,"debounce":"1ms"}')"#,
        );
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        wait_for("the end of the burst", || {
            client.ask("SELECT sync_due()") == "0"
        });
        server.trouble(On::Upload, &Trouble::Refused(500, "down"), None);
        assert_eq!(answers(&client)[0]["state"], "failed");
        server.behave();
        let due: i64 = client.ask("SELECT sync_due()").parse().expect("a number");
        assert!((50_000..=72_000).contains(&due), "{due}");
        later(&client, 100_000);
        // That was a write too: it may take its millisecond.
        wait_for("the end of the wait", || {
            client.ask("SELECT sync_due()") == "0"
        });
        assert_eq!(answers(&client)[0]["state"], "synced");
        client.is_at_rest();
    });
}

#[test]
fn line_10_a_call_that_goes_well_ends_the_wait() {
    over_http(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.ask(HOURLY);
        server.trouble(On::Download, &Trouble::Lost { done: false }, None);
        assert_eq!(answers(&client)[0]["state"], "failed");
        server.behave();
        client.synced();
        assert_eq!(client.ask("SELECT sync_due()"), "0");
        assert_eq!(answers(&client).len(), 1);
    });
}

#[test]
fn o5_a_pause_of_automatic_work_leaves_calls_alone() {
    over_http(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.ask(HOURLY);
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        client.ask(r#"SELECT sync_pause('all', 'api', '{"automaticOnly":true}')"#);
        assert_eq!(client.ask("SELECT sync_due()"), "NULL");
        assert_eq!(answers(&client), Vec::<Value>::new());
        assert_eq!(client.operation("sync_upload_once")["applied"], 1);
        client.ask("SELECT sync_resume('all')");
        assert_eq!(client.ask("SELECT sync_due()"), "0");
    });
}

#[test]
fn line_10_a_thread_sends_what_is_written_and_ends_with_its_connection() {
    over_http(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.ask(
            r#"SELECT sync_auto('api', '{"every":"1h","downloadEvery":"1h","debounce":"50ms"}')"#,
        );
        let other = client.second();
        assert_eq!(ask(&other, "SELECT sync_worker_start()"), "1");
        assert_eq!(ask(&other, "SELECT sync_worker_start()"), "0");
        wait_for("the thread", || {
            client.ask("SELECT running, here FROM sync_worker") == "1|0"
        });
        assert_eq!(ask(&other, "SELECT here FROM sync_worker"), "1");
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        wait_for("the upload", || server.rows("task").len() == 1);
        // What is written while it is being sent goes up too.
        let held = hold(&*server, On::Upload);
        client.exec("INSERT INTO task (id, title) VALUES ('n2', 'Newer')");
        held.wait();
        client.exec("UPDATE task SET title = 'Newest' WHERE id = 'n2'");
        held.release();
        wait_for("the second upload", || {
            server
                .rows("task")
                .iter()
                .any(|row| row["title"] == "Newest")
        });
        wait_for("rest", || client.pending().is_empty());
        drop(other);
        assert_eq!(client.ask("SELECT running FROM sync_worker"), "0");
        assert_eq!(client.ask("SELECT count(*) FROM _syncWorker"), "0");
    });
}

#[test]
fn line_10_one_thread_works_for_a_file_and_another_takes_its_place() {
    over_http(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.ask(
            r#"SELECT sync_auto('api', '{"every":"1h","downloadEvery":"1h","debounce":"50ms"}')"#,
        );
        let (first, second) = (client.second(), client.second());
        ask(&first, "SELECT sync_worker_start()");
        wait_for("the thread", || {
            client.ask("SELECT running FROM sync_worker") == "1"
        });
        let owner = client.ask("SELECT ownerId FROM _syncWorker");
        ask(&second, "SELECT sync_worker_start()");
        assert_eq!(ask(&first, "SELECT sync_worker_stop()"), "1");
        assert_eq!(ask(&first, "SELECT sync_worker_stop()"), "0");
        wait_for("the other", || {
            let now = client.ask("SELECT ownerId FROM _syncWorker");
            !now.is_empty() && now != owner
        });
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        wait_for("the upload", || server.rows("task").len() == 1);
    });
}

#[test]
fn line_10_a_thread_that_lost_its_place_stops_working() {
    over_http(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.ask(
            r#"SELECT sync_auto('api', '{"every":"1h","downloadEvery":"1h","debounce":"50ms"}')"#,
        );
        let other = client.second();
        ask(&other, "SELECT sync_worker_start()");
        wait_for("the thread", || {
            client.ask("SELECT running FROM sync_worker") == "1"
        });
        let theirs = client.ask("SELECT ownerId FROM _syncWorker");
        // What was due at once is done: it would take along what waits.
        wait_for("the first download", || {
            client.ask("SELECT count(*) FROM _syncRun WHERE state = 'synced'") == "1"
        });
        // Another that lives has the place: this program itself, whose owner has been made by sync_auto.
        client.exec(
            "UPDATE _syncWorker SET ownerId = (SELECT id FROM _syncOwner WHERE id <> ownerId LIMIT 1)",
        );
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        std::thread::sleep(std::time::Duration::from_secs(1));
        assert!(server.rows("task").is_empty());
        // Nobody has it: the thread takes it again.
        client.exec("DELETE FROM _syncWorker");
        wait_for("the thread again", || {
            client.ask("SELECT ownerId FROM _syncWorker") == theirs
        });
        wait_for("the upload", || server.rows("task").len() == 1);
    });
}

#[test]
fn a_wrong_schedule_is_refused() {
    over_http(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.ask("SELECT sync_provider('local', '{\"kind\":\"host\"}')");
        for (sql, words) in [
            (
                "SELECT sync_auto('nobody')",
                "provider 'nobody' is not declared",
            ),
            ("SELECT sync_auto('local')", "whose data your program moves"),
            (
                "SELECT sync_auto('api', '{\"every\":\"soon\"}')",
                "options.every must be a time such as \"30s\"",
            ),
            ("SELECT sync_auto('api', '{\"evry\":\"1s\"}')", "every"),
            (
                "SELECT sync_auto('api', '{\"backoff\":false}')",
                "options.backoff must be a time such as",
            ),
        ] {
            let error = client.refused(sql);
            assert!(error.contains(words), "{sql}: {error}");
        }
        client.exec("BEGIN");
        assert!(
            client
                .refused("SELECT sync_run_due()")
                .contains("open transaction")
        );
        assert!(
            client
                .refused("SELECT sync_worker_start()")
                .contains("open transaction")
        );
        client.exec("ROLLBACK");
    });
}
