//! Answers that are none, or come too late: nothing of them is applied.

use std::time::Duration;

use serde_json::{Value, json};
use support::remote::{Case, Client, On, Remote, Transport, Trouble, everywhere, everywhere_over};

/// Something waits to be sent, and several rows to be fetched.
fn with_work<'a>(case: &Case, server: &'a dyn Remote) -> Client<'a> {
    let rows: Vec<Value> = (0..20)
        .map(|n| json!({"id": format!("r{n}"), "title": "remote"}))
        .collect();
    server.put("task", &rows);
    let client = case.client(server);
    client.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
    client
}

fn nothing_was_applied(client: &Client<'_>) {
    assert_eq!(client.ask("SELECT id, title FROM task"), "n|new");
    assert_eq!(client.ask("SELECT count(*) FROM _syncCursor"), "0");
    client.nothing_was_sent("task|n|created|[]");
}

#[test]
fn an_answer_that_breaks_off_applies_nothing() {
    for bytes in [0, 1, 300] {
        everywhere(|case| {
            let server = case.server();
            let client = with_work(case, &*server);
            server.trouble(On::Download, &Trouble::Broken(bytes), None);
            let error = client.failed();
            assert_eq!(error["class"], "network", "{bytes}: {error}");
            nothing_was_applied(&client);
            server.behave();
            client.synced();
            client.is_at_rest();
        });
    }
}

#[test]
fn an_answer_that_is_no_whole_json_applies_nothing() {
    for trouble in [
        Trouble::Cut(0),
        Trouble::Cut(1),
        Trouble::Cut(300),
        Trouble::Garbage,
    ] {
        everywhere(|case| {
            let server = case.server();
            let client = with_work(case, &*server);
            server.trouble(On::Download, &trouble, None);
            let error = client.failed();
            assert_eq!(
                (&error["class"], &error["retryable"]),
                (&json!("protocol"), &json!(false)),
                "{trouble:?}: {error}"
            );
            nothing_was_applied(&client);
            server.behave();
            client.synced();
            client.is_at_rest();
        });
    }
}

#[test]
fn the_answer_to_an_upload_that_breaks_off_leaves_the_rows_pending() {
    everywhere(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        server.trouble(On::Upload, &Trouble::Broken(1), Some(1));
        let error = client.failed();
        assert_eq!(error["class"], "network", "{error}");
        assert_eq!(client.pending(), "task|n|created|[]");
        client.synced();
        client.synced();
        client.is_at_rest();
        assert_eq!(server.rows("task").len(), 21);
    });
}

#[test]
fn rows_of_a_table_nobody_has_heard_of_are_passed_over_with_a_warning() {
    everywhere(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        server.put("list", &[json!({"id": "l", "name": "x"})]);
        server.trouble(On::Download, &Trouble::Unheard("list"), None);
        let answer = client.synced();
        assert!(
            answer["warnings"].to_string().contains("unheard_of"),
            "{answer}"
        );
        assert_eq!(client.ask("SELECT count(*) FROM task"), "21");
        assert_eq!(client.ask("SELECT count(*) FROM list"), "0");
    });
}

#[test]
fn a_silent_server_is_waited_for_no_longer_than_said() {
    for on in [On::Download, On::Upload] {
        everywhere(|case| {
            let server = case.server();
            let mut client = with_work(case, &*server);
            if on == On::Upload {
                client.synced();
                client.exec("UPDATE task SET note = 'later' WHERE id = 'n'");
            }
            let pending = match on == On::Download && server.sends_first() {
                true => String::new(),
                false => client.pending(),
            };
            // Of the program's own patience syncscope hears only that no answer came.
            client.silence = Duration::from_millis(200);
            client.declare(&json!({"timeoutMs": 200}));
            server.trouble(on, &Trouble::Silent, None);
            let error = client.failed();
            assert_eq!(
                (&error["class"], &error["retryable"]),
                (&json!("network"), &json!(true)),
                "{error}"
            );
            if case.transport == Transport::Http {
                assert!(error["message"].to_string().contains("200"), "{error}");
            }
            assert_eq!(client.pending(), pending);
        });
    }
}

#[test]
fn the_whole_of_a_request_has_a_limit_too() {
    everywhere_over(&[Transport::Http], |case| {
        let server = case.server();
        let client = with_work(case, &*server);
        client.declare(&json!({"totalTimeoutMs": 300, "attempts": 100}));
        server.trouble(On::Download, &Trouble::Silent, None);
        let error = client.failed();
        assert_eq!(error["class"], "network", "{error}");
        assert!(error["message"].to_string().contains("300"), "{error}");
        nothing_was_applied(&client);
    });
}

#[test]
fn an_answer_that_is_larger_than_allowed_is_refused() {
    everywhere(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        client.declare(&json!({"maxResponseBytes": 200}));
        let error = client.failed();
        assert_eq!(error["class"], "protocol", "{error}");
        assert!(error["message"].to_string().contains("200"), "{error}");
        nothing_was_applied(&client);
    });
}
