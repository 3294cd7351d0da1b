//! Secrets: they open the door, and are written nowhere, whatever the server does with them.

use serde_json::{Value, json};
use support::remote::{Came, Client, On, Transport, Trouble, everywhere, everywhere_over};
use support::{Listener, file_holds};

const TOKEN: &str = "hunter2-5f3a9c-token";
const REPEATED: &str = "no entry with hunter2-5f3a9c-token, and Bearer hunter2-5f3a9c-token, here";

fn secret(client: &Client<'_>, name: &str, value: &str) {
    let origin = client.remote.origin();
    client.ask(&format!(
        "SELECT sync_secret('{name}', '{value}', '{origin}')"
    ));
}

/// The secret is in no file, table, or answer.
fn written_nowhere(client: &Client<'_>, answers: &[&Value]) {
    for answer in answers {
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
    }
    let tables = client.ask(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '\\_sync%' ESCAPE '\\'",
    );
    let lenses = "sync_status\nsync_scope\nsync_log\nsync_pending";
    for table in tables.lines().chain(lenses.lines()) {
        let rows = client.ask(&format!("SELECT * FROM {table}"));
        assert!(!rows.contains("hunter2"), "{table}");
    }
    assert!(!client.ask("SELECT sync_debug()").contains("hunter2"));
    if let Some(world) = &client.world {
        client.exec("PRAGMA wal_checkpoint");
        assert!(!file_holds(&world.path(), "hunter2"), "it is in the file");
    }
}

#[test]
fn a_secret_opens_the_door_and_is_written_nowhere() {
    everywhere(|case| {
        let server = case.guarded(TOKEN);
        let client = case.client(&*server);
        client.declare(&json!({"token": "main", "secretHeaders": {"X-Api-Key": "key"}}));
        secret(&client, "main", TOKEN);
        secret(&client, "key", "hunter2-key");
        client.exec("INSERT INTO task (id) VALUES ('a')");
        let answer = client.synced();
        client.is_at_rest();
        let bearer = format!("Bearer {TOKEN}");
        for asked in server.asked() {
            assert_eq!(asked.header("authorization"), Some(bearer.as_str()));
            assert_eq!(asked.header("x-api-key"), Some("hunter2-key"));
            assert!(!asked.target.contains("hunter2"));
        }
        written_nowhere(&client, &[&answer]);
    });
}

#[test]
fn a_wrong_token_is_an_auth_failure_and_a_new_one_helps() {
    everywhere(|case| {
        let server = case.guarded(TOKEN);
        let client = case.client(&*server);
        client.declare(&json!({"token": "main"}));
        secret(&client, "main", "hunter2-wrong");
        let error = client.failed();
        assert_eq!(
            (&error["class"], &error["status"]),
            (&json!("auth"), &json!(401)),
            "{error}"
        );
        secret(&client, "main", TOKEN);
        client.synced();
        written_nowhere(&client, &[&error]);
    });
}

#[test]
fn a_secret_that_is_not_set_or_of_another_origin_ends_the_sync_without_a_request() {
    everywhere(|case| {
        let server = case.guarded(TOKEN);
        let client = case.client(&*server);
        client.declare(&json!({"token": "main"}));
        let error = client.failed();
        assert_eq!(error["code"], "SYNC_ERROR_AUTH", "{error}");
        let message = error["message"].to_string();
        assert!(
            message.contains("main") && message.contains("sync_secret"),
            "{message}"
        );
        let elsewhere = Listener::start(|_, _| {});
        let origin = elsewhere.origin();
        client.ask(&format!(
            "SELECT sync_secret('main', '{TOKEN}', '{origin}')"
        ));
        let error = client.failed();
        assert_eq!(
            (&error["class"], &error["code"], &error["retryable"]),
            (&json!("auth"), &json!("SYNC_ERROR_AUTH"), &json!(false)),
            "{error}"
        );
        let message = error["message"].to_string();
        assert!(
            message.contains(&origin) && message.contains(&server.origin()),
            "{message}"
        );
        assert!(server.asked().is_empty());
        assert_eq!(elsewhere.connections(), 0);
        written_nowhere(&client, &[&error]);
        // Forgotten again.
        secret(&client, "main", TOKEN);
        client.synced();
        assert_eq!(client.ask("SELECT sync_secret('main', NULL)"), "1");
        assert_eq!(client.failed()["class"], "auth");
    });
}

#[test]
fn a_server_that_repeats_the_secret_does_not_get_it_written() {
    everywhere(|case| {
        let server = case.server();
        if !server.sends_in_one_request() {
            return;
        }
        let client = case.client(&*server);
        client.declare(&json!({"token": "main"}));
        secret(&client, "main", TOKEN);
        client.exec("INSERT INTO task (id) VALUES ('a')");
        for on in [On::Download, On::Upload] {
            for status in [400, 401, 409, 500] {
                client.exec("UPDATE task SET n = coalesce(n, 0) + 1");
                server.trouble(on, &Trouble::Refused(status, REPEATED), None);
                let answer = client.sync();
                server.behave();
                assert_eq!(answer["state"], "failed", "{answer}");
                let message = answer["error"]["message"].to_string();
                assert!(message.contains("no entry with"), "{message}");
                written_nowhere(&client, &[&answer]);
            }
        }
        client.synced();
    });
}

#[test]
fn by_name_the_program_fills_the_secrets_in_itself() {
    everywhere_over(&[Transport::Python, Transport::Memory], |case| {
        let server = case.guarded(TOKEN);
        if !server.sends_in_one_request() {
            return;
        }
        let client = case.client(&*server);
        client.declare(&json!({"token": "main", "secretHeaders": {"X-Api-Key": "a key"}}));
        client.exec("INSERT INTO task (id) VALUES ('a')");
        // syncscope need not know them.
        let run = client.open("all", &["list", "task"], json!({"secrets": "names"}));
        let mut next = client.next(run).expect("a request");
        let mut requests = 0;
        while next["finishedAt"].is_null() {
            assert!(!next.to_string().contains("hunter2"), "{next}");
            assert_eq!(next["headers"]["Authorization"], "Bearer {secret:main}");
            assert_eq!(next["headers"]["X-Api-Key"], "{secret:a key}");
            let filled = next
                .to_string()
                .replace("{secret:main}", TOKEN)
                .replace("{secret:a key}", "hunter2-key");
            let filled: Value = serde_json::from_str(&filled).expect("JSON");
            next = client
                .put_and_next(run, &client.send(&filled))
                .expect("an answer");
            requests += 1;
        }
        assert_eq!((&next["state"], requests), (&json!("synced"), 2), "{next}");
        assert_eq!(server.asked()[0].header("x-api-key"), Some("hunter2-key"));
        client.is_at_rest();
        written_nowhere(&client, &[&next]);
    });
}

/// A program renews its sign-in while a request is out; the answer to that still repeats the old one.
#[test]
fn a_secret_that_was_replaced_meanwhile_is_written_nowhere_either() {
    everywhere_over(&[Transport::Python, Transport::Memory], |case| {
        let server = case.server();
        let client = case.client(&*server);
        client.declare(&json!({"token": "main"}));
        secret(&client, "main", TOKEN);
        let run = client.open("all", &["list", "task"], json!({}));
        client.next(run).expect("a request");
        secret(&client, "main", "hunter2-the-new-one");
        let said = format!("{REPEATED}; hunter2-the-new-one is another");
        let came = Came::answer(401, &json!({ "message": said }).to_string());
        let answer = client.put(run, &came).expect("an answer");
        assert!(answer.to_string().contains("[secret]"), "{answer}");
        written_nowhere(&client, &[&answer]);
    });
}

#[test]
fn by_default_the_program_gets_them_as_they_are_sent() {
    everywhere_over(&[Transport::Python, Transport::Memory], |case| {
        let server = case.guarded(TOKEN);
        let client = case.client(&*server);
        client.declare(&json!({"token": "main"}));
        secret(&client, "main", TOKEN);
        for more in [json!({}), json!({"secrets": "values"})] {
            let run = client.open("all", &["list", "task"], more);
            let request = client.next(run).expect("a request");
            assert_eq!(
                request["headers"]["Authorization"],
                format!("Bearer {TOKEN}"),
                "{request}"
            );
            let answer = client.drive(run, |_| {}).expect("an answer");
            assert_eq!(answer["state"], "synced", "{answer}");
            written_nowhere(&client, &[&answer]);
        }
    });
}
