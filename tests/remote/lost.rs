//! Answers that never came: nothing is lost, and nothing is there twice.

use serde_json::json;
use support::remote::{Case, Client, On, Remote, Trouble, everywhere};

/// A client with a row made, one changed and one deleted, whose upload got no answer. `done`: the server took it.
fn after_a_lost_upload<'a>(case: &Case, server: &'a dyn Remote, done: bool) -> Client<'a> {
    server.put(
        "task",
        &[
            json!({"id": "u", "title": "old", "n": 1}),
            json!({"id": "d", "title": "goes"}),
        ],
    );
    let client = case.client(server);
    client.synced();
    client.exec(
        "INSERT INTO task (id, title, note) VALUES ('c', 'made', 'x');
         UPDATE task SET title = 'mine' WHERE id = 'u'; DELETE FROM task WHERE id = 'd'",
    );
    server.trouble(On::Upload, &Trouble::Lost { done }, Some(1));
    let error = client.failed();
    assert_eq!(
        (&error["class"], &error["retryable"]),
        (&json!("network"), &json!(true)),
        "{error}"
    );
    assert_eq!(server.rows("task").iter().any(|row| row["id"] == "c"), done);
    assert_eq!(
        client.pending(),
        "task|c|created|[]\ntask|d|deleted|NULL\ntask|u|updated|[\"title\"]"
    );
    server.forget();
    client
}

/// Rows of the server by id and title.
fn titles(server: &dyn Remote) -> String {
    let rows = server.rows("task");
    let lines: Vec<String> = rows
        .iter()
        .map(|row| format!("{}|{}", row["id"], row["title"]).replace('"', ""))
        .collect();
    lines.join("\n")
}

#[test]
fn an_upload_that_never_arrived_goes_up_again() {
    everywhere(|case| {
        let server = case.server();
        let client = after_a_lost_upload(case, &*server, false);
        let answer = client.synced();
        assert_eq!(answer["pushed"], 3, "{answer}");
        client.is_at_rest();
        assert_eq!(titles(&*server), "c|made\nu|mine");
        assert_eq!(client.ask("SELECT count(*) FROM sync_conflict"), "0");
    });
}

#[test]
fn an_upload_that_arrived_is_known_by_what_comes_back() {
    everywhere(|case| {
        let server = case.server();
        let client = after_a_lost_upload(case, &*server, true);
        client.synced();
        client.synced();
        client.is_at_rest();
        assert_eq!(titles(&*server), "c|made\nu|mine");
        assert_eq!(client.ask("SELECT count(*) FROM sync_conflict"), "0");
    });
}

#[test]
fn rows_edited_after_a_lost_upload_go_up_as_they_are_then() {
    for done in [false, true] {
        everywhere(|case| {
            let server = case.server();
            let client = after_a_lost_upload(case, &*server, done);
            client.exec(
                "UPDATE task SET title = 'later' WHERE id = 'c'; UPDATE task SET n = 5 WHERE id = 'u';
                 INSERT INTO task (id, title) VALUES ('d', 'again')",
            );
            client.synced();
            client.synced();
            client.is_at_rest();
            assert_eq!(titles(&*server), "c|later\nd|again\nu|mine", "done: {done}");
            assert_eq!(client.ask("SELECT n FROM task WHERE id = 'u'"), "5");
        });
    }
}

#[test]
fn rows_deleted_after_a_lost_upload_are_deleted_there() {
    for done in [false, true] {
        everywhere(|case| {
            let server = case.server();
            let client = after_a_lost_upload(case, &*server, done);
            client.exec("DELETE FROM task");
            let shown = client.ask("SELECT key FROM sync_pending WHERE op = 'deleted' ORDER BY 1");
            match done || server.sends_in_one_request() {
                true => assert_eq!(shown, "c\nd\nu"),
                // The one that was made is known not to have arrived.
                false => assert_eq!(shown, "d\nu"),
            }
            client.synced();
            client.synced();
            client.is_at_rest();
            assert_eq!(titles(&*server), "", "done: {done}");
        });
    }
}

#[test]
fn a_row_that_somebody_else_changed_after_a_lost_upload_takes_the_change() {
    everywhere(|case| {
        let server = case.server();
        let client = after_a_lost_upload(case, &*server, true);
        server.put("task", &[json!({"id": "c", "title": "theirs"})]);
        client.synced();
        client.synced();
        client.is_at_rest();
        assert_eq!(titles(&*server), "c|theirs\nu|mine");
    });
}

#[test]
fn a_lost_answer_to_a_pull_changes_nothing() {
    for done in [false, true] {
        everywhere(|case| {
            let server = case.server();
            server.put("task", &[json!({"id": "r", "title": "remote"})]);
            let client = case.client(&*server);
            client.exec("INSERT INTO task (id, title) VALUES ('n', 'new')");
            server.trouble(On::Download, &Trouble::Lost { done }, Some(1));
            let error = client.failed();
            assert_eq!(error["class"], "network", "{error}");
            assert_eq!(client.ask("SELECT id FROM task"), "n");
            // Without a pull nothing is pushed.
            client.nothing_was_sent("task|n|created|[]");
            client.synced();
            client.is_at_rest();
        });
    }
}
