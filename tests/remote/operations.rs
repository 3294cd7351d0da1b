//! One thing at a time: `sync_upload_once`, `sync_download_once`, `sync_download_all`, `sync_once`; and pauses.

use serde_json::{Value, json};
use support::remote::{
    Client, On, Remote, Transport, Trouble, everywhere, everywhere_in_a_file, everywhere_over, hold,
};

fn uploads(server: &dyn Remote) -> usize {
    let asked = server.asked();
    asked.iter().filter(|asked| asked.on == On::Upload).count()
}

/// The members of an answer that count changes.
fn sums(answer: &Value) -> Value {
    json!([
        answer["total"],
        answer["applied"],
        answer["conflict"],
        answer["invalid"],
        answer["materializeError"]
    ])
}

fn titles(client: &Client<'_>) -> String {
    client.ask("SELECT id, title FROM task ORDER BY id")
}

#[test]
fn an_upload_sends_what_is_pending_and_says_what_became_of_it() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.exec("INSERT INTO task (id, title) VALUES ('t1', 'Dig'), ('t2', 'Sow'); INSERT INTO list (id, name) VALUES ('l1', 'Garden')");
        let answer = client.operation("sync_upload_once");
        assert_eq!(sums(&answer), json!([3, 3, 0, 0, 0]), "{answer}");
        assert_eq!(
            (
                &answer["invalidReasons"],
                &answer["firstErrorMessage"],
                &answer["paused"],
                &answer["error"]
            ),
            (&json!({}), &Value::Null, &json!(false), &Value::Null)
        );
        assert_eq!(client.run("goal, state"), "upload|synced");
        client.is_at_rest();
        client.is_idle();
    });
}

#[test]
fn an_upload_of_nothing_asks_nobody() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        let answer = client.operation("sync_upload_once");
        assert_eq!(sums(&answer), json!([0, 0, 0, 0, 0]), "{answer}");
        assert_eq!(server.asked().len(), 0);
    });
}

#[test]
fn an_upload_counts_what_the_server_did_not_take_and_why() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.exec("INSERT INTO task (id, title) VALUES ('t1', 'Dig'), ('t2', 'Sow')");
        let times = server.sends_in_one_request().then_some(1);
        server.trouble(
            On::Upload,
            &Trouble::Rejected(vec![("task", "t2", "not today")]),
            times,
        );
        let answer = client.operation("sync_upload_once");
        let reason = server.shown_reason("not today");
        assert_eq!(sums(&answer), json!([2, 1, 0, 1, 0]), "{answer}");
        if server.sends_in_one_request() {
            assert_eq!(answer["invalidReasons"], json!({reason.as_str(): 1}));
        }
        assert!(
            answer["firstErrorMessage"]
                .as_str()
                .expect("words")
                .contains(&reason),
            "{answer}"
        );
        assert_eq!(client.ask("SELECT key FROM sync_pending"), "t2");
    });
}

#[test]
fn an_upload_that_fails_loses_nothing() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.exec("INSERT INTO task (id, title) VALUES ('t1', 'Dig')");
        server.trouble(On::Upload, &Trouble::Refused(500, "down"), None);
        let answer = client
            .try_operation("sync_upload_once", json!({}))
            .expect("an answer");
        assert_eq!(
            (&answer["state"], &answer["error"]["status"]),
            (&json!("failed"), &json!(500)),
            "{answer}"
        );
        assert_eq!(sums(&answer), json!([0, 0, 0, 0, 0]), "{answer}");
        client.is_idle();
        server.behave();
        assert_eq!(client.operation("sync_upload_once")["applied"], 1);
        client.is_at_rest();
    });
}

#[test]
fn a_download_brings_rows_and_sends_none() {
    everywhere(|case| {
        let server = case.server();
        server.put(
            "task",
            &[
                json!({"id": "t1", "title": "Dig"}),
                json!({"id": "t2", "title": "Sow"}),
            ],
        );
        let client = case.client(&*server);
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        for function in ["sync_download_once", "sync_download_all"] {
            let answer = client.operation(function);
            let first = function == "sync_download_once";
            assert_eq!(answer["applied"], if first { 2 } else { 0 }, "{answer}");
            assert!(answer["nextSeq"].is_number(), "{answer}");
            assert_eq!(
                answer.get("hasMore"),
                first.then_some(&json!(false)),
                "{answer}"
            );
            assert_eq!(uploads(&*server), 0);
        }
        assert_eq!(titles(&client), "n1|New\nt1|Dig\nt2|Sow");
        assert_eq!(client.ask("SELECT key FROM sync_pending"), "n1");
        assert_eq!(client.run("goal"), "hydrate");
    });
}

#[test]
fn both_at_once_say_how_many_rows_went_each_way() {
    everywhere(|case| {
        let server = case.server();
        server.put("task", &[json!({"id": "t1", "title": "Dig"})]);
        let client = case.client(&*server);
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        let answer = client.operation("sync_once");
        assert_eq!(answer["downloaded"], 1, "{answer}");
        assert_eq!(sums(&answer["upload"]), json!([1, 1, 0, 0, 0]), "{answer}");
        client.is_at_rest();
    });
}

#[test]
fn line_8_paused_uploads_send_nothing_and_go_up_once_when_resumed() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        assert_eq!(
            client.ask("SELECT sync_pause('uploads', 'api')"),
            r#"{"api":{"uploads":true,"downloads":false}}"#
        );
        client.exec(
            "INSERT INTO task (id, title) VALUES ('n1', 'New'); UPDATE task SET title = 'Newer'",
        );
        let answer = client.operation("sync_upload_once");
        assert_eq!(
            (&answer["paused"], sums(&answer)),
            (&json!(true), json!([0, 0, 0, 0, 0]))
        );
        assert_eq!(server.asked().len(), 0);
        server.put("task", &[json!({"id": "t1", "title": "Dig"})]);
        assert_eq!(client.operation("sync_once")["downloaded"], 1);
        client.synced();
        assert_eq!(uploads(&*server), 0);
        assert_eq!(client.ask("SELECT key, op FROM sync_pending"), "n1|created");
        assert_eq!(
            client.ask("SELECT sync_resume('all')"),
            r#"{"api":{"uploads":false,"downloads":false}}"#
        );
        assert_eq!(client.operation("sync_upload_once")["total"], 1);
        assert!(uploads(&*server) == 1 || !server.sends_in_one_request());
        client.synced();
        client.is_at_rest();
    });
}

#[test]
fn line_8_paused_downloads_ask_for_nothing_and_uploads_go_on() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        server.put("task", &[json!({"id": "t0", "title": "Sow"})]);
        client.synced();
        let cursor = client.operation("sync_download_all")["nextSeq"].clone();
        client.ask("SELECT sync_pause('downloads')");
        server.put("task", &[json!({"id": "t1", "title": "Dig"})]);
        server.forget();
        for operation in ["sync_download_once", "sync_download_all", "sync_hydrate"] {
            let answer = client.operation(operation);
            assert_eq!(
                (&answer["paused"], &answer["applied"], &answer["nextSeq"]),
                (&json!(true), &json!(0), &cursor),
                "{answer}"
            );
        }
        assert_eq!(server.asked().len(), 0);
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        assert_eq!(client.operation("sync_once")["upload"]["applied"], 1);
        assert!(server.asked().iter().all(|asked| asked.on == On::Upload));
        assert_eq!(titles(&client), "n1|New\nt0|Sow");
        client.ask("SELECT sync_resume('downloads', 'api')");
        client.synced();
        client.is_at_rest();
    });
}

#[test]
fn line_8_a_pause_is_kept_in_the_file_and_can_end_by_itself() {
    everywhere_in_a_file(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.ask("SELECT sync_pause('all', 'api', '{\"forMs\":3600000}')");
        let other = client.second();
        assert_eq!(
            support::ask(
                &other,
                "SELECT what, until > since, automaticOnly FROM _syncPause ORDER BY 1"
            ),
            "downloads|1|0\nuploads|1|0"
        );
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        assert_eq!(client.operation("sync_once")["paused"], true);
        assert_eq!(server.asked().len(), 0);
        client.exec("UPDATE _syncPause SET until = 1");
        assert_eq!(client.operation("sync_once")["paused"], false);
        client.ask("SELECT sync_pause('all', 'api', '{\"automaticOnly\":true}')");
        client.exec("INSERT INTO task (id, title) VALUES ('n2', 'Newer')");
        assert_eq!(client.operation("sync_once")["upload"]["applied"], 1);
        client.is_at_rest();
    });
}

#[test]
fn a_wrong_operation_is_refused() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        for (sql, words) in [
            (
                "SELECT sync_pause('up', 'api')",
                "what must be 'uploads', 'downloads' or 'all', not 'up'",
            ),
            (
                "SELECT sync_pause('all', 'nobody')",
                "provider 'nobody' is not declared",
            ),
            (
                "SELECT sync_upload_once('nobody')",
                "provider 'nobody' is not declared",
            ),
            (
                "SELECT sync_once('api', '{\"entities\":[\"nothing\"]}')",
                "is not tracked",
            ),
            ("SELECT sync_once('api', '{\"entitys\":[]}')", "entities"),
            ("SELECT sync_provider('local', '{\"kind\":\"host\"}'); ", ""),
        ] {
            match words {
                "" => drop(client.ask(sql)),
                words => {
                    let error = client.refused(sql);
                    assert!(error.contains(words), "{sql}: {error}");
                }
            }
        }
        assert!(
            client
                .refused("SELECT sync_once('local')")
                .contains("whose data your program moves")
        );
        client.exec("BEGIN");
        assert!(
            client
                .refused("SELECT sync_upload_once('api')")
                .contains("open transaction")
        );
        client.exec("ROLLBACK");
        assert_eq!(server.asked().len(), 0);
        client.is_idle();
    });
}

fn peer(client: &Client<'_>, columns: &str) -> String {
    client.ask(&format!(
        "SELECT {columns} FROM sync_peer WHERE provider = 'api'"
    ))
}

#[test]
fn how_things_stand_is_seen_in_one_row() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        let none = "NULL|NULL|NULL|NULL";
        let marks = "lastSuccessAt, lastErrorAt, lastError, cursor";
        assert_eq!(peer(&client, "state, pending"), "idle|0");
        assert_eq!(peer(&client, marks), none);
        client.synced();
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New'), ('n2', 'Newer'); DELETE FROM task WHERE id = 'n2'");
        assert_eq!(
            peer(
                &client,
                "state, pending, inFlight, rejected, held, conflicts, paused"
            ),
            "idle|1|0|0|0|0|NULL"
        );
        assert_eq!(
            peer(
                &client,
                "lastSuccessAt > 0, lastErrorAt, lastError, cursor IS NOT NULL"
            ),
            "1|NULL|NULL|1"
        );
        for (trouble, state) in [
            (Trouble::Lost { done: false }, "offline"),
            (Trouble::Refused(503, "down"), "offline"),
            (Trouble::Refused(401, "who"), "needs-auth"),
            (Trouble::Garbage, "blocked"),
        ] {
            server.trouble(On::Download, &trouble, None);
            client.sync();
            let context = format!("{trouble:?}");
            assert_eq!(
                peer(&client, "state, pending"),
                format!("{state}|{}", i32::from(server.pulls_first())),
                "{context}"
            );
            assert_eq!(
                peer(
                    &client,
                    "lastErrorAt >= lastSuccessAt, lastError ->> 'class' IS NOT NULL"
                ),
                "1|1",
                "{context}"
            );
            server.behave();
        }
        client.ask("SELECT sync_pause('uploads', 'api')");
        assert_eq!(peer(&client, "state, paused"), "paused|uploads");
        client.ask("SELECT sync_pause('all', 'api')");
        assert_eq!(peer(&client, "state, paused"), "paused|all");
        client.ask("SELECT sync_resume('all', 'api')");
        // It may have gone up before the pulls that went wrong.
        client.exec("UPDATE task SET title = 'Once more' WHERE id = 'n1'");
        let times = server.sends_in_one_request().then_some(1);
        server.trouble(
            On::Upload,
            &Trouble::Rejected(vec![("task", "n1", "not today")]),
            times,
        );
        client.synced();
        assert_eq!(peer(&client, "state, pending, rejected"), "idle|1|1");
        // What went wrong last is still known.
        assert_eq!(peer(&client, "lastError IS NOT NULL"), "1");
    });
}

#[test]
fn o4_one_can_wait_for_a_run_and_until_all_is_here_and_there() {
    everywhere_over(&[Transport::Http], |case| {
        let server = case.server();
        server.put("task", &[json!({"id": "t1", "title": "Dig"})]);
        let client = case.client(&*server);
        let wait = |sql: &str| -> Value {
            serde_json::from_str(&client.ask(&format!("SELECT {sql}"))).expect("JSON")
        };
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        let answer = wait("sync_wait_current('api', 5000)");
        assert_eq!(
            (&answer["current"], &answer["pending"], &answer["state"]),
            (&json!(true), &json!(0), &json!("synced")),
            "{answer}"
        );
        client.is_at_rest();
        // Without time nothing is asked, and nobody knows.
        server.forget();
        let answer = wait("sync_wait_current('api', 0)");
        assert_eq!(
            (&answer["current"], &answer["timedOut"]),
            (&json!(false), &json!(true)),
            "{answer}"
        );
        assert_eq!(server.asked().len(), 0);
        // A run that goes on in another thread.
        let held = hold(&*server, On::Upload);
        client.exec("INSERT INTO task (id, title) VALUES ('n2', 'Newer')");
        let begun = wait("sync_once('api', '{\"background\":true}')");
        held.wait();
        let run = &begun["runId"];
        let answer = wait(&format!("sync_wait({run}, 0)"));
        assert_eq!(
            (&answer["state"], &answer["timedOut"]),
            (&json!("running"), &json!(true)),
            "{answer}"
        );
        let answer = wait("sync_wait_current('api', 50)");
        assert_eq!(
            (&answer["current"], &answer["timedOut"], &answer["pending"]),
            (&json!(false), &json!(true), &json!(1)),
            "{answer}"
        );
        held.release();
        let answer = wait(&format!("sync_wait({run}, 60000)"));
        assert_eq!(
            (&answer["state"], &answer["upload"]["applied"]),
            (&json!("synced"), &json!(1)),
            "{answer}"
        );
        // What can't be is said.
        client.exec("INSERT INTO task (id, title) VALUES ('n3', 'No')");
        server.trouble(
            On::Upload,
            &Trouble::Rejected(vec![("task", "n3", "not today")]),
            None,
        );
        let answer = wait("sync_wait_current('api', 60000)");
        assert_eq!(
            (&answer["current"], &answer["pending"], &answer["rejected"]),
            (&json!(false), &json!(1), &json!(1)),
            "{answer}"
        );
        server.behave();
        server.trouble(On::Download, &Trouble::Refused(401, "who"), None);
        let answer = wait("sync_wait_current('api', 60000)");
        assert_eq!(
            (&answer["current"], &answer["error"]["class"]),
            (&json!(false), &json!("auth")),
            "{answer}"
        );
        for (sql, words) in [
            ("SELECT sync_wait(12345)", "there is no run 12345"),
            ("SELECT sync_wait(1, -1)", "timeoutMs must be 0 to"),
            ("SELECT sync_wait_current('nobody')", "is not declared"),
        ] {
            let error = client.refused(sql);
            assert!(error.contains(words), "{sql}: {error}");
        }
        client.exec("BEGIN");
        assert!(
            client
                .refused("SELECT sync_wait(1)")
                .contains("open transaction")
        );
        client.exec("ROLLBACK");
    });
}
