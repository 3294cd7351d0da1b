//! `sync_detach`: log-out and change of user.

use serde_json::{Value, json};
use support::remote::{
    Client, On, Op, Transport, Trouble, everywhere, everywhere_in_a_file, everywhere_over, hold,
};
use support::{ask, try_ask};

/// Leaves the provider; the answer.
fn detach(client: &Client<'_>, options: &str) -> Value {
    let text = client.ask(&format!("SELECT sync_detach('api', '{options}')"));
    serde_json::from_str(&text).expect("JSON")
}

/// Nothing that is known of a provider is left; what its changes were numbered is.
fn forgotten(client: &Client<'_>) {
    for table in [
        "_syncProvider",
        "_syncCursor",
        "_syncVersion",
        "_syncOutbox",
        "_syncPush",
        "_syncHeld",
        "_syncRejected",
        "_syncPause",
        "_syncSchedule",
        "_syncLease",
        "_syncRun",
        "_syncLog",
        "sync_peer",
    ] {
        let left = client.ask(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(left, "0", "{table}");
    }
    assert_eq!(
        client.ask("SELECT count(*) FROM _syncPeer WHERE memory <> 'null' OR batch IS NOT NULL"),
        "0"
    );
    assert_eq!(
        client.ask("SELECT count(*) FROM _syncTable WHERE provider IS NOT NULL"),
        "0"
    );
}

fn two_tasks() -> [Value; 2] {
    [
        json!({"id": "t1", "title": "Dig"}),
        json!({"id": "t2", "title": "Sow"}),
    ]
}

#[test]
fn o2_what_waits_goes_up_and_the_rows_that_stay_are_new_to_the_next_user() {
    everywhere(|case| {
        let server = case.server();
        server.put("task", &two_tasks());
        let client = case.client(&*server);
        client.synced();
        client.exec(
            "INSERT INTO task (id, title) VALUES ('n1', 'New'); DELETE FROM task WHERE id = 't2'; \
             INSERT INTO list (id, name) VALUES ('l1', 'Garden')",
        );
        let answer = detach(&client, "{}");
        assert_eq!(
            (
                &answer["uploaded"],
                &answer["kept"],
                &answer["wiped"],
                &answer["error"]
            ),
            (&json!(3), &json!(3), &json!(0), &Value::Null),
            "{answer}"
        );
        assert_eq!(
            answer["tables"],
            json!([
                {"pending": 0, "rejected": 0, "held": 0, "unknown": 0, "table": "list", "fate": "kept", "rows": 1},
                {"pending": 0, "rejected": 0, "held": 0, "unknown": 0, "table": "task", "fate": "kept", "rows": 2},
            ])
        );
        assert_eq!(server.rows("task").len(), 2);
        forgotten(&client);
        assert_eq!(
            client.pending(),
            "list|l1|created|[]\ntask|n1|created|[]\ntask|t1|created|[]"
        );
        // The next user has nothing yet.
        let next = case.server();
        let config = next.config().to_string();
        client.ask(&format!("SELECT sync_provider('api', '{config}')"));
        client.synced();
        assert_eq!(client.pending(), "");
        for table in ["list", "task"] {
            assert_eq!(client.rows(table), next.rows(table), "{table}");
        }
        let sent: Vec<_> = next.pushed().concat();
        assert!(sent.iter().all(|sent| sent.op == Op::Created), "{sent:?}");
        assert_eq!(sent.len(), 3);
    });
}

#[test]
fn o2_a_wipe_deletes_nothing_on_the_server_and_all_comes_back() {
    everywhere(|case| {
        let server = case.server();
        server.put("task", &two_tasks());
        server.put("list", &[json!({"id": "l1", "name": "Garden"})]);
        let client = case.client(&*server);
        client.synced();
        client.exec("UPDATE task SET title = 'Dug' WHERE id = 't1'");
        let answer = detach(&client, r#"{"wipe":true}"#);
        assert_eq!(
            (&answer["uploaded"], &answer["wiped"], &answer["kept"]),
            (&json!(1), &json!(3), &json!(0)),
            "{answer}"
        );
        assert_eq!(client.ask("SELECT count(*) FROM task"), "0");
        assert_eq!(client.ask("SELECT count(*) FROM list"), "0");
        assert_eq!(client.pending(), "");
        assert_eq!(
            client.ask("SELECT count(*) FROM _syncChange WHERE tbl <> 0"),
            "0"
        );
        forgotten(&client);
        let before = server.pushed().len();
        client.declare(&json!({}));
        client.synced();
        client.is_at_rest();
        assert_eq!(client.ask("SELECT title FROM task WHERE id = 't1'"), "Dug");
        assert_eq!(server.pushed().len(), before, "nothing was sent");
    });
}

#[test]
fn o2_tables_can_be_kept() {
    everywhere(|case| {
        let server = case.server();
        server.put("task", &two_tasks());
        server.put("list", &[json!({"id": "l1", "name": "Garden"})]);
        let client = case.client(&*server);
        client.synced();
        let answer = detach(&client, r#"{"wipe":true,"keep":["LIST"]}"#);
        assert_eq!(
            (&answer["wiped"], &answer["kept"]),
            (&json!(2), &json!(1)),
            "{answer}"
        );
        assert_eq!(client.pending(), "list|l1|created|[]");
        assert_eq!(client.ask("SELECT count(*) FROM task"), "0");
    });
}

#[test]
fn o2_what_is_not_settled_is_named_and_stays() {
    everywhere(|case| {
        let server = case.server();
        server.put("task", &two_tasks());
        let client = case.client(&*server);
        client.synced();
        client.exec(
            "INSERT INTO task (id, title) VALUES ('n1', 'New'), ('n2', 'Newer'); DELETE FROM task WHERE id = 't2'",
        );
        server.trouble(On::Upload, &Trouble::Refused(401, "who"), None);
        server.trouble(On::Download, &Trouble::Refused(401, "who"), None);
        let before = client.pending();
        let error = client.refused("SELECT sync_detach('api', '{\"wipe\":true}')");
        for words in [
            "sync_detach: rows of provider 'api' are not settled: \"task\" (3 pending",
            "the upload failed (",
            "{\"force\":true}",
        ] {
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(client.pending(), before);
        assert_eq!(client.ask("SELECT count(*) FROM task"), "3");
        assert_eq!(
            client.ask("SELECT count(*) FROM sync_peer WHERE provider = 'api'"),
            "1"
        );
        client.is_idle();
        // Given up all the same.
        let answer = detach(&client, r#"{"force":true,"wipe":true}"#);
        assert_eq!(
            (
                &answer["uploaded"],
                &answer["discarded"]["pending"],
                &answer["wiped"]
            ),
            (&json!(0), &json!(3), &json!(3)),
            "{answer}"
        );
        assert!(
            answer["error"]
                .as_str()
                .is_some_and(|error| error.contains("failed")),
            "{answer}"
        );
        forgotten(&client);
        assert_eq!(client.pending(), "");
        server.behave();
        assert_eq!(server.rows("task").len(), 2);
        client.declare(&json!({}));
        client.synced();
        client.is_at_rest();
    });
}

#[test]
fn o2_a_refused_row_counts_and_force_without_wipe_keeps_it() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New'), ('n2', 'No')");
        server.trouble(
            On::Upload,
            &Trouble::Rejected(vec![("task", "n2", "not today")]),
            None,
        );
        let error = client.refused("SELECT sync_detach('api')");
        assert!(
            error.contains("\"task\" (1 pending, 1 rejected)"),
            "{error}"
        );
        assert_eq!(server.rows("task").len(), 1, "the other has gone up");
        let answer = detach(&client, r#"{"force":true}"#);
        assert_eq!(
            answer["discarded"],
            json!({"pending": 1, "rejected": 1, "held": 0, "unknown": 0}),
            "{answer}"
        );
        forgotten(&client);
        assert_eq!(client.pending(), "task|n1|created|[]\ntask|n2|created|[]");
    });
}

#[test]
fn o2_a_push_without_an_answer_counts() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        server.trouble(On::Upload, &Trouble::Lost { done: true }, None);
        let error = client.refused("SELECT sync_detach('api')");
        assert!(
            error.contains("\"task\" (1 pending, 1 of unknown outcome)"),
            "{error}"
        );
        server.behave();
        client.synced();
        assert_eq!(detach(&client, "{}")["kept"], 1);
    });
}

#[test]
fn o2_paused_uploads_stay_paused() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.ask("SELECT sync_pause('uploads', 'api')");
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        let error = client.refused("SELECT sync_detach('api')");
        assert!(error.contains("uploads are paused"), "{error}");
        assert_eq!(server.asked().len(), 0);
        detach(&client, r#"{"force":true}"#);
        forgotten(&client);
        assert_eq!(client.pending(), "task|n1|created|[]");
    });
}

#[test]
fn o2_pauses_and_the_schedule_go_too() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        client.ask("SELECT sync_pause('all', 'api'), sync_auto('api')");
        detach(&client, "{}");
        forgotten(&client);
        assert_eq!(client.ask("SELECT sync_due()"), "NULL");
        // The next one was never synced, nor is it paused.
        client.declare(&json!({}));
        assert_eq!(client.ask("SELECT sync_is_stale('api', 3600000)"), "1");
        assert_eq!(
            client.ask("SELECT state, paused, lastSuccessAt, cursor, nextDueAt FROM sync_peer"),
            "idle|NULL|NULL|NULL|NULL"
        );
    });
}

#[test]
fn o2_a_second_call_answers_like_the_first_and_a_misspelt_provider_is_refused() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        let first = detach(&client, "{}");
        assert_eq!(detach(&client, "{}"), first);
        for (sql, words) in [
            (
                "SELECT sync_detach('apo')",
                "provider 'apo' is not declared",
            ),
            (
                "SELECT sync_detach('api', '{\"force\":true}')",
                "provider 'api' is not declared",
            ),
            ("SELECT sync_detach('api', '{\"wip\":true}')", "wipe"),
            (
                "SELECT sync_detach('api', '{\"keep\":[\"task\"]}')",
                "options.keep goes with \"wipe\":true",
            ),
        ] {
            let error = client.refused(sql);
            assert!(error.contains(words), "{sql}: {error}");
        }
        client.declare(&json!({}));
        client.synced();
        let error =
            client.refused("SELECT sync_detach('api', '{\"wipe\":true,\"keep\":[\"tasks\"]}')");
        assert!(
            error.contains("options.keep names \"tasks\", which is not synced"),
            "{error}"
        );
        client.exec("BEGIN");
        let error = client.refused("SELECT sync_detach('api')");
        assert!(error.contains("open transaction"), "{error}");
        client.exec("ROLLBACK");
        assert_eq!(detach(&client, "{}")["kept"], 0);
    });
}

#[test]
fn o2_while_a_sync_goes_on_the_provider_stays() {
    everywhere_over(&[Transport::Http], |case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        let held = hold(&*server, On::Download);
        let begun: Value =
            serde_json::from_str(&client.ask("SELECT sync_once('api', '{\"background\":true}')"))
                .expect("JSON");
        held.wait();
        let other = client.second();
        for db in [&client.db, &other] {
            let error =
                try_ask(db, "SELECT sync_detach('api', '{\"force\":true}')").expect_err("busy");
            assert_eq!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseBusy),
                "{error}"
            );
            assert!(error.to_string().contains("is being synced by"), "{error}");
        }
        held.release();
        client.ask(&format!("SELECT sync_wait({})", begun["runId"]));
        assert_eq!(ask(&other, "SELECT sync_detach('api') ->> 'kept'"), "0");
    });
}

#[test]
fn o2_a_run_that_the_program_drives_keeps_the_provider_too() {
    everywhere_over(&[Transport::Python, Transport::Memory], |case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        let run = client.open("all", &["task"], json!({}));
        let error = client.refused("SELECT sync_detach('api')");
        assert!(error.contains(&format!("run {run}")), "{error}");
        assert_eq!(client.ask(&format!("SELECT sync_cancel({run})")), "1");
        detach(&client, "{}");
        forgotten(&client);
    });
}

#[test]
fn o2_only_secrets_that_nobody_else_names_are_forgotten() {
    everywhere(|case| {
        let server = case.guarded("hunter2-token");
        let client = case.client(&*server);
        let origin = server.origin();
        client.declare(&json!({"token": "own", "secretHeaders": {"X-Key": "shared"}}));
        for name in ["own", "shared", "unrelated"] {
            client.ask(&format!(
                "SELECT sync_secret('{name}', 'hunter2-token', '{origin}')"
            ));
        }
        client.ask(&format!(
            "SELECT sync_provider('other', '{}')",
            json!({"kind": "watermelon", "url": origin, "token": "shared"})
        ));
        client.synced();
        let answer = detach(&client, "{}");
        assert_eq!(answer["secrets"], json!(["own"]), "{answer}");
        for (name, known) in [("own", "0"), ("shared", "1"), ("unrelated", "1")] {
            assert_eq!(
                client.ask(&format!("SELECT sync_secret('{name}', NULL)")),
                known,
                "{name}"
            );
        }
    });
}

#[test]
fn a_cancelled_run_ends_wherever_it_runs() {
    everywhere_in_a_file(|case| {
        let server = case.server();
        let client = case.client(&*server);
        client.synced();
        let other = client.second();
        client.exec("INSERT INTO task (id, title) VALUES ('n1', 'New')");
        let run = match case.transport {
            Transport::Http => {
                let held = hold(&*server, On::Download);
                let begun = client.ask(
                    "SELECT sync_entities('w', 'api', '[\"task\"]', '{\"background\":true}') ->> 'runId'",
                );
                held.wait();
                assert_eq!(ask(&other, &format!("SELECT sync_cancel({begun})")), "1");
                client.ask(&format!("SELECT sync_wait({begun})"));
                begun
            }
            _ => {
                let run = client.open("w", &["task"], json!({}));
                client.next(run).expect("a request");
                assert_eq!(ask(&other, &format!("SELECT sync_cancel({run})")), "1");
                run.to_string()
            }
        };
        client.is_idle();
        assert_eq!(
            client.run("state, error ->> 'class', cancel"),
            "failed|cancelled|cancelled"
        );
        assert_eq!(
            client.ask("SELECT state, error FROM _syncStatus WHERE entity = 'task'"),
            "failed|interrupted: cancelled"
        );
        assert_eq!(client.ask(&format!("SELECT sync_cancel({run})")), "0");
        assert_eq!(client.ask("SELECT sync_cancel(1)"), "0");
        let error = client.refused("SELECT sync_cancel(12345)");
        assert!(error.contains("there is no run 12345"), "{error}");
        client.synced();
        client.is_at_rest();
    });
}

#[test]
fn hydrate_is_download_all_by_another_name() {
    everywhere(|case| {
        let server = case.server();
        server.put("task", &two_tasks());
        let client = case.client(&*server);
        let answer = client.operation("sync_hydrate");
        assert_eq!(answer["applied"], 2, "{answer}");
        assert!(answer.get("hasMore").is_none(), "{answer}");
        assert_eq!(client.run("goal"), "hydrate");
        client.is_at_rest();
        let error = client.refused("SELECT sync_hydrate('nobody')");
        assert!(error.contains("sync_hydrate: provider 'nobody'"), "{error}");
    });
}

#[test]
fn what_is_due_is_seen_in_the_row_of_the_provider() {
    everywhere(|case| {
        let server = case.server();
        let client = case.client(&*server);
        assert_eq!(client.ask("SELECT nextDueAt FROM sync_peer"), "NULL");
        client.synced();
        client.ask("SELECT sync_auto('api', '{\"downloadEvery\":\"1h\"}')");
        assert_eq!(
            client.ask(
                "SELECT p.nextDueAt IS w.nextDownloadAt, p.nextDueAt IS NOT NULL FROM sync_peer AS p JOIN sync_worker AS w USING (provider)"
            ),
            "1|1"
        );
        client.ask("SELECT sync_auto('api', NULL)");
        assert_eq!(client.ask("SELECT nextDueAt FROM sync_peer"), "NULL");
    });
}
