//! A program that sends the requests of a run itself, and what it may get wrong on the way.

use serde_json::{Value, json};
use support::remote::{Came, Case, Client, Remote, Transport, everywhere_over};
use support::{NOBODY, ask, refused};

/// Over a host program, in a file and in memory.
fn everywhere_by_a_program(test: impl Fn(&Case) + Sync) {
    everywhere_over(&[Transport::Python, Transport::Memory], test);
}

/// Something waits to be sent, and something to be fetched.
fn with_work<'a>(case: &Case, server: &'a dyn Remote) -> Client<'a> {
    server.put("task", &[json!({"id": "r", "title": "remote"})]);
    let client = case.client(server);
    client.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
    client
}

fn open(client: &Client<'_>) -> i64 {
    client.open("all", &["list", "task"], json!({}))
}

#[track_caller]
fn no(outcome: rusqlite::Result<Value>, words: &str) {
    let error = outcome.expect_err("refused").to_string();
    assert!(error.contains(words), "{words}: {error}");
}

/// The run goes on to its end.
fn ends_well(client: &Client<'_>, run: i64) {
    let answer = client.drive(run, |_| {}).expect("an answer");
    assert_eq!(answer["state"], "synced", "{answer}");
    client.is_at_rest();
    client.is_idle();
}

#[test]
fn a_request_says_all_that_is_needed_to_send_it() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        if !server.sends_in_one_request() {
            return;
        }
        let client = with_work(case, &*server);
        let run = open(&client);
        assert_eq!(client.run("state, goal"), "running|sync");
        let first = client.next(run).expect("a request");
        let keys: Vec<&str> = first
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "runId",
                "state",
                "method",
                "url",
                "headers",
                "body",
                "finishedAt"
            ]
        );
        assert_eq!(first["runId"], run);
        let url = first["url"].as_str().expect("a URL");
        assert!(url.starts_with(&server.origin()), "{url}");
        assert!(first["headers"].is_object(), "{first}");
        assert!(server.asked().is_empty(), "nothing was sent");
        let second = client
            .put_and_next(run, &client.send(&first))
            .expect("a request");
        let push = match server.sends_first() {
            true => &first,
            false => &second,
        };
        let body = push["body"].as_str().expect("a body");
        assert!(body.contains("new"), "{body}");
        assert_eq!(push["headers"]["Content-Type"], "application/json");
        let over = client.put(run, &client.send(&second)).expect("an answer");
        assert!(over["finishedAt"].is_i64(), "{over}");
        assert_eq!(
            (
                &over["state"],
                &over["requests"],
                &over["pushed"],
                &over["runId"]
            ),
            (&json!("synced"), &json!(2), &json!(1), &json!(run)),
            "{over}"
        );
        let summary: Value = serde_json::from_str(&client.run("summary")).expect("JSON");
        assert_eq!(summary, over);
        client.is_at_rest();
    });
}

#[test]
fn asked_again_it_is_the_same_request() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = open(&client);
        let first = client.next(run).expect("a request");
        assert_eq!(client.next(run).expect("a request"), first);
        let unnamed = ask(&client.db, "SELECT sync_next_request()");
        let unnamed: Value = serde_json::from_str(&unnamed).expect("JSON");
        assert_eq!(unnamed, first);
        let second = client
            .put_and_next(run, &client.send(&first))
            .expect("a request");
        assert_ne!(second, first);
        assert_eq!(client.next(run).expect("a request"), second);
        ends_well(&client, run);
    });
}

#[test]
fn a_run_that_is_not_there_is_refused() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let words = "is not one that this connection drives";
        no(client.next(999), words);
        no(client.put(999, &Came::answer(200, "{}")), words);
        for call in [
            "sync_next_request()",
            "sync_next_request(NULL)",
            "sync_put_response(NULL, 200)",
        ] {
            let text = client.refused(&format!("SELECT {call}"));
            assert!(text.contains("drives no run"), "{call}: {text}");
        }
        // One that syncscope drives itself is not the program's.
        let run = open(&client);
        no(client.next(run + 1), words);
        ends_well(&client, run);
    });
}

#[test]
fn a_run_that_is_over_does_not_come_back() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = open(&client);
        ends_well(&client, run);
        let row = client.run("state, finishedAt, summary");
        let summary: Value = serde_json::from_str(&client.run("summary")).expect("JSON");
        assert_eq!(client.next(run).expect("its answer"), summary);
        let words = "is not one that this connection drives";
        no(client.put(run, &Came::answer(500, "")), words);
        no(client.put(run, &Came::lost("late")), words);
        assert_eq!(client.run("state, finishedAt, summary"), row);
    });
}

#[test]
fn an_answer_to_a_request_that_is_not_out_is_refused() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = open(&client);
        no(
            client.put(run, &Came::answer(200, "{}")),
            "no request is out",
        );
        no(client.put(run, &Came::lost("why")), "no request is out");
        ends_well(&client, run);
    });
}

/// Some drivers call a function twice: PHP's `query` with `fetchArray`, for one.
#[test]
fn each_call_made_twice_is_one_call() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        if !server.sends_in_one_request() {
            return;
        }
        let client = with_work(case, &*server);
        let twice = |call: &dyn Fn() -> Value| {
            let first = call();
            assert_eq!(call(), first);
            first
        };
        let call =
            r#"SELECT sync_entities('all', 'api', '["list","task"]', '{"transport":"host"}')"#;
        let opened = twice(&|| serde_json::from_str(&client.ask(call)).expect("JSON"));
        let run = opened["runId"].as_i64().expect("a run");
        let mut requests = 0;
        loop {
            let request = twice(&|| client.next(run).expect("a request"));
            if request["finishedAt"].is_i64() {
                assert_eq!(request["state"], "synced", "{request}");
                break;
            }
            requests += 1;
            let came = client.send(&request);
            let put = twice(&|| client.put(run, &came).expect("an answer"));
            assert!(put["method"].is_null(), "{put}");
        }
        assert_eq!((requests, server.asked().len()), (2, 2));
        assert_eq!(server.pushed().len(), 1);
        client.is_at_rest();
        client.is_idle();
    });
}

/// What the server answered to one request must not count for the next, which the program has not seen.
#[test]
fn an_answer_is_taken_for_no_request_but_its_own() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = open(&client);
        let came = client.send(&client.next(run).expect("a request"));
        client.put(run, &came).expect("the pull's answer");
        let words = "no request is out";
        no(client.put(run, &Came::answer(200, "{}")), words);
        no(client.put(run, &Came::lost("why")), words);
        client.nothing_was_sent("task|n|created|[]");
        ends_well(&client, run);
    });
}

#[test]
fn a_header_that_syncscope_would_not_send_is_not_handed_out_either() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "",
            "a b",
            "a:b",
            "a\nb",
        ] {
            for key in ["headers", "secretHeaders"] {
                let mut config = server.config();
                config[key] = json!({name: "x"});
                let text = client
                    .db
                    .query_row(
                        "SELECT sync_provider('api', ?1)",
                        [config.to_string()],
                        |_| Ok(()),
                    )
                    .expect_err("refused")
                    .to_string();
                assert!(
                    text.contains(key) && text.contains("header"),
                    "{name}: {text}"
                );
            }
        }
        client.declare(&json!({"headers": {"X-App": "a\r\nHost: evil"}}));
        let run = open(&client);
        let answer = client.next(run).expect("an answer");
        assert_eq!(answer["state"], "failed", "{answer}");
        let message = answer["error"]["message"].as_str().expect("a message");
        assert!(message.contains("line break"), "{message}");
        client.is_idle();
    });
}

#[test]
fn rows_that_go_up_again_are_counted_once_in_all() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        if !server.sends_in_one_request() || !server.pulls_first() {
            return;
        }
        let Some(batches) = server.batches_of(2) else {
            return;
        };
        let client = with_work(case, &*server);
        client.declare(&batches);
        client.exec("INSERT INTO task (id) VALUES ('a'), ('b'), ('c'), ('d')");
        let run = open(&client);
        let mut requests = 0;
        let mut next = client.next(run).expect("a request");
        while next["finishedAt"].is_null() {
            requests += 1;
            // The second part is refused once: all that is left is frozen again.
            let came = match requests {
                3 => Came::answer(409, "{}"),
                _ => client.send(&next),
            };
            next = client.put_and_next(run, &came).expect("an answer");
            let too_many = client.ask("SELECT count(*) FROM _syncRun WHERE rowsUp > rowsTotal");
            assert_eq!(too_many, "0", "{requests}");
        }
        assert_eq!(next["state"], "synced", "{next}");
        assert_eq!(client.run("rowsUp, rowsTotal"), "5|5");
        client.is_at_rest();
    });
}

#[test]
fn arguments_that_make_no_sense_are_refused_and_the_run_stands_where_it_stood() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = open(&client);
        let request = client.next(run).expect("a request");
        for (arguments, words) in [
            ("'x', 200", "run"),
            ("x'00', 200", "run"),
            ("1.5, 200", "run"),
            ("NULL, '200'", "status must be"),
            ("NULL, 'OK'", "status must be"),
            ("NULL, x'c8'", "status must be"),
            ("NULL, 200.5", "status must be"),
            ("NULL, 0", "status must be 200 to 599"),
            ("NULL, -1", "status must be 200 to 599"),
            ("NULL, 101", "status must be 200 to 599"),
            ("NULL, 600", "status must be 200 to 599"),
            ("NULL, 9223372036854775807", "status must be 200 to 599"),
            ("NULL, 200, 5", "headers must be"),
            ("NULL, 200, x'7b7d'", "headers must be"),
            ("NULL, 200, 'a: b'", "headers must be"),
            ("NULL, 200, '[]'", "headers must be"),
            ("NULL, 200, '{\"a\":[\"b\"]}'", "headers must be"),
            ("NULL, 200, '{\"a\":null}'", "headers must be"),
            ("NULL, 200, '{}', 5", "body must be"),
            ("NULL, 200, '{}', 1.5", "body must be"),
            ("NULL, NULL, '{\"a\":\"b\"}'", "no status"),
        ] {
            let text = client.refused(&format!("SELECT sync_put_response({arguments})"));
            assert!(
                text.starts_with("sync_put_response: ") && text.contains(words),
                "{arguments}: {text}"
            );
            assert_eq!(client.next(run).expect("a request"), request, "{arguments}");
        }
        for call in ["sync_next_request('x')", "sync_next_request(1.5)"] {
            let text = client.refused(&format!("SELECT {call}"));
            assert!(text.starts_with("sync_next_request: "), "{call}: {text}");
        }
        ends_well(&client, run);
    });
}

#[test]
fn headers_and_body_may_be_left_out_and_come_as_text_or_bytes() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        for arguments in [
            "500",
            "500.0",
            "500, NULL, NULL",
            "500, ''",
            "500, '{}', x'ff00'",
            "500, '{\"Retry-After\":1}', 'text'",
        ] {
            let run = open(&client);
            client.next(run).expect("a request");
            let answer = client.ask(&format!("SELECT sync_put_response({run}, {arguments})"));
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            assert_eq!(answer["error"]["status"], 500, "{arguments}: {answer}");
            client.is_idle();
        }
        let run = open(&client);
        ends_well(&client, run);
    });
}

#[test]
fn inside_a_transaction_both_are_refused_and_nothing_of_the_run_is_lost() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        if !server.sends_in_one_request() {
            return;
        }
        let client = with_work(case, &*server);
        for begin in ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s"] {
            client.exec(begin);
            let opened = client.try_sync("all", &["task"], json!({"transport": "host"}));
            no(opened, "transaction");
            client.exec("ROLLBACK");
        }
        let run = open(&client);
        client.exec("BEGIN");
        no(client.next(run), "transaction");
        client.exec("ROLLBACK");
        let request = client.next(run).expect("a request");
        let came = client.send(&request);
        client.exec("BEGIN IMMEDIATE; INSERT INTO task (id) VALUES ('m')");
        no(client.put(run, &came), "transaction");
        client.exec("COMMIT");
        // While a statement reads it is the same.
        {
            let mut reading = client.db.prepare("SELECT id FROM task").expect("SQL");
            let mut rows = reading.query([]).expect("rows");
            rows.next().expect("a row");
            no(client.put(run, &came), "still reading");
        }
        let next = client.put(run, &came).expect("the answer is still of use");
        assert_eq!(next["state"], "syncing", "{next}");
        if server.sends_first() {
            // What was written meanwhile comes after what was sent.
            client.exec("DELETE FROM task WHERE id = 'm'");
        }
        ends_well(&client, run);
        assert_eq!(server.asked().len(), 2, "nothing was sent again");
    });
}

#[test]
fn a_second_run_of_the_provider_is_refused_while_one_is_open() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = open(&client);
        for (instance, options) in [
            ("all", r#"{"transport":"host"}"#),
            ("other", r#"{"transport":"host"}"#),
            ("other", r#"{"transport":"http"}"#),
            ("other", "{}"),
        ] {
            let call =
                format!(r#"SELECT sync_entities('{instance}', 'api', '["list"]', '{options}')"#);
            let text = client.refused(&call);
            assert!(
                text.contains(&format!("run {run}")) && text.contains("sync_next_request"),
                "{text}"
            );
        }
        let text = client.refused("SELECT sync_check('api', '{\"entities\":[\"task\"]}')");
        assert!(text.contains(&format!("run {run}")), "{text}");
        assert_eq!(client.ask("SELECT count(*) FROM _syncRun"), "1");
        ends_well(&client, run);
        let run = open(&client);
        ends_well(&client, run);
    });
}

#[test]
fn another_connection_neither_drives_the_run_nor_begins_one_of_the_provider() {
    everywhere_over(&[Transport::Python], |case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let run = open(&client);
        let second = client.second();
        for call in [
            format!("sync_next_request({run})"),
            format!("sync_put_response({run}, 200)"),
        ] {
            let text = refused(&second, &format!("SELECT {call}"));
            assert!(
                text.contains("is not one that this connection drives"),
                "{text}"
            );
        }
        let text = refused(
            &second,
            r#"SELECT sync_entities('other', 'api', '["list"]')"#,
        );
        assert!(text.contains("another connection"), "{text}");
        // Whoever looks sees it.
        assert_eq!(
            ask(
                &second,
                "SELECT run, provider, instance, state FROM sync_progress"
            ),
            format!("{run}|api|all|running")
        );
        // Settling the work of the dead leaves it alone, for its owner lives.
        ask(&second, "SELECT sync_recover()");
        ends_well(&client, run);
    });
}

#[test]
fn runs_of_two_providers_go_on_side_by_side() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        if !server.sends_in_one_request() {
            return;
        }
        let client = with_work(case, &*server);
        client
            .db
            .query_row(
                "SELECT sync_provider('other', ?1)",
                [server.config().to_string()],
                |_| Ok(()),
            )
            .expect("sync_provider");
        let run = client.open("tasks", &["task"], json!({}));
        let other: Value =
            serde_json::from_str(&client.ask(
                r#"SELECT sync_entities('lists', 'other', '["list"]', '{"transport":"host"}')"#,
            ))
            .expect("JSON");
        let other = other["runId"].as_i64().expect("a run");
        for call in ["sync_next_request()", "sync_put_response(NULL, 200)"] {
            let text = client.refused(&format!("SELECT {call}"));
            assert!(text.contains("several runs"), "{text}");
        }
        let first = client.next(run).expect("a request");
        let second = client.next(other).expect("a request");
        let came = client.send(&second);
        let answer = client.put(other, &came).expect("an answer");
        assert_eq!(answer["state"], "synced", "{answer}");
        assert_eq!(client.next(run).expect("a request"), first);
        ends_well(&client, run);
    });
}

#[test]
fn a_request_without_an_answer_says_why() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        for why in ["the phone was in a tunnel", ""] {
            let run = open(&client);
            client.next(run).expect("a request");
            let answer = client.put(run, &Came::lost(why)).expect("an answer");
            assert_eq!(answer["error"]["class"], "network", "{answer}");
            let message = answer["error"]["message"].as_str().expect("a message");
            assert!(message.contains(why), "{message}");
            client.is_idle();
        }
        assert_eq!(client.pending(), "task|n|created|[]");
        let run = open(&client);
        ends_well(&client, run);
    });
}

#[test]
fn closing_the_connection_ends_the_run() {
    everywhere_over(&[Transport::Python], |case| {
        for asked in [false, true] {
            let server = case.server();
            let client = with_work(case, &*server);
            client.ask(r#"SELECT sync_start_scope('s', '["all"]')"#);
            let run = open(&client);
            if asked {
                client.next(run).expect("a request");
            }
            let remote = client.remote;
            let (world, db) = (client.world, client.db);
            let world = world.expect("a file");
            db.close().expect("closes");
            // It is settled for everybody, also for other processes, which see this one alive.
            assert_eq!(
                ask(
                    &world.plain(),
                    "SELECT (SELECT state FROM _syncRun), (SELECT count(*) FROM _syncLease), \
                     (SELECT DISTINCT state FROM _syncStatus)"
                ),
                "failed|0|failed"
            );
            let again = world.open();
            assert_eq!(
                ask(
                    &again,
                    "SELECT DISTINCT state || ' ' || error FROM _syncStatus"
                ),
                "failed interrupted: closed",
                "asked: {asked}"
            );
            assert_eq!(ask(&again, "SELECT state FROM _syncScope"), "interrupted");
            assert_eq!(
                ask(&again, "SELECT state, finishedAt IS NULL FROM _syncRun"),
                "failed|0"
            );
            assert_eq!(ask(&again, "SELECT count(*) FROM _syncLease"), "0");
            let pending = ask(&again, "SELECT \"table\", key, op FROM sync_pending");
            assert_eq!(remote.shown(pending), "task|n|created");
            let answer = support::remote::sync_over(&again, case.transport, "all", &["task"]);
            assert_eq!(answer.expect("an answer")["state"], "synced");
        }
    });
}

#[test]
fn options_that_make_no_sense_are_refused() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        for (options, words) in [
            (r#"{"transport":"pigeon"}"#, "transport must be"),
            (r#"{"transport":1}"#, "transport must be"),
            (
                r#"{"transport":"host","secrets":"shout"}"#,
                "secrets must be",
            ),
            (r#"{"transport":"host","background":true}"#, "background"),
            (r#"{"secrets":"names"}"#, "transport"),
        ] {
            let text = client.refused(&format!(
                r#"SELECT sync_entities('all', 'api', '["task"]', '{options}')"#
            ));
            assert!(text.contains(words), "{options}: {text}");
        }
        client.is_idle();
        assert_eq!(client.ask("SELECT count(*) FROM _syncRun"), "0");
    });
}

#[test]
fn a_sync_of_nothing_is_over_without_a_request() {
    everywhere_by_a_program(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        client.declare(&json!({"url": NOBODY}));
        let run = client.open("all", &[], json!({}));
        let answer = client.next(run).expect("an answer");
        assert_eq!(answer["state"], "synced", "{answer}");
        assert!(answer["finishedAt"].is_i64());
        client.is_idle();
    });
}
