//! Rows and requests that the server does not take.

use serde_json::json;
use support::remote::{Case, Client, On, Remote, Trouble, everywhere};

/// Something waits to be sent, and something to be fetched.
fn with_work<'a>(case: &Case, server: &'a dyn Remote) -> Client<'a> {
    server.put(
        "task",
        &[
            json!({"id": "u", "title": "old"}),
            json!({"id": "d", "title": "goes"}),
        ],
    );
    let client = case.client(server);
    work(&client);
    client
}

/// Makes work for a client that has none.
fn work(client: &Client<'_>) {
    client.remote.put(
        "task",
        &[
            json!({"id": "d", "title": "goes"}),
            json!({"id": "r", "title": "before"}),
        ],
    );
    client.exec("DELETE FROM task WHERE id IN ('c', 'ok')");
    client.synced();
    client.exec(
        "INSERT INTO task (id, title) VALUES ('c', 'made'), ('ok', 'made');
         UPDATE task SET title = title || '+' WHERE id = 'u'; DELETE FROM task WHERE id = 'd'",
    );
    client
        .remote
        .put("task", &[json!({"id": "r", "title": "remote"})]);
    client.remote.forget();
}

const WAITING: &str =
    "task|c|created|[]\ntask|d|deleted|NULL\ntask|ok|created|[]\ntask|u|updated|[\"title\"]";

const SAID: &str = "because of the weather";

#[test]
fn rejected_rows_stay_pending_with_their_reason_and_the_others_settle() {
    everywhere(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        client.exec("INSERT INTO list VALUES ('c', 'of the same id'), ('l', 'x')");
        let trouble = Trouble::Rejected(vec![
            ("task", "c", "too short"),
            ("task", "d", "still needed"),
            ("task", "u", "not yours"),
        ]);
        server.trouble(On::Upload, &trouble, None);
        let answer = client.synced();
        assert_eq!(
            (&answer["pushed"], &answer["rejected"]),
            (&json!(3), &json!(3)),
            "{answer}"
        );
        assert_eq!(
            client.pending(),
            "task|c|created|[]\ntask|d|deleted|NULL\ntask|u|updated|[\"title\"]"
        );
        let reasons =
            ["too short", "still needed", "not yours"].map(|one| server.shown_reason(one));
        assert_eq!(
            client.ask("SELECT key, rejected FROM sync_pending ORDER BY key"),
            format!("c|{}\nd|{}\nu|{}", reasons[0], reasons[1], reasons[2])
        );
        assert_eq!(
            client.ask("SELECT pk, kind, reason FROM _syncRejected ORDER BY pk"),
            format!(
                "c|created|{}\nd|deleted|{}\nu|updated|{}",
                reasons[0], reasons[1], reasons[2]
            )
        );
        assert!(server.rows("task").iter().any(|row| row["id"] == "ok"));
        // They are tried again each time, where that is no refusal for good; one that is deleted here is forgotten.
        if !server.sends_in_one_request() {
            return;
        }
        server.forget();
        client.exec("DELETE FROM task WHERE id = 'c'");
        client.synced();
        // All at once, or each alone.
        let again = server.pushed().concat().into_iter();
        let again: Vec<String> = again.map(|sent| sent.id).collect();
        assert_eq!(again, ["u", "d"]);
        server.behave();
        client.synced();
        client.synced();
        client.is_at_rest();
        assert_eq!(client.ask("SELECT count(*) FROM _syncRejected"), "0");
        // A row made anew under the key is another story.
        client.exec("INSERT INTO task (id) VALUES ('c')");
        assert_eq!(
            client.ask("SELECT key, rejected FROM sync_pending"),
            "c|NULL"
        );
    });
}

#[test]
fn an_upload_that_is_refused_leaves_everything_pending_and_speaks_of_itself() {
    everywhere(|case| {
        let server = case.server();
        if !server.sends_in_one_request() {
            return;
        }
        let client = with_work(case, &*server);
        for (status, class, retryable, words) in [
            (400, "server", false, "refused the request"),
            (401, "auth", false, "sync_secret"),
            (403, "auth", false, "rights"),
            (409, "server", true, "upload"),
            (413, "server", false, "upload"),
            (429, "server", true, "less often"),
            (500, "server", true, "has a problem"),
        ] {
            server.trouble(On::Upload, &Trouble::Refused(status, SAID), None);
            let error = client.failed();
            let message = error["message"].as_str().expect("a message");
            assert_eq!(
                (&error["class"], &error["status"], &error["retryable"]),
                (&json!(class), &json!(status), &json!(retryable)),
                "{error}"
            );
            assert!(
                message.contains(words) && message.contains(SAID),
                "{message}"
            );
            assert!(!message.contains("this pull"), "{message}");
            assert_eq!(client.pending(), WAITING, "{status}");
            // What was pulled before stays.
            let pulled = client.ask("SELECT title FROM task WHERE id = 'r'");
            assert!(pulled == "remote" || !server.pulls_first(), "{status}");
            assert!(!server.pushed().is_empty(), "{status}");
            server.behave();
            client.synced();
            client.is_at_rest();
            assert_eq!(server.rows("task").len(), 4, "{status}");
            work(&client);
        }
    });
}

#[test]
fn a_pull_that_is_refused_changes_nothing_and_never_speaks_of_an_upload() {
    everywhere(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        if !server.pulls_first() {
            // Else what waits would go up before.
            client.ask("SELECT sync_pause('uploads', 'api')");
        }
        for (status, class, retryable) in [
            (400, "server", false),
            (401, "auth", false),
            (403, "auth", false),
            (404, "server", false),
            (408, "server", true),
            (409, "server", true),
            (413, "server", false),
            (429, "server", true),
            (500, "server", true),
            (503, "server", true),
        ] {
            server.trouble(On::Download, &Trouble::Refused(status, SAID), None);
            let error = client.failed();
            let message = error["message"].as_str().expect("a message");
            assert_eq!(
                (&error["class"], &error["status"], &error["retryable"]),
                (&json!(class), &json!(status), &json!(retryable)),
                "{error}"
            );
            let code = match class {
                "auth" => "SYNC_ERROR_AUTH",
                _ => "SYNC_ERROR_HTTP",
            };
            assert_eq!(error["code"], code, "{error}");
            assert!(!message.contains("upload"), "{message}");
            assert!(message.contains(SAID), "{message}");
            assert_eq!(client.pending(), WAITING, "{status}");
            let pulled = client.ask("SELECT title FROM task WHERE id = 'r'");
            assert_eq!(pulled, "before", "{status}");
            assert_eq!(server.asked().len(), 1, "{status}: it is not asked again");
            server.behave();
            server.forget();
        }
        client.ask("SELECT sync_resume('all')");
        client.synced();
        client.is_at_rest();
        assert_eq!(
            client.ask("SELECT title FROM task WHERE id = 'r'"),
            "remote"
        );
    });
}

#[test]
fn an_upload_that_is_refused_once_because_of_somebody_else_s_edit_goes_up_after_a_pull() {
    everywhere(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        let trouble = Trouble::Refused(409, SAID);
        server.trouble(On::Upload, &trouble, Some(1));
        // At once, or with the next sync: that is the kind's own affair.
        client.sync();
        client.synced();
        client.is_at_rest();
    });
}

#[test]
fn a_sync_that_failed_shows_in_its_scope_until_one_succeeds() {
    everywhere(|case| {
        let server = case.server();
        let client = with_work(case, &*server);
        client.ask("SELECT sync_start_scope('s', '[\"all\"]')");
        server.trouble(On::Download, &Trouble::Refused(500, SAID), Some(1));
        let error = client.failed();
        assert_eq!(support::scopes::scope(&client.db, "s"), "failed 0/0/1/0");
        let shown =
            client.ask("SELECT json_extract(details, '$.failures[0].error') FROM _syncScope");
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("an error object");
        assert_eq!(shown, error);
        client.synced();
        assert_eq!(support::scopes::scope(&client.db, "s"), "synced 0/0/0/1");
        assert_eq!(
            client.ask("SELECT count(*) FROM _syncStatus WHERE error IS NOT NULL"),
            "0"
        );
    });
}
